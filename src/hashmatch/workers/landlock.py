"""No file, no port, no stranger's socket or process: Landlock, which any process may ask for.

It holds where the kernel has no seccomp, or a container's own filter forbids ours, and besides
it: a call that should not have been on the list of `hashmatch.workers.seccomp` finds no file.
"""

from __future__ import annotations

import ctypes
import struct

CREATE_RULESET, RESTRICT_SELF = 444, 446
"""System calls, numbered alike on every machine."""
VERSION = 1
PR_SET_NO_NEW_PRIVS = 38

# linux/landlock.h: how many rights of the file system each version of the interface knows.
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
LATEST_FILE_RIGHTS = 16
TCP_BIND_AND_CONNECT = 0b11
ABSTRACT_SOCKETS_AND_SIGNALS = 0b11
WITH_TCP, WITH_SCOPES = 4, 6


def version() -> int:
    """Return the version of the interface that the kernel offers; 0 if it has none."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION)))


def close_in() -> bool:
    """Take every right that Landlock knows from this process, for ever; return whether it did."""
    offered = version()
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
