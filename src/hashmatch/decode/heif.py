"""HEIF, what phones photograph in, read if the extra ``heif`` is installed.

The package's reader is used as it is, never registered with Pillow: its registry is the whole
process's, and a host that opens pictures itself would begin to accept a further format. The reader
turns and mirrors as the file says (irot, imir) and drops the EXIF orientation, which in HEIF only
repeats that; so nothing is left here to apply.
"""

from __future__ import annotations

import io
import struct
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image, ImageFile

PACKAGE = "pillow_heif"
INSTALLED = find_spec(PACKAGE) is not None

# ISO/IEC 23008-12, annex B, and the structural brands of 14496-12 that HEVC pictures also bear.
BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
AVIF_BRANDS = {b"avif", b"avis"}


def brands(head: bytes) -> set[bytes]:
    """Return the brands in the file type box that `head` begins with; none if it is no such box."""
    if head[4:8] != b"ftyp":
        return set()
    (size,) = struct.unpack_from(">I", head)
    end = min(size, len(head))
    return {head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))}


def is_heif(head: bytes) -> bool:
    """Return whether a file that begins with `head` is HEIF; AVIF, its sibling, is not."""
    named = brands(head)
    return bool(named & BRANDS) and not named & AVIF_BRANDS


def open_heif(data: bytes) -> ImageFile.ImageFile:
    """Return the primary picture in `data`, no pixel decoded."""
    from pillow_heif import HeifImageFile

    image: ImageFile.ImageFile = HeifImageFile(io.BytesIO(data), "")
    return image


def order(image: Image.Image) -> list[int]:
    """Return the numbers of an open image's frames, first the primary picture of a HEIF."""
    numbers = range(getattr(image, "n_frames", 1))
    file: Any = getattr(image, "_heif_file", None)  # gone once a lone picture is loaded
    primary = getattr(file, "primary_index", 0)
    return sorted(numbers, key=lambda number: number != primary)
