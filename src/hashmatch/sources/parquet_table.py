"""A Parquet table with a row for each picture, its address or its bytes: the extra ``parquet``."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import repeat
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar
from uuid import UUID

import numpy as np

from hashmatch.decode import limits
from hashmatch.errors import SourceError, UsageError, install
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError, ImageItem
from hashmatch.sources._base_folder import Base, Unique, cannot_open, options, split
from hashmatch.sources._files import content_identity, identity, look_at
from hashmatch.sources._files import version as file_version
from hashmatch.sources._streams import HeldItem, held, written_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hashmatch.records.enums import Surface

LOG = logging.getLogger("hashmatch.sources")
LOG.addHandler(logging.NullHandler())  # nothing on stderr unless the host asks for it

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

#: Rows that are read together; with their pictures, fewer, of about so many bytes.
ROWS, PICTURES, PICTURE_BYTES = 1000, 16, 4 * 2**20
#: How much of a file is read at a time.
READ_BYTES = 2**20
SUFFIXES = (".parquet", ".parq", ".pq")
EXACT_FLOAT = {16: 2**11, 32: 2**24, 64: 2**53}
"""Whole numbers up to here are exact in a float of so many bits (IEEE 754)."""
_COLUMNS = ("key", "url", "image", "version", "size")
_OTHER_FILES = (
    (b"ARROW1", "an Arrow (Feather) file"), (b"\xff\xff\xff\xff", "an Arrow stream"),
    (b"FEA1", "a Feather file"), (b"PARE", "encrypted Parquet"), (b"ORC", "an ORC file"),
)  # fmt: skip


class ParquetSource:
    """A row for each item, in their order: ``parquet://photos.parquet?base=s3://photos``.

    Columns are ``image``, the bytes of the picture; or ``url``, its address below the base; or
    ``key`` alone, which is its address then. A row without a key has its address for one, or else
    is ``row-N``; the same key again is ``key#2``, but the same address and version as well is
    the same item. ``version`` and ``size`` are as listed. Rows that say none of this are items all
    the same, and fail. A position is the number of a row, from
    1, and that of a picture after the first one in its row.

    ======= =======================================================================
    key     text; whole numbers; dates and times (ISO 8601); UUIDs; bytes that are
            UTF-8 or of a fixed length, of which 16 are a UUID and others hexadecimal
    image   bytes, or a list of them as numbers; base64, a data URL or hexadecimal;
            a struct of ``bytes`` and ``path``, which is the key then, and the address
            if there are no bytes; a list of all these, in which each is an item
    ======= =======================================================================

    ``?image=photo`` and its like tell another name of a column, ``meta.id`` is the field of a
    struct, and names are distinguished by their case only if there are both. Without ``image``, it
    is the column of pictures that Hugging Face's metadata name. A folder is all the tables in it
    whose names end in ``.parquet``, one after the other in the order of their paths.

    Pictures in the table come with their items, and are let go of with them: take them as they
    come, not as a list. A page of a column, of which there may be one in a row group, is in memory
    as a whole; the logger ``hashmatch.sources`` has a warning where that may be much.

    ``base`` is the folder of the table, unless it is given; `options` are for one that is a bucket
    or web server, see `hashmatch.sources.bucket.BucketSource`. UsageError if the extra ``parquet``
    is not installed, or the table has no such column, or one of a type that cannot be it;
    SourceError if it cannot be read.
    """

    def __init__(
        self, location: str, surface: Surface, options: Mapping[str, Any] | None = None
    ) -> None:
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise UsageError(
                f"cannot read {location}: pyarrow is not installed. {install('parquet')}"
            ) from None
        self._path, self._said = split(location, ("base", *_COLUMNS))
        self._surface = surface
        is_folder = os.path.isdir(self._path)
        self._others = Counter[str]()
        paths = _tables_below(self._path, self._others) if is_folder else [self._path]
        self.passed_over = Counter(self._others)
        self._tables = [_Table(path, self._said) for path in paths]
        self._warn()
        folder = self._path if is_folder else os.path.dirname(self._path)
        self._base = Base(self._said.get("base") or folder or ".", options)

    def _warn(self) -> None:
        """Say what is to be known before the table is read."""
        largest = max(self._tables, key=lambda table: table.largest)
        if largest.largest > limits.MAX_BYTES:
            LOG.warning(
                "%s: %s bytes of pictures in one row group, about three times as much memory "
                    "if they are one page. Write it with fewer rows in a group.",
                largest.path, f"{largest.largest:,}",
            )  # fmt: skip
        for table in self._tables:
            if table.unused:
                LOG.warning(
                    "%s: its pictures are read from addresses; if they are in the column %s, "
                        "say so, as ?image=%s; if not, as ?image=",
                    table.path, " or ".join(table.unused), table.unused[0],
                )  # fmt: skip
                return
            if not table.is_named:
                LOG.warning(
                    "%s: no column names the pictures, they are called row-1, row-2 and so "
                        "on. Say which does, as ?key=COLUMN; there are %s",
                    table.path, ", ".join(table.names) or "no others",
                )  # fmt: skip
                return

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield every item once; SourceError if the table is damaged, or has no rows."""
        self.passed_over = Counter(self._others)
        keys, named, number, nameless = Unique(), Unique(), 0, 0
        last = _place(after) if after else (0, 0)
        for table in self._tables:
            for row in table.all(last[0] - number):
                number += 1
                for part, picture in enumerate(row.pictures or [_Picture()]):
                    address = row.url or picture.path or row.key
                    name = row.key or address or f"row-{number}"
                    nameless += table.is_named and not (row.key or address)
                    said = f"{name}\n{row.version}\n{address}"
                    if table.is_of_addresses and address and not named.is_new(said):
                        self.passed_over["rows that name an item again"] += 1
                        continue
                    key = keys.name(name)
                    if (number, part) > last:
                        position = f"{number}.{part + 1}" if part else f"{number}"
                        yield self._item(table, row, picture, address, key, position)
        if not number:
            raise SourceError(f"cannot scan {self._path}: the table has no rows")
        if nameless:
            LOG.warning(
                "%s: pictures without a name: %s, called row-N, N the number of the row. Say "
                    "which column names them, as ?key=COLUMN",
                self._path, f"{nameless:,}",
            )  # fmt: skip

    def _item(
        self, table: _Table, row: _Row, picture: _Picture, address: str | None,
        key: str, position: str,
    ) -> ImageItem:  # fmt: skip
        if picture.size is not None:
            version = f"{table.version}-{position}"
            size, content = picture.size, picture.content
            return HeldItem(key, version, self._surface, "row", position, size, content)
        if picture.problem or not address:
            reason = picture.problem or "its row has no picture, address or key"
            return ImageItem(key, table.version, self._surface, f"none {reason}", position)
        version, place = self._base.version(row.version), f"base {address}"
        return ImageItem(key, version, self._surface, place, position, row.size)

    def identity(self) -> str:
        """Return its whole path, a digest of all of it, its columns and base, and the surface."""
        content = [content_identity(table.path, table.version) for table in self._tables]
        if os.path.isdir(self._path):
            digest = blake2b("\n".join(content).encode(), digest_size=16).hexdigest()
            content = [f"{identity(self._path)} content={digest}"]
        said = options({name: self._said.get(name, name) for name in _COLUMNS})
        return f"{content[0]} {self._surface} {said} base={self._base.identity}"

    def read(self, item: ImageItem) -> bytes:
        """Return the content of `item`; see `hashmatch.interfaces.Source.read`."""
        kind, _, rest = item.location.partition(" ")
        if kind == "base":
            return self._base.read(item, rest)
        if kind != "row":
            raise ImageError(Outcome.FAILED, rest)
        content = held(item)
        if content is not None:
            return content
        row = self._row(item)
        if row is None:
            raise ImageError(Outcome.FAILED, "its row is gone")
        table, number, part = row
        return table.picture(number, part)

    def _row(self, item: ImageItem) -> tuple[_Table, int, int] | None:
        """Return the table of an item, and its row and place there; None if it is gone."""
        number, part = _place(item.position)
        for table in self._tables:
            if number <= table.rows:
                return table, number, part
            number -= table.rows
        return None

    def leads_out(self, item: ImageItem) -> bool:
        """Return whether the file of an item does not lie below the base, or its table below us."""
        kind, _, address = item.location.partition(" ")
        if kind == "base":
            return self._base.leads_out(address)
        row, root = self._row(item), os.path.realpath(self._path)
        return row is not None and os.path.commonpath([root, os.path.realpath(row[0].path)]) != root

    def count(self) -> int | None:
        """Return how many rows there are; None if an item may be several of them, or fewer."""
        if any(table.has_lists or table.is_of_addresses for table in self._tables):
            return None
        return sum(table.rows for table in self._tables)

    def close(self) -> None:
        """Do nothing: the table is open only while it is read."""


