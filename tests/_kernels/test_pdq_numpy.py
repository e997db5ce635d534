"""PDQ by NumPy alone: bit for bit that of the kernel, and when it is used."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from conftest import golden
from hashmatch._kernels import pdq as kernels
from hashmatch._kernels import pdq_numpy
from hashmatch.testing import picture
from pdq_arrays import described, random_arrays, structured_arrays

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
SMALL = 70 * 70
"""Pixels that the kernels manage in Python in a reasonable time."""

WHO_HASHES = """
import sys
import numpy as np
from hashmatch.hashers import _pdq
from hashmatch.hashers.pdq import Pdq
if sys.argv[1] == "few":
    _pdq.first_by_numpy()
for side in map(int, sys.argv[2:]):
    _pdq.hash_pixels(Pdq.spec, np.zeros((side, side, 3), np.uint8), 1)
    print(int("numba" in sys.modules))
"""


@pytest.mark.parametrize(
    "row", golden("pdq_arrays"), ids=lambda row: f"{row['kind']}{row['shape']}"
)
def test_equals_the_reference_on_golden_arrays(row: dict[str, Any]) -> None:
    out = np.empty((1, 4), np.uint64)
    quality = pdq_numpy.pdq(described(row), out)
    assert "".join(f"{int(word):016x}" for word in out[0]) == row["pdq"]
    assert quality == row["pdq_quality"]


@pytest.mark.parametrize("orientations", [1, 8])
def test_equals_the_kernel(orientations: int) -> None:
    arrays = random_arrays(48, 300 if JIT else 70, seed=21)
    arrays += structured_arrays(48, 200 if JIT else 40, seed=23)
    arrays += [picture(seed, 150 + 31 * seed, 130) for seed in range(6 if JIT else 0)]
    for pixels in arrays:
        if not JIT and pixels.size > 3 * SMALL:
            continue
        by_numpy, by_kernel = np.empty((2, orientations, 4), np.uint64)
        quality = pdq_numpy.pdq(pixels, by_numpy)
        assert quality == kernels.pdq(pixels, pdq_numpy.DCT, by_kernel), pixels.shape
        assert np.array_equal(by_numpy, by_kernel), pixels.shape


def test_first_pictures_of_a_process_do_without_numba_where_that_is_asked_for() -> None:
    def imported(*sides: int, few: str = "few") -> str:
        command = [sys.executable, "-c", WHO_HASHES, few, *map(str, sides)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert imported(640, 640).split() == ["0", "0"]
    if JIT:
        assert imported(640, few="many").split() == ["1"]
        assert imported(64, 2100).split() == ["0", "1"]  # a large one
        assert imported(*[2048, 2047, 64]).split() == ["0", "0", "1"]  # and many
        assert "1" in imported(*[24] * 80).split()
