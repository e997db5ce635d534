"""`hashmatch list inspect`, and what a list with bad rows does to a scan."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest

from cli_tools import IMAGES, LISTS, run, scan
from hashmatch import registry
from hashmatch.testing import random_hashes

BAD = LISTS / "bad-rows.csv"
BAD_LINES = [3, 5, 7, 9, 11]


@pytest.mark.parametrize(
    ("name", "shape", "types"),
    [
        ("demo-pdq.csv", "csv", {"pdq": 207}),
        ("demo-pdq.txt", "pdq-text", None),
        ("demo.jsonl", "jsonl", None),
        ("mixed-types.csv", "csv", {"md5": 4, "pdq": 5, "sha1": 3}),
        ("threatexchange-dataset.csv", "csv", None),
        ("bad-rows.csv", "csv", {"pdq": 6}),
    ],
)
def test_inspect_counts_what_a_list_holds(
    name: str, shape: str, types: dict[str, int] | None
) -> None:
    ran = run("list", "inspect", LISTS / name, "--json")
    assert (ran.code, ran.err) == (0, b"")
    (found,) = ran.lines
    assert (found["name"], found["format"]) == (Path(name).stem, shape)
    assert types is None or found["types"] == types
    assert sum(found["types"].values()) > 0


def test_inspect_names_each_rejected_row() -> None:
    (found,) = run("list", "inspect", BAD, "--json").lines
    assert [row["line"] for row in found["rejected"]] == BAD_LINES
    ran = run("list", "inspect", BAD)
    assert ran.code == 0
    text = ran.out.decode()
    assert "\x1b" not in text
    for row in found["rejected"]:
        assert f"line {row['line']}: {row['reason']}" in text
    for word in ("bad-rows", "csv", "pdq", "6", "5"):
        assert word in text


def test_inspect_names_twenty_rows_and_counts_the_rest_until_asked(tmp_path: Path) -> None:
    known = tmp_path / "long.csv"
    known.write_text("pdq,id\n" + "".join(f"short,{n}\n" for n in range(30)))
    few, all_of_them = (run("list", "inspect", known, *more).out.decode() for more in ([], ["-v"]))
    assert few.count("\nline ") == 20
    assert "10 more" in few
    assert all_of_them.count("\nline ") == 30


def test_a_scan_refuses_bad_rows_by_line_and_reason() -> None:
    ran = scan(IMAGES / "plain", known=BAD)
    assert (ran.code, ran.out) == (2, b"")
    (found,) = run("list", "inspect", BAD, "--json").lines
    for row in found["rejected"]:
        assert f"line {row['line']}: {row['reason']}" in ran.said
    assert str(BAD) in ran.said
    assert "--skip-bad-rows" in ran.said


def test_skip_bad_rows_goes_on_and_counts_them(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    ran = scan(IMAGES / "plain", "--skip-bad-rows", "--report", report, known=BAD)
    assert ran.code == 0
    (known,) = json.loads(report.read_text())["lists"]
    assert (known["name"], known["entries"], known["rejected"]) == ("bad-rows", 6, 5)
    assert "5 bad rows" in ran.said


def test_other_columns_delimiters_and_encodings_can_be_told(tmp_path: Path) -> None:
    known = tmp_path / "odd.txt"
    hashes = random_hashes(registry.spec("pdq"), 1, seed=2)
    known.write_text(
        f"Reference^Fingerprint\nfirst^{b64encode(bytes.fromhex(hashes.to_hex()[0])).decode()}\n"
    )
    options = ["--list-format", "csv", "--delimiter", "^", "--encoding", "base64"]
    columns = ["--column", "pdq=Fingerprint", "--column", "id=Reference"]
    ran = run("list", "inspect", known, "--json", *options, *columns)
    assert ran.code == 0, ran.said
    assert ran.lines[0]["types"] == {"pdq": 1}
    (line,) = run("match", *hashes.to_hex(), "--list", known, *options, *columns).lines
    assert [match["entry"] for match in line["matches"]] == ["first"]


def test_withdrawn_rows_are_counted_apart(tmp_path: Path) -> None:
    known = tmp_path / "withdrawn.csv"
    one, other = random_hashes(registry.spec("pdq"), 2, seed=2).to_hex()
    known.write_text(f"pdq,status\n{one},active\n{other},withdrawn\n")
    (found,) = run("list", "inspect", known, "--json").lines
    assert (found["types"], found["rows"]["withdrawal"]) == ({"pdq": 1}, 1)
