"""A fetch that is killed at any moment loses nothing, and does nothing twice."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
import processes
from conftest import ROOT
from crash_fetches import CHANGE, digest
from exchange_servers import SERVERS, Server, serving
from hashmatch.exchanges import ncmec
from hashmatch.exchanges.config import Exchanges
from hashmatch.exchanges.fetch import fetch

if TYPE_CHECKING:
    from pathlib import Path

RUNNER = str(ROOT / "tests" / "crash_fetches.py")


def killed(folder: Path, server: Server, when: str, *, first: bool) -> tuple[int, int]:
    """Run `crash_fetches`, which checks by itself; return how many were killed once, and twice."""
    exchanges = Exchanges(folder / "trial" / "exchanges")
    options = {**server.options, "url": server.url}
    (folder / "trial").mkdir()
    config = exchanges.add("hotline", server.kind, options, store=folder / "trial" / "store")
    exchanges.set_credentials(server.credentials, name="hotline")
    store = hm.ListStore(config.store)
    if not first:
        fetch(exchanges, "hotline", store, CHANGE)
        server.add(7)
        server.delete(2, 5)
        server.relabel(3)
    (folder / "trial").rename(folder / "pristine")
    # What an undisturbed one makes of it, in a place of its own.
    whole = Exchanges(folder / "whole")
    whole.add("hotline", server.kind, options)
    whole.set_credentials(server.credentials, name="hotline")
    fetch(whole, "hotline", hm.ListStore(whole.get("hotline").store), CHANGE)
    expected = {
        "digest": digest(hm.ListStore(whole.get("hotline").store)),
        "versions": 1 if first else 2,
    }
    (folder / "expected.json").write_text(json.dumps(expected))
    command = [sys.executable, RUNNER, str(folder), str(folder / "expected.json"), when]
    done = processes.run(command, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    once, twice = done.stdout.split()
    return int(once), int(twice)


@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.kind)
def test_killed_at_random(
    kind: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ncmec, "LAG", 0)
    with serving(kind()) as server:
        assert killed(tmp_path, server, "6", first=False)[0] == 6


@pytest.mark.slow
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
@pytest.mark.parametrize("kind", SERVERS, ids=lambda kind: kind.kind)
def test_killed_everywhere(
    kind: type[Server], first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ncmec, "LAG", 0)
    with serving(kind()) as server:
        once, twice = killed(tmp_path, server, "everywhere", first=first)
        assert once > 30
        assert twice > 10
