"""Broken and hostile videos from a seed: our own clips, changed so that decoders raise errors."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

from conftest import FIXTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOUND = {path.name: path.read_bytes() for path in sorted((FIXTURES / "videos").iterdir())}


def flipped(data: bytearray, rng: random.Random) -> None:
    """Flip some bits anywhere."""
    for _ in range(rng.choice([1, 3, 30, 300])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def flipped_inside(data: bytearray, rng: random.Random) -> None:
    """Flip some bits of the second half, which is mostly frames."""
    for _ in range(rng.choice([1, 10, 100])):
        data[rng.randrange(len(data) // 2, len(data))] ^= 1 << rng.randrange(8)


def cut(data: bytearray, rng: random.Random) -> None:
    """Cut off the end."""
    del data[rng.randrange(len(data)) :]


def beheaded(data: bytearray, rng: random.Random) -> None:
    """Cut something out behind the first bytes."""
    first = rng.randrange(16, len(data))
    del data[first : first + rng.choice([1, 16, 1000])]


def zeroed(data: bytearray, rng: random.Random) -> None:
    """Put zeros over a part."""
    first = rng.randrange(len(data))
    length = min(rng.choice([16, 512, 4096]), len(data) - first)
    data[first : first + length] = bytes(length)


def noisy(data: bytearray, rng: random.Random) -> None:
    """Put noise over a part."""
    first = rng.randrange(len(data))
    length = min(rng.choice([16, 512, 4096]), len(data) - first)
    data[first : first + length] = rng.randbytes(length)


def boxed(name: bytes, offset: int, form: str, *values: int) -> Callable[..., None]:
    """Return what writes one of some numbers into the first box of that name."""

    def change(data: bytearray, rng: random.Random) -> None:
        at = data.find(name)
        if at >= 0 and at + offset + struct.calcsize(form) <= len(data):
            number = len(struct.unpack_from(form, data, at + offset))
            struct.pack_into(form, data, at + offset, *rng.choices(values, k=number))

    change.__name__ = name.decode().strip() + f"+{offset}"
    return change


def lengthened(data: bytearray, rng: random.Random) -> None:
    """Say of any box that it is longer, or shorter, than it is."""
    names = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"stts", b"stsz", b"mdat"]
    at = data.find(rng.choice(names))
    if at >= 4:
        struct.pack_into(">I", data, at - 4, rng.choice([0, 1, 7, 8, 9, 2**31, 2**32 - 1]))


def repeated(data: bytearray, rng: random.Random) -> None:
    """Append the file to itself, cut off somewhere."""
    data += data[: rng.randrange(len(data))]


def alone(data: bytearray, rng: random.Random) -> None:
    """Leave the first bytes, and noise behind them."""
    data[64:] = rng.randbytes(rng.choice([0, 10, 5000]))


CHANGES: list[Callable[[bytearray, random.Random], None]] = [
    flipped, flipped_inside, cut, beheaded, zeroed, noisy, lengthened, repeated, alone,
    boxed(b"mvhd", 16, ">II", 1, 2**31 - 1, 2**32 - 1),
    boxed(b"mdhd", 16, ">I", 0, 1, 2**31 - 1, 2**32 - 1),
    boxed(b"mdhd", 20, ">I", 0, 1, 2**31 - 1, 2**32 - 1),
    boxed(b"avc1", 28, ">HH", 0, 1, 65535),
    boxed(b"avc1", 30, ">H", 0, 1, 65535),
    boxed(b"hvc1", 28, ">H", 0, 1, 65535),
    boxed(b"stts", 12, ">I", 0, 2**31 - 1, 2**32 - 1),
    boxed(b"stts", 8, ">I", 0, 2**20, 2**32 - 1),
    boxed(b"stsz", 8, ">I", 1, 2**20, 2**31 - 1),
    boxed(b"stsz", 12, ">I", 0, 2**24, 2**32 - 1),
    boxed(b"stco", 8, ">I", 0, 2**31 - 1, 2**32 - 1),
    boxed(b"elst", 12, ">I", 0, 1, 2**32 - 1),
    boxed(b"elst", 16, ">i", -(2**31), 2**31 - 1),
]  # fmt: skip


def hostile(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield so many files, each with what was done to it."""
    rng = random.Random(seed)
    for number in range(count):
        change = CHANGES[number % len(CHANGES)]
        name = rng.choice([*SOUND])
        if "+" in change.__name__ and not name.endswith("mp4"):
            name = "h264.mp4"
        data = bytearray(SOUND[name])
        change(data, rng)
        yield f"{number} {name} {change.__name__}", bytes(data)
