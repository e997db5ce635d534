"""Rows of cases, and where each waits; both are written here and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hashmatch.records.decisions import CaseState
from hashmatch.review.rules import Summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hashmatch.review.database import Database


class CaseRow(NamedTuple):
    """A row of ``review_case``."""

    number: int
    opened_at: int
    asked_at: int
    first_item: int
    state: str = CaseState.PENDING_REVIEW.value
    round: int = 1
    not_for: str = ""
    priority: int = 0
    items: int = 0
    distance: int = 0
    max_distance: int = 0
    algorithm: str = ""
    list_name: str = ""
    quality: int | None = None
    labels: str = "[]"
    surfaces: str = "[]"
    hash_algorithm: str = ""
    hash: bytes | None = None
    lease_reviewer: str | None = None
    lease_until: int | None = None
    decided_at: int | None = None
    decided_event: int | None = None
    hold: str = ""
    hold_at: int | None = None

    @property
    def summary(self) -> Summary:
        """What it says of its items."""
        labels, surfaces = self.names
        return Summary(*self[8:14], tuple(labels), tuple(surfaces))

    @property
    def names(self) -> tuple[list[str], list[str]]:
        """Its labels and its surfaces."""
        decode = msgspec.json.decode
        return decode(self.labels, type=list[str]), decode(self.surfaces, type=list[str])

    def saying(self, found: Summary, priority: int) -> CaseRow:
        """Return it with another summary."""
        return self._replace(
            priority=priority,
            **{name: getattr(found, name) for name in Summary._fields[:6]},
            labels=msgspec.json.encode(found.labels).decode(),
            surfaces=msgspec.json.encode(found.surfaces).decode(),
        )

    def given_back(self) -> CaseRow:
        """Return it waiting, held by nobody."""
        state = CaseState.PENDING_REVIEW.value
        return self._replace(state=state, lease_reviewer=None, lease_until=None)


LONGEST_LABEL = 200
"""Characters of a label that can be asked for: an index takes no longer ones."""
COLUMNS = ", ".join(CaseRow._fields)
_SET = ", ".join(f"{name} = ?" for name in CaseRow._fields[1:])


def waiting_rows(row: CaseRow) -> Iterator[tuple[str, str, str, int, int]]:
    """Yield where a case waits: for each of its labels and any, each of its surfaces and any."""
    if row.state != CaseState.PENDING_REVIEW or not row.items:
        return
    labels, surfaces = row.names
    for label in ("", *(label for label in labels if len(label) <= LONGEST_LABEL)):
        for surface in ("", *surfaces):
            yield label, surface, row.not_for, -row.priority, row.number


def load(database: Database, number: int) -> CaseRow | None:
    """Return the row of a case, if there is one."""
    found = database.rows(f"SELECT {COLUMNS} FROM review_case WHERE number = ?", (number,))
    return CaseRow(*found[0]) if found else None


def load_all(database: Database, numbers: Sequence[int]) -> dict[int, CaseRow]:
    """Return the rows of some cases."""
    condition, value = database.among(numbers)
    sql = f"SELECT {COLUMNS} FROM review_case WHERE number {condition}"
    return {row[0]: CaseRow(*row) for row in database.rows(sql, (value,))}


def save(database: Database, changes: Iterable[tuple[CaseRow | None, CaseRow]]) -> None:
    """Write cases as they are now, and where they wait.

    Parameters
    ----------
    database : Database
        Within a transaction.
    changes : iterable of (CaseRow or None, CaseRow)
        As each was, None if it is new, and as it is.
    """
    new: list[CaseRow] = []
    changed: list[tuple[object, ...]] = []
    gone, come = set[tuple[object, ...]](), set[tuple[object, ...]]()
    for before, after in changes:
        if before is None:
            new.append(after)
        elif before != after:
            changed.append((*after[1:], after.number))
            gone.update(waiting_rows(before))
        else:
            continue
        come.update(waiting_rows(after))
    both = gone & come
    condition = "label = ? AND surface = ? AND not_for = ? AND later = ? AND case_number = ?"
    if gone - both:
        database.run_all(f"DELETE FROM waiting WHERE {condition}", sorted(gone - both))
    if new:
        database.insert("review_case", new)
    if changed:
        database.run_all(f"UPDATE review_case SET {_SET} WHERE number = ?", changed)
    if come - both:
        database.insert("waiting", sorted(come - both))
