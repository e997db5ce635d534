"""How a command ends early: Ctrl-C, a closed pipe, a full disk."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from cli_tools import (
    DEMO,
    IMAGES,
    Ran,
    many,
    one_line,
    run,
    running,
    scan,
    shell,
    unfinished,
    wait_for,
)
from processes import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

SURFACE = ["--list", str(DEMO), "--surface", "profile_photo"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many pictures, each of which matches, that a scan is still busy when it is stopped."""
    return many(tmp_path_factory.mktemp("end") / "photos", 4000)


def interrupted(*args: str | Path, once: Path | None = None) -> Ran:
    """Press Ctrl-C once there is some of the file `once`, or else the first line is on stdout."""
    with running(*args) as process:
        assert process.stdout is not None
        if once is None:
            first = os.read(process.stdout.fileno(), 2**16)  # no buffer that would keep the rest
        else:
            first = b""
            wait_for(lambda: any(part.stat().st_size for part in unfinished(once)))
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    return Ran(process.returncode, first + out, err)


@pytest.mark.parametrize("name", ["review.jsonl", "review.csv"])
def test_ctrl_c_leaves_the_records_so_far_beside_the_place(
    photos: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    part = tmp_path / f"{name}.part"
    ran = interrupted("scan", photos, *SURFACE, "--out", out, once=out)
    assert (ran.code, ran.out) == (130, b"")
    assert not out.exists()
    lines = part.read_text().splitlines(keepends=True)
    assert 0 < len(lines) < 4000
    assert all(line.endswith("\n") for line in lines)
    if name.endswith(".jsonl"):
        assert all(json.loads(line)["match_count"] for line in lines)
    (line,) = ran.said.splitlines()
    assert "stopped" in line
    assert str(part) in line


def test_ctrl_c_with_records_on_stdout(photos: Path) -> None:
    ran = interrupted("scan", photos, *SURFACE, "--breaker", "0")  # which would say more
    assert ran.code == 130
    assert 0 < len(ran.lines) < 4000
    assert len(ran.said.splitlines()) == 1


def test_ctrl_c_when_quiet_or_hashing_says_nothing(photos: Path) -> None:
    for args in (["scan", *SURFACE, "-q"], ["hash"]):
        ran = interrupted(*args, photos)
        assert (ran.code, ran.err) == (130, b"")
        assert ran.lines


@pytest.mark.parametrize(
    "args",
    [
        ["scan", "PHOTOS", *SURFACE],
        ["hash", "PHOTOS"],
        ["match", "-", "--list", str(DEMO)],
    ],
    ids=["scan", "hash", "match"],
)
def test_head_ends_it_quietly(photos: Path, args: list[str]) -> None:
    args = [str(photos) if arg == "PHOTOS" else arg for arg in args]
    hashes = f"yes {'0' * 64} | head -n 20000"
    ran = shell(f'{hashes} | "$@" | head -n 1; exit ${{PIPESTATUS[2]}}', *args)
    assert ran.code == 141
    assert len(ran.lines) == 1
    assert len(ran.said.splitlines()) <= 1, ran.said


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["scan", "--help"],
        ["list", "inspect", str(DEMO)],
        ["hash", str(IMAGES / "plain" / "tiles.png")],
    ],
)
def test_a_reader_that_is_gone_from_the_start(args: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with running(*args, out=writer) as process:
        os.close(writer)
        _, err = process.communicate(timeout=PATIENCE)
    assert err == b""
    assert process.returncode == 141


def test_both_outputs_closed_early(photos: Path) -> None:
    ran = shell('"$@" 2>&1 | head -n 1; exit ${PIPESTATUS[0]}', "scan", str(photos), *SURFACE)
    assert (ran.code, len(ran.lines)) == (141, 1)


@pytest.mark.parametrize(
    ("args", "fresh"),
    [
        (["scan", str(IMAGES / "plain"), *SURFACE], False),
        (["hash", str(IMAGES / "plain")], False),
        (["match", "0" * 64, "--list", str(DEMO)], False),
        (["list", "inspect", str(DEMO)], False),
        (["list", "inspect", str(DEMO), "--json"], True),
    ],
)
def test_stdout_on_a_full_disk(args: list[str], fresh: bool) -> None:
    one_line(shell('"$@" > /dev/full', *args, fresh=fresh), "No space left")


@pytest.mark.parametrize("option", ["--out", "--report"])
@pytest.mark.parametrize(
    ("place", "reason"),
    [("/dev/full", "No space left"), ("no/such/folder.jsonl", "No such file")],
)
def test_a_file_that_cannot_be_written(
    option: str, place: str, reason: str, tmp_path: Path
) -> None:
    ran = scan(IMAGES / "plain", option, place, "-q", cwd=tmp_path)
    if option == "--report":  # records may have gone to stdout by then
        ran = Ran(ran.code, b"", ran.err)
    one_line(ran, place, reason)
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_stops_a_scan_before_it_begins(tmp_path: Path) -> None:
    ran = scan(IMAGES / "plain", "--out", tmp_path / "a.jsonl", "--report", "no/such", "-q")
    one_line(ran, "cannot write no/such")
    assert unfinished(tmp_path / "a.jsonl") == []
    assert not (tmp_path / "a.jsonl").exists()


def test_no_stdin_is_no_reason_to_fail() -> None:
    ran = shell('"$@" <&-', "hash", str(IMAGES / "plain" / "tiles.png"), fresh=True)
    assert (ran.code, len(ran.lines)) == (0, 1)


def test_nothing_to_match_is_no_error() -> None:
    ran = run("match", "-", "--list", DEMO)
    assert (ran.code, ran.out) == (0, b"")
