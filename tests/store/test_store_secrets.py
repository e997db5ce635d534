"""An encrypted store never has anything of its list in the clear on the disk, at no moment."""

from __future__ import annotations

import logging
import os
import pickle
import traceback
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from crash_stores import CALLS
from hashmatch.store import reference_key
from hashmatch.store.encryption import ListKey
from hashmatch.testing import random_hashes
from list_stores import KEY, PDQ, answers, ids, lower_sharing, make, open_store, page, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SEALING = ListKey(bytes(range(32)))
OTHER = ListKey(bytes(range(1, 33)))


def forms(texts: Iterable[str]) -> list[bytes]:
    """The beginning of each hash as it may be on a disk: raw, swapped, hex in either case."""
    found = []
    for text in texts:
        raw = bytes.fromhex(text)
        found += [raw[:8], raw[:8][::-1], text[:16].encode(), text[:16].upper().encode()]
    return found


def everything(folder: Path) -> bytes:
    """All bytes of all files, and their names."""
    parts = []
    for place, _, names in os.walk(folder):
        for name in names:
            parts += [name.encode(), Path(place, name).read_bytes()]
    return b"\0".join(parts)


def watch(patch: pytest.MonkeyPatch, look: Callable[[], None]) -> None:
    """Have `look` called before each call that changes something on the disk."""

    def watching(function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            look()
            return function(*args, **options)

        return call

    for name in CALLS:
        patch.setattr(os, name, watching(getattr(os, name)))


@pytest.mark.parametrize("sharing", [True, False])
def test_nothing_is_ever_in_the_clear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sharing: bool
) -> None:
    if sharing:
        lower_sharing(monkeypatch)
    places = tmp_path / "watched"
    (places / "tmp").mkdir(parents=True)
    for name in ("TMPDIR", "TMP", "TEMP"):
        monkeypatch.setenv(name, str(places / "tmp"))
    monkeypatch.chdir(places / "tmp")
    listed = rows(40) + rows(2, seed=5, name="new")
    for row in listed[::4]:
        del row["id"]
    gone = {"hash": listed[4]["hash"], "algorithm": "pdq", "status": "deleted"}
    wanted = [*forms(row["hash"] for row in listed), b"new1"]
    looked = 0

    def look() -> None:
        nonlocal looked
        looked += 1
        data = everything(places)
        assert not [form for form in wanted if form in data]

    store = open_store(places / "store", key=SEALING)
    first, more = page(tmp_path, listed[:40], "1"), page(tmp_path, [*listed[40:], gone], "2")
    with monkeypatch.context() as patch:
        watch(patch, look)
        store.import_files([first], hm.Change(signer=KEY))
        store.open()
        store.update_files([more], hm.Change(signer=KEY))
        found = answers(store, random_hashes(PDQ, 40, seed=1))
        store.sign(KEY)
        assert not any(problems for _, problems in store.verify())
    look()
    assert looked > 30
    assert len([one for one in found if one]) == 39
    secret = reference_key.read(store.folder, SEALING, [])
    assert secret not in everything(places)
    open_store(tmp_path / "clear").import_files([first], hm.Change(signer=KEY))
    data = everything(tmp_path / "clear")  # what is looked for would be found
    assert any(form in data for form in wanted)


@pytest.mark.parametrize(
    ("key", "message"), [(None, "it is encrypted. Give the key"), (OTHER, "and given is")]
)
def test_without_the_key(tmp_path: Path, key: ListKey | None, message: str) -> None:
    make(tmp_path, rows(10), key=SEALING)
    store = open_store(tmp_path / "store", key=key)
    given = [page(tmp_path, rows(10))]
    for act in (
        store.open,
        lambda: store.sign(KEY),
        lambda: store.import_files(given, hm.Change(signer=KEY)),
        lambda: store.update_files(given, hm.Change(signer=KEY)),
    ):
        with pytest.raises(hm.StoreError, match=message):
            act()
    assert message in " ".join(next(store.verify())[1])
    assert ids(open_store(tmp_path / "store", key=SEALING)) == {f"n{n}" for n in range(10)}


def test_encryption_can_begin_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lower_sharing(monkeypatch)
    listed = rows(20)
    del listed[0]["id"]
    store = make(tmp_path, listed)
    before = answers(store, random_hashes(PDQ, 20, seed=1))
    store = open_store(store.path, key=SEALING)
    more = page(tmp_path, rows(1, seed=9, name="new"))
    for _ in range(2):
        store.update_files([more], hm.Change(signer=KEY, keep=timedelta(0)))
    assert answers(store, random_hashes(PDQ, 20, seed=1)) == before  # references too
    assert before[0][0].startswith("ref:")
    assert store.latest()[0].manifest.encrypted
    store.update_files([more], hm.Change(signer=KEY, keep=timedelta(0)))
    data = everything(Path(store.path))
    assert not [form for form in forms(row["hash"] for row in listed) if form in data]


def test_a_store_shows_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    listed = rows(10)
    store = make(tmp_path, listed)
    (known,) = store.open()
    opened, _ = store.latest()
    values = forms(row["hash"] for row in listed)
    shown: list[Any] = [store, known, known.hashes, known.entries, known.index, opened,
                        opened.kinds, known.own_key, caplog.text]  # fmt: skip
    for thing in shown:
        for text in (repr(thing), str(thing)):
            assert not [form for form in values if form in text.encode(errors="replace")]
    secret = reference_key.read(store.folder, None, [])
    assert repr(secret) not in repr([store, known, vars(store)])
    for thing in (store, known):
        with pytest.raises(hm.UsageError):
            pickle.dumps(thing)
    Path(store.folder.inside("versions", "00000001.sig")).write_bytes(b"[]")
    try:
        store.open()
    except hm.StoreError as error:
        told = "".join(traceback.format_exception(error))
        assert not [form for form in values if form in told.encode()]
