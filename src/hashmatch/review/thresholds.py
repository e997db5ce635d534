"""What decisions say about distances: how far a list's matches can be trusted, with how much doubt.

Nothing changes by this. It is for whoever chooses ``--max-distance``.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from hashmatch.errors import UsageError
from hashmatch.review.intervals import Share, wilson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashmatch.review.statistics import Precision


class Reach(NamedTuple):
    """Up to which distance enough of the decided cases were confirmed."""

    distance: int
    share: Share


class Threshold(NamedTuple):
    """What was decided about the matches of one list.

    ``all`` is the share of all its decided cases that were confirmed. ``reach`` is the largest
    distance up to which at least the wanted share was, and ``sure`` the largest one up to which the
    whole interval is above it; None if there is none.
    """

    list: str
    algorithm: str
    all: Share
    reach: Reach | None
    sure: Reach | None


def thresholds(found: Iterable[Precision], wanted: float) -> list[Threshold]:
    """Return for each list how far its matches reach with a precision.

    Parameters
    ----------
    found : iterable of Precision
        `Statistics.precision` of a queue.
    wanted : float
        The share of confirmed cases that is asked for, above 0 and up to 1.

    Raises
    ------
    UsageError
        If `wanted` is no such share.

    Examples
    --------
    >>> from hashmatch.review.statistics import Precision
    >>> counted = [Precision("demo", "pdq", d, wilson(*n)) for d, n in
    ...            {0: (40, 40), 10: (30, 31), 20: (9, 10), 30: (2, 60)}.items()]
    >>> (one,) = thresholds(counted, 0.95)
    >>> one.reach.distance, one.sure
    (20, None)
    >>> thresholds(counted, 0.9)[0].sure.distance
    20
    """
    if not 0 < wanted <= 1:
        raise UsageError(f"a precision is above 0 and up to 1, not {wanted}")
    by_distance = sorted(
        (each.list, each.algorithm, each.distance, each.share)
        for each in found
        if each.distance is not None
    )
    answer = []
    for (name, algorithm), rows in groupby(by_distance, key=lambda row: row[:2]):
        part = whole = 0
        reach: Reach | None = None
        sure: Reach | None = None
        for _, _, distance, share in rows:
            part, whole = part + share.part, whole + share.whole
            up_to = Reach(distance, wilson(part, whole))
            if whole and part / whole >= wanted:
                reach = up_to
            if up_to.share.low >= wanted:
                sure = up_to
        answer.append(Threshold(name, algorithm, wilson(part, whole), reach, sure))
    return answer
