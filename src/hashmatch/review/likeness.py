"""Which records are of one picture: within a few bits of each other, found exactly.

Hashes that differ in at most s bits agree in at least one of s + 1 parts into which their bits are
cut (the pigeonhole principle), so a case is found by the parts of its first record's hash, and the
distance is then counted. Records without a hash are of one picture if they matched the same entry
so closely that their distances add up to no more (the triangle inequality); that takes an entry's
name to stand for one hash of an algorithm. The two kinds are never compared with each other.
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashmatch.records.review import ReviewRecord


PRIME = 2**61 - 1
"""What a longer part is brought below; shorter ones stay what they are."""


def _look(*parts: object) -> int:
    """Return 64 bits for what may be alike; that others have the same costs time, no mistake."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)


def hash_looks(algorithm: str, value: bytes, same: int) -> list[int]:
    """Return one number for each of the `same` + 1 parts of a hash.

    Parameters
    ----------
    algorithm : str
        Of the hash.
    value : bytes
        The hash.
    same : int
        Bits in which hashes of one picture may differ.
    """
    number = int.from_bytes(value, "big")
    return [
        seed ^ (number >> start & mask) % PRIME
        for seed, start, mask in _parts(algorithm, len(value) * 8, same)
    ]


@cache
def _parts(algorithm: str, bits: int, same: int) -> list[tuple[int, int, int]]:
    """Return of each part a number of its own, where it starts, and a mask as wide as it is."""
    parts = min(same + 1, bits)
    edges = [bits * i // parts for i in range(parts + 1)]
    return [
        (_look(algorithm, bits, parts, i), start, (1 << end - start) - 1)
        for i, (start, end) in enumerate(pairwise(edges))
    ]


def entry_looks(
    record: ReviewRecord, same_picture: Mapping[str, int]
) -> Iterator[tuple[int, list[int]]]:
    """Yield what stands for each entry that a record without a hash matched closely.

    Yields the number to be found by, and those to look for: of each distance that is near enough.
    """
    for match in record.matches:
        same = same_picture.get(match.algorithm, 0)
        if match.distance > same:
            continue
        entry = match.list, match.list_version, match.entry, match.algorithm
        yield (
            _look(*entry, match.distance),
            [_look(*entry, other) for other in range(same - match.distance + 1)],
        )


def entry_distance(
    left: ReviewRecord, right: ReviewRecord, same_picture: Mapping[str, int]
) -> int | None:
    """Return the least sum of two records' distances to one entry; None if it is too large."""
    there = {
        (match.list, match.list_version, match.entry, match.algorithm): match.distance
        for match in right.matches
    }
    sums = [
        match.distance + there[entry]
        for match in left.matches
        if (entry := (match.list, match.list_version, match.entry, match.algorithm)) in there
        and match.distance + there[entry] <= same_picture.get(match.algorithm, 0)
    ]
    return min(sums, default=None)


def distance(left: bytes, right: bytes) -> int:
    """Return in how many bits two hashes of one length differ."""
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).bit_count()
