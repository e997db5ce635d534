"""How a review queue works: kept in the queue itself, and each change of it in the history."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec looks it up
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from hashmatch.errors import UsageError

MOST_DAYS = 36500
MOST_BITS = 31
"""Beyond which pictures are not the same by any algorithm here."""


def _same_picture() -> dict[str, int]:
    return {"pdq": 8}


@dataclass(frozen=True, slots=True)
class Settings:
    """How a review queue works.

    Parameters
    ----------
    same_picture : mapping of str to int
        Bits by which hashes of one picture may differ, by algorithm; 0 for what is not named. PDQ's
        authors saw copies of a picture within 10 bits and others beyond 30.
    two_reviewers : bool
        Whether a confirmation needs two people, neither of whom is shown what the other decided.
    lease : timedelta
        After which a case that nobody renewed goes back.
    undo : timedelta
        How long a decision can be taken back. Nothing is acted on before.
    in_a_row : int
        Cases that a reviewer is handed without a pause.
    pause : timedelta
        What counts as one.
    keep_pending : timedelta
        After which what nobody decided is removed by a purge.
    keep_rejected : timedelta
        After which what is not a match is.
    hold_confirmed : bool
        Whether what was confirmed is kept until somebody releases it; else it goes like the rest.
    label_weights : mapping of str to float
        Hours of waiting that a label is worth; negative ones put a case off.

    Examples
    --------
    >>> Settings(two_reviewers=True, label_weights={"A1": 48}).lease
    datetime.timedelta(seconds=600)
    """

    same_picture: Mapping[str, int] = field(default_factory=_same_picture)
    two_reviewers: bool = False
    lease: timedelta = timedelta(minutes=10)
    undo: timedelta = timedelta(minutes=10)
    in_a_row: int = 20
    pause: timedelta = timedelta(minutes=5)
    keep_pending: timedelta = timedelta(days=180)
    keep_rejected: timedelta = timedelta(days=30)
    hold_confirmed: bool = True
    label_weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for algorithm, bits in self.same_picture.items():
            if not 0 <= bits <= MOST_BITS:
                raise UsageError(f"same_picture of {algorithm} is 0 to {MOST_BITS} bits")
        for label, hours in self.label_weights.items():
            if not -24 * MOST_DAYS <= hours <= 24 * MOST_DAYS:
                raise UsageError(f"the weight of label {label!r} is hours, not {hours}")
        if not self.in_a_row >= 1:
            raise UsageError("in_a_row is at least 1")
        for name in ("lease", "undo", "pause", "keep_pending", "keep_rejected"):
            value: timedelta = getattr(self, name)
            if not timedelta(0) <= value <= timedelta(days=MOST_DAYS):
                raise UsageError(f"{name} is a time of up to {MOST_DAYS} days, not {value}")
        if self.lease < timedelta(seconds=1):
            raise UsageError("lease is at least a second")

    def to_json(self) -> str:
        """Return them as one line of JSON."""
        return msgspec.json.encode(self, order="deterministic").decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Settings:
        """Return what was written as `text`.

        Raises
        ------
        UsageError
            If it says something else.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.MsgspecError as error:
            raise UsageError(f"not settings of a review queue: {error}") from None
