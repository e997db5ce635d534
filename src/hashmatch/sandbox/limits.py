"""What one item may cost the worker that decodes it."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from hashmatch.decode.limits import PROCESS_MEMORY
from hashmatch.errors import UsageError

MIB = 2**20


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What one item may cost, and how often it is tried.

    Parameters
    ----------
    cpu_seconds : float
        Processor time of one try, all frames of an animation together. An ordinary photograph takes
        some milliseconds, and one at the limits of `hashmatch.decode` about a second.
    wall_seconds : float
        Time that a worker may be waited for in one try, on the wall clock: generous, since a
        busy machine must not make pictures fail.
    address_space : int
        Bytes of a worker's address space, code and the pixels that it shares included.
    memory : int
        Bytes that a worker may fill, the pixels that it shares not included. The default is enough
        for any picture within `hashmatch.decode.limits`.
    tries : int
        After so many tries that each lost a worker, the item is ``failed``.
    items : int
        Items after which a worker is replaced, so that whatever one of them left behind ends.

    Raises
    ------
    UsageError
        If a limit is out of its range.

    Examples
    --------
    >>> WorkerLimits(cpu_seconds=0)
    Traceback (most recent call last):
    hashmatch.errors.UsageError: cpu_seconds is 0, not more than 0
    """

    cpu_seconds: float = 2.0
    wall_seconds: float = 20.0
    address_space: int = PROCESS_MEMORY + 384 * MIB
    memory: int = PROCESS_MEMORY
    tries: int = 3
    items: int = 1000

    def __post_init__(self) -> None:
        for name in ("cpu_seconds", "wall_seconds"):
            seconds = getattr(self, name)
            if not (seconds > 0 and isfinite(seconds)):
                raise UsageError(f"{name} is {seconds}, not more than 0")
        for name in ("tries", "items"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, at least 1 is needed")
        if self.address_space < 512 * MIB:
            raise UsageError("a worker needs an address space of 512 MiB at least")
        if self.memory < 128 * MIB:
            raise UsageError("a worker needs a memory of 128 MiB at least")
