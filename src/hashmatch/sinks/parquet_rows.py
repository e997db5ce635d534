"""Review records as rows of Parquet, one for each record; needs the extra ``parquet``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
from msgspec import UNSET
from pyarrow import parquet

from hashmatch.records.review import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.records.review import RecordMatch, ReviewRecord

_TEXTS = pa.list_(pa.string())
_SPAN = pa.list_(pa.float64())
_VIDEO = pa.struct(
    [
        ("query_share", pa.float64()),
        ("entry_share", pa.float64()),
        ("found_by", _TEXTS),
        (
            "segments",
            pa.list_(pa.struct([("query", _SPAN), ("frames", pa.int32()), ("entry", _SPAN)])),
        ),
    ]
)

MATCH = pa.struct(
    [
        ("list", pa.string()),
        ("list_version", pa.string()),
        ("entry", pa.string()),
        ("algorithm", pa.string()),
        ("distance", pa.int32()),
        ("max_distance", pa.int32()),
        ("max_distance_from", pa.string()),
        ("labels", _TEXTS),
        ("sources", _TEXTS),
        ("variant", pa.string()),
        ("frame", pa.int32()),
        ("video", _VIDEO),
        ("chrome", pa.float64()),
        ("mostly_chrome", pa.bool_()),
    ]
)
"""A `hashmatch.records.review.RecordMatch`."""

RECORDS = pa.schema(
    [
        ("record_id", pa.string()),
        ("status", pa.string()),
        ("created_at", pa.string()),
        ("key", pa.string()),
        ("version", pa.string()),
        ("surface", pa.string()),
        ("media_type", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("frame", pa.int32()),
        ("damaged", pa.bool_()),
        ("algorithm", pa.string()),
        ("quality", pa.int32()),
        ("hash", pa.binary()),
        ("decode_policy", pa.string()),
        ("variant", pa.string()),
        ("match_count", pa.int64()),
        ("matches", pa.list_(MATCH)),
        ("suppressed_by", pa.string()),
        ("record", pa.string()),
    ],
    {"hashmatch": SCHEMA},
)
"""Columns of a table of records. ``record`` is all of it, as JSON; ``hash`` is null unless hashes
were asked for."""


def match_struct(match: RecordMatch) -> dict[str, Any]:
    """Return a match as `MATCH` has it.

    Parameters
    ----------
    match : RecordMatch
        One entry that is near enough.
    """
    row: dict[str, Any] = msgspec.to_builtins(match)
    return row


def records_file(records: Sequence[ReviewRecord]) -> bytes:
    """Return records as a whole Parquet file.

    Parameters
    ----------
    records : sequence of ReviewRecord
        In the order of the rows.
    """
    rows = [_row(record) for record in records]
    columns = [pa.array([row[field.name] for row in rows], field.type) for field in RECORDS]
    file = pa.BufferOutputStream()
    table = pa.Table.from_arrays(columns, schema=RECORDS)
    parquet.write_table(table, file, compression="zstd", write_page_checksum=True)
    return bytes(file.getvalue())


def _row(record: ReviewRecord) -> dict[str, Any]:
    item, made, by = record.item, record.hash, record.suppressed_by
    return {
        "record_id": record.record_id, "status": record.status, "created_at": record.created_at,
        "key": item.key, "version": item.version, "surface": str(item.surface),
        "media_type": item.media_type, "width": item.width, "height": item.height,
        "frame": item.frame, "damaged": item.damaged,
        "algorithm": made.algorithm, "quality": made.quality,
        "hash": None if made.value is UNSET else bytes.fromhex(str(made.value)),
        "decode_policy": made.decode_policy, "variant": made.variant,
        "match_count": record.match_count, "matches": list(map(match_struct, record.matches)),
        "suppressed_by": None if by is UNSET else by.reason,
        "record": record.to_json().decode(),
    }  # fmt: skip
