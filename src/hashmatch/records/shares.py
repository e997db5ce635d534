"""A share of what was counted, and the interval in which the true share is likely to be."""

from __future__ import annotations

import math
from typing import NamedTuple

Z = 1.959963984540054
"""Standard deviations of the normal distribution within which 95 % of it are."""


class Share(NamedTuple):
    """A part of a whole, and where the true share is likely to be.

    ``part`` of ``whole`` were counted; ``low`` and ``high`` are the 95 % interval of Wilson, 0 and
    1 if nothing was counted.
    """

    part: int
    whole: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        """The share that was counted; None of nothing."""
        return self.part / self.whole if self.whole else None


def wilson(part: int, whole: int) -> Share:
    """Return a share with its score interval, which holds for few and for extreme counts too.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of
    the American Statistical Association 22 (1927), 209-212: both solutions p of
    ``(part / whole - p) ** 2 == Z ** 2 * p * (1 - p) / whole``.

    Examples
    --------
    >>> share = wilson(15, 148)
    >>> round(share.low, 4), round(share.high, 4)
    (0.0624, 0.1605)
    """
    if not whole:
        return Share(part, whole, 0.0, 1.0)
    share, spread = part / whole, Z * Z / whole
    middle = share + spread / 2
    reach = math.sqrt(share * (1 - share) * spread + spread * spread / 4)
    low, high = (middle - reach) / (1 + spread), (middle + reach) / (1 + spread)
    return Share(
        part, whole, max(0.0, low) if part else 0.0, min(1.0, high) if part < whole else 1.0
    )


class Precision(NamedTuple):
    """Of the decided cases that a list's entries matched, how many were confirmed.

    ``distance`` is that of the closest match of the list in the case, in bits of ``algorithm``;
    None stands for every distance. Cases count, not records: one picture is decided once. With a
    ``variant``, only those that came nearest by that kind of question.
    """

    list: str
    algorithm: str
    distance: int | None
    share: Share
    variant: str | None = None


class LimitCost(NamedTuple):
    """What a lower limit would have cost a review queue, and what it would have saved.

    ``share`` is what was confirmed of the decided cases up to ``distance``. With that as the limit,
    ``missed`` cases that were confirmed would not have been found, and ``saved`` cases that were
    not a match would not have been looked at.
    """

    list: str
    algorithm: str
    distance: int
    share: Share
    missed: int
    saved: int
