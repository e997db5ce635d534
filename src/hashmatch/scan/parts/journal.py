"""The checkpoint of a part that is under way: its results so far, a line each, in their order.

Who takes a part up copies what is whole of the journal there is into one of their own, which takes
its place: the writer of the other one, dead or not, harms nothing. A journal is lost with the
folder that it is in, and the part is then begun again; what has been lost of its end is done again.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from hashmatch._files.atomic import NewFile, put
from hashmatch.errors import CheckpointError
from hashmatch.scan.parts.manifest import Line

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Entry(msgspec.Struct, array_like=True, frozen=True):
    """What became of an item: its outcome, the rule that suppressed it, and its line, if any."""

    number: int
    outcome: str
    suppressed_by: str
    line: Line | None


class Journal:
    """The journal of a part at a path; without one, results are only held in memory.

    ``attempts`` is how often the part was begun, with this time; `entries` what was done before.
    CheckpointError if it cannot be written.
    """

    def __init__(self, path: str | None, token: str) -> None:
        self._path = path
        self._file: int | None = None
        self.attempts, self.entries = 1, list[tuple[str, str, Line | None]]()
        self._pending = b""
        if path is None:
            return
        before = list(_lines(path))
        with suppress(msgspec.MsgspecError, IndexError):
            known, attempts = msgspec.json.decode(before[0], type=tuple[str, int])
            if known == token:
                self.attempts = attempts + 1
                for number, line in enumerate(before[1:]):
                    entry = msgspec.json.decode(line, type=_Entry)
                    if entry.number != number:
                        break
                    self.entries.append((entry.outcome, entry.suppressed_by, entry.line))
        whole = [msgspec.json.encode((token, self.attempts)), *before[1 : len(self.entries) + 1]]
        self._replace(path, b"\n".join([*whole, b""]))

    def _replace(self, path: str, data: bytes) -> None:
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            new = NewFile(path, ours=True)  # that of a worker that is lost, and may live
            try:
                put(new.file, data)
                new.commit(keep_open=True)
            except BaseException:
                new.discard()
                raise
        except OSError as error:
            if error.errno == errno.EBUSY:  # another takes up the part at this moment
                return
            raise self._cannot(error) from None
        self._file = new.file

    def add(self, outcome: str, suppressed_by: str, line: Line | None) -> None:
        """Add what became of the next item; `flush` writes it."""
        entry = _Entry(len(self.entries), outcome, suppressed_by, line)
        self.entries.append((outcome, suppressed_by, line))
        if self._file is not None:
            self._pending += msgspec.json.encode(entry) + b"\n"

    def flush(self) -> None:
        """Hand what was added to the system: it survives the end of this process."""
        if self._file is not None and self._pending:
            try:
                put(self._file, self._pending)
            except OSError as error:
                raise self._cannot(error) from None
            self._pending = b""

    def close(self, *, remove: bool = False) -> None:
        """Close it; the part is done if it is to be removed."""
        if self._file is None:
            return
        os.close(self._file)
        self._file = None
        if remove:
            with suppress(OSError):
                os.unlink(self._path or "")

    def _cannot(self, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"cannot keep the state of a scan in {self._path}: {error.strerror}. Free disk space, "
            "and run the same scan again"
        )


def _lines(path: str) -> Iterator[bytes]:
    """Yield the lines of a file that are whole."""
    try:
        with open(path, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]
    except FileNotFoundError:
        return
