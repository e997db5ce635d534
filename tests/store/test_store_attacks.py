"""The attacks that The Update Framework names, on a client made of the store's parts alone.

From "Goals to protect against specific attacks" of its specification. Those on a download have no
place here: slow retrieval, malicious mirrors, and dependencies that nobody asked for.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hashmatch._files import atomic, private
from hashmatch._files.private import Digest
from hashmatch.errors import StoreError, UntrustedList
from hashmatch.store import rollback, signing
from hashmatch.store.encryption import ListKey, decrypt, encrypt
from hashmatch.store.manifest import LARGEST, Manifest, StoredFile, decode, encode
from hashmatch.store.signing import PrivateKey, check_fresh

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LIST_KEY = ListKey(bytes(32))


def key(number: int) -> PrivateKey:
    return PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32))


class Store:
    """A folder with versions of one file each, and what its user trusts."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.marks = rollback.place(self.folder)
        self.trusted = [key(1).public]
        self.needed = 1
        for name in ("", "versions", "files"):
            atomic.make_folder(os.path.join(self.folder, name))

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def write(self, version: int, *signers: int, data: bytes = b"", **changes: Any) -> None:
        made = encrypt(self.path("files/new"), [data or b"%d" % version], LIST_KEY)
        os.replace(self.path("files/new"), self.path(f"files/{made.sha256}"))
        described: dict[str, Any] = {
            "name": "demo",
            "version": version,
            "created": NOW,
            "expires": NOW + timedelta(days=30),
            "hashmatch": "0.1.0",
            "encrypted": True,
            "files": (StoredFile(role="index", sha256=made.sha256, bytes=made.bytes),),
        }
        text = encode(Manifest(**(described | changes)))
        signed = [signing.sign(text, key(number)) for number in signers]
        atomic.write(self.path(f"versions/{version}.sig"), signing.encode(signed))
        atomic.write(self.path(f"versions/{version}.json"), text)

    def use(self, version: int, now: datetime = NOW) -> bytes:
        """Return what the version holds, once everything says that it may be used."""
        path = self.path(f"versions/{version}.json")
        text = private.read(path, LARGEST)
        signed = private.read(self.path(f"versions/{version}.sig"), signing.LARGEST_SIGNATURE)
        verified = signing.verify(text, signing.decode(path, signed), self.trusted, self.needed)
        manifest = decode(path, text, version, "demo")
        known = rollback.read(self.marks)
        rollback.check(known, version, verified)
        check_fresh(known, manifest.expires, now=now)
        (stored,) = manifest.files
        place = self.path(f"files/{stored.sha256}")
        with private.opened(place) as file:
            if private.digest(place, file) != Digest(stored.sha256, stored.bytes):
                raise StoreError(f"{place} is damaged")
            data = b"".join(decrypt(place, file, LIST_KEY))
        rollback.advance(self.marks, version, [one.key_id for one in self.trusted], now=now)
        return data


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv(rollback.PLACE, str(tmp_path / "marks"))
    store = Store(tmp_path / "store")
    for version in (1, 2, 3):
        store.write(version, 1)
        assert store.use(version) == b"%d" % version
    return store


def test_arbitrary_content(store: Store) -> None:
    for signers in ((), (2,)):
        store.write(4, *signers, data=b"poison")
        with pytest.raises(UntrustedList, match="none of 1 trusted keys signed it"):
            store.use(4)
    assert store.use(3) == b"3"


def test_rollback(store: Store) -> None:
    with pytest.raises(UntrustedList, match="older than version 3"):
        store.use(2)
    os.remove(store.path("versions/3.json"))
    with pytest.raises(UntrustedList, match="older than version 3"):
        store.use(2)


def test_an_old_version_under_a_new_number(store: Store) -> None:
    for ending in ("json", "sig"):
        with open(store.path(f"versions/1.{ending}"), "rb") as file:
            atomic.write(store.path(f"versions/4.{ending}"), file.read())
    with pytest.raises(StoreError, match="of version 1, in the place of version 4"):
        store.use(4)


def test_indefinite_freeze(store: Store) -> None:
    assert store.use(3, NOW + timedelta(days=35)) == b"3"
    with pytest.raises(UntrustedList, match="has expired"):
        store.use(3, NOW + timedelta(days=38))
    rollback.advance(store.marks, 3, [], now=NOW + timedelta(days=38))
    with pytest.raises(UntrustedList, match="the clock is behind"):
        store.use(3, NOW)


def test_fast_forward(store: Store) -> None:
    store.write(90_000_000, 1)
    with pytest.raises(UntrustedList, match="is more than 1,000,000 ahead of version 3"):
        store.use(90_000_000)
    store.write(900_000, 1)
    store.use(900_000)  # as far as a stolen key gets
    store.trusted = [key(2).public]
    store.write(4, 2)
    assert store.use(4) == b"4"
    with pytest.raises(UntrustedList, match="none of 1 trusted keys"):
        store.use(900_000)


def test_mix_and_match(store: Store) -> None:
    """The signature of one version over another, and the file of one in the place of another's."""
    store.write(4, 1)
    with open(store.path("versions/3.sig"), "rb") as file:
        atomic.write(store.path("versions/4.sig"), file.read())
    with pytest.raises(UntrustedList, match="is not over it"):
        store.use(4)
    store.write(4, 1)
    names = {
        version: decode("m", private.read(store.path(f"versions/{version}.json"), LARGEST))
        .files[0]
        .sha256
        for version in (3, 4)
    }
    os.replace(store.path(f"files/{names[3]}"), store.path(f"files/{names[4]}"))
    with pytest.raises(StoreError, match="is damaged"):
        store.use(4)


def test_endless_data(store: Store) -> None:
    for name in ("versions/3.sig", "versions/3.json"):
        os.truncate(store.path(name), 1 << 40)  # no blocks on the disk, and no memory
        with pytest.raises(StoreError, match="has more than"):
            store.use(3)


def test_another_list_of_the_same_owner(store: Store) -> None:
    store.write(4, 1, name="staging")
    with pytest.raises(StoreError, match="the manifest of another list"):
        store.use(4)


def test_key_compromise(store: Store) -> None:
    """One stolen key of two that are needed signs nothing."""
    store.trusted, store.needed = [key(1).public, key(2).public, key(3).public], 2
    store.write(4, 1, data=b"poison")
    with pytest.raises(UntrustedList, match="2 signatures are needed, and 1 of 3 trusted keys"):
        store.use(4)
    store.write(4, 2, 3)
    assert store.use(4) == b"4"


def test_the_whole_folder_put_back(store: Store) -> None:
    """Marks inside of the folder would have gone back with it."""
    assert not rollback.place(store.folder).startswith(store.folder)
    for version in (2, 3):
        for ending in ("json", "sig"):
            os.remove(store.path(f"versions/{version}.{ending}"))
    with pytest.raises(UntrustedList, match="older than version 3"):
        store.use(1)
