"""Bodies whose size no listing told wait for room, and what is no picture is not read."""

from __future__ import annotations

import io
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from conftest import IMAGES, LISTS
from hashmatch.records.images import ImageItem
from hashmatch.retry import body_follows
from hashmatch.scan.pipeline import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 2**20
GOOD = (IMAGES / "plain" / "tiles.png").read_bytes()


class Unlisted:
    """Items whose sizes are said when they are read; counts bytes that are there at a time."""

    def __init__(self, sizes: list[int | None], head: bytes = GOOD) -> None:
        self.sizes, self.head = sizes, head
        self.asked, self.read_whole = Counter[str](), Counter[str]()
        self.there = self.most = 0
        self._lock = threading.Lock()

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        for number in range(len(self.sizes)):
            key = f"{number:03}"
            if after is None or key > after:
                yield ImageItem(key, "1", hm.Surface.PUBLIC_POST, key)

    def identity(self) -> str:
        return "unlisted"

    def read(self, item: ImageItem) -> bytes:
        size = self.sizes[int(item.key)]
        self.asked[item.key] += 1
        body_follows(size, self.head)
        self.read_whole[item.key] += 1
        with self._lock:
            self.there += size or MIB
            self.most = max(self.most, self.there)
        return self.head

    def count(self) -> int:
        return len(self.sizes)

    def close(self) -> None: ...

    def taken(self, key: str) -> None:
        with self._lock:
            self.there -= self.sizes[int(key)] or MIB


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(
    "sizes", [[9 * MIB] * 16, [MIB // 2, 200 * MIB] * 8, [None] * 6, [200 * MIB] * 3, [1] * 40]
)
def test_bodies_wait_for_room_and_each_is_read_once(sizes: list[int | None], ordered: bool) -> None:
    source = Unlisted(sizes)
    keys = []
    for item, content in fetch(source, most_bytes=20 * MIB, ordered=ordered):
        assert content == GOOD
        source.taken(item.key)
        keys.append(item.key)
    assert sorted(keys) == [f"{number:03}" for number in range(len(sizes))]
    assert not ordered or keys == sorted(keys)
    assert set(source.read_whole.values()) == {1}
    assert max(source.asked.values()) <= 2  # a second time at most, when there is room


def test_large_bodies_are_there_one_at_a_time() -> None:
    source = Unlisted([200 * MIB] * 12)
    for item, _ in fetch(source, most_bytes=20 * MIB, ordered=False):
        source.taken(item.key)
    assert source.most == 200 * MIB


def test_a_fetch_that_ends_early_ends_those_that_wait() -> None:
    before = threading.active_count()
    found = fetch(Unlisted([200 * MIB] * 16), most_bytes=MIB)
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


@pytest.mark.parametrize("digests", [False, True])
def test_what_is_no_picture_is_read_for_digests_only(digests: bool) -> None:
    source = Unlisted([5 * MIB] * 3, head=b"no picture")
    rows = b"hash\n" + b"ab" * 32 + b"\n"
    if digests:
        known = hm.read_list(io.BytesIO(rows), "sha256", name="digests", version="1")
    else:
        known = hm.read_list(LISTS / "demo-pdq.csv")
    outcomes = Counter(one.outcome.value for one in hm.scan_source(source, hm.Matcher(known)))
    assert outcomes == {"no_match" if digests else "unsupported": 3}
    assert sum(source.read_whole.values()) == (3 if digests else 0)
