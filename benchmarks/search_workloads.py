"""Lists to search and questions to ask them, up to ten million hashes, the same ones every time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from hashmatch import HashBatch, HashSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint64]

SLICE = 250_000
"""Hashes made at a time: each of their bits takes a byte or two until they are packed."""
MEMBERS = 0.3
"""Share of a skewed list that lies in clusters."""
MEMBERS_A_CLUSTER = 20
"""On average. With sizes after Zipf's law, the largest cluster of 10 M has about 240,000."""
FURTHEST = 10
"""Bits that a member has flipped from the centre of its cluster, at most."""
CHECKED = 100
"""Questions by which two engines are compared before anything is timed."""


@dataclass(frozen=True)
class Case:
    """A list by what it is made of, and the limit that it is searched within, in bits.

    `uniform` has random bits. `skewed` is harder, as real hashes are: each bit has a bias of its
    own, drawn from Beta(3, 3); 30 % of the bits copy the one before with a probability of 0.4; and
    30 % of the entries are near-duplicates, 0 to 10 bits from the centre of a cluster, whose sizes
    follow Zipf's law.
    """

    size: int
    bits: int = 256
    limit: int = 31
    kind: Literal["uniform", "skewed"] = "uniform"

    def __str__(self) -> str:
        return f"{self.bits} bit, r={self.limit}, {short(self.size)} {self.kind}"

    @property
    def spec(self) -> HashSpec:
        """What its hashes are."""
        return HashSpec("pdq" if self.bits == 256 else "made-up", self.bits)

    def seed(self, part: int) -> np.random.Generator:
        """Return the source of randomness of a part of the work."""
        return np.random.default_rng([self.size, self.bits, self.kind == "skewed", part])


@dataclass(frozen=True, eq=False, slots=True)
class Questions:
    """Hashes to ask for; the planted ones are known to be near an entry."""

    batch: HashBatch
    planted: NDArray[np.int64]
    """Rows of (question, entry, distance), distances from 0 to limit + 1, by question."""


def short(count: int) -> str:
    """Return 10000 as 10 k and 3000000 as 3 M."""
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if count >= size and count % (size // 10) == 0:
            return f"{count / size:g} {unit}"
    return f"{count:,}"


@cache
def known(case: Case) -> HashBatch:
    """Return the list."""
    random = case.seed(0)
    if case.kind == "uniform":
        return _batch(case, _uniform(random, case.size, case.bits))
    habits = _Habits.drawn(random, case.bits)
    words = habits.hashes(random, case.size)
    _cluster(random, words, habits)
    return _batch(case, words)


@cache
def questions(case: Case, count: int, planted: int, part: int = 1) -> Questions:
    """Return `count` questions, `planted` of them near an entry, at one distance after another.

    The others are uniform; of a skewed list, every other one has the biased bits of the list. They
    stand in random order, the planted ones evenly among them. Another `part` is another draw.
    """
    random = case.seed(part)
    words = _uniform(random, count, case.bits)
    if case.kind == "skewed":
        habits = _Habits.drawn(case.seed(0), case.bits)
        biased = random.random(count) < 0.5
        words[biased] = habits.hashes(random, int(biased.sum()))
    rows = (2 * np.arange(planted) + 1) * count // (2 * planted) if planted else np.arange(0)
    entries = random.integers(0, case.size, planted)
    apart = max(1, (case.limit + 2) // max(1, planted))  # few are to cover the limit as well
    distances = np.arange(planted) * apart % (case.limit + 2)
    words[rows] = known(case).words[entries]
    for row, distance in zip(rows, distances, strict=True):
        _flip(words[row], random.choice(case.bits, distance, replace=False))
    return Questions(_batch(case, words), np.stack([rows, entries, distances], axis=1))


def to_check(case: Case) -> Questions:
    """Return a hundred questions, of which one at each distance has an answer."""
    return questions(case, CHECKED, min(case.limit + 2, CHECKED), part=2)


def to_time(case: Case, count: int) -> Questions:
    """Return questions as a service gets them: few are near an entry."""
    return questions(case, count, count // (100 if case.kind == "uniform" else 1000))


def _batch(case: Case, words: Words) -> HashBatch:
    words.flags.writeable = False  # so that it is not copied
    return HashBatch(case.spec, words)


def _uniform(random: np.random.Generator, count: int, bits: int) -> Words:
    return random.integers(0, 2**64, (count, bits // 64), np.uint64)


def _flip(word: Words, bits: NDArray[np.int64]) -> None:
    np.bitwise_xor.at(word, bits // 64, np.uint64(1) << (bits % 64).astype(np.uint64))


@dataclass(frozen=True, eq=False, slots=True)
class _Habits:
    """Which bits of a skewed list are mostly set, and which ones copy the one before."""

    often: NDArray[np.uint8]
    """How often of 256 times each bit is set."""
    copies: NDArray[np.bool_]

    @classmethod
    def drawn(cls, random: np.random.Generator, bits: int) -> _Habits:
        often = (random.beta(3, 3, bits) * 256).astype(np.uint8)
        return cls(often, random.random(bits) < 0.3)

    def hashes(self, random: np.random.Generator, count: int) -> Words:
        """Return so many hashes of these habits, no clusters among them."""
        words = np.empty((count, len(self.often) // 64), np.uint64)
        for start in range(0, count, SLICE):
            part = words[start : start + SLICE]
            # A row a bit, so that copying the one before is done to all hashes at once.
            bits = np.empty((len(self.often), len(part)), np.bool_)
            for row, often in enumerate(self.often):
                np.less(_bytes(random, len(part)), often, out=bits[row])
                if row and self.copies[row]:
                    np.copyto(bits[row], bits[row - 1], where=_bytes(random, len(part)) < 0.4 * 256)
            packed = np.packbits(bits, axis=0)
            part[:] = np.ascontiguousarray(packed.T).view(">u8")
        return words


def _bytes(random: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """Return random bytes; `integers` of that type takes several times as long."""
    return random.integers(0, 2**64, -(-count // 8), np.uint64).view(np.uint8)[:count]


def _cluster(random: np.random.Generator, words: Words, habits: _Habits) -> None:
    """Make a share of the entries, anywhere in the list, near-duplicates of each other."""
    members = np.flatnonzero(random.random(len(words)) < MEMBERS)
    centres = habits.hashes(random, max(1, len(members) // MEMBERS_A_CLUSTER))
    size = 1 / np.arange(1, len(centres) + 1)
    reach = np.cumsum(size / size.sum())
    for start in range(0, len(members), SLICE):
        rows = members[start : start + SLICE]
        own = np.searchsorted(reach, random.random(len(rows)))
        near = centres[np.minimum(own, len(centres) - 1)]  # the last sum may round below 1
        flips = random.integers(0, FURTHEST + 1, len(rows))
        for number in range(FURTHEST):
            some = np.flatnonzero(flips > number)
            bits = random.integers(0, len(habits.often), len(some), np.uint64)
            near[some, (bits // 64).astype(np.int64)] ^= np.uint64(1) << bits % np.uint64(64)
        words[rows] = near
