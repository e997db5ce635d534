"""Hashes of every width, and what an index finds among them."""

from __future__ import annotations

import hashmatch as hm
from conftest import JIT
from hashmatch.index.tables import Plan, plan

WIDTHS = [64, 128, 160, 256, 512]
Rows = list[tuple[int, int, int]]


def batch_of(values: list[int], bits: int) -> hm.HashBatch:
    spec = hm.HashSpec("any", bits)
    return hm.HashBatch.from_hex(spec, [f"{value:0{bits // 4}x}" for value in values])


def found(index: hm.HashIndex, queries: hm.HashBatch, limit: int) -> Rows:
    hits = index.search(queries, limit)
    columns = hits.query, hits.entry, hits.distance
    return list(zip(*(column.tolist() for column in columns), strict=True))


def pretended(bits: int, limit: int, _: int) -> Plan | None:
    """Return the bands of a long list for a short one."""
    return plan(bits, limit, 30_000 if JIT else 300)
