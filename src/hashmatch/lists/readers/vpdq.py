"""vPDQ: the PDQ hashes of a video's frames, in the three ways its tools write them.

::

    0,100,f8f8...f8,0.000                                           frame,quality,hash,timestamp
    ["f8f8...f8,100,0.000", "f8f8...f8,98,1.23e+03"]                 hash,quality,timestamp
    {"0": {"quality": 100, "hash": "f8f8...f8", "timestamp": 0.0}}   by frame

Each frame is an entry of its own, with the quality of its hash, and matches pictures as any PDQ
hash does; to match videos takes more. Frames have no id. Timestamps, seconds in the video, may be
in scientific notation, as python-threatexchange prints those from 1000 on.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, BinaryIO

from hashmatch.errors import RejectedRow, UsageError
from hashmatch.interfaces import ListOptions, ListRow
from hashmatch.lists.readers import _fields
from hashmatch.lists.readers._json_stream import Bracket, page_rows
from hashmatch.lists.readers._lines import first_lines, numbered_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = re.compile(r"frame\s*,\s*quality\s*,\s*hash\s*,\s*timestamp", re.IGNORECASE)
FRAME = re.compile(
    r"\s*\d+\s*,\s*\d{1,3}(?:\.0+)?\s*,\s*[0-9a-f]{16,}\s*,\s*\d{1,7}(\.\d*)?(e[+-]?\d+)?\s*", re.I
)
QUOTED = re.compile(rb'\[\s*"[0-9a-f]{16,}\s*,\s*\d{1,3}(?:\.0+)?\s*,\s*[\d.]', re.IGNORECASE)
BY_FRAME = re.compile(rb'\{\s*"\d+"\s*:\s*\{\s*"(quality|hash|timestamp|frame)"\s*:')


class Vpdq:
    """Reads vPDQ frames."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if QUOTED.match(text) or BY_FRAME.match(text):
            return 95
        lines = first_lines(head)
        if lines and (HEADER.fullmatch(lines[0].strip()) or FRAME.fullmatch(lines[0])):
            return 95
        return 0

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row. Raises UsageError if `options` name columns: there are none."""
        if options.columns:
            raise UsageError("cannot use columns: vPDQ has none. Leave out --column")
        head = stream.peek(512)[:512] if hasattr(stream, "peek") else b""
        if not head and stream.seekable():
            head = stream.read(512)
            stream.seek(0)
        if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"[", b"{"}:
            yield from page_rows(stream, _frame, _holds, "hash")
        else:
            yield from _lines(stream)


def _lines(stream: BinaryIO) -> Iterator[ListRow | RejectedRow]:
    for line in numbered_lines(stream):
        if isinstance(line, RejectedRow):
            yield line
            continue
        number, text = line
        if text.lstrip().startswith("#") or HEADER.fullmatch(text.strip()):
            continue
        cells = [cell.strip() for cell in text.split(",")]
        if len(cells) != 4:
            yield RejectedRow(number, f"{len(cells)} fields, a frame has 4")
        elif not re.fullmatch(r"\d{1,12}", cells[0], re.ASCII):
            yield RejectedRow(number, "frame is not a number")
        else:
            frame = {"hash": cells[2], "quality": cells[1], "timestamp": cells[3]}
            yield from _fields.usable(number, _frame, frame)


def _holds(place: Bracket) -> bool:
    return place.depth == 0


def _frame(line: int, frame: Any) -> Iterator[ListRow]:
    if isinstance(frame, str):
        cells = [cell.strip() for cell in frame.split(",")]
        if len(cells) != 3:
            raise _fields.Unusable(f"{len(cells)} fields, a frame has 3")
        frame = dict(zip(("hash", "quality", "timestamp"), cells, strict=True))
    _fields.check(frame)
    quality = _fields.number(frame, "quality")
    if not _is_seconds(_fields.field(frame, "timestamp")):
        raise _fields.Unusable("timestamp is not a number of seconds")
    yield ListRow(
        line,
        _fields.digits(frame, "hash"),
        "pdq",
        quality=quality,
        encoding="hex",
    )


def _is_seconds(value: Any) -> bool:
    if isinstance(value, str) and len(value) <= 40 and value.isascii():
        try:
            value = float(value)
        except ValueError:
            return False
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value is None
    return math.isfinite(value) and value >= 0
