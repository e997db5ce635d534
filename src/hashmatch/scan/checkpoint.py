"""The ledger: what a scan has done, in SQLite, so that it goes on after all but a lost disk.

One transaction holds the outcomes of a batch, its records and how far the listing has come, and is
on the disk when `LedgerScan.commit` returns (WAL, ``synchronous=FULL``): a process that is killed
at any moment has done a batch wholly or not at all. A scan is known by all that its answers depend
on; another list or another option is another scan, in the same file.

What a scan has done, and how far it has come: its part of a ledger, a batch at a time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from hashmatch.errors import LedgerError
from hashmatch.records.enums import HAVE_HASH, Outcome, Surface
from hashmatch.records.images import ItemOutcome
from hashmatch.records.review import ReviewRecord
from hashmatch.records.times import timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hashmatch.records.images import ImageItem

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
                        timestamp(datetime.now(UTC)) if ended else None,
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


APPLICATION = 0x484D4C47
"""What the file says it is (PRAGMA application_id): "HMLG"."""
FORMAT = 1
FILE = "ledger.db"
TABLES = """
CREATE TABLE scan (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, about TEXT NOT NULL, begun TEXT NOT NULL,
    ended TEXT, listed INTEGER NOT NULL DEFAULT 0, position BLOB, breaker TEXT
);
CREATE TABLE outcome (
    scan INTEGER NOT NULL, outcome TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (scan, outcome)
) WITHOUT ROWID;
CREATE TABLE record (
    scan INTEGER NOT NULL, number INTEGER NOT NULL, line BLOB NOT NULL, PRIMARY KEY (scan, number)
) WITHOUT ROWID;
CREATE TABLE problem (
    scan INTEGER NOT NULL, number INTEGER NOT NULL, item BLOB NOT NULL, PRIMARY KEY (scan, number)
) WITHOUT ROWID;
"""
"""Of an item, ``number`` is its place in the listing, from 1. Those that were searched and match
nothing are only counted: of a bucket of a billion, that is nearly all."""


class Ledger:
    """The file of a folder for states; one process at a time writes to it.

    Parameters
    ----------
    folder : str or path
        Made if it is not there, for its owner only: records are about people.
    reading : bool
        Only look at what is there, also while a scan is writing.

    Raises
    ------
    LedgerError
        If it cannot be opened, is something else or of a newer version, or in use.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Ledger(folder) as ledger:
    ...     scan = ledger.scan({"source": "photos", "lists": ["demo 17"]})
    ...     scan.state().listed
    0
    """

    def __init__(self, folder: str | os.PathLike[str], *, reading: bool = False) -> None:
        self.path = os.path.join(os.fspath(folder), FILE)
        self._lock: int | None = None
        if reading:
            with told(self.path):
                place = f"{Path(self.path).absolute().as_uri()}?mode=ro"
                self._connection = sqlite3.connect(place, uri=True, timeout=30)
                self._check()
            return
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            self._lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise LedgerError(f"{folder}: no state can be kept there: {reason}") from None
        try:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise LedgerError(
                    f"{folder} is in use by another scan; wait for it, or give another folder"
                ) from None
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            self._connection = sqlite3.connect(self.path, isolation_level=None, timeout=30)
            try:
                with told(self.path):
                    self._prepare()
            except BaseException:
                self._connection.close()
                raise
        except BaseException:
            os.close(self._lock)
            raise

    def _check(self) -> int:
        """Return what the file says it is; LedgerError if that is nothing of ours."""
        run = self._connection.execute
        (application,) = run("PRAGMA application_id").fetchone()
        (version,) = run("PRAGMA user_version").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_schema").fetchone()
        if application != APPLICATION and (application or tables):
            raise LedgerError(f"{self.path} is no ledger of hashmatch; give another folder")
        if version > FORMAT:
            raise LedgerError(
                f"{self.path} is of format {version}, and hashmatch here knows {FORMAT}; use "
                "the version that made it, or give another folder"
            )
        return int(application)

    def _prepare(self) -> None:
        run = self._connection.execute
        application = self._check()
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")  # survives a power cut; NORMAL loses the last commits
        if application != APPLICATION:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION}; "
                f"PRAGMA user_version = {FORMAT}; COMMIT;"
            )

    def scan(self, about: Mapping[str, object]) -> LedgerScan:
        """Return the scan that is all this about: the one that was begun, or a new one.

        Parameters
        ----------
        about : mapping of str to JSON-able
            All that the answers depend on: source, surface, lists and their versions, options.
        """
        text = msgspec.json.encode(about, order="deterministic").decode()
        name = hashlib.blake2b(text.encode(), digest_size=8, person=b"hashmatch-scan").hexdigest()
        with told(self.path):
            self._connection.execute(
                "INSERT INTO scan (name, about, begun) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (name, text, timestamp(datetime.now(UTC))),
            )
            (number,) = self._connection.execute(
                "SELECT id FROM scan WHERE name = ?", (name,)
            ).fetchone()
        return LedgerScan(self.path, self._connection, number, name)

    def scans(self) -> list[dict[str, Any]]:
        """Return what is known of each scan, the first begun first."""
        names = "name", "about", "begun", "ended", "listed"
        with told(self.path):
            rows = self._connection.execute(
                f"SELECT {', '.join(names)}, id FROM scan ORDER BY id"  # noqa: S608 - our names
            ).fetchall()
            return [
                {
                    **dict(zip(names, row, strict=False)),
                    "about": msgspec.json.decode(row[1]),
                    "outcomes": LedgerScan(self.path, self._connection, row[-1], row[0]).outcomes(),
                }
                for row in rows
            ]

    def close(self) -> None:
        """Close the file; others may open it then."""
        self._connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
