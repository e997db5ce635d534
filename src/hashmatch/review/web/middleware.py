"""Middleware: refuses requests that no page of ours sends, and adds security headers."""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("hashmatch.review.web")

MAX_BODY = 32 * 1024
"""Bytes of a form: a reason is at most some thousand letters."""
MAX_HEADERS = 16 * 1024
PATH = re.compile(rb"/(?:[A-Za-z0-9_-]+(?:\.[a-z]+)?(?:/[A-Za-z0-9_-]+(?:\.[a-z]+)?)*)?\Z")
"""What paths of ours look like: nothing is escaped in them, and no part begins with a dot."""
READS = frozenset({"GET", "HEAD"})

CONTENT_POLICY = (
    "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SECURITY_HEADERS = [
    (b"content-security-policy", CONTENT_POLICY.encode()),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), display-capture=()"),
    (b"x-robots-tag", b"noindex"),
]


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Which hosts and credentials are accepted.

    `origins` are those by which browsers reach this server, lower case, with their port unless that
    is the scheme's own: ``https://review.example.org``. Every request has to carry `token` as
    bearer token or password of basic authentication, unless it is empty. `tls` says whether
    browsers speak TLS, with this server or with a proxy before it.
    """

    origins: frozenset[str]
    token: str = ""
    tls: bool = False

    def origin(self, host: str) -> str:
        """Return the origin that a header Host says, whether it is one of ours or not."""
        scheme, port = ("https", ":443") if self.tls else ("http", ":80")
        return f"{scheme}://{host.lower().removesuffix(port)}"


class SecurityMiddleware:
    """An ASGI application around the page."""

    def __init__(self, app: ASGIApp, policy: AccessPolicy) -> None:
        self._app = app
        self._policy = policy
        tls = [(b"strict-transport-security", b"max-age=31536000")] if policy.tls else []
        self._headers = [*SECURITY_HEADERS, *tls]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong behind, it is an answer."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        begun = False

        async def secured(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                ours = {name for name, _ in SECURITY_HEADERS}
                kept = [pair for pair in message["headers"] if pair[0].lower() not in ours]
                message = {**message, "headers": [*kept, *self._headers]}
            await send(message)

        refused = self._refusal(scope)
        if refused is not None:
            await refused(scope, receive, secured)
            return
        try:
            await self._app(scope, _limited(receive), secured)
        except Exception as error:  # a traceback in the log could hold what is private
            logger.error("a page failed: %s", type(error).__name__)
            if not begun:
                answer = _plain("Something went wrong here. Nothing was decided by this.", 500)
                await answer(scope, receive, secured)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        """Return the answer to a request that is not accepted; None if it is."""
        headers = Headers(scope=scope)
        if sum(len(name) + len(value) for name, value in headers.raw) > MAX_HEADERS:
            return _plain("The headers are too large.", 431)
        ours = self._policy.origin(_only(headers, "host"))
        if ours not in self._policy.origins:  # another site's name that leads here: DNS rebinding
            return _plain("Host header not allowed; start the server with --name HOST.", 421)
        if self._policy.token and not self._has_token(_only(headers, "authorization")):
            answer = _plain("This server asks for its token.", 401)
            answer.headers["www-authenticate"] = 'Basic realm="hashmatch", charset="UTF-8"'
            return answer
        below = scope["raw_path"].removeprefix(scope.get("root_path", "").encode())
        if not PATH.match(below):
            return _plain("There is no such page.", 404)
        if len(headers.getlist("cookie")) > 1:
            return _plain("There is more than one cookie header.", 400)
        if scope["method"] in READS:
            return None
        if scope["method"] != "POST":
            return _plain("This server is only read from and posted to.", 405)
        if not _is_from(ours, headers):
            return _plain("This form came from another site.", 403)
        length = _only(headers, "content-length")
        if length and (not length.isdigit() or int(length) > MAX_BODY):
            return _plain("The form is too large.", 413)
        return None

    def _has_token(self, authorization: str) -> bool:
        kind, _, given = authorization.partition(" ")
        if kind.lower() == "basic":
            try:
                decoded = base64.b64decode(given, validate=True).decode()
            except (binascii.Error, ValueError):
                return False
            given = decoded.partition(":")[2]
        elif kind.lower() != "bearer":
            return False
        return hmac.compare_digest(given.encode(), self._policy.token.encode())


def _is_from(ours: str, headers: Headers) -> bool:
    """Return whether the browser says that a page of ours posts, and nothing else.

    It sends Origin with every form, and Sec-Fetch-Site where the way to us is safe, as it is on
    this machine or with TLS. An Origin of "null" is that of a sandboxed or foreign page.
    """
    site, origin = _only(headers, "sec-fetch-site"), _only(headers, "origin")
    return (site or origin) != "" and site in {"", "same-origin"} and origin in {"", ours}


def _only(headers: Headers, name: str) -> str:
    """Return a header; one that is there twice is as good as wrong."""
    values = headers.getlist(name)
    return values[0] if len(values) == 1 else ", ".join(["?"] * len(values))


def _limited(receive: Receive) -> Receive:
    """Return `receive` for bodies of at most `MAX_BODY` bytes, whatever their header says."""
    total = 0

    async def limited() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        if total > MAX_BODY:
            raise HTTPException(413, "The form is too large.")
        return message

    return limited


def _plain(text: str, status: int) -> PlainTextResponse:
    return PlainTextResponse(text + "\n", status)
