"""What the tables have to say, worked out from the history alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hashmatch.records.decisions import CaseState
from hashmatch.review import history
from hashmatch.review.rules import WAITING, state_of

if TYPE_CHECKING:
    from collections.abc import Mapping


class Standing(NamedTuple):
    """A decision that was not undone."""

    number: int
    verdict: str
    reviewer: str
    needed: int
    decided_at: int


class CaseAt:
    """What the history says of a case, apart from its records."""

    def __init__(self) -> None:
        self.round = 1
        self.standing: list[Standing] = []
        self.lease: tuple[str | None, int | None] = (None, None)
        self.asked_at: int | None = None
        self.hold: tuple[str, int | None] = ("", None)

    @property
    def columns(self) -> dict[str, Any]:
        """Columns of ``review_case`` as they have to be."""
        state, not_for = state_of(self.standing)
        final = state not in WAITING
        if self.lease[0] is not None:
            state = CaseState.IN_REVIEW
        said: dict[str, Any] = {} if self.asked_at is None else {"asked_at": self.asked_at}
        return said | {
            "state": state.value,
            "round": self.round,
            "not_for": not_for,
            "lease_reviewer": self.lease[0],
            "lease_until": self.lease[1],
            "decided_at": self.standing[-1].decided_at if final else None,
            "decided_event": self.standing[-1].number if final else None,
            "hold": self.hold[0],
            "hold_at": self.hold[1],
        }


UNTOUCHED = CaseAt()


class Replay:
    """Goes through the history, event by event.

    `cases` holds those to which more happened than that records came; `rounds` the items that are
    not of the first time of asking.
    """

    def __init__(self) -> None:
        self.cases: dict[int, CaseAt] = {}
        self.rounds: dict[int, int] = {}
        self.purged: set[int] = set()
        self.reviewers: dict[str, tuple[str, int]] = {}
        self.queue: tuple[str, int, int, str] = ("", 0, 0, "")
        self.decisions: dict[int, int | None] = {}

    def case(self, number: int) -> CaseAt:
        """Return what is said of a case so far, to look at."""
        return self.cases.get(number, UNTOUCHED)

    def joined(self, item: int, case: int) -> None:
        """Note a record that came into a case."""
        at = self.case(case)
        asked = 0 if at.standing else at.round
        if asked != 1:
            self.rounds[item] = asked

    def asked(self, items: list[int], round_: int, *, inherited_only: bool) -> None:
        """Note that items of a case are asked about from now on, those that are there so far."""
        for item in items:
            if not inherited_only or self.rounds.get(item, 1) == 0:
                self.rounds[item] = round_

    def apply(self, number: int, at: int, who: str, kind: str, case: int, body: Any) -> None:
        """Note an event of any kind but ``added``."""
        if kind in history.TAUGHT:
            return  # it changes no table
        if kind == "made":
            self.queue = (body["name"], body["format"], at, body["settings"])
        elif kind == "settings":
            self.queue = (*self.queue[:3], body["settings"])
        elif kind == "reviewer_added":
            self.reviewers[body["name"]] = (body["token"], at)
        elif kind == "reviewer_removed":
            del self.reviewers[body["name"]]
        elif kind == "purged":
            self.purged.update(body["items"])
        else:
            self._about(self.cases.setdefault(case, CaseAt()), number, at, who, kind, body)

    def _about(
        self, case: CaseAt, number: int, at: int, who: str, kind: str, body: Mapping[str, Any]
    ) -> None:
        if kind in {"taken", "renewed"}:
            case.lease = (who, body["until"])
        elif kind in {"given_back", "lapsed"}:
            case.lease = (None, None)
        elif kind == "decided":
            case.lease = (None, None)
            case.standing.append(Standing(number, body["verdict"], who, body["needed"], at))
            self.decisions[number] = None
            self.rounds |= dict.fromkeys(body["inherited"], 0)
        elif kind == "undone":
            undone = body["decision"]
            case.standing = [one for one in case.standing if one.number != undone]
            self.decisions[undone] = at
        elif kind == "asked_again":
            case.round += 1
            case.asked_at = at
            case.standing = []
        elif kind in {"held", "released"}:
            case.hold = (kind, at)
        else:
            raise KeyError(kind)
