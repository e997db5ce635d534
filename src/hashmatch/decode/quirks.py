"""What Pillow reads otherwise than it is meant, put right before there are pixels."""

from __future__ import annotations

from typing import Any

from hashmatch.errors import ImageError
from hashmatch.records.enums import Outcome

BITS_PER_SAMPLE = 258
PLANAR_CONFIGURATION = 284

WIDENED = {"L;2": 85, "L;4": 17}
"""How PNG gray of so few bits becomes 8-bit: 255 over the largest value."""


def mend(image: Any) -> None:
    """Prepare an `image` that is open and not loaded; one that is loaded is left alone.

    Raises
    ------
    ImageError
        ``unsupported`` for a TIFF of 16-bit samples in separate planes: Pillow takes their bytes
        for pixels.
    """
    if not getattr(image, "tile", None):
        return
    if image.format == "PNG":
        _scale_transparency(image)
    elif image.format == "TIFF":
        tags = image.tag_v2
        if tags.get(PLANAR_CONFIGURATION) == 2 and max(tags.get(BITS_PER_SAMPLE, (1,))) > 8:
            reason = "TIFF: samples of more than 8 bits in separate planes are not read"
            raise ImageError(Outcome.UNSUPPORTED, reason)


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
