"""A bit that changed, a file that was cut off: it is named, and the last good version answers.

In the store are two versions written whole, and a third that shares its files with the second.
"""

from __future__ import annotations

import os
import random
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from hashmatch.store.encryption import ListKey
from hashmatch.testing import random_hashes
from list_stores import (
    KEY,
    PDQ,
    answers,
    files,
    ids,
    lower_sharing,
    open_store,
    page,
    rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEALING = ListKey(bytes(range(32)))
QUERIES = random_hashes(PDQ, 26, seed=1)


class Pristine:
    """A store that trials are made with copies of, and what each of its versions answers."""

    def __init__(self, folder: Path, key: ListKey | None) -> None:
        self.folder, self.key = folder, key
        listed = rows(26)
        for row in listed[::3]:
            del row["id"]  # named by a reference, which needs the secret
        parts = listed[:20], listed[4:24], listed[25:]
        self.expected: dict[str, list[tuple[str, ...]]] = {}
        store = open_store(folder / "store", key=key)
        for number, part in enumerate(parts):
            act = store.import_files if number < 2 else store.update_files
            act([page(folder, part)], hm.Change(signer=KEY))
            (known,) = store.open()
            self.expected[known.version] = answers(store, QUERIES)
        self.files = list(files(store))
        assert len({str(answer) for answer in self.expected.values()}) == 3

    @contextmanager
    def copied(self) -> Iterator[hm.ListStore]:
        target = self.folder / "trial"
        shutil.copytree(self.folder / "store", target)
        try:
            yield open_store(target, key=self.key)
        finally:
            shutil.rmtree(target)


@pytest.fixture(scope="module", params=["clear", "encrypted"])
def pristine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pristine:
    with pytest.MonkeyPatch.context() as patch:
        lower_sharing(patch)
        key = SEALING if request.param == "encrypted" else None
        return Pristine(tmp_path_factory.mktemp("damage"), key)


def flip(data: bytearray, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    data[place] ^= 1 << rng.randrange(8)
    return bytes(data)


def cut(data: bytearray, rng: random.Random) -> bytes:
    return bytes(data[: rng.randrange(len(data))])


def damaged(
    pristine: Pristine, how: Callable[[bytearray, random.Random], bytes], count: int, seed: int
) -> dict[str, int]:
    """Damage a file of a copy, `count` times, and return how often which version served."""
    rng = random.Random(seed)
    served: dict[str, int] = {}
    for trial in range(count):
        name = pristine.files[trial % len(pristine.files)]
        with pristine.copied() as store:
            relative = os.path.relpath(name, pristine.folder / "store")
            path = Path(store.path, relative)
            path.write_bytes(how(bytearray(path.read_bytes()), rng))
            (known,) = store.open()
            assert answers(store, QUERIES) == pristine.expected[known.version], relative
            checked = dict(store.verify())
            found = [problem for problems in checked.values() for problem in problems]
            if relative.startswith("versions"):
                assert checked[int(path.stem)], relative
            elif relative == "marks.json":  # mended when it was opened
                assert relative in known.problems[0]
            else:
                assert any(path.name in problem for problem in found), relative
            serving = str(max(pristine.expected))
            assert known.version == serving or known.problems
            assert all("\n" not in problem for problem in [*found, *known.problems])
            served[known.version] = served.get(known.version, 0) + 1
    return served


def test_flipped_bits(pristine: Pristine) -> None:
    served = damaged(pristine, flip, 150, seed=1)
    assert served.keys() >= {"2", "3"}


def test_truncations(pristine: Pristine) -> None:
    assert damaged(pristine, cut, 50, seed=2).keys() >= {"2", "3"}


@pytest.mark.slow
def test_a_thousand_flipped_bits_and_two_hundred_truncations(pristine: Pristine) -> None:
    damaged(pristine, flip, 1000, seed=3)
    damaged(pristine, cut, 200, seed=4)


def test_missing_files(pristine: Pristine) -> None:
    for name in pristine.files:
        with pristine.copied() as store:
            relative = os.path.relpath(name, pristine.folder / "store")
            Path(store.path, relative).unlink()
            if relative == os.path.join("versions", "00000003.json"):
                with pytest.raises(hm.UntrustedList, match="older than version 3"):
                    store.open()  # as if the folder were put back
                continue
            (known,) = store.open()
            assert answers(store, QUERIES) == pristine.expected[known.version], relative
            if "versions" not in relative and relative != "marks.json":
                found = [problem for _, problems in store.verify() for problem in problems]
                assert any(os.path.basename(relative) in problem for problem in found), relative


def test_an_update_mends_what_has_a_copy(
    pristine: Pristine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower_sharing(monkeypatch)
    with pristine.copied() as store:
        shared = sorted(os.listdir(store.folder.inside("copies")))
        for name in shared:
            folder = "files" if name != "secret.key" else "."
            path = Path(store.folder.inside(folder, name))
            path.write_bytes(flip(bytearray(path.read_bytes()), random.Random(1)))
        (known,) = store.open()
        assert known.version == "3"
        assert len(known.problems) >= 3
        store.update_files([page(tmp_path, rows(1, seed=9, name="new"))], hm.Change(signer=KEY))
        (known,) = store.open()
        assert (known.version, known.problems) == ("4", ())
        assert dict(store.verify())[4] == []


def test_what_is_damaged_in_every_version_is_refused(pristine: Pristine) -> None:
    with pristine.copied() as store:
        for path in (store.folder.inside("secret.key"), store.folder.inside("copies/secret.key")):
            Path(path).write_bytes(b"x" * 48)
        with pytest.raises(hm.StoreError, match=r"secret.key: it is damaged.*restore one"):
            store.open()
        assert "damaged" in str(next(store.verify()))
    with pristine.copied() as store:
        for version in (1, 2, 3):
            Path(store.folder.inside("versions", f"{version:08}.json")).write_bytes(b"{}")
        with pytest.raises(
            hm.StoreError, match=r"version 3 is not used: .*; version 2 is not used"
        ):
            store.open()


def test_an_import_over_damage_has_to_be_accepted(pristine: Pristine, tmp_path: Path) -> None:
    with pristine.copied() as store:
        for version in (1, 2, 3):
            Path(store.folder.inside("versions", f"{version:08}.json")).write_bytes(b"{}")
        given = [page(tmp_path, rows(3))]
        with pytest.raises(hm.StoreError, match="accept damage"):
            store.import_files(given, hm.Change(signer=KEY))
        if pristine.key is None:
            made = store.import_files(given, hm.Change(signer=KEY, accept=["damage"]))
            assert made.problems
            assert ids(store) == {"n0", "n1", "n2"}
    with pristine.copied() as store:
        Path(store.folder.inside("versions", "00000003.sig")).unlink()
        given = [page(tmp_path, rows(3, seed=8, name="m"))]
        with pytest.raises(hm.StoreError, match=r"it would be made from version 2. .* damage"):
            store.update_files(given, hm.Change(signer=KEY))
        change: dict[str, Any] = {"accept": ["damage"]}
        made = store.update_files(given, hm.Change(signer=KEY, **change))
        assert (made.manifest.version, made.manifest.base) == (4, 2)


def test_a_damaged_manifest_costs_no_file_of_another_version(
    pristine: Pristine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower_sharing(monkeypatch)
    with pristine.copied() as store:
        path = Path(store.folder.inside("versions", "00000001.json"))
        good = path.read_bytes()
        path.write_bytes(b"{")
        Path(store.folder.inside("files", "new-left-over")).write_bytes(b"x")
        store.update_files([page(tmp_path, rows(1, seed=9, name="new"))], hm.Change(signer=KEY))
        assert not Path(store.folder.inside("files", "new-left-over")).exists()
        path.write_bytes(good)
        assert dict(store.verify()) == {4: [], 3: [], 2: [], 1: []}