def _place(position: str) -> tuple[int, int]:
    """Return the number of a row, from 1, and of a picture in it, from 0."""
    number, _, part = position.partition(".")
    return int(number), int(part or 1) - 1


def _tables_below(folder: str, others: Counter[str]) -> list[str]:
    """Return the paths of the tables in a folder, in their order; count what else is there."""

    def fail(error: OSError) -> NoReturn:
        raise cannot_open(str(error.filename), error)

    found = []
    for inside, folders, names in os.walk(folder, onerror=fail):
        for name in folders[:]:  # notes of the tools that write such folders begin so
            if name.startswith(("_", ".")) or os.path.islink(os.path.join(inside, name)):
                others["folders that are linked or begin with _ or ."] += 1
                folders.remove(name)
        for name in names:
            if name.lower().endswith(SUFFIXES) and not name.startswith(("_", ".")):
                found.append(os.path.join(inside, name))
            else:
                others["files that are no tables"] += 1
    if not found:
        raise SourceError(f"cannot scan {folder}: no file in it ends in {', '.join(SUFFIXES)}")
    return sorted(found)


class _Picture(NamedTuple):
    """What a cell says of one picture: its size and content, or its path, or what is wrong."""

    path: str | None = None
    size: int | None = None
    content: bytes | None = None
    problem: str = ""


