"""A thousand pictures, twenty of them unreadable: none is lost, and the twenty are named."""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import naive
from cli_tools import Ran, run, scan
from hashmatch.testing import picture

DISTANCES = [0, 1, 7, 15, 30, 31, 32, 33, 60]


def encoded(seed: int, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(seed, 96, 80)).save(file, kind)
    return file.getvalue()


def unreadable() -> dict[str, bytes]:
    """Twenty files that no decoder can make a picture of."""
    jpeg, png = encoded(5000, "JPEG"), encoded(5000, "PNG")
    noise = random.Random(7).randbytes(600)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inside.jpg", jpeg)
    files = {
        "empty.jpg": b"",
        "one-byte.jpg": b"\xff",
        "zeros.jpg": bytes(1000),
        "noise.jpg": noise,
        "text.jpg": b"Sorry, this picture is gone.\n",
        "page.png": b"<!DOCTYPE html><title>404</title>",
        "answer.webp": b'{"error": "not found"}',
        "document.jpg": b"%PDF-1.7\n%%EOF\n",
        "archive.jpg": archive.getvalue(),
        "packed.png": gzip.compress(png, mtime=0),
        "jpeg-start.jpg": jpeg[:3],
        "jpeg-header.jpg": jpeg[:40],
        "jpeg-noise.jpg": b"\xff\xd8\xff\xe0" + noise,
        "png-start.png": png[:8],
        "png-header.png": png[:20],
        "png-noise.png": png[:8] + noise,
        "gif-start.gif": b"GIF89a",
        "bmp-header.bmp": b"BM" + bytes(16),
        "tiff-lost.tif": b"II*\0\xf0\xff\xff\x7f",
        "webp-hollow.webp": b"RIFF\x04\0\0\0WEBP",
    }
    assert len(files) == 20
    return files


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crowd") / "photos"
    for number in range(980):
        kind = "PNG" if number % 5 == 0 else "JPEG"
        path = folder / f"{number % 7}" / f"{number:03}.{kind.lower()}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number, kind))
    for number, (name, data) in enumerate(unreadable().items()):
        (folder / f"{number % 7}" / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def hashed(crowd: Path) -> Ran:
    return run("hash", crowd)


@pytest.fixture(scope="module")
def hashes(crowd: Path, hashed: Ran) -> dict[str, int]:
    """The hash of each picture that has one, by its key below the folder."""
    return {
        str(Path(line["item"]).relative_to(crowd)): int(line["hash"], 16)
        for line in hashed.lines
        if line["outcome"] == "hashed"
    }


@pytest.fixture(scope="module")
def entries(hashes: dict[str, int]) -> list[int]:
    """Hashes at planted distances from some of the pictures."""
    chance = random.Random(11)
    values = chance.sample(sorted(hashes.values()), len(DISTANCES))
    return [
        value ^ sum(1 << bit for bit in chance.sample(range(256), distance))
        for value, distance in zip(values, DISTANCES, strict=True)
    ]


@pytest.fixture(scope="module")
def scanned(crowd: Path, entries: list[int]) -> tuple[Ran, dict[str, Any]]:
    known, report = crowd.parent / "known.csv", crowd.parent / "report.json"
    rows = [f"{value:064x},entry-{number}" for number, value in enumerate(entries)]
    known.write_text("\n".join(["pdq,id", *rows]) + "\n")
    ran = scan(crowd, "--report", report, "-v", known=known)
    return ran, json.loads(report.read_text())


def test_980_are_hashed_and_20_are_named_with_a_reason(hashed: Ran) -> None:
    assert hashed.code == 0
    assert len(hashed.lines) == 1000
    good = [line for line in hashed.lines if line["outcome"] == "hashed"]
    assert len(good) == 980
    assert {(line["width"], line["height"], line["damaged"]) for line in good} == {(96, 80, False)}
    assert {line["algorithm"] for line in good} == {"pdq"}
    bad = [line for line in hashed.lines if line["outcome"] != "hashed"]
    assert {Path(line["item"]).name for line in bad} == set(unreadable())
    assert all(line["reason"] and "hash" not in line for line in bad)


def test_the_report_adds_up(scanned: tuple[Ran, dict[str, Any]]) -> None:
    ran, report = scanned
    outcomes = report["outcomes"]
    assert ran.code == 0
    assert report["listed"] == sum(outcomes.values()) == 1000
    assert outcomes["match"] + outcomes["no_match"] == 980
    assert report["records"] == outcomes["match"] == len(ran.lines)


def test_the_20_are_in_the_report_and_on_stderr(scanned: tuple[Ran, dict[str, Any]]) -> None:
    ran, report = scanned
    assert len(report["not_searched"]) == 20
    assert {Path(line["item"]).name for line in report["not_searched"]} == set(unreadable())
    said = ran.said.splitlines()
    for line in report["not_searched"]:
        assert line["outcome"] in {"unsupported", "undecodable"}
        assert line["reason"]
        assert f"{line['item']}: {line['outcome']}: {line['reason']}" in said


def test_the_matches_are_those_of_the_naive_loop(
    scanned: tuple[Ran, dict[str, Any]], hashes: dict[str, int], entries: list[int]
) -> None:
    ran, _ = scanned
    keys = sorted(hashes)
    expected = {
        (keys[query], f"entry-{entry}", distance)
        for query, entry, distance in naive.search([hashes[key] for key in keys], entries, 31)
    }
    found = [
        (record["item"]["key"], match["entry"], match["distance"])
        for record in ran.lines
        for match in record["matches"]
    ]
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert {distance for _, _, distance in expected} >= {d for d in DISTANCES if d <= 31}
