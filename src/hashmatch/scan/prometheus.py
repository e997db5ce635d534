"""Counters of a scan in the text format of Prometheus, for node_exporter's textfile collector.

The format is "Exposition formats" of Prometheus, version 0.0.4: HELP and TYPE before the samples of
each metric, counters called ``_total``, a line each.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from hashmatch._files.atomic import LiveFile
from hashmatch.errors import SinkError
from hashmatch.scan.events import Counters
from hashmatch.scan.shadow import shadow_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.scan.events import Event

EVERY = 5.0
"""Seconds between two writes, at least: Prometheus asks every 15 s or so."""


class MetricsFile:
    r"""Takes the events of a scan: give it as ``observe=``; the file has how far it has come.

    Nobody reads half of it, and everybody may read it, since the collector is another user; it
    names no item, list or source. From when it is made until the scan has ended or stopped, nobody
    else writes it. Each sample has the label ``scan``, the file's name without its
    suffix: several in one folder are distinguished.

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
        self._file = LiveFile(self._path, mode=0o644, error=SinkError)
        self._write(Counters(), running=True)

    def __call__(self, event: Event) -> None:
        """Write the counters, if it is time."""
        running = event.kind not in {"end", "stop"}
        if running and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._every
        self._write(event.counters, running=running)
        if not running:
            self.close()

    def close(self) -> None:
        """Let others write the file."""
        self._file.close()

    def _write(self, counters: Counters, *, running: bool) -> None:
        self._file.write("".join(_lines(counters, self._scan, running)).encode())


def _lines(counters: Counters, scan: str, running: bool) -> Iterator[str]:
    common = f'scan="{_escaped(scan)}"'
    for name, said, value in _metrics(counters, running):
        kind = "counter" if name.endswith("_total") else "gauge"
        yield f"# HELP hashmatch_{name} {said}\n# TYPE hashmatch_{name} {kind}\n"
        for label, count in value.items() if isinstance(value, dict) else [("", value)]:
            labels = f"{common},{label}" if label else common
            yield f"hashmatch_{name}{{{labels}}} {count:.15g}\n"


def _metrics(
    counters: Counters, running: bool
) -> Iterator[tuple[str, str, float | dict[str, float]]]:
    """Yield the name and the help of each metric, and its value, or one for each of some labels."""
    outcomes = {f'outcome="{name}"': float(count) for name, count in counters.outcomes.items()}
    shadow: dict[str, float] = {}
    for row in shadow_rows(counters.shadow):
        label = f'algorithm="{row.algorithm}",distance="{row.distance}"'
        shadow[label] = shadow.get(label, 0.0) + row.records
    stages = {f'stage="{name}"': round(took, 6) for name, took in counters.seconds.items()}
    yield "listed_items_total", "Items that the source has listed.", counters.listed
    yield "items_total", "Items that have ended in each outcome.", outcomes
    yield "records_total", "Review records that wait for a person.", counters.records
    yield "suppressed_records_total", "Review records kept out.", counters.suppressed
    yield "mostly_chrome_records_total", "Review records of mostly chrome.", counters.mostly_chrome
    if counters.shadow:
        yield "shadow_records_total", "Review records that a shadow limit would add.", shadow
    yield "alarms_total", "List entries that the breaker has tripped for.", counters.alarms
    yield "fetched_items_total", "Items read.", counters.fetched
    yield "fetched_bytes_total", "Bytes of items read.", counters.bytes
    yield "retries_total", "Reads that were not the first of their item.", counters.retries
    yield "decoded_items_total", "Items given to the decoder.", counters.decoded
    yield "stage_seconds_total", "Time in each stage, of all threads together.", stages
    yield "reading_items", "Items being read.", counters.reading
    yield "waiting_items", "Items that wait for another read.", counters.waiting
    yield "queued_items", "Items that wait to be decoded.", counters.queued
    yield "running", "Whether the scan is running.", float(running)
    yield "updated_timestamp_seconds", "When this was written.", time.time()


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
