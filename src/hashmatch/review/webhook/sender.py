"""Sends messages to an endpoint, at least once each, signed.

Nothing is sent before it is final: what may still be undone waits, and what was undone is never
sent. Each message is tried until the endpoint answers 2xx, with pauses chosen at random below a
bound that doubles; what it refuses for too often or too long is kept as a dead letter. All tries of
a message bear the same ``Idempotency-Key``, by which a receiver knows what it has received already.
Neither messages nor answers are logged.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from hashmatch._redact import unseen
from hashmatch.retry import Limits
from hashmatch.review.text import SECOND
from hashmatch.review.webhook.client import Unreachable
from hashmatch.review.webhook.messages import NotYet, message_id, message_of
from hashmatch.review.webhook.outbox import Outbox
from hashmatch.review.webhook.signing import signed_headers

if TYPE_CHECKING:
    from hashmatch.review.queue import ReviewQueue
    from hashmatch.review.webhook.client import Endpoint
    from hashmatch.review.webhook.messages import Message
    from hashmatch.review.webhook.outbox import Claim
    from hashmatch.review.webhook.signing import Secrets

TRIES = 16
LIMITS = Limits(deadline=3 * 86_400.0, first_delay=5.0, longest_delay=6 * 3600.0)
"""Sixteen tries take most of a day, on average."""
FAILURES_IN_A_ROW = 3
"""Failures after which the other messages are not tried now: the endpoint may be down."""


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
        With the history that is sent, and the outbox.
    endpoint : Endpoint
        Where messages are posted to.
    keys : Secrets
        Secrets to sign messages with.
    name : str, optional
        Name of the endpoint in the queue, by default its host: a new URL of the same name continues
        where the old one was.
    tries : int
        How often a message is tried.
    limits : Limits
        How long the pauses are, and how long after its first try a message is given up, whatever
        the number of tries.
    from_now : bool
        An endpoint that is not known yet does not receive what happened before.
    seed : int, optional
        Of the random pauses, for tests.
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
        seed: int | None = None,
    ) -> None:
        self._queue = queue
        self._endpoint = endpoint
        self._keys = keys
        self._tries = tries
        self._limits = limits
        self._random = random.Random(seed)  # noqa: S311  (nobody gains by guessing a pause)
        self.outbox = Outbox(queue, endpoint.name if name is None else name)
        self.outbox.open(from_now=from_now)

    @unseen
    def push(self) -> Pushed:
        """Try every message that is due, once; until the endpoint fails some times in a row.

        Returns
        -------
        Pushed
            How many were sent, failed and given up, how many wait, and the last problem.
        """
        self.outbox.list_new()
        sent = failed = dead = in_a_row = 0
        last_problem = ""
        # While it is tried, no other process tries it; afterwards, if this one is killed.
        seconds = 2 * self._endpoint.timeout + 1
        while in_a_row < FAILURES_IN_A_ROW and (claim := self.outbox.claim(seconds)) is not None:
            message = message_of(self._queue, claim.event)
            if message is None:
                self.outbox.done(claim, sent=False)
                continue
            if isinstance(message, NotYet):
                self.outbox.put_off(claim, message.until)
                continue
            problem = self._send(message, claim)
            if not problem:
                self.outbox.done(claim, sent=True)
                sent, in_a_row = sent + 1, 0
                continue
            pause = self._limits.delay(claim.tries - 1, self._random)
            deadline = self._limits.deadline
            dead += self.outbox.failed(claim, problem, pause, self._tries, deadline)
            failed, in_a_row, last_problem = failed + 1, in_a_row + 1, problem
        waiting, _ = self.outbox.counts()
        return Pushed(sent, failed, dead, waiting, last_problem)

    def _send(self, message: Message, claim: Claim) -> str:
        """Return what went wrong; empty if nothing did."""
        body, name = message.body(claim.head), message_id(message.event)
        signed = signed_headers(self._keys, name, claim.now // SECOND, body)
        try:
            status = self._endpoint.post(body, {"Idempotency-Key": name, **signed})
        except Unreachable as error:
            return str(error)
        return "" if 200 <= status < 300 else f"{self._endpoint.name}: answered {status}"
