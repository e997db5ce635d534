"""Kills processes that fetch an exchange, and goes on with what they leave; run by its tests.

    python crash_fetches.py FOLDER EXPECTED {everywhere,COUNT}

FOLDER/pristine has exchanges, with a store or without; EXPECTED is a file with a digest of all that
the store is to hold in the end, and how many versions. ``everywhere`` kills before each call that
changes something on the disk or reads from the network, one after the other; COUNT is how many of
these places are tried, at random. Half of the fetches are killed twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hashmatch as hm
from crash_stores import count_calls
from hashmatch._net.client import _Link
from hashmatch.exchanges import api, ncmec
from hashmatch.exchanges.config import Exchanges
from hashmatch.exchanges.fetch import fetch
from hashmatch.retry import Limits
from list_stores import held

if TYPE_CHECKING:
    from collections.abc import Callable

CHANGE = hm.Change(accept=["size-change"])


def fetch_once(folder: Path) -> None:
    exchanges = Exchanges(folder / "trial" / "exchanges")
    store = hm.ListStore(exchanges.get("hotline").store)
    fetch(exchanges, "hotline", store, CHANGE)


def digest(store: hm.ListStore) -> str:
    """Return what stands for all that a store holds."""
    return hashlib.sha256(repr(sorted(held(store).items())).encode()).hexdigest()


def count_reads(before: Callable[[int], object]) -> None:
    """Have `before` called before each call, with its number."""
    count = 0

    def counted(_: int = 0) -> None:
        nonlocal count
        count += 1
        before(count)

    count_calls(counted)
    read = _Link.recv_into

    def recv_into(link: _Link, buffer: bytearray) -> int:
        counted()
        return read(link, buffer)

    _Link.recv_into = recv_into  # type: ignore[assignment, method-assign]


def in_child(folder: Path, before: Callable[[int], object]) -> int:
    """Fetch in a process, and return how it ended."""
    child = os.fork()
    if not child:
        try:
            count_reads(before)
            fetch_once(folder)
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return status


def killed(folder: Path, place: int) -> bool:
    """Fetch in a process that is killed at a place; return whether it was."""

    def kill(number: int) -> None:
        if number == place:
            os.kill(os.getpid(), signal.SIGKILL)

    status = in_child(folder, kill)
    assert status in {0, signal.SIGKILL}, "the fetch failed by itself"
    return status != 0


def main(folder: Path, expected: Path, when: str) -> None:
    api.LIMITS, ncmec.LAG = Limits(first_delay=0.0), 0
    wanted = json.loads(expected.read_text())
    rng = random.Random(1)
    shutil.copytree(folder / "pristine", folder / "trial")
    fetch_once(folder)  # all is imported and compiled before the first fork
    shutil.rmtree(folder / "trial")
    trial, twice = 0, 0
    spread: list[int] = []
    if when != "everywhere":
        shutil.copytree(folder / "pristine", folder / "trial")
        total = count_places(folder)
        shutil.rmtree(folder / "trial")
        spread = sorted(rng.sample(range(1, total + 1), min(int(when), total)))
    while True:
        trial += 1
        if spread and trial > len(spread):
            break
        place = spread[trial - 1] if spread else trial
        shutil.copytree(folder / "pristine", folder / "trial")
        was_killed = killed(folder, place)
        if was_killed and rng.random() < 0.5:
            twice += killed(folder, rng.randrange(1, place + 10))
        fetch_once(folder)
        exchanges = Exchanges(folder / "trial" / "exchanges")
        store = hm.ListStore(exchanges.get("hotline").store)
        assert digest(store) == wanted["digest"], f"the list is another, killed at {place}"
        assert len(store.versions()) == wanted["versions"], f"a version too many, at {place}"
        assert not any(problems for _, problems in store.verify())
        assert not os.path.exists(exchanges.spool("hotline"))
        assert exchanges.status("hotline").succeeded
        shutil.rmtree(folder / "trial")
        if not was_killed:
            assert not spread, "there are fewer places"
            break
    sys.stdout.write(f"{trial - 1} {twice}\n")


def count_places(folder: Path) -> int:
    """Return at how many places a fetch can be killed."""
    reader, writer = os.pipe()
    write = os.write  # which is counted in the child
    status = in_child(folder, lambda _: write(writer, b"."))
    os.close(writer)
    assert status == 0
    with open(reader, "rb") as file:
        return len(file.read())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
