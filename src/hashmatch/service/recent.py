"""Hashes of pictures that were checked of late: what a list gets later is matched with them.

A picture that comes in an hour before its listing matches nothing when it is checked. So the hashes
of the last pictures are kept, for a time and up to a number that the operator says, and when lists
get entries, these are searched for among them. What is found goes into the review queue, as the
record that a check would give now, with ``seen_at``: when the picture was checked.

Each row is encrypted; nothing of a hash, and no name of a picture, is on the disk in the clear. It
says against which lists its picture was checked, by a number that rises when lists change. The
rows of the numbers before are looked up in what was added since; where it is not known what that
is, as after a restart, in all lists. Either way a record is made only if it names an entry that the
picture did not match before, or if a rule kept it out of the queue and does so no longer.

A record is written to the database in the transaction that says that its picture is done with, put
into the queue, which has it once by its id, and then removed. A process may be killed anywhere.
"""

from __future__ import annotations

import fcntl
import hashlib
import sqlite3
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from hashmatch._redact import forget, unseen
from hashmatch.errors import HashmatchError, StoreError, UsageError
from hashmatch.hashing.chrome import ChromeMeter
from hashmatch.lists.merge import hash_keys
from hashmatch.records.entries import Entries
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.hashes import HashBatch, HashSpec, Opaque
from hashmatch.records.images import HashedImage, ImageItem, ItemOutcome
from hashmatch.records.review import ReviewRecord
from hashmatch.records.times import timestamp
from hashmatch.service.database import Writer, cannot, connect, lock_file, transaction
from hashmatch.service.snapshots import LOG
from hashmatch.store.encryption import RowCipher, list_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.hash_list import HashList
    from hashmatch.records.videos import HashedVideo
    from hashmatch.service.metrics import Metrics
    from hashmatch.service.snapshots import Snapshot, Snapshots
    from hashmatch.store.encryption import ListKey

