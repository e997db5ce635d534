"""A draft: made of a confirmed case, written to a folder, and signed off by two people.

The folder is its owner's alone (0700, files 0600). Its ``manifest.json`` has the SHA-256 of every
other file, the files of the case by reference, what was seen of them, and what people chose; a
random number is in it, so that its own digest, which goes into the history, tells nothing of what
is in the folder. Who signs it off signs that digest. Nothing is submitted, here or elsewhere in
hashmatch.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from hashmatch._files import atomic, private
from hashmatch._redact import unseen
from hashmatch.errors import ReviewError, SinkError, UsageError
from hashmatch.records.cases import ConfirmedCase
from hashmatch.records.times import timestamp
from hashmatch.records.typed import from_json
from hashmatch.review import history
from hashmatch.review.cases import find_row
from hashmatch.review.drafts import summary
from hashmatch.review.drafts.destinations import DraftFacts, load_destination
from hashmatch.review.drafts.questions import choices
from hashmatch.review.drafts.seen import reported_files
from hashmatch.review.text import check_person, is_same_person, moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.review.drafts.account import AccountFile
    from hashmatch.review.drafts.destinations import Rendered
    from hashmatch.review.drafts.questions import Choice
    from hashmatch.review.drafts.seen import ReportedFile
    from hashmatch.review.queue import ReviewQueue

SCHEMA: Final = "hashmatch.draft/1"
MANIFEST, SUMMARY, SIGNED = "manifest.json", "summary.html", "signed-off.json"
LARGEST = 64 * 2**20
"""Bytes of a file of a draft."""
SIGNERS = 2
"""People who have to sign a draft off."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft for a destination, as it was made; `write_draft` writes it.

    Parameters
    ----------
    destination : str
        Name of the plug-in.
    facts : DraftFacts
        What it was made of.
    rendered : Rendered
        The documents, what is missing, and what people read.
    """

    destination: str
    facts: DraftFacts
    rendered: Rendered

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing but what the person who files it supplies there."""
        return all(gap.note for gap in self.rendered.gaps)


class Manifest(msgspec.Struct, frozen=True):
    """What ``manifest.json`` says; `facts` is what the queue has to say again when it is signed."""

    schema: Literal["hashmatch.draft/1"]
    case_id: str
    destination: str
    written_at: str
    written_by: str
    complete: bool
    gaps: tuple[dict[str, Any], ...]
    head: str
    facts: dict[str, Any]
    files: dict[str, str]
    nonce: str


@dataclass(frozen=True, slots=True)
class DraftStatus:
    """How far a draft in a folder is.

    Parameters
    ----------
    manifest : Manifest
        As it is in the folder, where every file is what it says.
    digest : str
        SHA-256 of the manifest, in hexadecimal.
    signed_by : tuple of str
        Who signed this very draft off.
    outdated : bool
        Whether the queue says something else by now: it has to be written anew.
    event : int
        The event of the history that says that it was written.
    """

    manifest: Manifest
    digest: str
    signed_by: tuple[str, ...]
    outdated: bool
    event: int

    @property
    def is_signed_off(self) -> bool:
        """Whether enough people signed it off, and it is not outdated."""
        return len(self.signed_by) >= SIGNERS and not self.outdated


def choose(
    queue: ReviewQueue,
    case_id: str,
    destination: str,
    question: str,
    values: Sequence[str],
    who: str,
    *,
    record: str = "",
) -> None:
    """Answer a question for a draft, instead of what was answered before.

    Parameters
    ----------
    queue : ReviewQueue
        With the case, which is confirmed.
    case_id : str
        Id of the case, or its number.
    destination : str
        Name of the destination, as ``ncmec``.
    question : str
        `Question.name`.
    values : sequence of str
        Of `Option.value`; none if none of them applies, where several may.
    who : str
        Name of the person who says so.
    record : str
        Id of a record of the file that the answer is about; empty for one about the report.

    Raises
    ------
    ReviewError
        If there is no such case or record, or it is not confirmed.
    UsageError
        If there is no such question or answer.
    """
    check_person(who)
    asked = {one.name: one for one in load_destination(destination).questions}.get(question)
    if asked is None:
        raise UsageError(
            f"cannot choose {question!r}: a draft for {destination} asks no such question. It asks "
            f"{', '.join(one.name for one in load_destination(destination).questions)}"
        )
    values = tuple(dict.fromkeys(values))
    known = {option.value for option in asked.options}
    for value in values:
        if value not in known:
            raise UsageError(
                f"cannot choose {value!r} as {question}. Give one of "
                f"{'; '.join(option.value for option in asked.options)}"
            )
    if not asked.many and len(values) != 1:
        raise UsageError(f"cannot choose {len(values)} values as {question}: give one")
    if (asked.about == "file") != bool(record):
        about = "one file. Name a record of it" if asked.about == "file" else "the whole report"
        raise UsageError(f"cannot choose {question} like this: it is about {about}")
    with queue.transaction() as tx:
        row = find_row(tx, case_id)
        case = tx.case_id(row.number)
        if row.state != "confirmed":
            raise ReviewError(
                f"cannot choose {question} for {case}: it is {row.state}, and a draft is made of "
                "confirmed cases only"
            )
        if record and not tx.database.rows(
            "SELECT 1 FROM item WHERE record_id = ? AND case_number = ? AND line IS NOT NULL",
            (record, row.number),
        ):
            raise ReviewError(
                f"cannot choose {question} for that record of {case}: it has none such"
            )
        history.append(
            tx,
            who,
            "draft_chosen",
            row.number,
            destination=destination,
            question=question,
            record=record,
            values=list(values),
        )


