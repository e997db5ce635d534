"""What every handler of the service is given: lists, decoder, tokens, limits, counters."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from msgspec import UNSET
from msgspec.json import encode as encode_json

from hashmatch._files.private import stamp
from hashmatch.errors import StoreError
from hashmatch.service.admission import Admission, Busy, Rates
from hashmatch.service.fetch import check_url
from hashmatch.service.http import HttpError
from hashmatch.service.lookups import Lookups
from hashmatch.service.metrics import Metrics
from hashmatch.service.missed import Refusals
from hashmatch.service.snapshots import LOG
from hashmatch.service.tokens import Scope, Token, digest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from hashmatch.exchanges.config import Exchanges
    from hashmatch.records.images import HashedImage, ImageItem, ItemOutcome
    from hashmatch.records.review import ReviewRecord
    from hashmatch.records.safeguards import Waiver
    from hashmatch.records.videos import HashedVideo
    from hashmatch.sandbox.pool import DecodePool
    from hashmatch.service.fetch import Fetcher
    from hashmatch.service.http import Request
    from hashmatch.service.missed import Journal
    from hashmatch.service.recent import Recent
    from hashmatch.service.review import Review
    from hashmatch.service.snapshots import Snapshot, Snapshots
    from hashmatch.service.tokens import TokenFile

    T = TypeVar("T")

TOKEN_INTERVAL = 1.0
"""Seconds between two looks at the token file."""
MAX_SHOWN, MAX_SHOWN_BYTES = 1000, 128
"""Headers with good tokens that are remembered, and how long one may be."""
FETCHES = 16
"""Pictures that are fetched at a time."""
OTHERS = 4
"""Threads for what is neither a look-up nor about a picture's pixels."""
NO_HASHING = "Hashing is disabled, missing role"
"""What clients of Hasher-Matcher-Actioner look for in a 403."""
TOO_MANY = "cannot answer: too many pictures are waiting."
ANYBODY = Token("anybody", "", (Scope.ADMIN,), "")
"""Who asks a service that asks for no token."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one process of the service takes on.

    Parameters
    ----------
    max_body : int
        Bytes of a picture, or of another body.
    max_waiting : int
        Pictures that may wait for a decoder; more are refused.
    patience : float
        Seconds that one of them may wait.
    """

    max_body: int = 32 * 2**20
    max_waiting: int = 64
    patience: float = 10.0


