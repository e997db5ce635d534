"""Every two pictures whose hashes are near each other: inside a table, or between two. Exact."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.index.hash_index import HashIndex
from hashmatch.records.hashes import HashBatch, HashSpec
from hashmatch.sources.parquet_table import texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashmatch.records.matches import Matches


Part: TypeAlias = "pa.RecordBatch | pa.Table | str | os.PathLike[str]"

PAIRS = pa.schema(
    [("left", pa.string()), ("right", pa.string()), ("distance", pa.int32())],
    {"hashmatch": "hashmatch.pairs/1"},
)
"""What `range_join` gives: the keys of two pictures, and in how many bits their hashes differ."""


class _Hashes(NamedTuple):
    """The hashes of a part, and the keys of their rows; rows without a hash are left out."""

    keys: list[str | None]
    batch: HashBatch


def range_join(
    left: Part | Sequence[Part],
    right: Part | Sequence[Part] | None,
    max_distance: int,
) -> Iterator[pa.RecordBatch]:
    r"""Yield every pair of a row of `left` and one of `right` whose hashes are near enough.

    Exact, however the tables are split. Of each table one part is in memory at a time, so that
    tables may be of any size; each part of `right` is read once, those of `left` once for each. A
    cluster does the pairs of parts as tasks of their own.

    Parameters
    ----------
    left, right : RecordBatch, Table, path of a Parquet file, or a sequence of them
        With columns ``key`` and ``hash`` (fixed-size binary), as `Hash` makes them. Without
        `right`, pairs inside of `left` are given, each once and no row with itself.
    max_distance : int
        Inclusive, in bits.

    Yields
    ------
    pyarrow.RecordBatch
        Of `PAIRS`; those of two parts by their rows in `right`, then in `left`.

    Raises
    ------
    UsageError
        If a column is missing or of another type, or `max_distance` is out of its range.
    SpecMismatch
        If hashes are not all equally long.

    Examples
    --------
    >>> hashes = pa.array([bytes(8), b"\x01" + bytes(7), b"\xff" * 8], pa.binary(8))
    >>> table = pa.table({"key": ["a", "b", "c"], "hash": hashes})
    >>> [pair for part in range_join(table, None, 1) for pair in part.to_pylist()]
    [{'left': 'a', 'right': 'b', 'distance': 1}]
    """
    lefts = _parts(left)
    if right is None:
        for number, part in enumerate(lefts):
            held = _read(part)
            index = HashIndex.build(held.batch, max_distance)
            for found in index.stream_self_join(max_distance):
                yield _pairs(held.keys, held.keys, found)
            for other in lefts[number + 1 :]:
                yield from _between(held, index, _read(other), max_distance, is_left=True)
        return
    for part in _parts(right):
        held = _read(part)
        index = HashIndex.build(held.batch, max_distance)
        for other in lefts:
            yield from _between(held, index, _read(other), max_distance, is_left=False)


def _between(
    held: _Hashes, index: HashIndex, other: _Hashes, limit: int, *, is_left: bool
) -> Iterator[pa.RecordBatch]:
    """Yield the pairs of what is in an index, which `is_left` or not, and another part."""
    if other.batch.spec != index.spec:
        raise SpecMismatch(
            f"cannot join hashes of {index.spec.bits} bits with {other.batch.spec.bits}"
        )
    for found in index.stream(other.batch, limit):
        if is_left:
            yield _pairs(other.keys, held.keys, found, swapped=True)
        else:
            yield _pairs(other.keys, held.keys, found)


def _pairs(
    queries: list[str | None], entries: list[str | None], found: Matches, *, swapped: bool = False
) -> pa.RecordBatch:
    first = [queries[row] for row in found.query.tolist()]
    second = [entries[row] for row in found.entry.tolist()]
    if swapped:
        first, second = second, first
    distance = found.distance.astype(np.int32)
    columns = [pa.array(first, pa.string()), pa.array(second, pa.string()), pa.array(distance)]
    return pa.RecordBatch.from_arrays(columns, schema=PAIRS)


def _parts(given: Part | Sequence[Part]) -> Sequence[Part]:
    if isinstance(given, pa.RecordBatch | pa.Table | str | os.PathLike):
        return [given]
    return given


def _read(part: Any) -> _Hashes:
    if isinstance(part, str | os.PathLike):
        from pyarrow import parquet

        part = parquet.read_table(part, columns=["key", "hash"])
    lacking = [name for name in ("key", "hash") if name not in part.schema.names]
    if lacking:
        raise UsageError(f"cannot join: there is no column {', '.join(lacking)}. Give key and hash")
    kind = part.schema.field("hash").type
    if not pa.types.is_fixed_size_binary(kind):
        raise UsageError(
            f"cannot join by the column hash: it is of type {kind}. Give fixed-size binary"
        )
    hashes = part.column("hash")
    keys = texts(part.column("key"))
    if keys is None:
        raise UsageError(
            f"cannot use the column key: it is of type {part.column('key').type}. Give text"
        )
    if hashes.null_count:
        keys = [key for key, cell in zip(keys, hashes, strict=True) if cell.is_valid]
    spec = HashSpec("hash", 8 * kind.byte_width)
    return _Hashes(keys, HashBatch.from_bytes(spec, b"".join(hashes.drop_null().to_pylist())))
