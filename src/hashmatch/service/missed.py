"""Pictures that could not be checked: kept, so that they are checked later and nothing is let pass.

A picture is noted when it is accepted, before anything is done with it, and the note is removed
when there is an answer. What is left when a process dies was missed.
"""

from __future__ import annotations

import asyncio
import fcntl
import time
from collections import Counter
from contextlib import closing, contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from hashmatch import registry
from hashmatch.decode import load
from hashmatch.errors import StoreError
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.images import ImageError, ImageItem
from hashmatch.records.review import ReviewRecord
from hashmatch.retry import Limits, Tries, read_item
from hashmatch.review.web.places import BUCKETS, below
from hashmatch.service.database import Writer, connect, lock_file
from hashmatch.service.http import HttpError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterator, Sequence
    from concurrent.futures import Future

    from hashmatch.interfaces import Source
    from hashmatch.matching.matcher import Matcher
    from hashmatch.service.fetch import Fetcher
    from hashmatch.service.recent import Recent

    _Refused = tuple["Picture", Callable[[BaseException | None], None]]

PATIENCE = 10.0
SCHEMA = """
CREATE TABLE item (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, process TEXT NOT NULL,
    key TEXT NOT NULL, version TEXT NOT NULL, surface TEXT NOT NULL, reason TEXT NOT NULL,
    data BLOB, record BLOB
) STRICT;
CREATE INDEX item_process ON item (process);
CREATE INDEX item_key ON item (key);
"""
AT_WORK = ""
"""The reason of what a process is working on; if the process is gone, it was missed."""
ROWS = 160
"""Inserted by one statement; older versions of SQLite take 999 parameters."""
ONE_ITEM = Limits(deadline=10.0)
ENDED = "the service ended before there was an answer"
UNSAID = "no reason was given"
"""In the place of an empty reason, which would be that of what is worked on."""


class Missed(NamedTuple):
    """A picture that was not checked; `data` if its bytes were kept.

    `record` is what it came to when it was checked again, until that is known to be in the queue.
    """

    id: int
    at: float
    key: str
    version: str
    surface: str
    reason: str
    data: bytes | None
    record: bytes | None = None


class Picture(NamedTuple):
    """What a picture is noted by whose bytes were never read."""

    key: str
    version: str
    surface: str


class Journal:
    """Notes what one process works on; many notes are written at once.

    Parameters
    ----------
    path : str
        The database.
    process : str
        A name that no other process has.
    keep_bytes : bool
        Whether pictures themselves are kept until they are checked.
    """

    def __init__(self, path: str, process: str, *, keep_bytes: bool = False) -> None:
        self.path, self.process, self.keep_bytes = path, process, keep_bytes
        self._writer = Writer(path, SCHEMA, PATIENCE)

    def begin(self, key: str, version: str, surface: str, data: bytes | None) -> Future[int]:
        """Note a picture that is accepted; the number of the note, once it is on the disk."""
        row = (time.time(), self.process, key, version, surface, AT_WORK, self._kept(data))
        return self._writer.submit(lambda database: _insert(database, row))

    def keep(self, number: int, data: bytes) -> Future[int]:
        """Keep the bytes of a picture that is noted."""
        update = "UPDATE item SET data = ? WHERE id = ?"
        return self._writer.submit(
            lambda database: database.execute(update, (data, number)).rowcount
        )

    def miss(self, key: str, version: str, surface: str, reason: str) -> Future[int]:
        """Note a picture that was not accepted."""
        row = (time.time(), self.process, key, version, surface, reason or UNSAID, None)
        return self._writer.submit(lambda database: _insert(database, row))

    def refused(self, pictures: Sequence[Picture], reason: str) -> Future[int]:
        """Note many pictures that were not accepted, each by its key, version and surface."""
        at = time.time()
        rows = [(at, self.process, *each, reason or UNSAID) for each in pictures]
        return self._writer.submit(lambda database: _insert_all(database, rows))

    def failed(self, number: int, reason: str) -> Future[int]:
        """Note why a picture that was accepted was not checked."""
        update = "UPDATE item SET reason = ? WHERE id = ?"
        return self._writer.submit(
            lambda database: database.execute(update, (reason or UNSAID, number)).rowcount
        )

    def done(self, number: int, key: str, version: str, surface: str, data: bytes) -> Future[int]:
        """Remove the note of a picture that was checked, and those of when it was refused."""
        delete = (
            "DELETE FROM item WHERE id = ? OR (key = ? AND version = ? AND surface = ? "
            "AND reason <> ? AND (data IS NULL OR data = ?))"
        )
        row = number, key, version, surface, AT_WORK, data
        return self._writer.submit(lambda database: database.execute(delete, row).rowcount)

    def close(self) -> None:
        """Write all notes, and end."""
        self._writer.close()

    def _kept(self, data: bytes | None) -> bytes | None:
        return data if self.keep_bytes else None


