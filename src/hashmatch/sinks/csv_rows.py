"""Review records as CSV, one row for each match, for people with a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from msgspec import UNSET

from hashmatch._files.atomic import OutputFile
from hashmatch.records.controls import escape_controls

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from hashmatch.records.review import ReviewRecord

COLUMNS = (
    "record_id", "status", "created_at",
    "key", "version", "surface", "media_type", "width", "height", "frame", "damaged",
    "algorithm", "quality", "decode_policy", "variant",
    "list", "list_version", "entry", "distance", "max_distance", "max_distance_from",
    "labels", "sources", "match_count",
    "suppressed_by", "suppressed_by_list", "suppressed_by_entry", "suppressed_by_distance",
    "chrome", "mostly_chrome",
)  # fmt: skip


_FORMULA = re.compile(r"(^|;)(\s*[=+\-@\uff1d\uff0b\uff0d\uff20])")
"""What begins a formula, in letters of full width too: at the start of a cell, or of what is one
where a semicolon separates cells, as in much of Europe."""


class CsvSink:
    """Writes a header, then a row for each named match, closest first.

    Several labels or sources share a cell, separated by blanks. Rows whose status is ``suppressed``
    wait for nobody; other cells say which rule kept them out of the queue. The image's own
    hash is never in it; ask for JSON lines if you need it.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = OutputFile(path, keep=True)
        self._begun = False

    def write(self, record: ReviewRecord) -> None:
        """Write the rows of one record."""
        self._begin()
        item, made, by = record.item, record.hash, record.suppressed_by
        why = () if by is UNSET else (by.reason, by.list, by.entry, by.distance)
        for match in record.matches:
            self._row(
                record.record_id, record.status, record.created_at,
                item.key, item.version, item.surface, item.media_type, item.width, item.height,
                match.frame, str(item.damaged).lower(),
                match.algorithm, made.quality, made.decode_policy, match.variant,
                match.list, match.list_version, match.entry, match.distance, match.max_distance,
                match.max_distance_from, " ".join(match.labels), " ".join(match.sources),
                record.match_count,
                *(why or ("", "", "", "")),
                match.chrome, "" if match.mostly_chrome is UNSET else "true",
            )  # fmt: skip

    def close(self) -> None:
        """Finish the file; without a record it is a header alone."""
        self._begin()
        self._file.close()

    def abandon(self) -> None:
        """Stop early."""
        self._file.abandon()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._row(*COLUMNS)

    def _row(self, *cells: object) -> None:
        self._file.write(csv_line(cells))


def csv_line(cells: Iterable[object]) -> str:
    """Return cells as a line that means the same to whatever reads it, and runs in no spreadsheet.

    Everything is quoted, lines end as RFC 4180 has it, and control characters are written out: no
    key begins a row, or steers what shows it. JSON lines have such a key as it is.
    """
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow([_harmless(cell) for cell in cells])
    return line.getvalue()


def _harmless(cell: object) -> object:
    """Return `cell` so that no spreadsheet runs it: a key ``=cmd|...`` is somebody's attack."""
    if cell is UNSET:  # not every match knows its variant, nor every rule an entry
        return ""
    if isinstance(cell, str):
        return _FORMULA.sub(r"\1'\2", escape_controls(cell))
    return cell
