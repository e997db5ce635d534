"""No hash of a list is ever shown, whatever the command, the option or the mistake."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from cli_tools import DEMO, IMAGES, LISTS, Ran, run, scan

PLAIN = IMAGES / "plain"
VALUE = "5ec4e7" * 10 + "beef"
OTHER = "c0ffee" * 10 + "cafe"
SHORT = bytes.fromhex("5ec4e7beefc0ffee")


def silent_about(ran: Ran, *values: str) -> None:
    """Check that nothing is in the output from which a value could be told, in either case."""
    text = (ran.out + ran.err).decode().lower()
    for value in values:
        for start in range(0, len(value) - 9, 2):
            assert value[start : start + 10].lower() not in text, "a hash, or part of it, is shown"


def hashes_in(known: Path) -> list[str]:
    return re.findall(r"\b[0-9a-fA-F]{16,}\b", known.read_text())


def test_a_scan() -> None:
    ran = scan(PLAIN, "-v", "--max-distance", "256")
    assert ran.code == 0
    silent_about(ran, *hashes_in(DEMO))


@pytest.mark.parametrize("known", sorted(LISTS.iterdir()), ids=lambda path: path.name)
def test_inspect(known: Path) -> None:
    ran = run("list", "inspect", known, "-v")
    assert ran.code == 0
    silent_about(ran, *hashes_in(known))


def test_match() -> None:
    values = hashes_in(DEMO)
    ran = run("match", *values, "--list", DEMO)
    assert [line["match_count"] > 0 for line in ran.lines] == [True] * len(values)
    silent_about(ran, *values)


def test_a_scan_with_bad_rows() -> None:
    known = LISTS / "bad-rows.csv"
    for options in (["--skip-bad-rows", "-v"], ["-a", "phash"], ["--list-format", "jsonl"]):
        silent_about(scan(PLAIN, *options, known=known), *hashes_in(known))


MISTAKES = {
    "header missing": f"{VALUE},one\n{OTHER},two\n",
    "header missing, id first": f"one,{VALUE}\ntwo,{OTHER}\n",
    "header empty": f",\n{VALUE},one\n",
    "column for algorithms slipped": f"hash,algorithm,id\n{VALUE},{OTHER},one\n",
    "columns swapped": f"algorithm,hash\n{VALUE},pdq\n",
    "too many columns": f"pdq,id\n{VALUE},{OTHER},{VALUE}\n",
    "quality and limit slipped": f"pdq,quality,max_distance\n{VALUE},{OTHER},{VALUE}\n",
    "a quote left open": f'pdq,id\n"{VALUE},one\n',
    "cut short": f"pdq,id\n{VALUE[:-4]},one\n",
    "too long": f"pdq,id\n{VALUE}00,one\n",
    "a letter amiss": f"pdq,id\n{VALUE[:-1]}x,one\n",
    "a sign before it": f"pdq,id\n={VALUE},one\n",
    "text with two words": f"{VALUE} {OTHER}\n",
    "text with a letter before": f"x{VALUE} {OTHER}\n",
    "named fields slipped": f"hash={VALUE},quality={OTHER},filename=x\n",
    "json with another type": f'{{"hash": ["{VALUE}"]}}\n',
    "json with the algorithm wrong": f'{{"hash": "{VALUE}", "algorithm": "{OTHER}"}}\n',
    "json with a wrong limit": f'{{"hash": "{VALUE}", "max_distance": "{OTHER}"}}\n',
    "json cut off": f'{{"hash": "{VALUE}", "id": \n',
    "json key": f'{{"{VALUE}": "hash"}}\n',
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_list_with_a_mistake(mistake: str, tmp_path: Path) -> None:
    known = tmp_path / "known.csv"
    known.write_text(MISTAKES[mistake])
    ran = run("list", "inspect", known, "-v")
    assert ran.code in {0, 2}
    silent_about(ran, VALUE, OTHER)


@pytest.mark.parametrize("mistake", ["header missing", "header missing, id first"])
def test_a_column_that_is_not_there(mistake: str, tmp_path: Path) -> None:
    known = tmp_path / "known.csv"
    known.write_text(MISTAKES[mistake])
    for options in ([], ["--column", "pdq=nothing"]):
        ran = scan(PLAIN, "-v", "--list-format", "csv", *options, known=known)
        assert ran.code == 2
        silent_about(ran, VALUE, OTHER)


@pytest.mark.parametrize("encoding", ["base64", "base32"])
@pytest.mark.parametrize(
    "content", ["hash,algorithm\n{0},{0}\n", "{0},x\n{0},y\n", "phash {0}\n{0} {0}\n"]
)
def test_short_hashes_in_other_encodings(content: str, encoding: str, tmp_path: Path) -> None:
    texts = {
        "base64": base64.b64encode(SHORT).decode(),
        "base32": base64.b32encode(SHORT).decode(),
    }
    known = tmp_path / "known.csv"
    known.write_text(content.format(texts[encoding]))
    for options in ([], ["--list-format", "csv"]):
        told = [*options, "-a", "phash", "--encoding", encoding, "-v"]
        silent_about(run("list", "inspect", known, *told), texts[encoding])


def test_the_demo(tmp_path: Path) -> None:
    ran = run("demo", TMPDIR=str(tmp_path))  # where it leaves its folder
    assert ran.code == 0
    assert [record["matches"][0]["distance"] for record in ran.lines] == [0, 12]
    folder = next(iter(re.findall(r"/\S*hashmatch-demo-[^/\s]+", ran.said)))
    silent_about(ran, *hashes_in(Path(folder) / "known.csv"))
