"""A picture is also asked for as others read it, and only if that is another picture."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from pillow_heif import HeifImageFile, from_pillow

import hashmatch as hm
from chromium_pages import ARGUMENTS, CHROMIUM, needs_chromium
from conftest import IMAGES
from hashmatch.decode import animation, profiles
from hashmatch.decode.animation import decode_all
from hashmatch.testing import picture
from hdr_pictures import avif, chunk, png
from icc_profiles import D50, P3, grey_profile, ink_profile, lab_to_xyz, rgb_profile, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hashmatch.records.enums import Level

PDQ = hm.HashSpec("pdq", 256)
ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def pool() -> Iterator[hm.DecodePool]:
    with hm.DecodePool(workers=1) as started:
        yield started


def written(image: Image.Image, form: str, orientation: int = 1, **options: Any) -> bytes:
    file = io.BytesIO()
    if orientation != 1:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif.tobytes()
    image.save(file, form, **options)
    return file.getvalue()


def coloured(seed: int, width: int = 200, height: int = 150) -> Image.Image:
    return Image.fromarray(picture(seed, width, height))


def known(pixels: NDArray[np.uint8]) -> hm.HashList:
    """Return a list of one picture, which matches if it is equal."""
    return hm.HashList.from_hex("pdq", [hm.hash_image(pixels).hex], ids=["one"])


def found(data: Any, pixels: NDArray[np.uint8], level: Level, **options: Any) -> set[str]:
    """Return the variants by which `data` is found to be exactly the picture of `pixels`."""
    matcher = hm.Matcher(known(pixels), max_distance=0, variants=level, **options)
    result = matcher.check(data, surface="profile_photo", item_id="item")
    equal = hm.hash_image(pixels).hex
    variants = {
        variant
        for one in matcher.hash(data, "item")
        if isinstance(one, hm.HashedImage)
        for variant, text in zip(one.variants, one.hashes.to_hex(), strict=True)
        if text == equal
    }
    assert isinstance(result, hm.ReviewRecord) == bool(variants)
    return variants


def readings(data: Any) -> dict[str, NDArray[np.uint8]]:
    return {one.reading: one.pixels for one in decode_all(data) if one.frame == 0}


# What python-threatexchange hashes: the array that Pillow gives of a file as it is opened.


def as_an_array(data: bytes) -> NDArray[np.uint8]:
    image: Image.Image = Image.open(io.BytesIO(data))
    if image.mode in {"LA", "I;16"}:
        image = image.convert("RGB")
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 3, 2)
    return np.ascontiguousarray(pixels[..., :3])


def half_transparent(mode: str) -> Image.Image:
    image = coloured(3).convert(mode)
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 100, 150))
    image.putalpha(alpha)
    return image


SIX_COLOURS = coloured(2).quantize(6, dither=Image.Dither.NONE).convert("RGB")
AS_ARRAYS = {
    "turned JPEG": written(coloured(1), "JPEG", 6),
    "mirrored and turned JPEG": written(coloured(1), "JPEG", 7),
    "turned gray JPEG": written(coloured(1).convert("L"), "JPEG", 8),
    "upside down PNG": written(coloured(1), "PNG", 3),
    "turned WebP": written(coloured(1), "WEBP", 6),
    "turned AVIF": written(coloured(1), "AVIF", 6),
    "GIF": written(coloured(2), "GIF"),
    "palette PNG": written(coloured(2).quantize(200), "PNG"),
    "turned palette PNG": written(coloured(2).quantize(200), "PNG", 6),
    "palette BMP": written(coloured(2).quantize(200), "BMP"),
    "palette TIFF": written(coloured(2).quantize(200), "TIFF"),
    "CMYK JPEG": written(coloured(4).convert("CMYK"), "JPEG"),
    "turned CMYK JPEG": written(coloured(4).convert("CMYK"), "JPEG", 6),
    "YCCK JPEG": (IMAGES / "modes/ycck.jpg").read_bytes(),
    "CMYK TIFF": written(coloured(4).convert("CMYK"), "TIFF"),
    "transparent PNG": written(half_transparent("RGB"), "PNG"),
    "transparent gray PNG": written(half_transparent("L"), "PNG"),
    "transparent WebP": written(half_transparent("RGB"), "WEBP", lossless=True, exact=True),
    "one transparent colour": written(
        SIX_COLOURS, "PNG", transparency=SIX_COLOURS.getpixel((0, 0))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AS_ARRAYS)
def test_identical_files_are_found_in_lists_of_threatexchange(
    name: str, pool: hm.DecodePool
) -> None:
    data = AS_ARRAYS[name]
    pixels = as_an_array(data)
    assert not found(data, pixels, "none")
    for options in ({}, {"decode": pool}):
        assert "as_threatexchange" in found(data, pixels, "standard", **options)
    with Image.open(io.BytesIO(data)) as image:
        assert "as_threatexchange" in found(image, pixels, "standard")


def test_the_complement_is_asked_of_inks_alone() -> None:
    data = AS_ARRAYS["CMYK JPEG"]
    upright, asked = hm.hash_all(data, ["pdq"], variants="standard")
    assert asked.variants == ("as_threatexchange",)
    complement = np.bitwise_count(upright.hashes.words[0] ^ ~asked.hashes.words[0]).sum()
    assert complement <= 8


@pytest.mark.parametrize(
    "data",
    [
        written(coloured(1), "JPEG"),
        written(coloured(1).convert("L"), "JPEG"),
        written(coloured(1), "PNG"),
        written(coloured(1).convert("RGBA"), "PNG"),
        written(coloured(1).convert("LA"), "PNG"),
        written(coloured(1), "WEBP"),
        written(coloured(1), "TIFF"),
        written(coloured(1), "BMP"),
        written(coloured(1), "AVIF"),
        (IMAGES / "modes/picture.heic").read_bytes(),
        (IMAGES / "modes/turned.heic").read_bytes(),
        (IMAGES / "modes/bilevel.png").read_bytes(),
    ],
)
def test_files_that_all_read_alike_cost_nothing(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = decode_all(data)
    assert first.others == ()
    monkeypatch.setattr(animation, "_pixels_read", None)
    assert len(hm.hash_all(data, ["pdq"], variants="standard")) == 1


def test_no_other_level_and_no_frame_has_readings() -> None:
    data = AS_ARRAYS["turned CMYK JPEG"]
    for level in ("none", "orientations"):
        assert len(hm.hash_all(data, ["pdq", "dhash"], variants=level)) == 2
    assert len(list(hm.decode_frames(data))) == 1
    with hm.DecodePool(workers=1) as pool:
        assert len(list(pool.decode_frames(data))) == 1
        assert [one.reading for one in pool.pictures(data, frames=True)] == [
            "",
            "as_threatexchange",
        ]
    animated = written(coloured(2), "GIF", save_all=True, append_images=[coloured(3), coloured(4)])
    hashed = hm.hash_all(animated, ["pdq"], variants="standard")
    assert [(one.frame, one.variants[0]) for one in hashed] == [
        (0, "upright"), (0, "as_threatexchange"), (1, "upright"), (2, "upright"),
    ]  # fmt: skip


def test_sizes_stay_those_of_the_upright_picture() -> None:
    hashed = hm.hash_all(AS_ARRAYS["turned JPEG"], ["pdq"], variants="standard")
    assert [(one.width, one.height) for one in hashed] == [(150, 200)] * 2


def test_a_picture_too_flat_by_value_is_found_as_the_tool_saw_it() -> None:
    """All colours of its palette are alike, the numbers are not."""
    image = coloured(2).quantize(200)
    image.putpalette([120, 120, 120] * 256)
    data = written(image, "PNG", optimize=False)
    assert hm.hash_image(data).outcome is hm.Outcome.LOW_QUALITY
    assert "as_threatexchange" in found(data, as_an_array(data), "standard")


def test_a_second_reading_that_fails_costs_the_first_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(animation, "scale_down", fail)
    (hashed,) = hm.hash_all(AS_ARRAYS["CMYK JPEG"], ["pdq"], variants="standard")
    assert hashed.outcome is hm.Outcome.HASHED


@pytest.mark.peers
def test_threatexchange_itself_agrees() -> None:
    hasher = pytest.importorskip("threatexchange.signal_type.pdq.pdq_hasher")
    for name, data in AS_ARRAYS.items():
        made, _ = hasher.pdq_from_bytes(data)
        hashed = hm.hash_all(data, ["pdq"], variants="standard")
        assert made in [text for one in hashed for text in one.hashes.to_hex()], name


# What is displayed by the colours that a file describes.


def levels_off(data: bytes, expected: NDArray[np.float64]) -> float:
    """Return by how many levels the displayed reading differs from what is expected, at most."""
    return float(np.abs(readings(data)["as_displayed"] - expected).max())


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_a_wide_gamut_is_shown_by_its_profile(form: str, pool: hm.DecodePool) -> None:
    image = coloured(1)
    options: dict[str, Any] = {"lossless": True} if form == "WEBP" else {}
    data = written(image, form, icc_profile=rgb_profile(P3, 1.8), **options)
    expected = shown((np.asarray(image) / 255) ** 1.8 @ np.array(P3))
    assert levels_off(data, expected) <= 2
    assert (hm.decode_image(data).pixels == np.asarray(image)).all()
    pixels = readings(data)["as_displayed"]
    assert not found(data, pixels, "none")
    for options in ({}, {"decode": pool}):
        assert "as_displayed" in found(data, pixels, "standard", **options)


def test_odd_profiles_bring_a_picture_back() -> None:
    """Red, green and blue are exchanged, and whoever looks at the file does not see it."""
    image = coloured(5)
    red, green, blue = image.split()
    exchanged = Image.merge("RGB", (green, blue, red))
    srgb = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
    data = written(exchanged, "PNG", icc_profile=rgb_profile((srgb[1], srgb[2], srgb[0])))
    assert np.abs(readings(data)["as_displayed"].astype(int) - np.asarray(image)).max() <= 12
    matcher = hm.Matcher(known(np.asarray(image)), variants="standard")
    record = matcher.check(data, surface="profile_photo", item_id="item")
    assert isinstance(record, hm.ReviewRecord)
    assert record.matches[0].variant == "as_displayed"


def test_turned_and_displayed_are_asked_together() -> None:
    image = coloured(5)
    data = written(image, "PNG", 6, icc_profile=rgb_profile(P3, 1.0))
    _, displayed, _ = hm.hash_all(data, ["pdq"], variants="standard")
    assert displayed.variants[:2] == ("as_displayed", "as_displayed/rotate_90")
    assert "as_displayed/smooth" in displayed.variants
    assert readings(data)["as_displayed"].shape == (200, 150, 3)


def test_gray_is_shown_by_its_profile() -> None:
    image = coloured(2).convert("L")
    data = written(image, "PNG", icc_profile=grey_profile(1.0))
    light = (np.asarray(image) / 255)[..., None] * np.array([0.9642, 1.0, 0.8249])
    assert levels_off(data, shown(light)) <= 2


def ink_colour(inks: tuple[int, ...]) -> tuple[float, float, float]:
    """Return the CIELAB of inks of which yellow is the darkest, as no formula would have it."""
    cyan, magenta, yellow, black = inks
    return 100 - 5 * cyan - 10 * magenta - 55 * yellow - 30 * black, 10 * magenta, 10 * cyan


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_inks_are_shown_by_their_profile(form: str, pool: hm.DecodePool) -> None:
    profile = ink_profile(ink_colour)
    corners = np.array(
        [[0, 0, 0, 0], [255, 0, 0, 0], [0, 255, 0, 0], [0, 0, 255, 0], [0, 0, 0, 255], [255] * 4],
        np.uint8,
    )
    image = Image.fromarray(np.repeat(np.repeat(corners[None], 32, 1), 32, 0), "CMYK")
    options: dict[str, Any] = {"quality": 100, "subsampling": 0} if form == "JPEG" else {}
    data = written(image, form, icc_profile=profile, **options)
    seen = readings(data)["as_displayed"][16, 16::32]
    for ink, colour in zip(corners // 255, seen, strict=True):
        expected = shown(lab_to_xyz(ink_colour(tuple(map(int, ink)))))
        assert np.abs(colour - expected).max() <= (30 if ink.all() else 4)  # black is brought down

    inks = Image.merge("CMYK", (*coloured(6).split(), coloured(6).convert("L")))
    for orientation in (1, 6) if form == "JPEG" else (1,):
        data = written(inks, form, orientation, icc_profile=profile)
        pixels = readings(data)["as_displayed"]
        assert pixels.shape == ((150, 200, 3) if orientation == 1 else (200, 150, 3))
        assert not found(data, pixels, "none")
        for where in ({}, {"decode": pool}):
            assert "as_displayed" in found(data, pixels, "standard", **where)


def with_chunks(image: Image.Image, **chunks: bytes) -> bytes:
    data = written(image, "PNG")
    made = b"".join(chunk(kind.encode(), body) for kind, body in chunks.items())
    return data[:33] + made + data[33:]


P3_POINTS = struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)


def test_a_png_is_shown_by_its_gamma() -> None:
    image = coloured(1)
    data = with_chunks(image, gAMA=struct.pack(">I", 100_000))
    light = np.asarray(image) / 255
    expected = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert levels_off(data, expected) <= 1
    wide = with_chunks(image, gAMA=struct.pack(">I", 45455), cHRM=P3_POINTS)
    assert levels_off(wide, shown(light**2.2 @ np.array(P3))) <= 2


def transparent(mode: str) -> Image.Image:
    """Return a picture in a mode with transparency, most of it half there."""
    image = coloured(4).convert("RGBA")
    image.putalpha(Image.fromarray(picture(5, 200, 150)[..., 0]))
    if mode == "P":
        return image.quantize(64)
    return image.convert(mode)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_shines_through_is_white_whatever_the_colours_are(
    mode: str, orientation: int, pool: hm.DecodePool
) -> None:
    image = transparent(mode)
    profile = grey_profile(1.0) if mode == "LA" else rgb_profile(gamma=1.0)
    data = written(image, "PNG", orientation, icc_profile=profile)
    layers = np.asarray(image.convert("RGBA")) / 255
    lit = layers[..., :3] * D50 if mode == "LA" else layers[..., :3] @ np.array(P3)
    expected = 255 + (shown(lit) - 255.0) * layers[..., 3:]
    if orientation == 6:
        expected = np.rot90(expected, -1)
    pixels = readings(data)["as_displayed"]
    assert np.abs(pixels - expected).max() <= 5
    for where in ({}, {"decode": pool}):
        assert "as_displayed" in found(data, pixels, "standard", **where)


@pytest.mark.parametrize(("primaries", "transfer"), [(12, 13), (9, 1), (1, 8), (1, 5)])
def test_code_points_of_an_sdr_picture_are_a_reading(primaries: int, transfer: int) -> None:
    image = coloured(1)
    for data in (png(image, transfer, primaries), avif(image, transfer, primaries)):
        assert set(readings(data)) == {"", "as_displayed"}


LINEAR_LIGHT = rgb_profile(gamma=1.0)


def of_profile(image: Image.Image) -> NDArray[np.float64]:
    return shown(np.asarray(image.convert("RGB")) / 255 @ np.array(P3))


@pytest.mark.parametrize("transfer", [13, 16, 18])
def test_a_profile_wins_over_code_points_but_in_a_png(transfer: int) -> None:
    """In an AVIF as libavif and browsers have it; a PNG's cICP comes first by its specification."""
    image = coloured(1)
    file = avif(image, transfer, 9, icc_profile=LINEAR_LIGHT)
    plain = hm.decode_image(avif(image, 2, 2, icc_profile=LINEAR_LIGHT)).pixels
    found = readings(file)
    assert (hm.decode_image(file).pixels == plain).all()
    assert np.abs(found["as_displayed"] - of_profile(Image.fromarray(plain))).max() <= 3
    both = png(image, transfer, 9, icc_profile=LINEAR_LIGHT)
    alone = png(image, transfer, 9)
    assert (hm.decode_image(both).pixels == hm.decode_image(alone).pixels).all()
    assert readings(both).keys() == readings(alone).keys()
    for name, pixels in readings(alone).items():
        assert (readings(both)[name] == pixels).all()


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16"])
def test_gray_is_shown_by_a_profile_of_colours_too(mode: str) -> None:
    image = coloured(1).convert("L")
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    data = written(
        image.convert(mode) if mode != "I;16" else image, "PNG", icc_profile=LINEAR_LIGHT
    )
    gray = Image.fromarray(hm.decode_image(data).pixels)
    if mode == "1":
        assert set(readings(data)) == {"", "as_displayed"}
    else:
        assert levels_off(data, of_profile(gray)) <= 3


