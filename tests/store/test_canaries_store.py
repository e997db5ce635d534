"""No hash of a list is seen beside the files that are there to hold it, in a store or on screen."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from canaries import all_canaries, told
from canary_lists import FILES, with_canaries
from canary_objects import found_again, of_ours, shown
from cli_tools import IMAGES
from forced_errors import failures
from hashmatch.store.diff import difference
from hashmatch.store.encryption import ListKey
from hashmatch.store.importer import ACCEPTABLE
from hashmatch.store.signing import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVERYTHING = hm.Change(name="made-up", accept=ACCEPTABLE)
HOLDING = {"files", "copies"}


def silent(output: bytes | str, about: str = "") -> None:
    found = all_canaries().find(output)
    assert not found, f"a hash is shown as {', '.join(found)}: {about}"


@pytest.fixture(autouse=True)
def _no_umask() -> Iterator[None]:
    """Nobody else's rights may come from the umask."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def pages(tmp_path: Path) -> list[str]:
    """Return pages of canaries in every format."""
    folder = tmp_path / "pages"
    folder.mkdir()
    for path in FILES:
        (folder / path.name).write_bytes(with_canaries(path))
    return sorted(str(path) for path in folder.iterdir())


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Watch the folder for temporary files: nothing is ever put there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


def look_at(store: Path, *, holds: bool) -> None:
    """Check that a store is private, and has hashes only where they belong."""
    held = []
    for path in [store, *store.rglob("*")]:
        mode = path.lstat().st_mode
        assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600), path
        silent(str(path))
        if stat.S_ISREG(mode):
            found = all_canaries().find(path.read_bytes())
            if holds and path.parent.name in HOLDING:
                held += found
            else:
                assert not found, path
    assert bool(held) == holds


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_store(encrypted: bool, tmp_path: Path, pages: list[str], temporary: Path) -> None:
    place = tmp_path / "store"
    key = PrivateKey.generate()
    trust = hm.Trust([key.public])
    encryption = ListKey.generate() if encrypted else None
    store = hm.ListStore(place, trust=trust, key=encryption)
    change = hm.Change(name="made-up", accept=ACCEPTABLE, signer=key)
    things: list[Any] = [store, store.import_files(pages[:8], change)]
    look_at(place, holds=not encrypted)
    things += [store.update_files(pages[8:], change), store.sign(PrivateKey.generate())]
    things += [store.open(), store.latest(), list(store.verify())]
    things += difference(store.version(1), store.version(2))
    for known in store.open():
        matcher = hm.Matcher(known, max_distance=known.spec.bits, max_matches=5)
        things += [matcher, *found_again(matcher, known)]
        things += [matcher.check(IMAGES / "plain/tiles.png", surface="public_post")]
    for thing in things:
        for each in of_ours(thing):
            silent(shown(each), type(each).__name__)
    look_at(place, holds=not encrypted)


@pytest.mark.slow
def test_a_store_that_fails_anywhere(tmp_path: Path, pages: list[str], temporary: Path) -> None:
    few = [page for page in pages if "demo.jsonl" in page or "ncmec" in page]
    count = 0

    def use() -> None:
        nonlocal count
        count += 1
        store = hm.ListStore(tmp_path / f"store-{count}")
        store.import_files(few[:2], EVERYTHING)
        store.update_files(few[2:], EVERYTHING)
        list(store.verify())
        for known in store.open():
            found_again(hm.Matcher(known), known)
        difference(store.version(1), store.version(2))

    for where, error in failures(use):
        silent(told(error), where)
        look_into_all(tmp_path / f"store-{count}")
    assert count > 200


def look_into_all(store: Path) -> None:
    for path in store.rglob("*"):
        mode = path.lstat().st_mode
        assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600), path
