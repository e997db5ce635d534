"""JSON logs and metrics: whole lines, whole files, in the formats that collectors read."""

from __future__ import annotations

import json
import re
import stat
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

import hashmatch as hm
from hashmatch.scan.events import Counters, Event
from hashmatch.scan.json_log import JsonLog
from hashmatch.scan.prometheus import MetricsFile

if TYPE_CHECKING:
    from pathlib import Path

COUNTERS = Counters(
    listed=10, outcomes={"match": 3, "no_match": 4, "suppressed": 1}, fetched=9, bytes=900,
    retries=2, decoded=8, alarms=1, reading=1, waiting=2, queued=3, seconds={"read": 0.12345678},
)  # fmt: skip


def test_a_line_an_event(tmp_path: Path) -> None:
    log = JsonLog(tmp_path / "log", {"source": "s3://b", "shard": None})
    log(Event("begin", COUNTERS))
    log(Event("progress", COUNTERS))
    log(Event("problem", COUNTERS, item='a"\n.jpg', outcome="failed", reason="gone"))
    log(Event("retry", COUNTERS, item="b.jpg", reason="status 500"))
    log(Event("alarm", COUNTERS, list="demo", list_version="3", algorithm="pdq"))
    log(Event("batch", COUNTERS))
    log(Event("stop", COUNTERS, reason="interrupted"))
    log.close()
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line.pop("event") for line in lines] == [
        "begin", "problem", "retry", "alarm", "batch", "stop",
    ]  # fmt: skip
    times = [line.pop("time") for line in lines]
    assert times == sorted(times)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", times[0])
    begin, problem, retry, alarm, batch, stop = lines
    assert (begin["source"], begin["shard"], begin["listed"]) == ("s3://b", None, 10)
    assert problem == {"item": 'a"\n.jpg', "outcome": "failed", "reason": "gone"}
    assert retry == {"item": "b.jpg", "reason": "status 500"}
    assert alarm == {"list": "demo", "list_version": "3", "algorithm": "pdq"}
    assert (batch["records"], batch["suppressed"]) == (3, 1)
    assert (batch["bytes"], batch["seconds"]) == (900, {"read": 0.123})
    assert (stop["reason"], stop["outcomes"]["match"]) == ("interrupted", 3)
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


@pytest.mark.parametrize("torn", ['{"time":"20', ""])
def test_a_log_goes_on_on_a_line_of_its_own(tmp_path: Path, torn: str) -> None:
    (tmp_path / "log").write_text('{"event":"end"}\n' + torn)
    (tmp_path / "log").chmod(0o600)
    log = JsonLog(tmp_path / "log")
    log(Event("end", COUNTERS))
    log.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == (3 if torn else 2)
    assert json.loads(lines[-1])["event"] == "end"


def test_metrics_are_as_prometheus_reads_them(tmp_path: Path) -> None:
    """By the parser of its own client, which is what node_exporter would say too."""
    path = tmp_path / "nightly.prom"
    MetricsFile(path, every=100.0)(Event("begin", COUNTERS))
    found = list(text_string_to_metric_families(path.read_text()))
    assert len({family.name for family in found}) == len(found), "a metric is said twice"
    assert all(family.documentation.endswith(".") for family in found)
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in found
        for sample in family.samples
    }
    scan = ("scan", "nightly")
    assert samples.pop(("hashmatch_updated_timestamp_seconds", scan)) > 1.7e9
    assert samples == {
        ("hashmatch_listed_items_total", scan): 10,
        ("hashmatch_items_total", ("outcome", "match"), scan): 3,
        ("hashmatch_items_total", ("outcome", "no_match"), scan): 4,
        ("hashmatch_items_total", ("outcome", "suppressed"), scan): 1,
        ("hashmatch_records_total", scan): 3,
        ("hashmatch_suppressed_records_total", scan): 1,
        ("hashmatch_mostly_chrome_records_total", scan): 0,
        ("hashmatch_alarms_total", scan): 1,
        ("hashmatch_fetched_items_total", scan): 9,
        ("hashmatch_fetched_bytes_total", scan): 900,
        ("hashmatch_retries_total", scan): 2,
        ("hashmatch_decoded_items_total", scan): 8,
        ("hashmatch_stage_seconds_total", scan, ("stage", "read")): 0.123457,
        ("hashmatch_reading_items", scan): 1,
        ("hashmatch_waiting_items", scan): 2,
        ("hashmatch_queued_items", scan): 3,
        ("hashmatch_running", scan): 1,
    }
    for family in found:
        is_counter = all(sample.name.endswith("_total") for sample in family.samples)
        assert family.type == ("counter" if is_counter else "gauge")
    assert stat.S_IMODE(path.stat().st_mode) & 0o444 == 0o444
    assert [found.name for found in tmp_path.iterdir()] == ["nightly.prom"]


def test_metrics_are_not_written_all_the_time(tmp_path: Path) -> None:
    path = tmp_path / "a.prom"
    metrics = MetricsFile(path, every=100.0)
    metrics(Event("begin", COUNTERS))
    first = path.stat().st_ino
    for _ in range(5):
        metrics(Event("batch", COUNTERS))
    assert path.stat().st_ino == first
    metrics(Event("end", COUNTERS))
    assert 'hashmatch_running{scan="a"} 0' in path.read_text()


def test_a_name_cannot_break_the_format(tmp_path: Path) -> None:
    path = tmp_path / 'a"b\\c\nd.prom'
    MetricsFile(path)(Event("end", COUNTERS))
    for family in text_string_to_metric_families(path.read_text()):
        assert {sample.labels["scan"] for sample in family.samples} <= {'a"b\\c\nd'}


def test_what_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(hm.SinkError, match=r"cannot write .*log: No such file"):
        JsonLog(tmp_path / "no" / "log")
    with pytest.raises(hm.SinkError, match=r"cannot write .*a\.prom: No such file"):
        MetricsFile(tmp_path / "no" / "a.prom")(Event("begin", COUNTERS))
    log = JsonLog("/dev/full")
    with pytest.raises(hm.SinkError, match="No space left"):
        log(Event("end", COUNTERS))
