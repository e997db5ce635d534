"""Hashes of scanned pictures, kept for an agreed time: what later lists are matched with.

A folder holds files that never change, each of the pictures of a batch and whole from the first
moment on, in the block format of `hashmatch._files`. Beside the hashes it remembers which records
the scan gave, by digests, so that a rescan gives the others. The header says until when a file may
be kept; from then on it is not read, and `HashArchive.purge` removes it.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np

from hashmatch._files.block_format import Description, Segment
from hashmatch._files.block_reader import open_blocks
from hashmatch._files.block_writer import write
from hashmatch._files.private import check_found, check_private
from hashmatch.errors import IndexFileError, UsageError
from hashmatch.hashing.chrome import ChromeMeter
from hashmatch.records import VERSION
from hashmatch.records.enums import Level, Outcome, Surface
from hashmatch.records.hashes import HashBatch, HashSpec, Opaque
from hashmatch.records.images import HashedImage, ImageItem
from hashmatch.records.review import ReviewRecord
from hashmatch.records.typed import converted, from_msgpack
from hashmatch.records.video_columns import VIDEO_SPEC
from hashmatch.records.videos import FRAME_SPEC, HashedVideo, VideoAlgorithm, VideoFrames

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from hashmatch._files.block_reader import MappedFile
    from hashmatch.scan.events import Result

SUFFIX = ".kept"
FORMAT = 2
PICTURES = 10_000
"""Pictures of a file, where no checkpoint asks for less: so many are in memory, some MB."""
DIGEST = 16
"""Bytes of a `record_digest`."""


def record_digest(record: ReviewRecord) -> bytes:
    """Return what two records have in common that tell a reviewer the same, as 16 bytes.

    That is all of them but the record's id, when it was made and the image seen, the image's own
    hash, how much of it is chrome, the versions of lists, limits and calibrations: an entry that
    still matches is no news because its list has another version, or would let a farther picture
    match. The order of equally near entries makes no difference.
    """
    said = cast("dict[str, Any]", msgspec.to_builtins(record))
    for name in ("record_id", "created_at"):
        del said[name]
    said.pop("seen_at", None)
    said["hash"].pop("value", None)
    said["item"].pop("chrome", None)
    for each in (*said["matches"], said.get("suppressed_by", {})):
        limits = "max_distance", "max_distance_from"
        for name in ("list_version", *limits, "calibration", "chrome"):
            each.pop(name, None)
    encode = msgspec.json.Encoder(order="deterministic").encode
    said["matches"] = sorted(said["matches"], key=encode)
    return blake2b(encode(said), digest_size=DIGEST, person=b"hashmatch-same").digest()


class _Image(msgspec.Struct, array_like=True):
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
    chrome: dict[str, float] | None = None


class _Video(msgspec.Struct, array_like=True):
    """A `HashedVideo` without frames and digests, which are images of their own.

    Its frames are rows `begin` to ``begin + count`` of all frames of videos, their hashes rows
    `first` to ``first + count`` of their kind; `count` is -1 if it has none.
    """

    first: int
    begin: int
    count: int
    outcome: str
    reason: str
    algorithm: VideoAlgorithm
    every: float | None
    duration: float | None
    frame_count: int | None
    width: int | None
    height: int | None
    rate: float | None
    damaged: bool
    media_type: str | None
    decode_policy: str


class _Item(msgspec.Struct, array_like=True):
    """An `ImageItem` and what hashing made of it."""

    key: str
    version: str
    surface: str
    images: list[_Image]
    video: _Video | None = None


class _Facts(msgspec.Struct):
    """What the header says of a file besides its blocks."""

    kept: int
    created: float
    expires: float
    variants: Level
    min_quality: int


class ArchivedFile(Opaque):
    """Pictures of one file, numbered from 0.

    `variants` and `min_quality` are what they were hashed with, see `Matcher`, and `specs` the
    kinds of hash that there are of each. It `expires` when it may not be kept any longer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: MappedFile = open_blocks(path, check=False)
        described = self._file.description
        try:
            facts = converted(described.facts, _Facts)
        except msgspec.MsgspecError:
            facts = None
        if facts is None or facts.kept != FORMAT:
            raise IndexFileError(f"cannot use {path}: it holds no kept hashes")
        self.variants = facts.variants
        self.min_quality = None if facts.min_quality < 0 else facts.min_quality
        self.expires = datetime.fromtimestamp(facts.expires, UTC)
        self.specs = tuple(
            HashSpec(str(segment.facts["algorithm"]), int(segment.facts["bits"]))
            for segment in described.segments
        )

    def verify(self) -> None:
        """Raise IndexFileError unless every byte is as it was written."""
        self._file.verify()

    def __len__(self) -> int:
        return len(self._file.blocks["ends"])

    def given(self) -> set[bytes]:
        """Return the `record_digest` of each record that the scan gave of these pictures."""
        data = self._file.blocks["given"].tobytes()
        self._file.check_unchanged()
        return {data[at : at + DIGEST] for at in range(0, len(data), DIGEST)}

    def hashes(self, spec: HashSpec) -> tuple[HashBatch, NDArray[np.int64]]:
        """Return all hashes of one kind, and the number of the picture that each is of."""
        kind = self.specs.index(spec)
        words, numbers = (
            self._file.blocks[f"{name} {kind}"].copy() for name in ("words", "picture")
        )
        self._file.check_unchanged()
        return HashBatch(spec, words, owned=True), numbers

    @property
    def videos(self) -> NDArray[np.int64]:
        """The numbers of those that are videos."""
        if "videos" not in self._file.blocks:
            return np.empty(0, np.int64)
        return self._copied("videos")

    def _copied(self, name: str, first: int = 0, last: int | None = None) -> NDArray[Any]:
        found = self._file.blocks[name][first:last].copy()
        self._file.check_unchanged()
        return found

    def __getitem__(self, number: int) -> tuple[ImageItem, list[HashedImage | HashedVideo]]:
        """Return a picture and all of its hashes, as `Matcher.hash` gave them."""
        ends = self._file.blocks["ends"]
        first = int(ends[number - 1]) if number else 0
        data = self._file.blocks["items"][first : int(ends[number])].tobytes()
        self._file.check_unchanged()
        made = from_msgpack(data, _Item)
        item = ImageItem(made.key, made.version, Surface.parse(made.surface))
        images: list[HashedImage | HashedVideo] = [
            self._image(made.key, one) for one in made.images
        ]
        return item, images if made.video is None else [*images, self._video(made.key, made.video)]

    def _video(self, key: str, one: _Video) -> HashedVideo:
        frames = None
        if one.count >= 0:
            rows = one.begin, one.begin + one.count
            words = f"words {self.specs.index(FRAME_SPEC)}"
            frames = VideoFrames(
                self._copied("video frames", *rows),
                self._copied("video times", *rows).view(np.float64),
                self._copied("video quality", *rows),
                HashBatch(FRAME_SPEC, self._copied(words, one.first, one.first + one.count)),
            )
        return HashedVideo(
            key, Outcome(one.outcome), one.reason, frames, one.algorithm, one.every, one.duration,
            one.frame_count, one.width, one.height, one.rate, one.damaged, one.media_type,
            one.decode_policy,
        )  # fmt: skip

    def _image(self, key: str, one: _Image) -> HashedImage:
        words = self._file.blocks[f"words {one.kind}"][one.first : one.first + one.count].copy()
        self._file.check_unchanged()
        spec = self.specs[one.kind]
        hashes = HashBatch(spec, words, owned=True)
        return HashedImage(
            key, spec, Outcome(one.outcome), hashes, one.reason, one.quality,
            one.width, one.height, one.damaged, one.media_type, one.frame, one.decode_policy,
            one.variants, None if one.chrome is None else ChromeMeter.of(one.chrome),
        )  # fmt: skip


