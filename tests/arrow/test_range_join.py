"""Every near pair inside a table and between two, however they are parted: as a naive loop."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

import hashmatch as hm
from hashmatch.arrow import PAIRS, range_join

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    Hashes = list[bytes | None]


def distance(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def naive(left: Hashes, right: Hashes | None, limit: int) -> set[tuple[str, str, int]]:
    first = [(f"l{row}", data) for row, data in enumerate(left) if data is not None]
    second = [(f"r{row}", data) for row, data in enumerate(right or []) if data is not None]
    pairs: Iterable[tuple[tuple[str, bytes], tuple[str, bytes]]]
    pairs = itertools.combinations(first, 2) if right is None else itertools.product(first, second)
    return {(a, b, near) for (a, x), (b, y) in pairs if (near := distance(x, y)) <= limit}


def parts(prefix: str, hashes: Hashes, size: int) -> list[pa.Table]:
    keys = [f"{prefix}{row}" for row in range(len(hashes))]
    table = pa.table({"key": pa.array(keys, pa.string()), "hash": pa.array(hashes, pa.binary(8))})
    return [table.slice(at, size) for at in range(0, max(1, len(hashes)), size)]


def planted(seed: int, count: int, limit: int) -> Hashes:
    """Hashes, some of them limit - 1, limit or limit + 1 bits from another; and some that lack."""
    rng = np.random.default_rng(seed)
    made: list[bytes] = []
    for _ in range(count):
        data = bytearray(rng.bytes(8))
        if made and rng.random() < 0.7:
            data = bytearray(made[rng.integers(len(made))])
            for bit in rng.choice(64, min(64, max(0, limit + int(rng.integers(-1, 2)))), False):
                data[bit // 8] ^= 1 << bit % 8
        made.append(bytes(data))
    return [None if rng.random() < 0.1 else data for data in made]


@given(
    st.integers(0, 10**6), st.integers(0, 12), st.integers(0, 12), st.integers(1, 5),
    st.sampled_from([0, 1, 5, 31, 64]), st.booleans(),
)  # fmt: skip
def test_as_a_naive_loop(
    seed: int, lefts: int, rights: int, size: int, limit: int, inside: bool
) -> None:
    left, right = planted(seed, lefts, limit), planted(seed, rights, limit)
    given_right = None if inside else parts("r", right, size)
    found = [
        tuple(row.values())
        for batch in range_join(parts("l", left, size), given_right, limit)
        for row in batch.to_pylist()
    ]
    assert len(found) == len(set(found))
    assert set(found) == naive(left, None if inside else right, limit)


def test_tables_in_files(tmp_path: Path) -> None:
    hashes = planted(7, 300, 5)
    paths = []
    for number, table in enumerate(parts("l", hashes, 100)):
        paths.append(tmp_path / f"{number}.parquet")
        parquet.write_table(table, paths[-1])
    batches = list(range_join(paths, None, 5))
    assert all(batch.schema == PAIRS for batch in batches)
    found = {tuple(row.values()) for batch in batches for row in batch.to_pylist()}
    assert found == naive(hashes, None, 5)


def test_what_cannot_be_joined() -> None:
    table = parts("l", [bytes(8)], 1)[0]
    wide = pa.table({"key": ["a"], "hash": pa.array([bytes(32)], pa.binary(32))})
    with pytest.raises(hm.SpecMismatch, match="64 bits with 256"):
        list(range_join(wide, table, 3))
    with pytest.raises(hm.UsageError, match="no column hash"):
        list(range_join(table.select(["key"]), None, 3))
    with pytest.raises(hm.UsageError, match="of type string"):
        list(range_join(pa.table({"key": ["a"], "hash": ["ab"]}), None, 3))
    with pytest.raises(hm.UsageError):
        list(range_join(table, None, 65))
