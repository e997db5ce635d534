"""What is odd in a file's metadata does not cost its picture, nor mark it as damaged."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import sys
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from PIL import Image
from pillow_heif import from_pillow

import hashmatch as hm
from hashmatch.sandbox.pool import DecodePool
from hashmatch.testing import picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIXELS = picture(8, 120, 80)


def saved(format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, format, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes, checksum: int | None = None) -> bytes:
    known = zlib.crc32(kind + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", known)


def png(extra: bytes, *, behind: bool) -> bytes:
    data = saved("PNG")
    at = data.index(b"IEND") - 4 if behind else 33
    return data[:at] + extra + data[at:]


LONG_TEXT = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(33 * 2**20)))
ODD_CHUNKS = {
    "empty profile": chunk(b"iCCP", b""),
    "profile without a name": chunk(b"iCCP", b"\0"),
    "profile compressed somehow": chunk(b"iCCP", b"name\0\x07rest"),
    "text compressed somehow": chunk(b"zTXt", b"Comment\0\x07rest"),
    "much text": LONG_TEXT * 3,
    "international text cut off": chunk(b"iTXt", b"Comment\0\1"),
    "no density": chunk(b"pHYs", b""),
    "no gamma": chunk(b"gAMA", b""),
    "short primaries": chunk(b"cHRM", b"\0\0\0\1"),
    "short intent": chunk(b"sRGB", b""),
    "text of another checksum": chunk(b"tEXt", b"Comment\0text", checksum=1),
    "a chunk of nobody": chunk(b"prVt", b"anything", checksum=1),
    "an animation of nothing": chunk(b"acTL", b""),
    "a frame cut off": chunk(b"fcTL", b"\0"),
    "exif of another kind": chunk(b"eXIf", b"none at all"),
}


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def index_of_pictures(*entries: tuple[int, int, int, bytes]) -> bytes:
    """Return an MPF segment whose directory has these entries: tag, type, count, value."""
    body = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    return segment(
        0xE2, b"MPF\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", 0)
    )


MPF_VERSION = (0xB000, 7, 4, b"0100")
ODD_SEGMENTS = {
    "an index of pictures without a number": index_of_pictures(MPF_VERSION),
    "an index of two pictures that names none": index_of_pictures(
        MPF_VERSION, (0xB001, 4, 1, struct.pack("<I", 2))
    ),
    "an index cut off": segment(0xE2, b"MPF\0II*\0\x08\0\0\0\x09\0"),
    "an index that points beyond": index_of_pictures(
        MPF_VERSION, (0xB001, 4, 1, struct.pack("<I", 2)), (0xB002, 7, 32, b"\xff\xff\xff\x0f")
    ),
    "no profile": segment(0xE2, b"ICC_PROFILE\0"),
    "a third of a profile": segment(0xE2, b"ICC_PROFILE\0\2\3abc"),
    "exif cut off": segment(0xE1, b"Exif\0\0II"),
    "exif that points beyond": segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\x7f"),
    "empty notes": b"".join(segment(marker, b"") for marker in (0xE0, 0xE1, 0xE2, 0xED, 0xFE)),
    "short photoshop": segment(0xED, b"Photoshop 3.0\0008BIM\x04"),
    "short adobe": segment(0xEE, b"Adobe"),
    "short jfif": segment(0xE0, b"JFIF\0\1"),
}


def jpeg(extra: bytes) -> bytes:
    data = saved("JPEG", quality=90)
    return data[:2] + extra + data[2:]


def tiff(*tags: tuple[int, int, int, object], compression: str | None = None) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        PIXELS,
        photometric="rgb",
        metadata=None,
        compression=compression,
        extratags=[(*tag, True) for tag in tags],
    )
    return buffer.getvalue()


def odd_tags() -> Iterator[tuple[str, bytes]]:
    """Yield TIFFs whose notes point beyond the file, or are of a type that nobody knows."""
    for compression in (None, "zlib"):
        for tag in (700, 33432, 33723, 34377, 34675, 37724, 65000):
            data = bytearray(tiff((tag, 7, 40, bytes(40)), compression=compression))
            where = data.index(struct.pack("<HHI", tag, 7, 40))
            for name, kind, offset in (("beyond", 7, 2**31), ("of no type", 99, 8)):
                struct.pack_into("<HHII", data, where, tag, kind, 40, offset)
                yield f"tag {tag} {name}, {compression}", bytes(data)


ODD = [
    *[
        pytest.param("PNG", png(extra, behind=behind), id=f"{name}{' behind' * behind}")
        for name, extra in ODD_CHUNKS.items()
        for behind in (False, True)
    ],
    *[pytest.param("JPEG", jpeg(extra), id=name) for name, extra in ODD_SEGMENTS.items()],
    *[pytest.param("TIFF", data, id=name) for name, data in odd_tags()],
]


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(1) as pool:
        yield pool


def expected(format: str) -> np.ndarray:
    return hm.decode_image(saved("JPEG", quality=90)).pixels if format == "JPEG" else PIXELS


@pytest.mark.parametrize(("format", "data"), ODD)
def test_odd_metadata_costs_nothing(format: str, data: bytes, pool: DecodePool) -> None:
    for found in (hm.decode_image(data), pool.decode_image(data)):
        assert np.array_equal(found.pixels, expected(format))
        assert not found.damaged


def test_a_picture_that_is_cut_off_is_damaged_whatever_its_metadata(pool: DecodePool) -> None:
    data = png(ODD_CHUNKS["text compressed somehow"], behind=False)
    cut = data[: len(data) * 3 // 4]
    for found in (hm.decode_image(cut), pool.decode_image(cut)):
        assert found.damaged
        assert np.array_equal(found.pixels[:30], PIXELS[:30])


def test_the_orientation_is_kept_where_other_notes_are_dropped() -> None:
    exif = Image.Exif()
    exif[274] = 6
    turned = saved("PNG", exif=exif)
    odd = turned[:33] + ODD_CHUNKS["text compressed somehow"] + turned[33:]
    assert np.array_equal(hm.decode_image(odd).pixels, np.rot90(PIXELS, -1))


HOST = """
import pathlib, sys, warnings
import numpy as np
import hashmatch as hm
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.*")):
    if path.suffix in {".json", ".md", ".txt"}:
        continue
    try:
        found = hm.decode_image(path)
        print(path.name, found.damaged, int(found.pixels.sum(dtype=np.int64)))
    except hm.ImageError as error:
        print(path.name, error.outcome, error.reason)
