"""What becomes of the statements of a version in the next, and the files that hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch.statements import (
    Statements,
    Subject,
    hash_keys,
    joined,
    keys_of,
    rows_about,
    standing,
)
from hashmatch.store.making import SHARED_FROM, Making, counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hashmatch.entries import Rows
    from hashmatch.store.content import Content, Kind
    from hashmatch.store.manifest import StoredFile

    Numbers = NDArray[np.int64]
    Made = tuple[list[StoredFile], dict[str, dict[str, int]]]

MOST_SEGMENTS = 64
"""Of a list; an update that would make more writes the list anew."""
NONE = np.empty(0, np.int64)


def merged(
    before: Content, rows: Rows, withdrawn: dict[Subject, float]
) -> tuple[list[Statements], dict[str, Numbers]]:
    """Return the statements of `rows` that stand, and by algorithm which there are no longer do.

    Of the millions there are, only those that share a key with one of the rows are looked at.
    """
    said = joined(rows.statements())
    about = np.unique(np.concatenate([keys_of(rows.withdrawn), *(each.key for each in said)]))
    hashes = keys_of(subject for subject in rows.withdrawn if subject.named)
    old: dict[str, tuple[Statements, Numbers]] = {}
    for algorithm, kind in before.kinds.items():
        parts, numbers, first = [], [], 0
        for segment in kind.segments:
            found = rows_about(segment.key, about)
            if len(hashes):
                found = np.union1d(found, rows_about(hash_keys(segment.words()), hashes))
            found = found[~np.isin(first + found, kind.gone)]
            parts.append(segment.take(found))
            numbers.append(first + found)
            first += segment.rows
        (together,) = joined(parts)
        old[algorithm] = together, np.concatenate(numbers)
    new_of = {each.algorithm: each for each in said}
    both = joined([*(each for each, _ in old.values()), *said])
    gone: dict[str, Numbers] = {}
    new: list[Statements] = []
    for each, kept in zip(both, standing(both, withdrawn), strict=True):
        _, numbers_there = old.get(each.algorithm, (None, NONE))
        count = len(numbers_there)
        gone[each.algorithm] = numbers_there[~kept[:count]]
        if each.algorithm in new_of:
            new.append(new_of[each.algorithm].take(np.flatnonzero(kept[count:])))
    return [each for each in new if len(each)], gone


def is_small(before: Content, new: list[Statements], gone: Mapping[str, Numbers]) -> bool:
    """Return whether a change is so small that the list need not be written anew."""
    for each in new:
        if each.algorithm not in before.kinds:
            return False
    for algorithm, kind in before.kinds.items():
        first = kind.segments[0].rows
        count = sum(len(each) for each in new if each.algorithm == algorithm)
        changed = kind.rows - first + count + len(kind.gone) + len(gone.get(algorithm, ()))
        if not changed:
            continue
        if first < SHARED_FROM or changed > first / 4 or len(kind.segments) >= MOST_SEGMENTS:
            return False
    return True


def live(kind: Kind, gone: Numbers | None) -> Statements:
    """Return the statements of one kind that count."""
    (said,) = joined([segment.load() for segment in kind.segments])
    kept = np.ones(len(said), np.bool_)
    kept[kind.gone] = False
    if gone is not None:
        kept[gone] = False
    return said if kept.all() else said.take(np.flatnonzero(kept))


def whole(
    making: Making, said: list[Statements], withdrawn: dict[Subject, float], version: int
) -> Made:
    """Write a version anew: one segment of each kind, and its index."""
    files: list[StoredFile] = []
    counts: dict[str, dict[str, int]] = {}
    kept = standing(said, withdrawn)
    for number, which in enumerate(kept):
        each = said[number] if which.all() else said[number].take(np.flatnonzero(which))
        said[number] = None  # type: ignore[call-overload]  # of ten million there is no room for two
        if not len(each):
            continue
        codes = making.quarantine(each)
        files.append(making.statements(each, codes, shared=len(each) >= SHARED_FROM))
        counts[each.algorithm] = counted(codes)
        each = each.anonymous()
        index = making.index(each, version)
        if index is not None:
            files.append(index)
    files.append(making.state({}, withdrawn))
    return files, counts


def with_segments(
    making: Making,
    before: Content,
    new: list[Statements],
    gone: Mapping[str, Numbers],
    withdrawn: dict[Subject, float],
) -> Made:
    """Write a version that has the files of the one before, and a segment of what was added."""
    files = [file for file in before.manifest.files if file.algorithm is not None]
    counts = {name: dict(before.manifest.counts[name]) for name in before.kinds}
    for each in new:
        codes = making.quarantine(each)
        files.append(making.statements(each, codes, shared=True))
        for name, count in counted(codes).items():
            of_kind = counts[each.algorithm]
            of_kind[name] = of_kind.get(name, 0) + count
    all_gone = {}
    for algorithm, kind in before.kinds.items():
        rows = gone.get(algorithm, NONE)
        all_gone[algorithm] = np.union1d(kind.gone, rows)
        codes = np.concatenate([segment.quarantine for segment in kind.segments])
        for name, count in counted(codes[rows]).items():
            counts[algorithm][name] -= count
    files.append(making.state(all_gone, withdrawn))
    return files, counts
