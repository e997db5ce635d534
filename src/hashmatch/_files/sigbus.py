"""A guard for mapped files: one that is cut off while it is read costs an answer, not the process.

A page of a mapped file that is beyond the file's end, because somebody cut the file off, or that
cannot be read from its disk, raises SIGBUS where it is touched, and that ends the process. Nothing
that is asked beforehand helps: the file can be cut off right after. So a handler of the signal puts
zeros in the place of the whole mapping and notes that it did, and whoever has read the mapping asks
`changed` afterwards, before anything is made of what was read.

The handler runs in the middle of any thread, with or without the interpreter's lock, and may call
only what signal-safety(7) allows and the plain system call mmap(2). Hence it is written in LLVM's
language, where what is there is what runs; compiling it takes 6 ms, against 350 ms for numba's
`cfunc`, and needs neither numba nor a cache. In Python's words::

    def on_bus_error(signal, info, context):
        if info.code == BUS_ADRERR:                       # a page that is not there
            for slot in slots:
                if slot.start <= info.address < slot.end:
                    slot.lost = 1                         # first: no zero is read before it
                    if mmap(slot.start, slot.end - slot.start, zeros) == slot.start:
                        return                            # and the thread reads on
        nested, passing = passing, 1
        if previous.handler > SIG_IGN and not nested:     # another's, faulthandler's say
            previous.handler(signal, info, context)
            passing = 0
            return
        if nested:                                        # it gave up, and raised it again
            previous.handler = SIG_DFL
        sigaction(signal, previous)
        raise(signal)                                     # which ends it, unless it is ignored
        passing = 0

    def changed(slot):
        status = fstat(slot.file)
        return (status.size, status.seconds, status.nanoseconds) != slot.stamp or slot.lost
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SLOTS = 1024
"""Mappings that can be guarded at once; by default a process cannot open as many files."""
WORDS = 8
"""Of a slot: start, end, lost, file, size, seconds, nanoseconds, and one to fill a cache line."""
FSTAT = {"x86_64": 5, "aarch64": 80}
"""The system call's number, by machine: the C library has no such function before glibc 2.33. On
both the size is at byte 48 of what it returns, and the time of the last change at 88 and 96."""
SUPPORTED = sys.platform == "linux" and platform.machine() in FSTAT
"""Elsewhere a change is still found out afterwards, but reading beyond the end is fatal."""

SA_SIGINFO, SA_ONSTACK, SA_NODEFER = 0x4, 0x08000000, 0x40000000
SIGACTION_WORDS = 19  # of 64 bits: handler, 16 of mask, flags, restorer
FLAGS = 17

# mmap: PROT_READ is 1; MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_NORESERVE is 0x4032.
CODE = """
@slots = global [SLOTS x [WORDS x i64]] zeroinitializer, align 64
@previous = global [19 x i64] zeroinitializer
@passing = global i32 0

declare i64 @mmap(i64, i64, i32, i32, i32, i64)
declare i32 @sigaction(i32, ptr, ptr)
declare i32 @raise(i32)
declare i64 @syscall(i64, ...)

define void @on_bus_error(i32 %signal, ptr %info, ptr %context) {
begin:
  %code_at = getelementptr i8, ptr %info, i64 8
  %code = load i32, ptr %code_at
  %address_at = getelementptr i8, ptr %info, i64 16
  %address = load i64, ptr %address_at
  %missing = icmp eq i32 %code, 2
  br i1 %missing, label %look, label %pass
look:
  %i = phi i64 [ 0, %begin ], [ %next, %on ]
  %start_at = getelementptr [SLOTS x [WORDS x i64]], ptr @slots, i64 0, i64 %i, i64 0
  %end_at = getelementptr i64, ptr %start_at, i64 1
  %start = load i64, ptr %start_at
  %end = load i64, ptr %end_at
  %after = icmp uge i64 %address, %start
  %before = icmp ult i64 %address, %end
  %inside = and i1 %after, %before
  br i1 %inside, label %replace, label %on
on:
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, SLOTS
  br i1 %more, label %look, label %pass
replace:
  %lost_at = getelementptr i64, ptr %start_at, i64 2
  store atomic i64 1, ptr %lost_at seq_cst, align 8
  %length = sub i64 %end, %start
  %at = call i64 @mmap(i64 %start, i64 %length, i32 1, i32 16434, i32 -1, i64 0)
  %replaced = icmp eq i64 %at, %start
  br i1 %replaced, label %done, label %pass
done:
  ret void
pass:
  %handler = load i64, ptr @previous
  %busy = atomicrmw xchg ptr @passing, i32 1 seq_cst
  %nested = icmp ne i32 %busy, 0
  %first = icmp eq i32 %busy, 0
  %some = icmp ugt i64 %handler, 1
  %callable = and i1 %some, %first
  br i1 %callable, label %hand_on, label %leave
hand_on:
  %function = inttoptr i64 %handler to ptr
  call void %function(i32 %signal, ptr %info, ptr %context)
  store atomic i32 0, ptr @passing seq_cst, align 4
  ret void
leave:
  br i1 %nested, label %default, label %restore
default:
  store i64 0, ptr @previous
  br label %restore
restore:
  call i32 @sigaction(i32 %signal, ptr @previous, ptr null)
  call i32 @raise(i32 %signal)
  store atomic i32 0, ptr @passing seq_cst, align 4
  ret void
}

