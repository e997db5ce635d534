"""What a webhook tells: one message for each thing that people decided, and can no longer undo.

A message of the kind ``case.confirmed`` is a `ConfirmedMessage`, and one of those is made of a
`ConfirmedCase` and of nothing else: what nobody decided cannot be told as confirmed.

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

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from hashmatch.errors import UsageError
from hashmatch.records.cases import CaseState, ConfirmedCase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashmatch.records.cases import Case, CaseItem, Decision
    from hashmatch.review.results import Event

TOLD = frozenset({CaseState.NOT_A_MATCH, CaseState.UNSURE, CaseState.ESCALATED})
"""States that a `DecidedMessage` tells of."""


@dataclass(frozen=True, slots=True)
class ConfirmedMessage:
    """Tells that people confirmed a case, finally. The only one of its kind.

    Parameters
    ----------
    case : ConfirmedCase
        What they confirmed.
    event : Event
        The last decision that it took, in the history.

    Raises
    ------
    UsageError
        If `case` is anything else, or `event` is of another.
    """

    case: ConfirmedCase = field(repr=False)
    event: Event = field(repr=False)

    def __post_init__(self) -> None:
        if type(self.case) is not ConfirmedCase:
            raise UsageError("only a case that people confirmed can be told as confirmed")
        self.case.__post_init__()  # however it was made
        if (self.event.number, self.event.case_id) != (self.case.event, self.case.case_id):
            raise UsageError("the event is not the one that confirmed the case")

    @property
    def kind(self) -> str:
        """``case.confirmed``."""
        return "case.confirmed"

    def body(self) -> bytes:
        """Return the message, as JSON."""
        return _body(self.kind, self.event, self.case.decisions, self.case.items)


@dataclass(frozen=True, slots=True)
class DecidedMessage:
    """Tells that a case was decided in any other way than confirmed.

    Parameters
    ----------
    case : Case
        As it is now: decided by `event`.
    event : Event
        The last decision, in the history.

    Raises
    ------
    UsageError
        If it is in another state, as confirmed or undecided.
    """

    case: Case = field(repr=False)
    event: Event = field(repr=False)

    def __post_init__(self) -> None:
        if self.case.state not in TOLD:
            raise UsageError(f"{self.case.case_id} is {self.case.state}; this tells others")
        if self.event.case_id != self.case.case_id or self.event.kind != "decided":
            raise UsageError("the event is not the one that decided the case")

    @property
    def kind(self) -> str:
        """``case.`` and the state."""
        return f"case.{CaseState(self.case.state).value}"

    def body(self) -> bytes:
        """Return the message, as JSON."""
        standing = [
            decision
            for decision in self.case.decisions
            if decision.undone_at is None and decision.round == self.case.round
        ]
        covered = {name for decision in standing for name in decision.record_ids}
        items = [item for item in self.case.items if item.record.record_id in covered]
        return _body(self.kind, self.event, standing, items)


@dataclass(frozen=True, slots=True)
class AskedAgainMessage:
    """Tells that a case waits for a person again.

    All of it, so that what was decided counts no more; or only what joined it since, which is then
    said to be inherited.

    Parameters
    ----------
    event : Event
        That asked for it again, in the history.
    """

    event: Event = field(repr=False)

    def __post_init__(self) -> None:
        if self.event.kind != "asked_again":
            raise UsageError("nobody asked for a case again in that event")

    @property
    def kind(self) -> str:
        """``case.asked_again``."""
        return "case.asked_again"

    def body(self) -> bytes:
        """Return the message, as JSON."""
        return _body(self.kind, self.event, (), ())


Message: TypeAlias = ConfirmedMessage | DecidedMessage | AskedAgainMessage


def message_key(event: Event) -> str:
    """Return the name of an event's message, unlike that of any other, of any queue.

    It is of the digest of the event and of all before it, and so the same each time it is told.
    """
    return f"hm_{event.digest[:40]}"


def _body(
    kind: str, event: Event, decisions: Sequence[Decision], items: Iterable[CaseItem]
) -> bytes:
    data: dict[str, Any] = {"case_id": event.case_id, "event": event.number}
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
        "seen",
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
