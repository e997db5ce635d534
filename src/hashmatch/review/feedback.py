"""Feedback from decisions: harmless pictures, entries to leave out, and reports for list owners.

Nothing is learnt by itself. A picture of which somebody decided that it is not a match is proposed
for the benign list, and a second, different person accepts or refuses it; an entry is disabled by
somebody, for a reason. Both are events of the queue's history.
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
from hashmatch.records.cases import CaseState
from hashmatch.records.enums import WHOLE
from hashmatch.records.shares import Share, wilson
from hashmatch.records.times import timestamp
from hashmatch.records.typed import from_json
from hashmatch.review import history
from hashmatch.review.case_rows import load_all
from hashmatch.review.cases import find_row
from hashmatch.review.decisions import hand_over
from hashmatch.review.text import check_person, check_text, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hashmatch.records.cases import Case, Closest, Decision
    from hashmatch.review.database import Transaction
    from hashmatch.review.queue import ReviewQueue

MIN_CASES = 5
"""Cases that have to be no match before an entry is reported."""
MIN_SHARE = 0.9
"""The share of an entry's decided cases that have to be none."""
LARGEST_LIST = 1 << 30
"""Bytes of a benign list that is added to."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A picture that may be harmless: its case is finally not a match, last by `decision`.

    `verdict` is ``waiting``, ``accepted`` or ``refused``, and `by` the name of the second person,
    empty while it is waiting.
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
        With the decisions.

    Yields
    ------
    Proposal
        In the order in which the cases were opened.
    """
    with queue.transaction(read_only=True) as tx:
        answers = _answers(tx)
    for case in queue.cases(CaseState.NOT_A_MATCH):
        with queue.transaction(read_only=True) as tx:
            decision = _proposing(tx, case)
        if decision is not None:
            verdict, by = answers.get(decision.decision_id, ("waiting", ""))
            yield Proposal(case, decision, verdict, by)


def answer_proposal(
    queue: ReviewQueue, case_id: str, who: str, *, accept: bool, reason: str = ""
) -> Proposal:
    """Accept or refuse a picture for the benign list, once.

    Parameters
    ----------
    queue : ReviewQueue
        Where it is proposed.
    case_id : str
        Id of its case.
    who, reason : str
        Name of a person who has not decided about it, and why, for the history.
    accept : bool
        Whether it is harmless.

    Returns
    -------
    Proposal
        With the answer.

    Raises
    ------
    ReviewError
        If it is not proposed, is answered already, or `who` decided about it.
    UsageError
        If `who` is not a name.
    """
    check_person(who)
    check_text("a reason", reason)
    with queue.transaction() as tx:
        case = queue.case(case_id)
        decision = _proposing(tx, case)
        final_at = max((one.final_at for one in case.standing), default=None)
        if decision is None and final_at is not None and final_at > moment(tx.now):
            problem = f"its decision can be undone until {timestamp(final_at)}. Try it after that."
        elif decision is None:
            problem = "it is not proposed for the benign list"
        elif who.casefold() in {one.reviewer.casefold() for one in case.decisions}:
            problem = f"{who} decided about it. Ask somebody else."
        elif decision.decision_id in _answers(tx):
            problem = "it is answered already"
        else:
            kind = "benign_accepted" if accept else "benign_refused"
            number = find_row(tx, case.case_id).number
            hand_over(tx, [number])
            history.append(tx, who, kind, number, decision=decision.decision_id, reason=reason)
            return Proposal(case, decision, "accepted" if accept else "refused", who)
        raise ReviewError(f"cannot accept or refuse {case.case_id}: {problem}")


