"""A 12-megapixel PDQ takes an eighth of the reference's memory, or less. A test, not a timing."""

from __future__ import annotations

import sys

import pytest

from benchmarks import memory


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("work", memory.WORKS)
def test_memory(work: str) -> None:
    peer = memory.WORKS[work]()[1]
    for module in peer.needs:
        pytest.importorskip(module, reason=f"{peer} needs {module}, which is not installed")
    assert 8 * memory.measured(work, 0) <= memory.measured(work, 1)
