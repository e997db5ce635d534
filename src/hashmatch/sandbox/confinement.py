"""Confine a worker by resource limits, Landlock and seccomp, and say which of them hold."""

from __future__ import annotations

import ctypes
import resource
import struct
from dataclasses import dataclass
from math import isfinite

from hashmatch.decode.limits import PROCESS_MEMORY
from hashmatch.errors import UsageError
from hashmatch.sandbox import seccomp
from hashmatch.sandbox.layers import Layers

CREATE_RULESET, RESTRICT_SELF = 444, 446
"""System calls, numbered alike on every machine."""
VERSION_FLAG = 1
PR_SET_NO_NEW_PRIVS = 38

# linux/landlock.h: how many rights of the file system each version of the interface knows.
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
LATEST_FILE_RIGHTS = 16
TCP_BIND_AND_CONNECT = 0b11
ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
WITH_TCP, WITH_SCOPES = 4, 6

ZEROED = (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)
"""Not RLIMIT_NPROC: it counts threads too, of which one decoder needs one, and all processes of
the same user."""


def confine(address_space: int, memory: int) -> Layers:
    """Confine this process, for ever, in every way that the kernel offers; return what holds now.

    It may map so many bytes of `address_space`, and of `memory` for itself alone to write to.
    """
    layers = Layers.LIMITS
    if restrict_with_landlock():  # before the limits, as it needs a descriptor
        layers |= Layers.LANDLOCK
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    # What is open stays open, and nothing else can be: no file, no socket, no copy of either.
    for limit in ZEROED:
        resource.setrlimit(limit, (0, 0))
    if seccomp.install_filter():  # last, as it forbids what the others need
        layers |= Layers.SECCOMP
    return layers


def landlock_version() -> int:
    """Return the version of the interface that the kernel offers; 0 if it has none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION_FLAG)))


def restrict_with_landlock() -> bool:
    """Take every right that Landlock knows from this process, for ever; return whether it did.

    Any process may ask for it. It holds where the kernel has no seccomp, or a container's own
    filter forbids ours, and besides it: a call that should not have been on the list of
    `hashmatch.sandbox.seccomp` finds no file.
    """
    offered = landlock_version()
    if not offered:
        return False
    attributes = struct.pack("Q", (1 << FILE_RIGHTS.get(offered, LATEST_FILE_RIGHTS)) - 1)
    if offered >= WITH_TCP:
        attributes += struct.pack("Q", TCP_BIND_AND_CONNECT)
    if offered >= WITH_SCOPES:
        attributes += struct.pack("Q", ABSTRACT_SOCKETS_AND_SIGNALS)
    libc = ctypes.CDLL(None, use_errno=True)
    rules: int = libc.syscall(CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return False
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    result: int = libc.syscall(RESTRICT_SELF, rules, 0)
    libc.close(rules)
    return result == 0


MIB = 2**20


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What one item may cost, and how often it is tried.

    Parameters
    ----------
    cpu_seconds : float
        Processor time that an item may take, all frames of an animation together; one that takes
        more is not tried again. An ordinary photograph takes some milliseconds; what takes the
        most, a HEIF in tiles, was measured to take 20.5 s at 200 megapixels on a loaded core (0.1 s
        a megapixel), and the limit is twice that.
    wall_seconds : float
        Time that a worker may be waited for in one try, on the wall clock: generous, since a
        busy machine must not make pictures fail.
    address_space : int
        Bytes of a worker's address space, code and the pixels that it shares included.
    memory : int
        Bytes that a worker may fill, the pixels that it shares not included. The default is enough
        for any picture within `hashmatch.decode.limits`.
    tries : int
        After so many tries that each lost a worker, but for its cost, the item is ``failed``.
    items : int
        Items after which a worker is replaced, so that whatever one of them left behind ends.

    Raises
    ------
    UsageError
        If a limit is out of its range.

    Examples
    --------
    >>> WorkerLimits(cpu_seconds=0)
    Traceback (most recent call last):
    hashmatch.errors.UsageError: cpu_seconds is 0, not more than 0
    """

    cpu_seconds: float = 45.0
    wall_seconds: float = 180.0
    address_space: int = PROCESS_MEMORY + 384 * MIB
    memory: int = PROCESS_MEMORY
    tries: int = 3
    items: int = 1000

    def __post_init__(self) -> None:
        for name in ("cpu_seconds", "wall_seconds"):
            seconds = getattr(self, name)
            if not (seconds > 0 and isfinite(seconds)):
                raise UsageError(f"cannot use {seconds} for {name}. Give more than 0")
        for name in ("tries", "items"):
            if getattr(self, name) < 1:
                raise UsageError(f"cannot use {getattr(self, name)} for {name}. Give 1 or more")
        if self.address_space < 512 * MIB:
            raise UsageError(
                "cannot start a worker with so small an address space. Give 512 MiB or more"
            )
        if self.memory < 128 * MIB:
            raise UsageError("cannot start a worker with so little memory. Give 128 MiB or more")
