"""One worker at a time: the memory it shares, its time, and what is tried when it is lost."""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import signal
import socket
import struct
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
from hashmatch.sandbox.fork_client import POOL_CLOSED, ForkServer, WorkerExit
from hashmatch.sandbox.layers import Layers
from hashmatch.sandbox.protocol import (
    FREE_BYTES,
    GO_ON,
    MAX_FRAMES,
    MAX_MESSAGE_BYTES,
    NEXT_FRAME,
    NEXT_PART,
    PART_BYTES,
    Job,
    MalformedReply,
    Reply,
    ReplyKind,
)
from hashmatch.sandbox.room import PixelRoom

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from hashmatch.sandbox.confinement import WorkerLimits

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
KEPT_BYTES = 48 * 2**20
"""Shared memory that a slot keeps between items, cleared, unless others need it; the rest it gives
back.

Enough for a photograph of 16 megapixels: to get back what was given away takes a fault a page, as
long as decoding does.
"""
EXITS_KEPT = 1000
START_ATTEMPTS = 3
"""Workers in a row that may end before they are ready, until that is no accident."""
WATCHDOG_SECONDS = 0.1
"""Between two looks at a worker that does not answer: one that is asleep at both, and did nothing
between them, is lost, which takes so much less than its time on the wall."""
HARMLESS = {Outcome.UNSUPPORTED, Outcome.TOO_SMALL}
"""Outcomes after which a worker is kept: no decoder has stumbled. After others, and after a picture
that is damaged, the next item has a new one."""
WATCHDOG_TIMEOUT = struct.pack("@ll", 0, int(WATCHDOG_SECONDS * 1e6))
"""The same, as struct timeval."""
SLEEPING = "S"
"""State of a thread (proc_pid_stat(5)) that neither runs nor is about to, nor awaits a disk."""
DEADLOCKED = "decoder deadlocked: all threads asleep and no CPU progress"
MALFORMED = "malformed reply from decode worker"
UNEXPECTED = "unexpected reply from decode worker"

log = logging.getLogger("hashmatch.sandbox")


class WorkerLost(Exception):
    """A worker is gone, and says no more about its item; the message says why."""


class CostTooMuch(WorkerLost):
    """It was ended over the time or memory that its item takes, which another try takes, too."""


@dataclass(slots=True)
class _Given:
    """What an item has had so far, in all its tries: pictures, and seconds that are left to it."""

    seconds: float
    pictures: int = 0
    frames: int = 0
    last_frame: int = -1
    readings: frozenset[str] = frozenset()
    sound: bool = True

    def add(self, picture: Picture, job: Job) -> bool:
        """Count a picture; return whether it may come: asked for, and none before it once more."""
        if picture.reading:
            fits = job.readings and picture.reading not in self.readings
            self.readings |= {picture.reading}
        else:
            fits = picture.frame > self.last_frame and self.frames < max(1, job.most)
            self.last_frame = picture.frame
            self.frames += 1
        self.pictures += 1
        self.sound &= not picture.damaged
        return fits


@dataclass(frozen=True, slots=True)
class _Worker:
    """A process, that of its fork server, and the socket that it answers on."""

    server_pid: int
    pid: int
    channel: socket.socket


