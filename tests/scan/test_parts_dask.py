"""The engine dask://: a real scheduler and its workers, killed, unfit and missing."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from cli_tools import DEMO, PROGRAM, environment, one_line, scan
from dask_cluster import Cluster
from hashmatch.errors import UsageError
from hashmatch.scan.parts.dask_cluster import DaskEngine
from hashmatch.scan.parts.manifest import Manifest
from hashmatch.scan.parts.place import open_place
from processes import Process, wait_for
from scan_folders import lines, photos

pytest.importorskip("distributed")

if TYPE_CHECKING:
    from pathlib import Path


def command(source: Path, state: Path, out: Path, engine: str, size: int = 20) -> list[str]:
    given = ["scan", source, "--list", DEMO, "--surface", "profile_photo", "--breaker", "7"]
    given += ["--engine", engine, "--part-size", size, "--state", state, "--out", out, "-q"]
    return [*PROGRAM, *map(str, given)]


def done(state: Path) -> int:
    return len(list(state.glob("*/results/0*")))


def test_a_worker_that_is_killed_and_one_that_is_not_like_the_client(tmp_path: Path) -> None:
    folder, state, out = photos(tmp_path / "photos", 120), tmp_path / "state", tmp_path / "a.jsonl"
    with Cluster(tmp_path) as cluster:
        cluster.add_worker(HASHMATCH_REFERENCE_KEY="0123456789abcdef")
        cluster.add_worker()
        with Process(
            command(folder, state, out, cluster.engine), env=environment(),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as client:  # fmt: skip
            wait_for(lambda: done(state) >= 2 or client.poll() is not None)
            cluster.kill_worker(1)
            cluster.add_worker()
            _, said = client.communicate()
        assert client.returncode == 0, said.decode()[-900:]
        assert said.count(b"is not used") == 1, said
        assert (
            b"cannot take part: cannot match: the scan differs here in entries, limits or rules"
            in said
        )
        assert b"Traceback" not in said
    whole = tmp_path / "whole.jsonl"
    assert scan(folder, "--breaker", "7", "--out", whole, "-q", "--in-process").code == 0
    assert lines(out) == lines(whole)
    assert done(state) == 6


def test_a_scheduler_that_is_not_there(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 3)
    given = ["--state", str(tmp_path / "state"), "--engine"]
    one_line(scan(folder, *given, "dask://127.0.0.1:1"), "cannot reach the scheduler at dask://")
    said = "is spoken to without TLS, and whoever reaches it can run programs on its workers"
    with pytest.raises(UsageError, match=r"Configure distributed\.comm\.tls") as caught:
        DaskEngine._scheme("192.0.2.1:8786")
    assert said in str(caught.value)


@pytest.mark.slow
def test_a_hundred_kills(tmp_path: Path) -> None:
    """Of workers, schedulers and clients; the output is that of an undisturbed scan."""
    folder, whole = photos(tmp_path / "photos", 2_000), tmp_path / "whole.jsonl"
    assert scan(folder, "--breaker", "7", "--out", whole, "-q").code == 0
    expected = lines(whole)
    chance, kills, rounds = random.Random(8), {"worker": 0, "scheduler": 0, "client": 0}, 0
    with Cluster(tmp_path) as cluster:
        cluster.add_worker()
        cluster.add_worker()
        while sum(kills.values()) < 100:
            state, out = tmp_path / f"state-{rounds}", tmp_path / f"{rounds}.jsonl"
            rounds, begun = rounds + 1, sum(kills.values())
            while True:
                client = Process(
                    command(folder, state, out, cluster.engine), env=environment(),
                    start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                )  # fmt: skip
                before = done(state)
                while client.poll() is None:
                    time.sleep(chance.uniform(0.1, 2.0))
                    for dead in [one for one in cluster.workers if one.poll() is not None]:
                        cluster.workers.remove(dead)
                    while len(cluster.workers) < 2:
                        cluster.add_worker()
                    if done(state) == before or sum(kills.values()) >= 100:
                        continue  # it has not begun since the last one
                    what = chance.choices(list(kills), [6, 1, 3])[0]
                    before = done(state)
                    if client.poll() is not None:
                        continue
                    kills[what] += 1
                    if what == "worker":
                        cluster.kill_worker(chance.randrange(len(cluster.workers)))
                    elif what == "scheduler":
                        cluster.replace_scheduler()
                    else:
                        with suppress(ProcessLookupError):
                            os.killpg(client.pid, signal.SIGKILL)
                _, said = client.communicate()
                if client.returncode == 0:
                    break
                assert client.returncode == -signal.SIGKILL or b"failed 5 times" in said, said
            assert lines(out) == expected
            (manifest,) = Manifest.all(open_place(str(state)))
            found = [manifest.results(number) for number in range(100)]
            attempts = sum(0 if one is None else one.attempts for one in found)
            # A scheduler takes what both workers do and have next with it; one is lost slowly.
            assert attempts - 100 <= 4 * (sum(kills.values()) - begun)
    print(f"{kills} of {rounds} scans")  # noqa: T201
