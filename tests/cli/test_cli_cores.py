"""A process that has read a list leaves no core dump of it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli_tools import DEMO, PROGRAM, environment

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


@linux
@pytest.mark.parametrize("debug", [False, True])
def test_the_program_asks_before_it_reads_a_list(debug: bool) -> None:
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, resource.RLIM_INFINITY))"
    )
    start = f"{limited}; import os, sys; os.execv(sys.argv[1], sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", start, *PROGRAM, "match", "-", "--list", DEMO],
        stdin=subprocess.PIPE,  # it waits for hashes, and has no list yet
        env=environment(**({"HASHMATCH_DEBUG": "1"} if debug else {})),
    ) as process:
        asked = False
        for _ in range(100 if not debug else 20):
            limits = Path(f"/proc/{process.pid}/limits").read_text()
            (line,) = [one for one in limits.splitlines() if one.startswith("Max core file size")]
            asked = line.split()[4:6] == ["0", "0"]
            if asked:
                break
            time.sleep(0.05)
        process.kill()
    assert asked != debug


def test_where_it_is_not_possible_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    from hashmatch.cli import no_core_dumps

    for missing in ("resource", "ctypes"):
        monkeypatch.setitem(sys.modules, missing, None)
    no_core_dumps()
