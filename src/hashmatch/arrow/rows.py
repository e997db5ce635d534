"""Rows of a batch as pictures: their names, and their bytes, addresses or hashes."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from hashmatch.errors import SourceError, UnknownSurface, UsageError
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.images import UNLISTED, ImageError, ImageItem, clean_name
from hashmatch.retry import Tries
from hashmatch.scan.pipeline import fetch
from hashmatch.sources._base_folder import Base
from hashmatch.sources.parquet_table import texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from hashmatch.retry import Fetched

KINDS = ("images", "hash", "image", "url")
"""Columns of which a batch has one: what is looked up. The first that is there is used."""
_ANY = Surface.PROFILE_PHOTO
"""Stands for a surface where pictures are hashed only, and it is not known."""


class Row(NamedTuple):
    """A row of a batch: its item, or why there is none, and the surface that it says."""

    number: int
    item: ImageItem | None
    key: str | None
    surface: str | None
    problem: str = ""


class Rows:
    """The rows of a batch. Raises UsageError if a column is missing, or of another type.

    `surface` is that of all of them, unless there is a column; without either, they can be hashed
    only (`needs_surface`).
    """

    def __init__(self, batch: Any, surface: str | None, *, needs_surface: bool = True) -> None:
        names = batch.schema.names
        for name in names:
            if names.count(name) > 1:
                raise UsageError(
                    f"cannot use the batch: it has the column {name} twice. Rename one"
                )
        self.kind = next((kind for kind in KINDS if kind in names), None)
        if self.kind is None or "key" not in names:
            needed = "key" if self.kind else "image, url or hash"
            there = ", ".join(names) or "none"
            raise UsageError(
                f"cannot use the batch: it has no column {needed}, but {there}. "
                "Give key, and image, url or hash"
            )
        self.count = batch.num_rows
        self._surface, self._needs_surface = surface, needs_surface
        self._column = batch.column(self.kind)
        self._texts = {
            name: _texts(batch, name) for name in ("key", "version", "surface") if name in names
        }
        if needs_surface and surface is None and "surface" not in self._texts:
            raise UsageError(
                "cannot match pictures of an unknown surface. Give surface, or a column surface"
            )
        _CHECKS[self.kind](self._column.type)

    def __iter__(self) -> Iterator[Row]:
        for number in range(self.count):
            key = self._text("key", number)
            said = self._text("surface", number) or self._surface
            problem, surface = "", _ANY
            if key is None:
                problem = "its row has no key"
            elif said is not None:
                try:
                    surface = Surface.parse(said)
                except UnknownSurface as error:
                    problem = str(error)
            elif self._needs_surface:
                problem = "its row has no surface"
            name = None if key is None else clean_name(key)
            if key is None or problem:
                yield Row(number, None, name, said, problem)
                continue
            version = self._text("version", number) or "unlisted"
            yield Row(number, ImageItem(key, version, surface), name, said)

    def _text(self, name: str, number: int) -> str | None:
        column = self._texts.get(name)
        return (column[number] or None) if column is not None else None

    def value(self, number: int) -> Any:
        """Return what the row has of `kind`: None if that is null."""
        return self._column[number].as_py()

    def image(self, row: Row) -> bytes | ImageError:
        """Return the bytes of its picture."""
        data = self.value(row.number)
        return ImageError(Outcome.FAILED, "its row has no image") if data is None else data


def with_version(item: ImageItem, data: bytes) -> ImageItem:
    """Return an item with a digest of its content for a version, if its row has none."""
    if item.version not in UNLISTED:
        return item
    return replace(item, version=f"blake2b-{blake2b(data, digest_size=16).hexdigest()}")


def _texts(batch: Any, name: str) -> Sequence[str | None]:
    column = batch.column(name)
    found = texts(column)
    if found is None:
        raise UsageError(f"cannot use the column {name}: it is of type {column.type}. Give text")
    return found


def _is_dictionary(kind: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_dictionary(kind))


def _check_image(kind: pa.DataType) -> None:
    from pyarrow import types

    if _is_dictionary(kind):
        kind = kind.value_type
    if not (
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
        or types.is_null(kind)
    ):  # fmt: skip
        raise UsageError(f"cannot use the column image: it is of type {kind}. Give binary")


def _check_url(kind: pa.DataType) -> None:
    from pyarrow import types

    if _is_dictionary(kind):
        kind = kind.value_type
    if not (
        types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
        or types.is_null(kind)
    ):  # fmt: skip
        raise UsageError(f"cannot use the column url: it is of type {kind}. Give text")


def _check_hash(kind: pa.DataType) -> None:
    from pyarrow import types

    if not (
        types.is_fixed_size_binary(kind) or types.is_binary(kind) or types.is_large_binary(kind)
    ):
        raise UsageError(
            f"cannot use the column hash: it is of type {kind}. Give fixed-size binary"
        )


def _check_images(kind: pa.DataType) -> None:
    from hashmatch.arrow.schemas import IMAGES

    held = {field.name for field in getattr(kind, "value_type", ())} if _is_list(kind) else set()
    needed = {field.name for field in IMAGES.value_type} - {"chrome"}  # older tables lack it
    lacking = sorted(needed - held)
    if lacking:
        raise UsageError(
            f"cannot use the column images: it has no {', '.join(lacking)}. Give it as Hash does"
        )


def _is_list(kind: pa.DataType) -> bool:
    from pyarrow import types

    return bool(
        (types.is_list(kind) or types.is_large_list(kind)) and types.is_struct(kind.value_type)
    )


_CHECKS = {"image": _check_image, "url": _check_url, "hash": _check_hash, "images": _check_images}


class Addresses:
    """Fetches pictures from addresses below some places, and from nowhere else.

    Parameters
    ----------
    prefixes : sequence of str
        ``https://cdn.example/photos``, ``s3://bucket/folder``, or a folder.
    allow_private : sequence of str
        Hosts and networks that may be asked though they are not public.
    """

    def __init__(self, prefixes: Sequence[str], allow_private: Sequence[str]) -> None:
        self._bases = [
            Base(prefix, {"allow_private": tuple(allow_private)} if "://" in prefix else None)
            for prefix in prefixes
        ]

    def fetch(self, rows: Sequence[tuple[ImageItem, str | None]]) -> Iterator[Fetched]:
        """Yield each item, in order, with the version of what was read and its content.

        A place that answers nothing until the deadline of its tries is not asked again in this
        batch: the rows that are left have that for a reason.
        """
        down: dict[str, str] = {}
        done = 0
        while done < len(rows):
            source = _Addressed(self._bases, rows[done:], down)
            try:
                for fetched in fetch(source, source.items(), tries=Tries()):
                    done += 1
                    yield fetched
                return
            except SourceError as error:
                item, url = rows[done]
                down |= {base.place: str(error) for base in self._bases if _is_below(url, base)}
                done += 1
                yield item, ImageError(Outcome.FAILED, str(error))


def _is_below(url: str | None, base: Base) -> bool:
    return url is not None and url.startswith(f"{base.place}/")


class _Addressed:
    """A source of some addresses, for `fetch`."""

    def __init__(
        self,
        bases: Sequence[Base],
        rows: Sequence[tuple[ImageItem, str | None]],
        down: dict[str, str],
    ) -> None:
        self._bases, self._rows, self._down = bases, rows, down

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        for number, (item, url) in enumerate(self._rows):
            base = self._base(url)
            version = item.version if base is None else base.version(item.version)
            yield replace(item, version=version, location=str(number))

    def _base(self, url: str | None) -> Base | None:
        """Return what an address is below."""
        return next((base for base in self._bases if _is_below(url, base)), None)

    def read(self, item: ImageItem) -> bytes:
        url = self._rows[int(item.location)][1]
        if url is None:
            raise ImageError(Outcome.FAILED, "its row has no url")
        base = self._base(url)
        if base is None:
            raise ImageError(Outcome.REFUSED, "its address is below none of url_prefixes")
        if base.place in self._down:
            raise ImageError(Outcome.FAILED, self._down[base.place])
        return base.read(item, url)

    def identity(self) -> str:
        return "addresses"

    def count(self) -> int:
        return len(self._rows)

    def close(self) -> None:
        pass
