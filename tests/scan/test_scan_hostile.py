"""A folder of hostile files, scanned by the command as anybody would: one verdict each."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import cli_tools
import hashmatch as hm
from cli_tools import DEMO, PROGRAM, environment
from hostile_pictures import hostile

if TYPE_CHECKING:
    from collections.abc import Iterator

WATCHED = """
import resource, subprocess, sys
ended = subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
sys.exit(ended.returncode)
"""
"""Runs a command, and prints the most memory of it or of what it started, in MiB."""
CLOSED = {outcome.value for outcome in hm.Outcome} - {"hashed"}
NAMES = (
    "two\nlines.jpg", "esc\x1b[31m.jpg", "-l.jpg", " .jpg", "%2e%2e.jpg", "quote'\".jpg",
    "back\\slash.jpg", "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", "n" * 240 + ".jpg", "~", "*?.png",
)  # fmt: skip


def fill(folder: Path, count: int, large: bool) -> int:
    """Put hostile files into `folder`; return how many names there are to account for."""
    folder.mkdir()
    for number, (name, data) in enumerate(hostile(13, count, large)):
        place = folder / f"{number % 10}"
        place.mkdir(exist_ok=True)
        (place / f"{number:05}-{name.replace('/', '_')}").write_bytes(data)
    odd = folder / "odd"
    odd.mkdir()
    for name in NAMES:
        (odd / name).write_bytes(b"no picture")
    (odd / os.fsdecode(b"\xff\xfe.jpg")).write_bytes(b"")
    with (odd / "sparse.jpg").open("wb") as sparse:
        sparse.truncate(2**40)  # 1 TiB, of which none is on the disk
    os.mkfifo(odd / "pipe.jpg")
    (odd / "self.jpg").symlink_to("self.jpg")
    (odd / "there.jpg").symlink_to("back.jpg")
    (odd / "back.jpg").symlink_to("there.jpg")
    (odd / "folder").symlink_to("..")
    (odd / "dangling.jpg").symlink_to("nowhere")
    (odd / "null.jpg").symlink_to("/dev/null")
    (odd / "zero.jpg").symlink_to("/dev/zero")
    (odd / "wrong.png").write_bytes(next(data for name, data in hostile(1, 1, False)))
    (odd / "closed.jpg").write_bytes(b"secret")
    (odd / "closed.jpg").chmod(0)
    return count + len(NAMES) + 12


def check(folder: Path, count: int, large: bool) -> None:
    names = fill(folder / "photos", count, large)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fsencode(folder / "photos" / "odd" / "socket.jpg"))
        ran = subprocess.run(
            [
                sys.executable, "-c", WATCHED, *PROGRAM,
                "scan", folder / "photos", "--list", DEMO, "--surface", "profile_photo",
                "--state", folder / "state", "--out", folder / "out.jsonl",
                "--report", folder / "report.json", "--quiet", "--breaker", "0",
            ],
            capture_output=True, cwd=folder, env=environment(), check=False,
        )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, b"")  # nothing from any C library
    most = int(ran.stdout)  # and nothing but that
    report = json.loads((folder / "report.json").read_text())
    assert report["listed"] == names + 1 == sum(report["outcomes"].values())
    assert set(report["outcomes"]) == CLOSED
    reasons = Counter(problem["item"] for problem in report["not_searched"])
    assert set(reasons.values()) == {1}
    assert all(problem["reason"].isprintable() for problem in report["not_searched"])
    said = {Path(problem["item"]).name: problem for problem in report["not_searched"]}
    for name in ("pipe.jpg", "self.jpg", "there.jpg", "folder", "zero.jpg", "sparse.jpg"):
        assert said[name]["outcome"] in {"unsupported", "refused", "failed"}, said[name]
    # MiB of the scan itself: two pictures of 64 megapixels, which it shares with their workers, and
    # their files take 750. What a worker may have is watched in test_workers_hostile.py.
    assert most <= 1200
    assert not list(strays(folder))


def strays(folder: Path) -> Iterator[int]:
    """Processes that were started in `folder` and are still there."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").readlink() == folder:
                    yield int(entry.name)
            except OSError:
                continue


def test_a_folder_of_hostile_files(tmp_path: Path) -> None:
    check(tmp_path, 150, large=False)


@pytest.mark.slow
def test_a_folder_of_thousands_of_hostile_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_tools, "TIMEOUT", 900)
    check(tmp_path, 3_500, large=True)
