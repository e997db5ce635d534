"""Any edit of a review queue is found: of a row, a column, the history, its end."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from hashmatch.errors import ReviewError, UsageError
from hashmatch.records.cases import Origin
from hashmatch.review import history
from hashmatch.review.access import FailedLogins, record_login, record_view
from hashmatch.review.history import Head
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from review_queues import Clock, take_and_decide, take_case
from review_records import make_record, many

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TABLES = (
    "queue", "event", "review_case", "item", "decision", "reviewer", "waiting", "grouping_key",
)  # fmt: skip


def fill(queue: ReviewQueue, clock: Clock) -> None:
    """Let everything happen once that can."""
    queue.add([(record, Origin("photos", "there")) for record in many(12, pictures=9)])
    queue.reviewers.add("ana")
    queue.reviewers.add("ben")
    queue.reviewers.remove("ben")
    record_login(queue, "ana")
    failed = FailedLogins(queue)
    failed.count("eve")
    failed.write()
    held = take_case(queue)
    record_view(queue, held.case_id, "ana", held.items[0].record.record_id, "gray")
    take_and_decide(queue, "confirmed")
    take_and_decide(queue, "confirmed", "ben")
    undone = take_and_decide(queue, "not_a_match")
    back = queue.undo(undone.decisions[0].decision_id, "ana")
    queue.give_back(back.case_id, "ana")
    rejected = take_and_decide(queue, "not_a_match")
    queue.add(many(40, pictures=9)[12:24])
    queue.look_again(rejected.case_id, "lead", "more of it came")
    queue.renew(take_case(queue, "cem").case_id, "cem")
    clock.pass_(minutes=11)
    gone = take_and_decide(queue, "not_a_match", "cem")
    queue.hold(take_and_decide(queue, "escalated", "cem").case_id, "counsel", "")
    queue.change(Settings(two_reviewers=True, label_weights={"A2": 3}))
    clock.pass_(days=31)
    queue.add([make_record(100, None, distance=3), make_record(101, None, distance=4)])
    queue.purge()
    assert not queue.case(gone.case_id).items
    take_case(queue, "dan")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file of a queue to which everything happened."""
    clock = Clock()
    path = tmp_path_factory.mktemp("queue") / "queue.db"
    with ReviewQueue.open(str(path), create=True, now=clock) as queue:
        fill(queue, clock)
        queue.verify()
    return path


def test_the_same_is_sound_in_both_databases(where: str, clock: Clock) -> None:
    with ReviewQueue.open(where, create=True, now=clock) as queue:
        fill(queue, clock)
        events, head = queue.verify()
        assert queue.verify(head) == (events, head)
        numbers = [event.number for event in queue.history()]
        assert numbers == list(range(1, events + 1))
        previous = "0" * 64
        for event in queue.history():
            assert event.previous == previous
            previous = event.digest
        assert head == str(queue.head()) == f"{events}:{previous}"
        assert queue.verify(previous).head == head
        with pytest.raises(ReviewError, match="the event with the given digest is missing"):
            queue.verify("0" * 63 + "1")
        for case in queue.cases():
            of_it = [event.number for event in queue.history(case.case_id)]
            assert of_it == sorted(of_it)
            assert next(queue.history(case.case_id)).kind == "added"


def test_every_kind_of_event_is_named(filled: Path) -> None:
    with ReviewQueue.open(str(filled)) as queue:
        assert {event.kind for event in queue.history()} <= set(history.KINDS)
    assert history.__doc__ is not None
    table = re.split("^=+ +=+$", history.__doc__, flags=re.MULTILINE)[2]
    rows = re.findall("^([a-z_]+(?:, [a-z_]+)*) ", table, re.MULTILINE)
    assert ", ".join(rows).split(", ") == list(history.KINDS)


def other(value: Any) -> Any:
    """Return another value of the same type."""
    if value is None:
        return 1
    if isinstance(value, int):
        return value + 1
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1])
    return value + "x"


