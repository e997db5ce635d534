"""What decisions teach: nothing by itself, and nothing that one person alone says."""

from __future__ import annotations

import json
import os
import random
import stat
from collections import Counter
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from hashmatch.records.cases import CaseState
from hashmatch.records.shares import Precision, wilson
from hashmatch.review.feedback import (
    add_benign,
    answer_proposal,
    disable,
    disabled,
    enable,
    proposals,
    report_entries,
    write_report,
)
from hashmatch.review.settings import Settings
from hashmatch.review.stats import thresholds
from review_queues import Clock, take_and_decide, take_case
from review_records import flipped, make_record, random_hash

if TYPE_CHECKING:
    from pathlib import Path

    from hashmatch.review.queue import ReviewQueue
    from review_queues import MakeQueue

RNG = random.Random(11)
HASHES = [random_hash(RNG) for _ in range(8)]


@pytest.fixture
def queue(make_queue: MakeQueue, clock: Clock) -> ReviewQueue:
    """Return a queue with one rejected picture of two records, and one confirmed."""
    queue = make_queue()
    near = flipped(RNG, HASHES[0], 3)
    queue.add([make_record(1, HASHES[0], distance=9), make_record(2, near, distance=11)])
    queue.add([make_record(3, HASHES[1], distance=20)])
    assert len(take_and_decide(queue, "not_a_match").items) == 2
    take_and_decide(queue, "confirmed")
    clock.pass_(minutes=11)
    return queue


