"""Asks the server of an exchange: retries, waits where it asks for it, and words what goes wrong.

What it is asked, and what it answers, is in no message: both may hold credentials or hashes.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from hashmatch._net.addresses import Allowed, Origin
from hashmatch._net.client import Client, Dialer, NoAnswer, NotAllowed, Timeouts
from hashmatch.errors import ExchangeError, UsageError
from hashmatch.interfaces import ExchangeField
from hashmatch.lists.detect import PAGE
from hashmatch.records.typed import from_json
from hashmatch.retry import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from hashmatch._net.client import Answer

T = TypeVar("T")

TIMEOUTS = Timeouts(connect=10.0, read=60.0, total=300.0)
LIMITS = Limits(first_delay=0.5, longest_delay=30.0)
TRIES = 6
"""Of a request that may succeed later: half a minute of pauses at most."""
MAX_WAIT = 300.0
"""Seconds that a server may ask us to wait; after more, the next fetch may."""
MAX_PAGE = 1 << 28
"""Bytes of a page; those of exchanges have some hundred thousand."""
CREDENTIALS, LATER = "credentials", "later"
"""What a refusal may be for, where the body of the answer says so."""


class Refused(ExchangeError):
    """The server refuses what it is asked, credentials apart: a position may be too old for it.

    Parameters
    ----------
    message : str
        What is said of it.
    status : int
        Of the answer.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class BadCredentials(ExchangeError):
    """The server refuses the credentials."""


class Interrupted(ExchangeError):
    """An answer broke off after its beginning was handed over."""


class Unreadable(Exception):
    """An answer that is not what it should be; the message is a reason."""


