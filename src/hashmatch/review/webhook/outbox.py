"""What an endpoint was told of a queue's history, and what it is still to be told.

It is kept in the queue: how far the history was gone through, and the messages that are not
delivered yet. No content is kept of these: each is made anew when it is tried, so that nothing
outlives what the queue keeps. A message is marked as delivered after it was, so that one whose
sender was killed in between is sent again, under the same name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hashmatch.review.text import check_text, moment

if TYPE_CHECKING:
    from datetime import datetime

    from hashmatch.review.database import Database

PAGE = 1000
WAITING, DEAD = "waiting", "dead"
TOLD = "kind IN ('decided', 'asked_again')"
"""Events that there may be a message of."""


class Claim(NamedTuple):
    """A message that is to be tried now: for the first time if `tries` is 1."""

    event: int
    tries: int
    first_at: int


class DeadLetter(NamedTuple):
    """A message that was given up: tried so often since a time, and what was wrong in the end."""

    event: int
    case_number: int
    tries: int
    since: datetime
    problem: str


class Deliveries:
    """Those of one endpoint. Several processes may send to it; each message is tried by one.

    Parameters
    ----------
    database : Database
        Of the queue.
    endpoint : str
        What the endpoint is called there.
    """

    def __init__(self, database: Database, endpoint: str) -> None:
        check_text("an endpoint's name", endpoint)
        self._database = database
        self._endpoint = endpoint

    def begin(self, *, from_now: bool) -> None:
        """Note an endpoint that is not known yet.

        Parameters
        ----------
        from_now : bool
            It is not told what happened before.
        """
        with self._database.writing():
            if not self._database.rows(
                "SELECT 1 FROM push_endpoint WHERE name = ?", (self._endpoint,)
            ):
                ((last,),) = self._database.rows("SELECT max(number) FROM event")
                told = (last or 0) if from_now else 0
                self._database.insert("push_endpoint", [(self._endpoint, told, 0)])

    def list_new(self, settled: int, now: int) -> int:
        """Note what has happened since, as messages that wait; return how many.

        Parameters
        ----------
        settled : int
            What happened later may still be undone, and has to wait, with all that follows it.
        now : int
            They wait from now on.
        """
        found = 0
        while True:
            with self._database.writing():
                ((told,),) = self._database.rows(
                    "SELECT told FROM push_endpoint WHERE name = ?", (self._endpoint,)
                )
                page = self._database.rows(
                    "SELECT number, happened_at, case_number, "
                    f"CASE WHEN {TOLD} THEN 1 ELSE 0 END FROM event "
                    "WHERE number > ? ORDER BY number LIMIT ?",
                    (told, PAGE),
                )
                over = next((i for i, row in enumerate(page) if row[1] > settled), len(page))
                new = [(row[0], row[2]) for row in page[:over] if row[3]]
                if over:
                    self._database.run(
                        "UPDATE push_endpoint SET told = ? WHERE name = ?",
                        (page[over - 1][0], self._endpoint),
                    )
                self._database.insert(
                    "push_message",
                    [(self._endpoint, *each, WAITING, 0, None, now, "") for each in new],
                )
            found += len(new)
            if over < PAGE:
                return found

    def claim(self, now: int, until: int) -> Claim | None:
        """Return the next message that is due; nobody else tries it `until` then.

        Of one case, a later message waits until the earlier one is delivered or given up.
        """
        with self._database.writing():
            due = self._database.rows(
                "SELECT event, tries, first_at FROM push_message AS message "
                "WHERE endpoint = ? AND state = ? AND next_at <= ? AND NOT EXISTS ("
                "SELECT 1 FROM push_message AS earlier WHERE earlier.endpoint = message.endpoint "
                "AND earlier.case_number = message.case_number AND earlier.event < message.event "
                "AND earlier.state = message.state) ORDER BY event LIMIT 1",
                (self._endpoint, WAITING, now),
            )
            if not due:
                return None
            ((event, tries, first_at),) = due
            claimed = Claim(event, tries + 1, now if first_at is None else first_at)
            self._database.run(
                "UPDATE push_message SET tries = ?, first_at = ?, next_at = ? "
                "WHERE endpoint = ? AND event = ?",
                (claimed.tries, claimed.first_at, until, self._endpoint, event),
            )
            return claimed

    def done(self, event: int, *, sent: bool) -> None:
        """Note that a message was delivered, or that there is nothing to tell any more."""
        with self._database.writing():
            if not self._database.rows(
                "SELECT 1 FROM push_message WHERE endpoint = ? AND event = ?",
                (self._endpoint, event),
            ):
                return  # another process was slower, and told it too
            self._database.run(
                "DELETE FROM push_message WHERE endpoint = ? AND event = ?",
                (self._endpoint, event),
            )
            self._database.run(
                "UPDATE push_endpoint SET sent = sent + ? WHERE name = ?",
                (int(sent), self._endpoint),
            )

    def put_off(self, claim: Claim, next_at: int) -> None:
        """Note that a message was not tried, and is to be later."""
        with self._database.writing():
            self._database.run(
                "UPDATE push_message SET tries = ?, first_at = ?, next_at = ? "
                "WHERE endpoint = ? AND event = ?",
                (
                    claim.tries - 1,
                    None if claim.tries == 1 else claim.first_at,
                    next_at,
                    self._endpoint,
                    claim.event,
                ),
            )

    def failed(self, event: int, problem: str, next_at: int, *, dead: bool) -> None:
        """Note that a try failed, and when there is to be another, or that it is given up."""
        with self._database.writing():
            self._database.run(
                "UPDATE push_message SET state = ?, problem = ?, next_at = ? "
                "WHERE endpoint = ? AND event = ?",
                (DEAD if dead else WAITING, problem, next_at, self._endpoint, event),
            )

    def again(self, now: int) -> int:
        """Let the messages that were given up wait again; return how many."""
        with self._database.writing():
            count = len(self.dead())
            self._database.run(
                "UPDATE push_message SET state = ?, tries = 0, first_at = NULL, next_at = ? "
                "WHERE endpoint = ? AND state = ?",
                (WAITING, now, self._endpoint, DEAD),
            )
            return count

    def dead(self) -> list[DeadLetter]:
        """Return what was given up, in the order of the history."""
        found = self._database.rows(
            "SELECT event, case_number, tries, first_at, problem FROM push_message "
            "WHERE endpoint = ? AND state = ? ORDER BY event",
            (self._endpoint, DEAD),
        )
        return [
            DeadLetter(event, case, tries, moment(since), problem)
            for event, case, tries, since, problem in found
        ]

    def waiting(self) -> tuple[int, int]:
        """Return how many messages wait, and how many were sent."""
        ((count,),) = self._database.rows(
            "SELECT count(*) FROM push_message WHERE endpoint = ? AND state = ?",
            (self._endpoint, WAITING),
        )
        sent = self._database.rows(
            "SELECT sent FROM push_endpoint WHERE name = ?", (self._endpoint,)
        )
        return count, sent[0][0] if sent else 0
