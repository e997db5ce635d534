"""Completion in the shells themselves: what is typed before Tab is completed on the screen."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli_tools import DEMO, PROGRAM, environment, run
from hashmatch import registry
from processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

SHELLS = "bash", "zsh", "fish"
TYPED = [
    ("rev", "review"),
    ("review preci", "review precision"),
    ("review case reop", "review case reopen"),
    ("scan --max-dist", "scan --max-distance"),
    ("scan --encoding base64u", "scan --encoding base64url"),
    ("scan --surface prof", "scan --surface profile_photo"),
    ("hash -a pdq-n", "hash -a pdq-nearest512"),
    ("scan --list-format vi", "scan --list-format vics-json"),
    ("review case list queue.db --state esc", "review case list queue.db --state escalated"),
    ("list inspect kno", "list inspect known.csv"),
    ("scan photos --list kno", "scan photos --list known.csv"),
    ("list verify lists/hot", "list verify lists/hotline"),
    ("list rollback lists/hotline 1", "list rollback lists/hotline 17"),
    ("scan pho", "scan photos/"),
]
"""What is typed before Tab, and what stands there after it."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("completion")
    shutil.copy(DEMO, made / "known.csv")
    (made / "photos").mkdir()
    versions = made / "lists" / "hotline" / "versions"
    versions.mkdir(parents=True)
    (versions / "00000017.json").touch()
    (made / "lists" / "hotter").mkdir()  # a folder that is no store
    return made


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(("typed", "expected"), TYPED, ids=[typed for typed, _ in TYPED])
def test_completions_of_the_script(shell: str, typed: str, expected: str, folder: Path) -> None:
    """What the script of a shell asks for, and gets."""
    words = ["hashmatch", *typed.split()]
    at = str(len(words) - 1) if shell != "fish" else words[-1]
    ran = run(
        cwd=folder, COMP_CWORD=at, COMP_WORDS="\n".join(words),
        _HASHMATCH_COMPLETE=f"{shell}_complete",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, b"")
    last = expected.rsplit(maxsplit=1)[-1]
    said = re.split(r"[,\n\t]", ran.out.decode())
    assert said[0] == "plain" or said[:1] in (["file"], ["dir"])
    if said[0] == "plain":
        assert said[1] == last
    else:
        assert last.startswith(words[-1])


def installed(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}; .ci/run installs it")


@contextmanager
def typing(shell: str, folder: Path, script: Path) -> Iterator[int]:
    """Start a shell on a terminal that has loaded the completions; give the terminal."""
    master, slave = pty.openpty()
    start = {
        "bash": ["bash", "--norc", "--noprofile", "-i"],
        "zsh": ["zsh", "-f", "-i"],
        "fish": ["fish", "--no-config", "-i"],
    }[shell]
    env = environment(
        PATH=f"{Path(PROGRAM[0]).parent}:{os.environ['PATH']}", HOME=str(folder), PS1="> ",
        TERM="dumb" if shell == "bash" else "xterm",
    )  # fmt: skip
    with subprocess.Popen(
        start, stdin=slave, stdout=slave, stderr=slave, env=env, cwd=folder, start_new_session=True
    ) as process:
        os.close(slave)
        try:
            if shell == "zsh":
                os.write(master, b"autoload -U compinit && compinit -u -D\n")
            os.write(master, f"source {script}\necho rea''dy\n".encode())
            seen(master, "ready")
            yield master
        finally:
            process.kill()
            os.close(master)


def seen(terminal: int, text: str) -> str:
    """Read until `text` is on the screen; return what was there by then."""
    screen, end = "", time.monotonic() + PATIENCE
    while text not in screen:
        assert time.monotonic() < end, screen
        if select.select([terminal], [], [], 1)[0]:
            raw = os.read(terminal, 65536).decode(errors="replace")
            screen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|[\r\x07\x0f]", "", raw)
    return screen


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_tab_completes_what_is_typed(shell: str, folder: Path, tmp_path: Path) -> None:
    installed(shell)
    script = tmp_path / "script"
    script.write_bytes(run("completion", shell).out)
    with typing(shell, folder, script) as terminal:
        for typed, expected in TYPED:
            os.write(terminal, f"hashmatch {typed}\t".encode())
            end = expected[len(typed) :]
            seen(terminal, end)
            os.write(terminal, b"\x15")  # Ctrl-U takes the line away


def test_fish_completes_what_is_typed(folder: Path, tmp_path: Path) -> None:
    installed("fish")
    script = tmp_path / "script.fish"
    script.write_bytes(run("completion", "fish").out)
    env = environment(
        PATH=f"{Path(PROGRAM[0]).parent}:{os.environ['PATH']}", HOME=str(tmp_path)
    )  # fmt: skip
    asked = "; ".join(f'echo (complete -C "hashmatch {typed}")' for typed, _ in TYPED)
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source {script}; {asked}"],
        cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    offered = [line.split("\t")[0].split(" ")[0] for line in done.stdout.splitlines()]
    assert offered == [expected.split()[-1] for _, expected in TYPED]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_one_of_its_shell(shell: str, tmp_path: Path) -> None:
    installed(shell)
    script = tmp_path / "script"
    script.write_bytes(run("completion", shell).out)
    checked = subprocess.run([shell, "-n", script], capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")


def test_values_are_those_that_are_installed(folder: Path) -> None:
    for option, group in (("-a", registry.HASHERS), ("--list-format", registry.LISTS)):
        ran = run(
            cwd=folder, COMP_CWORD="3", COMP_WORDS=f"hashmatch\nscan\n{option}\n",
            _HASHMATCH_COMPLETE="bash_complete",
        )  # fmt: skip
        offered = [line.partition(",")[2] for line in ran.out.decode().splitlines()]
        assert offered == registry.names(group)


def test_a_wrong_shell_is_answered_with_the_nearest() -> None:
    ran = run("completion", "bsh")
    assert ran.code == 2
    assert "Did you mean bash?" in ran.said
