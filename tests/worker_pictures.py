"""Pictures for tests of decode workers."""

from __future__ import annotations

import io

from PIL import Image

from conftest import PHOTOGRAPHS, photograph


def pictures(count: int) -> list[bytes]:
    """Return different JPEGs of 640 x 640."""
    made = []
    for number in range(count):
        with Image.open(photograph(PHOTOGRAPHS[number % len(PHOTOGRAPHS)])) as image:
            file = io.BytesIO()
            image.convert("RGB").resize((640, 640)).rotate(number).save(file, "JPEG", quality=90)
            made.append(file.getvalue())
    return made
