"""The figures of a review queue."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import naive_review
from hashmatch.records.cases import Verdict
from hashmatch.records.shares import Share, wilson
from hashmatch.review.settings import Settings
from review_queues import take_and_decide
from review_records import make_record, many

if TYPE_CHECKING:
    from review_queues import Clock, MakeQueue


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    # R. G. Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_intervals_are_those_published(part: int, whole: int, low: float, high: float) -> None:
    share = wilson(part, whole)
    assert round(share.low, 4) == low
    assert round(share.high, 4) == high
    assert share.value == part / whole


@given(st.integers(0, 400), st.integers(1, 400))
def test_an_interval_is_where_the_score_says(part: int, more: int) -> None:
    share = wilson(part, part + more)
    assert 0 <= share.low <= part / (part + more) <= share.high <= 1
    low, high = naive_review.wilson(part, part + more)
    assert math.isclose(share.low, low, abs_tol=1e-9)
    assert math.isclose(share.high, high, abs_tol=1e-9)


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0, 0) == Share(0, 0, 0.0, 1.0)
    assert wilson(0, 0).value is None


def test_an_empty_queue_has_figures(make_queue: MakeQueue) -> None:
    figures = make_queue().statistics()
    assert (figures.waiting, figures.oldest, figures.decisions) == (0, None, {})
    assert figures.precision == ()


def test_ages_decisions_and_agreement(make_queue: MakeQueue, clock: Clock) -> None:
    queue = make_queue(Settings(two_reviewers=True, in_a_row=100))
    queue.add(many(4))
    clock.pass_(hours=30)
    queue.add(many(6, seed=8)[4:])
    assert take_and_decide(queue, "confirmed").state == "pending_review"
    take_and_decide(queue, "confirmed")
    clock.pass_(days=1)
    take_and_decide(queue, "confirmed", "ben")
    take_and_decide(queue, "not_a_match", "ben")
    undone = take_and_decide(queue, "unsure", "ben")
    queue.undo(undone.decisions[-1].decision_id, "ben")
    figures = queue.statistics()
    assert figures.waiting == 4
    assert figures.oldest == timedelta(hours=54)
    assert [count for _, count in figures.ages if count] == [2, 2]
    assert figures.decisions == {
        date(2026, 1, 2): {Verdict.CONFIRMED: 2},
        date(2026, 1, 3): {Verdict.CONFIRMED: 1, Verdict.NOT_A_MATCH: 1},
    }
    assert figures.agreement[:2] == (1, 2)


def test_precision_counts_pictures(make_queue: MakeQueue) -> None:
    queue = make_queue(Settings(in_a_row=100))
    queue.add([make_record(n, 1, distance=5 - n) for n in range(3)])  # one picture
    take_and_decide(queue, "confirmed")
    queue.add([make_record(9, 1, distance=0)])  # inherited: nobody decided about it
    queue.add([make_record(10, 2**256 - 1, distance=3), make_record(11, 2**128 - 1, name="other")])
    take_and_decide(queue, "not_a_match")
    take_and_decide(queue, "not_a_match")
    queue.add(many(20)[15:])
    take_and_decide(queue, "unsure")
    found = {(one.list, one.distance): one.share[:2] for one in queue.statistics().precision}
    assert found == {
        ("demo", None): (1, 2),
        ("demo", 3): (1, 2),
        ("other", None): (0, 1),
        ("other", 4): (0, 1),
    }