def edits(path: Path) -> Iterator[tuple[str, str, list[Any]]]:
    """Yield every change of one column of one row, and the end of every row: as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        for table in TABLES:
            cursor = connection.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                this = " AND ".join(f"{name} IS ?" for name in names)
                yield f"{table} row", f"DELETE FROM {table} WHERE {this}", list(row)
                for name, value in zip(names, row, strict=True):
                    sql = f"UPDATE {table} SET {name} = ? WHERE {this}"
                    for new in (other(value), None):
                        if new != value:
                            yield f"{table}.{name}", sql, [new, *row]


def edited(filled: Path, tmp_path: Path, every: int) -> list[str]:
    """Make every so-many-th edit by itself; return those that were not found."""
    missed, columns = [], dict[str, int]()
    path = tmp_path / "edited.db"
    for name, sql, values in edits(filled):
        columns[name] = columns.get(name, 0) + 1
        if columns[name] % every != 1 % every:
            continue
        shutil.copy(filled, path)
        with closing(sqlite3.connect(path)) as connection:
            try:
                connection.execute(sql, values)
            except sqlite3.IntegrityError:
                continue  # the table itself refuses
            assert connection.total_changes == 1
            connection.commit()
        try:
            with ReviewQueue.open(str(path)) as queue:
                queue.verify()
            missed.append(f"{name}: {values[:1]}")
        except ReviewError as error:
            found = str(error)
            if "\n" in found:
                raise
        for end in ("-wal", "-shm"):
            if os.path.exists(f"{path}{end}"):
                os.unlink(f"{path}{end}")
    assert {name.partition(".")[0].partition(" ")[0] for name in columns} == set(TABLES)
    return missed


def test_edits_of_any_column_are_found(filled: Path, tmp_path: Path) -> None:
    assert edited(filled, tmp_path, every=19) == []


@pytest.mark.slow
def test_every_edit_of_every_row_and_column_is_found(filled: Path, tmp_path: Path) -> None:
    assert edited(filled, tmp_path, every=1) == []


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO waiting VALUES ('', '', '', 0, 999)",
        "INSERT INTO grouping_key VALUES (1, 1)",
        "INSERT INTO reviewer VALUES ('eve', 'token', 0)",
        "INSERT INTO queue VALUES ('more', 1, 0, '{}')",
        "INSERT INTO event VALUES (999, 0, 'eve', 'taken', 1, '{}', 'x')",
        "INSERT INTO decision SELECT 999, case_number, verdict, 'eve', decided_at, final_at, "
        "reason, record_ids, reviewed_digest, labels, needed, round, supersedes, undone_at "
        "FROM decision LIMIT 1",
        "INSERT INTO item SELECT 999, record_id, case_number, batch, round, added_at, line, hash, "
        "source, location, digest FROM item LIMIT 1",
        "CREATE TRIGGER t AFTER INSERT ON decision BEGIN DELETE FROM decision; END",
        "DROP INDEX item_record",
        "CREATE TABLE more (x)",
        "DELETE FROM event",
    ],
)
def test_what_is_put_in_is_found(filled: Path, tmp_path: Path, sql: str) -> None:
    path = tmp_path / "edited.db"
    shutil.copy(filled, path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql)
        connection.commit()
    with pytest.raises(ReviewError), ReviewQueue.open(str(path)) as queue:
        queue.verify()


def test_a_history_that_was_set_back_as_a_whole_is_found_by_its_head(
    tmp_path: Path, clock: Clock
) -> None:
    path, before = tmp_path / "queue.db", tmp_path / "before.db"
    with ReviewQueue.open(str(path), create=True, now=clock) as queue:
        queue.add(many(3))
        take_and_decide(queue, "unsure")
        earlier = queue.head()
    shutil.copy(path, before)
    with ReviewQueue.open(str(path), now=clock) as queue:
        take_and_decide(queue, "confirmed")
        later = queue.verify().head
        head = later.partition(":")[2]
    shutil.copy(before, path)
    with ReviewQueue.open(str(path), now=clock) as queue:
        queue.verify()  # it is whole, only shorter
        with pytest.raises(ReviewError, match="given digest is missing"):
            queue.verify(head)
        with pytest.raises(ReviewError, match=r"its history ends at event \d+, and event"):
            queue.verify(later)
        queue.verify(earlier, queue.head())


def test_an_event_that_was_written_anew_is_found_by_its_head(tmp_path: Path, clock: Clock) -> None:
    path, before = tmp_path / "queue.db", tmp_path / "before.db"
    with ReviewQueue.open(str(path), create=True, now=clock) as queue:
        queue.add(many(3))
    shutil.copy(path, before)
    with ReviewQueue.open(str(path), now=clock) as queue:
        queue.reviewers.add("ana")
        seen = queue.head()
    shutil.copy(before, path)
    with ReviewQueue.open(str(path), now=clock) as queue:
        queue.reviewers.add("eve")
        queue.reviewers.add("eve")
        queue.verify()
        with pytest.raises(ReviewError, match=f"event {seen.event} is not the one"):
            queue.verify(str(seen))


@pytest.mark.parametrize("text", ["", "5", "5:ab", "x" * 64, f"-1:{'0' * 64}", f"{'0' * 64}:1"])
def test_what_is_no_head_is_refused(text: str, tmp_path: Path) -> None:
    with (
        ReviewQueue.open(str(tmp_path / "queue.db"), create=True) as queue,
        pytest.raises(UsageError, match="as a head of the history"),
    ):
        queue.verify(text)


def test_heads_are_found_in_any_text() -> None:
    one, two = Head(7, "ab" * 32), Head(123456, "0f" * 32)
    text = f'{{"history_head":"{one}","digest":"{"cd" * 32}"}}\n3 sent; head {two}\nx{one}0'
    assert Head.find_all(text) == [one, two]
    assert Head.parse(str(two)) == two
