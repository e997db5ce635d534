"""Match on a cluster of Dask, several processes and threads: row for row what one machine says."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any
from unittest import mock

import pyarrow as pa
import pytest

import hashmatch as hm
from arrow_batches import DEMO, SURFACE, pictures, rows, scanned, table
from hashmatch.arrow import Hash, Match

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    from distributed import Client, LocalCluster

    with (
        mock.patch.dict(os.environ),  # which its nannies change
        LocalCluster(
            n_workers=2, threads_per_worker=2, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_a_bag_of_batches(client: Client) -> None:
    import dask.bag

    images = pictures(100)
    parts = [dict(list(images.items())[at : at + 13]) for at in range(0, len(images), 13)]
    bag = dask.bag.from_sequence(map(table, parts), npartitions=8)
    match = Match([DEMO], surface=SURFACE)
    answers = bag.map(match).compute()
    expected = scanned(images, hm.Matcher(hm.read_list(DEMO)))
    assert rows(pa.Table.from_batches(answers)) == expected

    def pool(_: Any) -> tuple[int, int]:
        from hashmatch.arrow import process

        return os.getpid(), process.cores()

    told = client.run(pool, None)
    assert {cores for _, cores in told.values()} == {2}


def test_a_killed_worker_makes_no_difference(client: Client) -> None:
    images = pictures(120, seed=2)
    parts = [dict(list(images.items())[at : at + 15]) for at in range(0, len(images), 15)]
    hash_ = Hash()
    futures = client.map(hash_, list(map(table, parts)), pure=False)
    next(iter(_done(futures)))
    victim = next(iter(client.scheduler_info(n_workers=-1)["workers"]))
    pid = client.run(os.getpid, workers=[victim])[victim]
    os.kill(pid, signal.SIGKILL)
    hashed = pa.Table.from_batches(client.gather(futures))
    answers = Match([DEMO], surface=SURFACE)(hashed)
    assert rows(answers) == scanned(images, hm.Matcher(hm.read_list(DEMO)))


def _done(futures: Any) -> Iterator[Any]:
    from distributed import as_completed

    return iter(as_completed(futures))
