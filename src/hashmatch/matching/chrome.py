"""Marks matches whose evidence is mostly chrome: what all screens of an app have in common.

A match is marked if the view of the picture that matched is chrome for the most part
(`hashmatch.hashing.chrome.MOSTLY`) and the entry is farther from it than a screen is from itself
saved again (`SAVED_AGAIN`): a page or a screen that is on the list itself is not marked. If
something else in the picture matches the same entry, such as the photograph in a chat, that is the
evidence, and the match is of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from msgspec import UNSET

from hashmatch import registry
from hashmatch.hashing.chrome import MOSTLY
from hashmatch.lists.degenerate import re_encoded
from hashmatch.records.hashes import HashBatch
from hashmatch.records.images import HashedImage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hashmatch.matching.lookup import Found
    from hashmatch.records.review import RecordMatch
    from hashmatch.records.videos import HashedVideo

SAVED_AGAIN = 4
"""Bits by which a screen differs from itself, saved again: fewer than a photograph does
(`hashmatch.lists.degenerate.re_encoded`, which is less for some algorithms). Of 144 drawn chats and
profile pages all stayed within 4 bits of PDQ as JPEG of quality 85 and WebP of 80, and 98.6 % as
JPEG of 60; of 360 pairs of other people's the nearest were 6 bits apart."""


def mark(
    hashed: Sequence[HashedImage | HashedVideo],
    found: Found,
    find: Callable[[Sequence[HashedImage]], Found],
) -> Found:
    """Return what was found, with how much of each match's evidence is chrome.

    Parameters
    ----------
    hashed : sequence of HashedImage and HashedVideo
        All hashes of the picture.
    found : Found
        What they are near.
    find : callable
        Looks up some of the hashes; asked only if a match would be marked.
    """
    images = [one for one in hashed if isinstance(one, HashedImage) and one.chrome is not None]
    if not images:
        return found
    matches = tuple(_measured(match, images) for match in found.matches)
    found = replace(found, matches=matches)
    if not any(match.mostly_chrome is True for match in matches):
        return found
    others = [part for one in images if (part := _without_chrome(one)) is not None]
    inner = find(others) if others else None
    if inner is None or inner.image is None:
        return found
    by_entry = {_entry(match): _measured(match, images) for match in inner.matches}
    merged = [
        by_entry.get(_entry(match), match) if match.mostly_chrome is True else match
        for match in matches
    ]
    merged.sort(key=_share)
    if merged[0] is by_entry.get(_entry(merged[0])) and _entry(merged[0]) == _entry(
        inner.matches[0]
    ):
        return replace(found, matches=tuple(merged), image=inner.image, row=inner.row)
    return replace(found, matches=tuple(merged))


def is_mostly_chrome(matches: Sequence[RecordMatch]) -> bool:
    """Return whether all of some matches are marked: nothing else speaks for the entries."""
    return all(match.mostly_chrome is True for match in matches)


def _entry(match: RecordMatch) -> tuple[str, str, str, str]:
    return match.list, match.list_version, match.algorithm, match.entry


def _share(match: RecordMatch) -> float:
    return match.distance / registry.spec(match.algorithm).bits


def _measured(match: RecordMatch, images: Sequence[HashedImage]) -> RecordMatch:
    """Return a match with the chrome of what its hash is of, marked if that is most of it."""
    for one in images:
        is_of = one.frame == match.frame and one.spec.algorithm == match.algorithm
        if is_of and one.chrome is not None and match.variant in one.variants:
            share = one.chrome.share(str(match.variant))
            is_far = match.distance > min(SAVED_AGAIN, re_encoded(match.algorithm))
            marked = True if is_far and share >= MOSTLY else UNSET
            return replace(match, chrome=share, mostly_chrome=marked)
    return match


def _without_chrome(one: HashedImage) -> HashedImage | None:
    """Return an image with those of its hashes that are of no chrome; None if there are none."""
    if one.chrome is None or not len(one.hashes):
        return None
    shares: dict[str, float] = {}
    rows = []
    for row, variant in enumerate(one.variants):
        view = one.chrome.view(variant)
        if view not in shares:
            shares[view] = one.chrome.share(view)
        if shares[view] < MOSTLY:
            rows.append(row)
    if not rows:
        return None
    words = np.ascontiguousarray(one.hashes.words[rows])
    variants = tuple(one.variants[row] for row in rows)
    return replace(one, hashes=HashBatch(one.spec, words), variants=variants)