@unseen
def make_draft(
    queue: ReviewQueue,
    case: ConfirmedCase,
    destination: str,
    account: AccountFile,
    *,
    list_entries: bool = False,
) -> Draft:
    """Make a draft of a confirmed case; nothing is written.

    Parameters
    ----------
    queue : ReviewQueue
        With the history of the case.
    case : ConfirmedCase
        As `ReviewQueue.confirmed` or `confirmed_case` give it, and nothing else.
    destination : str
        Name of a plug-in of the group ``hashmatch.drafts``: ``ncmec``, ``nca``.
    account : AccountFile
        What the platform knows.
    list_entries : bool
        Whether the ids of entries of the list may be named.

    Returns
    -------
    Draft
        With what is missing, if something is.

    Raises
    ------
    UsageError
        If `case` is anything but a confirmed case.
    """
    if type(case) is not ConfirmedCase:
        raise UsageError("cannot draft a report of what people have not confirmed")
    case.__post_init__()  # however it was made
    made = load_destination(destination)
    facts = _facts(queue, case, destination, account, list_entries=list_entries)
    return Draft(destination, facts, made.render(facts))


def files_and_choices(
    queue: ReviewQueue, case_id: str, destination: str
) -> tuple[tuple[ReportedFile, ...], tuple[Choice, ...]]:
    """Return the files of a confirmed case, with what was seen of each, and what was chosen.

    Parameters
    ----------
    queue : ReviewQueue
        With the case.
    case_id : str
        Id of the case, or its number.
    destination : str
        Name of the destination that it was chosen for.

    Returns
    -------
    files, choices : tuple of ReportedFile, tuple of Choice
        As a draft has them.

    Raises
    ------
    ReviewError
        As of `confirmed_case`.
    """
    return _of_queue(queue, confirmed_case(queue, case_id), destination)


def confirmed_case(queue: ReviewQueue, case_id: str) -> ConfirmedCase:
    """Return a case that people confirmed finally, by its id.

    Parameters
    ----------
    queue : ReviewQueue
        With the case.
    case_id : str
        Id of the case, or its number.

    Returns
    -------
    ConfirmedCase
        What may be acted on. Its decisions cannot be undone any more.

    Raises
    ------
    ReviewError
        If nobody confirmed it, or that can still be undone.
    """
    with queue.transaction() as tx:
        row = find_row(tx, case_id)
        case = tx.case_id(row.number)
        found = None
        if row.state == "confirmed" and row.decided_event is not None:
            found = queue.confirmed_by(row.decided_event)
    if found is not None and found.case_id == case:
        return found
    if row.state == "confirmed" and row.items:
        until = timestamp(moment(row.final_at or 0))
        raise ReviewError(
            f"cannot draft a report of {case}: its decision can be undone until {until}. "
            "Try it after that."
        )
    problem = f"it is {row.state}" if row.items else "all its records have expired"
    raise ReviewError(
        f"cannot draft a report of {case}: {problem}, and a draft is made of confirmed cases only"
    )


