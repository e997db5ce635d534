"""How near the pictures of a sample come to each list: a distance and an entry for each picture.

Only that is kept of a picture, so that a sample of any size fits in memory. Pictures within a limit
come from the index's range search, all of them exact. How near the others come is needed for the
fitted tail alone: it is asked by looking at every entry, for as many pictures as that may cost,
chosen by a digest of their names.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from hashmatch import registry
from hashmatch.errors import UsageError
from hashmatch.index.hash_index import HashIndex
from hashmatch.records.entries import Entries, Entry
from hashmatch.records.enums import Outcome
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.records.images import HashedImage, ItemOutcome
from hashmatch.records.video_columns import VIDEO_SPEC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hashmatch.matching.indexed_list import IndexedList
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.entries import Limit
    from hashmatch.records.hash_list import HashList
    from hashmatch.records.images import ImageItem
    from hashmatch.records.videos import HashedVideo

CHUNK = 512
"""Pictures that are looked up together."""
COMPARISONS = 5e11
"""Of a hash with an entry, for the fitted tail of one list: some minutes of one processor."""
UNKNOWN = 1 << 20
"""A distance beyond every other: farther than what was looked for."""
OWN = -1
"""A distance before every other: of an entry with a limit of its own, whatever is asked for."""

_NO_LIMIT = Entry()


@dataclass(eq=False)
class Nearest(Opaque):
    """How near each picture of a sample comes to one list.

    Parameters
    ----------
    known : HashList
        The list.
    key : bytes
        What references to its entries are made with.
    limit : Limit
        What counts for entries without a limit of their own.
    reach : int
        The largest distance to which all pictures were compared, in bits.
    picture : ndarray of int64, shape (n,)
        Numbers of the pictures that were looked up, in order; others have no hash of this kind.
    distance, entry : ndarray of int64, shape (n,)
        Of the nearest entry within `reach`; `UNKNOWN` where there is none, `OWN` where an entry
        with a limit of its own matches.
    exact : ndarray of int64, shape (n,)
        The distance of the nearest entry, however far; -1 where it was not asked for.
    quality : ndarray of int64, shape (n,)
        Of the picture, -1 where none is measured.
    variant : tuple of str
        Which question came nearest.
    matched : dict of int to set of int
        Which pictures each entry matches within its limit.
    """

    known: HashList
    key: bytes = field(repr=False)
    limit: Limit
    reach: int
    picture: NDArray[np.int64]
    distance: NDArray[np.int64]
    entry: NDArray[np.int64]
    exact: NDArray[np.int64]
    quality: NDArray[np.int64]
    variant: tuple[str, ...]
    matched: dict[int, set[int]] = field(default_factory=dict)


class _OneList(Opaque):
    """Looks up pictures in one list, a chunk at a time."""

    def __init__(self, indexed: IndexedList, up_to: int | None) -> None:
        self.known = known = indexed.known
        self.key = indexed.key
        self.limit = limit = known.limit_of(_NO_LIMIT, indexed.default)
        far = 0 if up_to is None or not limit.bits else min(up_to, known.spec.bits)
        self.reach = max(limit.bits, far)
        own = _with_own_limit(known)
        self.numbers = np.delete(np.arange(len(known)), own)
        if not len(own) and self.reach == limit.bits:
            self.index = indexed.index
        else:  # of hashes: limits of lists and entries would outrank `reach`
            self.index = HashIndex.build(
                HashBatch(known.spec, known.hashes.words[self.numbers], owned=True), self.reach
            )
        self.own_numbers = own
        self.own = HashIndex.build(known.take(own), limit.bits) if len(own) else None
        reads = registry.hasher(known.spec.algorithm).reads
        self.asks_all = reads == "pixels" and len(self.index) > 0
        self.share: float | None = None
        self.rows: list[tuple[int, int, int, int, int, str]] = []
        self.matched: dict[int, set[int]] = {}

    def look_up(
        self, pictures: Sequence[tuple[int, float, Sequence[HashedImage]]], expected: int
    ) -> None:
        """Look up some pictures: their numbers, what chooses them, and their hashes."""
        spec = self.known.spec
        of_each = [
            (n, at, [one for one in images if one.spec == spec]) for n, at, images in pictures
        ]
        of_each = [one for one in of_each if one[2]]
        if not of_each:
            return
        batch = HashBatch.concatenate([one.hashes for _, _, images in of_each for one in images])
        names = [name for _, _, images in of_each for one in images for name in one.variants]
        counts = [sum(len(one.hashes) for one in images) for _, _, images in of_each]
        place = np.repeat(np.arange(len(of_each)), counts)
        distance = np.full(len(of_each), UNKNOWN)
        entry, row = np.full(len(of_each), -1), np.zeros(len(of_each), np.int64)
        numbers = np.array([number for number, _, _ in of_each])
        for index, of_entry, is_own in (
            (self.index, self.numbers, False), (self.own, self.own_numbers, True),
        ):  # fmt: skip
            if index is None:
                continue
            for found in index.stream(batch, self.limit.bits if is_own else self.reach):
                near = found.distance
                counted = np.flatnonzero((near <= self.limit.bits) | is_own)
                pairs = np.stack([of_entry[found.entry[counted]], place[found.query[counted]]])
                for known, at in np.unique(pairs, axis=1).T.tolist():
                    self.matched.setdefault(known, set()).add(int(numbers[at]))
                far = np.full(len(near), OWN) if is_own else near
                order = np.lexsort((found.entry, far, place[found.query]))
                at = place[found.query[order]]
                first = order[np.diff(at, prepend=-1) > 0]
                at = place[found.query[first]]
                closer = far[first] < distance[at]
                at, first = at[closer], first[closer]
                distance[at], row[at] = far[first], found.query[first]
                entry[at] = of_entry[found.entry[first]]
        chosen_by = np.array([at for _, at, _ in of_each])
        exact, of_exact, row_of_exact = self._exact(batch, place, chosen_by, expected)
        beyond = (distance == UNKNOWN) & (exact >= 0)
        distance[beyond], entry[beyond] = exact[beyond], of_exact[beyond]
        row[beyond] = row_of_exact[beyond]
        columns = numbers.tolist(), distance.tolist(), entry.tolist(), exact.tolist(), row.tolist()
        for (_, _, images), number, far_, known, all_, at in zip(of_each, *columns, strict=True):
            quality = images[0].quality
            self.rows.append(
                (number, far_, known, all_, -1 if quality is None else quality, str(names[at]))
            )

    def _exact(
        self,
        batch: HashBatch,
        place: NDArray[np.int64],
        chosen_by: NDArray[np.float64],
        expected: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return of those pictures that are asked how far the nearest entry is, and which it is.

        With the row of the hash that comes so near; -1 of others.
        """
        exact, entry, row = (np.full(len(chosen_by), -1) for _ in range(3))
        if not self.asks_all:
            return exact, entry, row
        if self.share is None:
            whole = expected * len(batch) / len(chosen_by) * len(self.index)
            self.share = min(1.0, COMPARISONS / max(1.0, whole))
        rows = np.flatnonzero((chosen_by < self.share)[place])
        if len(rows):
            found = self.index.nearest(HashBatch(batch.spec, batch.words[rows], owned=True), 1)
            asked = rows[found.query]
            order = np.lexsort((found.distance, place[asked]))
            first = order[np.diff(place[asked[order]], prepend=-1) > 0]
            at = place[asked[first]]
            exact[at], row[at] = found.distance[first], asked[first]
            entry[at] = self.numbers[found.entry[first]]
        return exact, entry, row

    def result(self) -> Nearest:
        columns = tuple(zip(*self.rows, strict=True)) or ((),) * 6
        picture, distance, entry, exact, quality = (
            np.array(column, np.int64) for column in columns[:5]
        )
        every = self.share == 1.0
        return Nearest(
            self.known, self.key, self.limit, self.known.spec.bits if every else self.reach,
            picture, distance, entry, exact, quality, tuple(columns[5]), self.matched,
        )  # fmt: skip


