"""What settles a hasher's recommended limit: how far the same picture moves, how near others come.

"Platform" is what every platform does without being asked: encode again, make smaller, brighten
a little. "Others" are different photographs, each transformed so too.
"""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from benchmarks.recall import distances, hash_originals
from hashmatch import registry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks.photographs import Photograph
    from benchmarks.transformations import Transformation

PLATFORM = (
    "as it is", "JPEG q50", "JPEG q30", "WebP q30", "resize 320", "resize 160", "resize 96",
    "brightness 1.2", "contrast 1.3", "grayscale",
)  # fmt: skip
EDITED = ("text overlay", "crop 2 % centred", "crop 2 % anywhere", "crop 5 % centred")


def distance_table(
    pictures: Sequence[Photograph],
    entries: Sequence[Photograph],
    algorithms: Sequence[str],
    table: Mapping[str, Transformation],
    side: int,
) -> Table:
    """Return, for limits about each hasher's own, what is found and what is mistaken."""
    shown = Table(
        "hasher", "limit", "platform found", "edited found", "others: photographs", "tiles",
        "by chance", "closest others", title="distances that settle max_distance",
    )  # fmt: skip
    photographs = [picture for picture in pictures if picture.kind == "photograph"]
    others = [*photographs, *(entry for entry in entries if entry.kind == "tile")]
    paths = np.array([str(entry.path) for entry in others])
    tile = np.array([entry.kind == "tile" for entry in others])
    for algorithm in algorithms:
        hasher = registry.hasher(algorithm)
        known = hash_originals(others, hasher)
        own: dict[str, list[int]] = {"platform": [], "edited": []}
        near: dict[bool, list[NDArray[np.int64]]] = {False: [], True: []}
        for number, picture in enumerate(photographs):
            image = picture.image(side)
            for name in (*PLATFORM, *EDITED):
                pixels = np.ascontiguousarray(np.asarray(table[name](image)))
                apart = distances(hasher.hash(pixels)[0].words, known)[0]
                own["platform" if name in PLATFORM else "edited"].append(int(apart[number]))
                if name in PLATFORM:
                    for kind, far in near.items():
                        far.append(apart[(paths != str(picture.path)) & (tile == kind)])
        pooled = {kind: np.concatenate(found) for kind, found in near.items()}
        bits = hasher.spec.bits
        step = max(1, bits // 64)
        for limit in range(
            max(0, hasher.max_distance - 4 * step), hasher.max_distance + 6 * step, step
        ):
            chance = sum(comb(bits, d) for d in range(limit + 1)) / 2**bits
            shown.add_row(
                algorithm,
                f"{limit}{' *' if limit == hasher.max_distance else ''}",
                f"{np.mean(np.array(own['platform']) <= limit):.4f}",
                f"{np.mean(np.array(own['edited']) <= limit):.4f}",
                _rate(pooled[False], limit),
                _rate(pooled[True], limit),
                f"{chance:.1e}",
                " ".join(map(str, np.sort(pooled[False])[:1])) if len(pooled[False]) else "",
            )
        shown.add_section()
    return shown


def _rate(apart: NDArray[np.int64], limit: int) -> str:
    count = int((apart <= limit).sum())
    return f"{count} of {len(apart):,}"
