"""What there is to tell of an event in the history of a queue, as things stand now."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hashmatch.review import history
from hashmatch.review.answers import Event
from hashmatch.review.handing.messages import (
    TOLD,
    AskedAgainMessage,
    ConfirmedMessage,
    DecidedMessage,
)
from hashmatch.review.times import moment

if TYPE_CHECKING:
    from datetime import datetime

    from hashmatch.review.handing.messages import Message
    from hashmatch.review.queue import ReviewQueue


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
