"""Whoever waits on a terminal for kernels to be compiled is told so, once."""

from __future__ import annotations

import logging
import os
import re
import sys
from typing import TYPE_CHECKING

import click
import pytest

from cli_tools import IMAGES, on_terminal, screen_lines
from hashmatch.cli import main
from hashmatch.cli.options import quiet_option

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger("hashmatch.kernels")


@click.command()
@quiet_option
def compiles(quiet: bool) -> None:
    """Log what kernels do."""
    for name, seconds in (("one", 5.0), ("other", 7.2)):
        LOG.info("compiling kernel %s", name)
        LOG.info("compiled kernel %s", name, extra={"seconds": seconds})
    LOG.warning("compiled kernels cannot be kept")


@pytest.mark.parametrize(
    ("is_terminal", "options", "lines"),
    [
        (
            True,
            [],
            [
                "compiling search kernels for this processor (once) ...",
                "compiled kernels cannot be kept",
                "compiled search kernels in 12 s",
            ],
        ),
        (False, [], ["compiled kernels cannot be kept"]),
        (True, ["-q"], []),
        (False, ["-q"], []),
    ],
)
def test_what_is_said_of_kernels(
    is_terminal: bool,
    options: list[str],
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(main.commands, "compiles", compiles)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    monkeypatch.setenv("TERM", "xterm")
    handlers = list(LOG.handlers)
    main.main(["compiles", *options], standalone_mode=False)
    seen = capsys.readouterr().err
    assert screen_lines(seen.encode())[:-1] == [f"hashmatch: {line}" for line in lines]
    assert seen.startswith("\r\x1b[K") == (is_terminal and not options)
    assert (LOG.handlers, LOG.level) == (handlers, logging.NOTSET)


@pytest.mark.skipif(bool(os.environ.get("NUMBA_DISABLE_JIT")), reason="nothing is compiled")
def test_the_first_hash_of_an_installation(tmp_path: Path) -> None:
    picture = IMAGES / "plain/avatar-rays.png"
    first, second = (
        on_terminal("hash", "-a", "ahash", picture, NUMBA_CACHE_DIR=str(tmp_path)) for _ in "12"
    )
    assert first[0] == second[0] == 0
    said, record, took, *_ = screen_lines(first[1])
    assert said == "hashmatch: compiling search kernels for this processor (once) ..."
    assert re.fullmatch(r"hashmatch: compiled search kernels in \d+ s", took)
    assert screen_lines(second[1])[0] == record