@unseen
def add_benign(queue: ReviewQueue, path: str | os.PathLike[str]) -> tuple[int, int]:
    """Add the pictures that a second person accepted to a benign list, for ``--benign``.

    The list holds hashes of your users' pictures: its owner only can read it. What is in it already
    stays, since the queue forgets a picture that was not a match after a while; but it is taken out
    if its case waits again, or was decided in another way.

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
    there = _benign_lines(Path(path)) if os.path.lexists(path) else {}
    before = _still_harmless(queue, there)
    new: dict[str, bytes] = {}
    for proposal in proposals(queue):
        if proposal.verdict != "accepted":
            continue
        for record_id, algorithm, value in _hashes(queue, proposal):
            name = f"{proposal.case.case_id}/{record_id[-12:]}"  # all of it may be a hash
            if name not in before:
                line = {
                    "hash": value,
                    "algorithm": algorithm,
                    "id": name,
                    "sources": [proposal.decision.reviewer, proposal.by],
                }
                new[name] = msgspec.json.encode(line)
    _write_lines(path, (*before.values(), *new.values()))
    return len(new), len(before) + len(new)


def disable(queue: ReviewQueue, name: str, entry: str, who: str, reason: str) -> Disabled:
    """Record that an entry of a list is not to be matched any more, here.

    Parameters
    ----------
    queue : ReviewQueue
        Where it is recorded, in the history.
    name, entry : str
        Name of the list and id of the entry, as in matches.
    who, reason : str
        Name of the person who disables it, and why; not empty.

    Returns
    -------
    Disabled
        As `disabled` returns it from now on.

    Raises
    ------
    ReviewError
        If it is disabled already.
    UsageError
        If there is no reason, or `who` is not a name.
    """
    return _record(queue, "disabled", name, entry, who, reason)


def enable(queue: ReviewQueue, name: str, entry: str, who: str, reason: str) -> Disabled:
    """Record that an entry is to be matched again.

    Parameters
    ----------
    queue : ReviewQueue
        Where it is recorded, in the history.
    name, entry : str
        Name of the list and id of the entry, as in matches.
    who, reason : str
        Name of the person who enables it, and why; not empty.

    Returns
    -------
    Disabled
        What was recorded: the entry, with this reason and person.

    Raises
    ------
    ReviewError
        If it is not disabled.
    UsageError
        If there is no reason, or `who` is not a name.
    """
    return _record(queue, "enabled", name, entry, who, reason)


def disabled(queue: ReviewQueue) -> tuple[Disabled, ...]:
    """Return the entries that are disabled now, in the order in which they were.

    Parameters
    ----------
    queue : ReviewQueue
        Where they were disabled.
    """
    with queue.transaction(read_only=True) as tx:
        return _disabled(tx)


def write_disabled(path: str | os.PathLike[str], entries: Iterable[Disabled]) -> None:
    """Write disabled entries for ``--disabled``: JSON lines, readable by their owner only.

    The file is replaced as a whole; SinkError if it cannot be written.
    """
    _write_lines(path, map(msgspec.json.encode, entries))


@dataclass(slots=True)
class EntryReport:
    """What was decided about the cases that one entry matched; each picture counts once.

    `versions` are those of the list that matched. `distances` counts the cases that are not a match
    by the distance of the closest, in bits; `keys` are those of their pictures.
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
        """The share of cases that are not a match, with its interval."""
        return wilson(self.not_a_match, self.not_a_match + self.confirmed)


