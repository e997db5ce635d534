"""A decoder for tests, run in a worker: does what the first bytes of an item say."""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import socket
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

import hashmatch as hm
from hashmatch.decode.policy import Picture, decode_image
from hashmatch.sandbox import worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from hashmatch.sandbox.protocol import Job


class HookedPool(hm.DecodePool):
    """A pool whose workers do what items say."""

    _decoder = "worker_hooks:decode"


NEVER: list[bytearray] = []


def decode(data: bytes, job: Job, pixels: NDArray[np.uint8]) -> Iterable[Picture]:
    """Decode `data`, unless it asks for something else."""
    if not data.startswith(b"!"):
        return worker.decode_job(data, job, pixels)
    name, _, rest = data[1:].decode().partition(" ")
    if name == "residue":
        return residue(len(data), pixels)
    return HOOKS[name](rest)


def residue(size: int, pixels: NDArray[np.uint8]) -> Iterable[Picture]:
    """Say how many bytes of another item are in what is shared: pixels, and input beyond `size`."""
    found = int(np.count_nonzero(pixels))
    for number in range(3, 10):
        try:
            found += len(os.pread(number, 2**20, size))
        except OSError:
            continue
    return told(f"{found} bytes")


def flood(rest: str) -> Iterable[Picture]:
    """Give frames for ever: rising ones, or the same again and again."""
    picture = decode_image(SMALL)
    number = 0
    while True:
        yield replace(picture, frame=number)
        number += rest == "rising"


def crash(rest: str) -> Iterable[Picture]:
    ctypes.string_at(0)
    raise AssertionError


def spin(rest: str) -> Iterable[Picture]:
    while True:
        pass


def sleep(rest: str) -> Iterable[Picture]:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()
    raise AssertionError


def nap(rest: str) -> Iterable[Picture]:
    """Do hardly anything, again and again."""
    lock = threading.Lock()
    lock.acquire()
    while True:
        lock.acquire(timeout=0.01)


def bloat(rest: str) -> Iterable[Picture]:
    while True:
        NEVER.append(bytearray(2**28))


def leave(rest: str) -> Iterable[Picture]:
    os._exit(3)


def babble(rest: str) -> Iterable[Picture]:
    """Answer with the bytes in `rest`, over the one socket that a worker has."""
    for number in range(3, 10):
        try:
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, number)
        except OSError:
            continue
        try:
            channel.send(bytes.fromhex(rest))
        except OSError:
            channel.detach()
            continue
        channel.detach()
        return sleep(rest)
    raise AssertionError


def then_crash(rest: str) -> Iterator[Picture]:
    """Give one picture first."""
    yield decode_image(SMALL)
    crash(rest)


def probe(rest: str) -> Iterable[Picture]:
    """Try what no worker may, and say in an error how it ended."""
    try:
        PROBES[rest]()
    except OSError as error:
        return told(f"refused {error.errno}")
    return told("done")


def peek(rest: str) -> Iterable[Picture]:
    """Read eight bytes of another process, at its number and an address, and say how it ended."""
    pid, address = map(int, rest.split())
    here = ctypes.create_string_buffer(8)
    ours, theirs = (
        (ctypes.c_size_t * 2)(ctypes.addressof(here), 8),
        (ctypes.c_size_t * 2)(address, 8),
    )
    count = LIBC.process_vm_readv(pid, ours, 1, theirs, 1, 0)
    return told(f"read {here.raw!r}" if count == 8 else f"refused {ctypes.get_errno()}")


def told(reason: str) -> Iterable[Picture]:
    """Say something by an outcome after which a worker lives on."""
    from hashmatch.records.enums import Outcome
    from hashmatch.records.images import ImageError

    raise ImageError(Outcome.UNSUPPORTED, reason)


def connect() -> None:
    with socket.socket() as stranger:
        stranger.connect(("127.0.0.1", 9))


def ptrace() -> None:
    checked(LIBC.ptrace(16, os.getppid(), 0, 0))


def executable() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)


def thread_of_its_own() -> None:
    """Clone with other flags than those of a thread."""
    checked(LIBC.syscall({"x86_64": 56, "aarch64": 220}[os.uname().machine], 0x11, 0, 0, 0, 0))


def alarm() -> None:
    checked(LIBC.prctl(1, 0, 0, 0, 0))


def checked(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "")


LIBC = ctypes.CDLL(None, use_errno=True)
SMALL = b"BM" + bytes.fromhex(
    "3a00000000000000360000002800000001000000010000000100180000000000"
    "04000000000000000000000000000000000000000000ff00"
)
HOOKS: dict[str, Callable[[str], Iterable[Picture]]] = {
    "crash": crash,
    "spin": spin,
    "sleep": sleep,
    "nap": nap,
    "bloat": bloat,
    "leave": leave,
    "peek": peek,
    "babble": babble,
    "then_crash": then_crash,
    "flood": flood,
    "probe": probe,
}
PROBES: dict[str, Callable[[], object]] = {
    "open for reading": lambda: os.open("/etc/hostname", os.O_RDONLY),
    "open for writing": lambda: os.open("hashmatch-probe", os.O_WRONLY | os.O_CREAT, 0o600),
    "write to what is open": lambda: os.write(1, b"text"),
    "unlink": lambda: os.unlink("/nothing/there"),
    "make a folder": lambda: os.mkdir("hashmatch-probe"),
    "connect": connect,
    "fork": os.fork,
    "clone": thread_of_its_own,
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "ptrace": ptrace,
    "signal the parent": lambda: os.kill(os.getppid(), 0),
    "memory to execute": executable,
    "outlive the parent": alarm,
    "lift a limit": lambda: checked(LIBC.setrlimit(resource.RLIMIT_NOFILE, bytes(16))),
}
