"""Write the hashes of a list as text, only on explicit request (`reveal_hashes`)."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, BinaryIO, cast

import msgspec

from hashmatch._files.atomic import writing
from hashmatch._redact import unseen
from hashmatch.errors import ListError, UsageError
from hashmatch.lists.vpdq_signal import write_signal
from hashmatch.records.entries import Entries, Entry
from hashmatch.records.images import clean_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.lists.vpdq_signal import Form
    from hashmatch.records.hash_list import HashList

OF_VIDEOS = {"vpdq-text": "text", "vpdq-json": "list", "vpdq-by-frame": "by-frame"}
FORMATS = "jsonl", "pdq-text", *OF_VIDEOS
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
    format : {"jsonl", "pdq-text", "vpdq-text", "vpdq-json", "vpdq-by-frame"}
        JSON lines keep all that is known of an entry; PDQ text (``hash,quality,id``) only that. The
        others are of videos: lines of ``frame,quality,hash,timestamp``, a JSON array as
        python-threatexchange reads it, or JSON by frame, as older tools did. Of several videos each
        is written as `hashmatch.lists.readers.vpdq` has it, with its id.
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
    if format != "jsonl" and (format in OF_VIDEOS) != (known.videos is not None):
        raise UsageError(
            f"cannot write {known.spec.algorithm} entries as {format}: it is of "
            f"{'videos' if format in OF_VIDEOS else 'pictures'}. Give jsonl, which is of both"
        )
    with (
        writing(os.fspath(path), replace=False, error=ListError) as descriptor,
        os.fdopen(descriptor, "wb", closefd=False) as file,
    ):
        return reveal(known, file, format)


@unseen
def reveal(known: HashList, file: BinaryIO, format: str) -> int:
    """Write a list's hashes and entries; see `write_list`."""
    if format in OF_VIDEOS:
        lines = _vpdq(known, cast("Form", OF_VIDEOS[format]))
    else:
        lines = _json_lines(known) if format == "jsonl" else _pdq_text(known)
    for line in lines:
        file.write(line + b"\n")
    return len(known)


def _rows(known: HashList, form: Form = "by-frame") -> Iterator[tuple[str, Entry]]:
    """Yield the hexadecimal text of each entry, of a video its signal, and the entry."""
    hashes, videos = known.hashes, known.videos
    places = None if videos is None else videos.rows(hashes.words)
    for number, entry in enumerate(Entries.of(known.entries).loaded()):
        if videos is not None and places is not None:
            yield write_signal(videos[int(places[number])], form), entry
        else:
            yield hashes[number : number + 1].to_hex()[0], entry


def _vpdq(known: HashList, form: Form) -> Iterator[bytes]:
    rows = list(_rows(known, form))
    named = [" ".join((entry.external_id or "").split()) for _, entry in rows]
    if form == "text":
        for (text, _), name in zip(rows, named, strict=True):
            if len(rows) > 1:
                yield f"# id: {name}".encode() if name else b"#"
            yield text.encode()
    elif len(rows) == 1:
        yield rows[0][0].encode()
    elif all(named) and len(set(named)) == len(named):
        told = [f"{json.dumps(n)}: {text}" for (text, _), n in zip(rows, named, strict=True)]
        yield ("{" + ",\n".join(told) + "}").encode()
    else:  # a document each: ids that are missing or twice are no keys
        yield from (text.encode() for text, _ in rows)


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
