"""Bearer tokens of the service: each has a name, scopes and a rate, and is kept as a digest."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from hashmatch._files import atomic, private
from hashmatch.errors import StoreError, UsageError
from hashmatch.records.times import timestamp
from hashmatch.records.typed import from_json

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = "hm_"
"""What tokens begin with, so that scanners for leaked secrets can find them."""
SECRET_BYTES = 32
MAX_FILE = 2**20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Scope(StrEnum):
    """What the holder of a token may ask for."""

    HASH = "hash"
    """Hashes of pictures that they send."""
    MATCH = "match"
    """Whether pictures or hashes match, and which entries."""
    CURATE = "curate"
    """How near entries are that do not match, and what is loaded; changes of banks."""
    ADMIN = "admin"
    """Everything, metrics included."""


class Token(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One token, without its secret.

    Parameters
    ----------
    name : str
        Who holds it, for logs and metrics.
    digest : str
        SHA-256 of the secret, in hexadecimal: the secret has 256 random bits, which need no slower
        digest.
    scopes : tuple of Scope
        What it is good for; ``admin`` includes the others.
    created_at : str
        UTC, ISO 8601.
    rate : float, optional
        Requests a second it may make on average; None for no limit.
    """

    name: str
    digest: str
    scopes: tuple[Scope, ...]
    created_at: str
    rate: float | None = None

    @cached_property
    def number(self) -> int:
        """What its requests are counted under; never 0."""
        return int(self.digest[:16], 16) | 1

    def allows(self, scope: Scope) -> bool:
        """Whether it is good for what needs `scope`."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a token file holds."""

    tokens: tuple[Token, ...]
    schema: str = "hashmatch.tokens/1"


class TokenFile:
    """A file of tokens, JSON that only its owner can read; the service rereads it when it changes.

    Parameters
    ----------
    path : str or path
        It need not be there before the first `add`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tokens = TokenFile(f"{folder}/tokens.json")
    ...     secret = tokens.add("uploads", [Scope.MATCH])
    ...     [token.name for token in tokens.read()], len(secret)
    (['uploads'], 46)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def read(self) -> tuple[Token, ...]:
        """Return the tokens that there are.

        Raises
        ------
        StoreError
            If it cannot be read, others can read it, or it is no token file.
        """
        data = private.read(self.path, MAX_FILE, follow=True)
        try:
            found = from_json(data, _File)
        except msgspec.DecodeError:
            raise StoreError(
                f"cannot read tokens from {self.path}: it is no token file. Make one with "
                "hashmatch token add."
            ) from None
        if found.schema != _File.__struct_defaults__[0]:
            raise StoreError(
                f"cannot read tokens from {self.path}: it is {found.schema!r}. Update hashmatch."
            )
        return found.tokens

    def add(self, name: str, scopes: Iterable[Scope | str], rate: float | None = None) -> str:
        """Make a token and return its secret, which is kept nowhere.

        Parameters
        ----------
        name : str
            Up to 64 letters, digits, dots, underscores and hyphens; each is used once.
        scopes : iterable of Scope or str
            At least one.
        rate : float, optional
            Requests a second that are answered, on average; by default there is no limit.

        Raises
        ------
        UsageError
            If there is a token of that name, or an argument is out of its range.
        StoreError
            If the file cannot be read or written.
        """
        if not NAME.fullmatch(name):
            raise UsageError(
                f"cannot name a token {name!r}: use up to 64 letters, digits, dots, underscores "
                "and hyphens."
            )
        try:
            given = tuple(dict.fromkeys(Scope(scope) for scope in scopes))
        except ValueError:
            raise UsageError(
                f"cannot make a token: a scope is one of {', '.join(Scope)}."
            ) from None
        if not given:
            raise UsageError(
                f"cannot make a token without scopes. Give some of {', '.join(Scope)}."
            )
        if rate is not None and not rate > 0:
            raise UsageError(f"cannot limit a token to {rate} requests a second. Give more than 0.")
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        with atomic.locked(f"{self.path}.lock"):
            held = self.read() if os.path.lexists(self.path) else ()
            if any(token.name == name for token in held):
                raise UsageError(
                    f"cannot make token {name}: there is one. Revoke it, or use another name."
                )
            made = Token(name, digest(secret.encode()), given, timestamp(datetime.now(UTC)), rate)
            self._write((*held, made))
        return secret

    def revoke(self, name: str) -> None:
        """Remove a token: requests that carry it are refused within seconds.

        Raises
        ------
        UsageError
            If there is none of that name.
        StoreError
            If the file cannot be read or written.
        """
        self.read()  # no lock is made beside a file that is not there
        with atomic.locked(f"{self.path}.lock"):
            held = self.read()
            kept = tuple(token for token in held if token.name != name)
            if len(kept) == len(held):
                names = ", ".join(token.name for token in held) or "none"
                raise UsageError(f"cannot revoke token {name}: there is {names}.")
            self._write(kept)

    def _write(self, tokens: tuple[Token, ...]) -> None:
        data = msgspec.json.encode(_File(tokens))
        atomic.write(self.path, msgspec.json.format(data) + b"\n")


def digest(secret: bytes) -> str:
    """Return what is kept of a token's secret."""
    return hashlib.sha256(secret).hexdigest()
