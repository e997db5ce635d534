"""The decoder of `worker_hooks`, where the kernel offers neither seccomp nor Landlock."""

from __future__ import annotations

from hashmatch.sandbox import confinement, seccomp
from worker_hooks import HookedPool, decode

__all__ = ["BarePool", "decode"]
seccomp.close_in = confinement.close_in_landlock = lambda: False


class BarePool(HookedPool):
    _decoder = "worker_hooks_bare:decode"
