"""Pictures that are drawn, their hashes, and how other tools write them."""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hashmatch import registry
from hashmatch.lists.bit_order import reordered

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 60


def drawn(seed: int) -> np.ndarray:
    """Draw clouds of soft noise: a different picture each seed, with detail everywhere."""
    rng = np.random.default_rng(seed)
    clouds = np.zeros((128, 128, 3))
    for side in (3, 5, 9, 17, 33):
        layer = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        clouds += np.asarray(Image.fromarray(layer).resize((128, 128), 3), float) / side**0.7
    scaled: np.ndarray = 255 * (clouds - clouds.min()) / np.ptp(clouds)
    return scaled.astype(np.uint8)


@cache
def own(algorithm: str, count: int = COUNT) -> tuple[str, ...]:
    hasher = registry.hasher(algorithm)
    return tuple(hasher.hash(drawn(seed))[0].to_hex()[0] for seed in range(count))


def foreign(algorithm: str, *orders: str) -> list[str]:
    """Our hashes as a tool writes them whose bits are in other orders."""
    bits = registry.spec(algorithm).bits
    return [reordered(bytes.fromhex(text), bits, orders).hex() for text in own(algorithm)]


def binary(text: str) -> str:
    return f"{int(text, 16):0{4 * len(text)}b}"


def signed(text: str) -> str:
    number = int(text, 16)
    return str(number - (1 << 4 * len(text)) * (number >> 4 * len(text) - 1))


WRITE: dict[str, Callable[[str], str]] = {
    "hex-unpadded": lambda text: f"{int(text, 16):x}",
    "decimal": lambda text: str(int(text, 16)),
    "signed": signed,
    "binary": binary,
    "base64": lambda text: base64.b64encode(bytes.fromhex(text)).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(bytes.fromhex(text)).decode().rstrip("="),
}
