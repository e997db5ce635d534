"""Review records as JSON lines: the form that loses nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch._files.atomic import OutputFile
from hashmatch.records.controls import escape_json

if TYPE_CHECKING:
    from pathlib import Path

    from hashmatch.records.review import ReviewRecord


class JsonlSink:
    """Writes one record a line, in the schema ``hashmatch.review/1``."""

    def __init__(self, path: Path | None) -> None:
        self._file = OutputFile(path, keep=True)

    def write(self, record: ReviewRecord) -> None:
        """Write one record."""
        self._file.write(json_line(record))

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def abandon(self) -> None:
        """Stop early."""
        self._file.abandon()


def json_line(record: ReviewRecord) -> str:
    """Return a record as a line, without the control characters that keys may have.

    Parameters
    ----------
    record : ReviewRecord
        What to write.
    """
    return escape_json(record.to_json().decode()) + "\n"
