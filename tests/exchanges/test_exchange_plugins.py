"""Exchanges of other people: found through entry points, and fetched as ours are."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
import processes
from exchange_servers import StopNciiServer, serving
from hashmatch.exchanges.stopncii import StopNcii
from hashmatch.interfaces import ExchangeField, ListPage
from hashmatch.testing import check_exchange, random_hashes
from list_stores import PDQ, held

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROWS = random_hashes(PDQ, 4, seed=5).to_hex()
MODULE = f"""
from hashmatch.interfaces import ExchangeField, ListPage

class Quarantine:
    options = (ExchangeField("room", "Which room.", "number"),)
    credentials = (ExchangeField("token", "The token."),)
    list_format = "jsonl"
    is_whole = False
    remembers = None
    def __init__(self, options, credentials, allow_private=()):
        self.room, self.token = options["room"], credentials["token"]
    def pages(self, checkpoint, position):
        for n in range(int(position or 0), 2):
            row = '{{"hash": "%s", "id": "%d"}}' % ({ROWS!r}[n], n)
            yield ListPage([row.encode()], str(n + 1), "1700000000" if n else None)
    def close(self):
        pass
"""


def test_a_third_party_exchange_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "other_exchange.py").write_text(MODULE)
    info = tmp_path / "other_exchange-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-exchange\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[hashmatch.exchanges]\nquarantine = other_exchange:Quarantine\n"
    )

    def call(*args: str, **env: str) -> str:
        path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
        done = processes.run(
            [sys.executable, "-m", "hashmatch", "list", *args], cwd=tmp_path, text=True,
            env={**os.environ, "PYTHONPATH": path, **env}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    assert "quarantine\n  --option room: Which room." in call("exchange", "kinds")
    call("exchange", "add", "mine", "quarantine", "--option", "room=7",
         "--credentials-variable", "ROOM_TOKEN")  # fmt: skip
    assert call("fetch", "mine", ROOM_TOKEN="secret") == "mine: version 1, 2 pages: 2 added\n"
    store = hm.ListStore(tmp_path / "exchanges" / "mine" / "store")
    assert {text for _, _, text, _ in held(store)} == set(ROWS[:2])


def test_ours_keep_the_contract() -> None:
    with serving(StopNciiServer()) as server:
        check_exchange(lambda: StopNcii({"url": server.url}, server.credentials))


class Sound:
    """Two pages; those below each break one rule."""

    options = (ExchangeField("room", "Which room."),)
    credentials: tuple[ExchangeField, ...] = ()
    list_format = "jsonl"
    is_whole = False
    remembers = None
    last: str | None = "1"
    begins = True

    def __init__(self, *given: Any) -> None:
        pass

    def pages(self, checkpoint: str | None, position: str | None) -> Iterator[ListPage]:
        if not position or not self.begins:
            yield ListPage([b"a"], "1")
        yield ListPage([b"b"], "2", self.last)

    def close(self) -> None:
        pass


class NoCheckpoint(Sound):
    last = None


class LongCheckpoint(Sound):
    last = "1" * 1001


class BeginsAgain(Sound):
    begins = False


class Fieldless(Sound):
    options = ("room",)  # type: ignore[assignment]


class OnePage(Sound):
    def pages(self, checkpoint: str | None, position: str | None) -> Iterator[ListPage]:
        yield ListPage([b"a"], "1", "1")


@pytest.mark.parametrize("kind", [NoCheckpoint, LongCheckpoint, BeginsAgain, Fieldless, OnePage])
def test_the_contract_finds_broken_exchanges(kind: type[Sound]) -> None:
    check_exchange(Sound)
    with pytest.raises(AssertionError):
        check_exchange(kind)
