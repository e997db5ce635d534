"""`hashmatch hash`: one JSON line for each of your own pictures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cli_tools import IMAGES, LISTS, Ran, one_line, run

GOLDEN = json.loads((LISTS.parent / "golden" / "hashes.json").read_text())


@pytest.fixture(scope="module")
def everything() -> Ran:
    return run("hash", IMAGES)


def test_a_picture_has_the_documented_line(tmp_path: Path) -> None:
    shutil.copy(IMAGES / "plain" / "tiles.png", tmp_path / "photo.png")
    (line,) = run("hash", "photo.png", cwd=tmp_path).lines
    assert list(line) == [
        "item", "outcome", "algorithm", "hash", "quality", "width", "height", "damaged",
    ]  # fmt: skip
    assert (line["item"], line["outcome"], line["algorithm"]) == ("photo.png", "hashed", "pdq")
    assert (len(line["hash"]), line["damaged"]) == (64, False)


def test_a_folder_means_all_below_it_in_order(everything: Ran) -> None:
    assert everything.code == 0
    items = [line["item"] for line in everything.lines]
    assert set(items) == {str(path) for path in IMAGES.rglob("*") if path.is_file()}
    assert items == sorted(items)
    assert everything.err == b""


def test_hashes_are_the_golden_ones(everything: Ran) -> None:
    found = {str(Path(line["item"]).relative_to(IMAGES)): line for line in everything.lines}
    checked = 0
    for name, expected in GOLDEN.items():
        if name.startswith("plain/"):
            assert found[name]["hash"] == expected["pdq"], name
            assert found[name]["quality"] == expected["pdq_quality"], name
            checked += 1
    assert checked >= 10


def test_what_cannot_be_hashed_has_outcome_and_reason_alone(everything: Ran) -> None:
    unhashed = [line for line in everything.lines if "hash" not in line]
    assert {line["outcome"] for line in unhashed} >= {"undecodable", "unsupported", "too_small"}
    for line in unhashed:
        assert list(line) == ["item", "outcome", "reason"]
        assert line["reason"]


@pytest.mark.parametrize(
    ("algorithm", "digits"),
    [
        ("phash", 16),
        ("whash", 16),
        ("md5", 32),
        ("sha256", 64),
    ],
)
def test_every_algorithm_has_a_name(algorithm: str, digits: int) -> None:
    (line,) = run("hash", IMAGES / "plain" / "tiles.png", "--algorithm", algorithm).lines
    assert (line["algorithm"], line["outcome"]) == (algorithm, "hashed")
    assert line["hash"] == GOLDEN["plain/tiles.png"][algorithm]
    assert len(line["hash"]) == digits


def test_strict_fails_when_one_has_no_hash() -> None:
    good, bad = IMAGES / "plain" / "tiles.png", IMAGES / "damaged" / "empty.jpg"
    ran = run("hash", good, bad, "--strict")
    assert (ran.code, len(ran.lines)) == (1, 2)


def test_a_slip_of_the_pen_is_noticed_before_the_first_hash() -> None:
    one_line(run("hash", IMAGES / "plain" / "tiles.png", "no-such.jpg"), "no-such.jpg")


def test_output_can_be_read_back_as_a_list(tmp_path: Path, everything: Ran) -> None:
    known = tmp_path / "own.jsonl"
    lines = [line for line in everything.out.splitlines() if b'"outcome":"hashed"' in line]
    known.write_bytes(b"\n".join(lines))
    ran = run("list", "inspect", known, "--json")
    assert ran.lines[0]["types"] == {"pdq": len(lines)}
    assert ran.lines[0]["rejected"] == []
