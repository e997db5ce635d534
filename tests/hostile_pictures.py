"""Hostile files, made from a seed: floods, bombs, cuts, flipped bits, strange headers.

Everything is made of the project's own drawn fixtures.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from PIL import Image

from conftest import IMAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    Named = Iterator[tuple[str, bytes]]

SEEDS = {
    path.name: path.read_bytes()
    for path in sorted(IMAGES.rglob("*"))
    if path.parent.name != "damaged"
    and path.suffix in {".jpg", ".png", ".webp", ".gif", ".bmp", ".tif"}
} | {path.name: path.read_bytes() for path in sorted((IMAGES / "modes").glob("*.[ah][ve]i[fc]"))}


def hostile(seed: int, count: int, large: bool) -> Named:
    """Yield `count` named files: first the floods and bombs, then cuts, then chance.

    Parameters
    ----------
    seed : int
        Of all that is left to chance.
    count : int
        Files.
    large : bool
        Also bombs that take seconds to make or to refuse.
    """
    made = chain(floods(large), bombs(), odd(seed), cuts(), flips(seed))
    return islice(made if not large else chain(real_giants(), made), count)


def floods(large: bool) -> Named:
    for scans in (99, 100, 101, 1000, 20_000 if large else 2_000):
        yield f"scans-{scans}.jpg", repeated_scans(640, scans)
    yield "scans-large.jpg", repeated_scans(4000 if large else 1000, 1_000)
    head, rest = SEEDS["baseline.jpg"][:20], SEEDS["baseline.jpg"][20:]  # behind its JFIF
    million = 8_000_000 if large else 1_000_000
    yield "padding.jpg", head + b"\xff" * million + rest
    yield "zeros.jpg", head + b"\0" * million + rest
    yield "stuffed.jpg", head + b"\xff\0" * (million // 2) + rest
    yield "segments.jpg", head + b"\xff\xe0\0\2" * (million // 4) + rest
    yield "comments.jpg", head + (b"\xff\xfe\xff\xff" + bytes(65533)) * (million // 65537) + rest
    yield "restarts.jpg", head + b"\xff\xd0" * (million // 2) + rest
    png = SEEDS["original.png"]
    empty = chunk(b"teSt", b"")
    for kind in (b"teSt", b"tEXt", b"IDAT"):
        flood = chunk(kind, b"") * (million // len(empty))
        yield f"chunks-{kind.decode()}.png", png[:33] + flood + png[33:]
    texts = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**6)))
    yield "texts.png", png[:33] + texts * 200 + png[33:]
    gif = SEEDS["palette.gif"]
    start = 13 + (3 << (gif[10] & 7) + 1)
    yield "blocks.gif", gif[:start] + b"\x21\xfe\1a\0" * (million // 5) + gif[start:]
    yield "long-comment.gif", gif[:start] + b"\x21\xfe" + b"\1a" * (million // 2) + gif[start:]
    yield "frames.gif", gif[:start] + gif[start:-1] * 500 + b";"


def repeated_scans(side: int, scans: int) -> bytes:
    """Return a progressive JPEG that says its last scan over and over."""
    file = io.BytesIO()
    Image.new("L", (side, side), 99).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * (scans - data.count(b"\xff\xda") + 1) + data[-2:]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


SIZES = ((65535, 65535), (30000, 30000), (65535, 1), (1, 65535), (0, 0), (16000, 16000))


def bombs() -> Named:
    """Yield headers that promise more pixels than anybody has memory for."""
    for width, height in (
        (65535, 65535),
        (30000, 30000),
        (65535, 1),
        (1, 65535),
        (0, 0),
        (16000,) * 2,
    ):
        png = SEEDS["original.png"]
        header = chunk(b"IHDR", struct.pack(">II", width, height) + png[24:29])
        yield f"{width}x{height}.png", png[:8] + header + png[33:]
        for name in ("baseline.jpg", "progressive.jpg"):
            jpeg = SEEDS[name]
            at = jpeg.index(b"\xff\xc0" if name == "baseline.jpg" else b"\xff\xc2") + 5
            size = struct.pack(">HH", height, width)
            yield f"{width}x{height}-{name}", jpeg[:at] + size + jpeg[at + 4 :]
        gif = SEEDS["palette.gif"]
        size = struct.pack("<HH", width, height)
        yield f"{width}x{height}.gif", gif[:6] + size + gif[10:]
        at = gif.index(b",\0\0\0\0") + 5
        yield f"{width}x{height}-frame.gif", gif[:6] + size + gif[10:at] + size + gif[at + 4 :]
        for name in ("picture.bmp", "runs.bmp"):
            bmp = SEEDS[name]
            yield (
                f"{width}x{height}-{name}",
                bmp[:18] + struct.pack("<ii", width, height) + bmp[26:],
            )
        extended = b"VP8X" + struct.pack("<II", 10, 2) + struct.pack("<I", max(width, 1) - 1)[:3]
        extended += struct.pack("<I", max(height, 1) - 1)[:3]
        body = b"WEBP" + extended + SEEDS["lossy.webp"][12:]
        yield f"{width}x{height}.webp", b"RIFF" + struct.pack("<I", len(body)) + body
        for name in ("picture.avif", "picture.heic"):
            data = SEEDS[name]
            at = data.index(b"ispe") + 8
            size = struct.pack(">II", width, height)
            yield f"{width}x{height}-{name}", data[:at] + size + data[at + 8 :]
        yield f"{width}x{height}.tif", tiff(width, height)


def tiff(width: int, height: int) -> bytes:
    """Return a TIFF of nothing, which is as large as it says."""
    entries = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 1), (262, 3, 1)]
    entries += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, width * height % 2**32)]
    body = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)


def real_giants() -> Named:
    """Yield what is as large as each format may be, and small as a file."""
    giants = {"PNG": 8000, "GIF": 8000, "TIFF": 8000, "WEBP": 6000, "JPEG": 15000}
    saving: dict[str, dict[str, Any]] = {
        "WEBP": {"lossless": True, "method": 0},
        "TIFF": {"compression": "tiff_lzw"},
    }
    for name, side in giants.items():
        file = io.BytesIO()
        mode = "L" if name in {"GIF", "TIFF"} else "RGB"
        Image.new(mode, (side, side), 99).save(file, name, **saving.get(name, {}))
        yield f"giant.{name.lower()}", file.getvalue()
    file = io.BytesIO()
    Image.new("RGBA", (8000, 8000), (9, 99, 199, 99)).save(file, "PNG", compress_level=1)
    yield "giant-alpha.png", file.getvalue()
    file = io.BytesIO()
    Image.new("RGB", (7000, 7000), 99).save(file, "AVIF", speed=10)
    yield "giant.avif", file.getvalue()


def odd(seed: int) -> Named:
    chance = random.Random(seed)
    yield "nothing.jpg", b""
    yield "zeros.png", bytes(10_000)
    for name, data in SEEDS.items():
        yield f"head-of-{name}", data[:16]
        yield f"noise-after-{name}", data[:32] + chance.randbytes(2000)
        other = chance.choice(sorted(SEEDS))
        yield f"{name}.{other.rpartition('.')[2]}", data
        yield f"{name}-then-{other}", data[: len(data) // 2] + SEEDS[other]


def cuts() -> Named:
    for name, data in SEEDS.items():
        for tenth in range(1, 10):
            yield f"{tenth}0%-of-{name}", data[: len(data) * tenth // 10]


def flips(seed: int) -> Named:
    chance = random.Random(seed + 1)
    names = sorted(SEEDS)
    while True:
        name = chance.choice(names)
        data = bytearray(SEEDS[name])
        most = len(data) if chance.random() < 0.5 else 200  # headers decide the most
        for _ in range(chance.choice((1, 4, 20))):
            data[chance.randrange(min(most, len(data)))] ^= 1 << chance.randrange(8)
        yield f"flipped-{name}", bytes(data)
