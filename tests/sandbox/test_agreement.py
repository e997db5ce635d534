"""In a worker and in this process every file has the same outcome, reason, frames and pixels."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import hashmatch as hm
from conftest import IMAGES
from hashmatch.decode import limits
from hostile_pictures import hostile
from small_limits import PATIENT, agreed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = sorted(path for path in IMAGES.rglob("*") if path.suffix != ".json" and path.is_file())


@pytest.fixture(scope="module")
def pool() -> Iterator[hm.DecodePool]:
    with hm.DecodePool(1, PATIENT) as pool:
        yield pool


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_fixture(pool: hm.DecodePool, path: Path) -> None:
    agreed(pool, path.read_bytes())


def test_hostile_files(pool: hm.DecodePool) -> None:
    for name, data in itertools.islice(hostile(23, 600, large=False), 0, None, 6):
        assert agreed(pool, data), name


def test_the_largest_jpeg_that_is_halved(pool: hm.DecodePool) -> None:
    """With the limits as they are: 64.003 megapixels, for which the pool once had no room."""
    file = io.BytesIO()
    Image.new("L", (62_655, 4_085), 99).save(file, "JPEG")
    found = pool.decode_image(file.getvalue()).pixels
    assert found.shape == (2_043, 31_328, 3)
    assert found.shape[0] * found.shape[1] > limits.WHOLE_JPEG_PIXELS
    assert (found == hm.decode_image(file.getvalue()).pixels).all()
