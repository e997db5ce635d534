"""Write the hashes of a list as text, only on explicit request (`reveal_hashes`)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from hashmatch._files.atomic import writing
from hashmatch._redact import unseen
from hashmatch.errors import ListError, UsageError
from hashmatch.records.entries import Entries, Entry
from hashmatch.records.images import clean_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.records.hash_list import HashList

FORMATS = "jsonl", "pdq-text"
QUALITY_AND_MORE = re.compile(r"\d{1,3}\s*,")


@unseen
def write_list(
    known: HashList, path: str | os.PathLike[str], format: str = "jsonl", *, reveal_hashes: bool
) -> int:
    """Write a list's hashes and entries to a file that only its owner can read.

    What `read_list` reads of it is the same list, but for degenerate hashes, which it leaves out.
    Entries of a store that count no more, or are in quarantine, are not written.

    Parameters
    ----------
    known : HashList
        The list.
    path : path
        A new file: nothing is written over.
    format : {"jsonl", "pdq-text"}
        JSON lines keep all that is known of an entry; PDQ text (``hash,quality,id``) only that.
    reveal_hashes : bool
        Has to be True: anyone who has the hashes of a list can look for its pictures, and hashes
        tell something of what they show.

    Returns
    -------
    int
        How many entries were written.

    Raises
    ------
    UsageError
        Unless `reveal_hashes`, or if there is no such format.
    ListError
        If the file is there already, or cannot be written.

    Examples
    --------
    >>> import hashmatch as hm
    >>> known = hm.read_list("fixtures/lists/demo-pdq.csv")
    >>> write_list(known, "known.jsonl", reveal_hashes=False)
    Traceback (most recent call last):
    hashmatch.errors.UsageError: cannot write the list: its hashes are shown only if ...
    """
    if reveal_hashes is not True:
        raise UsageError(
            "cannot write the list: its hashes are shown only if that is asked for. Give "
            "reveal_hashes=True if that is meant"
        )
    if format not in FORMATS:
        raise UsageError(f"cannot write a list as {format!r}. Give one of {' or '.join(FORMATS)}")
    with (
        writing(os.fspath(path), replace=False, error=ListError) as descriptor,
        os.fdopen(descriptor, "wb", closefd=False) as file,
    ):
        return reveal(known, file, format)


@unseen
def reveal(known: HashList, file: BinaryIO, format: str) -> int:
    """Write a list's hashes and entries; see `write_list`."""
    count = 0
    for line in (_json_lines if format == "jsonl" else _pdq_text)(known):
        file.write(line + b"\n")
        count += 1
    return count


def _rows(known: HashList) -> Iterator[tuple[str, Entry]]:
    """Yield the hexadecimal text of each entry, and the entry."""
    hashes = known.hashes
    for number, entry in enumerate(Entries.of(known.entries).loaded()):
        yield hashes[number : number + 1].to_hex()[0], entry


def _json_lines(known: HashList) -> Iterator[bytes]:
    for text, entry in _rows(known):
        fields = {
            "hash": text,
            "algorithm": known.spec.algorithm,
            "id": None if entry.external_id is None else clean_name(entry.external_id),
            "labels": [clean_name(label) for label in entry.labels] or None,
            "sources": [clean_name(source) for source in entry.sources] or None,
            "status": None if entry.status == "active" else entry.status,
            "quality": entry.quality,
            "max_distance": entry.max_distance,
        }
        said = {name: value for name, value in fields.items() if value is not None}
        yield msgspec.json.encode(said)


def _pdq_text(known: HashList) -> Iterator[bytes]:
    for text, entry in _rows(known):
        name = " ".join((entry.external_id or "").replace("\0", " ").split())
        if entry.quality is not None:
            line = f"{text},{entry.quality},{name}"
        elif QUALITY_AND_MORE.match(name):  # "7,a.jpg" would be read as a quality and a name
            line = f"hash={text},filename={name}"
        else:
            line = f"{text},{name}" if name else text
        yield line.encode(errors="replace")
