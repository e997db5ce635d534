"""Two clocks, and two pieces of work timed in turns so that noise falls on both."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[[], object]


def children_seconds() -> float:
    """CPU time of the child processes waited for so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def cpu_seconds() -> float:
    """CPU time of this process, of all its threads, and of the children waited for so far.

    Work of other programs is not in it, though what they take of caches and clock speed is.
    """
    return time.process_time() + children_seconds()


@dataclass(frozen=True, slots=True)
class Seconds:
    """One call, on both clocks."""

    cpu: float
    wall: float


@dataclass(frozen=True, slots=True)
class Round:
    """Ours and a peer's, one right after the other."""

    ours: Seconds
    peer: Seconds


def measure(run: Run, calls: int) -> Seconds:
    """Time `calls` calls; return the seconds of one."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    for _ in range(calls):
        run()
    return Seconds((cpu_seconds() - cpu) / calls, (time.perf_counter() - wall) / calls)


def calls_for(run: Run, least: float) -> int:
    """Return how many calls take at least `least` seconds of CPU: clocks are coarse, calls short.

    It doubles until they do, so that the first, cold call does not decide.
    """
    calls = 1
    while measure(run, calls).cpu * calls < least:
        calls *= 2
    return calls


def in_turns(ours: Run, peer: Run, rounds: int, least: float) -> list[Round]:
    """Time both `rounds` times; who goes first alternates, since the first warms what both use."""
    our_calls, peer_calls = calls_for(ours, least), calls_for(peer, least)
    measured = []
    for number in range(rounds):
        if number % 2:
            peer_seconds = measure(peer, peer_calls)
            our_seconds = measure(ours, our_calls)
        else:
            our_seconds = measure(ours, our_calls)
            peer_seconds = measure(peer, peer_calls)
        measured.append(Round(our_seconds, peer_seconds))
    return measured
