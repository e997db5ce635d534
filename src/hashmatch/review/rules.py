"""What follows from what: the state of a case from its decisions, its priority from its items."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from hashmatch.records.decisions import CaseState, Verdict
from hashmatch.review.texts import keepable
from hashmatch.review.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashmatch.records.review import ReviewRecord
    from hashmatch.review.settings import Settings

HOUR = 3600
NEAREST, BEST = 24 * HOUR, 4 * HOUR
"""Seconds of waiting that an exact match, or the best quality, is worth over the farthest and the
worst. Nothing is put off for ever: what has waited for longer goes first in the end."""
WAITING = frozenset({CaseState.PENDING_REVIEW, CaseState.IN_REVIEW})


class Decided(Protocol):
    """What counts of a decision."""

    @property
    def verdict(self) -> str:
        """A `Verdict`."""
        ...

    @property
    def reviewer(self) -> str:
        """Whose."""
        ...

    @property
    def needed(self) -> int:
        """How many have to confirm."""
        ...


def state_of(decisions: Sequence[Decided]) -> tuple[CaseState, str]:
    """Return the state of a case, and who may not decide about it next (empty: all may).

    Whoever confirmed it is not the second to confirm it. If a second does not confirm what the
    first did, neither is taken for the truth: somebody else has to look.

    Parameters
    ----------
    decisions : sequence of Decided
        Those about the records in question that were not undone, at most two.
    """
    if not decisions:
        return CaseState.PENDING_REVIEW, ""
    verdicts = {decision.verdict for decision in decisions}
    if len(verdicts) > 1:
        return CaseState.ESCALATED, ""
    (verdict,) = verdicts
    people = {decision.reviewer for decision in decisions}
    if verdict == Verdict.CONFIRMED and len(people) < max(one.needed for one in decisions):
        return CaseState.PENDING_REVIEW, min(people)
    return CaseState(verdict), ""


class Summary(NamedTuple):
    """What a case says of its items."""

    items: int = 0
    distance: int = 0
    max_distance: int = 0
    algorithm: str = ""
    list_name: str = ""
    quality: int | None = None
    labels: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()

    def joined(self, record: ReviewRecord) -> Summary:
        """Return it with one item more."""
        match = record.matches[0]
        labels = {keepable(label) for found in record.matches for label in found.labels if label}
        quality = record.hash.quality
        closest = (
            match.distance,
            match.max_distance,
            keepable(match.algorithm),
            keepable(match.list),
        )
        if self.items:
            closest = min((self[1:5], closest), key=_share)
        if quality is None or (self.quality is not None and self.quality > quality):
            quality = self.quality
        return Summary(
            self.items + 1,
            *closest,
            quality,
            self.labels if labels <= set(self.labels) else tuple(sorted(labels | {*self.labels})),
            tuple(sorted({*self.surfaces, record.item.surface.value})),
        )


def _share(closest: tuple[int, int, str, str]) -> tuple[float, str, str]:
    distance, limit, algorithm, name = closest
    return (distance / limit if limit else 0.0), algorithm, name


def summary(records: Iterable[ReviewRecord]) -> Summary:
    """Return what a case with these items says of them."""
    found = Summary()
    for record in records:
        found = found.joined(record)
    return found


def priority(found: Summary, opened_at: int, settings: Settings) -> int:
    """Return how soon a case is to be looked at: the higher, the sooner.

    Its opening, in seconds, counts against it, and a lead for it: by closeness, by quality and by
    the label that weighs most. All wait equally fast, so the order of two never changes.

    Parameters
    ----------
    found : Summary
        Of its items.
    opened_at : int
        Microseconds since 1970.
    settings : Settings
        The weights of labels.
    """
    if not found.items:
        return 0
    near = 1 - (found.distance / found.max_distance if found.max_distance else 0.0)
    good = 1.0 if found.quality is None else found.quality / 100
    weights = [
        settings.label_weights[name] for name in found.labels if name in settings.label_weights
    ]
    lead = near * NEAREST + good * BEST + max(weights, default=0.0) * HOUR
    return round(lead) - opened_at // SECOND