KEY = "HASHMATCH_RECENT_KEY"
"""The environment variable that has the key, in hexadecimal or base64."""
INTERVAL = 1.0
"""Seconds between two looks at whether lists have changed."""
REST = 9
"""Times as long as the work took that it is left alone after."""
PATIENCE = 10.0
PICTURES = 5000
"""Pictures that are looked up, and committed, together."""
BLOCK = 2**16
"""Entries that are compared at once."""
UNKNOWN = 0
"""In the place of the number of lists: it is not known which they were."""
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;
CREATE TABLE lists (number INTEGER PRIMARY KEY AUTOINCREMENT, digest BLOB NOT NULL) STRICT;
CREATE TABLE item (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, lists INTEGER NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
CREATE INDEX item_lists ON item (lists);
CREATE INDEX item_at ON item (at);
CREATE TABLE found (record_id TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
"""


class Seen(NamedTuple):
    """A picture as it was checked: its hashes, and what it matched then.

    Parameters
    ----------
    item : ImageItem
        The picture.
    hashed : list of HashedImage
        As `Matcher.hash` gave them.
    entries : frozenset of bytes
        Digests of the entries that it matched.
    is_pending : bool
        Whether its record went to people, and no rule kept it from that.
    """

    item: ImageItem
    hashed: list[HashedImage]
    entries: frozenset[bytes]
    is_pending: bool

    def __repr__(self) -> str:
        """Without its hashes, for logs and tracebacks."""
        return f"<Seen {self.item.surface}>"

    def after(self, record: ReviewRecord) -> Seen:
        """Return it as one that has this record too."""
        return self._replace(
            entries=self.entries | _entries(record),
            is_pending=self.is_pending or record.outcome is Outcome.MATCH,
        )

    def is_news(self, record: ReviewRecord) -> bool:
        """Return whether a record is for people, and says what they do not know yet."""
        if record.outcome is not Outcome.MATCH:
            return False
        return not self.is_pending or not _entries(record) <= self.entries

    def packed(self) -> bytes:
        """Return it as bytes, to be encrypted."""
        images = [
            (
                one.spec.algorithm, one.spec.bits, one.hashes.words.astype("<u8").tobytes(),
                one.outcome, one.reason, one.quality, one.width, one.height, one.damaged,
                one.media_type, one.frame, one.decode_policy, one.variants,
                None if one.chrome is None else one.chrome.shares(),
            )
            for one in self.hashed
        ]  # fmt: skip
        item = self.item.key, self.item.version, self.item.surface
        return msgspec.msgpack.encode((item, images, sorted(self.entries), self.is_pending))

    @classmethod
    def unpacked(cls, data: bytes) -> Seen:
        """Return what `packed` made bytes of."""
        item, images, entries, is_pending = _decode(data)
        key, version, surface = item
        return cls(
            ImageItem(key, version, Surface.parse(surface)),
            [_image(key, *one) for one in images],
            frozenset(entries),
            is_pending,
        )


_decode = msgspec.msgpack.Decoder().decode


def _image(
    item: str, algorithm: str, bits: int, words: bytes, outcome: str, *rest: Any
) -> HashedImage:
    spec = HashSpec(algorithm, bits)
    rows = np.frombuffer(words, "<u8").astype(np.uint64).reshape(-1, spec.words)
    *others, variants, chrome = rest if isinstance(rest[-1], dict | None) else (*rest, None)
    hashes = HashBatch(spec, rows, owned=True)
    meter = None if chrome is None else ChromeMeter.of(chrome)
    return HashedImage(item, spec, Outcome(outcome), hashes, *others, tuple(variants), meter)  # type: ignore[call-arg]


def _entries(record: ReviewRecord) -> frozenset[bytes]:
    return frozenset(
        hashlib.blake2b(f"{each.list}\0{each.entry}".encode(), digest_size=8).digest()
        for each in record.matches
    )


def recent_key(path: str | None) -> ListKey:
    """Return the key of a database, which a file or the environment has; UsageError without."""
    key = list_key(path, KEY)
    if key is None:
        raise UsageError(
            f"cannot keep recent hashes: there is no key for them. Give --recent-key, or {KEY}."
        )
    return key


class Recent(Opaque):
    """The last pictures of a service; one object for each of its processes.

    Parameters
    ----------
    path : str
        The database, made for its owner only if it is not there.
    key : ListKey
        What it is encrypted with.
    keep_for : timedelta
        How long a picture's hashes are kept, by `catch_up`.
    items : int
        How many pictures' at most; the oldest give way.

    Raises
    ------
    StoreError
        If it cannot be opened, or is encrypted with another key.
    """

    def __init__(
        self,
        path: str,
        key: ListKey,
        keep_for: timedelta = timedelta(hours=1),
        items: int = 100_000,
    ) -> None:
        self.path, self._keep_for, self._items = path, keep_for.total_seconds(), items
        self._cipher = RowCipher(key)
        self._digest_key = key.derive(b"", b"hashmatch lists of recent hashes")
        self._database = connect(path, SCHEMA, PATIENCE)
        self._check_key(key)
        self._writer = Writer(path, SCHEMA, PATIENCE)
        self._registered: tuple[tuple[Snapshot, int], ...] = ()
        self._before: tuple[int, Sequence[HashList]] | None = None
        self._added: tuple[int, int, Matcher | None] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.problem = ""

    def _check_key(self, key: ListKey) -> None:
        with transaction(self._database):
            self._database.execute(
                "INSERT INTO meta SELECT 'key_id', ? WHERE NOT EXISTS (SELECT 1 FROM meta)",
                (key.key_id,),
            )
        (known,) = self._database.execute("SELECT value FROM meta").fetchone()
        if known != key.key_id:
            raise StoreError(
                f"cannot use {self.path}: it is encrypted with the key {known.hex()}, and given is "
                f"{key.key_id.hex()}. Give that key, or another database."
            )

    # Remembering

    @unseen
    def remember(
        self,
        snapshot: Snapshot | None,
        item: ImageItem,
        hashed: Sequence[HashedImage | HashedVideo],
        result: ReviewRecord | ItemOutcome,
    ) -> Future[object] | None:
        """Keep the hashes of a picture that was checked; they are kept once the future is done.

        Parameters
        ----------
        snapshot : Snapshot, optional
            What it was checked against; None if it is none that the service has.
        item : ImageItem
            The picture.
        hashed : sequence of HashedImage or HashedVideo
            As `Matcher.hash` gave them; no video is kept.
        result : ReviewRecord or ItemOutcome
            What it came to.

        Returns
        -------
        Future or None
            None if it has no hash that could be found.
        """
        images = [one for one in hashed if isinstance(one, HashedImage)]
        if len(images) < len(hashed) or all(one.outcome is not Outcome.HASHED for one in images):
            return None
        seen = Seen(item, images, frozenset(), False)
        if isinstance(result, ReviewRecord):
            seen = seen.after(result)
        number = next((n for known, n in self._registered if known is snapshot), UNKNOWN)
        row = time.time(), number, self._cipher.encrypt(seen.packed(), b"item")
        insert = "INSERT INTO item (at, lists, sealed) VALUES (?, ?, ?)"
        return self._writer.submit(lambda database: database.execute(insert, row).rowcount)

    # Following the lists

    def start(
        self, snapshots: Snapshots, add: Callable[[ReviewRecord], object], metrics: Metrics
    ) -> None:
        """Look for entries that lists get, in a thread.

        Parameters
        ----------
        snapshots : Snapshots
            The lists in use.
        add : callable
            Puts a record into the queue; given it again, it does nothing.
        metrics : Metrics
            Where is counted what is kept and found.
        """
        arguments = snapshots, add, metrics
        self._thread = threading.Thread(
            target=self._follow, args=arguments, name="hashmatch-recent", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End the thread; what it has begun and not committed is done after the next start."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._writer.close()
        self._database.close()

    def _follow(
        self, snapshots: Snapshots, add: Callable[[ReviewRecord], object], metrics: Metrics
    ) -> None:
        while not self._stop.is_set():
            began = time.thread_time()
            try:
                snapshot = snapshots.fresh()
                if snapshot is not None:
                    found = self.catch_up(snapshot, snapshots.make, add)
                    metrics.recent(found, self.count())
                self.problem = ""
            except Exception as error:
                forget(error)
                said = str(error) if isinstance(error, HashmatchError) else type(error).__name__
                if not self.problem:
                    LOG.error("recent pictures are not looked up: %s", said)
                self.problem = f"recent pictures are not looked up: {said}"
            # Banks may change all the time: requests have most of the processor all the same.
            self._stop.wait(max(INTERVAL, REST * (time.thread_time() - began)))

    @unseen
    def catch_up(
        self,
        snapshot: Snapshot,
        make: Callable[[Sequence[HashList]], Matcher],
        add: Callable[[ReviewRecord], object],
    ) -> int:
        """Look up what was checked against earlier lists, unless another process does that now.

        Parameters
        ----------
        snapshot : Snapshot
            The lists in use.
        make : callable
            Makes a matcher of some lists, as that of the snapshot.
        add : callable
            Puts a record into the queue; given it again, it does nothing.

        Returns
        -------
        int
            How many records were put there.

        Raises
        ------
        StoreError
            If the database cannot be used.
        """
        self._register(snapshot)
        with lock_file(self.path) as lock, _errors(self.path):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return 0
            self._forget_old()
            number = self._registered[0][1]
            while not self._stop.is_set() and (rows := self._behind(number)):
                self._look_up(rows, snapshot, number, make)
            self._before = None  # its lists are needed no more
            self._registered = self._registered[:1]
            return self._deliver(add)

    def count(self) -> int:
        """Return how many pictures are kept."""
        (count,) = self._database.execute("SELECT count(*) FROM item").fetchone()
        return int(count)

    def _register(self, snapshot: Snapshot) -> None:
        """Give lists that are new here a number, which is that of every process that has them."""
        if self._registered and self._registered[0][0] is snapshot:
            return
        identity = snapshot.matcher.identity.encode()
        digest = hashlib.blake2b(identity, digest_size=16, key=self._digest_key).digest()
        with _errors(self.path), transaction(self._database):
            row = self._database.execute(
                "SELECT number, digest FROM lists ORDER BY number DESC LIMIT 1"
            ).fetchone()
            if row is not None and row[1] == digest:
                number = int(row[0])
            else:
                cursor = self._database.execute("INSERT INTO lists (digest) VALUES (?)", (digest,))
                number = int(cursor.lastrowid or 0)
                self._database.execute("DELETE FROM lists WHERE number < ?", (number,))
        if self._registered:
            earlier, its_number = self._registered[0]
            self._before = (its_number, earlier.matcher.lists) if its_number < number else None
        # A check that began before a change, and ends after it, is of the lists before.
        self._registered = ((snapshot, number), *self._registered[:1])

    def _forget_old(self) -> None:
        with transaction(self._database):
            execute = self._database.execute
            execute("DELETE FROM item WHERE at <= ?", (time.time() - self._keep_for,))
            execute("DELETE FROM item WHERE id <= (SELECT max(id) FROM item) - ?", (self._items,))

    def _behind(self, number: int) -> list[tuple[int, float, int, bytes]]:
        """Return pictures that were checked against other lists, earlier than those in use."""
        return self._database.execute(
            "SELECT id, at, lists, sealed FROM item WHERE lists < ? ORDER BY lists, id LIMIT ?",
            (number, PICTURES),
        ).fetchall()

    @unseen
    def _look_up(
        self,
        rows: Sequence[tuple[int, float, int, bytes]],
        snapshot: Snapshot,
        number: int,
        make: Callable[[Sequence[HashList]], Matcher],
    ) -> None:
        """Look pictures up, and note what was found and that they are done with, at once."""
        found: list[tuple[str, bytes]] = []
        changed: list[tuple[bytes, int]] = []
        deciding: dict[frozenset[HashSpec], Matcher] = {}
        texts = [self._cipher.decrypt(row[3], b"item") for row in rows]
        by_lists: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            by_lists.setdefault(row[2], []).append(place)
        for lists, places in by_lists.items():
            added = self._added_since(lists, number, snapshot, make)
            for place in [] if added is None else _near(added, texts, places):
                seen = Seen.unpacked(texts[place])
                kinds = frozenset(one.spec for one in seen.hashed)
                if kinds not in deciding:
                    deciding[kinds] = _deciding(snapshot.matcher, kinds, make)
                record = _decide(deciding[kinds], seen)
                if record is not None and seen.is_news(record):
                    number_of_row, at, *_ = rows[place]
                    seen_at = timestamp(datetime.fromtimestamp(at, UTC))
                    line = replace(record, seen_at=seen_at).to_json()
                    found.append((record.record_id, self._cipher.encrypt(line, b"found")))
                    packed = seen.after(record).packed()
                    changed.append((self._cipher.encrypt(packed, b"item"), number_of_row))
        with transaction(self._database):
            many = self._database.executemany
            many("INSERT OR IGNORE INTO found VALUES (?, ?)", found)
            many("UPDATE item SET sealed = ? WHERE id = ?", changed)
            many("UPDATE item SET lists = ? WHERE id = ?", [(number, row[0]) for row in rows])

    def _added_since(
        self,
        lists: int,
        number: int,
        snapshot: Snapshot,
        make: Callable[[Sequence[HashList]], Matcher],
    ) -> Matcher | None:
        """Return what has the entries that were added since some lists; None if none were.

        Where that is not known, all entries are.
        """
        if self._added is None or self._added[:2] != (lists, number):
            if self._before is None or self._before[0] != lists:
                return snapshot.matcher
            added = added_entries(self._before[1], snapshot.matcher.lists)
            self._added = lists, number, make(added) if added else None
        return self._added[2]

    def _deliver(self, add: Callable[[ReviewRecord], object]) -> int:
        """Put what was found into the queue; return how much that is."""
        rows = self._database.execute("SELECT record_id, sealed FROM found").fetchall()
        for record_id, sealed in rows:
            add(ReviewRecord.from_json(self._cipher.decrypt(sealed, b"found")))
            self._database.execute("DELETE FROM found WHERE record_id = ?", (record_id,))
        return len(rows)


@contextmanager
def _errors(path: str) -> Iterator[None]:
    """Say what is wrong with a database in a line."""
    try:
        yield
    except sqlite3.Error as error:
        raise cannot(path, error) from None


def _near(matcher: Matcher, texts: Sequence[bytes], places: Sequence[int]) -> list[int]:
    """Return the places of those packed pictures of which some hash is near any entry.

    Nothing else of them is made objects of: there are many, and few are found.
    """
    images = [(place, image) for place in places for image in _decode(texts[place])[1]]
    found: set[int] = set()
    for spec in {known.spec for known in matcher.lists}:
        data, owners = bytearray(), []
        for place, (algorithm, bits, words, outcome, *_) in images:
            if (algorithm, bits, outcome) == (spec.algorithm, spec.bits, Outcome.HASHED):
                data += words
                owners += [place] * (len(words) // (8 * spec.words))
        if owners:
            words = np.frombuffer(data, "<u8").astype(np.uint64).reshape(-1, spec.words)
            rows = matcher.rows_that_match(HashBatch(spec, words, owned=True))
            found.update(np.array(owners)[rows].tolist())
    return sorted(found)


def _deciding(
    matcher: Matcher, kinds: frozenset[HashSpec], make: Callable[[Sequence[HashList]], Matcher]
) -> Matcher:
    """Return what decides about pictures that have hashes of some kinds: of lists of these only."""
    lists = [known for known in matcher.lists if known.spec in kinds]
    return matcher if len(lists) == len(matcher.lists) else make(lists)


def _decide(matcher: Matcher, seen: Seen) -> ReviewRecord | None:
    """Return the record that a check would give now; None if there is none."""
    specs = {known.spec for known in matcher.lists}
    result = matcher.decide(seen.item, [one for one in seen.hashed if one.spec in specs])
    return result if isinstance(result, ReviewRecord) else None


@unseen
def added_entries(before: Sequence[HashList], after: Sequence[HashList]) -> list[HashList]:
    """Return the entries that lists have and had not before, as lists.

    An entry whose limit, labels or sources are others counts as added, and so do all entries of a
    list whose own limit is another.

    Parameters
    ----------
    before, after : sequence of HashList
        The lists in use then and now, distinguished by name and kind of hash.

    Returns
    -------
    list of HashList
        Those with entries.
    """
    found = []
    for known in after:
        same = [
            each
            for each in before
            if (each.name, each.spec, each.max_distance)
            == (known.name, known.spec, known.max_distance)
        ]
        if any(each is known for each in same) or not len(known):
            continue
        if not same:
            found.append(known)
            continue
        numbers = _not_in(_digests(known), [_digests(each) for each in same])
        if len(numbers):
            found.append(known.take(numbers.tolist()))
    return found


def _digests(known: HashList) -> NDArray[np.uint64]:
    """Return a digest of each entry: of its hash, and what is said of it but its id."""
    entries = Entries.of(known.entries)
    kinds = np.array(
        [
            int.from_bytes(hashlib.blake2b(repr(kind).encode(), digest_size=8).digest())
            for kind in entries.kinds
        ],
        np.uint64,
    )
    kind = np.asarray(entries.kind[:])
    parts = [np.empty(0, np.uint64)]
    for begin in range(0, len(known.storage), BLOCK):
        keys = hash_keys(known.storage[begin : begin + BLOCK].words)
        parts.append(keys ^ kinds[kind[begin : begin + BLOCK]])
    return np.delete(np.concatenate(parts), entries.gone)


def _not_in(these: NDArray[np.uint64], those: Sequence[NDArray[np.uint64]]) -> NDArray[np.int64]:
    """Return the numbers of those that are nowhere there; quick where most are, in their order."""
    left = np.ones(len(these), np.bool_)
    for other in those:
        shared = min(len(these), len(other))
        left[:shared] &= these[:shared] != other[:shared]
    for other in those:
        numbers = np.flatnonzero(left)
        if not len(numbers):
            break
        wanted, place = np.unique(these[numbers], return_inverse=True)
        at = np.minimum(np.searchsorted(wanted, other), len(wanted) - 1)
        there = np.zeros(len(wanted), np.bool_)
        there[at[wanted[at] == other]] = True
        left[numbers] = ~there[place]
    return np.flatnonzero(left)
