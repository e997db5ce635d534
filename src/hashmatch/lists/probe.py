"""Which hash of a known picture a given text is, and so how to import lists of the same tool."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch import registry
from hashmatch.decode.inputs import ImageInput, load
from hashmatch.decode.readings import AS_DISPLAYED, AS_EXIF, AS_THREATEXCHANGE
from hashmatch.errors import UsageError
from hashmatch.hashing.hash_image import decoder
from hashmatch.hashing.variants import ORIENTED, oriented
from hashmatch.lists.bit_order import reordered
from hashmatch.lists.foreign_hashes import SIZES, digests, foreign_hashes
from hashmatch.records.enums import Orientation
from hashmatch.records.hashes import ENCODINGS, HashSpec
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from hashmatch.hashing.hash_image import Decode
    from hashmatch.sandbox.pool import DecodePool

CHAINS = (
    (),
    ("reversed",),
    ("bytes-reversed",),
    ("inverted",),
    ("transposed",),
    ("reversed", "bytes-reversed"),
    ("reversed", "inverted"),
    ("bytes-reversed", "inverted"),
    ("transposed", "inverted"),
    ("transposed", "reversed"),
    ("transposed", "bytes-reversed"),
    ("reversed", "bytes-reversed", "inverted"),
)
"""Orders of bits that are tried; the others of two give one of these."""
SIDES = (8, 12, 16, 20, 24, 32)
"""Bits on a side of the hashes of other tools."""
LEAST_CHANCE = 1e-6
"""What is likelier than this by chance is no relation."""
FURTHEST = 0.2
"""Part of the bits that a relation worth a name leaves different.

Of many pictures hashes of two kinds that both look at what is light and what is dark agree better
than by chance, and still match nothing.
"""
READINGS = {
    AS_DISPLAYED: "by the colours that its file describes",
    AS_THREATEXCHANGE: "as its file stores it, which is what python-threatexchange hashes",
    AS_EXIF: "turned as its EXIF says",
}


class Source(NamedTuple):
    """One hash that there is of a picture."""

    algorithm: str
    bits: int
    seen: str = Orientation.UPRIGHT
    """An orientation, or one of `hashmatch.decode.readings.NAMES`."""
    frame: int = 0
    max_distance: int | None = None
    """Of an algorithm of ours; None if hashmatch does not match it."""
    is_of_bytes: bool = False


class Interpretation(NamedTuple):
    """What a text may be: which hash, and how it is written."""

    source: Source
    encoding: str
    orders: tuple[str, ...]
    """Of `hashmatch.lists.bit_order.ORDERS`, which make the text's bits ours."""

    @property
    def steps(self) -> int:
        """How much it differs from the plain hash of the picture as it is.

        No tool is known to turn both the picture and the bits; to a dhash that counts what grows
        darker it would come nearer than inverting does, since both leave even areas 0.
        """
        source, turns = self.source, self.source.seen in ORIENTED[1:]
        both = 4 if turns and self.orders else 0
        return len(self.orders) + (source.seen != ORIENTED[0]) + (source.frame > 0) + both


@dataclass(frozen=True, slots=True)
class Found:
    """An interpretation, and how far the hashes are from what the pictures have by it, in bits."""

    what: Interpretation
    distances: tuple[int, ...]

    @property
    def rank(self) -> tuple[bool, float, int]:
        """What is equal comes first, then what is nearest; a step has to gain one bit in 64."""
        part = sum(self.distances) / (len(self.distances) * self.what.source.bits)
        return any(self.distances), part + self.what.steps / 64, self.what.steps

    @property
    def within(self) -> int | None:
        """How many are within the limit of the algorithm; None if hashmatch does not match it."""
        limit = self.what.source.max_distance
        return None if limit is None else sum(distance <= limit for distance in self.distances)


