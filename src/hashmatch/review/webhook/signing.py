"""Signatures of messages, as Standard Webhooks 1.0.0 has them: its libraries can check ours.

A request carries ``webhook-id``, the same each time a message is tried, ``webhook-timestamp``, the
seconds since 1970 at which this try was made, and ``webhook-signature``: one or more of
``v1,<base64 of HMAC-SHA256(secret, "id.timestamp.body")>`` with blanks between them. The time is
signed, so that who has overheard a message cannot send it again later.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from hashmatch._files import private
from hashmatch.errors import ReviewError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret, by the specification."""
TOLERANCE = 300
"""Seconds that a receiver lets a message be old, or its own clock be slow."""
MOST = 4096
"""Bytes of a file of secrets."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What messages to one receiver are signed with; never shown.

    Parameters
    ----------
    keys : tuple of bytes
        At least one, 24 to 64 bytes each. More than one while a receiver goes from an old one to a
        new: messages are then signed with each.

    Raises
    ------
    UsageError
        If there is none, or one is too short or too long.
    """

    keys: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.keys:
            raise UsageError("there is no secret to sign with")
        if not all(SHORTEST <= len(key) <= LONGEST for key in self.keys):
            raise UsageError(f"a secret to sign with has {SHORTEST} to {LONGEST} bytes")

    @classmethod
    def parse(cls, text: str) -> Secrets:
        """Return the secrets in a text, one a line: base64, with ``whsec_`` before it or without.

        Raises
        ------
        UsageError
            If one is no such secret; the message does not show it.
        """
        keys = []
        for line in filter(None, map(str.strip, text.splitlines())):
            try:
                keys.append(base64.b64decode(line.removeprefix(PREFIX), validate=True))
            except (binascii.Error, ValueError):  # which would quote it
                keys.append(b"")
        return cls(tuple(keys))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Secrets:
        """Return the secrets of a file, which only its owner may be able to read.

        Raises
        ------
        StoreError
            If it cannot be read, or others can.
        UsageError
            If what it holds are none.
        """
        place = os.fspath(path)
        data = private.read(place, MOST, follow=True)
        try:
            return cls.parse(data.decode("ascii", "replace"))
        except UsageError as error:
            raise UsageError(f"{place}: {error}; hashmatch review secret makes one") from None

    def __reduce__(self) -> NoReturn:
        raise UsageError("secrets are never pickled; send the path of their file instead")


def new_secret() -> str:
    """Return a new secret, as text: 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signed_headers(keys: Secrets, name: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of one try of a message.

    Parameters
    ----------
    keys : Secrets
        Of its receiver.
    name : str
        The same for each try of it; without full stops, which separate what is signed.
    timestamp : int
        When this try is made, in seconds since 1970.
    body : bytes
        Exactly what is sent.

    Examples
    --------
    >>> known = Secrets.parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> signed_headers(known, "msg_1", 1614265330, b"{}")["webhook-timestamp"]
    '1614265330'
    """
    if not name or not all(32 < ord(character) < 127 and character != "." for character in name):
        raise UsageError("a message's name is printable ASCII without blanks and full stops")
    signatures = (_signature(key, name, timestamp, body) for key in keys.keys)
    return {
        "webhook-id": name,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def check_signature(
    keys: Secrets,
    headers: Mapping[str, str],
    body: bytes,
    now: float,
    tolerance: int = TOLERANCE,
) -> str:
    """Return the name of a message that is genuine and fresh; for receivers.

    Parameters
    ----------
    keys : Secrets
        A signature with any of them will do.
    headers : mapping of str to str
        Of the request, whatever the case of their names.
    body : bytes
        Of the request, as it came: parse it after this.
    now : float
        The time, in seconds since 1970.
    tolerance : int
        How many seconds the message may be from now.

    Raises
    ------
    ReviewError
        If it is not. Answer 400 and do nothing of what it says.

    Examples
    --------
    >>> known = Secrets.parse(new_secret())
    >>> headers = signed_headers(known, "msg_1", 1614265330, b"{}")
    >>> check_signature(known, headers, b"{}", now=1614265331)
    'msg_1'
    >>> check_signature(known, headers, b"{}", now=1614269999)
    Traceback (most recent call last):
    hashmatch.errors.ReviewError: the message is too old, or from the future
    """
    given = {key.lower(): value for key, value in headers.items()}
    name, told, signatures = (
        given.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature")
    )
    if not (told.isascii() and told.isdigit() and len(told) < 16):
        raise ReviewError("the message has no time")
    if abs(now - int(told)) > tolerance:
        raise ReviewError("the message is too old, or from the future")
    versions = [each.partition(",") for each in signatures.split(" ")]
    claimed = [value.encode() for version, _, value in versions if version == "v1"]
    for key in keys.keys:
        expected = _signature(key, name, int(told), body).encode()
        if any(hmac.compare_digest(expected, value) for value in claimed):
            return name
    raise ReviewError("the message is signed by nobody who may")


def _signature(key: bytes, name: str, timestamp: int, body: bytes) -> str:
    content = f"{name}.{timestamp}.".encode(errors="surrogateescape") + body
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
