"""Where the service puts its records: a review queue, each record once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hashmatch.records.cases import Origin
from hashmatch.review.queue import ReviewQueue

if TYPE_CHECKING:
    from hashmatch.records.review import ReviewRecord


class Review:
    """A review queue that records are put into as they come; used by many threads.

    Parameters
    ----------
    where : str
        The queue: a file, or ``postgresql://...``.
    source : str
        Location of the source of the pictures, so that people can be shown them.
    who : str
        Who adds them, for the history.

    Raises
    ------
    ReviewError
        If there is no queue.
    """

    def __init__(self, where: str, source: str = "", who: str = "service") -> None:
        self._queue = ReviewQueue.open(where)
        self._source, self._who = source, who
        self._lock = threading.Lock()

    def add(self, record: ReviewRecord) -> None:
        """Put a record in the queue; it is there when this returns, once however often it is added.

        Raises
        ------
        ReviewError
            If it cannot be.
        """
        with self._lock:
            self._queue.add([(record, Origin(self._source, ""))], who=self._who)

    def close(self) -> None:
        """Close the queue."""
        self._queue.close()