@unseen
def write_draft(
    queue: ReviewQueue, draft: Draft, folder: str | os.PathLike[str], who: str
) -> DraftStatus:
    """Write a draft to a folder of its own, and record that in the history.

    Documents are written only if nothing is missing; the summary and the manifest always are.

    Parameters
    ----------
    queue : ReviewQueue
        Of the case.
    draft : Draft
        As `make_draft` returned it.
    folder : path
        A new folder, or that of an earlier draft of the case, which is replaced.
    who : str
        Name of the person who writes it.

    Returns
    -------
    DraftStatus
        Signed off by nobody yet.

    Raises
    ------
    StoreError
        If the folder cannot be made, or others may enter it.
    ReviewError
        If something else is in it.
    SinkError
        If it cannot be written.
    """
    check_person(who)
    facts, path = draft.facts, os.fspath(folder)
    case_id = facts.case.case_id
    atomic.make_folder(path)
    text = summary.html(load_destination(draft.destination), draft.rendered, facts)
    files = {SUMMARY: text, **(draft.rendered.documents if draft.is_complete else {})}
    manifest = Manifest(
        schema=SCHEMA,
        case_id=case_id,
        destination=draft.destination,
        written_at=timestamp(facts.at),
        written_by=who,
        complete=draft.is_complete,
        gaps=tuple(gap._asdict() for gap in draft.rendered.gaps),
        head=str(facts.head),
        facts=_said(facts.case, facts.files, facts.choices),
        files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        nonce=secrets.token_hex(16),
    )
    data = msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=2)
    files[MANIFEST] = data + b"\n"  # the last: without it there is no draft
    digest = hashlib.sha256(files[MANIFEST]).hexdigest()
    with queue.transaction() as tx:  # nobody else writes or signs at the same time
        _clear(path, case_id)
        for name, content in files.items():
            atomic.write(os.path.join(path, name), content, error=SinkError)
        event = history.append(
            tx,
            who,
            "draft_written",
            find_row(tx, case_id).number,
            destination=draft.destination,
            digest=digest,
            complete=draft.is_complete,
        )
    return DraftStatus(manifest, digest, (), outdated=False, event=event)


def read_manifest(folder: str | os.PathLike[str]) -> Manifest:
    """Return what the manifest of a draft says, unchecked; `draft_status` checks it.

    Parameters
    ----------
    folder : path
        Of the draft.

    Raises
    ------
    StoreError
        If others can read it.
    ReviewError
        If it is not there, or is none.
    """
    return _read(os.fspath(folder))[0]


@unseen
def draft_status(queue: ReviewQueue, folder: str | os.PathLike[str]) -> DraftStatus:
    """Check the files of a draft, and return who signed it off.

    Parameters
    ----------
    queue : ReviewQueue
        Of the case.
    folder : path
        Of the draft.

    Returns
    -------
    DraftStatus
        How far it is.

    Raises
    ------
    StoreError
        If others can read a file.
    ReviewError
        If a file is not there, or is not what the manifest says, or the draft is of another queue.
    """
    path = os.fspath(folder)
    manifest, digest = _read(path)
    for name, expected in manifest.files.items():
        found = _content(path, name)
        if hashlib.sha256(found).hexdigest() != expected:
            raise ReviewError(
                f"cannot use the draft in {path}: {name} was changed. Write the draft anew."
            )
    with queue.transaction(read_only=True) as tx:
        number = find_row(tx, manifest.case_id).number
        events = list(history.indexed(tx, history.DRAFTS, number))
    written = [e for e in events if e.kind == "draft_written" and e.body["digest"] == digest]
    if not written:
        raise ReviewError(
            f"cannot use the draft in {path}: the history does not say that it was written. Write "
            "it anew."
        )
    signers = [e.who for e in events if e.kind == "draft_signed" and e.body["digest"] == digest]
    outdated, event = _is_outdated(queue, manifest), written[0].number
    return DraftStatus(manifest, digest, tuple(signers), outdated, event)


@unseen
def sign_draft(queue: ReviewQueue, folder: str | os.PathLike[str], who: str) -> DraftStatus:
    """Sign a draft off: somebody has read it, and it may be filed as it is.

    When the second person signs it, ``signed-off.json`` in the folder says so, with the events.

    Parameters
    ----------
    queue : ReviewQueue
        Of the case.
    folder : path
        Of the draft.
    who : str
        Name of the person who signs; each signs once.

    Returns
    -------
    DraftStatus
        With this signature.

    Raises
    ------
    ReviewError
        If it is incomplete or outdated, `who` has signed it, or as of `draft_status`.
    """
    check_person(who)
    path = os.fspath(folder)
    with queue.transaction() as tx:  # two signatures of one person at once are one and a refusal
        status = draft_status(queue, path)
        case_id = status.manifest.case_id
        if not status.manifest.complete:
            problem = "it is incomplete. Choose what is missing, and write it anew."
        elif status.outdated:
            problem = "the queue says something else by now. Write it anew."
        elif any(is_same_person(who, name) for name in status.signed_by):
            problem = f"{who} has signed it off already. Ask somebody else."
        else:
            problem = ""
        if problem:
            raise ReviewError(f"cannot sign off the draft of {case_id}: {problem}")
        history.append(
            tx,
            who,
            "draft_signed",
            find_row(tx, case_id).number,
            destination=status.manifest.destination,
            digest=status.digest,
        )
    status = draft_status(queue, path)
    if status.is_signed_off:
        signed = {
            "case_id": case_id,
            "manifest_sha256": status.digest,
            "signed_by": status.signed_by,
            "head": str(queue.head()),
        }
        data = msgspec.json.format(msgspec.json.encode(signed), indent=2) + b"\n"
        atomic.write(os.path.join(path, SIGNED), data, error=SinkError)
    return status


