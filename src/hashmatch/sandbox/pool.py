"""DecodePool: pictures decoded in workers that are closed in, hashed here."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.decode import limits as decode_limits
from hashmatch.decode.exif_tags import unpacked
from hashmatch.decode.inputs import ImageInput, load
from hashmatch.decode.policy import decode_image
from hashmatch.decode.video_inputs import OpenVideo, VideoInput, open_video
from hashmatch.errors import UsageError, WorkersError, install
from hashmatch.records.safeguards import Safeguard, waive
from hashmatch.sandbox import privileges
from hashmatch.sandbox.confinement import WorkerLimits
from hashmatch.sandbox.fork_client import ONE_ITEM_ENVIRONMENT, POOL_CLOSED, ForkServer
from hashmatch.sandbox.layers import REQUIRED, Layers, describe
from hashmatch.sandbox.room import PixelRoom
from hashmatch.sandbox.slot import EXITS_KEPT, WorkerSlot
from hashmatch.sandbox.video_slot import VideoEnd, VideoFrame, VideoSlot, VideoStream

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from types import TracebackType

    from hashmatch.decode.policy import Picture
    from hashmatch.sandbox.fork_client import WorkerExit

log = logging.getLogger("hashmatch.sandbox")
log.addHandler(logging.NullHandler())  # nothing on stderr unless the host asks for it

SLOW_SECONDS = 0.1
"""Time at one item, of which a photograph takes some milliseconds, after which its slot does not
count as one that works: a hostile file may hold a slot for the time of all its tries, and the
others would wait for it."""
SPARE_SLOTS = 4
"""Slots there are besides, at least, for those that are slow; none has a worker until then."""
VIDEO_LIBRARIES = 256 * 2**20
"""Bytes of address space that FFmpeg's libraries take."""
HELD_SECONDS = 60.0
"""Time for which an iterator may hold a slot without asking for more while others wait for one: a
thousand times as long as hashing takes."""


class WorkerSlots:
    """Slots of which `count` (at least 1) work at once, and others instead of slow ones.

    A slot whose picture the caller of the iterator has is held. When there is no other, one that is
    held for `HELD_SECONDS` is taken back: another comes in its place, with memory of its own.
    """

    def __init__(self, server: ForkServer, limits: WorkerLimits, count: int) -> None:
        self.count = count
        self._room = PixelRoom()
        self.all: list[WorkerSlot] = []
        try:
            for _ in range(count + max(count, SPARE_SLOTS)):
                self.all.append(WorkerSlot(server, limits, self._room))
        except WorkersError:
            for slot in self.all:
                slot.close()
            server.close()
            raise
        self._idle = self.all[::-1]
        self._busy: dict[WorkerSlot, float] = {}
        self._slow: set[WorkerSlot] = set()
        self._held: dict[WorkerSlot, float] = {}
        self._closed = False
        self._changed = threading.Condition()

    def start(self) -> None:
        """Start the workers of the slots that work when none is slow."""
        for slot in self.all[: self.count]:
            slot.start()

    def acquire(self) -> WorkerSlot:
        """Return a slot that nobody uses, waiting for one; WorkersError if they are closed."""
        with self._changed:
            while not self._closed:
                if self._idle and len(self._busy) - len(self._slow) < self.count:
                    slot = self._idle.pop()  # the latest, whose memory is still in the cache
                    self._busy[slot] = time.monotonic()
                    return slot
                if not self._discount_slow() and not self._take_back():
                    self._changed.wait(SLOW_SECONDS)
        raise WorkersError(POOL_CLOSED)

    def hold(self, slot: WorkerSlot) -> None:
        """Note that the caller has what a slot has decoded."""
        with self._changed:
            self._held[slot] = time.monotonic()

    def resume(self, slot: WorkerSlot) -> None:
        """Note that a slot is asked for more; WorkersError if it was taken back."""
        with self._changed:
            if self._held.pop(slot, None) is None:
                raise WorkersError(
                    f"cannot decode on: nothing was asked of this iterator for {HELD_SECONDS:g} s, "
                    "while others waited. Take pictures as they come, and close what you leave."
                )

    def release(self, slot: WorkerSlot) -> None:
        """Let others have a slot."""
        with self._changed:
            if slot not in self._busy:
                return  # it was taken back
            del self._busy[slot]
            self._held.pop(slot, None)
            self._slow.discard(slot)
            self._idle.append(slot)
            if self._closed:
                slot.close()
            self._changed.notify()

    def close(self) -> None:
        """End all workers for good; slots in use are closed when they are released."""
        with self._changed:
            self._closed = True
            for slot in self.all:
                slot.abort()
            self._room.close()
            for slot in self._idle:
                slot.close()
            self._changed.notify_all()

    def _discount_slow(self) -> bool:
        """Count those out that are slow; return whether there are more than there were."""
        before = len(self._slow)
        latest = time.monotonic() - SLOW_SECONDS
        self._slow |= {slot for slot in self.all if self._busy.get(slot, latest) < latest}
        return len(self._slow) > before

    def _take_back(self) -> bool:
        """Replace a slot that is held for too long, if none is idle; return whether there was."""
        latest = time.monotonic() - HELD_SECONDS
        for place, slot in enumerate(self.all):
            if not self._idle and self._held.get(slot, latest) < latest:
                self.all[place] = slot.replaced()
                del self._busy[slot], self._held[slot]
                self._slow.discard(slot)
                self._idle.append(self.all[place])
                log.warning("decode worker taken back: held by an iterator for %g s", HELD_SECONDS)
                return True
        return False


