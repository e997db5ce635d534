"""Work done at once comes in order, once, and ends when nobody wants it any more."""

from __future__ import annotations

import gc
import itertools
import random
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from conftest import IMAGES, LISTS
from hashmatch.retry import Limits, Tries
from hashmatch.scan.pipeline import CHUNK, Concurrency, Pipeline
from hashmatch.testing import MemorySource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashmatch.interfaces import Source
    from hashmatch.retry import Fetched

SURFACE = hm.Surface.PUBLIC_POST


def source(count: int) -> MemorySource:
    return MemorySource({str(number): b"%d" % number for number in range(count)}, SURFACE)


def number(fetched: Fetched) -> int:
    assert isinstance(fetched[1], bytes)
    return int(fetched[1])


def pipeline(
    images: Source, work: Callable[[Fetched], int], concurrency: Concurrency
) -> Iterator[int]:
    return iter(Pipeline(images, images.items(), work, Tries(), concurrency))


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("threads", [1, 2, 7])
def test_results_are_those_of_the_naive_way(threads: int, *, ordered: bool) -> None:
    def work(fetched: Fetched) -> int:
        time.sleep(0.001 * (number(fetched) % 3))
        return number(fetched) ** 2

    found = list(pipeline(source(200), work, Concurrency(4, threads, ordered=ordered)))
    assert (found if ordered else sorted(found)) == [number**2 for number in range(200)]


def test_no_more_than_some_things_are_held() -> None:
    images, begun = source(5000), list[int]()

    def work(fetched: Fetched) -> int:
        begun.append(number(fetched))
        return number(fetched)

    found = pipeline(images, work, Concurrency(4, 3, most_items=50))
    next(found)
    time.sleep(0.2)
    assert len(begun) <= 50
    assert len(list(found)) == 4999
    assert sorted(begun) == list(range(5000))


def test_listing_keeps_ahead_by_a_chunk() -> None:
    listed = []

    class Listed(MemorySource):
        def items(self, after: str | None = None) -> Iterator[hm.ImageItem]:
            for item in super().items(after):
                listed.append(item)
                yield item

    found = pipeline(
        Listed({str(n): b"1" for n in range(3000)}, SURFACE), number, Concurrency(most_items=9)
    )
    next(found)
    time.sleep(0.2)
    assert len(listed) <= 9 + CHUNK
    found.close()  # type: ignore[attr-defined]


