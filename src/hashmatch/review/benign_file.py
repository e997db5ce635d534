"""The benign list that accepted pictures are written to, for ``--benign``.

It holds hashes of your users' pictures: its owner only can read it. What is in it already stays,
since the queue forgets a picture that was not a match after a while.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hashmatch.errors import ListError
from hashmatch.review.teaching import benign_hashes
from hashmatch.sinks.files import OutputFile
from hashmatch.store import private
from hashmatch.unseen import unseen

if TYPE_CHECKING:
    from hashmatch.review.queue import ReviewQueue

MOST = 1 << 30
"""Bytes of a list that is added to."""


class _Line(msgspec.Struct):
    id: str = ""


@unseen
def add_benign(queue: ReviewQueue, path: str | os.PathLike[str]) -> tuple[int, int]:
    """Add the pictures that a second person accepted to a benign list.

    Parameters
    ----------
    queue : ReviewQueue
        Where they were accepted.
    path : str or path
        A list of JSON lines, made if it is not there; it is replaced as a whole.

    Returns
    -------
    new, all : int
        How many hashes were added, and how many are in it.

    Raises
    ------
    StoreError
        If it is there, and others can read it or change it.
    ListError
        If what is there is no list that this wrote.
    SinkError
        If it cannot be written.
    """
    place = Path(path)
    before = _lines(place) if os.path.lexists(place) else {}
    new: dict[str, bytes] = {}
    for proposal, hashes in benign_hashes(queue):
        for record_id, algorithm, value in hashes:
            name = f"{proposal.case.case_id}/{record_id}"
            if name not in before:
                new[name] = msgspec.json.encode(
                    {
                        "hash": value,
                        "algorithm": algorithm,
                        "id": name,
                        "sources": [proposal.decision.reviewer, proposal.by],
                    }
                )
    file = OutputFile(place)
    try:
        for line in (*before.values(), *new.values()):
            file.write(line.decode() + "\n")
        file.close()
    except BaseException:
        file.discard()
        raise
    return len(new), len(before) + len(new)


def _lines(place: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    lines = private.read(str(place), MOST).splitlines()
    for number, line in enumerate(filter(None, lines), 1):
        try:
            name = msgspec.json.decode(line, type=_Line).id
        except msgspec.MsgspecError:
            name = ""
        if not name or name in found:
            raise ListError(f"{place}, line {number}: is no line of a benign list of a queue")
        found[name] = line
    return found
