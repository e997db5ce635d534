"""What a person sees of a picture, measured: how colourful it is, and how sharp."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray


def opened(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels of an image of ours as RGB."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def saturation(pixels: NDArray[np.uint8]) -> int:
    """Return the largest difference between two channels of a pixel: 0 is gray."""
    return int(pixels.max(axis=2).astype(int).__sub__(pixels.min(axis=2)).max())


def detail(pixels: NDArray[np.uint8]) -> float:
    """Return the mean square of the Laplacian: energy at high frequencies."""
    gray = pixels.astype(float).mean(axis=2)
    inner = gray[1:-1, 1:-1]
    around = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]
    return float(((4 * inner - around) ** 2).mean())
