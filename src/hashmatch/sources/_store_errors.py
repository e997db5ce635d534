"""What a bucket's error means, in words that hold no credentials.

The client's own text is never passed on: it has addresses in it, whose queries may be signatures.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z]{1,64})</Code>")

#: Codes of S3 that are about the credentials, not about the one object that was asked for.
_CREDENTIALS = {
    "AuthenticationFailed", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken",
    "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired",
}  # fmt: skip
_PASSING = {"OperationTimedOut", "RequestTimeout", "ServerBusy", "SlowDown"}
_REGION = {"AuthorizationHeaderMalformed", "IllegalLocationConstraint", "PermanentRedirect"}


class Kind(Enum):
    """What can be done about it."""

    PASSING = auto()
    UNREACHABLE = auto()
    DENIED = auto()
    CREDENTIALS = auto()
    REGION = auto()
    MISSING = auto()
    ODD_KEY = auto()
    OTHER = auto()


class Trouble(NamedTuple):
    """What went wrong, and in a few words how the server or the network says it."""

    kind: Kind
    words: str


def trouble(error: Exception) -> Trouble:
    """Return what `error` of a request means.

    Examples
    --------
    >>> trouble(OSError("status code: 503 <Code>SlowDown</Code>")).words
    'status 503, SlowDown'
    """
    text = str(error)
    status = int(found[1]) if (found := _STATUS.search(text)) else 0
    code = found[1] if (found := _CODE.search(text)) else ""
    words = ", ".join([f"status {status}"] * bool(status) + [code] * bool(code))
    name = type(error).__name__
    if name == "InvalidPathError" or isinstance(error, ValueError):
        return Trouble(Kind.ODD_KEY, "")
    if isinstance(error, OSError) and error.errno:  # of this machine: a full disk, say
        return Trouble(Kind.OTHER, error.strerror or "")
    if code in _CREDENTIALS or status == 401 or name == "UnauthenticatedError":
        return Trouble(Kind.CREDENTIALS, words)
    # The client says it so of a 301 of S3, which has no Location.
    if code in _REGION or status == 301 or "redirect without LOCATION" in text:
        return Trouble(Kind.REGION, words)
    if status == 403 or name == "PermissionDeniedError":
        return Trouble(Kind.DENIED, words)
    if status == 404 or isinstance(error, FileNotFoundError):
        return Trouble(Kind.MISSING, words)
    if status >= 500 or status in {408, 429} or code in _PASSING:
        return Trouble(Kind.PASSING, words)
    if "dns error" in text:
        return Trouble(Kind.UNREACHABLE, "no host of that name is known")
    if "certificate" in text or "InvalidContentType" in text:
        return Trouble(Kind.UNREACHABLE, "no secure connection, as https:// asks for")
    if "kind: Connect" in text:
        return Trouble(Kind.UNREACHABLE, "no connection")
    if not status:
        return Trouble(Kind.PASSING, "no answer" if "Timeout" in text else "a broken connection")
    return Trouble(Kind.OTHER, words)
