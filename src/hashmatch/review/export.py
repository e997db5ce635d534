"""A queue as a file: every record of every case, with its state and what was decided about it.

One row a record: JSON lines (schema ``hashmatch.decided/1``) have all of it, CSV and Parquet the
closest match and the decisions that stand. No hash is in it, neither of a list nor of a picture.
What may be acted on is written by `export_confirmed`, and by nothing else: it takes cases that
people confirmed and can no longer take back, and leaves out what no decision covers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET

from hashmatch._files.atomic import OutputFile, writing
from hashmatch.errors import SinkError, UsageError, install
from hashmatch.records.cases import CaseState, ConfirmedCase
from hashmatch.records.controls import escape_json
from hashmatch.records.times import timestamp
from hashmatch.sinks.csv_rows import csv_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    from hashmatch.records.cases import Case, CaseItem, Decision
    from hashmatch.review.queue import ReviewQueue

SCHEMA: Final = "hashmatch.decided/1"
COLUMNS: Final[dict[str, type]] = {
    "case_id": str, "state": str, "opened_at": str, "added_at": str, "inherited": bool,
    "decided_at": str, "reviewers": str, "reason": str, "said": str, "reviewed_digest": str,
    "record_id": str, "key": str, "version": str, "surface": str, "media_type": str, "frame": int,
    "source": str, "quality": int, "algorithm": str, "variant": str, "list": str,
    "list_version": str, "entry": str, "distance": int, "max_distance": int, "labels": str,
    "sources": str, "match_count": int,
}  # fmt: skip
"""Of CSV and Parquet. ``said`` are the labels that reviewers gave."""
SUFFIXES = ".jsonl", ".csv", ".parquet"
GROUP = 10_000
"""Rows that are kept in memory, and written together."""


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One record of a case, with the decisions that cover it, undone ones too."""

    case: Case
    item: CaseItem
    decisions: tuple[Decision, ...]

    def to_json(self) -> bytes:
        """Return it as a line of JSON, without the line end."""
        record = self.item.record
        return msgspec.json.encode(
            {
                "schema": SCHEMA,
                "case_id": self.case.case_id,
                "state": self.case.state,
                "opened_at": self.case.opened_at,
                "added_at": self.item.added_at,
                "inherited": self.item.inherited,
                "source": self.item.origin.source,
                "decisions": self.decisions,
                "record": replace(record, hash=replace(record.hash, value=UNSET)),
            }
        )

    def cells(self) -> list[Any]:
        """Return it as the cells of `COLUMNS`; None where there is nothing."""
        record, closest = self.item.record, self.item.record.matches[0]
        standing = [decision for decision in self.decisions if decision.undone_at is None]
        return [
            self.case.case_id,
            self.case.state.value,
            timestamp(self.case.opened_at, "auto"),
            timestamp(self.item.added_at, "auto"),
            self.item.inherited,
            timestamp(standing[-1].decided_at, "auto") if standing else None,
            ", ".join(dict.fromkeys(decision.reviewer for decision in standing)),
            "; ".join(filter(None, (decision.reason for decision in standing))),
            ", ".join(dict.fromkeys(name for decision in standing for name in decision.labels)),
            standing[-1].reviewed_digest if standing else None,
            record.record_id,
            record.item.key,
            record.item.version,
            record.item.surface.value,
            record.item.media_type,
            record.item.frame,
            self.item.origin.source,
            record.hash.quality,
            closest.algorithm,
            None if closest.variant is UNSET else closest.variant,
            closest.list,
            closest.list_version,
            closest.entry,
            closest.distance,
            closest.max_distance,
            " ".join(closest.labels),
            " ".join(closest.sources),
            record.match_count,
        ]


