"""An estimate lists all, reads a few at random, and reckons with what they took."""

from __future__ import annotations

import pytest

import hashmatch as hm
from conftest import IMAGES, LISTS
from hashmatch.retry import Limits, Tries
from hashmatch.scan.estimate import estimate
from hashmatch.testing import MemorySource

SURFACE = hm.Surface.PUBLIC_POST
PICTURE = (IMAGES / "plain" / "tiles.png").read_bytes()


@pytest.fixture
def matcher() -> hm.Matcher:
    return hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv"))


class Clock:
    """Goes on by a millisecond whenever somebody looks at it, and when it is told to."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("hashmatch.scan.estimate.time", clock)
    return clock


class Slow(MemorySource):
    """Takes 10 ms to read an item, and counts."""

    asked: tuple[str, ...] = ()
    clock = Clock()

    def read(self, item: hm.ImageItem) -> bytes:
        self.asked += (item.key,)
        self.clock.now += 0.01
        return super().read(item)


def test_it_reckons_with_what_the_sample_took(matcher: hm.Matcher, clock: Clock) -> None:
    source = Slow({f"{n:04}.PNG": PICTURE for n in range(2500)} | {"odd": PICTURE}, SURFACE)
    source.clock = clock
    found = estimate(source, matcher, hm.ScanOptions(readers=1), sample=20)
    assert (found.items, found.bytes, found.unsized) == (2501, 2501 * len(PICTURE), 0)
    assert found.suffixes == {".png": 2500, "": 1}
    assert (found.sampled, found.failed, found.requests) == (20, 0, 2501 + 3)
    assert len(set(source.asked)) == len(source.asked) == 20
    assert source.asked[0] != "0000.PNG", "the first ones are no sample"
    assert found.read_seconds == pytest.approx(0.011)
    assert found.hash_seconds == pytest.approx(0.001)
    assert found.seconds >= 2501 * found.read_seconds
    faster = estimate(source, matcher, hm.ScanOptions(readers=100, threads=100), sample=20)
    assert faster.seconds < found.seconds / 5
    limited = hm.ScanOptions(readers=100, threads=100, tries=Tries(Limits(rate=100.0)))
    assert estimate(source, matcher, limited, sample=2).seconds == 2501 * len(PICTURE) / 100


def test_the_choice_is_fair(matcher: hm.Matcher) -> None:
    source = Slow({str(n): b"" for n in range(8)}, SURFACE)
    source.asked = ()
    for seed in range(100):
        estimate(source, matcher, hm.ScanOptions(), sample=2, seed=seed)
    counts = [source.asked.count(str(n)) for n in range(8)]
    assert sum(counts) == 200
    assert min(counts) > 10


def test_what_cannot_be_read_is_counted(matcher: hm.Matcher) -> None:
    failing = hm.ImageUnavailable(hm.Outcome.FAILED, "cannot be read: status 500")
    gone = hm.ImageError(hm.Outcome.FAILED, "it is gone")
    source = MemorySource({"a": failing, "b": gone, "c": PICTURE}, SURFACE)
    found = estimate(source, matcher, hm.ScanOptions())
    assert (found.sampled, found.failed, found.unsized) == (3, 2, 2)


def test_nothing_is_nothing(matcher: hm.Matcher) -> None:
    found = estimate(MemorySource({}, SURFACE), matcher, hm.ScanOptions())
    assert (found.items, found.sampled, found.requests) == (0, 0, 0)
    assert found.seconds == found.list_seconds
