"""Log-ins, failed log-ins and uncovered pictures as events of the history.

What cannot be recorded is not done: a log-in or a picture is refused with QueueUnavailable while
the event cannot be written. Failed log-ins are counted here and written by `FailedLogins.write`, so
that strangers neither wait for the database nor fill it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from hashmatch.errors import HashmatchError, ReviewError
from hashmatch.records.cases import CaseState
from hashmatch.review import history
from hashmatch.review.cases import find_row
from hashmatch.review.leases import check_held

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hashmatch.review.queue import ReviewQueue

LOG = logging.getLogger("hashmatch.review.access")
FAILURES_INTERVAL = 600.0
"""Seconds between two events about failed log-ins with one name: at most 144 a day."""


def record_login(queue: ReviewQueue, name: str) -> None:
    """Record that a reviewer logged in.

    Parameters
    ----------
    queue : ReviewQueue
        With the history.
    name : str
        Of the reviewer, whose token was checked.

    Raises
    ------
    QueueUnavailable
        If it cannot be written within `ReviewQueue.patience`; nobody is to be let in then.
    """
    with queue.transaction() as tx:
        history.append(tx, name, "logged_in")


def record_view(
    queue: ReviewQueue,
    case_id: str,
    reviewer: str,
    record_id: str,
    extent: str,
    *,
    whole: bool = False,
    second: float | None = None,
    held: bool = True,
) -> None:
    """Record that a reviewer uncovers the picture of a record.

    Parameters
    ----------
    queue : ReviewQueue
        With the history.
    case_id, reviewer : str
        Id of the case, and name of who looks.
    record_id : str
        Record whose picture it is.
    extent : str
        How far it is uncovered, as ``colour``.
    whole : bool
        Whether that is all there is to be seen in the file: it has no other frame or page.
    second : float, optional
        Of a video: where in it the frame is that is uncovered.
    held : bool
        Whether only who holds the case may look; otherwise it has to be a confirmed one, of which
        a draft is signed off.

    Raises
    ------
    ReviewError
        If the reviewer may not look, or the case has no such record.
    QueueUnavailable
        If it cannot be written within `ReviewQueue.patience`; nothing is to be shown then.
    """
    said: dict[str, object] = {"extent": extent, "whole": whole}
    if second is not None:
        said["second"] = second
    _record(queue, "uncovered", case_id, reviewer, record_id, said, held=held)


def record_exif(
    queue: ReviewQueue, case_id: str, reviewer: str, record_id: str, *, held: bool = True
) -> None:
    """Record that a reviewer is shown the EXIF data of the file of a record.

    Parameters
    ----------
    queue : ReviewQueue
        With the history.
    case_id, reviewer : str
        Id of the case, and name of who looks.
    record_id : str
        Record whose file it is.
    held : bool
        As for `record_view`.

    Raises
    ------
    ReviewError
        If the reviewer may not look, or the case has no such record.
    QueueUnavailable
        If it cannot be written within `ReviewQueue.patience`; nothing is to be shown then.
    """
    _record(queue, "exif_viewed", case_id, reviewer, record_id, {}, held=held)


def _record(
    queue: ReviewQueue,
    kind: str,
    case_id: str,
    reviewer: str,
    record_id: str,
    said: Mapping[str, object],
    *,
    held: bool,
) -> None:
    with queue.transaction() as tx:
        row = find_row(tx, case_id)
        if held:
            check_held(tx, row, reviewer)
        elif row.state != CaseState.CONFIRMED:
            raise ReviewError(
                f"cannot show a record of {tx.case_id(row.number)}: it is {row.state}, and only "
                "who holds it may look. Take it first."
            )
        if not tx.database.rows(
            "SELECT 1 FROM item WHERE record_id = ? AND case_number = ? AND line IS NOT NULL",
            (record_id, row.number),
        ):
            case = tx.case_id(row.number)
            raise ReviewError(
                f"cannot show that record of {case}: it has none such. Take it again."
            )
        history.append(tx, reviewer, kind, row.number, record=record_id, **said)


class FailedLogins:
    """Counts failed log-ins until they are written to the history.

    Names that no reviewer has are counted together and kept nowhere: people type their tokens into
    the wrong field, and strangers have many names. Of each reviewer's name, and of all others
    together, there is one event at most in `FAILURES_INTERVAL`, with the number of failures since
    the last one; the first is written at once. Used by many threads.

    Parameters
    ----------
    queue : ReviewQueue
        With the history and the reviewers.
    clock : callable
        Returns monotonic seconds; for tests.
    """

    def __init__(self, queue: ReviewQueue, clock: Callable[[], float] = time.monotonic) -> None:
        self._queue = queue
        self._clock = clock
        self._counts = Counter[str]()
        self._not_before: dict[str, float] = {}
        self._lock, self._writing = threading.Lock(), threading.Lock()

    def count(self, name: str) -> None:
        """Count a failure with a name; it waits for nobody who writes."""
        key = name if self._queue.reviewers.has(name) else ""
        with self._lock:
            self._counts[key] += 1

    def write(self) -> None:
        """Write what is due; QueueUnavailable if that cannot be now, and nothing is lost by it."""
        now = self._clock()
        with self._lock:
            due = [key for key in self._counts if self._not_before.get(key, now) <= now]
        self._write(due, now)

    def close(self) -> None:
        """Write all there is, as far as possible; a warning says how many are lost."""
        with self._lock:
            keys = list(self._counts)
        try:
            self._write(keys, self._clock())
        except HashmatchError as error:
            LOG.warning("lost %d failed log-ins: %s", self._counts.total(), error)

    def _write(self, keys: list[str], now: float) -> None:
        with self._writing:
            for key in keys:
                count = self._counts[key]
                if not count:
                    continue
                with self._queue.transaction() as tx:
                    name = key or None
                    history.append(tx, "hashmatch", "login_failed", name=name, count=count)
                with self._lock:
                    self._not_before[key] = now + FAILURES_INTERVAL
                    self._counts[key] -= count
                    if not self._counts[key]:
                        del self._counts[key]
