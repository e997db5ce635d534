"""What runs in a worker: read an item, decode it, put its pixels into shared memory, answer.

It imports `hashmatch.decode` and nothing above: no numba, no list, no network.
"""

from __future__ import annotations

import gc
import io
import os
import signal
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.decode.animation import decode_all
from hashmatch.decode.exif_tags import exif_tags, packed
from hashmatch.decode.policy import decode_file
from hashmatch.records.images import ImageError
from hashmatch.sandbox.confinement import confine
from hashmatch.sandbox.protocol import (
    FREE_BYTES,
    GO_ON,
    MAX_MESSAGE_BYTES,
    NEXT_PART,
    PART_BYTES,
    Job,
    Reply,
    ReplyKind,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable
    from mmap import mmap

    from numpy.typing import NDArray

    from hashmatch.decode.policy import Picture
    from hashmatch.sandbox.confinement import WorkerLimits
    from hashmatch.sandbox.layers import Layers

    Decode = Callable[[bytes, Job, NDArray[np.uint8]], Iterable[Picture]]


def decode_job(data: bytes, job: Job, pixels: NDArray[np.uint8]) -> Iterable[Picture]:
    """Return what `job` asks for of the file `data`.

    A picture alone is made in the memory of `pixels` if it fits into what may be used
    without asking, and needs no turning.
    """
    if job.exif:
        return [packed(exif_tags(data))]
    if job.most:
        return decode_all(data, job.most, readings=job.readings)
    return [decode_file(data, pixels[:FREE_BYTES])]


def serve(
    channel: socket.socket,
    item: int,
    shared: mmap,
    limits: WorkerLimits,
    layers: Layers,
    *,
    decode: Decode,
) -> None:
    """Confine this process, and answer jobs until the other end closes.

    `item` is the descriptor of the file that has the bytes of each item; pixels go to `shared`.
    `layers` hold already.
    Processor time is the kernel's to watch, as no decoder can be interrupted.
    """
    pixels = np.frombuffer(shared, np.uint8)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # whose default is to end the process at once
    layers |= confine(limits.address_space, limits.memory)
    channel.send(Reply(ReplyKind.READY, frame=layers.value).packed())
    message = channel.recv(MAX_MESSAGE_BYTES)
    gc.disable()
    while message:
        gc.collect()  # what is in a circle would wait, and be read by the next item
        job = Job.unpacked(message)
        signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
        message = _answer(channel, item, pixels, job, decode)


def _answer(
    channel: socket.socket, item: int, pixels: NDArray[np.uint8], job: Job, decode: Decode
) -> bytes:
    """Answer one job; return the message that follows it."""
    try:
        data = _read_item(channel, item, job.size)
        room = FREE_BYTES
        for picture in islice(decode(data, job, pixels), job.skip, None):
            if picture.pixels.size > room:
                room = picture.pixels.size
                channel.send(_reply(ReplyKind.ROOM, picture).packed())
                message = channel.recv(MAX_MESSAGE_BYTES)
                if message != GO_ON:
                    return message
            channel.send(_publish(picture, pixels).packed())
            del picture  # the next frame is made beside the shared pixels alone
            message = channel.recv(MAX_MESSAGE_BYTES)
            if message[:1] == b"J" or not message:
                return message
        reply = Reply(ReplyKind.END)
    except ImageError as error:
        reply = Reply(ReplyKind.ERROR, error.outcome, reason=error.reason)
    except MemoryError:
        reply = Reply(ReplyKind.OUT_OF_MEMORY)
    channel.send(reply.packed())
    return channel.recv(MAX_MESSAGE_BYTES)


def _read_item(channel: socket.socket, item: int, size: int) -> bytes:
    """Return the bytes of an item, asking for part after part where it has several."""
    if size <= PART_BYTES:
        return os.pread(item, size, 0)
    whole = io.BytesIO()
    while True:
        whole.write(os.pread(item, min(size - whole.tell(), PART_BYTES), 0))
        if whole.tell() == size:
            return whole.getvalue()
        channel.send(Reply(ReplyKind.NEXT_PART).packed())
        if channel.recv(MAX_MESSAGE_BYTES) != NEXT_PART:
            raise ConnectionError


def _publish(picture: Picture, pixels: NDArray[np.uint8]) -> Reply:
    """Put a picture into the shared memory, and return what is said of it."""
    flat = picture.pixels.reshape(-1)
    if flat.ctypes.data != pixels.ctypes.data:  # else they were made there
        pixels[: flat.size] = flat
    return _reply(ReplyKind.PICTURE, picture)


def _reply(kind: ReplyKind, picture: Picture) -> Reply:
    height, width = picture.pixels.shape[:2]
    return Reply(
        kind,
        media_type=picture.media_type,
        damaged=picture.damaged,
        height=height,
        width=width,
        frame=picture.frame,
        reading=picture.reading,
    )
