"""One worker at a time, the memory it shares, and what is tried when it is lost.

Tells a worker that waits for nothing from one that works: the first never comes back.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import socket
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.decode import limits as decode_limits
from hashmatch.decode.policy import Picture
from hashmatch.errors import WorkersError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError
from hashmatch.sandbox.confinement import Layers
from hashmatch.sandbox.fork_client import CLOSED, Ended, Nursery
from hashmatch.sandbox.protocol import (
    MORE,
    MOST_FRAMES,
    MOST_MESSAGE,
    Job,
    Kind,
    NotUnderstood,
    Reply,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.sandbox.limits import WorkerLimits

ASLEEP = "S"
"""State of a thread (proc_pid_stat(5)) that neither runs nor is about to, nor awaits a disk."""


def asleep(pid: int) -> float | None:
    """Return the processor time, in seconds, of a process all of whose threads are asleep.

    A decoder asks nobody for anything: if it is asleep without an answer, and still is at the same
    processor time a moment later, then nothing will ever wake it. That it is slow, or that a busy
    machine lets it wait, looks otherwise: some thread of it is ready to run.

    Parameters
    ----------
    pid : int
        The process.

    Returns
    -------
    float or None
        None while some thread is at work, or where the system does not tell.

    Examples
    --------
    >>> asleep(os.getpid()) is None
    True
    """
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            stat = Path(f"/proc/{pid}/task/{thread}/stat").read_text()
            if stat[stat.rindex(")") + 2] != ASLEEP:  # the name before may hold anything
                return None
        # The number that pthread_getcpuclockid(3) makes of a process.
        return time.clock_gettime((~pid << 3) | 2)
    except (OSError, ValueError, IndexError):
        return None


SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
LARGE = 8 * 2**20
"""Bytes of shared memory that a lane keeps between items; the rest it gives back."""
REMEMBERED = 1000
STALL = 0.1
"""Seconds between two looks at a worker that does not answer: one that is asleep at both, and did
nothing between them, is lost, which takes so much less than its time on the wall."""
STARTS = 3
"""Workers in a row that may end before they are ready, until that is no accident."""


class WorkerLost(Exception):
    """A worker is gone, and says no more about its item; the message says why."""


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process, the nursery that it is of, and the socket that it answers on."""

    nursery: int
    pid: int
    channel: socket.socket


