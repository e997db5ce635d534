"""Statistics of a review queue: waiting times, decisions, agreement, and how often lists are right.

Nothing changes by them. `thresholds` helps to choose ``--max-distance``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, NamedTuple

from hashmatch.errors import UsageError
from hashmatch.records.cases import Verdict
from hashmatch.records.review import ReviewRecord, family
from hashmatch.records.shares import LimitCost, Precision, Share, wilson
from hashmatch.review.text import micros, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hashmatch.review.database import Database, Transaction

    _Key = tuple[str, str, int | None, str | None]

AGES = tuple(
    timedelta(hours=hours) for hours in (1, 4, 12, 24, 3 * 24, 7 * 24, 14 * 24, 30 * 24, 90 * 24)
)
"""Up to which ages waiting cases are counted together; the last group is older."""
CASES_PER_QUERY = 1000
UNKNOWN = "unknown"
"""The variant of a match of hashes that were computed elsewhere."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of a queue at one moment; times and days are UTC.

    `waiting` counts cases that wait for a person or are held by one, and `oldest` is how long the
    oldest has been there. `ages` says how many of them are up to that old, and older than the one
    before; None is the rest. `decisions` are those that were not undone. `agreement` is of the
    cases that two people decided without seeing each other's: those where both said the same.
    `precision` is confirmed as a share of confirmed and not a match, by list and algorithm, then by
    distance; `variants` the same by the kind of question that came nearest.
    """

    at: datetime
    waiting: int
    oldest: timedelta | None
    ages: tuple[tuple[timedelta | None, int], ...]
    decisions: Mapping[date, Mapping[Verdict, int]]
    agreement: Share
    precision: tuple[Precision, ...]
    variants: tuple[Precision, ...] = ()


def statistics(tx: Transaction) -> Statistics:
    """Return the statistics of a queue."""
    database, now = tx.database, moment(tx.now)
    precision, variants = _precision(database)
    counts, oldest = _ages(database, now)
    return Statistics(
        at=now,
        waiting=sum(count for _, count in counts),
        oldest=oldest,
        ages=counts,
        decisions=_decisions(database),
        agreement=_agreement(database),
        precision=precision,
        variants=variants,
    )


class Threshold(NamedTuple):
    """What was decided about the matches of one list.

    ``all`` is the share of all its decided cases that were confirmed. ``reach`` is the largest
    distance up to which at least the wanted share was, and ``sure`` the largest one up to which the
    whole interval is above it; None if there is none.
    """

    list: str
    algorithm: str
    all: Share
    reach: Reach | None
    sure: Reach | None


def limit_costs(found: Iterable[Precision]) -> list[LimitCost]:
    """Return what each lower limit would have cost, and what it would have saved.

    Parameters
    ----------
    found : iterable of Precision
        `Statistics.precision` of a queue.

    Examples
    --------
    >>> counted = [Precision("demo", "pdq", d, wilson(*n)) for d, n in
    ...            {0: (40, 40), 10: (30, 31), 30: (2, 60)}.items()]
    >>> [(one.distance, one.share.part, one.missed, one.saved) for one in limit_costs(counted)]
    [(0, 40, 32, 59), (10, 70, 2, 58), (30, 72, 0, 0)]
    """
    by_distance = sorted(
        (one.list, one.algorithm, one.distance, one.share)
        for one in found
        if one.distance is not None
    )
    answer = []
    for (name, algorithm), group in groupby(by_distance, key=lambda row: row[:2]):
        rows = list(group)
        confirmed, all_ = sum(row[3].part for row in rows), sum(row[3].whole for row in rows)
        part = whole = 0
        for _, _, distance, share in rows:
            part, whole = part + share.part, whole + share.whole
            saved = (all_ - confirmed) - (whole - part)
            answer.append(
                LimitCost(name, algorithm, distance, wilson(part, whole), confirmed - part, saved)
            )
    return answer


class Reach(NamedTuple):
    """Up to which distance enough of the decided cases were confirmed."""

    distance: int
    share: Share


def thresholds(found: Iterable[Precision], wanted: float) -> list[Threshold]:
    """Return for each list up to which distance its matches can be trusted.

    Parameters
    ----------
    found : iterable of Precision
        `Statistics.precision` of a queue.
    wanted : float
        The share of confirmed cases that is asked for, above 0 and up to 1.

    Returns
    -------
    list of Threshold
        One for each list and algorithm, sorted by their names.

    Raises
    ------
    UsageError
        If `wanted` is no such share.

    Examples
    --------
    >>> from hashmatch.records.shares import Precision
    >>> counted = [Precision("demo", "pdq", d, wilson(*n)) for d, n in
    ...            {0: (40, 40), 10: (30, 31), 20: (9, 10), 30: (2, 60)}.items()]
    >>> (one,) = thresholds(counted, 0.95)
    >>> one.reach.distance, one.sure
    (20, None)
    >>> thresholds(counted, 0.9)[0].sure.distance
    20
    """
    if not 0 < wanted <= 1:
        raise UsageError(f"cannot use {wanted} as a precision: it is above 0 and up to 1")
    by_distance = sorted(
        (each.list, each.algorithm, each.distance, each.share)
        for each in found
        if each.distance is not None
    )
    answer = []
    for (name, algorithm), rows in groupby(by_distance, key=lambda row: row[:2]):
        part = whole = 0
        reach: Reach | None = None
        sure: Reach | None = None
        for _, _, distance, share in rows:
            part, whole = part + share.part, whole + share.whole
            up_to = Reach(distance, wilson(part, whole))
            if whole and part / whole >= wanted:
                reach = up_to
            if up_to.share.low >= wanted:
                sure = up_to
        answer.append(Threshold(name, algorithm, wilson(part, whole), reach, sure))
    return answer


def _ages(
    database: Database, now: datetime
) -> tuple[tuple[tuple[timedelta | None, int], ...], timedelta | None]:
    waits = "FROM review_case WHERE state IN ('pending_review', 'in_review') AND items > 0"
    ((first,),) = database.rows(f"SELECT min(opened_at) {waits}")
    edges = [micros(now - age) for age in AGES]
    # One pass: of each edge, how many were opened at it or later.
    sums = ", ".join("coalesce(sum(CASE WHEN opened_at >= ? THEN 1 ELSE 0 END), 0)" for _ in edges)
    (row,) = database.rows(f"SELECT {sums}, count(*) {waits}", edges)
    within = [0, *map(int, row)]
    counts = [after - before for before, after in pairwise(within)]
    by_age = tuple(zip((*AGES, None), counts, strict=True))
    return by_age, None if first is None else now - moment(first)


def _decisions(database: Database) -> dict[date, dict[Verdict, int]]:
    days: dict[date, dict[Verdict, int]] = defaultdict(dict)
    day = micros(timedelta(days=1))
    for number, verdict, count in database.rows(
        f"SELECT decided_at / {day}, verdict, count(*) FROM decision WHERE undone_at IS NULL "
        f"GROUP BY decided_at / {day}, verdict ORDER BY decided_at / {day}, verdict"
    ):
        days[moment(number * day).date()][Verdict(verdict)] = count
    return dict(days)


def _agreement(database: Database) -> Share:
    both = database.rows(
        "SELECT count(DISTINCT verdict) FROM decision WHERE undone_at IS NULL AND needed > 1 "
        "GROUP BY case_number, round HAVING count(*) > 1"
    )
    return wilson(sum(different == 1 for (different,) in both), len(both))


def _precision(database: Database) -> tuple[tuple[Precision, ...], tuple[Precision, ...]]:
    """Return how often lists were right, by distance, and by variant."""
    confirmed: Counter[_Key] = Counter()
    all_: Counter[_Key] = Counter()
    for state, closest in _decided(database):
        for (name, algorithm), (distance, variant) in closest.items():
            for key in (
                (name, algorithm, None, None),
                (name, algorithm, distance, None),
                (name, algorithm, None, variant),
            ):
                all_[key] += 1
                confirmed[key] += state == Verdict.CONFIRMED
    order = sorted(
        all_, key=lambda key: (key[0], key[1], -1 if key[2] is None else key[2], key[3] or "")
    )
    found = [Precision(*key[:3], wilson(confirmed[key], all_[key]), key[3]) for key in order]
    return (
        tuple(one for one in found if one.variant is None),
        tuple(one for one in found if one.variant is not None),
    )


def _decided(
    database: Database,
) -> Iterator[tuple[str, dict[tuple[str, str], tuple[int, str]]]]:
    """Yield the verdict on each case, and the closest match of each list in what it covers."""
    for verdict in (Verdict.CONFIRMED, Verdict.NOT_A_MATCH):
        after = 0
        while cases := database.rows(
            "SELECT number FROM review_case WHERE state = ? AND number > ? AND items > 0 "
            f"ORDER BY number LIMIT {CASES_PER_QUERY}",
            (verdict.value, after),
        ):
            condition, value = database.among([number for (number,) in cases])
            closest: dict[int, dict[tuple[str, str], tuple[int, str]]] = defaultdict(dict)
            for case, line in database.rows(
                f"SELECT case_number, line FROM item WHERE case_number {condition} "
                "AND round > 0 AND line IS NOT NULL",
                (value,),
            ):
                found = closest[case]
                for match in ReviewRecord.from_json(line).matches:
                    key = match.list, match.algorithm
                    variant = match.variant if isinstance(match.variant, str) else UNKNOWN
                    near = match.distance, family(variant)
                    found[key] = min(near, found.get(key, near))
            yield from ((verdict.value, found) for found in closest.values())
            after = cases[-1][0]
