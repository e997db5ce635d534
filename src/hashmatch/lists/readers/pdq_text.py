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

Where nobody named the format, lines of which many have more than a name, or one has a status in its
place, are columns of CSV without a header: what is withdrawn would be listed.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, BinaryIO

from hashmatch.errors import ListError, RejectedRow, UsageError
from hashmatch.interfaces import ListOptions, ListRow, PlainRows
from hashmatch.lists.readers import _fields
from hashmatch.lists.readers._lines import (
    blocks_of_lines,
    first_lines,
    numbered_lines,
    whole_lines,
)
from hashmatch.lists.statuses import KEEP_OUT
from hashmatch.records.hash_shapes import may_be_hash
from hashmatch.records.hashes import INVISIBLE

if TYPE_CHECKING:
    from collections.abc import Iterator

# 16 digits is the shortest hash of any algorithm; a bare word or number is not one.
LOOKS_RIGHT = re.compile(
    r"""(hash=)?(\\x|0x|[xb]?'(\\x)?|=?"|\{)?[0-9a-f]{16,}['"}]?([,;\t]| [ *]|$)"""
    r"|[a-z][\w-]* +[0-9a-f]{16,}$"
    r"|-\d{10,19}([,;\t]|$)"  # a negative number, as SQL keeps 64 bits
    r"|([\w+/-]{43}=|[\w+/-]{27}=|[\w+/-]{22}==|[\w+/-]{11}=)([,;\t]|$)",  # base64
    re.IGNORECASE | re.ASCII,
)
UNPADDED = re.compile(r"[\w+/-]{11}|[\w+/-]{22}|[\w+/-]{27}|[\w+/-]{43}", re.ASCII)
"""A hash of 8, 16, 20 or 32 bytes in base64 without padding."""
FEW = 3
"""Lines that take it; fewer say too little."""
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
MORE = re.compile("[,;\t]")
"""What divides cells, and stands in few names."""
PART = 4
"""One in so many lines may have a name with such signs in it; of CSV all lines have them."""
OUT = {status.encode() for status in KEEP_OUT}
FILE = re.compile(r"[^,;\t]+(?:, [^,;\t]+)*\.\w{2,5}")
"""A name of a file as people write one, with a blank after each comma."""
QUOTED = re.compile('"(?:[^"]|"")*"')


class PdqText:
    """Reads PDQ text. Hashes of any algorithm may stand in its place, one kind a file."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100: not at all if the first line that counts has no hash."""
        lines = [line.strip(INVISIBLE) for line in first_lines(whole_lines(head))]
        if not lines or not LOOKS_RIGHT.match(lines[0]):
            return 40 if _are_base64(lines) else 0
        return 10 if _are_cells(lines) else 80  # rather CSV; if it is none, `_check` says why

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row. Raises UsageError if `options` name columns: there are none."""
        if options.columns:
            raise UsageError(
                "cannot use columns: PDQ text has none. Leave out --column, or say that it is "
                "CSV (--list-format csv)"
            )
        for line in numbered_lines(stream):
            if isinstance(line, RejectedRow):
                yield line
            elif not (text := line[1].strip()).startswith("#"):
                yield _row(line[0], text)

    def plain_rows(
        self, stream: BinaryIO, options: ListOptions
    ) -> Iterator[PlainRows | ListRow | RejectedRow]:
        """Yield every row, some hundreds together where they are plain.

        ListError if rows are of CSV, unless the format was given.
        """
        yield from self.rows(io.BytesIO(), options)
        for first, block in blocks_of_lines(stream):
            found = PLAIN.findall(block)
            if len(found) == block.count(b"\n"):
                hashes, qualities, names = map(list, zip(*found, strict=True))
                rows = PlainRows(first, hashes, qualities, names)
                if options.is_detected and _may_be_cells(block, rows):
                    _check(first - 1, block)
                yield rows
                continue
            if options.is_detected:
                _check(first - 1, block)
            for row in self.rows(io.BytesIO(block), options):
                yield row._replace(line=first - 1 + row.line)


def _may_be_cells(block: bytes, rows: PlainRows) -> bool:
    """Return whether some plain rows may be cells; of nearly none, which is quick to tell."""
    if b";" in block or b'"' in block:
        return True
    found = block.count(b",")
    if found > 2 * len(rows.ids) - rows.ids.count(b"") - rows.qualities.count(b""):
        return True
    return found > 0 and not OUT.isdisjoint(map(bytes.lower, rows.ids))


def _are_cells(lines: list[str]) -> bool:
    """Return whether too many lines have more than their own fields: hash, quality and name."""
    return PART * sum(map(_has_more, lines)) > len(lines)


def _are_base64(lines: list[str]) -> bool:
    """Return whether lines are hashes in base64 without padding, which words may look like too."""
    parts = [re.split("[,;\t]", line, maxsplit=1)[0].strip('" ') for line in lines]
    return (
        len(lines) >= FEW
        and len({len(part) for part in parts}) == 1
        and all(map(UNPADDED.fullmatch, parts))
        and 2 * sum(map(may_be_hash, parts)) > len(parts)
    )


def _has_more(line: str) -> bool:
    if line[:5].lower() == "hash=":
        return False
    _, _, name = _parts(line)
    return bool(MORE.search(name)) and not (QUOTED.fullmatch(name) or FILE.fullmatch(name))


def _check(before: int, block: bytes) -> None:
    """Raise ListError if lines after so many, of a format that nobody named, are of CSV."""
    advice = (
        "Give the number of each column that counts (--column hash=1 --column status=2 and so on), "
        "or, if it is a name, the format (--list-format pdq-text)"
    )
    lines = [
        line
        for line in numbered_lines(io.BytesIO(block))
        if not isinstance(line, RejectedRow) and not line[1].lstrip().startswith("#")
    ]
    for number, text in lines:
        name = _parts(text.strip())[2].lower()
        if not KEEP_OUT.isdisjoint(part.strip('" ') for part in MORE.split(name)):
            raise ListError(
                f"line {before + number}: where PDQ text has a name there is the status of an "
                f"entry that is withdrawn or benign. {advice}"
            )
    if _are_cells([text.strip() for _, text in lines]):
        raise ListError(
            f"line {before + lines[0][0]}: there is more than a hash, a quality and a name. "
            f"{advice}"
        )


def _parts(text: str) -> tuple[str, int | None, str]:
    """Return the hash, the quality and the name of a line, as they are written."""
    parts = HASH_AND_REST.fullmatch(text)
    value, name = parts.groups() if parts else (text, "")
    quality = None
    named = QUALITY_AND_NAME.fullmatch(name)
    if named and int(named[1]) <= 100:
        quality, name = int(named[1]), named[2]
    return value, quality, name.strip()


def _row(number: int, text: str) -> ListRow | RejectedRow:
    if text.lower().startswith("hash="):
        return _named_fields(number, text)
    if (typed := TYPED.fullmatch(text)) and not BARE.fullmatch(typed[1]):
        kind = _fields.own_kind(typed[1])
        return ListRow(number, _fields.value_of(kind, typed[2]), algorithm=kind)
    value, quality, name = _parts(text)
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
