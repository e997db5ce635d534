"""Where a scan in parts, or its output, is kept: a folder, maybe shared, or one of a bucket.

What is written is written once: of several who write the same name, the first wins, and the others
learn that they were not. A name is there whole or not at all, at any moment.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, TypeVar

from hashmatch._files import atomic
from hashmatch._files.private import check_private
from hashmatch.errors import CheckpointError, SourceError, UsageError
from hashmatch.retry import Limits, Tries, until_available

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
BUCKETS = "s3", "gs", "az"
STATE = "the state of a scan"


class Place(Protocol):
    """Keeps some bytes under each of some names, which have strokes in them as paths do."""

    folder: str | None
    """Its path, where it is a folder."""

    def create(self, name: str, data: bytes) -> bool:
        """Write `data` unless the name is there; return whether it was not."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return what is there, or None."""
        ...

    def names(self, below: str) -> list[str]:
        """Return the names below another, without that, in their order."""
        ...

    def remove(self, name: str) -> None:
        """Remove what is there, if anything is."""
        ...


def open_place(where: str, *, new: bool = True, holds: str = STATE) -> Place:
    """Return the place at a path, or at ``s3://BUCKET/FOLDER``, gs and az alike.

    A folder is made if it is not there and may be `new`; errors say what it `holds`. Raises
    CheckpointError if it cannot be used, or is not private and is to hold the state of a scan;
    UsageError for another scheme.
    """
    scheme, separator, _ = where.partition("://")
    if not separator:
        return FolderPlace(where, new=new, holds=holds)
    if scheme not in BUCKETS:
        raise UsageError(
            f"cannot keep {holds} in {scheme}://: there are s3, gs and az. Give one of them, or "
            "the path of a folder."
        )
    return BucketPlace(where, holds)


class FolderPlace:
    """A folder, that only its owner may enter if it holds a state; files are the owner's alone."""

    def __init__(self, path: str, *, new: bool = True, holds: str = STATE) -> None:
        self.folder: str | None = path
        self._path, self._holds = path, holds
        if new:
            self._make(path)
        elif not os.path.isdir(path):
            raise CheckpointError(
                f"cannot find the scan's state in {path}: there is no such folder here. Give "
                "--state a folder that all machines share, or a bucket"
            )
        if holds == STATE:
            check_private(path, allow_readable=False, follow=True, error=CheckpointError)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless it is there; return whether it was not."""
        path = os.path.join(self._path, name)
        self._make(os.path.dirname(path))
        return atomic.write_new(path, data, error=CheckpointError)

    def read(self, name: str) -> bytes | None:
        """Return what is in a file, or None."""
        path = os.path.join(self._path, name)
        try:
            with open(path, "rb") as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror}") from None

    def names(self, below: str) -> list[str]:
        """Return the names of the files in a folder that are whole."""
        path = os.path.join(self._path, below)
        try:
            return sorted(name for name in os.listdir(path) if not name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"cannot read {path}: {error.strerror}") from None

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self._path, name))

    def _make(self, path: str) -> None:
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
        except OSError as error:
            raise CheckpointError(
                f"cannot keep {self._holds} in {path}: {error.strerror}"
            ) from None


class BucketPlace:
    """A folder of a bucket, whose server takes conditions of writes (``If-None-Match``)."""

    def __init__(self, url: str, holds: str = STATE) -> None:
        from hashmatch.sources._object_store import Objects

        self.folder: str | None = None
        self._holds = holds
        scheme, _, rest = url.partition("://")
        bucket, _, folder = rest.partition("/")
        folder = folder.strip("/")
        self._url = f"{scheme}://{bucket}/{folder}".rstrip("/")
        self._prefix = f"{folder}/" if folder else ""
        self._objects = Objects(f"{scheme}://{bucket}")

    def check_conditions(self, name: str) -> None:
        """Raise CheckpointError if the server writes over `name`, which is there."""
        if self.create(name, b""):
            raise CheckpointError(
                f"cannot keep {self._holds} in {self._url}: its server ignores "
                "If-None-Match, so that two writers would overwrite each other. Use a server that "
                "does not, or a folder"
            )

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless it is there; return whether it was not."""
        return self._until(lambda: self._objects.put_new(self._prefix + name, data))

    def read(self, name: str) -> bytes | None:
        """Return what is in an object, or None."""
        return self._until(lambda: self._objects.get(self._prefix + name))

    def names(self, below: str) -> list[str]:
        """Return the names of the objects in a folder."""
        prefix = f"{self._prefix}{below}/"
        found = self._until(lambda: list(self._objects.names(prefix)))
        return sorted(key.removeprefix(prefix) for key in found)

    def remove(self, name: str) -> None:
        """Remove an object, if it is there."""
        self._until(lambda: self._objects.remove(self._prefix + name))

    def _until(self, operation: Callable[[], T]) -> T:
        """Return what `operation` does, tried again as requests of a scan are."""
        try:
            return until_available(operation, Tries(Limits()))
        except SourceError as error:
            raise CheckpointError(f"cannot keep {self._holds} in {self._url}: {error}") from None
