"""Tables of pictures for the tests of `hashmatch.arrow`, and what one machine says of them."""

from __future__ import annotations

import io
import os
import random
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
from PIL import Image

import hashmatch as hm
from conftest import IMAGES, LISTS
from hashmatch.testing import MemorySource, picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from hashmatch.arrow import Match

DEMO = str(LISTS / "demo-pdq.csv")
SURFACE = "profile_photo"


def fixtures() -> dict[str, bytes]:
    """Every picture of the fixtures by its path: whole, damaged, animated, and none at all."""
    found = sorted(path for path in IMAGES.rglob("*") if path.is_file())
    return {str(path.relative_to(IMAGES)): path.read_bytes() for path in found}


def pictures(count: int, seed: int = 1) -> dict[str, bytes]:
    """Small pictures: known ones, copies of others, cut ones, files of noise, empty ones.

    Made of the fixtures and of drawings, the same each time.
    """
    chance = random.Random(seed)
    known = [data for name, data in fixtures().items() if name.startswith("plain/")]
    made: list[bytes] = []
    for number in range(count):
        kind = chance.random()
        if kind < 0.01:
            made.append(chance.choice(known))
        elif kind < 0.20 and made:
            made.append(chance.choice(made))
        elif kind < 0.22 and made:
            whole = chance.choice(made)
            made.append(whole[: len(whole) // 2])
        elif kind < 0.24:
            made.append(chance.randbytes(chance.choice([0, 10, 5000])))
        else:
            made.append(drawn(seed * 1_000_003 + number))
    return {f"photos/{number:06}.jpg": data for number, data in enumerate(made)}


def drawn(seed: int) -> bytes:
    """A small JPEG, another for each seed."""
    small = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((96, 96), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


def table(images: Mapping[str, bytes | None]) -> pa.RecordBatch:
    """A batch of pictures, of the version that a `MemorySource` gives them."""
    return pa.record_batch(
        {
            "key": pa.array(list(images), pa.string()),
            "version": pa.array(["1"] * len(images), pa.string()),
            "image": pa.array(list(images.values()), pa.binary()),
        }
    )


def scanned(images: Mapping[str, bytes], matcher: hm.Matcher, **how: Any) -> list[dict[str, Any]]:
    """What a scan of the same pictures says of each, in the words of a row."""
    source = MemorySource(images, hm.Surface(SURFACE))
    with hm.DecodePool(len(os.sched_getaffinity(0))) as pool:
        options = hm.ScanOptions(threads=2, decode=pool.pictures)
        return [row_of(one) for one in hm.scan_source(source, matcher, options=options, **how)]


def row_of(result: hm.ReviewRecord | hm.ItemOutcome) -> dict[str, Any]:
    """The row that says what a result does."""
    if isinstance(result, hm.ItemOutcome):
        return {
            "key": result.key, "version": result.version, "surface": str(result.surface),
            "outcome": str(result.outcome), "reason": result.reason, "quality": result.quality,
            "damaged": result.damaged, "record_id": None, "record": None,
        }  # fmt: skip
    item = result.item
    reason = result.suppressed_by.reason if result.suppressed_by else ""
    return {
        "key": item.key, "version": item.version, "surface": str(item.surface),
        "outcome": str(result.outcome), "reason": reason, "quality": result.hash.quality,
        "damaged": item.damaged, "record_id": result.record_id,
        "record": timeless(result.to_json()),
    }  # fmt: skip


def rows(answer: pa.RecordBatch | pa.Table | Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same of rows that `Match` gave."""
    given = answer.to_pylist() if hasattr(answer, "to_pylist") else answer
    return [
        {
            **{name: row[name] for name in (
                "key", "version", "surface", "outcome", "reason", "quality", "damaged", "record_id"
            )},
            "record": None if row["record"] is None else timeless(row["record"]),
        }
        for row in given
    ]  # fmt: skip


def timeless(record: bytes | str) -> dict[str, Any]:
    """A record but for when it was made."""
    said: dict[str, Any] = msgspec.json.decode(record)
    del said["created_at"]
    return said


def landscape(seed: int) -> bytes:
    """A PNG of a drawn landscape."""
    file = io.BytesIO()
    Image.fromarray(picture(seed)).save(file, "PNG")
    return file.getvalue()


class CountedMatch:
    """A `Match` that adds a byte to the file of its process for each picture that it has done."""

    def __init__(self, match: Match, folder: str) -> None:
        self._match, self._folder = match, folder

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        answer = self._match(batch)
        with open(f"{self._folder}/{os.getpid()}", "ab") as file:
            file.write(b"." * batch.num_rows)
        return answer

    def map_iterator(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return map(self, batches)
