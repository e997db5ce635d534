"""A case: what is known of it, the decision, and the way back from it.

The first page: what waits, the next case, and what was decided a moment ago.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import JSONResponse, Response

from hashmatch.errors import ReviewError
from hashmatch.records.cases import Verdict
from hashmatch.records.enums import Surface
from hashmatch.review.results import Pause
from hashmatch.review.web.context import not_held, to
from hashmatch.review.web.pictures import NoPicture, Step
from hashmatch.review.web.wording import MEANINGS, counted

if TYPE_CHECKING:
    from hashmatch.records.cases import Case, Decision
    from hashmatch.review.web.context import Place
    from hashmatch.review.web.request import Visit

MOST_ITEMS = 100
"""Records that a page lists; the others are counted."""
REASONS = (
    "It is what the labels say",
    "The same picture, edited",
    "Something else that looks alike",
    "Too little of it can be seen",
    "The picture is not there any more",
)
"""What is suggested; anything may be said."""


class Line(NamedTuple):
    """One line of what happened to a case before."""

    at: datetime
    text: str
    reason: str = ""


def show(place: Place, visit: Visit) -> Response:
    """Show a case to whoever holds it, or their own decision to who decided it."""
    try:
        case = place.case_of(visit.reviewer, visit.case_id)
    except ReviewError:
        return _decided(place, visit)
    return _shown(place, visit, case)


def _shown(place: Place, visit: Visit, case: Case, wrong: str = "", status: int = 200) -> Response:
    return place.page(
        "case.html",
        visit.session,
        status,
        page=place.leaving.opened(case.case_id, visit.reviewer),
        case=case,
        items=case.asked[:MOST_ITEMS],
        more=max(0, len(case.asked) - MOST_ITEMS),
        inherited=sum(item.inherited for item in case.items),
        closest=min(case.items, key=lambda item: item.record.matches[0].distance),
        history=_history(place, case),
        verdicts=list(MEANINGS),
        reasons=REASONS,
        lease=place.queue.settings.lease,
        undo=place.queue.settings.undo,
        wrong=wrong,
        form=visit.form,
    )


def _decided(place: Place, visit: Visit) -> Response:
    """Show a reviewer what they decided themselves, and nothing else of the case."""
    try:
        case = place.queue.case(visit.case_id)
    except ReviewError:
        raise not_held() from None
    own = [one for one in case.decisions if one.reviewer == visit.reviewer and not one.undone_at]
    if not own:
        raise not_held()
    decision, undo = own[-1], place.queue.settings.undo
    left = decision.decided_at + undo - datetime.now(UTC)
    return place.page(
        "decided.html",
        visit.session,
        decision=decision,
        left=left if left.total_seconds() > 0 else None,
        undo=undo,
    )


def _history(place: Place, case: Case) -> list[Line]:
    """Return what happened before, without who held it: that is how a second reviewer is blind."""
    came: dict[datetime, int] = {}
    for item in case.items:
        came[item.added_at] = came.get(item.added_at, 0) + 1
    lines = [Line(at, f"{counted(count, 'record')} came in") for at, count in came.items()]
    lines += [_told(decision) for decision in case.decisions]
    lines += [
        Line(event.at, f"{event.who} asked for it to be looked at again", event.body["reason"])
        for event in place.queue.history(case.case_id)
        if event.kind == "asked_again"
    ]
    return sorted(lines)


def _told(decision: Decision) -> Line:
    undone = ", and took it back" if decision.undone_at else ""
    verdict = decision.verdict.replace("_", " ")
    text = f"{decision.reviewer} decided: {verdict}{undone}"
    return Line(decision.decided_at, text, decision.reason)


def picture(place: Place, visit: Visit) -> Response:
    """Send the picture of a record, covered as far as was asked, to whoever holds the case now."""
    case = place.case_of(visit.reviewer, visit.case_id)
    try:
        step = Step(int(visit.request.query_params.get("step", "0")))
        number = int(visit.request.query_params.get("item", "0"))
        item = case.asked[number] if number >= 0 else case.asked[len(case.asked)]
    except (ValueError, IndexError):
        raise NoPicture("There is no such picture.") from None
    return Response(place.pictures.shown(item, step), media_type="image/jpeg")


def decide(place: Place, visit: Visit) -> Response:
    """Write down what was decided."""
    case = place.case_of(visit.reviewer, visit.case_id)
    verdict, reason = visit.form.get("verdict", ""), visit.form.get("reason", "").strip()
    if verdict not in list(Verdict):
        return _shown(place, visit, case, "Choose one of the four answers.", 400)
    if not reason:
        return _shown(place, visit, case, "Say why, in a few words.", 400)
    digest = visit.form.get("digest", "")
    try:
        decision = place.queue.decide(case.case_id, visit.reviewer, verdict, reason, digest)
    except ReviewError:
        wrong = "These are not the records that you were shown. Look at them once more."
        return _shown(place, visit, case, wrong, 409)
    place.leaving.done(case.case_id, visit.reviewer)
    place.held.pop(visit.reviewer, None)
    place.recent.add(decision)
    return to(f"/case/{case.case_id}")


def undo(place: Place, visit: Visit) -> Response:
    """Take a decision back."""
    decision_id = visit.form.get("decision", "")
    case = place.queue.undo(decision_id, visit.reviewer)
    place.recent.drop(decision_id, visit.reviewer)
    if case.lease is not None and case.lease.reviewer == visit.reviewer:
        place.held[visit.reviewer] = case.case_id
        visit.session.say = "Your decision is undone. You hold the case again."
        return to(f"/case/{case.case_id}")
    visit.session.say = "Your decision is undone."
    return to("/")


def give_back(place: Place, visit: Visit) -> Response:
    """Let somebody else have the case."""
    place.case_of(visit.reviewer, visit.case_id)
    place.give_back(visit.case_id, visit.reviewer)
    visit.session.say = "The case waits again. Somebody else can take it."
    return to("/")


def renew(place: Place, visit: Visit) -> Response:
    """Hold the case for longer, while its page is open."""
    place.case_of(visit.reviewer, visit.case_id)
    case = place.queue.renew(visit.case_id, visit.reviewer)
    return JSONResponse({"until": case.lease.until.timestamp() if case.lease else 0})


def leave(place: Place, visit: Visit) -> Response:
    """Note that the page of a case was closed."""
    case = place.case_of(visit.reviewer, visit.case_id)
    place.leaving.left(case.case_id, visit.reviewer, visit.form.get("page", ""))
    return Response(status_code=204)


def home(place: Place, visit: Visit) -> Response:
    """Show what waits."""
    held = None
    if visit.reviewer in place.held:
        with suppress(ReviewError):
            held = place.case_of(visit.reviewer)
    undo = place.queue.settings.undo
    return place.page(
        "home.html",
        visit.session,
        counts=place.queue.counts(),
        held=held,
        surfaces=list(Surface),
        recent=place.recent.undoable(visit.reviewer, datetime.now(UTC), undo),
        undo=undo,
    )


def take(place: Place, visit: Visit) -> Response:
    """Hand over the next case, or say that there is none, or that it is time to rest."""
    label = visit.form.get("label", "").strip() or None
    surface = visit.form.get("surface", "") or None
    found = place.queue.take(visit.reviewer, label=label, surface=surface)
    if isinstance(found, Pause):
        return place.page("pause.html", visit.session, pause=found)
    if found is None:
        chosen = " of this kind" if label or surface else ""
        visit.session.say = f"No case{chosen} waits."
        return to("/")
    place.held[visit.reviewer] = found.case_id
    return to(f"/case/{found.case_id}")
