"""``pytest --canaries``: no test of the suite may show a hash of a list, whatever it is about.

All that is logged, at DEBUG, by anybody, and all that tests and the processes they run write is
searched for the hashes of the fixtures' lists and for the canaries of `canaries`. Hashes of lists
that lie near a picture's own are left out, since one may see the hashes of one's own pictures. A
test that shows hashes on purpose is marked ``reveals``.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any

import click.testing
import pytest

import cli_tools
from canaries import Detector, all_canaries
from canary_lists import BY_DIGITS, FILES, HASH

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = cli_tools.FIXTURES / "golden"


@cache
def listed() -> Detector:
    """Return a search for the hashes of the fixtures' lists."""
    of_pictures = {
        text
        for path in GOLDEN.glob("*.json")
        if path.stem != "lists"
        for text in re.findall(r'"([0-9a-f]+)"', path.read_text())
        if len(text) in BY_DIGITS
    }
    own = Detector(map(bytes.fromhex, of_pictures))
    hashes = {found.decode().lower() for path in FILES for found in HASH.findall(path.read_bytes())}
    return Detector(bytes.fromhex(text) for text in hashes if not own.find(text))


class CanaryWatch:
    """Keeps what is written while a test runs, and looks at it when it has ended."""

    def __init__(self) -> None:
        self.said: list[bytes] = []
        self.looked_at = 0

    def note(self, *outputs: object) -> None:
        """Keep some output, text or bytes."""
        for output in outputs:
            if isinstance(output, str):
                self.said.append(output.encode(errors="surrogateescape"))
            elif isinstance(output, bytes | bytearray):
                self.said.append(bytes(output))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Listen to processes, to a terminal, and to commands that tests call from Python."""
        communicate, invoke = subprocess.Popen.communicate, click.testing.CliRunner.invoke
        on_terminal = cli_tools.on_terminal

        def communicated(process: Any, *args: Any, **kwargs: Any) -> Any:
            outputs = communicate(process, *args, **kwargs)
            self.note(*outputs)
            return outputs

        def invoked(runner: Any, *args: Any, **kwargs: Any) -> Any:
            result = invoke(runner, *args, **kwargs)
            self.note(result.output, repr(result.exception))
            return result

        def seen(*args: Any, **kwargs: Any) -> Any:
            code, output = on_terminal(*args, **kwargs)
            self.note(output)
            return code, output

        subprocess.Popen.communicate = communicated  # type: ignore[method-assign, assignment]
        click.testing.CliRunner.invoke = invoked  # type: ignore[method-assign, assignment]
        cli_tools.on_terminal = seen

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        """Fail a test that has shown a hash."""
        result = yield
        report = result.get_result()  # type: ignore[attr-defined]
        self.note(*(text for _, text in report.sections), report.longreprtext)
        said, self.said = b"\n".join(self.said), []
        self.looked_at += len(said)
        if item.get_closest_marker("reveals"):
            return
        forms = all_canaries().find(said) + listed().find(said)
        if forms:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} shows the hash of a list: {', '.join(forms)}"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say how much was looked at: if it is nothing, nothing was looked for."""
        terminalreporter.write_line(f"looked for canaries in {self.looked_at:,} bytes")
