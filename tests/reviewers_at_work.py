"""Processes that work on a queue until they are killed, for the tests of review.

``python reviewers_at_work.py WHAT WHERE NAME SEED``: ``review`` takes and decides until nothing
waits; ``add``, ``decide`` and ``purge`` do that for ever. Each line on standard output is of what
has been done for certain.
"""

from __future__ import annotations

import random
import sys
import time
from datetime import datetime, timedelta

from hashmatch.errors import ReviewError
from hashmatch.records.cases import Case, CaseState
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.text import utc_now
from review_records import many


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def review(queue: ReviewQueue, name: str, rng: random.Random) -> None:
    """Take and decide, now and then give back or undo, until nobody has anything to do."""
    while True:
        case = queue.take(name)
        if not isinstance(case, Case):
            counts = queue.counts()
            if not counts[CaseState.PENDING_REVIEW] + counts[CaseState.IN_REVIEW]:
                return
            time.sleep(0.05)
            continue
        try:
            look_at(queue, case, name, rng)
        except ReviewError as error:  # on a busy machine, a lease of seconds may be over by now
            if "Take it" not in str(error):
                raise


def look_at(queue: ReviewQueue, case: Case, name: str, rng: random.Random) -> None:
    """Do one of the things that reviewers do with a case."""
    chance = rng.random()
    if chance < 0.02:
        queue.give_back(case.case_id, name)
        return
    if chance < 0.1:
        queue.renew(case.case_id, name)
    verdict = rng.choice(["confirmed", "not_a_match", "unsure", "escalated"])
    decision = queue.decide(case.case_id, name, verdict, "", case.reviewed_digest)
    say(f"{case.case_id} {decision.decision_id}")
    if chance > 0.98:
        queue.undo(decision.decision_id, name)


def add(queue: ReviewQueue, seed: int) -> None:
    """Put ever more records in; a line for each that is there."""
    start = 0
    while True:
        records = many(start + 300, seed)[start:]
        queue.add(records)
        for record in records:
            say(record.record_id)
        start += 300


def later() -> datetime:
    return utc_now() + timedelta(days=1000)


def purge(queue: ReviewQueue) -> None:
    """Remove what expires, when all of it has."""
    while True:
        say(f"{queue.purge().records}")
        queue.add(many(50, random.randrange(10**9)), again=True)


if __name__ == "__main__":
    what, where, name, seed = sys.argv[1:]
    with ReviewQueue.open(where, now=later if what == "purge" else utc_now) as opened:
        say("ready")
        sys.stdin.readline()  # until it is told to begin
        if what == "add":
            add(opened, int(seed))
        elif what == "purge":
            purge(opened)
        else:
            review(opened, name, random.Random(int(seed)))
