"""Each profile of PDQ beside every implementation of its authors, and why they differ.

`fixtures/pdq_references.py` recorded what the implementations say of drawn pictures. Here is how
many bits each profile is from that, and of each difference the reason: the pixels that it sees.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from conftest import IMAGES
from hashmatch import registry
from hashmatch.hashing.hash_image import hash_all, hash_image

if TYPE_CHECKING:
    from numpy.typing import NDArray

RECORDED = json.loads((IMAGES.parent / "pdq_references.json").read_text())
HASHES: dict[str, dict[str, str | None]] = RECORDED["hashes"]
PROFILE = {
    "C++": "pdq-nearest512",
    "Java": "pdq",
    "Python": "pdq-thumb512",
    "pdqhash": "pdq",
    "python-threatexchange": "pdq",
}
"""Which profile each implementation makes. By it everything is equal that is not in `EXPLAINED`."""
LARGE = {
    ("pdq", "pdq-nearest512"): {"large.png": 14, "plain/text-columns.jpg": 14},
    ("pdq", "pdq-thumb512"): {"large.png": 12, "plain/text-columns.jpg": 12},
    ("pdq-nearest512", "pdq-thumb512"): {"large.png": 14, "plain/text-columns.jpg": 14},
}
"""Bits between two profiles of the pictures with a side above 512; of all others they are equal."""


class Why(NamedTuple):
    """Why an implementation differs: how many bits upright, and how its hash is asked for."""

    bits: int
    seen: str | None
    """The question that has its very hash; None if none has."""
    reason: str


STORED = "no implementation turns a picture as its EXIF says"
OPAQUE = "the colours that transparent pixels have are hashed, and not laid over white"
INDICES = "the numbers of a palette are hashed as gray"
LINEAR = "Java takes the gray of its standard colour space, and inks, for linear light"
CLIPPED = "Pillow cuts 16 bits off at 255"
REFUSED = Why(0, None, "it refuses the file, or its own decoder does")

EXPLAINED: dict[str, dict[str, Why]] = {
    "C++": {
        "modes/exif-6.jpg": Why(126, "rotate_90", STORED),
        "modes/cmyk.jpg": REFUSED,
        "modes/alpha.png": REFUSED,
        "modes/palette.gif": REFUSED,
    },
    "Java": {
        "modes/exif-6.jpg": Why(126, "rotate_90", STORED),
        "modes/cmyk.jpg": Why(18, None, LINEAR),
        "modes/gray.jpg": Why(14, None, LINEAR),
        "modes/gray16.png": Why(14, None, LINEAR),
        "modes/alpha.png": Why(74, "as_threatexchange", OPAQUE),
    },
    "Python": {
        "modes/exif-6.jpg": Why(126, "rotate_90", STORED),
        "modes/alpha.png": Why(74, "as_threatexchange", OPAQUE),
        "modes/gray16.png": Why(104, None, CLIPPED),  # summed in float64: 4 bits from that question
    },
    "pdqhash": {
        "modes/exif-6.jpg": Why(126, "rotate_90", STORED),
        "modes/alpha.png": Why(74, "as_threatexchange", OPAQUE),
        "modes/gray16.png": Why(106, "as_threatexchange", CLIPPED),
    },
    "python-threatexchange": {
        "modes/exif-6.jpg": Why(126, "rotate_90", STORED),
        "modes/alpha.png": Why(74, "as_threatexchange", OPAQUE),
        "modes/cmyk.jpg": Why(256, "as_threatexchange", "inks are hashed as if they were light"),
        "modes/palette.png": Why(238, "as_threatexchange", INDICES),
        "modes/palette.gif": Why(240, "as_threatexchange", INDICES),
        "modes/gray16.png": REFUSED,
    },
}
CASES = [(name, picture) for name in HASHES for picture in HASHES[name]]


def image(picture: str) -> Any:
    """Return a picture by its name in the record."""
    if picture != "large.png":
        return IMAGES / picture
    height, width, channels = RECORDED["large"]["shape"]
    coarse = np.random.default_rng(RECORDED["large"]["seed"]).integers(
        0, 256, (-(-height // 16), -(-width // 16), channels), dtype=np.uint8
    )
    whole = coarse.repeat(16, axis=0).repeat(16, axis=1)[:height, :width]
    return np.ascontiguousarray(whole)


def questions(picture: str, profile: str) -> dict[str, str]:
    """Return every hash that `standard` asks for of a picture, by its name."""
    hashed = hash_all(image(picture), [profile], variants="standard", min_quality=0)
    return {
        name: text
        for one in hashed
        for name, text in zip(one.variants, one.hashes.to_hex(), strict=True)
    }


def distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def between(one: str, other: str, picture: str) -> int:
    """Return how far two profiles are apart on a picture."""
    pair = min(one, other), max(one, other)
    return 0 if one == other else LARGE[pair].get(picture, 0)


def test_the_record_has_every_implementation() -> None:
    assert set(HASHES) == set(PROFILE) == set(EXPLAINED)
    assert {len(hashes) for hashes in HASHES.values()} == {11}


@pytest.mark.parametrize(("name", "picture"), CASES)
def test_each_difference_is_explained(name: str, picture: str) -> None:
    recorded, why = HASHES[name][picture], EXPLAINED[name].get(picture)
    if recorded is None:
        assert why is REFUSED
        return
    asked = questions(picture, PROFILE[name])
    if why is None:
        assert asked["upright"] == recorded
    else:
        assert distance(asked["upright"], recorded) == why.bits
        assert (recorded in asked.values()) == (why.seen is not None)
        if why.seen is not None:
            assert asked[why.seen] == recorded


@pytest.mark.parametrize("profile", ["pdq", "pdq-nearest512", "pdq-thumb512"])
@pytest.mark.parametrize(("name", "picture"), CASES)
def test_the_table_of_each_profile(profile: str, name: str, picture: str) -> None:
    recorded = HASHES[name][picture]
    if recorded is not None and picture not in EXPLAINED[name]:
        upright = hash_image(image(picture), profile).hex
        assert distance(upright, recorded) == between(profile, PROFILE[name], picture)


def _linear(light: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return linear light, 0 to 1, as sRGB."""
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    pixels: NDArray[np.uint8] = np.rint(encoded * 255).astype(np.uint8)
    return pixels


def test_java_takes_gray_and_inks_for_linear_light() -> None:
    gray = np.asarray(Image.open(IMAGES / "modes/gray.jpg"), np.float64) / 255
    deep = np.asarray(Image.open(IMAGES / "modes/gray16.png"), np.float64) / 65535
    inks = np.asarray(Image.open(IMAGES / "modes/cmyk.jpg"), np.float64)
    light = {
        "modes/gray.jpg": np.repeat(gray[..., None], 3, axis=2),
        "modes/gray16.png": np.repeat(deep[..., None], 3, axis=2),
        "modes/cmyk.jpg": (255 - inks[..., :3]) * (255 - inks[..., 3:]) / 255**2,
    }
    for picture, pixels in light.items():
        assert hash_image(_linear(pixels)).hex == HASHES["Java"][picture], picture


def test_the_python_of_the_reference_cuts_16_bits_off() -> None:
    asked = questions("modes/gray16.png", "pdq-thumb512")
    recorded = HASHES["Python"]["modes/gray16.png"]
    assert recorded is not None
    assert distance(asked["as_threatexchange"], recorded) == 4
    limit = registry.hasher("pdq-thumb512").max_distance
    assert distance(asked["as_threatexchange"], recorded) <= limit
