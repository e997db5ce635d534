"""Checkpoints of scans in SQLite: they resume after anything but the loss of the disk.

One transaction holds the records of a batch, its counts and how far the listing has come, and is on
the disk when `ScanState.commit` returns (WAL, ``synchronous=FULL``): a process that is killed at
any moment has done a batch wholly or not at all. A scan is known by all that its answers depend on;
another list or another option is another scan, in the same file.

Of each picture that is accounted for there is a mark, a keyed digest of its key and version: a
position says only where a listing was, not what has come or changed before it since. That takes
about 35 bytes of disk for each, and no memory.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import sqlite3
import threading
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch._files.private import check_private
from hashmatch.errors import CheckpointError
from hashmatch.records.enums import HAVE_HASH, Outcome, Surface
from hashmatch.records.images import ItemOutcome
from hashmatch.records.review import ReviewRecord
from hashmatch.records.safeguards import Waiver, waivers
from hashmatch.records.times import timestamp
from hashmatch.records.typed import from_json
from hashmatch.scan.events import Counters

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from hashmatch.records.images import ImageItem
    from hashmatch.scan.events import Result

APPLICATION = 0x484D4350
"""What the file says it is (PRAGMA application_id): "HMCP"."""
FORMAT = 3
FILE = "checkpoint.db"
TABLES = """
CREATE TABLE scan (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, about TEXT NOT NULL, token TEXT NOT NULL,
    begun TEXT NOT NULL, ended TEXT, number INTEGER NOT NULL DEFAULT 0,
    counts TEXT NOT NULL DEFAULT '[{}, {}]', waivers TEXT NOT NULL DEFAULT '[]', position BLOB,
    breaker TEXT
);
CREATE TABLE record (
    scan INTEGER NOT NULL, number INTEGER NOT NULL, line BLOB NOT NULL, PRIMARY KEY (scan, number)
) WITHOUT ROWID;
CREATE TABLE problem (
    scan INTEGER NOT NULL, number INTEGER NOT NULL, item BLOB NOT NULL, name BLOB,
    PRIMARY KEY (scan, number)
) WITHOUT ROWID;
CREATE INDEX failed ON problem (scan, name) WHERE name IS NOT NULL;
CREATE TABLE done (
    scan INTEGER NOT NULL, mark BLOB NOT NULL, PRIMARY KEY (scan, mark)
) WITHOUT ROWID;
"""
"""Of a result, ``number`` is which it was, from 1. Items that were searched and match nothing are
only counted and marked: of a bucket of a billion, that is nearly all. ``failed`` are those that
could not be read, by a mark of their key alone: they are tried again."""
CACHE = 32 * 1024
"""KiB of the file that SQLite keeps in memory: marks come in no order."""


class ScanState:
    """How far one scan has come. It comes of `Checkpoint.scan`.

    ``token`` is a random name of this state of the scan, which no other has; ``number`` how many
    results there have been; ``position`` that of the last item taken, or None before the first and
    after the last; ``breaker`` what `Breaker.to_json` gave then, ``ended`` whether the listing has
    come to its end, and ``waivers`` without which safeguards any of it was done.
    """

    def __init__(self, path: str, connection: sqlite3.Connection, name: str) -> None:
        self._path, self._connection = path, connection
        with _explained(path):
            row = connection.execute(
                "SELECT id, token, number, counts, waivers, position, breaker, ended FROM scan "
                "WHERE name = ?",
                (name,),
            ).fetchone()
        self._id, self.token, self.number, counts, waived, position, breaker, ended = row
        self._counts: list[dict[str, int]] = msgspec.json.decode(counts)
        self.waivers = from_json(waived, list[Waiver])
        self.position = None if position is None else _text(position)
        self.breaker: dict[str, Any] | None = None
        if breaker is not None:
            self.breaker = msgspec.json.decode(breaker)
        self.ended = ended is not None
        self._lookups: sqlite3.Connection | None = None
        self._looking = threading.Lock()

    @property
    def listed(self) -> int:
        """How many items are accounted for."""
        return sum(self._counts[0].values())

    def counters(self) -> Counters:
        """Return how many items have ended in each outcome."""
        found = Counters()
        outcomes, suppressed_by, *others = self._counts  # older versions counted no others
        found.outcomes |= outcomes
        found.suppressed_by |= suppressed_by
        for counted in others[:1]:
            found.shadow |= counted
        for counted in others[1:]:
            found.mostly_chrome += counted["mostly_chrome"]
        return found

    def is_done(self, item: ImageItem, *, by_name: bool = False) -> bool:
        """Return whether an item of that key and version is accounted for; from any thread.

        With `by_name`, whether one of that key is whose version the listing did not tell.
        """
        if not self.number:
            return False
        mark = self._mark(item.key) if by_name else self._mark(item.key, item.version)
        with self._looking, _explained(self._path):
            if self._lookups is None:  # one of its own: the other is in the middle of a transaction
                place = f"{Path(self._path).absolute().as_uri()}?mode=ro"
                self._lookups = sqlite3.connect(
                    place, uri=True, timeout=30, isolation_level=None, check_same_thread=False
                )
                self._lookups.execute(f"PRAGMA cache_size = -{CACHE}")
            found = self._lookups.execute(
                "SELECT 1 FROM done WHERE scan = ? AND mark = ?", (self._id, mark)
            )
            return found.fetchone() is not None

    def failed(self, items: Iterable[ImageItem]) -> int:
        """Return how many of some items could not be read before: `commit` forgets that."""
        if not self._counts[0].get(Outcome.FAILED):
            return 0
        found = 0
        with _explained(self._path):
            for item in items:
                (count,) = self._connection.execute(
                    "SELECT count(*) FROM problem WHERE scan = ? AND name = ?",
                    (self._id, self._mark(item.key)),
                ).fetchone()
                found += count
        return found

    def commit(
        self,
        batch: Sequence[tuple[ImageItem, Result]],
        counters: Counters,
        breaker: Mapping[str, Any] | None = None,
        *,
        position: str | None = None,
        by_name: Collection[str] = (),
        ended: bool = False,
    ) -> None:
        """Account for some more items; all of it is on the disk then, or none.

        The batch is in the order of the listing, and in `counters` already; `breaker` is what
        `Breaker.to_json` gives after it, `position` that of the last item taken if that is another
        than the last of the batch, `by_name` the keys of those whose version the listing did not
        tell, `ended` whether there are no others. Raises CheckpointError if it cannot be written;
        what was committed before is intact, and the scan has to stop.
        """
        run = self._connection.execute
        number = self.number + len(batch)
        if position is None:
            position = batch[-1][0].position if batch else self.position
        position = None if ended else position
        marked = {"mostly_chrome": counters.mostly_chrome}
        counted = counters.outcomes, counters.suppressed_by, counters.shadow, marked
        counts = list(map(dict, counted))
        marks = [(self._id, self._mark(key)) for key in by_name]
        self.waivers += [waiver for waiver in waivers() if waiver not in self.waivers]
        with _explained(self._path):
            run("BEGIN IMMEDIATE")
            try:
                for at, (item, result) in enumerate(batch, self.number + 1):
                    name = self._mark(item.key)
                    if self._counts[0].get(Outcome.FAILED):
                        run("DELETE FROM problem WHERE scan = ? AND name = ?", (self._id, name))
                    if result.outcome is not Outcome.FAILED:
                        marks.append((self._id, self._mark(item.key, item.version)))
                    self._add(at, result, name)
                self._connection.executemany(
                    "INSERT OR IGNORE INTO done VALUES (?, ?)", sorted(marks)
                )
                run(
                    "UPDATE scan SET number = ?, counts = ?, waivers = ?, position = ?, "
                    "breaker = ?, ended = ? WHERE id = ?",
                    (
                        number,
                        msgspec.json.encode(counts).decode(),
                        msgspec.json.encode(self.waivers).decode(),
                        None if position is None else _bytes(position),
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
        self.number, self.position, self._counts = number, position, counts
        self.breaker, self.ended = None if breaker is None else dict(breaker), ended

    def _add(self, number: int, result: Result, name: bytes) -> None:
        run = self._connection.execute
        if isinstance(result, ReviewRecord):
            run("INSERT INTO record VALUES (?, ?, ?)", (self._id, number, result.to_json()))
        elif result.reason or result.outcome not in HAVE_HASH:
            fields = (
                _bytes(result.key), result.version, result.surface, result.outcome, result.reason,
                result.quality, result.damaged,
            )  # fmt: skip
            run(
                "INSERT INTO problem VALUES (?, ?, ?, ?)",
                (
                    self._id,
                    number,
                    msgspec.msgpack.encode(fields),
                    name if result.outcome is Outcome.FAILED else None,
                ),
            )

    def _mark(self, *parts: str) -> bytes:
        """Return what says that something is done: names of pictures are about people."""
        named = msgspec.msgpack.encode([_bytes(part) for part in parts])
        return hashlib.blake2b(named, key=self.token.encode(), digest_size=16).digest()

    def results(self) -> Iterator[Result]:
        """Yield every record, and every item that was not searched, in their order.

        Those that could not be read are left out, see `failures`.
        """
        with _explained(self._path):
            rows = self._connection.execute(
                "SELECT number, line, NULL FROM record WHERE scan = ?1 UNION ALL "
                "SELECT number, NULL, item FROM problem WHERE scan = ?1 AND name IS NULL "
                "ORDER BY number",
                (self._id,),
            )
            for _, line, item in rows:
                yield _problem(item) if line is None else ReviewRecord.from_json(line)

    def failures(self, up_to: int) -> Iterator[Result]:
        """Yield the items that could not be read, of the first `up_to` results, in their order."""
        with _explained(self._path):
            rows = self._connection.execute(
                "SELECT item FROM problem WHERE scan = ? AND name IS NOT NULL AND number <= ? "
                "ORDER BY number",
                (self._id, up_to),
            )
            for (item,) in rows:
                yield _problem(item)

    def close(self) -> None:
        """Let go of what `is_done` has opened."""
        with self._looking:
            if self._lookups is not None:
                self._lookups.close()
                self._lookups = None


class Checkpoint:
    """The file of a folder for the states of scans; one process at a time writes to it.

    Parameters
    ----------
    folder : str or path
        Made if it is not there, for its owner only: records are about people.
    reading : bool
        Only look at what is there, also while a scan is writing.

    Raises
    ------
    CheckpointError
        If it cannot be opened, is something else or of a newer version, or in use; if others can
        read it, or change it.

    Examples
    --------
    >>> import tempfile
    >>> import hashmatch as hm
    >>> matcher = hm.Matcher(hm.read_list("fixtures/lists/demo-pdq.csv"))
    >>> with tempfile.TemporaryDirectory() as folder, Checkpoint(folder) as checkpoint:
    ...     for _ in range(2):  # the second time, there is nothing left to do
    ...         found = hm.scan_source(
    ...             "fixtures/images/flat", matcher, surface="public_post", checkpoint=checkpoint
    ...         )
    ...         print([result.outcome.value for result in found])
    ...     [scan["listed"] for scan in checkpoint.scans()]
    ['low_quality', 'low_quality']
    ['low_quality', 'low_quality']
    [2]
    """

    def __init__(self, folder: str | os.PathLike[str], *, reading: bool = False) -> None:
        self.path = os.path.join(os.fspath(folder), FILE)
        for path in (os.fspath(folder), self.path):
            if os.path.exists(path):
                check_private(path, allow_readable=False, follow=True, error=CheckpointError)
        self._lock: int | None = None
        if reading:
            with _explained(self.path):
                place = f"{Path(self.path).absolute().as_uri()}?mode=ro"
                self._connection = sqlite3.connect(place, uri=True, timeout=30)
                self._check()
            return
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            self._lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise CheckpointError(
                f"cannot keep the state of a scan in {folder}: {reason}"
            ) from None
        try:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise CheckpointError(
                    f"cannot use {folder}: another scan uses it. Wait for it, or give another "
                    "folder"
                ) from None
            with suppress(FileExistsError):
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            self._connection = sqlite3.connect(self.path, isolation_level=None, timeout=30)
            try:
                with _explained(self.path):
                    self._prepare()
            except BaseException:
                self._connection.close()
                raise
        except BaseException:
            os.close(self._lock)
            raise

    def _check(self) -> int:
        """Return what the file says it is; CheckpointError if that is nothing of ours."""
        run = self._connection.execute
        (application,) = run("PRAGMA application_id").fetchone()
        (version,) = run("PRAGMA user_version").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_schema").fetchone()
        if application != APPLICATION and (application or tables):
            raise CheckpointError(
                f"cannot use {self.path}: it is no checkpoint of hashmatch. Give another folder"
            )
        if version != FORMAT and (version or application):
            raise CheckpointError(
                f"cannot use {self.path}: it is of format {version}, and this version of "
                f"hashmatch knows {FORMAT}. Use the version that made it, or give another "
                "folder"
            )
        return int(application)

    def _prepare(self) -> None:
        run = self._connection.execute
        application = self._check()
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")  # survives a power cut; NORMAL loses the last commits
        run(f"PRAGMA cache_size = -{CACHE}")
        if application != APPLICATION:
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION}; "
                f"PRAGMA user_version = {FORMAT}; COMMIT;"
            )

    def scan(self, about: Mapping[str, object]) -> ScanState:
        """Return the scan that is all this about: the one that was begun, or a new one.

        Parameters
        ----------
        about : mapping of str to JSON-able
            All that its answers depend on, and what it keeps; no secrets.
        """
        text = msgspec.json.encode(about, order="deterministic").decode()
        name = scan_name(about)
        with _explained(self.path):
            self._connection.execute(
                "INSERT INTO scan (name, about, token, begun) VALUES (?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (name, text, secrets.token_hex(8), timestamp(datetime.now(UTC))),
            )
        return ScanState(self.path, self._connection, name)

    def scans(self) -> list[dict[str, Any]]:
        """Return what is known of each scan, the first begun first."""
        names = "name", "about", "begun", "ended"
        with _explained(self.path):
            rows = self._connection.execute(
                f"SELECT {', '.join(names)} FROM scan ORDER BY id"  # noqa: S608 - our names
            ).fetchall()
        states = [ScanState(self.path, self._connection, row[0]) for row in rows]
        return [
            {
                **dict(zip(names, row, strict=True)),
                "about": msgspec.json.decode(row[1]),
                "listed": state.listed,
                "outcomes": state.counters().outcomes,
                "waivers": [waiver._asdict() for waiver in state.waivers],
            }
            for row, state in zip(rows, states, strict=True)
        ]

    def close(self) -> None:
        """Close the file; others may open it then."""
        self._connection.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def scan_name(about: Mapping[str, object]) -> str:
    """Return the name of the scan that is all this about: a digest of it, in hexadecimal."""
    text = msgspec.json.encode(about, order="deterministic")
    return hashlib.blake2b(text, digest_size=8, person=b"hashmatch-scan").hexdigest()


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn what SQLite says of a file into one line that names it."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"cannot write the checkpoint {path}: {reason}. Free disk space or repair the "
            "file, and run the same scan again: its progress up to the last commit is kept"
        ) from None


def _problem(item: bytes) -> ItemOutcome:
    key, version, surface, outcome, *rest = msgspec.msgpack.decode(item)
    surface, outcome = Surface.parse(surface), Outcome(outcome)
    return ItemOutcome(_text(key), version, surface, outcome, *rest)


def _bytes(key: str) -> bytes:
    return key.encode(errors="surrogatepass")


def _text(key: bytes) -> str:
    return key.decode(errors="surrogatepass")
