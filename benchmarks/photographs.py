"""Find real photographs: those that scikit-image and scikit-learn ship, and those of folders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hashmatch.decode.policy import decode_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

SHIPPED = {
    "skimage/data": (
        "astronaut.png brick.png camera.png chelsea.png coffee.png coins.png grass.png gravel.png "
        "hubble_deep_field.jpg ihc.png moon.png motorcycle_left.png retina.jpg rocket.jpg"
    ),
    "sklearn/datasets/images": "china.jpg flower.jpg",
}
"""Photographs among what the two packages ship; drawings, text and masks are not here."""
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff"}
ARTWORKS = "artworks"
"""What lies in a folder of this name is drawn, and is reported apart."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """A picture by file; `kind` is ``photograph``, ``artwork`` or ``tile``."""

    name: str
    path: Path
    kind: str
    box: tuple[int, int, int, int] | None = None

    def pixels(self) -> NDArray[np.uint8]:
        """Return its pixels at full resolution, as the library decodes them, (h, w, 3)."""
        whole = _decoded(self.path)
        if self.box is None:
            return whole
        left, top, right, bottom = self.box
        return np.ascontiguousarray(whole[top:bottom, left:right])

    def image(self, side: int) -> Image.Image:
        """Return it with its longer side at most `side`: what is then transformed."""
        image = Image.fromarray(self.pixels())
        image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=None)
        return image


@lru_cache(2)  # a picture's uses follow each other; a folder of them need not fit
def _decoded(path: Path) -> NDArray[np.uint8]:
    pixels = decode_image(path).pixels
    pixels.flags.writeable = False
    return pixels


def shipped() -> list[Photograph]:
    """Return the photographs of the installed packages."""
    found = []
    for folder, names in SHIPPED.items():
        package, _, below = folder.partition("/")
        spec = find_spec(package)  # found, not imported: the packages themselves are slow
        if spec is None or not spec.submodule_search_locations:
            continue
        root = Path(spec.submodule_search_locations[0]) / below
        found += [Photograph(name, root / name, "photograph") for name in names.split()]
    return found


def in_folders(folders: Sequence[Path]) -> list[Photograph]:
    """Return the pictures in and below `folders`, sorted; see `ARTWORKS`."""
    paths = [path for folder in folders for path in sorted(folder.rglob("*"))]
    return [
        Photograph(path.name, path, "artwork" if ARTWORKS in path.parts else "photograph")
        for path in paths
        if path.suffix.lower() in SUFFIXES and path.is_file()
    ]


def tiles(photograph: Photograph, side: int, most: int) -> Iterator[Photograph]:
    """Yield up to `most` squares of a large photograph that do not overlap.

    They stand in for other photographs where there are too few, and are reported apart: the
    tiles of one meadow are more alike than photographs are.
    """
    height, width = photograph.pixels().shape[:2]
    if min(width, height) < 3 * side:
        return  # one tile would be much of the picture, and rightly match its crops
    corners = [
        (left, top)
        for top in range(0, height - side + 1, side)
        for left in range(0, width - side + 1, side)
    ]
    for left, top in corners[:: -(-len(corners) // most)]:
        name = f"{photograph.name}, tile at {left}, {top}"
        box = (left, top, left + side, top + side)
        yield Photograph(name, photograph.path, "tile", box)
