"""The formats that are read, opening a file as nothing else, and what Pillow misreads of it.

Pillow registers more than forty parsers, among them ones that start other programs. Only the
ones below ever see a byte.

HEIF, what phones photograph in, is read if the extra ``heif`` is installed. The package's reader is
used as it is, never registered with Pillow: its registry is the whole process's, and a host that
opens pictures itself would begin to accept a further format. The reader turns and mirrors as the
file says (irot, imir) and drops the EXIF orientation, which in HEIF only repeats that; so nothing
is left to apply. JPEG XL is read alike if the extra ``jxl`` is installed.
"""

from __future__ import annotations

import io
import struct
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from hashmatch.decode import bmp, cicp, gif, jxl, limits, tiff_samples, tiles, webp
from hashmatch.decode.jpeg import coefficient_bytes
from hashmatch.decode.metadata import PNG_ONCE, without_repeats
from hashmatch.errors import install
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from PIL import ImageFile

WIDENED = {"L;2": 85, "L;4": 17}
"""How PNG gray of so few bits becomes 8-bit: 255 over the largest value."""


#: Pillow's name of each format that is read, and its media type.
FORMATS = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
}
HEIF = "HEIF"
if find_spec("pillow_heif"):
    FORMATS[HEIF] = "image/heif"

JXL = "JXL"
if find_spec("imagecodecs"):
    FORMATS[JXL] = "image/jxl"

HEAD = 256
"""Bytes that a format is recognised by."""
# ISO/IEC 23008-12, annex B, and the structural brands of 14496-12 that HEVC pictures also bear.
HEIF_BRANDS = {
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1",
}  # fmt: skip
AVIF_BRANDS = {b"avif", b"avis"}
BMP_HEADERS = {struct.pack("<I", size) for size in (12, *bmp.OS2_SIZES, 40, 52, 56, 64, 108, 124)}


def identify(data: bytes) -> str:
    """Return Pillow's name of the format that `data` begins as.

    Raises ImageError, ``unsupported`` for anything but the formats above, ``undecodable`` if
    there are no bytes.
    """
    if not data:
        raise ImageError(Outcome.UNDECODABLE, "the file is empty")
    Image.init()
    for name in FORMATS:
        if _accepts(name, data[:HEAD]):
            return name
    if is_heif(data[:HEAD]):
        raise ImageError(
            Outcome.UNSUPPORTED, f"HEIF, whose reader is not installed. {install('heif')}"
        )
    if data.startswith((jxl.CODESTREAM, jxl.CONTAINER)):
        raise ImageError(
            Outcome.UNSUPPORTED, f"JPEG XL, whose reader is not installed. {install('jxl')}"
        )
    raise ImageError(
        Outcome.UNSUPPORTED, f"not a picture in one of the formats {', '.join(FORMATS)}"
    )


def open_image(data: bytes, name: str) -> ImageFile.ImageFile:
    """Return the picture in `data`, of the format called `name`, header read and no pixel decoded.

    Pillow's own registry is asked rather than ``Image.open``, whose pixel limit is one setting of
    the whole process and whose warnings the host's filters may turn into errors. Raises ImageError,
    ``refused`` for more pixels than the format's limit, ``undecodable`` for a header that is cut
    off; Pillow itself raises nearly anything on a broken header.
    """
    # Two decoders make canvases when they open a file, and rely on the host's limits for them.
    if name == "WEBP":
        _check_pixels(name, *webp.size_of(data), limits.PIXELS[name])
    elif name == "GIF":
        for rect in islice(gif.frame_rects(data, limits.FRAME_BLOCKS), 1):
            right, bottom = rect.left + rect.width, rect.top + rect.height
            _check_pixels(name, right, bottom, limits.PIXELS[name])
    elif name == "PNG":
        head = data[: data.find(b"IDAT")]  # most files have each name once
        if max(map(head.count, PNG_ONCE)) > 1 or data.count(b"eXIf") > 1:
            data = without_repeats(data)
    elif name == "BMP":
        profile = bmp.profile(data)
        data = bmp.usual(data, limits.UNUSUAL_BMP_PIXELS, limits.RUN_LENGTH_BMP_PIXELS)
    found = tiles.of_giant(data, limits.PIXELS[name]) if name in {"AVIF", HEIF} else None
    image: ImageFile.ImageFile
    if found is not None:
        image = tiles.TiledImageFile(data, found, _opener(name))
    elif name == "TIFF":
        image = tiff_samples.open_tiff(data)
    else:
        image = _opener(name)(io.BytesIO(data), "")
    if name == "BMP" and profile:
        image.info["icc_profile"] = profile
    check_size(name, image)
    apply_pillow_fixes(image)
    if name in {"AVIF", HEIF} or (name == "PNG" and b"cICP" in data[: data.find(b"IDAT")]):
        cicp.put_beside(image, data)
    return image


