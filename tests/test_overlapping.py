"""Work done at once comes in order, once, and ends when nobody wants it any more."""

from __future__ import annotations

import threading
import time

import pytest

import hashmatch as hm
from conftest import IMAGES, LISTS
from hashmatch.overlapping import AHEAD, in_order


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_results_are_those_of_the_naive_way(threads: int) -> None:
    things = list(range(200))

    def work(thing: int) -> int:
        time.sleep(0.001 * (thing % 3))
        return thing * thing

    assert list(in_order(things, work, threads)) == [(thing, work(thing)) for thing in things]


def test_no_more_than_some_things_are_held() -> None:
    asked: list[int] = []
    things = (asked.append(number) or number for number in range(1000))  # type: ignore[func-returns-value]
    found = in_order(things, str, 3)
    next(found)
    assert len(asked) <= AHEAD * 3
    list(found)
    assert asked == list(range(1000))


def test_an_error_comes_in_its_turn_and_ends_the_others() -> None:
    begun = []

    def work(thing: int) -> int:
        begun.append(thing)
        if thing == 5:
            raise hm.SourceError("gone")
        return thing

    found = in_order(range(1000), work, 2)
    assert [next(found)[0] for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(hm.SourceError, match="gone"):
        next(found)
    assert len(begun) < 30
    assert not [one for one in threading.enumerate() if one.name.startswith("hashmatch")]


def test_a_scan_is_the_same_with_any_number_of_threads() -> None:
    def scanned(threads: int) -> list[object]:
        breaker = hm.Breaker(limit=2)
        matcher = hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv"), breaker=breaker)
        found = hm.scan_source(IMAGES, matcher, surface="public_post", threads=threads)
        return [
            (one.outcome, getattr(one, "record_id", one.reason if hasattr(one, "reason") else ""))
            for one in found
        ]

    assert scanned(1) == scanned(4)
    with pytest.raises(hm.UsageError, match="threads is a whole number from 1"):
        scanned(0)
