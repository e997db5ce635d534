"""One image, before and after: what a source lists, what hashing makes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hashmatch.errors import HashmatchError, NotHashed, UsageError
from hashmatch.records.enums import Orientation, Surface

if TYPE_CHECKING:
    from hashmatch.hashing.chrome import ChromeMeter
    from hashmatch.records.enums import Outcome
    from hashmatch.records.hashes import HashBatch, HashSpec

UNLISTED = frozenset({"", "unlisted", "unknown"})
"""Versions of items whose listing does not tell any: only reading them does."""


def escape_name(name: str | bytes) -> str:
    r"""Return a name as valid Unicode, from which `unescape_name` makes its bytes again.

    It is what its bytes are in UTF-8, whatever the locale; a byte that is no UTF-8 becomes
    ``\xNN``, and backslashes before such a byte, or before text that looks like that, are doubled.
    So no two names have the same.

    Examples
    --------
    >>> print(*map(escape_name, ["café", b"caf\xe9", r"caf\xe9", r"C:\photos"]))
    café caf\xe9 caf\\xe9 C:\photos
    """
    if isinstance(name, bytes):
        raw = name
    else:
        try:
            raw = name.encode(errors="surrogateescape")
        except UnicodeEncodeError:  # half of a surrogate pair, which no file name has
            raw = name.encode(errors="surrogatepass")
    text = _AMBIGUOUS.sub(r"\g<0>\g<0>", raw.decode(errors="surrogateescape"))
    return text.encode(errors="surrogateescape").decode(errors="backslashreplace")


_AMBIGUOUS = re.compile(r"\\+(?=x[89a-f][0-9a-f]|[\udc80-\udcff])")
_WRITTEN = re.compile(rb"(\\+)x([89a-f][0-9a-f])")


def unescape_name(key: str) -> bytes:
    r"""Return the bytes of the name that `escape_name` made `key` of.

    Examples
    --------
    >>> unescape_name(r"caf\xe9"), unescape_name(r"caf\\xe9")
    (b'caf\xe9', b'caf\\xe9')
    """

    def written(found: re.Match[bytes]) -> bytes:
        number = len(found[1])
        byte = bytes.fromhex(found[2].decode()) if number % 2 else b"x" + found[2]
        return b"\\" * (number // 2) + byte

    return _WRITTEN.sub(written, key.encode())


def clean_name(name: str) -> str:
    """Return `name` if it is valid Unicode, else as `escape_name` writes it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return escape_name(name)
    return name


def one_line(text: str) -> str:
    r"""Return the first 1,000 characters of `text` as one printable line.

    Examples
    --------
    >>> one_line("cut\n off\x07")
    'cut off�'
    """
    line = " ".join(text[:1000].split())
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in line
    )


@dataclass(frozen=True, slots=True)
class ImageItem:
    """One image as a source lists it, unread.

    Parameters
    ----------
    key : str
        Its name for people and records; made valid Unicode.
    version : str
        Changes when its content does: an etag, or modification time and size.
    surface : Surface
        Where it was published; a surface that is not listed raises UnknownSurface.
    location : str
        Where its source reads it; empty if that is the key.
    position : str
        From where its source lists on after it, valid Unicode; the key if it is empty.
    size : int, optional
        Of its content in bytes, if the listing says so.
    """

    key: str
    version: str
    surface: Surface
    location: str = ""
    position: str = ""
    size: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.key, str) or not isinstance(self.version, str):
            raise UsageError("cannot name the item: its key and version are no text. Give text")
        object.__setattr__(self, "key", clean_name(self.key))
        object.__setattr__(self, "position", self.position or self.key)
        # Here and nowhere else: no way leads to a record from a surface that is not listed.
        object.__setattr__(self, "surface", Surface.parse(self.surface))


