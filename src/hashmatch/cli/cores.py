"""Keeps lists out of core dumps: the memory of a crashed process would hold every hash of them."""

from __future__ import annotations

import sys
from contextlib import suppress

PR_SET_DUMPABLE = 4
"""Of Linux, prctl(2): 0 also keeps other processes of the same user from attaching to this one."""


def no_core_dumps() -> None:
    """Ask the system for none, for good; where it has no such thing, nothing happens."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with suppress(ImportError, OSError, AttributeError):
            import ctypes

            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
