"""Runs the real command line: as a process with pipes, on a pseudo-terminal, and interrupted.

Processes are forked with hashmatch imported, see `processes`.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import processes
from processes import PATIENCE, Process, warm_program

if TYPE_CHECKING:
    from collections.abc import Iterator

FIXTURES = Path(__file__).parent.parent / "fixtures"
IMAGES = FIXTURES / "images"
LISTS = FIXTURES / "lists"
DEMO = LISTS / "demo-pdq.csv"

Argument = str | bytes | Path
PROGRAM, wait_for = processes.PROGRAM, processes.wait_for


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    out: bytes
    err: bytes

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.decode().splitlines()]

    @property
    def said(self) -> str:
        return self.err.decode()


def environment(**changes: str) -> dict[str, str]:
    """The environment without what would change colours, widths, warnings or references."""
    names = {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "PYTHONWARNINGS", "HASHMATCH_DEBUG"}
    kept = {k: v for k, v in os.environ.items() if k not in names | {"HASHMATCH_REFERENCE_KEY"}}
    return kept | {"TERM": "xterm-256color"} | changes


def run(*args: Argument, stdin: bytes = b"", cwd: Path | None = None, **env: str) -> Ran:
    """Run hashmatch with pipes; whatever happens, nobody is shown a traceback."""
    done = processes.run(
        [*PROGRAM, *args], input=stdin, cwd=cwd, env=environment(**env), check=False
    )
    ran = Ran(done.returncode, done.stdout, done.stderr)
    assert b"Traceback" not in ran.out + ran.err, ran.said
    return ran


def scan(source: Argument, *args: Argument, known: Path = DEMO, **rest: Any) -> Ran:
    return run("scan", source, "--list", known, "--surface", "profile_photo", *args, **rest)


def shell(line: str, *args: Argument, fresh: bool = False) -> Ran:
    """Run a line of bash in which "$@" is hashmatch with `args`, a `fresh` start of it or not."""
    program = PROGRAM if fresh else [warm_program()]
    done = subprocess.run(
        ["bash", "-c", line, "bash", *program, *args],
        capture_output=True,
        env=environment(),
        timeout=PATIENCE,
        check=False,
    )
    assert b"Traceback" not in done.stdout + done.stderr, done.stderr.decode()
    return Ran(done.returncode, done.stdout, done.stderr)


def on_terminal(*args: Argument, out: Path | None = None, **env: str) -> tuple[int, bytes]:
    """Run hashmatch with stderr, and stdout unless it goes to `out`, on a terminal of 30 x 100.

    Returns the exit code and all that reached the terminal.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    with open(os.devnull if out is None else out, "wb") as file:
        process = Process(
            [*PROGRAM, *args],
            stdin=subprocess.DEVNULL,
            stdout=slave if out is None else file,
            stderr=slave,
            env=environment(**env),
        )
    os.close(slave)
    seen = b""
    try:
        while chunk := os.read(master, 65536):
            seen += chunk
    except OSError:  # so Linux says that the last writer is gone
        pass
    os.close(master)
    assert b"Traceback" not in seen
    return process.wait(PATIENCE), seen


def screen_lines(seen: bytes) -> list[str]:
    """The lines that a terminal shows in the end, after what was wiped or written over."""
    rows, row = [""], 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zJL-Z]", "", seen.decode().replace("\r\n", "\n"))
    for part in re.split(r"(\n|\r|\x1b\[\d*[AK])", text):
        if part == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif part.endswith("A"):
            row = max(0, row - int(part[2:-1] or 1))
        elif part in {"\r", "\x1b[2K"}:
            rows[row] = ""  # near enough: nothing here goes back without wiping
        elif not part.startswith("\x1b"):
            rows[row] += part
    return rows


@contextmanager
def running(*args: Argument, out: int = subprocess.PIPE) -> Iterator[subprocess.Popen[bytes]]:
    """Start hashmatch at the head of a process group of its own, as a shell does."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # or the child would inherit it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with Process(
        [*PROGRAM, *args],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def unfinished(path: Path) -> list[Path]:
    """The parts of a file that is being written, or was when its writer died."""
    return list(path.parent.glob(f".{path.name}.*.part"))


def many(folder: Path, count: int, picture: str = "plain/landscape-dusk.jpg") -> Path:
    """Make a folder of `count` names of one picture, which the demo list knows."""
    folder.mkdir(parents=True)
    first = folder / f"0000{Path(picture).suffix}"
    first.write_bytes((IMAGES / picture).read_bytes())
    for number in range(1, count):
        os.link(first, folder / f"{number:04}{first.suffix}")
    return folder


def one_line(ran: Ran, *words: str) -> None:
    """Check that a command refused: exit 2, nothing on stdout, one clear line with `words`."""
    said = ran.said
    assert ran.code == 2, said
    assert ran.out == b""
    if said.startswith("Usage: "):  # click's own: usage, a hint, a blank line, the error
        _, hint, blank, *error = said.splitlines()
        assert (hint[:5], blank) == ("Try '", "")
        said = "\n".join(error)
    assert said.count("\n") <= 1, said
    assert said.startswith(("hashmatch: ", "Error: ")), said
    for word in words:
        assert word in said
