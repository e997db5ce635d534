"""Wrong usage, unreadable lists and sources: one clear line, exit 2, and never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli_tools import DEMO, IMAGES, LISTS, one_line, run, scan

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = IMAGES / "plain"

FILES = {
    "empty.csv": b"",
    "blank.csv": b"\n\n",
    "header.csv": b"pdq,id\n",
    "picture.csv": (PLAIN / "tiles.png").read_bytes(),
    "packed.csv": b"\x1f\x8b\x08\0\0\0\0\0",
    "wide.csv": "pdq,id\n".encode("utf-16"),
    "archive.csv": b"PK\x03\x04" + bytes(30),
    "prose.csv": b"Here is the list that you asked for.\n",
    "md5.csv": b"md5\n0123456789abcdef0123456789abcde0\n",
    "nameless.csv": f"reference,colour\nmade-up,{'0f' * 32}\n".encode(),
    "phash.csv": b"phash\n9d4ea1b3528cf067\n",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (folder / "folder").mkdir()
    return folder


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.csv", ["cannot read", "(--list)", "No such file"]),
        ("folder", ["it is no list store", "hashmatch list import"]),
        ("/proc/self/mem", ["cannot read"]),
        ("empty.csv", ["empty"]),
        ("blank.csv", []),
        ("header.csv", ["no usable row"]),
        ("picture.csv", []),
        ("packed.csv", ["gzip"]),
        ("wide.csv", ["no usable row"]),  # UTF-16 is read, and this has a header only
        ("archive.csv", ["zip"]),
        ("prose.csv", ["none of the formats"]),
        ("nameless.csv", ["column 2 colour holds hashes", "--column hash=colour"]),
        ("md5.csv", ["pdq", "md5"]),
        ("phash.csv", ["pdq", "phash"]),
    ],
)
def test_a_list_that_cannot_be_used(place: Path, name: str, words: list[str]) -> None:
    one_line(scan(PLAIN, known=place / name), name, *words)


@pytest.mark.parametrize("name", ["missing.csv", "empty.csv"])
def test_inspect_and_match_refuse_it_as_well(place: Path, name: str) -> None:
    one_line(run("list", "inspect", place / name), name)
    one_line(run("match", "0" * 64, "--list", place / name), name)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("missing", ["missing", "no such"]),
        ("folder", ["folder", "no images"]),
        ("s3://bucket/photos", ["s3"]),
    ],
)
def test_a_source_that_cannot_be_read(place: Path, source: str, words: list[str]) -> None:
    one_line(scan(source, cwd=place), *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--max-distance", "9999"], ["9999", "256"]),
        (["--max-distance", "-1"], ["-1"]),
        (["--max-distance", "pdq=x"], ["'pdq=x'", "whole number"]),
        (["--max-distance", "phash=5"], ["phash", "no list"]),
        (["-d", "5", "-d", "pdq=5"], ["either one limit"]),
        (["-d", "5", "-d", "6"], ["twice"]),
        (["--min-quality", "101"], ["101"]),
        (["--algorithm", "psychic"], ["psychic", "pdq"]),
        (["--algorithm", "phash"], ["phash", "pdq"]),
        (["--list-format", "xml"], ["xml", "csv"]),
        (["--encoding", "rot13"], ["rot13"]),
        (["--column", "pdq"], ["--column", "ROLE=NAME"]),
        (["--column", "pdq="], ["--column", "ROLE=NAME"]),
        (["--column", "pdq=Fingerprint"], ["Fingerprint", "labels"]),
        (["--column", "fingerprint=pdq"], ["fingerprint"]),
        (["--delimiter", ";;"], ["delimiter"]),
        (["--delimiter", ""], ["delimiter"]),
        (["--frobnicate"], ["--frobnicate"]),
    ],
)
def test_an_option_that_cannot_be(options: list[str], words: list[str]) -> None:
    one_line(scan(PLAIN, *options), *words)


@pytest.mark.parametrize("surface", ["direct_message", "Profile_Photo", ""])
def test_an_unlisted_surface_is_refused(surface: str) -> None:
    ran = run("scan", PLAIN, "--list", DEMO, "--surface", surface)
    one_line(ran, "surface", "profile_photo", "group_photo", "user_report", "public_post")


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["scan", str(PLAIN), "--list", str(DEMO)], "--surface"),
        (["scan", str(PLAIN), "--surface", "public_post"], "--list"),
        (["scan", "--list", str(DEMO), "--surface", "public_post"], "SOURCE"),
        (["hash"], "PATH"),
        (["match", "--list", str(DEMO)], "HEX"),
        (["list", "inspect"], "FILE"),
        (["hash", str(PLAIN), "--algorithm", "psychic"], "psychic"),
        (["hush"], "hush"),
        (["list", "show", str(DEMO)], "show"),
    ],
)
def test_something_is_missing_or_unknown(args: list[str], word: str) -> None:
    one_line(run(*args), word)


def test_lists_of_different_kinds_are_not_mixed(place: Path) -> None:
    one_line(scan(PLAIN, "--list", place / "md5.csv"), "md5.csv", "pdq")
    one_line(scan(PLAIN, "-a", "md5", known=LISTS / "demo.jsonl"), "md5")


@pytest.mark.parametrize("given", ["MD5=md5.csv", "md55=md5.csv", "=md5.csv"])
def test_a_kind_of_list_that_is_none_is_named(given: str) -> None:
    name = given.partition("=")[0]
    one_line(scan(PLAIN, "--list", given), given, f"no algorithm is called {name!r}", "md5, pdq")


def test_a_list_given_twice_would_count_every_match_twice(place: Path) -> None:
    copied = place / "demo" / DEMO.name
    copied.parent.mkdir(exist_ok=True)
    copied.write_bytes(DEMO.read_bytes())
    for again in (DEMO, copied, f"pdq={DEMO}"):
        one_line(scan(PLAIN, "--list", again), "pdq hashes are given twice")


def test_a_reference_key_of_the_wrong_length_is_named() -> None:
    one_line(scan(PLAIN, HASHMATCH_REFERENCE_KEY="k" * 65), "HASHMATCH_REFERENCE_KEY")


def test_a_reference_key_may_be_any_bytes() -> None:
    ran = scan(PLAIN, "-q", HASHMATCH_REFERENCE_KEY="sixteen or more \udcff")
    assert (ran.code, ran.err) == (0, b"")


def test_what_is_missing_is_named_with_what_to_give() -> None:
    one_line(run("scan", IMAGES, "-s", "public_post"), "'--list'. Give a list file, or the folder")
    one_line(run("scan"), "'SOURCE'. Give a folder or file, or a location such as s3://")
