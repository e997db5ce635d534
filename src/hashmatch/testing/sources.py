"""For tests of sources: one that is held in memory, and the contract check."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hashmatch.errors import ImageChanged, ImageError
from hashmatch.interfaces import Source
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.items import ImageItem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class MemorySource:
    """A source of images held in memory, by key; contents may be the error to raise instead.

    Examples
    --------
    >>> source = MemorySource({"a.jpg": b"..."}, Surface.PUBLIC_POST)
    >>> [item.key for item in source.items()]
    ['a.jpg']
    """

    def __init__(self, images: Mapping[str, bytes | ImageError], surface: Surface) -> None:
        self._images = dict(images)
        self._surface = surface

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield an item for each key, in the order of the mapping, or those behind `after`."""
        keys = list(self._images)
        for key in keys[keys.index(after) + 1 :] if after is not None else keys:
            content = self._images[key]
            size = len(content) if isinstance(content, bytes) else None
            yield ImageItem(key, "1", self._surface, size=size)

    def read(self, item: ImageItem) -> bytes:
        """Return the content, or raise the error that stands in its place."""
        content = self._images[item.key]
        if isinstance(content, ImageError):
            raise content
        return content

    def count(self) -> int:
        """Return how many there are."""
        return len(self._images)

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""


def check_source(source: Source) -> None:
    """Check a source that has at least one item: keys, positions, versions, reading, counting."""
    assert isinstance(source, Source), "it lacks part of the Source protocol"
    items = list(source.items())
    assert items, "it lists nothing"
    keys = [item.key for item in items]
    assert len(set(keys)) == len(keys), "a key is listed twice"
    assert [item.key for item in source.items()] == keys, "a second listing differs"
    assert source.count() in {None, len(items)}, "count and listing differ"
    for done in sorted({0, len(items) // 2, len(items) - 1}):
        rest = [item.key for item in source.items(after=items[done].position)]
        assert rest == keys[done + 1 :], f"it does not list on after {keys[done]}"
    for item in items:
        assert item.key.encode(), "a key is empty"
        assert item.position.encode(), "a position is no valid Unicode"
        assert item.version, f"{item.key} has no version"
        assert isinstance(item.surface, Surface), f"{item.key} has no surface"
        _check_content(source, item)
    with ThreadPoolExecutor(4) as threads:  # each as it is alone
        alone = [_check_content(source, item) for item in items]
        together = list(threads.map(lambda item: _check_content(source, item), items))
    assert together == alone, "many threads read something else than one"
    source.close()


def _check_content(source: Source, item: ImageItem) -> object:
    try:
        content = source.read(item)
    except ImageChanged as error:
        assert error.item.key == item.key, f"{item.key} turns into another item"
        return error.item
    except ImageError as error:
        assert error.outcome is not Outcome.HASHED, "an error cannot mean hashed"
        assert error.reason, f"{item.key}: no reason is given"
        return error.outcome
    assert isinstance(content, bytes), f"{item.key} is not read as bytes"
    return content
