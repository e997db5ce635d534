"""Ray, Spark and Daft on local clusters of several processes, and Dask at length; by name.

`pytest -m engines`: 20,000 pictures with copies, cut files, noise and files that kill a decoder
give the rows of a scan on one machine, also if worker processes are killed every few seconds.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pyarrow as pa
import pytest
from pyarrow import parquet

import hashmatch as hm
from arrow_batches import DEMO, SURFACE, CountedMatch, pictures, rows, scanned, table
from conftest import FIXTURES, ROOT
from hashmatch.arrow import MATCHES, Hash, Match
from processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    pytest.mark.engines,
    pytest.mark.filterwarnings("default"),  # the engines' own
]
COUNT = int(os.environ.get("HASHMATCH_ENGINE_PICTURES", "20000"))
PER_BATCH = 100
WORKERS = 2
FILES = 20
PER_FILE = -(-COUNT // FILES)
"""Pictures of a file, and so of a task."""
PER_KILL = 3 * PER_FILE
"""Pictures that a process does before it may be killed: three tasks, however slow the machine."""
KILL_EVERY = 4.0


@pytest.fixture(scope="module")
def images() -> dict[str, bytes]:
    return pictures(COUNT)


@pytest.fixture(scope="module")
def expected(images: dict[str, bytes]) -> list[dict[str, Any]]:
    found = scanned(images, hm.Matcher(hm.read_list(DEMO)))
    assert {"match", "no_match", "undecodable", "unsupported"} <= {row["outcome"] for row in found}
    return found


@pytest.fixture(scope="module")
def files(images: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of Parquet files, each with some row groups."""
    folder = tmp_path_factory.mktemp("pictures")
    whole = pa.Table.from_batches([table(images)])
    for number, at in enumerate(range(0, len(whole), PER_FILE)):
        parquet.write_table(
            whole.slice(at, PER_FILE), folder / f"{number:03}.parquet", row_group_size=PER_BATCH
        )
    return str(folder)


def in_order(answer: Any) -> list[dict[str, Any]]:
    return sorted(rows(answer), key=lambda row: str(row["key"]))


class Kills:
    """Kills one of the processes that do pictures every few seconds, and counts what they do.

    Only one that has done some: on a busy machine, to start one takes longer than that.
    """

    def __init__(self, folder: Path, *, kills: bool) -> None:
        self.match = CountedMatch(Match([DEMO], surface=SURFACE), str(folder))
        self._folder, self._kills = folder, kills
        self.killed: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._kill)

    def done(self) -> dict[int, int]:
        """How many pictures each process has done."""
        return {int(path.name): path.stat().st_size for path in self._folder.iterdir()}

    def _kill(self) -> None:
        chance = random.Random(1)
        while not self._stop.wait(KILL_EVERY):
            found = sorted(pid for pid, count in self.done().items() if count >= PER_KILL)
            if living := [pid for pid in found if pid not in self.killed and is_below(pid)]:
                victim = chance.choice(living)
                self.killed.append(victim)
                os.kill(victim, signal.SIGKILL)

    def run(self, name: str, run: Callable[[], Any]) -> Any:
        """What `run` returns, while workers are killed; a line says how long it took."""
        began = time.monotonic()
        if self._kills:
            self._thread.start()
        try:
            answer = run()
        finally:
            self._stop.set()
            if self._kills:
                self._thread.join()
        seconds = time.monotonic() - began
        done = sum(self.done().values())
        sys.stderr.write(
            f"\n{name}: {COUNT:,} pictures in {seconds:.1f} s, {COUNT / seconds:,.0f} a second, "
            f"{len(self.killed)} workers killed, {done:,} pictures done in all\n"
        )
        # A kill costs the task that a worker is at, and one that it has not handed over.
        assert done <= COUNT + 2 * PER_FILE * len(self.killed)
        assert self.killed or not self._kills
        return answer


def is_below(pid: int) -> bool:
    """Whether a process lives that this one has started, or one of those it has."""
    while pid > 1:
        if pid == os.getpid():
            return True
        try:
            state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            return False
        if state == "Z":
            return False
        pid = int(parent)
    return False


@pytest.mark.parametrize("kills", [False, True], ids=["undisturbed", "killed"])
def test_dask(files: str, expected: list[dict[str, Any]], tmp_path: Path, *, kills: bool) -> None:
    import dask
    from distributed import Client, LocalCluster, as_completed

    kill = Kills(tmp_path, kills=kills)
    match = kill.match

    def part(path: str) -> list[pa.RecordBatch]:
        batches = parquet.ParquetFile(path).iter_batches(PER_BATCH)
        return list(match.map_iterator(batches))

    # A task whose workers die is done again, more often than the three times of the default:
    # here it is we who kill, and no row of ours can.
    with (
        mock.patch.dict(os.environ),  # which its nannies change
        dask.config.set({"distributed.scheduler.allowed-failures": 100}),
        LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster) as client,
    ):  # fmt: skip

        def run() -> pa.Table:
            waiting = set(client.map(part, sorted(map(str, Path(files).iterdir())), pure=False))
            answers: list[pa.RecordBatch] = []
            # Taken as they come, and let go: what a worker holds is done again if it is killed.
            for future, answer in as_completed(waiting, with_results=True):
                answers += answer
                waiting.discard(future)
                future.release()
            return pa.Table.from_batches(answers)

        answer = kill.run("dask", run)
    assert in_order(answer) == expected


