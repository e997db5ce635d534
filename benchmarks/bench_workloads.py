"""The lists and questions that searches are timed on are what they say they are. No timing."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.search_workloads import Case, known, questions, to_check, to_time

CASES = [
    Case(20_000, bits, limit, kind)
    for bits, limit in ((64, 8), (256, 31))
    for kind in ("uniform", "skewed")
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_planted_questions_are_at_their_distances(case: Case) -> None:
    for work in (to_check(case), to_time(case, 10_000)):
        rows, entries, distances = work.planted.T
        apart = work.batch.words[rows] ^ known(case).words[entries]
        assert np.bitwise_count(apart).sum(axis=1).tolist() == distances.tolist()
        assert len(np.unique(rows)) == len(rows)
        assert distances.min() == 0
        assert case.limit - 4 <= distances.max() <= case.limit + 1


@pytest.mark.parametrize("case", CASES, ids=str)
def test_lists_and_questions_are_the_same_every_time(case: Case) -> None:
    made, asked = known(case), to_time(case, 1000)
    known.cache_clear()
    questions.cache_clear()
    assert known(case) == made
    assert to_time(case, 1000).batch == asked.batch


@pytest.mark.parametrize(("bits", "limit"), [(64, 10), (256, 20)])
def test_skewed_lists_have_biased_bits_and_clusters(bits: int, limit: int) -> None:
    uniform, skewed = (
        np.unpackbits(known(Case(20_000, bits, limit, kind)).words.view(np.uint8), axis=1)
        for kind in ("uniform", "skewed")
    )
    # Beta(3, 3) has a standard deviation of .19; copying and the clusters' centres move it a bit.
    assert np.ptp(uniform.mean(axis=0)) < 0.05
    assert 0.13 < skewed.mean(axis=0).std() < 0.25
    # The largest of 300 clusters has about 950 of the 6,000 members, within 20 bits of each other.
    for bit_table, least, most in ((uniform, 0, 10), (skewed, 500, 1500)):
        near = max(
            int(((bit_table != bit_table[row]).sum(axis=1) <= limit).sum())
            for row in range(0, 20_000, 200)
        )
        assert least <= near <= most
