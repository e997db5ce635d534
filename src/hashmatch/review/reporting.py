"""What the owner of a list should know: which of its entries match what they should not.

A report names entries, counts and distances. It holds no hash, and says nothing of whose pictures
they matched, unless that is asked for.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hashmatch.errors import UsageError
from hashmatch.records.decisions import CaseState
from hashmatch.review.intervals import Share, wilson
from hashmatch.sinks.files import OutputFile

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from hashmatch.review.queue import ReviewQueue

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
    file = OutputFile(Path(path))
    try:
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
        file.close()
    except BaseException:
        file.discard()
        raise
