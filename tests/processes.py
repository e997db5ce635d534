"""Processes for tests: how long one waits for them, and some that start at once."""

from __future__ import annotations

import atexit
import inspect
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PATIENCE = 600.0
"""Seconds until something is said to hang. It is there against that alone, and so is never short:
how long something takes on a busy machine says nothing."""

SCRIPT = Path(sys.executable).with_name("hashmatch")
PROGRAM = [str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-m", "hashmatch"]
SERVER = Path(__file__).with_name("process_server.py")
READ_AT_START = (
    "PYTHON", "NUMBA", "LC_", "LANG", "LD_", "MALLOC", "OMP_", "OPENBLAS_", "HOME", "TMPDIR", "XDG_"
)  # fmt: skip
"""Beginnings of variables that an interpreter, or what is imported, looks at only once."""
ENVIRONMENT = dict(os.environ)
"""What there was before any test changed it: the server starts in that."""

CLIENT = """#!{python} -IS
import json, os, socket, sys
job = {{"args": ["hashmatch", *sys.argv[1:]], "env": dict(os.environ), "cwd": os.getcwd()}}
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asked:
    asked.connect({place!r})
    socket.send_fds(asked, [json.dumps(job | {{"session": False}}).encode()], [0, 1, 2])
    asked.recv(64)
    code = int(asked.recv(64))
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


class _Server:
    """A process that forks others, see `process_server`; this interpreter's own."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._folder = Path(tempfile.mkdtemp(prefix="hashmatch-", dir="/tmp"))  # its path is short
        self.place = f"{self._folder}/socket"
        ends, self._host = os.pipe()  # it ends when this interpreter does
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            listening.bind(self.place)
            listening.listen(64)
            self.process = subprocess.Popen(
                [sys.executable, SERVER, str(listening.fileno()), str(ends)],
                stdin=subprocess.DEVNULL,
                env=ENVIRONMENT,
                pass_fds=(listening.fileno(), ends),
            )
        os.close(ends)
        atexit.register(self.close)

    def close(self) -> None:
        if os.getpid() == self._owner:  # and in no fork of it
            os.close(self._host)
            self.process.wait()
            shutil.rmtree(self._folder)

    def client(self) -> Path:
        """Return a `hashmatch` for shells: what it starts is forked as well."""
        program = self._folder / "bin" / "hashmatch"
        if not program.exists():
            program.parent.mkdir()
            program.write_text(CLIENT.format(python=sys.executable, place=self.place))
            program.chmod(0o700)
        return program


_servers: dict[int, _Server] = {}


def _server() -> _Server:
    if os.getpid() not in _servers:  # a fork has none
        _servers[os.getpid()] = _Server()
    return _servers[os.getpid()]


def changed_at_start(env: Mapping[str, str]) -> set[str]:
    """Return the variables for which an interpreter started in `env` would not be as the server is.

    With any of them, a process is started afresh instead of being forked.
    """
    names = {name for name in {*env, *ENVIRONMENT} if name.startswith(READ_AT_START)}
    return {name for name in names if env.get(name) != ENVIRONMENT.get(name)}


class Process(subprocess.Popen[Any]):
    """A `subprocess.Popen` of hashmatch, or of this Python with a script or ``-c``, forked.

    Only what a fresh interpreter would show is missing: it has imported hashmatch.
    """

    _asked: socket.socket | None = None

    def _execute_child(self, *values: Any) -> None:
        # Popen gives them by place alone, and has added to them over time; their names stay.
        execute: Any = subprocess.Popen._execute_child  # type: ignore[attr-defined]
        given = dict(zip(list(inspect.signature(execute).parameters)[1:], values, strict=True))
        args = list(map(os.fsdecode, given["args"]))
        if args[: len(PROGRAM)] == PROGRAM:
            args = ["hashmatch", *args[len(PROGRAM) :]]
        else:
            assert args.pop(0) == sys.executable
        env = dict(os.environ if given["env"] is None else given["env"])
        if changed_at_start(env):
            execute(self, *values)
            return
        job = {
            "args": args,
            "env": env,
            "cwd": os.fspath(given["cwd"] or os.getcwd()),
            "session": given["start_new_session"],
        }
        ends = [given["p2cread"], given["c2pwrite"], given["errwrite"]]
        ends = [number if end == -1 else end for number, end in enumerate(ends)]
        self._asked = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asked.connect(_server().place)
        socket.send_fds(self._asked, [json.dumps(job).encode()], ends)
        names = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(given[name] for name in names))  # type: ignore[attr-defined]
        self.pid = int(self._asked.recv(64) or b"-1")
        assert self.pid > 0, "the server that forks processes is gone"
        self._child_created = True

    def _wait(self, timeout: float | None) -> int:
        if self._asked is None:
            return int(super()._wait(timeout))  # type: ignore[misc]
        if self.returncode is None:
            if not select.select([self._asked], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self.returncode = int(self._asked.recv(64))
            self._asked.close()
        return self.returncode

    def _internal_poll(self, *values: Any, **names: Any) -> int | None:
        if self._asked is None:
            return super()._internal_poll(*values, **names)  # type: ignore[misc, no-any-return]
        try:
            return self._wait(0)
        except subprocess.TimeoutExpired:
            return None


def wait_for(happened: Callable[[], bool], every: float = 0.005) -> None:
    """Wait until something has happened, however long that takes; look every so many seconds."""
    give_up = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < give_up, "it never happened"
        time.sleep(every)


def warm_program() -> Path:
    """Return a program for shells that is hashmatch, but that it starts at once."""
    return _server().client()


def run(args: Sequence[str | bytes | Path], **rest: Any) -> subprocess.CompletedProcess[Any]:
    """As `subprocess.run` with what the process writes captured, by a `Process`."""
    given = rest.pop("input", None)
    check = rest.pop("check", True)
    rest.setdefault("stdin", subprocess.DEVNULL if given is None else subprocess.PIPE)
    with Process(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **rest) as process:
        try:
            out, err = process.communicate(given, PATIENCE)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
    if check:
        done.check_returncode()
    return done
