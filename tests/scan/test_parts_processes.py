"""The engine local:N: processes that are killed, and clients; a dozen here, a hundred by name."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

import hashmatch as hm
import s3_server
from cli_tools import DEMO, PROGRAM, environment
from hashmatch.errors import EngineError
from hashmatch.scan.parts import processes
from hashmatch.scan.parts.manifest import Manifest
from hashmatch.scan.parts.place import open_place
from part_scans import in_parts, parted, plain
from processes import Process, wait_for
from scan_folders import lines, photos

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.scan.parts.processes import ProcessEngine

COUNT = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos(tmp_path_factory.mktemp("parts") / "photos", COUNT)


def attempts(state: str | Path) -> list[int]:
    """How often each part of the only scan was begun."""
    (manifest,) = Manifest.all(open_place(str(state)))
    found = [manifest.results(number) for number in manifest.done()]
    return [one.attempts for one in found if one is not None]


def test_workers_that_are_killed_and_a_client_that_ends(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven workers, at random moments of their work, and three clients."""
    expected = plain(folder, {"limit": 4})
    chance, kills = random.Random(20), 0
    made: list[subprocess.Popen[bytes]] = []
    wait = processes.ProcessEngine.wait

    def killing(self: ProcessEngine, seconds: float) -> Any:
        nonlocal kills
        busy = [one.process for one in self._workers if one.part is not None]
        made[:] = [one.process for one in self._workers]
        if busy and kills < 7 and chance.random() < 0.4:
            chance.choice(busy).send_signal(chance.choice([signal.SIGKILL, signal.SIGTERM]))
            kills += 1
        return wait(self, min(seconds, chance.uniform(0.0, 0.05)))

    monkeypatch.setattr(processes.ProcessEngine, "wait", killing)
    for stop in (2, 5, 8):
        results = parted(folder, tmp_path, "local:2", arguments={"limit": 4}).results()
        with suppress(EngineError):  # a part was killed five times
            for _ in range(stop):
                next(results)
        results.close()
        assert all(one.poll() is not None for one in made), "a client that ends leaves nobody"
    monkeypatch.setattr(processes.ProcessEngine, "wait", wait)
    assert in_parts(folder, tmp_path, "local:2", arguments={"limit": 4}) == expected
    assert kills == 7
    # Each end of a client ends two parts at most; all other parts were begun once.
    assert sum(attempts(tmp_path)) - COUNT // 10 <= kills + 3 * 2


def command(
    source: str | Path, state: str | Path, out: str | Path, *more: str, known: Path = DEMO
) -> list[str]:
    given = ["scan", source, "--list", known, "--surface", "profile_photo", "--breaker", "7"]
    given += ["--engine", "local:2", "--part-size", "20", "--state", state, "--out", out]
    return [*PROGRAM, *map(str, given), "--quiet", *more]


def test_a_client_that_is_killed_leaves_nobody_and_workers_share_an_index(
    folder: Path, tmp_path: Path
) -> None:
    out, store = tmp_path / "out.jsonl", tmp_path / "store"
    hm.ListStore(store).import_files([str(DEMO)])
    started = command(folder, tmp_path / "state", out, known=store)
    with Process(started, env=environment()) as client:
        wait_for(lambda: len(children(client.pid)) == 2)
        workers = children(client.pid)
        wait_for(lambda: len(list((tmp_path / "state").glob("*/results/0*"))) >= 3)
        maps = [Path(f"/proc/{pid}/maps").read_text().splitlines() for pid in workers]
        client.kill()
    mapped = [{line.split()[-1] for line in each if str(store) in line} for each in maps]
    assert mapped[0] == mapped[1] != set(), "pages of one file are in memory once"
    wait_for(lambda: not any(map(lives, workers)))
    assert not out.exists()


def children(pid: int) -> list[int]:
    """The processes of the engine, which are their parent's children by another program."""
    found = []
    with suppress(OSError):
        for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(OSError):
                if b"scan.parts" in Path(f"/proc/{number}/cmdline").read_bytes():
                    found.append(int(number))
    return found


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_worker_that_cannot_start_is_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "BOOTSTRAP", "import sys; sys.exit(3)")
    with pytest.raises(EngineError, match="the process that did it ended with status 3"):
        in_parts(folder, tmp_path, "local:1")


