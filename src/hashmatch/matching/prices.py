"""What a limit for a level of variants costs, as far as it was measured."""

from __future__ import annotations

PAIRS = 12_161_750
"""Ordered pairs of different photographs and their tiles, of quality 50 or more, at ``thorough``.

By ``benchmarks/robustness/false_pairs.py``, on 560 photographs; hundreds of hashes of one picture
are one pair.
"""
WITHIN = {31: 0, 40: 0, 48: 1, 64: 76}
"""By limit of bits: how many of these pairs are taken for each other."""


def price(level: str, bits: int) -> str:
    """Return in a sentence what a limit for a level of variants costs.

    Parameters
    ----------
    level : str
        Of `hashmatch.records.enums.LEVELS`.
    bits : int
        The limit.

    Examples
    --------
    >>> price("thorough", 45)
    'thorough=45: of 12 million pairs of different photographs, 1 came within 48 bits'
    """
    limit = next((each for each in WITHIN if each >= bits), None)
    beyond = "" if limit is not None else "; of more, nothing was measured"
    limit = max(WITHIN) if limit is None else limit
    pairs = f"of {PAIRS // 10**6} million pairs of different photographs"
    return f"{level}={bits}: {pairs}, {WITHIN[limit]} came within {limit} bits{beyond}"