class _Later(Exception):
    """Another try may succeed, after so many seconds."""

    def __init__(self, reason: str, seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.seconds = seconds


def address_field(default: str) -> ExchangeField:
    """Return the option for another address of a server, which only operators may set."""
    return ExchangeField(
        "url",
        "The address of the API, if it is another than the usual one.",
        required=False,
        default=default,
        over_http=False,
    )


def decode(body: bytes, kind: type[T], whose: str) -> T:
    """Return what a page of JSON says beside its records; Unreadable, which shows nothing of it."""
    try:
        return from_json(body, kind)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise Unreadable(unlike(body, f"a page of {whose}")) from None


def decode_position(position: str, kind: type[T]) -> T | None:
    """Return what was kept of a fetch; None if it cannot be read, and the fetch begins again."""
    try:
        return from_json(position, kind)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def encode_position(position: Any) -> str:
    """Return as text how a fetch continues."""
    return msgspec.json.encode(position).decode()


def unlike(body: bytes, wanted: str) -> str:
    """Return what an answer is that is not as it should be."""
    if not body.strip():
        return "it answered nothing at all"
    if PAGE.match(body[:4096]):
        return f"it answered a web page, perhaps one to log in, in the place of {wanted}"
    return f"what it answered is not {wanted}, or only the beginning of one"


class Api:
    """The server of an exchange.

    Parameters
    ----------
    url : str
        Its address, to which paths are added.
    allow_private : collection of str
        Hosts and networks that may be asked though they are not public.
    explain : callable, optional
        Returns what a refusal is for, of the body of an answer: `CREDENTIALS`, `LATER` or nothing.

    Raises
    ------
    UsageError
        If it cannot be asked.
    """

    def __init__(
        self,
        url: str,
        allow_private: Collection[str] = (),
        explain: Callable[[bytes], str] = lambda body: "",
    ) -> None:
        try:
            origin = Origin.parse(url)
        except ValueError as error:
            raise UsageError(f"cannot use the address of the exchange: {error}") from None
        if not all(32 < ord(character) < 127 for character in url):
            raise UsageError(
                "cannot use the address of the exchange: it has characters to be %-escaped. "
                "Escape them."
            )
        parts = urlsplit(url)
        self.path = parts.path.rstrip("/")
        self.query = parts.query
        self.origin = origin
        self._explain = explain
        self._client = Client(origin, Dialer(Allowed.parse(allow_private)), TIMEOUTS)
        self._random = random.Random()  # noqa: S311  (nobody gains by guessing a pause)

    def __repr__(self) -> str:
        return f"<Api of {self.origin}>"

    def get(
        self, target: str, headers: Mapping[str, str], read: Callable[[bytes], T]
    ) -> tuple[T, bytes]:
        """Return what `read` makes of the body of an answer, and the body.

        `read` may raise `Unreadable`; that is tried again too, since answers get cut.
        """

        def work() -> tuple[T, bytes]:
            with self._send("GET", target, headers) as answer:
                body = self._body(answer)
            return read(body), body

        return self._tried(work)

    def post(
        self, target: str, headers: Mapping[str, str], data: bytes, read: Callable[[bytes], T]
    ) -> T:
        """Return what `read` makes of the answer to some data."""

        def work() -> T:
            with self._send("POST", target, headers, data) as answer:
                return read(self._body(answer))

        return self._tried(work)

    def download(
        self, target: str, headers: Mapping[str, str]
    ) -> tuple[Mapping[str, str], Iterator[bytes]] | None:
        """Return the headers of an answer of any length, and its pieces; None if nothing is new.

        Their iterator raises `Interrupted` if it breaks off.
        """
        answer = self._tried(lambda: self._send("GET", target, headers))
        if answer.status == 304:
            answer.close()
            return None
        return dict(answer.headers.items()), self._pieces(answer)

    def _pieces(self, answer: Answer) -> Iterator[bytes]:
        with answer:
            try:
                yield from answer.stream()
            except NoAnswer as error:
                raise Interrupted(
                    f"cannot fetch from {self.origin.authority}: {error}. Fetch again later"
                ) from None

    def same_origin(self, url: str) -> str:
        """Return path and query of an address that the server names, if it is its own.

        Raises
        ------
        ExchangeError
            If it is another's: nobody else is sent the credentials.
        """
        try:
            origin = Origin.parse(url)
        except ValueError:
            origin = None
        if origin != self.origin:
            raise ExchangeError(
                f"cannot fetch from {self.origin.authority}: it says that the list continues at "
                "another server, which is not asked. Check the address of the exchange"
            )
        parts = urlsplit(url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def bad_credentials(self, status: int) -> ExchangeError:
        """Return what is said of credentials that were answered with a status."""
        return self._error(
            BadCredentials,
            f"it refuses the credentials ({status}): they are wrong, have expired, or are not "
            "good for this. Set new ones (hashmatch list exchange credentials)",
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _tried(self, work: Callable[[], T]) -> T:
        for attempt in range(TRIES):
            try:
                return work()
            except NotAllowed as error:
                raise self._error(ExchangeError, str(error)) from None
            except NoAnswer as error:
                reason, seconds = str(error), 0.0
            except _Later as later:
                reason, seconds = str(later), later.seconds
                if seconds > MAX_WAIT:
                    wait = f"{reason}, and asks for {seconds:,.0f} s without requests"
                    raise self._error(ExchangeError, f"{wait}. Fetch again then") from None
            except Unreadable as error:
                reason, seconds = str(error), 0.0
            if attempt < TRIES - 1:
                time.sleep(max(seconds, LIMITS.delay(attempt, self._random)))
        raise self._error(ExchangeError, f"{reason}, in {TRIES} tries. Fetch again later")

    def _error(self, kind: type[ExchangeError], reason: str) -> ExchangeError:
        return kind(f"cannot fetch from {self.origin.authority}: {reason}")

    def _send(
        self, method: str, target: str, headers: Mapping[str, str], data: bytes = b""
    ) -> Answer:
        """Return an answer of success, whose body is still to be read; raise what another means."""
        answer = self._client.send(method, target, {"Accept": "*/*", **headers}, data)
        status = answer.status
        if status in {200, 304}:
            return answer
        with answer:
            body = answer.body(1 << 16) or b""
        why = self._explain(body)
        if why == LATER or status in {408, 425, 429} or status >= 500:
            what = f"it answers {status}"
            what += ": there were too many requests" if why == LATER or status == 429 else ""
            raise _Later(what, _seconds(answer.headers.get("Retry-After")))
        if why == CREDENTIALS or status in {401, 403}:
            raise self.bad_credentials(status)
        if 300 <= status < 400:
            raise self._error(
                ExchangeError,
                f"it answers with a redirect ({status}), which is not followed. Give the address "
                "that it leads to",
            )
        raise Refused(
            f"cannot fetch from {self.origin.authority}: it refuses the request ({status}). Check "
            "the options of the exchange",
            status,
        )

    def _body(self, answer: Answer) -> bytes:
        body = answer.body(MAX_PAGE)
        if body is None:
            raise self._error(
                ExchangeError, f"a page has more than {MAX_PAGE:,} bytes. Report it to the exchange"
            )
        return body


def _seconds(text: str | None) -> float:
    """Return what Retry-After asks for, as seconds or as a date; 0 if that is neither."""
    if text is None:
        return 0.0
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
