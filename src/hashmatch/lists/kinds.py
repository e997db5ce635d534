"""What the hashes of a list probably are, if they are of another kind than they are taken for.

Text of the right length is taken for any hash of that length, and one of another kind never matches
a picture. No single hash tells its kind, but many together do: a pHash has its constant coefficient
first, and so its first bit set; PDQ and pHash set exactly half of their bits; blockhash does so in
each quarter. Shares are ours, of 1,360 to 1,660 hashes of photographs and squares cut from them.
"""

from __future__ import annotations

from functools import cached_property
from math import comb, isqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashmatch import registry
from hashmatch.records.hashes import Opaque
from hashmatch.records.video_columns import VIDEO_SPEC

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hashmatch.records.hashes import HashBatch

    Flags = NDArray[np.bool_]

SAMPLE = 512
"""Hashes that are looked at, evenly from all of a list."""
LEAST = 20
"""Hashes of a list of which something is said; of digits that are wrong already of `FEW`. So many
tell blockhash from PDQ, and the orders of a pHash's bits; a pHash of 256 bits takes 33."""
FEW = 3
LIKELY, SURE = 1e-5, 1e-9
"""Chances, of a list of what it is taken for, below which it is warned of, and refused."""
NEARLY_ALL = 0.9
"""Share of hashes from which all are spoken of."""
SPATIAL = 0.65
"""Share of equal neighbours in the square of bits above which hardly any hash of frequencies is."""


class Suspicion(NamedTuple):
    """What entries of a list probably are.

    Parameters
    ----------
    algorithm : str
        What they are taken for.
    entries : int
        How many there are of it.
    kind : str
        What they probably are.
    reason, advice : str
        In words, without a hash.
    chance : float
        Of as many such hashes in a list of `algorithm`, at most.
    share : float
        Of the entries.
    """

    algorithm: str
    entries: int
    kind: str
    reason: str
    advice: str
    chance: float
    share: float = 1.0

    @property
    def is_sure(self) -> bool:
        """Whether a list is refused for it."""
        return self.chance < SURE

    def __str__(self) -> str:
        some = "" if self.share >= NEARLY_ALL else f"about {self.share:.0%} of "
        return (
            f"{some}these {self.entries:,} {self.algorithm} entries are probably {self.kind}: "
            f"{self.reason}. {self.advice}"
        )


def suspicion(sample: Sample) -> Suspicion | None:
    """Return what hashes of a list probably are, if not what they are taken for.

    Hashes of plug-ins are recognised by their digits only, and videos say what they are. Entries
    near to each other, as of copies of one picture, count once.

    Examples
    --------
    >>> from hashmatch.records.hashes import HashBatch, HashSpec
    >>> known = HashBatch.from_hex(HashSpec("pdq", 256), ["01" * 32, "10" * 32, "1001" * 16])
    >>> suspicion(Sample(known)).kind
    'binary digits'
    """
    if sample.count < FEW or sample.algorithm == VIDEO_SPEC.algorithm:
        return None
    found = next(sample.of_digits(), None)
    if found is None and sample.count >= LEAST and sample.is_ours:
        found = next(sample.of_bits(), None)
    return found


def remark(sample: Sample) -> str | None:
    """Return what to know of a list that is not one of photographs, though nothing else either."""
    algorithm = sample.algorithm
    is_half = algorithm.startswith("pdq") or algorithm in {"phash", "whash"}
    if sample.count < LEAST or not is_half or not sample.is_ours:
        return None
    share = float(sample.is_half.mean())
    if share >= 0.5:
        return None
    half = sample.size // 2
    return (
        f"{share:.0%} of the {algorithm} entries have exactly {half} bits set, as of photographs "
        f"nearly all have: they may be digests, such as SHA-256, or made up"
    )


