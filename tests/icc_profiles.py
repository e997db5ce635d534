"""ICC profiles written by hand (ICC.1:2001-04), small and without a name."""

from __future__ import annotations

import struct
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

#: Red, green and blue of Display P3 in CIE XYZ, brought to D50.
P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
D50 = (0.9642, 1.0, 0.8249)
#: CIE XYZ of D50 to linear sRGB, brought to D65 by Bradford's method (B. Lindbloom).
TO_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)


def rgb_profile(primaries: Sequence[Sequence[float]] = P3, gamma: float = 2.2) -> bytes:
    """Return the profile of a display."""
    colours = {
        kind: _xyz(point)
        for kind, point in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True)
    }
    curves = {kind: _curve(gamma) for kind in (b"rTRC", b"gTRC", b"bTRC")}
    return _profile(b"mntr", b"RGB ", b"XYZ ", {b"wtpt": _xyz(D50), **colours, **curves})


def grey_profile(gamma: float) -> bytes:
    """Return the profile of a grey scale."""
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(D50), b"kTRC": _curve(gamma)})


def ink_profile(lab: Callable[[tuple[int, ...]], tuple[float, float, float]]) -> bytes:
    """Return the profile of a press, given the CIELAB of each of the 16 mixtures of full inks."""
    table = bytes(
        round(value)
        for inks in product((0, 1), repeat=4)
        for value in (lab(inks)[0] * 2.55, lab(inks)[1] + 128, lab(inks)[2] + 128)
    )
    identity = struct.pack(">9i", *(65536 if n % 4 == 0 else 0 for n in range(9)))
    straight = bytes(range(256))
    a2b0 = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + straight * 4 + table + straight * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz(D50), b"A2B0": a2b0})


def shown(xyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sRGB values, 0 to 255, of CIE XYZ (..., 3) relative to D50."""
    light = np.clip(xyz @ TO_SRGB.T, 0, 1)
    values: NDArray[np.float64] = 255 * np.where(
        light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055
    )
    return values


def lab_to_xyz(lab: Sequence[float]) -> NDArray[np.float64]:
    """Return the CIE XYZ of CIELAB."""
    middle = (lab[0] + 16) / 116
    steps = np.array([middle + lab[1] / 500, middle, middle - lab[2] / 200])
    xyz: NDArray[np.float64] = np.where(
        steps > 6 / 29, steps**3, 3 * (6 / 29) ** 2 * (steps - 4 / 29)
    ) * np.array(D50)
    return xyz


def _xyz(point: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in point))


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    offset = 128 + 4 + 12 * len(tags)
    table, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += struct.pack(">4sII", name, offset + len(bodies), len(body))
        bodies += body
    header = (
        struct.pack(">II", offset + len(bodies), 0)
        + b"\2\x40\0\0" + kind + space + connection
        + struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
        + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    )  # fmt: skip
    return header.ljust(128, b"\0") + table + bodies
