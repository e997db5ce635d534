"""A client of the service's own interface, for programs that wait and for those that do not.

Every request may be sent again, since the same picture has the same record: what fails for now is
tried again, with pauses, for as long as the caller says.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import httpx
import msgspec

from hashmatch.errors import ServiceError
from hashmatch.service.v1 import Checked, Explained, HashQuery, ListsInUse, Looked, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashmatch.records.enums import Surface

MAY_PASS = frozenset({408, 425, 429, 502, 503, 504})
NDJSON = {"content-type": "application/x-ndjson"}
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


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
    def arguments(self) -> dict[str, Any]:
        """Of one try."""
        sent = {"params": self.params, "content": self.content, "headers": self.headers}
        return {"method": self.method, "url": self.path, **sent}


class _Requests:
    """What both clients have in common: requests, answers, and pauses between tries."""

    def __init__(self, url: str, token: str | None, timeout: float, patience: float) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._options: dict[str, Any] = {"base_url": url, "headers": headers, "timeout": timeout}
        self._patience = patience

    def _pauses(self) -> Iterator[float]:
        """Yield a pause before each further try, until patience is over: full jitter."""
        ends, longest = time.monotonic() + self._patience, _FIRST_PAUSE
        while (left := ends - time.monotonic()) > 0:
            yield min(left, random.uniform(0, longest))  # noqa: S311 - no secret
            longest = min(_LONGEST_PAUSE, 2 * longest)

    @staticmethod
    def _answer(call: _Call[T], response: httpx.Response) -> T | None:
        """Return what was answered; None if it may be tried again."""
        if response.status_code == httpx.codes.OK:
            lines = b"[" + b",".join(response.content.splitlines()) + b"]"
            whole = lines if call.headers == NDJSON else response.content
            return msgspec.json.decode(whole, type=call.kind)
        if response.status_code in MAY_PASS:
            return None
        raise _refused(response)


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


class Client(_Requests):
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

    def __init__(
        self, url: str, token: str | None = None, *, timeout: float = 30.0, patience: float = 60.0
    ) -> None:
        super().__init__(url, token, timeout, patience)
        self._http = httpx.Client(**self._options)

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
        last, pauses = "no answer", self._pauses()
        while True:
            try:
                response = self._http.request(**call.arguments)
                if (answer := self._answer(call, response)) is not None:
                    return answer
                last = str(_refused(response))
            except httpx.TransportError as error:
                last = type(error).__name__
            pause = next(pauses, None)
            if pause is None:
                raise ServiceError(f"cannot ask the service: {last}. Try again later.")
            time.sleep(pause)


class AsyncClient(_Requests):
    """As `Client`, for asyncio."""

    def __init__(
        self, url: str, token: str | None = None, *, timeout: float = 30.0, patience: float = 60.0
    ) -> None:
        super().__init__(url, token, timeout, patience)
        self._http = httpx.AsyncClient(**self._options)

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

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _send(self, call: _Call[T]) -> T:
        last, pauses = "no answer", self._pauses()
        while True:
            try:
                response = await self._http.request(**call.arguments)
                if (answer := self._answer(call, response)) is not None:
                    return answer
                last = str(_refused(response))
            except httpx.TransportError as error:
                last = type(error).__name__
            pause = next(pauses, None)
            if pause is None:
                raise ServiceError(f"cannot ask the service: {last}. Try again later.")
            await asyncio.sleep(pause)
