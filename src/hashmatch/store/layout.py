"""Where everything in a list store is; it holds one list.

::

    STORE/                    0700
      versions/00000017.json  the manifest of version 17, written last: what it names is there
      versions/00000017.sig   signatures over exactly those bytes
      files/<sha256>          what manifests name, by its content; versions share them
      copies/<sha256>         the same again, of files that versions share: if one is damaged
      copies/secret.key
      marks.json              the highest version used, see `hashmatch.store.rollback`
      secret.key              what keyed references are made with: `hashmatch.store.reference_key`
      lock                    held while a version is made
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import structs

from hashmatch._files import atomic, private
from hashmatch._files.private import Digest
from hashmatch.errors import IndexFileError, StoreError
from hashmatch.store import manifest as manifests
from hashmatch.store import rollback, signing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from hashmatch.store.manifest import Manifest, StoredFile
    from hashmatch.store.signing import Signature

MANIFEST = re.compile(r"([0-9]{8})\.json")
STORED = re.compile(r"[0-9a-f]{64}")
FOLDERS = "files", "copies", "versions"  # the last tells that all are there
OTHERS = "marks.json", "marks.json.lock", "secret.key", "lock"
TWICE = "copies"
"""A fact of files that are kept twice."""


class Folder:
    """The folder of a list store; whether others may read it is `allow_readable`."""

    def __init__(self, path: str, *, allow_readable: bool = False) -> None:
        self.path = path
        self.allow_readable = allow_readable

    def inside(self, *names: str) -> str:
        """Return the path of something in it."""
        return os.path.join(self.path, *names)

    def make(self) -> None:
        """Make what is not there of it; StoreError if something else is in the way."""
        try:
            found = os.listdir(self.path)
        except (FileNotFoundError, NotADirectoryError):
            found = []
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise StoreError(f"cannot read {self.path}: {reason}") from None
        for name in found:
            if name not in {*FOLDERS, *OTHERS} and not atomic.PART.fullmatch(name):
                raise StoreError(
                    f"cannot make a list store of {self.path}: it has other things in it. Give a "
                    "new folder"
                )
        with suppress(OSError):  # if it cannot be made, the next says why
            os.makedirs(os.path.dirname(os.path.abspath(self.path)), exist_ok=True)
        for folder in (self.path, *map(self.inside, FOLDERS)):
            atomic.make_folder(folder, allow_readable=self.allow_readable)

    def check(self) -> None:
        """Refuse what is no list store, or not private."""
        if not os.path.isdir(self.inside("versions")):
            raise StoreError(
                f"cannot open {self.path}: it is no list store. Make one with hashmatch list import"
            )
        for folder in (self.path, *map(self.inside, FOLDERS)):
            private.check_private(folder, allow_readable=self.allow_readable)

    def locked(self) -> AbstractContextManager[None]:
        """Keep others from making a version meanwhile; StoreError if somebody is at it."""
        busy = (
            f"cannot change {self.path}: another process is changing it. Try again when it is done"
        )
        return atomic.locked(self.inside("lock"), busy)

    def versions(self) -> list[int]:
        """Return the numbers of all versions that have a manifest, the latest first."""
        try:
            names = os.listdir(self.inside("versions"))
        except OSError as error:
            raise StoreError(f"cannot read {self.path}: {error.strerror}") from None
        found = (MANIFEST.fullmatch(name) for name in names)
        return sorted((int(match[1]) for match in found if match), reverse=True)

    def manifest(self, version: int, name: str | None = None) -> tuple[bytes, Manifest]:
        """Return the bytes of a version's manifest, and what they say; StoreError if not of `name`.

        Keys may sign several lists.
        """
        path = self.inside("versions", f"{version:08}.json")
        data = private.read(path, manifests.LARGEST, allow_readable=self.allow_readable)
        return data, manifests.decode(path, data, version, name)

    def created(self, version: int) -> datetime:
        """Return when a version was made, of one with a damaged manifest when that was written."""
        try:
            return self.manifest(version)[1].created
        except StoreError:
            written = os.lstat(self.inside("versions", f"{version:08}.json")).st_mtime
            return datetime.fromtimestamp(written, UTC)

    def signatures(self, version: int) -> tuple[Signature, ...]:
        """Return the signatures of a version; none if it has no file of them."""
        path = self.inside("versions", f"{version:08}.sig")
        if not os.path.lexists(path):
            return ()
        data = private.read(path, signing.LARGEST_SIGNATURE, allow_readable=self.allow_readable)
        return signing.decode(path, data)

    def has_signatures(self) -> bool:
        """Return whether any version has signatures."""
        folder = self.inside("versions")
        return os.path.isdir(folder) and any(name.endswith(".sig") for name in os.listdir(folder))

    def marks(self) -> rollback.Marks:
        """Return how far the list has come, as is kept for it, here or elsewhere."""
        return rollback.read(rollback.place(self.path), allow_readable=self.allow_readable)

    def publish(self, manifest: Manifest, signed: Callable[[bytes], Sequence[Signature]]) -> None:
        """Write the manifest of a new version, its signatures first: from now on it is there."""
        data = manifests.encode(manifest)
        self.sign(manifest.version, signed(data))
        path = self.inside("versions", f"{manifest.version:08}.json")
        atomic.write(path, data, replace=False)

    def sign(self, version: int, signed: Sequence[Signature]) -> None:
        """Write the signatures of a version, in the place of those that are there."""
        path = self.inside("versions", f"{version:08}.sig")
        if signed:
            atomic.write(path, signing.encode(signed))
        else:
            with suppress(FileNotFoundError):  # of a version that was never finished
                os.unlink(path)

    def add(self, write: Callable[[str], None], *, shared: bool) -> tuple[Digest, bool]:
        """Put a file among the others, named by what it holds; return that, and if it is twice.

        `write`, given a path, writes the file there, whole and on the disk. It is kept twice if
        later versions may share it, `shared`, or it is there already, as versions share it from now
        on.
        """
        path = self.inside("files", f"new-{secrets.token_hex(8)}")
        try:
            write(path)
            with private.opened(path) as file:
                found = private.digest(path, file)
            target = self.inside("files", found.sha256)
            shared = shared or os.path.lexists(target)
            atomic.move(path, target)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from None
        except IndexFileError as error:
            raise StoreError(str(error)) from None
        finally:
            with suppress(OSError):
                os.unlink(path)
        if shared:
            atomic.copy(target, self.inside("copies", found.sha256), found)
        return found, shared

    def share(self, named: StoredFile) -> StoredFile:
        """Keep a file twice, as a further version has it, and return what names it from now on."""
        source, file = self.find(named, [])
        os.close(file)
        target = self.inside("copies", named.sha256)
        if source != target:
            expected = Digest(named.sha256, named.bytes)
            atomic.copy(source, target, expected, allow_readable=self.allow_readable)
        shared = structs.replace(named, facts={**named.facts, TWICE: 1})
        self.mend(shared)
        return shared

    def find(self, named: StoredFile, problems: list[str]) -> tuple[str, int]:
        """Return the path and a descriptor of a file that is what its manifest says.

        What is wrong with a file whose copy serves instead is added to `problems`; StoreError if
        none does.
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

    def mend(self, named: StoredFile) -> None:
        """Put a sound one of two files in the place of a damaged one."""
        places = self._places(named)
        if len(places) > 1 and self.wrong(named):
            sound, file = self.find(named, [])
            os.close(file)
            for path in set(places) - {sound}:
                expected = Digest(named.sha256, named.bytes)
                atomic.copy(sound, path, expected, allow_readable=self.allow_readable)

    def _places(self, named: StoredFile) -> list[str]:
        """Return the path of a file, and that of its copy if it has one, or ought to."""
        copy = self.inside("copies", named.sha256)
        is_twice = named.facts.get(TWICE) or os.path.lexists(copy)
        return [self.inside("files", named.sha256), *([copy] if is_twice else [])]

    def _sound(self, path: str, named: StoredFile) -> int:
        """Return a descriptor of what is what its manifest says; StoreError if it is not."""
        with private.opened(path, allow_readable=self.allow_readable) as file:
            if private.digest(path, file) != Digest(named.sha256, named.bytes):
                raise StoreError(
                    f"cannot read {path}: it is damaged: it is not what its manifest says"
                )
            return os.dup(file)

    def remove(self, version: int) -> None:
        """Remove a version; its files go with the next `sweep`."""
        for suffix in ("json", "sig"):
            with suppress(FileNotFoundError):
                os.unlink(self.inside("versions", f"{version:08}.{suffix}"))

    def sweep(self) -> None:
        """Remove what no version names, and what writers that were killed have left behind.

        While a manifest is damaged nobody knows what it named, so that only the latter goes.
        """
        named: set[str] = {"secret.key"}
        is_known = True
        for version in self.versions():
            try:
                named |= {file.sha256 for file in self.manifest(version)[1].files}
            except StoreError:
                is_known = False
        for folder in (self.path, *map(self.inside, FOLDERS)):
            atomic.remove_left_over(folder)
        for folder in ("files", "copies"):
            with suppress(OSError):
                for name in set(os.listdir(self.inside(folder))) - named:
                    if is_known or not STORED.fullmatch(name):
                        os.unlink(self.inside(folder, name))