"""


def test_the_hosts_warnings_change_no_outcome(tmp_path: Path) -> None:
    """Each fixture and each odd file, in a host whose warnings are errors."""
    shutil.copytree("fixtures/images", tmp_path / "images")
    for number, odd in enumerate(ODD):
        format, data = odd.values
        assert isinstance(data, bytes)
        (tmp_path / "images" / f"odd{number}.{str(format).lower()}").write_bytes(data)
    with (tmp_path / "images/floats.tif").open("wb") as file:
        tifffile.imwrite(file, PIXELS.astype(np.float32) / 255, photometric="rgb", predictor=3,
                         compression="zlib", metadata=None)  # fmt: skip
    said = [
        subprocess.run(
            [sys.executable, *options, "-c", HOST, str(tmp_path / "images")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for options in ([], ["-W", "error"])
    ]
    assert said[0] == said[1]
    assert said[0].count("\n") > len(ODD)


def with_notes(format: str) -> bytes:
    """Return an AVIF or HEIC with an item of EXIF and one of XMP."""
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a description"
    notes = {"exif": exif.tobytes(), "xmp": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"}
    if format == "AVIF":
        Image.fromarray(PIXELS).save(buffer, format, **notes)
    else:
        from_pillow(Image.fromarray(PIXELS)).save(buffer, **notes)
    return buffer.getvalue()


def places(data: bytes) -> list[int]:
    """Return where the box ``iloc`` has offset and length of each item, from the first one on."""
    at = data.index(b"iloc") + 8
    based, (items,) = data[at + 1] >> 4, struct.unpack_from(">H", data, at + 2)
    step = 6 + 8 + 4 * bool(based)
    return [at + 4 + step * number + step - 8 for number in range(items)]


def odd_items(data: bytes) -> dict[str, bytes]:
    """Return files whose second and third item, its notes, are odd."""
    made = {}
    for number, place in list(enumerate(places(data)))[1:]:
        for name, at, value in (("elsewhere", place, 10**6), ("longer", place + 4, 10**6)):
            odd = bytearray(data)
            struct.pack_into(">I", odd, at, value)
            made[f"{name} {number}"] = bytes(odd)
    exif = data.index(b"MM\0*") if b"MM\0*" in data else data.index(b"II*\0")
    made["garbage"] = data[: exif - 4] + b"\xff" * 12 + data[exif + 8 :]
    return made


@pytest.mark.parametrize("format", ["AVIF", "HEIF"])
def test_odd_notes_of_an_avif_or_heic_do_not_cost_its_picture(
    format: str, pool: DecodePool
) -> None:
    data = with_notes(format)
    expected = hm.decode_image(data)
    files = odd_items(data)
    assert len(files) == 5
    for name, odd in files.items():
        here, there = hm.decode_image(odd), pool.decode_image(odd)
        for found in (here, there):
            assert (found.pixels == expected.pixels).all(), name
            assert not found.damaged, name


def with_box(data: bytes, kind: bytes, body: bytes) -> bytes:
    """Return an AVIF with one more box at the end of those that describe it."""
    at = data.index(b"meta") - 4
    (size,) = struct.unpack_from(">I", data, at)
    box = struct.pack(">I4s", 8 + len(body), kind) + body
    made = bytearray(data[: at + size] + box + data[at + size :])
    struct.pack_into(">I", made, at, size + len(box))
    for place in places(data):
        struct.pack_into(">I", made, place, struct.unpack_from(">I", data, place)[0] + len(box))
    return bytes(made)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"grpl", struct.pack(">I4sIII2I", 28, b"pymd", 0, 1, 1, 1, 0)),
        (b"grpl", struct.pack(">I4sI", 20, b"altr", 0) + b"\xff" * 8),
        (b"grpl", b"\xff" * 20),
        (b"uuid", b"\xff" * 20),
        (b"xml ", b"\xff" * 20),
    ],
)
def test_odd_boxes_of_an_avif_do_not_cost_its_picture(
    kind: bytes, body: bytes, pool: DecodePool
) -> None:
    data = saved("AVIF")
    odd = with_box(data, kind, body)
    expected = hm.decode_image(data).pixels
    there = pool.decode_image(odd)
    for found in (hm.decode_image(odd), there):
        assert (found.pixels == expected).all()
        assert not found.damaged


def riff(*parts: tuple[bytes, bytes, int], size: int | None = None) -> bytes:
    """Return a WebP of chunks, each with its kind, its body and how long that is said to be."""
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", length) + data + bytes(len(data) % 2)
        for kind, data, length in parts
    )
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def test_a_webp_is_as_long_as_its_picture(pool: DecodePool) -> None:
    data = saved("WEBP")
    expected = hm.decode_image(data).pixels
    (length,) = struct.unpack_from("<I", data, 16)
    shown = data[12:16], data[20 : 20 + length], length
    extended = b"VP8X", struct.pack("<II", 8, 119)[:7] + struct.pack("<I", 79)[:3], 10
    for odd in (
        riff(shown, size=len(data) + 4000),
        riff(shown, size=0),
        riff(extended, shown, (b"EXIF", b"\xff" * 30, 9999)),
        riff(extended, shown, (b"XMP ", b"\xff" * 3, 2**32 - 1)),
    ):
        here, there = hm.decode_image(odd), pool.decode_image(odd)
        for found in (here, there):
            assert (found.pixels == expected).all()
            assert not found.damaged
    with pytest.raises(hm.ImageError) as cut:
        hm.decode_image(data[: len(data) // 2])
    assert cut.value.outcome is hm.Outcome.UNDECODABLE


def test_of_two_pictures_in_a_webp_the_first_is_shown(pool: DecodePool) -> None:
    data = saved("WEBP", lossless=True)
    other = io.BytesIO()
    Image.fromarray(PIXELS[::-1].copy()).save(other, "WEBP", lossless=True)
    extended = b"VP8X", struct.pack("<II", 0, 119)[:7] + struct.pack("<I", 79)[:3], 10
    parts = []
    for each in (data, other.getvalue()):
        (length,) = struct.unpack_from("<I", each, 16)
        parts.append((each[12:16], each[20 : 20 + length], length))
    for found in (
        hm.decode_image(riff(extended, *parts)), pool.decode_image(riff(extended, *parts)),
    ):  # fmt: skip
        assert (found.pixels == PIXELS).all()
        assert not found.damaged


def test_an_animation_that_is_cut_off_has_the_frames_that_are_there(pool: DecodePool) -> None:
    buffer = io.BytesIO()
    frames = [Image.fromarray(np.roll(PIXELS, shift, 0)) for shift in (0, 9, 30)]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    data = buffer.getvalue()
    second = data.index(b"ANMF", data.index(b"ANMF") + 4)
    cut = data[: second + 400]
    for found in (hm.decode_image(cut), pool.decode_image(cut)):
        assert found.damaged
        assert (found.pixels == PIXELS).all()
    with pytest.raises(hm.ImageError) as error:
        hm.decode_image(data[: second - 400])
    assert error.value.outcome is hm.Outcome.UNDECODABLE


def test_odd_extensions_of_a_gif_do_not_cost_its_picture(pool: DecodePool) -> None:
    data = saved("GIF")
    expected = hm.decode_image(data).pixels
    at = 13 + 3 * (2 << (data[10] & 7))
    for extension in (b"\x21\xff\x0bNETSCAPE2.0\0", b"\x21\xff\x0bNETSCAPE2.0\x01\x01\0"):
        odd = data[:at] + extension + data[at:]
        here, there = hm.decode_image(odd), pool.decode_image(odd)
        for found in (here, there):
            assert (found.pixels == expected).all()
            assert not found.damaged
