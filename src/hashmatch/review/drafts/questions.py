"""What a person has to say for a draft: questions, answers with definitions, and what was said.

Nothing of it is ever filled in. A choice is an event of the history, with who made it; the latest
one counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hashmatch.review import history

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from hashmatch.review.database import Transaction
    from hashmatch.review.drafts.seen import ReportedFile


@dataclass(frozen=True, slots=True)
class Option:
    """One answer to a question: the word for it, and what it means."""

    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question that only a person may answer.

    Parameters
    ----------
    name : str
        Its name in commands, as ``classification``.
    text : str
        What is asked.
    options : tuple of Option
        The answers there are.
    about : {"report", "file"}
        Whether it is asked once, or of each file.
    many : bool
        Whether several answers may be given together, or none, which is an answer too.
    page : str
        URL of the public page that explains it.
    """

    name: str
    text: str
    options: tuple[Option, ...]
    about: Literal["report", "file"]
    many: bool = False
    page: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody answered: `record` is one of the file's, and empty if it is of the report."""

    event: int
    at: datetime
    who: str
    question: str
    record: str
    values: tuple[str, ...]


def choices(tx: Transaction, case: int, destination: str) -> tuple[Choice, ...]:
    """Return what was chosen for a draft, the latest choice of each, oldest first."""
    found: dict[tuple[str, str], Choice] = {}
    for event in history.indexed(tx, frozenset({"draft_chosen"}), case):
        body = event.body
        if body["destination"] == destination:
            key = body["question"], body["record"]
            found.pop(key, None)
            found[key] = Choice(event.number, event.at, event.who, *key, tuple(body["values"]))
    return tuple(found.values())


def of_file(chosen: Iterable[Choice], file: ReportedFile | None) -> Mapping[str, Choice]:
    """Return the latest choice of each question about a file, or about the report."""
    records = {""} if file is None else {item.record.record_id for item in file.items}
    return {choice.question: choice for choice in chosen if choice.record in records}
