"""`hashmatch match`: hashes computed elsewhere, matched as a scan would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hashmatch as hm
from cli_tools import DEMO, IMAGES, LISTS, Ran, one_line, run, scan
from hashmatch.testing import flipped

PLAIN = IMAGES / "plain"
OF_PICTURES = {"variant", "frame", "chrome", "mostly_chrome"}
ABSENT = "0123456789abcdef" * 4


def match(*args: str, stdin: bytes = b"") -> Ran:
    return run("match", *args, "--list", DEMO, stdin=stdin)


@pytest.fixture(scope="module")
def hashes() -> list[dict[str, Any]]:
    return run("hash", PLAIN).lines


def test_matches_are_those_of_a_scan(hashes: list[dict[str, Any]]) -> None:
    text = "".join(f"{line['hash']}\n" for line in hashes)
    ran = match("-", stdin=text.encode())
    scanned = {record["item"]["key"]: record["matches"] for record in scan(PLAIN).lines}
    assert ran.code == 0
    assert [line["query"] for line in ran.lines] == list(range(1, len(hashes) + 1))
    for line, hashed in zip(ran.lines, hashes, strict=True):
        # A lookup does not know what a hash is of.
        of_scan = scanned.get(Path(hashed["item"]).name, [])
        expected = [{k: v for k, v in m.items() if k not in OF_PICTURES} for m in of_scan]
        assert line["matches"] == expected
        assert line["match_count"] == len(expected)
        assert line["outcome"] == ("match" if expected else "no_match")
        assert hashed["hash"] not in ran.out.decode()


def test_arguments_stdin_and_either_case_mix(hashes: list[dict[str, Any]]) -> None:
    (known,) = [line["hash"] for line in hashes if "landscape-dusk" in line["item"]]
    ran = match(known.upper(), "-", ABSENT, stdin=f"{ABSENT}\r\n{known}\n\n".encode())
    outcomes = [line["outcome"] for line in ran.lines]
    assert outcomes == ["match", "no_match", "match", "no_match"]


def test_max_distance_holds_here_too(hashes: list[dict[str, Any]]) -> None:
    texts = [line["hash"] for line in hashes]
    ran = match(*texts, "--max-distance", "30")
    assert max(near["distance"] for line in ran.lines for near in line["matches"]) == 30


def test_other_algorithms_say_so() -> None:
    ran = run("match", "0" * 16, "-a", "phash", "--list", LISTS / "demo.jsonl")
    assert [line["algorithm"] for line in ran.lines] == ["phash"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ABSENT[:-1], "63 hex digits"),
        (ABSENT + "0", "65 hex digits"),
        ("g" * 64, "not hex"),
        ("12 4" * 16, "not hex"),
        ("é" * 64, "not hex"),
    ],
)
def test_what_is_no_hash_is_named_by_position_not_value(text: str, reason: str) -> None:
    ran = match(ABSENT, text)
    one_line(ran, "hash 2", reason)
    assert text[:20] not in ran.said


def test_bytes_that_are_no_text_are_refused() -> None:
    one_line(match("-", stdin=b"\xff\xfe\x00" * 20 + b"\n"))


@pytest.fixture
def near(tmp_path: Path, hashes: list[dict[str, Any]]) -> tuple[str, Path]:
    """A hash, and a list of one entry 20 bits from it, of one source."""
    (known,) = [line["hash"] for line in hashes if "landscape-dusk" in line["item"]]
    return known, entry(tmp_path / "known.csv", known, 20)


def entry(path: Path, known: str, distance: int, source: str = "hotline-a") -> Path:
    batch = hm.HashBatch.from_hex(hm.HashSpec("pdq", 256), [known])
    value = flipped(batch, distance, seed=distance).to_hex()[0]
    path.write_text(f"pdq,id,source\n{value},{path.stem}-1,{source}\n")
    return path


def test_what_a_rule_keeps_out_of_a_queue_says_so(tmp_path: Path, near: tuple[str, Path]) -> None:
    known, listed = near
    benign = entry(tmp_path / "press.csv", known, 3)

    def lines(*args: str | Path) -> list[dict[str, Any]]:
        ran = run("match", known, ABSENT, "--list", listed, *args)
        assert ran.code == 0, ran.said
        return ran.lines

    plain = lines()
    assert [line["outcome"] for line in plain] == ["match", "no_match"]
    assert not any("suppressed_by" in line for line in plain)
    by_benign, absent = lines("--benign", benign)
    assert absent == plain[1]
    by = by_benign.pop("suppressed_by")
    assert (by["reason"], by["list"], by["distance"]) == ("benign", "press", 3)
    assert by_benign == plain[0] | {"outcome": "suppressed"}
    assert known not in str([by_benign, by])
    (by_sources, _) = lines("--min-sources", "2")
    assert by_sources["suppressed_by"] == {
        "reason": "too_few_sources", "sources": ["hotline-a"], "min_sources": 2,
    }  # fmt: skip
    other = entry(tmp_path / "other.csv", known, 6, "hotline-b")
    assert [line["outcome"] for line in lines("--min-sources", "2", "--list", other)] == [
        "match", "no_match",
    ]  # fmt: skip


def test_rules_of_other_kinds_have_nothing_to_say(tmp_path: Path, near: tuple[str, Path]) -> None:
    known, listed = near
    (tmp_path / "files.csv").write_text("md5\n0123456789abcdef0123456789abcde0\n")
    files = f"md5={tmp_path / 'files.csv'}"
    ran = run("match", known, "--list", listed, "--list", files, "--benign", files)
    assert [line["outcome"] for line in ran.lines] == ["match"]
