"""No hash and no credential is seen in what a fetch logs, keeps beside the pages, or fails with."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from canaries import all_canaries, canaries, told
from canary_objects import of_ours, shown
from exchange_servers import LOGIN_PAGE, SECRET, SERVERS, Reply, Server, serving
from hashmatch.exchanges import api, ncmec
from hashmatch.exchanges.config import Exchanges
from hashmatch.exchanges.fetch import fetch
from hashmatch.exchanges.spool import Spool
from hashmatch.interfaces import ListPage
from hashmatch.retry import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCEPT = hm.Change(accept=["size-change"])


def silent(output: bytes | str, about: object = "", *, credentials: bool = True) -> None:
    found = all_canaries().find(output)
    assert not found, f"a hash is shown as {', '.join(found)}: {about}"
    if credentials:
        assert SECRET not in (
            output if isinstance(output, str) else output.decode(errors="replace")
        )


@pytest.fixture(autouse=True)
def quiet_logs(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(api, "LIMITS", Limits(first_delay=0.0))
    monkeypatch.setattr(ncmec, "LAG", 0)
    with caplog.at_level(logging.DEBUG):
        yield
    for record in caplog.records:
        silent(f"{record.getMessage()} {record.args!r} {vars(record)!r}", record.name)


def with_canaries(server: Server) -> Server:
    for entry, value in zip(server.entries.values(), canaries("pdq"), strict=False):
        entry.value = value.hex()
    return server


def broken(server: Server) -> Iterator[list[Reply | str]]:
    """Yield what a server may do to the next requests, much of it with hashes in it."""
    known = canaries("pdq")[0].hex().encode()
    for body in (b'{"' + known + b'": 1}', known, b"<a>" + known, LOGIN_PAGE + known, b'"' + known):
        for status in (200, 400, 404):
            yield [Reply(status, body)] * 8
    yield ["cut"] * 8
    yield ["short"] * 8
    yield ["reset"] * 8
    yield [Reply(302, headers={"Location": f"https://a.example/?access_token={SECRET}"})] * 8
    yield [Reply(401, SECRET.encode())] * 8


@pytest.mark.parametrize("kind", SERVERS, ids=lambda each: each.kind)
def test_fetches_that_succeed_and_fail(kind: type[Server], tmp_path: Path) -> None:
    with serving(with_canaries(kind())) as server:
        exchanges = Exchanges(tmp_path / "exchanges")
        config = exchanges.add("hotline", server.kind, {**server.options, "url": server.url})
        exchanges.set_credentials(server.credentials, name="hotline")
        store = hm.ListStore(config.store)
        things: list[Any] = [exchanges, config]
        problems = 0
        for faults in broken(server):
            server.faults.extend(faults)
            try:
                fetch(exchanges, "hotline", store, ACCEPT)
            except hm.HashmatchError as error:
                silent(told(error), type(error))
                problems += 1
            server.faults.clear()
            silent((tmp_path / "exchanges" / "hotline" / "status.json").read_bytes())
        assert problems > 10

        def stop(count: int) -> None:
            if count == 2 or server.kind == "url":
                raise KeyboardInterrupt

        server.add(1)
        with pytest.raises(KeyboardInterrupt):
            fetch(exchanges, "hotline", store, ACCEPT, full=True, on_page=stop)
        beside = [
            path for path in Path(exchanges.folder).rglob("*.json") if "store" not in path.parts
        ]
        assert {"fetch.json", "status.json"} <= {path.name for path in beside}
        for path in beside:
            silent(path.read_bytes(), path, credentials=path.name != "credentials.json")
        spool = Spool(exchanges.spool("hotline"), "hotline", None)
        page = spool.page(1)
        assert all_canaries().find(Path(page.path).read_bytes())
        assert page.read(200)
        things += [spool, page, spool.progress(), ListPage([b"x"], "", None)]
        things.append(fetch(exchanges, "hotline", store, ACCEPT))
        things += store.versions()
        for thing in things:
            for each in of_ours(thing):
                if each is not page:  # which is being read, as a file is
                    silent(shown(each), type(each).__name__)
        silent(f"{page!r} {page}")
