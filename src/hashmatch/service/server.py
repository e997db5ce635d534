"""Binds and serves: one socket, processes that answer at it, each with its own decoders."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
import uuid
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from hashmatch._net.listening import (
    LOCAL_NAMES,
    check_files,
    check_options,
    family,
    in_url,
    is_loopback,
    listening,
)
from hashmatch.errors import HashmatchError, UsageError, install
from hashmatch.records.safeguards import Safeguard, waive, waivers
from hashmatch.service.admission import Rates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    import uvicorn

    from hashmatch.review.web.server import Serving as PageServing
    from hashmatch.sandbox.pool import DecodePool
    from hashmatch.service.page import Page
    from hashmatch.service.service import Limits
    from hashmatch.service.snapshots import Snapshots

LOG = logging.getLogger("hashmatch.service.server")
"""Without a handler of the host, its warnings go to standard error."""
BACKLOG = 2048
RESTART_SECONDS = 1.0
"""A process that ends is started again, but no more often than this."""
SWITCH_SECONDS = 0.0005
"""That a thread which hashes a picture waits at most while another answers requests; at Python's
own 5 ms, it would wait for longer than it works."""
REASON = "reason"
"""A file beside the metrics: why a process could not begin."""
STOP_SECONDS = 30
"""Seconds that requests which are being answered have when it is stopped."""


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the service is, and what it does.

    Parameters
    ----------
    snapshots : callable
        Returns the lists of one process, not started, given its `DecodePool`; called in each.
    host : str
        An address of this machine.
    port : int
        0 for one that is free.
    workers : int
        Processes that answer.
    decoders : int
        Processes that decode pictures, of each of them.
    tokens : str, optional
        A token file, see `hashmatch.service.tokens`. Without one anybody on this machine may ask,
        and nobody else.
    tls_cert, tls_key : str, optional
        PEM files to speak TLS with.
    client_ca : str, optional
        A PEM file: only callers with a certificate by this authority are answered.
    names : sequence of str
        Host names of this server, with ``https://`` where a proxy in front of it speaks TLS.
    limits : Limits, optional
        What one process takes on.
    fetch_from : sequence of str
        Prefixes of addresses that pictures are fetched from.
    allow_private : sequence of str
        Hosts and networks that may be asked though they are not public.
    review : str, optional
        A review queue.
    source : str
        The source of the pictures, for the queue.
    review_page : bool
        Whether people review that queue below ``/review``, on a page with its own log-in.
    pictures : sequence of str
        Sources that the page shows pictures from, and no others; by default `source`.
    drafts : str, optional
        A folder with folders of drafts, which reviewers read and sign on the page.
    page_token : str, optional
        A file with a token that every request of the page has to carry besides a log-in.
    missed : str, optional
        A database of what could not be checked, see `hashmatch.service.missed`.
    keep_missed_bytes : bool
        Whether that has the pictures too.
    recent : str, optional
        A database of hashes of the last pictures, see `hashmatch.service.recent`; needs a `review`.
    recent_for : timedelta
        How long they are kept.
    recent_items : int
        How many pictures' are kept.
    recent_key : str, optional
        A file with the key that they are encrypted with; by default HASHMATCH_RECENT_KEY has it.
    access_log : str, optional
        A file for a line of JSON for each request.
    exchanges : str, optional
        The folder of exchanges whose lists are served too, see `hashmatch.exchanges.config`.
    """

    snapshots: Callable[[DecodePool], Snapshots]
    host: str = "127.0.0.1"
    port: int = 8480
    workers: int = 1
    decoders: int = 1
    tokens: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    client_ca: str | None = None
    names: Sequence[str] = ()
    limits: Limits | None = None
    fetch_from: Sequence[str] = ()
    allow_private: Sequence[str] = ()
    review: str | None = None
    source: str = ""
    review_page: bool = False
    pictures: Sequence[str] = ()
    drafts: str | None = None
    page_token: str | None = None
    missed: str | None = None
    keep_missed_bytes: bool = False
    recent: str | None = None
    recent_for: timedelta = timedelta(hours=1)
    recent_items: int = 100_000
    recent_key: str | None = None
    access_log: str | None = None
    exchanges: str | None = None
    _stack: ExitStack = field(default_factory=ExitStack)
    _rates: Rates = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rates", Rates(is_shared=self.workers > 1))
        check_options(self.tls_cert, self.tls_key, self.client_ca)
        check_files(self.tls_cert, self.tls_key, self.client_ca)  # each process reads them again
        self._check_page()
        if self.recent is not None:
            if self.review is None:
                raise UsageError(
                    "cannot keep recent hashes: what is found later has no place. Give --review."
                )
            from hashmatch.service.recent import recent_key

            recent_key(self.recent_key)
        if self.is_local:
            return
        if not self.tokens and not self.client_ca:
            raise UsageError(
                f"cannot serve on {self.host}: others can reach it. Give --tokens or --client-ca."
            )
        if not self.tls_cert and not any(name.startswith("https://") for name in self.names):
            waive(
                Safeguard.TLS,
                f"serve on {self.host}",
                "tokens and pictures would be sent unencrypted",
                error=UsageError,
                advice="Give --tls-cert and --tls-key, or --name https://HOST if a proxy has TLS",
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return is_loopback(self.host)
        except ValueError:
            raise UsageError(
                f"cannot serve on {self.host!r}: it is no address. Give one of this machine."
            ) from None

    def bound(self) -> socket.socket:
        """Return a socket that listens at the address; UsageError if it cannot."""
        unbound = socket.socket(family(self.host), socket.SOCK_STREAM)
        return listening(unbound, self.host, self.port, BACKLOG)

    def hosts(self, port: int) -> frozenset[str] | None:
        """Return the names that requests may be for; None for any."""
        if self.tokens or self.client_ca:
            return None
        given = {name.removeprefix("https://").lower() for name in self.names}
        names = {*LOCAL_NAMES, in_url(self.host)}
        default = names if port == (443 if self.tls_cert else 80) else set()
        return frozenset({f"{name}:{port}" for name in names} | default | given)

    def _check_page(self) -> None:
        if not self.review_page:
            if self.pictures or self.page_token or self.drafts:
                raise UsageError(
                    "cannot use --pictures, --drafts and --page-token: there is no page. Give "
                    "--review-page."
                )
            return
        if self.review is None:
            raise UsageError("cannot serve the page: there is no queue. Give --review.")
        if self.workers > 1:
            raise UsageError(
                "cannot serve the page with several workers: who is logged in is known to one. "
                "Give --workers 1, or run hashmatch review serve beside it."
            )
        if not self.is_local and not (self.page_token or self.client_ca):
            raise UsageError(
                f"cannot serve the page on {self.host}: others can reach it. Give --page-token or "
                "--client-ca."
            )
        try:
            self._page_serving()
        except ImportError:
            raise UsageError(
                f"cannot serve the page: a part of it is not installed. {install('review')}"
            ) from None
        from hashmatch.review.queue import ReviewQueue

        with ReviewQueue.open(self.review) as queue:
            if not queue.reviewers.list():
                raise UsageError(
                    "cannot serve the page: there are no reviewers. Run hashmatch review reviewer "
                    "add."
                )

    def _page_serving(self) -> PageServing:
        from hashmatch.review.web.server import Serving as PageServing

        return PageServing(
            host=self.host,
            port=self.port,
            names=tuple(self.names),
            token_file=self.page_token,
            tls_cert=self.tls_cert,
            tls_key=self.tls_key,
            client_ca=self.client_ca,
            pictures=tuple(self.pictures) or ((self.source,) if self.source else ()),
            allow_private=tuple(self.allow_private),
            drafts=self.drafts,
        )

    def page(self, port: int) -> Page | None:
        """Return the review page, if it is a part of the service."""
        if not self.review_page or self.review is None:
            return None
        from hashmatch.service.page import Page

        return Page(self.review, self._page_serving(), port)

    def server(self, process: str, port: int) -> uvicorn.Server:
        """Return what answers in one process, to be run with ``run([socket])``."""
        import ssl

        import uvicorn

        from hashmatch.exchanges.config import Exchanges
        from hashmatch.sandbox.pool import DecodePool
        from hashmatch.service.app import application
        from hashmatch.service.connections import Protocol
        from hashmatch.service.fetch import Fetcher
        from hashmatch.service.missed import Journal
        from hashmatch.service.recent import Recent, recent_key
        from hashmatch.service.review import Review
        from hashmatch.service.service import Limits, Service
        from hashmatch.service.tokens import TokenFile

        pool = self._stack.enter_context(DecodePool(self.decoders))
        limits = self.limits or Limits()
        service = Service(
            self.snapshots(pool),
            pool,
            TokenFile(self.tokens) if self.tokens else None,
            limits,
            self.access_log,
            Fetcher(self.fetch_from, self.allow_private, limits.max_body)
            if self.fetch_from
            else None,
            Review(self.review, self.source) if self.review else None,
            Journal(self.missed, process, keep_bytes=self.keep_missed_bytes)
            if self.missed
            else None,
            Recent(self.recent, recent_key(self.recent_key), self.recent_for, self.recent_items)
            if self.recent
            else None,
            self.hosts(port),
            waivers(),
            self._rates,
            Exchanges(self.exchanges) if self.exchanges else None,
        )
        service.prepare()
        config = uvicorn.Config(
            application(service, self.page(port)),
            http=Protocol,
            ws="none",
            loop="uvloop",
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=STOP_SECONDS,
            backlog=BACKLOG,
            ssl_certfile=self.tls_cert,
            ssl_keyfile=self.tls_key,
            ssl_ca_certs=self.client_ca,
            ssl_cert_reqs=ssl.CERT_REQUIRED if self.client_ca else ssl.CERT_NONE,
        )
        config.load()
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.collect()
        gc.freeze()  # what is loaded stays: to look through it takes as long as many requests
        return uvicorn.Server(config)


def serve(serving: Serving, started: Callable[[int], None] = lambda port: None) -> None:
    """Serve until the process is stopped; requests that have begun are answered first.

    Parameters
    ----------
    serving : Serving
        What is served, and where.
    started : callable
        Called with the port before the first request is answered.

    Raises
    ------
    UsageError
        If the address is taken.
    """
    with serving.bound() as bound:
        port = bound.getsockname()[1]
        with _noting(serving.missed):
            if serving.workers == 1:
                with _ended_by(signal.SIGTERM) as stop:
                    _answer(serving, bound, uuid.uuid4().hex, stop, lambda: started(port))
            else:
                _supervise(serving, bound, lambda: started(port))


class _Stop:
    """What ends a process that answers when a signal comes, whatever it is doing then.

    uvicorn takes signals only while it runs, and sends itself the one that stopped it again.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self.server: uvicorn.Server | None = None

    def __call__(self, number: int, frame: object) -> None:
        self.is_asked = True
        if self.server is not None:
            self.server.should_exit = True
        else:
            sys.exit(0)  # some code that is called may keep it to itself: `is_asked` stays


@contextmanager
def _ended_by(*signals: signal.Signals) -> Iterator[_Stop]:
    """Have signals end what is done here as if it was done."""
    stop = _Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # to others no signal comes
        return
    before = {each: signal.signal(each, stop) for each in signals}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _answer(
    serving: Serving,
    bound: socket.socket,
    name: str,
    stop: _Stop,
    started: Callable[[], None] = lambda: None,
) -> None:
    """Answer in this process until it is stopped; UsageError if it cannot start."""
    with serving._stack:
        server = stop.server = serving.server(name, bound.getsockname()[1])
        if stop.is_asked:
            return
        started()
        with suppress(SystemExit):  # of uvicorn, which has logged why it could not start
            server.run([bound])
        if not server.started and not stop.is_asked:
            raise UsageError("cannot serve: a part of it could not be started. See its log.")


def _noting(path: str | None) -> AbstractContextManager[object]:
    """Hold the lock that says that a service uses a database of missed pictures."""
    from hashmatch.service.missed import in_use

    return nullcontext() if path is None else in_use(path)


def _abandon(path: str, process: str) -> None:
    from hashmatch.service.missed import MissedItems

    missed = MissedItems(path)
    missed.abandon(process)
    missed.close()


def _supervise(serving: Serving, bound: socket.socket, started: Callable[[], None]) -> None:
    """Keep `workers` processes answering at one socket; a dead one is replaced."""
    from hashmatch.service.metrics import share_between_processes

    folder = share_between_processes()
    children: dict[int, tuple[str, float]] = {}
    stop = threading.Event()
    is_first, failed = True, ""  # what keeps the first process from beginning is there to stay
    alive = os.pipe()  # it ends when this process does, however that comes

    def on_signal(number: int, frame: object) -> None:
        stop.set()
        for pid in tuple(children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    try:
        for _ in range(serving.workers):
            _start(serving, bound, children, alive, stop, folder)
        started()
        while children:
            pid, _ = os.wait()
            name, since = children.pop(pid)
            _forget(folder, pid)
            if serving.missed is not None:
                _abandon(serving.missed, name)
            if not stop.is_set():
                reason = _reason(folder)
                LOG.warning("a process of the service ended, and is replaced. %s", reason)
                if reason and is_first:
                    on_signal(signal.SIGTERM, None)
                    failed = reason
                is_first = False
                stop.wait(max(0.0, RESTART_SECONDS - (time.monotonic() - since)))
                _start(serving, bound, children, alive, stop, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if failed:
        raise UsageError(failed)


def _reason(folder: str) -> str:
    """Return why a process could not begin, and forget it; empty if it ended otherwise."""
    path = os.path.join(folder, REASON)
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
    finally:
        with suppress(OSError):
            os.unlink(path)


def _start(
    serving: Serving,
    bound: socket.socket,
    children: dict[int, tuple[str, float]],
    alive: tuple[int, int],
    stop: threading.Event,
    folder: str,
) -> None:
    """Start a process that answers, unless the service is stopping."""
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # none comes between fork and its note
    try:
        if not stop.is_set():
            _fork(serving, bound, children, alive, signals, folder)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)


def _fork(
    serving: Serving,
    bound: socket.socket,
    children: dict[int, tuple[str, float]],
    alive: tuple[int, int],
    signals: set[signal.Signals],
    folder: str,
) -> None:
    name = uuid.uuid4().hex
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with _ended_by(*signals) as stop:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
                reading, writing = alive
                os.close(writing)
                threading.Thread(target=_end_with_parent, args=(reading,), daemon=True).start()
                _answer(serving, bound, name, stop)
            code = 0
        except SystemExit:  # it was stopped before it answered
            code = 0
        except HashmatchError as error:
            with open(os.path.join(folder, REASON), "w") as file:
                file.write(str(error))
        finally:
            sys.stderr.flush()
            os._exit(code)
    children[pid] = name, time.monotonic()


def _end_with_parent(alive: int) -> None:
    """Stop when the process that started this one is gone: nobody would stop it later."""
    os.read(alive, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _forget(folder: str, pid: int) -> None:
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
