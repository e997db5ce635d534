"""Requests as the service reads them."""

from __future__ import annotations

import random
from urllib.parse import parse_qsl

from hashmatch.service.http import Request


def test_a_query_is_read_as_it_is_everywhere() -> None:
    """Those without anything to decode take a way of their own."""
    rng = random.Random(1)
    for _ in range(20_000):
        text = "".join(rng.choice("ab=&;%2+") for _ in range(rng.randrange(10)))
        request = Request({"query_string": text.encode(), "headers": []}, None, 1)
        assert request.query == dict(parse_qsl(text, keep_blank_values=True)), text
