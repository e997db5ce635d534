"""A zip archive: its directory is at its end, and any member can be read."""

from __future__ import annotations

import io
import logging
import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from hashmatch.decode import limits
from hashmatch.errors import SourceError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError, ImageItem, one_line
from hashmatch.sources._base_folder import Unique, cannot_open, split
from hashmatch.sources._files import content_identity, version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer

    from hashmatch.records.enums import Surface

LOG = logging.getLogger("hashmatch.sources")

#: The largest directory that is read, in bytes; in memory it takes some ten times as much.
LARGEST_DIRECTORY = 64 * 2**20
#: How members may be packed: other ways unpack to many thousand times their size.
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_LOCAL_HEADER = 30
#: How many archives may lie in one file, one behind the other.
MOST_ARCHIVES = 100
#: The system that made a member, its flag for names in UTF-8, and the field for them.
_UNIX, _UTF8, _UNICODE_PATH = 3, 1 << 11, 0x7075


class ZipSource:
    """Every file in an archive, in the order of its directory: ``zip://photos.zip``.

    Folders are passed over and counted. A member is unsupported if it is encrypted, a symbolic
    link, or packed in other ways than deflate, and refused if it overlaps another, as those of
    bombs do, or is too large. A version is the checksum and size in the directory; a position the
    number of the member, from 1.

    A name is in Unicode if the archive says so, by its flag or Info-ZIP's field, or if its bytes
    are UTF-8; else those of Unix are bytes, and all others are in code page 437.

    Of archives that were joined all are read, the first one first; the logger
    ``hashmatch.sources`` has a warning where something else is before or behind one. SourceError if
    it is no zip archive, or its directory is larger than 64 MiB.
    """

    def __init__(self, location: str, surface: Surface) -> None:
        self._path, _ = split(location, ())
        self._surface = surface
        self.passed_over = Counter[str]()
        self._parts: list[_Beginning] = []
        self._members: list[_Member] = []
        try:
            status = os.stat(self._path)
            self._version = version(status)
            self._open(status.st_size)
        except OSError as error:
            raise cannot_open(self._path, error) from None
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError):
            raise SourceError(
                f"cannot read {self._path}: it is no zip archive, or damaged"
            ) from None

    def _open(self, end: int) -> None:
        """Open the archive at the end of the file, then those before it."""
        while end:
            part = _Beginning(self._path, end)
            size, behind = _directory(part)
            if size > LARGEST_DIRECTORY:
                raise SourceError(
                    f"cannot read {self._path}: its directory has {size:,} bytes, the limit is "
                    f"{LARGEST_DIRECTORY:,}. Split it, or make it a tar archive"
                )
            try:
                archive = zipfile.ZipFile(part)
            except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError):
                if not self._parts or size:
                    raise
                self._warn("what is before it is no zip archive, and not read")
                return
            if behind:
                self._warn("what follows its end is no zip archive, and not read")
            found = archive.infolist()
            overlapping = _overlapping(found)
            self._parts.append(part)
            self._members[:0] = [
                _Member(archive, info, number in overlapping) for number, info in enumerate(found)
            ]
            if len(self._parts) > MOST_ARCHIVES:
                raise SourceError(
                    f"cannot read {self._path}: it has more than {MOST_ARCHIVES:,} archives in one "
                    "file"
                )
            end = min([archive.start_dir, *(info.header_offset for info in found)])

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield every item once; SourceError if there is nothing in it."""
        if not self._members:
            raise SourceError(f"cannot scan {self._path}: there is nothing in it")
        unique, last = Unique(), int(after or 0)
        self.passed_over = Counter()
        for number, (_, info, _) in enumerate(self._members, 1):
            if _is_folder(info):
                self.passed_over["folders"] += 1
                continue
            key = unique.name(_name(info) or f"member-{number}")
            if number > last:
                place = str(number)
                yield ImageItem(key, _version(info), self._surface, place, place, info.file_size)

    def _warn(self, words: str) -> None:
        LOG.warning("%s: %s", one_line(self._path), words)

    def identity(self) -> str:
        """Return its whole path, a digest of all of it, and the surface."""
        return f"{content_identity(self._path, self._version)} {self._surface}"

    def read(self, item: ImageItem) -> bytes:
        """Return the content of `item`; see `hashmatch.interfaces.Source.read`."""
        number = int(item.location)
        if not 0 < number <= len(self._members):
            raise ImageError(Outcome.FAILED, "it is no longer in the archive")
        archive, info, is_overlapping = self._members[number - 1]
        if item.version != _version(info):
            raise ImageError(Outcome.FAILED, "the archive that it is in has changed")
        limits.check_bytes(info.file_size)
        if is_overlapping:
            raise ImageError(Outcome.REFUSED, "it overlaps another member of the archive")
        if info.flag_bits & 1:
            raise ImageError(Outcome.UNSUPPORTED, "it is encrypted")
        if info.create_system == _UNIX and stat.S_ISLNK(info.external_attr >> 16):
            raise ImageError(Outcome.UNSUPPORTED, "a symbolic link")
        if info.compress_type not in _METHODS:
            raise ImageError(Outcome.UNSUPPORTED, "it is packed in another way than deflate")
        try:
            with archive.open(info) as file:
                # No more than that is unpacked, whatever is there.
                content = file.read(info.file_size)
                file.read(1)  # at its end the checksum is looked at
        except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, RuntimeError):
            raise ImageError(Outcome.FAILED, "it is damaged in the archive") from None
        if len(content) != info.file_size:
            raise ImageError(Outcome.FAILED, "it is damaged in the archive")
        return content

    def count(self) -> int:
        """Return how many files there are."""
        return sum(not _is_folder(info) for _, info, _ in self._members)

    def close(self) -> None:
        """Close the archive."""
        for part in self._parts:
            part.close()


class _Member(NamedTuple):
    archive: zipfile.ZipFile
    info: zipfile.ZipInfo
    is_overlapping: bool


class _Beginning(io.RawIOBase):
    """The first bytes of a file, as a file."""

    def __init__(self, path: str, length: int) -> None:
        self._file, self._length = open(path, "rb"), length  # noqa: SIM115
        self.path = path

    def close(self) -> None:
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset, whence = self._length + offset, os.SEEK_SET
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        part = self._file.read(max(0, min(len(view), self._length - self._file.tell())))
        view[: len(part)] = part
        return len(part)


def _version(info: zipfile.ZipInfo) -> str:
    return f"{info.CRC:08x}-{info.file_size}"


def _is_folder(info: zipfile.ZipInfo) -> bool:
    """Return whether a member is a folder; one with a content is a file, whatever its name."""
    return info.is_dir() and not info.file_size


def _name(info: zipfile.ZipInfo) -> str | bytes:
    """Return the name of a member; bytes if nothing says in which encoding it is.

    Source: PKWARE's APPNOTE.TXT 6.3.10, 4.6.9 and appendix D.
    """
    if info.flag_bits & _UTF8:
        return info.orig_filename
    raw = info.orig_filename.encode("cp437")
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and field[:5] == struct.pack("<BL", 1, zlib.crc32(raw)):
            return field[5:]
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw if info.create_system == _UNIX else info.orig_filename


def _directory(file: _Beginning) -> tuple[int, int]:
    """Return the size of the directory, in bytes, and how many there are behind the archive.

    Source: PKWARE's APPNOTE.TXT 6.3.10, 4.3.14 to 4.3.16.
    """
    length = file.seek(0, os.SEEK_END)
    start = max(0, length - 2**16 - 22 - 20)
    file.seek(start)
    tail = file.read() or b""
    end = tail.rfind(b"PK\5\6")
    if end < 0:
        return 0, 0
    size: int = struct.unpack_from("<L", tail, end + 12)[0]
    comment: int = struct.unpack_from("<H", tail, end + 20)[0]
    disk: int = struct.unpack_from("<H", tail, end + 4)[0]
    if 0 < disk < 0xFFFF and end + 22 + comment == len(tail):
        raise SourceError(
            f"cannot read {file.path}: it is the last part of a split archive. Join the parts "
            f"first, as zip -s 0 {file.path} --out WHOLE.zip does."
        )
    locator = tail.rfind(b"PK\6\7", 0, end)
    if size == 0xFFFFFFFF and locator >= 0:
        file.seek(struct.unpack_from("<Q", tail, locator + 8)[0])
        size = struct.unpack_from("<Q", file.read(56) or b"", 40)[0]
    return size, max(0, len(tail) - end - 22 - comment)


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
