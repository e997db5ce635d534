"""Who may review: names, and a token for each that is shown once and kept as a digest only."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING

from hashmatch.errors import ReviewError
from hashmatch.review import history
from hashmatch.review.database import Transaction
from hashmatch.review.text import check_person, moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hashmatch.review.database import Database

NOBODY = "-" * 64
"""Compared with where there is no such reviewer, which then takes as long: no SHA-256 is it."""


class Reviewers:
    """The reviewers of one queue; see `ReviewQueue.reviewers`."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def add(self, name: str, *, who: str = "hashmatch") -> str:
        """Let somebody review; a token that they had before is no longer good.

        Parameters
        ----------
        name : str
            Of the reviewer, 1 to 100 printable characters.
        who : str
            Name of the person who adds them, for the history.

        Returns
        -------
        str
            The token to log in with: 256 random bits, kept as their SHA-256, so that it cannot be
            shown again. (Slow digests are for what people can remember.)

        Raises
        ------
        UsageError
            If `name` or `who` is not a name.
        """
        check_person(name)
        check_person(who)
        token = secrets.token_urlsafe(32)
        digest = digest_of(token)
        with Transaction.begin(self._database, self._clock) as tx:
            tx.database.run("DELETE FROM reviewer WHERE name = ?", (name,))
            tx.database.run("INSERT INTO reviewer VALUES (?, ?, ?)", (name, digest, tx.now))
            history.append(tx, who, "reviewer_added", name=name, token=digest)
        return token

    def remove(self, name: str, *, who: str = "hashmatch") -> None:
        """Let somebody review no longer.

        Parameters
        ----------
        name : str
            Of the reviewer.
        who : str
            Name of the person who removes them, for the history.

        Raises
        ------
        ReviewError
            If there is no such reviewer.
        UsageError
            If `who` is not a name.
        """
        check_person(who)
        with Transaction.begin(self._database, self._clock) as tx:
            if not tx.database.rows("SELECT 1 FROM reviewer WHERE name = ?", (name,)):
                raise ReviewError(f"cannot remove reviewer {name!r}: this queue has none such")
            tx.database.run("DELETE FROM reviewer WHERE name = ?", (name,))
            history.append(tx, who, "reviewer_removed", name=name)

    def list(self) -> dict[str, datetime]:
        """Return the names of all reviewers, sorted, each with the time of being added (UTC)."""
        rows = self._database.rows("SELECT name, added_at FROM reviewer")
        return {name: moment(at) for name, at in sorted(rows)}

    def has(self, name: str) -> bool:
        """Return whether somebody of this name may review."""
        return bool(self._database.rows("SELECT 1 FROM reviewer WHERE name = ?", (name,)))

    def check(self, name: str, token: str) -> bool:
        """Return whether a token is the one of a reviewer; False if there is none such."""
        return self.check_digest(name, digest_of(token))

    def check_digest(self, name: str, digest: str) -> bool:
        """Return whether a digest, as `digest_of` makes it, is of the token of a reviewer."""
        rows = self._database.rows("SELECT token FROM reviewer WHERE name = ?", (name,))
        kept = rows[0][0] if rows else NOBODY
        return hmac.compare_digest(kept, digest)


def digest_of(token: str) -> str:
    """Return the SHA-256 of a token, in hexadecimal: all that is kept of it."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