class Sample(Opaque):
    """Some hashes of a list, evenly from all of it.

    Parameters
    ----------
    hashes : HashBatch
        All hashes of one kind; nothing is computed of them before it is asked for.
    """

    def __init__(self, hashes: HashBatch) -> None:
        self._hashes = hashes
        self.algorithm, self.size = hashes.spec.algorithm, hashes.spec.bits
        self.count = len(hashes)

    @property
    def is_ours(self) -> bool:
        """Whether the algorithm comes with hashmatch, so that its shares are known."""
        return not registry.maker(registry.HASHERS, self.algorithm)

    @cached_property
    def words(self) -> NDArray[np.uint64]:
        """The hashes, shape (n, words of one)."""
        rows = np.unique(np.linspace(0, self.count - 1, SAMPLE).astype(np.int64))
        return self._hashes.words[rows]

    @cached_property
    def bits(self) -> NDArray[np.uint8]:
        """Those that are unlike each other, as bits, shape (n, bits)."""
        return _bits(_unlike(self.words, self.size // 8), self.size)

    @cached_property
    def is_half(self) -> Flags:
        """Which of `bits` have exactly half of them set, shape (n,)."""
        return np.asarray(self.bits.sum(1) == self.size // 2)

    @cached_property
    def is_about_half(self) -> Flags:
        """Which of `bits` have half of them set, or one more, shape (n,)."""
        return np.asarray(self.is_half | (self.bits.sum(1) == self.size // 2 + 1))

    @cached_property
    def alike(self) -> NDArray[np.float64]:
        """Shares of equal neighbours in the squares that `bits` are, shape (n,)."""
        side = isqrt(self.size)
        square = self.bits.reshape(-1, side, side)
        across = (square[:, :, 1:] == square[:, :, :-1]).mean((1, 2))
        down = (square[:, 1:] == square[:, :-1]).mean((1, 2))
        return np.asarray((across + down) / 2)

    def of_digits(self) -> Iterator[Suspicion]:
        """Yield what all digits being few of the sixteen says."""
        digits = np.packbits(_bits(np.unique(self.words, axis=0), self.size), axis=1)
        digits = np.concatenate([digits >> 4, digits & 15], axis=1)
        count = digits.shape[1]
        yield from self._found(
            "binary digits", np.all(digits < 2, axis=1), 8.0**-count, NEARLY_ALL,
            "all their digits are 0 or 1",
            f"They are hashes of {count} bits: read them as such (--encoding binary, and "
            "--algorithm for what they are)",
        )  # fmt: skip
        if self.count >= LEAST:
            yield from self._found(
                "decimal numbers", np.all(digits < 10, axis=1), 0.625**count, NEARLY_ALL,
                "none of their digits is a to f",
                "Look whether the column holds hashes, and how they are written (--encoding)",
            )  # fmt: skip

    def of_bits(self) -> Iterator[Suspicion]:
        """Yield what the bits say of hashes of this algorithm."""
        size, algorithm = self.size, self.algorithm
        if registry.hasher(algorithm).reads == "bytes":
            yield from self._found(
                "hashes of pictures, such as PDQ", self.is_half, 0.1, 0.6,
                f"they have exactly {size // 2} bits set, as one digest in ten has",
                "Say which hash of pictures it is (--algorithm)",
            )  # fmt: skip
            return
        quarter = size // 4
        quarters = self.bits.reshape(-1, 4, quarter).sum(2)
        for ones, kind in ((quarter // 2, "blockhash"), (quarter // 2 - 1, "npm image-hash")):
            yield from self._found(
                kind, np.all(quarters == ones, axis=1), 0.05, 0.3,
                f"exactly {ones} bits are set in each quarter, as in fewer than one of 20 hashes "
                f"of {algorithm}",
                f"Nothing of it is ever matched here: ask for {algorithm}",
            )  # fmt: skip
        if algorithm.startswith("pdq"):
            yield from self._of_pdq()
        elif algorithm == "phash":
            # The first bit of none of 1,664 was clear.
            yield from self._of_another_kind(
                self.bits[:, 0] == 0, 0.002, 0.1, "the first bit of a pHash is nearly always set"
            )
        elif algorithm in {"dhash", "ahash"}:
            told = f"they set half of their bits, as 13 % of {algorithm} do"
            yield from self._of_another_kind(self.is_about_half, 0.2, 0.6, told)
        elif algorithm == "whash":
            told = "neighbours among their bits differ, as in 13 % of whash"
            is_mixed = self.is_about_half & (self.alike < 0.6)
            yield from self._of_another_kind(is_mixed, 0.2, 0.6, told)
            told = "few of them set half of their bits, as 97 % of whash do"
            yield from self._of_another_kind(~self.is_half, 0.1, 0.5, told)

    def _of_pdq(self) -> Iterator[Suspicion]:
        size = self.size
        for place, order in ((0, ""), (-1, " in reversed order")):
            yield from self._found(
                f"pHash of {size} bits{order}", self.bits[:, place] == 1, 0.53, 0.97,
                f"the {'last' if place else 'first'} bit is set in nearly all, as in half of PDQ",
                "Nothing of it is ever matched here: ask for PDQ, or pHash of 64 bits",
            )  # fmt: skip
        yield from self._found(
            f"average, difference or wavelet hashes of {size} bits", self.alike > SPATIAL, 0.05,
            0.3, "neighbours among their bits are the same, as in 2 % of PDQ",
            "Nothing of it is ever matched here: ask for PDQ",
        )  # fmt: skip

    def _of_another_kind(
        self, odd: Flags, usual: float, least: float, reason: str
    ) -> Iterator[Suspicion]:
        """Yield which kind of 64 bits they are, if it can be determined."""
        named = self._kind()
        if named is not None and named[0] != self.algorithm:
            yield from self._found(named[0], odd, usual, least, reason, named[1], share=1.0)

    def _kind(self) -> tuple[str, str] | None:
        """Return what hashes of 64 bits are, and what to do about it."""
        is_half, alike = self.is_about_half.mean() >= 0.6, float(self.alike.mean())
        if is_half and alike < 0.6:
            for flips, orders in ORDERS_OF_PHASH.items():
                place, value = flips
                if (self.bits[:, place] == value).mean() >= 0.95:
                    if not orders:
                        return "phash", "Say so (--algorithm phash)"
                    told = " ".join(f"--bits {order}" for order in orders)
                    kind = f"phash with its bits {' and '.join(orders)}"
                    more = "" if self.algorithm == "phash" else ", with --algorithm phash"
                    return kind, f"Say so ({told}{more}), or, if that was said, leave it out"
            return (
                "pHash without its first coefficient, as of sharp-phash or phim",
                "Nothing of it is ever matched here: ask for pHash as imagehash makes it",
            )
        if is_half:
            return "whash", "Say so (--algorithm whash)"
        if alike >= 0.57:
            return (
                "ahash, dhash or the like",
                "Ask which, and say so (--algorithm)",
            )
        return None

    def _found(
        self, kind: str, odd: Flags, usual: float, least: float, reason: str, advice: str,
        share: float | None = None,
    ) -> Iterator[Suspicion]:  # fmt: skip
        """Yield a suspicion if `odd` are more than chance explains, at `usual` each."""
        part = float(odd.mean())
        if len(odd) < FEW or part < least:
            return
        chance = _at_least(int(odd.sum()), len(odd), usual)
        if chance < LIKELY:
            part = part if share is None else share
            yield Suspicion(self.algorithm, self.count, kind, reason, advice, chance, part)


ORDERS_OF_PHASH: dict[tuple[int, int], Sequence[str]] = {
    (0, 1): (),
    (0, 0): ("inverted",),
    (63, 1): ("reversed",),
    (63, 0): ("reversed", "inverted"),
    (7, 1): ("bytes-reversed",),
    (7, 0): ("bytes-reversed", "inverted"),
    (56, 1): ("reversed", "bytes-reversed"),
    (56, 0): ("reversed", "bytes-reversed", "inverted"),
}
"""Where the first bit of a pHash comes to be, and as which, by the orders its bits are in."""


def _unlike(words: NDArray[np.uint64], near: int) -> NDArray[np.uint64]:
    """Return those of some hashes that are more than so many bits from each before them."""
    kept = []
    while len(words):
        kept.append(words[0])
        words = words[np.bitwise_count(words ^ words[0]).sum(1) > near]
    return np.array(kept)


def _bits(words: NDArray[np.uint64], size: int) -> NDArray[np.uint8]:
    """Return hashes as bits, shape (n, size)."""
    return np.unpackbits(words.astype(">u8").view(np.uint8), axis=1)[:, :size]


def _at_least(found: int, of: int, usual: float) -> float:
    """Return the chance of so many, if each is one with the chance `usual`: a binomial's tail."""
    return sum(
        comb(of, hits) * usual**hits * (1 - usual) ** (of - hits) for hits in range(found, of + 1)
    )
