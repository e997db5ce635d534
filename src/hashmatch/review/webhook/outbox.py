"""The outbox of an endpoint: which messages wait, were sent, or were given up.

It is kept in the queue: how far the history was gone through, and the messages that are not
delivered yet. No content is kept of these: each is made anew when it is tried, so that nothing
outlives what the queue keeps. A message is marked as delivered after it was, so that one whose
sender was killed in between is sent again, under the same id.

That a message was put into the outbox is an event of the history. It is the head that the message
carries, the same in each try, by which a receiver can witness all that happened until then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hashmatch.review import history
from hashmatch.review.history import Head
from hashmatch.review.results import NotFinal
from hashmatch.review.text import SECOND, check_text, micros, moment

if TYPE_CHECKING:
    from datetime import datetime

    from hashmatch.review.database import Transaction
    from hashmatch.review.queue import ReviewQueue

EVENTS_PER_TRANSACTION = 1000
WAITING, DEAD = "waiting", "dead"
QUEUED = "message_queued"
HAS_MESSAGE = "kind IN ('decided', 'asked_again')"
"""Events that there may be a message of."""


class Claim(NamedTuple):
    """A message that is to be tried now: for the first time if `tries` is 1.

    Times are microseconds since 1970. The `head` of the history is from when it was listed.
    """

    event: int
    tries: int
    first_at: int
    now: int
    head: Head


class DeadLetter(NamedTuple):
    """A message that was given up: tried so often since a time, and what was wrong in the end."""

    event: int
    case_number: int
    tries: int
    since: datetime
    problem: str


class Outbox:
    """The messages to one endpoint. Several processes may send them; each is tried by one."""

    def __init__(self, queue: ReviewQueue, endpoint: str) -> None:
        check_text("an endpoint's name", endpoint)
        self._queue = queue
        self._endpoint = endpoint

    def open(self, *, from_now: bool) -> None:
        """Make an outbox for an endpoint that has none yet; `from_now` leaves out the past."""
        with self._queue.transaction() as tx:
            if not tx.database.rows(
                "SELECT 1 FROM outbox_endpoint WHERE name = ?", (self._endpoint,)
            ):
                ((last,),) = tx.database.rows("SELECT max(number) FROM event")
                listed = (last or 0) if from_now else 0
                tx.database.insert("outbox_endpoint", [(self._endpoint, listed, 0)])

    def list_new(self) -> None:
        """List what has happened since the last time, as messages that wait.

        What may still be undone has to wait, with all that follows it.
        """
        listed = EVENTS_PER_TRANSACTION
        while listed == EVENTS_PER_TRANSACTION:
            with self._queue.transaction() as tx:
                page = tx.database.rows(
                    "SELECT event.number, event.case_number, final_at, "
                    f"CASE WHEN {HAS_MESSAGE} THEN 1 ELSE 0 END FROM event LEFT JOIN decision "
                    "ON decision.number = event.number AND undone_at IS NULL WHERE event.number > "
                    "(SELECT listed FROM outbox_endpoint WHERE name = ?) "
                    "ORDER BY event.number LIMIT ?",
                    (self._endpoint, EVENTS_PER_TRANSACTION),
                )
                open_until = ((i, final_at) for i, (_, _, final_at, _) in enumerate(page))
                listed = next((i for i, at in open_until if (at or 0) > tx.now), len(page))
                if not listed:
                    return
                new = [
                    (self._endpoint, event, case, WAITING, 0, None, tx.now, "")
                    for event, case, _, has_message in page[:listed]
                    if has_message
                ]
                tx.database.insert("outbox_message", new)
                for endpoint, event, case, *_ in new:
                    about = {"endpoint": endpoint, "event": event}
                    history.append(tx, "hashmatch", QUEUED, case, **about)
                tx.database.run(
                    "UPDATE outbox_endpoint SET listed = ? WHERE name = ?",
                    (page[listed - 1][0], self._endpoint),
                )

    def claim(self, seconds: float) -> Claim | None:
        """Return the next message that is due; nobody else tries it for so many seconds.

        Of one case, a later message waits until the earlier one is delivered or given up.
        """
        with self._queue.transaction() as tx:
            due = tx.database.rows(
                "SELECT event, case_number, tries, first_at FROM outbox_message AS message "
                "WHERE endpoint = ? AND state = ? AND next_at <= ? AND NOT EXISTS ("
                "SELECT 1 FROM outbox_message AS earlier WHERE earlier.endpoint = message.endpoint "
                "AND earlier.case_number = message.case_number AND earlier.event < message.event "
                "AND earlier.state = message.state) ORDER BY event LIMIT 1",
                (self._endpoint, WAITING, tx.now),
            )
            if not due:
                return None
            ((event, case, tries, first_at),) = due
            first_at = tx.now if first_at is None else first_at
            claim = Claim(event, tries + 1, first_at, tx.now, self._head(tx, event, case))
            until = tx.now + round(seconds * SECOND)
            self._update(tx, event, tries=claim.tries, first_at=claim.first_at, next_at=until)
            return claim

    def done(self, claim: Claim, *, sent: bool) -> None:
        """Remove a message that was delivered, or that there is no reason for any more."""
        message = self._endpoint, claim.event
        with self._queue.transaction() as tx:
            where = "FROM outbox_message WHERE endpoint = ? AND event = ?"
            if not tx.database.rows(f"SELECT 1 {where}", message):
                return  # another process was slower, and sent it too
            tx.database.run(f"DELETE {where}", message)
            tx.database.run(
                "UPDATE outbox_endpoint SET sent = sent + ? WHERE name = ?",
                (int(sent), self._endpoint),
            )

    def put_off(self, claim: Claim, until: datetime) -> None:
        """Note that a message was not tried, and is to be later."""
        first_at = None if claim.tries == 1 else claim.first_at
        with self._queue.transaction() as tx:
            self._update(
                tx, claim.event, tries=claim.tries - 1, first_at=first_at, next_at=micros(until)
            )

    def failed(self, claim: Claim, problem: str, pause: float, tries: int, deadline: float) -> bool:
        """Note that a try failed, and return whether the message is given up by that.

        The next try is in `pause` seconds, unless there were `tries` already, or the first was
        longer ago than `deadline` seconds.
        """
        with self._queue.transaction() as tx:
            is_dead = claim.tries >= tries or tx.now - claim.first_at > deadline * SECOND
            state, next_at = DEAD if is_dead else WAITING, tx.now + round(pause * SECOND)
            self._update(tx, claim.event, state=state, problem=problem, next_at=next_at)
            return is_dead

    def resend_dead(self) -> int:
        """Let the messages that were given up wait again; return how many."""
        with self._queue.transaction() as tx:
            count = len(self.dead())
            tx.database.run(
                "UPDATE outbox_message SET state = ?, tries = 0, first_at = NULL, next_at = ? "
                "WHERE endpoint = ? AND state = ?",
                (WAITING, tx.now, self._endpoint, DEAD),
            )
            return count

    def dead(self) -> list[DeadLetter]:
        """Return what was given up, in the order of the history."""
        with self._queue.transaction(read_only=True) as tx:
            found = tx.database.rows(
                "SELECT event, case_number, tries, first_at, problem FROM outbox_message "
                "WHERE endpoint = ? AND state = ? ORDER BY event",
                (self._endpoint, DEAD),
            )
        return [
            DeadLetter(event, case, tries, moment(since), problem)
            for event, case, tries, since, problem in found
        ]

    def counts(self) -> tuple[int, int]:
        """Return how many messages wait, and how many were sent."""
        with self._queue.transaction(read_only=True) as tx:
            ((count,),) = tx.database.rows(
                "SELECT count(*) FROM outbox_message WHERE endpoint = ? AND state = ?",
                (self._endpoint, WAITING),
            )
            sent = tx.database.rows(
                "SELECT sent FROM outbox_endpoint WHERE name = ?", (self._endpoint,)
            )
        return count, sent[0][0] if sent else 0

    def not_final(self) -> NotFinal:
        """Return how much is not listed yet since it, or what comes before it, may be undone."""
        with self._queue.transaction(read_only=True) as tx:
            (found,) = tx.database.rows(
                "SELECT count(*), max(final_at) FROM event LEFT JOIN decision "
                f"ON decision.number = event.number WHERE {HAS_MESSAGE} AND undone_at IS NULL "
                "AND event.number > (SELECT listed FROM outbox_endpoint WHERE name = ?)",
                (self._endpoint,),
            )
        return NotFinal.of(*found)

    def _head(self, tx: Transaction, event: int, case: int) -> Head:
        """Return the event by which the message of another was listed.

        What an earlier version listed has none; the event itself is a head as well.
        """
        about = msgspec.json.encode({"endpoint": self._endpoint, "event": event}, order="sorted")
        found = tx.database.rows(
            "SELECT number, digest FROM event WHERE number = ? OR "
            "(case_number = ? AND number > ? AND kind = ? AND body = ?) ORDER BY number DESC",
            (event, case, event, QUEUED, about.decode()),
        )
        return Head(*found[0])

    def _update(self, tx: Transaction, event: int, **columns: object) -> None:
        changes = ", ".join(f"{name} = ?" for name in columns)
        tx.database.run(
            f"UPDATE outbox_message SET {changes} WHERE endpoint = ? AND event = ?",
            (*columns.values(), self._endpoint, event),
        )
