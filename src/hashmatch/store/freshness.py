"""Whether a list is too old to be used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hashmatch.errors import UntrustedList

if TYPE_CHECKING:
    from hashmatch.store.marks import Marks

GRACE = timedelta(days=7)
"""How long a list is used after it has expired, unless told otherwise."""


def check_fresh(
    marks: Marks, expires: datetime | None, *, now: datetime | None = None, grace: timedelta = GRACE
) -> str | None:
    """Refuse a list that has expired too long ago; return a warning while it has just expired.

    Who holds back updates can serve an old list for ever, and every signature of it is right; only
    its age shows it.

    Parameters
    ----------
    marks : Marks
        Of the list. If it was last used later than the clock says it is, then the clock is wrong,
        and that time counts.
    expires : datetime, optional
        As its manifest says; None is never.
    now : datetime, optional
        In UTC.
    grace : timedelta
        How long it is used nevertheless.

    Raises
    ------
    UntrustedList
        If that has passed too.
    """
    moment = now or datetime.now(UTC)
    clock = ""
    if marks.used is not None and marks.used > moment:
        clock = f" (the clock is behind: the list was last used at {marks.used:%Y-%m-%d %H:%M} UTC)"
        moment = marks.used
    if expires is None or moment <= expires:
        return None
    told = f"the list has expired at {expires:%Y-%m-%d %H:%M} UTC{clock}"
    if moment > expires + grace:
        raise UntrustedList(f"{told}, longer ago than allowed; update it")
    return f"{told}; update it by {expires + grace:%Y-%m-%d}"
