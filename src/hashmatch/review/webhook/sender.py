"""The webhook: tells an endpoint what people decided, at least once each, signed.

Nothing is told before it is final: what may still be undone waits, and what was undone is never
told. Of what follows, each message is tried until the endpoint answers 2xx, with pauses chosen at
random below a bound that doubles; what it refuses for too often or too long is kept as a dead
letter. All tries of a message bear the same ``Idempotency-Key``, by which a receiver knows what it
was told already. Neither messages nor answers are logged.

What there is to tell of an event in the history of a queue, as things stand now.
"""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hashmatch._redact import unseen
from hashmatch.retry import Limits
from hashmatch.review import history
from hashmatch.review.results import Event
from hashmatch.review.text import SECOND, micros, moment, utc
from hashmatch.review.webhook.client import Unreachable
from hashmatch.review.webhook.messages import (
    TOLD,
    AskedAgainMessage,
    ConfirmedMessage,
    DecidedMessage,
    message_key,
)
from hashmatch.review.webhook.outbox import Deliveries
from hashmatch.review.webhook.signing import signed_headers

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hashmatch.review.queue import ReviewQueue
    from hashmatch.review.webhook.client import Endpoint
    from hashmatch.review.webhook.messages import Message
    from hashmatch.review.webhook.signing import Secrets


class NotYet(NamedTuple):
    """Instead of a message: until then, what there is to tell may be undone."""

    until: datetime


def message_of(queue: ReviewQueue, number: int) -> Message | NotYet | None:
    """Return the message of an event; None if there is nothing to tell, or nothing any more.

    Of a decision it is the state that the case has by it. A first of two confirmations gives it
    none; and one that was asked about again since has lost it.

    Parameters
    ----------
    queue : ReviewQueue
        Whose history it is.
    number : int
        Of an event ``decided`` or ``asked_again``.
    """
    with queue._database.reading():
        event = event_of(queue, number)
        if event.kind == "asked_again":
            return AskedAgainMessage(event)
        final_at = event.at + queue.settings.undo  # which may have been another a moment ago
        if final_at > queue._now():
            return NotYet(final_at)
        case = queue.case(event.case_id or "")
        standing = [
            decision
            for decision in case.decisions
            if decision.undone_at is None and decision.round == case.round
        ]
        if not standing or standing[-1].decision_id != f"{case.case_id}-{number}":
            return None
        if case.state in TOLD:
            return DecidedMessage(case, event)
        confirmed = next(queue.confirmed(number - 1), None)
        if confirmed is None or confirmed.event != number:
            return None
        return ConfirmedMessage(confirmed, event)


def event_of(queue: ReviewQueue, number: int) -> Event:
    """Return one event of the history."""
    rows = queue._database.rows(
        f"SELECT {history.COLUMNS} FROM event WHERE number IN (?, ?) ORDER BY number",
        (number - 1, number),
    )
    previous = rows[0][-1] if len(rows) > 1 else history.FIRST
    _, at, who, kind, case, text, digest = rows[-1]
    case_id = None if case is None else f"{queue.name}-{case}"
    body = msgspec.json.decode(text)
    return Event(number, moment(at), who, kind, case_id, body, previous, digest)


TRIES = 16
LIMITS = Limits(deadline=3 * 86_400.0, first_delay=5.0, longest_delay=6 * 3600.0)
"""Sixteen tries take most of a day, on average."""
IN_A_ROW = 3
"""Failures in a row after which the others are not tried now: the endpoint may be down."""


class Pushed(NamedTuple):
    """What one round came to: messages that were sent, failed, were given up; and still wait."""

    sent: int = 0
    failed: int = 0
    dead: int = 0
    waiting: int = 0
    problem: str = ""


class Webhook:
    """Sends what happens in a queue to one endpoint.

    Parameters
    ----------
    queue : ReviewQueue
        Whose history is told.
    endpoint : Endpoint
        Who is told.
    keys : Secrets
        What messages are signed with.
    name : str, optional
        What the queue calls the endpoint: a new URL of the same name goes on where the old one was.
    tries : int
        How often a message is tried.
    limits : Limits
        How long the pauses are, and how long after its first try a message is given up, whatever
        the number of tries.
    from_now : bool
        An endpoint that is not known yet is not told what happened before.
    now : callable
        The clock, for tests.
    seed : int, optional
        Of the pauses, for tests.
    """

    def __init__(
        self,
        queue: ReviewQueue,
        endpoint: Endpoint,
        keys: Secrets,
        *,
        name: str | None = None,
        tries: int = TRIES,
        limits: Limits = LIMITS,
        from_now: bool = False,
        now: Callable[[], datetime] = utc,
        seed: int | None = None,
    ) -> None:
        self._queue = queue
        self._endpoint = endpoint
        self._keys = keys
        self._tries = tries
        self._limits = limits
        self._now = now
        self._random = random.Random(seed)  # noqa: S311  (nobody gains by guessing a pause)
        self.deliveries = Deliveries(queue._database, endpoint.name if name is None else name)
        self.deliveries.begin(from_now=from_now)

    @unseen
    def push(self) -> Pushed:
        """Try every message that is due, once; until the endpoint fails some times in a row."""
        now = self._now()
        self.deliveries.list_new(micros(now - self._queue.settings.undo), micros(now))
        sent = failed = dead = in_a_row = 0
        problem = ""
        while in_a_row < IN_A_ROW:
            now = self._now()
            # While it is tried, no other process tries it; afterwards, if this one is killed.
            until = now + timedelta(seconds=2 * self._endpoint.timeout + 1)
            claim = self.deliveries.claim(micros(now), micros(until))
            if claim is None:
                break
            message = message_of(self._queue, claim.event)
            if message is None:
                self.deliveries.done(claim.event, sent=False)
                continue
            if isinstance(message, NotYet):
                self.deliveries.put_off(claim, micros(message.until))
                continue
            problem_now = self._send(message)
            if not problem_now:
                self.deliveries.done(claim.event, sent=True)
                sent, in_a_row = sent + 1, 0
                continue
            now = self._now()
            late = micros(now) - claim.first_at > self._limits.deadline * SECOND
            is_dead = claim.tries >= self._tries or late
            pause = timedelta(seconds=self._limits.delay(claim.tries - 1, self._random))
            self.deliveries.failed(claim.event, problem_now, micros(now + pause), dead=is_dead)
            failed, dead, in_a_row = failed + 1, dead + is_dead, in_a_row + 1
            problem = problem_now
        return Pushed(sent, failed, dead, self.deliveries.waiting()[0], problem)

    def _send(self, message: Message) -> str:
        """Return what went wrong; empty if nothing did."""
        body, key = message.body(), message_key(message.event)
        signed = signed_headers(self._keys, key, int(self._now().timestamp()), body)
        try:
            status = self._endpoint.post(body, {"Idempotency-Key": key, **signed})
        except Unreachable as error:
            return str(error)
        return "" if 200 <= status < 300 else f"{self._endpoint.name}: answered {status}"
