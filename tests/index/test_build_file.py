"""An index built in its file is the one that is built in memory and saved, to the byte."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

import hashmatch as hm
from hashmatch._files import block_writer
from hashmatch.errors import IndexFileError, UsageError
from hashmatch.index import segment
from hashmatch.records.entries import Entry
from hashmatch.records.hash_list import HashList
from hashmatch.testing import random_hashes
from index_answers import WIDTHS, batch_of, found, pretended

if TYPE_CHECKING:
    from pathlib import Path


def assert_same(
    folder: Path, hashes: hm.HashBatch | hm.HashList, limit: int | None, name: str = "state"
) -> None:
    built, saved = folder / "built.index", folder / "saved.index"
    hm.HashIndex.build_file(built, hashes, limit, name)
    hm.HashIndex.build(hashes, limit, name).save(saved)
    assert built.read_bytes() == saved.read_bytes()
    assert built.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(folder)) == ["built.index", "saved.index"]
    one, other = hm.HashIndex.open(built), hm.HashIndex.open(saved)
    assert (len(one), one.max_distance, one.snapshot) == (len(other), other.max_distance, name)


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("bits", WIDTHS)
def test_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int, limited: bool
) -> None:
    monkeypatch.setattr(segment, "plan", pretended)
    monkeypatch.setattr(segment, "AT_ONCE", 32)
    monkeypatch.setattr(block_writer, "CHUNK", 4096)
    limit = bits // 8 - 1 if limited else None
    for size in (0, 1, 2, 33, 128, 300):
        hashes = random_hashes(hm.HashSpec("any", bits), size, seed=size)
        assert_same(tmp_path, hashes, limit)
    queries = hashes[:3]
    opened = hm.HashIndex.open(tmp_path / "built.index")
    assert found(opened, queries, 5) == found(hm.HashIndex.build(hashes, limit), queries, 5)


@pytest.mark.parametrize("name", ["state", "a long name " * 1000])
def test_lists_with_limits_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(segment, "plan", pretended)
    hashes = random_hashes(hm.HashSpec("any", 256), 200, seed=5)
    entries = tuple(
        Entry(str(row), max_distance=None if row % 3 == 0 else row % 40) for row in range(200)
    )
    for most in (None, 3):
        known = HashList("demo", "1", hashes.spec, hashes, entries, max_distance=most)
        assert_same(tmp_path, known, 31, name)


def test_what_was_there_stays_if_building_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, hashes = tmp_path / "an.index", batch_of([1, 2, 3], 64)
    hm.HashIndex.build_file(path, hashes, 3)
    before = path.read_bytes()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    for call in ("posix_fallocate", "pwrite", "fsync", "replace", "ftruncate"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            with pytest.raises(IndexFileError, match=r"cannot write .*an.index: No space"):
                hm.HashIndex.build_file(path, hashes, 3)
        assert os.listdir(tmp_path) == ["an.index"]
        assert path.read_bytes() == before
    with pytest.raises(UsageError):
        hm.HashIndex.build_file(path, hashes, 65)
    with pytest.raises(UsageError, match="too long"):
        hm.HashIndex.build_file(path, random_hashes(hm.HashSpec("any", 2**15), 1, seed=1))
    with pytest.raises(IndexFileError, match="null"):
        hm.HashIndex.build_file("a\0b", hashes)
    assert path.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="files in memory are Linux's")
def test_an_index_in_a_sealed_file_in_memory(tmp_path: Path) -> None:
    import fcntl

    hashes = random_hashes(hm.HashSpec("any", 256), 300, seed=1)
    hm.HashIndex.build_file(tmp_path / "an.index", hashes, 31)
    file = os.memfd_create("an.index", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    try:
        os.write(file, (tmp_path / "an.index").read_bytes())
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
        path = f"/proc/self/fd/{file}"
        indexes = [hm.HashIndex.open(path) for _ in range(3)]
    finally:
        os.close(file)
    for index in indexes:  # each keeps a descriptor of its own
        assert found(index, hashes[:5], 0) == [(row, row, 0) for row in range(5)]
        assert index.path == path
        later = index.with_changes(hashes[:1], [0])
        assert found(later, hashes[:1], 0) == [(0, 300, 0)]
    assert sys.platform == "linux"
    assert not np.any(indexes[0].search(hashes[:5], 0).distance)