def _facts(
    queue: ReviewQueue,
    case: ConfirmedCase,
    destination: str,
    account: AccountFile,
    *,
    list_entries: bool,
) -> DraftFacts:
    with queue.transaction(read_only=True) as tx:
        files, chosen = _of_queue(queue, case, destination)
        head, at = queue.head(), moment(tx.now)
    return DraftFacts(case, files, chosen, account, head, at, list_entries)


def _of_queue(
    queue: ReviewQueue, case: ConfirmedCase, destination: str
) -> tuple[tuple[ReportedFile, ...], tuple[Choice, ...]]:
    """Return the files of a case as the history says what was seen of them, and the choices."""
    with queue.transaction(read_only=True) as tx:
        number = find_row(tx, case.case_id).number
        files = reported_files(case, history.events(tx.database, tx.queue_name, number))
        return files, choices(tx, number, destination)


def _said(
    case: ConfirmedCase, files: Sequence[ReportedFile], chosen: Sequence[Choice]
) -> dict[str, Any]:
    """Return what a draft says that comes from the queue."""
    said = msgspec.json.encode(
        {
            "files": [
                {
                    "file": file.number,
                    "source": file.source,
                    "location": file.items[0].origin.location,
                    "key": file.key,
                    "version": file.version,
                    "records": [item.record.record_id for item in file.items],
                    "viewed": file.viewed,
                    "exif_viewed": file.exif_viewed,
                    "views": [view._asdict() for view in file.views],
                }
                for file in files
            ],
            "choices": [
                {"event": one.event, "who": one.who, "question": one.question,
                 "record": one.record, "values": one.values}
                for one in chosen
            ],
            "decisions": [
                {"decision": one.decision_id, "reviewer": one.reviewer, "verdict": one.verdict}
                for one in case.decisions
            ],
            "inherited": sum(item.inherited for item in case.case.items),
        }
    )  # fmt: skip
    found: dict[str, Any] = msgspec.json.decode(said)  # as it will be read again
    return found


def _is_outdated(queue: ReviewQueue, manifest: Manifest) -> bool:
    """Return whether the queue would have a draft say something else by now.

    A view that changes no flag makes nothing outdated: the second person may ask for the picture.
    """
    try:
        case = confirmed_case(queue, manifest.case_id)
    except ReviewError:
        return True
    files, chosen = _of_queue(queue, case, manifest.destination)
    now, then = _said(case, files, chosen), manifest.facts
    return bool(_without_views(now) != _without_views(then))


def _without_views(said: dict[str, Any]) -> Any:
    files = [{**file, "views": None} for file in said["files"]]
    return {**said, "files": files}


def _clear(path: str, case_id: str) -> None:
    """Remove an earlier draft of a case from its folder; nothing else may be in it."""
    names = set(os.listdir(path))
    if not names:
        return
    problem = f"cannot write a draft to {path}: something else is in it. Give a new folder."
    if MANIFEST not in names:
        raise ReviewError(problem)
    manifest, _ = _read(path)
    if manifest.case_id != case_id or not names <= {MANIFEST, SIGNED, *manifest.files}:
        raise ReviewError(problem)
    for name in names - {MANIFEST}:
        os.unlink(_inside(path, name))
    os.unlink(os.path.join(path, MANIFEST))


def _read(path: str) -> tuple[Manifest, str]:
    data = _content(path, MANIFEST)
    try:
        manifest = from_json(data, Manifest)
    except msgspec.MsgspecError:
        manifest = None
    if manifest is None:
        raise ReviewError(
            f"cannot use the draft in {path}: {MANIFEST} is none of ours. Write the draft anew."
        )
    return manifest, hashlib.sha256(data).hexdigest()


def _content(path: str, name: str) -> bytes:
    file = _inside(path, name)
    if not os.path.lexists(file):
        raise ReviewError(
            f"cannot use the draft in {path}: it has no {name}. Give the folder of a draft, or "
            "write it anew."
        )
    return private.read(file, LARGEST)


def _inside(path: str, name: str) -> str:
    if os.path.basename(name) != name or name in {"", ".", ".."}:
        raise ReviewError(f"cannot use the draft in {path}: its manifest names what is elsewhere")
    return os.path.join(path, name)
