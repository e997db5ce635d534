"""Messages of a webhook: one for each thing that people decided, and can no longer undo.

A message of the kind ``case.confirmed`` is a `ConfirmedMessage`, and one of those is made of a
`ConfirmedCase` and of nothing else: nothing else can be called confirmed.

============================  =====================================================================
type                          what happened
============================  =====================================================================
case.confirmed                as many people as were needed confirmed it
case.not_a_match              a person decided that it is another picture
case.unsure                   a person could not tell
case.escalated                a person, or two who disagreed, left it to somebody else
case.asked_again              it waits for a person again: all of it, or what joined it since
============================  =====================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

import msgspec

from hashmatch.errors import UsageError
from hashmatch.records.cases import CaseState, ConfirmedCase
from hashmatch.review.cases import find_row
from hashmatch.review.decisions import hand_over
from hashmatch.review.history import load_event
from hashmatch.review.text import micros

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from hashmatch.records.cases import Case, CaseItem, Decision
    from hashmatch.review.history import Head
    from hashmatch.review.queue import ReviewQueue
    from hashmatch.review.results import Event

OTHER_VERDICTS = frozenset({CaseState.NOT_A_MATCH, CaseState.UNSURE, CaseState.ESCALATED})
"""States that have a `DecidedMessage`."""
CANNOT_CONFIRM = "cannot build a message that a case is confirmed"


@dataclass(frozen=True, slots=True)
class ConfirmedMessage:
    """Says that people confirmed a case, finally: `event` was the last decision that it took.

    The only one of its kind. UsageError if `case` is anything but a ConfirmedCase, or `event` is of
    another.
    """

    case: ConfirmedCase = field(repr=False)
    event: Event = field(repr=False)
    kind: ClassVar[str] = "case.confirmed"

    def __post_init__(self) -> None:
        if type(self.case) is not ConfirmedCase:
            raise UsageError(f"{CANNOT_CONFIRM}: it is made of a ConfirmedCase only")
        self.case.__post_init__()  # however it was made
        if (self.event.number, self.event.case_id) != (self.case.event, self.case.case_id):
            raise UsageError(f"{CANNOT_CONFIRM}: the event is not the one that confirmed the case")

    def body(self, head: Head) -> bytes:
        """Return the message as JSON, with a head of the history; see `Outbox`."""
        return _body(self.kind, self.event, head, self.case.decisions, self.case.items)


@dataclass(frozen=True, slots=True)
class DecidedMessage:
    """Says that a case was decided by `event`, in any other way than confirmed.

    UsageError if it is in another state, as confirmed or undecided.
    """

    case: Case = field(repr=False)
    event: Event = field(repr=False)

    def __post_init__(self) -> None:
        cannot = f"cannot build a decision message for case {self.case.case_id}"
        if self.case.state not in OTHER_VERDICTS:
            raise UsageError(f"{cannot}: its state is {self.case.state}")
        if self.event.case_id != self.case.case_id or self.event.kind != "decided":
            raise UsageError(f"{cannot}: the event is not the one that decided it")

    @property
    def kind(self) -> str:
        """``case.`` and the state."""
        return f"case.{CaseState(self.case.state).value}"

    def body(self, head: Head) -> bytes:
        """Return the message as JSON, with a head of the history; see `Outbox`."""
        standing = self.case.standing
        covered = {name for decision in standing for name in decision.record_ids}
        items = [item for item in self.case.items if item.record.record_id in covered]
        return _body(self.kind, self.event, head, standing, items)


@dataclass(frozen=True, slots=True)
class AskedAgainMessage:
    """Says that a case waits for a person again, by the `event` that asked for it.

    All of it, so that what was decided counts no more; or only what joined it since, which is then
    said to be inherited.
    """

    event: Event = field(repr=False)
    kind: ClassVar[str] = "case.asked_again"

    def __post_init__(self) -> None:
        if self.event.kind != "asked_again":
            raise UsageError("cannot build an asked-again message: no person asked in this event")

    def body(self, head: Head) -> bytes:
        """Return the message as JSON, with a head of the history; see `Outbox`."""
        return _body(self.kind, self.event, head, (), ())


Message: TypeAlias = ConfirmedMessage | DecidedMessage | AskedAgainMessage


class NotYet(NamedTuple):
    """Instead of a message: until then, what there is to tell may be undone."""

    until: datetime


def message_of(queue: ReviewQueue, number: int) -> Message | NotYet | None:
    """Return the message of an event; None if there is nothing to tell, or nothing any more.

    Of a decision it is the state that the case has by it. A first of two confirmations gives it
    none; and one that was asked about again since, not only what joined it, has lost it. What is
    sent cannot be undone any more.
    """
    with queue.transaction() as tx:
        event = load_event(tx, number)
        if event.kind == "asked_again":
            return AskedAgainMessage(event)
        case = _as_decided(queue.case(event.case_id or ""), number)
        if not case.standing or case.standing[-1].decision_id != f"{case.case_id}-{number}":
            return None
        final_at = max(decision.final_at for decision in case.standing)
        if micros(final_at) > tx.now:  # the clock was put back
            return NotYet(final_at)
        if case.state in OTHER_VERDICTS:
            hand_over(tx, [find_row(tx, case.case_id).number])
            return DecidedMessage(case, event)
        confirmed = queue.confirmed_by(number)
        return None if confirmed is None else ConfirmedMessage(confirmed, event)


def _as_decided(case: Case, number: int) -> Case:
    """Return a case as a decision left it, if only what joined it was asked about since."""
    (decision,) = (one for one in case.decisions if one.decision_id == f"{case.case_id}-{number}")
    is_asked_about = any(item.round == decision.round for item in case.items)
    if decision.round == case.round or not is_asked_about:
        return case
    before = replace(case, round=decision.round)
    verdicts = {one.verdict for one in before.standing}
    if len(verdicts) > 1:
        return replace(before, state=CaseState.ESCALATED)
    return replace(before, state=CaseState(decision.verdict))


def message_id(event: Event) -> str:
    """Return the id of an event's message, unlike that of any other, of any queue.

    It is of the digest of the event and of all before it, and so the same for each try.
    """
    return f"hm_{event.digest[:40]}"


def _body(
    kind: str, event: Event, head: Head, decisions: Sequence[Decision], items: Iterable[CaseItem]
) -> bytes:
    data: dict[str, Any] = {
        "case_id": event.case_id,
        "event": event.number,
        "history_head": str(head),
    }
    if kind == "case.asked_again":
        data |= {"by": event.who, "reason": event.body["reason"]}
        data["inherited_only"] = event.body["inherited_only"]
    else:
        data["decisions"] = [_decision(decision) for decision in decisions]
        data["items"] = [_item(item) for item in items]
    return msgspec.json.encode({"type": kind, "timestamp": event.at, "data": data})


def _decision(decision: Decision) -> dict[str, Any]:
    names = (
        "decision_id", "verdict", "reviewer", "decided_at", "reason", "labels", "record_ids",
        "reviewed_digest",
    )  # fmt: skip
    return {name: getattr(decision, name) for name in names}


def _item(item: CaseItem) -> dict[str, Any]:
    record, closest = item.record, item.record.matches[0]
    return {
        "record_id": record.record_id,
        "key": record.item.key,
        "version": record.item.version,
        "surface": record.item.surface,
        "frame": record.item.frame,
        "source": item.origin.source,
        "match": {
            "list": closest.list,
            "list_version": closest.list_version,
            "entry": closest.entry,
            "algorithm": closest.algorithm,
            "distance": closest.distance,
            "max_distance": closest.max_distance,
            "labels": closest.labels,
        },
    }