define i64 @changed(i64 %i) {
  %status = alloca [32 x i64]
  %slot = getelementptr [SLOTS x [WORDS x i64]], ptr @slots, i64 0, i64 %i
  %lost_at = getelementptr i64, ptr %slot, i64 2
  %file_at = getelementptr i64, ptr %slot, i64 3
  %file = load i64, ptr %file_at
  %failed = call i64 (i64, ...) @syscall(i64 FSTAT, i64 %file, ptr %status)
  COMPARE
  %lost = load atomic i64, ptr %lost_at seq_cst, align 8
  %a = or i64 %failed, %differs48
  %b = or i64 %differs88, %differs96
  %c = or i64 %a, %b
  %d = or i64 %c, %lost
  ret i64 %d
}
"""
COMPARE = """
  %now_atBYTE = getelementptr i8, ptr %status, i64 BYTE
  %nowBYTE = load i64, ptr %now_atBYTE
  %then_atBYTE = getelementptr i64, ptr %slot, i64 WORD
  %thenBYTE = load i64, ptr %then_atBYTE
  %differsBYTE = xor i64 %nowBYTE, %thenBYTE
"""


def _code() -> str:
    compared = [
        COMPARE.replace("BYTE", str(byte)).replace("WORD", str(word))
        for byte, word in ((48, 4), (88, 5), (96, 6))
    ]
    code = CODE.replace("COMPARE", "".join(compared))
    for name, number in (("FSTAT", FSTAT[platform.machine()]), ("SLOTS", SLOTS), ("WORDS", WORDS)):
        code = code.replace(name, str(number))
    return code


class Guard:
    """The compiled code with its slots; one a process, see `guard`."""

    def __init__(self) -> None:
        from llvmlite import binding

        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        module = binding.parse_assembly(_code(), binding.create_context())
        module.verify()
        machine = binding.Target.from_default_triple().create_target_machine(opt=2)
        engine = binding.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        # The handler outlives every name of ours: threads may read while the interpreter ends.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine))

        self._lock = threading.Lock()
        self._handler = engine.get_function_address("on_bus_error")
        self._previous = engine.get_global_value_address("previous")
        slots = ctypes.c_int64 * WORDS * SLOTS
        self._slots: Any = slots.from_address(engine.get_global_value_address("slots"))
        function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
        #: Whether the file of a slot was changed, or a part could not be read, since `watch`.
        self.changed: Callable[[int], int] = function(engine.get_function_address("changed"))
        self._sigaction: Any = ctypes.CDLL(None, use_errno=True).sigaction
        self._free = list(range(SLOTS))
        self._install()

    def _install(self) -> None:
        """Take the signal, unless it is ours already, and keep who had it."""
        action = (ctypes.c_int64 * SIGACTION_WORDS)()
        self._sigaction(signal.SIGBUS, None, action)
        if action[0] == self._handler:
            return
        ctypes.memset(action, 0, ctypes.sizeof(action))
        action[0] = self._handler
        action[FLAGS] = SA_SIGINFO | SA_ONSTACK | SA_NODEFER
        if self._sigaction(signal.SIGBUS, action, ctypes.c_void_p(self._previous)):
            raise OSError(ctypes.get_errno(), "SIGBUS cannot be handled")

    def watch(self, start: int, length: int, file: int, size: int, modified: int) -> int | None:
        """Guard a mapping and its file; return the slot to ask for, or None if all are taken.

        Parameters
        ----------
        start, length : int
            Address and bytes of the mapping.
        file : int
            A descriptor that stays open until `forget`.
        size, modified : int
            What fstat(2) said of it: its bytes, and when it was last changed, in nanoseconds.
        """
        with self._lock:
            self._install()  # another may have taken the signal since
        try:
            number = self._free.pop()
        except IndexError:
            return None
        seconds, nanoseconds = divmod(modified, 10**9)
        self._slots[number][2:] = [0, file, size, seconds, nanoseconds, 0]
        self._slots[number][0] = start
        self._slots[number][1] = start + length  # last: until then no address is inside
        return number

    def forget(self, number: int) -> None:
        """Guard a mapping no more; to be called before it is unmapped."""
        # No lock: the garbage collector may call this in the midst of `watch`.
        self._slots[number][1] = 0
        self._free.append(number)


class Stamps:
    """The same where there is no such handler: changes are found out, a cut is fatal."""

    def __init__(self) -> None:
        self._files: dict[int, tuple[int, int]] = {}

    def watch(self, start: int, length: int, file: int, size: int, modified: int) -> int | None:
        """Remember what a file is like; the slot is its descriptor."""
        self._files[file] = size, modified
        return file

    def changed(self, number: int) -> int:
        """Return whether the file of a slot was changed since `watch`."""
        status = os.fstat(number)
        return (status.st_size, status.st_mtime_ns) != self._files[number]

    def forget(self, number: int) -> None:
        """Forget a file."""
        del self._files[number]


_guard: Guard | Stamps | None = None
_making = threading.Lock()


def guard() -> Guard | Stamps:
    """Return the one guard of this process; the first call compiles it and takes the signal."""
    global _guard  # noqa: PLW0603
    with _making:
        if _guard is None:
            _guard = Guard() if SUPPORTED else Stamps()
        return _guard