def report_entries(
    queue: ReviewQueue, name: str, *, least: int = MIN_CASES, share: float = MIN_SHARE
) -> list[EntryReport]:
    """Return the entries of a list that matched too much that is no match, the worst first.

    Parameters
    ----------
    queue : ReviewQueue
        With the decisions.
    name : str
        Name of the list, as in matches.
    least : int
        Only entries with at least so many cases that are not a match; from 1.
    share : float
        Only entries of whose decided cases at least this share is not a match; 0 to 1.

    Returns
    -------
    list of EntryReport
        By falling number of cases that are not a match.

    Raises
    ------
    UsageError
        If `least` or `share` is out of range.
    """
    if least < 1 or not 0 <= share <= 1:
        raise UsageError(
            f"cannot report entries from {least} cases and a share of {share}: give at least 1, "
            "and 0 to 1"
        )
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

    A report names entries, counts and distances. It holds no hash, and says nothing of whose
    pictures they matched, unless `keys` asks for that. The file is replaced as a whole; SinkError
    if it cannot be written.
    """
    lines = []
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
        lines.append(msgspec.json.encode(line | ({"keys": each.keys} if keys else {})))
    _write_lines(path, lines)


def _proposing(tx: Transaction, case: Case) -> Decision | None:
    """Return the decision by which a case is proposed, if it is."""
    standing = case.standing
    if case.state is not CaseState.NOT_A_MATCH or not standing or not case.closest.distance:
        return None
    if max(decision.final_at for decision in standing) > moment(tx.now):
        return None
    covered = {name for decision in standing for name in decision.record_ids}
    ((hashes,),) = tx.database.rows(
        "SELECT count(*) FROM item WHERE case_number = ? AND hash IS NOT NULL",
        (find_row(tx, case.case_id).number,),
    )
    whole = any(
        item.record.hash.variant in WHOLE for item in case.items if item.record.record_id in covered
    )
    return standing[-1] if hashes and whole else None


def _answers(tx: Transaction) -> dict[str, tuple[str, str]]:
    """Return what was said of the proposals, and by whom, by the decision that each is of."""
    return {
        body["decision"]: (kind.removeprefix("benign_"), who)
        for _, who, kind, body in _events(tx, "benign_accepted", "benign_refused")
    }


def _hashes(queue: ReviewQueue, proposal: Proposal) -> Iterator[tuple[str, str, str]]:
    """Yield each hash of an accepted picture, once: record, algorithm and hexadecimal text."""
    with queue.transaction(read_only=True) as tx:
        row = find_row(tx, proposal.case.case_id)
        values: dict[str, bytes] = dict(
            tx.database.rows(
                "SELECT record_id, hash FROM item WHERE case_number = ? AND hash IS NOT NULL "
                "ORDER BY number",
                (row.number,),
            )
        )
    covered = values.keys() & set(proposal.decision.record_ids)
    found: dict[tuple[str, str], str] = {}
    for item in proposal.case.items:
        record = item.record
        if record.record_id in covered and record.hash.variant in WHOLE:
            value = bytes(values[record.record_id]).hex()
            found.setdefault((record.hash.algorithm, value), record.record_id)
    for (algorithm, value), record_id in found.items():
        yield record_id, algorithm, value


def _record(
    queue: ReviewQueue, kind: str, name: str, entry: str, who: str, reason: str
) -> Disabled:
    check_person(who)
    for what, text in (("a reason", reason), ("a list's name", name), ("an entry", entry)):
        check_text(what, text)
    with queue.transaction() as tx:
        recorded = Disabled(name, entry, reason, who, timestamp(moment(tx.now), "auto"))
        before = {(one.list, one.entry) for one in _disabled(tx)}
        if ((name, entry) in before) == (kind == "disabled"):
            verb = kind.removesuffix("d")
            raise ReviewError(f"cannot {verb} entry {entry} of list {name}: it is {kind} already")
        history.append(tx, who, kind, list=name, entry=entry, reason=reason)
    return recorded


def _disabled(tx: Transaction) -> tuple[Disabled, ...]:
    found: dict[tuple[str, str], Disabled] = {}
    for at, who, kind, body in _events(tx, "disabled", "enabled"):
        key = body["list"], body["entry"]
        found.pop(key, None)
        if kind == "disabled":
            found[key] = Disabled(*key, body["reason"], who, timestamp(moment(at), "auto"))
    return tuple(found.values())


def _events(tx: Transaction, *kinds: str) -> Iterator[tuple[int, str, str, Any]]:
    """Yield the time, person, kind and body of each event of some kinds."""
    condition, value = tx.database.among(kinds)
    for at, who, kind, text in tx.database.rows(
        f"SELECT happened_at, who, kind, body FROM event WHERE kind {condition} ORDER BY number",
        (value,),
    ):
        yield at, who, kind, msgspec.json.decode(text)


def _write_lines(path: str | os.PathLike[str], lines: Iterable[bytes]) -> None:
    with OutputFile(path) as file:
        for line in lines:
            file.write(line.decode() + "\n")


def _still_harmless(queue: ReviewQueue, lines: dict[str, bytes]) -> dict[str, bytes]:
    """Leave out lines of cases that wait by now, or of which another answer is the last."""
    numbers: dict[str, int] = {}
    for name in lines:
        whose, _, number = name.partition("/")[0].rpartition("-")
        if whose == queue.name and number.isdecimal() and len(number) <= 18:
            numbers[name] = int(number)
    with queue.transaction(read_only=True) as tx:
        rows = load_all(tx.database, sorted(set(numbers.values())))
        accepted = {one for one, (verdict, _) in _answers(tx).items() if verdict == "accepted"}
    changed = {
        number
        for number, row in rows.items()
        if row.items and f"{queue.name}-{number}-{row.decided_event}" not in accepted
    }
    return {name: line for name, line in lines.items() if numbers.get(name) not in changed}


class _Line(msgspec.Struct):
    id: str = ""


def _benign_lines(path: Path) -> dict[str, bytes]:
    """Return the lines of a benign list that `add_benign` wrote, by their ids."""
    found: dict[str, bytes] = {}
    lines = private.read(str(path), LARGEST_LIST).splitlines()
    for number, line in enumerate(filter(None, lines), 1):
        try:
            name = from_json(line, _Line).id
        except msgspec.MsgspecError:
            name = ""
        if not name or name in found:
            raise ListError(f"cannot add to {path}: line {number} is none of a queue's benign list")
        found[name] = line
    return found
