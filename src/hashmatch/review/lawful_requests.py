"""Lawful requests: who asks for what, and the signed bundle that answers exactly that.

A request names its cases. While it is not answered, nothing of them is purged. An answer is a
folder: ``cases.jsonl`` has the cases of the request and no other, as they are, ``events.jsonl`` all
events about them, ``chain.jsonl`` the digest of every event of the history, and ``manifest.json``
the SHA-256 of these, which ``manifest.json.sig`` signs. Who gets it recomputes the digest of
each event from what it says and from the digest before it, finds it in the chain, and compares the
chain with heads that were kept elsewhere; of other cases it says nothing.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from hashmatch._files import atomic, private
from hashmatch.errors import ReviewError, SinkError, UntrustedList, UsageError
from hashmatch.records.controls import escape_json
from hashmatch.records.times import timestamp
from hashmatch.records.typed import from_json
from hashmatch.review import history
from hashmatch.review.cases import find_row
from hashmatch.review.results import case_fields
from hashmatch.review.text import check_person, check_text, micros, moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from hashmatch.review.database import Transaction
    from hashmatch.review.queue import ReviewQueue
    from hashmatch.review.results import Event
    from hashmatch.store.signing import PrivateKey, PublicKey

SCHEMA: Final = "hashmatch.answer/1"
DOMAIN = b"hashmatch answer to a lawful request\n"
"""Stands before what is signed, so that no signature made for anything else is one of an answer."""
MANIFEST, SIGNATURE = "manifest.json", "manifest.json.sig"
LONGEST_REFERENCE = 200
"""Characters of a reference, and of the name of an authority."""
LARGEST = 2**31
"""Bytes of a file of an answer."""


@dataclass(frozen=True, slots=True)
class Answered:
    """How a request was answered: when, by whom, to whom it went, and the manifest's SHA-256."""

    event: int
    at: datetime
    who: str
    to: str
    digest: str


@dataclass(frozen=True, slots=True)
class LawfulRequest:
    """A request of an authority.

    Parameters
    ----------
    reference : str
        By which the authority names it; unique in a queue.
    authority : str
        Who asks.
    received : datetime
        When it came, UTC.
    cases : tuple of str
        The ids of the cases that it is about: its scope.
    due : datetime, optional
        When it has to be answered.
    who : str
        Name of the person who entered it.
    event : int
        The event of the history that says so.
    answers : tuple of Answered
        Oldest first; it may be answered again.
    """

    reference: str
    authority: str
    received: datetime
    cases: tuple[str, ...]
    due: datetime | None
    who: str
    event: int
    answers: tuple[Answered, ...] = ()


class AnswerManifest(msgspec.Struct, frozen=True):
    """What ``manifest.json`` of an answer says."""

    schema: Literal["hashmatch.answer/1"]
    reference: str
    authority: str
    received: str
    answered_at: str
    answered_by: str
    to: str
    queue: str
    head: str
    cases: tuple[str, ...]
    files: dict[str, str]


def add_request(
    queue: ReviewQueue,
    reference: str,
    authority: str,
    received: datetime,
    cases: Sequence[str],
    who: str,
    due: datetime | None = None,
) -> LawfulRequest:
    """Enter a request of an authority.

    Parameters
    ----------
    queue : ReviewQueue
        With the cases.
    reference, authority : str
        By which the authority names it, and who that is.
    received : datetime
        When it came.
    cases : sequence of str
        Ids of the cases that it is about, or their numbers.
    who : str
        Name of the person who enters it.
    due : datetime, optional
        When it has to be answered.

    Returns
    -------
    LawfulRequest
        As it was entered.

    Raises
    ------
    ReviewError
        If there is one of that reference, or no such case.
    UsageError
        If it is about no case, came in the future, or was due before it came.
    """
    check_person(who)
    reference, authority = reference.strip(), authority.strip()
    for what, text in (("a reference", reference), ("the name of an authority", authority)):
        check_text(what, text)
        if not text or len(text) > LONGEST_REFERENCE or not text.isprintable():
            raise UsageError(
                f"cannot use this as {what}: it needs 1 to {LONGEST_REFERENCE} printable characters"
            )
    if isinstance(cases, str) or not cases:
        raise UsageError("cannot add a request that is about no case. List its cases")
    with queue.transaction() as tx:
        if micros(received) > tx.now:
            raise UsageError("cannot add a request that comes in the future. Give when it came.")
        if due is not None and due < received:
            raise UsageError("cannot add a request that was due before it came. Check both dates.")
        if reference in _requests(tx):
            raise ReviewError(f"cannot add request {reference}: there is one of that reference")
        numbers = sorted({find_row(tx, case).number for case in cases})
        history.append(
            tx,
            who,
            "request_added",
            reference=reference,
            authority=authority,
            received=micros(received),
            cases=numbers,
            due=None if due is None else micros(due),
        )
        return _requests(tx)[reference]


