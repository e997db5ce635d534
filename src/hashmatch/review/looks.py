"""The rows of ``likeness``: by what a case is found when a record of the same picture comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.records.review import ReviewRecord
from hashmatch.review import likeness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashmatch.review.settings import Settings


def entry_rows(
    record: ReviewRecord, same_picture: Mapping[str, int], case: int
) -> list[tuple[int, int]]:
    """Return the rows of a case whose first record has no hash."""
    looks = dict.fromkeys(look for look, _ in likeness.entry_looks(record, same_picture))
    return [(look, case) for look in looks]


def rows_of_case(
    settings: Settings, case: int, line: bytes | None, value: bytes | None
) -> list[tuple[int, int]]:
    """Return all rows of a case.

    Parameters
    ----------
    settings : Settings
        Say how near hashes of one picture are.
    case : int
        Its number.
    line : bytes, optional
        Its first record; None if it has expired, and nothing joins the case any more.
    value : bytes, optional
        The hash of that record's picture.
    """
    if line is None:
        return []
    record = ReviewRecord.from_json(line)
    if value is None:
        return entry_rows(record, settings.same_picture, case)
    algorithm = record.hash.algorithm
    same = settings.same_picture.get(algorithm, 0)
    return [(look, case) for look in dict.fromkeys(likeness.hash_looks(algorithm, value, same))]
