"""The file behind a sink: private, and in its place only when it is whole."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from hashmatch.errors import SinkError

if TYPE_CHECKING:
    from pathlib import Path


class OutputFile:
    """Text for standard output, or for a file that appears when it is finished.

    A file is written beside its place as ``NAME.part``, readable by its owner only since records
    are about people, and moved when it is closed: nobody takes half of a scan for a whole one.
    Pipes and devices are written as they are.

    Parameters
    ----------
    path : Path or None
        None is standard output.

    Raises
    ------
    SinkError
        If it cannot be opened.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._part: Path | None = None
        self._file: TextIO | None = None
        if path is None:
            return
        try:
            if path.exists() and not stat.S_ISREG(path.stat().st_mode):
                self._file = path.open("w", encoding="utf-8", newline="")
            else:
                self._part = path.with_name(path.name + ".part")
                self._part.unlink(missing_ok=True)  # what an earlier scan left, or somebody's link
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(self._part, flags, 0o600)
                self._file = open(descriptor, "w", encoding="utf-8", newline="")  # noqa: SIM115
        except OSError as error:
            raise SinkError(f"{path}: cannot be written: {error.strerror}") from None

    def write(self, text: str) -> None:
        """Write `text` and hand it to the system: a record survives the end of the process."""
        # Standard output is looked up each time: a progress bar may stand in for it by now.
        file = sys.stdout if self._file is None else self._file
        try:
            file.write(text)
            file.flush()
        except BrokenPipeError:  # the reader has seen enough; the command line ends quietly
            raise
        except OSError as error:
            self.abandon()
            raise SinkError(f"{self._name()}: cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """Move a finished file to its place, on disk before it is there."""
        if self._file is None or self._path is None:
            return
        try:
            if self._part is not None:
                os.fsync(self._file.fileno())
            self._file.close()
            if self._part is not None:
                os.replace(self._part, self._path)
        except OSError as error:
            self.abandon()
            raise SinkError(f"{self._name()}: cannot be written: {error.strerror}") from None

    def abandon(self) -> None:
        """Leave an unfinished file as ``NAME.part``."""
        if self._file is not None:
            # What could not be written has been reported already, as the reason to stop.
            with suppress(OSError):
                self._file.close()

    def discard(self) -> None:
        """Leave nothing."""
        self.abandon()
        if self._part is not None:
            self._part.unlink(missing_ok=True)

    def _name(self) -> str:
        return "standard output" if self._path is None else str(self._path)
