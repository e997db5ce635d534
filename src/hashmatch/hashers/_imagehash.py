"""What the four imagehash hashers share: their result as our words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hashmatch.records.hashes import HashBatch, HashSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def hash_with(
    function: Callable[[Image.Image], Any], spec: HashSpec, pixels: NDArray[np.uint8]
) -> tuple[HashBatch, None]:
    """Return what imagehash's `function` makes of RGB `pixels`; it measures no quality."""
    bits: NDArray[np.bool_] = function(Image.fromarray(pixels)).hash
    return HashBatch.from_bytes(spec, np.packbits(bits).tobytes()), None
