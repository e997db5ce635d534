"""Cases, decisions, events and figures as plain values, for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from hashmatch.records.decisions import Case, CaseItem
    from hashmatch.review.answers import Event
    from hashmatch.review.intervals import Share
    from hashmatch.review.statistics import Statistics


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


def event_fields(event: Event) -> dict[str, Any]:
    """Return an event."""
    return asdict(event)


def figures_fields(figures: Statistics) -> dict[str, Any]:
    """Return the figures of a queue; times are in seconds."""
    return {
        "at": figures.at,
        "waiting": figures.waiting,
        "oldest": None if figures.oldest is None else figures.oldest.total_seconds(),
        "ages": [
            {"up_to": None if age is None else age.total_seconds(), "cases": count}
            for age, count in figures.ages
        ],
        "decisions": {day.isoformat(): dict(made) for day, made in figures.decisions.items()},
        "agreement": _share_fields(figures.agreement),
        "precision": [
            {"list": one.list, "algorithm": one.algorithm, "distance": one.distance}
            | _share_fields(one.share)
            for one in figures.precision
        ],
    }


def _share_fields(share: Share) -> dict[str, float]:
    return share._asdict()
