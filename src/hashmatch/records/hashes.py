"""Hashes as arrays: the one form in which hashmatch holds them."""

from __future__ import annotations

import base64
import binascii
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from hashmatch._redact import unseen
from hashmatch.errors import HashesAreOpaque, SpecMismatch, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


ENCODINGS = (
    "hex", "hex-unpadded", "base64", "base64url", "base32", "decimal", "signed", "binary",
)  # fmt: skip
"""How lists write hashes as text: hexadecimal may lack its zeros in front, and a number be the
unsigned one that the bits are, or that of two's complement."""
BASES = "base64", "base64url", "base32"
DECIMALS = "decimal", "signed"
NUMBER = "a decimal number; say so (--encoding {})"
"""Why a number is no hash, with the encoding of `DECIMALS` that it may be in."""
"""Those that JSON may write without quotes."""
EVEN = b"\0\xff"
"""Bytes in front of a number that is short, or negative."""
NUMBERS = "hex-unpadded", *DECIMALS
"""Those whose text may be shorter than the hash."""

INVISIBLE = "".join(
    chr(code)
    for codes in (range(33), (127, 133, 160, 173, 5760, 6158), range(0x2000, 0x2010),
                  range(0x2028, 0x2030), range(0x205F, 0x2070), (0x3000, 0xFEFF))
    for code in codes
)  # fmt: skip
"""Blanks and characters without a width, as web pages and word processors leave beside text."""

WRITTEN = re.compile(
    r"""(?:\\x|0x|[xbh]?'(?:\\x|0x)?|=?"|[{`\u2018\u201c]|)"""
    r"""([^'"{}`\u2018\u2019\u201c\u201d]+)['"}`\u2019\u201d]?""",
    re.IGNORECASE | re.DOTALL,
)
r"""Hexadecimal as databases, languages and spreadsheets print it: ``\x..``, ``0x..``, ``X'..'``,
``{..}``, ``="..."``."""

WIDTHLESS = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufeff]")
"""Characters that are not seen within a word either, as of where it may be broken."""
ERROR = re.compile(r"#+|#[A-Z0-9/_]+[!?]", re.ASCII)
"""What a spreadsheet shows where there is no value, or no room for it."""
UUID = [8, 4, 4, 4, 12]
"""Digits of its groups."""

HEXADECIMAL = re.compile(r"[0-9a-f]+", re.IGNORECASE)
DECIMAL = re.compile(r"-?\d{1,78}", re.ASCII)
SCIENTIFIC = re.compile(
    r"[+-]?\d+(?:[.,]\d+)?e[+-]?\d{1,3}|\d{9,}[.,]\d+|\d[.,]\d{6,}", re.IGNORECASE | re.ASCII
)
"""What a spreadsheet makes of a hash that it takes for a number: digits, or digits and one e."""


class Opaque:
    """Mix-in of everything that holds hash values: immutable, and never pickled."""

    def __reduce__(self) -> NoReturn:
        raise HashesAreOpaque(
            f"cannot pickle a {type(self).__name__}: it holds hashes. Send the path of the "
            "list instead"
        )

    def __copy__(self) -> Opaque:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Opaque:
        return self


