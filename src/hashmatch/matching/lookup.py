"""Which entries of several lists a hash is near: all lists of a kind of hash are asked alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count, islice
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING

import numpy as np

from hashmatch import registry
from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.hashing.variants import level_of
from hashmatch.interfaces import is_framed
from hashmatch.matching.indexed_list import Hit, IndexedList, each_entry_once, index_list
from hashmatch.matching.videos import IndexedVideos, pictures_shown
from hashmatch.records.entries import Limit
from hashmatch.records.enums import LEVELS, Level, Outcome
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.images import HashedImage
from hashmatch.records.video_columns import VIDEO_SPEC
from hashmatch.records.videos import FRAME_SPEC, HashedVideo

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from hashmatch.matching.videos import VideoThresholds
    from hashmatch.records.hashes import HashSpec
    from hashmatch.records.review import RecordMatch

SHORTEST_KEY = 16
"""Bytes; a shorter key could be tried out."""
LONGEST_KEY = 64
"""Bytes; the longest that BLAKE2b takes."""
HASHED = Outcome.HASHED


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """What a hash, or any hash of an image, is near: the closest entries, and how many in all.

    Parameters
    ----------
    matches : tuple of RecordMatch
        Closest first.
    match_count : int
        All of them, named or not.
    image : HashedImage or HashedVideo, optional
        Whose hash came closest, if it is known which image or video it is of.
    row : int
        Which of its hashes that is; of a video, which of its frames.
    """

    matches: tuple[RecordMatch, ...]
    match_count: int
    image: HashedImage | HashedVideo | None = None
    row: int = 0


NOTHING = Found((), 0)


class Lookup(Opaque):
    """Lists ready to be searched together, of one kind of hash or of several; ``specs`` are these.

    `max_distance`, `reference_key`, `min_quality`, `thresholds` of videos and `variants` are those
    of `Matcher`; at most `max_matches` entries are named at once. Raises UsageError if there is no
    list, or a limit is out of its range.
    """

    def __init__(
        self,
        lists: Sequence[HashList],
        max_distance: int | Mapping[str, int] | None,
        max_matches: int,
        reference_key: bytes | None,
        min_quality: int | None = None,
        thresholds: VideoThresholds | None = None,
        variants: Level = "none",
    ) -> None:
        in_range("max_matches", max_matches, 1, 2**31)
        if reference_key is not None and not (
            isinstance(reference_key, bytes) and SHORTEST_KEY <= len(reference_key) <= LONGEST_KEY
        ):
            raise UsageError(
                f"cannot use the reference key. Give {SHORTEST_KEY} to {LONGEST_KEY} bytes"
            )
        by_spec = _by_spec(lists)
        plain, wider = _of_levels(max_distance, by_spec, variants)
        limits = limits_of(plain, by_spec)
        number = count()
        self.specs = tuple(by_spec)
        self._max_matches = max_matches
        of_videos = by_spec.pop(VIDEO_SPEC, [])
        self._lists = {
            spec: [
                index_list(
                    next(number), known, limits[spec], reference_key, variants, min_quality,
                    wider.get(spec, {}),
                )
                for known in of_spec
            ]
            for spec, of_spec in by_spec.items()
        }  # fmt: skip
        self._videos = [
            IndexedVideos(
                next(number),
                known,
                limits[VIDEO_SPEC],
                known.own_key() if reference_key is None else reference_key,
                min_quality,
                thresholds,
            )
            for known in of_videos
        ]
        self._min_quality = min_quality
        self._wider = wider

    @property
    def indexed(self) -> tuple[IndexedList, ...]:
        """The lists but those of videos, in the order in which they were given."""
        found = [one for lists in self._lists.values() for one in lists]
        return tuple(sorted(found, key=attrgetter("number")))

    def rows_that_match(
        self, hashes: HashBatch, images: Sequence[HashedImage] = ()
    ) -> NDArray[np.int64]:
        """Return which of `hashes` are near any entry, in order; see `Matcher.rows_that_match`.

        They are those of `images`, if these are given: limits of levels then count too.
        """
        rows = [np.empty(0, np.int64)]
        levels = self._levels(images)
        for known in self._lists_of(hashes):
            for limit, some in known.by_limit(len(hashes), levels):
                batch = hashes if some is None else HashBatch(hashes.spec, hashes.words[some])
                for found in known.index.stream(batch, limit):
                    rows.append(found.query if some is None else some[found.query])
        return np.unique(np.concatenate(rows))

    def is_near(self, image: HashedImage) -> bool:
        """Return whether any hash of one image is near any entry."""
        levels = self._levels([image]) if self._wider else None
        for known in self._lists.get(image.spec, ()):
            if len(known.near(image.hashes, levels).entry):
                return True
        return False

    def _levels(self, images: Sequence[HashedImage]) -> list[Level] | None:
        """Return the level that asks each hash of `images`, if any has a limit of its own."""
        if not images or images[0].spec not in self._wider:
            return None
        return [level_of(str(name)) for one in images for name in one.variants]

    def find_each(self, hashes: HashBatch) -> list[Found]:
        """Return what each of `hashes` is near, in order; see `Matcher.look_up`."""
        lists, most = self._lists_of(hashes), self._max_matches
        if len(hashes) == 1:
            hits, in_all = _closest(lists, hashes, most)
            return [_found(hits, in_all)]
        of_each: list[list[Hit]] = [[] for _ in range(len(hashes))]
        counts = np.zeros(len(hashes), np.int64)
        for known in lists:
            found = known.index.search(hashes, known.default.bits, most)
            if found.counts is not None:
                counts += found.counts
            for hit in known.hits(found):
                of_each[hit.query].append(hit)
        return [
            _found(sorted(hits)[:most], in_all)
            for hits, in_all in zip(of_each, counts.tolist(), strict=True)
        ]

    def find_any(
        self, hashed: Sequence[HashedImage | HashedVideo], most: int | None = None
    ) -> Found:
        """Return what any hash of an image is near: each entry once, by the hash closest to it.

        Only hashes that are good enough to be searched are. At most `most` entries are named,
        instead of the number that is always. The frames of a video are looked up in lists of videos
        and of pictures.
        """
        most = self._max_matches if most is None else most
        for one in hashed:
            if isinstance(one, HashedVideo):
                videos = [each for each in hashed if isinstance(each, HashedVideo)]
                images = [each for each in hashed if isinstance(each, HashedImage)]
                return self._with_videos(self.find_any(images, most), videos, most)
        named: list[tuple[Hit, HashedImage, int]] = []
        match_count = 0
        for spec, lists in self._lists.items():
            images = [
                one for one in hashed
                if isinstance(one, HashedImage)
                and one.outcome is HASHED and (one.spec is spec or one.spec == spec)
            ]  # fmt: skip
            if not images:
                continue
            hashes = images[0].hashes
            if len(images) > 1:
                hashes = HashBatch.concatenate([one.hashes for one in images])
            levels = self._levels(images) if self._wider else None
            hits, in_all = _closest(lists, hashes, most, levels)
            match_count += in_all
            if hits:
                asked = [(one, row) for one in images for row in range(len(one.hashes))]
                named += [(hit, *asked[hit.query]) for hit in hits]
        if not named:
            return NOTHING
        named.sort()
        matches = tuple(
            hit.known.match(hit.entry, hit.distance, str(image.variants[row]), image.frame)
            for hit, image, row in named[:most]
        )
        return Found(matches, match_count, *named[0][1:])

    def _with_videos(self, found: Found, videos: Sequence[HashedVideo], most: int) -> Found:
        """Return what was found, and what the frames of a video are near."""
        hits: list[tuple[float, int, int, RecordMatch, HashedVideo | None, int]] = []
        match_count = found.match_count
        for video in videos:
            if video.outcome is not HASHED or video.frames is None:
                continue
            for known in self._videos:
                near = known.find(video.frames)
                match_count += len(near)
                hits += [(hit[0], hit[1], hit[2], hit.match, video, hit.row) for hit in near]
            for held in self._lists.get(FRAME_SPEC, ()):
                pictures = pictures_shown(held, video.frames, self._min_quality)
                match_count += len(pictures)
                hits += [(hit[0], hit[1], hit[2], hit.match, video, hit.row) for hit in pictures]
        if not hits:
            return found
        for match in found.matches:  # digests of the file: equal, and so before all others
            bits = registry.spec(match.algorithm).bits
            hits.append((match.distance / bits, -1, len(hits), match, None, 0))
        hits.sort(key=itemgetter(0, 1, 2))
        named = hits[:most]
        video, row = next((hit[4], hit[5]) for hit in hits if hit[4] is not None)
        return Found(tuple(hit[3] for hit in named), match_count, video, row)

    def nearest(
        self, hashed: Sequence[HashedImage], k: int, max_distance: int | None
    ) -> tuple[RecordMatch, ...]:
        """Return what comes nearest in each list; see `Matcher.nearest`."""
        in_range("k", k, 1, 2**31)
        named: list[tuple[Hit, HashedImage, int]] = []
        for spec, lists in self._lists.items():
            images = [one for one in hashed if one.spec == spec and len(one.hashes)]
            if not images:
                continue
            hashes = HashBatch.concatenate([one.hashes for one in images])
            asked = [(one, row) for one in images for row in range(len(one.hashes))]
            limit = None if max_distance is None else min(max_distance, spec.bits)
            for known in lists:
                near = known.index.nearest(hashes, k, limit)
                found = each_entry_once(near) if len(hashes) > 1 else near
                found = found.where(np.argsort(found.distance, kind="stable")[:k])
                named += [(hit, *asked[hit.query]) for hit in known.hits(found)]
        named.sort(key=itemgetter(0))
        return tuple(
            hit.known.match(hit.entry, hit.distance, str(image.variants[row]), image.frame)
            for hit, image, row in named
        )

    def _lists_of(self, hashes: HashBatch) -> list[IndexedList]:
        """Return the lists of the kind of `hashes`."""
        if not isinstance(hashes, HashBatch):
            raise UsageError(f"cannot look up {type(hashes).__name__}. Give a HashBatch")
        lists = self._lists.get(hashes.spec)
        if lists is None and hashes.spec == VIDEO_SPEC:
            raise SpecMismatch(
                "cannot look up a video by one hash: it has one for each frame. Use look_up_video"
            )
        if lists is None:
            held = ", ".join(map(str, self.specs))
            raise SpecMismatch(f"cannot look up hashes of {hashes.spec} in lists of {held}")
        return lists


def _closest(
    lists: Sequence[IndexedList],
    hashes: HashBatch,
    most: int,
    levels: Sequence[Level] | None = None,
) -> tuple[list[Hit], int]:
    """Return the closest `most` entries that any of `hashes` is near, and how many are in all."""
    hits: list[Hit] = []
    in_all = 0
    for known in lists:
        found = known.near(hashes, levels)
        if len(found.entry):
            in_all += len(found.entry)
            hits += islice(known.hits(found), most)
    return sorted(hits)[:most], in_all


def _found(hits: Sequence[Hit], in_all: int) -> Found:
    return (
        Found(tuple(hit.known.match(hit.entry, hit.distance) for hit in hits), in_all)
        if hits
        else NOTHING
    )


def in_range(what: str, value: int | None, least: int, most: int) -> None:
    """Raise UsageError unless `value` is None or a whole number from `least` to `most`."""
    if value is not None and not (isinstance(value, int) and least <= value <= most):
        raise UsageError(
            f"cannot use {value!r} for {what}. Give a whole number from {least} to {most}"
        )


def _by_spec(lists: Sequence[HashList]) -> dict[HashSpec, list[HashList]]:
    """Return the lists of each kind of hash."""
    if not lists:
        raise UsageError("cannot make a matcher without a hash list. Give one at least")
    by_spec: dict[HashSpec, list[HashList]] = {}
    for known in lists:
        if not isinstance(known, HashList):
            raise UsageError(
                f"cannot match with {type(known).__name__}. Give hash lists, as "
                "hashmatch.read_list makes them"
            )
        # The hasher's own object, if it is equal: images have it, and comparing it is quick.
        spec = registry.spec(known.spec.algorithm)
        by_spec.setdefault(spec if spec == known.spec else known.spec, []).append(known)
    return by_spec


def _of_levels(
    max_distance: int | Mapping[str, int] | None, specs: Iterable[HashSpec], variants: Level
) -> tuple[int | Mapping[str, int] | None, dict[HashSpec, dict[Level, Limit]]]:
    """Return the limits by algorithm, and those by level of the hashers that ask so much.

    A limit of a level is for hashers with frames: others have too few bits for one.
    """
    if not isinstance(max_distance, Mapping):
        return max_distance, {}
    of_level = {level: max_distance[level] for level in LEVELS[1:] if level in max_distance}
    if not of_level:
        return max_distance, {}
    framed = [spec for spec in specs if is_framed(registry.hasher(spec.algorithm))]
    for level, bits in of_level.items():
        if LEVELS.index(level) > LEVELS.index(variants):
            raise UsageError(
                f"cannot use a max_distance for {level}: variants are {variants}. Ask for {level}"
            )
        if not framed:
            raise UsageError(
                f"cannot use a max_distance for {level}: there is no list of an algorithm with "
                "such a limit. Give it for a list of pdq"
            )
        in_range("a maximum distance", bits, 0, min(spec.bits for spec in framed))
    others = {name: bits for name, bits in max_distance.items() if name not in of_level}
    wider = {level: Limit(bits, "caller") for level, bits in of_level.items()}
    return others, dict.fromkeys(framed, wider)


def limits_of(
    max_distance: int | Mapping[str, int] | None, specs: Iterable[HashSpec]
) -> dict[HashSpec, Limit]:
    """Return for each kind of hash the limit that the caller asks for, else the algorithm's."""
    of_algorithm = {spec: registry.hasher(spec.algorithm).max_distance for spec in specs}
    if max_distance is None:
        asked: Mapping[str, int] = {}
    elif isinstance(max_distance, Mapping):
        asked = max_distance
        for algorithm in set(asked) - {spec.algorithm for spec in of_algorithm}:
            raise UsageError(f"cannot use a max_distance for {algorithm}: there is no list of it")
    else:
        # One that is equal or not has no use for a limit that others need.
        alike = [s for s, bits in of_algorithm.items() if bits > 0 or len(of_algorithm) == 1]
        if len(alike) != 1:
            names = ", ".join(spec.algorithm for spec in of_algorithm)
            raise UsageError(
                f"cannot use one max_distance for {names}. Give one by algorithm ({{'pdq': 31}}, "
                "-d pdq=31)"
            )
        asked = {alike[0].algorithm: max_distance}
    for spec in of_algorithm:
        in_range("a maximum distance", asked.get(spec.algorithm), 0, spec.bits)
    return {
        spec: Limit(bits, "algorithm")
        if asked.get(spec.algorithm) is None
        else Limit(asked[spec.algorithm], "caller")
        for spec, bits in of_algorithm.items()
    }
