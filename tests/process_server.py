"""Forks processes that have hashmatch and its kernels loaded already; `processes` asks for them.

A fresh interpreter takes two to three seconds of a processor until it can hash and search, a fork
of this one some milliseconds. It has no thread of its own and runs nothing of what it is asked
for, so that each fork begins as a fresh interpreter would, but for what is imported.
"""

from __future__ import annotations

import atexit
import gc
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import types
import warnings
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

FIXTURES = Path(__file__).parent.parent / "fixtures"


def load() -> None:
    """Import all of hashmatch, and have loaded and made what many of its commands need first.

    That is most kernels, and the hashes of made-up pictures, which every import of a list asks.
    """
    import hashmatch as hm
    from hashmatch.lists.hubs import made_up_pictures

    for module in pkgutil.walk_packages(hm.__path__, "hashmatch."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    import imagehash  # noqa: F401
    import rich.console
    import rich.progress
    import rich.table  # noqa: F401

    picture = (FIXTURES / "images/plain/landscape-dusk.jpg").read_bytes()
    known = hm.read_list(FIXTURES / "lists/demo-pdq.csv")
    compiled = not os.environ.get("NUMBA_DISABLE_JIT")  # or the rest would take minutes
    matcher = hm.Matcher(known, variants="thorough" if compiled else "none")
    matcher.check(picture, surface="public_post", item_id="any")
    if compiled:
        for algorithm in ("pdq", "phash", "dhash"):
            made_up_pictures(algorithm)


def serve(listening: socket.socket, host: int) -> dict[str, Any] | None:
    """Fork for each connection; return what a fork is to do, or None when the host has ended."""
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    watched: dict[int, socket.socket] = {}
    ended: dict[socket.socket, int] = {}
    while True:
        heard: list[Any] = [listening, woken, host, *ended]
        ready = select.select(heard, [], [])[0]
        if host in ready:
            return None
        if woken in ready:
            os.read(woken, 4096)
            ended |= _told(watched)
        # Its number is no other process's before whoever asked for it knows that it has ended.
        for asking in set(ready) & ended.keys():
            os.waitpid(ended.pop(asking), 0)
            asking.close()
        if listening not in ready:
            continue
        asking, _ = listening.accept()
        message, standard, _, _ = socket.recv_fds(asking, 2**20, 3)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for number, descriptor in enumerate(standard):
                os.dup2(descriptor, number)
            for own in (listening, asking, *watched.values(), *ended):
                own.detach()
            os.closerange(3, max(map(int, os.listdir("/proc/self/fd"))) + 1)
            return dict(json.loads(message))
        for descriptor in standard:
            os.close(descriptor)
        watched[pid] = asking
        with suppress(BrokenPipeError):
            asking.send(str(pid).encode())


def _told(watched: dict[int, socket.socket]) -> dict[socket.socket, int]:
    """Say of each process that has ended how it did; return them by who is told."""
    told = {}
    for pid, asking in list(watched.items()):
        end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if end is not None:
            code = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
            with suppress(BrokenPipeError):  # nobody waits for it any more
                asking.send(str(code).encode())
            told[watched.pop(pid)] = pid
    return told


def become(job: dict[str, Any]) -> None:
    """Run what was asked for, as a fresh interpreter would."""
    os.environ.clear()
    os.environ.update(job["env"])
    time.tzset()
    tempfile.tempdir = None
    os.chdir(job["cwd"])
    if job["session"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        lines = name == "stderr" or os.isatty(number)
        raw = io.FileIO(number, mode, closefd=False)
        binary: Any = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
        first = getattr(sys, name)
        text = io.TextIOWrapper(binary, first.encoding, first.errors, line_buffering=lines)
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)
    arguments = list(job["args"])
    while arguments[0] == "-W":
        warnings.simplefilter(arguments[1])
        del arguments[:2]
    sys.argv = arguments
    if arguments[0] == "hashmatch":
        from hashmatch.cli import main

        sys.path[0] = str(Path(sys.executable).parent)
        main()
    elif arguments[0] == "-c":
        code = arguments.pop(1)
        sys.path[0] = ""
        module = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), vars(module))
    else:
        sys.path[0] = str(Path(arguments[0]).parent)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    load()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        given = serve(asked, int(sys.argv[2]))
    if given is not None:
        try:
            become(given)
            ending = 0
        except SystemExit as error:
            if not isinstance(error.code, int | None):
                raise
            ending = error.code or 0
        # As the interpreter ends, less taking apart all that is loaded, which takes longest.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ending)