@dataclass(frozen=True, slots=True)
class HashSpec:
    """What a hash is. Two hashes can be compared if and only if their specs are equal.

    Parameters
    ----------
    algorithm : str
        For example ``"pdq"``.
    bits : int
        Length of the hash; a multiple of 8.

    Examples
    --------
    >>> HashSpec("pdq", 256).words
    4
    """

    algorithm: str
    bits: int

    @property
    def is_pdq(self) -> bool:
        """Whether it is PDQ, or a profile of it."""
        return self.algorithm.partition("-")[0] == "pdq"

    def __post_init__(self) -> None:
        if not isinstance(self.bits, int | np.integer) or self.bits < 8 or self.bits % 8:
            raise UsageError(
                f"cannot use hashes of {self.bits} bits. Give a positive multiple of 8"
            )

    def __str__(self) -> str:
        return f"{self.algorithm} ({self.bits} bits)"

    @property
    def words(self) -> int:
        """64-bit words that one hash takes; sha1's 160 bits leave the last word half used."""
        return -(-self.bits // 64)

    def parse(self, text: str, encoding: str = "hex") -> bytes:
        """Return the bytes of one hash written as text.

        Parameters
        ----------
        text : str
            The hash, in either case, surrounding blanks allowed.
        encoding : str
            How it is written, one of `ENCODINGS`; Arachnid, for one, writes PDQ as base64 and SHA-1
            as base32. Base64 may be in either alphabet, and without padding.

        Raises
        ------
        UsageError
            If it is no hash of this spec. The message says why, never what the text was.
        """
        if not isinstance(text, str):
            raise UsageError(f"cannot read a hash from a {type(text).__name__}. Give text")
        if encoding not in ENCODINGS:
            raise UsageError(
                f"cannot read hashes in the encoding {encoding!r}. Give one of "
                f"{', '.join(ENCODINGS)}"
            )
        text = text.strip(INVISIBLE)
        if not (encoding == "hex" and len(text) * 4 == self.bits) and encoding not in BASES:
            text = _bare(text)
            if encoding == "hex" and len(text) * 4 > self.bits and not is_scientific(text):
                text = _ungrouped(text)
        if not text:
            raise UsageError("the hash is empty")
        data = _decoded(text, encoding, self.bits)
        if data is None or len(data) * 8 != self.bits:
            raise UsageError(self._misfit(text, encoding, data))
        # Of a number a few bits are lost in front; of one that fills a quarter, all but 64.
        if encoding in NUMBERS and self.bits > 64 and not data[: self.bits * 3 // 32].strip(EVEN):
            raise UsageError(
                f"a number of so few bits is no {self.algorithm} hash; say of which algorithm it "
                "is (--algorithm)"
            )
        return data

    def _misfit(self, text: str, encoding: str, data: bytes | None) -> str:
        """Return why text is no hash in an encoding, though perhaps `data`, and what may help."""
        is_hex = encoding.startswith("hex")
        if encoding == "hex" and data is None and len(text) * 4 == self.bits:
            return "the hash is not hex"
        if encoding not in BASES and is_scientific(text):
            return f"a number, as spreadsheets make of digits, is no {self.algorithm} hash"
        other = self._fitting(text, encoding)
        if other is not None:
            if other in DECIMALS:
                return NUMBER.format(other)
            is_binary = other == "binary"
            what = (
                f"{len(text)} binary digits"
                if is_binary
                else f"the hash is not {encoding} but {other}"
            )
            return f"{what}; say so (--encoding {other})"
        if (DECIMAL if encoding in DECIMALS else HEXADECIMAL).fullmatch(text) and (
            encoding in NUMBERS
        ):
            return f"the number is not within the {self.bits} bits of a hash"
        if ERROR.fullmatch(text):
            return "what spreadsheets write for an error, or a column too narrow, is no hash"
        if is_hex and (encoding == "hex" or data is not None):
            return f"{len(text)} hex digits, a {self.algorithm} hash has {self.bits // 4}"
        if data is None:
            return f"the hash is not {encoding}"
        return f"{len(data) * 8} bits, a {self.algorithm} hash has {self.bits}"

    def _fitting(self, text: str, encoding: str) -> str | None:
        """Return another encoding in which text is a hash of this spec, the likeliest."""
        for other in ("binary", "hex", "base64", "base32", *DECIMALS):
            data = None if other == encoding else _decoded(text, other, self.bits)
            # Few digits are hexadecimal that was cut off, or that lost its zeros in front.
            is_long = other not in DECIMALS or len(text) > self.bits // 4 or text[0] == "-"
            if data is not None and len(data) * 8 == self.bits and is_long:
                return other
        return None


def is_scientific(text: str) -> bool:
    """Return whether text in the place of a hash is a number, as spreadsheets make of digits."""
    return SCIENTIFIC.fullmatch(_bare(text.strip(INVISIBLE))) is not None


def _bare(text: str) -> str:
    """Return hexadecimal without what databases, languages and spreadsheets write around it."""
    found = WRITTEN.fullmatch(text)
    return found[1].strip(INVISIBLE) if found else text


def _ungrouped(text: str) -> str:
    """Return hexadecimal that is written in groups, as pairs of digits or as a UUID, without."""
    text = WIDTHLESS.sub("", text)
    groups = re.split("[ :-]", text)
    sizes = [len(group) for group in groups]
    is_even = len(groups) >= 4 and len(set(sizes)) == 1
    return "".join(groups) if is_even or sizes == UUID else text


def _decoded(text: str, encoding: str, bits: int) -> bytes | None:
    """Return the bytes, or None; an error would carry the text along as its context."""
    if encoding in DECIMALS:
        lowest = -(1 << bits - 1) if encoding == "signed" else 0
        number = int(text) if DECIMAL.fullmatch(text) else lowest - 1
        if not lowest <= number < lowest + (1 << bits):
            return None
        return (number % (1 << bits)).to_bytes(bits // 8, "big")
    if encoding == "binary":
        digits = text[2:].zfill(bits) if text[:2] in {"0b", "0B"} else text
        is_whole = bool(digits) and not len(digits) % 8 and set(digits) <= {"0", "1"}
        return int(digits, 2).to_bytes(len(digits) // 8, "big") if is_whole else None
    try:
        if encoding == "hex-unpadded":
            text = "0" * (bits // 4 - len(text)) + text
        if encoding.startswith("hex"):
            return binascii.unhexlify(text)  # unlike bytes.fromhex it skips no blanks
        bare = text.rstrip("=")  # some leave it out
        if encoding == "base32":
            return base64.b32decode(bare + "=" * (-len(bare) % 8), casefold=True)
        bare = bare.replace("-", "+").replace("_", "/")
        return base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except ValueError:
        return None


class HashBatch(Opaque):
    """Any number of hashes of one spec, as an array; one hash is a batch of one.

    Parameters
    ----------
    spec : HashSpec
        What these hashes are.
    words : ndarray of uint64, shape (n, spec.words)
        The hashes, most significant bit first, so that hexadecimal text agrees with what
        imagehash and the PDQ tools print. Bits of the last word beyond ``spec.bits`` are zero.
    owned : bool
        The array is taken over, and made read-only: of a list of many millions there is no room for
        two. Nobody else may change it. Else it is copied, so that a later change of it is none of
        the hashes.

    Raises
    ------
    UsageError
        If the array has another shape or dtype.

    Examples
    --------
    >>> batch = HashBatch.from_hex(HashSpec("phash", 64), ["f0f0f0f0f0f0f0f0"])
    >>> len(batch), batch.words.shape
    (1, (1, 1))
    >>> batch
    <HashBatch phash (64 bits), n=1>
    """

    # Not a dataclass: dataclasses.asdict would lay the words open.
    __slots__ = ("spec", "words")

    spec: HashSpec
    words: NDArray[np.uint64]

    def __init__(self, spec: HashSpec, words: NDArray[np.uint64], *, owned: bool = False) -> None:
        if not isinstance(words, np.ndarray) or (
            words.dtype != np.uint64 or words.ndim != 2 or words.shape[1] != spec.words
        ):
            shape = f"{words.dtype} {words.shape}" if isinstance(words, np.ndarray) else "that"
            raise UsageError(
                f"cannot use {shape} as hashes of {spec}. Give a uint64 array of shape (n, "
                f"{spec.words})"
            )
        if not owned or not words.flags.c_contiguous:
            words = np.array(words, order="C")
        spare = spec.words * 64 - spec.bits
        if spare and np.any(words[:, -1] & np.uint64((1 << spare) - 1)):
            raise UsageError(
                f"cannot use these hashes: bits beyond the {spec.bits} of {spec.algorithm} are set"
            )
        words.flags.writeable = False
        object.__setattr__(self, "spec", spec)
        object.__setattr__(self, "words", words)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} is immutable")

    @classmethod
    @unseen
    def from_bytes(
        cls, spec: HashSpec, data: bytes | bytearray, *, owned: bool = False
    ) -> HashBatch:
        """Return the hashes laid one after the other in `data`.

        Parameters
        ----------
        spec : HashSpec
            What they are.
        data : bytes or bytearray
            ``spec.bits // 8`` bytes each.
        owned : bool
            A bytearray is taken over, as the array of `HashBatch` is, and changed.

        Raises
        ------
        UsageError
            If it is no whole number of hashes, or something else than bytes.
        """
        if not isinstance(data, bytes | bytearray):  # an array would come in the machine's order
            raise UsageError(f"cannot read hashes from a {type(data).__name__}. Give bytes")
        size = spec.bits // 8
        if len(data) % size:
            raise UsageError(
                f"cannot read {len(data)} bytes as hashes: they are no whole number of {spec} "
                "hashes"
            )
        if not spec.bits % 64:
            words = np.frombuffer(data, np.uint64).reshape(-1, spec.words)
            is_taken = owned and isinstance(data, bytearray)
            if sys.byteorder == "little":
                words = words.byteswap(inplace=is_taken)
            return cls(spec, words, owned=is_taken or words.flags.owndata)
        rows = np.frombuffer(data, np.uint8).reshape(-1, size)
        padded = np.zeros((len(rows), spec.words * 8), np.uint8)
        padded[:, :size] = rows
        return cls(spec, padded.view(">u8").astype(np.uint64), owned=True)

    @classmethod
    @unseen
    def from_hex(cls, spec: HashSpec, lines: Iterable[str]) -> HashBatch:
        """Return the hashes written in hexadecimal, one a line, in either case.

        Parameters
        ----------
        spec : HashSpec
            What they are.
        lines : iterable of str
            ``spec.bits // 4`` digits each.

        Raises
        ------
        UsageError
            Naming the position (from 1) of the first line that is no such hash.
        """
        data = bytearray()
        for position, line in enumerate(lines, 1):
            try:
                data += spec.parse(line)
            except UsageError as error:
                raise UsageError(f"hash {position}: {error}") from None
        return cls.from_bytes(spec, data, owned=True)

    @classmethod
    @unseen
    def concatenate(cls, batches: Sequence[HashBatch]) -> HashBatch:
        """Return one batch of all hashes in order.

        Parameters
        ----------
        batches : sequence of HashBatch
            At least one, all of one spec.
        """
        if not batches:
            raise UsageError("cannot concatenate no batches. Give one at least")
        spec = batches[0].spec
        for batch in batches:
            if batch.spec != spec:
                raise SpecMismatch(f"cannot join {batch.spec} to {spec}")
        return cls(spec, np.concatenate([batch.words for batch in batches]), owned=True)

    def to_hex(self) -> list[str]:
        """Return each hash as lower-case hexadecimal text. For your own pictures' hashes only."""
        data = self.words.astype(">u8").tobytes()
        stride, size = self.spec.words * 8, self.spec.bits // 8
        return [data[i : i + size].hex() for i in range(0, len(data), stride)]

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, rows: slice) -> HashBatch:
        if not isinstance(rows, slice):
            raise UsageError(
                "cannot take one hash out of a batch. Use a slice: batch[0:1] is its first hash"
            )
        return HashBatch(self.spec, self.words[rows], owned=True)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HashBatch):
            return NotImplemented
        return self.spec == other.spec and np.array_equal(self.words, other.words)

    __hash__ = None  # type: ignore[assignment]
    __iter__ = None

    def __repr__(self) -> str:
        return f"<HashBatch {self.spec}, n={len(self)}>"
