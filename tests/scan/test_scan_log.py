"""JSON logs and metrics: whole lines, whole files, in the formats that collectors read."""

from __future__ import annotations

import json
import re
import stat
from typing import TYPE_CHECKING

import pytest

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
SAMPLE = re.compile(r'hashmatch_[a-z_]+\{[a-z_]+="[^"]*"(,[a-z_]+="[a-z_]+")?\} [0-9.e+]+')


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
    log = JsonLog(tmp_path / "log")
    log(Event("end", COUNTERS))
    log.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == (3 if torn else 2)
    assert json.loads(lines[-1])["event"] == "end"


def test_metrics_are_as_prometheus_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "nightly.prom"
    metrics = MetricsFile(path, every=100.0)
    metrics(Event("begin", COUNTERS))
    text = path.read_text()
    assert text.endswith("\n")
    seen, kind = set(), ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in seen, "a metric is said twice"
            seen.add(name)
        elif line.startswith("# TYPE "):
            assert line.split(" ")[2] == name
            kind = line.split(" ")[3]
            assert (kind == "counter") == name.endswith("_total")
        else:
            assert SAMPLE.fullmatch(line), line
            assert line.startswith(name + "{")
    for line in (
        'hashmatch_listed_items_total{scan="nightly"} 10',
        'hashmatch_items_total{scan="nightly",outcome="match"} 3',
        'hashmatch_fetched_bytes_total{scan="nightly"} 900',
        'hashmatch_stage_seconds_total{scan="nightly",stage="read"} 0.123457',
        'hashmatch_queued_items{scan="nightly"} 3',
        'hashmatch_running{scan="nightly"} 1',
    ):
        assert line in text.splitlines()
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
    assert 'scan="a\\"b\\\\c\\nd"' in path.read_text()


def test_what_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(hm.SinkError, match="the log cannot be written: No such file"):
        JsonLog(tmp_path / "no" / "log")
    with pytest.raises(hm.SinkError, match="metrics cannot be written: No such file"):
        MetricsFile(tmp_path / "no" / "a.prom")(Event("begin", COUNTERS))
    log = JsonLog("/dev/full")
    with pytest.raises(hm.SinkError, match="No space left"):
        log(Event("end", COUNTERS))
