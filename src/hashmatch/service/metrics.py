"""Counters of the service for Prometheus, of all of its processes together."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram

    from hashmatch.service.snapshots import Snapshot

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus-client keeps what several processes count; read when it is first imported."""
BUCKETS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)
"""Seconds: a look-up takes less than a millisecond, a hostile picture up to half a minute."""
MEDIA_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


def share_between_processes() -> str:
    """Let the processes that are started from now on count together; return their folder."""
    folder = tempfile.mkdtemp(prefix="hashmatch-metrics-")
    os.environ[FOLDER] = folder
    return folder


class Metrics:
    """What one process counts; `text` has the counts of all."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        registry = self._registry = CollectorRegistry()
        self._requests = Counter(
            "hashmatch_requests", "Requests that were answered.", ["route", "status"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "hashmatch_request_seconds", "From the head of a request to its answer.", ["route"],
            buckets=BUCKETS, registry=registry,
        )  # fmt: skip
        self._items = Counter(
            "hashmatch_items", "Pictures that were checked, by what became of them.", ["outcome"],
            registry=registry,
        )  # fmt: skip
        self._unchecked = Counter(
            "hashmatch_unchecked", "Pictures that were not checked, by whether it may pass.",
            ["retry"], registry=registry,
        )  # fmt: skip
        self._swaps = Counter(
            "hashmatch_snapshots", "Times that lists were replaced.", registry=registry
        )
        self._entries = Gauge(
            "hashmatch_list_entries", "Entries of a list that is in use.", ["list", "algorithm"],
            registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._since = Gauge(
            "hashmatch_snapshot_since_seconds", "When the lists in use were put in use, Unix time.",
            registry=registry, multiprocess_mode="min",
        )  # fmt: skip
        self._problems = Gauge(
            "hashmatch_list_problems", "Lists and token files whose latest version cannot be used.",
            registry=registry, multiprocess_mode="max",
        )  # fmt: skip
        self._inside = Gauge(
            "hashmatch_pictures_in_flight", "Pictures at work or waiting.",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._lost = Counter(
            "hashmatch_access_log_lost", "Lines of the access log that could not be written.",
            registry=registry,
        )  # fmt: skip
        self._recent = Gauge(
            "hashmatch_recent_items", "Pictures whose hashes are kept for lists to come.",
            registry=registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._found = Counter(
            "hashmatch_recent_found",
            "Records of pictures that were found after they had been checked.", registry=registry,
        )  # fmt: skip
        self._in_flight = 0
        self._bound: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._bound_unchecked: dict[bool, Counter] = {}

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        bound = self._bound.get((route, status))
        if bound is None:
            bound = self._requests.labels(route, str(status)), self._seconds.labels(route)
            self._bound[route, status] = bound
        bound[0].inc()
        bound[1].observe(seconds)

    def item(self, outcome: str) -> None:
        """Count a picture, or a hash that was looked up."""
        self._items.labels(outcome).inc()

    def unchecked(self, *, retry: bool) -> None:
        """Count a picture that was not checked; `retry`, if it may be when it is sent again."""
        bound = self._bound_unchecked.get(retry)
        if bound is None:
            bound = self._unchecked.labels("true" if retry else "false")
            self._bound_unchecked[retry] = bound
        bound.inc()

    def lost_line(self) -> None:
        """Count a line of the access log that could not be written."""
        self._lost.inc()

    def in_flight(self, number: int) -> None:
        """Note how many pictures are at work or wait."""
        if number != self._in_flight:
            self._in_flight = number
            self._inside.set(number)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Note that other lists are in use."""
        self._swaps.inc()
        self._since.set_to_current_time()
        for known in snapshot.matcher.lists:
            self._entries.labels(known.name, known.spec.algorithm).set(len(known))

    def recent(self, found: int, kept: int) -> None:
        """Count records of pictures checked before, and note how many pictures are kept."""
        self._found.inc(found)
        self._recent.set(kept)

    def problems(self, number: int) -> None:
        """Note how many lists cannot be brought up to date."""
        self._problems.set(number)

    def text(self) -> bytes:
        """Return all counts in the text format."""
        from prometheus_client import CollectorRegistry, generate_latest, multiprocess

        registry = self._registry
        if os.environ.get(FOLDER):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return bytes(generate_latest(registry))
