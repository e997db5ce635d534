"""Which videos of a list a clip shares frames with, and which seconds of them.

A frame of the clip and one of an entry *match* if both are of quality 50 and more, that of the
entry is not set aside as degenerate, and their PDQ hashes differ by 31 bits at most, inclusive, or
by the limit of the entry, its list or the caller. That is vPDQ's rule. Two numbers are made of it,
as vPDQ has them: the share of the *query's* different hashes that match the entry, and the share of
the *entry's* that match the query. A clip that is part of a known film has a high share of the
query, a film that holds a known clip a high share of the entry. Frames of one hash count once, and
what is too plain to count is left out before that: done the other way round, as the README of vPDQ
has it, a hash is lost if the first of its frames is too plain.

Openings, logos and credits are in many videos. So a matching frame of an entry counts as
``min(1, q / n)`` of one: ``n`` entries of the list have such a frame, and ``q`` is what the quarter
of the entry's frames that are in the fewest entries have at most. A frame that a thousand unrelated
entries share counts next to nothing, and a list that holds ten copies of one video still finds it:
there ``q`` is ten as well. ``query_counted`` and ``entry_counted`` are the shares so weighed;
unmatched frames of the query count whole.

Where frames of the query lie closer together than those of a list, most have no counterpart though
all of it is in the entry. So the share of the query's *seconds* that are in segments counts, too,
each segment longer by the distance of the entry's frames, by a second at most: ``query_covered``.

Matching frames in order are a *segment*: `hashmatch._kernels.chains` says when one may follow the
other. Each matching frame of the query is in one segment of an entry, so that a loop, or a slower
or faster copy, is found with its seconds.

An entry matches if one of three thresholds is reached, `VideoThresholds`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch import registry
from hashmatch.errors import UsageError
from hashmatch.index.hash_index import HashIndex
from hashmatch.records.entries import Entries, Entry
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.review import RecordMatch, VideoMatch, VideoSegment
from hashmatch.records.video_columns import VIDEO_SPEC
from hashmatch.records.videos import FRAME_SPEC

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hashmatch.matching.indexed_list import IndexedList
    from hashmatch.records.entries import Limit
    from hashmatch.records.matches import Matches
    from hashmatch.records.videos import VideoFrames

    Numbers = NDArray[np.int64]
    Floats = NDArray[np.float64]

GAP, REACH = 5.0, 3
"""Seconds, or frames if those are more: how far a frame of a segment may be from the one before."""
MOST_SEGMENTS = 20
"""Of one entry, that a record names; those with the most frames."""
REACHES = 1.0
"""Seconds that a segment is taken to be longer than its frames say, at most: vPDQ's own distance of
frames."""
MOST_PAIRS = 4_000_000
"""Pairs of frames of a clip that are held; of more, only the closest of each frame and entry."""
AT_ONCE = 4096
"""Frames that are looked up together."""


@dataclass(frozen=True, slots=True)
class VideoThresholds:
    """From when on a video of a list matches: one of these is enough, each inclusive.

    Parameters
    ----------
    query_share : float
        Of the query's frames that match, or of its seconds that are in segments, 0 to 1: it is a
        part of the entry. python-threatexchange asks for 0.8 of the query's frames and nothing of
        the entry.
    entry_share : float
        Of the entry's frames that match: it holds the entry. The example in vPDQ's README asks for
        0.8 of the entry and nothing of the query.
    segment_seconds : float
        Of the query, that one segment lasts: a part of both. Frames that many entries share count
        less here, too.

    Raises
    ------
    UsageError
        If one of them is out of its range.

    Examples
    --------
    >>> VideoThresholds(query_share=0.5).entry_share
    0.8
    """

    query_share: float = 0.8
    entry_share: float = 0.8
    segment_seconds: float = 10.0

    def __post_init__(self) -> None:
        for name in ("query_share", "entry_share"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not 0 < value <= 1:
                raise UsageError(f"cannot use {value!r} as {name}. Give more than 0, and 1 at most")
        if not isinstance(self.segment_seconds, int | float) or not self.segment_seconds > 0:
            raise UsageError(
                f"cannot use {self.segment_seconds!r} as segment_seconds. Give more than 0"
            )


class VideoHit(NamedTuple):
    """An entry that matches a clip; it sorts as `hashmatch.matching.indexed_list.Hit` does."""

    share: float
    number: int
    entry: int
    row: int
    match: RecordMatch


class Segments(NamedTuple):
    """Runs of matching frames, by the query: which pairs each has, m of n pairs in k runs."""

    pairs: Numbers
    run: Numbers
    runs: int


def segments(query: Numbers, entry: Numbers, query_times: Floats, entry_times: Floats) -> Segments:
    """Return the segments that pairs of matching frames make.

    Parameters
    ----------
    query, entry : ndarray of int64, shape (n,)
        Numbers of the frames of each pair, by query, then by entry.
    query_times, entry_times : ndarray of float64
        Seconds, of all frames.

    Returns
    -------
    Segments
    """
    from hashmatch._kernels.chains import assign_chains, longest_chains

    length, before, chain = (np.empty(len(query), np.int64) for _ in range(3))
    longest_chains(query, entry, query_times, entry_times, GAP, REACH, length, before)
    order = np.lexsort((entry, query, -length))
    count = int(assign_chains(order, query, before, len(query_times), chain))
    pairs = np.flatnonzero(chain >= 0)
    return Segments(pairs, chain[pairs], count)


class IndexedVideos(Opaque):
    """A list of videos ready to be searched by frames.

    `number` is its place among the lists that are searched together, `default` the limit in bits of
    a frame where neither entry nor list has one, `key` what references to entries without an id are
    made with, and frames of less than `min_quality` are not matched.
    """

    __slots__ = (
        "_are_set", "_begins", "_entry", "_index", "_lock", "_times", "_weights", "_words",
        "default", "key", "known", "min_quality", "number", "thresholds",
    )  # fmt: skip  # `vars` has nothing to show

    def __init__(
        self,
        number: int,
        known: HashList,
        default: Limit,
        key: bytes,
        min_quality: int | None,
        thresholds: VideoThresholds | None,
    ) -> None:
        if known.videos is None:
            raise UsageError(f"cannot match list {known.name}: it is of no videos. Give its frames")
        self.number, self.known, self.default, self.key = number, known, default, key
        least = registry.hasher(VIDEO_SPEC.algorithm).min_quality
        self.min_quality = least if min_quality is None else min_quality
        self.thresholds = thresholds or VideoThresholds()
        self._are_set = thresholds is not None
        self._weights: dict[int, Floats] = {}
        self._lock = threading.Lock()
        videos = known.videos
        places = videos.rows(known.hashes.words)
        usable = videos.usable(self.min_quality)
        each = [
            begin + np.flatnonzero(usable[begin:end])
            for begin, end in zip(
                videos.ends[places].tolist(), videos.ends[places + 1].tolist(), strict=True
            )
        ]
        rows = np.concatenate([np.empty(0, np.int64), *each])
        counts = np.array([len(some) for some in each], np.int64)
        self._begins = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self._entry = np.repeat(np.arange(len(each)), counts)
        self._times = videos.times[rows]
        self._words = videos.words[rows]
        self._index = HashIndex.build(self._frames(known), default.bits)

    def _frames(self, known: HashList) -> HashList:
        """Return the frames that are matched as a list of pictures, with the limits of entries."""
        entries = Entries.of(known.entries).loaded()
        kinds: dict[int | None, int] = {}
        numbers = np.array(
            [kinds.setdefault(kind.max_distance, len(kinds)) for kind in entries.kinds], np.uint32
        )
        kind = np.delete(np.asarray(entries.kind[:]), entries.gone)
        own = numbers[kind][self._entry] if len(numbers) else np.empty(0, np.uint32)
        columns = Entries(own, tuple(Entry(max_distance=bits) for bits in kinds))
        hashes = HashBatch(FRAME_SPEC, self._words, owned=True)
        return HashList(
            known.name, known.version, FRAME_SPEC, hashes, columns, (), known.max_distance
        )

    def __len__(self) -> int:
        return len(self.known)

    def find(self, video: VideoFrames) -> list[VideoHit]:
        """Return the entries that a clip matches, the closest first."""
        usable = np.flatnonzero(video.quality >= self.min_quality)
        if not len(usable) or not len(self._entry):
            return []
        words, number = np.unique(video.hashes.words[usable], axis=0, return_inverse=True)
        number = number.reshape(-1)
        query, frame, distance = self._pairs(words)
        if not len(query):
            return []
        clip = _Clip(usable, number, video.times[usable], len(words))
        order = np.argsort(self._entry[frame], kind="stable")
        query, frame, distance = query[order], frame[order], distance[order]
        owner = self._entry[frame]
        begins = np.flatnonzero(np.diff(owner, prepend=-1))
        hits = []
        for begin, end in zip(begins.tolist(), [*begins[1:].tolist(), len(owner)], strict=True):
            part = slice(begin, end)
            hit = self._judged(
                int(owner[begin]), clip, query[part], frame[part], distance[part], video
            )
            if hit is not None:
                hits.append(hit)
        return sorted(hits, key=lambda hit: hit[:3])

    def _pairs(self, words: NDArray[np.uint64]) -> tuple[Numbers, Numbers, Numbers]:
        """Return the pairs of different hashes of a clip and frames of entries that match."""
        found: list[tuple[Numbers, Numbers, Numbers]] = []
        held = 0
        for first in range(0, len(words), AT_ONCE):
            batch = HashBatch(FRAME_SPEC, words[first : first + AT_ONCE])
            for some in self._index.stream(batch, self.default.bits):
                part = some if held + len(some) <= MOST_PAIRS else self._closest(some)
                held += len(part)
                found.append((part.query + first, part.entry, part.distance))
        columns = zip(*found, strict=True)
        query, frame, distance = (np.concatenate(column) for column in columns) if found else (
            np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64),
        )  # fmt: skip
        return query, frame, distance

    def _closest(self, found: Matches) -> Matches:
        """Return of each frame of a clip and each entry the closest pair, the first of equal."""
        owner = self._entry[found.entry]
        order = np.lexsort((found.entry, found.distance, owner, found.query))
        query, owner = found.query[order], owner[order]
        is_first = (np.diff(query, prepend=-1) != 0) | (np.diff(owner, prepend=-1) != 0)
        return found.where(np.sort(order[is_first]))

    def _weighed(self, entry: int) -> Floats:
        """Return how much each matched frame of an entry counts, from 0 to 1."""
        with self._lock:
            known = self._weights.get(entry)
        if known is not None:
            return known
        rows = slice(*self._begins[entry : entry + 2].tolist())
        in_entries = np.zeros(rows.stop - rows.start, np.int64)
        for first in range(rows.start, rows.stop, AT_ONCE):
            batch = HashBatch(FRAME_SPEC, self._words[first : min(first + AT_ONCE, rows.stop)])
            for found in self._index.stream(batch, self.default.bits):
                each = np.unique(np.stack([found.query, self._entry[found.entry]]), axis=1)
                np.add.at(in_entries, first - rows.start + each[0], 1)
        in_entries = np.maximum(in_entries, 1)  # a limit of 0 bits and less is none of its own
        usual = np.sort(in_entries)[(len(in_entries) - 1) // 4]
        weights: Floats = np.minimum(1.0, usual / in_entries)
        with self._lock:
            self._weights[entry] = weights
        return weights

    def _judged(
        self,
        entry: int,
        clip: _Clip,
        query: Numbers,
        frame: Numbers,
        distance: Numbers,
        video: VideoFrames,
    ) -> VideoHit | None:
        """Return what there is to say of one entry that some frames of a clip match, if enough."""
        first = int(self._begins[entry])
        frames, weights = frame - first, self._weighed(entry)
        times = self._times[first : first + len(weights)]
        best = np.zeros(clip.different)
        np.maximum.at(best, query, weights[frames])
        hashes, kind = np.unique(
            self._words[first : first + len(weights)], axis=0, return_inverse=True
        )
        kind = kind.reshape(-1)
        of_kind = np.zeros(len(hashes))
        np.maximum.at(of_kind, kind, weights)
        matched = np.unique(kind[frames])
        query_counted = float(best.sum()) / clip.different
        entry_counted = float(of_kind[matched].sum()) / float(of_kind.sum())
        runs = self._runs(clip, query, frames, weights, times)
        limits = self.thresholds
        found_by = tuple(
            name
            for name, value, least in (
                ("query_share", max(query_counted, runs.covered), limits.query_share),
                ("entry_share", entry_counted, limits.entry_share),
                ("segment_seconds", runs.longest, limits.segment_seconds),
            )
            if value >= least - 1e-9
        )
        if not found_by:
            return None
        closest = int(np.lexsort((frame, query, distance))[0])
        at = int(clip.usable[np.flatnonzero(clip.number == query[closest])[0]])
        known = self.known
        said = known.entries[entry]
        limit = known.limit_of(said, self.default)
        match = RecordMatch(
            list=known.name,
            list_version=known.version,
            entry=known.reference(entry, self.key, said),
            algorithm=VIDEO_SPEC.algorithm,
            distance=int(distance[closest]),
            max_distance=limit.bits,
            max_distance_from=limit.set_by,
            labels=said.labels,
            sources=said.sources,
            frame=int(video.frames[at]),
            video=VideoMatch(
                segments=runs.named,
                segment_count=runs.runs,
                query_frames=clip.different,
                query_matched=len(np.unique(query)),
                query_share=round(len(np.unique(query)) / clip.different, 4),
                query_counted=round(query_counted, 4),
                entry_frames=len(hashes),
                entry_matched=len(matched),
                entry_share=round(len(matched) / len(hashes), 4),
                entry_counted=round(entry_counted, 4),
                min_query_share=limits.query_share,
                min_entry_share=limits.entry_share,
                min_segment_seconds=limits.segment_seconds,
                thresholds_from="caller" if self._are_set else "algorithm",
                found_by=found_by,
                query_covered=round(runs.covered, 4),
            ),
        )
        share = int(distance[closest]) / FRAME_SPEC.bits
        return VideoHit(share, self.number, entry, at, match)

    def _runs(
        self, clip: _Clip, query: Numbers, frames: Numbers, weights: Floats, times: Floats
    ) -> _Runs:
        """Return the segments of an entry, and the seconds of the longest as they count."""
        # Pairs are of different hashes: each stands for all frames that have it.
        order = np.argsort(clip.number, kind="stable")
        begins = np.searchsorted(clip.number[order], np.arange(clip.different + 1))
        counts = (begins[1:] - begins[:-1])[query]
        starts = np.repeat(begins[:-1][query], counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        rows, entry = order[starts + within], np.repeat(frames, counts)
        sorting = np.lexsort((entry, rows))
        rows, entry = rows[sorting], entry[sorting]
        found = segments(rows, entry, clip.times, times)
        rows, entry = rows[found.pairs], entry[found.pairs]
        number = np.bincount(found.run, minlength=found.runs)
        counted = np.bincount(found.run, weights[entry], minlength=found.runs) / number
        ends = np.full((4, found.runs), np.inf)
        for place, values in ((0, clip.times[rows]), (1, times[entry])):
            np.minimum.at(ends[2 * place], found.run, values)
            ends[2 * place + 1] = -np.inf
            np.maximum.at(ends[2 * place + 1], found.run, values)
        seconds = (ends[1] - ends[0]) * counted
        reach = min(REACHES, _step(times))
        lasts = float(clip.times[-1] - clip.times[0]) + _step(clip.times)
        covered = float(((ends[1] - ends[0] + reach) * counted).sum()) / lasts
        chosen = np.lexsort((ends[0], -number))[:MOST_SEGMENTS]
        named = []
        for run in chosen[np.argsort(ends[0][chosen], kind="stable")].tolist():
            begin, end, own_begin, own_end = ends[:, run].round(3).tolist()
            named.append(VideoSegment((begin, end), int(number[run]), (own_begin, own_end)))
        return _Runs(tuple(named), found.runs, float(seconds.max()), min(1.0, covered))


class _Clip(NamedTuple):
    """The frames of a clip that are looked up: n, with m different hashes.

    `usable` are their rows, `number` which hash each has, `times` their seconds, `different` is m.
    """

    usable: Numbers
    number: Numbers
    times: Floats
    different: int


class _Runs(NamedTuple):
    named: tuple[VideoSegment, ...]
    runs: int
    longest: float
    covered: float


def _step(times: Floats) -> float:
    """Return how many seconds lie between frames of a video, in the median; of one, a second."""
    steps = np.diff(times)
    return float(np.median(steps)) if len(steps) and np.median(steps) > 0 else REACHES


def pictures_shown(
    known: IndexedList, frames: VideoFrames, min_quality: int | None
) -> list[VideoHit]:
    """Return the pictures of a list that a clip shows, and when, the closest first.

    Parameters
    ----------
    known : IndexedList
        Of PDQ hashes.
    frames : VideoFrames
        Of the clip.
    min_quality : int, optional
        Frames of a lower quality are not looked up; by default PDQ's own.
    """
    least = registry.hasher(FRAME_SPEC.algorithm).min_quality
    usable = np.flatnonzero(frames.quality >= (least if min_quality is None else min_quality))
    words, number = np.unique(frames.hashes.words[usable], axis=0, return_inverse=True)
    number, times = number.reshape(-1), frames.times[usable]
    parts = list(known.index.stream(HashBatch(FRAME_SPEC, words), known.default.bits))
    if not sum(map(len, parts)):
        return []
    query, entry, distance = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("query", "entry", "distance")
    )
    hits = []
    for each in np.unique(entry).tolist():
        mine = np.flatnonzero(entry == each)
        rows = np.flatnonzero(np.isin(number, query[mine]))
        best = mine[np.lexsort((query[mine], distance[mine]))[0]]
        at = int(usable[np.flatnonzero(number == query[best])[0]])
        share = int(distance[best]) / FRAME_SPEC.bits
        runs = [
            VideoSegment((round(float(times[a]), 3), round(float(times[b]), 3)), count)
            for a, b, count in spans(rows, times)
        ]
        match = replace(
            known.match(each, int(distance[best]), frame=int(frames.frames[at])),
            video=VideoMatch(
                segments=tuple(sorted(_longest(runs), key=lambda run: run.query)),
                segment_count=len(runs),
                query_frames=len(words),
                query_matched=len(np.unique(query[mine])),
            ),
        )
        hits.append(VideoHit(share, known.number, each, at, match))
    return sorted(hits, key=lambda hit: hit[:3])


def _longest(runs: list[VideoSegment]) -> list[VideoSegment]:
    """Return the segments that a record names, of equally many frames the first."""
    return sorted(runs, key=lambda run: -run.frames)[:MOST_SEGMENTS]


def spans(rows: Numbers, times: Floats) -> Iterator[tuple[int, int, int]]:
    """Yield the first and last of each run of some rows of frames, ascending, and how many it has.

    Frames of one run are at most `GAP` seconds or `REACH` frames apart, as those of a segment are.
    """
    apart = (np.diff(times[rows]) > GAP) & (np.diff(rows) > REACH)
    begins = np.concatenate([[0], np.flatnonzero(apart) + 1])
    ends = np.concatenate([np.flatnonzero(apart), [len(rows) - 1]])
    counts = ends - begins + 1
    yield from zip(rows[begins].tolist(), rows[ends].tolist(), counts.tolist(), strict=True)
