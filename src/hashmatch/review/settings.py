"""Settings of a review queue: kept in the queue itself, each change of them in its history."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - msgspec looks it up
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from hashmatch.errors import UsageError
from hashmatch.records.typed import from_json

MAX_DAYS = 36500
YEAR = timedelta(days=368)
"""The least that a reported case is kept: a year of up to 366 days, and two more, since a day that
is given without a time begins and ends elsewhere up to 26 hours later than in UTC."""
MAX_BITS = 31
"""Beyond which pictures are not the same by any algorithm here."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a review queue.

    Parameters
    ----------
    same_picture : mapping of str to int
        Bits by which hashes of one picture may differ, by algorithm; 0 for what is not named. PDQ's
        authors saw copies of a picture within 10 bits and others beyond 30.
    two_reviewers : bool
        Whether a confirmation needs two people; neither is shown what the other decided.
    lease : timedelta
        Time after which a case that nobody renewed goes back, at least a second.
    undo : timedelta
        How long a decision that is made from now on can be taken back. Nothing is acted on before.
    in_a_row : int
        Cases that a reviewer is handed without a pause, at least 1.
    pause : timedelta
        Time without a case that counts as a pause; 0 for none.
    keep_pending : timedelta
        Time after which a purge removes what nobody decided.
    keep_rejected : timedelta
        Time after which a purge removes what is not a match.
    keep_reported : timedelta
        How long a case is preserved from the day on which it was reported: 368 days, which is a
        year wherever that day was, or longer.
    hold_confirmed : bool
        Whether what was confirmed or escalated is kept until somebody releases it; else it goes
        like the rest. What this held when it was decided stays held.
    label_weights : mapping of str to float
        Hours of waiting that a label is worth; negative ones put a case off.

    Raises
    ------
    UsageError
        If a value is out of range.

    Examples
    --------
    >>> Settings(two_reviewers=True, label_weights={"A1": 48}).lease
    datetime.timedelta(seconds=600)
    """

    same_picture: Mapping[str, int] = field(default_factory=lambda: {"pdq": 8})
    two_reviewers: bool = False
    lease: timedelta = timedelta(minutes=10)
    undo: timedelta = timedelta(minutes=10)
    in_a_row: int = 20
    pause: timedelta = timedelta(minutes=5)
    keep_pending: timedelta = timedelta(days=180)
    keep_rejected: timedelta = timedelta(days=30)
    keep_reported: timedelta = YEAR
    hold_confirmed: bool = True
    label_weights: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for algorithm, bits in self.same_picture.items():
            if not 0 <= bits <= MAX_BITS:
                raise UsageError(
                    f"cannot set same_picture of {algorithm} to {bits}: it is 0 to {MAX_BITS} bits"
                )
        for label, hours in self.label_weights.items():
            if not -24 * MAX_DAYS <= hours <= 24 * MAX_DAYS:
                raise UsageError(f"cannot set the weight of label {label!r} to {hours} hours")
        if not self.in_a_row >= 1:
            raise UsageError(f"cannot set in_a_row to {self.in_a_row}: it is at least 1")
        for name in ("lease", "undo", "pause", "keep_pending", "keep_rejected", "keep_reported"):
            value: timedelta = getattr(self, name)
            if not timedelta(0) <= value <= timedelta(days=MAX_DAYS):
                raise UsageError(f"cannot set {name} to {value}: it is up to {MAX_DAYS} days")
        if self.keep_reported < YEAR:
            raise UsageError(
                f"cannot set keep_reported to {self.keep_reported}: it is at least {YEAR.days} days"
            )
        if self.lease < timedelta(seconds=1):
            raise UsageError(f"cannot set lease to {self.lease}: it is at least a second")

    def to_json(self) -> str:
        """Return them as one line of JSON."""
        return msgspec.json.encode(self, order="deterministic").decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Settings:
        """Return settings that `to_json` wrote.

        Parameters
        ----------
        text : str or bytes
            As `to_json` wrote it.

        Raises
        ------
        UsageError
            If it is something else.
        """
        try:
            return from_json(text, cls)
        except msgspec.MsgspecError as error:
            raise UsageError(f"cannot read settings of a review queue: {error}") from None
