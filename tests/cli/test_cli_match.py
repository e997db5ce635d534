"""`hashmatch match`: hashes computed elsewhere, matched as a scan would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cli_tools import DEMO, IMAGES, LISTS, Ran, one_line, run, scan

PLAIN = IMAGES / "plain"
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
        expected = [{k: v for k, v in m.items() if k not in {"variant", "frame"}} for m in of_scan]
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
