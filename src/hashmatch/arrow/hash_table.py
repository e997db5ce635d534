"""Hash tables: the hashes of a source in Parquet, made once and matched many times.

Rows are those of `Hash`. A table is made in parts of some thousand pictures, each on the disk
before the next is begun, in the folder ``NAME.parts`` beside it. A run that was killed resumes
behind the last part; when all are there, the table appears whole and the parts are removed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from hashmatch import registry
from hashmatch._files.atomic import locked, make_folder, writing
from hashmatch.arrow import schemas
from hashmatch.arrow.rows import with_version
from hashmatch.decode import load
from hashmatch.decode.formats import FORMATS, identify
from hashmatch.decode.policy import POLICY
from hashmatch.errors import IndexFileError, SinkError, SourceError, UsageError
from hashmatch.hashing.hash_image import decode_here, hash_loaded
from hashmatch.records.enums import Surface, check_level
from hashmatch.records.hashes import HashBatch, HashSpec, Opaque
from hashmatch.records.images import ImageError, ImageItem
from hashmatch.retry import Tries, list_items, read_item, until_available
from hashmatch.scan.pipeline import Concurrency, Pipeline
from hashmatch.scan.scan import ScanOptions
from hashmatch.sources.bucket import BucketSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    from hashmatch.hashing.hash_image import HashPlan
    from hashmatch.interfaces import Source
    from hashmatch.records.enums import Level
    from hashmatch.records.images import HashedImage
    from hashmatch.retry import Fetched

SUFFIX = ".parquet"
ROWS = 10_000
"""Rows of a part, and of a row group: what a kill costs, and what is in memory."""
SECONDS = 60.0
"""After which a part is written though it has fewer."""
_PLAN = re.compile(r"variants=(\w+) min_quality=(default|\d+)")
_PART = re.compile(r"\d{12}[.]parquet")
_DEFAULTS = ScanOptions()


class Made(NamedTuple):
    """How many pictures a table has, by outcome; `before` were there from earlier runs."""

    outcomes: dict[str, int]
    before: int


def hash_source(
    source: Source,
    path: str | os.PathLike[str],
    plan: HashPlan,
    *,
    options: ScanOptions = _DEFAULTS,
    on_item: Callable[[str], object] | None = None,
) -> Made:
    """Write the hashes of every picture of a source to a table, or resume where that was stopped.

    What cannot be hashed is a row with its outcome and reason. A table that is finished already is
    left as it is. What is added to the source meanwhile is there if it is listed behind the place
    where a run was stopped.

    Parameters
    ----------
    source : Source
        The pictures; `hashmatch.scan.shard.Shard` for a part of them. It is closed.
    path : str or path
        The table, whose name ends in ``.parquet``; only its owner can read it.
    plan : HashPlan
        What pictures are hashed as.
    options : ScanOptions
        With how many threads and readers, and what decodes.
    on_item : callable, optional
        Called with the outcome of each picture.

    Returns
    -------
    Made

    Raises
    ------
    UsageError
        If `path` is a table of another source or plan.
    SourceError
        If the source cannot be listed, or nothing can be read from it any more.
    SinkError
        If the table cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import hashmatch as hm
    >>> from hashmatch.hashing.hash_image import HashPlan
    >>> from hashmatch.testing import MemorySource
    >>> source = MemorySource({"a.jpg": b"no picture"}, hm.Surface.PUBLIC_POST)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     hash_source(source, f"{folder}/hashes.parquet", HashPlan(["pdq"])).outcomes
    {'unsupported': 1}
    """
    writer = _Writer(os.fspath(path), plan)
    tries = options.tries or Tries()
    try:
        return writer.run(source, options, tries, on_item)
    finally:
        source.close()


class _Writer:
    """Makes one table."""

    def __init__(self, path: str, plan: HashPlan) -> None:
        if not path.endswith(SUFFIX):
            raise UsageError(f"cannot write {path}: it is no table of hashes. End it in {SUFFIX}")
        schemas.check_plan(plan)
        self._path, self._parts = path, f"{path}.parts"
        self._plan = replace(plan, chrome=True)  # a match has to say it, and has no picture
        self._plan_name = schemas.plan_name(plan)
        self._schema = schemas.hash_schema(plan.hashers[0].spec.algorithm)

    def run(
        self,
        source: Source,
        options: ScanOptions,
        tries: Tries,
        on_item: Callable[[str], object] | None,
    ) -> Made:
        about = self._about(until_available(source.identity, tries))
        if os.path.exists(self._path):
            self._check(self._path, about)
            shutil.rmtree(self._parts, ignore_errors=True)  # of a run that ended at its very end
            made = _outcomes(self._path)
            return Made(made, sum(made.values()))
        make_folder(self._parts)
        busy = f"cannot write {self._path}: another process makes it. Wait, or choose another name."
        with locked(f"{self._parts}/lock", busy):
            position, count = None, 0
            for name in self._names():
                metadata = self._check(name, about)
                position, count = metadata["position"], count + _rows(name)
            before = count
            rows: list[dict[str, Any]] = []
            began = time.monotonic()
            listed = list_items(source, position, tries=tries)
            pipeline = Pipeline(
                source, listed, lambda fetched: self._row(fetched, options), tries,
                Concurrency(options.readers, options.threads),
                wanted=None if self._plan.reads_bytes else identify,
            )  # fmt: skip
            for item, row in pipeline:
                rows.append(row)
                position = item.position
                if on_item is not None:
                    on_item(row["outcome"])
                if len(rows) >= ROWS or time.monotonic() - began >= SECONDS:
                    self._write(rows, count, about, position)
                    count += len(rows)
                    rows, began = [], time.monotonic()
            if rows or not count:
                self._write(rows, count, about, position)
            self._merge(about)
        made = _outcomes(self._path)
        shutil.rmtree(self._parts)
        return Made(made, before)

    def _about(self, source: str) -> str:
        """Return all that the rows depend on."""
        hashers = [
            [h.spec.algorithm, h.spec.bits, registry.maker(registry.HASHERS, h.spec.algorithm)]
            for h in self._plan.hashers
        ]
        return json.dumps([source, hashers, self._plan_name, POLICY, sorted(FORMATS)])

    def _check(self, path: str, about: str) -> dict[str, Any]:
        metadata = _about_of(path)
        if metadata.get("about") != about:
            raise UsageError(
                f"cannot write {self._path}: {path} is of another source, algorithm or option. "
                "Choose another name, or remove it."
            )
        return metadata

    def _names(self) -> list[str]:
        return sorted(
            f"{self._parts}/{name}" for name in os.listdir(self._parts) if _PART.fullmatch(name)
        )

    def _row(self, fetched: Fetched, options: ScanOptions) -> tuple[ImageItem, dict[str, Any]]:
        item, data = fetched
        if isinstance(data, ImageError):
            said = schemas.unhashed_row(item.key, item.version, str(item.surface), data)
            return item, {**said, "plan": self._plan_name}
        item = with_version(item, data)
        hashed = hash_loaded(load(data, item.key), self._plan, options.decode or decode_here)
        return item, schemas.hash_row(item, str(item.surface), hashed, self._plan_name)

    def _write(
        self, rows: list[dict[str, Any]], count: int, about: str, position: str | None
    ) -> None:
        said = json.dumps({"about": about, "position": position})
        schema = self._schema.with_metadata({**self._schema.metadata, "part": said})
        table = pa.Table.from_batches([schemas.batch_of(rows, schema)])
        with _parquet_file(f"{self._parts}/{count:012}{SUFFIX}", schema) as file:
            file.write_table(table)

    def _merge(self, about: str) -> None:
        said = json.dumps({"about": about, "position": None})
        schema = self._schema.with_metadata({**self._schema.metadata, "part": said})
        with _parquet_file(self._path, schema) as file:
            for name in self._names():
                file.write_table(parquet.read_table(name).replace_schema_metadata(schema.metadata))


@contextmanager
def _parquet_file(path: str, schema: pa.Schema) -> Iterator[parquet.ParquetWriter]:
    """Give what writes a Parquet file that appears whole, with a checksum of each page."""
    with (
        writing(path, error=SinkError) as file,
        os.fdopen(file, "wb", closefd=False) as stream,
        parquet.ParquetWriter(
            stream, schema, compression="zstd", write_page_checksum=True
        ) as table,
    ):
        yield table


def _about_of(path: str) -> dict[str, Any]:
    try:
        metadata = parquet.read_schema(path).metadata or {}
        said: dict[str, Any] = json.loads(metadata.get(b"part", b"{}"))
    except (OSError, ValueError):  # a damaged part, or no table at all
        return {}
    return said


def _rows(path: str) -> int:
    return int(parquet.read_metadata(path).num_rows)


def _outcomes(path: str) -> dict[str, int]:
    counts = parquet.read_table(path, columns=["outcome"]).column("outcome").value_counts()
    return dict(sorted((each["values"], each["counts"]) for each in counts.to_pylist()))


class HashTable:
    """Hash tables, to be matched again by `hashmatch.rescan_archive`.

    Parameters
    ----------
    place : str or path
        A table, a folder of them, or a bucket's: ``s3://bucket/hashes``. Of a table in a bucket,
        some thousand rows are read at a time.
    surface : Surface or str, optional
        Where its pictures were published, if its rows do not say it.
    allow_private : sequence of str
        Hosts and networks that may be asked though they are not public.

    Raises
    ------
    UsageError
        If there is no such file or folder, or no table in it.
    """

    def __init__(
        self,
        place: str | os.PathLike[str],
        surface: Surface | str | None = None,
        *,
        allow_private: tuple[str, ...] = (),
    ) -> None:
        self.place = os.fspath(place)
        self._surface = None if surface is None else Surface.parse(surface)
        self._allow_private = allow_private
        if "://" in self.place:
            self._paths = []
            return
        if os.path.isdir(self.place):
            names = sorted(os.listdir(self.place))
            self._paths = [f"{self.place}/{name}" for name in names if name.endswith(SUFFIX)]
        else:
            self._paths = [self.place]
        if not self._paths or not all(map(os.path.isfile, self._paths)):
            raise UsageError(f"cannot read {self.place}: there is no table of hashes. Check it.")

    def files(self) -> Iterator[TablePart]:
        """Yield each row group of each table, in the order of their names.

        Raises
        ------
        IndexFileError
            If a file is no table of hashes, or damaged.
        SourceError
            If a bucket cannot be listed or read.
        """
        for name, file in self._open():
            try:
                table = parquet.ParquetFile(file, page_checksum_verification=True)
            except (OSError, pa.ArrowException):
                raise IndexFileError(
                    f"cannot use {name}: it is no Parquet table, or damaged. Make it again."
                ) from None
            lacking = {"key", "images", "plan"} - set(table.schema_arrow.names)
            if lacking:
                raise IndexFileError(
                    f"cannot use {name}: it is no table of hashes. Make it with hashmatch hash."
                )
            with table:
                for number in range(table.num_row_groups):
                    yield TablePart(name, table, number, self._surface)

    def _open(self) -> Iterator[tuple[str, Any]]:
        if "://" not in self.place:
            yield from ((path, path) for path in self._paths)
            return
        source = registry.open_source(
            self.place, Surface.PROFILE_PHOTO, allow_private=self._allow_private
        )
        tries, found = Tries(), False
        try:
            for item in list_items(source, tries=tries):
                if not item.key.endswith(SUFFIX):
                    continue
                found = True
                if isinstance(source, BucketSource):
                    yield item.key, source.open(item, tries)
                    continue
                data = read_item(source, item, tries)[1]
                if isinstance(data, ImageError):
                    raise SourceError(f"cannot read {item.key} of {self.place}: {data.reason}")
                yield item.key, pa.BufferReader(data)
        finally:
            source.close()
        if not found:
            raise UsageError(f"cannot read {self.place}: there is no table of hashes. Check it.")


class TablePart(Opaque):
    """A row group of a table; what `hashmatch.scan.rescan.KeptHashes` asks for."""

    def __init__(
        self, name: str, file: parquet.ParquetFile, number: int, surface: Surface | None
    ) -> None:
        self.name = name
        self._file, self._number, self._surface = file, number, surface

    @cached_property
    def _table(self) -> pa.RecordBatch:
        try:
            table = self._file.read_row_group(self._number)
        except (OSError, pa.ArrowException):
            raise IndexFileError(
                f"cannot read {self.name}: it is damaged. Make it again."
            ) from None
        return (
            table.combine_chunks().to_batches(max_chunksize=None)[0]
            if len(table)
            else (schemas.batch_of([], table.schema))
        )

    @cached_property
    def _plan(self) -> tuple[Level, int | None]:
        plans = self._table.column("plan").unique().to_pylist()
        found = _PLAN.fullmatch(plans[0] or "") if len(plans) == 1 else None
        if found is None:
            raise UsageError(
                f"cannot match {self.name}: its pictures were hashed in several ways. Give each a "
                "table of its own."
            )
        check_level(found[1])
        return found[1], None if found[2] == "default" else int(found[2])  # type: ignore[return-value]

    @property
    def variants(self) -> Level:
        """What was asked about each picture, see `Matcher`."""
        return self._plan[0] if len(self) else "none"

    @property
    def min_quality(self) -> int | None:
        """The least quality that counts as a hash."""
        return self._plan[1] if len(self) else None

    @cached_property
    def specs(self) -> tuple[HashSpec, ...]:
        """The kinds of hash that there are of each picture."""
        images = pc.list_flatten(self._table.column("images"))
        kinds = {
            (each["algorithm"], each["bits"])
            for each in pa.table(
                {name: pc.struct_field(images, name) for name in ("algorithm", "bits")}
            )
            .group_by(["algorithm", "bits"])
            .aggregate([])
            .to_pylist()
        }
        return tuple(HashSpec(*kind) for kind in sorted(kinds))

    def verify(self) -> None:
        """Raise IndexFileError unless every byte is as it was written."""
        _ = self._table

    def given(self) -> set[bytes]:
        """Return no digest: making a table makes no record."""
        return set()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def hashes(self, spec: HashSpec) -> tuple[HashBatch, NDArray[np.int64]]:
        """Return all hashes of one kind, and the number of the picture that each is of."""
        return schemas.hashes_of(self._table.column("images"), spec)

    def __getitem__(self, number: int) -> tuple[ImageItem, list[HashedImage]]:
        """Return a picture and all of its hashes, as `Matcher.hash` gave them."""
        row = self._table.slice(number, 1).to_pylist()[0]
        surface = row.get("surface") or self._surface
        if surface is None:
            raise UsageError(
                f"cannot match {row['key']}: {self.name} does not say on which surface it was "
                "published. Give surface"
            )
        item = ImageItem(row["key"], row["version"] or "", Surface.parse(surface))
        return item, schemas.hashed_images(row["key"], row["images"] or [])