@pytest.mark.parametrize("odd", [b"\x09\x10\0\0", b"\x09\x10", b"\x09\x10\0\1\0", b"\x02\x02\0\1"])
def test_code_points_that_say_nothing_leave_what_else_there_is(odd: bytes) -> None:
    image = coloured(1)
    linear = {"gAMA": struct.pack(">I", 100_000)}
    data = with_chunks(image, cICP=odd, **linear)
    assert (readings(data)[""] == np.asarray(image)).all()
    assert (
        readings(data)["as_displayed"] == readings(with_chunks(image, **linear))["as_displayed"]
    ).all()


def test_of_chunks_that_are_there_twice_the_first_counts(pool: hm.DecodePool) -> None:
    exif = b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0%c\0\0\0\0\0\0\0"
    image = coloured(1)
    data = with_chunks(image, eXIf=exif % 6, gAMA=struct.pack(">I", 100_000))
    more = b"".join(
        chunk(kind, body)
        for kind, body in (
            (b"eXIf", exif % 3), (b"gAMA", struct.pack(">I", 30_000)), (b"cICP", b"\1\x0d\0\1"),
            (b"cICP", b"\x09\x10\0\1"),
        )
    )  # fmt: skip
    at = data.index(b"IDAT") - 4
    first = data[:at] + more[: -2 * 16] + data[at:]
    for one in (first, data):
        assert (hm.decode_image(one).pixels == np.rot90(np.asarray(image), -1)).all()
        assert (readings(one)["as_displayed"] == readings(data)["as_displayed"]).all()
    points = data[:at] + more + data[at:]
    for found in (hm.decode_image(points), pool.decode_image(points)):
        assert (found.pixels == np.rot90(np.asarray(image), -1)).all()
    assert set(readings(points)) == {"", "as_threatexchange"}


