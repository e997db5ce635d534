"""A pool of workers decodes as this process does: the same pixels, outcomes, reasons and hashes."""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import hashmatch as hm
from conftest import IMAGES, PHOTOGRAPHS, photograph
from hashmatch.decode.policy import decode_file
from hashmatch.sandbox.protocol import OUTCOMES
from hashmatch.sandbox.slot import KEPT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = sorted(path for path in IMAGES.rglob("*") if path.suffix != ".json" and path.is_file())


@pytest.fixture(scope="module")
def pool() -> Iterator[hm.DecodePool]:
    with hm.DecodePool(workers=2) as pool:
        yield pool


def seen(hashed: list[Any]) -> list[Any]:
    """Return all that a HashedImage has, comparable."""
    fields = [name for name in hm.HashedImage.__slots__ if name not in {"hashes", "chrome"}]
    return [
        [
            *(getattr(one, name) for name in fields),
            *one.hashes.words.tolist(),
            None if one.chrome is None else one.chrome.shares(),
        ]
        for one in hashed
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_fixture_hashes_alike(pool: hm.DecodePool, path: Path) -> None:
    for variants in ("none", "standard"):
        here = hm.hash_all(path, ["pdq", "phash", "md5"], variants=variants)
        there = hm.hash_all(path, ["pdq", "phash", "md5"], variants=variants, decode=pool.pictures)
        assert seen(there) == seen(here)


@pytest.mark.parametrize("key", PHOTOGRAPHS)
def test_every_photograph_has_the_same_pixels(pool: hm.DecodePool, key: str) -> None:
    here, there = hm.decode_image(photograph(key)), pool.decode_image(photograph(key))
    assert np.array_equal(here.pixels, there.pixels)
    assert (here.media_type, here.damaged) == (there.media_type, there.damaged)


def test_frames_are_the_same_and_stay(pool: hm.DecodePool) -> None:
    for name in ("animated.gif", "animated.webp", "multipage.tif", "turned.heic"):
        data = (IMAGES / "modes" / name).read_bytes()
        for most in (1, 2, 8):
            here, there = list(hm.decode_frames(data, most)), list(pool.decode_frames(data, most))
            assert [one.frame for one in here] == [one.frame for one in there]
            for one, other in zip(here, there, strict=True):
                assert np.array_equal(one.pixels, other.pixels)
    with pytest.raises(hm.UsageError, match="cannot give 0 frames"):
        pool.decode_frames(data, 0)


def test_what_may_be_passed(pool: hm.DecodePool) -> None:
    path = IMAGES / "plain" / "tiles.png"
    here = hm.decode_image(path).pixels
    for image in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), here):
        assert np.array_equal(pool.decode_image(image).pixels, here)
    with Image.open(path) as opened, pytest.raises(hm.UsageError, match="Pass its file"):
        pool.decode_image(opened)
    with pytest.raises(hm.ImageError, match="No such file"):
        pool.decode_image("nothing-there.png")
    with pytest.raises(hm.UsageError, match="Give 1 or more"):
        hm.DecodePool(0)


def test_a_matcher_takes_the_decoder_too(pool: hm.DecodePool, demo_list: Path) -> None:
    matcher = hm.Matcher(hm.read_list(demo_list), variants="standard")
    for path in FILES[::9]:
        here, there = matcher.hash(path, "it"), matcher.hash(path, "it", pool.pictures)
        assert seen(there) == seen(here)


def test_many_threads_share_few_workers(pool: hm.DecodePool) -> None:
    here = {path: seen(hm.hash_all(path, ["pdq"])) for path in FILES[:20]}
    wrong: list[Path] = []

    def checks() -> None:
        for path, expected in here.items():
            if seen(hm.hash_all(path, ["pdq"], decode=pool.pictures)) != expected:
                wrong.append(path)

    threads = [threading.Thread(target=checks) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_large_item_leaves_no_memory_taken(pool: hm.DecodePool) -> None:
    large = io.BytesIO()
    Image.effect_noise((4500, 4500), 60).save(large, "BMP")
    data = large.getvalue() + bytes(10 * 2**20)
    for frames in (False, True):
        pixels = [picture.pixels.copy() for picture in pool.pictures(data, frames)]
        assert np.array_equal(pixels[0], hm.decode_image(data).pixels)
    for slot in pool._slots.all:
        for number in (slot._input_fd, slot._pixels_fd):
            assert os.fstat(number).st_blocks * 512 <= KEPT_BYTES + 2**20


def test_a_decoder_that_can_makes_pixels_where_it_is_told() -> None:
    into = np.zeros(10**6, np.uint8)
    data = (IMAGES / "modes" / "baseline.jpg").read_bytes()
    picture = decode_file(data, into)
    assert np.shares_memory(picture.pixels, into)
    assert np.array_equal(picture.pixels, decode_file(data).pixels)
    small = decode_file(data, into[:10])
    assert not np.shares_memory(small.pixels, into)
    assert np.array_equal(small.pixels, picture.pixels)
    turned = (IMAGES / "modes" / "exif-6.jpg").read_bytes()
    assert np.array_equal(decode_file(turned, into).pixels, decode_file(turned).pixels)


def test_tables_hold_all_that_decoding_says() -> None:
    assert not {hm.Outcome.HASHED, hm.Outcome.MATCH, hm.Outcome.NO_MATCH} & set(OUTCOMES)
