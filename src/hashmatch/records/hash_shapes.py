"""Detect text that may be a hash by its shape: such ids, labels and names are shown as references.

Lists are often made of files that are named after a digest of theirs. Whatever the spelling, text
is taken for a hash if its letters or digits decode to 8, 16, 20, 32 or 64 bytes that look random.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from itertools import groupby, pairwise
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import numpy as np

from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

REFERENCE = "ref:"
"""What references begin with."""
UUID, NUMBERS, ALL = "uuid", "numbers", "all"
KEPT = UUID, NUMBERS, ALL
"""Shapes that may be said to be ids, and no hashes: `ALL` are all."""

SIZES = 8, 16, 20, 32, 64
"""Bytes of hashes."""
SHORTEST = 11
"""Characters of 8 bytes in base64, the shortest way to write them."""
OF_UUID = re.compile(
    r"(?<![0-9a-f])[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    r"(?![0-9a-f])",
    re.IGNORECASE,
)
"""RFC 9562, of any version; a digest in groups has these two digits by a chance of 1 in 8."""
PREFIX = re.compile(r"(?:0x|\\x|\\u00|&#x|[%=])(?=[0-9a-f]{2})", re.IGNORECASE)
"""What is before a byte in programs and in web pages."""
WORDS = re.compile(r"[0-9A-Za-z]+")
HEX_WORD = re.compile(r"[0-9a-f]+", re.IGNORECASE)
HEX_RUN = re.compile(r"[0-9a-f]{16,}", re.IGNORECASE)
DIGIT_RUN = re.compile(r"[0-9]{18,}")
BINARY_RUN = re.compile(r"[01]{64,}")
BASE64_RUN = re.compile(r"[0-9A-Za-z+/_-]{11,}={0,2}")
BASE32_RUN = re.compile(r"(?<![0-9A-Za-z])(?:[A-Z2-7]{13,}|[a-z2-7]{13,})(?![0-9A-Za-z])")
LAST_OF_8 = frozenset("AEIMQUYcgkosw048")
"""How the last of 11 digits in base64 may be written that are 64 bits."""
SMALLEST_NUMBER = 61
"""Bits that numbers of 8 bytes have more of. Below are times in nanoseconds until 2043, times as
date and clock, and ids that begin with a time, as networks give them."""
SLACK = 12
"""Bits that a longer number may have fewer than its hash."""
CHANGE = re.compile("[a-z][_/+-]*[A-Z0-9]|[A-Z][_/+-]*[a-z0-9]|[0-9][_/+-]*[A-Za-z]")
"""Where capitals, small letters and digits are followed by another sort; of three in a row, one."""
BASE32_SIZES = {-(-8 * size // 5) for size in SIZES}
WINDOW = 20
"""Digits of base64 of which so many are looked at."""


def check_kept(kept: tuple[str, ...]) -> None:
    """Raise UsageError if something else than `KEPT` is said to be ids."""
    for shape in kept:
        if shape not in KEPT:
            raise UsageError(f"cannot keep ids as {shape!r}. Give one of {', '.join(KEPT)}")


def hidden(text: str, key: bytes, kept: tuple[str, ...] = ()) -> str:
    """Return text as it is, or its keyed reference if it may be a hash.

    Parameters
    ----------
    text : str
        An id, a label or a name.
    key : bytes
        At most 64 bytes: with another one, references are others.
    kept : tuple of str
        The shapes, of `KEPT`, that are no hashes.

    Examples
    --------
    >>> hidden("IMG_2024.jpg", bytes(16)), hidden("5ec4e7beefc0ffee.jpg", bytes(16))
    ('IMG_2024.jpg', 'ref:96c5341bf10c837319c740f9')
    """
    if not may_be_hash(text, kept):
        return text
    data = text.encode(errors="surrogatepass")
    digest = hashlib.blake2b(data, digest_size=12, key=key, person=b"hashmatch-text")
    return f"{REFERENCE}{digest.hexdigest()}"


def masked(text: str) -> str:
    """Return text for a log, where there is no key: ``(hidden)`` if it may be a hash."""
    return "(hidden)" if may_be_hash(text) else text


def may_be_hash(text: str, kept: tuple[str, ...] = ()) -> bool:
    """Return whether text holds what may be a hash, whatever is before, within and after it.

    Parameters
    ----------
    text : str
        Any.
    kept : tuple of str
        The shapes, of `KEPT`, that are no hashes.

    Examples
    --------
    >>> may_be_hash("pdq:5e:c4:e7:be:ef:c0:ff:ee"), may_be_hash("NCMEC-123456789")
    (True, False)
    """
    if len(text) < SHORTEST or ALL in kept or (len(text) < 18 and text.isdigit()):
        return False
    written, text = text, _plain(text)
    if UUID in kept:
        written = text = OF_UUID.sub(" ", text)
    return (
        any(_is_hex(run) for run in HEX_RUN.findall(text))
        or any(_is_binary(run) for run in BINARY_RUN.findall(text))
        or (NUMBERS not in kept and any(_is_number(run) for run in DIGIT_RUN.findall(text)))
        or any(_is_grouped(each, NUMBERS not in kept) for each in {written, text})
        or any(_is_base64(each) or _is_base32(each) for each in _lines(text))
    )


FEWEST_DIGITS, FEWEST_GROUPED, FEWEST_GROUPS = 16, 14, 8
"""Hexadecimal digits of any hash; of one that is written byte by byte in decimal, of 8 numbers."""
CHANGES, CHANGES_IN_A_WORD = 3, 2
"""From one sort of digit to another, of text in base64, and in base32, which is in one word."""
OTHER, DIGIT, UPPER, LOWER, BLANK, ODD = range(6)
SORTS = np.full(256, OTHER, np.uint8)
SORTS[ord("0") : ord("9") + 1] = DIGIT
SORTS[ord("A") : ord("Z") + 1] = UPPER
SORTS[ord("a") : ord("z") + 1] = LOWER
SORTS[128:] = SORTS[ord("%")] = ODD
SORTS[9:14] = SORTS[28:32] = ODD
SORTS[ord(" ")] = BLANK
"""Of bytes of text; `ODD` may be another digit in disguise, or divide one in two."""
IS_WORD = np.isin(np.arange(6), [DIGIT, UPPER, LOWER])
IS_HEX = np.zeros(256, np.bool_)
IS_HEX[list(b"0123456789abcdefABCDEF")] = True


def may_be_hashes(data: NDArray[np.uint8], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return which of many texts `may_be_hash` has to look at; the others are none.

    Counts what each spelling of a hash takes, so that most ids cost nanoseconds.

    Parameters
    ----------
    data : ndarray of uint8
        The texts in UTF-8, one after the other.
    ends : ndarray of int64, shape (n + 1,)
        Text i is ``data[ends[i]:ends[i + 1]]``.

    Examples
    --------
    >>> text = np.frombuffer(b"IMG_20240111_125959.jpg" b"5ec4e7beefc0ffee.jpg", np.uint8)
    >>> may_be_hashes(text, np.array([0, 23, 43])).tolist()
    [1]
    """
    rows = np.flatnonzero(np.diff(ends) >= SHORTEST)
    found = [rows[:0]]
    for begin in range(0, len(rows), AT_ONCE):
        block = rows[begin : begin + AT_ONCE]
        first, last = ends[block[0]], ends[block[-1] + 1]
        places = np.stack([ends[block], ends[block + 1]], 1).ravel() - first
        likely = np.flatnonzero(_look(data[first:last], places))
        texts = [data[ends[row] : ends[row + 1]].tobytes() for row in block[likely].tolist()]
        found.append(block[likely[_look_closer(texts)]])
    return np.concatenate(found)


