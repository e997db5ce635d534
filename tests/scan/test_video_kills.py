"""Scans of pictures and clips that are killed again and again end as an undisturbed one does."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
import processes
from cli_tools import DEMO, IMAGES, PROGRAM, environment
from drawn_shots import encoded, shots
from hashmatch.lists.vpdq_signal import write_signal
from processes import Process
from scan_folders import lines, listed

if TYPE_CHECKING:
    from pathlib import Path

LONGEST = 2.0
"""Seconds after which a scan is killed at the latest, from when its checkpoint is there."""


def folder_and_list(tmp_path: Path, clips: int, pictures: int) -> tuple[Path, Path]:
    """Pictures and clips, every fourth of each known, and the list of the known clip."""
    folder = tmp_path / "both"
    folder.mkdir()
    known = encoded(shots(1, 12))
    for number in range(clips):
        data = encoded(shots(1, 12)[20:80] if number % 4 else shots(2 + number, 6))
        (folder / f"{number:03}-clip.mp4").write_bytes(known if number % 4 == 1 else data)
    paths = sorted((IMAGES / "plain").glob("tiles*"))
    for number in range(pictures):
        shutil.copy(paths[number % len(paths)], folder / f"{number:03}-{paths[0].name}")
    frames = hm.hash_video(known).frames
    assert frames is not None
    path = tmp_path / "clips.json"
    path.write_text(json.dumps({"known": json.loads(write_signal(frames))}))
    return folder, path


def command(source: Path, videos: Path, place: Path) -> list[str]:
    given = ["scan", source, "--list", DEMO, "--list", f"vpdq={videos}"]
    given += ["--surface", "public_post", "--breaker", "0", "--state", place, "--quiet"]
    given += ["--out", f"{place}.jsonl", "--report", f"{place}.json"]
    return [*PROGRAM, *map(str, given)]


def check(tmp_path: Path, clips: int, pictures: int, kills: int) -> None:
    source, videos = folder_and_list(tmp_path, clips, pictures)
    env, chance = environment(), random.Random(20261130)
    whole = tmp_path / "whole"
    ran = processes.run(command(source, videos, whole), env=env, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    expected = lines(whole.with_suffix(".jsonl"))
    assert {record["item"]["media_type"] for record in expected} == {"image/png", "video/mp4"}
    done = rounds = 0
    while done < kills:
        place = tmp_path / f"killed-{rounds}"
        rounds += 1
        while True:
            scanning = Process(
                command(source, videos, place), env=env, start_new_session=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            if done < kills:
                while scanning.poll() is None and not (place / "checkpoint.db-wal").exists():
                    time.sleep(0.01)
                time.sleep(chance.uniform(0, LONGEST))
            if done < kills and scanning.poll() is None:
                os.killpg(scanning.pid, signal.SIGKILL)
                scanning.communicate()
                done += 1
                continue
            out, said = scanning.communicate()
            assert (scanning.returncode, out, said) == (0, b"", b"")
            break
        assert lines(place.with_suffix(".jsonl")) == expected
        assert listed(place) == clips + pictures
    print(f"{done} kills of {rounds} scans")  # noqa: T201


def test_a_scan_of_pictures_and_clips_that_is_killed_ends_as_an_undisturbed_one(
    tmp_path: Path,
) -> None:
    check(tmp_path, clips=4, pictures=4, kills=2)


@pytest.mark.slow
def test_fifty_kills_of_a_scan_of_pictures_and_clips(tmp_path: Path) -> None:
    check(tmp_path, clips=60, pictures=300, kills=50)
