"""Many at a time, each once, no more of them than agreed, and an end when it is asked for."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from hashmatch.retry import Limits, Tries, read_item
from hashmatch.scan import pipeline
from hashmatch.scan.pipeline import fetch
from hashmatch.testing import MemorySource
from processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SURFACE = hm.Surface.PUBLIC_POST
QUICK = Limits(first_delay=0.001, longest_delay=0.01, deadline=0.5, spare_retries=10**6)


class Rough(MemorySource):
    """Reads take their time, fail as they are told to, and are counted."""

    def __init__(self, images: Mapping[str, bytes | hm.ImageError], **failures: int) -> None:
        super().__init__(images, SURFACE)
        self.failures = failures
        self.now = self.most = self.reads = 0
        self.lock = threading.Lock()
        self.chance = random.Random(1)

    def read(self, item: hm.ImageItem) -> bytes:
        with self.lock:
            self.reads += 1
            self.now += 1
            self.most = max(self.most, self.now)
            pause = self.chance.uniform(0, 0.003)
            left = self.failures.get(item.key, 0)
            self.failures[item.key] = left - 1
        time.sleep(pause)
        with self.lock:
            self.now -= 1
        if left > 0:
            raise hm.ImageUnavailable(hm.Outcome.FAILED, "cannot be read: status 500")
        return super().read(item)


def pictures(count: int, size: int = 10) -> dict[str, bytes]:
    return {f"{number:04}": b"%04d" % number * (size // 4) for number in range(count)}


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_each_comes_once_with_its_own_content(count: int, threads: int, *, ordered: bool) -> None:
    source = Rough(pictures(count))
    read = [(item.key, data) for item, data in fetch(source, threads=threads, ordered=ordered)]
    assert (read if ordered else sorted(read, key=str)) == list(pictures(count).items())
    assert source.most <= threads
    assert source.reads == count


def test_some_of_a_source() -> None:
    source = MemorySource(pictures(9), SURFACE)
    read = [item.key for item, _ in fetch(source, source.items(after="0004"))]
    assert read == ["0005", "0006", "0007", "0008"]


def test_errors_stand_in_the_place_of_content() -> None:
    gone = hm.ImageError(hm.Outcome.FAILED, "it is gone")
    large = hm.ImageError(hm.Outcome.REFUSED, "too large")
    source = MemorySource({"a": gone, "b": b"1", "c": large}, SURFACE)
    assert [data for _, data in fetch(source)] == [gone, b"1", large]


def test_what_fails_for_a_time_is_read_in_the_end() -> None:
    failures = {f"{number:04}": number % 4 for number in range(100)}
    source, tries = Rough(pictures(100), **failures), Tries(QUICK, seed=1)
    assert {item.key: data for item, data in fetch(source, tries=tries)} == pictures(100)
    assert (tries.successes, tries.retries) == (100, 25 * (1 + 2 + 3))
    assert tries.received == sum(map(len, pictures(100).values()))


def test_what_always_fails_is_said_so_with_its_tries() -> None:
    source = Rough(pictures(40), **{"0020": 10**6})
    read = dict(fetch(source, tries=Tries(QUICK, seed=1), threads=4))
    (failed,) = (data for data in read.values() if isinstance(data, hm.ImageError))
    assert failed.outcome is hm.Outcome.FAILED
    assert failed.reason.startswith("cannot be read: status 500, in ")
    assert len(read) == 40


def test_a_source_that_gives_nothing_any_more_stops_the_scan() -> None:
    source = Rough(pictures(40), **{f"{number:04}": 10**6 for number in range(40)})
    with pytest.raises(hm.SourceError, match=r"like all others for .* s. Try again later"):
        list(fetch(source, tries=Tries(QUICK, seed=1)))


def test_the_budget_of_retries_stops_the_scan() -> None:
    source = Rough(pictures(40), **{f"{number:04}": 10**6 for number in range(20, 40)})
    limits = Limits(first_delay=0.001, spare_retries=5)
    with pytest.raises(hm.SourceError, match="the server fails too often"):
        list(fetch(source, tries=Tries(limits, seed=1)))


class Changing(MemorySource):
    """Each item is another every time that it is listed or read."""

    def __init__(self, images: Mapping[str, bytes], changes: int, *, carry: bool) -> None:
        super().__init__(images, SURFACE)
        self.changes, self.carry = changes, carry

    def read(self, item: hm.ImageItem) -> bytes:
        if int(item.version) <= self.changes:
            now = hm.ImageItem(item.key, str(int(item.version) + 1), item.surface)
            data = super().read(item) if self.carry else None
            raise hm.ImageChanged(hm.Outcome.FAILED, "it changed", now, data)
        return super().read(item)


@pytest.mark.parametrize(
    ("changes", "carry", "version"), [(0, False, "1"), (3, False, "4"), (9, True, "2")]
)
def test_the_version_is_that_of_the_content(changes: int, version: str, *, carry: bool) -> None:
    ((item, data),) = fetch(Changing({"a": b"1"}, changes, carry=carry))
    assert (item.version, data) == (version, b"1")


def test_what_never_stands_still_fails() -> None:
    ((_, data),) = fetch(Changing({"a": b"1"}, 9, carry=False))
    assert str(data) == "it changed each time that it was read"


@pytest.mark.parametrize("ordered", [True, False])
def test_no_more_bytes_are_held_than_agreed(*, ordered: bool) -> None:
    class Held(MemorySource):
        held = most = 0
        lock = threading.Lock()

        def read(self, item: hm.ImageItem) -> bytes:
            data = super().read(item)
            with self.lock:
                self.held += len(data)
                self.most = max(self.most, self.held)
            return data

    images = pictures(60, 1000) | {"large": bytes(9000), "next": bytes(8)}
    source = Held(images, SURFACE)
    keys = set()
    for item, data in fetch(source, most_bytes=4000, ordered=ordered):
        assert isinstance(data, bytes)
        keys.add(item.key)
        with source.lock:
            source.held -= len(data)
    assert keys == set(images)
    # The one that was yielded is not held any more by this test's count, but by the fetch's.
    assert source.most <= 9000
    assert source.held == 0


def test_it_ends_when_nobody_wants_the_rest() -> None:
    source = Rough(pictures(5000))
    before = threading.active_count()
    reading = fetch(source, threads=8)
    for _ in range(10):
        next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    assert source.reads <= 10 + pipeline.MOST_AHEAD
    assert source.now == 0


@pytest.mark.parametrize("last", ["", "raise RuntimeError('another')"])
def test_an_iterator_that_is_left_open_does_not_keep_the_interpreter(last: str) -> None:
    code = """
