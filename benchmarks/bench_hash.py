"""Hashing one picture: from decoded pixels, and from the bytes of a JPEG."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.hash_engines import (
    HashEngine,
    OrientationsEngine,
    array_engines,
    file_engines,
    four_engines,
    orientations_of_arrays,
    orientations_of_files,
    same_hash,
    same_orientations,
)
from benchmarks.workloads import SIZES, jpeg, photo

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

ALGORITHMS = ("pdq", "phash", "dhash", "ahash", "whash")
ON_ARRAYS = [(name, engine) for name in ALGORITHMS for engine in array_engines(name)]
ON_FILES = [(name, engine) for name in ("pdq", "phash") for engine in file_engines(name)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("algorithm", "engine"), ON_ARRAYS, indirect=["engine"], ids=str)
def test_array(benchmark: BenchmarkFixture, algorithm: str, engine: HashEngine, size: str) -> None:
    ours, peer = array_engines(algorithm)
    benchmark.group = f"{algorithm} of {size} pixels: {ours} and {peer}"
    pixels = photo(size)
    expected = ours.answer(ours.run(pixels))
    raw = benchmark(engine.run, pixels)
    assert same_hash(expected, engine.answer(raw), engine.furthest)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("algorithm", "engine"), ON_FILES, indirect=["engine"], ids=str)
def test_jpeg(benchmark: BenchmarkFixture, algorithm: str, engine: HashEngine, size: str) -> None:
    ours, *peers = file_engines(algorithm)
    names = ", ".join(map(str, peers))
    benchmark.group = f"{algorithm} of a {size} JPEG's bytes: {ours}; {names}"
    data = jpeg(1, size)
    expected = ours.answer(ours.run(data))
    raw = benchmark(engine.run, data)
    assert same_hash(expected, engine.answer(raw), engine.furthest)


@pytest.mark.parametrize("engine", four_engines(), indirect=True, ids=str)
def test_four_of_a_jpeg(benchmark: BenchmarkFixture, engine: HashEngine) -> None:
    ours, peer = four_engines()
    benchmark.group = f"ahash, phash, dhash and whash of a 640 x 640 JPEG's bytes: {ours}; {peer}"
    data = jpeg(1)
    expected = ours.answer(ours.run(data))
    raw = benchmark(engine.run, data)
    assert same_hash(expected, engine.answer(raw), engine.furthest)


@pytest.mark.parametrize("engine", orientations_of_arrays(), indirect=True, ids=str)
def test_orientations_of_an_array(benchmark: BenchmarkFixture, engine: OrientationsEngine) -> None:
    ours, peer = orientations_of_arrays()
    benchmark.group = f"pdq in 8 orientations, 640 pixels: {ours} and {peer}"
    expected = ours.answer(ours.run(photo("640")))
    raw = benchmark(engine.run, photo("640"))
    assert same_orientations(expected, engine.answer(raw), engine.furthest)


@pytest.mark.parametrize("engine", orientations_of_files(), indirect=True, ids=str)
def test_orientations_of_a_jpeg(benchmark: BenchmarkFixture, engine: OrientationsEngine) -> None:
    ours, peer = orientations_of_files()
    benchmark.group = f"pdq in 8 orientations, 640 JPEG: {ours} and {peer}"
    expected = ours.answer(ours.run(jpeg(1)))
    raw = benchmark(engine.run, jpeg(1))
    assert same_orientations(expected, engine.answer(raw), engine.furthest)
