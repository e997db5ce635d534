"""Batches of Arrow in, batches of Arrow out: hashmatch as a step of a Dask, Ray, Spark or Daft job.

`Hash` and `Match` hold configuration and paths, never a hash of a list, and are pickled to every
worker. Each process opens lists and starts decode workers once. What is wrong with a picture is a
row of the answer; an engine sees no failure of an item. Needs the extra ``arrow``.
"""

from __future__ import annotations

from importlib.util import find_spec

from hashmatch.errors import UsageError, install

if find_spec("pyarrow") is None:
    raise UsageError(f"cannot use hashmatch.arrow: pyarrow is not installed. {install('arrow')}")

from hashmatch.arrow.hash_table import HashTable as HashTable
from hashmatch.arrow.hash_table import hash_source as hash_source
from hashmatch.arrow.join import PAIRS as PAIRS
from hashmatch.arrow.join import range_join as range_join
from hashmatch.arrow.operators import Hash as Hash
from hashmatch.arrow.operators import Match as Match
from hashmatch.arrow.schemas import MATCHES as MATCHES
from hashmatch.arrow.schemas import VERSION as VERSION
from hashmatch.arrow.schemas import hash_schema as hash_schema

__all__ = [
    "MATCHES", "PAIRS", "VERSION", "Hash", "HashTable", "Match", "hash_schema", "hash_source",
    "range_join",
]  # fmt: skip