AT_ONCE = 1 << 13
"""Texts that are counted together, so that the counts stay in a cache."""


def _look(data: NDArray[np.uint8], places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which texts, from each even place to the next, may be hashes."""
    sorts = SORTS[data]
    is_word = IS_WORD[sorts]
    changes, words = np.zeros((2, len(sorts)), np.bool_)
    changes[1:] = (sorts[1:] != sorts[:-1]) & is_word[1:] & is_word[:-1]
    words[1:] = is_word[1:] & ~is_word[:-1]
    changes[places[::2]] = words[places[::2]] = False  # only those after the first are counted
    all_changes = changes.copy()
    all_changes[2:] |= words[2:] & ~(is_word[:-2] & (sorts[2:] == sorts[:-2]))
    digits, changed = _sums(IS_HEX[data], places), _sums(all_changes, places)
    found = (digits >= FEWEST_DIGITS) | (changed >= CHANGES)
    is_blank, is_odd = sorts == BLANK, sorts == ODD
    if (digits >= FEWEST_GROUPED).any():
        found |= (digits >= FEWEST_GROUPED) & (_sums(words, places) + 1 >= FEWEST_GROUPS)
    if (changed >= CHANGES_IN_A_WORD).any() or is_blank.any():
        found |= _sums(changes | is_blank, places) >= CHANGES_IN_A_WORD
    if is_odd.any():
        found |= _sums(is_odd, places) > 0
    return found


def _look_closer(texts: list[bytes]) -> NDArray[np.bool_]:
    """Return which of some texts have words that a hash takes: of its length, or of its digits.

    Text of which digits may be written otherwise, or words put together, is one of them unseen.
    """
    if not texts:
        return np.zeros(0, np.bool_)
    seen = np.array([_IN_DISGUISE.search(text) is not None for text in texts], np.bool_)
    data = np.frombuffer(b"".join(text + b"\0" for text in texts), np.uint8)
    row = np.zeros(len(data), np.int64)
    row[1:] = np.cumsum(data[:-1] == 0)
    sorts, is_hex = SORTS[data], IS_HEX[data]
    is_word = IS_WORD[sorts]

    starts, ends = _runs(is_hex)
    seen[row[starts[ends - starts >= FEWEST_DIGITS]]] = True
    starts, ends = _runs(is_word)
    lengths = ends - starts
    seen[row[starts[np.isin(lengths, [SHORTEST, *BASE32_SIZES])]]] = True

    # Words of hexadecimal digits alone that follow each other in a text
    hex_before = np.concatenate([[0], np.cumsum(is_hex)])
    is_hex_word = hex_before[ends] - hex_before[starts] == lengths
    of = row[starts]
    follows = np.zeros(len(starts), np.bool_)
    follows[1:] = is_hex_word[1:] & is_hex_word[:-1] & (of[1:] == of[:-1])
    firsts = np.flatnonzero(~follows)
    if len(firsts):  # there is a word
        digits = np.add.reduceat(np.where(is_hex_word, lengths, 0), firsts)
        groups = np.add.reduceat(is_hex_word.astype(np.int64), firsts)
        many = (digits >= FEWEST_GROUPED) & (groups >= FEWEST_GROUPS)
        seen[of[firsts[(digits >= FEWEST_DIGITS) | many]]] = True

    # Base64: of 8 bytes in one word of its length, else with capitals and small letters
    starts, ends = _runs(is_word | np.isin(data, list(b"+/_-")))
    seen[row[starts[ends - starts == SHORTEST]]] = True
    places = np.flatnonzero(data == 0)
    bounds = np.stack([np.concatenate([[0], places[:-1] + 1]), places], 1).ravel()
    seen |= (_sums(sorts == UPPER, bounds) > 1) & (_sums(sorts == LOWER, bounds) > 1)
    return seen


_IN_DISGUISE = re.compile(rb"[^\x21-\x24\x26-\x7e]|[xX\\]")
"""Blanks, escapes, and whatever is no printable ASCII."""


def _runs(counted: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where runs of what is true begin, and where they have ended."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], counted, [False]]).astype(np.int8)))
    return edges[::2], edges[1::2]


def _sums(counted: NDArray[np.bool_], places: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return how many are true from each even place to the next."""
    total = np.zeros(len(counted) + 1, np.int32)
    np.cumsum(counted, out=total[1:])
    return total[places[1::2]] - total[places[::2]]


def decoded(text: str) -> set[bytes]:
    """Return what words of text are in base64, base32 or decimal, if they may be hashes by length.

    To compare with hashes that are known, whether it looks random or not.
    """
    found: set[bytes] = set()
    text = _plain(text)
    for each in _lines(text):
        for run in BASE64_RUN.findall(each):
            digits = run.rstrip("=").translate(str.maketrans("-_", "+/"))
            for part in {digits, *re.split("[/+]", digits), digits.partition("+")[2]}:
                size = len(part) * 6 // 8
                if size in SIZES and -(-8 * size // 6) == len(part):
                    found.add(base64.b64decode(part + "=" * (-len(part) % 4)))
        for run in BASE32_RUN.findall(each):
            if len(run) in BASE32_SIZES:
                found.add(base64.b32decode(run + "=" * (-len(run) % 8), casefold=True))
    runs = {*DIGIT_RUN.findall(text), *DIGIT_RUN.findall(re.sub("[,.' _]", "", text))}
    for value in (int(run[:160]) for run in runs):
        for size in SIZES:
            if 8 * size - SLACK < value.bit_length() <= 8 * size:
                found.add(value.to_bytes(size, "big"))
                if "-" in text:
                    found.add((-value % (1 << 8 * size)).to_bytes(size, "big"))
    return found


def _plain(text: str) -> str:
    """Return text without escapes of addresses, other forms of digits and what has no width."""
    for _ in range(2):
        if "%" in text:
            data = unquote_to_bytes(text.encode(errors="surrogatepass"))
            text = data.decode(errors="replace")
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(each for each in text if unicodedata.category(each) != "Cf")
    return text


def _lines(text: str) -> list[str]:
    """Return text, and what it is without blanks if its words are of one length, but the last."""
    words = text.split()
    lengths = {len(word) for word in words[:-1]}
    is_folded = len(lengths) == 1 and len(words[-1]) <= max(lengths)
    return [text, "".join(words)] if is_folded else [text]


def _is_random(digits: str, least: int) -> bool:
    """Return whether digits are of many sorts, and not mostly the same in a row."""
    varied = re.sub(r"(.)\1{4,}", "", digits)
    return len(varied) >= least and len(set(varied)) >= 6


def _is_hex(run: str) -> bool:
    """Return whether hexadecimal digits are a hash, or hold one; up to 2 may be no part of it."""
    run = run.lower()
    count = len(run)
    # Between are ids of 20 and 24 digits that begin with a time.
    return (16 <= count <= 18 or count >= 32) and not run.isdigit() and _is_random(run, 14)


def _is_binary(run: str) -> bool:
    return len({run[i : i + 8] for i in range(0, len(run), 8)}) >= 5


def _is_number(run: str) -> bool:
    bits = int(run[:160]).bit_length()
    if not _is_random(run, 14):
        return False
    return SMALLEST_NUMBER < bits <= 64 or any(
        8 * size - SLACK < bits <= 8 * size for size in SIZES[1:]
    )


def _is_grouped(text: str, numbers: bool) -> bool:
    """Return whether words that follow each other are a hash in groups of digits, or bytes."""
    words = WORDS.findall(PREFIX.sub(" ", text))
    for is_hex, some in groupby(words, lambda word: HEX_WORD.fullmatch(word) is not None):
        groups = list(some)
        if not is_hex or len(groups) < 2:
            continue
        alike = [list(same) for _, same in groupby(groups, len)]
        for part in (groups, *alike):
            digits = "".join(part).lower()
            is_whole = len(digits) in {2 * size for size in SIZES}
            is_long = part is not groups and len(digits) >= 32
            if (is_whole or is_long) and not digits.isdigit() and _is_random(digits, 14):
                return True
        if all(map(str.isdigit, groups)) and (
            _are_bytes(groups)
            or (numbers and len(set(map(len, groups[1:]))) == 1 and _is_number("".join(groups)))
        ):
            return True
    return False


def _are_bytes(numbers: list[str]) -> bool:
    """Return whether numbers are a hash byte by byte: more than a third have three digits."""
    values = [int(number[:4]) for number in numbers]
    large = sum(value > 99 for value in values)
    return len(values) in SIZES and max(values) < 256 and 3 * large > len(values)


def _is_base64(text: str) -> bool:
    if len(CHANGE.findall(text)) < 3:
        return False
    for run in BASE64_RUN.findall(text):
        if any(map(_is_eight, {run, *re.split("[/_+-]", run)})):
            return True
        digits = re.sub("[^0-9A-Za-z]", "", run)
        for begin in range(len(digits) - WINDOW + 1):
            if _is_mixed(digits[begin : begin + WINDOW]):
                return True
    return False


def _is_eight(run: str) -> bool:
    """Return whether a word is 8 bytes in base64: capitals, small letters and digits mixed."""
    digits = run.rstrip("=")
    if len(digits) != SHORTEST or digits[-1] not in LAST_OF_8:
        return False
    return _changes(digits) >= (3 if run.endswith("=") else 5)


def _is_mixed(digits: str) -> bool:
    """Return whether digits of base64 are random: 12 changes are usual then, 4 in names."""
    changes = _changes(digits)
    upper, lower = sum(map(str.isupper, digits)), sum(map(str.islower, digits))
    has_digit = upper + lower < len(digits)
    return upper > 1 and lower > 1 and changes >= (7 if has_digit else 10)


def _changes(text: str) -> int:
    """Return how often text changes between capitals, small letters, digits and signs."""
    sorts = [(each.isupper(), each.islower(), each.isdigit()) for each in text]
    return sum(one != other for one, other in pairwise(sorts))


def _is_base32(text: str) -> bool:
    """Return whether letters of one case and digits from 2 to 7 are random, not words."""
    return any(
        len(run) in BASE32_SIZES and not run.isdigit() and _changes(run) >= max(2, len(run) // 10)
        for run in BASE32_RUN.findall(text)
    )