class HashArchive(Opaque):
    """A folder of kept hashes: scans add to it, and `hashmatch.rescan_archive` reads it.

    Parameters
    ----------
    folder : str or path
        To add to it, it is made if need be, for its owner only.
    keep_for : timedelta, optional
        How long what is added may be kept; longer than nothing. Without it, nothing can be added.
    now : callable, optional
        Tells the time; for tests.

    Raises
    ------
    UsageError
        If the folder cannot be made, or the time is none; if nothing is to be added, and there is
        no folder.
    StoreError
        If others can read the folder, or change it.

    Examples
    --------
    >>> import tempfile
    >>> import hashmatch as hm
    >>> matcher = hm.Matcher(hm.read_list("fixtures/lists/demo-pdq.csv"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     archive = HashArchive(folder, timedelta(days=30))
    ...     picture = "fixtures/images/plain/tiles.png"
    ...     results = hm.scan_source(picture, matcher, surface="profile_photo", archive=archive)
    ...     outcomes = [result.outcome.value for result in results]
    ...     (file,) = archive.files()
    ...     item, hashed = file[0]
    >>> outcomes, item.key, hashed[0].hashes
    (['match'], 'tiles.png', <HashBatch pdq (256 bits), n=1>)
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        keep_for: timedelta | None = None,
        *,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self.folder, self.keep_for = Path(folder), keep_for
        self.now = now or (lambda: datetime.now(UTC))
        if keep_for is None:
            if not self.folder.is_dir():
                raise UsageError(f"cannot read {folder}: it is no folder of kept hashes")
            check_private(str(self.folder), allow_readable=False, follow=True)
            return
        if keep_for <= timedelta(0):
            raise UsageError("cannot keep hashes for no time. Give a longer one")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot keep hashes in {folder}: {error.strerror}") from None
        check_private(str(self.folder), allow_readable=False, follow=True)

    def files(self) -> Iterator[ArchivedFile]:
        """Yield what may still be kept, a file at a time: those of one scan in its order.

        Raises
        ------
        IndexFileError
            If a file is none of kept hashes. `ArchivedFile.verify` looks at all of it.
        """
        for file in self._all():
            if file.expires > self.now():
                yield file

    def purge(self) -> int:
        """Remove what may no longer be kept; return how many files that were."""
        removed = 0
        for file in self._all():
            if file.expires <= self.now():
                with suppress(FileNotFoundError):  # somebody else purges as well
                    file.path.unlink()
                    removed += 1
        return removed

    def _all(self) -> Iterator[ArchivedFile]:
        for path in sorted(self.folder.glob(f"[!.]*{SUFFIX}")):
            with suppress(FileNotFoundError):  # somebody else purges as well
                check_found(str(path), path.lstat(), allow_readable=False)
                yield ArchivedFile(path)

    def writer(
        self, variants: Level, min_quality: int | None, scan: str | None = None
    ) -> ArchiveWriter:
        """Return what adds the pictures of one scan.

        Parameters
        ----------
        variants, min_quality : str, int or None
            What they are hashed with, see `Matcher`.
        scan : str, optional
            A name that only this scan has, if it may be stopped and resumed; see
            `ArchiveWriter.flush`.
        """
        if self.keep_for is None:
            raise UsageError(
                f"cannot add hashes to {self.folder}: it is not known how long to keep them. Say it"
            )
        began = self.now()
        name = f"{began.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(6)}"
        facts = {
            "kept": FORMAT,
            "created": began.timestamp(),
            "expires": (began + self.keep_for).timestamp(),
            "variants": variants,
            "min_quality": -1 if min_quality is None else min_quality,
        }
        return ArchiveWriter(self.folder, name if scan is None else f"scan-{scan}", facts)


class ArchiveWriter(Opaque):
    """Adds the pictures of one scan to an archive. It comes of `HashArchive.writer`."""

    def __init__(self, folder: Path, scan: str, facts: dict[str, Any]) -> None:
        self._folder, self._scan, self._facts = folder, scan, facts
        self._clear()

    def __len__(self) -> int:
        """Return how many pictures wait for `flush`."""
        return len(self._items)

    def add(
        self, item: ImageItem, hashed: Sequence[HashedImage | HashedVideo], result: Result
    ) -> None:
        """Keep the hashes of one picture, and `result`, if it has one that could be searched."""
        if not any(one.outcome is Outcome.HASHED for one in hashed):
            return
        images, video = [], None
        for one in hashed:
            if isinstance(one, HashedVideo):
                video = self._video(one)
                continue
            kind, first = self._keep(one.hashes)
            images.append(
                _Image(
                    kind, first, len(one.hashes), one.outcome, one.reason, one.quality, one.width,
                    one.height, one.damaged, one.media_type, one.frame, one.decode_policy,
                    tuple(map(str, one.variants)),
                    None if one.chrome is None else one.chrome.shares(),
                )
            )  # fmt: skip
        self._items.append(
            msgspec.msgpack.encode(_Item(item.key, item.version, item.surface, images, video))
        )
        if isinstance(result, ReviewRecord):
            self._given.append(record_digest(result))

    def _keep(self, hashes: HashBatch) -> tuple[int, int]:
        """Keep hashes of the next item, and return of which kind they are, and the first row."""
        kind = self._kinds.setdefault(hashes.spec, len(self._kinds))
        if kind == len(self._words):
            self._words.append([])
            self._picture.append([])
        first = len(self._picture[kind])
        self._words[kind].append(hashes)
        self._picture[kind] += [len(self._items)] * len(hashes)
        return kind, first

    def _video(self, one: HashedVideo) -> _Video:
        """Keep the frames of the next item, and return the rest of what it is."""
        self._videos.append(len(self._items))
        self._keep(HashBatch.from_bytes(VIDEO_SPEC, b""))  # a list of videos can be asked
        first, begin, count = 0, sum(map(len, self._frames)), -1
        if one.frames is not None:
            _, first = self._keep(one.frames.hashes)
            self._frames.append(one.frames)
            count = len(one.frames)
        return _Video(
            first, begin, count, one.outcome, one.reason, one.algorithm, one.every, one.duration,
            one.frame_count, one.width, one.height, one.rate, one.damaged, one.media_type,
            one.decode_policy,
        )  # fmt: skip

    def flush(self, number: int) -> None:
        """Write what is not on the disk yet, as the file of that number.

        The number is how many items the scan had accounted for before these: if it does them again,
        they take the place of themselves.
        """
        path = self._folder / f"{self._scan}-{number:012}{SUFFIX}"
        if not self._items:
            path.unlink(missing_ok=True)  # what a scan that was killed had put there
            return
        blocks: list[tuple[str, NDArray[Any]]] = [
            ("items", np.frombuffer(b"".join(self._items), np.uint8)),
            ("ends", np.cumsum([len(item) for item in self._items], dtype=np.int64)),
            ("given", np.frombuffer(b"".join(self._given), np.uint8)),
        ]
        if self._videos:
            frames = self._frames
            blocks += [
                ("videos", np.array(self._videos, np.int64)),
                ("video frames", _columns(np.int64, [each.frames for each in frames])),
                (
                    "video times",
                    _columns(np.float64, [each.times for each in frames]).view(np.int64),
                ),
                ("video quality", _columns(np.uint8, [each.quality for each in frames])),
            ]
        segments = []
        for spec, kind in self._kinds.items():
            names = {"words": f"words {kind}", "picture": f"picture {kind}"}
            words = HashBatch.concatenate(self._words[kind]).words
            blocks.append((names["words"], words))
            blocks.append((names["picture"], np.array(self._picture[kind], np.int64)))
            facts: dict[str, int | float | str] = {"algorithm": spec.algorithm, "bits": spec.bits}
            segments.append(Segment(None, names, facts))
        description = Description(
            spec=next(iter(self._kinds)),
            snapshot=self._scan,
            decode_policy=None,
            hashmatch=VERSION,
            segments=tuple(segments),
            facts=self._facts,
        )
        write(path, description, blocks)
        self._clear()

    def _clear(self) -> None:
        self._kinds: dict[HashSpec, int] = {}
        self._words: list[list[HashBatch]] = []
        self._picture: list[list[int]] = []
        self._items: list[bytes] = []
        self._given: list[bytes] = []
        self._videos: list[int] = []
        self._frames: list[VideoFrames] = []


def _columns(dtype: type[np.generic], parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return arrays one after the other; there may be none."""
    return np.concatenate([np.empty(0, dtype), *parts])
