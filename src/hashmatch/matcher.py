"""Matcher: one image against known-hash lists. What a moderation service imports."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from msgspec import UNSET

from hashmatch import registry
from hashmatch.decode.inputs import ImageInput, describe
from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.hashing import hash_image
from hashmatch.index import HashIndex
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.items import HashedImage, ImageItem, ItemOutcome
from hashmatch.records.review import RecordHash, RecordItem, RecordMatch, ReviewRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from hashmatch.records.hashes import HashSpec
    from hashmatch.records.lists import HashList

UPRIGHT = "upright"
"""The variant of a query that is the picture as it is."""


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """What one hash is near: the closest entries, and how many there are in all."""

    matches: tuple[RecordMatch, ...]
    match_count: int


@dataclass(frozen=True, eq=False, slots=True)
class _Searched:
    """A list ready to be searched: its index, and each entry's limit."""

    known: HashList
    index: HashIndex
    limits: NDArray[np.int64]
    widest: int
    key: bytes


class Matcher(Opaque):
    """Checks images against one or more known-hash lists. Safe to use from several threads.

    A match is a question to a person, never a verdict: `check` makes a record that is pending
    review, and does nothing else.

    Parameters
    ----------
    *lists : HashList
        At least one; all of one spec.
    max_distance : int, optional
        Inclusive limit in bits, instead of the algorithm's recommendation. A list's own limit
        outranks it, and an entry's own outranks both.
    min_quality : int, optional
        Pictures of a lower quality are not searched; by default what the algorithm recommends.
    max_matches : int
        The most entries that a record names; ``match_count`` has their full number.
    include_hash : bool
        Put the image's own hash into its record.
    reference_key : bytes, optional
        The deployment's secret (at most 64 bytes) for references to entries without an id.
    now : callable, optional
        Tells the time; for tests.

    Raises
    ------
    SpecMismatch
        If the lists hold different kinds of hash.
    UsageError
        If there is no list, or a limit is out of its range.

    Examples
    --------
    >>> from hashmatch.reading import read_list
    >>> matcher = Matcher(read_list("fixtures/lists/demo-pdq.csv"))
    >>> result = matcher.check(b"", surface="public_post", item_id="post/7")
    >>> result.outcome.value, result.reason
    ('undecodable', 'the file is empty')
    """

    def __init__(
        self,
        *lists: HashList,
        max_distance: int | None = None,
        min_quality: int | None = None,
        max_matches: int = 100,
        include_hash: bool = False,
        reference_key: bytes | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        if not lists:
            raise UsageError("a matcher needs at least one hash list")
        self.spec: HashSpec = lists[0].spec
        for known in lists:
            if known.spec != self.spec:
                raise SpecMismatch(
                    f"list {known.name} holds {known.spec} and list {lists[0].name} {self.spec}; "
                    "use a matcher for each"
                )
        if max_distance is not None and not 0 <= max_distance <= self.spec.bits:
            raise UsageError(
                f"a maximum distance of {max_distance}; for {self.spec} it is 0 to {self.spec.bits}"
            )
        if reference_key is not None and not 1 <= len(reference_key) <= 64:
            raise UsageError("a reference key has 1 to 64 bytes")
        if max_matches < 1:
            raise UsageError("max_matches is at least 1")
        self.lists = lists
        self.min_quality = min_quality
        self._max_matches = max_matches
        self._include_hash = include_hash
        self._now = now or (lambda: datetime.now(UTC))
        self._from_caller = max_distance is not None
        if max_distance is None:
            max_distance = registry.hasher(self.spec.algorithm).max_distance
        self.max_distance = max_distance
        self._searched = [_searched(known, max_distance, reference_key) for known in lists]

    def check(
        self,
        image: ImageInput,
        *,
        surface: Surface | str,
        item_id: str | None = None,
        version: str | None = None,
    ) -> ReviewRecord | ItemOutcome:
        """Hash `image` and look it up.

        Parameters
        ----------
        image : path, bytes, file object, PIL.Image.Image or ndarray of uint8
            See `hashmatch.hash_image`.
        surface : Surface or str
            Where it was published; unlisted surfaces are refused.
        item_id : str, optional
            What the record calls it; by default the path or file name.
        version : str, optional
            Changes when the content does, for example an etag; by default a digest of what the
            picture was hashed to, so that one picture checked twice has one record id.

        Returns
        -------
        ReviewRecord or ItemOutcome
            A record, pending review, if something matches; otherwise what became of the image.
            Both have an ``outcome``.

        Raises
        ------
        UnknownSurface
            If `surface` is none of the four.
        UsageError
            If `image` is nothing that can be hashed.
        """
        surface = Surface.parse(surface)
        name = describe(image) if item_id is None else item_id
        hashed = hash_image(image, self.spec.algorithm, item=name, min_quality=self.min_quality)
        if version is None:
            version = _version(hashed)
        return self.check_hashed(ImageItem(name, version, surface), hashed)

    def check_hashed(self, item: ImageItem, hashed: HashedImage) -> ReviewRecord | ItemOutcome:
        """Look up an image that is hashed already; see `check`."""
        if hashed.spec != self.spec:
            raise SpecMismatch(f"{hashed.item} is hashed as {hashed.spec}, the lists {self.spec}")
        if len(hashed.hashes) > 1:
            raise UsageError(
                f"{hashed.item} has the hashes of all its orientations; a check is of the upright "
                "one, look_up takes them all"
            )
        outcome = hashed.outcome
        if outcome is Outcome.HASHED:
            (found,) = self.look_up(hashed.hashes)
            if found.match_count:
                return self._record(item, hashed, found)
            outcome = Outcome.NO_MATCH
        return ItemOutcome(
            item.key,
            item.version,
            item.surface,
            outcome,
            hashed.reason,
            hashed.quality,
            hashed.damaged,
        )

    def look_up(self, hashes: HashBatch) -> list[Found]:
        """Return what each of `hashes` is near, for hashes computed elsewhere."""
        per_query: list[list[tuple[int, int, int]]] = [[] for _ in range(len(hashes))]
        for number, searched in enumerate(self._searched):
            hits = searched.index.search(hashes, searched.widest)
            hits = hits.where(hits.distance <= searched.limits[hits.entry])
            for query, entry, distance in zip(
                hits.query.tolist(), hits.entry.tolist(), hits.distance.tolist(), strict=True
            ):
                per_query[query].append((distance, number, entry))
        return [
            Found(tuple(self._match(*hit) for hit in sorted(hits)[: self._max_matches]), len(hits))
            for hits in per_query
        ]

    def _match(self, distance: int, number: int, row: int) -> RecordMatch:
        searched = self._searched[number]
        known, entry = searched.known, searched.known.entries[row]
        decided_by: Literal["entry", "list", "caller", "algorithm"] = (
            "entry"
            if entry.max_distance is not None
            else "list"
            if known.max_distance is not None
            else "caller"
            if self._from_caller
            else "algorithm"
        )
        return RecordMatch(
            list=known.name,
            list_version=known.version,
            entry=known.reference(row, searched.key),
            distance=distance,
            max_distance=int(searched.limits[row]),
            max_distance_from=decided_by,
            labels=entry.labels,
            sources=entry.sources,
        )

    def _record(self, item: ImageItem, hashed: HashedImage, found: Found) -> ReviewRecord:
        return ReviewRecord(
            record_id=self._record_id(item, hashed),
            created_at=self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            item=RecordItem(
                item.key,
                item.version,
                item.surface,
                hashed.media_type,
                hashed.width,
                hashed.height,
                hashed.frame,
                hashed.damaged,
            ),
            hash=RecordHash(
                self.spec.algorithm,
                hashed.quality,
                hashed.decode_policy,
                UPRIGHT,
                hashed.hex if self._include_hash else UNSET,
            ),
            matches=found.matches,
            match_count=found.match_count,
        )

    def _record_id(self, item: ImageItem, hashed: HashedImage) -> str:
        """Return an id that is the same for the same image version and the same lists."""
        lists = [part for known in self.lists for part in (known.name, known.version)]
        spec = (self.spec.algorithm, str(self.spec.bits), hashed.decode_policy)
        parts = (item.key, item.version, item.surface, str(hashed.frame), *spec, *lists)
        digest = hashlib.blake2b(digest_size=16, person=b"hashmatch-record")
        for part in parts:
            encoded = part.encode(errors="surrogatepass")
            digest.update(len(encoded).to_bytes(8) + encoded)  # lengths keep parts apart
        return digest.hexdigest()


def _searched(known: HashList, default: int, key: bytes | None) -> _Searched:
    limits = known.limits(default)
    if len(limits) and not 0 <= limits.min() <= limits.max() <= known.spec.bits:
        raise UsageError(f"list {known.name} has a max_distance outside of 0 to {known.spec.bits}")
    widest = int(limits.max(initial=0))
    own_key = known.own_key() if key is None else key
    return _Searched(known, HashIndex.build(known), limits, widest, own_key)


def _version(hashed: HashedImage) -> str:
    """Return a stand-in for an etag, which is not the hash and leads nowhere."""
    digest = hashlib.blake2b(digest_size=12, person=b"hashmatch-item")
    digest.update(hashed.hashes.words.tobytes() + str((hashed.width, hashed.height)).encode())
    return f"b2-{digest.hexdigest()}"
