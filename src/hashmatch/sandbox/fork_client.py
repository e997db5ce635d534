"""The pool's side of its fork server: start it, ask it for workers, learn how they ended."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from hashmatch.errors import WorkersError
from hashmatch.sandbox import protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.sandbox.confinement import WorkerLimits

BOOTSTRAP = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from hashmatch.sandbox.fork_server import main
main(int(sys.argv[2]), sys.argv[3], *map(float, sys.argv[4:]))
"""
WORKER_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
"""All that workers know of the host's environment, and what finds its libraries."""
INHERITED_VARIABLES = ("LD_LIBRARY_PATH", "LD_PRELOAD", "LANG", "LC_ALL")
log = logging.getLogger("hashmatch.sandbox")

POOL_CLOSED = "the pool of decode workers is closed"
ANSWER_SECONDS = 60.0
"""For the fork server to answer, which takes it milliseconds."""


@dataclass(frozen=True, slots=True)
class WorkerExit:
    """How a worker ended.

    `code` is its exit code, minus the signal that ended it; `memory` the most bytes that were
    resident at once; `cpu_seconds` the processor time of all its items.
    """

    code: int
    memory: int
    cpu_seconds: float


class ForkServer:
    """A process that workers are forked from, started again if it is lost.

    Workers decode with the function `decoder`, as ``module:name``. Raises WorkersError if it cannot
    be started.
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
        """Start a worker that is given `descriptors`; return the pids of its server and its own."""
        with self._lock:
            try:
                answer = self._ask(protocol.FORK_REQUEST, descriptors)
            except OSError:  # it is gone, and every worker with it
                self._stop()
                if self._closed:
                    raise WorkersError(POOL_CLOSED) from None
                log.warning("fork server lost, and every decode worker with it")
                self._start()
                answer = self._ask(protocol.FORK_REQUEST, descriptors)
            (pid,) = protocol.FORK_REPLY.unpack(answer)
            if pid == 0:
                raise WorkersError("cannot start a decode worker: the system has no process left")
            return self.pid, pid

    def end(self, server_pid: int, pid: int) -> WorkerExit:
        """End worker `pid` of a fork server, if it has not ended yet, and return how it did."""
        with self._lock:
            try:
                if server_pid != self.pid:
                    raise ConnectionError  # it went with its server
                answer = self._ask(protocol.END_REQUEST.pack(protocol.END_WORKER, pid))
            except OSError:
                return WorkerExit(-9, 0, 0.0)
            code, kibibytes, seconds = protocol.END_REPLY.unpack(answer)
            return WorkerExit(code, kibibytes * 1024, seconds)

    def close(self) -> None:
        """End the process, and every worker that it has left."""
        with self._lock:
            self._closed = True
            self._stop()

    def _start(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.settimeout(ANSWER_SECONDS)
        kept = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
        with theirs:
            arguments = [json.dumps(sys.path), str(theirs.fileno()), *self._arguments]
            try:
                self._process = subprocess.Popen(  # noqa: S603  (this Python, our own words)
                    [sys.executable, "-IBc", BOOTSTRAP, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env=kept | WORKER_ENVIRONMENT,
                )
            except OSError as error:
                self._channel.close()
                raise WorkersError(f"cannot start decode workers: {error.strerror}") from None
        try:
            said = self._channel.recv(4096)
        except OSError:
            said = b""
        if said != protocol.SERVER_READY:
            self._stop()
            reason = said.decode(errors="replace") or "their process ended"
            raise WorkersError(f"cannot start decode workers: {reason}")

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
