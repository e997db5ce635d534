"""A zip archive: its directory is at its end, and any member can be read."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from typing import IO, TYPE_CHECKING

from hashmatch.decode import limits
from hashmatch.errors import SourceError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError, ImageItem
from hashmatch.sources._base_folder import Unique, cannot_open, split
from hashmatch.sources._files import content_identity, version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.records.enums import Surface

#: The largest directory that is read, in bytes; in memory it takes some ten times as much.
LARGEST_DIRECTORY = 64 * 2**20
#: How members may be packed: other ways unpack to many thousand times their size.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_LOCAL_HEADER = 30


class ZipSource:
    """Every file in an archive, in the order of its directory: ``zip://photos.zip``.

    Folders are passed over. A member is unsupported if it is encrypted or packed in other ways than
    deflate, and refused if it overlaps another, as those of bombs do, or is too large. A second
    member of the same name is ``name#2``. A version is the checksum and size in the directory; a
    position the number of the member in it, from 1. SourceError if it is no zip archive, or its
    directory is larger than 64 MiB.
    """

    def __init__(self, location: str, surface: Surface) -> None:
        self._path, _ = split(location, ())
        self._surface = surface
        try:
            with open(self._path, "rb") as file:
                self._version = version(os.fstat(file.fileno()))
                size = _directory_size(file)
            if size > LARGEST_DIRECTORY:
                raise SourceError(
                    f"{self._path}: its directory has {size:,} bytes, the limit is "
                    f"{LARGEST_DIRECTORY:,}; split it, or make it a tar archive"
                )
            self._archive = zipfile.ZipFile(self._path)
        except OSError as error:
            raise cannot_open(self._path, error) from None
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError):
            raise SourceError(f"{self._path}: no zip archive, or damaged") from None
        self._members = self._archive.infolist()
        self._overlapping = _overlapping(self._members)

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield every item once; SourceError if there is nothing in it."""
        if not self._members:
            raise SourceError(f"{self._path}: there is nothing in it")
        unique = Unique()
        for number, member in enumerate(self._members, 1):
            if member.is_dir():
                continue
            key = unique.name(member.filename)
            if number > int(after or 0):
                checksum = f"{member.CRC:08x}-{member.file_size}"
                place = str(number)
                yield ImageItem(key, checksum, self._surface, place, place, member.file_size)

    def identity(self) -> str:
        """Return its whole path, a digest of all of it, and the surface."""
        return f"{content_identity(self._path, self._version)} {self._surface}"

    def read(self, item: ImageItem) -> bytes:
        """Return the content of `item`; see `hashmatch.interfaces.Source.read`."""
        number = int(item.location) - 1
        member = self._members[number]
        limits.check_bytes(member.file_size)
        if number in self._overlapping:
            raise ImageError(Outcome.REFUSED, "it overlaps another member of the archive")
        if member.flag_bits & 1:
            raise ImageError(Outcome.UNSUPPORTED, "it is encrypted")
        if member.compress_type not in _METHODS:
            raise ImageError(Outcome.UNSUPPORTED, "it is packed in another way than deflate")
        try:
            with self._archive.open(member) as file:
                # No more than that is unpacked, whatever is there.
                content = file.read(member.file_size)
                file.read(1)  # at its end the checksum is looked at
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, RuntimeError):
            raise ImageError(Outcome.FAILED, "it is damaged in the archive") from None
        if len(content) != member.file_size:
            raise ImageError(Outcome.FAILED, "it is damaged in the archive")
        return content

    def count(self) -> int:
        """Return how many files there are."""
        return sum(not member.is_dir() for member in self._members)

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()


def _directory_size(file: IO[bytes]) -> int:
    """Return the size of the directory, in bytes, as the end of the archive says it.

    Source: PKWARE's APPNOTE.TXT 6.3.10, 4.3.14 to 4.3.16.
    """
    length = file.seek(0, os.SEEK_END)
    start = max(0, length - 2**16 - 22 - 20)
    file.seek(start)
    tail = file.read()
    end = tail.rfind(b"PK\5\6")
    if end < 0:
        return 0
    size: int = struct.unpack_from("<L", tail, end + 12)[0]
    locator = tail.rfind(b"PK\6\7", 0, end)
    if size == 0xFFFFFFFF and locator >= 0:
        file.seek(struct.unpack_from("<Q", tail, locator + 8)[0])
        size = struct.unpack_from("<Q", file.read(56), 40)[0]
    return size


def _overlapping(members: list[zipfile.ZipInfo]) -> frozenset[int]:
    """Return the numbers of members that begin before the end of one that begins before them.

    Source: D. Fifield, "A better zip bomb", WOOT 2019.
    """
    found, end = set(), 0
    for number in sorted(range(len(members)), key=lambda number: members[number].header_offset):
        member = members[number]
        if member.header_offset < end:
            found.add(number)
        least = _LOCAL_HEADER + len(member.orig_filename) + member.compress_size
        end = max(end, member.header_offset + least)
    return frozenset(found)
