"""Whoever watches a store is handed every version that can be used, and hears of every other."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
from contextlib import contextmanager
from datetime import timedelta
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
import processes
from hashmatch.store.signing import save_pair
from list_stores import KEY, NOW, TRUST, make, open_store, page, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

ALL = ("size-change", "bad-rows")
WAIT = 120
"""Seconds after which a test is given up."""
CHANGE = """
import sys
import hashmatch as hm
from hashmatch.store.signing import load_private
store, key, act, path = sys.argv[1:]
signer = load_private(key) if key else None
if act == "sign":
    hm.ListStore(store).sign(signer)
else:
    act = getattr(hm.ListStore(store, unsigned=True), act)
    act([path], hm.Change(signer=signer, accept=["size-change"]))
"""

Heard = Queue[tuple[str, Any]]


@contextmanager
def watching(
    store: hm.ListStore, change: Callable[[Any], object] | None = None
) -> Iterator[tuple[Heard, threading.Thread]]:
    """Watch a store in a thread; what is handed over comes through a queue."""
    heard: Heard = Queue()
    stop = threading.Event()

    def on_change(lists: tuple[hm.HashList, ...]) -> None:
        if change is not None:
            change(lists)
        heard.put(("lists", lists))

    thread = threading.Thread(
        target=hm.watch,
        args=(store, on_change),
        kwargs={
            "on_error": lambda error: heard.put(("error", error)), "interval": 0.01, "stop": stop
        },
        daemon=True,
    )  # fmt: skip
    thread.start()
    try:
        yield heard, thread
    finally:
        stop.set()
        thread.join(WAIT)
    assert not thread.is_alive()
    while not heard.empty():
        kind, what = heard.get()
        assert kind == "error", what


def version(heard: Heard) -> str:
    """The version that is handed over next, whatever errors there are before it."""
    while (event := heard.get(timeout=WAIT))[0] == "error":
        pass
    (number,) = {known.version for known in event[1]}
    return str(number)


def error(heard: Heard, said: str) -> Exception:
    """The next error that says so; no version is handed over before it."""
    while True:
        kind, what = heard.get(timeout=WAIT)
        assert kind == "error", what
        if said in f"{type(what).__name__}: {what}":
            assert isinstance(what, Exception)
            return what


def in_another_process(store: Path, act: str, key: Path | str = "", path: str = "") -> None:
    processes.run([sys.executable, "-c", CHANGE, store, key, act, path])


def test_versions_of_other_processes_are_handed_over_as_soon_as_they_can_be_trusted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hashmatch")
    place, key = tmp_path / "store", tmp_path / "k.key"
    save_pair(str(tmp_path / "k"), KEY)
    store = hm.ListStore(place, trust=TRUST)
    first, second, third = (
        page(tmp_path, rows(3, seed=n, name=f"{n}-"), f"{n}.jsonl") for n in range(3)
    )
    with watching(store) as (heard, _):
        error(heard, "no list store")
        in_another_process(place, "import_files", key, first)
        assert version(heard) == "1"
        in_another_process(place, "update_files", key, second)
        assert version(heard) == "2"

        in_another_process(place, "update_files", "", third)
        error(
            heard,
            "version 3 is not used: cannot trust the list: its signature by a trusted key "
            "is needed",
        )
        in_another_process(place, "sign", key)
        assert version(heard) == "3"
    assert store.latest_version() == 3
    said = [record.getMessage() for record in caplog.records if record.name == "hashmatch.store"]
    assert "list store, version 3, is loaded: 9 pdq entries; 0 rows were rejected" in said
    assert any("no newer version is in use: version 3 is not used" in text for text in said)


def test_a_damaged_version_is_handed_over_when_it_is_restored(tmp_path: Path) -> None:
    make(tmp_path, rows(3))
    shutil.copytree(tmp_path / "store", tmp_path / "other")
    store, other = (open_store(tmp_path / name) for name in ("store", "other"))
    other.update_files(
        [page(tmp_path, rows(2, seed=2, name="m"))], hm.Change(signer=KEY, accept=ALL)
    )
    names = [file.sha256 for file in other.folder.manifest(2)[1].files]
    with watching(store) as (heard, _):
        assert version(heard) == "1"
        for name in names:
            data = (tmp_path / "other/files" / name).read_bytes()
            (tmp_path / "new").touch(0o600)
            (tmp_path / "new").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            os.rename(tmp_path / "new", tmp_path / "store/files" / name)
        for name in ("00000002.sig", "00000002.json"):
            os.rename(tmp_path / "other/versions" / name, tmp_path / "store/versions" / name)
        error(heard, "is damaged: it is not what its manifest says")
        for name in names:
            os.rename(tmp_path / "other/files" / name, tmp_path / "store/files" / name)
        assert version(heard) == "2"


def test_a_version_in_use_that_is_damaged_later_stays_in_use(tmp_path: Path) -> None:
    store = make(tmp_path, rows(3), rows(5, name="m"), accept=ALL)
    with watching(store) as (heard, _):
        assert version(heard) == "2"
        (tmp_path / "damaged").touch(0o600)
        for file in store.folder.manifest(2)[1].files:
            shutil.copy(tmp_path / "damaged", tmp_path / "copy")
            os.rename(tmp_path / "copy", tmp_path / "store/files" / file.sha256)
        error(heard, "version 2 is not used")


def test_what_a_callback_raises_is_handed_over_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = make(tmp_path, rows(3))
    calls = 0

    def fail_once(lists: tuple[hm.HashList, ...]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise MemoryError(lists[0].hashes.to_hex()[0])

    with watching(store, fail_once) as (heard, _):
        assert isinstance(error(heard, "MemoryError"), MemoryError)
        assert version(heard) == "1"  # nothing in the store has changed
    assert "no newer version is in use: MemoryError" in caplog.text
    assert store.open()[0].hashes.to_hex()[0] not in caplog.text


class Clocked(hm.ListStore):
    """A store whose time is told."""

    time = NOW

    @property
    def now(self) -> datetime:
        return self.time


def test_a_list_that_expires_while_it_is_in_use_is_told_of(tmp_path: Path) -> None:
    make(tmp_path, rows(3), expires_in=timedelta(days=30))
    store = Clocked(tmp_path / "store", trust=TRUST)
    with watching(store) as (heard, _):
        assert version(heard) == "1"
        store.time = NOW + timedelta(days=40)
        error(heard, "the list has expired at 2026-01-31 00:00 UTC")


def nobody(lists: tuple[hm.HashList, ...]) -> None:
    pytest.fail(f"{lists} is handed over")


def test_it_ends_when_it_is_stopped_and_when_nobody_can_be_told(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    hm.watch(open_store(tmp_path / "none"), nobody, stop=stop)

    def tell(error: Exception) -> None:
        raise error

    with pytest.raises(hm.StoreError, match="no list store"):
        hm.watch(open_store(tmp_path / "none"), nobody, on_error=tell)


def test_the_latest_version_is_told_by_names_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make(tmp_path, rows(3), rows(3, name="m"), accept=ALL)
    monkeypatch.setattr(os, "open", pytest.fail)
    assert store.latest_version() == 2
    monkeypatch.undo()
    with pytest.raises(hm.StoreError, match="no list store"):
        open_store(tmp_path / "none").latest_version()
