"""Where records go: to a file or standard output, to a queue for review, or both."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.interfaces import Sink
    from hashmatch.records.review import ReviewRecord

LOCAL = frozenset({"manifest", "jsonl", "parquet", "tar", "zip"})
"""Schemes of what is named by a path."""


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


class WithoutHash:
    """Hands records over without the hashes of their images.

    Parameters
    ----------
    sink : Sink
        To whom.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.close, self.abandon = sink.close, sink.abandon

    def write(self, record: ReviewRecord) -> None:
        """Hand over one record."""
        from msgspec import UNSET

        self._sink.write(replace(record, hash=replace(record.hash, value=UNSET)))


def open_sinks(out: str | None, review: str | None, source: str, include_hash: bool) -> Sinks:
    """Return what takes the records of a scan; all of it is opened before the first image.

    Parameters
    ----------
    out, review : str, optional
        A file, or ``-`` for standard output; and a queue. At least one of them.
    source : str
        What is scanned, for whoever looks at a picture later.
    include_hash : bool
        Whether hashes of images go anywhere but into the queue.
    """
    from hashmatch import registry

    sinks: list[Sink] = []
    if review is not None:
        from hashmatch.review.sink import ReviewSink

        sinks.append(ReviewSink(review, anywhere(source), who="scan"))
    if out is not None:
        sink = registry.open_sink(None if out == "-" else Path(out))
        sinks.append(WithoutHash(sink) if review is not None and not include_hash else sink)
    return Sinks(sinks)


def anywhere(source: str) -> str:
    """Return `source` as it is called from any folder: paths on this machine in full.

    Examples
    --------
    >>> anywhere("s3://photos/2026"), anywhere("tar:///srv/photos.tar")
    ('s3://photos/2026', 'tar:///srv/photos.tar')
    """
    scheme, separator, rest = source.partition("://")
    if not separator:
        return os.path.abspath(source)
    if scheme in LOCAL and not rest.startswith("/") and "://" not in rest.partition("?")[0]:
        return f"{scheme}://{os.path.abspath(rest)}"
    return source