def app(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("each", [60_000, 150])
def test_a_profile_that_a_jpeg_has_several_times(each: int, times: int) -> None:
    data = written(coloured(1), "JPEG", quality=95)
    parts = [LINEAR_LIGHT[at : at + each] for at in range(0, len(LINEAR_LIGHT), each)]
    held = b"".join(
        app(0xE2, b"ICC_PROFILE\0" + bytes([number, len(parts)]) + part)
        for number, part in enumerate(parts, 1)
    )
    found = readings(data[:2] + held * times + data[2:])
    assert np.abs(found["as_displayed"] - of_profile(Image.fromarray(found[""]))).max() <= 3


@pytest.mark.parametrize("pad", [0, 1, 0xFF])
def test_the_byte_behind_the_name_of_exif_is_anything(pad: int) -> None:
    exif = b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x06\0\0\0\0\0\0"
    data = written(coloured(1), "JPEG")
    turned = data[:2] + app(0xE1, b"Exif\0" + bytes([pad]) + exif) + data[2:]
    expected = np.rot90(hm.decode_image(data).pixels, -1)
    assert (hm.decode_image(turned).pixels == expected).all()
    with Image.open(io.BytesIO(turned)) as image:
        assert (hm.decode_image(image).pixels == expected).all()


SAME: dict[str, dict[str, Any]] = {
    "sRGB": {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()},
    "nothing": {"icc_profile": b"no profile"},
    "cut off": {"icc_profile": rgb_profile()[:200]},
    "of inks": {"icc_profile": ink_profile(ink_colour)},
    "of grey": {"icc_profile": grey_profile(1.0)},
    "too large": {"icc_profile": rgb_profile().ljust(profiles.MOST_PROFILE_BYTES + 1, b"\0")},
}


@pytest.mark.parametrize("name", SAME)
def test_profiles_that_change_nothing_are_passed_over(name: str) -> None:
    data = written(coloured(1), "PNG", **SAME[name])
    assert set(readings(data)) == {""}
    assert hm.hash_image(data).outcome is hm.Outcome.HASHED


@pytest.mark.parametrize(
    "chunks",
    [
        {"gAMA": struct.pack(">I", 45455)},
        {"gAMA": struct.pack(">I", 0)},
        {"gAMA": struct.pack(">I", 2**32 - 1)},
        {"cHRM": P3_POINTS},
        {"sRGB": b"\0", "gAMA": struct.pack(">I", 100_000)},
        {"gAMA": struct.pack(">I", 100_000), "cHRM": bytes(32)},
        {"gAMA": struct.pack(">I", 100_000), "cHRM": struct.pack(">8I", *[30_000] * 8)},
        {"cICP": bytes([1, 13, 0, 1]), "gAMA": struct.pack(">I", 100_000)},
        {"cICP": b"\1"},
    ],
)
def test_chunks_that_change_nothing_are_passed_over(chunks: dict[str, bytes]) -> None:
    assert set(readings(with_chunks(coloured(1), **chunks))) == {""}


@pytest.mark.servers
@pytest.mark.usefixtures("_chromium")
def test_chromium_shows_the_same() -> None:
    image = coloured(1)
    files = {
        "image/png": [
            written(image, "PNG", icc_profile=rgb_profile(P3, 1.8)),
            with_chunks(image, gAMA=struct.pack(">I", 60_000)),
            with_chunks(image, gAMA=struct.pack(">I", 45455), cHRM=P3_POINTS),
            png(image, 8, 1),
            png(image, 13, 9),
        ],
        "image/avif": [avif(image, 13, 12), avif(image, 4, 9)],
    }
    for kind, every in files.items():
        for data, seen in zip(every, in_chromium(kind, every), strict=True):
            off = np.abs(readings(data)["as_displayed"].astype(int) - seen)
            assert off.mean() <= 1, kind
    turned = AS_ARRAYS["turned WebP"]
    (seen,) = in_chromium("image/webp", [turned])
    assert (readings(turned)["as_threatexchange"] == seen).all()


@pytest.fixture
def _chromium() -> None:
    for mark in needs_chromium:
        if mark.name == "skipif" and mark.args[0]:
            pytest.skip(mark.kwargs["reason"])


DRAW = """async address => {
    const image = new Image(); image.src = address; await image.decode();
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
    canvas.getContext('2d').drawImage(image, 0, 0);
    return canvas.toDataURL('image/png').split(',')[1];
}"""


def in_chromium(kind: str, files: list[bytes]) -> list[NDArray[np.uint8]]:
    """Return what Chromium draws of files."""
    import base64

    from playwright.sync_api import sync_playwright

    drawn = []
    with sync_playwright() as started:
        arguments = [*ARGUMENTS, "--force-color-profile=srgb"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_page()
        for data in files:
            text = page.evaluate(DRAW, f"data:{kind};base64,{base64.b64encode(data).decode()}")
            with Image.open(io.BytesIO(base64.b64decode(text))) as image:
                drawn.append(np.asarray(image.convert("RGB")))
        browser.close()
    return drawn


# Orientations of which there are two.


def heic(orientation: int, turn: int | None = None) -> bytes:
    """Return a HEIC of an EXIF orientation whose own turn is that, or another."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    from_pillow(coloured(1)).save(file, quality=95, chroma="444", exif=exif.tobytes())
    data = bytearray(file.getvalue())
    if turn is not None:
        data[data.index(b"irot") + 4] = turn
    return bytes(data)


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_a_heic_whose_exif_disagrees_is_asked_both_ways(turn: int, pool: hm.DecodePool) -> None:
    data = heic(6, turn)
    agreed = hm.decode_image(heic(6)).pixels
    assert not found(data, agreed, "none")
    for options in ({}, {"decode": pool}):
        assert "as_exif" in found(data, agreed, "standard", **options)
    with HeifImageFile(io.BytesIO(data)) as image:
        assert (readings(image)["as_exif"] == readings(data)["as_exif"]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_heic_that_agrees_with_itself_is_asked_one_way(orientation: int) -> None:
    assert set(readings(heic(orientation))) == {""}


def test_an_avif_whose_exif_disagrees_is_asked_both_ways(pool: hm.DecodePool) -> None:
    exif = Image.Exif()
    exif[0x0128] = 6  # some other tag of the same kind, as Pillow would not write the orientation
    data = written(coloured(1), "AVIF", quality=100, exif=exif.tobytes())
    other = b"\x28\1\3\0\1\0\0\0\6" if b"II*" in data else b"\1\x28\0\3\0\0\0\1\0\6"
    data = data.replace(other, other.replace(b"\x28", b"\x12"))
    agreed = hm.decode_image(written(coloured(1), "AVIF", 6, quality=100)).pixels
    assert not found(data, agreed, "none")
    for options in ({}, {"decode": pool}):
        assert "as_exif" in found(data, agreed, "standard", **options)
    with Image.open(io.BytesIO(data)) as image:
        assert "as_exif" in readings(image)
    for orientation in range(1, 9):
        assert "as_exif" not in readings(written(coloured(1), "AVIF", orientation))


def test_a_webp_is_asked_turned_and_as_it_lies() -> None:
    image = coloured(1)
    data = written(image, "WEBP", 6, lossless=True)
    upright = np.asarray(image.rotate(-90, expand=True))
    assert "upright" in found(data, upright, "standard")
    assert "as_threatexchange" in found(data, np.asarray(image), "standard")


def test_what_was_set_by_getexif_wins_over_the_bytes_of_the_file() -> None:
    data = written(coloured(1), "JPEG", 6)
    expected = hm.decode_image(data).pixels
    stored = as_an_array(data)
    with Image.open(io.BytesIO(data)) as image:
        assert (hm.decode_image(image).pixels == expected).all()
        turned = image.rotate(-90, expand=True)
        assert (np.asarray(turned) == expected).all()
        turned.getexif()[ORIENTATION] = 1
        assert (hm.decode_image(turned).pixels == expected).all()
        turned = image.rotate(-90, expand=True)
        del turned.getexif()[ORIENTATION]
        assert (hm.decode_image(turned).pixels == expected).all()
        assert (hm.decode_image(ImageOps.exif_transpose(image)).pixels == expected).all()
        image.getexif()  # looked at, and left alone
        assert (hm.decode_image(image).pixels == expected).all()
        image.getexif()[ORIENTATION] = 99
        assert (hm.decode_image(image).pixels == stored).all()
    plain = Image.fromarray(stored)
    plain.getexif()[ORIENTATION] = 6
    assert (hm.decode_image(plain).pixels == expected).all()


def test_xmp_is_no_orientation_even_if_exif_was_looked_at() -> None:
    data = written(coloured(1), "JPEG", xmp=b'<x tiff:Orientation="6"/>')
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get(ORIENTATION) == 6
        assert (hm.decode_image(image).pixels == hm.decode_image(data).pixels).all()
        assert hm.decode_image(image).pixels.shape == (150, 200, 3)


def test_large_pictures_are_displayed_smaller_and_found_all_the_same() -> None:
    image = coloured(1, 2200, 2100)
    light = (np.asarray(image) / 255) ** 1.8 @ np.array(P3)
    expected = hm.hash_image(np.rint(shown(light)).astype(np.uint8))
    data = written(image, "BMP")
    assert set(readings(data)) == {""}
    data = written(image, "PNG", 6, compress_level=0, icc_profile=rgb_profile(P3, 1.8))
    first, displayed, _ = hm.hash_all(data, ["pdq"], variants="standard")
    assert (displayed.width, displayed.height) == (first.width, first.height) == (2100, 2200)
    assert readings(data)["as_displayed"].shape == (1100, 1050, 3)
    near = np.bitwise_count(displayed.hashes.words ^ expected.hashes.words[0]).sum(1)
    assert near.min() <= 4
