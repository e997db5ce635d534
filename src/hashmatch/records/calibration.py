"""How many harmless pictures a list matches: what was counted of a sample, and what follows of it.

The unit is a picture, never a pair. Of a sample of `pictures`, so many had their nearest entry
within each distance. What a scan finds is then a Poisson count whose rate is known as well as that
sample tells: see `interval` and `predicted`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np

from hashmatch.records.enums import Level  # noqa: TC001  (msgspec reads it)
from hashmatch.records.review import ExpectedFalse
from hashmatch.records.shares import Z

SCHEMA: Final = "hashmatch.calibration/1"
PER = 1_000_000
"""Pictures of which records and reports say how many match."""
DECADES = 2
"""Powers of ten below the least share that a sample can show, to which a fitted tail is used."""
DRAWS = 10_000

Kind: TypeAlias = Literal["hashmatch.calibration/1"]


class Expected(NamedTuple):
    """How many false records to expect, and between which numbers, with 95 % probability.

    Parameters
    ----------
    records : float
        The expected number. 0 if the sample had none; `high` is then an upper bound.
    low, high : float
        Of what will be counted: the interval has the uncertainty of the rate and the chance of the
        pictures that are scanned.
    fitted : float, optional
        What the fitted tail says, where it says anything: below the distances that were seen.
    """

    records: float
    low: float
    high: float
    fitted: float | None = None


@dataclass(frozen=True, slots=True)
class Tail:
    """A generalised Pareto distribution of nearest distances, of the pictures that come closest.

    ``share * (1 + shape * (threshold - d) / scale) ** (-1 / shape)`` of all pictures have their
    nearest entry within ``d`` bits (J. Pickands, "Statistical inference using extreme order
    statistics", Annals of Statistics 3, 1975).

    Parameters
    ----------
    threshold : int
        The distance below which it holds.
    share : float
        Of all pictures, those within the threshold.
    shape, scale : float
        Of the distribution.
    pictures : int
        Whose nearest distances were known.
    closest : int
        How many of them are within the threshold: what it was fitted to.
    draws : tuple of (float, float, float)
        Share, shape and scale fitted to resampled pictures, for intervals.
    """

    threshold: int
    share: float
    shape: float
    scale: float
    pictures: int
    closest: int
    draws: tuple[tuple[float, float, float], ...] = ()

    @property
    def least(self) -> float:
        """The smallest share that it is used for."""
        return 10.0**-DECADES / self.pictures

    def share_within(self, distance: float) -> float | None:
        """Return the share of pictures within a distance; None where it is not to be trusted.

        Parameters
        ----------
        distance : float
            In bits. Above the threshold, and where less than `least` is left, the answer is None.
        """
        if distance > self.threshold:
            return None
        found = _tail(self.share, self.shape, self.scale, self.threshold - distance)
        return found if found >= self.least else None

    def interval(self, distance: float) -> tuple[float, float]:
        """Return the 95 % interval of that share, by the resampled fits.

        Parameters
        ----------
        distance : float
            In bits, up to the threshold.
        """
        found = [_tail(*draw, self.threshold - distance) for draw in self.draws]
        low, high = np.quantile(found or [0.0], [0.025, 0.975]).tolist()
        return low, high


def _tail(share: float, shape: float, scale: float, excess: float) -> float:
    if abs(shape) < 1e-6:
        return share * math.exp(-excess / scale)
    inside = 1 + shape * excess / scale
    return 0.0 if inside <= 0 else float(share * inside ** (-1 / shape))


class DistanceCount(NamedTuple):
    """How many pictures have their nearest entry within a distance.

    Parameters
    ----------
    distance : int
        In bits, inclusive.
    records : int
        So many pictures of the sample.
    spread : float
        How much more that number varies than a Poisson count, since some entries match several
        pictures: `spread_of`.
    """

    distance: int
    records: int
    spread: float


@dataclass(frozen=True, slots=True)
class ListCalibration:
    """What was counted of one version of a list, one kind of hash and one level of variants.

    Parameters
    ----------
    list, list_version, algorithm : str
        The list.
    entries : int
        How many it had.
    variants : str
        The level.
    min_quality : int, optional
        Below it pictures were not looked up, if that was not the hasher's own.
    max_distance : int
        The limit when it was calibrated.
    benign : str
        Where the pictures came from.
    at : str
        When, ISO 8601.
    pictures : int
        How many different ones were looked up.
    curve : tuple of DistanceCount
        For each distance at which the number grows, up to `reach`.
    reach : int
        The largest distance that was looked at.
    tail : Tail, optional
        Fitted to the nearest distances; missing if there were too few.
    schema : str
        Always ``hashmatch.calibration/1``.
    """

    list: str
    list_version: str
    algorithm: str
    entries: int
    variants: Level
    min_quality: int | None
    max_distance: int
    benign: str
    at: str
    pictures: int
    curve: tuple[DistanceCount, ...]
    reach: int
    tail: Tail | None = None
    schema: Kind = field(default=SCHEMA)

    def counted(self, max_distance: int) -> DistanceCount:
        """Return how many pictures of the sample match under a limit.

        Parameters
        ----------
        max_distance : int
            In bits, up to `reach`.
        """
        found = DistanceCount(max_distance, 0, 1.0)
        for one in self.curve:
            if one.distance <= max_distance:
                found = DistanceCount(max_distance, one.records, one.spread)
        return found

    def expected(self, max_distance: int, pictures: int = PER) -> Expected | None:
        """Return how many of some harmless pictures, no two the same, will match.

        Parameters
        ----------
        max_distance : int
            The limit of the scan, in bits.
        pictures : int
            How many it looks up.

        Returns
        -------
        Expected or None
            None beyond `reach`, or if no picture was looked up.
        """
        if max_distance > self.reach or not self.pictures:
            return None
        found = self.counted(max_distance)
        low, high = predicted(found.records, found.spread, self.pictures, pictures)
        fitted = None
        if self.tail is not None and found.records == 0:
            share = self.tail.share_within(max_distance)
            fitted = None if share is None else share * pictures
        return Expected(found.records / self.pictures * pictures, low, high, fitted)

    def expected_false(self, max_distance: int) -> ExpectedFalse | None:
        """Return what a review record says of it, or None beyond `reach`.

        Parameters
        ----------
        max_distance : int
            The limit, in bits.
        """
        found = self.expected(max_distance, PER)
        if found is None:
            return None
        expected, low, high = (float(f"{number:.3g}") for number in found[:3])
        return ExpectedFalse(expected, low, high, PER, self.list_version)


def spread_of(by_entry: np.ndarray[tuple[int], np.dtype[np.int64]], fixed: int = 0) -> float:
    """Return how much more a number of records varies than a Poisson count does.

    Pictures and entries are both samples: other pictures will be scanned, and the next version of a
    list has other entries. Of a sum, the variance that resampling both gives is known without
    drawing: ``c ** 2`` for an entry with ``c`` records, and ``c`` where the entry stays. Resampling
    them at the same time would count the noise of a single record three times (A. B. Owen, "The
    pigeonhole bootstrap", Annals of Applied Statistics 1, 2007), and so it is taken off twice, as
    by A. C. Cameron, J. B. Gelbach and D. L. Miller, "Robust inference with multiway clustering",
    Journal of Business & Economic Statistics 29 (2011).

    Parameters
    ----------
    by_entry : ndarray of int64, shape (n,)
        Records of each entry that is resampled, each record counted for its nearest entry.
    fixed : int
        Records of entries that are not, since they are known by name.

    Examples
    --------
    >>> spread_of(np.array([], np.int64), fixed=50), spread_of(np.array([1, 1, 1, 1]))
    (1.0, 1.0)
    """
    total = int(by_entry.sum()) + fixed
    if not total:
        return 1.0
    return float((by_entry**2).sum() + fixed) / total


def interval(records: int, spread: float = 1.0) -> tuple[float, float]:
    """Return the 95 % interval of the number of which `records` were counted.

    It is that of F. Garwood (1936) for a Poisson count, widened by `spread`; quantiles of the gamma
    distribution by E. B. Wilson and M. M. Hilferty (1931). Of no record, the upper end is 3.7, and
    no less than 3 with 95 %, the rule of three.

    Parameters
    ----------
    records : int
        What was counted.
    spread : float
        As of `spread_of`.

    Examples
    --------
    >>> [tuple(round(end, 1) for end in interval(n)) for n in (0, 10, 100)]
    [(0.0, 3.7), (4.8, 18.4), (81.4, 121.6)]
    """
    low = spread * _gamma_quantile(records / spread, -Z)
    return low, spread * _gamma_quantile(records / spread + 1, Z)


def _gamma_quantile(shape: float, z: float) -> float:
    """Return a quantile of the gamma distribution, by that of the normal one."""
    if shape <= 0:
        return 0.0
    return shape * float(max(0.0, 1 - 1 / (9 * shape) + z / (3 * math.sqrt(shape)))) ** 3


def predicted(records: int, spread: float, sample: int, pictures: int) -> tuple[float, float]:
    """Return between which numbers a count will be, with 95 % probability.

    A gamma rate, as of `interval`, and a Poisson count with it: the rate is not known exactly, and
    what is scanned has a chance of its own.

    Parameters
    ----------
    records : int
        What was counted.
    spread : float
        As of `spread_of`.
    sample : int
        In how many pictures.
    pictures : int
        In how many others it is to be predicted.

    Examples
    --------
    >>> predicted(0, 1.0, 1000, 1000)[0], predicted(25, 1.0, 1000, 0)
    (0.0, (0.0, 0.0))
    """
    chance = np.random.default_rng(0)
    each = spread * pictures / sample
    low = 0.0
    if records:
        low = float(np.quantile(chance.poisson(each * chance.gamma(records / spread, size=DRAWS)),
                                0.025))  # fmt: skip
    high = np.quantile(chance.poisson(each * chance.gamma(records / spread + 1, size=DRAWS)), 0.975)
    return min(low, pictures), min(float(high), pictures)
