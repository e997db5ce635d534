"""Pauses are spread, tries are bounded, bytes are paced, and all of it ends when told to."""

from __future__ import annotations

import threading
import time

import pytest

import hashmatch as hm
from hashmatch.retry import Limits, Tries

ITEM = hm.ImageItem("a.jpg", "1", hm.Surface.PROFILE_PHOTO)


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
            assert tries.pause(attempt, time.monotonic() + 100)
        assert 0.0 <= min(waits) < 0.02 * bound
        assert 0.98 * bound < max(waits) <= bound
        assert sum(waits) / len(waits) == pytest.approx(bound / 2, rel=0.05)


def test_no_pause_reaches_beyond_the_deadline(waits: list[float]) -> None:
    tries = Tries(Limits(first_delay=1.0), seed=1)
    assert not tries.pause(0, time.monotonic())
    assert (tries.retries, waits) == (0, [])


@pytest.mark.usefixtures("waits")
def test_the_budget_grows_with_what_succeeds() -> None:
    tries = Tries(Limits(spare_retries=2, retry_ratio=0.5))
    later = time.monotonic() + 100
    for _ in range(4):
        tries.succeeded(ITEM, 10)
    assert [tries.pause(0, later) for _ in range(4)] == [True] * 4
    with pytest.raises(hm.SourceError, match="4 retries for 4 items read: the server fails"):
        tries.pause(0, later)
    tries.succeeded(ITEM, 10)
    tries.succeeded(ITEM, 10)
    assert tries.pause(0, later)
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
    assert not tries.pause(3, start + 1000)
    assert time.monotonic() - start < 5
    assert not tries.pause(3, start + 1000)
    Tries(Limits(rate=1.0)).pace(1)
    assert tries.stopped


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"deadline": -1}, {"spare_retries": -1}])
def test_limits_are_numbers_that_can_be(wrong: dict[str, float]) -> None:
    with pytest.raises(hm.UsageError):
        Limits(**wrong)  # type: ignore[arg-type]
