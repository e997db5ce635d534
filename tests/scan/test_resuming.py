"""A scan that is killed at any moment goes on, and comes to what it would have come to."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from cli_tools import DEMO, IMAGES, PROGRAM, environment, run, scan
from conftest import LISTS
from hashmatch.scan.hash_archive import HashArchive
from processes import Process
from scan_folders import lines, listed, photos

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = IMAGES / "plain"
SCAN = ["scan", "photos", "-l", str(DEMO), "-s", "profile_photo"]


def arguments(folder: Path, state: Path, out: Path, *more: str | Path) -> list[str]:
    given = ["scan", folder, "--list", DEMO, "--surface", "profile_photo", "--state", state]
    return [*PROGRAM, *map(str, [*given, "--out", out, "--breaker", "7", *more])]


def killed_and_done(
    command: list[str], state: Path, chance: random.Random, most: int
) -> tuple[int, str]:
    """Run `command` again and again, killed at some place of its listing, until it is done.

    Returns how often it was killed, and what it said in the end.
    """
    kills = 0
    while True:
        scanning = Process(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        further = listed(state) + chance.randrange(1, 150)
        while kills < most and scanning.poll() is None and listed(state) < further:
            time.sleep(0.005)
        if kills < most and scanning.poll() is None:
            os.killpg(scanning.pid, signal.SIGKILL)
            kills += 1
            scanning.communicate()
            continue
        _, said = scanning.communicate()
        assert scanning.returncode == 0, said
        return kills, said.decode()


def test_killed_again_and_again_it_comes_to_the_same(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 900)
    whole = run(*arguments(folder, tmp_path / "a", tmp_path / "a.jsonl")[len(PROGRAM) :])
    assert whole.code == 0, whole.said
    keep = "--keep-hashes", tmp_path / "kept", "--keep-for", "1d"
    command = arguments(folder, tmp_path / "b", tmp_path / "b.jsonl", *keep)
    kills, done = killed_and_done(command, tmp_path / "b", random.Random(20261122), 5)
    assert kills > 1
    assert lines(tmp_path / "a.jsonl") == lines(tmp_path / "b.jsonl")
    table = "What became of the images"
    assert (
        whole.said[whole.said.index(table) :].splitlines()[:9]
        == (done[done.index(table) :].splitlines()[:9])
    )
    kept = [
        file[n][0].key for file in HashArchive(tmp_path / "kept").files() for n in range(len(file))
    ]
    assert len(kept) == len(set(kept)) == 900 - sum(1 for n in range(900) if n % 17 == 0 and n % 10)


def test_killed_it_writes_whole_tables_and_raises_each_alarm_once(tmp_path: Path) -> None:
    """A table that ends in the middle of a row is not built upon; alarms are not forgotten."""
    folder = photos(tmp_path / "photos", 700)

    def command(name: str) -> list[str]:
        out, report = tmp_path / f"{name}.csv", tmp_path / f"{name}.json"
        return arguments(folder, tmp_path / name, out, "--report", report)

    whole = run(*command("a")[len(PROGRAM) :])
    assert whole.code == 0, whole.said
    torn = tmp_path / "b.csv.part"
    torn.write_text('"record_id","status"\r\n"torn')
    assert killed_and_done(command("b"), tmp_path / "b", random.Random(2), 3)[0] > 1
    assert not torn.exists()

    def rows(name: str) -> list[dict[str, str]]:
        with open(tmp_path / f"{name}.csv", newline="", encoding="utf-8") as file:
            return [{**row, "created_at": ""} for row in csv.DictReader(file)]

    def counts(name: str) -> dict[str, Any]:
        return {**json.loads((tmp_path / f"{name}.json").read_text()), "seconds": 0}

    assert rows("a") == rows("b")
    assert len({row["record_id"] for row in rows("b")}) == 70
    assert counts("a") == counts("b")
    assert [alarm["records"] for alarm in counts("b")["alarms"]] == [7] * len(counts("b")["alarms"])
    assert counts("b")["alarms"]
    again = run(*command("b")[len(PROGRAM) :])
    assert again.said.count("alarm: ") == whole.said.count("alarm: ") > 0
    assert counts("a") == counts("b")


def test_another_scan_of_the_same_state_leaves_the_files_of_the_first(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    part = tmp_path / "out.jsonl.part"
    part.write_text("of the first\n")
    with hm.Checkpoint(tmp_path / "state"):
        ran = scan(PLAIN, "--state", tmp_path / "state", "--out", out)
    assert (ran.code, ran.said.count("\n")) == (2, 1)
    assert "in use by another scan" in ran.said
    assert part.read_text() == "of the first\n"


def test_finished_it_is_not_done_again(tmp_path: Path) -> None:
    first = scan(PLAIN, "--state", tmp_path / "state", "--out", tmp_path / "1.jsonl")
    again = scan(PLAIN, "--state", tmp_path / "state", "--out", tmp_path / "2.jsonl")
    assert (first.code, again.code) == (0, 0)
    assert "was finished before: 14 images are done" in again.said
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()
    other = scan(PLAIN, "--state", tmp_path / "state", "-d", "3", "--out", tmp_path / "3.jsonl")
    assert "images are done" not in other.said  # another limit is another scan
    told = run("scan", "status", tmp_path / "state")
    assert (told.code, told.out.decode().count("demo-pdq")) == (0, 2)
    as_json = run("scan", "status", tmp_path / "state", "--json").lines
    assert [(one["listed"], one["ended"] is not None) for one in as_json] == [(14, True)] * 2


def test_a_breaker_goes_on_too(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 200)
    known = hm.read_list(LISTS / "demo-pdq.csv")

    def found(stop_after: int | None, state: Path) -> list[str]:
        statuses: list[str] = []
        for _ in range(1 if stop_after is None else 30):
            matcher = hm.Matcher(known, breaker=hm.Breaker(limit=4, window=None))
            with hm.Checkpoint(state) as checkpoint:
                results = hm.scan_source(
                    folder, matcher, surface="public_post", checkpoint=checkpoint,
                    options=hm.ScanOptions(batch=16), observe=(report := hm.ScanReport(matcher)),
                )  # fmt: skip
                before, statuses = None, []
                for result in results:
                    before = report.counters.done if before is None else before
                    if isinstance(result, hm.ReviewRecord):
                        statuses.append(result.status)
                    if stop_after is not None and report.counters.done >= before + stop_after:
                        break
                results.close()
                if report.counters.done == 200:
                    report.finish()
                    assert checkpoint.scans()[0]["listed"] == 200
                    return statuses
        return statuses

    expected = ["pending_review"] * 4 + ["suppressed"] * 16
    assert found(None, tmp_path / "a") == expected
    assert found(20, tmp_path / "b") == expected


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["scan", "status", "nowhere"], "no scan keeps its state there"),
        ([*SCAN, "--state", "photos/x"], "inside"),
        ([*SCAN, "--state", "text"], "no state"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(tmp_path: Path, args: list[str], word: str) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"no picture")
    (tmp_path / "text").write_text("")
    ran = run(*args, cwd=tmp_path)
    assert (ran.code, ran.said.count("\n")) == (2, 1), ran.said
    assert word in ran.said