class DecodePool:
    """Decodes untrusted pictures in processes of their own. Safe to use from several threads.

    Each worker has one item at a time. It is closed in by every layer that the kernel offers, and
    what a file does to it, to crash, hang or fill its memory, costs that file one of its tries.
    Pixels come back in shared memory, the same as in-process decoding gives, and are hashed here.

    The logger ``hashmatch.sandbox`` has a line when a pool starts, with the layers that are on
    (INFO), and one for each worker that is lost (WARNING). Where a layer of `REQUIRED` is missing,
    and that is allowed, no other process without more rights can read the memory of this one from
    then on, nor debug it: a worker is of the same user.

    Parameters
    ----------
    workers : int, optional
        Processes that decode at once; by default one for each core that this process may use.
    limits : WorkerLimits, optional
        What one item may cost.
    require : Layers
        Layers without which no worker is used; what is missing besides is a
        `hashmatch.records.safeguards.Waiver`.

    Raises
    ------
    WorkersError
        If workers cannot be started; if the kernel, or the container around, does not offer what
        they `require`.
    UsageError
        If `workers` is less than 1.

    Examples
    --------
    >>> import hashmatch as hm
    >>> with hm.DecodePool(workers=1) as pool:
    ...     hashed = hm.hash_all(b"not a picture", ["pdq"], decode=pool.pictures)
    >>> hashed[0].outcome.value
    'unsupported'
    """

    _decoder = "hashmatch.sandbox.worker:decode_job"
    """What workers decode with; tests have others."""
    _video_decoder = "hashmatch.sandbox.video_worker:decode_video"

    def __init__(
        self,
        workers: int | None = None,
        limits: WorkerLimits | None = None,
        *,
        require: Layers = REQUIRED,
    ) -> None:
        count = len(os.sched_getaffinity(0)) if workers is None else workers
        if count < 1:
            raise UsageError(f"cannot start {workers} workers. Give 1 or more")
        self.limits = WorkerLimits() if limits is None else limits
        self._owner_pid = os.getpid()
        self._server = ForkServer(self.limits, self._decoder)
        self._slots = WorkerSlots(self._server, self.limits, count)
        self._videos = VideoSlots(self._video_decoder, self.limits, count)
        self._end = weakref.finalize(
            self, _close, self._owner_pid, self._slots, self._server, self._videos
        )
        try:
            self._slots.start()
            self._check(require)
        except BaseException:
            self.close()
            raise
        log.info("decode pool started: workers=%d, layers=%s", count, self.report)

    def _check(self, require: Layers) -> None:
        """Refuse workers that are confined by less than they ought to be."""
        missing = REQUIRED & ~self.layers
        if missing:
            names = " or ".join(str(layer.name).lower() for layer in missing)
            waive(
                Safeguard.SANDBOX,
                "start decode workers",
                f"the kernel, or the container around, offers no {names}",
                error=WorkersError,
                allowed=not missing & require,
            )
            # Limits keep a worker from files and sockets, not from the memory of its own user.
            privileges.undumpable()

    @property
    def workers(self) -> int:
        """Processes that decode at once."""
        return self._slots.count

    @property
    def layers(self) -> Layers:
        """What closes every worker in."""
        common = ~Layers(0)
        for slot in self._slots.all[: self.workers]:
            common &= slot.layers
        return common

    @property
    def report(self) -> str:
        """One line on what closes the workers in, and what does not."""
        return describe(self.layers)

    @property
    def exits(self) -> list[WorkerExit]:
        """How the latest workers ended, for tests and measurements."""
        return [ended for slot in self._slots.all for ended in slot.exits] + [*self._videos.exits]

    @property
    def pids(self) -> list[int]:
        """The processes that there are at the moment: the fork server's first, then workers'."""
        return [self._server.pid, *(slot.pid for slot in self._slots.all if slot.pid is not None)]

    def pictures(self, image: ImageInput, frames: bool = False) -> Generator[Picture]:
        """Decode a file as `hashmatch.hash_all` asks for it: without copying a pixel.

        Pixels are a view of shared memory, and each picture's are there until the next is asked
        for or the iterator ends. To keep them, use `decode_image` or `decode_frames`.

        Parameters
        ----------
        image : path, bytes, file object or ndarray of uint8
            As for `hashmatch.decode_image`. An array is pixels already, and is left as it is.
        frames : bool
            As `hashmatch.decode_frames` does, and behind the first picture what others read in it,
            which has a `reading`; else the picture alone.

        Yields
        ------
        Picture
            Its pixels are uint8 of shape (height, width, 3).

        Raises
        ------
        ImageError
            As in-process decoding does; besides ``failed``, with its reason, if each try lost a
            worker.
        UsageError
            If `image` is an open Pillow image, which this process has begun to parse.
        WorkersError
            If the pool is closed; if workers end before they are ready; or if nothing was asked
            for a minute while others waited for a worker, and this one was given to them.
        """
        yield from self._decode(image, decode_limits.FRAMES if frames else 0, readings=frames)

    def decode_image(self, image: ImageInput) -> Picture:
        """Return what `hashmatch.decode_image` returns, decoded in a worker.

        Parameters
        ----------
        image : path, bytes, file object or ndarray of uint8
            As for `pictures`.

        Returns
        -------
        Picture
            Its pixels are uint8 of shape (height, width, 3), and the caller's own.

        Raises
        ------
        ImageError, UsageError, WorkersError
            As `pictures` does.
        """
        (picture,) = map(_copied, self._decode(image, 0))
        return picture

    def decode_frames(
        self, image: ImageInput, most: int = decode_limits.FRAMES
    ) -> Iterator[Picture]:
        """Return what `hashmatch.decode_frames` returns, decoded in a worker.

        Parameters
        ----------
        image : path, bytes, file object or ndarray of uint8
            As for `pictures`.
        most : int
            Frames given, the first one included.

        Returns
        -------
        iterator of Picture
            Pixels are uint8 of shape (height, width, 3), and the caller's own.

        Raises
        ------
        UsageError
            If `most` is less than 1; when the first frame is asked for, as `pictures` does.
        ImageError, WorkersError
            When a frame is asked for, as `pictures` does.
        """
        if most < 1:
            raise UsageError(f"cannot give {most} frames. Ask for 1 at least (most)")
        return map(_copied, self._decode(image, most))

    def exif_tags(self, image: ImageInput) -> str:
        """Return the EXIF tags of a file, read in a worker.

        Parameters
        ----------
        image : path, bytes or file object
            The file.

        Returns
        -------
        str
            A line for each tag, ``Model: a camera``; empty if there are none.

        Raises
        ------
        ImageError, UsageError, WorkersError
            As `pictures` does.
        """
        (text,) = [unpacked(picture) for picture in self._decode(image, 0, exif=True)]
        return text

    def decode_video(
        self, video: VideoInput, every: float | None = 1.0
    ) -> Generator[VideoStream | VideoFrame | VideoEnd]:
        """Decode a video in a worker of its own, which ends with it.

        At most `workers` videos are decoded at once, beside pictures; others wait. What a video may
        cost is in `hashmatch.decode.limits`, and its memory and its time on the clock, for each
        frame, in `limits`.

        Parameters
        ----------
        video : path, bytes, file object or OpenVideo
            As for `hashmatch.hash_video`.
        every : float, optional
            Seconds between two frames by vPDQ's rule, 0 for every frame; None for key frames.

        Yields
        ------
        VideoStream, then VideoFrame, then VideoEnd
            One of the first and the last kind, and as many frames as there are. A frame's planes
            are there until the next is asked for.

        Raises
        ------
        ImageError
            With the outcome of a video of which no frame was decoded.
        WorkersError
            If the pool is closed, or workers cannot be started, as without the extra ``video``.
        """
        if os.getpid() != self._owner_pid:
            raise WorkersError("cannot use a decode pool in a fork of its process. Make another.")
        with open_video(video) as opened, self._videos.slot(opened) as slot:
            yield from slot.decode_video(every)

    def close(self) -> None:
        """End every process of the pool; calls that wait for one get an error. Once is enough."""
        self._end()

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _decode(
        self, image: ImageInput, most: int, readings: bool = False, exif: bool = False
    ) -> Iterator[Picture]:
        loaded = load(image)
        if exif and loaded.pixels is not None:
            raise UsageError("cannot read EXIF tags of pixels. Pass the file or its bytes.")
        if loaded.error is not None or isinstance(loaded.pixels, np.ndarray):
            yield decode_image(loaded)
            return
        if loaded.data is None:
            raise UsageError("cannot decode an open image in a worker. Pass its file or its bytes.")
        if os.getpid() != self._owner_pid:
            raise WorkersError("cannot use a decode pool in a fork of its process. Make another.")
        slot = self._slots.acquire()
        try:
            with closing(slot.decode(loaded.data, most, readings, exif)) as pictures:
                for picture in pictures:
                    self._slots.hold(slot)
                    yield picture
                    del picture
                    self._slots.resume(slot)
        finally:
            self._slots.release(slot)


