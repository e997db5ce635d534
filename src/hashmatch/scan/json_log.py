"""JSON logs of a scan: one object a line, for machines that collect them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

from hashmatch.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashmatch.scan.events import Event

FIELDS = {
    "problem": ("item", "outcome", "reason"),
    "retry": ("item", "reason"),
    "alarm": ("list", "list_version", "algorithm"),
    "stop": ("reason",),
}
COUNTED = frozenset({"begin", "batch", "end", "stop"})
"""Events that are logged with all counters."""


class JsonLog:
    """Takes the events of a scan: give it as ``observe=``. Those of progress are left out.

    Each line has ``time`` (UTC, ISO 8601, to the millisecond) and ``event``. It is appended to the
    file, and handed to the system at once. A line that was cut off by a kill is ended first.

    Parameters
    ----------
    path : str or path, or None
        None is standard output. A file is made for its owner only: names of items are about people.
    about : mapping of str to JSON-able, optional
        What to say in the first line besides; no secrets.

    Raises
    ------
    SinkError
        If it cannot be opened, or written.

    Examples
    --------
    >>> import hashmatch as hm
    >>> matcher = hm.Matcher(hm.read_list("fixtures/lists/demo-pdq.csv"))
    >>> log = JsonLog(None, {"job": "nightly"})
    >>> picture = "fixtures/images/plain/tiles.png"
    >>> found = hm.scan_source(picture, matcher, surface="public_post", observe=log)
    >>> records = list(found)  # doctest: +ELLIPSIS
    {"time":"...Z","event":"begin","job":"nightly","listed":0,...}
    {"time":"...Z","event":"batch","listed":1,...}
    {"time":"...Z","event":"end","listed":1,...}
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, about: Mapping[str, object] | None = None
    ) -> None:
        self._path, self._about = path, dict(about or {})
        self._file: TextIO | None = None
        if path is None:
            return
        try:
            descriptor = os.open(
                path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o600
            )
            torn = _is_torn(descriptor)
            self._file = open(descriptor, "a", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise self._cannot(error) from None
        if torn:
            self._write("\n")

    def __call__(self, event: Event) -> None:
        """Log one event."""
        if event.kind == "progress":
            return
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        line: dict[str, Any] = {"time": now, "event": event.kind}
        if event.kind == "begin":
            line |= self._about
        line |= {name: getattr(event, name) for name in FIELDS.get(event.kind, ())}
        if event.kind in COUNTED:
            counters = event.counters
            line |= asdict(counters)
            line |= {"records": counters.records, "suppressed": counters.suppressed}
            line["seconds"] = {stage: round(took, 3) for stage, took in counters.seconds.items()}
        self._write(msgspec.json.encode(line).decode() + "\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError):  # what could not be written has been reported already
                self._file.close()

    def _write(self, text: str) -> None:
        file = sys.stdout if self._file is None else self._file
        try:
            file.write(text)
            file.flush()
        except BrokenPipeError:  # the reader has seen enough; the command line ends quietly
            raise
        except OSError as error:
            self.close()
            raise self._cannot(error) from None

    def _cannot(self, error: OSError) -> SinkError:
        name = "standard output" if self._path is None else os.fspath(self._path)
        return SinkError(f"{name}: the log cannot be written: {error.strerror}")


def _is_torn(descriptor: int) -> bool:
    """Return whether what is in a file does not end with the end of a line."""
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    except OSError:  # a pipe or a terminal
        return False
