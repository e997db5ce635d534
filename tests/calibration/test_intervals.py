"""Intervals and the fitted tail: what they say is true as often as they claim."""

from __future__ import annotations

import numpy as np
import pytest

from hashmatch.calibration.tail import LEAST, fit_tail
from hashmatch.records.calibration import (
    DistanceCount,
    ListCalibration,
    Tail,
    interval,
    predicted,
    spread_of,
)


@pytest.mark.parametrize(
    ("records", "low", "high"),
    [(0, 0, 3.689), (1, 0.0253, 5.572), (2, 0.2422, 7.225), (5, 1.623, 11.668),
     (10, 4.795, 18.390), (50, 37.111, 65.919)],
)  # fmt: skip
def test_intervals_are_those_of_a_poisson_count(records: int, low: float, high: float) -> None:
    """As F. Garwood's table has them."""
    assert interval(records)[0] == pytest.approx(low, rel=0.005, abs=0.02)
    assert interval(records)[1] == pytest.approx(high, rel=0.006)


def test_no_record_gives_the_rule_of_three() -> None:
    low, high = predicted(0, 1.0, 10_000, 1_000_000)
    assert low == 0
    assert 300 < high < 400  # three in ten thousand, one-sided; two-sided it is 3.7


def test_the_spread_is_that_of_resampled_pictures_and_entries() -> None:
    """Each by itself; what both have of single records is counted once."""
    chance = np.random.default_rng(1)
    by_entry = np.array([1, 1, 1, 2, 3, 5])
    records = np.repeat(np.arange(len(by_entry)), by_entry)
    pictures = chance.exponential(size=(100_000, len(records))).sum(axis=1).var()
    entries = (chance.exponential(size=(100_000, len(by_entry))) @ by_entry).var()
    expected = (pictures + entries - len(records)) / len(records)
    assert spread_of(by_entry) == pytest.approx(expected, rel=0.03)
    assert spread_of(by_entry, fixed=13) == pytest.approx((41 + 13) / 26)


def test_predictions_hold_as_often_as_they_say() -> None:
    chance = np.random.default_rng(2)
    held = []
    for _ in range(150):
        rate = 10 ** chance.uniform(-4, -1)
        low, high = predicted(int(chance.binomial(2000, rate)), 1.0, 2000, 3000)
        held.append(low <= chance.binomial(3000, rate) <= high)
    assert np.mean(held) >= 0.95


def test_a_prediction_is_no_more_than_all_pictures() -> None:
    assert predicted(9, 4.0, 10, 100)[1] == 100


@pytest.mark.parametrize("step", [1, 2])
def test_the_tail_says_what_a_larger_sample_counts(step: int) -> None:
    """Of a hundred times as many pictures, as of the nearest of many entries."""
    chance = np.random.default_rng(3)

    def sample(count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        found: np.ndarray[tuple[int], np.dtype[np.int64]] = (
            chance.binomial(128, 0.35, count) // step * step
        )
        return found

    tail = fit_tail(sample(5000))
    assert tail is not None
    many = sample(1_000_000)
    checked = 0
    for distance in range(0, tail.threshold + 1, step):
        share = tail.share_within(distance)
        if share is None:
            continue
        truth = np.mean(many <= distance)
        low, high = tail.interval(distance)
        checked += 1
        assert low / 3 <= truth <= high * 3
        assert share == pytest.approx(truth, rel=2.0)
    assert checked * step > 5


def test_never_further_than_two_decades() -> None:
    nearest = np.random.default_rng(4).normal(100, 15, 1000).astype(np.int64)
    tail = fit_tail(nearest)
    assert tail is not None
    shares = [tail.share_within(distance) for distance in range(tail.threshold + 1)]
    given = [share for share in shares if share is not None]
    assert min(given) >= 1e-5
    assert shares[0] is None
    assert tail.share_within(tail.threshold + 1) is None
    assert fit_tail(nearest, seed=0) == tail


def test_too_little_for_a_fit() -> None:
    assert fit_tail(np.arange(LEAST - 1)) is None
    assert fit_tail(np.full(1000, 90)) is None
    assert fit_tail(np.array([], np.int64)) is None


def test_the_fit_is_named_only_where_nothing_was_seen() -> None:
    tail = Tail(60, 0.1, 0.0, 4.0, 1000, 100)
    known = ListCalibration(
        "demo", "1", "pdq", 10, "none", None, 31, "", "", 1000,
        (DistanceCount(48, 3, 1.0), DistanceCount(60, 100, 1.0)), 256, tail,
    )  # fmt: skip
    below, at = known.expected(46, 1000), known.expected(50, 1000)
    assert below is not None
    assert at is not None
    assert below.records == 0
    assert below.fitted == pytest.approx(100 * np.exp(-14 / 4))
    assert (at.records, at.fitted) == (3, None)
    assert known.expected(257) is None