def check_size(name: str, image: Image.Image) -> None:
    """Raise ImageError, ``refused``, if `image` has more pixels than a file of its format may."""
    parts = getattr(image, "tile", [])
    limit = limits.PIXELS[name]
    if "progressive" in image.info:
        limit = limits.PROGRESSIVE_JPEG_PIXELS
    elif image.format == tiles.TILED:
        limit = limits.TILED_PIXELS
    elif parts and parts[0].codec_name == "bmp_rle":
        limit = limits.RUN_LENGTH_BMP_PIXELS
    _check_pixels(name, *image.size, limit)
    if "progressive" in image.info and getattr(image, "layer", None):
        taken = coefficient_bytes(image)
        if taken > limits.JPEG_COEFFICIENT_BYTES:
            raise ImageError(
                Outcome.REFUSED,
                f"{name}, progressive: {taken // 2**20} MiB of coefficients, "
                f"the limit is {limits.JPEG_COEFFICIENT_BYTES // 2**20}",
            )


def apply_pillow_fixes(image: Any) -> None:
    """Prepare an `image` that is open and not loaded; one that is loaded is left alone.

    Raises ImageError, ``unsupported``, for a TIFF that Pillow misreads.
    """
    if not getattr(image, "tile", None):
        return
    if image.format == "PNG":
        _scale_transparency(image)
    elif isinstance(image, TiffImageFile):
        what = tiff_samples.misread(image)
        if what:
            raise ImageError(Outcome.UNSUPPORTED, f"TIFF: {what} are not read by Pillow")


def _scale_transparency(image: Any) -> None:
    """Bring the one transparent value of a PNG to the eight bits that the pixels will have."""
    layout, value = image.tile[0].args, image.info.get("transparency")
    if layout in WIDENED and isinstance(value, int):
        image.info["transparency"] = value * WIDENED[layout]
    elif layout == "RGB;16B" and isinstance(value, tuple):
        # Pixels keep their high byte only, so that one value can be told from its neighbours only
        # where it was widened from eight bits, by repeating or by zeros. Any other is that of next
        # to no pixel, and would blank all that share its high byte.
        high, low = zip(*(divmod(sample, 256) for sample in value), strict=True)
        if low in {high, (0, 0, 0)}:
            image.info["transparency"] = high
        else:
            del image.info["transparency"]


def frame_order(image: Image.Image) -> list[int]:
    """Return the numbers of an open image's frames, first the primary picture of a HEIF."""
    numbers = range(getattr(image, "n_frames", 1))
    file: Any = getattr(image, "_heif_file", None)  # gone once a lone picture is loaded
    primary = getattr(file, "primary_index", 0)
    return sorted(numbers, key=lambda number: number != primary)


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
    return bool(named & HEIF_BRANDS) and not named & AVIF_BRANDS


def _accepts(name: str, head: bytes) -> bool:
    if name == HEIF:
        return is_heif(head)
    if name == JXL:
        return head.startswith((jxl.CODESTREAM, jxl.CONTAINER))
    accept = Image.OPEN[name][1] if name in Image.OPEN else None
    if accept is None or accept(head[:16]) is not True:
        return False
    if name == "AVIF":  # HEIF has the same boxes, and often the same first brand
        return bool(brands(head) & AVIF_BRANDS)
    if name == "BMP":  # "BM" alone begins many a text; the size of the header follows
        return head[14:18] in BMP_HEADERS
    return True


def _opener(name: str) -> Any:
    """Return what opens a file of the format called `name`."""
    if name == HEIF:
        from pillow_heif import HeifImageFile

        return HeifImageFile
    if name == JXL:
        return jxl.JxlImageFile
    # Pillow's own choice looks for further pictures in a JPEG, and may fail over their index.
    return JpegImageFile if name == "JPEG" else Image.OPEN[name][0]


def _check_pixels(name: str, width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise ImageError(
            Outcome.REFUSED,
            f"{name} of {width} x {height} = {width * height / limits.MEGAPIXEL:.0f} megapixels, "
            f"the limit is {limit // limits.MEGAPIXEL}",
        )