class _Row(NamedTuple):
    key: str | None = None
    url: str | None = None
    pictures: list[_Picture] | None = None
    version: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class _Reading(Generic[T_co]):
    """How cells of a type are read, and of a struct which fields."""

    value: Callable[[Any], T_co]
    fields: tuple[str, ...] = ()
    is_list: bool = False
    is_named: bool = False


@dataclass(frozen=True, slots=True)
class _Column(Generic[T_co]):
    """A column, or a field in one: its names from the outermost on, and how its cells are read."""

    names: tuple[str, ...]
    reading: _Reading[T_co]

    @property
    def leaves(self) -> list[str]:
        """What belongs to it, as Parquet names it."""
        whole = ".".join(self.names)
        return [f"{whole}.{field}" for field in self.reading.fields] or [whole]

    def cells(self, batch: Any) -> Iterator[T_co | None]:
        """Yield what each row says; None if that is null, and for ever if it was not read."""
        if self.names[0] not in batch.schema.names:
            yield from repeat(None)
        for cell in batch.column(self.names[0]):
            yield _field(cell, self.names[1:], self.reading)


class _Table:
    """One file; `said` are names of columns that differ from the usual."""

    def __init__(self, path: str, said: Mapping[str, str]) -> None:
        from pyarrow import ArrowException

        self.path, self._damage = path, ArrowException
        try:
            with open(path, "rb") as opened:
                self.version = file_version(os.fstat(opened.fileno()))
                start = opened.read(6)
            for magic, what in _OTHER_FILES:
                if start.startswith(magic):
                    raise SourceError(
                        f"cannot read {path}: {what}. Write it as a plain Parquet table"
                    )
            with self._open() as file:
                schema, metadata = file.schema_arrow, file.metadata
        except ArrowException:
            raise SourceError(f"cannot read {path}: it is no Parquet table, or damaged") from None
        except OSError as error:
            raise cannot_open(path, error) from None
        columns = _Columns(path, schema, said)
        self._key = columns.find("key", _text)
        self._url = columns.find("url", _text)
        self._image = columns.find("image", _pictures)
        self._version = columns.find("version", _text)
        self._size = columns.find("size", _size)
        self.unused: list[str] = []
        if not (self._url or self._image) and said.get("image") is None:
            self.unused = [
                field.name
                for field in schema
                if _holds_bytes(_storage(field.type))
                and not (self._key and field.name == self._key.names[0])
            ]
        if not (self._key or self._url or self._image):
            likely = ", ".join(self.unused or schema.names) or "none"
            raise UsageError(
                f"cannot scan {path}: it has no column key, url or image. Say which it is, as "
                f"parquet://FILE?image=COLUMN; there are {likely}"
            )
        there = (self._key, self._url, self._image, self._version, self._size)
        self._leaves = [leaf for column in there if column for leaf in column.leaves]
        self._pictures = self._image.leaves if self._image else []
        image = self._image.reading if self._image else None
        self._naming = [
            leaf
            for leaf in self._leaves
            if leaf not in self._pictures or (image and image.fields and leaf.endswith(".path"))
        ]
        self.has_lists = image is not None and image.is_list
        self.is_of_addresses = image is None
        self.is_named = bool(self._key or self._url or (image and image.is_named))
        self.names = [
            name for name in schema.names if not self._image or name != self._image.names[0]
        ]
        self.rows = int(metadata.num_rows)
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        self.largest = max((_bytes(group, self._pictures) for group in groups), default=0)

    def all(self, skip: int) -> Iterator[_Row]:
        """Yield every row; the first `skip` without their pictures, if nothing depends on them."""
        number = 0
        try:
            with self._open() as file:
                for group in range(file.num_row_groups):
                    end = number + file.metadata.row_group(group).num_rows
                    is_skipped = end <= skip and not self.has_lists
                    if is_skipped and not self._naming:
                        yield from repeat(_Row(), end - number)
                        number = end
                        continue
                    leaves = self._naming if is_skipped else self._leaves
                    for batch in _batches(file, group, leaves, self._pictures):
                        for row in self._rows(batch):
                            number += 1
                            yield row
        except _InexactKey as error:
            raise SourceError(f"cannot read {self.path}, row {number + 1:,}: {error}") from None
        except (self._damage, OSError):
            raise SourceError(
                f"cannot read {self.path}: it is damaged after {number:,} rows"
            ) from None

    def picture(self, number: int, part: int) -> bytes:
        """Return a picture of a row, by reading those of its row group up to it."""
        try:
            with self._open() as file:
                group = 0
                while number > file.metadata.row_group(group).num_rows:
                    number -= file.metadata.row_group(group).num_rows
                    group += 1
                for batch in _batches(file, group, self._pictures, self._pictures):
                    if number <= len(batch):
                        (row,) = self._rows(batch.slice(number - 1, 1))
                        content = (row.pictures or [])[part].content
                        if content is not None:
                            return content
                        break
                    number -= len(batch)
        except SourceError as error:
            raise ImageError(Outcome.FAILED, str(error)) from None
        except (self._damage, OSError, IndexError):
            pass
        raise ImageError(Outcome.FAILED, f"its row cannot be read again: {self.path} is damaged")

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """Open the file; SourceError if it is not of the version any more that it was."""
        from pyarrow import OSFile
        from pyarrow.parquet import ParquetFile

        with OSFile(os.fsencode(self.path)) as file:
            if look_at(self.path)[0] != self.version:
                raise SourceError(
                    f"cannot read {self.path}: it changed since it was opened. Start again"
                )
            # Without these it holds a whole row group, and takes damage for pictures.
            yield ParquetFile(
                file, buffer_size=READ_BYTES, pre_buffer=False, page_checksum_verification=True
            )

    def _rows(self, batch: Any) -> Iterator[_Row]:
        """Yield the rows of a batch, of which nobody needs two at a time."""

        def cells(column: _Column[T] | None) -> Iterator[T | None]:
            return repeat(None) if column is None else column.cells(batch)

        return map(
            _Row,
            cells(self._key),
            cells(self._url),
            cells(self._image),
            cells(self._version),
            cells(self._size),
        )


