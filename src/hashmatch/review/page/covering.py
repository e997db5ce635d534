"""Pixels to the JPEG that a reviewer is sent: covered here, so that no more leaves the server."""

from __future__ import annotations

import io
from enum import IntEnum
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST = 800
"""Pixels of the longer side of what is sent."""
KEPT = (16, 60)
"""Pixels of the longer side that steps 0 and 1 are made of: a blur cannot be sharpened again
beyond them, whatever a browser does with it."""
QUALITY = 85


class Step(IntEnum):
    """How far a picture is uncovered."""

    COVERED = 0
    """Gray, and so blurred that little more than light and dark is left."""
    LIGHT = 1
    """Gray and blurred: shapes, no details."""
    GRAY = 2
    """Sharp and gray."""
    COLOUR = 3
    """As it is."""


def covered(pixels: NDArray[np.uint8], step: Step) -> bytes:
    r"""Return a picture as JPEG, no more uncovered than `step` says, and with no metadata.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
        Upright RGB.
    step : Step
        How far.

    Returns
    -------
    bytes
        A JPEG of at most `LONGEST` pixels a side. Steps 0 and 1 are made of as few pixels as `KEPT`
        says, enlarged again.

    Examples
    --------
    >>> import numpy as np
    >>> picture = np.random.default_rng(1).integers(0, 256, (90, 160, 3)).astype(np.uint8)
    >>> covered(picture, Step.COVERED)[:2]
    b'\xff\xd8'
    """
    # A picture of 64 megapixels would take Pillow 256 MB; every n-th pixel is enough to look at.
    every = max(1, max(pixels.shape[:2]) // (2 * LONGEST))
    image = Image.fromarray(pixels[::every, ::every].copy())
    size = _fitted(image.size, LONGEST)
    if step is not Step.COLOUR:
        image = image.convert("L")
    if step < len(KEPT):
        image = image.resize(_fitted(size, KEPT[step]), Image.Resampling.BOX)
        image = image.resize(size, Image.Resampling.BICUBIC)
    elif image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return `size`, made smaller until its longer side is `longest`."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
