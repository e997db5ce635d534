"""The engine ``dask://HOST:PORT``: the workers of a Dask scheduler (extra ``dask``).

A worker is asked first whether it can do parts: whether it has this version of hashmatch, the lists
in their versions, the source and the state. Only those are given any. Dask runs the tasks of a
worker that dies elsewhere, and ends one whose workers died three times with KilledWorker; that is
tried again here, and so are tasks that are lost with a scheduler.
"""

from __future__ import annotations

import gc
import logging
import time
from contextlib import suppress
from typing import Any

import msgspec

from hashmatch._net.addresses import Origin
from hashmatch.errors import EngineError, UsageError, install
from hashmatch.records.safeguards import Safeguard, waive
from hashmatch.scan.parts import worker
from hashmatch.scan.parts.worker import Answer, Job

LOG = logging.getLogger("hashmatch.scan")
AHEAD = 2
"""Parts given to the scheduler for each thread of its workers: the next one is there at once."""
LOOK_EVERY = 2.0
"""Seconds between two looks at which workers there are."""
ANSWER_SECONDS = 15.0
"""Seconds for a scheduler to answer, or it is lost."""
POLL = 0.05
RECONNECT = 60.0
"""Seconds for which a scheduler that is lost is looked for, as long as a new one takes to start."""
WITHOUT_WORKERS = 60.0
"""Seconds for which parts wait for a worker that can do them."""
LOST = "its worker, or the scheduler, was lost"


class DaskEngine:
    """Gives parts to the workers of a scheduler; see `Engine`.

    Parameters
    ----------
    scheduler : str
        Its HOST:PORT.
    job : Job
        What the parts are of.

    Raises
    ------
    UsageError
        If Dask is not installed, or it would be spoken to without TLS and that is not allowed.
    EngineError
        If the scheduler does not answer.
    """

    def __init__(self, scheduler: str, job: Job) -> None:
        try:
            import distributed
        except ImportError:
            raise UsageError(f"cannot use Dask: it is not installed. {install('dask')}") from None
        self._dask: Any = distributed
        self._scheduler = scheduler
        self._address = f"{self._scheme(scheduler)}://{scheduler}"
        self._job: dict[str, Any] = msgspec.to_builtins(job)
        self._name = job.scan
        self._number = 0
        self._parts: dict[tuple[int, bool], tuple[Any, frozenset[str]]] = {}
        self._asked: dict[str, Any] = {}
        self._fit: dict[str, int] = {}
        self._unfit: dict[str, str] = {}
        self._looked_at, self._fit_at = 0.0, time.monotonic()
        self._lost: list[Answer] = []
        self._quiet = _Quiet()
        self._client = self._connect(10.0)

    @staticmethod
    def _scheme(scheduler: str) -> str:
        """Return how the scheduler is spoken to: with TLS if Dask is configured for it."""
        import dask

        if dask.config.get("distributed.comm.tls.ca-file", None):
            return "tls"
        try:
            origin = Origin.parse(f"http://{scheduler}")
        except ValueError as error:
            raise UsageError(f"cannot use dask://{scheduler}: {error}") from None
        if not origin.is_loopback:
            waive(
                Safeguard.TLS,
                f"use dask://{scheduler}",
                f"{scheduler} is spoken to without TLS, and whoever reaches it can run programs on "
                "its workers",
                error=UsageError,
                advice="Configure distributed.comm.tls of Dask",
            )
        return "tcp"

    def _connect(self, seconds: float) -> Any:
        try:
            client = self._dask.Client(
                self._address, timeout=seconds, set_as_default=False, name="hashmatch"
            )
        except Exception as error:  # its own types, and those of the network
            raise self._gone(error) from None
        self._asked, self._fit, self._looked_at = {}, {}, 0.0
        self._fit_at = time.monotonic()
        return client

    def _gone(self, error: Exception | None = None) -> EngineError:
        why = f" ({type(error).__name__})" if error is not None else ""
        return EngineError(
            f"cannot reach the scheduler at dask://{self._scheduler}{why}. Start it, or check its "
            "address, and run the same command again"
        )

    def room(self) -> int:
        """Return how many more parts the workers can have."""
        self._look()
        return AHEAD * sum(self._fit.values()) - len(self._parts)

    def submit(self, part: int, again: bool, avoid: str) -> None:
        """Give a part to any of the workers that can do it."""
        self._number += 1
        allowed = frozenset(self._fit.keys() - {avoid} or self._fit)
        key = f"hashmatch-{self._name}-{part}-{self._number}"
        try:
            future = self._client.submit(
                do_part, self._job, part, again, key=key, pure=False, workers=sorted(allowed)
            )
        except Exception:  # the scheduler is lost, which `wait` finds
            self._lost.append(Answer(part, LOST, again=again))
            return
        self._parts[part, again] = future, allowed

    def wait(self, seconds: float) -> list[Answer]:
        """Return the parts that are done, failed, or lost."""
        ends = time.monotonic() + seconds
        while True:
            answers, self._lost = self._lost, []
            self._look()
            for task, (future, allowed) in list(self._parts.items()):
                answer = self._answer(task, future, allowed)
                if answer is not None:
                    del self._parts[task]
                    answers.append(answer)
            if answers or time.monotonic() >= ends:
                return answers
            time.sleep(POLL)

    def _answer(
        self, task: tuple[int, bool], future: Any, allowed: frozenset[str]
    ) -> Answer | None:
        """Return what became of a part. Nothing is asked of its worker, which may be stopped."""
        part, again = task
        if future.status == "finished":
            return Answer(part, again=again)
        if future.status == "error":
            return Answer(part, _reason(future), again=again)
        is_lost = future.status in {"cancelled", "lost"}
        if self._fit and not allowed & self._fit.keys():  # all that might do it are gone
            is_lost = True
            with suppress(Exception):
                future.cancel(force=True)
        return Answer(part, LOST, again=again) if is_lost else None

    def _look(self) -> None:
        """Find out which workers there are, and which of them can do parts."""
        now = time.monotonic()
        if now - self._looked_at < (LOOK_EVERY if self._fit else POLL):
            return
        self._looked_at = now
        threads = self._threads()
        for address in threads.keys() - self._asked.keys():
            self._asked[address] = self._client.submit(
                prepare, self._job, key=f"hashmatch-{self._name}-prepare-{address}-{now}",
                pure=False, workers=[address], allow_other_workers=False,
            )  # fmt: skip
        for address in self._asked.keys() - threads.keys():
            del self._asked[address]
            self._unfit.pop(address, None)
        self._fit = {}
        for address, future in self._asked.items():
            if future.status == "finished":
                self._fit[address] = threads[address]
            elif future.status == "error" and address not in self._unfit:
                self._unfit[address] = _reason(future)
                LOG.warning("worker %s is not used: %s", address, self._unfit[address])
        if self._fit:
            self._fit_at = now
        if now - self._fit_at < WITHOUT_WORKERS:
            return
        if not threads:
            raise EngineError(
                f"cannot scan on dask://{self._scheduler}: it has no workers. Start some, and run "
                "the same command again"
            )
        if len(self._unfit) == len(threads):
            raise EngineError(
                f"cannot use any of the {len(threads)} workers of dask://{self._scheduler}: "
                f"{min(self._unfit.values())}"
            )

    def _threads(self) -> dict[str, int]:
        """Return the workers there are, and how many threads each has."""
        if self._client.status == "running":
            with suppress(Exception):  # its own types, and those of the network
                return self._ask_threads()
        self._reconnect()
        with suppress(Exception):
            return self._ask_threads()
        return {}

    def _ask_threads(self) -> dict[str, int]:
        ask = self._client.scheduler.ncores
        return dict(self._client.sync(ask, callback_timeout=ANSWER_SECONDS))

    def _reconnect(self) -> None:
        """Look for the scheduler; what was given to the one that is lost is lost."""
        LOG.warning("the scheduler at %s is lost: looking for it", self._scheduler)
        self._lost += [Answer(part, LOST, again=again) for part, again in self._parts]
        self._parts = {}
        self._close_client()
        ends = time.monotonic() + RECONNECT
        while True:
            try:
                self._client = self._connect(5.0)
            except EngineError:
                if time.monotonic() >= ends:
                    raise
                time.sleep(1.0)
            else:
                return

    def _close_client(self) -> None:
        with suppress(Exception):
            self._client.close(timeout=2.0)

    def close(self) -> None:
        """Cancel what has not begun; what is under way is done, and kept."""
        with suppress(Exception):
            self._client.cancel([future for future, _ in self._parts.values()])
        self._close_client()
        self._quiet.close()


