"""`--out`: a private file that appears when it is whole, as JSON lines or for a spreadsheet."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import signal
import stat
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from cli_tools import DEMO, IMAGES, many, one_line, running, scan, unfinished, wait_for
from hashmatch._files.atomic import OutputFile
from processes import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

    from cli_tools import Argument
from typing import Any

PLAIN = IMAGES / "plain"
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(scope="module")
def printed() -> list[dict[str, Any]]:
    """The records of the plain pictures as stdout has them."""
    return scan(PLAIN).lines


@pytest.mark.parametrize("name", ["review", "REVIEW.CSV"])
def test_the_file_is_private_and_alone(tmp_path: Path, name: str) -> None:
    os.umask(0)  # nobody else's rights must come from the umask
    try:
        ran = scan(PLAIN, "--out", tmp_path / name)
    finally:
        os.umask(0o022)
    assert (ran.code, ran.out) == (0, b"")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert mode(tmp_path / name) == 0o600


def test_the_file_has_what_stdout_would_have(tmp_path: Path, printed: list[dict[str, Any]]) -> None:
    out = tmp_path / "review.jsonl"
    scan(PLAIN, "--out", out)
    keys = [json.loads(line)["record_id"] for line in out.read_text().splitlines()]
    assert keys == [record["record_id"] for record in printed]
    assert keys


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    photos, out = many(tmp_path / "photos", 300), tmp_path / "review.jsonl"
    out.write_text("old\n")
    surface = ["--surface", "user_report"]
    with running("scan", photos, "--list", DEMO, *surface, "--out", out) as process:
        wait_for(lambda: any(part.stat().st_size for part in unfinished(out)))
        os.killpg(process.pid, signal.SIGSTOP)  # or it might be done before we look
        (part,) = unfinished(out)
        assert out.read_text() == "old\n"
        assert mode(part) == 0o600
        again = scan(PLAIN, "--out", out)
        one_line(again, f"cannot write {out}: it is being written by another process")
        os.killpg(process.pid, signal.SIGCONT)
        process.communicate(timeout=PATIENCE)
    assert len(out.read_text().splitlines()) == 300
    assert mode(out) == 0o600


@pytest.mark.parametrize("name", ["review.jsonl.part", f".review.jsonl.{'0' * 16}.part"])
def test_rests_of_an_earlier_scan_make_it_no_less_private(tmp_path: Path, name: str) -> None:
    out, part = tmp_path / "review.jsonl", tmp_path / name
    part.write_text("of yesterday\n" * 1000)
    part.chmod(0o644)
    assert scan(PLAIN, "--out", out).code == 0
    assert mode(out) == 0o600
    assert "yesterday" not in out.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["review.jsonl"]


def test_a_link_laid_in_the_way_is_not_followed(tmp_path: Path) -> None:
    out, victim = tmp_path / "review.jsonl", tmp_path / "victim"
    victim.write_text("precious\n")
    (tmp_path / "review.jsonl.part").symlink_to(victim)
    scan(PLAIN, "--out", out)
    assert victim.read_text() == "precious\n"


def test_csv_has_a_header_and_a_row_for_each_match(
    tmp_path: Path, printed: list[dict[str, Any]]
) -> None:
    out = tmp_path / "review.csv"
    scan(PLAIN, "--out", out)
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [
        (record["record_id"], record["item"]["key"], match["entry"], str(match["distance"]))
        for record in printed
        for match in record["matches"]
    ]
    assert [(r["record_id"], r["key"], r["entry"], r["distance"]) for r in rows] == expected
    assert expected
    assert {row["status"] for row in rows} == {"pending_review"}


def test_csv_without_a_match_is_a_header(tmp_path: Path) -> None:
    out = tmp_path / "review.csv"
    assert scan(IMAGES / "flat", "--out", out).code == 0
    assert out.read_text().startswith('"record_id","status",')
    assert out.read_text().count("\n") == 1


def test_csv_cells_cannot_do_harm(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    data = (PLAIN / "landscape-dusk.jpg").read_bytes()
    names = ["=cmd|' C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", 'a","=1']
    for name in names:
        (photos / name).write_bytes(data)
    (digits,) = [line[:64] for line in DEMO.read_text().splitlines() if "dusk-d00" in line]
    known = tmp_path / "=list.csv"
    cells = ['"=HYPERLINK(""http://example.org"")"', "@label", "+source"]
    known.write_text(f"pdq,id,labels,sources\n{digits},{','.join(cells)}\n")
    out = tmp_path / "review.csv"
    assert scan(photos, "--out", out, known=known).code == 0
    with out.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert len(rows) == len(names)
    assert all(len(row) == len(header) for row in rows)
    for row in rows:
        for cell in row:
            assert not cell.startswith(DANGEROUS), cell
    found = {row[header.index("key")].removeprefix("'") for row in rows}
    escaped = str.maketrans({"\t": r"\t", "\r": r"\r", "\n": r"\n"})
    assert found == {name.translate(escaped) for name in names}


def is_held(path: Path) -> bool:
    """Return whether a process has locked a file, or one in a folder."""
    for file in path.iterdir() if path.is_dir() else [path]:
        with suppress(OSError), file.open("rb") as opened:
            try:
                fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("--out", "review.jsonl"),
        ("--report", "report.json"),
        ("--metrics", "scan.prom"),
        ("--log-json", "scan.log"),
        ("--state", "state"),
    ],
)
def test_a_second_scan_to_the_same_place_is_refused(tmp_path: Path, option: str, name: str) -> None:
    """In one line and before the first image; the place is free again after kill -9."""
    photos, place = many(tmp_path / "photos", 2000), tmp_path / name
    surface: list[Argument] = ["--list", DEMO, "--surface", "user_report"]
    out: list[Argument] = [] if option == "--out" else ["--out", tmp_path / "first.jsonl"]
    with running("scan", photos, *surface, option, place, *out, "-q") as process:
        wait_for(lambda: any(map(is_held, [place, *unfinished(place)])))
        os.killpg(process.pid, signal.SIGSTOP)
        # By another name of it, too.
        (tmp_path / "link").symlink_to(tmp_path)
        second: list[Argument] = [] if option == "--out" else ["--out", tmp_path / "second.jsonl"]
        for again in (place, tmp_path / "link" / name):
            ran = scan(PLAIN, option, again, *second)
            one_line(
                ran,
                name,
                "another scan uses it" if option == "--state" else "written by another process",
            )
            assert ran.out == b""
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=PATIENCE)
    assert not list(tmp_path.glob("*second*"))
    assert scan(PLAIN, option, place, *second).code == 0


def test_a_log_is_not_written_over_while_it_is_added_to(tmp_path: Path) -> None:
    log = tmp_path / "scan.jsonl"
    with closing(OutputFile(log, append=True)) as file:
        file.write("first\n")
        one_line(scan(PLAIN, "--out", log), "written by another process")
    with closing(OutputFile(log)):
        one_line(scan(PLAIN, "--log-json", log, "--out", tmp_path / "o.csv"), "written by another")
    assert scan(PLAIN, "--log-json", log, "--out", tmp_path / "o.csv").code == 0