@dataclass(slots=True)
class Service:
    """One process's part of the service.

    Parameters
    ----------
    snapshots : Snapshots
        The lists.
    pool : DecodePool
        What pictures are decoded with.
    tokens : TokenFile, optional
        Who may ask; None for anybody.
    limits : Limits
        What it takes on.
    access_log : str, optional
        A file that a line is added to for each request.
    fetcher : Fetcher, optional
        What pictures are fetched with.
    review : Review, optional
        Where records are put.
    journal : Journal, optional
        Where pictures are noted that could not be checked.
    recent : Recent, optional
        Where hashes are kept for what lists get later; together with a `review`.
    hosts : frozenset of str, optional
        Names, with port, that requests may be for; None for any. Without tokens, a page of another
        site whose name is made to lead here could ask otherwise.
    waivers : sequence of Waiver
        What protects less than it could.
    rates : Rates
        How many requests each token has left, for all processes of the service.
    exchanges : Exchanges, optional
        Exchanges whose lists are served too.
    description : bytes
        OpenAPI.
    """

    snapshots: Snapshots
    pool: DecodePool
    tokens: TokenFile | None = None
    limits: Limits = field(default_factory=Limits)
    access_log: str | None = None
    fetcher: Fetcher | None = None
    review: Review | None = None
    journal: Journal | None = None
    recent: Recent | None = None
    hosts: frozenset[str] | None = None
    waivers: Sequence[Waiver] = ()
    rates: Rates = field(default_factory=Rates)
    exchanges: Exchanges | None = None
    description: bytes = b"{}"
    metrics: Metrics = field(default_factory=Metrics)
    lookups: Lookups = field(default_factory=Lookups)
    stopping: bool = False
    _tokens: dict[str, Token] = field(default_factory=dict)
    _shown: dict[bytes, Token] = field(default_factory=dict, repr=False)
    """By the header that shows it, since the tokens were read: for no digest at each request."""
    _token_problem: str = ""
    _log: int | None = None
    refusals: Refusals | None = field(init=False, default=None)
    _admission: Admission = field(init=False)
    _fetching: ThreadPoolExecutor = field(init=False)
    _others: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        running = self.pool.workers + 1  # one is hashed while another is decoded
        self._admission = Admission(running, self.limits.max_waiting, self.limits.patience)
        # Slow pictures and slow servers hold up neither metrics nor banks nor the queue.
        self._fetching = ThreadPoolExecutor(max(FETCHES, running), "hashmatch-fetch")
        self._others = ThreadPoolExecutor(OTHERS, "hashmatch-other")
        self.snapshots.changed = self.metrics.snapshot
        if self.journal is not None:
            self.refusals = Refusals(self.journal, TOO_MANY)

    def prepare(self) -> None:
        """Open the log, the tokens and the lists; HashmatchError if that fails."""
        if self.access_log is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            try:
                self._log = os.open(self.access_log, flags, 0o600)
            except OSError as error:
                raise StoreError(
                    f"cannot write the access log {self.access_log}: {error.strerror}. Give "
                    "another file."
                ) from None
        self._read_tokens()
        self.snapshots.open()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run what it needs besides requests: threads, and a look at the tokens now and then."""
        with self.snapshots.watched():
            looking = asyncio.create_task(self._look())
            if self.recent is not None and self.review is not None:
                self.recent.start(self.snapshots, self.review.add, self.metrics)
            try:
                yield
            finally:
                self.stopping = True
                looking.cancel()
                with suppress(asyncio.CancelledError):
                    await looking
                self._admission.close()
                for threads in (self._fetching, self._others):
                    threads.shutdown(wait=True, cancel_futures=True)
                for used in (self.fetcher, self.recent, self.review, self.journal):
                    if used is not None:
                        used.close()  # the journal writes what became of the last pictures
                if self._log is not None:
                    os.close(self._log)

    @property
    def problems(self) -> tuple[str, ...]:
        """What keeps newer lists and tokens from being used; empty if all is well."""
        recent = self.recent.problem if self.recent is not None else ""
        return (*self.snapshots.problems, *filter(None, [self._token_problem, recent]))

    def snapshot(self) -> Snapshot:
        """Return the lists in use; HttpError 503 while there are none."""
        current = self.snapshots.fresh()
        if current is None:
            raise HttpError(503, "index not yet ready", retry=True, retry_after=1)
        return current

    def authorize(self, request: Request, scope: Scope) -> Token:
        """Return whose request it is.

        Raises
        ------
        HttpError
            401 without a token that is known, 403 if it is not good for that, 429 if its holder
            asks too often.
        """
        if self.hosts is not None and request.host not in self.hosts:
            raise HttpError(421, "cannot answer: the Host is not allowed. Start it with --name.")
        if self.tokens is None:
            return ANYBODY
        token = self._holder(request.header(b"authorization"))
        if not token.allows(scope):
            lacks = f"the token has no scope {scope}."
            text = f"{NO_HASHING}: {lacks}" if scope is Scope.HASH else f"cannot answer: {lacks}"
            raise HttpError(403, text)
        if token.rate is not None and (wait := self.rates.take(token.number, token.rate)):
            raise HttpError(
                429, "cannot answer: the token's limit of requests a second is reached.",
                retry=True, retry_after=wait,
            )  # fmt: skip
        return token

    def _holder(self, authorization: bytes) -> Token:
        """Return whose token a header shows; HttpError 401 if it is none."""
        token = self._shown.get(authorization)
        if token is not None:
            return token
        kind, _, secret = authorization.partition(b" ")
        if kind.lower() == b"bearer":
            token = self._tokens.get(digest(secret.strip()))
        if token is None:
            raise HttpError(
                401,
                "cannot answer: this token is not known; it may have been revoked. Make one with "
                "hashmatch token add."
                if secret.strip()
                else "cannot answer without a token. Send Authorization: Bearer TOKEN.",
            )
        if len(authorization) <= MAX_SHOWN_BYTES:
            if len(self._shown) >= MAX_SHOWN:
                self._shown.clear()  # one token can be written in many ways
            self._shown[authorization] = token
        return token

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another picture now."""
        return self._admission.is_full

    @property
    def expected_wait(self) -> float:
        """Seconds until there is room for another picture."""
        return self._admission.expected_wait

    def announce(self) -> None:
        """Keep room for a picture that was let in, whose task has not begun."""
        self._admission.coming += 1
        self.metrics.in_flight(self._admission.taken)

    def arrived(self) -> None:
        """Give that room back: its task takes it now."""
        self._admission.coming -= 1

    async def with_picture(
        self, read: Callable[[], Awaitable[bytes]], work: Callable[[bytes], T]
    ) -> T:
        """Read a picture and work on it in a thread, if there is room.

        Raises
        ------
        HttpError
            503 if there is none, at once or after the time that one may wait; while it stops.
        """
        if self.stopping:
            raise HttpError(503, "cannot answer: the service stops.", retry=True, retry_after=1)
        try:
            with self._admission.place():
                self.metrics.in_flight(self._admission.taken)
                data = await read()
                return await self._admission.work(lambda: work(data))
        except Busy as busy:
            raise too_many(busy.seconds) from None
        finally:
            self.metrics.in_flight(self._admission.taken)

    async def fetch(self, url: str) -> bytes:
        """Return the picture at an address; HttpError if it may not be, or cannot be, fetched."""
        if self.fetcher is None:
            check_url(url)
            raise HttpError(403, f"{NO_HASHING}: addresses are fetched only below --fetch-from.")
        fetcher = self.fetcher
        return await asyncio.get_running_loop().run_in_executor(self._fetching, fetcher.read, url)

    async def keep(self, record: ReviewRecord) -> ReviewRecord:
        """Put a record into the review queue, if there is one, before the answer is sent.

        Returns what is answered: without the picture's own hash, which is for the queue alone.
        """
        if self.review is None:
            return record
        review = self.review
        await self.in_thread(lambda: review.add(record))
        return replace(record, hash=replace(record.hash, value=UNSET))

    async def remember(
        self,
        snapshot: Snapshot,
        item: ImageItem,
        hashed: Sequence[HashedImage | HashedVideo],
        result: ReviewRecord | ItemOutcome,
    ) -> None:
        """Keep a picture's hashes for what lists get later, if that was asked for."""
        if self.recent is not None:
            kept = self.recent.remember(snapshot, item, hashed, result)
            if kept is not None:
                await asyncio.wrap_future(kept)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do what takes longer than a look-up in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._others, work)

    def note(self, request: Request, route: str, status: int, seconds: float) -> None:
        """Count an answered request, and log it: no hash, key or address of a picture."""
        self.metrics.request(route, status, seconds)
        if self._log is not None:
            line = {
                "at": datetime.now(UTC),
                "route": route,
                "method": request.scope["method"],
                "status": status,
                "ms": round(seconds * 1000, 3),
                "received": request.received,
                "token": request.token.name if request.token else None,
            }
            try:
                os.write(self._log, encode_json(line) + b"\n")
            except OSError:  # a full disk is no reason not to answer
                self.metrics.lost_line()

    def _read_tokens(self) -> None:
        if self.tokens is None:
            return
        self._tokens = {token.digest: token for token in self.tokens.read()}
        self._shown.clear()

    async def _look(self) -> None:
        """Read the token file when it has changed; note what is wrong with lists."""
        path = None if self.tokens is None else self.tokens.path
        seen = stamp(path) if path else ()
        while True:
            await asyncio.sleep(TOKEN_INTERVAL)
            self.metrics.problems(len(self.problems))
            found = stamp(path) if path else ()
            if found == seen:
                continue
            try:
                self._read_tokens()
                seen, self._token_problem = found, ""
            except StoreError as error:
                if not self._token_problem:
                    LOG.error("tokens are as before: %s", error)
                self._token_problem = f"tokens are as before: {error}"


def too_many(seconds: float) -> HttpError:
    """Return what a picture is refused with that there is no room for."""
    return HttpError(503, TOO_MANY, retry=True, retry_after=seconds)
