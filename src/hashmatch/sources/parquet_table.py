"""A Parquet table with a row for each picture, its address or its bytes: the extra ``parquet``."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from hashmatch.decode import limits
from hashmatch.errors import SourceError, UsageError, install
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError, ImageItem
from hashmatch.sources._base_folder import Base, Unique, cannot_open, options, split
from hashmatch.sources._files import content_identity
from hashmatch.sources._files import version as file_version
from hashmatch.sources._streams import HeldItem, held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hashmatch.records.enums import Surface

#: Rows that are read together; with their pictures, fewer.
ROWS, PICTURES = 1000, 16
_COLUMNS = ("key", "url", "image", "version", "size")


class ParquetSource:
    """A row for each item, in their order: ``parquet://photos.parquet?base=s3://photos``.

    Columns are ``image``, the bytes of the picture; or ``url``, its address below the base; or
    ``key`` alone, which is its address then. A row without a key has its address for one, or else
    is ``row-N``; a second row of the same key is ``key#2``. ``version`` and ``size`` are as
    listed. Rows that say none of this are items all the same, and fail. A position is the number
    of a row, from 1.

    Pictures in the table come with their items, and are let go of with them: take them as they
    come, not as a list.

    ``?image=photo`` and its like tell another name of a column. ``base`` is the folder of the
    table, unless it is given; `options` are for one that is a bucket or web server, see
    `hashmatch.sources.bucket.BucketSource`. UsageError if the extra ``parquet`` is not installed,
    or the table has no such column; SourceError if it cannot be read.
    """

    def __init__(
        self, location: str, surface: Surface, options: Mapping[str, Any] | None = None
    ) -> None:
        try:
            from pyarrow import ArrowException
            from pyarrow.parquet import ParquetFile
        except ImportError:
            raise UsageError(
                f"cannot read {location}: pyarrow is not installed. {install('parquet')}"
            ) from None
        self._path, said = split(location, ("base", *_COLUMNS))
        self._surface = surface
        self._error = ArrowException
        try:
            with open(self._path, "rb") as file:
                self._version = file_version(os.fstat(file.fileno()))
            # Columns are read a piece at a time, not a whole row group.
            self._open: Callable[[], Any] = partial(ParquetFile, self._path, buffer_size=2**20)
            there = set(self._open().schema_arrow.names)
        except ArrowException:
            raise SourceError(f"{self._path}: no Parquet table, or damaged") from None
        except OSError as error:
            raise cannot_open(self._path, error) from None
        if missing := [said[name] for name in _COLUMNS if name in said and said[name] not in there]:
            raise UsageError(f"{self._path}: there is no column {missing[0]!r}")
        self._columns = {
            name: said.get(name, name) for name in _COLUMNS if said.get(name, name) in there
        }
        if not {"key", "url", "image"} & set(self._columns):
            raise UsageError(
                f"{self._path}: it has no column key, url or image; say which it is, "
                "parquet://FILE?image=COLUMN"
            )
        self._base = Base(said.get("base") or os.path.dirname(self._path) or ".", options)

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield every item once; SourceError if the table is damaged, or has no rows."""
        unique, number, last = Unique(), 0, int(after or 0)
        try:
            with self._open() as table:
                batches = table.iter_batches(
                    batch_size=PICTURES if "image" in self._columns else ROWS,
                    columns=list(self._columns.values()),
                    use_threads=False,
                )
                for batch in batches:
                    for row in batch.to_pylist():
                        number += 1
                        item = self._item(row, number, unique)
                        if number > last:
                            yield item
        except (self._error, OSError):
            raise SourceError(f"{self._path}: damaged after {number:,} rows") from None
        if not number:
            raise SourceError(f"{self._path}: the table has no rows")

    def _item(self, row: Mapping[str, Any], number: int, unique: Unique) -> ImageItem:
        fields = {name: row[column] for name, column in self._columns.items()}
        key, image = fields.get("key"), fields.get("image")
        if isinstance(image, dict):  # as other tools write images: their bytes, and a path
            image = image.get("bytes")
        address = fields.get("url") or key
        known = [name for name in (key, address, f"row-{number}") if isinstance(name, str) and name]
        name, position = unique.name(known[0]), str(number)
        if isinstance(image, bytes):
            version = f"{self._version}-{number}"
            kept = image if len(image) <= limits.MAX_BYTES else None
            return HeldItem(name, version, self._surface, "row", position, len(image), kept)
        if not isinstance(address, str) or not address:
            return ImageItem(name, self._version, self._surface, "none", position)
        size = fields.get("size")
        return ImageItem(
            name,
            self._base.version(fields.get("version")),
            self._surface,
            f"base {address}",
            position,
            size if isinstance(size, int) and size >= 0 else None,
        )

    def identity(self) -> str:
        """Return its whole path, a digest of all of it, its columns and base, and the surface."""
        content = content_identity(self._path, self._version)
        return f"{content} {self._surface} {options(self._columns)} base={self._base.identity}"

    def read(self, item: ImageItem) -> bytes:
        """Return the content of `item`; see `hashmatch.interfaces.Source.read`."""
        kind, _, address = item.location.partition(" ")
        if kind == "base":
            return self._base.read(item, address)
        if kind != "row":
            raise ImageError(Outcome.FAILED, "its row has no picture, address or key")
        content = held(item)
        return self._at(int(item.position)) if content is None else content

    def _at(self, number: int) -> bytes:
        """Return the picture in a row, by reading those of its row group up to it."""
        with self._open() as table:
            first = 1
            for group in range(table.num_row_groups):
                rows = table.metadata.row_group(group).num_rows
                if number < first + rows:
                    batches = table.iter_batches(
                        PICTURES, [group], [self._columns["image"]], use_threads=False
                    )
                    for batch in batches:
                        if number < first + len(batch):
                            image = batch.column(0)[number - first].as_py()
                            return bytes(image["bytes"] if isinstance(image, dict) else image)
                        first += len(batch)
                first += rows
        raise ImageError(Outcome.FAILED, "its row is gone")

    def count(self) -> int:
        """Return how many rows there are."""
        with self._open() as table:
            return int(table.metadata.num_rows)

    def close(self) -> None:
        """Do nothing: the table is open only while it is read."""
