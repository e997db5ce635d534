"""Who may review: names, and a token for each that is shown once and kept as a digest only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from hashmatch.errors import ReviewError
from hashmatch.review import history
from hashmatch.review.text import micros, moment, named

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hashmatch.review.database import Database


class Reviewers:
    """Those of one queue; see `ReviewQueue.reviewers`."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def add(self, name: str, *, who: str = "hashmatch") -> str:
        """Let somebody review, and return the token to log in with; an older one is no longer good.

        The token is 256 random bits and kept as its SHA-256, so it cannot be shown again. (Slow
        digests are for what people can remember.)

        Parameters
        ----------
        name : str
            Of the reviewer.
        who : str
            Whose doing it is, for the history.
        """
        named(name)
        named(who)
        token = secrets.token_urlsafe(32)
        digest = hashlib.sha256(token.encode()).hexdigest()
        with self._database.writing():
            at = micros(self._now())
            self._database.run("DELETE FROM reviewer WHERE name = ?", (name,))
            self._database.run("INSERT INTO reviewer VALUES (?, ?, ?)", (name, digest, at))
            history.append(self._database, at, who, "reviewer_added", name=name, token=digest)
        return token

    def remove(self, name: str, *, who: str = "hashmatch") -> None:
        """Let somebody review no longer; ReviewError if there is no such reviewer."""
        named(who)
        with self._database.writing():
            if not self._database.rows("SELECT 1 FROM reviewer WHERE name = ?", (name,)):
                raise ReviewError(f"there is no reviewer {name!r} in this queue")
            self._database.run("DELETE FROM reviewer WHERE name = ?", (name,))
            history.append(self._database, micros(self._now()), who, "reviewer_removed", name=name)

    def list(self) -> dict[str, datetime]:
        """Return who may review, each with the time since when."""
        rows = self._database.rows("SELECT name, added_at FROM reviewer ORDER BY name")
        return {name: moment(at) for name, at in rows}

    def check(self, name: str, token: str) -> bool:
        """Return whether a token is the one of a reviewer."""
        rows = self._database.rows("SELECT token FROM reviewer WHERE name = ?", (name,))
        given = hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
        return hmac.compare_digest(rows[0][0] if rows else "", given)
