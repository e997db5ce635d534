"""What keeps a match out of the queue of the people who review it; nothing is ever dropped.

A picture that matches is asked about in this order, and the first rule that holds is the one in its
record, which is then ``suppressed`` instead of ``pending_review``:

1. *match*: no entry is near enough: no record, and none of the rules is looked at.
2. *benign*: the whole picture is one that is known to be harmless, see `Benign`.
3. *mostly chrome*: all that its entries are near is plain colour, text and lines, as of two screens
   of one app, see `hashmatch.matching.chrome`. Off by default.
4. *too few sources*: its entries are backed by less than ``min_sources`` different sources. An
   entry without sources has the name of its list for one. Letters' case makes no difference, since
   two spellings of a source must not confirm each other.
5. *breaker*: each of its entries has had as many records as are let through, see `Breaker`.

Rules look at all entries that match, also at those beyond the ``max_matches`` that a record names.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from hashmatch import registry
from hashmatch.errors import UsageError
from hashmatch.index.hash_index import HashIndex
from hashmatch.lists.degenerate import re_encoded
from hashmatch.matching.breaker import Breaker
from hashmatch.matching.chrome import is_mostly_chrome
from hashmatch.matching.indexed_list import IndexedList
from hashmatch.matching.lookup import in_range
from hashmatch.records.entries import Limit
from hashmatch.records.enums import WHOLE, Outcome
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.review import SuppressedBy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashmatch.matching.indexed_list import Hit
    from hashmatch.matching.lookup import Found
    from hashmatch.records.hashes import HashSpec
    from hashmatch.records.images import HashedImage
    from hashmatch.records.review import RecordMatch

EVIDENCE = 10_000
"""Entries of one picture that are looked at. If more match, neither `Benign` nor a lack of sources
suppresses it, since the others might object; the breaker goes by the closest."""


class Protection(Opaque):
    """The rules of one matcher, whose options of the same names they are.

    Without a breaker everything is let through. Raises UsageError if one of them is something else.
    """

    def __init__(
        self,
        benign: HashList | Sequence[HashList],
        min_sources: int,
        breaker: Breaker | None,
        reference_key: bytes | None,
        *,
        suppress_chrome: bool = False,
    ) -> None:
        lists = (benign,) if isinstance(benign, HashList) else benign
        if not isinstance(lists, Sequence) or not all(isinstance(one, HashList) for one in lists):
            raise UsageError(
                "cannot use what was given as benign. Give hash lists, as hashmatch.read_list "
                "makes them"
            )
        if not isinstance(breaker, Breaker | None):
            raise UsageError(
                f"cannot use {type(breaker).__name__} as a breaker. Give a hashmatch.Breaker"
            )
        in_range("min_sources", min_sources, 1, 2**31)
        self.lists = tuple(lists)
        self.min_sources = min_sources
        self.breaker = breaker
        self.suppress_chrome = suppress_chrome
        self._benign = Benign(self.lists, reference_key)

    def rule(
        self, hashed: Sequence[HashedImage], found: Found, every: Callable[[int], Found]
    ) -> SuppressedBy | None:
        """Return the first rule that suppresses a picture, or None if it waits for a person.

        `hashed` are all hashes of the picture, and `found` has at least one entry. `every` finds it
        again, so many of its entries; asked only if `found` does not name all.
        """
        by = self.evidence(hashed, found, every)
        if by is not None or self.breaker is None:
            return by
        matches = found.matches
        if len(matches) < found.match_count:
            matches = every(EVIDENCE).matches
        return tripped(self.breaker, matches)

    def evidence(
        self, hashed: Sequence[HashedImage], found: Found, every: Callable[[int], Found]
    ) -> SuppressedBy | None:
        """Return the rule that suppresses a picture whatever was seen before: no breaker is asked.

        Arguments are those of `rule`.
        """
        is_on = self.lists or self.min_sources > 1 or self.suppress_chrome
        if not is_on or found.match_count > EVIDENCE:
            return None
        matches = found.matches
        if len(matches) < found.match_count:
            matches = every(EVIDENCE).matches
        return (
            self._benign.explains(hashed, matches)
            or self._chrome(found)
            or self._uncorroborated(matches)
        )

    def _chrome(self, found: Found) -> SuppressedBy | None:
        """Go by the named matches: of those beyond, which are farther, the same is to be said."""
        if not self.suppress_chrome or not is_mostly_chrome(found.matches):
            return None
        near = found.matches[0]
        return SuppressedBy(
            "mostly_chrome", near.list, near.list_version, near.entry, near.algorithm, near.distance
        )

    def _uncorroborated(self, matches: Sequence[RecordMatch]) -> SuppressedBy | None:
        if self.min_sources == 1:
            return None
        sources = {
            source.strip().casefold(): source
            for match in matches
            for source in (match.sources or (match.list,))
        }
        if len(sources) >= self.min_sources:
            return None
        named = tuple(sorted(sources.values()))
        return SuppressedBy("too_few_sources", sources=named, min_sources=self.min_sources)


def tripped(breaker: Breaker, matches: Sequence[RecordMatch]) -> SuppressedBy | None:
    """Return what suppresses a record that matches nothing but tripped entries; else count it.

    `matches` are all of the record, closest first.
    """
    if breaker.lets_through(matches):
        return None
    near = matches[0]
    return SuppressedBy(
        "breaker", near.list, near.list_version, near.entry, near.algorithm, near.distance
    )


class Benign(Opaque):
    """Pictures that are known to be harmless, though a list says otherwise of something like them.

    A picture is one of them if it is, as a whole, as near to a benign entry as it would be to
    itself after having been saved again (`re_encoded`; an entry's or list's own limit may only be
    lower), and nearer than to any listed entry, by the share of differing bits: a tie is for
    people. A picture that is *equal* to a listed entry is never one of them, whatever a benign list
    holds: the entry itself has to be corrected by the owner of that list. Of an animation, that
    goes for each frame that matches.
    """

    def __init__(self, lists: Sequence[HashList], reference_key: bytes | None) -> None:
        self._of: dict[HashSpec, list[IndexedList]] = {}
        for number, known in enumerate(lists):
            if known.videos is not None:
                raise UsageError(
                    f"cannot use list {known.name} as benign: it is of videos. Give one of pictures"
                )
            most = re_encoded(known.spec.algorithm)
            known.limits(most)  # raises if one is no whole number
            # Of its hashes: limits of entries would outrank the one that is asked for.
            index = HashIndex.build(known.hashes, most)
            key = known.own_key() if reference_key is None else reference_key
            self._of.setdefault(known.spec, []).append(
                IndexedList(number, known, index, Limit(most, "algorithm"), key)
            )

    def explains(
        self, hashed: Sequence[HashedImage], matches: Sequence[RecordMatch]
    ) -> SuppressedBy | None:
        """Return the benign entry that a picture is, or None.

        It takes all hashes of the picture, and all entries that it matches, closest first.
        """
        if not self._of or matches[0].distance == 0:
            return None
        explained: dict[object, SuppressedBy] = {}
        for frame in dict.fromkeys(match.frame for match in matches):
            nearest = min(
                match.distance / registry.spec(match.algorithm).bits
                for match in matches
                if match.frame == frame
            )
            near = [self._closest(one) for one in hashed if _shows(one, frame)]
            share, by = min((one for one in near if one), default=(1.0, None), key=lambda n: n[0])
            if by is None or share >= nearest:
                return None
            explained[frame] = by
        return explained[matches[0].frame]

    def _closest(self, one: HashedImage) -> tuple[float, SuppressedBy] | None:
        """Return the benign entry nearest to a picture, with its share of differing bits."""
        lists = self._of.get(one.spec)
        if lists is None or one.outcome is not Outcome.HASHED:
            return None
        whole = [row for row, variant in enumerate(one.variants) if str(variant) in WHOLE]
        asked = HashBatch(one.spec, one.hashes.words[whole])
        nearest = [hit for held in lists for hit in islice(_within(held, asked), 1)]
        if not nearest:
            return None
        hit = min(nearest)
        known = hit.known.known
        name = known.reference(hit.entry, hit.known.key)
        return hit.share, SuppressedBy(
            "benign", known.name, known.version, name, known.spec.algorithm, hit.distance
        )


def _within(held: IndexedList, hashes: HashBatch) -> Iterator[Hit]:
    """Yield the entries near any of `hashes` that are also within their own limits."""
    known = held.known
    for hit in held.hits(held.near(hashes)):
        if hit.distance <= known.limit_of(known.entries[hit.entry], held.default).bits:
            yield hit


def _shows(one: HashedImage, frame: object) -> bool:
    """Return whether `one` is of `frame`, or of the whole file."""
    return one.frame == frame or one.decode_policy == ""
