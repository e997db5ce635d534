"""`hashmatch scan --review`: every record is in the queue exactly once, whatever happens."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from cli_tools import DEMO, IMAGES, PROGRAM, environment, one_line, run
from hashmatch.review.queue import ReviewQueue
from processes import Process
from scan_folders import is_stopped, lines, photos

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = IMAGES / "plain"


def queue_at(path: Path) -> Path:
    assert run("review", "init", path).code == 0
    return path


def arguments(folder: Path, queue: Path, *more: str | Path) -> list[str]:
    given = ["scan", folder, "--list", DEMO, "--surface", "profile_photo", "--breaker", "0"]
    return [str(one) for one in [*given, "--review", queue, *more]]


def inside(queue: Path) -> list[str]:
    """Return the ids of all records in a queue whose history is whole."""
    with ReviewQueue.open(str(queue)) as opened:
        opened.verify()
        return sorted(item.record.record_id for case in opened.cases() for item in case.items)


def test_records_go_into_the_queue_and_nowhere_else(tmp_path: Path) -> None:
    queue = queue_at(tmp_path / "queue.db")
    ran = run(*arguments(PLAIN, queue, "--quiet"))
    assert (ran.code, ran.out, ran.err) == (0, b"", b"")
    rules = "--list", DEMO, "--surface", "profile_photo", "--breaker", "0"
    plain = run("scan", PLAIN, *rules, "--quiet").lines
    assert inside(queue) == sorted(record["record_id"] for record in plain)
    again = run(*arguments(PLAIN, queue, "--quiet"))
    assert again.code == 0
    assert len(inside(queue)) == len(plain)


def test_hashes_go_into_the_queue_only(tmp_path: Path) -> None:
    queue = queue_at(tmp_path / "queue.db")
    ran = run(*arguments(PLAIN, queue, "--quiet", "--out", "-"))
    assert ran.lines
    assert not any("value" in record["hash"] for record in ran.lines)
    assert len(inside(queue)) == len(ran.lines)
    asked = run(*arguments(PLAIN, queue, "--quiet", "--out", "-", "--include-hash"))
    assert all("value" in record["hash"] for record in asked.lines)
    with ReviewQueue.open(str(queue)) as opened:
        items = [item for case in opened.cases() for item in case.items]
    assert {item.origin.source for item in items} == {str(PLAIN)}
    assert not any(b"value" in item.record.to_json() for item in items)


def test_one_picture_is_one_case(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 60)  # six of them the same picture
    queue = queue_at(tmp_path / "queue.db")
    assert run(*arguments(folder, queue, "--quiet")).code == 0
    with ReviewQueue.open(str(queue)) as opened:
        (case,) = opened.cases()
    assert len(case.items) == 6


@pytest.mark.parametrize("where", ["none.db", "folder", "text.txt"])
def test_a_queue_that_is_none_is_one_line(tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("text\n" * 1000)
    one_line(run(*arguments(PLAIN, tmp_path / where)), where)
    assert not (tmp_path / "none.db").exists()


def killed(folder: Path, tmp_path: Path, kills: int) -> None:
    chance = random.Random(20261122)
    whole = queue_at(tmp_path / "whole.db")
    assert run(*arguments(folder, whole, "--quiet")).code == 0
    queue = queue_at(tmp_path / "killed.db")
    state, out = tmp_path / "state", tmp_path / "out.jsonl"
    done = 0
    while True:
        scanning = Process(
            [*PROGRAM, *arguments(folder, queue, "--quiet", "--state", state, "--out", out)],
            env=environment(), start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        if done < kills and is_stopped(scanning, state, chance.randrange(1, 150)):
            os.killpg(scanning.pid, signal.SIGKILL)
            scanning.communicate()
            done += 1
            continue
        _, said = scanning.communicate()
        assert (scanning.returncode, said) == (0, b"")
        break
    assert done
    assert inside(queue) == inside(whole)
    assert [record["record_id"] for record in lines(out)] == [
        result.record_id
        for result in hm.scan_source(
            folder, hm.Matcher(hm.read_list(DEMO)), surface="profile_photo"
        )
        if isinstance(result, hm.ReviewRecord)
    ]


def test_each_record_once_through_kills(tmp_path: Path) -> None:
    killed(photos(tmp_path / "photos", 700), tmp_path, 4)


@pytest.mark.slow
def test_each_record_once_through_many_kills(tmp_path: Path) -> None:
    killed(photos(tmp_path / "photos", 5_000), tmp_path, 60)