class Lane:
    """Decodes one item at a time, in the worker that it has at the moment.

    Parameters
    ----------
    nursery : Nursery
        Where workers come from.
    limits : WorkerLimits
        For each item.
    """

    def __init__(self, nursery: Nursery, limits: WorkerLimits) -> None:
        self.layers = Layers(0)
        self.ended: deque[Ended] = deque(maxlen=REMEMBERED)
        self._nursery = nursery
        self._limits = limits
        self._worker: _Worker | None = None
        self._served = 0
        self._largest = 0
        self._closed = False
        self._given = os.memfd_create("hashmatch-item")
        self._shown = os.memfd_create("hashmatch-pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        size = 3 * decode_limits.most_decoded_pixels()
        os.ftruncate(self._shown, size)
        # A worker that cut it short would end this process by its next look at it.
        fcntl.fcntl(self._shown, fcntl.F_ADD_SEALS, SEALS)
        self._shared = mmap.mmap(self._shown, size)
        self._pixels = np.frombuffer(self._shared, np.uint8)

    @property
    def pid(self) -> int | None:
        """The number of the worker's process; None if there is none at the moment."""
        return self._worker.pid if self._worker is not None else None

    def pictures(self, data: bytes, most: int) -> Iterator[Picture]:
        """Yield what a worker makes of `data`, trying again if it is lost.

        Parameters
        ----------
        data : bytes
            The file.
        most : int
            As in `Job`.

        Raises
        ------
        ImageError
            As in-process decoding does, and ``failed`` once all tries have lost a worker.
        """
        given = 0
        reason = ""
        try:
            for _ in range(self._limits.tries):
                try:
                    for picture in self._tried(data, Job(len(data), min(most, MOST_FRAMES), given)):
                        given += 1
                        yield picture
                    return
                except WorkerLost as lost:
                    reason = str(lost)
            tries = f", in each of {self._limits.tries} tries" if self._limits.tries > 1 else ""
            raise ImageError(Outcome.FAILED, reason + tries)
        finally:
            self._give_back(len(data))

    def start(self) -> _Worker:
        """Return a worker that is ready.

        Raises
        ------
        WorkersError
            If none can be started.
        """
        if self._worker is not None:
            return self._worker
        for _ in range(STARTS):
            if self._closed:
                raise WorkersError(CLOSED)
            channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                descriptors = (theirs.fileno(), self._given, self._shown)
                try:
                    worker = _Worker(*self._nursery.fork(descriptors), channel)
                except BaseException:
                    channel.close()
                    raise
            self._worker = worker
            self._served = 0
            with suppress(WorkerLost):
                ready = self._heard(worker, time.monotonic() + self._limits.wall_seconds)
                if ready.kind is not Kind.READY:
                    raise self._gone("the worker answered what was not asked")
                self.layers = Layers(ready.frame & sum(layer.value for layer in Layers))
                return worker
        raise WorkersError("decode workers end before they are ready")

    def end(self) -> None:
        """End the worker, whatever it does."""
        worker, self._worker = self._worker, None
        if worker is not None:
            self.ended.append(self._nursery.end(worker.nursery, worker.pid))
            worker.channel.close()

    def stop(self) -> None:
        """End the worker for good, from whatever thread: who waits for it is told."""
        self._closed = True
        worker = self._worker
        if worker is not None:
            self._nursery.end(worker.nursery, worker.pid)
            with suppress(OSError):  # its own thread has closed it just now
                worker.channel.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the worker for good; pixels that somebody still holds stay as they are."""
        self.stop()
        self.end()
        if self._given >= 0:
            os.close(self._given)
            os.close(self._shown)
            self._given = self._shown = -1

    def _tried(self, data: bytes, job: Job) -> Iterator[Picture]:
        """Yield what one worker makes of `data`. Raises WorkerLost if it does not live to do so."""
        if self._served >= self._limits.items:
            self.end()
        worker = self.start()
        self._served += 1
        left = self._limits.wall_seconds
        message = job.packed()
        try:
            _write(self._given, data)
            while True:
                asked = time.monotonic()
                self._say(worker, message)
                reply = self._heard(worker, asked + left)
                left -= time.monotonic() - asked
                if reply.kind is not Kind.PICTURE:
                    break
                picture = self._picture(reply)
                try:
                    yield picture
                finally:
                    del picture
                    self._clear()
                if job.most == 0:
                    return
                message = MORE
        except GeneratorExit:
            raise  # the worker waits, and the next job will do as an answer
        except BaseException:
            self.end()  # it may be anywhere in its work
            raise
        if reply.kind is Kind.ERROR:
            raise ImageError(reply.outcome, reply.reason)
        if reply.kind is Kind.BLOAT:
            mebibytes = self._limits.memory // 2**20
            raise self._gone(f"decoding took more than {mebibytes} MiB of memory")
        if reply.kind is not Kind.END:
            raise self._gone("the decoder answered what was not asked")

    def _say(self, worker: _Worker, message: bytes) -> None:
        try:
            worker.channel.send(message)
        except OSError:
            raise self._gone() from None

    def _heard(self, worker: _Worker, deadline: float) -> Reply:
        """Return what the worker says next. Raises WorkerLost if that is nothing or nonsense."""
        before: float | None = None
        while True:
            left = deadline - time.monotonic()
            try:
                worker.channel.settimeout(max(min(left, STALL), 0.001))
                message = worker.channel.recv(MOST_MESSAGE)
                break
            except TimeoutError:
                if left <= STALL:
                    limit = f"{self._limits.wall_seconds:g} s"
                    raise self._gone(f"decoding took more than {limit}") from None
                used = asleep(worker.pid)
                if used is not None and used == before:
                    raise self._gone("the decoder waits for what never comes") from None
                before = used
            except OSError:
                raise self._gone() from None
        if not message:
            raise self._gone()
        try:
            return Reply.unpacked(message)
        except NotUnderstood:
            raise self._gone("the decoder answered what is no answer") from None

    def _gone(self, reason: str = "") -> WorkerLost:
        """End the worker, and return why it is lost: `reason`, or how it ended by itself."""
        self.end()
        if self._closed:
            raise WorkersError(CLOSED)
        code = self.ended[-1].code
        if reason:
            return WorkerLost(reason)
        if code == -signal.SIGPROF:
            seconds = self._limits.cpu_seconds
            return WorkerLost(f"decoding took more than {seconds:g} s of processor time")
        if code < 0:
            return WorkerLost(f"the decoder ended by {signal.Signals(-code).name}")
        return WorkerLost("the decoder ended")

    def _picture(self, reply: Reply) -> Picture:
        size = reply.height * reply.width * 3
        if not 0 < size <= len(self._pixels):
            raise self._gone("the decoder answered what is no answer")
        self._largest = max(self._largest, size)
        pixels = self._pixels[:size].reshape(reply.height, reply.width, 3)
        return Picture(pixels, reply.media_type, reply.damaged, reply.frame)

    def _give_back(self, size: int) -> None:
        """Give back to the system the memory that only a large item needed."""
        if self._closed:
            return
        if size > LARGE:
            os.ftruncate(self._given, 0)
        self._clear()

    def _clear(self) -> None:
        if self._largest > LARGE:
            self._shared.madvise(mmap.MADV_REMOVE)
            self._largest = 0


def _write(descriptor: int, data: bytes) -> None:
    """Write all of `data` at the beginning of a file."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.pwrite(descriptor, rest, len(data) - len(rest)) :]