@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
@pytest.mark.parametrize("kills", [False, True], ids=["undisturbed", "killed"])
def test_ray(
    files: str,
    expected: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    kills: bool,
) -> None:
    import ray
    import ray.data

    monkeypatch.setenv("PYTHONBREAKPOINT", "0")  # or else Ray sets it, for good

    ray.init(
        num_cpus=WORKERS, include_dashboard=False, log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}},
    )  # fmt: skip
    try:
        kill = Kills(tmp_path, kills=kills)
        # Ray makes one block, and so one task, of all the files, as they are small.
        data = (
            ray.data.read_parquet(files)
            .repartition(target_num_rows_per_block=PER_FILE)
            .map_batches(kill.match, batch_format="pyarrow", batch_size=PER_BATCH, num_cpus=1)
        )

        answer = kill.run("ray", lambda: pa.concat_tables(ray.get(data.to_arrow_refs())))
    finally:
        ray.shutdown()
    assert in_order(answer) == expected


@pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed")
@pytest.mark.parametrize("kills", [False, True], ids=["undisturbed", "killed"])
def test_spark(
    files: str,
    expected: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    kills: bool,
) -> None:
    from pyspark.sql import SparkSession
    from pyspark.sql.pandas.types import from_arrow_schema

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    spark = (
        SparkSession.builder.master(f"local[{WORKERS}, 50]")
        .config("spark.pyspark.python", sys.executable)
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", str(PER_BATCH))
        .config("spark.sql.files.maxPartitionBytes", str(2 << 20))
        .getOrCreate()
    )
    try:
        kill = Kills(tmp_path, kills=kills)
        answers = spark.read.parquet(files).mapInArrow(
            kill.match.map_iterator, from_arrow_schema(MATCHES)
        )

        answer = kill.run("spark", answers.toArrow)
    finally:
        spark.stop()
    assert in_order(answer) == expected


@pytest.mark.skipif(find_spec("daft") is None, reason="daft is not installed")
def test_daft(
    files: str, expected: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In processes of its own: native Daft has no worker that could be killed alone."""
    import daft

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    kill = Kills(tmp_path, kills=False)

    @daft.cls(use_process=True, max_concurrency=WORKERS)
    class Matched:
        def __init__(self, match: CountedMatch) -> None:
            self.match = match

        @daft.method.batch(  # type: ignore[untyped-decorator]
            return_dtype=daft.DataType.from_arrow_type(pa.struct(list(MATCHES))),
            batch_size=PER_BATCH,
        )
        def __call__(self, key: Any, version: Any, image: Any) -> Any:
            columns = {"key": key, "version": version, "image": image}
            batch = pa.record_batch({name: one.to_arrow() for name, one in columns.items()})
            return self.match(batch).to_struct_array()

    frame = daft.read_parquet(f"{files}/*.parquet")
    matched = frame.select(
        Matched(kill.match)(frame["key"], frame["version"], frame["image"]).alias("answer")
    )
    answer = kill.run("daft", lambda: matched.to_arrow().column("answer").to_pylist())
    assert in_order(answer) == expected


EXAMPLES = sorted((ROOT / "docs" / "engine_examples").glob("*.py"))


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_examples_of_the_guide_run(script: Path, images: dict[str, bytes], tmp_path: Path) -> None:
    some = pa.Table.from_batches([table(dict(list(images.items())[:300]))])
    (tmp_path / "photos").mkdir()
    (tmp_path / "hashes").mkdir()
    shutil.copytree(FIXTURES / "lists", tmp_path / "fixtures" / "lists")
    for number, at in enumerate(range(0, len(some), 100)):
        parquet.write_table(some.slice(at, 100), tmp_path / "photos" / f"{number}.parquet")
        hashed = Hash()(some.slice(at, 100))
        parquet.write_table(hashed, tmp_path / "hashes" / f"{number}.parquet")
    path = os.pathsep.join(sys.path)
    subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, check=True, timeout=PATIENCE,
    )  # fmt: skip
    written = [*tmp_path.glob("photos/*.matches"), *tmp_path.glob("matches/*.parquet")]
    if script.stem == "near_duplicates":
        assert parquet.read_table(tmp_path / "pairs.parquet").num_rows
    else:
        answers = [row for path in written for row in parquet.read_table(path).to_pylist()]
        straight = Match([DEMO], surface=SURFACE)(some.drop_columns(["version"]))
        assert sorted(answers, key=by_key) == sorted(straight.to_pylist(), key=by_key)


def by_key(row: dict[str, Any]) -> str:
    return str(row["key"])
