"""Where records go, if that is to several places."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.interfaces import Sink
    from hashmatch.records.review import ReviewRecord


class Sinks:
    """Hands each record to each of some sinks, in their order.

    With ``--state``, a scan that goes on hands over all records again, from the first: a sink that
    keeps what it was given before knows them by their ``record_id``.

    Parameters
    ----------
    sinks : sequence of Sink
        At least one.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)

    def write(self, record: ReviewRecord) -> None:
        """Hand over one record."""
        for sink in self._sinks:
            sink.write(record)

    def close(self) -> None:
        """Finish each; if one cannot, those after it are left as they are when a scan stops."""
        for number, sink in enumerate(self._sinks):
            try:
                sink.close()
            except BaseException:
                for other in self._sinks[number + 1 :]:
                    other.abandon()
                raise

    def abandon(self) -> None:
        """Stop early."""
        for sink in self._sinks:
            sink.abandon()
