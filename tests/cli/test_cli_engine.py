"""`hashmatch scan --engine`: with the options of a scan, and what it does not go with."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from pyarrow import parquet

from cli_tools import DEMO, IMAGES, LISTS, one_line, run, scan
from hashmatch.cli.lists_and_matcher import MatcherOptions, open_matcher
from hashmatch.cli.options import ListShape
from scan_folders import lines, photos

if TYPE_CHECKING:
    from pathlib import Path


def report(path: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(path.read_text())
    del said["seconds"]
    return said


def test_all_outputs_of_a_scan_by_an_engine(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 40)
    engine = ["--engine", "local:2", "--part-size", "10", "--state", str(tmp_path / "state")]
    for name, more in {"one": list[str](), "parts": engine}.items():
        queue = tmp_path / f"{name}.db"
        assert run("review", "init", queue).code == 0
        ran = scan(
            folder, *more, "--out", tmp_path / f"{name}.jsonl", "--review", queue, "--breaker", "2",
            "--report", tmp_path / f"{name}.json", "--log-json", tmp_path / f"{name}.log",
            "--metrics", tmp_path / f"{name}.prom", "--strict", "--in-process",
        )  # fmt: skip
        assert ran.code == 1, ran.said
        assert ran.said.count("without sandbox: images are decoded in this process") == 1
        assert "review queue: 2 new" in ran.said or "queue" in ran.said
    assert lines(tmp_path / "parts.jsonl") == lines(tmp_path / "one.jsonl")
    assert report(tmp_path / "parts.json") == report(tmp_path / "one.json")
    ends = [
        json.loads((tmp_path / f"{name}.log").read_text().splitlines()[-1])
        for name in ("one", "parts")
    ]
    for name in ("event", "listed", "outcomes", "suppressed_by", "fetched", "bytes", "decoded"):
        assert ends[0][name] == ends[1][name], name
    assert 'items_total{scan="parts",outcome="match"} 2' in (tmp_path / "parts.prom").read_text()
    stats = [run("review", "status", tmp_path / f"{name}.db").out for name in ("one", "parts")]
    assert stats[0].splitlines()[1:] == stats[1].splitlines()[1:]

    (told,) = run("scan", "status", tmp_path / "state", "--json").lines
    assert told["parts"] == {"done": 4, "listed": 4, "listing_ended": True}
    assert (told["listed"], told["outcomes"]["match"]) == (40, 2)
    assert told["waivers"] == report(tmp_path / "one.json")["waivers"]
    assert "  parts:  4 of 4 done" in run("scan", "status", tmp_path / "state").out.decode()

    # The same command again does nothing but give the same; nothing of a list is kept.
    again = tmp_path / "again.jsonl"
    ran = scan(
        folder, "--engine", "local:2", "--part-size", "10", "--state", tmp_path / "state",
        "--review", tmp_path / "parts.db", "--out", again, "--breaker", "2", "--in-process",
    )  # fmt: skip
    assert "the scan was finished before: 40 images are done" in ran.said
    assert again.read_bytes() == (tmp_path / "parts.jsonl").read_bytes()
    hashes = [line.split(",")[0].encode() for line in DEMO.read_text().splitlines()[1:]]
    for path in (tmp_path / "state").rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        assert not any(value in data for value in hashes if len(value) == 64)


def test_a_file_for_each_part(tmp_path: Path) -> None:
    folder, out = photos(tmp_path / "photos", 30), tmp_path / "records"
    ran = scan(
        folder, "--engine", "local:1", "--part-size", "10", "--state", tmp_path / "state",
        "--out", f"{out}/", "--out-format", "parquet", "--in-process",
    )  # fmt: skip
    assert (ran.code, ran.out) == (0, b""), ran.said
    (made,) = out.iterdir()
    assert {path.name for path in made.iterdir()} == {
        "scan.json", "manifest.json", *(f"part-{n:08}.parquet" for n in range(3)),
    }  # fmt: skip
    files = json.loads((made / "manifest.json").read_text())["files"]
    rows = [row for file in files for row in parquet.read_table(made / file["name"]).to_pylist()]
    assert [row["key"] for row in rows] == ["00000.png", "00010.png", "00020.png"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--engine", "ray://a:1"], "as an engine. Give local:N"),
        (["--engine", "local:0"], "as an engine. Give local:N"),
        (["--part-size", "10"], "cannot use --part-size without --engine"),
        (["--state", "s3://a/b"], "cannot keep the state of one process in s3://a/b"),
        (["--engine", "local:2", "--keep-hashes", "k", "--keep-for", "1d"], "cannot keep hashes"),
        (["--engine", "dask://127.0.0.1:1"], "cannot scan on other machines without --state"),
        (
            ["--engine", "dask://127.0.0.1:1", "--state", "s", "--limit-rate", "1M"],
            "cannot limit the rate of a cluster",
        ),
        (["--out", "s3://a/b"], "cannot write the records of one process to s3://a/b"),
        (["--out-format", "parquet"], "cannot use --out-format: only the folder of --engine"),
        (["--engine", "local:1", "--out", "a.csv", "--out-format", "jsonl"], "only the folder of"),
        (["--engine", "local:1", "--out", "ftp://a/b"], "cannot keep records in ftp://"),
        (
            ["--engine", "local:2", "--state", "https://a/b"],
            "cannot keep the state of a scan in https://",
        ),
    ],
)
def test_what_an_engine_does_not_go_with(args: list[str], words: str, tmp_path: Path) -> None:
    one_line(scan(IMAGES / "plain", *args, cwd=tmp_path), words)


def test_workers_open_the_version_of_the_scan(tmp_path: Path) -> None:
    """A list that is updated while a scan runs is not what its later parts are matched with."""
    store = tmp_path / "store"
    assert run("list", "import", LISTS / "demo.jsonl", "--store", store).code == 0
    shape: dict[str, Any] = dict.fromkeys(ListShape.__dataclass_fields__)
    shape |= dict.fromkeys(("columns", "bits", "keep_ids", "statuses"), ())
    shape["unique_ids"] = False
    trust = {"trusted": (), "needed": 1, "grace": None, "list_key": None}
    rules = MatcherOptions((str(store),), "pdq", None, False, None, ListShape(**shape), trust)
    matcher = rules.open()()
    described = json.loads(json.dumps([rules.plain(), rules.versions(matcher.lists), False]))
    ran = run("list", "update", store, DEMO, "--accept", "size-change")
    assert ran.code == 0, ran.said
    assert open_matcher(*described).identity == matcher.identity
    assert rules.open()().identity != matcher.identity
