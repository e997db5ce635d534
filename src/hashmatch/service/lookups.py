"""Look-ups of single hashes: those that came at the same moment are one call of the index.

To call it takes as long as to search a list of a million, and hashes that are searched together
wait for the memory of the list together.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from hashmatch.records.hashes import HashBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmatch.matching.lookup import Found
    from hashmatch.records.hashes import HashSpec
    from hashmatch.service.http import Response
    from hashmatch.service.snapshots import Snapshot

MAX_TOGETHER = 64
"""Hashes of one call, so that no other request waits for long."""


class HashLookup(NamedTuple):
    """One hash to be looked up, and what is answered then; without a repr, for it is a hash.

    Parameters
    ----------
    snapshot : Snapshot
        The lists.
    spec : HashSpec
        What the hash is.
    data : bytes
        The hash.
    respond : callable
        Makes the answer of what was found.
    """

    snapshot: Snapshot
    spec: HashSpec
    data: bytes
    respond: Callable[[Found], Response]

    def __repr__(self) -> str:
        return f"<HashLookup {self.spec}>"

    def answer(self) -> Response:
        """Look it up by itself."""
        hashes = HashBatch.from_bytes(self.spec, self.data)
        return self.respond(self.snapshot.matcher.look_up(hashes)[0])


class Lookups:
    """Look-ups that wait for the others of the same moment. Used from one event loop."""

    def __init__(self) -> None:
        self._waiting: list[tuple[HashLookup, Callable[[Response | Exception], None]]] = []

    def add(self, asked: HashLookup, done: Callable[[Response | Exception], None]) -> None:
        """Look up a hash soon, and call `done` with the answer, or the error."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append((asked, done))
        if len(self._waiting) >= MAX_TOGETHER:
            self.flush()

    def flush(self) -> None:
        """Look up all that wait."""
        waiting, self._waiting = self._waiting, []
        first = 0
        for after, (asked, _) in enumerate(waiting, 1):
            following = waiting[after][0] if after < len(waiting) else None
            if (
                following is None
                or following.snapshot is not asked.snapshot
                or following.spec != asked.spec
            ):
                _look_up(waiting[first:after])
                first = after


def _look_up(alike: list[tuple[HashLookup, Callable[[Response | Exception], None]]]) -> None:
    """Look up hashes of one kind in one snapshot."""
    snapshot, spec, _, _ = alike[0][0]
    found: list[Found | Exception]
    try:
        hashes = HashBatch.from_bytes(spec, b"".join([asked.data for asked, _ in alike]))
        found = [*snapshot.matcher.look_up(hashes)]
    except Exception as error:
        found = [error] * len(alike)
    for (asked, done), each in zip(alike, found, strict=True):
        try:
            answer = each if isinstance(each, Exception) else asked.respond(each)
        except Exception as error:
            answer = error
        done(answer)
