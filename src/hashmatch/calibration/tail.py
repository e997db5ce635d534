"""What lies below the smallest distance that was seen: a fit to the pictures that come closest.

Distances are whole bits, and of some hashes even ones only. A picture at distance ``d`` stands for
the step that ends there, and so its excess over the threshold is taken from the middle of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hashmatch.records.calibration import Tail

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 50
"""Pictures that a fit needs: with 50, the shape is known to 0.2 or so."""
SHARE = 0.1
"""Of the pictures, the closest ones that it is fitted to."""
DRAWS = 200
"""Fits to resampled pictures."""


def fit_tail(nearest: NDArray[np.int64], seed: int = 0) -> Tail | None:
    """Return a generalised Pareto distribution of the smallest of nearest distances.

    Parameters
    ----------
    nearest : ndarray of int64, shape (n,)
        The distance of each picture of a sample to its nearest entry, all of them known.
    seed : int
        Of the resampling that gives intervals.

    Returns
    -------
    Tail or None
        None if fewer than `LEAST` pictures are below the threshold, or all are alike there.

    Examples
    --------
    >>> distances = np.random.default_rng(1).binomial(256, 0.4, 5000)
    >>> tail = fit_tail(distances)
    >>> tail.threshold, tail.shape < 0.2
    (92, True)
    """
    count = len(nearest)
    if count < LEAST:
        return None
    ordered = np.sort(nearest)
    threshold = int(ordered[min(count - 1, max(LEAST, round(SHARE * count)) - 1)])
    closest = ordered[ordered <= threshold]
    step = _step(closest)
    if step is None:
        return None
    fitted = _fit(threshold + step / 2 - closest, len(closest) / count)
    if fitted is None:
        return None
    chance = np.random.default_rng(seed)
    draws = []
    for _ in range(DRAWS):
        some = closest[chance.integers(0, len(closest), max(2, chance.poisson(len(closest))))]
        draw = _fit(threshold + step / 2 - some, len(some) / count)
        if draw is not None:
            draws.append(draw)
    return Tail(threshold, *fitted, count, len(closest), tuple(draws))


def _step(closest: NDArray[np.int64]) -> int | None:
    """Return by how much distances differ at least: 2 where every hash has as many bits set."""
    values = np.unique(closest)
    return None if len(values) < 3 else int(np.gcd.reduce(np.diff(values)))


def _fit(excess: NDArray[np.floating[Any]], share: float) -> tuple[float, float, float] | None:
    """Return share, shape and scale by probability-weighted moments.

    J. R. M. Hosking and J. R. Wallis, "Parameter and quantile estimation for the generalized Pareto
    distribution", Technometrics 29 (1987), whose shape has the other sign.
    """
    ordered, count = np.sort(excess), len(excess)
    weights = 1 - (np.arange(1, count + 1) - 0.35) / count
    first, second = float(ordered.mean()), float((ordered * weights).mean())
    between = first - 2 * second
    if between <= 0:
        return None
    return share, 2 - first / between, 2 * first * second / between
