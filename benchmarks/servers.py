"""Servers that benchmarks put a load on: ours, and a bare endpoint of the same framework."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

READY_SECONDS = 300.0


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    process: subprocess.Popen[str]
    port: int

    @property
    def workers(self) -> list[int]:
        """The processes that answer."""
        return children(self.process.pid)

    @property
    def processes(self) -> list[int]:
        """It, and all that it has started."""
        found = [self.process.pid]
        for pid in found:  # grows as it goes
            found += children(pid)
        return found

    def cpu_seconds(self, *, with_children: bool = False) -> float:
        """CPU time of its threads so far; with those of the processes it has started, ended too."""
        pids = self.processes if with_children else [self.process.pid]
        return sum(_cpu_seconds(pid, with_children) for pid in pids)


def snapshot(server: Server) -> str:
    """Return the name of the lists that a server of ours uses."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/readyz") as answer:
        return str(json.load(answer)["snapshot"])


def children(pid: int) -> list[int]:
    """Return the processes that one has started."""
    found: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += map(int, file.read().split())
    return found


def _cpu_seconds(pid: int, with_ended: bool) -> float:
    """Return the CPU time of a process; with that of its children that it has waited for."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(") ")[2].split()
    return sum(map(int, fields[11 : 15 if with_ended else 13])) / os.sysconf("SC_CLK_TCK")


def files(pid: int) -> int:
    """Return how many files a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def mappings(pid: int) -> int:
    """Return how many mappings of memory a process has."""
    with open(f"/proc/{pid}/maps") as file:
        return sum(1 for _ in file)


def memory(pid: int, name: str = "Pss") -> int:
    """Return bytes of a process, as ``/proc/PID/smaps_rollup`` has them."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        found = re.search(rf"^{name}: +(\d+) kB", file.read(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


WATCH_OFTEN = """
import sys
from hashmatch.cli import main
from hashmatch.service.snapshots import Snapshots
Snapshots.__init__.__kwdefaults__["interval"] = 0.02
sys.argv[0] = "hashmatch"
sys.exit(main())
"""
"""Runs the command, which looks fifty times a second whether a list has changed."""


@contextmanager
def hashmatch(
    *options: str | Path, cores: Sequence[int] = (), watches_often: bool = False
) -> Iterator[Server]:
    """Run ``hashmatch serve`` until the block ends; it can answer when the block begins."""
    program = ["-c", WATCH_OFTEN] if watches_often else ["-m", "hashmatch"]
    command = [sys.executable, *program, "serve", "--port", "0", *map(str, options)]
    with _server(command, r"https?://[^/]+:(\d+)/$", cores) as server:
        _wait_until_ready(server)
        yield server


@contextmanager
def bare(cores: Sequence[int] = ()) -> Iterator[Server]:
    """Run a Starlette endpoint that returns a constant, with uvicorn as ours sets it up."""
    command = [sys.executable, "-m", "benchmarks.bare_endpoint"]
    with _server(command, r"port (\d+)$", cores) as server:
        yield server


@contextmanager
def _server(command: Sequence[str], pattern: str, cores: Sequence[int]) -> Iterator[Server]:
    if cores:
        command = ["taskset", "--cpu-list", ",".join(map(str, cores)), *command]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            assert process.stderr
            said = ""
            for line in process.stderr:
                said += line
                found = re.match(pattern, line)
                if found:
                    break
            else:
                raise SystemExit(f"the server did not start:\n{said}")
            threading.Thread(target=_show, args=(process,), daemon=True).start()
            yield Server(process, int(found[1]))
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(30)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _show(process: subprocess.Popen[str]) -> None:
    assert process.stderr
    for line in process.stderr:
        print("server:", line.rstrip(), file=sys.stderr)


def _wait_until_ready(server: Server) -> None:
    ends = time.monotonic() + READY_SECONDS
    while time.monotonic() < ends:
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/readyz").close()
            return
        time.sleep(0.1)
    raise SystemExit("the server is not ready")
