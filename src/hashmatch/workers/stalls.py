"""Tells a worker that waits for nothing from one that works: the first never comes back."""

from __future__ import annotations

import os
import time
from pathlib import Path

ASLEEP = "S"
"""State of a thread (proc_pid_stat(5)) that neither runs nor is about to, nor awaits a disk."""


def asleep(pid: int) -> float | None:
    """Return the processor time, in seconds, of a process all of whose threads are asleep.

    A decoder asks nobody for anything: if it is asleep without an answer, and still is at the same
    processor time a moment later, then nothing will ever wake it. That it is slow, or that a busy
    machine lets it wait, looks otherwise: some thread of it is ready to run.

    Parameters
    ----------
    pid : int
        The process.

    Returns
    -------
    float or None
        None while some thread is at work, or where the system does not tell.

    Examples
    --------
    >>> asleep(os.getpid()) is None
    True
    """
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            stat = Path(f"/proc/{pid}/task/{thread}/stat").read_text()
            if stat[stat.rindex(")") + 2] != ASLEEP:  # the name before may hold anything
                return None
        # The number that pthread_getcpuclockid(3) makes of a process.
        return time.clock_gettime((~pid << 3) | 2)
    except (OSError, ValueError, IndexError):
        return None
