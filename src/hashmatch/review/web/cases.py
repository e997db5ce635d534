"""Pages for cases: home, a case, its picture, and what reviewers do with it."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import JSONResponse, Response

from hashmatch.errors import QueueUnavailable, ReviewError
from hashmatch.records.cases import Verdict
from hashmatch.records.enums import Surface
from hashmatch.review.access import record_exif, record_view
from hashmatch.review.results import Pause
from hashmatch.review.web.context import not_held
from hashmatch.review.web.film_strip import is_video
from hashmatch.review.web.pictures import BlurStep, NoPicture, View, ViewResponse
from hashmatch.review.web.wording import MEANINGS, counted

if TYPE_CHECKING:
    from hashmatch.records.cases import Case, CaseItem
    from hashmatch.review.web.context import Context
    from hashmatch.review.web.request import PageRequest

MAX_ITEMS = 100
"""Records that a page lists; the others are counted."""
REASONS = (
    "It is what the labels say",
    "The same picture, edited",
    "Something else that looks alike",
    "Too little of it can be seen",
    "The picture is not there any more",
)
"""Suggested reasons; anything may be given."""
NOT_NOW = "Your answer could not be kept just now. It is still below: decide again in a moment."


class HistoryLine(NamedTuple):
    """One line of what happened to a case before."""

    at: datetime
    text: str
    reason: str = ""


def show(context: Context, request: PageRequest) -> Response:
    """Show a case to the reviewer who holds it, or their own decision to who decided it."""
    try:
        case = context.case_of(request.reviewer, request.case_id)
    except QueueUnavailable:
        raise
    except ReviewError:
        return _decided_page(context, request)
    return _case_page(context, request, case)


def _case_page(
    context: Context, request: PageRequest, case: Case, wrong: str = "", status: int = 200
) -> Response:
    return context.page(
        "case.html",
        request.session,
        status,
        page=context.open_pages.open(case.case_id, request.reviewer),
        case=case,
        shown=f"{context.root}/case/{case.case_id}",
        items=case.asked[:MAX_ITEMS],
        more=max(0, len(case.asked) - MAX_ITEMS),
        inherited=sum(item.inherited for item in case.items),
        closest=min(case.asked, key=lambda item: item.record.matches[0].distance),
        history=_history(context, case),
        verdicts=list(MEANINGS),
        reasons=REASONS,
        lease=context.queue.settings.lease,
        undo=context.queue.settings.undo,
        wrong=wrong,
        form=request.form,
    )


def _decided_page(context: Context, request: PageRequest) -> Response:
    """Show a reviewer what they decided themselves, and nothing else of the case."""
    try:
        case = context.queue.case(request.case_id)
    except QueueUnavailable:
        raise
    except ReviewError:
        raise not_held() from None
    own = [one for one in case.decisions if one.reviewer == request.reviewer and not one.undone_at]
    if not own:
        raise not_held()
    decision = own[-1]
    left = decision.final_at - datetime.now(UTC)
    return context.page(
        "decided.html",
        request.session,
        decision=decision,
        left=left if left.total_seconds() > 0 else None,
    )


def _history(context: Context, case: Case) -> list[HistoryLine]:
    """Return what happened before, without who held it: that is how a second reviewer is blind."""
    came: dict[datetime, int] = {}
    for item in case.items:
        came[item.added_at] = came.get(item.added_at, 0) + 1
    lines = [HistoryLine(at, f"{counted(count, 'record')} came in") for at, count in came.items()]
    for decision in case.decisions:
        undone = ", and took it back" if decision.undone_at else ""
        text = f"{decision.reviewer} decided: {decision.verdict.replace('_', ' ')}{undone}"
        lines.append(HistoryLine(decision.decided_at, text, decision.reason))
    for event in context.queue.history(case.case_id):
        if event.kind == "asked_again":
            text = f"{event.who} asked for it to be looked at again"
            lines.append(HistoryLine(event.at, text, event.body["reason"]))
    return sorted(lines)


def picture(context: Context, request: PageRequest) -> Response:
    """Send the picture of a record, blurred as asked, to the reviewer who holds the case now."""
    case = context.case_of(request.reviewer, request.case_id)
    return view_of(context, request, case.case_id, case.asked)


def exif(context: Context, request: PageRequest) -> Response:
    """Send the EXIF tags of a record's file to the reviewer who holds the case now."""
    case = context.case_of(request.reviewer, request.case_id)
    return exif_of(context, request, case.case_id, case.asked)


def view_of(
    context: Context,
    request: PageRequest,
    case_id: str,
    items: tuple[CaseItem, ...],
    *,
    held: bool = True,
) -> Response:
    """Send the picture of one of some items, and record who looks, if it is uncovered."""
    item = _item(request, items)
    given = request.http.query_params
    try:
        step = BlurStep(int(given.get("step", "0")))
        at = int(given["at"]) if "at" in given else None
    except ValueError:
        raise NoPicture("There is no such picture.") from None
    if at is None and is_video(item.record) and step is not BlurStep.STRONG:
        raise NoPicture("Frames of a video are uncovered one at a time.")

    async def record(view: View) -> None:
        who = (case_id, request.reviewer, item.record.record_id, step.name.lower())
        record_it = partial(record_view, whole=view.whole, second=view.second, held=held)
        call = partial(record_it, context.queue, *who)
        await context.threads.run(call)

    show = partial(context.pictures.show, request.reviewer, item, step, at)
    # Whoever looks is recorded, or does not get to see it.
    return ViewResponse(show, None if step is BlurStep.STRONG else record)