@dataclass(frozen=True, slots=True)
class HashedImage:
    """What hashing made of one picture; always exactly one outcome.

    Parameters
    ----------
    item : str
        The picture's name, for messages.
    spec : HashSpec
        What was asked for.
    outcome : Outcome
        ``hashed`` or ``low_quality`` with a hash, anything else without.
    reason : str
        Why there is no good hash; empty if there is one.
    hashes : HashBatch
        None, one, or one for each of `variants`.
    quality : int, optional
        0 to 100, from algorithms that measure it (PDQ).
    width, height : int, optional
        Of the upright picture in pixels, once it has been decoded.
    damaged : bool
        Part of the file was missing or broken; the hash is of what could be decoded.
    media_type : str, optional
        For example ``"image/jpeg"``; None for arrays and for hashes of bytes.
    frame : int
        Which frame of an animation or page of a document, from 0.
    decode_policy : str
        How the pixels were made; empty for hashes of bytes.
    variants : tuple of str
        What each hash is of: first the picture upright, then what was asked for besides.
    chrome : ChromeMeter, optional
        Measures how much of the picture, or of a view of it, is plain colour, text and lines, where
        it was asked for, as `hashmatch.Matcher` does.
    """

    item: str
    spec: HashSpec
    outcome: Outcome
    hashes: HashBatch
    reason: str = ""
    quality: int | None = None
    width: int | None = None
    height: int | None = None
    damaged: bool = False
    media_type: str | None = None
    frame: int = 0
    decode_policy: str = ""
    variants: tuple[str, ...] = (Orientation.UPRIGHT,)
    chrome: ChromeMeter | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.hashes) not in {0, len(self.variants)}:
            raise UsageError(
                f"cannot give one hash of {self.item}: it has {len(self.hashes)}, of "
                f"{len(self.variants)} variants. Use them all"
            )

    @property
    def hex(self) -> str:
        """The hash as lower-case hexadecimal text.

        Raises
        ------
        NotHashed
            If there is none, naming the picture and the reason.
        """
        if not len(self.hashes):
            raise NotHashed(f"cannot give a hash of {self.item}: {self.outcome} ({self.reason})")
        return self.hashes.to_hex()[0]


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """What became of one item that made no review record.

    Parameters
    ----------
    key, version : str
        Of the item.
    surface : Surface
        Of the item.
    outcome : Outcome
        Any but ``match`` and ``hashed``.
    reason : str
        Why it was not searched; empty for ``no_match``.
    quality : int, optional
        PDQ quality, 0 to 100.
    damaged : bool
        The file was damaged, and what could be decoded was hashed.
    """

    key: str
    version: str
    surface: Surface
    outcome: Outcome
    reason: str = ""
    quality: int | None = None
    damaged: bool = False


class ImageError(HashmatchError):
    """One picture could not be hashed.

    Parameters
    ----------
    outcome : Outcome
        What became of it, from the closed set.
    reason : str
        Why; kept as one printable line, see `one_line`.
    """

    def __init__(self, outcome: Outcome, reason: str) -> None:
        self.outcome = outcome
        self.reason = one_line(reason)
        super().__init__(self.reason)

    def __reduce__(self) -> tuple[type[ImageError], tuple[object, ...]]:
        return type(self), (self.outcome, self.reason)


class ImageChanged(ImageError):
    """What is to be read is not of the version that was listed; nothing is wrong with it.

    Parameters
    ----------
    outcome : Outcome
        What becomes of it if nobody reads it again.
    reason : str
        In one line.
    item : ImageItem
        The item as it is now.
    data : bytes, optional
        The content of that item, if it has been read; otherwise read the item.
    """

    def __init__(
        self, outcome: Outcome, reason: str, item: ImageItem, data: bytes | None = None
    ) -> None:
        super().__init__(outcome, reason)
        self.item = item
        self.data = data

    def __reduce__(self) -> tuple[type[ImageChanged], tuple[object, ...]]:
        return type(self), (self.outcome, self.reason, self.item, self.data)


class ImageUnavailable(ImageError):
    """One picture could not be read for now, for a reason that may pass: try again."""
