"""How output is written: short ones at once, JSON a line each, and progress on a terminal alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from cli_tools import PROGRAM, environment, on_terminal, run, shell
from every_command import CALLS, make_folder
from hashmatch.cli import console
from hashmatch.cli.console import PipedOutput
from processes import Process

if TYPE_CHECKING:
    from pathlib import Path

SHORT = (
    "list inspect", "list diff", "list verify", "list keygen", "scan status", "match",
    "review settings", "review status", "review case list", "review case show",
)  # fmt: skip
"""Commands that print some lines, and take no time over them."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("output") / "made")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it, that a command may change."""
    return shutil.copytree(made, tmp_path / "folder")


@pytest.mark.parametrize("name", SHORT)
def test_a_short_output_is_one_write(name: str, folder: Path) -> None:
    """So that whether a reader leaves after its first line makes no difference."""
    args = [*name.split(), *CALLS[name].split()]
    reader, writer = os.pipe2(os.O_DIRECT)  # what is written at once is read at once
    with Process(
        [*PROGRAM, *args], stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.DEVNULL,
        env=environment(), cwd=folder,
    ) as process:  # fmt: skip
        os.close(writer)
        pieces = []
        while piece := os.read(reader, 65536):
            pieces.append(piece)
        assert process.wait() == 0
    os.close(reader)
    assert [len(piece) for piece in pieces[:-1]] == [4096] * (len(pieces) - 1)  # PIPE_BUF


@pytest.mark.parametrize("name", ["list inspect", "review settings", "list diff"])
def test_head_is_no_error_for_a_short_output(name: str, folder: Path) -> None:
    words = " ".join([*name.split(), *CALLS[name].split()])
    ran = shell(f'cd {folder}; "$@" {words} | head -n 1; exit ${{PIPESTATUS[0]}}')
    assert (ran.code, ran.err, ran.out.count(b"\n")) == (0, b"", 1)


def test_help_and_its_reader() -> None:
    for args in (["--help"], ["scan", "--help"], ["--version"]):
        ran = shell('"$@" | head -n 1; exit ${PIPESTATUS[0]}', *args)
        assert (ran.code, ran.err) == (0, b"")
        full = shell('"$@" > /dev/full', *args)
        assert (full.code, full.said.count("\n")) == (2, 1)
        assert "cannot write the output: No space left" in full.said


def test_lines_are_held_for_a_second_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    times = [0.0]
    monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: times[-1]))
    reader, writer = os.pipe()
    os.set_blocking(reader, False)

    def written() -> bytes:
        try:
            return os.read(reader, 2**20)
        except BlockingIOError:
            return b""

    output = PipedOutput(writer)
    for now in (0.0, 0.5, 0.9):
        times.append(now)
        output.write("line\n")
        output.flush()
        assert written() == b""
    times.append(1.1)
    output.flush()  # as a scan does while it waits
    assert written() == 3 * b"line\n"
    times.append(1.2)
    output.write("later\n")
    output.flush()
    assert written() == b""
    output.flush_now()
    assert written() == b"later\n"
    for _ in range(2):
        output.write("x" * 40_000)  # both are more than a pipe takes
    assert len(written()) >= 40_000
    output.flush_now()
    os.close(writer)
    output.detach().detach().close()  # type: ignore[attr-defined]
    os.close(reader)


WORKING = {
    "list verify": r"\d of 2 versions",
    "list sign": "reading the latest version",
    "rescan": r"\d pictures",
    "review add": r"\d records",
    "review verify": "checking the history",
    "review purge": "looking for what has expired",
    "review export": "writing records",
    "list import": "bytes|kB",
    "list update": "bytes|kB",
}


@pytest.mark.parametrize("name", WORKING)
def test_what_takes_long_says_so_on_a_terminal_and_quiet_does_not(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    args = [*name.split(), *CALLS[name].split()]
    (folder / "out").mkdir()
    code, seen = on_terminal(*args, out=folder / "out" / "lines")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert code == 0, text
    assert re.search(WORKING[name], text)
    shutil.rmtree(folder / "new", ignore_errors=True)
    code, seen = on_terminal(*args, "--quiet", out=folder / "out" / "lines")
    if code == 0:  # it may be done already
        assert seen == b""


@pytest.mark.parametrize("name", WORKING)
def test_a_pipe_gets_no_progress(name: str, folder: Path) -> None:
    ran = run(*name.split(), *CALLS[name].split(), cwd=folder)
    assert ran.code == 0
    assert b"\r" not in ran.out + ran.err
    assert b"\x1b" not in ran.out + ran.err


TABLES = [
    "list import", "list update", "list rollback", "list inspect", "list verify", "list diff",
    "list log", "review history",
    "list sign", "list keygen", "list probe", "review status", "review settings",
    "review precision", "review case list", "review case show", "review entry list",
    "review benign list", "review reviewer list", "review verify", "review purge",
    "review export", "review add", "review benign export", "review webhook push", "scan status",
]  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_what_people_read_programs_can_read_too(name: str) -> None:
    from every_command import COMMANDS

    options = {spelling for each in COMMANDS[tuple(name.split())].params for spelling in each.opts}
    assert "--json" in options
