"""What gives the parts of a scan to workers: by name, ``local:N`` or ``dask://HOST:PORT``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from hashmatch.scan.parts.worker import Answer, Job

MOST_PROCESSES = 256


class Engine(Protocol):
    """Gives parts to workers, and tells what became of them. Used by one thread."""

    def room(self) -> int:
        """Return how many parts may be given to it now; less than one for none."""
        ...

    def submit(self, part: int, again: bool, avoid: str) -> None:
        """Give it a part, or what could not be read of one by the worker to `avoid`, if it can."""
        ...

    def wait(self, seconds: float) -> list[Answer]:
        """Return what became of parts, as soon as there is something, or after so long nothing.

        A part whose worker is lost has an answer that says so. EngineError if there is no hope.
        """
        ...

    def close(self) -> None:
        """End, whatever is under way: a part that is not done is begun again by another run."""
        ...


class EngineName(NamedTuple):
    """Which engine: the number of processes on this machine, or the address of a Dask scheduler."""

    processes: int = 0
    scheduler: str = ""

    @classmethod
    def parse(cls, text: str) -> EngineName:
        """Return the engine of a name; UsageError if there is none of it.

        Examples
        --------
        >>> EngineName.parse("local:4"), EngineName.parse("dask://10.0.0.5:8786").scheduler
        (EngineName(processes=4, scheduler=''), '10.0.0.5:8786')
        """
        found = re.fullmatch(r"local:(\d{1,3})|dask://([^/@?#\s]+:\d{1,5})", text, re.ASCII)
        if found is None or (found[1] and not 1 <= int(found[1]) <= MOST_PROCESSES):
            raise UsageError(
                f"cannot use {text!r} as an engine. Give local:N with N from 1 to "
                f"{MOST_PROCESSES}, or dask://HOST:PORT"
            )
        return cls(int(found[1] or 0), found[2] or "")

    def open(self, job: Job) -> Engine:
        """Return the engine, which does parts of a scan."""
        if self.scheduler:
            from hashmatch.scan.parts.dask_cluster import DaskEngine

            return DaskEngine(self.scheduler, job)
        from hashmatch.scan.parts.processes import ProcessEngine

        return ProcessEngine(self.processes, job)
