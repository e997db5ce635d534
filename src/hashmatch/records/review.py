"""The review record: one matched image, for a person to look at. Schema ``hashmatch.review/1``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET, UnsetType

from hashmatch.errors import UsageError
from hashmatch.records.enums import LimitSetter, Outcome, Surface
from hashmatch.records.typed import from_json

SCHEMA: Final = "hashmatch.review/1"

Reason: TypeAlias = Literal["benign", "mostly_chrome", "too_few_sources", "breaker"]
"""Why a match is kept out of the queue; `hashmatch.matching.suppression` says what each means."""

REASONS: tuple[Reason, ...] = get_args(Reason)


@dataclass(frozen=True, slots=True)
class RecordItem:
    """The image: where it is found again, and what it is. No bytes of it.

    Of an animation, a document or a video, `frame` is the one that is closest to an entry. A video
    has a `duration` in seconds, and `every`, how many of them lie between two frames that were
    looked at, 0 for every frame. `chrome` is the share of a picture, 0 to 1, that is plain colour,
    text and lines as on screens and pages, see `hashmatch.hashing.chrome`; it is left out where the
    pixels are not known.
    """

    key: str
    version: str
    surface: Surface
    media_type: str | None
    width: int | None
    height: int | None
    frame: int
    damaged: bool
    duration: float | UnsetType = UNSET
    every: float | UnsetType = UNSET
    chrome: float | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class RecordHash:
    """The hash of the image that is closest to an entry, and how it was made.

    `variant` is what it is a hash of: the picture ``upright``, or another of the questions asked
    about it. `quality` is that of the upright picture. `value`, the hash itself, only if it was
    asked for.
    """

    algorithm: str
    quality: int | None
    decode_policy: str
    variant: str
    value: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class VideoSegment:
    """Frames of a video that match an entry, one after the other.

    Parameters
    ----------
    query : tuple of float
        When the first and the last of them are shown, in seconds of the video that was checked.
    frames : int
        How many there are.
    entry : tuple of float, optional
        The same in seconds of the entry; a picture has none.
    """

    query: tuple[float, float]
    frames: int
    entry: tuple[float, float] | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class VideoMatch:
    """Which parts of a video match an entry; `hashmatch.matching.videos` has the rules.

    The *query* is the video that was checked. Frames are counted by their different hashes; those
    that were compared, and of these the ones that match. What is of an entry that is a picture is
    left out.

    Parameters
    ----------
    segments : tuple of VideoSegment
        In their order in the query; those with the most frames, if there are many.
    segment_count : int
        All of them.
    query_frames, query_matched : int
        Of the query.
    entry_frames, entry_matched : int, optional
        Of the entry.
    query_share, entry_share : float, optional
        What part of them matches, 0 to 1, as vPDQ counts.
    query_counted, entry_counted : float, optional
        The same with frames that many entries share counted less.
    min_query_share, min_entry_share, min_segment_seconds : float, optional
        What had to be reached, by one of them.
    thresholds_from : {"algorithm", "caller"}, optional
        Who set these.
    found_by : tuple of str, optional
        Which were reached: ``query_share``, ``entry_share``, ``segment_seconds``.
    query_covered : float, optional
        What part of the query's seconds is in segments, 0 to 1; frames that many entries share
        count less.
    """

    segments: tuple[VideoSegment, ...]
    segment_count: int
    query_frames: int
    query_matched: int
    query_share: float | UnsetType = UNSET
    query_counted: float | UnsetType = UNSET
    entry_frames: int | UnsetType = UNSET
    entry_matched: int | UnsetType = UNSET
    entry_share: float | UnsetType = UNSET
    entry_counted: float | UnsetType = UNSET
    min_query_share: float | UnsetType = UNSET
    min_entry_share: float | UnsetType = UNSET
    min_segment_seconds: float | UnsetType = UNSET
    thresholds_from: LimitSetter | UnsetType = UNSET
    found_by: tuple[str, ...] | UnsetType = UNSET
    query_covered: float | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class ExpectedFalse:
    """What a review record says of its list: how many harmless pictures match it.

    Parameters
    ----------
    expected : float
        Of `per` harmless pictures, no two the same; 0 if the sample had none.
    low, high : float
        Between these, with 95 % probability.
    per : int
        A million.
    list_version : str
        The version of the list that was calibrated: it may be an older one.
    """

    expected: float
    low: float
    high: float
    per: int
    list_version: str


@dataclass(frozen=True, slots=True)
class RecordMatch:
    """One entry that is near enough, and whose limit said so.

    `distance` and `max_distance` are bits of `algorithm`, the limit inclusive; `max_distance_from`
    says who set it: the ``entry``, the ``list``, the ``caller`` or the ``algorithm``. `variant` and
    `frame` are of the hash that came closest to the entry; a lookup of hashes that were computed
    elsewhere does not know them. Of a video that was checked, `video` says which parts match.

    `chrome` is the share of plain colour, text and lines in what that hash is of: all of the
    picture, or the view of it that matched. `mostly_chrome` is there, and true, if the match says
    little for that reason, see `hashmatch.matching.chrome`.

    Of a list that was calibrated, `calibration` says how many harmless pictures match it.
    """

    list: str
    list_version: str
    entry: str
    algorithm: str
    distance: int
    max_distance: int
    max_distance_from: LimitSetter
    labels: tuple[str, ...]
    sources: tuple[str, ...]
    variant: str | UnsetType = UNSET
    frame: int | UnsetType = UNSET
    video: VideoMatch | UnsetType = UNSET
    chrome: float | UnsetType = UNSET
    mostly_chrome: bool | UnsetType = UNSET
    calibration: ExpectedFalse | UnsetType = UNSET


def family(variant: str) -> str:
    """Return the kind of question that a variant is one of: its name without its numbers.

    Parameters
    ----------
    variant : str
        Of a match.

    Examples
    --------
    >>> family("turn:-3/inside"), family("as-displayed/mirrored"), family("upright")
    ('turn', 'as-displayed', 'upright')
    """
    return variant.partition(":")[0].partition("/")[0]


@dataclass(frozen=True, slots=True)
class SuppressedBy:
    """The rule that keeps a record out of the queue.

    Parameters
    ----------
    reason : {"benign", "mostly_chrome", "too_few_sources", "breaker"}
        Which rule; `hashmatch.matching.suppression` says what each means.
    list, list_version, entry, algorithm : str, optional
        For ``benign``, the benign entry that the picture is; for ``breaker``, the closest of the
        tripped entries.
    distance : int, optional
        From it to the picture, in bits.
    sources : tuple of str, optional
        For ``too_few_sources``, those that back the entries.
    min_sources : int, optional
        How many were asked for.
    """

    reason: Reason
    list: str | UnsetType = UNSET
    list_version: str | UnsetType = UNSET
    entry: str | UnsetType = UNSET
    algorithm: str | UnsetType = UNSET
    distance: int | UnsetType = UNSET
    sources: tuple[str, ...] | UnsetType = UNSET
    min_sources: int | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class ReviewRecord:
    """One matched image; `matches` has the closest entry first.

    Closest is the smallest share of differing bits, so that an exact match of a file comes before
    a near one of its picture.

    Parameters
    ----------
    record_id : str
        Stable: the same image version and the same rules, `Matcher.identity`, give the same id.
    created_at : str
        UTC, ISO 8601 to the second.
    item : RecordItem
        The image.
    hash : RecordHash
        How it was hashed.
    matches : tuple of RecordMatch
        At most as many as the matcher's limit of named matches.
    match_count : int
        All entries that matched, named or not.
    status : {"pending_review", "suppressed"}
        Whether it waits for a person, or is kept for the record only. There is no other: no record
        is born decided.
    suppressed_by : SuppressedBy, optional
        Which rule suppressed it; there if and only if its status is ``suppressed``.
    seen_at : str, optional
        Of an image that matched nothing when it was checked, and was found later, when a list got
        an entry that it matches: when it was checked, UTC. See `hashmatch.service.recent`.
    mostly_chrome : bool, optional
        There, and true, if that is so of every match that is named: the record says little, and
        waits behind others.
    schema : str
        Always ``hashmatch.review/1``.
    """

    record_id: str
    created_at: str
    item: RecordItem
    hash: RecordHash
    matches: tuple[RecordMatch, ...]
    match_count: int
    status: Literal["pending_review", "suppressed"] = "pending_review"
    suppressed_by: SuppressedBy | UnsetType = UNSET
    seen_at: str | UnsetType = UNSET
    mostly_chrome: bool | UnsetType = UNSET
    schema: Literal["hashmatch.review/1"] = SCHEMA

    def __post_init__(self) -> None:
        if self.status not in {"pending_review", "suppressed"}:
            raise UsageError(
                "cannot make a record with another status than pending_review or suppressed: a "
                "person decides"
            )
        if (self.status == "suppressed") != (self.suppressed_by is not UNSET):
            raise UsageError(
                "cannot make the record: it says what suppressed it if and only if it is suppressed"
            )

    @property
    def outcome(self) -> Outcome:
        """``Outcome.MATCH``, or ``Outcome.SUPPRESSED``."""
        return Outcome.MATCH if self.status == "pending_review" else Outcome.SUPPRESSED

    def to_json(self, *, include_hash: bool = True) -> bytes:
        """Return the record as one line of JSON, without the line end.

        Parameters
        ----------
        include_hash : bool
            Whether the hash of the image stands in it, if the record has it.
        """
        line = _Line(*_in_order_of_line(self))
        if not include_hash and self.hash.value is not UNSET:
            known = self.hash
            line.hash = RecordHash(
                known.algorithm, known.quality, known.decode_policy, known.variant
            )
        return msgspec.json.encode(line)

    @classmethod
    def from_json(cls, line: bytes | str) -> ReviewRecord:
        """Return the record written as `line`.

        Parameters
        ----------
        line : bytes or str
            One JSON object.

        Raises
        ------
        UsageError
            If it is no record of this schema; the message says where.
        """
        try:
            return from_json(line, cls)
        except msgspec.MsgspecError as error:
            raise UsageError(f"cannot read the review record: {error}") from None


_FIRST = ("schema", "record_id", "status")
_NAMES = (*_FIRST, *(one.name for one in fields(ReviewRecord) if one.name not in _FIRST))
_in_order_of_line = attrgetter(*_NAMES)
_Line: Any = msgspec.defstruct("_Line", _NAMES)
"""What a line of JSON says of a record, in its order."""