def _copied(picture: Picture) -> Picture:
    return replace(picture, pixels=picture.pixels.copy())


class VideoSlots:
    """Slots for videos, of which `count` work at once; their fork server starts with the first."""

    def __init__(self, decoder: str, limits: WorkerLimits, count: int) -> None:
        # FFmpeg's libraries are mapped besides what decodes pictures.
        self._limits = replace(limits, address_space=limits.address_space + VIDEO_LIBRARIES)
        self._decoder = decoder
        self._free = threading.BoundedSemaphore(count)
        self._lock = threading.Lock()
        self._server: ForkServer | None = None
        self._busy: set[VideoSlot] = set()
        self._closed = False
        self.exits: deque[WorkerExit] = deque(maxlen=EXITS_KEPT)

    @contextmanager
    def slot(self, video: OpenVideo) -> Iterator[VideoSlot]:
        """Give a slot for one video, waiting for its turn; WorkersError if they are closed."""
        with self._free:
            with self._lock:
                if self._closed:
                    raise WorkersError(POOL_CLOSED)
                if self._server is None:
                    self._server = self._started()
                slot = VideoSlot(self._server, self._limits, video)
                self._busy.add(slot)
            try:
                yield slot
            finally:
                with self._lock:
                    self._busy.discard(slot)
                slot.end_worker()
                self.exits += slot.exits
                slot.close()

    def close(self) -> None:
        """End all workers for good; what is asked of a slot then is an error."""
        with self._lock:
            self._closed = True
            for slot in self._busy:
                slot.abort()
            if self._server is not None:
                self._server.close()

    def _started(self) -> ForkServer:
        if find_spec("av") is None:
            raise WorkersError(f"cannot decode videos: PyAV is not installed. {install('video')}")
        return ForkServer(self._limits, self._decoder, ONE_ITEM_ENVIRONMENT)


def _close(owner_pid: int, slots: WorkerSlots, server: ForkServer, videos: VideoSlots) -> None:
    """Close a pool; apart from it, so that it can be done when nobody has it any more."""
    if os.getpid() != owner_pid:
        return  # a fork of the process that the pool is of
    videos.close()
    slots.close()
    server.close()
