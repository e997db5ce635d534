"""A faster decoder for the JPEGs for which it gives Pillow's very pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import simplejpeg

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import ImageFile


def fast_pixels(
    data: bytes, image: ImageFile.ImageFile, into: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8] | None:
    """Return the RGB pixels of a sound JPEG of colour or gray; None where Pillow has to decode.

    Both are libjpeg-turbo with its slow DCT and fancy upsampling, so the pixels are the same, which
    `tests/test_decode.py` pins; this one skips Pillow's copies. CMYK is left to Pillow, and so is
    every file that gives as much as a warning: what damage means is decided in one place.

    Parameters
    ----------
    data : bytes
        The file.
    image : ImageFile
        The same file, its header read by Pillow.
    into : ndarray of uint8, shape (bytes,), optional
        Memory for the pixels to be made in.
    """
    if image.format not in {"JPEG", "MPO"} or image.mode not in {"RGB", "L"}:
        return None
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGB", fastdct=False, fastupsample=False, buffer=into, strict=True
        )
    except ValueError:
        return None
    return pixels if pixels.shape[:2] == (image.height, image.width) else None
