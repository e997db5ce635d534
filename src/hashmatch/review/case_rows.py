"""Rows of cases and of where each waits, and the rules by which both are computed.

These rows are written by `save` and nowhere else. The state of a case follows from its decisions,
its priority from its items.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hashmatch.records.cases import CaseState, Verdict
from hashmatch.records.enums import WHOLE
from hashmatch.records.hash_shapes import REFERENCE
from hashmatch.records.typed import from_json
from hashmatch.review.text import SECOND, storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hashmatch.records.review import ReviewRecord
    from hashmatch.review.database import Database
    from hashmatch.review.settings import Settings

WAITING = frozenset({CaseState.PENDING_REVIEW, CaseState.IN_REVIEW})
ENDS_WITH_NEWS = frozenset({CaseState.NOT_A_MATCH, CaseState.UNSURE})
"""States that a case leaves when a record joins it that says what nobody has decided. Nothing but
a person takes back what was confirmed, and what was escalated waits for one."""
HELD = frozenset({CaseState.CONFIRMED, CaseState.ESCALATED})
"""States that `Settings.hold_confirmed` is about: somebody has to act on these."""
BY_DECISION = "decided"
"""What `CaseRow.hold` says of a case that is held since it was decided."""
HOUR = 3600
NEAREST_LEAD, BEST_LEAD = 24 * HOUR, 4 * HOUR
"""Seconds of waiting that an exact match, or the best quality, is worth over the farthest and the
worst. Nothing is put off for ever: what has waited for longer goes first in the end."""
CHROME_LAG = 7 * 24 * HOUR
"""Seconds by which a case waits behind others whose records all match by nothing but what the
screens of an app have in common."""
LONGEST_LABEL = 200
"""Characters of a label that can be asked for: an index takes no longer ones."""


class CaseRow(NamedTuple):
    """A row of ``review_case``."""

    number: int
    opened_at: int
    asked_at: int
    first_item: int
    state: str = CaseState.PENDING_REVIEW.value
    round: int = 1
    not_for: str = ""
    priority: int = 0
    items: int = 0
    distance: int = 0
    max_distance: int = 0
    algorithm: str = ""
    list_name: str = ""
    quality: int | None = None
    labels: str = "[]"
    surfaces: str = "[]"
    hash_algorithm: str = ""
    hash: bytes | None = None
    lease_reviewer: str | None = None
    lease_until: int | None = None
    decided_at: int | None = None
    decided_event: int | None = None
    final_at: int | None = None
    covered: str = ""
    hold: str = ""
    hold_at: int | None = None
    chrome: int = 0

    @property
    def summary(self) -> Summary:
        """The summary of its items, as it is stored."""
        labels, surfaces = self.names
        return Summary(*self[8:14], labels, surfaces, bool(self.chrome))

    @property
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Its labels and its surfaces."""
        return _from_json(self.labels), _from_json(self.surfaces)

    def with_summary(self, found: Summary, priority: int) -> CaseRow:
        """Return it with another summary and priority."""
        return self._replace(
            priority=priority,
            items=found.items,
            distance=found.distance,
            max_distance=found.max_distance,
            algorithm=found.algorithm,
            list_name=found.list_name,
            quality=found.quality,
            labels=_to_json(found.labels),
            surfaces=_to_json(found.surfaces),
            chrome=int(found.mostly_chrome),
        )

    def given_back(self) -> CaseRow:
        """Return it waiting, held by nobody."""
        state = CaseState.PENDING_REVIEW.value
        return self._replace(state=state, lease_reviewer=None, lease_until=None)

    def unreleased(self) -> CaseRow:
        """Return it as it waits again: a release was about what had been decided."""
        return self._replace(hold="", hold_at=None) if self.hold == "released" else self

    def with_decisions(
        self,
        standing: Sequence[StandingDecision],
        *,
        holds: bool = False,
        was_confirmed: bool = False,
    ) -> CaseRow:
        """Return it as its decisions leave it, leased by nobody.

        `holds` says that what is confirmed is kept, by the settings of then. `was_confirmed` says
        that other records of it, which are not asked about now, are confirmed: no later answer
        about the same picture takes that back by itself.
        """
        state, not_for = state_of(standing)
        if was_confirmed and state in ENDS_WITH_NEWS:
            state = CaseState.ESCALATED
        hold = "" if self.hold == BY_DECISION else self.hold
        last = standing[-1] if state not in WAITING else None
        return self._replace(
            state=state.value,
            not_for=not_for,
            lease_reviewer=None,
            lease_until=None,
            decided_at=None if last is None else last.decided_at,
            decided_event=None if last is None else last.number,
            final_at=None if last is None else max(one.final_at for one in standing),
            covered="",
            hold=BY_DECISION if holds and state in HELD and not hold else hold,
        )


