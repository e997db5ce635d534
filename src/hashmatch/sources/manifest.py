"""A list of what to scan: a key or URL on each line, or JSON with keys, URLs or pictures."""

from __future__ import annotations

import binascii
import io
import os
from base64 import b64decode
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch.decode import limits
from hashmatch.errors import SourceError, SourceUnavailable
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageChanged, ImageError, ImageItem, ImageUnavailable
from hashmatch.sources._base_folder import UNLISTED, Base, Unique, cannot_open, options, split
from hashmatch.sources._files import content_identity, read_part, version
from hashmatch.sources._object_store import Objects

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashmatch.records.enums import Surface

#: The longest line that is read: a picture of `MAX_BYTES` in base64, and its key.
LONGEST = limits.MAX_BYTES // 3 * 4 + 2**16
_FIELDS = ("key", "url", "image", "version", "size")


class ManifestSource:
    """What a list names, in its order: ``manifest://FILE?base=PLACE``, or ``https://host/FILE``.

    A line is the key of an item below the base, or its whole address; or a JSON object:

    - ``key``: the item's name; read there, unless one of the next two says otherwise.
    - ``url``: where to read it. Without a key, this is the key.
    - ``image``: the picture itself, in base64. Without a key, this is ``row-N``, N the line.
    - ``version``, ``size``: as listed, etags with or without quotes. Without a version, it is that
      of what is read.

    Nothing is read from elsewhere than below the base, wherever the list is from. A key that comes
    twice is one item; which keys there were takes 100 bytes of memory for each. A line that says
    none of this is an item all the same, ``line-N``, and fails. A position is the number of a line.

    A list of a web server has at most 256 MiB. ``base`` is the folder in which the list lies,
    unless it is given; `options` are for one that is a bucket or web server, see
    `hashmatch.sources.bucket.BucketSource`. ``?url=photo_url`` and its like tell another name of a
    field.
    """

    def __init__(
        self, location: str, surface: Surface, options: Mapping[str, Any] | None = None
    ) -> None:
        path, said = split(location, ("base", *_FIELDS))
        scheme = location.partition("://")[0]
        self._surface = surface
        self._fields = {field: said.get(field, field) for field in _FIELDS}
        self._lines: _File | _Fetched
        if scheme in {"http", "https"}:
            path = f"{scheme}://{path}"
            self._lines = _Fetched(path, surface, options)
        else:
            self._lines = _File(path)
        self._base = Base(said.get("base") or path.rpartition("/")[0] or ".", options)

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield every item once; SourceError if the list cannot be read, or has no line."""
        unique, last, number = Unique(), int(after or 0), 0
        for number, (start, line) in enumerate(self._lines.all(), 1):
            if not line.strip():
                continue
            item = self._item(number, start, line)
            if unique.is_new(item.key) and number > last:
                yield item
        if not number:
            raise SourceError(f"{self._lines.name}: the list is empty")

    def _item(self, number: int, start: int, line: bytes) -> ImageItem:
        row = self._row(line)
        place = f"line {start} {len(line)}"
        fields: list[Any] = [row.get(self._fields[field]) for field in _FIELDS]
        key, url, image, listed, size = fields
        if isinstance(image, str):
            name = key if isinstance(key, str) and key else f"row-{number}"
            return ImageItem(name, self._lines.version, self._surface, place, str(number))
        address = url if isinstance(url, str) and url else key
        name = key if isinstance(key, str) and key else address
        if not isinstance(name, str) or not name or not isinstance(address, str):
            return ImageItem(
                f"line-{number}", self._lines.version, self._surface, "none", str(number)
            )
        bytes_of_it = size if isinstance(size, int) and size >= 0 else None
        known = self._base.version(listed)
        return ImageItem(name, known, self._surface, f"base {address}", str(number), bytes_of_it)

    def _row(self, line: bytes) -> dict[str, Any]:
        """Return the fields of a line; none if it is broken."""
        if not line.lstrip().startswith(b"{"):
            return {self._fields["key"]: os.fsdecode(line.rstrip(b"\r\n"))}
        try:
            row = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            return {}
        return row if isinstance(row, dict) else {}

    def identity(self) -> str:
        """Return its place, a digest of all of it, its fields and base, and the surface."""
        fields = options(self._fields)
        return f"{self._lines.identity()} {self._surface} {fields} base={self._base.identity}"

    def read(self, item: ImageItem) -> bytes:
        """Return the content of `item`; see `hashmatch.interfaces.Source.read`."""
        kind, _, place = item.location.partition(" ")
        if kind == "base":
            return self._base.read(item, place)
        if kind != "line":
            raise ImageError(Outcome.FAILED, "the line is no key, and no JSON with a key in it")
        start, length = map(int, place.split())
        if length > LONGEST:
            reason = f"a line of {length:,} bytes, the limit is {LONGEST:,}"
            raise ImageError(Outcome.REFUSED, reason)
        image = self._row(self._lines.at(start, length)).get(self._fields["image"], "")
        try:
            return b64decode(image, validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise ImageError(Outcome.FAILED, "its picture is no base64") from None

    def count(self) -> None:
        """Return None: only reading the list would tell."""

    def close(self) -> None:
        """Let go of the list."""
        self._lines.close()


class _File:
    """A list on this machine; any part of it can be read again, by many threads."""

    def __init__(self, path: str) -> None:
        self.name = path
        try:
            with open(path, "rb") as file:
                self.version = version(os.fstat(file.fileno()))
        except OSError as error:
            raise cannot_open(path, error) from None

    def identity(self) -> str:
        return content_identity(self.name, self.version)

    def all(self) -> Iterator[tuple[int, bytes]]:
        """Yield where each line starts, and the line; of one that is too long, its beginning."""
        with open(self.name, "rb") as file:
            start = 0
            while line := file.readline(LONGEST + 1):
                yield start, line
                start += len(line)

    def at(self, start: int, length: int) -> bytes:
        return read_part(self.name, self.version, start, length)

    def close(self) -> None:
        """Do nothing: no file is open between two reads."""


class _Fetched:
    """A list of a web server, held in memory."""

    def __init__(self, url: str, surface: Surface, options: Mapping[str, Any] | None) -> None:
        self.name = url
        scheme, _, rest = url.partition("://")
        host, _, self._path = rest.partition("/")
        self._objects = Objects(f"{scheme}://{host}", options)
        self._item = ImageItem(self._path, UNLISTED, surface)
        self._content: bytes | None = None
        self.version = ""

    def identity(self) -> str:
        content = blake2b(self._list(), digest_size=16).hexdigest()
        return f"{self.name} content={content}"

    def _get(self) -> bytes:
        """Return the list, asked for once."""
        if self._content is None:
            try:
                self._content = self._objects.read(self._item, self._path)
            except ImageChanged as read:  # the version was not known before
                self.version = read.item.version
                self._content = read.data or b""
        return self._content

    def _list(self) -> bytes:
        try:
            return self._get()
        except ImageUnavailable as error:
            raise SourceUnavailable(f"{self.name}: {error.reason}") from None
        except ImageError as error:
            raise SourceError(f"{self.name}: {error.reason}") from None

    def all(self) -> Iterator[tuple[int, bytes]]:
        """Yield where each line starts, and the line."""
        start = 0
        for line in io.BytesIO(self._list()):
            yield start, line
            start += len(line)

    def at(self, start: int, length: int) -> bytes:
        return self._get()[start : start + length]

    def close(self) -> None:
        self._content = None
