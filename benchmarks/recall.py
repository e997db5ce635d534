"""Which transformed photographs are found again, and which others are taken for them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch import HashBatch, registry
from hashmatch.hashing.variants import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from benchmarks.photographs import Photograph
    from benchmarks.transformations import Transformation
    from hashmatch.hashing.variants import Questions
    from hashmatch.interfaces import Hasher
    from hashmatch.records.enums import Level

ALIKE = 0.3
"""Originals that differ in no more than this share of PDQ's bits (76 of 256) are listed as alike.

Unrelated photographs differ in half of them, give or take 3 %.
"""


def distances(queries: NDArray[np.uint64], entries: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return all Hamming distances, (queries, entries)."""
    apart = np.zeros((len(queries), len(entries)), np.int64)
    for word in range(queries.shape[1]):  # one word at a time: all at once would be a large array
        apart += np.bitwise_count(queries[:, word, None] ^ entries[None, :, word])
    return apart


class Mistaken(NamedTuple):
    """A picture taken for another: who asked, what was done to it, who was found, and by what."""

    query: int
    transformation: str
    entry: int
    distance: int
    variant: str


@dataclass
class Result:
    """What one hasher found at one level."""

    algorithm: str
    level: Level
    own: dict[str, list[int]] = field(default_factory=dict)
    """By transformation, for each query: the smallest distance to its own entry."""
    unsearched: Counter[str] = field(default_factory=Counter)
    """By transformation: pictures whose quality is below the hasher's, which are not searched."""
    by: dict[str, list[str]] = field(default_factory=dict)
    """By transformation, for each query: the question that came nearest to its own entry."""
    closest: dict[str, int] = field(default_factory=dict)
    """By kind of pair: the smallest distance between different pictures."""
    others: list[Mistaken] = field(default_factory=list)
    """Every (query, entry) of different pictures within the limit, with its nearest question."""
    wrong_questions: Counter[str] = field(default_factory=Counter)
    """By question: how many such pairs it is within the limit in."""
    asked: int = 0
    """Questions asked in all."""
    pairs: Counter[str] = field(default_factory=Counter)
    """By kind of pair: (query, entry) pairs of different pictures."""

    @property
    def false_pairs(self) -> set[tuple[int, str, int]]:
        return {other[:3] for other in self.others}


@dataclass(frozen=True)
class Known:
    """The list: the queries' originals at full resolution, then entries no query is made of."""

    pictures: Sequence[Photograph]
    words: NDArray[np.uint64]

    @property
    def paths(self) -> NDArray[np.str_]:
        """The files that the entries are from: a picture and its tiles are not different ones."""
        return np.array([str(picture.path) for picture in self.pictures])


def hash_originals(pictures: Sequence[Photograph], hasher: Hasher) -> NDArray[np.uint64]:
    """Return their full-resolution hashes as words."""
    return HashBatch.concatenate([hasher.hash(one.pixels())[0] for one in pictures]).words


def alike(words: NDArray[np.uint64]) -> list[tuple[int, int, int]]:
    """Return (one, other, PDQ distance) of pictures that are near-duplicates before anything.

    `words` are PDQ hashes in all orientations, (pictures, 8, 4), the upright one first: the second
    of two may be the first one turned or mirrored.
    """
    apart = np.min([distances(words[:, 0], words[:, turn]) for turn in range(8)], axis=0)
    rows, columns = np.nonzero(np.triu(apart <= ALIKE * 256, k=1))
    return [(int(a), int(b), int(apart[a, b])) for a, b in zip(rows, columns, strict=True)]


def measure(
    queries: Sequence[Photograph],
    known: Known,
    table: Callable[[int], dict[str, Transformation]],
    side: int,
    algorithm: str,
    level_names: Sequence[Level],
) -> list[Result]:
    """Transform every query, ask for it at every level, and return one result a level.

    The first entries of `known` are the queries' originals, in their order. `table` gives the
    transformations for the n-th query.
    """
    hasher = registry.hasher(algorithm)
    results = [Result(algorithm, level) for level in level_names]
    of_entries = np.array([picture.kind for picture in known.pictures])
    paths = known.paths
    for number, query in enumerate(queries):
        image = query.image(side)
        other = paths != str(query.path)
        # A pair with an artwork in it is no pair of photographs, whichever side it is on.
        kinds = np.full_like(of_entries, query.kind) if query.kind == "artwork" else of_entries
        pairs = Counter(kinds[other].tolist())
        for name, transform in table(number).items():
            pixels = np.ascontiguousarray(np.asarray(transform(image)))
            for result in results:
                asked = ask(hasher, pixels, result.level)
                apart = distances(asked.hashes.words, known.words)
                _note(result, name, number, asked, apart, other, kinds, hasher)
                result.pairs.update(pairs)
    return results


def _note(
    result: Result,
    transformation: str,
    number: int,
    asked: Questions,
    apart: NDArray[np.int64],
    other: NDArray[np.bool_],
    kinds: NDArray[np.str_],
    hasher: Hasher,
) -> None:
    """Add what one picture's questions found; `apart` is (questions, entries)."""
    own = apart[:, number]
    nearest = int(own.argmin())
    result.asked += len(own)
    searched = asked.quality is None or asked.quality >= hasher.min_quality
    if not searched:
        result.unsearched[transformation] += 1
    # An unsearched picture is not found, whatever its distance.
    distance = int(own[nearest]) if searched else hasher.spec.bits
    result.own.setdefault(transformation, []).append(distance)
    result.by.setdefault(transformation, []).append(asked.names[nearest])
    if not searched:
        return
    for kind in set(kinds[other]):
        least = int(apart[:, other & (kinds == kind)].min())
        result.closest[kind] = min(least, result.closest.get(kind, least))
    within = (apart <= hasher.max_distance) & other
    for entry in np.flatnonzero(within.any(axis=0)):
        by = int(apart[:, entry].argmin())
        row = Mistaken(number, transformation, int(entry), int(apart[by, entry]), asked.names[by])
        result.others.append(row)
    for question in np.flatnonzero(within.any(axis=1)):
        result.wrong_questions[asked.names[question]] += int(within[question].sum())
