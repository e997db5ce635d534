"""A tar archive, plain or compressed with gzip, read from its beginning to its end."""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from typing import IO, TYPE_CHECKING, cast

from hashmatch.decode import limits
from hashmatch.errors import SourceError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError, ImageItem
from hashmatch.sources._base_folder import Unique, cannot_open, split
from hashmatch.sources._files import content_identity, read_part
from hashmatch.sources._files import version as file_version
from hashmatch.sources._streams import HeldItem, held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.records.enums import Surface

#: The longest header of a member; those of tools hold a few names.
LONGEST_HEADER = 2**20
#: How much an archive may unpack to: gzip reaches 1,032 times, pictures hardly 1.
MOST_TIMES = 100


class TarSource:
    """Every file in an archive, in its order: ``tar://photos.tar`` or ``tar://photos.tar.gz``.

    Folders are passed over; links, devices and sparse members are listed and unsupported. A second
    member of the same name is ``name#2``: both were in there. A version is modification time and
    size; a position the number of the member, from 1. An archive that does not end in the mark for
    it was cut off, which is an error; what follows the mark is no part of it.

    A plain archive is read by many threads at once. Of a compressed one, items come with their
    content, which is let go of with them: take them as they come, not as a list.
    """

    def __init__(self, location: str, surface: Surface) -> None:
        self._path, _ = split(location, ())
        self._surface = surface
        try:
            with open(self._path, "rb") as file:
                self._version = file_version(os.fstat(file.fileno()))
                self._packed = file.read(2) == b"\x1f\x8b"
        except OSError as error:
            raise cannot_open(self._path, error) from None

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield every item once.

        SourceError if it is no tar archive, damaged or cut off, or unpacks to more than 100 times
        its size.
        """
        unique, number = Unique(), 0
        with open(self._path, "rb") as file:
            stream = _Stream(file, packed=self._packed)
            try:
                with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r:") as archive:
                    while (member := archive.next()) is not None:
                        archive.members = []  # type: ignore[attr-defined]  # it would keep them all
                        number += 1
                        if member.isdir():
                            continue
                        key = unique.name(member.name)
                        if number > int(after or 0):
                            yield self._item(member, key, number, stream)
                    if stream.last != bytes(tarfile.BLOCKSIZE):
                        # To `tarfile`, anything that is no header is the end.
                        raise tarfile.ReadError
            except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
                said = (
                    str(error)
                    if isinstance(error, _TooMuch)
                    else "no tar archive, damaged or cut off"
                )
                raise SourceError(f"{self._path}: {said}, after {number:,} members") from None
        if not number:
            raise SourceError(f"{self._path}: there is nothing in it")

    def _item(self, member: tarfile.TarInfo, key: str, number: int, stream: _Stream) -> ImageItem:
        version, position = f"{member.mtime}-{member.size}", str(number)
        if not member.isreg() or member.issparse():
            return ImageItem(key, version, self._surface, "none", position)
        place = f"{member.offset_data} {member.size}"
        if not self._packed:
            return ImageItem(key, version, self._surface, place, position, member.size)
        content = stream.content(member) if member.size <= limits.MAX_BYTES else None
        return HeldItem(key, version, self._surface, place, position, member.size, content)

    def identity(self) -> str:
        """Return its whole path, a digest of all of it, and the surface."""
        return f"{content_identity(self._path, self._version)} {self._surface}"

    def read(self, item: ImageItem) -> bytes:
        """Return the content of `item`; see `hashmatch.interfaces.Source.read`."""
        if item.location == "none":
            raise ImageError(Outcome.UNSUPPORTED, "a link, a device or a sparse file")
        content = held(item)
        if content is None:
            start, size = map(int, item.location.split())
            if self._packed:
                content = self._unpacked(start, size)
            else:
                content = read_part(self._path, self._version, start, size)
        if len(content) != item.size:
            raise ImageError(Outcome.FAILED, "the archive ends before it does")
        return content

    def _unpacked(self, start: int, size: int) -> bytes:
        """Return a part of what a compressed archive holds, by unpacking all that is before it."""
        try:
            with gzip.open(self._path) as file:
                file.seek(start)
                return file.read(size)
        except (OSError, EOFError, zlib.error):
            raise ImageError(Outcome.FAILED, "the archive is damaged before it") from None

    def count(self) -> None:
        """Return None: only reading it all would tell."""

    def close(self) -> None:
        """Do nothing: the archive is open only while it is listed or read."""


class _TooMuch(tarfile.TarError):
    """The archive is a bomb."""


class _Stream:
    """What `tarfile` reads headers from, in bounded pieces, and contents are taken from between."""

    def __init__(self, file: IO[bytes], *, packed: bool) -> None:
        self._file = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if packed else file
        self.last = b""
        most = MOST_TIMES * os.fstat(file.fileno()).st_size + limits.MAX_BYTES
        self._most = most if packed else None

    def read(self, size: int) -> bytes:
        if size > LONGEST_HEADER:
            raise _TooMuch(f"a header of {size:,} bytes, the limit is {LONGEST_HEADER:,}")
        self.last = self._file.read(size)
        return self.last

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, place: int) -> int:
        if self._most is not None and place > self._most:
            raise _TooMuch(f"it unpacks to more than {MOST_TIMES} times its size")
        return self._file.seek(place)

    def content(self, member: tarfile.TarInfo) -> bytes:
        """Return the content of the member whose header was read last."""
        self.seek(member.offset_data)
        return self._file.read(member.size)
