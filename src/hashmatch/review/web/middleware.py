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
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), display-capture=()"),
    (b"x-robots-tag", b"noindex"),
]


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Which hosts and credentials are accepted.

    `hosts` are values of the header Host, lower case, with the port. Every request has to carry
    `token` as bearer token or password of basic authentication, unless it is empty. `tls` says
    whether this server speaks TLS itself.
    """

    hosts: frozenset[str]
    token: str = ""
    tls: bool = False


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
        host = _only(headers, "host").lower()
        if host not in self._policy.hosts:  # another site's name that leads here: DNS rebinding
            return _plain("Host header not allowed; start the server with --name HOST.", 421)
        if self._policy.token and not self._has_token(_only(headers, "authorization")):
            answer = _plain("This server asks for its token.", 401)
            answer.headers["www-authenticate"] = 'Basic realm="hashmatch", charset="UTF-8"'
            return answer
        if not PATH.match(scope["raw_path"]):
            return _plain("There is no such page.", 404)
        if len(headers.getlist("cookie")) > 1:
            return _plain("There is more than one cookie header.", 400)
        if scope["method"] in READS:
            return None
        if scope["method"] != "POST":
            return _plain("This server is only read from and posted to.", 405)
        if not self._is_ours(headers, host):
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

    def _is_ours(self, headers: Headers, host: str) -> bool:
        """Return whether the browser says that one of our pages posts.

        A browser sends Sec-Fetch-Site wherever the way to us is safe, as it is on this machine or
        with TLS. Under our own referrer policy, its Origin of a form is "null" then.
        """
        site, origin = _only(headers, "sec-fetch-site"), _only(headers, "origin").lower()
        if site and site != "same-origin":
            return False
        if not origin or origin == "null":
            return bool(site)
        scheme, separator, where = origin.partition("://")
        schemes = {"https"} if self._policy.tls else {"http", "https"}  # a proxy may speak TLS
        return bool(separator) and scheme in schemes and where == host


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
