"""A decoder for tests, run in a worker: does what the first bytes of an item say."""

from __future__ import annotations

import ctypes
import errno
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
    if name == "remember":
        return remembered(rest, pixels)
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


SHIFT = 0x5A
"""Added to each byte of what is looked for, and of the copy that is searched: else it would be
found where it is asked for. Twice added it is a third thing: no copy of a copy is found."""
PAGE = mmap.PAGESIZE
BELOW = 2**28
"""So far below what was mapped at first the kernel has put what was mapped since."""


def mapped_at_first() -> list[tuple[int, int]]:
    """Return where this process may write, while it may still read that from a file."""
    with open("/proc/self/maps") as lines:
        fields = [line.split() for line in lines]
    spans = [each[0].split("-") for each in fields if each[1].startswith("rw")]
    return [(int(first, 16), int(last, 16)) for first, last in spans]


def heap_end() -> int:
    """Return where the heap ends now."""
    sbrk = ctypes.CDLL(None).sbrk
    sbrk.restype = ctypes.c_void_p
    return int(sbrk(0))


def remembered(rest: str, pixels: NDArray[np.uint8]) -> Iterable[Picture]:
    """Say how many of some bytes, each in hexadecimal and shifted, are in this worker's memory."""
    shared = pixels.ctypes.data, pixels.ctypes.data + pixels.size
    wanted = [bytes.fromhex(word) for word in rest.split()]
    found: set[bytes] = set()
    looked_at = 0
    for first, last in writable(shared):
        looked_at += last - first
        for at in range(first, last, 2**20):
            copy = np.frombuffer(ctypes.string_at(at, min(last - at, 2**20 + 16)), np.uint8)
            shifted = (copy + np.uint8(SHIFT)).tobytes()
            found |= {each for each in wanted if each in shifted}
    return told(f"{len(found)} of {len(wanted)}, in {looked_at >> 20} MiB")


def writable(shared: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield all that this process can read of its stack, its heap and what is mapped."""
    # The heap grows upwards; what is mapped grows downwards, above it, wherever a program lies.
    lowest = min(first for first, _ in MAPPED if first >= HEAP_END)
    for first, last in [*MAPPED, (HEAP_END, heap_end()), (lowest - BELOW, lowest)]:
        start = None
        for page in range(first, last, PAGE):
            is_there = not shared[0] <= page < shared[1] and is_readable(page)
            if is_there and start is None:
                start = page
            elif not is_there and start is not None:
                yield start, page
                start = None
        if start is not None:
            yield start, last


def is_readable(address: int) -> bool:
    """Ask the kernel to take a set of signals from there, for a purpose that there is not."""
    LIBC.syscall(SIGNAL_MASK, -1, ctypes.c_void_p(address), None, 8)
    return ctypes.get_errno() != errno.EFAULT


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


def keep(rest: str) -> Iterable[Picture]:
    """Keep what the item says, though nothing of it is to be kept."""
    NEVER.append(bytearray.fromhex(rest))
    return told("kept")


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
SIGNAL_MASK = {"x86_64": 14, "aarch64": 135}[os.uname().machine]
"""The number of rt_sigprocmask, which looks at what it is given before what for."""
MAPPED = mapped_at_first()
HEAP_END = heap_end()
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
    "keep": keep,
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
