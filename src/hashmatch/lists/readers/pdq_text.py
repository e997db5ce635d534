"""PDQ text: one hash a line, in the four forms that the PDQ tools print, and two more.

::

    f8f8...f8                                                         bare
    f8f8...f8,anything after the first comma                          hash,name
    f8f8...f8,100,path/to/x.jpg                                       hash,quality,name
    f8f8...f8  path/to/x.jpg                                          as md5sum prints it
    hash=f8f8...f8,norm=128,delta=0,quality=100,filename=x.jpg        named fields
    pdq f8f8...f8                                                     threatexchange local file

Names may hold commas: they are the rest of the line. Semicolons or tabs will do too. ``#`` begins
a comment line. (ThreatExchange ``pdq/cpp/io/hashio.h`` and ``file_api.py``.)
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, BinaryIO

from hashmatch.errors import RejectedRow, UsageError
from hashmatch.interfaces import ListOptions, ListRow, PlainRows
from hashmatch.lists.readers import _fields
from hashmatch.lists.readers._lines import blocks_of_lines, first_lines, numbered_lines
from hashmatch.records.hashes import INVISIBLE

if TYPE_CHECKING:
    from collections.abc import Iterator

# 16 digits is the shortest hash of any algorithm; a bare word or number is not one.
LOOKS_RIGHT = re.compile(
    r"""(hash=)?(\\x|0x|[xb]?'(\\x)?|=?"|\{)?[0-9a-f]{16,}['"}]?([,;\t]| [ *]|$)"""
    r"|[a-z][\w-]* +[0-9a-f]{16,}$"
    r"|([\w+/-]{43}=|[\w+/-]{27}=|[\w+/-]{22}==|[\w+/-]{11}=)([,;\t]|$)",  # base64
    re.IGNORECASE | re.ASCII,
)
BARE = re.compile(r"[0-9a-f]{16,}", re.IGNORECASE)
TYPED = re.compile(r"([A-Za-z][\w-]*)[ \t]+([^\s,]+)")
QUALITY_AND_NAME = re.compile(r"\s*(\d{1,3})(?:\.0+)?\s*[,;\t](.*)")
HASH_AND_REST = re.compile(r"([^,;\s]+)(?:\s*[,;\t]| [ *])(.*)")
PLAIN = re.compile(
    rb"^([0-9A-Fa-f]+)"
    rb"(?:,(?:([0-9]{1,2}|100),)?"
    rb"(?! *[0-9]{1,3}(?:\.0+)? *,)([!-~](?:[ -~]{0,999}[!-~])?)?)?\r?$",
    re.MULTILINE,
)
"""A row of one of the first three forms as nearly all are: nothing in it has to be looked at."""


class PdqText:
    """Reads PDQ text. Hashes of any algorithm may stand in its place, one kind a file."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        return (
            80 if any(LOOKS_RIGHT.match(line.strip(INVISIBLE)) for line in first_lines(head)) else 0
        )

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row. Raises UsageError if `options` tell of columns: there are none."""
        if options.columns:
            raise UsageError("PDQ text has no columns to tell apart")
        for line in numbered_lines(stream):
            if isinstance(line, RejectedRow):
                yield line
            elif not (text := line[1].strip()).startswith("#"):
                yield _row(line[0], text)

    def plain_rows(
        self, stream: BinaryIO, options: ListOptions
    ) -> Iterator[PlainRows | ListRow | RejectedRow]:
        """Yield every row, some hundreds together where they are plain."""
        if options.columns:
            raise UsageError("PDQ text has no columns to tell apart")
        for first, block in blocks_of_lines(stream):
            rows = PLAIN.findall(block)
            if len(rows) == block.count(b"\n"):
                hashes, qualities, names = map(list, zip(*rows, strict=True))
                yield PlainRows(first, hashes, qualities, names)
                continue
            for row in self.rows(io.BytesIO(block), options):
                yield row._replace(line=first - 1 + row.line)


def _row(number: int, text: str) -> ListRow | RejectedRow:
    if text.lower().startswith("hash="):
        return _named_fields(number, text)
    if (typed := TYPED.fullmatch(text)) and not BARE.fullmatch(typed[1]):
        kind = _fields.own_kind(typed[1])
        return ListRow(number, _fields.value_of(kind, typed[2]), algorithm=kind)
    parts = HASH_AND_REST.fullmatch(text)
    value, rest = parts.groups() if parts else (text, "")
    quality, name = None, rest
    named = QUALITY_AND_NAME.fullmatch(rest)
    if named and int(named[1]) <= 100:
        quality, name = int(named[1]), named[2]
    name = name.strip()
    if value.startswith('"') and len(name) > 1 and name[0] == name[-1] == '"':  # as in CSV
        name = name[1:-1].replace('""', '"')
    return ListRow(number, value, external_id=name or None, quality=quality)


def _named_fields(number: int, text: str) -> ListRow | RejectedRow:
    front, _, name = text.partition(",filename=")
    pairs = (field.split("=", 1) for field in front.split(",") if "=" in field)
    fields = {key.strip().lower(): value for key, value in pairs}
    try:
        quality = _fields.number_of("quality", fields.get("quality", ""))
    except _fields.Unusable as error:
        return RejectedRow(number, str(error))
    return ListRow(
        number,
        fields["hash"],
        external_id=name.strip() or None,
        quality=quality,
    )