class _InexactKey(Exception):
    """A number that may stand for several keys."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns of a table; `said` are names that differ from the usual."""

    path: str
    schema: Any
    said: Mapping[str, str]

    def find(self, role: str, reading: Callable[[Any], _Reading[T] | None]) -> _Column[T] | None:
        """Return the column of this role, if there is one; UsageError if it cannot be that."""
        name = self.said.get(role)
        if name == "":
            return None
        names = self._names(name or role)
        if role == "image" and name is None:
            names = self._hugging_face() or names
        if names is None:
            if name is None:
                return None
            raise UsageError(f"cannot scan {self.path}: there is no column {name!r}")
        kind = self._type(names)
        found = reading(kind)
        if found is None:
            is_struct = hasattr(_storage(kind), "get_field_index")
            inside = f", a field of it, as ?{role}={names[0]}.FIELD" if is_struct else ""
            raise UsageError(
                f"cannot scan {self.path}: column {'.'.join(names)!r} of type {kind} cannot be "
                f"the {role}. Say another, as ?{role}=COLUMN{inside}, or none, as ?{role}="
            )
        return _Column(names, found)

    def _names(self, name: str) -> tuple[str, ...] | None:
        """Return the names that lead to a column, or to a field of one; None if nothing is so."""
        there = self.schema.names
        if name not in there:
            others = [other for other in there if other.casefold() == name.casefold()]
            if len(others) > 1:
                raise UsageError(
                    f"cannot scan {self.path}: columns {', '.join(others)} differ by case "
                    f"only. Say which it is, as ?{name.lower()}={others[0]}"
                )
            if not others:
                outer, *inner = name.split(".")
                return (outer, *inner) if inner and self._leads(outer, inner) else None
            name = others[0]
        if there.count(name) > 1:
            raise UsageError(
                f"cannot choose a column of {self.path}: several are called {name!r}. Rename one"
            )
        return (name,)

    def _leads(self, outer: str, inner: list[str]) -> bool:
        """Return whether there are these fields of a column."""
        from pyarrow.types import is_struct

        if self.schema.names.count(outer) != 1:
            return False
        kind = self.schema.field(outer).type
        for name in inner:
            if not is_struct(kind) or kind.get_field_index(name) < 0:
                return False
            kind = kind.field(name).type
        return True

    def _type(self, names: tuple[str, ...]) -> Any:
        kind = self.schema.field(names[0]).type
        for name in names[1:]:
            kind = kind.field(name).type
        return kind

    def _hugging_face(self) -> tuple[str, ...] | None:
        """Return the column of pictures that the metadata of Hugging Face's datasets name."""
        try:
            said = json.loads((self.schema.metadata or {})[b"huggingface"])
            features = said["info"]["features"]
            found = [name for name in self._names_of_images("", features) if self._names(name)]
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
            return None
        if len(found) > 1:
            raise UsageError(
                f"cannot choose a column of {self.path}: several hold pictures, "
                f"{', '.join(found)}. Scan each, as ?image={found[0]}"
            )
        return self._names(found[0]) if found else None

    def _names_of_images(self, inside: str, features: Mapping[str, Any]) -> Iterator[str]:
        for name, feature in features.items():
            kind = feature
            while isinstance(kind, list) or (isinstance(kind, dict) and "feature" in kind):
                kind = kind[0] if isinstance(kind, list) else kind["feature"]
            if kind.get("_type") == "Image":
                yield f"{inside}{name}"
            elif "_type" not in kind and kind is feature:
                yield from self._names_of_images(f"{inside}{name}.", kind)


