"""What decisions teach: pictures that are harmless, and entries that are not worth matching.

Nothing is learnt by itself. A picture of which somebody decided that it is not a match is proposed
for the benign list, and a second, different person accepts or refuses it; an entry is disabled by
somebody, for a reason. Both are events of the queue's history.

What the owner of a list should know: which of its entries match what they should not.

A report names entries, counts and distances. It holds no hash, and says nothing of whose pictures
they matched, unless that is asked for.

The benign list that accepted pictures are written to, for ``--benign``.

It holds hashes of your users' pictures: its owner only can read it. What is in it already stays,
since the queue forgets a picture that was not a match after a while.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch._files import private
from hashmatch._files.atomic import OutputFile
from hashmatch._redact import unseen
from hashmatch.errors import ListError, ReviewError, UsageError
from hashmatch.lists.exclusions import Disabled
from hashmatch.matching.suppression import WHOLE
from hashmatch.records.cases import CaseState
from hashmatch.records.times import timestamp
from hashmatch.review import history
from hashmatch.review.stats import Share, wilson
from hashmatch.review.text import check_text, micros, moment, named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from hashmatch.records.cases import Case, Closest, Decision
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
            time = timestamp(at, "auto")
            found[key] = Disabled(*key, body["reason"], who, time)
    return tuple(found.values())


def _note(queue: ReviewQueue, kind: str, name: str, entry: str, who: str, reason: str) -> Disabled:
    named(who)
    for what, text in (("a reason", reason), ("a list's name", name), ("an entry", entry)):
        check_text(what, text)
    with queue._database.writing():
        at = queue._now()
        said = Disabled(name, entry, reason, who, timestamp(at, "auto"))
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


LEAST = 5
"""Cases that have to be no match before an entry is reported."""
SHARE = 0.9
"""The share of an entry's decided cases that have to be none."""


@dataclass(slots=True)
class EntryReport:
    """What was decided about the cases that one entry matched; each picture counts once.

    Parameters
    ----------
    entry : str
        As matches name it.
    algorithm : str
        Of its hash.
    versions : list of str
        Of the list that matched.
    not_a_match, confirmed : int
        Cases.
    distances : Counter of int
        Of those that are not a match, by the distance of the closest.
    keys : list of str
        The pictures of these.
    """

    entry: str
    algorithm: str
    versions: list[str] = field(default_factory=list)
    not_a_match: int = 0
    confirmed: int = 0
    distances: Counter[int] = field(default_factory=Counter)
    keys: list[str] = field(default_factory=list)

    @property
    def share(self) -> Share:
        """How many are not a match, with its interval."""
        return wilson(self.not_a_match, self.not_a_match + self.confirmed)


def report_entries(
    queue: ReviewQueue, name: str, *, least: int = LEAST, share: float = SHARE
) -> list[EntryReport]:
    """Return the entries of a list that matched too much that is no match, the worst first.

    Parameters
    ----------
    queue : ReviewQueue
        Whose decisions count.
    name : str
        The list.
    least : int
        Cases of the entry that are not a match, at least 1.
    share : float
        Of its decided cases, how many of them have to be none; 0 to 1.
    """
    if least < 1 or not 0 <= share <= 1:
        raise UsageError("an entry is reported from 1 case on, and from a share of 0 to 1")
    found: dict[tuple[str, str], EntryReport] = {}
    for state in (CaseState.NOT_A_MATCH, CaseState.CONFIRMED):
        for case in queue.cases(state):
            nearest: dict[tuple[str, str], int] = {}
            for item in case.items:
                if item.inherited:
                    continue
                for match in item.record.matches:
                    if match.list != name:
                        continue
                    key = match.entry, match.algorithm
                    each = found.setdefault(key, EntryReport(*key))
                    nearest[key] = min(match.distance, nearest.get(key, match.distance))
                    if match.list_version not in each.versions:
                        each.versions.append(match.list_version)
                    if state is CaseState.NOT_A_MATCH:
                        each.keys.append(item.record.item.key)
            for key, distance in nearest.items():
                if state is CaseState.CONFIRMED:
                    found[key].confirmed += 1
                else:
                    found[key].not_a_match += 1
                    found[key].distances[distance] += 1
    bad = [
        each
        for each in found.values()
        if each.not_a_match >= least and (each.share.value or 0.0) >= share
    ]
    return sorted(bad, key=lambda each: (-each.not_a_match, each.entry, each.algorithm))


def write_report(
    path: str | os.PathLike[str], name: str, entries: Sequence[EntryReport], *, keys: bool = False
) -> None:
    """Write a report for the owner of a list: JSON lines, readable by us only.

    Parameters
    ----------
    path : str or path
        The file.
    name : str
        The list.
    entries : sequence of EntryReport
        What to write.
    keys : bool
        Also whose pictures they matched.
    """
    with OutputFile(path) as file:
        for each in entries:
            line = {
                "list": name,
                "list_versions": each.versions,
                "entry": each.entry,
                "algorithm": each.algorithm,
                "not_a_match": each.not_a_match,
                "confirmed": each.confirmed,
                "share": each.share.value,
                "interval": [each.share.low, each.share.high],
                "distances": {str(d): each.distances[d] for d in sorted(each.distances)},
            }
            more = {"keys": each.keys} if keys else {}
            file.write(msgspec.json.encode(line | more).decode() + "\n")


MOST = 1 << 30
"""Bytes of a list that is added to."""


class _Line(msgspec.Struct):
    id: str = ""


@unseen
def add_benign(queue: ReviewQueue, path: str | os.PathLike[str]) -> tuple[int, int]:
    """Add the pictures that a second person accepted to a benign list.

    Parameters
    ----------
    queue : ReviewQueue
        Where they were accepted.
    path : str or path
        A list of JSON lines, made if it is not there; it is replaced as a whole.

    Returns
    -------
    new, all : int
        How many hashes were added, and how many are in it.

    Raises
    ------
    StoreError
        If it is there, and others can read it or change it.
    ListError
        If what is there is no list that this wrote.
    SinkError
        If it cannot be written.
    """
    place = Path(path)
    before = _lines(place) if os.path.lexists(place) else {}
    new: dict[str, bytes] = {}
    for proposal, hashes in benign_hashes(queue):
        for record_id, algorithm, value in hashes:
            name = f"{proposal.case.case_id}/{record_id}"
            if name not in before:
                new[name] = msgspec.json.encode(
                    {
                        "hash": value,
                        "algorithm": algorithm,
                        "id": name,
                        "sources": [proposal.decision.reviewer, proposal.by],
                    }
                )
    with OutputFile(place) as file:
        for line in (*before.values(), *new.values()):
            file.write(line.decode() + "\n")
    return len(new), len(before) + len(new)


def _lines(place: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    lines = private.read(str(place), MOST).splitlines()
    for number, line in enumerate(filter(None, lines), 1):
        try:
            name = msgspec.json.decode(line, type=_Line).id
        except msgspec.MsgspecError:
            name = ""
        if not name or name in found:
            raise ListError(f"{place}, line {number}: is no line of a benign list of a queue")
        found[name] = line
    return found
