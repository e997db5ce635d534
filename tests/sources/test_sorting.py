"""Listings without an order are put in order: the same rows, whatever fits into memory."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashmatch as hm
from hashmatch.sources import bucket
from hashmatch.sources._streams import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator

TIME = datetime.fromtimestamp(0, tz=UTC)
ROWS = st.lists(st.tuples(st.text(max_size=5), st.text(max_size=3), st.integers(0, 2**50)))


@given(ROWS, st.integers(1, 6))
def test_rows_come_sorted_and_whole(rows: list[tuple[str, str, int]], run: int) -> None:
    assert list(in_order(iter(rows), run)) == sorted(rows)


def test_many_rows() -> None:
    rows = [(f"{number * 7919 % 10007:05}", "v", number) for number in range(10007)]
    assert list(in_order(rows, 1000)) == sorted(rows)


class Pages:
    """Stands in for a server that lists in an order of its own."""

    def __init__(self, keys: list[str], page: int, size: int = 1) -> None:
        self.keys, self.page, self.size = keys, page, size

    def pages(self, prefix: str, after: str | None) -> Iterator[list[dict[str, Any]]]:
        found = [
            {"path": key.rstrip("/"), "e_tag": "x", "last_modified": TIME,
             "size": 0 if key[-1] == "/" else self.size}
            for key in self.keys if after is None or key > after
        ]  # fmt: skip
        for start in range(0, len(found), self.page):
            yield found[start : start + self.page]


def source(keys: list[str], page: int, size: int = 1) -> bucket.BucketSource:
    pytest.importorskip("obstore")
    pytest.importorskip("botocore")
    images = bucket.BucketSource("s3://b", hm.Surface.USER_REPORT)
    images._objects = Pages(keys, page, size)  # type: ignore[assignment]
    return images


def test_a_listing_in_no_order_is_sorted_and_goes_on_anywhere() -> None:
    keys = [f"{number * 37 % 101:03}" for number in range(101)]
    images = source(keys, 10)
    assert [item.key for item in images.items()] == sorted(keys)
    assert [item.key for item in images.items(after="049")] == sorted(keys)[50:]


def test_a_listing_that_loses_its_order_is_an_error_and_no_gap() -> None:
    with pytest.raises(hm.SourceError, match=r"s3://b: its server stopped listing in order"):
        list(source(["a", "b", "d", "c"], 2).items())


def test_markers_of_folders_disturb_no_order() -> None:
    keys = ["folder-a", "folder/", "folder/x", "folder0"]
    images = source(keys, 2)
    assert [item.key for item in images.items()] == ["folder-a", "folder/x", "folder0"]
    for after, rest in (("folder-a", 2), ("folder/x", 1)):
        assert len(list(images.items(after=after))) == rest