@dataclass(frozen=True, slots=True)
class Probe:
    """What hashes of known pictures turned out to be; see `probe`.

    Parameters
    ----------
    verdict : str
        ``equal``: all hashes are the pictures' own. ``close``: all are within the limit of the
        algorithm. ``near``: no chance, and some are beyond it, or hashmatch does not match the
        algorithm. ``unrelated``: nothing known comes near.
    best : Found, optional
        The relation; None if there is none.
    equals : tuple of str
        Other algorithms that give the same hashes of these pictures.
    chance : float
        The probability that some of all that was tried comes as near by chance, as a power of ten.
    tried : int
        How many interpretations of each hash were compared.
    nearest : tuple of Found
        Of each algorithm the nearest interpretation, the nearest algorithm first.
    reason : str
        Why nothing can be said of the hash; empty if something can.
    """

    verdict: str
    best: Found | None
    equals: tuple[str, ...]
    chance: float
    tried: int
    nearest: tuple[Found, ...]
    reason: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """What to tell ``list import``, or nothing if no conversion makes such a list match."""
        if self.best is None or self.best.what.source.max_distance is None:
            return ()
        source, encoding, orders = self.best.what
        told: tuple[str, ...] = ("--algorithm", source.algorithm)
        if encoding != "hex":
            told += ("--encoding", encoding)
        return told + tuple(word for order in orders for word in ("--bits", order))

    @property
    def variants(self) -> str:
        """The level of ``--variants`` that asks for what was hashed; empty if none is needed."""
        if not self.options or self.best is None:
            return ""
        source = self.best.what.source
        if source.seen == Orientation.UPRIGHT and not source.frame:
            return ""
        return "orientations" if source.seen in ORIENTED and not source.frame else "standard"

    def __str__(self) -> str:
        """One line for people."""
        if self.best is None:
            return f"unrelated to anything known{f': {self.reason}' if self.reason else ''}"
        source = self.best.what.source
        line = f"{self.verdict} {'' if self.verdict == 'near' else 'to '}"
        line += _described(self.best.what)
        if self.equals:
            line += f", as to {' and '.join(self.equals)}"
        if self.verdict != "equal":
            line += f", {_far(self.best)} of {source.bits} bits off"
        if source.max_distance is None:
            line += f": hashmatch has no {source.algorithm}"
        return line

    @property
    def advice(self) -> tuple[str, ...]:
        """What to do next, in sentences for people."""
        if not self.options or self.best is None:
            return ("No conversion makes a list of such hashes match: ask its sender for another.",)
        source, within = self.best.what.source, self.best.within or 0
        lines = [f"Import its lists with: {' '.join(self.options)}"]
        if self.variants:
            lines.append(f"Scan for it with: --variants {self.variants}")
        if self.equals:
            lines.append(
                f"These pictures do not tell {source.algorithm} from {' and '.join(self.equals)}; "
                "larger ones may."
            )
        if self.verdict != "equal":
            lines.append(
                f"{within} of {len(self.best.distances)} within {source.max_distance} bits, the "
                f"limit of {source.algorithm}; what a copy differs by comes on top."
            )
        return tuple(lines)


def probe(
    pairs: Iterable[tuple[ImageInput | KnownPicture, str]],
    *,
    decode: DecodePool | Decode | None = None,
) -> Probe:
    """Say what the hashes of known pictures are, as another tool made them.

    Parameters
    ----------
    pairs : iterable of (image, str)
        A picture of your own, as `hashmatch.hash_image` takes it or as a `KnownPicture`, and the
        other tool's hash of it. Several say more than one: what holds of one by chance does not
        of the next.
    decode : DecodePool or callable, optional
        As for `hashmatch.hash_all`; by default pictures are decoded in this process.

    Returns
    -------
    Probe
        Every algorithm is tried, in every orientation, frame and reading of the picture, by every
        way to write a hash, and with its bits in other orders and inverted.

    Raises
    ------
    UsageError
        If there is no pair, a hash is empty, or a picture cannot be decoded or has too little in
        it for its hashes to tell anything. No message shows a hash.

    Examples
    --------
    >>> from hashmatch import hash_image
    >>> path = "fixtures/images/plain/tiles.png"
    >>> turned = hash_image(path, "phash").hex[::-1].translate(
    ...     str.maketrans("0123456789abcdef", "084c2a6e195d3b7f"))
    >>> print(probe([(path, turned)]))
    equal to phash (--bits reversed)
    """
    tables, texts = [], []
    for image, text in pairs:
        texts.append(text.strip())
        if not texts[-1]:
            raise UsageError(f"cannot probe hash {len(texts)}: it is empty")
        known = image if isinstance(image, KnownPicture) else KnownPicture(image, decode)
        tables.append(dict(known.distances(texts[-1])))
    if not tables:
        raise UsageError("cannot probe: there is no picture with its hash")
    everything = dict.fromkeys(what for table in tables for what in table)
    return _judged([found for what in everything if (found := _of_all(what, tables))], texts)