from hashmatch.scan.pipeline import fetch
from hashmatch.testing import MemorySource
source = MemorySource({f"{n}": b"" for n in range(9999)}, "public_post")
opened = fetch(source, threads=3), fetch(source, threads=2)
print(*(next(one)[0].key for one in opened))
"""
    program = [sys.executable, "-c", code + last]
    ended = subprocess.run(program, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.stdout == "0 0\n"
    assert (ended.returncode, ended.stderr.count("Error")) == ((1, 1) if last else (0, 0))


def test_the_listing_s_error_comes_after_what_was_listed() -> None:
    class Ends(MemorySource):
        def items(self, after: str | None = None) -> Iterator[hm.ImageItem]:
            yield from super().items(after)
            raise hm.SourceError("the bucket is gone")

    reading = fetch(Ends(pictures(700), SURFACE))
    assert len([next(reading) for _ in range(700)]) == 700
    with pytest.raises(hm.SourceError, match="the bucket is gone"):
        next(reading)


def test_a_bug_of_a_source_is_not_hidden() -> None:
    class Broken(MemorySource):
        def read(self, item: hm.ImageItem) -> bytes:
            raise KeyError(item.key)

    with pytest.raises(KeyError):
        list(fetch(Broken(pictures(3), SURFACE)))


def test_the_rate_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """So slow that it would take days, were its pauses made."""
    pauses: list[float] = []

    def wait(self: Tries, seconds: float) -> bool:
        pauses.append(seconds)
        return True

    monkeypatch.setattr(Tries, "wait", wait)
    limits = Limits(rate=0.4)
    total = sum(len(data) for _, data in fetch(
        MemorySource(pictures(400, 1000), SURFACE), tries=Tries(limits)
    ) if isinstance(data, bytes))  # fmt: skip
    assert max(pauses) == pytest.approx(1_000_000, rel=0.01)
    assert total == 400_000


def test_stopping_from_outside_leaves_no_item_without_an_answer() -> None:
    source, tries = Rough(pictures(50), **{"0000": 10**6}), Tries(Limits(first_delay=9.0), seed=1)
    (item, *_) = source.items()
    timer = threading.Timer(0.05, tries.stop)
    timer.start()
    _, data = read_item(source, item, tries)
    assert str(data) == "the scan was stopped before it was read"


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"most_bytes": 0}])
def test_what_cannot_be_asked_for(wrong: dict[str, int]) -> None:
    with pytest.raises(hm.UsageError):
        fetch(MemorySource({}, SURFACE), **wrong)  # type: ignore[arg-type]
