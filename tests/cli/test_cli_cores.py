"""A process that has read a list leaves no core dump of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import processes
from cli_tools import DEMO, PROGRAM, environment, wait_for

ASKS = """
import ctypes, resource
from hashmatch.cli import no_core_dumps
no_core_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="what it looks at is Linux's")


@linux
def test_the_system_is_asked_for_none() -> None:
    done = subprocess.run([sys.executable, "-c", ASKS], capture_output=True, text=True, check=True)
    assert done.stdout == "(0, 0) 0\n"


LIMITED = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, resource.RLIM_INFINITY))"


@linux
def test_the_program_asks_before_it_reads_a_list() -> None:
    start = f"{LIMITED}; import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", start, *PROGRAM, "match", "-", "--list", DEMO],
        stdin=subprocess.PIPE,  # it waits for hashes, and has no list yet
        env=environment(),
    ) as process:

        def asked() -> bool:
            limits = Path(f"/proc/{process.pid}/limits").read_text()
            (line,) = [one for one in limits.splitlines() if one.startswith("Max core file size")]
            return line.split()[4:6] == ["0", "0"]

        wait_for(asked)
        process.kill()


@linux
@pytest.mark.parametrize(("debug", "hard"), [("", 0), ("1", -1)])
def test_who_looks_for_a_mistake_may_have_them(debug: str, hard: int) -> None:
    code = f"{LIMITED}; import atexit, sys\n" + (
        "atexit.register(lambda: print(resource.getrlimit(resource.RLIMIT_CORE)[1]))\n"
        "from hashmatch.cli import main; main(['list', 'inspect', sys.argv[1]])"
    )
    env = environment(HASHMATCH_DEBUG=debug)
    done = processes.run([sys.executable, "-c", code, str(DEMO)], text=True, env=env)
    assert done.stdout.splitlines()[-1] == str(hard)


def test_where_it_is_not_possible_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    from hashmatch.cli import no_core_dumps

    for missing in ("resource", "ctypes"):
        monkeypatch.setitem(sys.modules, missing, None)
    no_core_dumps()
