"""Records straight into a queue: once, however often they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hashmatch.errors import ReviewError
from hashmatch.records.cases import Origin
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.results import Added
from hashmatch.review.sink import RECORDS_PER_FLUSH, ReviewSink
from review_records import many

if TYPE_CHECKING:
    from pathlib import Path

    from review_queues import MakeQueue


def test_what_is_written_twice_is_there_once(make_queue: MakeQueue, where: str) -> None:
    queue = make_queue()
    records = many(RECORDS_PER_FLUSH + 10)
    first = ReviewSink(where, "photos")
    for record in records[: RECORDS_PER_FLUSH + 3]:
        first.write(record, f"at {record.item.key}")
    first.abandon()
    assert sum(queue.counts().values()) == RECORDS_PER_FLUSH + 3
    second = ReviewSink(where, "photos", who="scan 17")
    for record in records:
        second.write(record)
    second.close()
    assert second.added == Added(7, RECORDS_PER_FLUSH + 3, 0, 7)
    case = next(queue.cases())
    assert case.items[0].origin == Origin("photos", f"at {records[0].item.key}")
    assert [event.who for event in queue.history()][-1] == "scan 17"


def test_what_is_not_full_is_written_after_a_while(
    make_queue: MakeQueue, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = make_queue()
    monkeypatch.setattr("hashmatch.review.sink.SECONDS_PER_FLUSH", 0.0)
    sink = ReviewSink(where)
    sink.write(many(1)[0])
    assert sum(queue.counts().values()) == 1
    sink.close()


def test_there_has_to_be_a_queue(tmp_path: Path) -> None:
    with pytest.raises(ReviewError, match="there is no review queue"):
        ReviewSink(str(tmp_path / "queue.db"))


def test_a_sink_whose_queue_fails_can_be_abandoned(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    ReviewQueue.open(str(path), create=True).close()
    sink = ReviewSink(str(path))
    sink.write(many(1)[0])
    sink._queue.close()
    with pytest.raises(ReviewError, match="closed"):
        sink.flush()
    sink.abandon()
