"""Keeper: puts the hashes of a scan where `hashmatch.kept` finds them, for an agreed time."""

from __future__ import annotations

import secrets
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from hashmatch import __version__
from hashmatch.errors import UsageError
from hashmatch.index_file.layout import Description, Segment
from hashmatch.index_file.writing import write
from hashmatch.kept import SUFFIX, KeptImage, KeptItem
from hashmatch.records.enums import Outcome
from hashmatch.records.hashes import HashBatch, HashSpec, Opaque

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hashmatch.records.items import HashedImage, ImageItem
    from hashmatch.records.lists import HashList

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
        If the folder can be entered by others, or the time is none.

    Examples
    --------
    >>> import tempfile
    >>> import hashmatch as hm
    >>> from hashmatch.kept import each
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
            mode = self._folder.stat().st_mode
        except OSError as error:
            raise UsageError(f"{folder}: hashes cannot be kept there: {error.strerror}") from None
        if stat.S_IMODE(mode) & 0o077:
            raise UsageError(f"{folder}: others can enter it; chmod 700 it, it holds hashes")
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
