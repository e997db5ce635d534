"""What has to be kept now, though its time is over: what was reported, and what is asked for.

`hashmatch.review.preservation` and `hashmatch.review.lawful_requests` write the events that all of
it follows from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hashmatch.errors import ReviewError
from hashmatch.review import history
from hashmatch.review.text import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from hashmatch.review.database import Transaction
    from hashmatch.review.results import Event

    Action = Literal["extend", "release"]


@dataclass(frozen=True, slots=True)
class FiledReport:
    """A report that a person filed: its number, and when that was, UTC."""

    number: str
    filed_at: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """What one person asked for, and a second one has not answered yet."""

    event: int
    action: Action
    who: str
    reason: str
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Preservation:
    """How long a case is preserved, and why.

    Parameters
    ----------
    case_id : str
        Of the case.
    reports : tuple of FiledReport
        That were filed about it, in the order in which their numbers were entered.
    until : datetime, optional
        When it ends, UTC; None if two people have ended it.
    asked : Asked, optional
        What a second person has not answered yet.
    """

    case_id: str
    reports: tuple[FiledReport, ...]
    until: datetime | None
    asked: Asked | None = None

    def is_running(self, now: datetime) -> bool:
        """Return whether the case has to be kept at a time: so it is while an extension is asked.

        Parameters
        ----------
        now : datetime
            The time.
        """
        extends = self.asked is not None and self.asked.action == "extend"
        return extends or (self.until is not None and self.until > now)


def preserved(tx: Transaction, cases: Sequence[int]) -> set[int]:
    """Return which of some cases have to be kept now."""
    condition, value = tx.database.among(cases)
    kinds, kind_values = tx.database.among(sorted(history.PRESERVATION))
    rows = tx.database.rows(
        f"SELECT DISTINCT case_number FROM event WHERE case_number {condition} AND kind {kinds}",
        (value, kind_values),
    )
    now = moment(tx.now)
    return {number for (number,) in rows if load_preserved(tx, number).is_running(now)}


def check_over(tx: Transaction, case: int) -> None:
    """Raise ReviewError if a case has to be kept now."""
    found = load_preservation(tx, case)
    if found is not None and found.is_running(moment(tx.now)):
        until = "" if found.until is None else f" until {found.until:%Y-%m-%d}"
        numbers = ", ".join(report.number for report in found.reports)
        raise ReviewError(
            f"cannot release {found.case_id}: it is preserved{until} for report {numbers}. End "
            "that first with hashmatch review preserve release."
        )


def requested(tx: Transaction) -> set[int]:
    """Return the cases of which a request waits for its answer."""
    open_scopes: dict[str, set[int]] = {}
    for event in history.indexed(tx, history.REQUESTS):
        if event.kind == "request_added":
            open_scopes[event.body["reference"]] = set(event.body["cases"])
        else:
            open_scopes.pop(event.body["reference"], None)
    return set().union(*open_scopes.values())


def load_preservation(tx: Transaction, case: int) -> Preservation | None:
    """Return how long a case is preserved; None if it never was."""
    return folded(tx, history.indexed(tx, history.PRESERVATION, case)).get(tx.case_id(case))


def load_preserved(tx: Transaction, case: int) -> Preservation:
    """Return how long a case is preserved; ReviewError if it never was."""
    found = load_preservation(tx, case)
    if found is None:
        raise ReviewError(
            f"cannot find a preservation of {tx.case_id(case)}: no report was entered. Run "
            "hashmatch review preserve add first."
        )
    return found


@dataclass(slots=True)
class _Fold:
    reports: list[FiledReport] = field(default_factory=list)
    until: int | None = None
    asked: Asked | None = None

    def apply(self, event: Event) -> None:
        body = event.body
        until: int | None = body.get("until")
        if event.kind == "preserved":
            self.reports.append(FiledReport(body["report"], moment(body["filed_at"])))
            self.until = max(until or 0, self.until or 0)
            if self.asked is not None and self.asked.action == "release":
                self.asked = None  # who asked did not know of this report
        elif event.kind == "preservation_asked":
            end = None if until is None else moment(until)
            self.asked = Asked(event.number, body["action"], event.who, body["reason"], end)
        else:
            self.asked = None
            if event.kind == "preservation_extended":
                self.until = max(until or 0, self.until or 0)
            elif event.kind == "preservation_released":
                self.until = None


def folded(tx: Transaction, events: Iterable[Event]) -> dict[str, Preservation]:
    """Return the preservation of each case, as some events say."""
    found: dict[str, _Fold] = {}
    for event in events:
        if event.case_id is not None:
            found.setdefault(event.case_id, _Fold()).apply(event)
    return {
        case: Preservation(
            case, tuple(one.reports), None if one.until is None else moment(one.until), one.asked
        )
        for case, one in found.items()
    }
