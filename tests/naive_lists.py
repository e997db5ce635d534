"""A list kept by its rules alone, in lists and dicts: what hashmatch has to come to as well."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple

Time = tuple[float, int, float]
"""Seconds; how many deliveries there were without the clock going on; what is claimed beyond."""
Subject = tuple[Any, ...]


class Row(NamedTuple):
    """A row of a delivery; ``said`` is None if it has no time, else when it begins and ends."""

    name: str | None
    space: str
    algorithm: str
    value: str
    label: str
    said: tuple[float, float] | None
    how: str
    unique: bool

    @property
    def subjects(self) -> set[Subject]:
        """What a withdrawal, or a row that says that something is benign, is about."""
        of_hash = self.algorithm, self.value
        if self.how == "by id" and self.name is not None:
            return {("id", self.space, self.name)}
        if self.name is None or (self.how == "benign" and not self.unique):
            return {("hash", *of_hash)}
        if not self.unique:
            return {("pair", self.space, self.name, *of_hash), ("bare", *of_hash)}
        of_kind = ("kind", self.space, self.name, self.algorithm)
        of_id = ("id", self.space, self.name)
        return {of_kind if self.how == "benign" else of_id, ("bare", *of_hash)}


class Fact(NamedTuple):
    """What a row says, and when."""

    row: Row
    begin: Time
    end: Time

    @property
    def earliest(self) -> Time:
        """When it may have been said; of what has no time, only when it came is known."""
        return self.begin if self.row.said is not None else (-inf, 0, -inf)

    @property
    def pair(self) -> tuple[str, str | None, str, str]:
        row = self.row
        return row.space, row.name, row.algorithm, row.value

    @property
    def same(self) -> tuple[Any, ...]:
        return *self.pair, self.row.label

    @property
    def rank(self) -> tuple[Time, Time, bool, bool]:
        unique = self.row.unique and self.row.name is not None
        return self.begin, self.end, unique, self.row.said is not None

    @property
    def subjects(self) -> set[Subject]:
        """What it may be meant by."""
        space, name, *of_hash = self.pair
        if name is None:
            return {("bare", *of_hash), ("hash", *of_hash)}
        return {
            ("id", space, name),
            ("kind", space, name, of_hash[0]),
            ("pair", *self.pair),
            ("hash", *of_hash),
        }

    def concerns(self, other: Fact) -> bool:
        """Whether it says something of what another is about."""
        if self.row.unique and self.row.name is not None:
            return self.pair[:3] == other.pair[:3]
        return self.pair == other.pair


@dataclass
class Outcome:
    """What a delivery did: counts of entries and of rows, and ids."""

    counts: Counter[str]
    older: Counter[str | None]
    without_effect: Counter[str | None]


@dataclass
class NaiveList:
    """A list, and all that is known of it; hashes that are `hidden` are in quarantine."""

    hidden: frozenset[str] = frozenset()
    live: list[Fact] = field(default_factory=list)
    withdrawn: list[Fact] = field(default_factory=list)
    benign: list[Fact] = field(default_factory=list)
    lost: list[Fact] = field(default_factory=list)
    now: tuple[float, int] = (-inf, 0)

    def deliver(self, rows: list[Row], clock: float, *, whole: bool) -> Outcome:
        """Take a delivery: all of a list, or what has changed."""
        self.now = (clock, 0) if clock > self.now[0] else (self.now[0], self.now[1] + 1)
        before, facts = self.live, [self._dated(row) for row in rows]
        listed = [fact for fact in facts if fact.row.how == "listed"]
        benign = [fact for fact in facts if fact.row.how == "benign"]
        withdrawn = [fact for fact in facts if fact.row.how.startswith("by")]
        if whole:
            self.withdrawn, self.benign, self.lost = [], [], []
        counts: Counter[str] = Counter()
        stands, older = self._settle(listed, withdrawn, benign, counts)
        there = [] if whole else before
        gone = [o for o in there if taken_out(o, withdrawn) or any(
            b.row.subjects & o.subjects and o.earliest <= b.end for b in benign)]  # fmt: skip
        late = [n for n in stands if any(o.concerns(n) and o.begin > n.end for o in there)]
        news = [n for n in stands if n not in late]
        best: dict[tuple[Any, ...], Fact] = {}
        for o in there:
            restated = any(n.concerns(o) and n.end >= o.begin for n in news)
            repeated = any(n.same == o.same for n in news)
            if o not in gone and (repeated or not restated):
                best[o.same] = o
        for n in news:
            best[n.same] = max(best.get(n.same, n), n, key=lambda fact: fact.rank)
        self.live = list(best.values())
        self.withdrawn += withdrawn
        self.benign += benign
        self.lost += gone
        left = self._difference(before, withdrawn, benign, counts)
        idle = Counter(
            first[0]
            for first, of in _by_subject(withdrawn).items()
            if not any(
                subject in fact.subjects
                and fact.earliest <= max(w.end for w in withdrawn if subject in w.row.subjects)
                for subject in of
                for fact in [*listed, *(left if whole else before)]
            )
        )
        if not whole:
            idle.update(n.row.name for n in news if n.same in {b.same for b in before})
        return Outcome(counts, Counter(f.row.name for f in [*older, *late]), idle)

    def matched(self, facts: list[Fact]) -> list[Fact]:
        """Those that are not in quarantine."""
        return [fact for fact in facts if fact.row.value not in self.hidden]

    def _dated(self, row: Row) -> Fact:
        base, count = self.now
        if row.said is None:
            return Fact(row, (base, count, -inf), (base, count, inf))
        begin, end = ((time, 0, -inf) if time <= base else (base, count, time) for time in row.said)
        return Fact(row, begin, end)

    def _settle(
        self, listed: list[Fact], withdrawn: list[Fact], benign: list[Fact], counts: Counter[str]
    ) -> tuple[list[Fact], list[Fact]]:
        """Return what stands of a delivery, and what is older than what was withdrawn before."""
        best: dict[tuple[Any, ...], Fact] = {}
        older, lost = [], []
        for one in listed:
            if taken_out(one, withdrawn) or cleared(one, benign):
                counts["withdrawn rows"] += 1
                lost.append(one)
            elif taken_out(one, self.withdrawn, later=True) or cleared(one, self.benign) or any(
                other.row.unique and other.row.name is not None
                and other.pair[:3] == one.pair[:3] and one.end < other.begin
                for other in self.lost
            ):  # fmt: skip
                older.append(one)
                lost.append(one)
            elif any(other.concerns(one) and other.begin > one.end for other in listed):
                counts["superseded rows"] += 1
            else:
                counts["repeated rows"] += one.same in best
                best[one.same] = max(best.get(one.same, one), one, key=lambda fact: fact.rank)
        self.lost += lost
        return list(best.values()), older

    def _difference(
        self, before: list[Fact], withdrawn: list[Fact], benign: list[Fact], counts: Counter[str]
    ) -> list[Fact]:
        """Count how the list differs; return what only the one before had."""
        before, after = self.matched(before), self.matched(self.live)
        here, there = {f.same for f in after}, {f.same for f in before}
        left = [fact for fact in before if fact.same not in here]
        new = Counter(fact.pair for fact in after if fact.same not in there)
        counts["added"] = new.total()

        def out(fact: Fact) -> bool:
            return taken_out(fact, withdrawn) or any(
                b.row.subjects & fact.subjects and fact.earliest <= b.end for b in benign
            )

        for fact in sorted(left, key=out):
            if new[fact.pair]:
                new[fact.pair] -= 1
                counts["changed"] += 1
                counts["added"] -= 1
            elif out(fact):
                counts["withdrawn"] += 1
            elif any(other.concerns(fact) for other in self.live):
                counts["superseded"] += 1
            else:
                counts["dropped"] += 1
        return left


def taken_out(fact: Fact, withdrawn: list[Fact], *, later: bool = False) -> bool:
    """Whether a withdrawal takes out a fact that was delivered with it or before, or ``later``."""
    begin = fact.begin if later else fact.earliest
    return any(w.row.subjects & fact.subjects and begin <= w.end for w in withdrawn)


def cleared(fact: Fact, benign: list[Fact]) -> bool:
    """Whether something was said to be benign after all of a fact."""
    return any(b.row.subjects & fact.subjects and fact.end < b.begin for b in benign)


def _by_subject(withdrawn: list[Fact]) -> dict[tuple[Any, ...], set[Subject]]:
    """What is withdrawn, by its id and what it says of it."""
    found: dict[tuple[Any, ...], set[Subject]] = {}
    for fact in withdrawn:
        first = max(fact.row.subjects - {("bare", *fact.pair[2:])} or fact.row.subjects)
        found.setdefault((fact.row.name, first), set()).update(fact.row.subjects)
    return found