def _with_own_limit(known: HashList) -> NDArray[np.int64]:
    """Return the numbers of the entries that have a limit of their own."""
    entries = Entries.of(known.entries)
    is_own = np.array([kind.max_distance is not None for kind in entries.kinds] or [False])
    found: NDArray[np.int64] = np.flatnonzero(
        np.delete(is_own[np.asarray(entries.kind[:])], entries.gone)
    )
    return found


class Sample(Opaque):
    """A sample of harmless pictures: takes their hashes, and keeps how near they come to lists.

    Parameters
    ----------
    matcher : Matcher
        Whose lists and limits are asked.
    up_to : int, optional
        Bits to which the pictures are compared with lists of perceptual hashes, if that is more
        than their limits.
    expected : int
        About how many pictures will come: so that what is asked of all entries takes its time and
        no more.

    Attributes
    ----------
    keys : list of str
        Of the pictures, in the order in which they came.
    outcomes : Counter of str
        What those ended in that could not be looked up.

    Raises
    ------
    UsageError
        If a list is of videos: nearness of pictures says nothing of them; or a level has a limit of
        its own.
    """

    def __init__(self, matcher: Matcher, up_to: int | None = None, expected: int = 100_000) -> None:
        for known in matcher.lists:
            if known.spec == VIDEO_SPEC:
                raise UsageError(
                    f"cannot calibrate list {known.name}: it is of videos. Give lists of pictures"
                )
        if any(indexed.wider for indexed in matcher.indexed):
            raise UsageError(
                "cannot calibrate the limit of a level: all variants of a picture count together. "
                "Give one limit for each algorithm"
            )
        self.matcher, self._expected = matcher, max(1, expected)
        self._lists = [_OneList(indexed, up_to) for indexed in matcher.indexed]
        pixels = [
            known.spec for known in matcher.lists
            if registry.hasher(known.spec.algorithm).reads == "pixels"
        ]  # fmt: skip
        self._whole = pixels[0] if pixels else None
        self.keys: list[str] = []
        self.outcomes = Counter[str]()
        self._upright: list[NDArray[np.uint64]] = []
        self._upright_of: list[int] = []
        self._pending: list[tuple[int, float, Sequence[HashedImage]]] = []

    def add(
        self, item: ImageItem, hashed: Sequence[HashedImage | HashedVideo] | ItemOutcome
    ) -> None:
        """Take one picture.

        Parameters
        ----------
        item : ImageItem
            What it is.
        hashed : sequence of HashedImage, or ItemOutcome
            What `Matcher.hash` made of it, or what became of it.
        """
        if isinstance(hashed, ItemOutcome):
            self.outcomes[hashed.outcome] += 1
            return
        images = [one for one in hashed if isinstance(one, HashedImage)]
        good = [one for one in images if one.outcome is Outcome.HASHED and len(one.hashes)]
        if not good:
            self.outcomes[images[0].outcome if images else Outcome.UNSUPPORTED] += 1
            return
        number = len(self.keys)
        self.keys.append(item.key)
        digest = hashlib.blake2b(item.key.encode(errors="surrogatepass"), digest_size=8).digest()
        self._pending.append((number, int.from_bytes(digest) / 2**64, good))
        whole = next((one for one in good if one.spec == self._whole), None)
        if whole is not None:
            self._upright.append(whole.hashes.words[0].copy())
            self._upright_of.append(number)
        if len(self._pending) >= CHUNK:
            self._look_up()

    def _look_up(self) -> None:
        for one in self._lists:
            one.look_up(self._pending, self._expected)
        self._pending.clear()

    def nearest(self) -> list[Nearest]:
        """Return how near the pictures come to each list."""
        self._look_up()
        return [one.result() for one in self._lists]

    def duplicates(self) -> list[list[int]]:
        """Return groups of pictures that are the same one, saved again: numbers, in order.

        They are near each other by a quarter of the algorithm's limit, within which 97 of 100
        pictures stay that are saved again, see `hashmatch.lists.degenerate.re_encoded`.
        """
        from hashmatch.lists.degenerate import re_encoded

        if self._whole is None or not self._upright:
            return []
        limit = re_encoded(self._whole.algorithm)
        index = HashIndex.build(HashBatch(self._whole, np.stack(self._upright)), limit)
        first = list(range(len(self._upright)))

        def root(number: int) -> int:
            while first[number] != number:
                first[number] = first[first[number]]
                number = first[number]
            return number

        for found in index.stream_self_join(limit):
            for one, other in zip(found.query.tolist(), found.entry.tolist(), strict=True):
                a, b = root(one), root(other)
                first[max(a, b)] = min(a, b)
        groups: dict[int, list[int]] = {}
        for number, of in enumerate(self._upright_of):
            groups.setdefault(root(number), []).append(of)
        return [group for group in groups.values() if len(group) > 1]
