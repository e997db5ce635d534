"""Results of a review queue apart from cases, and all results as plain values for JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from hashmatch.review.text import moment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from hashmatch.records.cases import Case, CaseItem
    from hashmatch.review.stats import Statistics


class Added(NamedTuple):
    """What became of records that were added.

    ``new`` are in the queue, ``known`` were there before or have expired, ``suppressed`` wait for
    nobody; ``cases`` were opened for them.
    """

    new: int = 0
    known: int = 0
    suppressed: int = 0
    cases: int = 0


def summed(*counts: Added) -> Added:
    """Return several results as one."""
    return Added(*map(sum, zip(*counts, strict=True)))


class Pause(NamedTuple):
    """Instead of a case: the reviewer had ``after`` of them in a row, and rests ``until`` (UTC)."""

    until: datetime
    after: int


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the history: what `who`, a person or ``hashmatch``, did at a time, UTC.

    Numbers are from 1, without a gap. `hashmatch.review.history` names all kinds; `body` has what
    there is to say besides, which depends on the kind. `previous` and `digest` are the SHA-256 of
    the event before, and of this one with that.
    """

    number: int
    at: datetime
    who: str
    kind: str
    case_id: str | None
    body: Mapping[str, Any]
    previous: str
    digest: str


@dataclass(frozen=True, slots=True)
class NotFinal:
    """Decisions that can still be undone: how many, and when all of it is final (UTC)."""

    count: int = 0
    until: datetime | None = None

    @classmethod
    def of(cls, count: int, until: int | None) -> NotFinal:
        """Make one of a time in microseconds since 1970."""
        return cls(count, moment(until) if count and until is not None else None)


class Verified(NamedTuple):
    """A whole history: how many events it has, and its head, ``NUMBER:DIGEST``, to be kept."""

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


def case_fields(case: Case) -> dict[str, Any]:
    """Return a case; its records are in the schema ``hashmatch.review/1``."""
    fields: dict[str, Any] = {
        name: getattr(case, name)
        for name in (
            "case_id", "state", "opened_at", "priority", "quality", "round", "held", "labels",
            "surfaces",
        )
    }  # fmt: skip
    fields["closest"] = case.closest._asdict()
    fields["lease"] = None if case.lease is None else case.lease._asdict()
    fields["decisions"] = [asdict(decision) for decision in case.decisions]
    fields["items"] = [_item_fields(item) for item in case.items]
    return fields


def _item_fields(item: CaseItem) -> dict[str, Any]:
    return {
        "record": msgspec.Raw(item.record.to_json()),
        "source": item.origin.source,
        "location": item.origin.location,
        "added_at": item.added_at,
        "inherited": item.inherited,
        "round": item.round,
    }


def statistics_fields(figures: Statistics) -> dict[str, Any]:
    """Return the statistics of a queue; times are in seconds."""
    return {
        "at": figures.at,
        "waiting": figures.waiting,
        "oldest": None if figures.oldest is None else figures.oldest.total_seconds(),
        "ages": [
            {"up_to": None if age is None else age.total_seconds(), "cases": count}
            for age, count in figures.ages
        ],
        "decisions": {day.isoformat(): dict(made) for day, made in figures.decisions.items()},
        "agreement": figures.agreement._asdict(),
        "precision": [
            {"list": one.list, "algorithm": one.algorithm, "distance": one.distance}
            | one.share._asdict()
            for one in figures.precision
        ],
    }
