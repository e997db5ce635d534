"""What decisions teach: pictures that are harmless, and entries that are not worth matching.

Nothing is learnt by itself. A picture of which somebody decided that it is not a match is proposed
for the benign list, and a second, different person accepts or refuses it; an entry is disabled by
somebody, for a reason. Both are events of the queue's history.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch.disabled import Disabled
from hashmatch.errors import ReviewError
from hashmatch.protection import WHOLE
from hashmatch.records.decisions import CaseState
from hashmatch.review import history
from hashmatch.review.texts import check_text, named
from hashmatch.review.times import micros, moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from hashmatch.records.decisions import Case, Closest, Decision
    from hashmatch.review.queue import ReviewQueue


@dataclass(frozen=True, slots=True)
class Proposal:
    """A picture that may be harmless.

    Parameters
    ----------
    case : Case
        Decided as not a match, finally.
    decision : Decision
        The last that says so.
    verdict : str
        ``waiting``, ``accepted`` or ``refused``.
    by : str
        The second person; empty while it is waiting.
    """

    case: Case
    decision: Decision
    verdict: str = "waiting"
    by: str = ""

    @property
    def closest(self) -> Closest:
        """The nearest match of the case."""
        return self.case.closest


def proposals(queue: ReviewQueue) -> Iterator[Proposal]:
    """Yield the pictures that decisions propose for the benign list, and what became of each.

    Those are cases that are not a match, and can no longer be undone, of which the queue has the
    picture's own hash. Left out is what a benign list could not help: pictures that are equal to an
    entry, and those of which only a part matched.

    Parameters
    ----------
    queue : ReviewQueue
        Whose decisions they are.
    """
    answers = _answers(queue)
    for case in queue.cases(CaseState.NOT_A_MATCH):
        decision = _proposing(queue, case)
        if decision is not None:
            verdict, by = answers.get(decision.decision_id, ("waiting", ""))
            yield Proposal(case, decision, verdict, by)


def answer(
    queue: ReviewQueue, case_id: str, who: str, *, accept: bool, reason: str = ""
) -> Proposal:
    """Accept or refuse a picture for the benign list, once.

    Parameters
    ----------
    queue : ReviewQueue
        Where it is proposed.
    case_id : str
        Of its case.
    who : str
        None of those who decided about it.
    accept : bool
        Whether it is harmless.
    reason : str
        Why.

    Raises
    ------
    ReviewError
        If it is not proposed, is answered already, or `who` decided about it.
    """
    named(who)
    check_text("a reason", reason)
    with queue._database.writing():
        case = queue.case(case_id)
        decision = _proposing(queue, case)
        if decision is None:
            raise ReviewError(f"{case.case_id} is not proposed for the benign list")
        if who.casefold() in {one.reviewer.casefold() for one in case.decisions}:
            raise ReviewError(f"{who} decided about {case.case_id}; somebody else has to accept it")
        if decision.decision_id in _answers(queue):
            raise ReviewError(f"{case.case_id} is answered already")
        history.append(
            queue._database,
            micros(queue._now()),
            who,
            "benign_accepted" if accept else "benign_refused",
            int(case.case_id.rpartition("-")[2]),
            decision=decision.decision_id,
            reason=reason,
        )
    return Proposal(case, decision, "accepted" if accept else "refused", who)


def benign_hashes(queue: ReviewQueue) -> Iterator[tuple[Proposal, list[tuple[str, str, str]]]]:
    """Yield each accepted picture with its hashes: record, algorithm and hexadecimal text."""
    for proposal in proposals(queue):
        if proposal.verdict != "accepted":
            continue
        covered = set(proposal.decision.record_ids)
        found = queue._database.rows(
            "SELECT record_id, hash FROM item WHERE case_number = ? AND hash IS NOT NULL "
            "ORDER BY number",
            (int(proposal.case.case_id.rpartition("-")[2]),),
        )
        values: dict[str, bytes] = dict(found)
        hashes: dict[tuple[str, str], str] = {}
        for item in proposal.case.items:
            record = item.record
            if record.record_id in covered & values.keys() and record.hash.variant in WHOLE:
                value = bytes(values[record.record_id]).hex()
                hashes.setdefault((record.hash.algorithm, value), record.record_id)
        yield proposal, [(name, *key) for key, name in hashes.items()]


def disable(queue: ReviewQueue, name: str, entry: str, who: str, reason: str) -> Disabled:
    """Note that an entry of a list is not to be matched any more, here.

    Parameters
    ----------
    queue : ReviewQueue
        Whose history remembers it.
    name, entry : str
        The list and the entry, as matches name them.
    who : str
        Who says so.
    reason : str
        Why; not empty.
    """
    return _note(queue, "disabled", name, entry, who, reason)


def enable(queue: ReviewQueue, name: str, entry: str, who: str, reason: str) -> Disabled:
    """Note that an entry is to be matched again; ReviewError if it is not disabled."""
    return _note(queue, "enabled", name, entry, who, reason)


def disabled(queue: ReviewQueue) -> tuple[Disabled, ...]:
    """Return the entries that are disabled now, in the order in which they were."""
    found: dict[tuple[str, str], Disabled] = {}
    for at, who, kind, _, body in _events(queue, "disabled", "enabled"):
        key = body["list"], body["entry"]
        found.pop(key, None)
        if kind == "disabled":
            time = at.isoformat().replace("+00:00", "Z")
            found[key] = Disabled(*key, body["reason"], who, time)
    return tuple(found.values())


def _note(queue: ReviewQueue, kind: str, name: str, entry: str, who: str, reason: str) -> Disabled:
    named(who)
    for what, text in (("a reason", reason), ("a list's name", name), ("an entry", entry)):
        check_text(what, text)
    with queue._database.writing():
        at = queue._now()
        said = Disabled(name, entry, reason, who, at.isoformat().replace("+00:00", "Z"))
        there = {(one.list, one.entry) for one in disabled(queue)}
        if ((name, entry) in there) == (kind == "disabled"):
            raise ReviewError(f"entry {entry} of list {name} is {kind} already")
        history.append(
            queue._database, micros(at), who, kind, list=name, entry=entry, reason=reason
        )
    return said


def _proposing(queue: ReviewQueue, case: Case) -> Decision | None:
    """Return the decision by which a case is proposed, if it is."""
    standing = [d for d in case.decisions if d.undone_at is None and d.round == case.round]
    if case.state is not CaseState.NOT_A_MATCH or not standing or not case.closest.distance:
        return None
    if standing[-1].decided_at + queue.settings.undo > queue._now():
        return None
    covered = {name for decision in standing for name in decision.record_ids}
    ((hashes,),) = queue._database.rows(
        "SELECT count(*) FROM item WHERE case_number = ? AND hash IS NOT NULL",
        (int(case.case_id.rpartition("-")[2]),),
    )
    whole = any(
        item.record.hash.variant in WHOLE for item in case.items if item.record.record_id in covered
    )
    return standing[-1] if hashes and whole else None


def _answers(queue: ReviewQueue) -> dict[str, tuple[str, str]]:
    """Return what was said of the proposals, by the decision that each is of."""
    return {
        body["decision"]: (kind.removeprefix("benign_"), who)
        for _, who, kind, _, body in _events(queue, "benign_accepted", "benign_refused")
    }


def _events(
    queue: ReviewQueue, *kinds: str
) -> Iterator[tuple[datetime, str, str, int | None, Any]]:
    condition, value = queue._database.among(kinds)
    for at, who, kind, case, text in queue._database.rows(
        f"SELECT happened_at, who, kind, case_number, body FROM event WHERE kind {condition} "
        "ORDER BY number",
        (value,),
    ):
        yield moment(at), who, kind, case, msgspec.json.decode(text)
