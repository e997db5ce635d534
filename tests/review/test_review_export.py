"""A queue as a file: all of it, or what people confirmed; whole or not there; no hash in it."""

from __future__ import annotations

import csv
import json
import os
import stat
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from hashmatch.records.cases import Origin
from hashmatch.review.export import COLUMNS, export_cases, export_confirmed
from review_queues import Clock, take_and_decide, take_case
from review_records import many

if TYPE_CHECKING:
    from pathlib import Path

    from hashmatch.review.queue import ReviewQueue
    from review_queues import MakeQueue


@pytest.fixture
def queue(make_queue: MakeQueue, clock: Clock) -> ReviewQueue:
    """Return a queue with a case in every state; the confirmed one has an inherited record."""
    queue = make_queue()
    records = many(8, pictures=7)
    (near,) = records[0].matches
    records[0] = replace(records[0], matches=(replace(near, distance=0),))
    queue.add((record, Origin("s3://photos")) for record in records[:7])
    for verdict in ("confirmed", "not_a_match", "unsure", "escalated"):
        take_and_decide(queue, verdict)
        clock.pass_(minutes=1)
    queue.add(records[7:])
    take_case(queue, "ben")
    return queue


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def parts(folder: Path) -> list[str]:
    """What is left of files that did not become whole."""
    return [name for name in os.listdir(folder) if name.endswith(".part")]


def test_all_of_a_queue_is_in_it(queue: ReviewQueue, tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    assert export_cases(queue, path) == 8
    found = lines(path)
    assert len({line["record"]["record_id"] for line in found}) == 8
    assert [line["state"] for line in found if line["inherited"]] == ["confirmed"]
    states = {line["case_id"]: line["state"] for line in found}
    assert states == {case.case_id: case.state.value for case in queue.cases()}
    assert set(states.values()) >= {
        "pending_review", "in_review", "confirmed", "not_a_match", "unsure", "escalated",
    }  # fmt: skip
    for line in found:
        assert line["schema"] == "hashmatch.decided/1"
        covering = [d for d in line["decisions"] if line["record"]["record_id"] in d["record_ids"]]
        assert covering == line["decisions"]
        assert bool(covering) == (
            line["state"] not in {"pending_review", "in_review"} and not line["inherited"]
        )
        hm.ReviewRecord.from_json(json.dumps(line["record"]))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert parts(tmp_path) == []


def test_csv_and_parquet_say_the_same(queue: ReviewQueue, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        assert export_cases(queue, tmp_path / name) == 8
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "a.parquet")
    assert [*rows[0]] == table.column_names == [*COLUMNS]
    for row, cells, line in zip(rows, table.to_pylist(), lines(tmp_path / "a.jsonl"), strict=True):
        as_text = {
            name: "" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell)
            for name, cell in cells.items()
        }
        assert row == as_text
        assert cells["record_id"] == line["record"]["record_id"]
        assert cells["inherited"] is line["inherited"]
        assert cells["distance"] == line["record"]["matches"][0]["distance"]
        assert cells["reviewers"] == ("ana" if line["decisions"] else "")
        assert cells["decided_at"] == (
            line["decisions"][0]["decided_at"] if line["decisions"] else None
        )
    assert stat.S_IMODE((tmp_path / "a.parquet").stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path))[:3] == ["a.csv", "a.jsonl", "a.parquet"]


def test_some_states_and_some_time(queue: ReviewQueue, tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "some.jsonl"
    export_cases(queue, path, states=["confirmed", "escalated"])
    assert {line["state"] for line in lines(path)} == {"confirmed", "escalated"}
    export_cases(queue, path, states=["in_review"])
    assert {line["state"] for line in lines(path)} == {"in_review"}
    assert export_cases(queue, path, since=clock.time + timedelta(seconds=1)) == 0
    assert path.read_text() == ""
    recent = export_cases(queue, path, since=clock.time - timedelta(seconds=90))
    assert 0 < recent < 8
    with pytest.raises(hm.UsageError, match="there are pending_review, in_review"):
        export_cases(queue, path, states=["decided"])


def test_confirmed_are_those_that_people_confirmed_finally(
    queue: ReviewQueue, tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "confirmed.jsonl"
    assert export_confirmed(queue.confirmed(), path) == 0  # they may be undone
    clock.pass_(minutes=11)
    assert export_confirmed(queue.confirmed(), path) == 1
    (line,) = lines(path)
    assert (line["state"], line["inherited"]) == ("confirmed", False)
    assert [decision["verdict"] for decision in line["decisions"]] == ["confirmed"]
    for wrong in (next(queue.cases()), next(queue.cases()).items[0].record, None):
        with pytest.raises(hm.UsageError, match="cannot export as confirmed"):
            export_confirmed([wrong], path)  # type: ignore[list-item]
    assert lines(path) == [line]  # what was there stays
    assert parts(tmp_path) == []


def test_spreadsheets_run_nothing(make_queue: MakeQueue, tmp_path: Path) -> None:
    queue = make_queue()
    (record,) = many(1)
    evil = replace(record, item=replace(record.item, key='=cmd|"/C calc"!A0'))
    queue.add([evil])
    case = take_case(queue)
    queue.decide(case.case_id, "ana", "unsure", "+1; @x\n-2", case.reviewed_digest, ["-label"])
    export_cases(queue, tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["key"] == '\'=cmd|"/C calc"!A0'
    assert row["reason"].startswith("'+1")
    assert row["said"] == "'-label"


def test_no_hash_is_in_it(queue: ReviewQueue, tmp_path: Path) -> None:
    values = [str(record.hash.value) for record in many(8, pictures=7)]
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        export_cases(queue, tmp_path / name)
        data = (tmp_path / name).read_bytes()
        for value in values:
            assert value.encode() not in data
            assert bytes.fromhex(value) not in data


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.parquet"])
def test_what_fails_leaves_what_was_there(
    queue: ReviewQueue, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    path.write_text("before")
    cases = list(queue.cases())

    def some(*args: object, **kwargs: object) -> Any:
        yield from cases[:3]
        raise hm.ReviewError("gone")

    monkeypatch.setattr(type(queue), "cases", some)
    with pytest.raises(hm.ReviewError):
        export_cases(queue, path)
    assert path.read_text() == "before"
    assert parts(tmp_path) == []


def test_places_that_cannot_be_written(queue: ReviewQueue, tmp_path: Path) -> None:
    with pytest.raises(hm.UsageError, match=r"ends in \.jsonl, \.csv, \.parquet"):
        export_cases(queue, tmp_path / "a.txt")
    for suffix in ("jsonl", "csv", "parquet"):
        with pytest.raises(hm.SinkError, match=r"cannot write .*: No such file"):
            export_cases(queue, tmp_path / "none" / f"a.{suffix}")


def test_an_empty_queue_is_an_empty_file(make_queue: MakeQueue, tmp_path: Path) -> None:
    queue = make_queue()
    for name in ("a.jsonl", "a.csv", "a.parquet"):
        assert export_cases(queue, tmp_path / name) == 0
    assert (tmp_path / "a.jsonl").read_text() == ""
    assert (tmp_path / "a.csv").read_text().count("\n") == 1
    parquet = pytest.importorskip("pyarrow.parquet")
    assert parquet.read_table(tmp_path / "a.parquet").num_rows == 0
