"""On a terminal: the bar, the colours, and records that neither swallows."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from cli_tools import DEMO, many, on_terminal, run, scan, screen_lines

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 150
COLOUR = re.compile(rb"\x1b\[[0-9;]*\b(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])(?:;[0-9;]*)?m")
# The same picture again and again is what the breaker is for; here each is to be a match.
SURFACE = ["--list", str(DEMO), "--surface", "profile_photo", "--breaker", "0"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return many(tmp_path_factory.mktemp("terminal") / "photos", COUNT)


def test_records_in_a_file_and_the_bar_on_the_terminal(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "review.jsonl"
    code, seen = on_terminal("scan", photos, *SURFACE, out=out)
    assert code == 0
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert [record["item"]["key"] for record in records] == [f"{n:04}.jpg" for n in range(COUNT)]
    bar = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert re.search(rf"{COUNT} of {COUNT} images .*100%.* [\d,]+/s .*{COUNT} matches", bar)
    assert re.search(r"\d:\d\d:\d\d", bar)
    assert COLOUR.search(seen)
    assert not any("100%" in line for line in screen_lines(seen)), "the bar is left on the screen"


def test_the_line_says_what_waits_and_what_was_not_searched(photos: Path, tmp_path: Path) -> None:
    """So slowly that it is drawn several times; each time in one line, however narrow."""
    (photos / "0007b.jpg").write_text("no picture")
    size = (photos / "0000.jpg").stat().st_size * COUNT
    rate = f"{size / 2500:.3f}k"
    code, seen = on_terminal("scan", photos, *SURFACE, "--limit-rate", rate, out=tmp_path / "out")
    (photos / "0007b.jpg").unlink()
    assert code == 0
    drawn = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode()))
    drawn = [line for line in drawn if f"of {COUNT + 1} images" in line]
    assert max(map(len, drawn)) <= 100
    assert any("1 not searched" in line for line in drawn)
    assert any(re.search(r"\d queued", line) for line in drawn)
    assert len({line.split(" of ")[0] for line in drawn}) > 3
    assert not any("retries" in line or "alarms" in line for line in drawn), "there are none"


def test_records_and_bar_on_one_terminal(photos: Path) -> None:
    code, seen = on_terminal("scan", photos, *SURFACE)
    assert code == 0
    lines = [line for line in screen_lines(seen) if '"schema"' in line]
    records = [json.loads(line) for line in lines]  # a torn line is no JSON
    assert [record["item"]["key"] for record in records] == [f"{n:04}.jpg" for n in range(COUNT)]


def test_hashes_and_bar_on_one_terminal(photos: Path) -> None:
    code, seen = on_terminal("hash", photos)
    assert code == 0
    lines = [json.loads(line) for line in screen_lines(seen) if '"item"' in line]
    assert len(lines) == COUNT


def test_hashes_in_a_file_and_the_bar_on_the_terminal(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "hashes.jsonl"
    code, seen = on_terminal("hash", photos, out=out)
    assert code == 0
    assert len([json.loads(line) for line in out.read_text().splitlines()]) == COUNT
    assert b"images" in seen
    assert b"matches" not in seen, "hashing looks for no matches"


def test_an_import_says_how_much_is_read_and_what_is_done(tmp_path: Path) -> None:
    code, seen = on_terminal("list", "import", DEMO, "--store", tmp_path / "store")
    assert code == 0
    bar = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert re.search(r"[\d.]+/[\d.]+ kB .*100% \d:\d\d:\d\d [a-z]", bar)
    assert "/s" not in bar, "bytes a second tell nobody anything"
    assert not any("100%" in line for line in screen_lines(seen)), "the bar is left on the screen"


def test_no_color_takes_the_colours_only(photos: Path, tmp_path: Path) -> None:
    code, seen = on_terminal("scan", photos, *SURFACE, out=tmp_path / "out", NO_COLOR="1")
    assert code == 0
    assert b"images" in seen
    assert not COLOUR.search(seen)
    assert b"\x1b" in on_terminal("list", "inspect", DEMO)[1]
    assert not COLOUR.search(on_terminal("list", "inspect", DEMO, NO_COLOR="1")[1])


def test_quiet_leaves_the_terminal_alone(photos: Path, tmp_path: Path) -> None:
    assert on_terminal("scan", photos, *SURFACE, "-q", out=tmp_path / "out") == (0, b"")


def test_a_dumb_terminal_gets_no_codes(photos: Path, tmp_path: Path) -> None:
    code, seen = on_terminal("scan", photos, *SURFACE, out=tmp_path / "out", TERM="dumb")
    assert code == 0
    assert b"\x1b" not in seen


def test_pipes_get_no_codes_and_no_bar(photos: Path) -> None:
    for ran in (scan(photos), run("hash", photos)):
        assert ran.code == 0
        assert b"\x1b" not in ran.out + ran.err
        assert b"%" not in ran.err
        assert b"\r" not in ran.err


def test_verbose_names_every_problem_and_quiet_none(tmp_path: Path) -> None:
    for number in range(25):
        (tmp_path / f"{number:02}.jpg").write_text("no picture\n")
    usual, verbose, quiet = (scan(tmp_path, *more) for more in ([], ["-v"], ["-q"]))
    assert usual.said.count(": unsupported: ") == 20
    assert "5 more" in usual.said
    assert verbose.said.count(": unsupported: ") == 25
    assert quiet.err == b""


def test_quiet_still_says_what_went_wrong() -> None:
    ran = scan("nowhere", "-q")
    assert (ran.code, ran.said.count("\n")) == (2, 1)
