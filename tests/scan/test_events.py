"""What a scan tells while it runs adds up, comes in order, and gives nothing away."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from canaries import all_canaries
from canary_lists import with_canaries
from conftest import IMAGES, LISTS
from hashmatch.retry import Limits, Tries
from hashmatch.scan.events import STAGES, Event
from hashmatch.scan.json_log import JsonLog
from hashmatch.scan.prometheus import MetricsFile
from hashmatch.testing import MemorySource

if TYPE_CHECKING:
    from pathlib import Path

SURFACE = hm.Surface.PUBLIC_POST
PICTURE = (IMAGES / "plain" / "landscape-dusk.jpg").read_bytes()


def matcher(breaker: hm.Breaker | None = None) -> hm.Matcher:
    return hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv"), breaker=breaker)


def matching(count: int) -> MemorySource:
    return MemorySource({f"{n:03}.jpg": PICTURE for n in range(count)}, SURFACE)


def test_counters_add_up() -> None:
    events: list[Event] = []
    threads = set()

    def observe(event: Event) -> None:
        events.append(event)
        threads.add(threading.get_ident())

    report, tries = hm.ScanReport(), Tries()
    results = hm.scan_source(
        IMAGES, matcher(), surface="public_post", options=hm.ScanOptions(2, tries=tries),
        observe=[observe, report],
    )  # fmt: skip
    for result in results:
        report.add(result)
    report.finish()
    assert threads == {threading.get_ident()}
    assert (events[0].kind, events[-1].kind) == ("begin", "end")
    first, last = events[0].counters, events[-1].counters
    assert first.done == first.listed == 0
    assert last == report.counters
    assert last.listed == last.done > 0
    assert last.not_searched == len(report.problems)
    assert (last.records, last.suppressed) == (last.outcomes["match"], 0)
    assert (last.fetched, last.bytes, last.retries) == (tries.successes, tries.received, 0)
    assert last.decoded == last.fetched
    assert (last.reading, last.waiting, last.queued) == (0, 0, 0)
    assert set(last.seconds) == set(STAGES)
    assert all(last.seconds[stage] > 0 for stage in ("list", "read", "decode", "hash", "search"))
    told = [(event.item, event.outcome, event.reason) for event in events if event.item]
    assert told == [(one.key, one.outcome.value, one.reason) for one in report.problems]
    done = [event.counters.done for event in events]
    assert done == sorted(done)


def test_retries_and_alarms_are_told() -> None:
    class Failing(MemorySource):
        failures = 2

        def read(self, item: hm.ImageItem) -> bytes:
            if item.key == "001.jpg" and self.failures:
                self.failures -= 1
                raise hm.ImageUnavailable(hm.Outcome.FAILED, "cannot be read: status 503")
            return super().read(item)

    events: list[Event] = []
    source = Failing({f"{n:03}.jpg": PICTURE for n in range(6)}, SURFACE)
    tries = Tries(Limits(first_delay=0.01))
    observed = matcher(hm.Breaker(4, window=None))
    options = hm.ScanOptions(tries=tries)
    list(hm.scan_source(source, observed, options=options, observe=events.append))
    retries = [(event.item, event.reason) for event in events if event.kind == "retry"]
    assert retries == [("001.jpg", "cannot be read: status 503")] * 2
    alarms = [event for event in events if event.kind == "alarm"]
    assert {(event.list, event.algorithm) for event in alarms} == {("demo-pdq", "pdq")}
    assert observed.protection.breaker is not None
    assert len(alarms) == len(observed.protection.breaker.trips) > 0
    last = events[-1].counters
    assert (last.alarms, last.records, last.suppressed) == (len(alarms), 4, 2)
    assert last.retries == 2


def test_signed_urls_are_told_without_their_signatures() -> None:
    events: list[Event] = []
    gone = hm.ImageError(hm.Outcome.FAILED, "it is gone")
    images = {"https://a.example/b.jpg?X-Amz-Signature=5ec2e7": gone, "what?.jpg": gone}
    list(hm.scan_source(MemorySource(images, SURFACE), matcher(), observe=events.append))
    told = [event.item for event in events if event.item]
    assert told == ["https://a.example/b.jpg", "what?.jpg"]


def test_a_stop_says_why() -> None:
    events: list[Event] = []

    class Ends(MemorySource):
        def count(self) -> int:
            return 0

        def read(self, item: hm.ImageItem) -> bytes:
            raise hm.SourceError("s3://b: access denied")

    with pytest.raises(hm.SourceError):
        list(hm.scan_source(Ends({"a": b""}, SURFACE), matcher(), observe=events.append))
    assert (events[-1].kind, events[-1].reason) == ("stop", "s3://b: access denied")
    found = hm.scan_source(matching(3), matcher(), observe=events.append)
    next(found)
    found.close()
    assert (events[-1].kind, events[-1].reason) == ("stop", "GeneratorExit")


def test_what_observes_may_end_the_scan() -> None:
    def full(event: Event) -> None:
        if event.kind == "batch":
            raise hm.SinkError("the log cannot be written")

    before = set(threading.enumerate())
    with pytest.raises(hm.SinkError):
        list(hm.scan_source(matching(3), matcher(), observe=full))
    assert set(threading.enumerate()) <= before


def test_a_scan_that_goes_on_counts_on(tmp_path: Path) -> None:
    """Told of what is on the disk only; an alarm from before is counted, and told once."""
    events: list[Event] = []
    runs: list[list[hm.Outcome]] = []
    while not events or events[-1].kind != "end":
        before = len(runs[-1]) if runs else 0
        runs.append([])
        with hm.Checkpoint(tmp_path) as checkpoint:
            breaker = hm.Breaker(4, window=None)
            found = hm.scan_source(
                matching(40), matcher(breaker), options=hm.ScanOptions(batch=8),
                checkpoint=checkpoint, observe=events.append,
            )  # fmt: skip
            for number, result in enumerate(found):
                runs[-1].append(result.outcome)
                if (
                    number == before + 8
                ):  # in the middle of a batch, which is on the disk as a whole
                    break
            found.close()
    last = events[-1].counters
    assert (last.listed, last.done, last.records, last.suppressed) == (40, 40, 4, 36)
    assert last.suppressed_by == {
        "benign": 0,
        "too_few_sources": 0,
        "mostly_chrome": 0,
        "breaker": 36,
    }
    assert last.alarms == len(breaker.trips) > 0
    assert len([event for event in events if event.kind == "alarm"]) == last.alarms
    begun = [event for event in events if event.kind == "begin"]
    assert [event.reason for event in begun] == [""] + ["resumes"] * (len(runs) - 1)
    assert [event.counters.done for event in begun] == [0, 16, 24, 32, 40]
    # What was there before comes again, so that nobody who died with it lost anything.
    assert [len(run) for run in runs] == [9, 18, 27, 36, 40]
    assert runs[-1] == [hm.Outcome.MATCH] * 4 + [hm.Outcome.SUPPRESSED] * 36


@pytest.mark.parametrize("path", ["demo-pdq.csv", "mixed-types.csv"])
def test_no_hash_of_a_list_is_told(tmp_path: Path, path: str) -> None:
    """At the widest distance everything matches, and the breaker trips for every entry."""
    (tmp_path / path).write_bytes(with_canaries(LISTS / path))
    known = hm.read_list(tmp_path / path, "pdq")
    ids = {str(entry.external_id) for entry in known.entries if entry.external_id}
    events: list[Event] = []
    log, metrics = JsonLog(tmp_path / "log"), MetricsFile(tmp_path / "scan.prom", every=0)

    def observe(event: Event) -> None:
        events.append(event)
        log(event)
        metrics(event)

    wide = hm.Matcher(known, max_distance=256, breaker=hm.Breaker(2, window=None))
    found = list(hm.scan_source(IMAGES / "plain", wide, surface="public_post", observe=observe))
    log.close()
    assert any(event.kind == "alarm" for event in events)
    assert any(result.outcome is hm.Outcome.SUPPRESSED for result in found)
    said = repr(events).encode() + (tmp_path / "log").read_bytes()
    said += (tmp_path / "scan.prom").read_bytes()
    assert all_canaries().find(said) == []
    assert not [name for name in ids if f'"{name}"'.encode() in said]
    assert all(json.loads(line) for line in (tmp_path / "log").read_text().splitlines())
