"""A scan that is killed at any moment goes on, and comes to what it would have come to."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from cli_tools import DEMO, IMAGES, PROGRAM, environment, run, scan
from conftest import LISTS
from hashmatch.decode.formats import FORMATS
from hashmatch.scan.hash_archive import HashArchive
from processes import Process
from scan_folders import is_stopped, lines, photos

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cli_tools import Argument
    from hashmatch.scan.events import Counters

PLAIN = IMAGES / "plain"
KNOWN = (PLAIN / "tiles.png").read_bytes()
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
        if kills < most and is_stopped(scanning, state, chance.randrange(1, 150)):
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
        report = json.loads((tmp_path / f"{name}.json").read_text())
        return {**report, "seconds": 0, "done_before": 0}  # those of the last run

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
    assert "another scan uses it" in ran.said
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
        (["scan", "status", "nowhere"], "it has no state of a scan"),
        ([*SCAN, "--state", "photos/x"], "inside"),
        ([*SCAN, "--state", "text"], "cannot keep the state of a scan in text"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(tmp_path: Path, args: list[str], word: str) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"no picture")
    (tmp_path / "text").write_text("")
    (tmp_path / "text").chmod(0o600)
    ran = run(*args, cwd=tmp_path)
    assert (ran.code, ran.said.count("\n")) == (2, 1), ran.said
    assert word in ran.said


def test_killed_while_a_folder_grows_it_looks_at_all_there_is(tmp_path: Path) -> None:
    chance, folder, state = random.Random(11), photos(tmp_path / "photos", 800), tmp_path / "b"
    command = arguments(folder, state, tmp_path / "b.jsonl", "--breaker", "0")
    kills = 0
    for number in range(4):
        scanning = Process(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        if is_stopped(scanning, state, chance.randrange(20, 120)):
            os.killpg(scanning.pid, signal.SIGKILL)
            kills += 1
        scanning.communicate()
        for _ in range(5):  # some that are new, some that have changed, wherever they are
            at = folder / f"{chance.randrange(800):05}{chance.choice(['', '-new'])}.png"
            at.write_bytes(KNOWN + b" " * (number + 1))
    done = run(*command[len(PROGRAM) :])
    whole = scan(folder, "--out", tmp_path / "a.jsonl", "--breaker", "0")
    assert (done.code, whole.code) == (0, 0)
    assert kills > 1

    def found(name: str) -> set[tuple[str, str, str]]:
        records = lines(tmp_path / name)
        named = {(r["record_id"], r["item"]["key"], r["item"]["version"]) for r in records}
        assert len(named) == len(records)
        return named

    there = {(path.name, path.stat().st_size) for path in folder.iterdir()}
    assert found("a.jsonl") <= found("b.jsonl")
    # Nothing else but what pictures were before they changed.
    assert {key for _, key, _ in found("b.jsonl")} <= {name for name, _ in there}
    again = run(*command[len(PROGRAM) :])
    assert "0 new or changed" in again.said


class Changing:
    """A source whose pictures, versions and order are changed between two runs; counts its reads.

    With `told` false its listing gives no versions.
    """

    def __init__(self, told: bool = True) -> None:
        self.pictures: dict[str, tuple[str, bytes | hm.ImageError]] = {}
        self.told, self.read_keys = told, list[str]()

    def items(self, after: str | None = None) -> Iterator[hm.ImageItem]:
        for key in sorted(self.pictures):
            if after is None or key > after:
                version = self.pictures[key][0] if self.told else "unlisted"
                yield hm.ImageItem(key, version, hm.Surface.PUBLIC_POST)

    def identity(self) -> str:
        return "changing public_post"

    def read(self, item: hm.ImageItem) -> bytes:
        self.read_keys.append(item.key)
        content = self.pictures[item.key][1]
        if isinstance(content, hm.ImageError):
            raise content
        return content

    def count(self) -> None:
        return None

    def close(self) -> None:
        pass


def scanned(
    source: Changing,
    state: Path,
    *,
    stop_after: int | None = None,
    archive: HashArchive | None = None,
) -> tuple[list[tuple[str, str]], list[str], Counters]:
    """Scan, up to so many results; what was given, what was read, and the counters."""
    source.read_keys.clear()
    matcher = hm.Matcher(hm.read_list(DEMO), breaker=hm.Breaker(limit=100, window=None))
    given: list[tuple[str, str]] = []
    report = hm.ScanReport(matcher)
    with hm.Checkpoint(state) as checkpoint:
        results = hm.scan_source(
            source, matcher, checkpoint=checkpoint, options=hm.ScanOptions(batch=1, readers=1),
            observe=report, archive=archive,
        )  # fmt: skip
        for result in results:
            is_record = isinstance(result, hm.ReviewRecord)
            key = result.item.key if isinstance(result, hm.ReviewRecord) else result.key
            given.append((key, "match" if is_record else result.outcome.value))
            if len(given) == stop_after:
                results.close()
                break
        else:
            report.finish()  # listed == accounted for
            (told,) = checkpoint.scans()
            assert told["listed"] == report.counters.listed == sum(told["outcomes"].values())
            assert told["ended"] is not None
    return given, sorted(source.read_keys), report.counters


BROKEN = hm.ImageError(hm.Outcome.FAILED, "cannot be read: Permission denied")


def pictures(*keys: str) -> dict[str, tuple[str, bytes | hm.ImageError]]:
    return dict.fromkeys(keys, ("1", b"no picture"))


@pytest.mark.parametrize("told", [True, False])
def test_a_finished_scan_looks_at_what_is_new_or_has_changed(tmp_path: Path, told: bool) -> None:
    source, archive = Changing(told), HashArchive(tmp_path / "kept", timedelta(days=1))
    source.pictures = pictures("b", "d", "f") | {"m": ("1", KNOWN)}
    first, read, counters = scanned(source, tmp_path / "s", archive=archive)
    assert read == ["b", "d", "f", "m"]
    assert (counters.listed, counters.before) == (4, 0)
    again, read, counters = scanned(source, tmp_path / "s", archive=archive)
    assert again == [
        ("b", "unsupported"),
        ("d", "unsupported"),
        ("f", "unsupported"),
        ("m", "match"),
    ]
    assert sorted(again) == sorted(first)
    assert read == ([] if told else ["b", "d", "f", "m"])  # to see whether they are the same
    assert (counters.listed, counters.before, counters.outcomes["match"]) == (4, 4, 1)
    # New at the beginning, in the middle and at the end; one that has changed, one that is gone.
    source.pictures |= dict.fromkeys("acz", ("1", KNOWN)) | {"d": ("2", KNOWN)}
    del source.pictures["f"]
    more, read, counters = scanned(source, tmp_path / "s", archive=archive)
    assert sorted(more) == sorted([*again, *[(key, "match") for key in "acdz"]])
    assert read == (["a", "c", "d", "z"] if told else ["a", "b", "c", "d", "m", "z"])
    assert (counters.listed, counters.before, counters.outcomes["match"]) == (8, 4, 5)
    assert counters.outcomes["unsupported"] == 3
    kept = [file[n][0].key for file in archive.files() for n in range(len(file))]
    assert sorted(kept) == ["a", "c", "d", "m", "z"]


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("gone", [False, True])
def test_an_interrupted_scan_looks_before_where_it_was(
    tmp_path: Path, gone: bool, told: bool
) -> None:
    source = Changing(told)
    source.pictures = pictures("b", "d", "f", "h", "j")
    assert len(scanned(source, tmp_path, stop_after=3)[0]) == 3
    source.pictures |= {"a": ("1", KNOWN), "e": ("1", KNOWN), "k": ("1", KNOWN)}
    if gone:  # where it was stopped
        del source.pictures["f"]
    # Stopped again before it has come to what is new, and while it is at that.
    assert len(scanned(source, tmp_path, stop_after=4)[0]) == 4
    scanned(source, tmp_path, stop_after=7)
    given, read, counters = scanned(source, tmp_path)
    assert sorted(given) == sorted(
        [(key, "match") for key in "aek"] + [(key, "unsupported") for key in "bdfhj"]
    )
    assert counters.listed == 8
    assert not told or not set(read) & {"b", "d", "f"}
    again, read, counters = scanned(source, tmp_path)
    assert (sorted(again), counters.listed) == (sorted(given), 8)
    assert not told or read == []


def test_what_could_not_be_read_is_tried_again_and_counted_once(tmp_path: Path) -> None:
    source = Changing()
    source.pictures = pictures("b") | dict.fromkeys("acd", ("1", BROKEN))
    given, _, counters = scanned(source, tmp_path)
    assert (counters.listed, counters.outcomes["failed"]) == (4, 3)
    source.pictures |= {"a": ("1", KNOWN), "c": ("2", KNOWN)}
    given, read, counters = scanned(source, tmp_path)
    assert sorted(given) == [("a", "match"), ("b", "unsupported"), ("c", "match"), ("d", "failed")]
    assert read == ["a", "c", "d"]
    assert (counters.listed, counters.outcomes["failed"], counters.outcomes["match"]) == (4, 1, 2)
    del source.pictures["d"]  # it stays what it was: listed, and not read
    given, read, counters = scanned(source, tmp_path)
    assert sorted(given) == [("a", "match"), ("b", "unsupported"), ("c", "match"), ("d", "failed")]
    assert (read, counters.listed, counters.outcomes["failed"]) == ([], 4, 1)


def test_a_folder_that_grows_is_scanned_by_the_same_command(tmp_path: Path) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out.jsonl"
    folder.mkdir()
    (folder / "m.png").write_bytes(KNOWN)
    options: list[Argument] = ["--state", tmp_path / "state", "--out", out]
    options += ["--report", tmp_path / "r.json"]
    assert scan(folder, *options).code == 0
    for name in ("a.png", "z.png"):
        (folder / name).write_bytes(KNOWN)
    (folder / "sub").mkdir()
    (folder / "sub" / "n.png").write_bytes(KNOWN)
    (folder / "m.png").write_bytes((PLAIN / "landscape-dusk.jpg").read_bytes())
    again = scan(folder, *options)
    assert again.code == 0
    assert [one["item"]["key"] for one in lines(out)] == [
        "m.png",
        "a.png",
        "m.png",
        "sub/n.png",
        "z.png",
    ]
    assert len({one["record_id"] for one in lines(out)}) == 5
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["listed"], report["done_before"], report["records"]) == (5, 1, 5)
    assert "5 records for review" in again.said
    assert "4 new or changed, 1 done before" in again.said


def test_a_format_that_is_read_since_is_scanned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Changing()
    source.pictures = pictures("a")
    scanned(source, tmp_path / "s")
    monkeypatch.setitem(FORMATS, "ANOTHER", "image/another")
    matcher = hm.Matcher(hm.read_list(DEMO))
    with hm.Checkpoint(tmp_path / "s") as checkpoint:
        list(hm.scan_source(source, matcher, checkpoint=checkpoint))
    assert source.read_keys == ["a", "a"]
