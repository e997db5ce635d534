"""A faster decoder for most JPEGs; smaller pictures of giants, in whatever format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import simplejpeg

from hashmatch.decode import limits
from hashmatch.decode.tiles import TILED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import ImageFile


def coefficient_bytes(image: Any) -> int:
    """Return the bytes that an open progressive JPEG's frequencies take: two for each sample."""
    width, height = image.size
    layers: list[tuple[int, int, int, int]] = image.layer
    samples = sum(across * down for _, across, down, _ in layers)
    most = max(across for _, across, _, _ in layers) * max(down for _, _, down, _ in layers)
    bytes_taken: int = 2 * width * height * samples // most
    return bytes_taken


def scale_down(image: ImageFile.ImageFile) -> None:
    """Have a giant decoded at an eighth, a quarter or half its sides, each pixel a mean.

    That is a JPEG of more than 64 megapixels, done where its frequencies become pixels (a
    progressive one saves memory by it and hardly time), or a giant in tiles. Its header has been
    read, and no pixel decoded.
    """
    width, height = image.size
    is_large = image.format in {"JPEG", "MPO"} and width * height > limits.WHOLE_JPEG_PIXELS
    if not is_large and image.format != TILED:
        return
    side = min(width, height)
    factor = next((by for by in (8, 4) if side // by >= limits.SCALED_JPEG_SIDE), 2)
    image.draft(None, (width // factor, height // factor))


def fast_pixels(
    data: bytes, image: ImageFile.ImageFile, into: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8] | None:
    """Return the RGB pixels of a sound JPEG of colour or gray; None where Pillow has to decode.

    Both are libjpeg-turbo with its slow DCT and fancy upsampling, so the pixels are the same, which
    `tests/decode/test_decode.py` pins; this one skips Pillow's copies. CMYK is left to Pillow, and
    so is every file that gives as much as a warning: what damage means is decided in one place.
    `image` is the same file, its header read by Pillow; the pixels are made in `into`, shape
    (bytes,).
    """
    if image.format not in {"JPEG", "MPO"} or image.mode not in {"RGB", "L"}:
        return None
    if image.decoderconfig:  # it is to be scaled down
        return None
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGB", fastdct=False, fastupsample=False, buffer=into, strict=True
        )
    except ValueError:
        return None
    return pixels if pixels.shape[:2] == (image.height, image.width) else None
