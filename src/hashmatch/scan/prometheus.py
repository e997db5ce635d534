"""Counters of a scan in the text format of Prometheus, for node_exporter's textfile collector.

The format is "Exposition formats" of Prometheus, version 0.0.4: HELP and TYPE before the samples of
each metric, counters called ``_total``, a line each.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from hashmatch._files import atomic
from hashmatch.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.scan.events import Counters, Event

EVERY = 5.0
"""Seconds between two writes, at least: Prometheus asks every 15 s or so."""

Samples = dict[str, float]


class MetricsFile:
    r"""Takes the events of a scan: give it as ``observe=``; the file has how far it has come.

    The file is written beside its place and moved there, so that nobody reads half of it. It is
    for everybody to read, since the collector is another user; it names no item, list or source.
    Each sample has the label ``scan``, the file's name without its suffix: several in one folder
    are told apart.

    Parameters
    ----------
    path : str or path
        ``NAME.prom`` in the collector's folder.
    every : float
        Seconds between two writes, at least; the first and the last event are always written.

    Raises
    ------
    SinkError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import hashmatch as hm
    >>> matcher = hm.Matcher(hm.read_list("fixtures/lists/demo-pdq.csv"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "nightly.prom")
    ...     picture = "fixtures/images/plain/tiles.png"
    ...     found = hm.scan_source(
    ...         picture, matcher, surface="public_post", observe=MetricsFile(path)
    ...     )
    ...     records = list(found)
    ...     print(*path.read_text().splitlines()[:3], sep="\n")
    # HELP hashmatch_listed_items_total Items that the source has listed.
    # TYPE hashmatch_listed_items_total counter
    hashmatch_listed_items_total{scan="nightly"} 1
    """

    def __init__(self, path: str | os.PathLike[str], every: float = EVERY) -> None:
        self._path, self._every = os.fspath(path), every
        self._scan = os.path.splitext(os.path.basename(self._path))[0]
        self._next = 0.0

    def __call__(self, event: Event) -> None:
        """Write the counters, if it is time."""
        running = event.kind not in {"end", "stop"}
        if running and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._every
        text = "".join(_lines(event.counters, self._scan, running))
        atomic.write(self._path, text.encode(), mode=0o644, error=SinkError)


def _lines(counters: Counters, scan: str, running: bool) -> Iterator[str]:
    common = f'scan="{_escaped(scan)}"'
    for name, kind, said, samples in _metrics(counters, running):
        yield f"# HELP hashmatch_{name} {said}\n# TYPE hashmatch_{name} {kind}\n"
        for label, value in samples.items():
            labels = f"{common},{label}" if label else common
            yield f"hashmatch_{name}{{{labels}}} {value:.15g}\n"


def _metrics(counters: Counters, running: bool) -> Iterator[tuple[str, str, str, Samples]]:
    def counter(name: str, said: str, value: float | Samples) -> tuple[str, str, str, Samples]:
        samples = value if isinstance(value, dict) else {"": value}
        return f"{name}_total", "counter", said, samples

    def gauge(name: str, said: str, value: float) -> tuple[str, str, str, Samples]:
        return name, "gauge", said, {"": value}

    outcomes = {f'outcome="{name}"': float(count) for name, count in counters.outcomes.items()}
    stages = {f'stage="{name}"': round(took, 6) for name, took in counters.seconds.items()}
    yield counter("listed_items", "Items that the source has listed.", counters.listed)
    yield counter("items", "Items that have ended in each outcome.", outcomes)
    yield counter("records", "Review records that wait for a person.", counters.records)
    yield counter("suppressed_records", "Review records kept out.", counters.suppressed)
    yield counter("alarms", "List entries that the breaker has tripped for.", counters.alarms)
    yield counter("fetched_items", "Items read.", counters.fetched)
    yield counter("fetched_bytes", "Bytes of items read.", counters.bytes)
    yield counter("retries", "Reads that were not the first of their item.", counters.retries)
    yield counter("decoded_items", "Items given to the decoder.", counters.decoded)
    yield counter("stage_seconds", "Time in each stage, of all threads together.", stages)
    yield gauge("reading_items", "Items being read.", counters.reading)
    yield gauge("waiting_items", "Items that wait for another read.", counters.waiting)
    yield gauge("queued_items", "Items that wait to be decoded.", counters.queued)
    yield gauge("running", "Whether the scan is running.", float(running))
    yield gauge("updated_timestamp_seconds", "When this was written.", time.time())


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
