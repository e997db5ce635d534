"""Plain http is for this machine; other machines are asked by TLS, or it is allowed by name."""

from __future__ import annotations

import pytest

from hashmatch import registry
from hashmatch._net.addresses import Allowed, Origin
from hashmatch._net.client import Client, Dialer, check_encrypted
from hashmatch.errors import UsageError
from hashmatch.records.enums import Surface
from hashmatch.records.safeguards import Safeguard, allowing, collecting

OTHERS = ["http://photos.example", "http://203.0.113.5:9000", "http://[2001:db8::1]"]


@pytest.mark.parametrize("url", OTHERS)
def test_plain_http_with_another_machine_is_refused_or_said(url: str) -> None:
    origin, dialer = Origin.parse(url), Dialer(Allowed.parse([]))
    with pytest.raises(UsageError, match=r"is plain http, .* Use https, or allow it with --allow"):
        Client(origin, dialer)
    with collecting() as waivers, allowing(Safeguard.TLS):
        Client(origin, dialer)
    (waiver,) = waivers
    assert (waiver.safeguard, waiver.allowed_by) == ("TLS", "--allow-http")
    assert waiver.reason.startswith(f"{url} is plain http")


@pytest.mark.parametrize(
    "url", ["https://photos.example", "http://127.0.0.1:9000", "http://[::1]", "http://localhost:1"]
)
def test_tls_and_this_machine_need_no_allowance(url: str) -> None:
    with collecting() as waivers:
        check_encrypted(Origin.parse(url))
    assert waivers == []


@pytest.mark.parametrize("url", ["http://photos.example/list.txt"])
def test_no_source_is_read_by_plain_http(url: str) -> None:
    with pytest.raises(UsageError, match="--allow-http"):
        registry.open_source(url, Surface.PUBLIC_POST)
