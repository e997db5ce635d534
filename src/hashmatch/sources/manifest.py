"""A list of what to scan: a key or URL on each line, or JSON with keys, URLs or pictures."""

from __future__ import annotations

import io
import logging
import os
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections import Counter
from hashlib import blake2b
from typing import IO, TYPE_CHECKING, Any

import msgspec

from hashmatch.decode import limits
from hashmatch.errors import SourceError, SourceUnavailable
from hashmatch.records.enums import Outcome
from hashmatch.records.images import (
    ImageChanged,
    ImageError,
    ImageItem,
    ImageUnavailable,
    one_line,
)
from hashmatch.sources._base_folder import (
    UNLISTED,
    Base,
    Unique,
    as_text,
    cannot_open,
    options,
    split,
)
from hashmatch.sources._files import content_identity, read_part, version
from hashmatch.sources._object_store import Objects
from hashmatch.sources._streams import written_picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashmatch.records.enums import Surface

LOG = logging.getLogger("hashmatch.sources")

#: The longest line that is read: a picture of `MAX_BYTES` in base64, and its key.
LONGEST = limits.MAX_BYTES // 3 * 4 + 2**16
_FIELDS = ("key", "url", "image", "version", "size")
#: How much of a list is looked at to see whether it is one.
_HEAD = 2**12


