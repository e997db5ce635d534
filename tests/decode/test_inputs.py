"""What may be passed where an image is asked for: files, objects, Pillow images, arrays."""

from __future__ import annotations

import io
import os
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageFile

import hashmatch as hm
from conftest import IMAGES
from hashmatch.decode import inputs, limits
from hashmatch.decode.pillow_settings import pillow_settings
from hashmatch.testing import picture
from processes import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path


def encoded(format: str, image: Image.Image | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image or Image.fromarray(picture(1, 96, 80))).save(buffer, format, **options)
    return buffer.getvalue()


def test_pillow_images_are_held_to_the_same_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = IMAGES / "damaged/truncated.jpg"
    with Image.open(damaged) as image:
        hashed = hm.hash_image(image)
    assert hashed.damaged
    assert hashed.hex == hm.hash_image(damaged).hex
    translucent = Image.fromarray(picture(3)).convert("RGBA")
    translucent.putalpha(99)
    palette = translucent.quantize(16)
    saved = io.BytesIO()
    palette.save(saved, "PNG")
    assert np.array_equal(hm.decode_image(palette).pixels, hm.decode_image(saved.getvalue()).pixels)
    monkeypatch.setitem(limits.PIXELS, "PNG", 10)
    with Image.open(io.BytesIO(encoded("PNG"))) as image:
        assert hm.hash_image(image).outcome is hm.Outcome.REFUSED


class Trickle(io.RawIOBase):
    """A raw file, as of a socket, that gives three bytes at a time and cannot be wound back."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._file.read(3)


def test_raw_file_objects_are_read_to_their_end() -> None:
    hashed = hm.hash_image(Trickle(encoded("PNG")))  # type: ignore[arg-type]
    assert (hashed.outcome, hashed.damaged) == (hm.Outcome.HASHED, False)

    class Broken:
        def read(self, size: int) -> bytes:
            raise RuntimeError("the peer\nhung up")

    assert hm.hash_image(Broken()).reason == "cannot be read: the peer hung up"  # type: ignore[arg-type]


def test_frames_of_an_open_animation_are_told_apart() -> None:
    with Image.open(IMAGES / "modes/animated.gif") as image:
        image.seek(1)
        assert hm.hash_image(image).frame == 1


def test_a_pillow_image_that_memory_is_short_for_is_not_called_damaged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries = []

    def exhausted(self: Image.Image) -> None:
        tries.append(self)
        raise MemoryError

    with Image.open(io.BytesIO(encoded("PNG"))) as image:
        monkeypatch.setattr(type(image), "load", exhausted)
        assert hm.hash_image(image).outcome is hm.Outcome.REFUSED
    assert len(tries) == 1


def test_an_array_may_be_too_large() -> None:
    huge = np.broadcast_to(np.uint8(0), (20_000, 20_000))
    assert hm.hash_image(huge).outcome is hm.Outcome.REFUSED


def test_arrays() -> None:
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert (hm.decode_image(gray).pixels == gray[:, :, None]).all()
    clear = np.zeros((3, 4, 4), np.uint8)
    assert (hm.decode_image(clear).pixels == 255).all()
    strided = picture(1)[::2, ::-3]
    assert hm.decode_image(strided).pixels.flags.c_contiguous


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8)],
)
def test_other_arrays_are_refused(array: Any) -> None:
    with pytest.raises(hm.UsageError, match=r"uint8 of shape \(h, w\)"):
        hm.decode_image(array)


@pytest.mark.parametrize("thing", [7, None, ["a.jpg"], io.StringIO("text")])
def test_what_is_no_image_at_all_is_refused(thing: Any) -> None:
    with pytest.raises(hm.UsageError):
        hm.hash_image(thing)


def test_too_many_bytes_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(limits, "MAX_BYTES", 100)
    (tmp_path / "big.jpg").write_bytes(b"x" * 101)
    for image in (b"x" * 101, io.BytesIO(b"x" * 101), tmp_path / "big.jpg"):
        assert hm.hash_image(image).outcome is hm.Outcome.REFUSED


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing = hm.hash_image(tmp_path / "missing.jpg")
    assert (missing.outcome, missing.reason) == (
        hm.Outcome.FAILED,
        "cannot be read: No such file or directory",
    )
    os.mkfifo(tmp_path / "fifo")
    assert hm.hash_image(tmp_path / "fifo").outcome is hm.Outcome.UNSUPPORTED
    assert hm.hash_image(tmp_path).outcome is hm.Outcome.UNSUPPORTED
    assert hm.hash_image("a\0b").outcome is hm.Outcome.FAILED
    closed = io.BytesIO(b"")
    closed.close()
    assert hm.hash_image(closed).outcome is hm.Outcome.FAILED


def test_a_file_object_is_read_from_its_beginning() -> None:
    file = io.BytesIO(encoded("PNG"))
    file.read()
    assert hm.hash_image(file).outcome is hm.Outcome.HASHED


def test_an_image_is_left_as_it_was() -> None:
    image = Image.open(io.BytesIO(encoded("GIF")))
    mode = image.mode
    hm.hash_image(image)
    assert image.mode == mode


def test_tolerance_is_for_one_thread_only() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def tolerate() -> None:
        with pillow_settings(truncated=True):
            inside.set()
            go_on.wait(PATIENCE)

    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(tolerate)
        inside.wait(PATIENCE)
        try:
            assert not ImageFile.LOAD_TRUNCATED_IMAGES
            image = Image.open(IMAGES / "damaged/truncated.jpg")
            with image, pytest.raises(OSError, match="truncated"):
                image.load()
        finally:
            go_on.set()
        job.result()


def test_damage_is_flagged_whatever_the_host_has_set() -> None:
    data = (IMAGES / "damaged/truncated.jpg").read_bytes()
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        assert hm.decode_image(data).damaged
        assert bool(ImageFile.LOAD_TRUNCATED_IMAGES)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


@pytest.mark.parametrize("opened", [False, True])
def test_a_small_file_takes_little_memory(opened: bool) -> None:
    """256 MiB were reserved for each, so that under a limit of memory nothing could be read."""
    path = IMAGES / "plain/tiles.png"
    tracemalloc.start()
    if opened:
        with path.open("rb") as file:
            data = inputs.load(file).data
    else:
        data = inputs.load(path).data
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert data == path.read_bytes()
    assert most < 4 * 2**20
