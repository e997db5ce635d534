"""Help: every command, option and exit code is explained, at once and without loading anything."""

from __future__ import annotations

import json
import subprocess
import sys

import click
import pytest

from cli_tools import PROGRAM, environment, run
from every_command import COMMANDS, LEAVES


def test_there_are_the_commands_of_the_readme() -> None:
    assert {("scan",), ("hash",), ("match",), ("list", "inspect"), ("demo",), ("warm",)} <= LEAVES


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_of_every_command(path: tuple[str, ...]) -> None:
    ran = run(*path, "--help")
    assert (ran.code, ran.err) == (0, b"")
    text = ran.out.decode()
    assert text.startswith(f"Usage: hashmatch {' '.join(path)}".rstrip() + " ")
    assert "\\b" not in text, "a mark for the formatter is shown"
    assert max(map(len, text.splitlines())) <= 100
    assert run(*path, "-h").out == ran.out


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_and_option_is_documented(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help, path
    assert len(command.help) > 40
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.help.rstrip().endswith((".", "]")), parameter.help


@pytest.mark.parametrize("path", [("scan",), ("hash",), ("match",)], ids=" ".join)
def test_help_shows_an_example_on_a_line_of_its_own(path: tuple[str, ...]) -> None:
    lines = [line.strip() for line in run(*path, "--help").out.decode().splitlines()]
    assert [line for line in lines if line.startswith(f"hashmatch {' '.join(path)} ")]


def test_exit_codes_are_explained() -> None:
    text = run("--help").out.decode()
    for code in ("0", "1", "2", "130"):
        assert f"{code} " in text


def test_a_bare_hashmatch_shows_help() -> None:
    ran = run()
    assert b"Usage: hashmatch" in ran.out + ran.err
    assert b"demo" in ran.out + ran.err


def test_the_version_is_told() -> None:
    ran = run("--version")
    assert ran.code == 0
    assert ran.out.startswith(b"hashmatch, version ")


@pytest.mark.parametrize("args", [["--help"], ["scan", "--help"], ["list", "inspect", "--help"]])
def test_help_loads_nothing_heavy(args: list[str]) -> None:
    script = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        "from hashmatch.cli import main\n"
        f"main({args!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, env=environment(), check=True
    )
    loaded = set(json.loads(done.stderr))
    heavy = {"numpy", "numba", "rich", "PIL", "scipy", "imagehash", "msgspec"}
    if args == ["--help"]:  # other help names plug-ins, and what knows them loads csv
        heavy.add("csv")
    assert heavy & loaded == set()
    assert len(loaded) < 400  # and so it answers at once


def test_python_dash_m_is_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hashmatch", "--help"],
        capture_output=True,
        env=environment(),
        check=True,
    )
    assert done.stdout.splitlines()[1:] == run("--help").out.splitlines()[1:]
    assert PROGRAM[0].endswith("hashmatch") or PROGRAM[0] == sys.executable
