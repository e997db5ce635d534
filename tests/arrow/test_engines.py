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
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pyarrow as pa
import pytest
from pyarrow import parquet

import hashmatch as hm
from arrow_batches import DEMO, SURFACE, pictures, rows, scanned, table
from conftest import FIXTURES, ROOT
from hashmatch.arrow import MATCHES, Hash, Match
from processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.engines,
    pytest.mark.filterwarnings("default"),  # the engines' own
]
COUNT = int(os.environ.get("HASHMATCH_ENGINE_PICTURES", "20000"))
PER_BATCH = 100
WORKERS = 2
KILL_EVERY = 4.0
AT_WORK = 2.0
"""CPU seconds of a process after which it has begun with pictures: imports take some."""


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
    size = -(-len(whole) // 20)
    for number, at in enumerate(range(0, len(whole), size)):
        parquet.write_table(
            whole.slice(at, size), folder / f"{number:03}.parquet", row_group_size=PER_BATCH
        )
    return str(folder)


def in_order(answer: Any) -> list[dict[str, Any]]:
    return sorted(rows(answer), key=lambda row: str(row["key"]))


def processes_below(pid: int) -> dict[int, tuple[str, float]]:
    """Every process that a process started, and those started: its name, and its CPU seconds."""
    parents, found = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            status = (path / "stat").read_text().rpartition(")")[2].split()
            name = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        parents[int(path.name)] = int(status[1])
        found[int(path.name)] = name, (int(status[11]) + int(status[12])) / os.sysconf("SC_CLK_TCK")
    below = {pid}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return {each: found[each] for each in below - {pid}}


@contextmanager
def killing(is_worker: Callable[[str], bool]) -> Iterator[list[int]]:
    """Kill one of the processes that are workers every few seconds, and give who was.

    Of those that have come to work: on a busy machine, to start one takes longer than that.
    """
    killed: list[int] = []
    stop = threading.Event()
    chance = random.Random(1)

    def kill() -> None:
        while not stop.wait(KILL_EVERY):
            below = processes_below(os.getpid()).items()
            found = sorted(pid for pid, (name, cpu) in below if is_worker(name) and cpu > AT_WORK)
            if found:
                victim = chance.choice(found)
                killed.append(victim)
                os.kill(victim, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def timed(name: str, killed: list[int], run: Callable[[], Any]) -> Any:
    began = time.monotonic()
    answer = run()
    seconds = time.monotonic() - began
    sys.stderr.write(
        f"\n{name}: {COUNT:,} pictures in {seconds:.1f} s, {COUNT / seconds:,.0f} a second, "
        f"{len(killed)} workers killed\n"
    )
    return answer


@pytest.mark.parametrize("kills", [False, True], ids=["undisturbed", "killed"])
def test_dask(files: str, expected: list[dict[str, Any]], *, kills: bool) -> None:
    import dask
    from distributed import Client, LocalCluster, wait

    match = Match([DEMO], surface=SURFACE)

    def part(path: str) -> pa.Table:
        return match(parquet.read_table(path))

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
        killing(lambda name: kills and "multiprocessing.spawn" in name) as killed,
    ):  # fmt: skip

        def run() -> pa.Table:
            futures = client.map(part, sorted(map(str, Path(files).iterdir())), pure=False)
            wait(futures)
            return pa.concat_tables(client.gather(futures))

        answer = timed("dask", killed, run)
    assert in_order(answer) == expected
    assert not kills or killed


@pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")
@pytest.mark.parametrize("kills", [False, True], ids=["undisturbed", "killed"])
def test_ray(files: str, expected: list[dict[str, Any]], *, kills: bool) -> None:
    import ray
    import ray.data

    ray.init(
        num_cpus=WORKERS, include_dashboard=False, log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}},
    )  # fmt: skip
    try:
        match = Match([DEMO], surface=SURFACE)
        data = ray.data.read_parquet(files).map_batches(
            match, batch_format="pyarrow", batch_size=PER_BATCH, num_cpus=1
        )

        def is_worker(name: str) -> bool:
            return kills and "ray::" in name and ("MapBatches" in name or "ReadParquet" in name)

        with killing(is_worker) as killed:
            answer = timed("ray", killed, lambda: pa.concat_tables(ray.get(data.to_arrow_refs())))
    finally:
        ray.shutdown()
    assert in_order(answer) == expected
    assert not kills or killed


@pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed")
@pytest.mark.parametrize("kills", [False, True], ids=["undisturbed", "killed"])
def test_spark(
    files: str, expected: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, *, kills: bool
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
        match = Match([DEMO], surface=SURFACE)
        answers = spark.read.parquet(files).mapInArrow(
            match.map_iterator, from_arrow_schema(MATCHES)
        )

        def is_worker(name: str) -> bool:
            return kills and "pyspark.daemon" in name

        with killing(is_worker) as killed:
            answer = timed("spark", killed, answers.toArrow)
    finally:
        spark.stop()
    assert in_order(answer) == expected
    assert not kills or killed


@pytest.mark.skipif(find_spec("daft") is None, reason="daft is not installed")
def test_daft(files: str, expected: list[dict[str, Any]]) -> None:
    """In processes of its own: native Daft has no worker that could be killed alone."""
    import daft

    match = Match([DEMO], surface=SURFACE)

    @daft.cls(use_process=True, max_concurrency=WORKERS)
    class Matched:
        def __init__(self, match: Match) -> None:
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
        Matched(match)(frame["key"], frame["version"], frame["image"]).alias("answer")
    )
    answer = timed("daft", [], lambda: matched.to_arrow().column("answer").to_pylist())
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
