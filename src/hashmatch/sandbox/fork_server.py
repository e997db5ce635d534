"""A small process that has imported the decoders, and forks a worker whenever one is asked for.

A fresh interpreter takes some tenths of a second to import them; a fork of one that has, a few
milliseconds. This one has a single thread and never sees an item, so forking it is safe, and it
starts from a clean environment, so no worker holds the keys that a host keeps in its own.
"""

from __future__ import annotations

import ctypes
import gc
import io
import os
import resource
import select
import signal
import socket
import warnings
from contextlib import suppress
from functools import partial
from importlib import import_module
from mmap import mmap
from typing import TYPE_CHECKING

import numpy as np
from PIL import AvifImagePlugin, Image

from hashmatch.decode import formats, tiff_samples
from hashmatch.decode.policy import decode_image
from hashmatch.sandbox import privileges, protocol, worker
from hashmatch.sandbox.confinement import WorkerLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmatch.sandbox.layers import Layers

    Run = Callable[[socket.socket, int, mmap, WorkerLimits, Layers], None]

PR_SET_PDEATHSIG = 1


def main(descriptor: int, decoder: str, *numbers: float) -> None:
    """Serve one pool until it closes or its process ends.

    `descriptor` is that of the socket to the pool, `decoder` the function to decode with, as
    ``module:name``, `numbers` the fields of `WorkerLimits`. Its module may have a ``warm_up`` and a
    ``serve`` of its own, instead of those for pictures.
    """
    channel = socket.socket(fileno=descriptor)
    cpu, wall, *counts = numbers
    limits = WorkerLimits(cpu, wall, *map(int, counts))
    try:
        privileges.undumpable()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pool closes its workers itself
        warnings.simplefilter("ignore")
        module, _, name = decoder.partition(":")
        made = import_module(module)
        run = partial(getattr(made, "serve", worker.serve), decode=getattr(made, name))
        getattr(made, "warm_up", _warm_up)()
        gc.freeze()  # a collection in a worker would copy every page of what it inherited
    except Exception as error:
        channel.send(f"{type(error).__name__}: {error}".encode()[:2000])
        return
    channel.send(protocol.SERVER_READY)
    with suppress(ConnectionError):
        _serve(channel, limits, run)


def _warm_up() -> None:
    """Have every decoder load all that it will need: a worker can open no file."""
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # a worker can make no thread either
    if formats.HEIF in formats.FORMATS:
        from pillow_heif import options, register_heif_opener  # noqa: F401

        options.DECODE_THREADS = 1
    if tiff_samples.READABLE:
        with suppress(Exception):
            tiff_samples.load_codecs()
    Image.init()
    picture = Image.new("RGB", (16, 16), "white")
    for name in formats.FORMATS:
        with suppress(Exception):  # a format that cannot be written here, or not read either
            file = io.BytesIO()
            if name == formats.HEIF:
                from pillow_heif import from_pillow

                from_pillow(picture).save(file)
            elif name == formats.JXL:
                from imagecodecs import jpegxl_encode

                file.write(jpegxl_encode(np.asarray(picture)))
            else:
                picture.save(file, name)
            decode_image(file.getvalue())


def _serve(channel: socket.socket, limits: WorkerLimits, run: Run) -> None:
    workers: set[int] = set()
    waiting = select.poll()
    waiting.register(channel, select.POLLIN)
    with suppress(OSError):  # where there is none, the socket's end has to do
        waiting.register(os.pidfd_open(os.getppid()), select.POLLIN)
    while all(descriptor == channel.fileno() for descriptor, _ in waiting.poll()):
        message, descriptors, _, _ = socket.recv_fds(channel, 64, 3)
        if not message:
            return
        request, number, pid = protocol.REQUEST.unpack(message)
        if request == protocol.FORK_REQUEST:
            pid = _fork(channel, descriptors, limits, run)
            workers |= {pid} - {0}
            channel.send(protocol.FORK_REPLY.pack(number, pid))
        else:
            ended = _end(pid) if pid in workers else (0, 0, 0.0)
            channel.send(protocol.END_REPLY.pack(number, *ended))
            workers.discard(pid)  # the number may be another process's from now on


def _fork(channel: socket.socket, descriptors: list[int], limits: WorkerLimits, run: Run) -> int:
    """Return the number of a new worker; 0 if the system has none."""
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        pid = -1
    if pid == 0:
        code = 1
        try:
            channel.close()
            _run_worker(parent, descriptors, limits, run)
            code = 0
        finally:
            os._exit(code)  # whatever happened: nothing of the server's is to run here
    for descriptor in descriptors:
        os.close(descriptor)
    return max(pid, 0)


def _run_worker(parent: int, descriptors: list[int], limits: WorkerLimits, run: Run) -> None:
    channel, item, pixels = descriptors
    shared = mmap(pixels, 0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    kept = {0, 1, 2, channel, item}
    highest = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    low = 3
    for number in sorted(kept - {0, 1, 2}):
        os.closerange(low, number)
        low = number + 1
    os.closerange(low, highest)
    layers = privileges.drop()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before that was heard
        return
    run(socket.socket(fileno=channel), item, shared, limits, layers)


def _end(pid: int) -> tuple[int, int, float]:
    """End a worker if it has not ended yet, and return how it did: status, KiB, seconds."""
    os.kill(pid, signal.SIGKILL)  # one that has ended waits to be asked about, under its number
    _, status, usage = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss, usage.ru_utime + usage.ru_stime
