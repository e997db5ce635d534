"""Kernels against the oracle, the goldens and, where it is installed, the reference itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import naive
import processes
from conftest import ROOT, golden
from hashmatch._kernels import pdq as kernels
from hashmatch._kernels import pdq_numpy, pdq_reduce
from hashmatch._kernels.jit import kernel
from hashmatch._kernels.linear import columns, head_length, within, words_of
from hashmatch._kernels.simd import GROUP, popcount
from pdq_arrays import described, random_arrays, structured_arrays

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
KERNELS = Path(kernels.__file__).parent
SMALL = 70 * 70
"""Pixels that the kernels manage in Python in a reasonable time."""


def hashed(pixels: NDArray[np.uint8]) -> tuple[str, int]:
    out = np.empty((1, 4), np.uint64)
    quality = kernels.pdq(pixels, pdq_numpy.DCT, out)
    return "".join(f"{int(word):016x}" for word in out[0]), quality


def hexadecimal(bits: NDArray[np.uint8]) -> str:
    """Return the bits that pdqhash answers with as its text form."""
    return f"{int(''.join(map(str, bits)), 2):064x}"


@pytest.mark.parametrize(
    "row", golden("pdq_arrays"), ids=lambda row: f"{row['kind']}{row['shape']}"
)
def test_pdq_equals_the_reference_on_golden_arrays(row: dict[str, Any]) -> None:
    h, w, _ = row["shape"]
    if not JIT and h * w > SMALL:
        pytest.skip("too large to run uncompiled")
    assert hashed(described(row)) == (row["pdq"], row["pdq_quality"])


def all_orientations(pixels: NDArray[np.uint8]) -> tuple[list[str], int]:
    out = np.empty((8, 4), np.uint64)
    quality = kernels.pdq(pixels, pdq_numpy.DCT, out)
    return ["".join(f"{int(word):016x}" for word in row) for row in out], quality


def test_pdq_equals_the_oracle() -> None:
    arrays = random_arrays(200 if JIT else 4, 300 if JIT else 70, seed=11)
    arrays += structured_arrays(100 if JIT else 4, 200 if JIT else 40, seed=13)
    for pixels in arrays:
        assert hashed(pixels) == naive.pdq(pixels), pixels.shape


def assert_equal_to_pdqhash(arrays: Iterable[NDArray[np.uint8]]) -> None:
    pdqhash = pytest.importorskip("pdqhash", reason="the extra bench is not installed")
    for pixels in arrays:
        bits, quality = pdqhash.compute(pixels)
        assert hashed(pixels) == (hexadecimal(bits), quality), pixels.shape
        eight, same = pdqhash.compute_dihedral(pixels)
        assert all_orientations(pixels) == ([hexadecimal(one) for one in eight], same), pixels.shape


@pytest.mark.peers
def test_pdq_equals_pdqhash() -> None:
    assert_equal_to_pdqhash(random_arrays(2000 if JIT else 4, 260 if JIT else 70, seed=12))


@pytest.mark.slow
@pytest.mark.peers
@pytest.mark.parametrize("part", range(20))
@pytest.mark.skipif(not JIT, reason="too many to run uncompiled")
def test_pdq_equals_pdqhash_on_a_hundred_thousand_arrays(part: int) -> None:
    for seed in range(1000 + 50 * part, 1050 + 50 * part):  # a few at a time: they are in memory
        assert_equal_to_pdqhash(random_arrays(50, 260, seed=100 * seed))
        assert_equal_to_pdqhash(structured_arrays(50, 260, seed=100 * seed + 50))


@pytest.mark.skipif(not JIT, reason="too large to run uncompiled")
@pytest.mark.parametrize("shape", [(5, 4096), (7, 4097), (6, 9001), (9001, 6), (16, 4113), (33, 2)])
def test_pdq_equals_the_oracle_where_the_window_is_wider_than_a_vector(
    shape: tuple[int, int],
) -> None:
    pixels = np.random.default_rng(sum(shape)).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert hashed(pixels) == naive.pdq(pixels)


def test_luma_is_the_reference_s_for_every_colour() -> None:
    reds = range(256) if JIT else (255,)
    green_and_blue = np.stack(np.divmod(np.arange(2**16 if JIT else 300), 256), axis=-1)
    colours = np.empty((1, len(green_and_blue), 3), np.uint8)
    colours[0, :, 1:] = green_and_blue
    ours = np.empty((1, colours.shape[1]), np.float32)
    for red in reds:
        colours[..., 0] = red
        pdq_reduce.luma(colours, 0, 1, ours)
        channels = colours[0].astype(np.float64).T
        expected = channels[0] * 0.299 + channels[1] * 0.587 + channels[2] * 0.114
        np.testing.assert_array_equal(ours[0], expected.astype(np.float32))


@pytest.mark.parametrize("word", [0, 1, 2**63, 2**64 - 1, 0x0F0F0F0F0F0F0F0F])
def test_popcount_and_its_twin(word: int) -> None:
    @kernel
    def compiled(value: Any) -> Any:
        return popcount(value)

    assert popcount(np.uint64(word)) == compiled(np.uint64(word)) == word.bit_count()


@pytest.mark.skipif(not JIT, reason="types are checked when a kernel is compiled")
def test_popcount_refuses_other_widths() -> None:
    from numba.core.errors import TypingError

    @kernel
    def compiled(value: Any) -> Any:
        return popcount(value)

    with pytest.raises(TypingError):
        compiled(np.int32(3))


@pytest.mark.parametrize("bits", [32, 64])
def test_linear_counts_on_past_the_end_of_its_output(bits: int) -> None:
    zeros = np.zeros((3, 1), np.uint64)
    entries, queries = columns(zeros, bits, GROUP), columns(zeros, bits)
    small = [np.full(2, -1, np.int64) for _ in range(3)]
    assert within(entries, tuple(entries), 3, queries, tuple(queries), 0, *small) == 9
    assert [array.tolist() for array in small] == [[0, 0], [0, 1], [0, 0]]


@pytest.mark.parametrize("bits", [32, 64])
def test_columns_hold_so_many_bits_of_each_hash(bits: int) -> None:
    words = np.array([[0x0123456789ABCDEF, 1], [2**63, 2**64 - 1]], np.uint64)
    laid = columns(words, bits, 4)
    if bits == 64:
        assert laid[:, :2].tolist() == words.T.tolist()
    else:
        first, last = [0x01234567, 2**31], [0x89ABCDEF, 0]
        assert laid[:, :2].tolist() == [first, last, [0, 2**32 - 1], [1, 2**32 - 1]]
    assert laid.shape == (128 // bits, 4)
    assert not laid[:, 2:].any()
    assert words_of(laid, slice(2)).tolist() == words.tolist()
    assert words_of(laid, np.array([1])).tolist() == words[1:].tolist()
    assert columns(words[:0], bits, 4).shape == (128 // bits, 0)
    for size in (1, 100, 5000):  # every column begins where a cache line does
        laid = columns(np.ones((size, 4), np.uint64), bits, GROUP)
        assert {row.ctypes.data % 64 for row in laid} == {0}


@pytest.mark.parametrize(
    ("count", "bits", "limit", "length"),
    [
        (4, 64, 0, 1), (4, 64, 31, 2), (4, 64, 60, 3), (4, 64, 256, 4), (1, 64, 8, 1),
        (3, 64, 80, 3), (8, 32, 0, 1), (8, 32, 31, 3), (8, 32, 40, 4), (8, 32, 60, 8),
        (2, 32, 8, 2), (6, 32, 60, 6),
    ],
)  # fmt: skip
def test_a_head_is_as_long_as_it_has_to_be(count: int, bits: int, limit: int, length: int) -> None:
    assert head_length(count, bits, limit) == length


@pytest.mark.skipif(not JIT, reason="is itself what this test starts")
def test_suite_passes_without_the_jit() -> None:
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    kernels = ("kernels", "simd", "strips", "resample", "framings")
    files = [f"tests/_kernels/test_{name}.py" for name in kernels]
    files += [f"tests/index/test_{name}.py" for name in ("multi_index", "index", "nearest")]
    command = [sys.executable, "-m", "pytest", "-q", *files]
    run = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-3000:]
    assert " passed" in run.stdout
    assert " failed" not in run.stdout


@pytest.mark.skipif(not JIT, reason="there is no cache without the JIT")
def test_a_cached_kernel_is_compiled_anew_when_one_that_it_calls_has_changed(
    tmp_path: Path,
) -> None:
    package = tmp_path / "copied"
    package.mkdir()
    (package / "jit.py").write_bytes((KERNELS / "jit.py").read_bytes())
    (package / "outer.py").write_text(
        "from copied.jit import kernel\nfrom copied.inner import inner\n"
        "@kernel\ndef outer(): return inner()\n"
    )
    answers = []
    for answer in (7, 88, 88):  # of another length: what Python keeps goes by size and second
        (package / "inner.py").write_text(
            f"from copied.jit import kernel\n@kernel\ndef inner(): return {answer}\n"
        )
        code = "from copied.outer import outer; print(outer(), *outer.stats.cache_hits.values())"
        run = processes.run([sys.executable, "-c", code], cwd=tmp_path, text=True)
        answers.append(run.stdout.split())
    assert answers == [["7"], ["88"], ["88", "1"]]
