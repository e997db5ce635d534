"""Shards of any number are the whole together, and no two have an item in common."""

from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashmatch as hm
from conftest import IMAGES
from hashmatch.scan.shard import Shard, parse_shard, shard_of
from hashmatch.sources.directory import DirectorySource
from hashmatch.testing import MemorySource, check_source

SURFACE = hm.Surface.PUBLIC_POST


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_shards_are_disjoint_and_complete(count: int) -> None:
    source = DirectorySource(str(IMAGES), SURFACE)
    parts = [list(Shard(source, index, count).items()) for index in range(count)]
    whole = list(source.items())
    assert sum(map(len, parts)) == len(whole)
    assert sorted((item for part in parts for item in part), key=lambda i: i.key) == whole
    for part in parts:
        assert part == sorted(part, key=lambda item: item.key)


@given(st.sets(st.text(max_size=9)), st.integers(1, 20))
def test_every_key_is_in_one_shard(keys: set[str], count: int) -> None:
    keys = {hm.ImageItem(key, "1", SURFACE).key for key in keys if key}
    source = MemorySource(dict.fromkeys(keys, b""), SURFACE)
    parts = [[i.key for i in Shard(source, index, count).items()] for index in range(count)]
    assert sorted(key for part in parts for key in part) == sorted(keys)


def test_a_shard_is_what_its_documentation_says() -> None:
    for key in ("a", "profiles/000123.jpg", "é\n"):
        digest = blake2b(key.encode("utf-8"), digest_size=8).hexdigest()
        assert shard_of(key, 7) == int(digest, 16) % 7


def test_shards_are_about_equal() -> None:
    sizes = [0] * 7
    for number in range(70_000):
        sizes[shard_of(f"profiles/{number:06}.jpg", 7)] += 1
    assert max(sizes) < 1.05 * min(sizes)


def test_a_shard_is_a_source() -> None:
    check_source(Shard(DirectorySource(str(IMAGES), SURFACE), 1, 3))
    shard = Shard(MemorySource({"a": b"1"}, SURFACE), 0, 1)
    assert [shard.read(item) for item in shard.items()] == [b"1"]


@pytest.mark.parametrize("text", ["", "7", "7/7", "8/7", "-1/7", "0/0", "1/2/3", "a/b", "0/7 "])
def test_what_is_no_shard(text: str) -> None:
    with pytest.raises(hm.UsageError, match="as a shard"):
        parse_shard(text)


def test_what_is_a_shard() -> None:
    assert [parse_shard(f"{index}/3") for index in range(3)] == [(0, 3), (1, 3), (2, 3)]