def _insert(database: sqlite3.Connection, row: tuple[object, ...]) -> int:
    cursor = database.execute(
        "INSERT INTO item (at, process, key, version, surface, reason, data) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)", row
    )  # fmt: skip
    return cursor.lastrowid or 0


def _insert_all(database: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> int:
    """Insert rows, many by one statement: this thread waits for others after each of them."""
    for first in range(0, len(rows), ROWS):
        some = rows[first : first + ROWS]
        values = ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(some))
        database.execute(
            f"INSERT INTO item (at, process, key, version, surface, reason) VALUES {values}",  # noqa: S608
            [*chain.from_iterable(some)],
        )
    return len(rows)


class Refusals:
    """Notes of pictures that are refused at once: those that come while some are written are next.

    Used from one event loop.

    Parameters
    ----------
    journal : Journal
        Where they are noted.
    reason : str
        Why they are refused.
    """

    def __init__(self, journal: Journal, reason: str) -> None:
        self._journal, self._reason = journal, reason
        self._waiting: list[_Refused] = []
        self._is_writing = False

    def add(self, picture: Picture, done: Callable[[BaseException | None], None]) -> None:
        """Note a picture soon, and call `done` with None once it is on the disk, or the error."""
        self._waiting.append((picture, done))
        if not self._is_writing:
            self._is_writing = True
            asyncio.get_running_loop().call_soon(self._write)

    def _write(self) -> None:
        batch, self._waiting = self._waiting, []
        loop = asyncio.get_running_loop()
        written = self._journal.refused([picture for picture, _ in batch], self._reason)
        written.add_done_callback(
            lambda future: loop.call_soon_threadsafe(self._written, batch, future)
        )

    def _written(self, batch: list[_Refused], future: Future[int]) -> None:
        for _, done in batch:
            done(future.exception())
        if self._waiting:
            self._write()
        else:
            self._is_writing = False


@contextmanager
def in_use(path: str) -> Iterator[None]:
    """Hold the lock that says that a service uses a database, in this process and its children.

    What services noted that run no more was missed.
    """
    MissedItems(path).close()
    with lock_file(path) as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