def _of_all(what: Interpretation, tables: list[dict[Interpretation, int | None]]) -> Found | None:
    """Return how far all hashes are by one interpretation; None if one cannot be read so.

    A picture whose hash means nothing is passed over, as long as those are the fewer.
    """
    plain = what._replace(source=what.source._replace(seen=Orientation.UPRIGHT))
    # Without a reading of its own a picture is as everybody reads it.
    instead = plain if what.source.seen in READINGS else what
    distances = []
    for table in tables:
        if what not in table and instead not in table:
            return None
        distance = table.get(what, table.get(instead))
        if distance is not None:
            distances.append(distance)
    return Found(what, tuple(distances)) if 2 * len(distances) > len(tables) else None


def _judged(found: list[Found], texts: list[str]) -> Probe:
    found.sort(key=lambda each: (each.rank, _order(each.what)))
    nearest: dict[str, Found] = {}
    for each in found:
        nearest.setdefault(each.what.source.algorithm, each)
    first = tuple(nearest.values())
    if not first:
        return Probe("unrelated", None, (), 0.0, 0, (), _unreadable(texts))
    best = first[0]
    bits = best.what.source.bits * len(best.distances)
    chance = min(0.0, log10_chance(bits, sum(best.distances)) + math.log10(len(found)))
    if chance > math.log10(LEAST_CHANCE) or sum(best.distances) > FURTHEST * bits:
        return Probe("unrelated", None, (), chance, len(found), first)
    equals = tuple(
        each.what.source.algorithm
        for each in first[1:]
        if each.distances == best.distances
        and each.what.orders == best.what.orders
        and each.what.source.seen == best.what.source.seen
    )
    if not any(best.distances):
        verdict = "equal"
    else:
        verdict = "close" if best.within == len(best.distances) else "near"
    return Probe(verdict, best, equals, chance, len(found), first)


def log10_chance(bits: int, distance: int) -> float:
    """Return the decimal logarithm of the chance that random bits differ by `distance` or fewer.

    Examples
    --------
    >>> round(log10_chance(64, 8), 1)
    -9.6
    """
    if 2 * distance >= bits:
        return 0.0
    ways = term = 1
    for count in range(distance):
        term = term * (bits - count) // (count + 1)
        ways += term
    return math.log10(ways) - bits * math.log10(2)


def _order(what: Interpretation) -> tuple[int, ...]:
    """Return what decides between interpretations that are equally near: the plainer, and ours."""
    names = registry.names(registry.HASHERS)
    name = what.source.algorithm
    return (
        what.source.max_distance is None,
        name != "pdq",
        names.index(name) if name in names else len(names),
        # Transposed bits are also what a transposed picture has, and cost a scan nothing. What its
        # file says of a picture explains more than either.
        ORIENTED.index(what.source.seen) if what.source.seen in ORIENTED else -1,
        CHAINS.index(what.orders),
        ENCODINGS.index(what.encoding),
    )


def _described(what: Interpretation) -> str:
    source, encoding, orders = what
    line = source.algorithm
    if source.frame:
        line += f" of frame {source.frame + 1}"
    if source.seen in READINGS:
        line += f" of the picture {READINGS[source.seen]}"
    elif source.seen != Orientation.UPRIGHT:
        line += f" of the picture turned ({source.seen})"
    told = [f"--bits {order}" for order in orders]
    told += [f"--encoding {encoding}"] if encoding != "hex" else []
    return f"{line} ({' '.join(told)})" if told else line


def _far(found: Found) -> str:
    least, most = min(found.distances), max(found.distances)
    if len(found.distances) == 1:
        return str(most)
    return f"{np.median(found.distances):g} ({least} to {most})"


