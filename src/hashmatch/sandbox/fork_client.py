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
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hashmatch.errors import WorkersError
from hashmatch.sandbox import protocol

if TYPE_CHECKING:
    import struct
    from collections.abc import Mapping, Sequence

    from hashmatch.sandbox.confinement import WorkerLimits

BOOTSTRAP = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from hashmatch.sandbox.fork_server import main
main(int(sys.argv[2]), sys.argv[3], *map(float, sys.argv[4:]))
"""
ONE_ITEM_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
}
"""All that workers know of the host's environment which end with their item, besides what finds its
libraries."""
WORKER_ENVIRONMENT = ONE_ITEM_ENVIRONMENT | {
    # glibc overwrites what is freed, all of it: nothing may wait, as it was, to be used again.
    "GLIBC_TUNABLES": "glibc.malloc.perturb=85:glibc.malloc.tcache_count=0",
    "PYTHONMALLOC": "malloc",
}
"""The same of workers that decode the items of many people, one after the other."""
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


LOST = WorkerExit(-9, 0, 0.0)
"""Of a worker that went with its fork server."""


class ForkServer:
    """A process that workers are forked from, started again if it is lost.

    Workers decode with the function `decoder`, as ``module:name``, in an `environment`. Raises
    WorkersError if it cannot be started.
    """

    def __init__(
        self,
        limits: WorkerLimits,
        decoder: str,
        environment: Mapping[str, str] = MappingProxyType(WORKER_ENVIRONMENT),
    ) -> None:
        self._environment = environment
        self._arguments = [decoder, *map(repr, astuple(limits))]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._questions = 0
        self._start()

    @property
    def pid(self) -> int:
        """The number of the process; 0 if there is none."""
        return self._process.pid if self._process is not None else 0

    def fork(self, descriptors: Sequence[int]) -> tuple[int, int]:
        """Start a worker that is given `descriptors`; return the pids of its server and its own."""
        with self._lock:
            for attempt in range(2):
                try:
                    (pid,) = self._ask(protocol.FORK_REQUEST, protocol.FORK_REPLY, 0, descriptors)
                    break
                except OSError:  # it is gone, or hangs, and every worker is lost with it
                    self._stop()
                    if self._closed:
                        raise WorkersError(POOL_CLOSED) from None
                    if attempt:
                        raise WorkersError(
                            "cannot start a decode worker: their fork server ends or hangs, twice"
                        ) from None
                    log.warning("fork server lost, and every decode worker with it")
                    self._start()
            if pid == 0:
                raise WorkersError("cannot start a decode worker: the system has no process left")
            return self.pid, pid

    def end(self, server_pid: int, pid: int) -> WorkerExit:
        """End worker `pid` of a fork server, if it has not ended yet, and return how it did."""
        with self._lock:
            if server_pid != self.pid:
                return LOST  # it went with its server
            try:
                ended = self._ask(protocol.END_WORKER, protocol.END_REPLY, pid)
            except OSError:
                self._stop()  # else a late answer would be taken for that of another question
                return LOST
            code, kibibytes, seconds = ended
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
                    [sys.executable, "-sPBc", BOOTSTRAP, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env={**kept, **self._environment},
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

    def _ask(
        self,
        request: bytes,
        reply: struct.Struct,
        pid: int = 0,
        descriptors: Sequence[int] = (),
    ) -> tuple[Any, ...]:
        """Return what is answered. Raises OSError if that is nothing, or of another question."""
        self._questions += 1
        message = protocol.REQUEST.pack(request, self._questions, pid)
        socket.send_fds(self._channel, [message], descriptors)
        answer = self._channel.recv(reply.size + 1)
        if len(answer) != reply.size:
            raise ConnectionError
        number, *said = reply.unpack(answer)
        if number != self._questions:
            raise ConnectionError
        return tuple(said)