def lawful_requests(queue: ReviewQueue) -> tuple[LawfulRequest, ...]:
    """Return all requests: those that wait for an answer first, by when that is due.

    Parameters
    ----------
    queue : ReviewQueue
        Where they were entered.
    """
    with queue.transaction(read_only=True) as tx:
        found = _requests(tx).values()
    far = 2**62

    def order(one: LawfulRequest) -> tuple[bool, int, int]:
        return bool(one.answers), far if one.due is None else micros(one.due), one.event

    return tuple(sorted(found, key=order))


def answer_request(
    queue: ReviewQueue,
    reference: str,
    folder: str | os.PathLike[str],
    key: PrivateKey,
    to: str,
    who: str,
) -> AnswerManifest:
    """Write the signed answer to a request, and record to whom it goes.

    Parameters
    ----------
    queue : ReviewQueue
        Where the request was entered. Its whole history is verified first.
    reference : str
        Of the request.
    folder : path
        A new folder, which its owner only may enter.
    key : PrivateKey
        That signs it, as ``hashmatch list keygen`` makes one.
    to : str
        To whom it is given, as a person or an office.
    who : str
        Name of the person who answers.

    Returns
    -------
    AnswerManifest
        What the answer says of itself.

    Raises
    ------
    ReviewError
        If there is no such request, the queue was edited, or the folder is not empty.
    SinkError
        If it cannot be written.
    """
    check_person(who)
    check_text("to whom it goes", to)
    if not to.strip():
        raise UsageError("cannot answer a request without saying to whom. Name a person or office")
    queue.verify()
    path = os.fspath(folder)
    with queue.transaction(read_only=True) as tx:
        request = _request(tx, reference.strip())
        scope = [find_row(tx, case).number for case in request.cases]
        files = {
            "cases.jsonl": _lines(case_fields(queue.case(case)) for case in request.cases),
            "events.jsonl": _lines(_about(queue, scope)),
            "chain.jsonl": _lines(
                [number, digest]
                for number, digest in tx.database.rows(
                    "SELECT number, digest FROM event ORDER BY number"
                )
            ),
        }
        manifest = AnswerManifest(
            schema=SCHEMA,
            reference=request.reference,
            authority=request.authority,
            received=timestamp(request.received),
            answered_at=timestamp(moment(tx.now)),
            answered_by=who,
            to=to,
            queue=tx.queue_name,
            head=str(queue.head()),
            cases=request.cases,
            files={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        )
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    atomic.make_folder(path)
    with queue.transaction() as tx:  # what cannot be recorded is not given to anybody
        if os.listdir(path):  # asked here, where nobody else answers at the same time
            raise ReviewError(
                f"cannot write an answer to {path}: something is in it. Give a new folder."
            )
        history.append(
            tx,
            who,
            "request_answered",
            reference=request.reference,
            to=to,
            digest=hashlib.sha256(data).hexdigest(),
            cases=scope,
        )
        files |= {MANIFEST: data, SIGNATURE: key.sign(DOMAIN + data)}
        for name, content in files.items():
            atomic.write(os.path.join(path, name), content, error=SinkError)
    return manifest


def check_answer(folder: str | os.PathLike[str], key: PublicKey) -> AnswerManifest:
    """Check an answer that somebody was given: its signature, its files, and each event of it.

    Parameters
    ----------
    folder : path
        Of the answer.
    key : PublicKey
        The one that has to have signed it.

    Returns
    -------
    AnswerManifest
        What it says of itself.

    Raises
    ------
    UntrustedList
        If another key signed it, or it was changed since.
    ReviewError
        If a file is not there, or an event is not in the chain, or does not have the digest that
        follows from it.
    """
    path = os.fspath(folder)
    data, signature = _given(path, MANIFEST, LARGEST), _given(path, SIGNATURE, 1 << 10)
    if not key.has_signed(DOMAIN + data, signature):
        raise UntrustedList(
            f"cannot trust {path}: it was changed, or key {key.key_id} has not signed it. Ask who "
            "sent it."
        )
    manifest = from_json(data, AnswerManifest)
    content: dict[str, list[Any]] = {}
    for name, expected in manifest.files.items():
        found = _given(path, os.path.basename(name), LARGEST)
        if hashlib.sha256(found).hexdigest() != expected:
            raise UntrustedList(f"cannot trust {path}: {name} was changed. Ask who sent it.")
        content[name] = [msgspec.json.decode(line) for line in found.splitlines()]
    chain: dict[int, str] = dict(content["chain.jsonl"])
    for said in content["events.jsonl"]:
        number = said["number"]
        fields = (number, said["at"], said["who"], said["kind"], said["case"], said["body"])
        digest = history.digest_of(chain.get(number - 1, history.FIRST), *fields)
        if digest != chain.get(number):
            raise ReviewError(
                f"cannot trust {path}: event {number} is not the one in the chain. Ask who sent it."
            )
    last = max(chain, default=0)
    if manifest.head != f"{last}:{chain.get(last, history.FIRST)}":
        raise ReviewError(f"cannot trust {path}: the chain does not end at its head.")
    return manifest


def _given(path: str, name: str, most: int) -> bytes:
    """Return what a file of an answer holds; ReviewError if it is not there."""
    file = os.path.join(path, name)
    if not os.path.lexists(file):
        raise ReviewError(
            f"cannot use the answer in {path}: it has no {name}. Ask who sent it for all its files."
        )
    return private.read(file, most, public=True)


def _about(queue: ReviewQueue, scope: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield the events about some cases and no other, each as its digest is computed of it.

    An event by which records of several cases came, or were removed, is about others too, and
    stays out; its digest is in the chain.
    """
    with queue.transaction(read_only=True) as tx:
        condition, value = tx.database.among(scope)
        for number, at, who, kind, case, body in tx.database.rows(
            "SELECT number, happened_at, who, kind, case_number, body FROM event "
            f"WHERE case_number {condition} ORDER BY number",
            (value,),
        ):
            yield {
                "number": number, "at": at, "who": who, "kind": kind, "case": case, "body": body,
            }  # fmt: skip


def _lines(values: Iterator[Any] | Any) -> bytes:
    lines = (escape_json(msgspec.json.encode(value).decode()) for value in values)
    return "".join(f"{line}\n" for line in lines).encode()


def _request(tx: Transaction, reference: str) -> LawfulRequest:
    found = _requests(tx).get(reference)
    if found is None:
        raise ReviewError(f"cannot find request {reference!r}: there is none of that reference")
    return found


def _requests(tx: Transaction) -> dict[str, LawfulRequest]:
    found: dict[str, LawfulRequest] = {}
    for event in history.indexed(tx, history.REQUESTS):
        reference = event.body["reference"]
        if event.kind == "request_added":
            found[reference] = _added(tx, event)
        else:
            before = found[reference]
            answered = Answered(
                event.number, event.at, event.who, event.body["to"], event.body["digest"]
            )
            found[reference] = LawfulRequest(
                before.reference, before.authority, before.received, before.cases, before.due,
                before.who, before.event, (*before.answers, answered),
            )  # fmt: skip
    return found


def _added(tx: Transaction, event: Event) -> LawfulRequest:
    body = event.body
    return LawfulRequest(
        body["reference"],
        body["authority"],
        moment(body["received"]),
        tuple(map(tx.case_id, body["cases"])),
        None if body["due"] is None else moment(body["due"]),
        event.who,
        event.number,
    )
