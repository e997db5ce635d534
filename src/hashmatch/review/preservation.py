"""Preservation: what was reported is kept for a year or longer, and nothing removes it before.

Law of the United States asks providers to keep what a report to NCMEC holds for a year (18 U.S.C.
2258A(h)). The clock begins when the report was filed. Two people together extend it, or end it: one
asks with a reason, and another answers. While it runs, or an extension is asked for, `ReviewQueue`
neither purges the records of the case nor lets them be released. All of it follows from the events
of the history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.errors import ReviewError, UsageError
from hashmatch.review import history
from hashmatch.review.cases import find_row
from hashmatch.review.holds import folded, load_preservation, load_preserved
from hashmatch.review.text import check_person, check_text, is_same_person, micros, moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from hashmatch.review.holds import Action, Preservation
    from hashmatch.review.queue import ReviewQueue

LONGEST_NUMBER = 100
"""Characters of the number of a report."""


def preserve(
    queue: ReviewQueue, case_id: str, number: str, filed: datetime, who: str
) -> Preservation:
    """Enter the number of a report that was filed about a case, which is preserved from then on.

    Parameters
    ----------
    queue : ReviewQueue
        With the case.
    case_id : str
        Id of the case, or its number.
    number : str
        That the report was given by whom it was filed with.
    filed : datetime
        When it was filed.
    who : str
        Name of the person who enters it.

    Returns
    -------
    Preservation
        Until `Settings.keep_reported` after `filed`, or later if it was before.

    Raises
    ------
    ReviewError
        If the case has no records any more, or the number stands there already.
    UsageError
        If the number is empty, or `filed` is in the future.
    """
    check_person(who)
    check_text("the number of a report", number)
    number = number.strip()
    if not number or len(number) > LONGEST_NUMBER or not number.isprintable():
        raise UsageError(
            f"cannot use this as the number of a report: it needs 1 to {LONGEST_NUMBER} printable "
            "characters"
        )
    with queue.transaction() as tx:
        row = find_row(tx, case_id)
        case = tx.case_id(row.number)
        filed_at = micros(filed)
        if filed_at > tx.now:
            raise UsageError(
                f"cannot preserve {case}: a report that is filed in the future was not filed yet. "
                "Give the time at which it was."
            )
        if not row.items:
            raise ReviewError(f"cannot preserve {case}: all its records have expired")
        before = load_preservation(tx, row.number)
        if before is not None and number in {report.number for report in before.reports}:
            raise ReviewError(
                f"cannot preserve {case}: report {number} is entered already. If the day was "
                "wrong, run hashmatch review preserve extend."
            )
        until = filed_at + micros(tx.settings.keep_reported)
        history.append(
            tx, who, "preserved", row.number, report=number, filed_at=filed_at, until=until
        )
        return load_preserved(tx, row.number)


def ask(
    queue: ReviewQueue,
    case_id: str,
    action: Action,
    who: str,
    reason: str,
    until: datetime | None = None,
) -> Preservation:
    """Ask that a case is preserved for longer, or no longer; a second person answers.

    Parameters
    ----------
    queue : ReviewQueue
        With the case.
    case_id : str
        Id of the case, or its number.
    action : {"extend", "release"}
        What is asked for.
    who, reason : str
        Name of the person who asks, and on what ground; not empty.
    until : datetime, optional
        To extend it: until when.

    Returns
    -------
    Preservation
        With what was asked.

    Raises
    ------
    ReviewError
        If it is not preserved, something is asked already, or `until` is no later than now it is.
    UsageError
        If there is no reason, or `until` is there only if it has to be.
    """
    check_person(who)
    check_text("a reason", reason)
    if not reason.strip():
        raise UsageError(f"cannot {action} without a reason. Say on what ground")
    if (action == "extend") != (until is not None):
        raise UsageError(
            f"cannot {action}: a time until which it is preserved is given to extend it, and only "
            "then"
        )
    with queue.transaction() as tx:
        row = find_row(tx, case_id)
        case, found = tx.case_id(row.number), load_preserved(tx, row.number)
        if not row.items:
            raise ReviewError(f"cannot {action} {case}: all its records have expired")
        if found.asked is not None:
            raise ReviewError(
                f"cannot {action} {case}: {found.asked.who} asked to {found.asked.action} it, and "
                "nobody has answered. Approve or refuse that first."
            )
        if not found.is_running(moment(tx.now)) and action == "release":
            raise ReviewError(f"cannot release {case}: its preservation has ended already")
        if until is not None and until <= max(found.until or moment(tx.now), moment(tx.now)):
            raise ReviewError(
                f"cannot extend {case}: it is preserved until then already. Give a later time."
            )
        end = None if until is None else micros(until)
        history.append(
            tx, who, "preservation_asked", row.number, action=action, until=end, reason=reason
        )
        return load_preserved(tx, row.number)


def answer(
    queue: ReviewQueue, case_id: str, who: str, *, approve: bool, reason: str = ""
) -> Preservation:
    """Approve or refuse what another person asked for.

    Parameters
    ----------
    queue : ReviewQueue
        With the case.
    case_id : str
        Id of the case, or its number.
    who : str
        Name of the person who answers; not the one who asked.
    approve : bool
        Whether it is done.
    reason : str
        Why, for the history.

    Returns
    -------
    Preservation
        As it is then.

    Raises
    ------
    ReviewError
        If nothing is asked, or `who` asked for it.
    """
    check_person(who)
    check_text("a reason", reason)
    verb = "approve" if approve else "refuse"
    with queue.transaction() as tx:
        row = find_row(tx, case_id)
        case, found = tx.case_id(row.number), load_preserved(tx, row.number)
        asked = found.asked
        if asked is None:
            raise ReviewError(f"cannot {verb} this for {case}: nothing is asked for")
        if is_same_person(who, asked.who):
            raise ReviewError(
                f"cannot {verb} this for {case}: {asked.who} asked for it. Ask somebody else."
            )
        done = {"extend": "extended", "release": "released"}[asked.action] if approve else "refused"
        end = None if asked.until is None else micros(asked.until)
        history.append(
            tx, who, f"preservation_{done}", row.number, asked=asked.event, until=end, reason=reason
        )
        return load_preserved(tx, row.number)


def preservations(queue: ReviewQueue, *, ended: bool = False) -> list[Preservation]:
    """Return the preservations that run, what ends next first.

    Parameters
    ----------
    queue : ReviewQueue
        With the cases.
    ended : bool
        Also return those that have ended, or were ended.
    """
    with queue.transaction(read_only=True) as tx:
        found = folded(tx, history.indexed(tx, history.PRESERVATION))
        now = moment(tx.now)
    wanted = [one for one in found.values() if ended or one.is_running(now)]
    return sorted(wanted, key=lambda one: (one.until or now, one.case_id))


def unreported(queue: ReviewQueue) -> Iterator[str]:
    """Yield the ids of confirmed cases that have no number of a report, oldest first.

    Parameters
    ----------
    queue : ReviewQueue
        With the cases.
    """
    with queue.transaction(read_only=True) as tx:
        entered = {event.case_id for event in history.indexed(tx, frozenset({"preserved"}))}
        rows = tx.database.rows(
            "SELECT number FROM review_case WHERE state = 'confirmed' AND items > 0 ORDER BY number"
        )
        cases = [tx.case_id(number) for (number,) in rows]
    return (case for case in cases if case not in entered)


def preservation(queue: ReviewQueue, case_id: str) -> Preservation | None:
    """Return how long a case is preserved; None if it never was.

    Parameters
    ----------
    queue : ReviewQueue
        With the case.
    case_id : str
        Id of the case, or its number.
    """
    with queue.transaction(read_only=True) as tx:
        return load_preservation(tx, find_row(tx, case_id).number)
