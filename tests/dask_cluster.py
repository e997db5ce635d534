"""A Dask cluster on this machine whose scheduler and workers can be killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from cli_tools import environment
from processes import wait_for
from s3_server import free_port, is_open

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

START = "import sys; sys.argv[0] = 'dask'; from distributed.cli.{0} import main; sys.exit(main())"


class Cluster:
    """A scheduler at a port that stays the same, and workers of one thread, without nannies."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._scheduler()

    @property
    def engine(self) -> str:
        return f"dask://127.0.0.1:{self.port}"

    def _start(self, kind: str, *args: str, **env: str) -> subprocess.Popen[bytes]:
        with open(self._folder / "cluster.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", START.format(f"dask_{kind}"), *args],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder,
                env=environment(**env), start_new_session=True,
            )  # fmt: skip

    def _scheduler(self) -> subprocess.Popen[bytes]:
        place = ("--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
        started = self._start("scheduler", *place)
        wait_for(lambda: is_open(self.port))
        return started

    def add_worker(self, **env: str) -> None:
        at = f"tcp://127.0.0.1:{self.port}"
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0")
        place = ("--local-directory", str(self._folder / "scratch"), "--host", "127.0.0.1")
        self.workers.append(self._start("worker", at, *options, *place, **env))

    def kill_worker(self, number: int) -> None:
        _kill(self.workers.pop(number))

    def replace_scheduler(self) -> None:
        """Kill it; its workers end by themselves, some time later."""
        _kill(self.scheduler)
        self.scheduler = self._scheduler()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for process in (*self.workers, self.scheduler):
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
