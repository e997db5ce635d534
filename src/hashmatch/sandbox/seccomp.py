"""Which system calls a worker may make: a filter for the kernel, seccomp-BPF.

A worker reads its item, maps memory, answers on its one socket and ends. It opens, connects,
starts and signals nothing, so none of the calls for that are on the list; nor are those that make
memory that can be executed. What is not on the list fails with EPERM, which Python reports and a
decoder survives. Threads may be made, in the one way that the C library makes them: the decoder
of HEIF has one even if it is set to have none.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

PR_SET_NO_NEW_PRIVS = 38
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2

ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
"""linux/seccomp.h: SECCOMP_RET_ALLOW, _KILL_PROCESS, and _ERRNO with its number."""

# linux/bpf_common.h: load a word, compare, test bits, and return; each with a constant.
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"""Where struct seccomp_data has the call's number, the architecture, and six words of 8 bytes."""
PROT_EXEC = 4
THREAD = 0x3D0F00
"""Flags of linux/sched.h by which the C library clones a thread; musl adds one without effect."""
MUSL_THREAD = THREAD | 0x400000
UNKNOWN = 0x00050000 | errno.ENOSYS
"""The answer to clone3, whose flags no filter can see: the C library then takes clone."""
OTHER_ABI = 0x40000000
"""x86-64 numbers from here on are calls of the x32 ABI, which no table here lists."""

CLONE3 = 435
#: The number of each call on x86-64 and on AArch64; those last that are looked at more closely.
CALLS = {
    "recvfrom": (45, 207),
    "sendto": (44, 206),
    "pread64": (17, 67),
    "setitimer": (38, 103),
    "munmap": (11, 215),
    "madvise": (28, 233),
    "brk": (12, 214),
    "mremap": (25, 216),
    "futex": (202, 98),
    "read": (0, 63),
    "lseek": (8, 62),
    "close": (3, 57),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "restart_syscall": (219, 128),
    "sched_yield": (24, 124),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getrusage": (98, 165),
    "clock_gettime": (228, 113),
    "gettimeofday": (96, 169),
    "getrandom": (318, 278),
    "sysinfo": (99, 179),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "clone": (56, 220),
}
#: For each machine: AUDIT_ARCH of linux/audit.h and the numbers of the calls.
TABLES = {
    "x86_64": (0xC000003E, {name: number for name, (number, _) in CALLS.items()}),
    "aarch64": (0xC00000B7, {name: number for name, (_, number) in CALLS.items()}),
}


def program(machine: str) -> bytes:
    """Return the filter for `machine`, as the kernel takes it: 8 bytes an instruction.

    Raises KeyError if there is no table for it.
    """
    architecture, calls = TABLES[machine]
    # The number is compared with one call after the other. Where it is that call, what follows
    # decides, by an argument if it must; else that is jumped over.
    without_exec = [
        _step(LOAD, ARGUMENTS + 2 * 8),
        _step(ANY_BIT, PROT_EXEC, 0, 1),
        _step(RETURN, REFUSE),
        _step(RETURN, ALLOW),
    ]
    thread = [
        _step(LOAD, ARGUMENTS),
        _step(EQUAL, THREAD, 1, 0),
        _step(EQUAL, MUSL_THREAD, 0, 1),
        _step(RETURN, ALLOW),
        _step(RETURN, REFUSE),
    ]
    closer = {"mmap": without_exec, "mprotect": without_exec, "clone": thread}
    steps = [
        _step(LOAD, ARCHITECTURE),
        _step(EQUAL, architecture, 1, 0),
        _step(RETURN, KILL),
        _step(LOAD, NUMBER),
        _step(AT_LEAST, OTHER_ABI, 0, 1),
        _step(RETURN, KILL),
    ]
    for name, number in calls.items():
        decide = closer.get(name, [_step(RETURN, ALLOW)])
        steps += [_step(EQUAL, number, 0, len(decide)), *decide]
    steps += [_step(EQUAL, CLONE3, 0, 1), _step(RETURN, UNKNOWN), _step(RETURN, REFUSE)]
    return b"".join(steps)


def _step(code: int, constant: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """Return one instruction; jumps are counted from the next."""
    return struct.pack("HBBI", code, if_true, if_false, constant)


class _Program(ctypes.Structure):
    """Struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_char_p))


def install_filter() -> bool:
    """Refuse this process all other system calls, for ever; return whether the kernel does so."""
    try:
        steps = program(platform.machine())
    except KeyError:
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    filtering = _Program(len(steps) // 8, steps)
    result: int = libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filtering), 0, 0)
    return result == 0
