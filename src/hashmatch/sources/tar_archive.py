"""A tar archive, plain or compressed with gzip, read from its beginning to its end."""

from __future__ import annotations

import gzip
import logging
import os
import posixpath
import re
import tarfile
import zlib
from collections import Counter
from contextlib import suppress
from hashlib import blake2b
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from hashmatch.decode import limits
from hashmatch.errors import SourceError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError, ImageItem, one_line
from hashmatch.sources._base_folder import Unique, cannot_open, split
from hashmatch.sources._files import content_identity, read_part
from hashmatch.sources._files import version as file_version
from hashmatch.sources._streams import HeldItem, held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.records.enums import Surface

LOG = logging.getLogger("hashmatch.sources")

#: The longest header of a member; those of tools hold a few names.
LONGEST_HEADER = 2**20
#: How many zeros may lie between two archives in one file.
MOST_EMPTY, _CHUNK = limits.MAX_BYTES, 2**16
#: Notes beside pictures, as WebDataset has them, and the longest that is taken for one.
SIDE_FILES, LONGEST_SIDE_FILE = (".cls", ".json", ".txt"), 2**20
_BROKEN = "a hard link to what is not before it in the archive"
#: GNU tar's own: a folder with a list of its names, and how the whole archive is called.
_LISTED_FOLDER, _LABEL = b"D", b"V"
_PACKERS = (
    (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x1f\x9d", "compress"), (b"\x04\x22\x4d\x18", "lz4"), (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"Rar!\x1a\x07", "RAR"),
)  # fmt: skip
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
#: How much an archive may unpack to: gzip reaches 1,032 times, pictures hardly 1.
MOST_TIMES = 100


class TarSource:
    """Every file in an archive, in its order: ``tar://photos.tar`` or ``tar://photos.tar.gz``.

    Of archives that were joined, with ``cat`` say, all are read; the logger ``hashmatch.sources``
    has a warning where something else follows. A hard link is the content of the member that it
    names, which is before it. Symbolic links and devices are listed and unsupported. A version is
    modification time and size; a position the number of the member, from 1.

    Folders and labels of archives are passed over and counted, and so are side files, which
    WebDataset has beside its pictures: a ``.json``, ``.txt`` or ``.cls`` that holds text. An
    archive that does not end in the mark for it was cut off, which is an error.

    A plain archive is read by many threads at once. Of a compressed one, items come with their
    content, which is let go of with them: take them as they come, not as a list. Which members
    there were takes about 350 bytes of memory for each.
    """

    def __init__(self, location: str, surface: Surface) -> None:
        self._path, _ = split(location, ())
        self._surface = surface
        self._kept = (-1, -1, b"")
        self.passed_over = Counter[str]()
        try:
            with open(self._path, "rb") as file:
                self._version = file_version(os.fstat(file.fileno()))
                self._start = file.read(8)
        except OSError as error:
            raise cannot_open(self._path, error) from None
        self._packed = self._start.startswith(b"\x1f\x8b")

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield every item once.

        SourceError if it is no tar archive, damaged or cut off, or unpacks to more than 100 times
        its size.
        """
        self.passed_over = Counter()
        unique, number, last = Unique(), 0, int(after or 0)
        places: dict[bytes, _Place] = {}
        with open(self._path, "rb") as file:
            stream = _Stream(file, packed=self._packed)
            try:
                for member in self._members(stream):
                    number += 1
                    if member.isdir() or member.type in {_LISTED_FOLDER, _LABEL}:
                        what = "labels of archives" if member.type == _LABEL else "folders"
                        self.passed_over[what] += 1
                        continue
                    place = _place(member, places)
                    if _is_side_file(member, stream):
                        self.passed_over["side files"] += 1
                        continue
                    key = unique.name(member.name or f"member-{number}")
                    if number > last:
                        yield self._item(member, key, number, place, stream)
            except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error) as error:
                said = (
                    str(error)
                    if isinstance(error, _TooMuch)
                    else "no tar archive, damaged or cut off"
                )
                if not number and (advice := self._other_kind()):
                    raise SourceError(f"cannot read {self._path}: {advice}") from None
                raise SourceError(
                    f"cannot read {self._path}: {said}, after {number:,} members"
                ) from None
        if not number:
            raise SourceError(f"cannot scan {self._path}: there is nothing in it")

    def _other_kind(self) -> str:
        """Return what a file is that is no tar archive, and what to do; nothing if that is unknown.

        A tar archive may begin so, too: with the name of its first member.
        """
        if self._start.startswith((b"PK\3\4", b"PK\5\6")):
            return f"it is a zip archive. Scan it as zip://{self._path}"
        for magic, packer in _PACKERS:
            if self._start.startswith(magic):
                return f"it is packed with {packer}. Unpack it, or pack it with gzip."
        return ""

    def _members(self, stream: _Stream) -> Iterator[tarfile.TarInfo]:
        """Yield every member of the archive, and of those that follow it in the same file."""
        fileobj = cast("IO[bytes]", stream)
        while True:
            with tarfile.open(
                fileobj=fileobj, mode="r:", encoding="utf-8", tarinfo=_Header
            ) as archive:
                while (member := archive.next()) is not None:
                    archive.members = []  # type: ignore[attr-defined]  # it would keep them all
                    yield member
            if stream.last != bytes(tarfile.BLOCKSIZE):
                # To `tarfile`, anything that is no header is the end.
                raise tarfile.ReadError
            try:
                block = stream.skip_empty()
                if block == b"":
                    return
                tarfile.TarInfo.frombuf(block or b"", "utf-8", "surrogateescape")
            except (tarfile.HeaderError, _NotPacked):
                self._warn("what follows its end is no tar archive, and not read")
                return

    def _item(
        self, member: tarfile.TarInfo, key: str, number: int, place: _Place | str, stream: _Stream
    ) -> ImageItem:
        """Return the item of a member, whose content is at a `place`; or text says why not."""
        position = str(number)
        if isinstance(place, str):
            version = f"{member.mtime}-{member.size}"
            return ImageItem(key, version, self._surface, place, position)
        version, location = f"{member.mtime}-{place.size}", f"at {place}"
        if not self._packed or member.islnk():  # what a link names was before it
            return ImageItem(key, version, self._surface, location, position, place.size)
        content = None
        if place.size <= limits.MAX_BYTES:
            content = place.content(stream.part(place.start, place.stored))
        return HeldItem(key, version, self._surface, location, position, place.size, content)

    def _warn(self, words: str) -> None:
        LOG.warning("%s: %s", one_line(self._path), words)

    def identity(self) -> str:
        """Return its whole path, a digest of all of it, and the surface."""
        return f"{content_identity(self._path, self._version)} {self._surface}"

    def read(self, item: ImageItem) -> bytes:
        """Return the content of `item`; see `hashmatch.interfaces.Source.read`."""
        kind, _, written = item.location.partition(" ")
        if kind != "at":
            raise ImageError(
                Outcome.FAILED if item.location == _BROKEN else Outcome.UNSUPPORTED, item.location
            )
        content = held(item)
        if content is None:
            place = _Place.parse(written)
            limits.check_bytes(place.size)
            if self._packed:
                stored = self._unpacked(place.start, place.stored)
            else:
                stored = read_part(self._path, self._version, place.start, place.stored)
            content = place.content(stored)
        if len(content) != item.size:
            raise ImageError(Outcome.FAILED, "the archive ends before it does")
        return content

    def _unpacked(self, start: int, size: int) -> bytes:
        """Return a part of what a compressed archive holds, by unpacking all that is before it.

        It is kept for the next: where there is one hard link to a member, there often are many.
        """
        kept = self._kept
        if kept[:2] == (start, size):
            return kept[2]
        try:
            with gzip.open(self._path) as file:
                file.seek(start)
                content = file.read(size)
                self._kept = start, size, content
                return content
        except (OSError, EOFError, zlib.error):
            raise ImageError(Outcome.FAILED, "the archive is damaged before it") from None

    def count(self) -> None:
        """Return None: only reading it all would tell."""

    def close(self) -> None:
        """Let go of what is kept: the archive is open only while it is listed or read."""
        self._kept = (-1, -1, b"")


class _Header(tarfile.TarInfo):
    """A header in which GNU tar's own format has times where others have the start of a name."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        """Return the member that a header is of.

        Source: GNU tar's manual, "Basic Tar Format", ``struct oldgnu_header``.
        """
        member = super().frombuf(buf, encoding, errors)
        times = bytes(buf[345:500]).partition(b"\0")[0]
        if buf[257:265] == tarfile.GNU_MAGIC and times and member.type not in tarfile.GNU_TYPES:
            member.name = member.name.removeprefix(f"{times.decode(encoding, errors)}/")
        return member


class _Place(NamedTuple):
    """Where the content of a member is: all of `size`, or in `pieces`, with nothing between them.

    A piece is where it belongs, and its length. They are stored one after the other from `start`.
    """

    start: int
    size: int
    pieces: tuple[tuple[int, int], ...] | None = None

    def __str__(self) -> str:
        numbers = [self.start, self.size, *(n for piece in self.pieces or () for n in piece)]
        return " ".join(map(str, numbers)) + (" sparse" if self.pieces is not None else "")

    @classmethod
    def parse(cls, written: str) -> _Place:
        """Return the place that is written so."""
        plain = written.removesuffix(" sparse")
        start, size, *rest = map(int, plain.split())
        pieces = tuple(zip(rest[::2], rest[1::2], strict=True))
        return cls(start, size, pieces if plain != written else None)

    @property
    def stored(self) -> int:
        """How many bytes of it there are in the archive."""
        return self.size if self.pieces is None else sum(length for _, length in self.pieces)

    def content(self, stored: bytes) -> bytes:
        """Return the whole content, of what is stored; it is shorter if that ends too early."""
        if self.pieces is None or len(stored) < self.stored:
            return stored
        whole, at = bytearray(self.size), 0
        for start, length in self.pieces:
            whole[start : start + length] = stored[at : at + length]
            at += length
        return bytes(whole)


def _place(member: tarfile.TarInfo, places: dict[bytes, _Place]) -> _Place | str:
    """Return where the content of `member` is, kept for links to it; or why there is none."""
    digest = _path_digest(member.name)
    if member.islnk():
        place = places.get(_path_digest(member.linkname))
        if place is None:
            return _BROKEN
    elif member.isreg():
        pieces = None
        if member.issparse():
            each: Any = member.sparse
            pieces = tuple((start, size) for start, size in each if size)
        place = _Place(member.offset_data, member.size, pieces)
    else:
        places.pop(digest, None)
        return "a symbolic link" if member.issym() else "a device, a pipe or another special file"
    places[digest] = place
    return place


def _path_digest(name: str) -> bytes:
    """Return what tells a place in the archive: ``./a``, ``/a`` and ``a`` are unpacked to one."""
    path = posixpath.normpath(f"/{name}").lstrip("/")
    return blake2b(path.encode(errors="surrogateescape"), digest_size=16).digest()


def _is_side_file(member: tarfile.TarInfo, stream: _Stream) -> bool:
    """Return whether `member` is a note beside a picture, and not a picture that is called so."""
    if not member.name.lower().endswith(SIDE_FILES) or not member.isreg() or member.issparse():
        return False
    if member.size > LONGEST_SIDE_FILE:
        return False
    with suppress(UnicodeDecodeError):
        text = stream.part(member.offset_data, member.size).decode()
        return text.lstrip()[:1] != "<" and not _NO_TEXT.search(text)
    return False


class _TooMuch(tarfile.TarError):
    """The archive is a bomb."""


class _NotPacked(tarfile.TarError):
    """What follows a compressed part is not compressed."""


class _Stream:
    """What `tarfile` reads headers from, in bounded pieces, and contents are taken from between."""

    def __init__(self, file: IO[bytes], *, packed: bool) -> None:
        self._file = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if packed else file
        self._ahead = b""  # was read, and is to come once more
        self._kept = (-1, b"")
        self.last = b""
        most = MOST_TIMES * os.fstat(file.fileno()).st_size + limits.MAX_BYTES
        self._most = most if packed else None

    def read(self, size: int) -> bytes:
        """Return what comes next; `last` is what was read so."""
        if size > LONGEST_HEADER:
            raise _TooMuch(f"a header of {size:,} bytes, the limit is {LONGEST_HEADER:,}")
        self.last = self._next(size)
        return self.last

    def _next(self, size: int) -> bytes:
        self._check(self.tell())
        ahead, self._ahead = self._ahead[:size], self._ahead[size:]
        try:
            return ahead + self._file.read(size - len(ahead))
        except gzip.BadGzipFile as error:
            if str(error).startswith("Not a gzipped file"):
                raise _NotPacked(str(error)) from None
            raise

    def _check(self, place: int) -> None:
        if self._most is not None and place > self._most:
            raise _TooMuch(f"it unpacks to more than {MOST_TIMES} times its size")

    def tell(self) -> int:
        return self._file.tell() - len(self._ahead)

    def seek(self, place: int) -> int:
        self._check(place)
        if place != self.tell():
            self._ahead = b""
            self._file.seek(place)
        return place

    def skip_empty(self) -> bytes | None:
        """Return the next block that is not all zeros, which is read again; none at the end.

        None if there are too many zeros to look for it.
        """
        for _ in range(MOST_EMPTY // _CHUNK):
            chunk = self._next(_CHUNK)
            if not chunk or (rest := chunk.lstrip(b"\0")):
                break
        else:
            return None
        start = (len(chunk) - len(rest)) // tarfile.BLOCKSIZE * tarfile.BLOCKSIZE if chunk else 0
        self._ahead = chunk[start:]
        return self._ahead[: tarfile.BLOCKSIZE]

    def part(self, start: int, size: int) -> bytes:
        """Return a part of the member whose header was read last."""
        if self._kept[0] == start:
            return self._kept[1]
        self.seek(start)
        part = self._next(size)
        if size <= LONGEST_SIDE_FILE:
            self._kept = start, part
        return part
