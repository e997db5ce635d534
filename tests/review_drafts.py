"""Confirmed cases and their drafts for tests: made-up records, and an invented account."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from conftest import FIXTURES
from hashmatch.review.drafts.account import AccountFile
from hashmatch.review.drafts.cybertip import INCIDENT_TYPES
from hashmatch.review.drafts.draft import choose, confirmed_case, files_and_choices
from review_queues import Clock, take_case

if TYPE_CHECKING:
    from hashmatch.records.cases import ConfirmedCase
    from hashmatch.review.queue import ReviewQueue


def example_account() -> AccountFile:
    """Return the account that the documentation shows, which is invented."""
    return msgspec.json.decode((FIXTURES / "account.json").read_bytes(), type=AccountFile)


def confirm(queue: ReviewQueue, clock: Clock, *reviewers: str) -> ConfirmedCase:
    """Let people confirm the next case, and return it when that is final."""
    for reviewer in reviewers or ("ana",):
        case = take_case(queue, reviewer)
        queue.decide(case.case_id, reviewer, "confirmed", "seen", case.reviewed_digest)
    clock.pass_(minutes=11)
    return confirmed_case(queue, case.case_id)


def choose_all(queue: ReviewQueue, case: ConfirmedCase, who: str = "ana") -> None:
    """Choose what a draft for NCMEC asks: the first answer of each, and no annotation."""
    case_id = case.case_id
    choose(queue, case_id, "ncmec", "incident-type", [INCIDENT_TYPES[0]], who)
    choose(queue, case_id, "ncmec", "report-annotations", [], who)
    for file in files_and_choices(queue, case_id, "ncmec")[0]:
        record = file.items[0].record.record_id
        choose(queue, case_id, "ncmec", "relevance", ["Reported"], who, record=record)
        choose(queue, case_id, "ncmec", "classification", ["B2"], who, record=record)
        choose(queue, case_id, "ncmec", "annotations", [], who, record=record)
