"""Pages for drafts of reports: what people choose, what was seen, signing off, and requests."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from hashmatch import registry
from hashmatch._files import private
from hashmatch.errors import HashmatchError, QueueUnavailable, ReviewError, UsageError
from hashmatch.records.cases import CaseState
from hashmatch.review.drafts.destinations import load_destination
from hashmatch.review.drafts.draft import (
    LARGEST,
    MANIFEST,
    SUMMARY,
    choose,
    confirmed_case,
    draft_status,
    files_and_choices,
    read_manifest,
    sign_draft,
)
from hashmatch.review.drafts.questions import of_file
from hashmatch.review.lawful_requests import add_request, lawful_requests
from hashmatch.review.preservation import preservation, preservations, preserve
from hashmatch.review.web.cases import exif_of, view_of

if TYPE_CHECKING:
    from starlette.responses import Response

    from hashmatch.review.drafts.draft import DraftStatus
    from hashmatch.review.drafts.questions import Choice, Question
    from hashmatch.review.drafts.seen import ReportedFile
    from hashmatch.review.web.context import Context
    from hashmatch.review.web.request import PageRequest

MAX_CASES = 200
"""Confirmed cases that a page lists."""


class Asked(NamedTuple):
    """A question of a page: about the report, or a file, and what was chosen."""

    question: Question
    file: ReportedFile | None
    choice: Choice | None


class Written(NamedTuple):
    """A draft in a folder: how far it is, and its documents as text."""

    folder: str
    status: DraftStatus
    documents: dict[str, str]


def overview(context: Context, request: PageRequest) -> Response:
    """List the confirmed cases, and until when those that were reported are preserved."""
    cases = list(islice(context.queue.cases(CaseState.CONFIRMED), MAX_CASES))
    kept = {one.case_id: one for one in preservations(context.queue, ended=True)}
    return context.page(
        "drafts.html",
        request.session,
        cases=cases,
        kept=kept,
        now=datetime.now(UTC),
        destinations=registry.names(registry.DRAFTS),
        more=len(cases) == MAX_CASES,
    )


def show(context: Context, request: PageRequest) -> Response:
    """Show what a draft of a case would say, and what a person has to choose."""
    return _page(context, request)


def _page(context: Context, request: PageRequest, wrong: str = "", status: int = 200) -> Response:
    name = _destination(request)
    case = confirmed_case(context.queue, request.case_id)
    files, chosen = files_and_choices(context.queue, case.case_id, name)
    destination = load_destination(name)
    asked = [
        Asked(question, file, of_file(chosen, file).get(question.name))
        for question in destination.questions
        for file in (files if question.about == "file" else (None,))
    ]
    return context.page(
        "draft.html",
        request.session,
        status,
        case=case.case,
        confirmed=case,
        items=case.items,
        shown=f"{context.root}/draft/{case.case_id}/{name}",
        name=name,
        destination=destination,
        files=files,
        asked=asked,
        missing=sum(one.choice is None for one in asked),
        kept=preservation(context.queue, case.case_id),
        now=datetime.now(UTC),
        drafts=context.drafts,
        written=_written(context, case.case_id, name),
        wrong=wrong,
    )


def picture(context: Context, request: PageRequest) -> Response:
    """Send the picture of a confirmed record, as covered as asked; who looks is recorded."""
    case = confirmed_case(context.queue, request.case_id)
    return view_of(context, request, case.case_id, case.items, held=False)


def exif(context: Context, request: PageRequest) -> Response:
    """Send the EXIF data of the file of a confirmed record; who looks is recorded."""
    case = confirmed_case(context.queue, request.case_id)
    return exif_of(context, request, case.case_id, case.items, held=False)


def answer(context: Context, request: PageRequest) -> Response:
    """Record what somebody chose."""
    name, form = _destination(request), request.form
    values = [value for field, value in sorted(form.items()) if field.startswith("value")]
    try:
        choose(
            context.queue,
            request.case_id,
            name,
            form.get("question", ""),
            values,
            request.reviewer,
            record=form.get("record", ""),
        )
    except UsageError as error:
        return _page(context, request, str(error), 400)
    request.session.flash = "Your choice is recorded."
    return context.redirect(f"/draft/{request.case_id}/{name}")


def sign(context: Context, request: PageRequest) -> Response:
    """Sign the draft off that was shown, and no other."""
    name = _destination(request)
    written = _written(context, request.case_id, name)
    if written is None or written.status.digest != request.form.get("digest"):
        return _page(context, request, "This is not the draft that you were shown.", 409)
    try:
        sign_draft(context.queue, written.folder, request.reviewer)
    except QueueUnavailable:
        raise
    except ReviewError as error:
        return _page(context, request, str(error), 409)
    request.session.flash = "You have signed the draft off."
    return context.redirect(f"/draft/{request.case_id}/{name}")


def report(context: Context, request: PageRequest) -> Response:
    """Enter the number of a report that a person filed."""
    name, form = _destination(request), request.form
    try:
        filed = _day(form.get("filed", ""))
        number = form.get("number", "").strip()
        preserve(context.queue, request.case_id, number, filed, request.reviewer)
    except UsageError as error:
        return _page(context, request, str(error), 400)
    request.session.flash = "The number is entered, and the case is preserved."
    return context.redirect(f"/draft/{request.case_id}/{name}")


def requests_page(
    context: Context, request: PageRequest, wrong: str = "", status: int = 200
) -> Response:
    """List lawful requests, those that wait for an answer first."""
    return context.page(
        "requests.html",
        request.session,
        status,
        requests=lawful_requests(context.queue),
        now=datetime.now(UTC),
        wrong=wrong,
        form=request.form,
    )


def add(context: Context, request: PageRequest) -> Response:
    """Enter a lawful request."""
    form = request.form
    try:
        due = form.get("due", "")
        add_request(
            context.queue,
            form.get("reference", "").strip(),
            form.get("authority", "").strip(),
            _day(form.get("received", "")),
            form.get("cases", "").replace(",", " ").split(),
            request.reviewer,
            _day(due) + timedelta(days=1) if due else None,
        )
    except QueueUnavailable:
        raise
    except (UsageError, ReviewError) as error:
        return requests_page(context, request, str(error), 400)
    request.session.flash = "The request is entered. Its cases are kept until it is answered."
    return context.redirect("/requests")


def _destination(request: PageRequest) -> str:
    return str(request.http.path_params["destination"])


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise UsageError(f"cannot use {text[:40]!r} as a date. Give it as 2026-01-31.") from None


def _written(context: Context, case_id: str, destination: str) -> Written | None:
    """Return the latest draft of a case for a destination, of those that are served."""
    if context.drafts is None:
        return None
    found: list[Written] = []
    for name in sorted(os.listdir(context.drafts)):
        folder = os.path.join(context.drafts, name)
        if not os.path.exists(os.path.join(folder, MANIFEST)):
            continue
        with suppress(HashmatchError):  # of another queue, or changed: there is none to be signed
            said = read_manifest(folder)
            if (said.case_id, said.destination) == (case_id, destination):
                status = draft_status(context.queue, folder)
                documents = {
                    name: private.read(os.path.join(folder, name), LARGEST).decode()
                    for name in sorted(said.files)
                    if name != SUMMARY
                }
                found.append(Written(folder, status, documents))
    return max(found, key=lambda one: one.status.event, default=None)
