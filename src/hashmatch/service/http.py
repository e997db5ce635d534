"""Requests and answers of the service: bodies within limits, forms, JSON. Thin, for it is the cost.

What is not said here is left to the ASGI server.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from hashmatch.records import typed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from hashmatch.service.tokens import Token

    Scope = Mapping[str, Any]
    Receive = Any
    Send = Any

JSON = b"application/json"
PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
MAX_QUERY_FIELDS = 64
MAX_FORM_FIELDS = 16
MAX_JSON = 2**20
"""Bytes of a body that is no picture."""
DISCARD_SECONDS = 3.0
"""For which the body of a request is awaited whose connection ends with the answer."""
MAX_FIELD = 2**16
"""Bytes of a form's field that is no file."""


class HttpError(Exception):
    """A request that is answered with an error.

    Parameters
    ----------
    status : int
        Of HTTP.
    message : str
        For the caller; it holds no hash.
    retry : bool
        Whether the same request may succeed later.
    retry_after : float, optional
        Seconds, for the header of that name.

    Attributes
    ----------
    noted : bool
        Whether the picture is noted, to be checked later.
    """

    def __init__(
        self, status: int, message: str, *, retry: bool = False, retry_after: float | None = None
    ) -> None:
        self.status, self.message = status, message
        self.retry, self.retry_after = retry, retry_after
        self.noted = False
        super().__init__(message)


class Disconnected(Exception):
    """The caller went away before all of the request was there."""


class File(NamedTuple):
    """A file of a form."""

    field: str
    name: str
    media_type: str
    data: bytes


class Form(NamedTuple):
    """What a multipart body holds."""

    fields: dict[str, str]
    files: list[File]


@dataclass(slots=True)
class Request:
    """One request.

    Parameters
    ----------
    scope, receive : object
        Of ASGI.
    max_body : int
        Bytes of its body, beyond which it is refused.
    """

    scope: dict[str, Any]
    receive: Receive
    max_body: int
    token: Token | None = None
    whole: bytes | None = None
    """Its body, where that was there before it was looked at."""
    received: int = 0
    is_read: bool = False
    headers: dict[bytes, bytes] = field(init=False)
    """By name, in lower case; of several of one name, the first."""
    _query: dict[str, str] | None = field(default=None)

    def __post_init__(self) -> None:
        self.headers = dict(reversed(self.scope["headers"]))

    @property
    def query(self) -> dict[str, str]:
        """The fields of its query; of several of one name, the last."""
        if self._query is None:
            raw = self.scope["query_string"]
            if not (b"%" in raw or b"+" in raw) and raw.count(b"&") < MAX_QUERY_FIELDS:
                # The same for what needs no decoding, in a fifth of the time.
                try:
                    fields = raw.decode("ascii").split("&")
                    self._query = dict([part.split("=", 1) for part in fields])
                    return self._query
                except ValueError:  # a field without a value
                    pass
            try:
                pairs = parse_qsl(
                    raw.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS
                )
            except ValueError:
                raise HttpError(400, "cannot read the query: it has too many fields.") from None
            self._query = dict(pairs)
        return self._query

    @property
    def path(self) -> dict[str, Any]:
        """What the route has found in its path."""
        params: dict[str, Any] = self.scope["path_params"]
        return params

    @property
    def host(self) -> str:
        """Whom it is for, in lower case."""
        return self.header(b"host").decode("latin-1").lower()

    def header(self, name: bytes) -> bytes:
        """Return the value of a header, given in lower case; empty if there is none."""
        return self.headers.get(name, b"")

    async def body(self, limit: int | None = None) -> bytes:
        """Return the body, read once.

        Raises
        ------
        HttpError
            413 if it is longer than `limit` bytes, by default than `max_body`; as soon as that is
            known.
        Disconnected
            If the caller went away.
        """
        limit = self.max_body if limit is None else limit
        if self.whole is not None:
            self.received, self.is_read = len(self.whole), True
            if self.received > limit:
                raise _too_large(limit)
            return self.whole
        declared = self.header(b"content-length")
        if declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            part = message.get("body", b"")
            self.received += len(part)
            if self.received > limit:
                raise _too_large(limit)
            if not message.get("more_body", False):
                self.is_read = True
                return b"".join((*parts, part)) if parts else part
            parts.append(part)

    @property
    def is_unread(self) -> bool:
        """Whether some of its body, if it has one by its head, was not read."""
        return not self.is_read and any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
            for name, value in self.scope["headers"]
        )

    @property
    def is_last(self) -> bool:
        """Whether its connection ends with the answer."""
        return self.scope["http_version"] == "1.0" or (
            b"close" in self.header(b"connection").lower()
        )

    async def discard(self) -> None:
        """Read what is left of the body, and forget it, for as long as that may take."""
        limit = 2 * self.max_body
        with suppress(TimeoutError):
            async with asyncio.timeout(DISCARD_SECONDS):
                while not self.is_read and limit > 0:
                    message = await self.receive()
                    limit -= len(message.get("body", b""))
                    self.is_read = not message.get("more_body", False)

    async def json(self, what: Any, limit: int = MAX_JSON) -> Any:
        """Return the body, decoded as a type.

        Raises
        ------
        HttpError
            422 if it is something else.
        """
        return from_json(await self.body(min(limit, self.max_body)), what)

    async def form(self) -> Form:
        """Return what a body of ``multipart/form-data`` holds.

        Raises
        ------
        HttpError
            400 if it is no such body; 413 if it is too large.
        """
        kind = self.header(b"content-type")
        if not kind.lower().startswith(b"multipart/form-data"):
            raise HttpError(400, "Missing multipart/form-data file upload")
        return parse_form(kind, await self.body())


