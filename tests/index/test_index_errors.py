"""What an index is given in error ends in one clear line, which names the item and what to do."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import hashmatch as hm
from hashmatch.testing import hash_list, random_hashes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PDQ = hm.HashSpec("pdq", 256)
KNOWN = random_hashes(PDQ, 5, seed=1)
OTHER = random_hashes(hm.HashSpec("phash", 64), 2, seed=2)
NOT_HASHES: tuple[Any, ...] = (
    None, 3, KNOWN.to_hex()[0], KNOWN.to_hex(), [1, 2], KNOWN.words, b"0" * 32, object(), PDQ,
)  # fmt: skip


@pytest.fixture(scope="module")
def index() -> hm.HashIndex:
    return hm.HashIndex.build(KNOWN, 31)


def said(
    call: Callable[..., object], *given: Any, error: type[hm.HashmatchError] = hm.UsageError
) -> str:
    """Return the message of the error that `call` raises, once it is sure to be a clear line."""
    with pytest.raises(error) as raised:
        call(*given)
    text = str(raised.value)
    assert text
    assert "\n" not in text
    assert not any(line in text for line in KNOWN.to_hex())  # no message holds a hash value
    assert raised.value.__cause__ is None
    return text


@pytest.mark.parametrize("value", NOT_HASHES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "ask",
    [
        lambda index, value: index.search(value, 31),
        lambda index, value: index.search(value, 31, most=1),
        lambda index, value: index.stream(value, 31),
        lambda index, value: index.nearest(value, 1),
        lambda index, value: index.join(value, 31),
        lambda index, value: index.stream_join(value, 31),
        lambda index, value: index.with_changes([] if value is None else value),
        lambda index, value: type(index).build(value, 31),
    ],
    ids=("search", "most", "stream", "nearest", "join", "stream_join", "with_changes", "build"),
)
def test_what_are_no_hashes(
    index: hm.HashIndex, ask: Callable[[hm.HashIndex, Any], object], value: object
) -> None:
    text = said(lambda: ask(index, value))
    assert "HashBatch" in text
    if isinstance(value, str | list):
        assert "HashBatch.from_hex" in text


def test_a_list_or_an_index_in_the_place_of_queries(index: hm.HashIndex) -> None:
    known = hash_list(KNOWN)
    for ask in (index.search, index.stream, partial(index.nearest, k=1)):
        text = said(ask, known)
        assert ".hashes" in text
        assert "join" in text
        assert "HashIndex" in said(ask, index)
    assert "HashIndex" in said(lambda: hm.HashIndex.build(index))  # type: ignore[arg-type]
    assert "HashIndex.build" in said(lambda: hm.HashIndex(KNOWN))  # type: ignore[arg-type]


def test_hashes_of_another_kind(index: hm.HashIndex) -> None:
    asked: tuple[Callable[[], object], ...] = (
        lambda: index.search(OTHER),
        lambda: index.stream(OTHER),
        lambda: index.nearest(OTHER, 1),
        lambda: index.join(OTHER),
        lambda: index.stream_join(hm.HashIndex.build(OTHER)),
        lambda: index.with_changes(OTHER),
    )
    for ask in asked:
        text = said(ask, error=hm.SpecMismatch)
        assert "pdq (256 bits)" in text
        assert "phash (64 bits)" in text


@pytest.mark.parametrize("limit", [31.0, "31", -1, 257, [31], np.float64(31), (), b"31"])
def test_what_is_no_distance(index: hm.HashIndex, limit: Any) -> None:
    asked: tuple[Callable[[], object], ...] = (
        lambda: index.search(KNOWN, limit),
        lambda: index.stream(KNOWN, limit),
        lambda: index.nearest(KNOWN, 1, limit),
        lambda: index.join(KNOWN, limit),
        lambda: index.stream_join(index, limit),
        lambda: index.self_join(limit),
        lambda: index.stream_self_join(limit),
        lambda: hm.HashIndex.build(KNOWN, limit),
    )
    for ask in asked:
        assert "maximum distance" in said(ask)


def test_no_distance_at_all() -> None:
    index = hm.HashIndex.build(KNOWN)
    for ask in (index.search, index.stream, index.join, index.stream_join):
        assert "cannot search without a max_distance" in said(ask, KNOWN)
    for ask_itself in (index.self_join, index.stream_self_join):
        assert "cannot search without a max_distance" in said(ask_itself)


@pytest.mark.parametrize("count", [0, -1, 1.5, "3", [1]])
def test_what_is_no_number_of_entries(index: hm.HashIndex, count: Any) -> None:
    assert said(lambda: index.nearest(KNOWN, count)).endswith(
        (" for k. Give a whole number", " for k. Give 1 or more")
    )
    assert said(lambda: index.search(KNOWN, most=count)).endswith(
        (" for most. Give a whole number", " for most. Give 1 or more")
    )


@pytest.mark.parametrize("limit", [-1, -2, 257, "31", 31.5])
def test_limits_that_a_list_cannot_have(limit: Any) -> None:
    known = hash_list(KNOWN, name="partner")
    own = (replace(known.entries[0], max_distance=limit), *known.entries[1:])
    for one in (replace(known, max_distance=limit), replace(known, entries=own)):
        assert "list partner" in said(hm.HashIndex.build, one, 31)


@pytest.mark.parametrize(
    "removed", [[5], [-1], [0.5], ["a"], [[1]], 3, "abc", None, {1}, [2**70], [True]]
)
def test_what_is_no_entry(index: hm.HashIndex, removed: Any) -> None:
    assert "remove" in said(lambda: index.with_changes(removed=removed))
    assert len(index) == 5


@pytest.mark.parametrize("name", [3, b"a", ["x"]])
def test_what_is_no_name_of_a_snapshot(index: hm.HashIndex, name: Any) -> None:
    assert "snapshot" in said(lambda: hm.HashIndex.build(KNOWN, snapshot=name))
    assert "snapshot" in said(lambda: index.with_changes(KNOWN, snapshot=name))


@pytest.mark.parametrize("path", [None, 3, 2.5, "", KNOWN, ["index"]])
def test_what_is_no_path(index: hm.HashIndex, path: Any) -> None:
    assert "path" in said(lambda: hm.HashIndex.open(path))
    assert "path" in said(lambda: index.save(path))


def test_paths_as_bytes_and_folders(index: hm.HashIndex, tmp_path: Path) -> None:
    index.save(os.fsencode(tmp_path / "index"))  # type: ignore[arg-type]
    assert len(hm.HashIndex.open(os.fsencode(tmp_path / "index"))) == 5  # type: ignore[arg-type]
    for call in (hm.HashIndex.open, index.save):
        for path in (tmp_path, tmp_path / "none" / "index"):
            assert str(path) in said(call, path, error=hm.IndexFileError)


def test_saving_what_was_cut_off_leaves_the_file_that_is_there(tmp_path: Path) -> None:
    """Its hashes are zeros by then, and their checksums would be right."""
    hm.HashIndex.build(KNOWN, 31).save(tmp_path / "day-1")
    hm.HashIndex.build(KNOWN[:2], 31).save(tmp_path / "day-2")
    opened = hm.HashIndex.open(tmp_path / "day-1")
    os.truncate(tmp_path / "day-1", 100)
    for path in (tmp_path / "day-2", tmp_path / "new"):
        assert "day-1" in said(opened.save, path, error=hm.IndexFileError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["day-1", "day-2"]
    assert len(hm.HashIndex.open(tmp_path / "day-2")) == 2
    text = said(partial(opened.with_changes, removed=[0]), error=hm.IndexFileError)
    assert "day-1" in text


def test_an_index_cannot_be_altered(index: hm.HashIndex) -> None:
    for name in ("spec", "snapshot", "max_distance", "anything"):
        with pytest.raises(AttributeError):
            setattr(index, name, 3)
    assert index.spec == PDQ


def test_an_index_says_what_it_is(tmp_path: Path) -> None:
    index = hm.HashIndex.build(hash_list(KNOWN, "partner", "17"), 31)
    assert repr(index) == "<HashIndex partner 17, pdq (256 bits), n=5>"
    assert (index.max_distance, index.path) == (31, None)
    assert hm.HashIndex.build(KNOWN).max_distance is None
    index.save(tmp_path / "index")
    opened = hm.HashIndex.open(tmp_path / "index")
    assert (opened.max_distance, opened.path) == (31, str(tmp_path / "index"))
    assert opened.nbytes == index.nbytes
    assert index.nbytes == 128 * 32  # hashes are laid for the kernels, 128 at the least
    changed = opened.with_changes(KNOWN, removed=[0])
    assert (changed.max_distance, changed.path) == (31, opened.path)
    assert changed.nbytes > opened.nbytes


def test_too_many_matches_is_a_public_error() -> None:
    assert issubclass(hm.TooManyMatches, hm.HashmatchError)
