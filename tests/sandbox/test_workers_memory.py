"""What the limits let through fits into a worker: giants of each format, in their worst layout."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from pillow_heif import from_pillow

import hashmatch as hm
from heif_files import box, coded, grid_file
from small_limits import PATIENT, seen

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow
COLOUR = (9, 99, 199, 99)
TURNED = Image.Exif()
TURNED[0x0112] = 6


def saved(mode: str, width: int, height: int, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    colour: Any = COLOUR if mode == "RGBA" else COLOUR[:2] if mode == "LA" else 99
    Image.new(mode, (width, height), colour).save(file, format, **options)
    return file.getvalue()


def gray_png(**options: Any) -> bytes:
    file = io.BytesIO()
    gray = Image.fromarray(np.full((8000, 8000), 999, np.uint16))
    gray.save(file, "PNG", compress_level=1, exif=TURNED, **options)
    return file.getvalue()


def tiff(dtype: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((8000, 8000), dtype), metadata=None, **options)
    return file.getvalue()


def heif() -> bytes:
    file = io.BytesIO()
    from_pillow(Image.new("RGBA", (8000, 8000), COLOUR)).save(file, quality=30)
    return file.getvalue()


def jxl() -> bytes:
    codec = pytest.importorskip("imagecodecs", reason="the extra jxl is not installed")
    pixels = np.asarray(Image.effect_noise((4472, 4472), 60))
    data: bytes = codec.jpegxl_encode(np.dstack([pixels] * 4), distance=1.0, effort=3)
    return data


def repeated(format: str, side: int, frames: int, **options: Any) -> bytes:
    pictures = [Image.new("RGBA", (side, side), (*COLOUR[:3], 99 + n)) for n in range(frames)]
    file = io.BytesIO()
    pictures[0].save(file, format, save_all=True, append_images=pictures[1:], **options)
    return file.getvalue()


def in_tiles(width: int, height: int, format: str, **options: Any) -> bytes:
    tile = coded(Image.new("RGB", (1024, 1024), COLOUR[:3]), format)
    turned = [box(b"irot", b"\1")]
    return grid_file([tile], -(-height // 1024), -(-width // 1024), (width, height), turned)


GIANTS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: saved("RGB", 8000, 8000, "JPEG", exif=TURNED),
    "jpeg halved": lambda: saved("L", 62_655, 4_085, "JPEG", exif=TURNED),
    "jpeg cmyk": lambda: saved("CMYK", 8000, 8000, "JPEG", exif=TURNED),
    "jpeg cmyk scaled": lambda: saved("CMYK", 16_000, 16_000, "JPEG", exif=TURNED),
    "jpeg progressive": lambda: saved("L", 13_856, 13_856, "JPEG", progressive=True, exif=TURNED),
    "png rgba": lambda: saved("RGBA", 8000, 8000, "PNG", compress_level=1, exif=TURNED),
    "png gray and alpha": lambda: saved("LA", 8000, 8000, "PNG", compress_level=1, exif=TURNED),
    "png 16 bits": gray_png,
    "png 16 bits transparent": lambda: gray_png(transparency=999),
    "png palette": lambda: saved("P", 8000, 8000, "PNG", transparency=99, exif=TURNED),
    "bmp of 244 MiB": lambda: saved("RGBA", 8000, 8000, "BMP"),
    "gif": lambda: saved("L", 8000, 8000, "GIF"),
    "webp": lambda: saved("RGBA", 6000, 6000, "WEBP", method=0, exif=TURNED),
    "webp lossless": lambda: saved("RGBA", 6000, 6000, "WEBP", lossless=True, method=0),
    "avif": lambda: saved("RGBA", 7071, 7071, "AVIF", speed=10, exif=TURNED),
    "heif": heif,
    "heif in tiles": lambda: in_tiles(16_384, 12_288, "HEIF"),
    "heif in tiles, long": lambda: in_tiles(50_000, 4_094, "HEIF"),
    "avif in tiles": lambda: in_tiles(16_384, 12_288, "AVIF"),
    "jxl": jxl,
    "tiff floats of 244 MiB": lambda: tiff(np.float32),
    "tiff 32 bits": lambda: tiff(np.uint32, compression="zlib"),
    "tiff signed": lambda: tiff(np.int8, compression="zlib"),
    "tiff of 244 MiB, turned": lambda: saved("RGBA", 8000, 8000, "TIFF", tiffinfo={274: 6}),
    "tiff turned": lambda: saved(
        "RGBA", 8000, 8000, "TIFF", tiffinfo={274: 6}, compression="tiff_lzw"
    ),
}
ANIMATED: dict[str, Callable[[], bytes]] = {
    "png": lambda: repeated("PNG", 8000, 2, compress_level=1),
    "gif": lambda: repeated("GIF", 8000, 2),
    "webp": lambda: repeated("WEBP", 6000, 3, method=0),
    "avif": lambda: repeated("AVIF", 7000, 2, speed=10),
    "tiff of 244 MiB": lambda: repeated("TIFF", 4000, 4),
    "tiff": lambda: repeated("TIFF", 8000, 2, compression="tiff_lzw"),
}


@pytest.mark.parametrize("name", GIANTS)
def test_a_giant_is_decoded_alike(name: str) -> None:
    data = GIANTS[name]()
    with hm.DecodePool(1, PATIENT) as pool:
        there = seen(lambda: [pool.decode_image(data)])
    assert there == seen(lambda: [hm.decode_image(data)])
    assert len(there[0]) > 2


@pytest.mark.parametrize("name", ANIMATED)
def test_frames_of_a_giant_are_decoded_alike(name: str) -> None:
    data = ANIMATED[name]()
    with hm.DecodePool(1, PATIENT) as pool:
        there = [(one.frame, one.pixels[::99, ::99].tolist()) for one in pool.decode_frames(data)]
    here = [(one.frame, one.pixels[::99, ::99].tolist()) for one in hm.decode_frames(data)]
    assert there == here
    assert len(here) > 1


@pytest.mark.parametrize(
    "name", ["jpeg cmyk", "png rgba", "png gray and alpha", "png palette", "gif", "webp"]
)
def test_a_giant_is_read_as_others_do(name: str) -> None:
    data = GIANTS[name]()
    with hm.DecodePool(1, PATIENT) as pool:
        found = [one.reading for one in pool.pictures(data, frames=True)]
    assert found == ["", "as_threatexchange"]
