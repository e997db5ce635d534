"""Entries that many harmless pictures are near: hubs, which fill a review queue with false matches.

Which entries these are is found without a person looking at anything: by pictures that are known to
have nothing to do with the list, drawn ones (`made_up_pictures`) or a platform's own sample. An
entry near a single one of a sample may be chance, or that very picture. A hub is named by its id
and the number of pictures, never by its hash, and stays on the list until somebody leaves it out,
see `hashmatch.lists.exclusions`.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch import registry
from hashmatch._drawing import picture
from hashmatch.errors import SpecMismatch
from hashmatch.index.hash_index import HashIndex
from hashmatch.records.hashes import HashBatch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from hashmatch.records.hash_list import HashList

LEAST = 3
"""Pictures of a sample that a hub is near, at least."""
LEAST_MADE_UP = 1
"""The same of made-up pictures, of which there are few and none is of anything that is listed."""
SIDE = 64
"""Pixels of a made-up picture: PDQ looks at no more."""
MANY, FEW = 256, 64
"""Made-up pictures of the plainer kinds, and of the others."""


class Hub(NamedTuple):
    """An entry that many harmless pictures match.

    Parameters
    ----------
    entry : str
        As matches name it.
    pictures : int
        How many match it.
    """

    entry: str
    pictures: int


class HubCounter:
    """Counts how many pictures match each entry of a list.

    Parameters
    ----------
    known : HashList
        A list of pictures.
    max_distance : int, optional
        Inclusive limit in bits, instead of the algorithm's; the list's own and those of entries
        outrank it.
    reference_key : bytes, optional
        As for `Matcher`: what references to entries without an id are made with.

    Examples
    --------
    >>> import hashmatch as hm
    >>> counter = HubCounter(hm.read_list("fixtures/lists/demo-pdq.csv"))
    >>> counter.add(made_up_pictures("pdq"))
    >>> counter.hubs()
    ()
    """

    def __init__(
        self,
        known: HashList,
        max_distance: int | None = None,
        reference_key: bytes | None = None,
    ) -> None:
        self.known = known
        self._key = known.own_key() if reference_key is None else reference_key
        own = registry.hasher(known.spec.algorithm).max_distance
        self._limit = own if max_distance is None else max_distance
        kept = known.index
        self._index = kept if isinstance(kept, HashIndex) else HashIndex.build(known, self._limit)
        self._counts: Counter[int] = Counter()
        self.pictures = 0

    def add_picture(self, hashes: HashBatch) -> None:
        """Count the entries within their limits of any of the hashes of one picture, each once.

        Parameters
        ----------
        hashes : HashBatch
            Of the picture and its variants.
        """
        self.pictures += 1
        near = [found.entry for found in self._index.stream(hashes, self._limit)]
        self._counts.update(set().union(*(entries.tolist() for entries in near)))

    def add(self, hashes: HashBatch) -> None:
        """Count the entries within their limits of some pictures.

        Parameters
        ----------
        hashes : HashBatch
            One hash of each picture, whose quality is good enough.

        Raises
        ------
        SpecMismatch
            If they are of another kind than the list.
        """
        if hashes.spec != self.known.spec:
            raise SpecMismatch(
                f"cannot count the hubs of {self.known.name}: the pictures are hashed as "
                f"{hashes.spec}, and it is {self.known.spec}"
            )
        self.pictures += len(hashes)
        for found in self._index.stream(hashes, self._limit):
            self._counts.update(found.entry.tolist())

    def hubs(self, least: int = LEAST) -> tuple[Hub, ...]:
        """Return the entries that so many pictures match, the most frequent first.

        Parameters
        ----------
        least : int
            How many, at least.
        """
        found = [(count, number) for number, count in self._counts.items() if count >= least]
        return tuple(
            Hub(self.known.reference(number, self._key), count)
            for count, number in sorted(found, key=lambda each: (-each[0], each[1]))
        )


def hubs_of_made_up_pictures(lists: Iterable[HashList]) -> list[tuple[HashList, tuple[Hub, ...]]]:
    """Return of each list of pictures the entries near any made-up ones, if there are such.

    Parameters
    ----------
    lists : iterable of HashList
        Those of videos and of digests of files are passed over.
    """
    found = []
    for known in lists:
        if registry.hasher(known.spec.algorithm).reads == "pixels" and len(known):
            counter = HubCounter(known)
            counter.add(made_up_pictures(known.spec.algorithm))
            if hubs := counter.hubs(LEAST_MADE_UP):
                found.append((known, hubs))
    return found


@cache
def made_up_pictures(algorithm: str) -> HashBatch:
    """Return the hashes of drawn pictures of what everybody has: skies, flags, pages and screens.

    They are the same each time, and those that are too flat are left out.

    Parameters
    ----------
    algorithm : str
        A hasher's name.

    Examples
    --------
    >>> len(made_up_pictures("phash")) > 300
    True
    """
    hasher = registry.hasher(algorithm)
    batches = [HashBatch.from_bytes(hasher.spec, b"")]
    plainer, others = (_sky, _bands, _disc), (_clouds, _page, _chart, _screen, _landscape)
    for draw, count in [(draw, MANY) for draw in plainer] + [(draw, FEW) for draw in others]:
        for seed in range(count):
            pixels = draw(np.random.default_rng(seed))
            hashes, quality = hasher.hash(np.ascontiguousarray(pixels.clip(0, 255), np.uint8))
            if quality is None or quality >= hasher.min_quality:
                batches.append(hashes)
    return HashBatch.concatenate(batches)


def _ground(color: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.broadcast_to(color, (SIDE, SIDE, 3)).astype(np.float64)


def _sky(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a gradient over a dark shore, with a sun."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    top, bottom, shore = rng.uniform(0, 255, (3, 3))
    image: NDArray[np.float64] = top + (bottom - top) * y[..., None]
    image[y > rng.uniform(0.5, 0.9)] = shore * 0.4
    image[(x - rng.uniform(0.2, 0.8)) ** 2 + (y - 0.3) ** 2 < rng.uniform(0.03, 0.15) ** 2] = 250
    return image


def _bands(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a flag: bands along one side, and a cross or a canton."""
    colors = rng.uniform(0, 255, (5, 3))
    image = colors[np.arange(SIDE) * int(rng.integers(2, 5)) // SIDE][:, None].repeat(SIDE, 1)
    if rng.random() < 0.5:
        image = image.swapaxes(0, 1).copy()
    if rng.random() < 0.5:
        image[: SIDE // 2, : int(SIDE * rng.uniform(0.3, 0.6))] = colors[4]
    else:
        at = int(SIDE * rng.uniform(0.25, 0.6))
        image[:, at : at + 8] = image[28:36] = colors[4]
    return image


def _disc(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a thing on a plain ground: a ball, a plate, a face."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    image = _ground(rng.uniform(150, 255, 3))
    middle = rng.uniform(-0.1, 0.1, 2)
    size = rng.uniform(0.2, 0.45)
    for part in (1.0, 0.7, 0.3):
        inside = (x - middle[0]) ** 2 + (y - middle[1]) ** 2 < (part * size) ** 2
        image[inside] = rng.uniform(0, 255, 3)
    return image


def _clouds(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw soft shapes: what is out of focus, smoke, water."""
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    f[0, 0] = 1
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=(SIDE, SIDE))) / f**2).real
    field[...] = field - field.mean()
    levels = 128 + 60 * field / field.std()
    return np.repeat(levels[..., None], 3, axis=2)


def _page(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw lines of text on paper, in paragraphs."""
    image = _ground(np.full(3, 245.0))
    y = int(rng.integers(4, 12))
    while y < SIDE - 6:
        for _ in range(int(rng.integers(2, 7))):
            end = int(rng.integers(40, 60))
            image[y : y + 1, 5:end] = rng.uniform(60, 160, (1, end - 5, 1))
            y += 3
            if y >= SIDE - 6:
                break
        y += int(rng.integers(2, 6))
    return image


def _chart(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw bars on axes."""
    image = _ground(np.full(3, 255.0))
    color = rng.uniform(0, 200, 3)
    bars = int(rng.integers(4, 10))
    for x in np.linspace(8, 54, bars).astype(int):
        image[int(rng.uniform(8, 54)) : 58, x : x + 40 // bars] = color
    image[58:59, 4:62] = image[4:58, 5:6] = 40
    return image


def _screen(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a chat: bars above and below, bubbles at the left and at the right."""
    is_dark = rng.random() < 0.5
    page, bar, theirs = (20, 35, 50) if is_dark else (240, 220, 255)
    mine = rng.uniform(40, 130, 3) if is_dark else rng.uniform(150, 240, 3)
    image = _ground(np.full(3, float(page)))
    y = 8
    while y < 56:
        high, wide = int(rng.integers(2, 8)), int(rng.integers(14, 46))
        left = int(rng.choice([2, SIDE - 2 - wide]))
        image[y : y + high, left : left + wide] = theirs if left == 2 else mine
        image[y + 1 : y + high : 2, left + 2 : left + wide - 2] *= 0.7 if not is_dark else 1.6
        y += high + 2
    image[:6] = image[58:] = bar
    return image


def _landscape(rng: np.random.Generator) -> NDArray[np.float64]:
    return picture(int(rng.integers(2**31)), SIDE, SIDE).astype(np.float64)