class MissedItems:
    """What was missed; of no process of the service that runs.

    If no service uses the database, what one worked on was missed when that ended.

    Parameters
    ----------
    path : str
        The database.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._database = connect(path, SCHEMA, PATIENCE)
        with lock_file(path) as lock, suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.abandon()

    def close(self) -> None:
        """Close it."""
        self._database.close()

    def abandon(self, process: str | None = None) -> int:
        """Count what a process that is gone worked on as missed; None for all processes."""
        with closing(self._database.cursor()) as cursor:
            cursor.execute(
                "UPDATE item SET reason = ? WHERE reason = ? AND (? IS NULL OR process = ?)",
                (ENDED, AT_WORK, process, process),
            )
            return cursor.rowcount

    def count(self) -> int:
        """Return how many pictures were missed."""
        query = "SELECT count(*) FROM item WHERE reason <> ?"
        (count,) = self._database.execute(query, (AT_WORK,)).fetchone()
        return int(count)

    def without_bytes(self) -> int:
        """Return how many pictures were missed whose bytes were not kept."""
        query = "SELECT count(*) FROM item WHERE reason <> ? AND data IS NULL"
        (count,) = self._database.execute(query, (AT_WORK,)).fetchone()
        return int(count)

    def wanted(self, surface: Surface) -> frozenset[str]:
        """Return the names of the pictures of a surface whose bytes were not kept."""
        query = "SELECT key FROM item WHERE reason <> ? AND surface = ? AND data IS NULL"
        return frozenset(key for (key,) in self._database.execute(query, (AT_WORK, surface)))

    def items(self) -> Iterator[Missed]:
        """Yield what was missed, oldest first."""
        last = 0
        while True:
            row = self._database.execute(
                "SELECT id, at, key, version, surface, reason, data, record FROM item "
                "WHERE reason <> ? AND id > ? ORDER BY id LIMIT 1", (AT_WORK, last)
            ).fetchone()  # fmt: skip
            if row is None:
                return
            last = row[0]
            yield Missed(*row)

    def settle(self, keys: Collection[str] = (), reason: str = "") -> Iterator[Missed]:
        """Remove pictures that nobody will check, for example since they are gone.

        Each is yielded before it is removed, so that it can be said what became of it.

        Parameters
        ----------
        keys : collection of str
            Their names.
        reason : str
            All that were not checked for a reason that begins so are removed too; empty for none.
        """
        for each in self.items():
            if each.key in keys or (reason and each.reason.startswith(reason)):
                yield each
                self.remove(each.id)

    def hold(self, number: int, record: bytes) -> None:
        """Keep the record that one came to, until it is in the queue for certain."""
        self._database.execute("UPDATE item SET record = ? WHERE id = ?", (record, number))

    def remove(self, number: int) -> None:
        """Remove one that is checked."""
        self._database.execute("DELETE FROM item WHERE id = ?", (number,))

    def note(self, number: int, reason: str) -> None:
        """Note why one is still not checked."""
        row = (reason or UNSAID, number)
        self._database.execute("UPDATE item SET reason = ? WHERE id = ?", row)


class _Pictures:
    """The bytes of what was missed, as far as there are any: kept, fetched, or of a source."""

    def __init__(
        self,
        items: MissedItems,
        source: str,
        allow_private: Collection[str],
        fetcher: Fetcher | None,
    ) -> None:
        self._items, self._where, self._fetcher = items, source, fetcher
        self._allow_private = allow_private
        self._opened: dict[Surface, Source] = {}
        self._listed: dict[Surface, dict[str, ImageItem]] = {}
        # A bucket reads pictures by their names, and may be long; others where they listed them.
        self._is_bucket = source.partition("://")[0] in BUCKETS

    def read(self, each: Missed, surface: Surface) -> bytes | str | None:
        """Return the bytes, or why they cannot be read; None if nobody says where they are."""
        if each.data is not None:
            return each.data
        if self._fetcher is not None and below(each.key, self._fetcher.prefixes):
            try:
                return self._fetcher.read(each.key)
            except HttpError as error:
                return error.message
        if not self._where:
            return None
        if surface not in self._opened:
            self._open(surface)
        item = self._listed[surface].get(each.key)
        if self._is_bucket:
            item = ImageItem(each.key, "unlisted", surface)
        if item is None:
            return "there is no picture of this name in the source"
        _, content = read_item(self._opened[surface], item, Tries(ONE_ITEM))
        return content.reason if isinstance(content, ImageError) else content

    def _open(self, surface: Surface) -> None:
        source = registry.open_source(self._where, surface, allow_private=self._allow_private)
        self._opened[surface], self._listed[surface] = source, {}
        if not self._is_bucket:
            wanted = self._items.wanted(surface)
            self._listed[surface] = {
                item.key: item for item in source.items() if item.key in wanted
            }

    def close(self) -> None:
        """Close what was opened."""
        for one in self._opened.values():
            one.close()


def check_missed(
    items: MissedItems,
    matcher: Matcher,
    add: Callable[[ReviewRecord], object],
    *,
    source: str = "",
    allow_private: Collection[str] = (),
    fetcher: Fetcher | None = None,
    recent: Recent | None = None,
) -> Counter[str]:
    """Check what was missed, and remove it once its record is added.

    A record is kept beside its picture before it is added, and added again after a run that was
    killed, though lists may be others by then: a queue, which has each record once by its id, has
    each picture once.

    Parameters
    ----------
    items : MissedItems
        What was missed.
    matcher : Matcher
        Against which lists.
    add : callable
        Keeps a record; given it again, it does nothing.
    source : str
        Where pictures are read whose bytes were not kept.
    allow_private : collection of str
        Hosts and networks that may be asked for them though they are not public.
    fetcher : Fetcher, optional
        What pictures are fetched with again that are named by their address.
    recent : Recent, optional
        Where their hashes are kept for what lists get later.

    Returns
    -------
    Counter
        How many were checked, by outcome.

    Raises
    ------
    StoreError
        If another run does the same.
    """
    with lock_file(f"{items.path}.run") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"cannot check what {items.path} has: another run does that. Wait for its end."
            ) from None
        with closing(_Pictures(items, source, allow_private, fetcher)) as pictures:
            return _check_missed(items, matcher, add, pictures, recent)


def _check_missed(
    items: MissedItems,
    matcher: Matcher,
    add: Callable[[ReviewRecord], object],
    pictures: _Pictures,
    recent: Recent | None,
) -> Counter[str]:
    counts: Counter[str] = Counter()
    for each in items.items():
        if each.record is not None:  # a run before this one ended before it was added
            record = ReviewRecord.from_json(each.record)
            add(record)
            items.remove(each.id)
            counts[record.outcome] += 1
            continue
        surface = Surface.parse(each.surface)
        data = pictures.read(each, surface)
        if data is None:
            continue
        if isinstance(data, str):
            items.note(each.id, data)
            continue
        item = ImageItem(each.key, each.version or load(data, each.key).version, surface)
        hashed = matcher.hash(data, each.key, to_keep=recent is not None)
        found = matcher.decide(item, hashed)
        if isinstance(found, ReviewRecord):
            items.hold(each.id, found.to_json())
            add(found)
        elif found.outcome is Outcome.FAILED:
            items.note(each.id, found.reason)
            continue
        kept = None if recent is None else recent.remember(None, item, hashed, found)
        if kept is not None:
            kept.result()
        items.remove(each.id)
        counts[found.outcome] += 1
    return counts
