"""A client of the service's own interface, for programs that wait and for those that do not.

Every request may be sent again, since the same picture has the same record: what fails for now is
tried again, with pauses, for as long as the caller says.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeAlias, TypeVar

import httpx
import msgspec
from msgspec.json import Encoder

from hashmatch.errors import ServiceError
from hashmatch.records.typed import json_decoder
from hashmatch.retry import Limits
from hashmatch.service.v1 import Checked, Explained, HashQuery, ListsInUse, Looked, Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from hashmatch.records.enums import Surface

MAY_PASS = frozenset({408, 425, 429, 502, 503, 504})
NDJSON = "application/x-ndjson"
CHANCE = random.Random()  # noqa: S311  (nobody gains by guessing a pause)
PAUSES = Limits(first_delay=0.1, longest_delay=5.0)
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class _Call(Generic[T]):
    """One request, and what decodes its answer."""

    decode: Callable[[bytes], T]
    method: str
    path: str
    more: dict[str, Any] = field(default_factory=dict)


def _refused(response: httpx.Response) -> ServiceError:
    try:
        problem = json_decoder(Problem).decode(response.content)
        return ServiceError(f"cannot use the answer {response.status_code}: {problem.message}")
    except msgspec.MsgspecError:
        return ServiceError(
            f"cannot use the answer: status {response.status_code}, no answer of hashmatch. "
            "Check the address."
        )


class _Calls:
    """What a service can be asked: said once, and sent by both clients."""

    def check(
        self, image: bytes, *, surface: Surface | str, item_id: str, version: str | None = None
    ) -> _Call[Checked]:
        """Return what became of a picture.

        Parameters
        ----------
        image : bytes
            Its file, as it was uploaded.
        surface : Surface or str
            Where it was published.
        item_id : str
            What its record calls it.
        version : str, optional
            Changes when the content does; by default a digest of it.

        Raises
        ------
        ServiceError
            If it is refused, or could not be checked in time.
        """
        params = {"surface": str(surface), "item_id": item_id, "version": version}
        given = {name: value for name, value in params.items() if value is not None}
        return _Call(
            json_decoder(Checked).decode, "POST", "/v1/check", {"content": image, "params": given}
        )

    def match(self, value: str, algorithm: str = "pdq") -> _Call[Looked]:
        """Return what a hash is near.

        Parameters
        ----------
        value : str
            In hexadecimal.
        algorithm : str
            What it is.
        """
        content = Encoder().encode(HashQuery(value, algorithm))
        return _Call(json_decoder(Looked).decode, "POST", "/v1/match", {"content": content})

    def match_many(self, questions: Iterable[HashQuery]) -> _Call[list[Looked]]:
        """Return what each hash is near, in order.

        Parameters
        ----------
        questions : iterable of HashQuery
            Up to 10,000.
        """
        more = {"content": Encoder().encode_lines(questions), "headers": {"content-type": NDJSON}}
        return _Call(json_decoder(Looked).decode_lines, "POST", "/v1/match", more)

    def explain(self, image: bytes, nearest: int = 5) -> _Call[Explained]:
        """Return why a picture matches, or does not.

        Parameters
        ----------
        image : bytes
            Its file.
        nearest : int
            Entries of each list that are named.
        """
        more = {"content": image, "params": {"nearest": nearest}}
        return _Call(json_decoder(Explained).decode, "POST", "/v1/explain", more)

    def lists(self) -> _Call[ListsInUse]:
        """Return the lists in use."""
        return _Call(json_decoder(ListsInUse).decode, "GET", "/v1/lists")


class _Client:
    """What both clients do: what one waits for in a call, the other awaits."""

    _kind: type[httpx.Client] | type[httpx.AsyncClient]
    _sleep: Callable[[float], Awaitable[None] | None]

    def __init__(
        self, url: str, token: str | None = None, *, timeout: float = 30.0, patience: float = 60.0
    ) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http: Any = self._kind(base_url=url, headers=headers, timeout=timeout)
        self._patience = patience

    async def _send(self, call: _Call[T]) -> T:
        """Send a call, again while what fails may pass, and return its answer.

        Pauses have full jitter, and are at least as long as the service asks for.
        """
        ends, count = time.monotonic() + self._patience, 0
        while True:
            try:
                came = self._http.request(call.method, call.path, **call.more)
                response = came if isinstance(came, httpx.Response) else await came
            except httpx.TransportError as error:
                reason, least = type(error).__name__, "0"
            else:
                if response.status_code == httpx.codes.OK:
                    return call.decode(response.content)
                if response.status_code not in MAY_PASS:
                    raise _refused(response)
                reason, least = str(_refused(response)), response.headers.get("retry-after", "0")
            if (left := ends - time.monotonic()) <= 0:
                raise ServiceError(f"cannot ask the service: {reason}. Try again later.")
            pause = PAUSES.delay(count, CHANCE) + (int(least) if least.isdecimal() else 0)
            if (slept := self._sleep(min(left, pause))) is not None:
                await slept
            count += 1


_Make: TypeAlias = "Callable[Concatenate[Any, P], _Call[T]]"


def _waits(make: _Make[P, T]) -> Callable[Concatenate[Client, P], T]:
    """Return a method that sends a call, and returns its answer."""

    @wraps(make)
    def method(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            self._send(make(self, *args, **kwargs)).send(None)  # to its end: it awaits nothing
        except StopIteration as end:
            answer: T = end.value
            return answer
        raise AssertionError

    return method


def _awaits(make: _Make[P, T]) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """Return a coroutine method that sends a call, and returns its answer."""

    @wraps(make)
    async def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._send(make(self, *args, **kwargs))

    return method


class Client(_Client):
    """Asks a service, and waits for its answers; used by many threads.

    Parameters
    ----------
    url : str
        Of the service, ``http://127.0.0.1:8480``.
    token : str, optional
        What it knows the caller by.
    timeout : float
        Seconds for one try.
    patience : float
        Seconds for which what fails for now is tried again.

    Examples
    --------
    >>> with Client("http://127.0.0.1:8480", token="hm_...") as client:  # doctest: +SKIP
    ...     client.check(data, surface="profile_photo", item_id="user/42").outcome
    """

    _kind, _sleep = httpx.Client, staticmethod(time.sleep)
    check = _waits(_Calls.check)
    match = _waits(_Calls.match)
    match_many = _waits(_Calls.match_many)
    explain = _waits(_Calls.explain)
    lists = _waits(_Calls.lists)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncClient(_Client):
    """As `Client`, for asyncio."""

    _kind, _sleep = httpx.AsyncClient, staticmethod(asyncio.sleep)
    check = _awaits(_Calls.check)
    match = _awaits(_Calls.match)
    match_many = _awaits(_Calls.match_many)
    explain = _awaits(_Calls.explain)
    lists = _awaits(_Calls.lists)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()
