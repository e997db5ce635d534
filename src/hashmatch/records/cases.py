"""The nouns of human review: cases, what people decided about them, and what may be acted on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from hashmatch.records.enums import Surface
    from hashmatch.records.review import ReviewRecord


class Verdict(StrEnum):
    """What one person decided about a case."""

    CONFIRMED = "confirmed"
    """The picture is what the list says it is."""
    NOT_A_MATCH = "not_a_match"
    """It is another picture: a false match."""
    UNSURE = "unsure"
    """This person cannot tell."""
    ESCALATED = "escalated"
    """Somebody else has to decide."""


class CaseState(StrEnum):
    """Where a case stands. The last four are reached by a person's decision and in no other way."""

    PENDING_REVIEW = "pending_review"
    IN_REVIEW = "in_review"
    CONFIRMED = "confirmed"
    NOT_A_MATCH = "not_a_match"
    UNSURE = "unsure"
    ESCALATED = "escalated"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a picture is fetched again, so that a person can look at it.

    Parameters
    ----------
    source : str
        The location of its source, as `hashmatch.registry.open_source` takes it; empty if unknown.
    location : str
        What the source reads it by (`ImageItem.location`); empty if that is the item's key.
    """

    source: str = ""
    location: str = ""


@dataclass(frozen=True, slots=True)
class CaseItem:
    """One record of a case.

    Parameters
    ----------
    record : ReviewRecord
        As it came, without the image's own hash.
    origin : Origin
        Where the picture is.
    added_at : datetime
        When it came into the queue, UTC.
    inherited : bool
        It joined after somebody had decided, and says nothing that was not decided: no decision
        covers it.
    round : int
        Which time of asking it belongs to, from 1; 0 if it is inherited.
    """

    record: ReviewRecord
    origin: Origin
    added_at: datetime
    inherited: bool
    round: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What one person decided: about which records, when, and why.

    Parameters
    ----------
    decision_id, case_id : str
        Of this decision, and of its case.
    verdict : Verdict
        What was decided.
    reviewer : str
        Who; never empty.
    decided_at : datetime
        UTC.
    final_at : datetime
        Until when its reviewer can take it back, UTC, by the settings of that moment.
    reason : str
        In the reviewer's words; may be empty.
    record_ids : tuple of str
        Exactly the records that it covers, at least one.
    reviewed_digest : str
        SHA-256 of the JSON lines of those records, in this order, each with its line end.
    labels : tuple of str
        What the reviewer calls it.
    needed : int
        How many people have to confirm, by the settings of that moment: 1 or 2.
    round : int
        Which time of asking it answers, from 1.
    undone_at : datetime, optional
        When its reviewer took it back.
    supersedes : str, optional
        An earlier decision about the same records, which were asked about again.
    """

    decision_id: str
    case_id: str
    verdict: Verdict
    reviewer: str
    decided_at: datetime
    final_at: datetime
    reason: str
    record_ids: tuple[str, ...]
    reviewed_digest: str
    labels: tuple[str, ...] = ()
    needed: int = 1
    round: int = 1
    undone_at: datetime | None = None
    supersedes: str | None = None

    def __post_init__(self) -> None:
        if not self.reviewer.strip():
            raise UsageError("cannot record a decision without its reviewer. Name who decided")
        if not self.record_ids:
            raise UsageError("cannot record a decision that covers no record. List the records")


class Closest(NamedTuple):
    """The match of a case that is nearest, as a share of its limit."""

    distance: int
    max_distance: int
    algorithm: str
    list: str


class Lease(NamedTuple):
    """Who holds a case, and until when."""

    reviewer: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Case:
    """One picture: all the records of it, and what was decided about them.

    Parameters
    ----------
    case_id : str
        Unique among all queues.
    state : CaseState
        Where it stands now.
    opened_at : datetime
        When its first record came, UTC.
    closest : Closest
        The nearest match of its items.
    labels : tuple of str
        Of all its matches, sorted.
    surfaces : tuple of Surface
        Of all its items, sorted.
    items : tuple of CaseItem
        Oldest first; what has expired is not among them.
    decisions : tuple of Decision
        Oldest first, undone ones too. A second reviewer who holds the case is not shown what the
        first decided.
    lease : Lease, optional
        Who holds it.
    priority : int
        The higher, the sooner; the difference of two is worth that many seconds of waiting.
    quality : int, optional
        The best of its items.
    round : int
        How many times it was asked about; see `CaseItem.round`.
    reviewed_digest : str
        SHA-256 of the records that a decision made now would cover; `ReviewQueue.decide` takes it.
    held : bool
        It is kept until somebody releases it.
    mostly_chrome : bool
        Its records match by nothing but what the screens of an app have in common, see
        `hashmatch.matching.chrome`: it waits behind others.
    """

    case_id: str
    state: CaseState
    opened_at: datetime
    closest: Closest
    labels: tuple[str, ...]
    surfaces: tuple[Surface, ...]
    items: tuple[CaseItem, ...]
    decisions: tuple[Decision, ...]
    lease: Lease | None
    priority: int
    quality: int | None = None
    round: int = 1
    reviewed_digest: str = ""
    held: bool = False
    mostly_chrome: bool = False

    @property
    def asked(self) -> tuple[CaseItem, ...]:
        """The items that a decision made now would cover."""
        return tuple(item for item in self.items if item.round == self.round)

    @property
    def standing(self) -> tuple[Decision, ...]:
        """The decisions since it was last asked about that were not undone."""
        return tuple(
            decision
            for decision in self.decisions
            if decision.undone_at is None and decision.round == self.round
        )


@dataclass(frozen=True, slots=True)
class ConfirmedCase:
    """A case that people confirmed, and can no longer take back: all that may be acted on.

    There is no way to make one of a case that nobody decided, or to have an item in it that no
    decision lists.

    Parameters
    ----------
    case : Case
        Confirmed by as many different people as were needed.
    event : int
        The number of the event in the history that made it so.
    final_at : datetime
        Since when the confirmation can no longer be undone, UTC.
    handed_at : datetime
        Now, UTC; not before `final_at`.

    Raises
    ------
    UsageError
        If the case is not confirmed, or not finally.
    """

    case: Case
    event: int
    final_at: datetime
    handed_at: datetime

    def __post_init__(self) -> None:
        if self.case.state is not CaseState.CONFIRMED:
            raise UsageError(
                f"cannot confirm {self.case.case_id}: it is {self.case.state}, and nobody "
                "confirmed it"
            )
        if not self.items:
            raise UsageError(
                f"cannot confirm {self.case.case_id}: it has no item that enough people confirmed"
            )
        if self.handed_at < self.final_at:
            raise UsageError(
                f"cannot confirm {self.case.case_id}: its decision may still be undone"
            )

    @property
    def case_id(self) -> str:
        """Of the case."""
        return self.case.case_id

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The confirmations that stand."""
        rounds = {item.round for item in self.case.items if not item.inherited}
        return tuple(
            decision
            for decision in self.case.decisions
            if decision.verdict is Verdict.CONFIRMED
            and decision.undone_at is None
            and decision.round in rounds
        )

    @property
    def items(self) -> tuple[CaseItem, ...]:
        """Those that as many people as were needed confirmed; never an inherited one."""
        return tuple(
            item for item in self.case.items if not item.inherited and self._confirmed(item)
        )

    def _confirmed(self, item: CaseItem) -> bool:
        about = [
            decision
            for decision in self.decisions
            if decision.round == item.round and item.record.record_id in decision.record_ids
        ]
        people = {decision.reviewer for decision in about}
        return bool(about) and len(people) >= max(decision.needed for decision in about)