def test_an_error_comes_in_its_turn_and_ends_the_others() -> None:
    begun, before = [], set(threading.enumerate())

    def work(fetched: Fetched) -> int:
        begun.append(number(fetched))
        time.sleep(0.001)
        if number(fetched) == 5:
            raise hm.SourceError("gone")
        return number(fetched)

    found = pipeline(source(10_000), work, Concurrency(2, 2, most_items=100))
    assert [next(found) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(hm.SourceError, match="gone"):
        next(found)
    assert len(begun) <= 110
    assert set(threading.enumerate()) <= before


def test_what_waits_for_its_time_holds_up_nobody() -> None:
    """With one reader, and one item that fails until there is no other, all are worked on."""
    worked = []
    idle: list[int] = []

    class Failing(MemorySource):
        def read(self, item: hm.ImageItem) -> bytes:
            if item.key == "0" and 299 not in idle:
                raise hm.ImageUnavailable(hm.Outcome.FAILED, "cannot be read: status 500")
            return super().read(item)

    def work(fetched: Fetched) -> int:
        worked.append(number(fetched))
        return number(fetched)

    images = Failing({str(n): b"%d" % n for n in range(300)}, SURFACE)
    told: list[tuple[str, str]] = []
    tries = Tries(Limits(first_delay=0.01, longest_delay=0.05, spare_retries=10**6), seed=3)
    counters = hm.Counters()
    found = Pipeline(
        images, images.items(), work, tries, Concurrency(readers=1), counters=counters,
        on_retry=lambda *what: told.append(what), on_idle=lambda: idle.append(len(worked)),
    )  # fmt: skip
    assert list(found) == list(range(300))
    assert worked == [*range(1, 300), 0]
    assert set(told) == {("0", "cannot be read: status 500")}
    assert idle[-1] == 299
    assert (counters.reading, counters.waiting, counters.queued) == (0, 0, 0)


def test_a_server_that_is_down_is_not_asked_for_everything() -> None:
    """Only some items are begun until it answers again, so that its retries stay few."""
    asked = set()

    class Down(MemorySource):
        failures = 60

        def read(self, item: hm.ImageItem) -> bytes:
            if self.failures > 0:
                self.failures -= 1
                asked.add(item.key)
                raise hm.ImageUnavailable(hm.Outcome.FAILED, "cannot be read: no connection")
            return super().read(item)

    tries = Tries(Limits(first_delay=0.01, longest_delay=0.1), seed=1)
    images = Down({str(n): b"%d" % n for n in range(2000)}, SURFACE)
    found = Pipeline(images, images.items(), number, tries, Concurrency(readers=8))
    assert list(found) == list(range(2000))
    assert len(asked) <= 16
    assert tries.retries < 100


@pytest.mark.parametrize("seed", range(25))
def test_whatever_the_concurrency_and_the_weather(seed: int) -> None:
    """Sizes, delays, failures and changes by chance: each once, in order, none left behind."""
    chance = random.Random(seed)
    contents = {
        f"{n:03}": b"%d " % n * chance.randrange(1, 400) for n in range(chance.randrange(150))
    }
    failures = {key: chance.choice([0] * 8 + [1, 2]) for key in contents}
    sized = chance.random() < 0.5
    lock = threading.Lock()

    class Weather(MemorySource):
        def items(self, after: str | None = None) -> Iterator[hm.ImageItem]:
            for item in super().items(after):
                yield item if sized else replace(item, size=None)

        def read(self, item: hm.ImageItem) -> bytes:
            with lock:
                pause, left = chance.choice([0, 0, 0.001]), failures[item.key]
                failures[item.key] -= 1
            time.sleep(pause)
            if left > 0:
                raise hm.ImageUnavailable(hm.Outcome.FAILED, "cannot be read: status 500")
            return super().read(item)

    def work(fetched: Fetched) -> tuple[str, bytes | hm.ImageError]:
        time.sleep(0.0005 * len(fetched[0].key[:1]))
        return fetched[0].key, fetched[1]

    concurrency = Concurrency(
        readers=chance.choice([1, 2, 16]), threads=chance.choice([1, 3]),
        most_bytes=chance.choice([1, 500, 10**7]), most_items=chance.choice([1, 2, 40]),
        ordered=chance.random() < 0.7,
    )  # fmt: skip
    tries = Tries(Limits(first_delay=0.002, longest_delay=0.01), seed=seed)
    images = Weather(contents, SURFACE)
    counters, before = hm.Counters(), set(threading.enumerate())
    found = Pipeline(images, images.items(), work, tries, concurrency, counters=counters)
    wanted = chance.choice([3, 10**6, 10**6])
    results: list[tuple[str, object]] = list(itertools.islice(iter(found), wanted))
    if concurrency.ordered:
        assert results == list(contents.items())[: len(results)]
    else:
        assert set(results) <= set(contents.items())
        assert len(set(results)) == len(results)
    assert len(results) == min(wanted, len(contents))
    assert (counters.reading, counters.waiting) == (0, 0) or wanted == 3
    gc.collect()
    assert set(threading.enumerate()) <= before


def test_a_scan_is_the_same_with_any_number_of_threads() -> None:
    def scanned(threads: int) -> list[object]:
        breaker, options = hm.Breaker(limit=2), hm.ScanOptions(threads)
        matcher = hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv"), breaker=breaker)
        found = hm.scan_source(IMAGES, matcher, surface="public_post", options=options)
        return [
            (one.outcome, getattr(one, "record_id", one.reason if hasattr(one, "reason") else ""))
            for one in found
        ]

    assert scanned(1) == scanned(4)
    with pytest.raises(hm.UsageError, match=r"for threads. Give a whole number from 1"):
        scanned(0)


@pytest.mark.parametrize("wanted", [1, 10**6])
def test_a_source_is_closed_at_the_end_whatever_it_is(wanted: int) -> None:
    closed = []

    class Closing(MemorySource):
        def close(self) -> None:
            closed.append(1)

    matcher = hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv"))
    images = Closing({str(n): b"%d" % n for n in range(20)}, SURFACE)
    found = hm.scan_source(images, matcher)
    for _, _ in zip(range(wanted), found, strict=False):
        pass
    found.close()
    assert closed == [1]
