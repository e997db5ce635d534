"""Segments of a version: which are merged, rewritten or appended, and the files that hold them.

Hashes are checked for degenerate ones, and indexed, as the files are made.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
import numpy as np

from hashmatch import registry
from hashmatch._files import atomic
from hashmatch._files.block_writer import in_pieces, write
from hashmatch.index.hash_index import HashIndex
from hashmatch.interfaces import Span
from hashmatch.lists.degenerate import (
    by_reason,
    degenerate,
    degenerate_videos,
    low_quality,
    set_aside,
)
from hashmatch.lists.merge import (
    OLDER,
    REPEATED,
    STANDS,
    UNIQUE,
    Statements,
    Subject,
    Withdrawals,
    counted,
    joined,
    rows_about,
    rows_withdrawn,
    settle,
    standing,
)
from hashmatch.records.entries import Entries
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch
from hashmatch.records.videos import FRAME_SPEC
from hashmatch.store import encryption
from hashmatch.store.contents import (
    IDS,
    INDEX,
    STATE,
    STATEMENTS,
    VersionIds,
    VersionState,
    to_blocks,
)
from hashmatch.store.layout import TWICE
from hashmatch.store.manifest import StoredFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from hashmatch._files.block_format import Description
    from hashmatch._files.block_writer import Blocks
    from hashmatch.lists.ingest import Rows
    from hashmatch.lists.merge import Rank, Statement
    from hashmatch.records.entries import Entry
    from hashmatch.records.hashes import HashSpec
    from hashmatch.records.video_columns import Videos
    from hashmatch.store.contents import AlgorithmContent, Content
    from hashmatch.store.encryption import ListKey
    from hashmatch.store.layout import Folder

    Numbers = NDArray[np.int64]
    Built = tuple[list[StoredFile], dict[str, dict[str, int]]]

SHARED_FROM = 1 << 16
"""Statements; shorter lists are written anew with each version, so that no two share a file."""
QUARANTINED, SET_ASIDE = "quarantined: ", "frames set aside: "
"""In the counts of a manifest, before each reason."""
MOST_IDS = 10_000
"""Of each sort that a version keeps of what it made nothing of; its manifest has their number."""


class VersionBuilder:
    """Makes files in the folder of a list.

    They are encrypted with `key`, if there is one. Entries near the hashes of default `pictures`,
    by algorithm, are put into quarantine; `limits` are the list's own, by algorithm, in bits.
    Entries whose quality is too low are too, unless `keep_low_quality`.
    `on_step` is given what is done next, for people.
    """

    def __init__(
        self,
        folder: Folder,
        name: str,
        key: ListKey | None,
        pictures: Mapping[str, bytes],
        limits: Mapping[str, int],
        on_step: Callable[[str], object] | None = None,
        *,
        keep_low_quality: bool = False,
    ) -> None:
        self.keep_low_quality = keep_low_quality
        self.folder, self.name, self.key = folder, name, key
        self.pictures, self.limits = pictures, limits
        self._on_step = on_step or (lambda step: None)

    def quarantine(self, said: Statements) -> tuple[Statements, NDArray[np.uint8]]:
        """Return which statements are about hashes that match what they should not, and why.

        Frames of videos that do are set aside in the statements that are returned.
        """
        if said.videos is None:
            codes = degenerate(said.hashes, self._pictures(said.hashes.spec))
            if not self.keep_low_quality:
                codes = low_quality(codes, said.entries, said.algorithm)
            return said, codes
        videos = said.videos.of_keys(said.hashes.words)
        videos = set_aside(videos, self._pictures(FRAME_SPEC))
        return replace(said, videos=videos), degenerate_videos(said.hashes, videos)

    def _pictures(self, spec: HashSpec) -> HashBatch | None:
        """Return the hashes of default pictures of one kind, if there are any."""
        data = self.pictures.get(spec.algorithm)
        if data is None:
            return None
        return HashBatch(spec, np.frombuffer(data, np.uint64).reshape(-1, spec.words), owned=True)

    def statements(self, said: Statements, codes: NDArray[np.uint8], *, shared: bool) -> StoredFile:
        """Write some statements."""
        self._on_step(f"writing {len(said):,} {said.algorithm} entries")
        description, blocks = to_blocks(said, codes, self.name)
        return self._add(
            STATEMENTS,
            said.algorithm,
            {"rows": len(said)},
            lambda path: self._write(path, description, blocks),
            shared,
        )

    def index(self, said: Statements, version: int) -> StoredFile | None:
        """Write an index over the hashes of some statements; none if files are encrypted.

        Keys of videos need none, and their frames are indexed together when they are matched.
        """
        if self.key is not None or said.videos is not None:
            return None  # it would hold the hashes in the clear; it is made when it is opened
        algorithm = said.algorithm
        self._on_step(f"indexing {len(said):,} {algorithm} entries")
        limit = registry.hasher(algorithm).max_distance
        entries = Entries(said.entries.kind, said.entries.kinds)
        own = self.limits.get(algorithm)
        known = HashList(self.name, str(version), said.hashes.spec, said.hashes, entries, (), own)
        facts = {"rows": len(said), "max_distance": limit}
        return self._add(
            INDEX, algorithm, facts, lambda path: HashIndex.build_file(path, known, limit)
        )

    def state(
        self, gone: Mapping[str, NDArray[np.int64]], withdrawals: Withdrawals, until: float
    ) -> StoredFile:
        """Write what a version says besides statements."""
        numbers = {
            algorithm: rows.astype(np.uint32).tobytes()
            for algorithm, rows in sorted(gone.items())
            if len(rows)
        }
        state = VersionState(
            numbers,
            tuple((*each, end) for each, end in _in_order(withdrawals.withdrawn)),
            tuple((*each, *span) for each, span in _in_order(withdrawals.cleared)),
            until,
            dict(self.limits),
            dict(self.pictures),
        )
        data = msgspec.msgpack.encode(state)
        # An import of what was imported changes nothing of it: versions share it.
        return self._add(STATE, None, {}, lambda path: self._write_bytes(path, data), True)

    def ids(self, older: Sequence[str | None], without_effect: Sequence[str | None]) -> StoredFile:
        """Write the first ids of what a version makes nothing of."""
        ids = VersionIds(tuple(older[:MOST_IDS]), tuple(without_effect[:MOST_IDS]))
        data = msgspec.msgpack.encode(ids)
        return self._add(IDS, None, {}, lambda path: self._write_bytes(path, data))

    def _add(
        self,
        role: str,
        algorithm: str | None,
        facts: dict[str, int],
        write: Callable[[str], None],
        shared: bool = False,
    ) -> StoredFile:
        found, is_twice = self.folder.add(write, shared=shared)
        return StoredFile(
            role=role,
            algorithm=algorithm,
            sha256=found.sha256,
            bytes=found.bytes,
            facts={**facts, TWICE: 1} if is_twice else dict(facts),
        )

    def _write(self, path: str, description: Description, blocks: Blocks) -> None:
        if self.key is None:
            write(path, description, blocks)
        else:
            encryption.encrypt(path, in_pieces(description, blocks), self.key)

    def _write_bytes(self, path: str, data: bytes) -> None:
        if self.key is None:
            atomic.write(path, data)
        else:
            encryption.encrypt(path, [data], self.key)


T = TypeVar("T")


def _in_order(said: Mapping[Subject, T]) -> list[tuple[Subject, T]]:
    return sorted(said.items(), key=lambda item: (item[0].external_id or "", *item[0][1:]))


def by_quarantine(codes: NDArray[np.uint8], videos: Videos | None) -> dict[str, int]:
    """Return how many statements are matched, and how many are in quarantine for which reason.

    Of videos, also how many frames they have, and how many of those are set aside.
    """
    counts = {"entries": int(np.count_nonzero(codes == 0))}
    counts |= {f"{QUARANTINED}{reason}": count for reason, count in by_reason(codes).items()}
    if videos is not None:
        aside = videos.set_aside
        counts["frames"] = len(aside)
        counts |= {f"{SET_ASIDE}{reason}": count for reason, count in by_reason(aside).items()}
    return counts


MOST_SEGMENTS = 64
"""Of a list; an update that would make more writes the list anew."""
NONE = np.empty(0, np.int64)


class Merged(NamedTuple):
    """What a delivery makes of a version.

    Parameters
    ----------
    new : list of Statements
        Those of the delivery that are to be added.
    gone : dict of str to ndarray
        By algorithm, which rows of the version stand no longer.
    counts : dict of str to int
        How many rows of the delivery stand for none, see `counted`.
    older : list of (str or None)
        Ids of what is older than what stands, or than its withdrawal.
    repeated : list of (str or None)
        Ids of what says no more than what stands.
    """

    new: list[Statements]
    gone: dict[str, Numbers]
    counts: dict[str, int]
    older: list[str | None]
    repeated: list[str | None]


def merged(before: Content, rows: Rows) -> Merged:
    """Return what the rows of a later delivery make of a version.

    Of the millions there are, only those that share a key with one of the rows are looked at.
    """
    said, own = joined(rows.statements()), rows.withdrawals
    fates = settle(said, own, before.withdrawals)
    counts = counted(fates)
    there = _Standing()
    for algorithm, kind in before.kinds.items():
        there.take_in(algorithm, *_touched(kind, said, own), own)
    older: list[str | None] = []
    repeated: list[str | None] = []
    for each, fate in zip(said, fates, strict=True):
        for row in np.flatnonzero(fate == OLDER).tolist():
            older.append(None if each.entries.ids is None else each.entries.ids[row])
        for row in _shared(each, fate, there):
            one = each.statement(row)
            if there.is_later(one):
                fate[row] = OLDER
                older.append(one.external_id)
            else:
                there.supersede(one)
    new = []
    for each, fate in zip(said, fates, strict=True):
        for row in _shared(each, fate, there):
            one = each.statement(row)
            if there.has(one):
                repeated.append(one.external_id)
                fate[row] = REPEATED if there.keep(one) else STANDS
        new.append(standing(each, fate))
    return Merged([each for each in new if len(each)], there.gone(), counts, older, repeated)


def _touched(
    kind: AlgorithmContent, said: list[Statements], own: Withdrawals
) -> tuple[Statements, Numbers]:
    """Return what stands and a delivery may be about, and the rows."""
    about = np.unique(np.concatenate([np.empty(0, np.uint64), *(each.key for each in said)]))
    by_hash = any(subject.named for subject in own.subjects)
    nothing = np.empty((0, kind.spec.words), np.uint64)
    parts, numbers, first = [], [], 0
    for segment in kind.segments:
        words = segment.words[:] if by_hash else nothing
        found = rows_withdrawn(segment.key, words, own.subjects)
        found = np.union1d(found, rows_about(segment.key, about))
        found = found[~np.isin(first + found, kind.gone)]
        parts.append(segment.take(found))
        numbers.append(first + found)
        first += segment.rows
    (together,) = joined(parts)
    # Files of many cameras are called alike: most names that come again are of other hashes.
    unique = [each.key[np.flatnonzero(each.scope & UNIQUE)] for each in said]
    identities = [each.identities() for each in said if each.algorithm == together.algorithm]
    words = together.hashes.words
    likely = (together.scope & UNIQUE).astype(np.bool_)
    likely |= np.isin(together.key, np.concatenate([np.empty(0, np.uint64), *unique]))
    likely |= np.isin(together.identities(), np.concatenate([np.empty(0, np.uint64), *identities]))
    likely[rows_withdrawn(together.key, words, own.subjects)] = True
    rows = np.flatnonzero(likely)
    return together.take(rows), np.concatenate(numbers)[rows]


def _shared(said: Statements, fate: NDArray[np.uint8], there: _Standing) -> list[int]:
    """Return which statements stand and may be about something that is there."""
    rows: list[int] = np.intersect1d(
        np.flatnonzero(fate == STANDS), rows_about(said.key, there.keys)
    ).tolist()
    return rows


NOT_THERE: Rank = Span(-math.inf, -math.inf), False, False


class _Standing:
    """What stands in a version, of that which a delivery may be about."""

    def __init__(self) -> None:
        self.keys = np.empty(0, np.uint64)
        self._rows: list[tuple[str, int, Statement]] = []
        self._out: set[tuple[str, int]] = set()
        self._kinds: set[str] = set()
        self._latest: dict[Subject, float] = {}
        self._there: dict[tuple[Subject, Entry], Rank] = {}
        self._restated: dict[Subject, float] = {}
        self._kept: set[tuple[Subject, Entry]] = set()

    def take_in(self, algorithm: str, said: Statements, numbers: Numbers, own: Withdrawals) -> None:
        """Take statements of one kind, some of which a delivery withdraws."""
        self._kinds.add(algorithm)
        self.keys = np.union1d(self.keys, said.key)
        for row, number in enumerate(numbers.tolist()):
            one = said.statement(row)
            self._rows.append((algorithm, number, one))
            self._there[one.narrow, one.said] = NOT_THERE
            before = self._latest.get(one.identity, -math.inf)
            self._latest[one.identity] = max(before, one.span.begin)
            if own.take_out(one, earlier=True):
                own.forget_before(one)
                self._out.add((algorithm, number))
            else:
                self._there[one.narrow, one.said] = one.rank

    def is_later(self, one: Statement) -> bool:
        """Return whether what stands was said after the end of another."""
        return one.span.end < max(
            self._latest.get(about, -math.inf) for about in (one.wide, one.narrow)
        )

    def supersede(self, one: Statement) -> None:
        """Let another take the place of what stands, of that which it is not older than."""
        self._restated[one.identity] = max(
            one.span.end, self._restated.get(one.identity, -math.inf)
        )

    def has(self, one: Statement) -> bool:
        """Return whether the same was there."""
        return (one.narrow, one.said) in self._there

    def keep(self, one: Statement) -> bool:
        """Return whether the same stays there, since it was not said earlier, and have it stay."""
        stays = self._there[one.narrow, one.said] >= one.rank
        if stays:
            self._kept.add((one.narrow, one.said))
        return stays

    def gone(self) -> dict[str, Numbers]:
        """Return by algorithm which rows stand no longer."""
        gone: dict[str, list[int]] = {algorithm: [] for algorithm in self._kinds}
        for algorithm, number, one in self._rows:
            restated = max(self._restated.get(about, -math.inf) for about in (one.wide, one.narrow))
            is_superseded = restated >= one.span.begin and (one.narrow, one.said) not in self._kept
            if (algorithm, number) in self._out or is_superseded:
                gone[algorithm].append(number)
        return {algorithm: np.array(sorted(rows), np.int64) for algorithm, rows in gone.items()}


def is_small(before: Content, new: list[Statements], gone: Mapping[str, Numbers]) -> bool:
    """Return whether a change is so small that the list need not be written anew."""
    for each in new:
        if each.algorithm not in before.kinds:
            return False
    for algorithm, kind in before.kinds.items():
        first = kind.segments[0].rows
        count = sum(len(each) for each in new if each.algorithm == algorithm)
        changed = kind.rows - first + count + len(kind.gone) + len(gone.get(algorithm, ()))
        if not changed:
            continue
        if first < SHARED_FROM or changed > first / 4 or len(kind.segments) >= MOST_SEGMENTS:
            return False
    return True


def live(kind: AlgorithmContent, gone: Numbers | None) -> Statements:
    """Return the statements of one kind that count."""
    (said,) = joined([segment.load() for segment in kind.segments])
    kept = np.ones(len(said), np.bool_)
    kept[kind.gone] = False
    if gone is not None:
        kept[gone] = False
    return said if kept.all() else said.take(np.flatnonzero(kept))


def rewritten(
    builder: VersionBuilder,
    said: list[Statements],
    fates: list[NDArray[np.uint8]] | None,
    withdrawals: Withdrawals,
    until: float,
    version: int,
) -> Built:
    """Write a version anew: one segment of each kind, and its index."""
    files: list[StoredFile] = []
    counts: dict[str, dict[str, int]] = {}
    for number in range(len(said)):
        each = said[number] if fates is None else standing(said[number], fates[number])
        said[number] = None  # type: ignore[call-overload]  # of ten million there is no room for two
        if not len(each):
            continue
        each, codes = builder.quarantine(each)
        files.append(builder.statements(each, codes, shared=len(each) >= SHARED_FROM))
        counts[each.algorithm] = by_quarantine(codes, each.videos)
        each = each.anonymous()
        index = builder.index(each, version)
        if index is not None:
            files.append(index)
    files.append(builder.state({}, withdrawals, until))
    return files, counts


def appended(
    builder: VersionBuilder,
    before: Content,
    new: list[Statements],
    gone: Mapping[str, Numbers],
    withdrawals: Withdrawals,
    until: float,
) -> Built:
    """Write a version that has the files of the one before, and a segment of what was added."""
    files = [file for file in before.manifest.files if file.algorithm is not None]
    counts = {name: dict(before.manifest.counts[name]) for name in before.kinds}
    for each, codes in map(builder.quarantine, new):
        files.append(builder.statements(each, codes, shared=True))
        for name, count in by_quarantine(codes, each.videos).items():
            of_kind = counts[each.algorithm]
            of_kind[name] = of_kind.get(name, 0) + count
    all_gone = {}
    for algorithm, kind in before.kinds.items():
        rows = gone.get(algorithm, NONE)
        all_gone[algorithm] = np.union1d(kind.gone, rows)
        videos = None
        if kind.videos is not None:
            words = np.concatenate([segment.words[:] for segment in kind.segments])
            videos = kind.videos.of_keys(words[rows])
        for name, count in by_quarantine(kind.quarantine[rows], videos).items():
            counts[algorithm][name] -= count
    files.append(builder.state(all_gone, withdrawals, until))
    return files, counts
