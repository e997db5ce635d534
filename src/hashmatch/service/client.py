"""A client of the service's own interface, for programs that wait and for those that do not.

Every request may be sent again, since the same picture has the same record: what fails for now is
tried again, with pauses, for as long as the caller says.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

import httpx
import msgspec

from hashmatch.errors import ServiceError
from hashmatch.retry import Limits
from hashmatch.service.v1 import Checked, Explained, HashQuery, ListsInUse, Looked, Problem

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from hashmatch.records.enums import Surface

MAY_PASS = frozenset({408, 425, 429, 502, 503, 504})
NDJSON = {"content-type": "application/x-ndjson"}
CHANCE = random.Random()  # noqa: S311  (nobody gains by guessing a pause)
PAUSES = Limits(first_delay=0.1, longest_delay=5.0)
T = TypeVar("T")


@dataclass(frozen=True, repr=False)
class _Call(Generic[T]):
    """One request, and what its answer is decoded as."""

    kind: type[T]
    path: str
    content: bytes = b""
    params: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "POST"

    @property
    def sent(self) -> dict[str, Any]:
        """Arguments of httpx."""
        content = {"params": self.params, "content": self.content, "headers": self.headers}
        return {"method": self.method, "url": self.path, **content}

    def tries(self, patience: float) -> Generator[float, httpx.Response | httpx.TransportError, T]:
        """Yield the pause before each try, take what came of it, and return the answer.

        Pauses have full jitter, and are at least as long as the service asks for.
        """
        ends, pause = time.monotonic() + patience, 0.0
        for attempt in count():
            came = yield pause
            asked_for = "0"
            if not isinstance(came, httpx.Response):
                last = type(came).__name__
            elif came.status_code == httpx.codes.OK:
                lines = b"[" + b",".join(came.content.splitlines()) + b"]"
                whole = lines if self.headers == NDJSON else came.content
                return msgspec.json.decode(whole, type=self.kind)
            elif came.status_code not in MAY_PASS:
                raise _refused(came)
            else:
                last, asked_for = str(_refused(came)), came.headers.get("retry-after", "0")
            left = ends - time.monotonic()
            if left <= 0:
                break
            pause = PAUSES.delay(attempt, CHANCE)
            pause = min(left, pause + (int(asked_for) if asked_for.isdecimal() else 0))
        raise ServiceError(f"cannot ask the service: {last}. Try again later.")


def _refused(response: httpx.Response) -> ServiceError:
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
        return ServiceError(f"cannot use the answer {response.status_code}: {problem.message}")
    except msgspec.MsgspecError:
        return ServiceError(
            f"cannot use the answer: status {response.status_code}, no answer of hashmatch. "
            "Check the address."
        )


def _check(
    image: bytes, surface: Surface | str, item_id: str, version: str | None
) -> _Call[Checked]:
    params = {"surface": str(surface), "item_id": item_id, "version": version}
    given = {name: value for name, value in params.items() if value is not None}
    return _Call(Checked, "/v1/check", image, given)


def _match(value: str, algorithm: str) -> _Call[Looked]:
    return _Call(Looked, "/v1/match", msgspec.json.encode(HashQuery(value, algorithm)))


def _many(questions: Iterable[HashQuery]) -> _Call[list[Looked]]:
    lines = b"".join(msgspec.json.encode(each) + b"\n" for each in questions)
    return _Call(list[Looked], "/v1/match", lines, headers=NDJSON)


def _explain(image: bytes, nearest: int) -> _Call[Explained]:
    return _Call(Explained, "/v1/explain", image, {"nearest": nearest})


LISTS = _Call(ListsInUse, "/v1/lists", method="GET")


class _Client:
    """What both clients are made with."""

    _kind: ClassVar[type[httpx.Client] | type[httpx.AsyncClient]]
    _http: Any

    def __init__(
        self, url: str, token: str | None = None, *, timeout: float = 30.0, patience: float = 60.0
    ) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._http = self._kind(base_url=url, headers=headers, timeout=timeout)
        self._patience = patience


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

    _kind = httpx.Client
    _http: httpx.Client

    def check(
        self, image: bytes, *, surface: Surface | str, item_id: str, version: str | None = None
    ) -> Checked:
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
        return self._send(_check(image, surface=surface, item_id=item_id, version=version))

    def match(self, value: str, algorithm: str = "pdq") -> Looked:
        """Return what a hash is near.

        Parameters
        ----------
        value : str
            In hexadecimal.
        algorithm : str
            What it is.
        """
        return self._send(_match(value, algorithm))

    def match_many(self, questions: Iterable[HashQuery]) -> list[Looked]:
        """Return what each hash is near, in order.

        Parameters
        ----------
        questions : iterable of HashQuery
            Up to 10,000.
        """
        return self._send(_many(questions))

    def explain(self, image: bytes, nearest: int = 5) -> Explained:
        """Return why a picture matches, or does not.

        Parameters
        ----------
        image : bytes
            Its file.
        nearest : int
            Entries of each list that are named.
        """
        return self._send(_explain(image, nearest))

    def lists(self) -> ListsInUse:
        """Return the lists in use."""
        return self._send(LISTS)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _send(self, call: _Call[T]) -> T:
        tries = call.tries(self._patience)
        pause = next(tries)
        while True:
            time.sleep(pause)
            came: httpx.Response | httpx.TransportError
            try:
                came = self._http.request(**call.sent)
            except httpx.TransportError as error:
                came = error
            try:
                pause = tries.send(came)
            except StopIteration as answered:
                return cast("T", answered.value)


class AsyncClient(_Client):
    """As `Client`, for asyncio."""

    _kind = httpx.AsyncClient
    _http: httpx.AsyncClient

    async def check(
        self, image: bytes, *, surface: Surface | str, item_id: str, version: str | None = None
    ) -> Checked:
        """As `Client.check`."""
        return await self._send(_check(image, surface=surface, item_id=item_id, version=version))

    async def match(self, value: str, algorithm: str = "pdq") -> Looked:
        """As `Client.match`."""
        return await self._send(_match(value, algorithm))

    async def match_many(self, questions: Iterable[HashQuery]) -> list[Looked]:
        """As `Client.match_many`."""
        return await self._send(_many(questions))

    async def explain(self, image: bytes, nearest: int = 5) -> Explained:
        """As `Client.explain`."""
        return await self._send(_explain(image, nearest))

    async def lists(self) -> ListsInUse:
        """As `Client.lists`."""
        return await self._send(LISTS)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _send(self, call: _Call[T]) -> T:
        tries = call.tries(self._patience)
        pause = next(tries)
        while True:
            await asyncio.sleep(pause)
            came: httpx.Response | httpx.TransportError
            try:
                came = await self._http.request(**call.sent)
            except httpx.TransportError as error:
                came = error
            try:
                pause = tries.send(came)
            except StopIteration as answered:
                return cast("T", answered.value)
