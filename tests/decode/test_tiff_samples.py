"""TIFF whose samples Pillow does not read are read as libvips and ImageMagick show them."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import hashmatch as hm
from hashmatch.decode import limits, tiff_samples
from hashmatch.decode.animation import decode_all
from hashmatch.testing import picture
from icc_profiles import P3, rgb_profile, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

PIXELS = picture(3, 97, 66)
GRAY = PIXELS[..., :1]
ALPHA = picture(4, 97, 66)[..., :1]
UNIT = PIXELS.astype(np.float32) / 255
DEEP = PIXELS.astype(np.uint16) * 257


def tiff(array: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, metadata=None, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def pool() -> Iterator[hm.DecodePool]:
    with hm.DecodePool(workers=1) as started:
        yield started


def seen(data: bytes, pool: hm.DecodePool) -> hm.Picture:
    """Return a picture decoded here, and assert that it is the same in the pool."""
    there = pool.decode_image(data)
    here = hm.decode_image(data)
    assert (here.pixels == there.pixels).all()
    assert here.damaged == there.damaged
    return here


def over_white(colours: NDArray[Any], alpha: NDArray[Any] = ALPHA) -> NDArray[Any]:
    part = alpha / 255
    return np.broadcast_to(colours * part + 255 * (1 - part), PIXELS.shape)


def ink_colours() -> NDArray[Any]:
    """Return the colour of four inks that are the three of `PIXELS` and black of `ALPHA`."""
    return (255 - PIXELS.astype(float)) * (255 - ALPHA) / 255


def levels(light: NDArray[Any]) -> NDArray[Any]:
    """Return the sRGB levels of linear light (IEC 61966-2-1)."""
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


TO_XYZ = np.array([
    [0.4360747, 0.3850649, 0.1430804],
    [0.2225045, 0.7168786, 0.0606169],
    [0.0139322, 0.0971045, 0.7141733],
])  # fmt: skip
"""From the light of sRGB to CIE XYZ of D50, by Bradford's adaptation."""
D50 = np.array([0.9642, 1.0, 0.8249])