def _batches(file: Any, group: int, leaves: list[str], pictures: list[str]) -> Iterator[Any]:
    """Yield the rows of a row group, with pictures as few at a time as make up some MB."""
    rows = ROWS
    if set(pictures) & set(leaves):
        said = file.metadata.row_group(group)
        rows = PICTURE_BYTES * said.num_rows // max(_bytes(said, pictures), 1)
        rows = max(1, min(rows, PICTURES))
    return file.iter_batches(rows, [group], leaves, use_threads=False)  # type: ignore[no-any-return]


def _bytes(group: Any, leaves: list[str]) -> int:
    """Return how large some columns are in a row group, unpacked."""
    chunks = [group.column(number) for number in range(group.num_columns)]
    return sum(
        int(chunk.total_uncompressed_size)
        for chunk in chunks
        if any(f"{chunk.path_in_schema}.".startswith(f"{leaf}.") for leaf in leaves)
    )


def _plain(cell: Any) -> Any:
    """Return what a dictionary or an extension of Arrow stands for."""
    from pyarrow import DictionaryScalar, ExtensionScalar

    while cell.is_valid and isinstance(cell, (DictionaryScalar, ExtensionScalar)):
        cell = cell.value
    return cell


def _storage(kind: Any) -> Any:
    """Return the type of what `_plain` returns."""
    from pyarrow import BaseExtensionType
    from pyarrow.types import is_dictionary

    while True:
        if isinstance(kind, BaseExtensionType):
            kind = kind.storage_type
        elif is_dictionary(kind):
            kind = kind.value_type
        else:
            return kind


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_bytes(kind: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
        or types.is_fixed_size_binary(kind)
    )  # fmt: skip


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(
        types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        or types.is_list_view(kind) or types.is_large_list_view(kind)
    )  # fmt: skip