class ManifestSource:
    """What a list names, in its order: ``manifest://FILE?base=PLACE``, or ``https://host/FILE``.

    A line is the key of an item below the base, or its whole address; or a JSON object:

    - ``key``: the item's name; read there, unless one of the next two says otherwise.
    - ``url``: where to read it. Without a key, this is the key.
    - ``image``: the picture itself, in base64 or as a data URL. Without a key, this is ``row-N``,
      N the line.
    - ``version``, ``size``: as listed, etags with or without quotes. Without a version, it is that
      of what is read.

    Lines are UTF-8, or UTF-16 if the list begins so, with a byte order mark or without; a key or
    address may be a whole number too. Nothing is read from elsewhere than below the base, wherever
    the list is from.

    A key that comes twice with the same address and version is one item, and counted as passed
    over; with another, or with a picture in the line, the second is ``key#2``. Which there were
    takes 200 bytes of memory for each. A line that says none of this is an item all the same,
    ``line-N``, and fails. A position is the number of a line.

    A list of a web server has at most 256 MiB. ``base`` is the folder in which the list lies,
    unless it is given; `options` are for one that is a bucket or web server, see
    `hashmatch.sources.bucket.BucketSource`. ``?url=photo_url`` and its like name another
    field, ``?key=meta.id`` one inside of another; upper and lower case are distinguished only if
    there are both. The logger ``hashmatch.sources`` has a warning if no line has a field that was
    named, and if there are pictures that none names.
    """

    def __init__(
        self, location: str, surface: Surface, options: Mapping[str, Any] | None = None
    ) -> None:
        path, said = split(location, ("base", *_FIELDS))
        scheme = location.partition("://")[0]
        self._surface = surface
        self._fields = {field: said.get(field, field) for field in _FIELDS}
        self._said = {field: name for field, name in said.items() if field != "base"}
        self._found = set[str]()
        self.passed_over = Counter[str]()
        self._lines: _File | _Fetched
        if scheme in {"http", "https"}:
            path = f"{scheme}://{path}"
            self._lines = _Fetched(path, surface, options)
        else:
            self._lines = _File(path)
        self._base = Base(said.get("base") or path.rpartition("/")[0] or ".", options)

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield every item once; SourceError if the list cannot be read, or has no line."""
        self.passed_over = Counter()
        keys, named, last, number, nameless = Unique(), Unique(), int(after or 0), 0, 0
        for number, (start, length, line) in enumerate(self._lines.all(), 1):
            if not line.strip():
                continue
            name, version, place, size = self._named(number, line, f"line {start} {length}")
            if place.startswith("base ") and not named.is_new(f"{name}\n{version}\n{place}"):
                self.passed_over["lines that name an item again"] += 1
                continue
            key = keys.name(name)
            nameless += place.startswith("line ") and name == f"row-{number}"
            if number > last:
                yield ImageItem(key, version, self._surface, place, str(number), size)
        if not number:
            raise SourceError(f"cannot scan {self._lines.name}: the list is empty")
        self._warn(nameless)

    def _warn(self, nameless: int) -> None:
        """Say what is to be known when all lines were read."""
        place = one_line(self._lines.name)
        for field, name in self._said.items():
            if field not in self._found:
                LOG.warning(
                    "%s: no line has the field %r, which is to be the %s",
                    place,
                    name,
                    field,
                )
        if nameless:
            LOG.warning(
                "%s: pictures without a name: %s, called row-N, N the number of the line. Say "
                    "which field names them, as ?key=FIELD",
                place, f"{nameless:,}",
            )  # fmt: skip

    def _named(self, number: int, line: bytes, place: str) -> tuple[str, str, str, int | None]:
        """Return name, version, location and size of the item in a line."""
        row = self._row(line)
        given = {field: _field(row, self._fields[field]) for field in _FIELDS}
        self._found.update(field for field, value in given.items() if value is not None)
        key, url, image, listed, size = (
            value if field == "image" else as_text(value) for field, value in given.items()
        )
        name, address = key or url or f"row-{number}", url or key
        for field, value in ("key", key), ("url", url), ("image", image):
            if given[field] not in (None, "") and not isinstance(value, str):
                problem = f"none its {self._fields[field]} is no text"
                return key or url or f"line-{number}", self._lines.version, problem, None
        if isinstance(image, str):
            return key or f"row-{number}", self._lines.version, place, None
        if address is None:
            known = ", ".join(self._fields[field] for field in ("key", "url", "image"))
            problem = f"none the line is no key, and no JSON with one of {known}; see ?key=FIELD"
            return f"line-{number}", self._lines.version, problem, None
        bytes_of_it = int(size) if size is not None and size.isdecimal() else None
        return name, self._base.version(listed), f"base {address}", bytes_of_it

    def _row(self, line: bytes) -> dict[str, Any]:
        """Return the fields of a line; none if it is broken."""
        if not line.lstrip().startswith(b"{"):
            text = line.rstrip(b"\r\n").decode(errors="surrogateescape")
            return {self._fields["key"]: text}
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
            raise ImageError(Outcome.FAILED, place)
        start, length = map(int, place.split())
        if length > LONGEST:
            reason = f"a line of {length:,} bytes, the limit is {LONGEST:,}"
            raise ImageError(Outcome.REFUSED, reason)
        image = _field(self._row(self._lines.at(start, length)), self._fields["image"])
        if item.version != self._lines.version:
            raise ImageError(Outcome.FAILED, "the list that it is in has changed")
        data = written_picture(image.encode()) if isinstance(image, str) else None
        if data is None:
            reason = "its picture is no base64, data URL or hexadecimal"
            raise ImageError(Outcome.FAILED, reason)
        return data

    def leads_out(self, item: ImageItem) -> bool:
        """Return whether the file of an item does not lie below the base."""
        kind, _, place = item.location.partition(" ")
        return kind == "base" and self._base.leads_out(place)

    def count(self) -> None:
        """Return None: only reading the list would tell."""

    def close(self) -> None:
        """Let go of the list."""
        self._lines.close()


def _field(row: dict[str, Any], name: str) -> Any:
    """Return the field of that name, or what is in others, as ``meta.id``; None if there is none.

    All of them if several are so called but for upper and lower case.

    Examples
    --------
    >>> [_field({"ID": 1, "meta": {"id": 2}}, name) for name in ("id", "meta.id", "url")]
    [1, 2, None]
    """
    if name in row:
        return row[name]
    alike = [value for other, value in row.items() if other.casefold() == name.casefold()]
    if alike:
        return alike[0] if len(alike) == 1 else alike
    outer, _, inner = name.partition(".")
    inside = row.get(outer)
    return _field(inside, inner) if inner and isinstance(inside, dict) else None


def _other_kind(head: bytes) -> str:
    """Return what a file is that begins so and is no list of lines, and what to do; or nothing."""
    for magic, what in (
        (b"\x1f\x8b", "it is packed with gzip. Unpack it."),
        (b"PK\3\4", "it is a zip archive. Unpack it, or scan it as zip://FILE."),
        (b"PAR1", "it is a Parquet table. Scan it as parquet://FILE."),
        (BOM_UTF32_LE, "it is UTF-32. Write it as UTF-8."),
        (BOM_UTF32_BE, "it is UTF-32. Write it as UTF-8."),
    ):
        if head.startswith(magic):
            return what
    encoding, start = _encoding(head)
    text = head[start:].decode(encoding, "replace").lstrip()
    line, end, _ = text.partition("\n")
    line = line.rstrip()
    if "\0" in line:
        return "there are NULs in it. Write one key or JSON object a line."
    if not end and "\r" in line:
        return "its lines end in a carriage return alone. End them in a line feed."
    if line in {"[", "{"} or line.startswith(("[{", '["')):
        return "it is JSON, and no JSON lines. Write one object a line, as jq -c '.[]' does."
    if line.lower().startswith(("<!doctype html", "<html")):
        return "it is a web page. Give the address of the list itself."
    return ""


def _encoding(head: bytes) -> tuple[str, int]:
    """Return how a list that begins with `head` is encoded, and how long the mark for it is."""
    for mark, encoding in (
        (BOM_UTF8, "utf-8"), (BOM_UTF16_LE, "utf-16-le"), (BOM_UTF16_BE, "utf-16-be"),
    ):  # fmt: skip
        if head.startswith(mark):
            return encoding, len(mark)
    if b"\0" in head[:2]:  # half of a letter
        return ("utf-16-be" if head.startswith(b"\0") else "utf-16-le"), 0
    return "utf-8", 0


def _lines(stream: IO[bytes], name: str) -> Iterator[tuple[int, int, bytes]]:
    """Yield where each line starts, its length there, and the line in UTF-8.

    Of one that is too long, its beginning. SourceError if it is not encoded as it says, or
    something else than lines.
    """
    head = stream.read(_HEAD)
    if advice := _other_kind(head):
        raise SourceError(f"cannot read {name}: {advice}")
    encoding, start = _encoding(head)
    stream.seek(start)
    if encoding == "utf-8":
        while line := stream.readline(LONGEST + 1):
            yield start, len(line), line
            start += len(line)
        return
    text = io.TextIOWrapper(stream, encoding, "surrogatepass", newline="\n")
    try:
        while written := text.readline(LONGEST + 1):
            length = len(written.encode(encoding, "surrogatepass"))
            yield start, length, written.encode(errors="surrogatepass")
            start += length
    except UnicodeDecodeError:
        raise SourceError(
            f"cannot read {name}: it begins as UTF-16 and is not. Write it as UTF-8"
        ) from None
    finally:
        text.detach()  # whoever has opened it closes it


class _File:
    """A list on this machine; any part of it can be read again, by many threads."""

    def __init__(self, path: str) -> None:
        self.name = path
        try:
            with open(path, "rb") as file:
                self.version = version(os.fstat(file.fileno()))
                self._encoding, _ = _encoding(file.read(len(BOM_UTF8)))
        except OSError as error:
            raise cannot_open(path, error) from None

    def identity(self) -> str:
        return content_identity(self.name, self.version)

    def all(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield where each line starts, its length there, and the line in UTF-8."""
        with open(self.name, "rb") as file:
            yield from _lines(file, self.name)

    def at(self, start: int, length: int) -> bytes:
        line = read_part(self.name, self.version, start, length)
        return line.decode(self._encoding, "replace").encode()

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

    def all(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield where each line starts, its length there, and the line in UTF-8."""
        yield from _lines(io.BytesIO(self._list()), self.name)

    def at(self, start: int, length: int) -> bytes:
        content = self._get()
        line = content[start : start + length]
        return line.decode(_encoding(content)[0], "replace").encode()

    def close(self) -> None:
        self._content = None
