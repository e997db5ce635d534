"""Hashes of scanned pictures, kept for a time: what a later list is matched with.

`hashmatch.keeper` puts them there, if it is told to. A folder holds files that never change, each
of some thousand pictures and whole from the first moment on, in the block format of
`hashmatch.index_file`. Its header says until when it may be kept; from then on it is not read, and
`purge` removes it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hashmatch.errors import IndexFileError, UsageError
from hashmatch.index_file.mapped import open_blocks
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.hashes import HashBatch, HashSpec, Opaque
from hashmatch.records.items import HashedImage, ImageItem

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from hashmatch.index_file.mapped import MappedFile

SUFFIX = ".kept"


class KeptImage(msgspec.Struct, array_like=True):
    """A `HashedImage` without its hashes: rows `first` to ``first + count`` of its kind."""

    kind: int
    first: int
    count: int
    outcome: str
    reason: str
    quality: int | None
    width: int | None
    height: int | None
    damaged: bool
    media_type: str | None
    frame: int
    decode_policy: str
    variants: tuple[str, ...]


class KeptItem(msgspec.Struct, array_like=True):
    """An `ImageItem` and what hashing made of it."""

    key: str
    version: str
    surface: str
    images: list[KeptImage]


class Kept(NamedTuple):
    """The hashes of one kind in one file: rows of `hashes`, and what row each is of.

    ``lists`` has the version of each list that they were matched with then, by its name, and
    ``pictures`` how many there are.
    """

    hashes: HashBatch
    items: KeptItems
    lists: dict[str, str]
    pictures: int


class KeptItems(Opaque):
    """Of each row of a batch, the item and all of its hashes, as `Matcher.check_hashed` takes them.

    Rows of one picture give the same item, so ask once for each picture.
    """

    def __init__(self, file: MappedFile, specs: tuple[HashSpec, ...], kind: int) -> None:
        self._file, self._specs = file, specs
        self._item_of = file.blocks[f"item {kind}"]

    def number(self, row: int) -> int:
        """Return which picture of its file `row` is a hash of."""
        return int(self._item_of[row])

    def __getitem__(self, row: int) -> tuple[ImageItem, list[HashedImage]]:
        number, ends = self.number(row), self._file.blocks["ends"]
        first = int(ends[number - 1]) if number else 0
        data = self._file.blocks["items"][first : int(ends[number])].tobytes()
        self._file.check_unchanged()
        made = msgspec.msgpack.decode(data, type=KeptItem)
        item = ImageItem(made.key, made.version, Surface.parse(made.surface))
        return item, [self._image(made.key, one) for one in made.images]

    def _image(self, key: str, one: KeptImage) -> HashedImage:
        words = self._file.blocks[f"words {one.kind}"][one.first : one.first + one.count].copy()
        self._file.check_unchanged()
        spec = self._specs[one.kind]
        return HashedImage(
            key, spec, Outcome(one.outcome), HashBatch(spec, words), one.reason, one.quality,
            one.width, one.height, one.damaged, one.media_type, one.frame, one.decode_policy,
            one.variants,
        )  # fmt: skip


def each(
    folder: str | os.PathLike[str], spec: HashSpec, now: datetime | None = None
) -> Iterator[Kept]:
    """Yield the hashes of one kind that are kept, a file at a time, the oldest scan first.

    What may no longer be kept is passed over, purged or not.

    Parameters
    ----------
    folder : str or path
        Where a `hashmatch.keeper.Keeper` put them.
    spec : HashSpec
        Which kind; `HashIndex.join` takes such a batch.
    now : datetime, optional
        For tests.

    Raises
    ------
    IndexFileError
        If a file is damaged.
    """
    for path, file in _files(folder):
        if _expires(path, file) <= (now or datetime.now(UTC)):
            continue
        file.verify()
        specs = tuple(
            HashSpec(str(segment.facts["algorithm"]), int(segment.facts["bits"]))
            for segment in file.description.segments
        )
        if spec in specs:
            kind = specs.index(spec)
            words = file.blocks[f"words {kind}"].copy()
            file.check_unchanged()
            lists = _lists(path, file)
            pictures = len(file.blocks["ends"])
            yield Kept(HashBatch(spec, words), KeptItems(file, specs, kind), lists, pictures)


def purge(folder: str | os.PathLike[str], now: datetime | None = None) -> int:
    """Remove what may no longer be kept.

    Parameters
    ----------
    folder : str or path
        Where a `hashmatch.keeper.Keeper` put it.
    now : datetime, optional
        For tests.

    Returns
    -------
    int
        How many files were removed.
    """
    removed = 0
    for path, file in _files(folder):
        if _expires(path, file) <= (now or datetime.now(UTC)):
            with suppress(FileNotFoundError):  # somebody else purges as well
                path.unlink()
                removed += 1
    return removed


def _files(folder: str | os.PathLike[str]) -> Iterator[tuple[Path, MappedFile]]:
    """Yield each file; only its header has been looked at."""
    if not Path(folder).is_dir():
        raise UsageError(f"{folder}: no folder of kept hashes")
    for path in sorted(Path(folder).glob(f"[!.]*{SUFFIX}")):
        yield path, open_blocks(path, check=False)


def _lists(path: Path, file: MappedFile) -> dict[str, str]:
    try:
        return msgspec.json.decode(str(file.description.facts["lists"]), type=dict[str, str])
    except (KeyError, msgspec.MsgspecError):
        raise IndexFileError(f"{path} does not say which lists it was matched with") from None


def _expires(path: Path, file: MappedFile) -> datetime:
    expires = file.description.facts.get("expires")
    if file.description.facts.get("kept") != 1 or not isinstance(expires, int | float):
        raise IndexFileError(f"{path} holds no kept hashes")
    return datetime.fromtimestamp(expires, UTC)