@lru_cache(maxsize=4096)
def _to_json(names: tuple[str, ...]) -> str:
    return msgspec.json.encode(names).decode()


@lru_cache(maxsize=4096)
def _from_json(text: str) -> tuple[str, ...]:
    return from_json(text, tuple[str, ...])


COLUMNS = ", ".join(CaseRow._fields)
_SET = ", ".join(f"{name} = ?" for name in CaseRow._fields[1:])


class Summary(NamedTuple):
    """What a row says of the items of its case."""

    items: int = 0
    distance: int = 0
    max_distance: int = 0
    algorithm: str = ""
    list_name: str = ""
    quality: int | None = None
    labels: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()
    mostly_chrome: bool = False

    def with_record(self, record: ReviewRecord) -> Summary:
        """Return it with one item more."""
        match = record.matches[0]
        labels = {storable(label) for found in record.matches for label in found.labels if label}
        quality = record.hash.quality
        closest = (
            match.distance,
            match.max_distance,
            storable(match.algorithm),
            storable(match.list),
        )
        if self.items:
            closest = min((self[1:5], closest), key=_share_of_limit)
        if quality is None or (self.quality is not None and self.quality > quality):
            quality = self.quality
        return Summary(
            self.items + 1,
            *closest,
            quality,
            self.labels if labels <= set(self.labels) else tuple(sorted(labels | {*self.labels})),
            _with_name(self.surfaces, record.item.surface.value),
            record.mostly_chrome is True and (self.mostly_chrome or not self.items),
        )


@lru_cache(maxsize=4096)
def _with_name(names: tuple[str, ...], name: str) -> tuple[str, ...]:
    return tuple(sorted({*names, name}))


def _share_of_limit(closest: tuple[int, int, str, str]) -> tuple[float, str, str]:
    distance, limit, algorithm, name = closest
    return (distance / limit if limit else 0.0), algorithm, name


def summary(records: Iterable[ReviewRecord]) -> Summary:
    """Return the summary of these items."""
    found = Summary()
    for record in records:
        found = found.with_record(record)
    return found


PART = "", "", "", "part"
"""What a record says besides its matches if a crop of its picture came closest: nobody who saw the
crop alone has seen the rest."""
UNNAMED = "", "", "", "unnamed"
"""What it says if it matches more than it names: the others may be of any list. The distance is the
number of all, with a minus: the more, the more there is that nobody has seen."""


def covered_by(records: Iterable[ReviewRecord]) -> str:
    """Return what a decision about some records covers, as text: all that their matches say."""
    closest: dict[tuple[str, ...], int] = {}
    for record in records:
        for said, distance in _said(record):
            closest[said] = min(distance, closest.get(said, distance))
    rows = [(*said, distance) for said, distance in sorted(closest.items())]
    return msgspec.json.encode(rows).decode()


def news(record: ReviewRecord, covered: str) -> str:
    """Return what a record says that no decision covers, in words; empty if there is nothing.

    `covered` is what `covered_by` returned. Another image, frame, surface or limit is no news, nor
    is how the picture was turned: it is the same one, and the question about it the same.
    """
    rows = from_json(covered, list[tuple[str, str, str, str, int]])
    closest = {tuple(said): distance for *said, distance in rows}
    for said, distance in _said(record):
        if said not in closest:
            if said == PART:
                return "another picture, of which only a part is the same,"
            if said == UNNAMED:
                return "a record of more matches than are named"
            if said[0] not in {name for name, *_ in closest}:
                return "a match of another list"
            return "a match of another entry" if not said[3] else "another label or source"
        if distance < closest[said]:
            return "a closer match" if said != UNNAMED else "a record of more matches"
    return ""


