"""Matcher: one image or video against known-hash lists. What a moderation service imports."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, cast

from msgspec import UNSET, UnsetType

from hashmatch import registry
from hashmatch._redact import unseen
from hashmatch.decode import load
from hashmatch.decode.video_formats import HEAD
from hashmatch.decode.video_formats import POLICY as VIDEO_POLICY
from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.hashing.hash_image import HashPlan, decoder, hash_loaded
from hashmatch.matching.chrome import is_mostly_chrome, mark
from hashmatch.matching.clips import (
    EVERY,
    digest_of,
    hash_clip,
    head_of,
    is_video,
    pool_of,
    takes_videos,
    wanted,
)
from hashmatch.matching.identity import key_digest, matcher_identity
from hashmatch.matching.lookup import HASHED, Found, Lookup, in_range
from hashmatch.matching.suppression import Protection
from hashmatch.records.enums import Level, Orientation, Outcome, Surface
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.images import HashedImage, ImageError, ImageItem, ItemOutcome
from hashmatch.records.review import RecordHash, RecordItem, ReviewRecord
from hashmatch.records.times import timestamp
from hashmatch.records.video_columns import VIDEO_SPEC
from hashmatch.records.videos import HashedVideo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hashmatch.decode.inputs import ImageInput, LoadedImage
    from hashmatch.hashing.hash_image import Decode
    from hashmatch.matching.breaker import Breaker
    from hashmatch.matching.indexed_list import IndexedList
    from hashmatch.matching.videos import VideoThresholds
    from hashmatch.records.hash_list import HashList
    from hashmatch.records.hashes import HashSpec
    from hashmatch.records.review import RecordMatch, SuppressedBy
    from hashmatch.records.videos import VideoFrames
    from hashmatch.sandbox.pool import DecodePool

PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")
"""How pictures begin that are no video: most of what is checked."""
LONGEST = 3600
"""Seconds between two frames that are looked up."""
NO_MATCH = Outcome.NO_MATCH
"""By a name of its own, as `HASHED`: to look up a member of an enum takes a tenth of a search."""


class Matcher(Opaque):
    """Checks images and videos against known-hash lists. Safe to use from several threads.

    A match is a question to a person, never a verdict: `check` makes a record, and does nothing
    else.

    Parameters
    ----------
    *lists : HashList
        At least one. They may hold different kinds of hash: an image is then read and decoded
        once, hashed as each kind, and one record has all that it matches.
    max_distance : int or mapping of str to int, optional
        Inclusive limit in bits, instead of the algorithm's recommendation; by algorithm if the
        lists need several. A list's own limit outranks it, and an entry's own outranks both. One
        by level, say ``{"thorough": 40}``, is for the hashes that this level of `variants` adds.
        Hashes that are equal or not, as of files, keep their limit of 0 beside others.
    min_quality : int, optional
        Pictures of a lower quality are not searched; by default what the algorithm recommends.
    variants : {"none", "orientations", "standard", "thorough"}
        Which other questions to ask about each picture, see `hashmatch.hash_all`.
    max_matches : int
        The most entries that a record names; ``match_count`` has their full number.
    include_hash : bool
        Put the image's own hash into its record.
    reference_key : bytes, optional
        The deployment's secret, 16 to 64 bytes, for references to entries without an id.
    benign : HashList or sequence of HashList
        Pictures known to be harmless: a match of one of them is suppressed, see
        `hashmatch.matching.suppression`. Images are hashed as their kinds of hash too.
    min_sources : int
        A match backed by less different sources is suppressed.
    suppress_chrome : bool
        Suppress a match whose evidence is mostly plain colour, text and lines, as two screens of
        one app have in common, unless something else in the picture matches too; see
        `hashmatch.matching.chrome`. Otherwise it is marked, and waits behind others.
    breaker : Breaker, optional
        Suppresses what one entry matches too often. By default none is: a breaker remembers, and
        the answer to a picture would depend on those before it without anybody having asked so.
    decode : DecodePool or callable, optional
        What images are decoded with: a `hashmatch.DecodePool`, or its `pictures`, for bytes that
        are not trusted; this process then parses none of them. By default they are decoded in it.
        Videos always are in a pool, by default in one that is started for each.
    every : float
        Seconds between two frames of a video that are looked up, 0 for every frame. Only where
        there is a list of ``vpdq`` or ``pdq``.
    video_thresholds : VideoThresholds, optional
        From when on a video of a list matches, see `hashmatch.matching.videos`.
    now : callable, optional
        Tells the time; for tests.

    Attributes
    ----------
    plan : HashPlan
        What images are hashed as: each kind of hash in the lists, with its variants.
    decode : callable
        What images are decoded with.

    Raises
    ------
    UsageError
        If there is no list, a limit is out of its range, or nothing can be decoded with `decode`.

    Examples
    --------
    >>> from hashmatch.lists.read import read_list
    >>> matcher = Matcher(read_list("fixtures/lists/demo-pdq.csv"))
    >>> result = matcher.check(b"", surface="public_post", item_id="post/7")
    >>> result.outcome.value, result.reason
    ('undecodable', 'the file is empty')
    """

    @unseen
    def __init__(
        self,
        *lists: HashList,
        max_distance: int | Mapping[str, int] | None = None,
        min_quality: int | None = None,
        variants: Level = "none",
        max_matches: int = 100,
        include_hash: bool = False,
        reference_key: bytes | None = None,
        benign: HashList | Sequence[HashList] = (),
        min_sources: int = 1,
        suppress_chrome: bool = False,
        breaker: Breaker | None = None,
        decode: DecodePool | Decode | None = None,
        every: float = EVERY,
        video_thresholds: VideoThresholds | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        in_range("a least quality", min_quality, 0, 100)
        if not isinstance(every, int | float) or not 0 <= every <= LONGEST:
            raise UsageError(f"cannot look up a frame every {every!r} s. Give 0 to {LONGEST}")
        self._lookup = Lookup(
            lists, max_distance, max_matches, reference_key, min_quality, video_thresholds,
            variants,
        )  # fmt: skip
        self.protection = Protection(
            benign, min_sources, breaker, reference_key, suppress_chrome=suppress_chrome
        )
        benign_specs = (known.spec for known in self.protection.lists)
        self._specs = tuple(dict.fromkeys((*self._lookup.specs, *benign_specs)))
        self._reads = {spec: registry.hasher(spec.algorithm).reads for spec in self._specs}
        algorithms = tuple(spec.algorithm for spec in self._specs)
        self.plan = HashPlan(algorithms, variants, min_quality, chrome=True)
        self._plan_to_decide = replace(self.plan, is_near=self._lookup.is_near)
        self._reads_pixels = all(hasher.reads == "pixels" for hasher in self.plan.hashers)
        self.decode = decoder(decode)
        self.every = float(every)
        self._takes_videos = takes_videos(self.plan)
        self.lists = lists
        self.include_hash = include_hash
        self._rules: dict[str, object] = {
            "max_distance": sorted(max_distance.items())
            if isinstance(max_distance, Mapping)
            else max_distance,
            "min_quality": min_quality,
            "variants": variants,
            "max_matches": max_matches,
            "reference_key": key_digest(reference_key),
        }
        if self._takes_videos:
            self._rules["videos"] = (VIDEO_POLICY, self.every, video_thresholds)
        self._now = now or (lambda: datetime.now(UTC))

    @cached_property
    def identity(self) -> str:
        """A digest of all that answers depend on: lists and their entries, rules, limits, versions.

        Not of ``include_hash``, which adds the image's own hash to the same answer.
        """
        return matcher_identity(self.lists, self.protection, self._rules)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """What images are hashed with: one name for each kind of hash in any of the lists."""
        return tuple(self.plan.algorithms)

    @property
    def indexed(self) -> tuple[IndexedList, ...]:
        """Its lists of pictures and files, ready to be searched, in their order."""
        return self._lookup.indexed

    @unseen
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
            What the record calls it; by default the path or file name, where there is one.
        version : str, optional
            Changes when the content does, for example an etag; by default a digest of it.

        Returns
        -------
        ReviewRecord or ItemOutcome
            A record if something matches, pending review unless a rule suppresses it; otherwise
            what became of the image. Both have an ``outcome``.

        Raises
        ------
        UnknownSurface
            If `surface` is none of the four.
        UsageError
            If `image` is nothing that can be hashed.
        """
        surface = Surface.parse(surface)
        loaded = load(image, item_id)
        is_path = isinstance(image, str | PathLike)
        if loaded.error is not None and is_path and self.is_video(head_of(image)):
            # Too large to be read as a whole.
            path = cast("str", image)
            made = hash_clip(path, loaded.name, self.plan, self.every, pool_of(self.decode))
            return self.decide(ImageItem(loaded.name, version or _version(path), surface), made)
        if item_id is None and loaded.name.startswith("<"):
            raise UsageError("cannot name the image: bytes and pixels have no name. Give item_id")
        hashed: Sequence[HashedImage | HashedVideo]
        if self._takes_videos and loaded.data and not loaded.data.startswith(PICTURES):
            hashed = self._hash(loaded, self._plan_to_decide, None)
        else:
            hashed = hash_loaded(loaded, self._plan_to_decide, self.decode)
        item = ImageItem(loaded.name, loaded.version if version is None else version, surface)
        return self._unmatched(item, hashed) if self._is_far(hashed) else self.decide(item, hashed)

    def _is_far(self, hashed: Sequence[HashedImage | HashedVideo]) -> bool:
        """Return whether what `_plan_to_decide` has hashed is known to be near no entry.

        It has each picture looked up, and measures the chrome of those that are near one.
        """
        return self._reads_pixels and all(
            isinstance(one, HashedImage) and one.chrome is None for one in hashed
        )

    def is_video(self, head: bytes) -> bool:
        """Return whether a file that begins with `head` is checked as a video.

        Parameters
        ----------
        head : bytes
            1,024 are enough.
        """
        return self._takes_videos and is_video(head)

    def wanted(self, head: bytes) -> None:
        """Raise ImageError if a file that begins with `head` has no hash that the lists need.

        Parameters
        ----------
        head : bytes
            1,024 are enough.
        """
        if not self.plan.reads_bytes:
            wanted(self.plan, head)

    def _hash(
        self,
        loaded: LoadedImage,
        plan: HashPlan,
        decode: Decode | None,
        pool: DecodePool | None = None,
    ) -> Sequence[HashedImage | HashedVideo]:
        data = loaded.data
        if data is not None and not data.startswith(PICTURES) and self.is_video(data[:HEAD]):
            pool = pool or pool_of(decode or self.decode)
            return hash_clip(data, loaded.name, plan, self.every, pool)
        return hash_loaded(loaded, plan, decode or self.decode)

    @unseen
    def hash(
        self,
        image: ImageInput,
        item: str,
        decode: Decode | None = None,
        pool: DecodePool | None = None,
        *,
        to_keep: bool = True,
    ) -> list[HashedImage | HashedVideo]:
        """Hash `image` in every way that the lists need; see `hashmatch.hash_all`.

        Parameters
        ----------
        image : path, bytes, file object, PIL.Image.Image or ndarray of uint8
            See `hashmatch.hash_image`.
        item : str
            Its name in messages.
        decode : callable, optional
            What decodes it, instead of the matcher's `decode`.
        pool : DecodePool, optional
            What decodes it if it is a video; by default the pool behind `decode`.
        to_keep : bool
            Whether its hashes may be asked again, by other lists. If not, what only a match has to
            say of the picture may be left out where nothing matches: it takes less time.

        Returns
        -------
        list of HashedImage and HashedVideo
            What `decide` takes.
        """
        plan = self.plan if to_keep else self._plan_to_decide
        return list(self._hash(load(image, item), plan, decode, pool))

    @unseen
    def hash_to_decide(
        self,
        image: ImageInput,
        item: ImageItem,
        decode: Decode | None = None,
        pool: DecodePool | None = None,
    ) -> list[HashedImage | HashedVideo] | ItemOutcome:
        """Hash `image` as `hash` does if nothing is `to_keep`, and say it if nothing matches.

        Parameters
        ----------
        image : path, bytes, file object, PIL.Image.Image or ndarray of uint8
            See `hashmatch.hash_image`.
        item : ImageItem
            What the image is, and where it was published.
        decode, pool : optional
            As of `hash`.

        Returns
        -------
        list of HashedImage and HashedVideo, or ItemOutcome
            What `decide` takes; or, in most cases, what it would return, where nothing matches.
        """
        hashed = self._hash(load(image, item.key), self._plan_to_decide, decode, pool)
        return self._unmatched(item, hashed) if self._is_far(hashed) else list(hashed)

    @unseen
    def decide(
        self, item: ImageItem, hashed: Sequence[HashedImage | HashedVideo]
    ) -> ReviewRecord | ItemOutcome:
        """Look up an image that is hashed already, and say what becomes of it; see `check`.

        Parameters
        ----------
        item : ImageItem
            What the image is, and where it was published.
        hashed : sequence of HashedImage and HashedVideo
            What `hash` made of it: its hashes of each kind in the lists. Those that only benign
            lists hold may be missing; they then explain nothing. A video has no hashes of pictures
            but those of its frames.

        Returns
        -------
        ReviewRecord or ItemOutcome
            As of `check`.

        Raises
        ------
        SpecMismatch
            If a hash is of another kind than the lists, or one of their kinds is missing.
        """
        images, given, has_frames = [], [], False
        for one in hashed:
            if isinstance(one, HashedVideo):
                has_frames = True
            else:
                images.append(one)
                given.append(one.spec)
        for spec in self._lookup.specs:
            if spec not in given and not (has_frames and self._reads[spec] != "bytes"):
                raise self._mismatch(item, given)
        for spec in given:
            if spec not in self._specs:
                raise self._mismatch(item, given)
        found = self._lookup.find_any(hashed)
        if found.image is None:
            return self._unmatched(item, hashed)
        image = found.image
        found = mark(hashed, found, self._lookup.find_any)
        by = self.protection.rule(images, found, lambda most: self._lookup.find_any(hashed, most))
        return self._record(item, hashed, found, found.image or image, by)

    @unseen
    def decide_each(
        self, pictures: Sequence[tuple[ImageItem, Sequence[HashedImage | HashedVideo]]]
    ) -> list[ReviewRecord | ItemOutcome]:
        """Return what `decide` does for each of many images, in order, in less time for pictures.

        All are looked up together, and one by one only those that are near an entry.

        Parameters
        ----------
        pictures : sequence of (ImageItem, sequence of HashedImage)
            As `decide` takes them.

        Raises
        ------
        SpecMismatch
            As `decide`.
        """
        near = set(self.pictures_that_match([hashed for _, hashed in pictures]))
        checked: set[tuple[HashSpec | None, ...]] = set()  # kinds of hash that a picture had before
        results = []
        for number, (item, hashed) in enumerate(pictures):
            kinds = tuple(None if isinstance(one, HashedVideo) else one.spec for one in hashed)
            is_unmatched = number not in near and kinds in checked
            result = self._unmatched(item, hashed) if is_unmatched else self.decide(item, hashed)
            checked.add(kinds)
            results.append(result)
        return results

    @unseen
    def pictures_that_match(
        self, hashed: Sequence[Sequence[HashedImage | HashedVideo]]
    ) -> list[int]:
        """Return the numbers, in order, of those images of which any hash is near an entry.

        Parameters
        ----------
        hashed : sequence of sequences of HashedImage
            The hashes of each. Those of other kinds than the lists hold say nothing.
        """
        pictures = [
            [one for one in images if not isinstance(one, HashedVideo)] for images in hashed
        ]
        near = {
            number
            for number, images in enumerate(hashed)
            if len(images) > len(pictures[number])  # a clip
            and self._lookup.find_any(images).image is not None
        }
        for spec in self._lookup.specs:
            asked: list[HashedImage] = []
            numbers: list[int] = []
            for number, images in enumerate(pictures):
                own = [one for one in images if one.spec == spec]
                asked += own
                numbers += [number] * sum(len(one.hashes) for one in own)
            if numbers:
                batch = HashBatch.concatenate([one.hashes for one in asked])
                found = self._lookup.rows_that_match(batch, asked)
                near.update(numbers[row] for row in found.tolist())
        return sorted(near)

    def _mismatch(self, item: ImageItem, given: Sequence[HashSpec]) -> SpecMismatch:
        both = dict.fromkeys(given), self._lookup.specs
        kinds, needed = (", ".join(map(str, specs)) for specs in both)
        return SpecMismatch(
            f"cannot match {item.key}: it is hashed as {kinds or 'nothing'}, the lists {needed}"
        )

    def _unmatched(
        self, item: ImageItem, hashed: Sequence[HashedImage | HashedVideo]
    ) -> ItemOutcome:
        """Return that nothing matches, or what could not be searched at all: no frame of it."""
        outcome, reason, quality, damaged = NO_MATCH, "", None, False
        for one in hashed:
            damaged |= one.damaged
            if isinstance(one, HashedVideo):
                if one.frames is not None:
                    quality = int(one.frames.quality.max(initial=0))
                if one.outcome is not HASHED:
                    outcome, reason = one.outcome, one.reason
                continue
            if one.spec not in self._lookup.specs:
                continue
            # That a picture is no video says something only where there are lists of nothing else.
            if one.spec == VIDEO_SPEC and len(hashed) > 1:
                continue
            if quality is None:
                quality = one.quality
            if one.outcome is not HASHED and outcome is NO_MATCH:
                same = [
                    other
                    for other in hashed
                    if isinstance(other, HashedImage) and other.spec == one.spec
                ]
                if all(other.outcome is not HASHED for other in same):
                    outcome, reason = one.outcome, one.reason
        return ItemOutcome(item.key, item.version, item.surface, outcome, reason, quality, damaged)

    def rows_that_match(self, hashes: HashBatch) -> NDArray[np.int64]:
        """Return the numbers, in order, of those of many hashes that are near any entry.

        Parameters
        ----------
        hashes : HashBatch
            Of a kind that the lists hold.
        """
        return self._lookup.rows_that_match(hashes)

    @unseen
    def look_up(self, hashes: HashBatch) -> list[Found]:
        """Return what each of many hashes is near, in order, for hashes computed elsewhere.

        No record is made of them, so that nothing is suppressed or counted.

        Parameters
        ----------
        hashes : HashBatch
            Of a kind that the lists hold.
        """
        return self._lookup.find_each(hashes)

    @unseen
    def look_up_video(self, frames: VideoFrames) -> Found:
        """Return what a video is near whose frames were hashed elsewhere; see `look_up`.

        Parameters
        ----------
        frames : VideoFrames
            Looked up in lists of videos and of PDQ.
        """
        return self._lookup.find_any([HashedVideo("", HASHED, frames=frames)])

    @unseen
    def suppresses(self, hashes: HashBatch) -> SuppressedBy | None:
        """Return the rule that keeps what a hash matches out of a queue, or None.

        Benign lists and ``min_sources`` are such rules; the breaker goes by what came before.

        Parameters
        ----------
        hashes : HashBatch
            One, computed elsewhere, of a kind that the lists hold. Benign lists of other kinds have
            nothing to say of it.
        """
        hashed = [HashedImage("", hashes.spec, HASHED, hashes)]
        found = self._lookup.find_any(hashed)
        if found.image is None:
            return None
        return self.protection.evidence(
            hashed, found, lambda most: self._lookup.find_any(hashed, most)
        )

    @unseen
    def nearest(
        self, hashed: Sequence[HashedImage], k: int = 5, max_distance: int | None = None
    ) -> tuple[RecordMatch, ...]:
        """Return the entries of each list that come nearest, matches or not: why, or why not.

        Parameters
        ----------
        hashed : sequence of HashedImage
            What `hash` made of an image; hashes of too low a quality are asked too.
        k : int
            How many of each list.
        max_distance : int, optional
            Bits beyond which nothing is near, by default that of the kind of hash; whatever the
            entries' limits.

        Returns
        -------
        tuple of RecordMatch
            Nearest first. Those whose ``distance`` is over their ``max_distance`` do not match.
        """
        return self._lookup.nearest(hashed, k, max_distance)

    def _record(
        self,
        item: ImageItem,
        hashed: Sequence[HashedImage | HashedVideo],
        found: Found,
        image: HashedImage | HashedVideo,
        by: SuppressedBy | None,
    ) -> ReviewRecord:
        # An exact match of a file knows nothing of its picture; another hash of it may.
        pictured = next((one for one in (image, *hashed) if one.width is not None), image)
        video = pictured if isinstance(pictured, HashedVideo) else None
        row = found.row
        if isinstance(image, HashedVideo):
            known = _hash_of(image, row)
        else:
            variant = str(image.variants[row])
            known = image.spec.algorithm, image.frame, image.quality, variant
        algorithm, frame, quality, variant = known
        return ReviewRecord(
            record_id=self._record_id(item),
            created_at=timestamp(self._now()),
            item=RecordItem(
                item.key,
                item.version,
                item.surface,
                pictured.media_type,
                pictured.width,
                pictured.height,
                frame,
                any(one.damaged for one in hashed),
                UNSET if video is None or video.duration is None else round(video.duration, 3),
                UNSET if video is None or video.every is None else video.every,
                _chrome_of(pictured),
            ),
            hash=RecordHash(
                algorithm,
                quality,
                image.decode_policy,
                variant,
                _hex(image, row) if self.include_hash else UNSET,
            ),
            matches=found.matches,
            match_count=found.match_count,
            status="pending_review" if by is None else "suppressed",
            suppressed_by=UNSET if by is None else by,
            mostly_chrome=is_mostly_chrome(found.matches) or UNSET,
        )

    def _record_id(self, item: ImageItem) -> str:
        """Return an id that is the same for the same image version and the same rules."""
        parts = item.key, item.version, item.surface, self.identity
        digest = hashlib.blake2b(digest_size=16, person=b"hashmatch-record")
        for part in parts:
            encoded = part.encode(errors="surrogatepass")
            digest.update(len(encoded).to_bytes(8) + encoded)  # lengths keep parts apart
        return digest.hexdigest()


def _hex(image: HashedImage | HashedVideo, row: int) -> str:
    """Return one of the hashes of an image or video as text."""
    if isinstance(image, HashedImage):
        return image.hashes.to_hex()[row]
    return "" if image.frames is None else image.frames.hashes.to_hex()[row]


def _chrome_of(image: HashedImage | HashedVideo) -> float | UnsetType:
    """Return the share of chrome in a whole picture, if it is known."""
    if isinstance(image, HashedVideo) or image.chrome is None:
        return UNSET
    return image.chrome.share()


def _hash_of(video: HashedVideo, row: int) -> tuple[str, int, int | None, str]:
    """Return what a record says of one frame: algorithm, number, quality and variant."""
    frames = video.frames
    if frames is None:
        raise UsageError(f"cannot give a hash of {video.item}: it has no frames. Check it again")
    number, quality = int(frames.frames[row]), int(frames.quality[row])
    return VIDEO_SPEC.algorithm, number, quality, str(Orientation.UPRIGHT)


def _version(path: str | PathLike[str]) -> str:
    """Return the version of a video's file; none of one that cannot be read, as of a picture."""
    try:
        return digest_of(path)
    except ImageError:
        return ""