def exif_of(
    context: Context,
    request: PageRequest,
    case_id: str,
    items: tuple[CaseItem, ...],
    *,
    held: bool = True,
) -> Response:
    """Send the EXIF tags of one of some items, and record who looks."""
    item = _item(request, items)

    async def record(view: View) -> None:
        given = (case_id, request.reviewer, item.record.record_id)
        await context.threads.run(partial(record_exif, context.queue, *given, held=held))

    return ViewResponse(partial(context.pictures.show_exif, request.reviewer, item), record)


def _item(request: PageRequest, items: tuple[CaseItem, ...]) -> CaseItem:
    """Return the item that a request asks for."""
    try:
        number = int(request.http.query_params.get("item", "0"))
        return items[number] if number >= 0 else items[len(items)]
    except (ValueError, IndexError):
        raise NoPicture("There is no such picture.") from None


def decide(context: Context, request: PageRequest) -> Response:
    """Record a decision."""
    case = context.case_of(request.reviewer, request.case_id)
    verdict, reason = request.form.get("verdict", ""), request.form.get("reason", "").strip()
    if verdict not in list(Verdict):
        return _case_page(context, request, case, "Choose one of the four answers.", 400)
    if not reason:
        return _case_page(context, request, case, "Say why, in a few words.", 400)
    digest = request.form.get("digest", "")
    try:
        decision = context.queue.decide(case.case_id, request.reviewer, verdict, reason, digest)
    except QueueUnavailable as error:
        answer = _case_page(context, request, case, NOT_NOW, 503)
        return context.retried_later(answer, error)
    except ReviewError:
        wrong = "These are not the records that you were shown. Look at them once more."
        return _case_page(context, request, case, wrong, 409)
    context.open_pages.forget(case.case_id, request.reviewer)
    context.held.pop(request.reviewer, None)
    context.recent.add(decision)
    context.counts.outdated()
    return context.redirect(f"/case/{case.case_id}")


def undo(context: Context, request: PageRequest) -> Response:
    """Take a decision back."""
    decision_id = request.form.get("decision", "")
    case = context.queue.undo(decision_id, request.reviewer)
    context.recent.drop(decision_id, request.reviewer)
    context.counts.outdated()
    if case.lease is not None and case.lease.reviewer == request.reviewer:
        context.held[request.reviewer] = case.case_id
        request.session.flash = "Your decision is undone. You hold the case again."
        return context.redirect(f"/case/{case.case_id}")
    request.session.flash = "Your decision is undone."
    return context.redirect("/")


def give_back(context: Context, request: PageRequest) -> Response:
    """Let somebody else have the case."""
    context.case_of(request.reviewer, request.case_id)
    context.give_back(request.case_id, request.reviewer)
    request.session.flash = "The case waits again. Somebody else can take it."
    return context.redirect("/")


def renew(context: Context, request: PageRequest) -> Response:
    """Hold the case for longer, while its page is open."""
    context.case_of(request.reviewer, request.case_id)
    case = context.queue.renew(request.case_id, request.reviewer)
    return JSONResponse({"until": case.lease.until.timestamp() if case.lease else 0})


def leave(context: Context, request: PageRequest) -> Response:
    """Note that the page of a case was closed."""
    case = context.case_of(request.reviewer, request.case_id)
    context.open_pages.close(case.case_id, request.reviewer, request.form.get("page", ""))
    return Response(status_code=204)


def home(context: Context, request: PageRequest) -> Response:
    """Show the start page: how many cases wait, and the one that the reviewer holds."""
    held = None
    if request.reviewer in context.held:
        try:
            held = context.case_of(request.reviewer)
        except QueueUnavailable:
            raise
        except ReviewError:  # not any more
            pass
    return context.page(
        "home.html",
        request.session,
        counts=context.counts.get(),
        held=held,
        surfaces=list(Surface),
        recent=context.recent.undoable(request.reviewer, datetime.now(UTC)),
    )


def take(context: Context, request: PageRequest) -> Response:
    """Hand over the next case, or say that there is none, or that it is time to rest."""
    label = request.form.get("label", "").strip() or None
    surface = request.form.get("surface", "") or None
    found = context.queue.take(request.reviewer, label=label, surface=surface)
    if isinstance(found, Pause):
        return context.page("pause.html", request.session, pause=found)
    if found is None:
        chosen = " of this kind" if label or surface else ""
        request.session.flash = f"No case{chosen} waits."
        return context.redirect("/")
    context.held[request.reviewer] = found.case_id
    context.counts.outdated()
    return context.redirect(f"/case/{found.case_id}")
