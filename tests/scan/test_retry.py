"""Pauses are spread, tries are bounded, bytes are paced, and all of it ends when told to."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from conftest import LISTS
from hashmatch.retry import Limits, Tries, list_items, read_item, until_available
from hashmatch.testing import MemorySource

if TYPE_CHECKING:
    from collections.abc import Iterator

SURFACE = hm.Surface.PUBLIC_POST
QUICK = Limits(first_delay=0.001, longest_delay=0.01)
ITEM = hm.ImageItem("a.jpg", "1", hm.Surface.PROFILE_PHOTO)


def pause(tries: Tries, attempt: int, deadline: float) -> bool:
    delay = tries.delay(attempt, deadline)
    return delay is not None and tries.wait(delay)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses that would have been made."""
    made: list[float] = []

    def wait(self: threading.Event, timeout: float | None = None) -> bool:
        made.append(timeout or 0.0)
        return False

    monkeypatch.setattr(threading.Event, "wait", wait)
    return made


def test_pauses_are_uniform_below_a_bound_that_doubles(waits: list[float]) -> None:
    tries = Tries(Limits(first_delay=0.1, longest_delay=5.0, spare_retries=10**6), seed=1)
    for attempt, bound in ((0, 0.1), (3, 0.8), (6, 5.0), (5000, 5.0)):
        waits.clear()
        for _ in range(2000):
            assert pause(tries, attempt, time.monotonic() + 100)
        assert 0.0 <= min(waits) < 0.02 * bound
        assert 0.98 * bound < max(waits) <= bound
        assert sum(waits) / len(waits) == pytest.approx(bound / 2, rel=0.05)


def test_no_pause_reaches_beyond_the_deadline(waits: list[float]) -> None:
    tries = Tries(Limits(first_delay=1.0), seed=1)
    assert not pause(tries, 0, time.monotonic())
    assert (tries.retries, waits) == (0, [])


@pytest.mark.usefixtures("waits")
def test_the_budget_grows_with_what_succeeds() -> None:
    tries = Tries(Limits(spare_retries=2, retry_ratio=0.5))
    later = time.monotonic() + 100
    for _ in range(4):
        tries.succeeded(ITEM, 10)
    assert [pause(tries, 0, later) for _ in range(4)] == [True] * 4
    with pytest.raises(hm.SourceError, match="too often, 4 retries for 4 items read"):
        pause(tries, 0, later)
    tries.succeeded(ITEM, 10)
    tries.succeeded(ITEM, 10)
    assert pause(tries, 0, later)
    assert (tries.retries, tries.successes, tries.received) == (5, 6, 60)


def test_bytes_are_paced(waits: list[float]) -> None:
    tries = Tries(Limits(rate=1000.0))
    tries.pace(900)  # what may come at once after a quiet second
    for _ in range(4):
        tries.pace(500)
    assert waits == pytest.approx([0.4, 0.9, 1.4, 1.9], abs=0.05)


def test_stopping_ends_a_pause_at_once() -> None:
    tries = Tries(Limits(first_delay=100.0, longest_delay=100.0, deadline=1000.0), seed=3)
    timer = threading.Timer(0.1, tries.stop)
    timer.start()
    start = time.monotonic()
    assert not pause(tries, 3, start + 1000)
    assert not pause(tries, 3, start + 1000)
    Tries(Limits(rate=1.0)).pace(1)
    assert tries.stopped


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"deadline": -1}, {"spare_retries": -1}])
def test_limits_are_numbers_that_can_be(wrong: dict[str, float]) -> None:
    with pytest.raises(hm.UsageError):
        Limits(**wrong)  # type: ignore[arg-type]


class Rough(MemorySource):
    """Its listing breaks off after some items, as often as it is told to."""

    def __init__(self, count: int, breaks: list[int]) -> None:
        super().__init__({f"{n:03}": b"%d" % n for n in range(count)}, SURFACE)
        self.breaks = breaks
        self.asked: list[str | None] = []

    def items(self, after: str | None = None) -> Iterator[hm.ImageItem]:
        self.asked.append(after)
        most = self.breaks.pop(0) if self.breaks else 10**9
        for number, item in enumerate(super().items(after)):
            if number == most:
                raise hm.SourceUnavailable("memory: cannot be listed: status 503")
            yield item


def test_a_listing_goes_on_from_where_it_broke_off() -> None:
    source, tries, told = Rough(9, [4, 0, 3]), Tries(QUICK, seed=1), list[tuple[str, str]]()
    keys = [i.key for i in list_items(source, tries=tries, on_retry=lambda *a: told.append(a))]
    assert keys == [f"{n:03}" for n in range(9)]
    assert source.asked == [None, "003", "003", "006"]
    assert told == [("", "memory: cannot be listed: status 503")] * 3
    assert tries.retries == 3


def test_listings_and_items_have_one_budget() -> None:
    """What the listing has tried again, reading cannot."""

    class Failing(Rough):
        def read(self, item: hm.ImageItem) -> bytes:
            raise hm.ImageUnavailable(hm.Outcome.FAILED, "cannot be read: status 503")

    source, tries = Failing(3, [0, 0]), Tries(Limits(first_delay=0.0, spare_retries=3))
    (item, *_) = list_items(source, tries=tries)
    assert tries.retries == 2
    with pytest.raises(hm.SourceError, match="3 retries for 0 items read"):
        read_item(source, item, tries)


def test_a_listing_that_cannot_be_is_not_tried_again() -> None:
    class Gone(MemorySource):
        def items(self, after: str | None = None) -> Iterator[hm.ImageItem]:
            raise hm.SourceError("s3://b: there is no such bucket")

    tries = Tries(QUICK)
    with pytest.raises(hm.SourceError, match="no such bucket"):
        list(list_items(Gone({}, SURFACE), tries=tries))
    assert tries.retries == 0


def test_a_listing_that_never_comes_is_given_up() -> None:
    limits = Limits(deadline=0.05, first_delay=0.01, longest_delay=0.01)
    source, tries = Rough(3, [0] * 1000), Tries(limits, seed=1)
    with pytest.raises(hm.SourceUnavailable, match="cannot be listed: status 503"):
        list(list_items(source, tries=tries))
    assert tries.retries == len(source.asked) - 1 > 0


def test_whatever_a_source_is_asked_is_tried_again_and_counted() -> None:
    answers = iter([hm.SourceUnavailable("a"), hm.SourceUnavailable("b"), None])

    def ask() -> str:
        if (error := next(answers)) is not None:
            raise error
        return "answer"

    tries = Tries(QUICK, seed=1)
    assert until_available(ask, tries) == "answer"
    assert tries.retries == 2


def test_a_scan_counts_what_its_listing_tried_again() -> None:
    events: list[hm.Event] = []
    matcher = hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv"))
    tries = Tries(QUICK, seed=1)
    options = hm.ScanOptions(tries=tries)
    source = Rough(9, [4, 0])
    results = list(hm.scan_source(source, matcher, options=options, observe=events.append))
    assert len(results) == 9
    assert [(event.item, event.reason) for event in events if event.kind == "retry"] == [
        ("", "memory: cannot be listed: status 503")
    ] * 2
    assert events[-1].counters.retries == tries.retries == 2
