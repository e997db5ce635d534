"""Destinations of drafts: what each asks of a person, and the documents that it makes of a case.

They are plug-ins of the group ``hashmatch.drafts``, found by name. A destination computes; it opens
no file and no connection, and files nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast, runtime_checkable

from hashmatch import registry
from hashmatch.review.drafts.questions import of_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from hashmatch.records.cases import ConfirmedCase
    from hashmatch.review.drafts.account import AccountFile
    from hashmatch.review.drafts.questions import Choice, Question
    from hashmatch.review.drafts.seen import ReportedFile
    from hashmatch.review.history import Head


@dataclass(frozen=True, slots=True)
class DraftFacts:
    """All that a draft is made of.

    Parameters
    ----------
    case : ConfirmedCase
        The case, confirmed by people and final.
    files : tuple of ReportedFile
        Its files, with what was seen of each.
    choices : tuple of Choice
        What people chose for this destination.
    account : AccountFile
        What the platform knows.
    head : Head
        Of the history, when the facts were read.
    at : datetime
        When that was, UTC.
    list_entries : bool
        Whether the ids of entries of the list may be named.
    """

    case: ConfirmedCase
    files: tuple[ReportedFile, ...]
    choices: tuple[Choice, ...]
    account: AccountFile
    head: Head
    at: datetime
    list_entries: bool = False

    def chosen(self, question: str, file: ReportedFile | None = None) -> tuple[str, ...] | None:
        """Return what was chosen, about the report or a file; None if nobody chose yet.

        Parameters
        ----------
        question : str
            Its name.
        file : ReportedFile, optional
            For a question about a file.
        """
        choice = of_file(self.choices, file).get(question)
        return None if choice is None else choice.values


class Gap(NamedTuple):
    """Something that a draft needs and does not have, or says wrongly: where, and what.

    A `note` is for the person who files it to supply there, and leaves the draft complete.
    """

    field: str
    reason: str
    page: str = ""
    note: bool = False


class Row(NamedTuple):
    """One line of the summary that people read: which field, what it says."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a destination makes of the facts.

    Parameters
    ----------
    documents : mapping of str to bytes
        Files by name; they are written only if nothing is missing.
    gaps : tuple of Gap
        What is missing or wrong, and notes.
    rows : tuple of Row
        What a person reads of it.
    """

    documents: Mapping[str, bytes]
    gaps: tuple[Gap, ...]
    rows: tuple[Row, ...]


@runtime_checkable
class DraftDestination(Protocol):
    """Makes documents of a confirmed case. Entry point group ``hashmatch.drafts``."""

    title: str
    """Whom the draft is for, in a line."""
    questions: tuple[Question, ...]
    """What a person has to choose."""

    def render(self, facts: DraftFacts) -> Rendered:
        """Return the documents of a case, and what is missing; it does nothing else.

        Parameters
        ----------
        facts : DraftFacts
            What they are made of.
        """
        ...


def load_destination(name: str) -> DraftDestination:
    """Return the destination of a name; UnknownPlugin if none of that name is installed."""
    return cast("DraftDestination", registry.load(registry.DRAFTS, name)())


def account_gaps(facts: DraftFacts, page: str) -> tuple[Gap, ...]:
    """Return a gap for each part of the account's file that cannot be right, or is left out."""
    found = []
    at = facts.account.incident.at
    if at.tzinfo is not None and at > facts.at:
        found.append(Gap("account: incident.at", "it is in the future", page))
    keys = {file.key for file in facts.files}
    seen: set[str] = set()
    for number, upload in enumerate(facts.account.uploads, 1):
        if upload.key not in keys:
            reason = "no file of the case has its key, so it is left out"
            found.append(Gap(f"account: uploads[{number}]", reason, page, note=True))
        elif upload.key in seen:
            reason = "another upload has its key; give one of each file"
            found.append(Gap(f"account: uploads[{number}]", reason, page))
        seen.add(upload.key)
    return tuple(found)


def unanswered(questions: tuple[Question, ...], facts: DraftFacts) -> tuple[Gap, ...]:
    """Return a gap for each question that nobody has answered, about the report and each file."""
    found = []
    for question in questions:
        for file in (None,) if question.about == "report" else facts.files:
            if facts.chosen(question.name, file) is None:
                where = "report" if file is None else f"file {file.number}"
                reason = f"a person has to choose: {question.text}"
                found.append(Gap(f"{where}: {question.name}", reason, question.page))
    return tuple(found)