class WorkerSlot:
    """Decodes one item at a time, in the worker that it has at the moment."""

    _most_pixels = staticmethod(decode_limits.most_decoded_pixels)
    """Pixels for which there has to be room, of three bytes each."""

    def __init__(
        self, server: ForkServer, limits: WorkerLimits, room: PixelRoom | None = None
    ) -> None:
        self.layers = Layers(0)
        self.exits: deque[WorkerExit] = deque(maxlen=EXITS_KEPT)
        self._server = server
        self._limits = limits
        self._room = room or PixelRoom()
        self._free = FREE_BYTES
        self._worker: _Worker | None = None
        self._items_served = 0
        self._input_size = self._used = 0
        self._closed = False
        self._input_fd = self._pixels_fd = -1
        try:
            self._input_fd = self._open_input()
            self._pixels_fd = os.memfd_create(
                "hashmatch-pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
            )
            size = 3 * self._most_pixels()
            os.ftruncate(self._pixels_fd, size)
            # A worker that cut it short would end this process by its next look at it.
            fcntl.fcntl(self._pixels_fd, fcntl.F_ADD_SEALS, SEALS)
            self._mapping = mmap.mmap(self._pixels_fd, size)
        except OSError as error:
            self._close_shared()
            raise WorkersError(f"cannot start decode workers: {error.strerror}") from None
        self._pixels = np.frombuffer(self._mapping, np.uint8)

    def _open_input(self) -> int:
        """Return the descriptor of the file that workers read from."""
        return os.memfd_create("hashmatch-item")

    @property
    def pid(self) -> int | None:
        """The number of the worker's process; None if there is none at the moment."""
        return self._worker.pid if self._worker is not None else None

    def decode(
        self, data: bytes, most: int, readings: bool, exif: bool = False
    ) -> Generator[Picture]:
        """Yield what a worker makes of `data`, trying again if it is lost.

        `most`, `readings` and `exif` are as in `Job`.

        Raises ImageError as in-process decoding does, and ``failed`` once all tries have lost a
        worker, or one to the time or memory that the item takes.
        """
        given = _Given(self._limits.wall_seconds)
        begun = True
        reason = ""
        tries = self._limits.tries
        self._room.begin(self)
        try:
            for attempt in range(1, tries + 1):
                try:
                    job = Job(len(data), min(most, MAX_FRAMES), given.pictures, readings, exif)
                    yield from self._attempt(data, job, given)
                    begun = False
                    return
                except WorkerLost as lost:
                    reason = str(lost)
                    log.warning("decode worker lost, try %d of %d: %s", attempt, tries, reason)
                    if isinstance(lost, CostTooMuch):
                        raise ImageError(Outcome.FAILED, reason) from None
            raise ImageError(
                Outcome.FAILED, f"{reason}, in each of {tries} tries" if tries > 1 else reason
            )
        except OSError as error:  # out of memory, or of descriptors
            self.end_worker()
            raise WorkersError(f"cannot decode in a worker: {error.strerror}") from None
        except ImageError as error:
            given.sound &= error.outcome in HARMLESS
            raise
        finally:
            if not given.sound:
                self.end_worker()  # whatever that file left in it is not to meet the next one
            self._clear(begun)
            self._free = FREE_BYTES
            self._room.keep(self, KEPT_BYTES)

    def start(self) -> _Worker:
        """Return a worker that is ready. Raises WorkersError if none can be started."""
        if self._worker is not None:
            return self._worker
        for _ in range(START_ATTEMPTS):
            if self._closed:
                raise WorkersError(POOL_CLOSED)
            channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            # The kernel's own timeouts: those of Python take three more system calls a message.
            for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                channel.setsockopt(socket.SOL_SOCKET, direction, WATCHDOG_TIMEOUT)
            with theirs:
                descriptors = (theirs.fileno(), self._input_fd, self._pixels_fd)
                try:
                    worker = _Worker(*self._server.fork(descriptors), channel)
                except BaseException:
                    channel.close()
                    raise
            self._worker = worker
            self._items_served = 0
            with suppress(WorkerLost):
                ready = self._reply(worker, time.monotonic() + self._limits.wall_seconds)
                if ready.kind is not ReplyKind.READY:
                    raise self._lose(UNEXPECTED)
                self.layers = Layers(ready.frame & sum(layer.value for layer in Layers))
                return worker
        raise WorkersError("cannot start decode workers: they end before they are ready")

    def end_worker(self) -> None:
        """End the worker, whatever it does."""
        worker, self._worker = self._worker, None
        if worker is not None:
            self.exits.append(self._server.end(worker.server_pid, worker.pid))
            worker.channel.close()

    def abort(self) -> None:
        """End the worker for good, from any thread: a call that waits for it gets an error."""
        self._closed = True
        worker = self._worker
        if worker is not None:
            self._server.end(worker.server_pid, worker.pid)
            with suppress(OSError):  # its own thread has closed it just now
                worker.channel.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the worker for good; pixels that somebody still holds stay as they are."""
        self.abort()
        self.end_worker()
        self._close_shared()
        self._room.drop(self)

    def _close_shared(self) -> None:
        for descriptor in {self._input_fd, self._pixels_fd} - {-1}:
            os.close(descriptor)
        self._input_fd = self._pixels_fd = -1

    def replaced(self) -> WorkerSlot:
        """Close this slot, in whatever thread it is held, and return one in its place."""
        other = WorkerSlot(self._server, self._limits, self._room)
        self.close()
        other.layers, other.exits = self.layers, self.exits
        return other

    def _attempt(self, data: bytes, job: Job, given: _Given) -> Iterator[Picture]:
        """Yield what one worker makes of `data`. Raises WorkerLost if it does not live to do so."""
        if self._items_served >= self._limits.items:
            self.end_worker()
        worker = self.start()
        self._items_served += 1
        message = job.packed()
        part = 0
        try:
            self._write_input(memoryview(data)[:PART_BYTES])
            while True:
                asked = time.monotonic()
                self._send(worker, message)
                reply = self._reply(worker, asked + given.seconds)
                given.seconds -= time.monotonic() - asked
                if reply.kind is ReplyKind.NEXT_PART and (part := part + PART_BYTES) < len(data):
                    self._write_input(memoryview(data)[part : part + PART_BYTES])
                    message = NEXT_PART
                    continue
                if reply.kind is ReplyKind.ROOM:
                    self._free = max(self._free, self._size(reply))
                    self._room.claim(self, self._free)
                    message = GO_ON
                    continue
                if reply.kind is not ReplyKind.PICTURE:
                    break
                picture = self._picture(reply)
                if not given.add(picture, job):
                    raise self._lose(UNEXPECTED)
                try:
                    yield picture
                finally:
                    del picture
                    self._clear_pixels()
                if job.most == 0:
                    return
                message = NEXT_FRAME
        except GeneratorExit:
            raise  # the worker waits, and the next job will do as an answer
        except BaseException:
            self.end_worker()  # it may be anywhere in its work
            raise
        if reply.kind is ReplyKind.ERROR:
            raise ImageError(reply.outcome, reply.reason)
        if reply.kind is ReplyKind.OUT_OF_MEMORY:
            mebibytes = self._limits.memory // 2**20
            raise CostTooMuch(str(self._lose(f"decoding took more than {mebibytes} MiB of memory")))
        if reply.kind is not ReplyKind.END:
            raise self._lose(UNEXPECTED)

    def _write_input(self, data: memoryview) -> None:
        """Leave a worker `data` to read, and nothing of what there was before."""
        if len(data) < self._input_size:
            os.ftruncate(self._input_fd, len(data))
        self._input_size = len(data)
        rest = data
        while rest:
            rest = rest[os.pwrite(self._input_fd, rest, len(data) - len(rest)) :]

    def _send(self, worker: _Worker, message: bytes) -> None:
        try:
            worker.channel.send(message)
        except OSError:
            raise self._lose() from None

    def _reply(self, worker: _Worker, deadline: float) -> Reply:
        """Return what the worker says next. Raises WorkerLost if that is nothing or nonsense."""
        try:
            return Reply.unpacked(self._receive(worker, deadline))
        except MalformedReply:
            raise self._lose(MALFORMED) from None

    def _receive(self, worker: _Worker, deadline: float) -> bytes:
        """Return the worker's next message. Raises WorkerLost if it does not come."""
        before: float | None = None
        while True:
            if time.monotonic() >= deadline:
                limit = f"{self._limits.wall_seconds:g} s"
                raise CostTooMuch(str(self._lose(f"decoding took more than {limit}")))
            try:
                message = worker.channel.recv(MAX_MESSAGE_BYTES)
                break
            except BlockingIOError:
                used = idle_cpu_seconds(worker.pid)
                if used is not None and used == before:
                    raise self._lose(DEADLOCKED) from None
                before = used
            except OSError:
                raise self._lose() from None
        if not message:
            raise self._lose()
        return message

    def _lose(self, reason: str = "") -> WorkerLost:
        """End the worker, and return why it is lost: `reason`, or how it ended by itself."""
        self.end_worker()
        if self._closed:
            raise WorkersError(POOL_CLOSED)
        code = self.exits[-1].code
        if reason:
            return WorkerLost(reason)
        if code == -signal.SIGPROF:
            return CostTooMuch(f"decoding took more than {self._processor_time()}")
        if code < 0:
            return WorkerLost(f"the decoder ended by {signal.Signals(-code).name}")
        return WorkerLost("the decoder ended")

    def _processor_time(self) -> str:
        """Return what an item may take at most, for a reason."""
        return f"{self._limits.cpu_seconds:g} s of processor time"

    def _picture(self, reply: Reply) -> Picture:
        size = self._size(reply)
        if size > self._free:
            raise self._lose(UNEXPECTED)
        self._used = max(self._used, size)
        pixels = self._pixels[:size].reshape(reply.height, reply.width, 3)
        return Picture(pixels, reply.media_type, reply.damaged, reply.frame, reply.reading)

    def _size(self, reply: Reply) -> int:
        """Return how many bytes a picture has, for which there is room at all."""
        size = reply.height * reply.width * 3
        if not 0 < size <= len(self._pixels):
            raise self._lose(MALFORMED)
        return size

    def give_back(self) -> None:
        """Give back what it keeps between items."""
        self._mapping.madvise(mmap.MADV_REMOVE)

    def _clear(self, begun: bool) -> None:
        """Leave nothing of an item in what is shared: the next is another person's."""
        if self._closed:
            return
        if begun:  # a picture that never came may be there in part, anywhere
            self._mapping.madvise(mmap.MADV_REMOVE)
            self._used = 0
        self._clear_pixels()

    def _clear_pixels(self) -> None:
        """Clear what pictures have used, and give back what is more than a slot keeps."""
        self._pixels[: min(self._used, KEPT_BYTES)] = 0
        if self._used > KEPT_BYTES:
            self._mapping.madvise(mmap.MADV_REMOVE, KEPT_BYTES)
        self._used = 0


def idle_cpu_seconds(pid: int) -> float | None:
    """Return the processor time, in seconds, of a process all of whose threads are asleep.

    None while some thread is at work, or where the system does not tell. A decoder asks nobody for
    anything: if it is asleep without an answer, and still is at the same processor time a moment
    later, then nothing will ever wake it. That it is slow, or that a busy machine lets it wait,
    looks otherwise: some thread of it is ready to run.

    Examples
    --------
    >>> idle_cpu_seconds(os.getpid()) is None
    True
    """
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            stat = Path(f"/proc/{pid}/task/{thread}/stat").read_text()
            if stat[stat.rindex(")") + 2] != SLEEPING:  # the name before may hold anything
                return None
        # The number that pthread_getcpuclockid(3) makes of a process.
        return time.clock_gettime((~pid << 3) | 2)
    except (OSError, ValueError, IndexError):
        return None
