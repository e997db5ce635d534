"""A command ends its process itself, once everything is done that the end of one has to do."""

from __future__ import annotations

import atexit
import io
import os
import subprocess
import sys
import threading

import pytest

from hashmatch.cli import exit_now

AT_ITS_END = """
import atexit, weakref
from hashmatch.cli import main

class Pool: ...

pool = Pool()
weakref.finalize(pool, print, "finalized")
atexit.register(print, "registered")
main(["--version"])
"""


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was done to end this process, which goes on."""
    done: list[object] = []
    every = threading.enumerate
    before = {*every()} - {threading.main_thread()}  # of other tests
    monkeypatch.setattr(threading, "enumerate", lambda: [t for t in every() if t not in before])
    monkeypatch.setattr(os, "_exit", done.append)
    monkeypatch.setattr(atexit, "_run_exitfuncs", lambda: done.append("registered"))
    return done


def test_the_code_is_that_of_the_command(done: list[object]) -> None:
    exit_now(3)
    assert done == ["registered", 3]


@pytest.mark.parametrize("code", [None, "a message"])
def test_other_codes_are_left_to_the_interpreter(code: object, done: list[object]) -> None:
    exit_now(code)
    assert done == []


def test_threads_at_work_are_waited_for(done: list[object]) -> None:
    asked = threading.Event()
    thread = threading.Thread(target=asked.wait)
    thread.start()
    try:
        exit_now(0)
        assert done == []
    finally:
        asked.set()
        thread.join()


def test_output_that_cannot_be_written_is_said(
    done: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        def flush(self) -> None:
            raise OSError

    monkeypatch.setattr(sys, "stdout", Full())
    exit_now(0)
    assert done == ["registered"]


def test_what_is_registered_for_the_end_is_done() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", AT_ITS_END], check=True, capture_output=True, text=True
    )
    version, *said = ended.stdout.splitlines()
    assert version.startswith("hashmatch")
    assert sorted(said) == ["finalized", "registered"]