def from_json(body: bytes, what: Any) -> Any:
    """Return a body, decoded as a type; HttpError 422 if it is something else."""
    try:
        return typed.from_json(body, what)
    except msgspec.ValidationError as error:
        raise HttpError(422, f"cannot read the body: {error}.") from None
    except (msgspec.DecodeError, RecursionError):
        raise HttpError(422, "cannot read the body: it is no JSON.") from None


def parse_form(content_type: bytes, body: bytes) -> Form:
    """Return what a multipart body of that type holds; HttpError 400 if it is none."""
    from python_multipart import FormParser
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import parse_options_header

    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise HttpError(400, "cannot read the form: it names no boundary.")
    form = Form({}, [])
    parts = 0

    def count() -> None:
        nonlocal parts
        parts += 1  # those of one name are many, too
        if parts > MAX_FORM_FIELDS:
            raise HttpError(413, "Content too large")

    def on_field(given: Any) -> None:
        count()
        name, value = given.field_name or b"", given.value or b""
        if len(value) > MAX_FIELD:
            raise HttpError(413, "Content too large")
        form.fields[name.decode(errors="replace")] = value.decode(errors="replace")

    def on_file(given: Any) -> None:
        count()
        given.file_object.seek(0)
        data = given.file_object.read()
        kind = getattr(given, "content_type", None) or b""
        kind = kind if isinstance(kind, str) else kind.decode(errors="replace")
        name = (given.field_name or b"").decode(errors="replace")
        form.files.append(File(name, (given.file_name or b"").decode(errors="replace"), kind, data))

    limits = {"MAX_MEMORY_FILE_SIZE": len(body) + 1, "UPLOAD_DIR": None}  # never to the disk
    try:
        parser = FormParser(
            "multipart/form-data", on_field, on_file, boundary=boundary, config=limits
        )
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise HttpError(400, "cannot read the form: it is no multipart/form-data.") from None
    return form


def _too_large(limit: int) -> HttpError:
    return HttpError(413, f"Content too large: at most {limit:,} bytes are read.")


@dataclass(slots=True)
class Response:
    """One answer.

    Parameters
    ----------
    body : bytes
        Whole.
    status : int
        Of HTTP.
    media_type : bytes
        Of the body.
    headers : sequence of (bytes, bytes)
        Besides type and length; names in lower case.
    outcome : str
        What became of a picture, for metrics; empty where there was none.
    """

    body: bytes
    status: int = 200
    media_type: bytes = JSON
    headers: Sequence[tuple[bytes, bytes]] = ()
    outcome: str = ""

    async def send(self, send: Send, *more: tuple[bytes, bytes]) -> None:
        """Send it through ASGI, with more headers."""
        headers = [
            (b"content-type", self.media_type),
            (b"content-length", b"%d" % len(self.body)),
            *self.headers,
            *more,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})

    def encoded(self) -> bytes:
        """Return it as HTTP/1.1 has it, for a connection that stays open."""
        others = b"".join([b"%b: %b\r\n" % header for header in self.headers])
        return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b" % (
            self.status, PHRASES[self.status], self.media_type, len(self.body), others, self.body,
        )  # fmt: skip


class Prepared(Response):
    """An answer that is given many times, for connections that stay open.

    Parameters
    ----------
    response : Response
        The answer.
    """

    __slots__ = ("_encoded",)

    def __init__(self, response: Response) -> None:
        super().__init__(
            response.body, response.status, response.media_type, response.headers, response.outcome
        )
        self._encoded = response.encoded()

    def encoded(self) -> bytes:
        """Return what was encoded before."""
        return self._encoded


class Streamed(Response):
    """An answer whose body is sent as it is made; what goes wrong meanwhile cuts it.

    Parameters
    ----------
    parts : async iterator of bytes
        The body.
    media_type : bytes
        Of it.
    """

    __slots__ = ("_parts",)

    def __init__(self, parts: AsyncIterator[bytes], media_type: bytes) -> None:
        super().__init__(b"", media_type=media_type)
        self._parts = parts

    async def send(self, send: Send, *more: tuple[bytes, bytes]) -> None:
        """Send it through ASGI, with more headers."""
        headers = [(b"content-type", self.media_type), *self.headers, *more]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        async for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def as_json(value: object, status: int = 200, *, ordered: bool = False, **how: Any) -> Response:
    """Return an answer of JSON; `ordered` with the keys of objects in order."""
    return Response((_encode_sorted if ordered else _encode)(value), status, **how)


def flag(text: str | None, *, default: bool = False) -> bool:
    """Return what a field of a query that is yes or no says; ValueError if neither."""
    if text is None:
        return default
    lowered = text.strip().lower()
    if lowered in {"1", "true", "t", "yes", "y", "on"}:
        return True
    if lowered in {"0", "false", "f", "no", "n", "off"}:
        return False
    raise ValueError(text)
