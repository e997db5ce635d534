"""A folder with everything in it that a folder can hold, listed on from any place."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashmatch as hm
from hashmatch.sources import _files
from hashmatch.sources.directory import DirectorySource, walk
from hashmatch.testing import check_source

if TYPE_CHECKING:
    from hashmatch.records.images import ImageItem

SURFACE = hm.Surface.GROUP_PHOTO


def source(place: Path) -> DirectorySource:
    return DirectorySource(str(place), SURFACE)


def outcome(images: DirectorySource, item: ImageItem) -> tuple[str, str]:
    with pytest.raises(hm.ImageError) as caught:
        images.read(item)
    return caught.value.outcome.value, caught.value.reason


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """Return a folder of names that somebody chose to be a nuisance."""
    names = [
        b"caf\xe9.jpg", b"caf\xc3\xa9.jpg", b"100%41.jpg", b"%2F", b"a?b=c#d", b" ", b"-rf", b"\n",
        b"\\xe9", b"x" * 255, b"\xff\xfe", b"d/..x", b"d-/y", b"d/\xff/z", b"d0", b"~", b"e.tar",
    ]  # fmt: skip
    root = tmp_path / "odd"
    root.mkdir()
    for name in names:
        path = os.path.join(os.fsencode(root), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(name)
    return root


def test_odd_names_keep_the_contract(odd: Path) -> None:
    check_source(source(odd))


def test_each_odd_name_is_read_as_itself(odd: Path) -> None:
    images = source(odd)
    for item in images.items():
        assert images.read(item) == os.fsencode(os.path.relpath(item.location, odd))


def test_nothing_that_is_no_file_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "null").symlink_to("/dev/null")
    (tmp_path / "round").symlink_to("round")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        images = source(tmp_path)
        found = {item.key: outcome(images, item) for item in images.items()}
    assert found.pop("round")[0] == "failed"
    assert set(found) == {"fifo", "null", "socket"}
    assert set(found.values()) == {("unsupported", "not a regular file")}


def test_a_file_of_a_terabyte_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "sparse.jpg").open("wb") as file:
        file.truncate(10**12)
    (item,) = source(tmp_path).items()
    assert item.size == 10**12
    said = outcome(source(tmp_path), item)
    assert said == (
        "refused",
        "1,000,000,000,000 bytes, the limit is 268,435,456 bytes for one file",
    )


def test_a_file_that_changed_comes_with_its_own_version(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"before")
    images = source(tmp_path)
    (item,) = images.items()
    (tmp_path / "a.jpg").write_bytes(b"after that")
    with pytest.raises(hm.ImageChanged) as caught:
        images.read(item)
    (now,) = images.items()
    assert caught.value.item == now
    assert caught.value.item.version != item.version
    assert caught.value.data == b"after that"


def test_a_file_that_never_stands_still_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a.jpg"
    place.write_bytes(b"")

    def read(name: str) -> bytes:
        path = Path(name)
        with path.open("ab") as file:
            file.write(b"more")
        return path.read_bytes()

    monkeypatch.setattr(_files, "read_file", read)
    (item,) = source(tmp_path).items()
    assert outcome(source(tmp_path), item) == ("failed", "it changed each time that it was read")
    assert len(place.read_bytes()) == 4 * _files.TRIES


def test_a_folder_removed_during_the_listing_is_passed_over_and_counted(tmp_path: Path) -> None:
    for name in ("a/1", "b/2", "c/3"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    images = source(tmp_path)
    walking = images.items()
    assert next(walking).key == "a/1"
    (tmp_path / "b/2").unlink()
    (tmp_path / "b").rmdir()
    assert [item.key for item in walking] == ["c/3"]
    assert images.passed_over == {"folders that were removed": 1}


def test_a_folder_that_cannot_be_listed_is_an_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/1", "b/2", "c/3", "c/d/4"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    scandir = os.scandir

    def refuse(path: bytes) -> object:
        if path.endswith((b"/b/", b"/d/")):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    images = source(tmp_path)
    assert [item.key for item in images.items()] == ["a/1", "b/", "c/3", "c/d/"]
    for item in images.items():
        if item.key.endswith("/"):
            assert outcome(images, item)[0] == "failed"
    check_source(images)


def test_a_file_that_is_gone_when_it_is_read_has_an_outcome(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    images = source(tmp_path)
    (item,) = images.items()
    (tmp_path / "a").unlink()
    assert outcome(images, item) == ("failed", "cannot be read: No such file or directory")


def test_it_lists_on_after_what_is_gone(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    (tmp_path / "b").unlink()
    assert [item.key for item in source(tmp_path).items(after="b")] == ["c"]


@given(st.sets(st.text("ab-./0é", min_size=1, max_size=8).map(lambda text: text.strip("/."))))
def test_order_and_resumption_are_those_of_whole_keys(
    tmp_path_factory: pytest.TempPathFactory, names: set[str]
) -> None:
    root = tmp_path_factory.mktemp("walk")
    for name in names - {""}:
        path = root / name
        if ".." in path.parts:
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError:  # a name that is a folder's as well
            continue
    files = (os.fsencode(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    expected = sorted(files)
    assert [key for key, _ in walk(str(root))] == expected
    for number, key in enumerate(expected):
        assert [key for key, _ in walk(str(root), key)] == expected[number + 1 :]
