"""What a plug-in has to offer: Protocols, so that it inherits nothing of ours.

Each is found through an entry point of the group named with it, and `hashmatch.testing` has a
contract check for each.
"""

from __future__ import annotations

import math
from typing import (
    TYPE_CHECKING,
    BinaryIO,
    Literal,
    NamedTuple,
    Protocol,
    TypeGuard,
    runtime_checkable,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import timedelta
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from hashmatch.errors import RejectedRow
    from hashmatch.records.enums import Surface
    from hashmatch.records.hashes import HashBatch, HashSpec
    from hashmatch.records.images import ImageItem
    from hashmatch.records.review import ReviewRecord


@runtime_checkable
class Hasher(Protocol):
    """Makes one hash of one picture. Entry point group ``hashmatch.hashers``; a class."""

    @property
    def spec(self) -> HashSpec:
        """What it makes."""
        ...

    @property
    def reads(self) -> Literal["pixels", "bytes", "video"]:
        """What `hash` is given; one of videos names its kind of hash, and makes none here."""
        ...

    @property
    def max_distance(self) -> int:
        """The recommended inclusive limit in bits."""
        ...

    @property
    def min_quality(self) -> int:
        """Hashes of a lower quality mean too little to be searched; 0 if it measures none."""
        ...

    @property
    def min_side(self) -> int:
        """Pictures with a shorter side, in pixels, are not hashed; 0 for no limit."""
        ...

    def hash(self, data: NDArray[np.uint8]) -> tuple[HashBatch, int | None]:
        """Return a batch of one and the quality, 0 to 100, or None where none is measured.

        Parameters
        ----------
        data : ndarray of uint8
            Pixels: upright RGB, shape (height, width, 3), contiguous. Bytes: shape (n,).
        """
        ...


@runtime_checkable
class OrientedHasher(Hasher, Protocol):
    """A hasher that knows all eight orientations of a picture without turning it eight times."""

    def hash_orientations(self, data: NDArray[np.uint8]) -> tuple[HashBatch, int | None]:
        """Return a batch of eight, in the order of `Orientation`, and the quality."""
        ...


class Framing(NamedTuple):
    """Where the frame of a picture may have been before it was cropped or turned.

    ``left``, ``top``, ``right`` and ``bottom`` are the parts of the frame's width or height that
    lie beyond the picture, where what it showed has to be guessed; the frame is then turned
    counter-clockwise about the picture's centre by ``turn`` degrees.
    """

    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    turn: float = 0.0


class Disc(NamedTuple):
    """A disc in a picture whose content is not its own, say a sticker.

    ``x`` and ``y`` are its centre in parts of the width and the height, and ``radius`` is in parts
    of the root of the picture's area.
    """

    x: float
    y: float
    radius: float


GUESSES = 16
"""Hashes beside the likeliest one of a picture of which much has to be guessed."""


@runtime_checkable
class FramedHasher(OrientedHasher, Protocol):
    """A hasher that hashes a picture in other frames, hundreds of them at about its usual cost.

    These hashes are near those of the reframed pixels, not equal to them.
    """

    def hash_framings(
        self,
        data: NDArray[np.uint8],
        framings: tuple[Framing, ...],
        oriented: tuple[Framing, ...] = (),
        hidden: tuple[Disc, ...] = (),
        unsure: tuple[Framing, ...] = (),
    ) -> HashBatch:
        """Return the hashes of a picture in other frames, in the order of the arguments.

        Parameters
        ----------
        data : ndarray of uint8, shape (height, width, 3)
            Upright RGB, contiguous.
        framings : tuple of Framing
            Hashed as they are: one hash each.
        oriented : tuple of Framing
            Hashed in all eight orientations, in the order of `Orientation`: eight hashes each.
        hidden : tuple of Disc
            The whole picture is hashed with this disc filled from what is around it: one hash each.
        unsure : tuple of Framing
            Frames much of which lies beyond the picture: the likeliest hash of each and `GUESSES`
            others.
        """
        ...


@runtime_checkable
class EnlargingHasher(OrientedHasher, Protocol):
    """A hasher whose hash of a small picture is not quite that of its large original."""

    def hash_enlarged(self, data: NDArray[np.uint8]) -> HashBatch:
        """Return a batch of eight, in the order of `Orientation`: as if the picture were large."""
        ...


@runtime_checkable
class InvertibleHasher(OrientedHasher, Protocol):
    """A hasher whose hash of a negative follows from that of the picture."""

    def inverted(self, hashes: HashBatch) -> HashBatch:
        """Return the hashes of the negatives of the pictures that have `hashes`."""
        ...


@runtime_checkable
class RoundHasher(OrientedHasher, Protocol):
    """A hasher that guesses what was around a picture of which only a disc is left."""

    def hash_round(self, data: NDArray[np.uint8]) -> HashBatch:
        """Return eight hashes, in the order of `Orientation`, for each of its guesses, any number.

        Parameters
        ----------
        data : ndarray of uint8, shape (height, width, 3)
            Upright RGB, contiguous; what is outside of the ellipse within its sides is not known.
        """
        ...


@runtime_checkable
class CoveredHasher(OrientedHasher, Protocol):
    """A hasher that guesses what is below something that lies over a picture."""

    def hash_covered(self, data: NDArray[np.uint8], covered: NDArray[np.bool_]) -> HashBatch:
        """Return the likeliest hash and `GUESSES` others for each thing that covers a part.

        Parameters
        ----------
        data : ndarray of uint8, shape (height, width, 3)
            Upright RGB, contiguous.
        covered : ndarray of bool, shape (n, 64, 64)
            Which cells of the picture each of n things covers, never all of them.
        """
        ...


@runtime_checkable
class PartsHasher(OrientedHasher, Protocol):
    """A hasher that hashes parts of a picture from a small grey copy, each at next to no cost.

    These hashes are near those of the parts' pixels, not equal to them.
    """

    def hash_parts(
        self, grey: NDArray[np.float32], corners: NDArray[np.float64]
    ) -> tuple[HashBatch, NDArray[np.int64]]:
        """Return eight hashes of each part, in the order of `Orientation`, and the qualities.

        Parameters
        ----------
        grey : ndarray of float32, shape (h, w)
            Contiguous; mean luma of square cells, 0 to 255.
        corners : ndarray of float64, shape (n, 4, 2)
            (y, x), in cells, of the upper left, upper right, lower right and lower left corners of
            each part: a rectangle, or a rectangle seen from a slant.
        """
        ...


def is_oriented(hasher: Hasher) -> TypeGuard[OrientedHasher]:
    """Return whether `hasher` is an `OrientedHasher`: isinstance takes 10 us to say so."""
    return hasattr(hasher, "hash_orientations")


def is_framed(hasher: Hasher) -> TypeGuard[FramedHasher]:
    """Return whether `hasher` is a `FramedHasher`."""
    return hasattr(hasher, "hash_framings")


def is_round(hasher: Hasher) -> TypeGuard[RoundHasher]:
    """Return whether `hasher` is a `RoundHasher`."""
    return hasattr(hasher, "hash_round")


def is_covered(hasher: Hasher) -> TypeGuard[CoveredHasher]:
    """Return whether `hasher` is a `CoveredHasher`."""
    return hasattr(hasher, "hash_covered")


def is_invertible(hasher: Hasher) -> TypeGuard[InvertibleHasher]:
    """Return whether `hasher` is an `InvertibleHasher`."""
    return hasattr(hasher, "inverted")


def has_parts(hasher: Hasher) -> TypeGuard[PartsHasher]:
    """Return whether `hasher` is a `PartsHasher`."""
    return hasattr(hasher, "hash_parts")


def is_enlarging(hasher: Hasher) -> TypeGuard[EnlargingHasher]:
    """Return whether `hasher` is an `EnlargingHasher`."""
    return hasattr(hasher, "hash_enlarged")


SPACES = ("", "image", "video")
"""Name spaces that an owner's ids may be of, the first where nothing is said of it."""


class Span(NamedTuple):
    """When something was said: at the earliest and at the latest, in seconds since 1970 UTC."""

    begin: float
    end: float

    @classmethod
    def lasting(cls, begin: float, length: float) -> Span:
        """Return a span of so many seconds: a day, a minute, a second, or none of an exact time."""
        return cls(begin, math.nextafter(begin + length, -math.inf) if length else begin)


class ListRow(NamedTuple):
    """One statement of a list about one hash, as a reader found it, not yet decoded.

    Parameters
    ----------
    line : int
        Where it is in its file, from 1.
    hash : str
        Text in ``encoding``; empty in a row that only withdraws what has its ``external_id``. Of
        a video, all of its frames: see `hashmatch.lists.vpdq_signal`.
    algorithm : str, optional
        None means whatever the caller expects, by default ``pdq``.
    external_id : str, optional
        What the list's owner calls it. Where the reader's ids are unique, a later row of the same
        id takes the place of an earlier.
    labels, sources : tuple of str
    status : str
        In the list's own words; `hashmatch.lists.ingest` says which have an effect.
    quality, max_distance : int, optional
    updated : Span or float, optional
        When the list's owner said so; of a number, in seconds since 1970 UTC, a whole one is a
        second and any other exact. Rows without it are said now.
    upvotes, downvotes : int
        How many others agree with the hash being listed, and how many do not.
    encoding : str, optional
        How ``hash`` is written, of `hashmatch.records.hashes.ENCODINGS`, if the format says so;
        else what the caller expects.
    space : str
        Which name space the id is of, one of `SPACES`, where the owner counts ids of each apart.
    """

    line: int
    hash: str
    algorithm: str | None = None
    external_id: str | None = None
    labels: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    status: str = "active"
    quality: int | None = None
    max_distance: int | None = None
    updated: Span | float | None = None
    upvotes: int = 0
    downvotes: int = 0
    encoding: str | None = None
    space: str = ""

    def __repr__(self) -> str:  # tracebacks may show it
        return f"<ListRow of line {self.line}>"


class PlainRows(NamedTuple):
    """Rows one after the other that say nothing but a hash in hex, a quality and an id.

    Most lists of many millions have no others, and each taken by itself is slower. ``line`` is of
    the first; the others are parallel, bytes of printable ASCII without blanks at their ends, empty
    where there is nothing. ``algorithm`` is that of all, as of `ListRow`.
    """

    line: int
    hashes: list[bytes]
    qualities: list[bytes]
    ids: list[bytes]
    algorithm: str | None = None

    def __repr__(self) -> str:  # tracebacks may show it
        return f"<PlainRows from line {self.line}>"

    def rows(self) -> Iterator[ListRow]:
        """Yield each."""
        columns = zip(self.hashes, self.qualities, self.ids, strict=True)
        for line, (value, quality, name) in enumerate(columns, self.line):
            number = int(quality) if quality else None
            external_id = name.decode() or None
            yield ListRow(
                line, value.decode(), self.algorithm, external_id=external_id, quality=number
            )


ROLES = frozenset({
    "hash", "algorithm", "id", "label", "labels", "sources", "status", "quality", "max_distance",
    "updated",
})  # fmt: skip
"""What a column may be, apart from the name of an algorithm: a column of such hashes."""


class ListOptions(NamedTuple):
    """How to read a list file whose shape cannot be detected.

    ``columns`` maps a role, one of `ROLES` or an algorithm, to a column name; ``delimiter``, one
    character, is detected if it is None; ``dates`` is the order of dates, ``dmy`` or ``mdy``;
    ``encoding`` is how hashes are written, where the format does not say it. ``is_detected`` says
    that nobody named the format: a row of another shape is then no name with commas, but the sign
    of another format.
    """

    columns: Mapping[str, str] | None = None
    delimiter: str | None = None
    dates: str | None = None
    is_detected: bool = False
    encoding: str = "hex"


class ColumnUse(NamedTuple):
    """What became of a column, or of a field of JSON lines.

    ``number`` counts columns from 1, and is None of a field. ``name`` has no hash in it, and is
    empty where there is no header. ``role`` is None where it is ignored, and ``loses`` what is lost
    by that: ``hashes``, or ``statuses`` of entries that are withdrawn or benign.
    """

    number: int | None
    name: str
    role: str | None
    loses: str | None = None


@runtime_checkable
class ListReader(Protocol):
    """Reads one format of hash list. Entry point group ``hashmatch.lists``; a class.

    One whose ids are unique, so that a later row of an id takes the place of an earlier, has an
    attribute ``unique_ids`` that is True; else an id may be the name of a file.
    """

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100, that a file beginning with `head` is its format."""
        ...

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row of the file, usable or not, in order and in constant memory."""
        ...


@runtime_checkable
class PlainListReader(ListReader, Protocol):
    """A list reader that is the faster for plain rows: lists of many millions have few others."""

    def plain_rows(
        self, stream: BinaryIO, options: ListOptions
    ) -> Iterator[PlainRows | ListRow | RejectedRow]:
        """Yield what `rows` yields, plain rows together."""
        ...


@runtime_checkable
class ColumnListReader(ListReader, Protocol):
    """A list reader whose format has columns, or fields, that are recognised or given."""

    def columns(self, head: bytes, options: ListOptions) -> list[ColumnUse]:
        """Return what becomes of each column of a file that begins with `head`, whole lines."""
        ...


def has_columns(reader: ListReader) -> TypeGuard[ColumnListReader]:
    """Return whether `reader` is a `ColumnListReader`."""
    return hasattr(reader, "columns")


def reads_plain(reader: ListReader) -> TypeGuard[PlainListReader]:
    """Return whether `reader` is a `PlainListReader`."""
    return hasattr(reader, "plain_rows")


@runtime_checkable
class Source(Protocol):
    """Lists images and reads them. Entry point group ``hashmatch.sources``; built from a URL.

    The entry point's name is the URL's scheme; ``directory`` is what has none. A scan that was
    stopped resumes from the position of the last item it was done with, and then lists from the
    beginning what comes before that.

    Every picture that a source names is an item, and has a key of its own, in one way for all:

    - A key is the whole name, and the same whatever the locale. Bytes that are no UTF-8 are written
      as `hashmatch.records.images.escape_name` does.
    - A name that comes again, for another picture, is ``name#2``, then ``name#3``; where a picture
      is called so itself, the next number that is free.
    - The same picture named once more (the same name, address and version), a folder, and whatever
      else is no picture is passed over, and counted: see `CountingSource`.
    """

    def __init__(self, location: str, surface: Surface) -> None: ...

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield every item once, in an order that stays the same while nothing changes.

        Raises SourceError if there is nothing to list; SourceUnavailable where it cannot be listed
        for now, so that another try may continue from the last item. `hashmatch.retry` acts on it.

        Parameters
        ----------
        after : str, optional
            The `ImageItem.position` of an item: only what comes after it is yielded, and that it
            is gone by now makes no difference.
        """
        ...

    def identity(self) -> str:
        """Return what tells this source from all others, as one line: what a kept state goes by.

        Sources of one identity list the same items, in whatever folder, process or environment they
        were made: paths are absolute, options of its own and the surface are in it, and a digest of
        what is in a list or an archive, which may change in its place. No secrets. Raises
        SourceError, or SourceUnavailable, if that cannot be determined.
        """
        ...

    def read(self, item: ImageItem) -> bytes:
        """Return the content, trying once; many threads may call it at the same time.

        Raises ImageError, with the item's outcome, if that fails: ImageUnavailable where another
        try may succeed, ImageChanged where the content is of another version than was listed.
        `hashmatch.retry` acts on both.
        """
        ...

    def count(self) -> int | None:
        """Return how many items there are, for progress; None if that takes too long to tell."""
        ...

    def close(self) -> None:
        """Let go of connections and files; nothing is read after that."""
        ...


@runtime_checkable
class CountingSource(Source, Protocol):
    """A source that says what it has passed over; one that does not passes over nothing."""

    @property
    def passed_over(self) -> Mapping[str, int]:
        """How many of what the last listing has passed over so far, say ``folders``.

        A listing that resumes after some item may count what is behind that only.
        """
        ...


@runtime_checkable
class BasedSource(Source, Protocol):
    """A source that is a list, whose items lie below a base: files of this machine, perhaps."""

    def leads_out(self, item: ImageItem) -> bool:
        """Return whether the file of an item lies elsewhere, symbolic links followed.

        A scan reads it; the review page does not, as a record may name what no list does.

        Parameters
        ----------
        item : ImageItem
            As it was listed, or as a record says that it was.
        """
        ...


def passed_over(source: Source) -> dict[str, int]:
    """Return what the last listing of `source` has passed over, and how many of it."""
    return dict(source.passed_over) if isinstance(source, CountingSource) else {}


@runtime_checkable
class Sink(Protocol):
    """Takes review records. Entry point group ``hashmatch.sinks``; built from a path or None.

    The entry point's name is the file's suffix; None is standard output.
    """

    def __init__(self, path: Path | None) -> None: ...

    def write(self, record: ReviewRecord) -> None:
        """Take one record. Raises SinkError if it cannot be kept."""
        ...

    def close(self) -> None:
        """Finish: everything written is in its place when this returns."""
        ...

    def abandon(self) -> None:
        """Stop early: what was written stays, marked as unfinished."""
        ...


class ExchangeField(NamedTuple):
    """An option or a credential of an exchange.

    Parameters
    ----------
    name : str
        What it is called, in letters, digits and underscores.
    help : str
        What it is, in a sentence.
    type : {"string", "number", "enum"}
        What it is given as; of an ``enum`` one of the choices.
    required : bool
        Whether it has to be given.
    default : str or int, optional
        What it is otherwise.
    choices : tuple of str
        Of an ``enum``.
    over_http : bool
        Whether those who may only ask the service can set it. Not what says which server is
        asked: the credentials are sent there.
    """

    name: str
    help: str
    type: Literal["string", "number", "enum"] = "string"
    required: bool = True
    default: str | int | None = None
    choices: tuple[str, ...] = ()
    over_http: bool = True


class ListPage(NamedTuple):
    """A page of a list as its exchange served it, and where a fetch continues after it.

    Parameters
    ----------
    data : iterable of bytes
        The page, unchanged, in pieces that are read once.
    position : str
        What `Exchange.pages` takes to continue after this page; it has no credential and no hash
        in it.
    checkpoint : str, optional
        Of the last page: from where the next fetch continues, up to 1,000 characters without a
        credential or a hash. If they begin with a number, it is seconds since 1970 UTC.
    """

    data: Iterable[bytes]
    position: str
    checkpoint: str | None = None

    def __repr__(self) -> str:  # tracebacks may show it
        return "<ListPage>"


@runtime_checkable
class Exchange(Protocol):
    """Serves a list in pages. Entry point group ``hashmatch.exchanges``; a class.

    It has two more attributes, ``options`` and ``credentials``: tuples of `ExchangeField`.
    """

    def __init__(
        self,
        options: Mapping[str, str | int],
        credentials: Mapping[str, str],
        allow_private: Collection[str] = (),
    ) -> None: ...

    @property
    def list_format(self) -> str | None:
        """The list reader's name of its pages; None if it is detected."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether every fetch has all of the list, rather than what has changed."""
        ...

    @property
    def remembers(self) -> timedelta | None:
        """How long the server says what was deleted; None for ever.

        After a longer time without a fetch all of the list is fetched again.
        """
        ...

    def pages(self, checkpoint: str | None, position: str | None) -> Iterator[ListPage]:
        """Yield the pages of what has changed, each tried for long enough.

        No page, or a last one with a checkpoint. Raises ExchangeError.

        Parameters
        ----------
        checkpoint : str, optional
            Of the last page of the fetch before; without it all of the list is asked for.
        position : str, optional
            Of a page of a fetch with this checkpoint that was interrupted: what comes after it is
            yielded. Pages that were yielded before may come again.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
