"""The file of an export as a Parquet table: the extra ``parquet``."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hashmatch.errors import SinkError, UsageError
from hashmatch.review.handing.export import COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

    from hashmatch.review.handing.export import ExportRow

GROUP = 10_000
"""Rows that are kept in memory, and written together."""


class ParquetRows:
    """Rows on their way into a table that appears when it is whole, readable by its owner only.

    Parameters
    ----------
    path : Path
        Where it is to be.

    Raises
    ------
    UsageError
        If the extra ``parquet`` is not installed.
    SinkError
        If it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise UsageError(f"{path}: Parquet needs hashmatch[parquet]") from None
        types = {str: pyarrow.string(), int: pyarrow.int64(), bool: pyarrow.bool_()}
        self._arrow = pyarrow
        self._schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
        self._rows: list[list[Any]] = []
        self._path = path
        self._part = path.with_name(path.name + ".part")
        try:
            self._part.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.fdopen(os.open(self._part, flags, 0o600), "wb")
        except OSError as error:
            raise self._trouble(error) from None
        self._writer = pyarrow.parquet.ParquetWriter(self._file, self._schema)

    def write(self, row: ExportRow) -> None:
        """Take a row."""
        self._rows.append(row.cells())
        if len(self._rows) >= GROUP:
            self._flush()

    def close(self) -> None:
        """Put the table in its place, on the disk before it is there."""
        self._flush()
        try:
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._part, self._path)
        except OSError as error:
            raise self._trouble(error) from None

    def discard(self) -> None:
        """Leave nothing."""
        with suppress(OSError, ValueError):
            self._writer.close()
        with suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)

    def _flush(self) -> None:
        columns = [list(column) for column in zip(*self._rows, strict=True)]
        if not columns:
            return
        arrays = [
            self._arrow.array([_text(cell) for cell in column], field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._rows.clear()
        try:
            self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        except OSError as error:
            raise self._trouble(error) from None

    def _trouble(self, error: OSError) -> SinkError:
        return SinkError(f"{self._path}: cannot be written: {error.strerror or error}")


def _text(cell: object) -> object:
    """Return `cell` so that it is UTF-8: a key may have what no text has."""
    return cell.encode(errors="replace").decode() if isinstance(cell, str) else cell
