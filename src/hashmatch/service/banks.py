"""Banks that are filled over HTTP, and which banks are asked: kept in SQLite, with their history.

Every process of the service has the file open. What one of them commits, the others see before they
answer their next request: a number in shared memory is raised after each commit.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import sqlite3
import struct
import threading
import time
from collections import defaultdict
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from hashmatch import registry
from hashmatch._files.atomic import make_folder
from hashmatch._files.private import check_private
from hashmatch._redact import unseen
from hashmatch.errors import StoreError
from hashmatch.index.hash_index import HashIndex
from hashmatch.records.entries import Entry
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.service.database import cannot, connect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

NAME = re.compile(r"[A-Z0-9_]+")
PATIENCE = 5.0
"""Seconds that a writer waits for another."""
RECENT = 500
"""Contents of a bank that are searched beside its index, before that is built anew; of a large
bank, a tenth of it."""
COUNTER = struct.Struct("=q")
TYPE = "type "
"""What keys of ``meta`` begin with that have the ratio of an algorithm's hashes."""
LIVE = "live"
"""The version of a bank, which changes with every request."""

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;
CREATE TABLE bank (
    name TEXT PRIMARY KEY, ratio REAL NOT NULL, is_list INTEGER NOT NULL, changed INTEGER NOT NULL
) STRICT;
CREATE TABLE content (
    id INTEGER PRIMARY KEY AUTOINCREMENT, bank TEXT NOT NULL, deleted INTEGER NOT NULL DEFAULT 0,
    disable_until INTEGER NOT NULL DEFAULT 0, note TEXT, uri TEXT, metadata TEXT,
    changed INTEGER NOT NULL
) STRICT;
CREATE INDEX content_of_bank ON content (bank);
CREATE INDEX content_changed ON content (changed);
CREATE TABLE signal (
    content INTEGER NOT NULL, algorithm TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (content, algorithm)
) STRICT, WITHOUT ROWID;
CREATE TABLE history (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL,
    action TEXT NOT NULL, bank TEXT NOT NULL, content INTEGER, detail TEXT NOT NULL
) STRICT;
INSERT INTO meta VALUES ('change', 0);
"""


class Bank(NamedTuple):
    """A bank, and the share of hashes that it answers: 1 for all, 0 for none."""

    name: str
    ratio: float
    is_list: bool = False


class Content(NamedTuple):
    """What one picture left in a bank; `signals` are opaque, by algorithm."""

    id: int
    bank: str
    disable_until: int
    note: str | None
    uri: str | None
    metadata: dict[str, Any]


class BankError(Exception):
    """A bank or content that is not there, or is there already."""


class _Held(Opaque):
    """Contents of one bank and algorithm in memory: those with an index, and recent ones.

    No dataclass: its fields hold hashes, and ``dataclasses.asdict`` would show them.
    """

    __slots__ = ("base", "base_ids", "recent", "rows")

    def __init__(
        self, base: HashList, recent: HashList, base_ids: tuple[int, ...], rows: dict[int, bytes]
    ) -> None:
        self.base, self.recent, self.base_ids, self.rows = base, recent, base_ids, rows


class Banks(Opaque):
    """The banks of a service; safe to use from several threads and processes.

    Parameters
    ----------
    folder : str or path
        Where they are kept; made if it is not there, for its owner only.

    Raises
    ------
    StoreError
        If the folder or the file in it cannot be used.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        folder = os.fspath(folder)
        if not os.path.isdir(folder):
            make_folder(folder)
        self.path = os.path.join(folder, "banks.db")
        check_private(folder)
        self._reader, self._follower = self._connect(), self._connect()
        self._counter = Counter(os.path.join(folder, "banks.changes"))
        self._lock = threading.RLock()
        self._seen_version = -1
        self._seen_change = -1
        self._next_enabled = 0.0
        self._on_again = 0
        self._on: dict[tuple[str, str], _Held] = {}
        self._off: dict[tuple[str, str], _Held] = {}
        self.ratios: dict[str, float] = {}
        self.type_ratios: dict[str, float] = {}
        self.local: frozenset[str] = frozenset()

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        self._follower.close()
        self._counter.close()

    # Reading

    @property
    def version(self) -> str:
        """A number that rises with each change, and how many contents are on again by the clock."""
        return f"{self._seen_version}" + (f"+{self._on_again}" if self._on_again else "")

    def has_changed(self) -> bool:
        """Return whether anybody has committed a change since `refresh`; takes no time."""
        if self._next_enabled and time.time() >= self._next_enabled:
            return True
        return self._counter.value != self._seen_version

    @unseen
    def refresh(self) -> None:
        """Bring what is in memory up to date."""
        with self._lock:
            self._follower.execute("BEGIN")  # one moment: what is committed meanwhile comes next
            try:
                self._refresh()
            finally:
                self._follower.execute("ROLLBACK")

    def _refresh(self) -> None:
        version = self._counter.value  # before anything is read: what comes later is seen later
        rows = self._follower.execute("SELECT name, ratio, is_list FROM bank").fetchall()
        self.ratios = {name: ratio for name, ratio, _ in rows}
        types = self._follower.execute(
            "SELECT substr(key, ?), value FROM meta WHERE key LIKE ?", (len(TYPE) + 1, f"{TYPE}%")
        )
        self.type_ratios = dict(types.fetchall())
        self.local = frozenset(name for name, _, is_list in rows if not is_list)
        now = int(time.time())
        timed = self._follower.execute(
            "SELECT id, disable_until FROM content WHERE disable_until > 1 AND deleted = 0"
        ).fetchall()
        due = [content for content, until in timed if until <= now]
        self._on_again = len(due)
        waiting = [until for _, until in timed if until > now]
        changed = [
            content for (content,) in self._follower.execute(
                "SELECT id FROM content WHERE changed > ?", (self._seen_change,)
            )
        ]  # fmt: skip
        if changed or due:
            self._take({*changed, *due}, now)
        (last,) = self._follower.execute("SELECT coalesce(max(changed), 0) FROM content").fetchone()
        self._seen_change, self._seen_version = last, version
        self._next_enabled = min(waiting, default=0.0)

    def _take(self, contents: set[int], now: int) -> None:
        """Read some contents again, and put them where they belong now."""
        changes: dict[tuple[bool, str, str], dict[int, bytes]] = defaultdict(dict)
        gone = contents
        for held in (self._on, self._off):
            for each in held.values():
                for content in gone & each.rows.keys():
                    each.rows[content] = b""  # until it is found anew
        query = (
            "SELECT c.id, c.bank, c.disable_until, s.algorithm, s.value FROM content c "
            "JOIN signal s ON s.content = c.id WHERE c.deleted = 0 AND c.id = ?"
        )
        if len(contents) > RECENT:
            query = query.replace("AND c.id = ?", "AND c.changed > ?")
            found = self._follower.execute(query, (self._seen_change,)).fetchall()
        else:
            found = [row for c in sorted(contents) for row in self._follower.execute(query, (c,))]
        for content, bank, until, algorithm, value in found:
            is_on = until == 0 or 1 < until <= now
            changes[is_on, bank, algorithm][content] = value
        for is_on, held in ((True, self._on), (False, self._off)):
            keys = {(b, a) for on, b, a in changes if on is is_on}
            keys |= {key for key, each in held.items() if any(not v for v in each.rows.values())}
            for bank, algorithm in keys:
                before = held.get((bank, algorithm))
                rows = dict(before.rows) if before else {}
                rows.update(changes.get((is_on, bank, algorithm), {}))
                held[bank, algorithm] = _held(bank, algorithm, rows, before)

    def lists(self, *, on: bool = True) -> list[HashList]:
        """Return the banks as hash lists: of what is matched, or of what is switched off.

        An entry's id is that of its content.
        """
        held = self._on if on else self._off
        return [
            known
            for each in list(held.values())
            for known in (each.base, each.recent)
            if len(known)
        ]

    def banks(self) -> list[Bank]:
        """Return the banks by name."""
        rows = self._reader.execute("SELECT name, ratio, is_list FROM bank ORDER BY name")
        return [Bank(name, ratio, bool(is_list)) for name, ratio, is_list in rows]

    def bank(self, name: str) -> Bank:
        """Return a bank; BankError if there is none of that name."""
        row = self._reader.execute(
            "SELECT name, ratio, is_list FROM bank WHERE name = ?", (name,)
        ).fetchone()
        if row is None:
            raise BankError(f"bank '{name}' not found")
        return Bank(row[0], row[1], bool(row[2]))

    def content(self, number: int) -> Content:
        """Return a content; BankError if there is none of that number."""
        row = self._reader.execute(
            "SELECT id, bank, disable_until, note, uri, metadata FROM content "
            "WHERE id = ? AND deleted = 0", (number,)
        ).fetchone()  # fmt: skip
        if row is None:
            raise BankError(f"content '{number}' not found")
        return Content(row[0], row[1], row[2], row[3], row[4], json.loads(row[5] or "{}"))

    @unseen
    def signals(self, number: int) -> dict[str, HashBatch]:
        """Return the hashes of a content, by algorithm."""
        rows = self._reader.execute(
            "SELECT algorithm, value FROM signal WHERE content = ?", (number,)
        )
        return {
            algorithm: HashBatch.from_bytes(registry.spec(algorithm), value)
            for algorithm, value in rows
        }

    def sizes(self) -> dict[str, int]:
        """Return how many hashes of each algorithm are in local banks."""
        rows = self._reader.execute(
            "SELECT algorithm, count(*) FROM signal s JOIN content c ON c.id = s.content "
            "WHERE c.deleted = 0 GROUP BY algorithm"
        )
        return dict(rows.fetchall())

    # Changing

    def add_list(self, name: str) -> None:
        """Note that a list is served under that name, fully switched on unless it is known."""
        if name in self.local:
            raise StoreError(
                f"cannot serve a list as bank {name}: there is such a bank. Rename it."
            )
        with self._writing() as database:
            database.execute(
                "INSERT INTO bank SELECT ?, 1.0, 1, 0 WHERE NOT EXISTS "
                "(SELECT 1 FROM bank WHERE name = ?)", (name, name)
            )  # fmt: skip

    def check_free(self, name: str, served: Iterable[str] = ()) -> None:
        """Raise BankError if a list cannot be served under that name: there is such a bank.

        A list's bank that is left over, of a list that is not `served`, is taken again.
        """
        row = self._reader.execute("SELECT is_list FROM bank WHERE name = ?", (name,)).fetchone()
        if row is not None and (not row[0] or name in served):
            raise BankError("Bank already exists")

    def remove_list(self, name: str) -> None:
        """Forget the bank of a list that is not served any more."""
        with self._writing() as database:
            database.execute("DELETE FROM bank WHERE name = ? AND is_list = 1", (name,))
            _next(database)

    def note(self, who: str, action: str, name: str) -> None:
        """Note in the history who has done what to something that is kept elsewhere."""
        with self._writing() as database:
            _note(database, who, action, name, None, "")

    def create(self, name: str, ratio: float, who: str) -> Bank:
        """Make a bank; BankError if there is one of that name."""
        with self._writing() as database:
            if database.execute("SELECT 1 FROM bank WHERE name = ?", (name,)).fetchone():
                raise BankError("Bank already exists")
            change = _next(database)
            database.execute("INSERT INTO bank VALUES (?, ?, 0, ?)", (name, ratio, change))
            _note(database, who, "create_bank", name, None, f"ratio {ratio:g}")
        return Bank(name, ratio)

    def change(self, name: str, who: str, *, new: str | None, ratio: float | None) -> Bank:
        """Rename a bank, or change its ratio; BankError if it is not there, or the name taken."""
        with self._writing() as database:
            row = database.execute("SELECT ratio, is_list FROM bank WHERE name = ?", (name,))
            found = row.fetchone()
            if found is None:
                raise BankError("Bank not found")
            now, is_list = found
            ratio = now if ratio is None else ratio
            if new is not None and new != name:
                if is_list:
                    raise BankError(f"bank '{name}' is a list; it cannot be renamed")
                if database.execute("SELECT 1 FROM bank WHERE name = ?", (new,)).fetchone():
                    raise BankError("Bank name already exists")
                change = _next(database)
                database.execute(
                    "UPDATE content SET bank = ?, changed = ? WHERE bank = ?", (new, change, name)
                )
            new = new or name
            database.execute(
                "UPDATE bank SET name = ?, ratio = ?, changed = ? WHERE name = ?",
                (new, ratio, _next(database), name),
            )
            _note(database, who, "change_bank", new, None, f"was {name}, ratio {ratio:g}")
        return Bank(new, ratio, bool(is_list))

    def change_type(self, algorithm: str, ratio: float, who: str) -> None:
        """Change what share of hashes of an algorithm is answered, whatever bank they are in."""
        with self._writing() as database:
            database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (TYPE + algorithm, ratio))
            _next(database)
            _note(database, who, "change_type", algorithm, None, f"ratio {ratio:g}")

    def remove(self, name: str, who: str) -> bool:
        """Remove a local bank with its contents; return whether it was there."""
        with self._writing() as database:
            row = database.execute("SELECT is_list FROM bank WHERE name = ?", (name,)).fetchone()
            if row is None:
                return False
            if row[0]:
                raise BankError(f"bank '{name}' is a list; stop serving it to remove it")
            change = _next(database)
            database.execute(
                "DELETE FROM signal WHERE content IN (SELECT id FROM content WHERE bank = ?)",
                (name,),
            )
            database.execute(
                "UPDATE content SET deleted = 1, note = NULL, uri = NULL, metadata = NULL, "
                "changed = ? WHERE bank = ?", (change, name)
            )  # fmt: skip
            database.execute("DELETE FROM bank WHERE name = ?", (name,))
            _note(database, who, "delete_bank", name, None, "")
        return True

    @unseen
    def add(
        self,
        bank: str,
        signals: Mapping[str, HashBatch],
        who: str,
        *,
        note: str | None = None,
        uri: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:
        """Add a content with its hashes, one of each algorithm; return its number."""
        with self._writing() as database:
            self._local(database, bank)
            cursor = database.execute(
                "INSERT INTO content (bank, note, uri, metadata, changed) VALUES (?, ?, ?, ?, ?)",
                (bank, note, uri, json.dumps(dict(metadata or {})), _next(database)),
            )
            number = int(cursor.lastrowid or 0)
            database.executemany(
                "INSERT INTO signal VALUES (?, ?, ?)",
                [(number, name, _bytes(batch)) for name, batch in signals.items()],
            )
            _note(database, who, "add_content", bank, number, ", ".join(signals))
        return number

    def update(
        self, number: int, who: str, *, disable_until: int | None, note: str | None
    ) -> Content:
        """Switch a content off or on, or change its note; BankError if it is not there."""
        with self._writing() as database:
            row = database.execute(
                "SELECT bank FROM content WHERE id = ? AND deleted = 0", (number,)
            ).fetchone()
            if row is None:
                raise BankError(f"content '{number}' not found")
            change = _next(database)
            if disable_until is not None:
                database.execute(
                    "UPDATE content SET disable_until = ?, changed = ? WHERE id = ?",
                    (disable_until, change, number),
                )
            if note is not None:
                database.execute("UPDATE content SET note = ? WHERE id = ?", (note, number))
            _note(database, who, "change_content", row[0], number, f"disable_until {disable_until}")
        return self.content(number)

    def delete(self, bank: str, number: int, who: str) -> bool:
        """Remove a content; return whether it was there."""
        with self._writing() as database:
            self._local(database, bank)
            cursor = database.execute(
                "UPDATE content SET deleted = 1, note = NULL, uri = NULL, metadata = NULL, "
                "changed = ? WHERE id = ? AND bank = ? AND deleted = 0",
                (_next(database), number, bank),
            )
            if cursor.rowcount:
                database.execute("DELETE FROM signal WHERE content = ?", (number,))
                _note(database, who, "delete_content", bank, number, "")
            return bool(cursor.rowcount)

    def history(self) -> list[tuple[int, int, str, str, str, int | None, str]]:
        """Return who changed what and when, oldest first; no hash is in it."""
        return self._reader.execute("SELECT * FROM history ORDER BY number").fetchall()

    def _local(self, database: sqlite3.Connection, name: str) -> None:
        row = database.execute("SELECT is_list FROM bank WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise BankError(f"bank '{name}' not found")
        if row[0]:
            raise BankError(f"bank '{name}' is a list; it is changed where it is kept")

    def _connect(self) -> sqlite3.Connection:
        return connect(self.path, SCHEMA, PATIENCE)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._connect()) as database:
                database.execute("BEGIN IMMEDIATE")
                try:
                    yield database
                except BaseException:
                    database.execute("ROLLBACK")
                    raise
                database.execute("COMMIT")
                self._counter.value = _last(database)
        except sqlite3.Error as error:
            raise cannot(self.path, error) from None


def _next(database: sqlite3.Connection) -> int:
    database.execute("UPDATE meta SET value = value + 1 WHERE key = 'change'")
    return _last(database)


def _last(database: sqlite3.Connection) -> int:
    (change,) = database.execute("SELECT value FROM meta WHERE key = 'change'").fetchone()
    return int(change)


class Counter:
    """A whole number that all processes see: the latest change of the banks.

    A process that is killed between a commit and this leaves it as it was; the next commit, or the
    next start of the service, raises it.
    """

    def __init__(self, path: str) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            file = os.open(path, flags, 0o600)
            try:
                if os.fstat(file).st_size < COUNTER.size:
                    os.ftruncate(file, COUNTER.size)
                self._memory = mmap.mmap(file, COUNTER.size)
            finally:
                os.close(file)
        except OSError as error:
            raise StoreError(
                f"cannot use {path}: {error.strerror}. Remove it, or give another folder."
            ) from None

    @property
    def value(self) -> int:
        """The number; eight aligned bytes, which are read and written at once."""
        (value,) = COUNTER.unpack(self._memory)
        return int(value)

    @value.setter
    def value(self, value: int) -> None:
        COUNTER.pack_into(self._memory, 0, value)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()


def _note(
    database: sqlite3.Connection, who: str, action: str, bank: str, content: int | None, detail: str
) -> None:
    database.execute(
        "INSERT INTO history (at, who, action, bank, content, detail) VALUES (?, ?, ?, ?, ?, ?)",
        (int(time.time()), who, action, bank, content, detail),
    )


def _bytes(batch: HashBatch) -> bytes:
    return bytes.fromhex(batch.to_hex()[0])


def _held(bank: str, algorithm: str, rows: dict[int, bytes], before: _Held | None) -> _Held:
    """Return what is in memory of a bank after a change of some rows; empty ones are removed."""
    rows = {content: value for content, value in rows.items() if value}
    nothing: dict[int, bytes] = {}
    if before is not None:
        kept = before.base_ids
        out = [n for n, c in enumerate(kept) if rows.get(c) != before.rows.get(c)]
        indexed = tuple(c for c in kept if rows.get(c) == before.rows.get(c))
        recent = rows.keys() - set(indexed)
        if len(recent) <= max(RECENT, len(rows) // 10):
            added = {content: rows[content] for content in sorted(recent)}
            return _Held(before.base.without(out), _list(bank, algorithm, added), indexed, rows)
    if len(rows) <= RECENT:
        return _Held(_list(bank, algorithm, nothing), _list(bank, algorithm, rows), (), rows)
    return _Held(_list(bank, algorithm, rows), _list(bank, algorithm, nothing), (*rows,), rows)


def _list(bank: str, algorithm: str, rows: Mapping[int, bytes]) -> HashList:
    spec = registry.spec(algorithm)
    batch = HashBatch.from_bytes(spec, b"".join(rows.values()))
    entries = tuple(Entry(str(content)) for content in rows)
    known = HashList(bank, LIVE, spec, batch, entries)
    return replace(known, index=HashIndex.build(known, registry.hasher(algorithm).max_distance))


def bank_name(list_name: str) -> str:
    """Return the bank's name of a list: capitals, digits and underscores.

    Examples
    --------
    >>> bank_name("demo-pdq")
    'DEMO_PDQ'
    """
    return re.sub(r"[^A-Z0-9_]", "_", list_name.upper())


def names_of(lists: Iterable[HashList]) -> dict[str, str]:
    """Return the bank's name of each list; StoreError if two lists would be one bank."""
    names: dict[str, str] = {}
    for known in lists:
        name = bank_name(known.name)
        if names.get(name, known.name) != known.name:
            raise StoreError(
                f"cannot serve lists {names[name]} and {known.name}: both are bank {name}. "
                "Rename one."
            )
        names[name] = known.name
    return {known: name for name, known in names.items()}
