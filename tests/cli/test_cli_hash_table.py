"""`hashmatch hash --out`: a table of hashes, which `rescan` matches as a scan would."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
from pyarrow import parquet

import s3_server
from cli_tools import DEMO, IMAGES, Ran, one_line, run, scan

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = IMAGES / "plain"
SURFACE = ("--surface", "profile_photo")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("table") / "hashes.parquet"
    ran = run("hash", PLAIN, *SURFACE, "--also", "md5", "--out", path)
    assert (ran.code, ran.out) == (0, b"")
    assert "hashed" in ran.said
    return path


def records(ran: Ran) -> list[dict[str, Any]]:
    assert ran.code == 0, ran.said
    found = ran.lines
    for record in found:
        del record["created_at"]
    return found


def test_the_records_are_those_of_a_scan(table: Path) -> None:
    expected = records(scan(PLAIN, "-q"))
    assert expected
    assert records(run("rescan", table, "--list", DEMO, "-q")) == expected
    assert records(run("rescan", table.parent, "--list", DEMO, "-q")) == expected
    assert {row["hash"] is None for row in parquet.read_table(table).to_pylist()} == {False}


def test_the_same_command_finds_it_finished(table: Path) -> None:
    before = table.stat().st_mtime_ns
    ran = run("hash", PLAIN, *SURFACE, "--also", "md5", "--out", table)
    assert "of them in earlier runs" in ran.said
    assert table.stat().st_mtime_ns == before
    one_line(run("hash", PLAIN, *SURFACE, "--out", table), "of another source, algorithm or option")


def test_tables_of_a_bucket(table: Path, tmp_path: Path) -> None:
    (tmp_path / "hashes").mkdir()
    shutil.copy(table, tmp_path / "hashes")
    with s3_server.moto(tmp_path) as port:
        ran = run(
            "rescan", "s3://hashes", "--list", DEMO, "-q",
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}", AWS_REGION="us-east-1",
            AWS_ACCESS_KEY_ID=s3_server.KEY, AWS_SECRET_ACCESS_KEY=s3_server.SECRET,
        )  # fmt: skip
    assert records(ran) == records(scan(PLAIN, "-q"))


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--out", "hashes.parquet"], "--surface"),
        (["--out", "hashes.csv", *SURFACE], ".parquet"),
        ([*SURFACE], "cannot use --surface without a table"),
        (["--variants", "none"], "cannot use --variants without a table"),
        ([PLAIN, "--out", "hashes.parquet", *SURFACE], "one source"),
    ],
)
def test_what_is_wrong_is_one_line(args: list[Any], word: str, tmp_path: Path) -> None:
    one_line(run("hash", PLAIN, *args, cwd=tmp_path), word)
