"""Where everything in a list store is; it holds one list.

::

    STORE/                    0700
      versions/00000017.json  the manifest of version 17, written last: what it names is there
      versions/00000017.sig   signatures over exactly those bytes
      files/<sha256>          what manifests name, by its content; versions share them
      copies/<sha256>         the same again, of files that versions share: if one is damaged
      marks.json              the highest version used, see `hashmatch.store.marks`
      secret.key              32 random bytes that keyed references are made with
      lock                    held while a version is made
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hashmatch.errors import StoreError
from hashmatch.store import manifest as manifests
from hashmatch.store import private, signatures, whole
from hashmatch.store.private import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hashmatch.store.manifest import Manifest, StoredFile
    from hashmatch.store.signatures import Signature

MANIFEST = re.compile(r"([0-9]{8})\.json")
FOLDERS = "versions", "files", "copies"
SECRET = 32
"""Bytes."""


class Folder:
    """The folder of a list store.

    Parameters
    ----------
    path : str
    allow_readable : bool
        Whether others may read it.
    """

    def __init__(self, path: str, *, allow_readable: bool = False) -> None:
        self.path = path
        self.allow_readable = allow_readable

    def inside(self, *names: str) -> str:
        """Return the path of something in it."""
        return os.path.join(self.path, *names)

    def make(self) -> None:
        """Make what is not there of it; StoreError if something else is in the way."""
        with suppress(NotADirectoryError, FileNotFoundError):
            strange = set(os.listdir(self.path)) - {
                *FOLDERS, "marks.json", "marks.json.lock", "secret.key", "lock",
            }  # fmt: skip
            if strange:
                raise StoreError(
                    f"{self.path} has other things in it than a list store; give a new folder"
                )
        for folder in (self.path, *map(self.inside, FOLDERS)):
            whole.make_folder(folder, allow_readable=self.allow_readable)
        if not os.path.lexists(self.inside("secret.key")):
            with suppress(StoreError):  # somebody else was first
                whole.write(self.inside("secret.key"), secrets.token_bytes(SECRET), replace=False)

    def check(self) -> None:
        """Refuse what is no list store, or not private."""
        if not os.path.isdir(self.inside("versions")):
            raise StoreError(
                f"{self.path} is no list store; make one with hashmatch list import --store"
            )
        for folder in (self.path, *map(self.inside, FOLDERS)):
            private.check_private(folder, allow_readable=self.allow_readable)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from making a version meanwhile; StoreError if somebody is at it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            lock = os.open(self.inside("lock"), flags, 0o600)
        except OSError as error:
            raise StoreError(f"{self.inside('lock')} cannot be made: {error.strerror}") from None
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise StoreError(
                    f"{self.path} is being changed by another process; try again when it is done"
                ) from None
            yield
        finally:
            os.close(lock)

    def secret(self) -> bytes:
        """Return the key of references."""
        path = self.inside("secret.key")
        data = private.read(path, SECRET, allow_readable=self.allow_readable)
        if len(data) != SECRET:
            raise StoreError(f"{path} is damaged: it has {len(data)} bytes of {SECRET}; restore it")
        return data

    def versions(self) -> list[int]:
        """Return the numbers of all versions that have a manifest, the latest first."""
        try:
            names = os.listdir(self.inside("versions"))
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from None
        found = (MANIFEST.fullmatch(name) for name in names)
        return sorted((int(match[1]) for match in found if match), reverse=True)

    def manifest(self, version: int) -> tuple[bytes, Manifest]:
        """Return the bytes of a version's manifest, and what they say."""
        path = self.inside("versions", f"{version:08}.json")
        data = private.read(path, manifests.LARGEST, allow_readable=self.allow_readable)
        return data, manifests.decode(path, data, version)

    def signatures(self, version: int) -> tuple[Signature, ...]:
        """Return the signatures of a version; none if it has no file of them."""
        path = self.inside("versions", f"{version:08}.sig")
        if not os.path.lexists(path):
            return ()
        data = private.read(path, signatures.LARGEST, allow_readable=self.allow_readable)
        return signatures.decode(path, data)

    def publish(self, manifest: Manifest, signed: Callable[[bytes], Sequence[Signature]]) -> None:
        """Write the manifest of a new version, its signatures first: from now on it is there."""
        data = manifests.encode(manifest)
        self.sign(manifest.version, signed(data))
        path = self.inside("versions", f"{manifest.version:08}.json")
        whole.write(path, data, replace=False)

    def sign(self, version: int, signed: Sequence[Signature]) -> None:
        """Write the signatures of a version, in the place of those that are there."""
        path = self.inside("versions", f"{version:08}.sig")
        if signed:
            whole.write(path, signatures.encode(signed))
        else:
            with suppress(FileNotFoundError):  # of a version that was never finished
                os.unlink(path)

    def add(self, write: Callable[[str], None], *, shared: bool) -> Digest:
        """Put a file among the others, named by what it holds.

        Parameters
        ----------
        write : callable
            Given a path, writes the file there, whole and on the disk.
        shared : bool
            Whether later versions may share it: then it is kept twice.
        """
        path = self.inside("files", f"new-{secrets.token_hex(8)}")
        try:
            write(path)
            with private.opened(path) as file:
                found = private.digest(path, file)
            os.rename(path, self.inside("files", found.sha256))
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise
        if shared:
            source = self.inside("files", found.sha256)
            whole.copy(source, self.inside("copies", found.sha256), found)
        return found

    def find(self, named: StoredFile, problems: list[str]) -> tuple[str, int]:
        """Return the path and a descriptor of a file that is what its manifest says.

        Parameters
        ----------
        named : StoredFile
        problems : list of str
            What is wrong with a file whose copy serves instead is added.

        Raises
        ------
        StoreError
            If there is none that is.
        """
        wrong: list[str] = []
        for path in self._places(named):
            try:
                file = self._sound(path, named)
            except StoreError as error:
                wrong.append(str(error))
                continue
            problems += wrong
            return path, file
        raise StoreError("; ".join(wrong))

    def wrong(self, named: StoredFile) -> list[str]:
        """Return what is wrong with a file and its copy, if anything is."""
        wrong = []
        for path in self._places(named):
            try:
                os.close(self._sound(path, named))
            except StoreError as error:
                wrong.append(str(error))
        return wrong

    def _places(self, named: StoredFile) -> list[str]:
        """Return the path of a file, and that of its copy if it has one."""
        copy = self.inside("copies", named.sha256)
        return [self.inside("files", named.sha256), *([copy] if os.path.lexists(copy) else [])]

    def _sound(self, path: str, named: StoredFile) -> int:
        """Return a descriptor of what is what its manifest says; StoreError if it is not."""
        with private.opened(path, allow_readable=self.allow_readable) as file:
            if private.digest(path, file) != Digest(named.sha256, named.bytes):
                raise StoreError(f"{path} is damaged: it is not what its manifest says")
            return os.dup(file)

    def prune(self, versions: Sequence[int]) -> None:
        """Remove some versions, and then all files that no version names."""
        for version in versions:
            for suffix in ("json", "sig"):
                with suppress(FileNotFoundError):
                    os.unlink(self.inside("versions", f"{version:08}.{suffix}"))
        named: set[str] = set()
        for version in self.versions():
            named |= {file.sha256 for file in self.manifest(version)[1].files}
        for folder in ("files", "copies"):
            for name in set(os.listdir(self.inside(folder))) - named:
                with suppress(OSError):
                    os.unlink(self.inside(folder, name))
