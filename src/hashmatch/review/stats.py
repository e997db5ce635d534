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
from hashmatch.records.review import ReviewRecord
from hashmatch.records.shares import Share, wilson
from hashmatch.review.text import micros, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hashmatch.review.database import Database, Transaction

AGES = tuple(
    timedelta(hours=hours) for hours in (1, 4, 12, 24, 3 * 24, 7 * 24, 14 * 24, 30 * 24, 90 * 24)
)
"""Up to which ages waiting cases are counted together; the last group is older."""
CASES_PER_QUERY = 1000


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of a queue at one moment; times and days are UTC.

    `waiting` counts cases that wait for a person or are held by one, and `oldest` is how long the
    oldest has been there. `ages` says how many of them are up to that old, and older than the one
    before; None is the rest. `decisions` are those that were not undone. `agreement` is of the
    cases that two people decided without seeing each other's: those where both said the same.
    `precision` is confirmed as a share of confirmed and not a match, by list and algorithm, then by
    distance.
    """

    at: datetime
    waiting: int
    oldest: timedelta | None
    ages: tuple[tuple[timedelta | None, int], ...]
    decisions: Mapping[date, Mapping[Verdict, int]]
    agreement: Share
    precision: tuple[Precision, ...]


class Precision(NamedTuple):
    """Of the decided cases that a list's entries matched, how many were confirmed.

    ``distance`` is that of the closest match of the list in the case, in bits of ``algorithm``;
    None stands for every distance. Cases count, not records: one picture is decided once.
    """

    list: str
    algorithm: str
    distance: int | None
    share: Share


def statistics(tx: Transaction) -> Statistics:
    """Return the statistics of a queue."""
    database, now = tx.database, moment(tx.now)
    counts, oldest = _ages(database, now)
    return Statistics(
        at=now,
        waiting=sum(count for _, count in counts),
        oldest=oldest,
        ages=counts,
        decisions=_decisions(database),
        agreement=_agreement(database),
        precision=_precision(database),
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
    >>> from hashmatch.review.stats import Precision
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


def _precision(database: Database) -> tuple[Precision, ...]:
    confirmed, all_ = Counter[tuple[str, str, int | None]](), Counter[tuple[str, str, int | None]]()
    for state, closest in _decided(database):
        for (name, algorithm), distance in closest.items():
            for key in ((name, algorithm, None), (name, algorithm, distance)):
                all_[key] += 1
                confirmed[key] += state == Verdict.CONFIRMED
    order = sorted(all_, key=lambda key: (key[0], key[1], -1 if key[2] is None else key[2]))
    return tuple(Precision(*key, wilson(confirmed[key], all_[key])) for key in order)


def _decided(database: Database) -> Iterator[tuple[str, dict[tuple[str, str], int]]]:
    """Yield the verdict on each case, and the closest match of each list in what it covers."""
    for verdict in (Verdict.CONFIRMED, Verdict.NOT_A_MATCH):
        after = 0
        while cases := database.rows(
            "SELECT number FROM review_case WHERE state = ? AND number > ? AND items > 0 "
            f"ORDER BY number LIMIT {CASES_PER_QUERY}",
            (verdict.value, after),
        ):
            condition, value = database.among([number for (number,) in cases])
            closest: dict[int, dict[tuple[str, str], int]] = defaultdict(dict)
            for case, line in database.rows(
                f"SELECT case_number, line FROM item WHERE case_number {condition} "
                "AND round > 0 AND line IS NOT NULL",
                (value,),
            ):
                found = closest[case]
                for match in ReviewRecord.from_json(line).matches:
                    key = match.list, match.algorithm
                    found[key] = min(match.distance, found.get(key, match.distance))
            yield from ((verdict.value, found) for found in closest.values())
            after = cases[-1][0]
