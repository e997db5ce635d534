"""What a scan has done, and how far it has come: its part of a ledger, a batch at a time."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from hashmatch.errors import LedgerError
from hashmatch.records.enums import HAVE_HASH, Outcome, Surface
from hashmatch.records.items import ItemOutcome
from hashmatch.records.review import ReviewRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hashmatch.records.items import ImageItem

Result = ReviewRecord | ItemOutcome


class State(NamedTuple):
    """How far a scan has come: `position` is that of the last item that is accounted for."""

    listed: int
    position: str | None
    breaker: dict[str, Any] | None
    ended: bool


class LedgerScan:
    """One scan in a ledger. It comes of `Ledger.scan`."""

    def __init__(self, path: str, connection: sqlite3.Connection, number: int, name: str) -> None:
        self.path, self.name = path, name
        self._connection, self._id = connection, number

    def state(self) -> State:
        """Return how far it has come."""
        with told(self.path):
            listed, position, breaker, ended = self._connection.execute(
                "SELECT listed, position, breaker, ended FROM scan WHERE id = ?", (self._id,)
            ).fetchone()
        return State(
            listed,
            None if position is None else _text(position),
            None if breaker is None else msgspec.json.decode(breaker),
            ended is not None,
        )

    def commit(
        self,
        batch: Sequence[tuple[ImageItem, Result]],
        breaker: Mapping[str, Any] | None = None,
        *,
        ended: bool = False,
    ) -> None:
        """Account for the items that follow those before; all of it is on the disk then, or none.

        Parameters
        ----------
        batch : sequence of (ImageItem, ReviewRecord or ItemOutcome)
            In the order of the listing.
        breaker : mapping, optional
            `Breaker.to_json` after them.
        ended : bool
            Whether these were the last.

        Raises
        ------
        LedgerError
            If it cannot be written; what was committed before is intact, and the scan has to stop.
        """
        run = self._connection.execute
        with told(self.path):
            run("BEGIN IMMEDIATE")
            try:
                (listed,) = run("SELECT listed FROM scan WHERE id = ?", (self._id,)).fetchone()
                for number, (_, result) in enumerate(batch, listed + 1):
                    self._add(number, result)
                position = _bytes(batch[-1][0].position) if batch else None
                run(
                    "UPDATE scan SET listed = listed + ?, position = coalesce(?, position), "
                    "breaker = ?, ended = ? WHERE id = ?",
                    (
                        len(batch),
                        position,
                        None if breaker is None else msgspec.json.encode(breaker).decode(),
                        now() if ended else None,
                        self._id,
                    ),
                )
                run("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # the first error says why
                    run("ROLLBACK")
                raise

    def _add(self, number: int, result: Result) -> None:
        run = self._connection.execute
        run(
            "INSERT INTO outcome VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET count = count + 1",
            (self._id, result.outcome.value),
        )
        if isinstance(result, ReviewRecord):
            run("INSERT INTO record VALUES (?, ?, ?)", (self._id, number, result.to_json()))
        elif result.reason or result.outcome not in HAVE_HASH:
            fields = (
                result.key.encode(errors="surrogatepass"), result.version, result.surface,
                result.outcome, result.reason, result.quality, result.damaged,
            )  # fmt: skip
            run(
                "INSERT INTO problem VALUES (?, ?, ?)",
                (self._id, number, msgspec.msgpack.encode(fields)),
            )

    def outcomes(self) -> dict[Outcome, int]:
        """Return how many items have ended in each outcome."""
        counts = {outcome: 0 for outcome in Outcome if outcome is not Outcome.HASHED}
        with told(self.path):
            rows = self._connection.execute(
                "SELECT outcome, count FROM outcome WHERE scan = ?", (self._id,)
            )
            return counts | {Outcome(name): count for name, count in rows}

    def records(self) -> Iterator[ReviewRecord]:
        """Yield every record, in the order of the listing."""
        with told(self.path):
            rows = self._connection.execute(
                "SELECT line FROM record WHERE scan = ? ORDER BY number", (self._id,)
            )
            for (line,) in rows:
                yield ReviewRecord.from_json(line)

    def problems(self) -> Iterator[ItemOutcome]:
        """Yield every item that was not searched, in the order of the listing."""
        with told(self.path):
            rows = self._connection.execute(
                "SELECT item FROM problem WHERE scan = ? ORDER BY number", (self._id,)
            )
            for (item,) in rows:
                key, version, surface, outcome, *rest = msgspec.msgpack.decode(item)
                yield ItemOutcome(
                    _text(key), version, Surface.parse(surface), Outcome(outcome), *rest
                )


@contextmanager
def told(path: str) -> Iterator[None]:
    """Turn what SQLite says of a file into one line that names it."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        told = " ".join(str(error).split())
        raise LedgerError(
            f"{path}: {told}; make room or mend it, and run the same scan again: what was "
            "accounted for is kept"
        ) from None


def _bytes(key: str) -> bytes:
    return key.encode(errors="surrogatepass")


def _text(key: bytes) -> str:
    return key.decode(errors="surrogatepass")


def now() -> str:
    """Return the time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