def _text(kind: Any) -> _Reading[str | None] | None:
    """Return how cells of a type are written as text, another for each other value."""
    from pyarrow import types

    value: Callable[[Any], str | None]
    is_uuid = getattr(kind, "extension_name", "") == "arrow.uuid"
    kind = _storage(kind)
    if is_uuid:
        value = _uuid
    elif types.is_fixed_size_binary(kind):
        value = _fixed
    elif _is_text(kind) or _is_bytes(kind):
        value = _decoded
    elif types.is_integer(kind):
        value = str
    elif types.is_floating(kind):
        value = _whole
    elif types.is_decimal(kind):
        value = _decimal
    elif types.is_date(kind) or types.is_timestamp(kind):
        unit = "D" if types.is_date32(kind) else getattr(kind, "unit", "ms")
        value = partial(_time, unit, "Z" if getattr(kind, "tz", None) else "")
    elif types.is_null(kind):
        value = _nothing
    else:
        return None
    return _Reading(value)


def texts(column: Any) -> list[str | None] | None:
    """Return the cells of an Arrow column as keys are read, None for null; None if it has no text.

    Examples
    --------
    >>> import pyarrow as pa
    >>> texts(pa.array([7, None])), texts(pa.array([[1]]))
    (['7', None], None)
    """
    reading = _text(column.type)
    if reading is None:
        return None
    if _is_text(column.type):
        try:
            said: list[str | None] = column.to_pylist()
            return said
        except UnicodeDecodeError:  # which Arrow does not look for when others make the column
            pass
    return [_field(cell, (), reading) for cell in column]


def _nothing(_: object) -> None:
    return None


def _decoded(cell: Any) -> str:
    return bytes(cell.as_buffer()).decode(errors="surrogateescape")


def _uuid(cell: Any) -> str:
    return str(UUID(bytes=bytes(cell.as_buffer())))


def _fixed(cell: Any) -> str:
    # A UUID by RFC 9562 is never ASCII: the first bit of its ninth byte is set.
    data = bytes(cell.as_buffer())
    text = data.decode("ascii", "replace")
    if data.isascii() and text.isprintable():
        return text
    return _uuid(cell) if len(data) == 16 else data.hex()


def _whole(cell: Any) -> str | None:
    number = float(cell.as_py())
    if np.isnan(number):  # what was null, as pandas writes it
        return None
    if not number.is_integer() or abs(number) >= EXACT_FLOAT[cell.type.bit_width]:
        raise _InexactKey(
            f"{number!r}, a number of type {cell.type}, is no exact key. Write the column as "
            "integers or text, or say another, as ?key=COLUMN"
        )
    return str(int(number))


def _decimal(cell: Any) -> str:
    number = cell.as_py()
    return str(int(number)) if number == int(number) else f"{number:f}"


def _time(unit: str, zone: str, cell: Any) -> str:
    text = str(np.int64(cell.value).view(f"datetime64[{unit}]"))
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text + zone


def _size(kind: Any) -> _Reading[int | None]:
    from pyarrow import types

    kind = _storage(kind)
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    return _Reading(_bytes_said if is_number else _nothing)


def _bytes_said(cell: Any) -> int | None:
    number = cell.as_py()
    return int(number) if 0 <= number < EXACT_FLOAT[64] else None


