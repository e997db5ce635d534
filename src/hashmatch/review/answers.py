"""What a review queue answers, apart from cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


class Added(NamedTuple):
    """What became of records that were added.

    ``new`` are in the queue, ``known`` were there before or have expired, ``suppressed`` wait for
    nobody; ``cases`` were opened for them.
    """

    new: int = 0
    known: int = 0
    suppressed: int = 0
    cases: int = 0


class Pause(NamedTuple):
    """Instead of a case: the reviewer has seen ``after`` of them in a row, and rests ``until``."""

    until: datetime
    after: int


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the history.

    Parameters
    ----------
    number : int
        From 1, without a gap.
    at : datetime
        UTC.
    who : str
        Whose doing it is.
    kind : str
        What happened; `hashmatch.review.history` names them all.
    case_id : str, optional
        Of the case it is about, if it is about one.
    body : mapping
        What else there is to say.
    previous, digest : str
        SHA-256 of the event before, and of this one with that.
    """

    number: int
    at: datetime
    who: str
    kind: str
    case_id: str | None
    body: Mapping[str, Any]
    previous: str
    digest: str


class Verified(NamedTuple):
    """A whole history: how many events it has, and the digest of the last, to be kept elsewhere."""

    events: int
    head: str


class Purged(NamedTuple):
    """What a purge removes, or would remove: records, by the state of their case."""

    pending: int = 0
    rejected: int = 0
    confirmed: int = 0
    cases: int = 0
    """That have no record left."""

    @property
    def records(self) -> int:
        """All of them."""
        return self.pending + self.rejected + self.confirmed
