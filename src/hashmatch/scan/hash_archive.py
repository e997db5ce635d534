"""Hashes of scanned pictures, kept for an agreed time: what a later list is matched with.

`Keeper` puts them there, if a scan is told to. A folder holds files that never change, each of
some thousand pictures and whole from the first moment on, in the block format of
`hashmatch._files`. Its header says until when it may be kept; from then on it is not read, and
`purge` removes it.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from hashmatch import __version__
from hashmatch._files.block_format import Description, Segment
from hashmatch._files.block_reader import open_blocks
from hashmatch._files.block_writer import write
from hashmatch._files.private import check_private
from hashmatch.errors import IndexFileError, UsageError
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.hashes import HashBatch, HashSpec, Opaque
from hashmatch.records.images import HashedImage, ImageItem

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hashmatch._files.block_reader import MappedFile
    from hashmatch.records.hash_list import HashList

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
    """Of each row of a batch, the item and all of its hashes, as `Matcher.decide` takes them.

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
        Where a `hashmatch.scan.hash_archive.Keeper` put them.
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
        Where a `hashmatch.scan.hash_archive.Keeper` put it.
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


MOST = 10_000
"""Pictures of a file: as many are held in memory until it is written, some MB."""


class Keeper(Opaque):
    """Keeps the hashes of one scan. Close it at the end, or use it in a ``with`` statement.

    Parameters
    ----------
    folder : str or path
        Where; it is made if need be, for its owner only.
    keep_for : timedelta
        How long; longer than nothing.
    lists : sequence of HashList
        What the scan matches with: a later one need only match what these did not have.
    scan : str, optional
        A name for the scan, if it may be stopped and go on: see `flush`.
    most : int
        Pictures of each file.
    now : datetime, optional
        When the scan began; for tests.

    Raises
    ------
    UsageError
        If the folder cannot be made, or the time is none.
    StoreError
        If others can read the folder, or change it.

    Examples
    --------
    >>> import tempfile
    >>> import hashmatch as hm
    >>> from hashmatch.scan.hash_archive import each
    >>> hashed = hm.hash_all("fixtures/images/plain/tiles.png", ["pdq"])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Keeper(folder, timedelta(days=30)) as keeper:
    ...         keeper.add(hm.ImageItem("user/1", "v1", hm.Surface.PROFILE_PHOTO), hashed)
    ...     [(batch, items, lists, pictures)] = each(folder, HashSpec("pdq", 256))
    ...     item, again = items[0]
    >>> batch, item.key, again[0].quality == hashed[0].quality
    (<HashBatch pdq (256 bits), n=1>, 'user/1', True)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        keep_for: timedelta,
        lists: Sequence[HashList] = (),
        *,
        scan: str | None = None,
        most: int = MOST,
        now: datetime | None = None,
    ) -> None:
        if keep_for <= timedelta(0):
            raise UsageError("hashes are kept for a time longer than nothing")
        self._folder = Path(folder)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: hashes cannot be kept there: {error.strerror}") from None
        check_private(str(self._folder), follow=True, any_owner=True)
        self._created = now or datetime.now(UTC)
        self._expires = self._created + keep_for
        began = f"{self._created.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(6)}"
        self._scan = began if scan is None else f"scan-{scan}"
        self._lists = {known.name: known.version for known in lists}
        self._most = most
        self._files = 0
        self._clear()

    def add(self, item: ImageItem, hashed: Sequence[HashedImage]) -> None:
        """Keep the hashes of one picture, if it has one that could be searched.

        Parameters
        ----------
        item : ImageItem
            The picture.
        hashed : sequence of HashedImage
            As `Matcher.hash` gave them.
        """
        if not any(one.outcome is Outcome.HASHED for one in hashed):
            return
        images = []
        for one in hashed:
            kind = self._kinds.setdefault(one.spec, len(self._kinds))
            if kind == len(self._words):
                self._words.append([])
                self._item_of.append([])
            first = len(self._item_of[kind])
            self._words[kind].append(one.hashes)
            self._item_of[kind] += [len(self._items)] * len(one.hashes)
            images.append(
                KeptImage(
                    kind, first, len(one.hashes), one.outcome, one.reason, one.quality, one.width,
                    one.height, one.damaged, one.media_type, one.frame, one.decode_policy,
                    tuple(map(str, one.variants)),
                )
            )  # fmt: skip
        self._items.append(
            msgspec.msgpack.encode(KeptItem(item.key, item.version, item.surface, images))
        )
        if len(self._items) >= self._most:
            self._write()

    def flush(self, number: int) -> None:
        """Write what is not on the disk yet, as the file of that number.

        Parameters
        ----------
        number : int
            How many items the scan had accounted for before these: if it does them again, they
            take the place of themselves.
        """
        self._files = number
        self.close()

    def close(self) -> None:
        """Write what is not on the disk yet."""
        if self._items:
            self._write()

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *error: object) -> None:
        # Also after an error: what was scanned was scanned.
        self.close()

    def _clear(self) -> None:
        self._kinds: dict[HashSpec, int] = {}
        self._words: list[list[HashBatch]] = []
        self._item_of: list[list[int]] = []
        self._items: list[bytes] = []

    def _write(self) -> None:
        blocks: list[tuple[str, NDArray[Any]]] = [
            ("items", np.frombuffer(b"".join(self._items), np.uint8)),
            ("ends", np.cumsum([len(item) for item in self._items], dtype=np.int64)),
        ]
        segments = []
        for spec, kind in self._kinds.items():
            names = {"words": f"words {kind}", "item": f"item {kind}"}
            words = HashBatch.concatenate(self._words[kind]).words
            blocks.append((names["words"], words))
            blocks.append((names["item"], np.array(self._item_of[kind], np.int64)))
            facts: dict[str, int | float | str] = {"algorithm": spec.algorithm, "bits": spec.bits}
            segments.append(Segment(None, names, facts))
        created, expires = self._created.timestamp(), self._expires.timestamp()
        description = Description(
            spec=next(iter(self._kinds)),
            snapshot=self._scan,
            decode_policy=None,
            hashmatch=__version__,
            segments=tuple(segments),
            facts={
                "kept": 1,
                "created": created,
                "expires": expires,
                "lists": msgspec.json.encode(self._lists).decode(),
            },
        )
        write(self._folder / f"{self._scan}-{self._files:012}{SUFFIX}", description, blocks)
        self._files += 1
        self._clear()