def test_a_picture_is_proposed_and_a_second_person_accepts(
    queue: ReviewQueue, tmp_path: Path
) -> None:
    (proposal,) = proposals(queue)
    assert (proposal.verdict, proposal.decision.reviewer) == ("waiting", "ana")
    case_id = proposal.case.case_id
    path = tmp_path / "benign.jsonl"
    assert add_benign(queue, path) == (0, 0)  # nobody accepted it
    for same in ("ana", "Ana", "ANA"):
        with pytest.raises(hm.ReviewError, match="somebody else"):
            answer_proposal(queue, case_id, same, accept=True)
    for nobody in ("", " "):
        with pytest.raises(hm.UsageError):
            answer_proposal(queue, case_id, nobody, accept=True)
    assert (
        answer_proposal(queue, case_id, "ben", accept=True, reason="a pattern").verdict
        == "accepted"
    )
    with pytest.raises(hm.ReviewError, match="already"):
        answer_proposal(queue, case_id, "eve", accept=False)
    (proposal,) = proposals(queue)
    assert (proposal.verdict, proposal.by) == ("accepted", "ben")
    assert add_benign(queue, path) == (2, 2)
    assert add_benign(queue, path) == (0, 2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    known = hm.read_list(path)
    assert [f"{HASHES[0]:064x}" in text for text in known.hashes.to_hex()] == [True, False]
    assert known.entries[0].sources == ("ana", "ben")
    assert queue.verify()


def test_what_is_benign_is_suppressed_afterwards(make_queue: MakeQueue, clock: Clock,
                                                 tmp_path: Path) -> None:  # fmt: skip
    """From a scan to a scan: a false match is decided, accepted, and comes no more."""
    picture = "fixtures/images/plain/tiles.png"
    hashed = hm.hash_image(picture)
    off = hashed.hashes.words.copy()
    off[0, 0] ^= 0xFFF  # an entry 12 bits away
    spec = hashed.spec
    known = hm.HashList("demo", "1", spec, hm.HashBatch(spec, off), (hm.Entry("far"),))
    record = hm.Matcher(known, include_hash=True).check(picture, surface="profile_photo")
    assert isinstance(record, hm.ReviewRecord)
    assert record.status == "pending_review"
    queue = make_queue()
    queue.add([record])
    case = take_and_decide(queue, "not_a_match")
    clock.pass_(minutes=11)
    answer_proposal(queue, case.case_id, "ben", accept=True)
    add_benign(queue, tmp_path / "benign.jsonl")
    benign = hm.read_list(tmp_path / "benign.jsonl")
    again = hm.Matcher(known, benign=benign).check(picture, surface="profile_photo")
    assert isinstance(again, hm.ReviewRecord)
    assert again.suppressed_by.reason == "benign"  # type: ignore[union-attr]


def test_what_is_refused_undone_or_asked_again_is_not_written(
    queue: ReviewQueue, clock: Clock, tmp_path: Path
) -> None:
    (proposal,) = proposals(queue)
    case_id = proposal.case.case_id
    answer_proposal(queue, case_id, "ben", accept=True)
    queue.look_again(case_id, "eve", "is it?")
    assert list(proposals(queue)) == []
    assert add_benign(queue, tmp_path / "benign.jsonl") == (0, 0)
    with pytest.raises(hm.ReviewError, match="not proposed"):
        answer_proposal(queue, case_id, "eve", accept=True)
    take_and_decide(queue, "not_a_match", "gus")
    assert list(proposals(queue)) == []  # it may be undone
    clock.pass_(minutes=11)
    (again,) = proposals(queue)
    assert again.verdict == "waiting"  # what was said of the earlier decision does not count
    with pytest.raises(hm.ReviewError, match="somebody else"):
        answer_proposal(
            queue, case_id, "ana", accept=True
        )  # who decided it once is no second person
    answer_proposal(queue, case_id, "eve", accept=False)
    assert add_benign(queue, tmp_path / "benign.jsonl") == (0, 0)


def test_what_is_no_longer_harmless_is_taken_out(queue: ReviewQueue, tmp_path: Path) -> None:
    path = tmp_path / "benign.jsonl"
    (proposal,) = proposals(queue)
    answer_proposal(queue, proposal.case.case_id, "ben", accept=True)
    assert add_benign(queue, path) == (2, 2)
    other = b'{"id":"elsewhere-1/record","hash":"00"}'
    path.write_bytes(path.read_bytes() + other + b"\n")  # of another queue: it stays
    queue.add([make_record(9, HASHES[0], distance=8)])  # closer: it waits again
    assert add_benign(queue, path) == (0, 1)
    assert path.read_bytes() == other + b"\n"


def test_who_accepts_waits_until_a_decision_is_final(make_queue: MakeQueue) -> None:
    queue = make_queue()
    queue.add([make_record(1, HASHES[0], distance=9)])
    case = take_and_decide(queue, "not_a_match")
    with pytest.raises(hm.ReviewError, match="can be undone until 2026-01-01T00:10:00Z"):
        answer_proposal(queue, case.case_id, "ben", accept=True)


def test_what_a_benign_list_could_not_help_is_not_proposed(
    make_queue: MakeQueue, clock: Clock
) -> None:
    queue = make_queue()
    crop = make_record(3, HASHES[2], distance=9)
    object.__setattr__(crop.hash, "variant", "crop")
    queue.add(
        [make_record(1, HASHES[0], distance=0), make_record(2, distance=9), crop,
         make_record(4, HASHES[3], distance=9)]
    )  # fmt: skip
    verdicts = ["not_a_match", "not_a_match", "not_a_match", "confirmed"]
    for verdict in verdicts:
        take_and_decide(queue, verdict)
    clock.pass_(minutes=11)
    rejected = {case.items[0].record.record_id for case in queue.cases("not_a_match")}
    named = {each.case.items[0].record.record_id for each in proposals(queue)}
    assert named == rejected & {"record-0000004"}


def test_a_benign_file_keeps_what_the_queue_forgets(
    queue: ReviewQueue, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "benign.jsonl"
    (proposal,) = proposals(queue)
    answer_proposal(queue, proposal.case.case_id, "ben", accept=True)
    add_benign(queue, path)
    before = path.read_bytes()
    clock.pass_(days=31)
    assert queue.purge().rejected == 2
    assert list(proposals(queue)) == []
    assert add_benign(queue, path) == (0, 2)
    assert path.read_bytes() == before
    path.chmod(0o644)
    with pytest.raises(hm.StoreError, match="read by others"):
        add_benign(queue, path)
    path.chmod(0o600)
    for other in (b"{}\n", b"nonsense\n", before + before):
        path.write_bytes(other)
        with pytest.raises(hm.ListError, match="line"):
            add_benign(queue, path)
        assert path.read_bytes() == other
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(hm.StoreError):
        add_benign(queue, path)
    assert os.listdir(tmp_path).count("elsewhere") == 0


def test_entries_are_disabled_by_somebody_for_a_reason(queue: ReviewQueue) -> None:
    assert disabled(queue) == ()
    for reason, who in (
        ("", "ana"),
        ("  ", "ana"),
        ("why", ""),
        ("x" * 10_001, "ana"),
        ("\0", "ana"),
    ):
        with pytest.raises((hm.UsageError, hm.ReviewError)):
            disable(queue, "demo", "entry-1", who, reason)
    disable(queue, "demo", "entry-1", "ana", "a stock photo")
    disable(queue, "demo", "entry-2", "ana", "a meme")
    with pytest.raises(hm.ReviewError, match="disabled already"):
        disable(queue, "demo", "entry-1", "ben", "again")
    first, second = disabled(queue)
    assert (first.entry, first.by, first.reason) == ("entry-1", "ana", "a stock photo")
    enable(queue, "demo", "entry-1", "ben", "mended")
    with pytest.raises(hm.ReviewError, match="enabled already"):
        enable(queue, "demo", "entry-1", "ben", "mended")
    assert disabled(queue) == (second,)
    kinds = [event.kind for event in queue.history()][-3:]
    assert kinds == ["disabled", "disabled", "enabled"]
    queue.verify()


def test_an_edit_of_what_was_taught_is_found(queue: ReviewQueue) -> None:
    disable(queue, "demo", "entry-1", "ana", "a stock photo")
    with queue.transaction() as tx:
        ((number, body),) = tx.database.rows(
            "SELECT number, body FROM event WHERE kind = 'disabled'"
        )
        other = body.replace("stock", "other")
        tx.database.run("UPDATE event SET body = ? WHERE number = ?", (other, number))
    with pytest.raises(hm.ReviewError, match=f"event {number} is not what it was"):
        queue.verify()
    with queue.transaction() as tx:
        tx.database.run("UPDATE event SET body = ? WHERE number = ?", (body, number))


def test_entries_that_err_are_reported(make_queue: MakeQueue, tmp_path: Path) -> None:
    queue = make_queue(Settings(in_a_row=1000))
    rng = random.Random(3)
    verdicts = ["not_a_match"] * 6 + ["confirmed"] * 2
    expected: Counter[tuple[str, str]] = Counter()
    for number in range(24):
        entry = ("bad", "mixed", "good")[number % 3]
        record = make_record(number, random_hash(rng), distance=10 + number % 2, entry=entry)
        queue.add([record])
        verdict = {"bad": "not_a_match", "good": "confirmed"}.get(entry, verdicts[number // 3])
        expected[entry, verdict] += 1
        take_and_decide(queue, verdict)
    found = report_entries(queue, "demo", least=5, share=0.7)
    assert [(each.entry, each.not_a_match, each.confirmed) for each in found] == [
        ("bad", 8, 0), ("mixed", 6, 2),
    ]  # fmt: skip
    assert expected["bad", "not_a_match"] == 8
    assert found[0].distances == {10: 4, 11: 4}
    assert found[0].share == wilson(8, 8)
    assert [each.entry for each in report_entries(queue, "demo")] == ["bad"]
    assert report_entries(queue, "demo", least=9) == []
    assert report_entries(queue, "other") == []

    path = tmp_path / "report.jsonl"
    write_report(path, "demo", found)
    text = path.read_text()
    line = json.loads(text.splitlines()[0])
    assert line["distances"] == {"10": 4, "11": 4}
    assert (line["entry"], line["list_versions"], line["share"]) == ("bad", ["17"], 1.0)
    assert "profiles/" not in text
    assert "record-" not in text
    rng = random.Random(3)
    assert not any(f"{random_hash(rng):064x}" in text for _ in range(24))
    write_report(path, "demo", found, keys=True)
    assert "profiles/" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for wrong in ({"least": 0}, {"share": 1.1}, {"share": -0.1}):
        with pytest.raises(hm.UsageError):
            report_entries(queue, "demo", **wrong)


def test_inherited_records_are_evidence_of_nothing(make_queue: MakeQueue) -> None:
    queue = make_queue()
    queue.add([make_record(1, HASHES[0], entry="a")])
    take_and_decide(queue, "not_a_match")
    queue.add([make_record(2, HASHES[0], entry="a", distance=9)])
    (reported,) = report_entries(queue, "demo", least=1)
    assert (reported.not_a_match, reported.keys) == (1, ["profiles/0000001.jpg"])


def test_thresholds_are_those_of_a_naive_count(make_queue: MakeQueue) -> None:
    queue = make_queue(Settings(in_a_row=1000))
    rng = random.Random(5)
    counted: list[tuple[int, bool]] = []
    for number in range(60):
        distance = rng.randrange(0, 32, 4)
        queue.add([make_record(number, random_hash(rng), distance=distance)])
        is_one = rng.random() < 1 - distance / 40
        take_and_decide(queue, "confirmed" if is_one else "not_a_match")
        counted.append((distance, is_one))
    for wanted in (0.5, 0.8, 0.95, 1.0):
        (found,) = thresholds(queue.statistics().precision, wanted)
        reach, sure = None, None
        for up_to in range(32):
            near = [is_one for distance, is_one in counted if distance <= up_to]
            share = wilson(sum(near), len(near))
            if up_to in {distance for distance, _ in counted}:
                if sum(near) / len(near) >= wanted:
                    reach = (up_to, share)
                if share.low >= wanted:
                    sure = (up_to, share)
        assert found.reach == reach
        assert found.sure == sure
        assert found.all == wilson(sum(is_one for _, is_one in counted), 60)


def test_thresholds_of_nothing_and_of_nonsense() -> None:
    assert thresholds([], 0.9) == []
    (found,) = thresholds([Precision("a", "pdq", 3, wilson(0, 4))], 0.9)
    assert (found.reach, found.sure) == (None, None)
    for wanted in (0, -1, 1.1, float("nan")):
        with pytest.raises(hm.UsageError):
            thresholds([], wanted)


def test_whoever_holds_a_case_is_not_asked(make_queue: MakeQueue) -> None:
    queue = make_queue()
    queue.add([make_record(1, HASHES[0], distance=9)])
    case = take_case(queue)
    assert case.state is CaseState.IN_REVIEW
    assert list(proposals(queue)) == []
    with pytest.raises(hm.ReviewError, match="not proposed"):
        answer_proposal(queue, case.case_id, "ben", accept=True)