def test_a_worker_that_is_killed_before_it_has_read_a_word(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = []

    class KilledAtOnce(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **how: Any) -> None:
            super().__init__(*args, **how)
            starts.append(self.pid)
            if len(starts) < 3:
                self.kill()
                self.wait()

    monkeypatch.setattr(subprocess, "Popen", KilledAtOnce)
    assert in_parts(folder, tmp_path, "local:1", size=COUNT) == plain(folder)
    assert len(starts) == 3


def test_each_worker_has_cores_of_its_own_where_there_are_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 2, 5, 6, 7})
    assert processes._shares(1) == [{1, 2, 5, 6, 7}]
    assert processes._shares(2) == [{1, 5, 7}, {2, 6}]
    assert processes._shares(6) == [set()] * 6


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_hundred_kills(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of workers and clients, one in three a client; the output is that of an undisturbed scan.

    Into a bucket that is a Parquet file for each part.
    """
    source: str | Path = photos(tmp_path / "photos", 2_000)
    ran = subprocess.run(
        [*PROGRAM, *map(str, ["scan", source, "--list", DEMO, "--surface", "profile_photo",
         "--breaker", "7", "--out", tmp_path / "whole.jsonl", "--quiet"])],
        env=environment(), check=True, capture_output=True,
    )  # fmt: skip
    assert b"alarm" in ran.stderr
    expected = lines(tmp_path / "whole.jsonl")
    chance, kills, rounds = random.Random(7), 0, 0
    with server(tmp_path, kind) as env:
        for name in env:
            monkeypatch.setenv(name, env[name])
        while kills < 100:
            state: str | Path = tmp_path / f"state-{rounds}"
            out: str | Path = tmp_path / f"{rounds}.jsonl"
            more = list[str]()
            if kind == "bucket":
                state, out = f"s3://state/{rounds}", f"s3://state/records-{rounds}"
                more = ["--out-format", "parquet"]
            rounds, before = rounds + 1, kills
            while True:
                client = Process(
                    command(source, state, out, *more), env=env, start_new_session=True,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                )  # fmt: skip
                while client.poll() is None:
                    time.sleep(chance.uniform(0.1, 1.5))
                    workers = children(client.pid)
                    if kills >= 100 or client.poll() is not None or not workers:
                        continue
                    kills += 1
                    if chance.random() < 0.33:
                        client.kill()
                    else:
                        with suppress(ProcessLookupError):
                            os.kill(chance.choice(workers), signal.SIGKILL)
                _, said = client.communicate()
                if client.returncode == 0:
                    break
                assert client.returncode == -signal.SIGKILL or b"failed 5 times" in said, said
            assert (tables(out, state) if isinstance(out, str) else lines(out)) == expected
            # A client had two parts under way, a worker one.
            assert sum(attempts(state)) - 100 <= 2 * (kills - before)
    print(f"{kills} kills of {rounds} scans")  # noqa: T201


def tables(out: str, state: str | Path) -> list[dict[str, Any]]:
    """The records of the only scan of a state, in a folder of a bucket, without their time."""
    (scan,), place = Manifest.all(open_place(str(state))), open_place(out)
    found = []
    for file in json.loads(place.read(f"{scan.name}/manifest.json") or b"")["files"]:
        data = place.read(f"{scan.name}/{file['name']}") or b""
        for record in parquet.read_table(pa.BufferReader(data)).column("record").to_pylist():
            found.append(json.loads(record) | {"created_at": ""})
    return found


@contextmanager
def server(tmp_path: Path, kind: str) -> Iterator[dict[str, str]]:
    """The environment of a scan whose state is in a folder, or in a bucket."""
    if kind == "folder":
        yield environment()
        return
    (tmp_path / "buckets" / "state").mkdir(parents=True)
    with s3_server.moto(tmp_path / "buckets") as port:
        yield environment(**s3_server.environment(port))
