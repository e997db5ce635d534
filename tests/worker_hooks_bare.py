"""The decoder of `worker_hooks`, where the kernel offers neither seccomp nor Landlock."""

from __future__ import annotations

from hashmatch.sandbox import confinement, seccomp
from worker_hooks import HookedPool, decode

__all__ = ["BarePool", "decode"]
seccomp.install_filter = confinement.restrict_with_landlock = lambda: False


class BarePool(HookedPool):
    _decoder = "worker_hooks_bare:decode"