def lab_of(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return CIELAB of sRGB levels."""
    part = pixels / 255
    light = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    xyz = light @ TO_XYZ.T / D50
    steps = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = np.moveaxis(steps, 2, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def planes(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(array, 2, 0))


IN_COLOUR: dict[str, Any] = {"photometric": "rgb"}
IN_GRAY: dict[str, Any] = {"photometric": "minisblack"}
IN_INKS: dict[str, Any] = {"photometric": "separated"}
APART: dict[str, Any] = {"planarconfig": "separate"}
CLEAR: dict[str, Any] = {"extrasamples": ["unassalpha"]}
COVERED: dict[str, Any] = {"extrasamples": ["assocalpha"]}
INKS = np.dstack([PIXELS, ALPHA])

#: What is written and how, and what is seen of it.
READ: dict[str, tuple[bytes, NDArray[Any] | None]] = {
    "half floats": (tiff(UNIT.astype(np.float16), **IN_COLOUR), PIXELS),
    "floats": (tiff(UNIT, **IN_COLOUR), PIXELS),
    "floats from the other end": (tiff(UNIT, byteorder=">", **IN_COLOUR), PIXELS),
    "doubles": (tiff(UNIT.astype(np.float64), **IN_COLOUR), PIXELS),
    "gray doubles": (tiff(UNIT[..., 0].astype(np.float64), **IN_GRAY), GRAY),
    "predicted floats": (
        tiff(UNIT, predictor=3, compression="zlib", tile=(32, 32), **IN_COLOUR), PIXELS,
    ),
    "floats in planes": (tiff(planes(UNIT), **IN_COLOUR, **APART), PIXELS),
    "floats of another range": (tiff(UNIT * 700 - 90, **IN_COLOUR), None),
    "32 bits": (tiff(PIXELS.astype(np.uint32) * 16_843_009, **IN_COLOUR), PIXELS),
    "32 bits of which 8 are used": (tiff(PIXELS.astype(np.uint32), **IN_COLOUR), None),
    "64 bits": (tiff(PIXELS.astype(np.uint64) << np.uint64(56), **IN_COLOUR), PIXELS),
    "signed": (tiff(PIXELS.astype(np.int32) - 128, **IN_COLOUR), None),
    "deep planes": (tiff(planes(DEEP), **IN_COLOUR, **APART), PIXELS),
    "deep planes in LZW": (tiff(planes(DEEP), compression="lzw", **IN_COLOUR, **APART), PIXELS),
    "deep gray and alpha": (
        tiff(np.dstack([DEEP[..., :1], ALPHA.astype(np.uint16) * 257]), **IN_GRAY, **CLEAR),
        over_white(GRAY),
    ),
    "gray and alpha in planes": (
        tiff(planes(np.dstack([GRAY, ALPHA])), **IN_GRAY, **CLEAR, **APART), over_white(GRAY),
    ),
    "floats and alpha": (
        tiff(np.dstack([UNIT, ALPHA / np.float32(255)]), **IN_COLOUR, **CLEAR), over_white(PIXELS),
    ),
    "floats covered by alpha": (
        tiff(
            np.dstack([UNIT * (ALPHA / np.float32(255)), ALPHA / np.float32(255)]),
            **IN_COLOUR, **COVERED,
        ),
        over_white(PIXELS),
    ),
    "inks and alpha": (
        tiff(np.dstack([INKS, ALPHA]), **IN_INKS, **CLEAR), over_white(ink_colours()),
    ),
    "deep inks and alpha": (
        tiff(np.dstack([INKS, ALPHA]).astype(np.uint16) * 257, **IN_INKS, **CLEAR),
        over_white(ink_colours()),
    ),
    "floating inks": (tiff(INKS / np.float32(255), **IN_INKS), ink_colours()),
    "WebP in strips": (
        tiff(PIXELS, compression="webp", compressionargs={"level": 100}, **IN_COLOUR), PIXELS,
    ),
    "WebP in tiles": (
        tiff(
            PIXELS, compression="webp", compressionargs={"level": 100}, tile=(32, 32), **IN_COLOUR
        ),
        PIXELS,
    ),
    "gray and more in planes": (
        tiff(planes(np.dstack([GRAY, ALPHA])), extrasamples=[0], **IN_GRAY, **APART), GRAY,
    ),
    "colours and more in planes": (
        tiff(planes(np.dstack([PIXELS, ALPHA, GRAY])), extrasamples=[2, 0], **IN_COLOUR, **APART),
        over_white(PIXELS),
    ),
    "inks and more in planes": (
        tiff(planes(np.dstack([INKS, ALPHA])), extrasamples=[0], **IN_INKS, **APART), ink_colours(),
    ),
    "one bit a colour": (
        tiff(planes(PIXELS > 127), **IN_COLOUR, **APART), 255.0 * (PIXELS > 127),
    ),
    "zstd": (tiff(PIXELS, compression="zstd", **IN_COLOUR), PIXELS),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_samples_are_read(name: str, pool: hm.DecodePool) -> None:
    data, expected = READ[name]
    found = seen(data, pool)
    assert not found.damaged
    if expected is None:  # from the lowest to the highest
        low, high = int(PIXELS.min()), int(PIXELS.max())
        expected = (PIXELS.astype(float) - low) * 255 / (high - low)
    # Of what covers little, few levels are left: more than two off where alpha is under a half.
    near = ALPHA[..., 0] >= 128 if "covered" in name else np.ones(ALPHA.shape[:2], bool)
    assert np.abs(found.pixels - expected)[near].max() <= 2


def test_light_beyond_white_is_clipped() -> None:
    bright = UNIT.copy()
    bright[10:20] *= 40
    expected = PIXELS.copy()
    expected[10:20] = np.rint(np.clip(UNIT[10:20] * 40, 0, 1) * 255)
    assert (hm.decode_image(tiff(bright, **IN_COLOUR)).pixels == expected).all()


def test_floating_colours_are_displayed_as_light(pool: hm.DecodePool) -> None:
    """libvips takes them for linear light, ImageMagick for levels; both are asked."""
    for pictures in (
        decode_all(tiff(UNIT, **IN_COLOUR)),
        pool.pictures(tiff(UNIT, **IN_COLOUR), True),
    ):
        found = {one.reading: one.pixels.copy() for one in pictures}
        assert (found[""] == PIXELS).all()
        # Of 8 bits, the darkest are far apart once they are displayed.
        assert np.abs(found["as_displayed"] - levels(UNIT)).max() <= 2
        assert set(found) == {"", "as_displayed"}


def test_a_profile_wins_over_that() -> None:
    data = tiff(UNIT, iccprofile=rgb_profile(gamma=1.0), **IN_COLOUR)
    found = {one.reading: one.pixels for one in decode_all(data)}
    assert np.abs(found["as_displayed"] - shown(UNIT @ np.array(P3))).max() <= 3


@pytest.mark.parametrize("deep", [False, True])
def test_cielab_is_brought_to_colours(deep: bool, pool: hm.DecodePool) -> None:
    stored = lab_of(PIXELS) * (np.array([655.35, 256, 256]) if deep else np.array([2.55, 1, 1]))
    data = tiff(
        np.rint(stored).astype(np.int32).astype(np.uint16 if deep else np.uint8),
        photometric="cielab",
    )
    off_by = np.abs(seen(data, pool).pixels.astype(int) - PIXELS)
    assert off_by.mean() <= 2
    assert off_by.max() <= 16  # where a step of a or b is many levels


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned(orientation: int) -> None:
    data = tiff(UNIT, extratags=[(274, 3, 1, orientation, True)], **IN_COLOUR)
    plain = tiff(PIXELS, extratags=[(274, 3, 1, orientation, True)], **IN_COLOUR)
    assert (hm.decode_image(data).pixels == hm.decode_image(plain).pixels).all()


def test_pages_are_read_too(pool: hm.DecodePool) -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in (PIXELS, UNIT[::-1].copy(), DEEP):
            writer.write(page, metadata=None, **IN_COLOUR)
    for frames in (hm.decode_frames(file.getvalue()), pool.decode_frames(file.getvalue())):
        found = [frame.pixels.copy() for frame in frames]
        assert all(
            (a == b).all() for a, b in zip(found, (PIXELS, PIXELS[::-1], PIXELS), strict=True)
        )


def test_what_is_cut_off_is_damaged(pool: hm.DecodePool) -> None:
    data = tiff(UNIT, rowsperstrip=6, **IN_COLOUR)
    found = seen(data[: -UNIT[40:].nbytes], pool)
    assert found.damaged
    assert (found.pixels[:36] == PIXELS[:36]).all()
    begins = data.index(UNIT.tobytes())
    with pytest.raises(hm.ImageError) as error:
        hm.decode_image(data[:begins])
    assert error.value.outcome == "undecodable"


@pytest.mark.parametrize(("tag", "count"), [(256, 2), (257, 3), (278, 0), (277, 2), (258, 7)])
def test_a_field_of_another_length_is_broken(tag: int, count: int) -> None:
    data = bytearray(READ["deep planes"][0])
    fields = (at for at in range(8, len(data), 2) if data[at : at + 2] == struct.pack("<H", tag))
    at = next(at for at in fields if data[at + 2] in {3, 4} and data[at + 3] == 0)
    struct.pack_into("<I", data, at + 4, count)
    found = hm.hash_image(bytes(data))
    assert "between" not in found.reason or found.outcome is hm.Outcome.UNDECODABLE


def test_as_many_samples_as_fit_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TIFF_SAMPLE_BYTES", UNIT.nbytes - 1)
    with pytest.raises(hm.ImageError, match="MiB of samples") as error:
        hm.decode_image(tiff(UNIT, **IN_COLOUR))
    assert error.value.outcome == "refused"


def test_a_strip_that_is_larger_than_its_place_is_not_decoded() -> None:
    data = tiff(PIXELS, compression="webp", compressionargs={"level": 100}, **IN_COLOUR)
    file = io.BytesIO()
    Image.new("RGB", (3000, 3000)).save(file, "WEBP", lossless=True)
    at, size = data.index(b"RIFF"), len(file.getvalue())
    assert size < len(data) - at
    with pytest.raises(hm.ImageError, match="larger than its place"):
        hm.decode_image(data[:at] + file.getvalue() + data[at + size :])


def test_without_the_extra_it_is_said_what_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff_samples, "READABLE", False)
    for name in ("floats", "deep planes", "WebP in strips", "inks and alpha"):
        with pytest.raises(hm.ImageError, match=r"\[tiff\]") as error:
            hm.decode_image(READ[name][0])
        assert error.value.outcome == "unsupported"