def do_part(job: dict[str, Any], number: int, again: bool) -> None:
    """Do a part in a worker of Dask; see `hashmatch.scan.parts.worker.do_part`.

    Errors are raised: to Dask they are news that come by themselves, and results have to be asked
    for.

    Parameters
    ----------
    job : dict
        A `Job`, as plain values.
    number : int
        Of the part.
    again : bool
        Only try again what could not be read.
    """
    from distributed import get_worker

    answer = worker.do_part(_sized(job), number, again, get_worker().address)
    if answer.error:
        raise EngineError(answer.error)


def prepare(job: dict[str, Any]) -> None:
    """Open what parts need in a worker of Dask; see `hashmatch.scan.parts.worker.prepare`.

    Parameters
    ----------
    job : dict
        A `Job`, as plain values.
    """
    if reason := worker.prepare(_sized(job)):
        raise EngineError(reason)


def _sized(job: dict[str, Any]) -> dict[str, Any]:
    """Return `job` with a process that decodes for each thread of this worker, if none are said."""
    if job["decoders"] is not None:
        return job
    from distributed import get_worker

    return job | {"decoders": get_worker().state.nthreads}


def _reason(future: Any) -> str:
    """Return why a task failed: what we say ourselves, and of other errors only what they are."""
    error = future.exception()
    if isinstance(error, EngineError):
        return str(error)
    if isinstance(error, ImportError | AttributeError):
        return (
            f"its worker cannot load this version of hashmatch ({type(error).__name__}). Install "
            "the same version on all machines"
        )
    return f"Dask ended it with {type(error).__name__}"


class _Quiet:
    """Keeps what Dask logs of lost connections, with tracebacks, from standard error."""

    NAMES = "distributed", "tornado", "asyncio"

    def __init__(self) -> None:
        known = [*logging.root.manager.loggerDict, *self.NAMES]
        self._before = {
            name: logging.getLogger(name).level
            for name in known
            if name.partition(".")[0] in self.NAMES
        }
        for name in self._before:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    def close(self) -> None:
        gc.collect()  # tasks that nobody waits for any more complain when they go
        for name, level in self._before.items():
            logging.getLogger(name).setLevel(level)
