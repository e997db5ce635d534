"""Signatures of messages by Standard Webhooks 1.0.0, whose libraries can check them.

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
from hashmatch.errors import ReviewError, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret, by the specification."""
TOLERANCE = 300
"""Seconds that a receiver lets a message be old, or its own clock be slow."""
LARGEST_FILE = 4096
"""Bytes of a file of secrets."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Secrets that messages to one receiver are signed with; never shown.

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
            raise UsageError("cannot sign: there is no secret")
        if not all(SHORTEST <= len(key) <= LONGEST for key in self.keys):
            raise UsageError(f"cannot sign: a secret has {SHORTEST} to {LONGEST} bytes, in base64")

    @classmethod
    def parse(cls, text: str) -> Secrets:
        """Return the secrets in a text.

        Parameters
        ----------
        text : str
            One secret a line, in base64, with ``whsec_`` before it or without.

        Returns
        -------
        Secrets
            In the order of the lines.

        Raises
        ------
        UsageError
            If there is none, or a line is no secret; the message does not show it.
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
        """Return the secrets in a file.

        Parameters
        ----------
        path : str or path
            A file that only its owner can read; lines as `parse` takes them.

        Returns
        -------
        Secrets
            In the order of the lines.

        Raises
        ------
        StoreError
            If it cannot be read, or others can read it.
        UsageError
            If there is none in it, or a line is no secret.
        """
        name = os.fspath(path)
        try:
            data = private.read(name, LARGEST_FILE, follow=True)
            return cls.parse(data.decode("ascii", "replace"))
        except StoreError as error:
            advice = (
                "" if os.path.lexists(name) else f" Or run hashmatch review webhook secret {name}."
            )
            raise StoreError(f"{error}{advice}") from None
        except UsageError as error:
            raise UsageError(
                f"cannot use the secrets in {name}: {error}. "
                "Run hashmatch review webhook secret FILE."
            ) from None

    def __reduce__(self) -> NoReturn:
        raise UsageError("cannot pickle secrets. Send the path of their file instead.")


def new_secret() -> str:
    """Return a new secret, as text: 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signed_headers(keys: Secrets, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers of one try of a message.

    Parameters
    ----------
    keys : Secrets
        Secrets of its receiver.
    message_id : str
        The same for each try of it; without full stops, which separate what is signed.
    timestamp : int
        Time of this try, in seconds since 1970.
    body : bytes
        Exactly what is sent.

    Returns
    -------
    dict of str to str
        ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature``.

    Raises
    ------
    UsageError
        If `message_id` has other characters than printable ASCII, blanks or full stops.

    Examples
    --------
    >>> known = Secrets.parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> signed_headers(known, "msg_1", 1614265330, b"{}")["webhook-timestamp"]
    '1614265330'
    """
    if not message_id or not all(32 < ord(one) < 127 and one != "." for one in message_id):
        raise UsageError(
            f"cannot sign message {message_id!r:.99}: its id has to be printable ASCII without "
            "blanks and full stops"
        )
    signatures = (_signature(key, message_id, timestamp, body) for key in keys.keys)
    return {
        "webhook-id": message_id,
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
    """Return the id of a message that is genuine and fresh; for receivers.

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

    Returns
    -------
    str
        The message's id; a message that is sent again has the same.

    Raises
    ------
    ReviewError
        If it is not genuine or not fresh. Answer 400 and do nothing of what it says.

    Examples
    --------
    >>> known = Secrets.parse(new_secret())
    >>> headers = signed_headers(known, "msg_1", 1614265330, b"{}")
    >>> check_signature(known, headers, b"{}", now=1614265331)
    'msg_1'
    >>> check_signature(known, headers, b"{}", now=1614269999)
    Traceback (most recent call last):
    hashmatch.errors.ReviewError: cannot accept the message: it is too old, or from the future
    """
    given = {key.lower(): value for key, value in headers.items()}
    message_id, timestamp, signatures = (
        given.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature")
    )
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16):
        raise ReviewError("cannot accept the message: it has no timestamp")
    if abs(now - int(timestamp)) > tolerance:
        raise ReviewError("cannot accept the message: it is too old, or from the future")
    versions = [each.partition(",") for each in signatures.split(" ")]
    claimed = [value.encode() for version, _, value in versions if version == "v1"]
    for key in keys.keys:
        expected = _signature(key, message_id, int(timestamp), body).encode()
        if any(hmac.compare_digest(expected, value) for value in claimed):
            return message_id
    raise ReviewError("cannot accept the message: signature does not match any configured secret")


def _signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    content = f"{message_id}.{timestamp}.".encode(errors="surrogateescape") + body
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