def export_cases(
    queue: ReviewQueue,
    path: str | os.PathLike[str] | None,
    *,
    states: Collection[CaseState | str] = (),
    since: datetime | None = None,
) -> int:
    """Write all cases of a queue, or some, to a file that is there when it is whole.

    Parameters
    ----------
    queue : ReviewQueue
        The queue. Others may use it meanwhile; each case is written as it is at one moment.
    path : path or None
        Ends in ``.jsonl``, ``.csv`` or ``.parquet`` (extra ``parquet``); readable by its owner
        only. None is standard output, as JSON lines.
    states : collection of CaseState or str
        Only cases in one of these.
    since : datetime, optional
        Only cases to which something happened since: a record came, or a decision was made or
        undone.

    Returns
    -------
    int
        How many records were written.

    Raises
    ------
    UsageError
        If there is no such state or ending.
    SinkError
        If it cannot be written.
    """
    try:
        wanted = {CaseState(state) for state in states}
    except ValueError as error:
        raise UsageError(f"{error}; there are {', '.join(CaseState)}") from None
    cases = (
        case
        for case in queue.cases()
        if (not wanted or case.state in wanted) and (since is None or _touched(case) >= since)
    )
    return _write((row for case in cases for row in _rows(case, case)), path)


def export_confirmed(cases: Iterable[ConfirmedCase], path: str | os.PathLike[str] | None) -> int:
    """Write what people confirmed, finally: what may be acted on.

    Parameters
    ----------
    cases : iterable of ConfirmedCase
        As `ReviewQueue.confirmed` gives them.
    path : path or None
        As for `export_cases`.

    Returns
    -------
    int
        How many records were written: only those that as many people as were needed confirmed.

    Raises
    ------
    UsageError
        If one of them is anything else.
    SinkError
        If it cannot be written.
    """
    return _write((row for case in cases for row in _confirmed_rows(case)), path)


def _rows(case: Case, shown: Case | ConfirmedCase) -> Iterator[ExportRow]:
    for item in shown.items:
        name = item.record.record_id
        yield ExportRow(case, item, tuple(d for d in shown.decisions if name in d.record_ids))


def _confirmed_rows(confirmed: ConfirmedCase) -> Iterator[ExportRow]:
    if type(confirmed) is not ConfirmedCase:
        raise UsageError("cannot export as confirmed what people have not confirmed")
    confirmed.__post_init__()  # however it was made
    yield from _rows(confirmed.case, confirmed)


def _touched(case: Case) -> datetime:
    times = [item.added_at for item in case.items]
    times += [decision.undone_at or decision.decided_at for decision in case.decisions]
    return max(times)


def _write(rows: Iterator[ExportRow], path: str | os.PathLike[str] | None) -> int:
    suffix = ".jsonl" if path is None else Path(path).suffix
    if suffix not in SUFFIXES:
        raise UsageError(f"cannot export to {path}. Give a name that ends in {', '.join(SUFFIXES)}")
    if path is not None and suffix == ".parquet":
        return _write_parquet(rows, os.fspath(path))
    count = 0
    with OutputFile(path) as file:
        if suffix == ".csv":
            file.write(csv_line(COLUMNS))
        for count, row in enumerate(rows, 1):  # noqa: B007
            line = _csv_row(row) if suffix == ".csv" else escape_json(row.to_json().decode()) + "\n"
            file.write(line)
    return count


def _csv_row(row: ExportRow) -> str:
    cells = ("" if cell is None else cell for cell in row.cells())
    return csv_line(str(c).lower() if c is True or c is False else c for c in cells)


def _write_parquet(rows: Iterator[ExportRow], path: str) -> int:
    """Write a table that appears when it is whole; UsageError without the extra ``parquet``."""
    try:
        import pyarrow
        from pyarrow.parquet import ParquetWriter
    except ImportError:
        raise UsageError(
            f"cannot write {path}: pyarrow is not installed. {install('parquet')}"
        ) from None
    types = {str: pyarrow.string(), int: pyarrow.int64(), bool: pyarrow.bool_()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    count = 0
    with (
        writing(path, error=SinkError) as descriptor,
        os.fdopen(descriptor, "wb", closefd=False) as file,
        ParquetWriter(file, schema) as writer,
    ):
        while group := [row.cells() for row in islice(rows, GROUP)]:
            arrays = [
                pyarrow.array([_text(cell) for cell in column], field.type)
                for column, field in zip(zip(*group, strict=True), schema, strict=True)
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            count += len(group)
    return count


def _text(cell: object) -> object:
    """Return `cell` so that it is UTF-8: a key may have what no text has."""
    return cell.encode(errors="replace").decode() if isinstance(cell, str) else cell