def _unreadable(texts: list[str]) -> str:
    """Return why these are nothing that any hash is written as, without showing them."""
    lengths = sorted(set(map(len, texts)))
    if len(lengths) > 1:
        return "no hash known here is written in all these ways"
    hint = "" if lengths[0] % 2 else SIZES.get(lengths[0] // 2, "")
    known = f"no hash known here is written in {lengths[0]} such characters"
    return f"{known}; {hint}" if hint else known


class KnownPicture:
    """A picture of one's own, and all hashes that there are of it, each made once.

    Parameters
    ----------
    image : path, bytes, file object, PIL.Image.Image or ndarray of uint8
        See `hashmatch.hash_image`.
    decode : DecodePool or callable, optional
        As for `hashmatch.hash_all`.

    Raises
    ------
    UsageError
        If it cannot be read; once its hashes are asked for, if it cannot be decoded or has too
        little in it.
    """

    def __init__(self, image: ImageInput, decode: DecodePool | Decode | None = None) -> None:
        self.loaded = load(image)
        self._decode = decoder(decode)
        self._foreign: dict[int, dict[Source, bytes | None]] = {}
        if self.loaded.error is not None:
            raise UsageError(f"cannot probe with {self.loaded.name}: {self.loaded.error.reason}")

    @cached_property
    def pictures(self) -> list[tuple[str, int, NDArray[np.uint8]]]:
        """The reading, the frame and the pixels of each picture in the file."""
        try:
            return [  # copies: a pool's pixels are there until the next picture is asked for
                (each.reading, each.frame, each.pixels.copy())
                for each in self._decode(self.loaded, True)
            ]
        except ImageError as error:
            raise UsageError(f"cannot probe with {self.loaded.name}: {error.reason}") from None

    @cached_property
    def ours(self) -> dict[Source, bytes | None]:
        """The hashes that hashmatch makes; None where the picture is too small or too plain."""
        found: dict[Source, bytes | None] = {}
        for name in registry.names(registry.HASHERS):
            hasher = registry.hasher(name)
            if hasher.reads == "video":
                continue
            bits, limit = hasher.spec.bits, hasher.max_distance
            if hasher.reads == "bytes":
                if self.loaded.data is not None:
                    hashes, _ = hasher.hash(np.frombuffer(self.loaded.data, np.uint8))
                    source = Source(name, bits, max_distance=limit, is_of_bytes=True)
                    found[source] = bytes.fromhex(hashes.to_hex()[0])
                continue
            for reading, frame, pixels in self.pictures:
                views = (reading,) if reading else ORIENTED
                sources = [Source(name, bits, seen, frame, limit) for seen in views]
                found |= dict.fromkeys(sources)
                if min(pixels.shape[:2]) < hasher.min_side:
                    continue
                # Of another reading, one way up is enough.
                hashes, quality = hasher.hash(pixels) if reading else oriented(hasher, pixels)
                if quality is None or quality >= hasher.min_quality:
                    found |= zip(sources, map(bytes.fromhex, hashes.to_hex()), strict=True)
        if not any(data for source, data in found.items() if not source.is_of_bytes):
            raise UsageError(
                f"cannot probe with {self.loaded.name}: it is too small, or has too little detail, "
                "for its hashes to tell anything. Take another picture."
            )
        return found

    def foreign(self, side: int) -> dict[Source, bytes | None]:
        """Return the hashes of `side` x `side` bits that others make of the picture.

        They have no quality: what is too plain for one of ours is for them.
        """
        if side not in self._foreign:
            plain = {(source.seen, source.frame) for source, data in self.ours.items() if not data}
            self._foreign[side] = {
                Source(name, side * side, seen, frame): None if (seen, frame) in plain else data
                for reading, frame, pixels in self.pictures
                if min(pixels.shape[:2]) >= 2 * side
                for seen in [reading or Orientation.UPRIGHT]
                for name, data in foreign_hashes(pixels, side)
            }
        return self._foreign[side]

    def distances(self, text: str) -> Iterator[tuple[Interpretation, int | None]]:
        """Yield how far a hash is from each of the picture's by each way to read it, in bits.

        It is None where the picture's hash means nothing.
        """
        hashes = dict(self.ours)
        for side in SIDES:
            if any(_read(text, side * side)):
                hashes.update(self.foreign(side))
        if self.loaded.data is not None:
            for name, data in digests(self.loaded.data):
                hashes[Source(name, len(data) * 8, is_of_bytes=True)] = data
        for bits in sorted({source.bits for source in hashes}):
            sources = [source for source in hashes if source.bits == bits]
            nothing = bytes(bits // 8)
            data = b"".join(hashes[source] or nothing for source in sources)
            known = np.frombuffer(data, np.uint8).reshape(len(sources), bits // 8)
            is_square = math.isqrt(bits) ** 2 == bits
            for encoding, read in _read(text, bits):
                for chain in CHAINS:
                    if "transposed" in chain and not is_square:
                        continue
                    query = np.frombuffer(reordered(read, bits, chain), np.uint8)
                    away = np.bitwise_count(known ^ query).sum(axis=1, dtype=np.int64)
                    for source, distance in zip(sources, away.tolist(), strict=True):
                        if not (chain and source.is_of_bytes):
                            what = Interpretation(source, encoding, chain)
                            yield what, None if hashes[source] is None else distance


def _read(text: str, bits: int) -> Iterator[tuple[str, bytes]]:
    """Yield each way to read `text` as a hash of so many bits, and its bytes."""
    spec = HashSpec("hash", bits)
    for encoding in ENCODINGS:
        with suppress(UsageError):
            yield encoding, spec.parse(text, encoding)
