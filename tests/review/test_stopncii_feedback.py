"""Feedback for StopNCII: which hashes people blocked, in the shape of its interface."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from hashmatch.errors import UsageError
from hashmatch.review.drafts.stopncii import Feedback, write_feedback
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from review_queues import Clock, take_case
from review_records import make_record, random_hash

if TYPE_CHECKING:
    from pathlib import Path

VALUES = [f"{random_hash(random.Random(seed)):064x}" for seed in range(4)]


@pytest.fixture
def known(tmp_path: Path) -> hm.HashList:
    """Read a list as StopNCII sends it, with hashes that were made up."""
    records = [
        {"lastModtimestamp": 1700000000, "signalType": "ImagePDQ", "hashValue": value,
         "hashStatus": "Active", "caseNumbers": {}}
        for value in VALUES
    ]  # fmt: skip
    page = {"count": 4, "nextPageToken": "", "nextSetTimestamp": 1700000000,
            "hasMoreRecords": False, "hashRecords": records}  # fmt: skip
    (tmp_path / "page.json").write_text(json.dumps(page))
    return hm.read_list(tmp_path / "page.json", name="stopncii")


@pytest.mark.reveals
def test_it_says_of_each_hash_what_people_decided(known: hm.HashList, tmp_path: Path) -> None:
    clock, key = Clock(), known.own_key()
    names = [known.reference(number, key) for number in range(4)]
    settings = Settings(pause=timedelta(0), same_picture={})
    verdicts = {names[0]: "confirmed", names[1]: "not_a_match", names[2]: "unsure"}
    out = tmp_path / "feedback.json"
    with ReviewQueue.open(
        str(tmp_path / "q.db"), create=True, settings=settings, now=clock
    ) as queue:
        for number, entry in enumerate([*names[:3], names[0], "ref:gone"]):
            queue.add([make_record(number, number, name="stopncii", entry=entry)])
            case = take_case(queue)
            verdict = verdicts.get(entry, "confirmed") if number != 3 else "not_a_match"
            queue.decide(case.case_id, "ana", verdict, "seen", case.reviewed_digest)
        # Nothing is said while it can be undone.
        assert write_feedback(queue, [known], out, reveal_hashes=True) == Feedback(0, 0, 0)
        clock.pass_(minutes=11)
        assert write_feedback(queue, [known], out, reveal_hashes=True) == Feedback(1, 1, 1)
        with pytest.raises(UsageError, match="only if that is asked for"):
            write_feedback(queue, [known], out, reveal_hashes=False)
    assert json.loads(out.read_text()) == {
        "count": 2,
        "hashFeedbacks": [
            {"hashValue": VALUES[0], "feedbackValue": "Blocked", "tags": []},
            {"hashValue": VALUES[1], "feedbackValue": "NotBlocked", "tags": []},
        ],
    }
    assert out.stat().st_mode & 0o777 == 0o600
