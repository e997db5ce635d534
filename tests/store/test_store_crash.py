"""A change that dies, or meets another or a full disk, costs nothing: the last version serves."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
import processes
from conftest import ROOT
from list_stores import KEY, ids, make, open_store, page, rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNNER = str(ROOT / "tests" / "crash_stores.py")


def killed(folder: Path, how: str, when: str, trials: int) -> str:
    """Run `crash_stores`, which checks by itself; return what it says at its end."""
    command = [sys.executable, RUNNER, str(folder), how, when, str(trials)]
    done = processes.run(command, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return str(done.stdout)


@pytest.mark.parametrize("how", ["import", "update", "rewrite"])
def test_killed_before_each_call_that_changes_the_disk(tmp_path: Path, how: str) -> None:
    count = int(killed(tmp_path, how, "everywhere", 400).split()[0])
    assert count > 20


@pytest.mark.slow
@pytest.mark.parametrize("how", ["import", "update", "rewrite"])
def test_killed_at_random(tmp_path: Path, how: str) -> None:
    assert killed(tmp_path, how, "0.05", 20).startswith("20 ")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["import", "update", "rewrite"])
def test_killed_at_random_many_times(tmp_path: Path, how: str) -> None:
    assert killed(tmp_path, how, "0.05", 500).startswith("500 ")


def test_two_at_once(tmp_path: Path) -> None:
    store = make(tmp_path, rows(20))
    given = page(tmp_path, rows(1, seed=3, name="more"))
    with store.folder.locked():
        for act in (store.import_files, store.update_files):
            with pytest.raises(hm.StoreError, match="another process is changing it"):
                act([given], hm.Change(signer=KEY))
        with pytest.raises(hm.StoreError, match="another process is changing it"):
            store.sign(KEY)
        assert len(ids(open_store(store.path))) == 20


def test_many_at_once(tmp_path: Path) -> None:
    make(tmp_path, rows(40))
    pages = [page(tmp_path, rows(1, seed=n, name=f"{n}-"), f"{n}.jsonl") for n in range(8)]

    def add(path: str) -> bool:
        try:
            open_store(tmp_path / "store").update_files([path], hm.Change(signer=KEY))
        except hm.StoreError as error:
            if "another process is changing it" not in str(error):
                raise
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        added = sum(pool.map(add, pages))
    store = open_store(tmp_path / "store")
    assert 1 <= added <= 8
    assert len(ids(store)) == 40 + added
    assert store.folder.versions()[0] == 1 + added
    assert not any(problems for _, problems in store.verify())


def test_opening_while_versions_come_and_go(tmp_path: Path) -> None:
    store = make(tmp_path, rows(40))
    done = Event()

    def read() -> list[int]:
        seen = []
        while not done.is_set():
            (known,) = open_store(store.path).open()
            assert known.problems == ()
            assert len(known.hashes) == len(known) == 39 + int(known.version)
            seen.append(int(known.version))
        return seen

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for number in range(15):
            given = page(tmp_path, rows(1, seed=90 + number, name=f"{number}-"))
            store.update_files([given], hm.Change(signer=KEY, keep=timedelta(0)))
        done.set()
        for reader in readers:
            seen = reader.result()
            assert seen == sorted(seen)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 KB, where one can be mounted."""
    place = tmp_path / "disk"
    place.mkdir(mode=0o700)
    command = ["mount", "-t", "tmpfs", "-o", "size=400k,mode=700", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    store = open_store(small_disk / "store")
    store.import_files([page(tmp_path, rows(100))], hm.Change(signer=KEY))
    store.open()
    larger = [page(tmp_path, rows(4000))]
    for act in (store.import_files, store.update_files):
        with pytest.raises(hm.StoreError, match="No space left on device"):
            act(larger, hm.Change(signer=KEY, accept=["size-change"]))
    assert len(ids(store)) == 100
    assert not any(problems for _, problems in store.verify())
    assert len(os.listdir(store.folder.inside("files"))) == 3
    store.update_files([page(tmp_path, rows(3, seed=2, name="m"))], hm.Change(signer=KEY))
    assert len(ids(store)) == 103
    # So full that not even a mark can be written: it serves, and says so.
    with pytest.raises(OSError, match="No space"):
        (small_disk / "rest").write_bytes(bytes(1 << 19))
    (known,) = store.open()
    assert len(known) == 103
    with pytest.raises(hm.StoreError, match="No space left on device"):
        store.update_files([page(tmp_path, rows(1, seed=5, name="o"))], hm.Change(signer=KEY))
    assert len(ids(store)) == 103
