"""Matcher: one image against known-hash lists. What a moderation service imports."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from msgspec import UNSET

from hashmatch.decode.inputs import ImageInput, describe, file_bytes
from hashmatch.errors import ImageError, SpecMismatch, UsageError
from hashmatch.hashing import hash_image
from hashmatch.lookup import Found, Lookup, in_range
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.items import HashedImage, ImageItem, ItemOutcome
from hashmatch.records.review import RecordHash, RecordItem, ReviewRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmatch.records.lists import HashList

UPRIGHT = "upright"
"""The variant of a query that is the picture as it is."""


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
        The deployment's secret, 16 to 64 bytes, for references to entries without an id.
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
        in_range("a least quality", min_quality, 0, 100)
        self._lookup = Lookup(lists, max_distance, max_matches, reference_key)
        self.spec = self._lookup.spec
        self.lists = lists
        self.max_distance = self._lookup.max_distance
        self.min_quality = min_quality
        self._include_hash = include_hash
        self._now = now or (lambda: datetime.now(UTC))

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
        if item_id is None and name.startswith("<"):
            raise UsageError("say which image it is: bytes and pixels have no name, give item_id")
        image = _read(image)
        hashed = hash_image(image, self.spec.algorithm, item=name, min_quality=self.min_quality)
        item = ImageItem(name, _content(image) if version is None else version, surface)
        return self.check_hashed(item, hashed)

    def check_hashed(self, item: ImageItem, hashed: HashedImage) -> ReviewRecord | ItemOutcome:
        """Look up an image that is hashed already; see `check`.

        Parameters
        ----------
        item : ImageItem
            What the image is, and where it was published.
        hashed : HashedImage
            Its hash, of the lists' own spec.
        """
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
        """Return what each of many hashes is near, for hashes computed elsewhere.

        Parameters
        ----------
        hashes : HashBatch
            Of the lists' own spec.

        Returns
        -------
        list of Found
            One for each hash, in order: its closest entries, and how many there are.
        """
        return self._lookup.find(hashes)

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
        lists = [part for pair in sorted((k.name, k.version) for k in self.lists) for part in pair]
        spec = (self.spec.algorithm, str(self.spec.bits), hashed.decode_policy)
        parts = (item.key, item.version, item.surface, str(hashed.frame), *spec, *lists)
        digest = hashlib.blake2b(digest_size=16, person=b"hashmatch-record")
        for part in parts:
            encoded = part.encode(errors="surrogatepass")
            digest.update(len(encoded).to_bytes(8) + encoded)  # lengths keep parts apart
        return digest.hexdigest()


def _read(image: ImageInput) -> ImageInput:
    """Return the bytes of `image` if it is a file, so that it is read once; else itself."""
    try:
        data = file_bytes(image)
    except ImageError:
        return image  # hashing it will say why
    return image if data is None else data


def _content(image: ImageInput) -> str:
    """Return a version made of the content of `image`, as `_read` gave it and once it is hashed.

    Hashing has loaded a Pillow image by then, tolerantly if it had to be: loading it here would
    raise on a damaged one, or hide its damage from the hash.
    """
    digest = hashlib.blake2b(digest_size=12, person=b"hashmatch-item")
    if isinstance(image, bytes):
        digest.update(image)
    elif isinstance(image, str | os.PathLike) or hasattr(image, "read"):
        return "unread"
    else:
        try:
            pixels = np.asarray(image)
        except Exception:  # as undecodable as its outcome says; Pillow may raise anything
            return "unread"
        digest.update(str((pixels.shape, pixels.dtype)).encode() + pixels.tobytes())
    return f"b2-{digest.hexdigest()}"
