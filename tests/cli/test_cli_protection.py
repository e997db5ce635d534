"""`hashmatch scan` with what protects reviewers: benign lists, sources, the breaker."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from cli_tools import DEMO, IMAGES, Ran, many, one_line, run, scan
from hashmatch.testing import flipped

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = IMAGES / "plain/landscape-dusk.jpg"


def csv_list(path: Path, distance: int, **columns: str) -> Path:
    """Write a list of one entry, so many bits from PICTURE."""
    value = flipped(hm.hash_image(PICTURE).hashes, distance, seed=distance).to_hex()[0]
    cells = {"pdq": value, "id": f"{path.stem}-1", **columns}
    path.write_text(",".join(cells) + "\n" + ",".join(cells.values()) + "\n")
    return path


def scanned(tmp_path: Path, *args: Any, source: Path = PICTURE, **rest: Any) -> tuple[Ran, Any]:
    report = tmp_path / "report.json"
    ran = scan(source, "--report", report, *args, **rest)
    assert ran.code == 0, ran.said
    return ran, json.loads(report.read_text())


def test_a_benign_list_suppresses_and_counts(tmp_path: Path) -> None:
    known = csv_list(tmp_path / "known.csv", 20)
    benign = csv_list(tmp_path / "press.csv", 3)
    ran, report = scanned(tmp_path, "--benign", benign, known=known)
    (record,) = ran.lines
    assert record["status"] == "suppressed"
    assert record["matches"][0]["entry"] == "known-1"
    by = record["suppressed_by"]
    assert (by["reason"], by["list"], by["entry"], by["distance"]) == (
        "benign", "press", "press-1", 3,
    )  # fmt: skip
    assert report["outcomes"]["suppressed"] == report["listed"] == 1
    assert report["records"] == 0
    assert report["suppressed"] == {
        "benign": 1,
        "too_few_sources": 0,
        "mostly_chrome": 0,
        "breaker": 0,
    }
    assert [one["name"] for one in report["benign"]] == ["press"]
    assert [one["name"] for one in report["lists"]] == ["known"]
    assert "suppressed: 1 benign" in ran.said
    assert "benign list press" in ran.said
    assert "0 records for review" in ran.said
    for list_of in (known, benign):
        value = hm.read_list(list_of).hashes.to_hex()[0]
        assert value[:12] not in ran.said + ran.out.decode() + json.dumps(report)


def test_nearer_entries_are_never_silenced(tmp_path: Path) -> None:
    known = csv_list(tmp_path / "known.csv", 2)
    ran, _ = scanned(tmp_path, "--benign", csv_list(tmp_path / "press.csv", 3), known=known)
    assert ran.lines[0]["status"] == "pending_review"


def test_a_benign_list_of_digests(tmp_path: Path) -> None:
    digest = hm.hash_image(PICTURE, "md5").hex
    (tmp_path / "files.txt").write_text(f"md5\n{digest}\n")
    known = csv_list(tmp_path / "known.csv", 20)
    benign = f"md5={tmp_path / 'files.txt'}"
    args = ("--list-format", "csv")
    ran, report = scanned(tmp_path, "--benign", benign, *args, known=known)
    assert ran.lines[0]["suppressed_by"]["algorithm"] == "md5"
    assert digest not in ran.out.decode() + json.dumps(report)


def test_one_source_is_too_few(tmp_path: Path) -> None:
    one = csv_list(tmp_path / "one.csv", 4, source="hotline-a")
    two = csv_list(tmp_path / "two.csv", 6, source="hotline-b")
    ran, report = scanned(tmp_path, "--min-sources", "2", known=one)
    assert ran.lines[0]["suppressed_by"] == {
        "reason": "too_few_sources", "sources": ["hotline-a"], "min_sources": 2,
    }  # fmt: skip
    assert report["suppressed"]["too_few_sources"] == 1
    ran, report = scanned(tmp_path, "--min-sources", "2", "--list", two, known=one)
    assert ran.lines[0]["status"] == "pending_review"


def test_one_entry_brings_a_hundred_records_and_one_alarm(tmp_path: Path) -> None:
    photos = many(tmp_path / "photos", 120)
    (photos / "other.png").write_bytes((IMAGES / "plain/tiles.png").read_bytes())
    ran, report = scanned(tmp_path, "-q", source=photos)
    status = Counter(record["status"] for record in ran.lines)
    assert status == {"pending_review": 101, "suppressed": 20}
    (alarm,) = report["alarms"]
    assert list(alarm) == ["list", "list_version", "entry", "records"]
    assert (alarm["list"], alarm["records"]) == ("demo-pdq", 100)
    assert report["outcomes"]["match"] == report["records"] == 101
    assert report["suppressed"]["breaker"] == 20
    (line,) = ran.said.splitlines()  # even when quiet
    assert line.startswith(f"alarm: entry {alarm['entry']} of list demo-pdq, version ")
    (other,) = [record for record in ran.lines if record["item"]["key"] == "other.png"]
    assert other["status"] == "pending_review"


def test_the_limit_is_the_callers(tmp_path: Path) -> None:
    photos = many(tmp_path / "photos", 12)
    for limit, suppressed in (("3", 9), ("0", 0), ("12", 0)):
        ran, report = scanned(tmp_path, "--breaker", limit, source=photos)
        assert report["outcomes"]["suppressed"] == suppressed
        assert len(ran.lines) == 12
        assert ran.said.count("alarm: ") == len(report["alarms"]) == (limit != "0")


def test_rows_say_what_suppressed_them(tmp_path: Path) -> None:
    out = tmp_path / "records.csv"
    known = csv_list(tmp_path / "known.csv", 20)
    scanned(tmp_path, "--benign", csv_list(tmp_path / "press.csv", 3), "-o", out, known=known)
    header, row = out.read_text().splitlines()
    assert header.endswith('"suppressed_by_distance","chrome","mostly_chrome"')
    assert row.endswith('"benign","press","press-1","3","0.0",""')


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--benign", "nowhere.csv"], ["nowhere.csv"]),
        (["--benign", "nope=list.csv"], ["nope"]),
        (["--min-sources", "0"], ["--min-sources"]),
        (["--breaker", "-1"], ["--breaker"]),
    ],
)
def test_what_is_wrong_is_one_line(args: list[str], words: list[str]) -> None:
    ran = run("scan", PICTURE, "--list", DEMO, "--surface", "profile_photo", *args)
    one_line(ran, *words)
