"""Clients of python-threatexchange fetch the same from our servers, which speak the protocol."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from exchange_servers import (
    NcmecServer,
    Server,
    StopNciiServer,
    TatServer,
    ThreatExchangeServer,
    serving,
)
from hashmatch.exchanges import ncmec
from hashmatch.exchanges.config import Exchanges
from hashmatch.exchanges.fetch import fetch
from list_stores import held

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.peers


def client(name: str) -> Any:
    pytest.importorskip("threatexchange")
    return import_module(f"threatexchange.exchanges.clients.{name}")


Said = tuple[str, str, bool]
"""An id, a hash, and whether it is listed."""


def from_threatexchange(server: Server) -> Iterator[Said]:
    api = client("fb_threatexchange.api")
    updates = client("fb_threatexchange.threat_updates")
    te = api.ThreatExchangeAPI(server.credentials["api_token"], endpoint_override=server.url)
    cursor = te.get_threat_updates(
        77, page_size=100, fields=updates.ThreatUpdateJSON.te_threat_updates_fields(),
        decode_fn=updates.ThreatUpdateJSON,
    )  # fmt: skip
    for page in cursor:
        for each in page:
            yield str(each.id), each.indicator, not each.should_delete


def from_ncmec(server: Server) -> Iterator[Said]:
    api = client("ncmec.hash_api")
    environment = api.NCMECEnvironment.test_Industry
    theirs = api.NCMECHashAPI(*server.credentials.values(), environment)
    theirs._base_url = server.url
    assert theirs.status().esp_id == 42
    for page in theirs.get_entries_iter():
        for each in page.updates:
            yield each.id, each.fingerprints.get("pdq", ""), not each.deleted


def from_stopncii(server: Server) -> Iterator[Said]:
    api = client("stopncii.api")
    fetch_key, key = server.credentials.values()
    theirs = api.StopNCIIAPI(key, fetch_key, base_url_override=server.url)
    for page in theirs.fetch_hashes_iter():
        for each in page.hashRecords:
            assert each.signalType is api.StopNCIISignalType.ImagePDQ
            is_listed = each.hashStatus is api.StopNCIICaseStatus.Active
            yield each.hashValue, each.hashValue, is_listed


def from_tat(server: Server) -> Iterator[Said]:
    theirs = client("techagainstterrorism.api").TATHashListAPI(*server.credentials.values())
    theirs.BASE_URL = f"{server.url}/"
    for page in theirs.fetch_hashes_iter():
        for each in page.results:
            yield str(each.id), each.hash_digest, not each.deleted


@pytest.mark.parametrize(
    ("kind", "theirs"),
    [
        (ThreatExchangeServer, from_threatexchange),
        (NcmecServer, from_ncmec),
        (StopNciiServer, from_stopncii),
        (TatServer, from_tat),
    ],
    ids=lambda each: getattr(each, "kind", ""),
)
def test_their_clients_fetch_what_we_fetch(
    kind: type[Server], theirs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ncmec, "LAG", 0)
    with serving(kind(count=23, page_size=5)) as server:
        server.delete(3, 11)
        server.relabel(7)
        found: dict[str, str] = {}
        for name, value, is_listed in theirs(server):
            found.pop(name, None)
            if is_listed:
                found[name] = value
        assert set(found.values()) == server.listed()
        exchanges = Exchanges(tmp_path / "exchanges")
        config = exchanges.add("ours", server.kind, {**server.options, "url": server.url})
        exchanges.set_credentials(server.credentials, name="ours")
        store = hm.ListStore(config.store)
        fetch(exchanges, "ours", store)
        assert {text for _, _, text, _ in held(store)} == set(found.values())
