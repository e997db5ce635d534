"""Run a command as on a kernel without Landlock and seccomp, which answers as such a kernel does.

``python lesser_kernel.py [--bare] COMMAND...``; with ``--bare`` there are no namespaces either. So
are answered this process and all that it starts, by a filter of the kernel. The command
``hashmatch`` runs in this process, so that one that was forked (see `processes`) need not import it
again.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import sys

from hashmatch.sandbox import seccomp

LANDLOCK_CREATE_RULESET = 444
NUMBERS = {"x86_64": (157, 317, 272), "aarch64": (167, 277, 97)}
"""Of prctl, seccomp and unshare."""


def answered(number: int, error: int) -> bytes:
    """Return steps of a filter that answer a call by an error."""
    return seccomp._step(seccomp.EQUAL, number, 0, 1) + seccomp._step(
        seccomp.RETURN, 0x50000 | error
    )


def program(*, bare: bool) -> bytes:
    """Return the filter, see `hashmatch.sandbox.seccomp.program`."""
    prctl, seccomp_call, unshare = NUMBERS[platform.machine()]
    steps = seccomp._step(seccomp.LOAD, seccomp.NUMBER)
    steps += answered(LANDLOCK_CREATE_RULESET, errno.ENOSYS)
    steps += answered(seccomp_call, errno.ENOSYS)
    if bare:
        steps += answered(unshare, errno.EINVAL)
    steps += seccomp._step(seccomp.EQUAL, prctl, 0, 3)
    steps += seccomp._step(seccomp.LOAD, seccomp.ARGUMENTS)
    steps += answered(seccomp.PR_SET_SECCOMP, errno.EINVAL)
    return steps + seccomp._step(seccomp.RETURN, seccomp.ALLOW)


def pretend(*, bare: bool = False) -> None:
    """Make this process one of such a kernel, for ever."""
    libc = ctypes.CDLL(None, use_errno=True)
    steps = program(bare=bare)
    filtering = seccomp._Program(len(steps) // 8, steps)
    assert libc.prctl(seccomp.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    mode, pointer = seccomp.SECCOMP_MODE_FILTER, ctypes.byref(filtering)
    assert libc.prctl(seccomp.PR_SET_SECCOMP, mode, pointer, 0, 0) == 0


if __name__ == "__main__":
    is_bare = sys.argv[1] == "--bare"
    pretend(bare=is_bare)
    command = sys.argv[2 if is_bare else 1 :]
    if command[0] == "hashmatch":
        from hashmatch.cli import main

        sys.argv = command
        main()
    os.execv(command[0], command)
