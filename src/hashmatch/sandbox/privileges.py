"""Take from a worker what it is: user, capabilities, and the network and the users it can name.

None of it is promised everywhere, as Landlock and seccomp are: a process that is not the
superuser's has no other user to become, and containers forbid namespaces. What holds is reported.
"""

from __future__ import annotations

import ctypes
import os
import struct
from contextlib import suppress
from pathlib import Path

from hashmatch.sandbox.layers import Layers

PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38
CAPABILITIES_3 = 0x20080522
"""linux/capability.h: the version of the structure, with two words for each of three sets."""
CAP_KILL, CAP_SETGID, CAP_SETUID = 5, 6, 7
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
UNUSED_IDS = 0x70000000
"""Ids from here on nobody hands out: systemd's for containers end below, and nothing is above them
up to 2**31 (systemd.io/UIDS-GIDS)."""
MOST_PROCESSES = 1 << 22
"""PID_MAX_LIMIT of linux/threads.h: no two workers have the same user at a time."""
FEW_IDS = 1024
"""A container that maps fewer has none that is unused."""
RESERVED_IDS = 3
"""Of the highest that a container maps: 65533 to 65535, of which 65534 is ``nobody``."""


def drop() -> Layers:
    """Drop all privileges of this process, for ever; return which layers hold by that.

    The kernel forgets at this which signal it sends when the parent ends.
    """
    layers = Layers(0)
    libc = ctypes.CDLL(None, use_errno=True)
    # Who starts workers has to be able to end them after that.
    if _has(libc, CAP_KILL, CAP_SETGID, CAP_SETUID):
        with suppress(OSError):  # of an id that a container does not map
            user, group = _unused_id("uid_map"), _unused_id("gid_map")
            os.setgroups([])
            os.setresgid(group, group, group)
            os.setresuid(user, user, user)
            layers |= Layers.USER
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0:
        layers |= Layers.NAMESPACES
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.capset(_capability_header(), ctypes.create_string_buffer(24))
    undumpable()
    return layers


def undumpable() -> None:
    """Keep every process without more rights from reading the memory of this one, for good."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _capability_header() -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(struct.pack("Ii", CAPABILITIES_3, 0), 8)


def _has(libc: ctypes.CDLL, *capabilities: int) -> bool:
    data = ctypes.create_string_buffer(24)
    if libc.capget(_capability_header(), data) != 0:
        return False
    (effective,) = struct.unpack_from("I", data)
    return all(effective >> each & 1 for each in capabilities)


def _unused_id(mapping: str) -> int:
    """Return a user or group that nothing else has here; those that exist are in `mapping`."""
    number = os.getpid() % MOST_PROCESSES
    ranges = [
        (int(first), int(count))
        for first, _, count in map(str.split, Path("/proc/self", mapping).read_text().splitlines())
    ]
    if any(first <= UNUSED_IDS + number < first + count for first, count in ranges):
        return UNUSED_IDS + number
    first, count = max(ranges)  # as in a container that has few
    if count < FEW_IDS:
        raise OSError
    return first + count - 1 - RESERVED_IDS - number % (FEW_IDS // 2)
