"""The gate: the library's kernels are no slower than the frozen ones.

Not a benchmark but a test. Both sides are compiled by numba, work on the same data and are timed
in turns, so what else the machine does falls on both and the ratio stays.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import numba
import numpy as np
import pytest

from benchmarks.frozen import lanes, linear, pdq
from benchmarks.frozen import multi_index as frozen_multi_index
from benchmarks.timing import in_turns
from benchmarks.workloads import LIMIT, PDQ, photo, planted
from hashmatch import registry
from hashmatch._kernels import linear as own_linear
from hashmatch._kernels import multi_index
from hashmatch._kernels.verify import HIT
from hashmatch.index.tables import Tables, plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

ALLOWED = 1.15
"""The centre of the ratio itself moves by 3 % under load: a tighter gate would cry wolf."""
PAIRS = 31
TRIES = 3
LEAST = 0.005
"""Seconds of CPU that one side of a pair takes at least."""

pytestmark = pytest.mark.skipif(
    numba.config.DISABLE_JIT, reason="without the JIT there is no speed to compare"
)


def slowdown(current: Callable[[], object], old: Callable[[], object]) -> float:
    """Return the median of current / frozen over the pairs, in CPU time.

    A miss is measured again: noise passes, a slower kernel stays slower. The best counts.
    """
    best = float("inf")
    for _ in range(TRIES):
        rounds = in_turns(current, old, PAIRS, LEAST)
        best = min(best, statistics.median(r.ours.cpu / r.peer.cpu for r in rounds))
        if best <= ALLOWED:
            break
    return best


def test_pdq() -> None:
    pixels = photo("640")
    hasher = registry.hasher("pdq")
    words = np.empty((1, 4), np.uint64)
    hashes, quality = hasher.hash(pixels)
    assert pdq.pdq(pixels, pdq.DCT, words) == quality
    assert hashes.words.tolist() == words.tolist()
    ratio = slowdown(lambda: hasher.hash(pixels), lambda: pdq.pdq(pixels, pdq.DCT, words))
    assert ratio <= ALLOWED, f"pdq takes {ratio:.2f} times as long as the frozen kernel"


def hits_of(out: NDArray[np.int64], found: int) -> list[tuple[int, int, int]]:
    """Return what a kernel wrote, in the order of `planted`."""
    return sorted(zip(*out[:, :found].tolist(), strict=True))


@pytest.mark.parametrize(("size", "count"), [(10_000, 100), (1_000_000, 1)])
def test_linear_search(size: int, count: int) -> None:
    work = planted(size)
    queries = work.queries[:count]
    out, ours = np.empty((3, 1024), np.int64), np.empty((3, 1024), np.int64)
    entries = linear.columns(work.known.words, lanes.GROUP)

    def frozen() -> int:
        laid = linear.columns(queries.words)
        head = linear.head_length(len(laid), LIMIT)
        heads = tuple(entries[:head]), tuple(laid[:head])
        return linear.within(entries, heads[0], size, laid, heads[1], LIMIT, *out)

    def current() -> int:
        laid = own_linear.columns(queries.words)
        head = own_linear.head_length(len(laid), LIMIT)
        heads = tuple(entries[:head]), tuple(laid[:head])
        return own_linear.within(entries, heads[0], size, laid, heads[1], LIMIT, *ours)

    expected = [hit for hit in work.hits if hit[0] < count]
    assert hits_of(ours, current()) == hits_of(out, frozen()) == expected
    ratio = slowdown(current, frozen)
    assert ratio <= ALLOWED, f"a linear search takes {ratio:.2f} times as long as the frozen kernel"


@pytest.mark.parametrize("way", ["one_by_one", "together"])
def test_multi_index_search(way: str) -> None:
    work = planted(1_000_000)
    words, queries = work.known.words, work.queries.words
    planned = plan(PDQ.bits, LIMIT, 1_000_000)
    assert planned is not None
    laid = Tables.build(words, planned.bands)
    ours, theirs = (np.empty((laid.between + 1024, HIT), np.int64) for _ in range(2))
    given = laid.head, laid.tables, words, queries, LIMIT

    def current() -> int:
        return int(getattr(multi_index, way)(*given, ours))

    def frozen() -> int:
        return int(getattr(frozen_multi_index, way)(*given, theirs))

    def hits(rows: NDArray[np.int64], found: int) -> list[tuple[int, ...]]:
        return sorted(map(tuple, rows[laid.between :][:found, :3].tolist()))

    assert hits(ours, current()) == hits(theirs, frozen()) == work.hits
    ratio = slowdown(current, frozen)
    assert ratio <= ALLOWED, f"{way} takes {ratio:.2f} times as long as the frozen kernel"


def test_gate_sees_a_slower_kernel() -> None:
    pixels = photo("640")
    words = np.empty((1, 4), np.uint64)

    def ask(count: int) -> None:
        pdq.pdq(pixels[: 6 * count], pdq.DCT, words)

    assert slowdown(lambda: ask(60), lambda: ask(40)) > ALLOWED
