"""``hashmatch review serve`` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cli_tools import PROGRAM, environment
from processes import PATIENCE, Process

if TYPE_CHECKING:
    from collections.abc import Iterator


class Program:
    """The command, running in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], port: int, scheme: str) -> None:
        self.process = process
        self.port = port
        self.scheme = scheme
        self.said_first = ""
        self.said = ""


@contextmanager
def serving(queue: str, *options: str, before: tuple[str, ...] = ()) -> Iterator[Program]:
    # What another program watches is started afresh, and Python writes nothing of its own.
    start = subprocess.Popen if before else Process
    changes = {"PYTHONDONTWRITEBYTECODE": "1"} if before else {}
    with start(
        [
            *before,
            *PROGRAM,
            "review",
            "serve",
            queue,
            "--port",
            "0",
            "--pictures",
            os.path.dirname(queue),
            *options,
        ],
        stderr=subprocess.PIPE,
        env=environment(**changes),
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stderr
            found, before_it = None, ""
            for line in process.stderr:
                found = re.match(r"(https?)://[^/]+:(\d+)/$", line)
                if found:
                    break
                before_it += line
            assert found, before_it
            program = Program(process, int(found[2]), found[1])
            program.said_first = before_it
            yield program
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
        program.said = process.stderr.read()
