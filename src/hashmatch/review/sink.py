"""A sink that adds review records to a queue, each once however often it is written."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hashmatch.errors import ReviewError
from hashmatch.records.cases import Origin
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.results import Added, summed

if TYPE_CHECKING:
    from hashmatch.records.review import ReviewRecord

RECORDS_PER_FLUSH = 250
SECONDS_PER_FLUSH = 2.0
"""Records are added after it though there are few: people wait for them."""


class ReviewSink:
    """Writes review records into a queue; see `hashmatch.interfaces.Sink`.

    The queue knows each record by its id, so a scan that was killed at any moment writes all of its
    records again, or those since its last commit, and each is there once.

    Parameters
    ----------
    where : str
        The queue: a file, or ``postgresql://...``. It has to be there.
    source : str
        Location of the source of the pictures, so that people can be shown them later.
    who : str
        Name of the person who scans, for the history.

    Raises
    ------
    ReviewError
        If there is no queue, now or when it is written to.
    """

    def __init__(self, where: str, source: str = "", *, who: str = "hashmatch") -> None:
        self._queue = ReviewQueue.open(where)
        self._source = source
        self._who = who
        self._records: list[tuple[ReviewRecord, Origin]] = []
        self._began = time.monotonic()
        self.added = Added()

    def write(self, record: ReviewRecord, location: str = "") -> None:
        """Take one record; it is in the queue when the next ones are, or at `close`.

        Parameters
        ----------
        record : ReviewRecord
            With the hash of its picture (``include_hash``), for records of one picture to be one
            case.
        location : str
            The `ImageItem.location` of the picture.
        """
        if not self._records:
            self._began = time.monotonic()
        self._records.append((record, Origin(self._source, location)))
        is_late = time.monotonic() - self._began >= SECONDS_PER_FLUSH
        if is_late or len(self._records) >= RECORDS_PER_FLUSH:
            self.flush()

    def flush(self) -> None:
        """Add what was written to the queue."""
        added = self._queue.add(self._records, who=self._who)
        self._records = []
        self.added = summed(self.added, added)

    def close(self) -> None:
        """Finish: every record is in the queue when this returns."""
        self.flush()
        self._queue.close()

    def abandon(self) -> None:
        """Stop early: what was written stays."""
        with suppress(ReviewError):  # it may be why the scan stops
            self.flush()
        self._queue.close()