def _said(record: ReviewRecord) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield each list, algorithm, entry and label or source that a record names, and how near.

    References to entries without an id may be others in each version of a list, which says nothing
    of the picture: the closest stands for them all.
    """
    if record.hash.variant not in WHOLE:
        yield PART, 0
    if record.match_count > len(record.matches):
        yield UNNAMED, -record.match_count
    for match in record.matches:
        entry = REFERENCE if match.entry.startswith(REFERENCE) else match.entry
        labels = (f"label {label}" for label in match.labels)
        sources = (f"source {source}" for source in match.sources)
        for said in ("", *labels, *sources):
            key = match.list, match.algorithm, entry, said
            yield tuple(map(storable, key)), match.distance


class StandingDecision(NamedTuple):
    """A decision that was not undone, about the records that are asked about now."""

    number: int
    verdict: str
    reviewer: str
    needed: int
    decided_at: int
    final_at: int


def state_of(standing: Sequence[StandingDecision]) -> tuple[CaseState, str]:
    """Return the state of a case, and who may not decide about it next (empty: all may).

    The reviewer who confirmed it cannot be the second to confirm it. If a second does not confirm
    what the first did, neither is taken for the truth: somebody else has to look.
    """
    if not standing:
        return CaseState.PENDING_REVIEW, ""
    verdicts = {decision.verdict for decision in standing}
    if len(verdicts) > 1:
        return CaseState.ESCALATED, ""
    (verdict,) = verdicts
    people = {decision.reviewer for decision in standing}
    if verdict == Verdict.CONFIRMED and len(people) < max(one.needed for one in standing):
        return CaseState.PENDING_REVIEW, min(people)
    return CaseState(verdict), ""


def priority(found: Summary, opened_at: int, settings: Settings) -> int:
    """Return how soon a case is to be looked at: the higher, the sooner.

    Its opening, in seconds, counts against it, and a lead for it: by closeness, by quality and by
    the label that weighs most; `CHROME_LAG` counts against it where its matches say little. All
    wait equally fast, so the order of two never changes.
    """
    if not found.items:
        return 0
    near = 1 - (found.distance / found.max_distance if found.max_distance else 0.0)
    good = 1.0 if found.quality is None else found.quality / 100
    weights = [
        settings.label_weights[name] for name in found.labels if name in settings.label_weights
    ]
    lead = near * NEAREST_LEAD + good * BEST_LEAD + max(weights, default=0.0) * HOUR
    lag = CHROME_LAG if found.mostly_chrome else 0
    return round(lead) - lag - opened_at // SECOND


def is_held(row: CaseRow, settings: Settings) -> bool:
    """Return whether a case is kept whatever its age."""
    by_rule = row.state in HELD and settings.hold_confirmed
    return row.hold in {"held", BY_DECISION} or (by_rule and row.hold != "released")


def waiting_rows(row: CaseRow) -> Iterator[tuple[str, str, str, int, int]]:
    """Yield where a case waits: for each of its labels and any, each of its surfaces and any."""
    if row.state != CaseState.PENDING_REVIEW or not row.items:
        return
    labels, surfaces = row.names
    for label in ("", *(label for label in labels if len(label) <= LONGEST_LABEL)):
        for surface in ("", *surfaces):
            yield label, surface, row.not_for, -row.priority, row.number


def load(database: Database, number: int) -> CaseRow | None:
    """Return the row of a case; None if there is no such case."""
    found = database.rows(f"SELECT {COLUMNS} FROM review_case WHERE number = ?", (number,))
    return CaseRow(*found[0]) if found else None


def load_all(database: Database, numbers: Sequence[int]) -> dict[int, CaseRow]:
    """Return the rows of some cases."""
    condition, value = database.among(numbers)
    sql = f"SELECT {COLUMNS} FROM review_case WHERE number {condition}"
    return {row[0]: CaseRow(*row) for row in database.rows(sql, (value,))}


def pages(database: Database) -> Iterator[list[CaseRow]]:
    """Yield the rows of all cases, a thousand at a time."""
    number = 0
    while found := database.rows(
        f"SELECT {COLUMNS} FROM review_case WHERE number > ? ORDER BY number LIMIT 1000", (number,)
    ):
        yield [CaseRow(*row) for row in found]
        number = found[-1][0]


def save(database: Database, changes: Iterable[tuple[CaseRow | None, CaseRow]]) -> None:
    """Write cases, each as it was (None if it is new) and as it is now, and where they wait."""
    new: list[CaseRow] = []
    changed: list[tuple[object, ...]] = []
    gone, come = set[tuple[object, ...]](), set[tuple[object, ...]]()
    for before, after in changes:
        if before is None:
            new.append(after)
        elif before != after:
            changed.append((*after[1:], after.number))
            gone.update(waiting_rows(before))
        else:
            continue
        come.update(waiting_rows(after))
    both = gone & come
    condition = "label = ? AND surface = ? AND not_for = ? AND later = ? AND case_number = ?"
    if gone - both:
        database.run_all(f"DELETE FROM waiting WHERE {condition}", sorted(gone - both))
    if new:
        database.insert("review_case", new)
    if changed:
        database.run_all(f"UPDATE review_case SET {_SET} WHERE number = ?", changed)
    if come - both:
        database.insert("waiting", sorted(come - both))
