"""A shadow limit: what another limit would bring into review, counted and not recorded.

Each picture that is no record is looked up once more, within the other limit. Kept are totals by
list, algorithm and distance: no picture, no entry and no hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from hashmatch.errors import UsageError
from hashmatch.matching.lookup import Lookup, limits_of
from hashmatch.records.hashes import Opaque
from hashmatch.records.images import HashedImage, ItemOutcome
from hashmatch.records.video_columns import VIDEO_SPEC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.videos import HashedVideo
    from hashmatch.scan.events import Result


class ShadowRow(NamedTuple):
    """How many pictures a shadow limit would bring into review, of one list at one distance.

    Parameters
    ----------
    list, algorithm : str
        Of the entry that comes closest.
    distance : int
        Of it, in bits.
    records : int
        Pictures.
    """

    list: str
    algorithm: str
    distance: int
    records: int


class Shadow(Opaque):
    """Looks up what a scan found no match of, within larger limits.

    Parameters
    ----------
    matcher : Matcher
        Of the scan. Its rules that suppress are asked, all but the breaker, which counts.
    max_distance : int or mapping of str to int
        The other limits in bits, as of `Matcher`; of algorithms that are not named there is none.
        Limits of lists and entries outrank them. Indexes up to them are built in memory.

    Attributes
    ----------
    limits : dict of str to int
        By algorithm.

    Raises
    ------
    UsageError
        If there is no list of an algorithm, or a limit is not above that of the scan.
    """

    def __init__(self, matcher: Matcher, max_distance: int | Mapping[str, int]) -> None:
        self.limits = shadow_limits(matcher, max_distance)
        # An index of a store is built up to the store's own limit: beyond it, it is slow.
        fresh = [
            replace(one.known, index=None)
            for one in matcher.indexed
            if one.known.spec.algorithm in self.limits
        ]
        self._lookup = Lookup(fresh, self.limits, 1, None)
        self._matcher = matcher

    def look_up(self, hashed: Sequence[HashedImage | HashedVideo], result: Result) -> str | None:
        """Return where a picture would come into review, for `Counters.shadow`; None if not.

        Parameters
        ----------
        hashed : sequence of HashedImage
            The hashes of the picture; of a video, nothing is counted.
        result : ReviewRecord or ItemOutcome
            What the scan made of it.
        """
        if not isinstance(result, ItemOutcome):  # it is a record already
            return None
        images = [one for one in hashed if isinstance(one, HashedImage) and one.spec != VIDEO_SPEC]
        found = self._lookup.find_any(images)
        if found.image is None:
            return None
        evidence = self._matcher.protection.evidence
        if evidence(images, found, lambda most: self._lookup.find_any(images, most)) is not None:
            return None
        near = found.matches[0]
        return f"{near.algorithm} {near.distance} {near.list}"


def shadow_limits(matcher: Matcher, max_distance: int | Mapping[str, int]) -> dict[str, int]:
    """Return the shadow limit of each algorithm that has one.

    Parameters
    ----------
    matcher : Matcher
        Of the scan.
    max_distance : int or mapping of str to int
        As for `Shadow`.

    Raises
    ------
    UsageError
        If there is no list of an algorithm, or a limit is not above that of the scan.
    """
    own = {one.known.spec: one.default.bits for one in matcher.indexed}
    named = set(max_distance) if isinstance(max_distance, Mapping) else set()
    found: dict[str, int] = {}
    for spec, limit in limits_of(max_distance, own).items():
        if limit.set_by != "caller" or (named and spec.algorithm not in named):
            continue
        if limit.bits <= own[spec]:
            raise UsageError(
                f"cannot count a shadow limit of {limit.bits} bits for {spec.algorithm}: the "
                f"scan's own is {own[spec]}. Give a larger one"
            )
        found[spec.algorithm] = limit.bits
    return found


def shadow_rows(counted: Mapping[str, int]) -> list[ShadowRow]:
    """Return the totals of `Counters.shadow`, by list, algorithm and distance.

    Parameters
    ----------
    counted : mapping of str to int
        What `Shadow.look_up` returned, with how often.

    Examples
    --------
    >>> shadow_rows({"pdq 34 hotline": 3, "pdq 32 hotline": 1})[0]
    ShadowRow(list='hotline', algorithm='pdq', distance=32, records=1)
    """
    rows = []
    for place, records in counted.items():
        algorithm, distance, name = place.split(" ", 2)
        rows.append(ShadowRow(name, algorithm, int(distance), records))
    return sorted(rows)
