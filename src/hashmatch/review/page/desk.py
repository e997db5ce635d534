"""The first page: what waits, the next case, and what was decided a moment ago."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hashmatch.errors import ReviewError
from hashmatch.records.enums import Surface
from hashmatch.review.answers import Pause
from hashmatch.review.page.place import to

if TYPE_CHECKING:
    from starlette.responses import Response

    from hashmatch.review.page.place import Place
    from hashmatch.review.page.visits import Visit


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
