"""Feedback for StopNCII on its hashes, as a file in the shape that its ``SubmitFeedback`` takes.

::

    {"count": 1, "hashFeedbacks":
     [{"hashValue": "f8f8...f8", "feedbackValue": "Blocked", "tags": []}]}

``Blocked`` says that people confirmed a match of the hash, ``NotBlocked`` that they found each one
not to be a match. StopNCII knows its hashes by nothing else, so the file has them: it is written on
explicit request only, readable by its owner only. A person sends it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hashmatch._files import atomic
from hashmatch._redact import unseen
from hashmatch.errors import SinkError, UsageError
from hashmatch.records.cases import CaseState
from hashmatch.review.text import moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.records.hash_list import HashList
    from hashmatch.review.queue import ReviewQueue

BLOCKED, NOT_BLOCKED = "Blocked", "NotBlocked"


class Feedback(NamedTuple):
    """How many hashes are in the file by what is said of them, and entries that no hash has."""

    blocked: int
    not_blocked: int
    unknown: int


@unseen
def write_feedback(
    queue: ReviewQueue,
    lists: Sequence[HashList],
    path: str | os.PathLike[str],
    *,
    reveal_hashes: bool,
    reference_key: bytes | None = None,
) -> Feedback:
    """Write what was decided about the matches of a list from StopNCII.

    Parameters
    ----------
    queue : ReviewQueue
        With the decisions; those that can still be undone are left out.
    lists : sequence of HashList
        The list, by the name that matches have: one of each kind of hash that is in it, as
        `hashmatch.lists.read.read_list_file` returns them.
    path : path
        A file, which is replaced as a whole.
    reveal_hashes : bool
        Has to be True: the file has hashes of the list.
    reference_key : bytes, optional
        What references to entries were made with, as for `hashmatch.Matcher`.

    Returns
    -------
    Feedback
        What is in it. An entry is unknown if the list has changed since and no reference key was
        set.

    Raises
    ------
    UsageError
        Unless `reveal_hashes`.
    SinkError
        If it cannot be written.
    """
    if reveal_hashes is not True:
        raise UsageError(
            "cannot write feedback: it names hashes, which are shown only if that is asked for. "
            "Give reveal_hashes=True if that is meant"
        )
    names = {known.name for known in lists}
    lines: list[dict[str, object]] = []
    unknown = 0
    for (name, algorithm, entry), verdict in _verdicts(queue).items():
        if name not in names:
            continue
        found = [
            known.hashes[number : number + 1].to_hex()[0]
            for known in lists
            if (known.name, known.spec.algorithm) == (name, algorithm)
            for number in sorted(known.named({entry}, reference_key))
        ]
        unknown += not found
        lines += [{"hashValue": one, "feedbackValue": verdict, "tags": []} for one in found]
    data = msgspec.json.encode({"count": len(lines), "hashFeedbacks": lines})
    atomic.write(os.fspath(path), data + b"\n", error=SinkError)
    blocked = sum(line["feedbackValue"] == BLOCKED for line in lines)
    return Feedback(blocked, len(lines) - blocked, unknown)


def _verdicts(queue: ReviewQueue) -> dict[tuple[str, str, str], str]:
    """Return what is said of each entry, by list and algorithm, by decisions that are final."""
    found: dict[tuple[str, str, str], str] = {}
    for confirmed in queue.confirmed():
        for item in confirmed.items:
            for match in item.record.matches:
                found[match.list, match.algorithm, match.entry] = BLOCKED
    with queue.transaction(read_only=True) as tx:
        now = moment(tx.now)
    for case in queue.cases(CaseState.NOT_A_MATCH):
        if any(decision.final_at > now for decision in case.standing):
            continue
        for item in case.items:
            for match in item.record.matches:
                if not item.inherited:
                    key = match.list, match.algorithm, match.entry
                    found.setdefault(key, NOT_BLOCKED)
    return found
