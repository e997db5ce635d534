"""Close a worker in, in every way that the kernel offers, and say which it did."""

from __future__ import annotations

import resource
from enum import Flag

from hashmatch.workers import landlock, seccomp

FORBIDDEN = (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE)
"""Not RLIMIT_NPROC: it counts threads too, of which one decoder needs one, and all processes of
the same user."""


class Layers(Flag):
    """What keeps a worker in.

    Examples
    --------
    >>> described(Layers.LIMITS | Layers.SECCOMP)
    'limits, seccomp; without landlock'
    """

    LIMITS = 1
    """No new file or socket, and so much memory, by resource limits, which hold everywhere."""
    LANDLOCK = 2
    """No file, port or signal."""
    SECCOMP = 4
    """No system call but some that read, answer and map memory."""


def described(layers: Layers) -> str:
    """Return which layers are on and which are not, for a report."""
    on = ", ".join(str(layer.name).lower() for layer in Layers if layer in layers)
    off = ", ".join(str(layer.name).lower() for layer in Layers if layer not in layers)
    return (on or "none") + (f"; without {off}" if off else "")


def close_in(address_space: int, memory: int) -> Layers:
    """Close this process in, for ever.

    Parameters
    ----------
    address_space : int
        Bytes that it may map.
    memory : int
        Bytes that it may map for itself alone and write to.

    Returns
    -------
    Layers
        Those that hold from now on.
    """
    layers = Layers.LIMITS
    if landlock.close_in():  # before the limits, as it needs a descriptor
        layers |= Layers.LANDLOCK
    resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    # What is open stays open, and nothing else can be: no file, no socket, no copy of either.
    for limit in FORBIDDEN:
        resource.setrlimit(limit, (0, 0))
    if seccomp.close_in():  # last, as it forbids what the others need
        layers |= Layers.SECCOMP
    return layers
