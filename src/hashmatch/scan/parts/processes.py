"""The engine ``local:N``: processes of this machine, each doing a part at a time.

They are started anew, not forked: this process may have threads. Each ends with it, whatever ends
it: a process that finds the other end of its pipe closed has nobody to work for.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch.errors import EngineError
from hashmatch.records.typed import from_json
from hashmatch.scan.parts import worker
from hashmatch.scan.parts.worker import Answer, Job

if TYPE_CHECKING:
    from collections.abc import Iterator

BOOTSTRAP = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from hashmatch.scan.parts.processes import serve
serve(int(sys.argv[2]))
"""


class _Worker:
    """A process, its number, the end of its pipe, and the part that it does."""

    def __init__(self, job: Job, number: int, cores: set[int]) -> None:
        self.number = number
        self.pipe, other = Pipe()
        with other:
            descriptor = other.fileno()
            # What a terminal's Ctrl-C is for is this process: it ends them.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                self.process = subprocess.Popen(  # noqa: S603 - this Python, our own words
                    [sys.executable, "-sPc", BOOTSTRAP, json.dumps(sys.path), str(descriptor)],
                    pass_fds=(descriptor,), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                )  # fmt: skip
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        with suppress(OSError):  # killed already, which is found when an answer is waited for
            if cores:
                os.sched_setaffinity(self.process.pid, cores)  # it has one thread by now
            self.pipe.send_bytes(msgspec.json.encode(job))
        self.part: int | None = None
        self.again = False

    def give(self, part: int, again: bool) -> None:
        self.part, self.again = part, again
        with suppress(OSError):  # it is dead, which is found when an answer is waited for
            self.pipe.send_bytes(msgspec.json.encode((part, again)))

    def end(self) -> int:
        """End it, and return what it ended with."""
        self.pipe.close()
        self.process.kill()
        return self.process.wait()


class ProcessEngine:
    """So many processes of this machine, started as they are needed; see `Engine`."""

    def __init__(self, count: int, job: Job) -> None:
        decoders = max(1, _cores() // count) if job.decoders is None else job.decoders
        self._count, self._job = count, msgspec.structs.replace(job, decoders=decoders)
        self._workers: list[_Worker] = []
        self._shares = _shares(count)

    def room(self) -> int:
        """Return how many processes have nothing to do."""
        return self._count - sum(one.part is not None for one in self._workers)

    def submit(self, part: int, again: bool, avoid: str) -> None:
        """Give a part to a process; they are all alike."""
        idle = next((one for one in self._workers if one.part is None), None)
        if idle is None:
            try:
                number = min(set(range(self._count)) - {one.number for one in self._workers})
                idle = _Worker(self._job, number, self._shares[number])
            except OSError as error:
                raise EngineError(
                    f"cannot start a process of the engine: {error.strerror}. Free memory, or give "
                    "it less with --engine local:N"
                ) from None
            self._workers.append(idle)
        idle.give(part, again)

    def wait(self, seconds: float) -> list[Answer]:
        """Return the parts that are done, and those whose process is lost."""
        by_pipe: dict[Any, _Worker] = {one.pipe: one for one in self._workers}
        answers = []
        for pipe in wait(list(by_pipe), seconds):
            one = by_pipe[pipe]
            answer: Answer | None
            try:
                answer = from_json(one.pipe.recv_bytes(), Answer)
            except (OSError, EOFError):
                answer = self._lost(one)
            if answer is not None:
                answers.append(answer)
                one.part = None
        return answers

    def _lost(self, one: _Worker) -> Answer | None:
        self._workers.remove(one)
        # It has closed its pipe, and may not have ended: of the two, the signal says more.
        with suppress(subprocess.TimeoutExpired):
            one.process.wait(1.0)
        code = one.end()
        if one.part is None:
            return None
        how = f"signal {-code}" if code < 0 else f"status {code}"
        return Answer(one.part, f"the process that did it ended with {how}", again=one.again)

    def close(self) -> None:
        """End all processes."""
        while self._workers:
            self._workers.pop().end()


def _shares(count: int) -> list[set[int]]:
    """Return the cores of each of so many processes, none of them another's; empty for any.

    A process that moves between cores finds its caches cold, and so do the decoders beside it.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [set(cores[number::count]) if len(cores) >= count else set() for number in range(count)]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def serve(descriptor: int) -> None:
    """Do parts as they come, in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    logging.lastResort = None  # what has to be said is in the results
    pipe = Connection(descriptor)
    job = msgspec.json.decode(pipe.recv_bytes())
    for part, again in _parts(pipe):
        pipe.send_bytes(msgspec.json.encode(worker.do_part(job, part, again)))


def _parts(pipe: Connection) -> Iterator[tuple[int, bool]]:
    """Yield the parts that are asked for; when nobody asks any more, the process ends at once."""
    asked: queue.SimpleQueue[tuple[int, bool]] = queue.SimpleQueue()

    def receive() -> None:
        try:
            while True:
                asked.put(msgspec.json.decode(pipe.recv_bytes()))
        except (OSError, EOFError):
            os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    while True:
        yield asked.get()
