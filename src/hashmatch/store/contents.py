"""What a version of a list holds: its statements, which of them count no more, and withdrawals.

Statements about hashes of one kind are a file, each column a block of it, read when it is asked
for, from the disk or from memory. The file is laid out as an index file is,
`hashmatch._files.block_format`, so that what each byte is need be said once. Its blocks:

=========  =================  =============================================================
name       dtype, shape       what it holds
=========  =================  =============================================================
words      uint64, (n, w)     the hashes
kind       uint32, (n,)       which of `kinds` is said of each
kinds      uint8, (length,)   JSON: what is said of entries apart from their ids, each once
key        uint64, (n,)       `Statements.key`
quarantine uint8, (n,)        0, or why the hash is not matched: `hashmatch.lists.degenerate`
begin, end int64, (n,)        bits of float64, when it was said; left out if all are alike
scope      uint8, (n,)        `Statements.scope`; left out if all are alike
ids        uint8, (length,)   the external ids, one after the other; left out if there are none
ends       int64, (n + 1,)    where each id begins
=========  =================  =============================================================

Of videos, whose hashes are keys, there is also what `hashmatch.records.video_columns.Videos` has,
m videos of f frames:

===============  ==============  ==========================================================
video_keys       uint64, (m, 4)  the keys, ascending
video_ends       int64, (m + 1,) where the frames of each begin
frame_numbers    int64, (f,)     their numbers
frame_times      int64, (f,)     bits of float64, in seconds
frame_quality    uint8, (f,)     PDQ's quality
frame_words      uint64, (f, 4)  PDQ hashes
frame_set_aside  uint8, (f,)     0, or why a frame is not matched
===============  ==============  ==========================================================
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from hashmatch._files.block_format import Description, decode
from hashmatch.errors import IndexFileError, StoreError, UsageError
from hashmatch.interfaces import Span
from hashmatch.lists.merge import Statements, Subject, Withdrawals, joined_videos
from hashmatch.records import VERSION
from hashmatch.records.entries import Chain, Entries, Entry, Texts, concatenated
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.typed import from_json, from_msgpack
from hashmatch.records.video_columns import VIDEO_SPEC, Videos
from hashmatch.store import encryption
from hashmatch.store.encryption import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hashmatch._files.block_writer import Blocks
    from hashmatch.records.hashes import HashSpec
    from hashmatch.store.encryption import ListKey
    from hashmatch.store.layout import Folder
    from hashmatch.store.manifest import Manifest, StoredFile

    Read = Callable[[int, int], bytes | memoryview]

WHAT = "statements"
FEW = 100
"""One in so many rows is fewer reads of the file than all of it."""


OF_VIDEOS = {
    "video_keys": "uint64", "video_ends": "int64", "frame_numbers": "int64",
    "frame_times": "int64", "frame_quality": "uint8", "frame_words": "uint64",
    "frame_set_aside": "uint8",
}  # fmt: skip
"""Columns of `Videos` in their order, as they are stored."""
COLUMNS = {"begin": "int64", "end": "int64", "scope": "uint8"}
"""Of statements, as they are stored; where all are alike, as a fact."""


def to_blocks(
    said: Statements, quarantine: NDArray[np.uint8], name: str
) -> tuple[Description, Blocks]:
    """Return what is to be written of some statements, and their quarantine, of the list `name`."""
    entries = said.entries
    blocks: list[tuple[str, NDArray[Any]]] = [
        ("words", said.hashes.words),
        ("kind", np.ascontiguousarray(entries.kind[:])),
        ("kinds", np.frombuffer(msgspec.json.encode(entries.kinds), np.uint8)),
        ("key", said.key),
        ("quarantine", quarantine),
    ]
    facts: dict[str, int | float | str] = {"what": WHAT}
    for each, stored in COLUMNS.items():
        column = getattr(said, each)
        if (column == column[0]).all():
            facts[each] = column[0].item()
        else:
            blocks.append((each, np.ascontiguousarray(column).view(stored)))
    if entries.ids is not None:
        blocks.append(("ids", np.ascontiguousarray(entries.ids.data[:])))
        blocks.append(("ends", np.ascontiguousarray(entries.ids.ends[:])))
    if said.videos is not None:
        videos = said.videos.of_keys(said.hashes.words)
        for (each, stored), column in zip(OF_VIDEOS.items(), videos.columns(), strict=True):
            blocks.append((each, np.ascontiguousarray(column).view(stored)))
    spec = said.hashes.spec
    return Description(spec, name, None, VERSION, (), facts), blocks


class StoredStatements(Opaque):
    """Statements in a file, else StoreError; a column is read when it is asked for."""

    def __init__(self, file: BlockFile, sha256: str) -> None:
        self._file = file
        self.sha256 = sha256
        self.spec = file.description.spec
        try:
            self._check()
        except (ValueError, KeyError, msgspec.MsgspecError):
            raise StoreError(f"cannot read {file.path}: it holds no statements of a list") from None

    def _check(self) -> None:
        shapes = {block.name: block.shape for block in self._file.description.blocks}
        types = {block.name: block.dtype for block in self._file.description.blocks}
        rows = shapes["words"][0]
        expected = {
            "words": ("uint64", (rows, self.spec.words)),
            "kind": ("uint32", (rows,)),
            "kinds": ("uint8", shapes["kinds"]),
            "key": ("uint64", (rows,)),
            "quarantine": ("uint8", (rows,)),
        }
        facts = self._file.description.facts
        for name, stored in COLUMNS.items():
            if name not in facts:
                expected[name] = stored, (rows,)
            elif not isinstance(facts[name], int | float):
                raise ValueError
        if "ids" in shapes:
            expected["ids"] = "uint8", shapes["ids"]
            expected["ends"] = "int64", (rows + 1,)
        if self.spec == VIDEO_SPEC:
            videos, frames = shapes["video_keys"][0], shapes["frame_numbers"][0]
            of_videos = ((videos, 4), (videos + 1,), *[(frames,)] * 3, (frames, 4), (frames,))
            for (name, stored), shape in zip(OF_VIDEOS.items(), of_videos, strict=True):
                expected[name] = stored, shape
        if facts.get("what") != WHAT or expected != {
            name: (types[name], shapes[name]) for name in shapes
        }:
            raise ValueError
        self.rows = rows
        self.words = self._file.column("words")
        kinds = from_json(self._file.load("kinds").tobytes(), tuple[Entry, ...])
        ids = None
        if "ids" in shapes:
            ids = Texts(self._file.column("ids"), self._file.column("ends"))
        self.entries = Entries(self._file.column("kind"), kinds, ids)

    @property
    def quarantine(self) -> NDArray[np.uint8]:
        """Why each hash is not matched, or 0."""
        return self._file.load("quarantine")

    @cached_property
    def videos(self) -> Videos | None:
        """The frames of the videos; None of pictures."""
        if self.spec != VIDEO_SPEC:
            return None
        columns = [self._file.load(name) for name in OF_VIDEOS]
        columns[3] = columns[3].view(np.float64)
        try:
            return Videos(*columns)
        except UsageError:
            raise StoreError(
                f"cannot read {self._file.path}: it holds no frames of videos. Restore it"
            ) from None

    @property
    def key(self) -> NDArray[np.uint64]:
        """`Statements.key` of each."""
        return self._file.load("key")

    def load(self) -> Statements:
        """Return all statements."""
        hashes = HashBatch(self.spec, self.words[:], owned=True)
        columns = (self._column(name, slice(None)) for name in COLUMNS)
        return Statements(hashes, self.entries.loaded(), self.key, *columns, videos=self.videos)

    def take(self, rows: NDArray[np.int64]) -> Statements:
        """Return some statements; if they are few, of the file only what they take is read."""
        if len(rows) > self.rows // FEW:
            return self.load().take(rows)
        each = rows.tolist()
        nothing = np.empty((0, self.spec.words), np.uint64)
        words = np.concatenate([nothing, *(self.words[row : row + 1] for row in each)])
        kind = [int(self.entries.kind[row : row + 1][0]) for row in each]
        ids = None
        if self.entries.ids is not None:
            ids = Texts.of(self.entries.ids[row] for row in each)
        entries = Entries(np.array(kind, np.uint32), self.entries.kinds, ids)
        columns = (
            np.concatenate(
                [
                    self._column(name, slice(0, 0)),
                    *(self._column(name, slice(row, row + 1)) for row in each),
                ]
            )
            for name in COLUMNS
        )
        hashes = HashBatch(self.spec, words, owned=True)
        return Statements(hashes, entries, self.key[rows], *columns, videos=self.videos)

    def _column(self, name: str, rows: slice) -> NDArray[Any]:
        dtype = np.dtype(np.uint8 if name == "scope" else np.float64)
        constant = self._file.description.facts.get(name)
        if constant is not None:
            return np.broadcast_to(dtype.type(constant), len(range(*rows.indices(self.rows))))
        return self._file.load(name, rows.start, rows.stop).view(dtype)


LOADED = 1 << 26
"""Bytes that are read at once."""


class OpenFile(Opaque):
    """An open file that is closed with its last user. It must not change while it is open.

    `path` is for messages; the descriptor `file` is taken over.
    """

    def __init__(self, path: str, file: int) -> None:
        self.path, self.file = path, file
        self._found = self._stamp()
        self.size = self._found[0]

    def _stamp(self) -> tuple[int, int]:
        found = os.fstat(self.file)
        return found.st_size, found.st_mtime_ns

    def __call__(self, count: int, offset: int) -> bytes:
        """Return some bytes, fewer at the end of the file; StoreError if it was changed."""
        try:
            data = os.pread(self.file, count, offset)
        except OSError as error:
            raise StoreError(f"cannot read {self.path}: {error.strerror}") from None
        if self._stamp() != self._found:
            raise StoreError(
                f"cannot read {self.path}: it was written over while it was in use. Open it again"
            )
        return data

    def __del__(self) -> None:
        os.close(self.file)


class BlockFile(Opaque):
    """The arrays of a file; IndexFileError if it is no block file, or not all there.

    `path` is for messages, `size` in bytes; `read`, given how many bytes and where, returns them.
    """

    def __init__(self, path: str, size: int, read: Read) -> None:
        self.path = path
        self.description: Description = decode(path, size, lambda n, at: bytes(read(n, at)))
        self._read = read
        self._blocks = {block.name: block for block in self.description.blocks}

    def load(self, name: str, first: int = 0, last: int | None = None) -> NDArray[Any]:
        """Return the rows of an array from `first` to before `last`."""
        block = self._blocks[name]
        dtype = np.dtype(block.dtype)
        first, last, _ = slice(first, last).indices(block.shape[0])
        array = np.empty((max(0, last - first), *block.shape[1:]), dtype)
        width = dtype.itemsize * (block.shape[1] if len(block.shape) > 1 else 1)
        if not array.nbytes:
            return array
        view = array.reshape(-1).view(np.uint8)
        offset = block.offset + first * width
        done = 0
        while done < len(view):
            data = self._read(min(LOADED, len(view) - done), offset + done)
            if not data:
                raise StoreError(f"cannot read {self.path}: it ends too early. Restore it")
            # By NumPy, which lets other threads run meanwhile.
            view[done : done + len(data)] = np.frombuffer(data, np.uint8)
            done += len(data)
        return array

    def column(self, name: str) -> StoredColumn:
        """Return an array of which only some rows are read."""
        return StoredColumn(self, name, self._blocks[name].shape[0])


class StoredColumn(Opaque):
    """An array in a file."""

    def __init__(self, file: BlockFile, name: str, length: int) -> None:
        self._file, self._name, self._length = file, name, length

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        first, last, step = rows.indices(self._length)
        return self._file.load(self._name, first, last)[::step]

    def __len__(self) -> int:
        return self._length


Struct = TypeVar("Struct", bound=msgspec.Struct)

STATEMENTS, INDEX, STATE, IDS = "statements", "index", "state", "ids"
"""Roles of the files of a version."""


class VersionState(msgspec.Struct, frozen=True):
    """What a version says besides statements.

    ``gone`` has, by algorithm, the numbers of statements that count no more, as bytes of uint32;
    ``withdrawn`` the fields of each `Subject` and when, ``cleared`` the same and since when, see
    `Withdrawals`; ``until`` the time that all of it was said by; ``limits`` the list's own by
    algorithm; ``pictures`` by algorithm the hashes of default pictures, as bytes of uint64.
    """

    gone: dict[str, bytes]
    withdrawn: tuple[tuple[str | None, str, bytes, bool, str, float], ...] = ()
    cleared: tuple[tuple[str | None, str, bytes, bool, str, float, float], ...] = ()
    until: float = 0.0
    limits: dict[str, int] = {}
    pictures: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return "<VersionState>"


class VersionIds(msgspec.Struct, frozen=True):
    """External ids, None where there is none, of what a version was given and made nothing of.

    They are the first of those that `hashmatch.store.importer.Effects` has and a manifest counts.
    """

    older: tuple[str | None, ...] = ()
    without_effect: tuple[str | None, ...] = ()


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class AlgorithmContent(Opaque):
    """All about hashes of one algorithm. Rows are numbered through its segments."""

    segments: list[StoredStatements]
    gone: NDArray[np.int64]
    index: StoredFile | None

    @property
    def rows(self) -> int:
        """Statements, those that count no more included."""
        return sum(segment.rows for segment in self.segments)

    @property
    def spec(self) -> HashSpec:
        """What the hashes are."""
        return self.segments[0].spec

    @property
    def words(self) -> Chain:
        """The hashes, row by row."""
        words = Chain(np.empty((0, self.spec.words), np.uint64))
        for segment in self.segments:
            words.add(segment.words)
        return words

    @property
    def videos(self) -> Videos | None:
        """The frames of all videos; None of pictures."""
        return joined_videos([each.videos for each in self.segments if each.videos is not None])

    @property
    def quarantine(self) -> NDArray[np.uint8]:
        """Why each row is not matched, or 0."""
        return np.concatenate([segment.quarantine for segment in self.segments])

    @property
    def entries(self) -> Entries:
        """What is matched: rows that count, and are not in quarantine."""
        rows = concatenated([segment.entries for segment in self.segments])
        return rows.without(np.union1d(self.gone, np.flatnonzero(self.quarantine)))


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Content(Opaque):
    """An open version."""

    manifest: Manifest
    kinds: dict[str, AlgorithmContent]
    withdrawals: Withdrawals
    until: float
    limits: dict[str, int]
    pictures: dict[str, bytes]
    ids: VersionIds


def read(
    folder: Folder,
    manifest: Manifest,
    key: ListKey | None,
    problems: list[str],
    before: Content | None = None,
) -> Content:
    """Return what a version holds; everything of it is compared with its digest first.

    Files that it has in common with the version `before` are not opened again. StoreError if a file
    is missing or damaged, with its copy. A damaged index is only a problem: it can be made again.
    """
    state, ids = VersionState({}), VersionIds()
    opened_before = {
        segment.sha256: segment
        for kind in (before.kinds.values() if before else ())
        for segment in kind.segments
    }
    segments: dict[str, list[StoredStatements]] = {}
    indexes: dict[str, StoredFile] = {}
    for named in manifest.files:
        if named.role == INDEX and named.algorithm is not None:
            indexes[named.algorithm] = named
            continue
        if named.sha256 in opened_before and named.algorithm is not None:
            segments.setdefault(named.algorithm, []).append(opened_before[named.sha256])
            continue
        path, file = folder.find(named, problems)
        opened = OpenFile(path, file)
        if named.role == STATE:
            state = _decoded(path, _whole(opened, path, manifest, key), VersionState)
        elif named.role == IDS:
            ids = _decoded(path, _whole(opened, path, manifest, key), VersionIds)
        elif named.role == STATEMENTS and named.algorithm is not None:
            blocks = _blocks(opened, path, manifest, key)
            segments.setdefault(named.algorithm, []).append(StoredStatements(blocks, named.sha256))
    gone = {
        algorithm: np.frombuffer(numbers, np.uint32).astype(np.int64)
        for algorithm, numbers in state.gone.items()
    }
    nothing = np.empty(0, np.int64)
    kinds = {
        algorithm: AlgorithmContent(of_kind, gone.get(algorithm, nothing), indexes.get(algorithm))
        for algorithm, of_kind in sorted(segments.items())
    }
    withdrawals = Withdrawals(
        {Subject(*fields[:5]): fields[5] for fields in state.withdrawn},
        {Subject(*fields[:5]): Span(*fields[5:]) for fields in state.cleared},
    )
    return Content(manifest, kinds, withdrawals, state.until, state.limits, state.pictures, ids)


def _whole(opened: OpenFile, path: str, manifest: Manifest, key: ListKey | None) -> memoryview:
    if not manifest.encrypted:
        return memoryview(opened(opened.size, 0))
    if key is None:
        raise StoreError(f"cannot read {path}: it is encrypted. Give the key of the list in {KEY}")
    plain = np.empty(encryption.decrypted_bytes(path, opened.file), np.uint8)
    encryption.decrypt_into(path, opened.file, key, plain)
    return memoryview(plain)  # type: ignore[arg-type]


def _blocks(opened: OpenFile, path: str, manifest: Manifest, key: ListKey | None) -> BlockFile:
    try:
        if not manifest.encrypted:
            return BlockFile(path, opened.size, opened)
        data = _whole(opened, path, manifest, key)
        return BlockFile(path, len(data), lambda count, at: data[at : at + count])
    except IndexFileError as error:
        raise StoreError(str(error)) from None


def _decoded(path: str, data: memoryview, type: type[Struct]) -> Struct:
    try:
        return from_msgpack(data, type)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise StoreError(
            f"cannot read {path}: it does not say the state of a list. Restore it"
        ) from None
