"""The fuzz targets hold on their seeds, whole, cut and with a byte changed."""

from __future__ import annotations

import random

import pytest

from fuzz_lists import seeds, target
from hashmatch import registry


@pytest.mark.parametrize("format", registry.names(registry.LISTS))
def test_each_target_holds_on_its_seeds(format: str) -> None:
    found = seeds(format)
    assert found, "a target without seeds finds little"
    rng = random.Random(format)
    for data in found:
        assert target(format, data) > 0
        for _ in range(20):
            target(format, data[: rng.randrange(len(data))])
            place = rng.randrange(len(data))
            target(format, data[:place] + rng.randbytes(1) + data[place + 1 :])
            target(format, data[:place].decode(errors="replace").encode("utf-16"))