def _pictures(kind: Any) -> _Reading[list[_Picture]] | None:
    """Return how cells of a type are read as pictures, of which a list has any number."""
    kind = _storage(kind)
    one = _picture(kind)
    if one is not None:
        return _Reading(lambda cell: [one.value(cell)], one.fields, is_named=one.is_named)
    inner = _picture(_storage(kind.value_type)) if _is_list(kind) else None
    if inner is None or _is_list(_storage(kind.value_type)):  # the rows of one, in pixels
        return None
    missing = _Picture(problem="its row has nothing where it should be")

    def each(cell: Any) -> list[_Picture]:
        cells = map(_plain, cell.values)
        return [inner.value(one) if one.is_valid else missing for one in cells]

    return _Reading(each, is_list=True, is_named=inner.is_named)


def _holds_bytes(kind: Any) -> bool:
    """Return whether cells may well be pictures, whatever their column is called."""
    from pyarrow import types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _picture(kind) is not None
    return _is_bytes(kind) and not types.is_fixed_size_binary(kind)


def _picture(kind: Any) -> _Reading[_Picture] | None:
    from pyarrow import types

    if _is_text(kind):
        return _Reading(_written)
    if _is_bytes(kind):
        return _Reading(_content)
    if _is_list(kind) and types.is_integer(kind.value_type):
        return _Reading(_numbers)
    if types.is_null(kind):
        return _Reading(lambda _: _Picture())
    if not types.is_struct(kind):
        return None
    there = {field.name: field.type for field in kind}
    content = _picture(_storage(there["bytes"])) if "bytes" in there else None
    path = _text(there["path"]) if "path" in there else None
    fields = tuple(name for name in ("bytes", "path") if name in there)
    if len(fields) != (content is not None) + (path is not None) or not fields:
        return None

    def both(cell: Any) -> _Picture:
        picture = _field(cell, ("bytes",), content) if content else None
        named = _field(cell, ("path",), path) if path else None
        return (picture or _Picture())._replace(path=named)

    return _Reading(both, fields, is_named=path is not None)


def _field(cell: Any, names: tuple[str, ...], reading: _Reading[T]) -> T | None:
    """Return what a cell, or a field inside of it, says; None if it is null or was not read."""
    cell = _plain(cell)
    for name in names:
        if not cell.is_valid or name not in cell:
            return None
        cell = _plain(cell[name])
    return reading.value(cell) if cell.is_valid else None


def _content(cell: Any) -> _Picture:
    data = cell.as_buffer()
    if bytes(data[:64]).isascii():  # as of hardly a picture: old tools write text as bytes
        written = _written(cell)
        if written.content is not None and _is_picture(written.content):
            return written
    return _Picture(size=data.size, content=_kept(data))


def _is_picture(data: bytes) -> bool:
    from hashmatch.decode.formats import identify

    try:
        return bool(identify(data))
    except ImageError:
        return False


def _kept(data: Any) -> bytes | None:
    return bytes(data) if memoryview(data).nbytes <= limits.MAX_BYTES else None


def _numbers(cell: Any) -> _Picture:
    """Read bytes that are written as numbers, of which Java's have a sign."""
    if cell.values.null_count:
        return _Picture(problem="its list of bytes has nulls in it")
    numbers = cell.values.to_numpy(zero_copy_only=False)
    least, most = (numbers.min(), numbers.max()) if len(numbers) else (0, 0)
    if most > (127 if least < 0 else 255) or least < -128:
        return _Picture(problem="its list is of numbers that are no bytes")
    return _Picture(size=len(numbers), content=_kept(numbers.astype(np.uint8)))


def _written(cell: Any) -> _Picture:
    text = bytes(cell.as_buffer())
    if not text.strip():
        return _Picture()
    if len(text) > 2 * limits.MAX_BYTES + 2**16:
        return _Picture(size=len(text))
    data = written_picture(text)
    if data is None:
        reason = "its picture is no base64, data URL or hexadecimal. If the column holds addresses"
        return _Picture(problem=f"{reason}, say ?url=COLUMN&image=")
    return _Picture(size=len(data), content=_kept(data))
