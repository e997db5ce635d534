"""The pool's side of its nursery: start it, ask it for workers, learn how they ended."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from hashmatch.errors import WorkersError
from hashmatch.sandbox.protocol import ASKED_END, END, ENDED, FORK, STARTED, UP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.sandbox.limits import WorkerLimits

START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from hashmatch.sandbox.fork_server import main
main(int(sys.argv[2]), sys.argv[3], *map(float, sys.argv[4:]))
"""
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
"""All that workers know of the host's environment, and what finds its libraries."""
KEPT = ("LD_LIBRARY_PATH", "LD_PRELOAD", "LANG", "LC_ALL")
CLOSED = "the pool of decode workers is closed"
PATIENCE = 60.0
"""Seconds for the nursery to answer, which takes it milliseconds."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a worker ended.

    Parameters
    ----------
    code : int
        Its exit code; minus the signal that ended it.
    memory : int
        The most bytes that were resident at once.
    cpu_seconds : float
        Processor time, of all its items.
    """

    code: int
    memory: int
    cpu_seconds: float


class Nursery:
    """A process that workers are forked from, started again if it is lost.

    Parameters
    ----------
    limits : WorkerLimits
        For each item.
    decoder : str
        The function that workers decode with, as ``module:name``.

    Raises
    ------
    WorkersError
        If it cannot be started.
    """

    def __init__(self, limits: WorkerLimits, decoder: str) -> None:
        self._arguments = [decoder, *map(repr, astuple(limits))]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._start()

    @property
    def pid(self) -> int:
        """The number of the process; 0 if there is none."""
        return self._process.pid if self._process is not None else 0

    def fork(self, descriptors: Sequence[int]) -> tuple[int, int]:
        """Start a worker that is given `descriptors`; return its nursery's number and its own."""
        with self._lock:
            try:
                answer = self._ask(FORK, descriptors)
            except OSError:  # it is gone, and every worker with it
                self._stop()
                if self._closed:
                    raise WorkersError(CLOSED) from None
                self._start()
                answer = self._ask(FORK, descriptors)
            (pid,) = STARTED.unpack(answer)
            if pid == 0:
                raise WorkersError("no decode worker can be started: the system has no process")
            return self.pid, pid

    def end(self, nursery: int, pid: int) -> Ended:
        """End worker `pid` of a `nursery`, if it has not ended yet, and return how it did."""
        with self._lock:
            try:
                if nursery != self.pid:
                    raise ConnectionError  # it went with its nursery
                answer = self._ask(ASKED_END.pack(END, pid))
            except OSError:
                return Ended(-9, 0, 0.0)
            code, kibibytes, seconds = ENDED.unpack(answer)
            return Ended(code, kibibytes * 1024, seconds)

    def close(self) -> None:
        """End the process, and every worker that it has left."""
        with self._lock:
            self._closed = True
            self._stop()

    def _start(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(PATIENCE)
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        with theirs:
            number = str(theirs.fileno())
            try:
                self._process = subprocess.Popen(  # noqa: S603  (this Python, our own words)
                    [sys.executable, "-IBc", START, json.dumps(sys.path), number, *self._arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env=kept | ENVIRONMENT,
                )
            except OSError as error:
                self._channel.close()
                raise WorkersError(f"decode workers cannot be started: {error.strerror}") from None
        try:
            said = self._channel.recv(4096)
        except OSError:
            said = b""
        if said != UP:
            self._stop()
            reason = said.decode(errors="replace") or "their process ended"
            raise WorkersError(f"decode workers cannot be started: {reason}")

    def _stop(self) -> None:
        self._channel.close()
        if self._process is None:
            return
        try:
            self._process.wait(1)  # it ends when its channel does
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _ask(self, message: bytes, descriptors: Sequence[int] = ()) -> bytes:
        socket.send_fds(self._channel, [message], descriptors)
        answer = self._channel.recv(64)
        if not answer:
            raise ConnectionError
        return answer
