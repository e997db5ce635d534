"""The layers that keep a worker in."""

from __future__ import annotations

from enum import Flag


class Layers(Flag):
    """What keeps a worker in.

    Examples
    --------
    >>> describe(Layers.LIMITS | Layers.SECCOMP)
    'limits, seccomp; without landlock'
    """

    LIMITS = 1
    """No new file or socket, and so much memory, by resource limits, which hold everywhere."""
    LANDLOCK = 2
    """No file, port or signal."""
    SECCOMP = 4
    """No system call but some that read, answer and map memory."""
    USER = 8
    """A user of its own without any right, where workers are started by the superuser."""
    NAMESPACES = 16
    """No network at all and other users than the system's, where that is allowed."""


REQUIRED = Layers.LIMITS | Layers.LANDLOCK | Layers.SECCOMP
"""What every Linux since 5.13 offers to anybody; without one of them no worker is started."""


def describe(layers: Layers) -> str:
    """Return which layers are on and which are not, for a report."""
    on = ", ".join(str(layer.name).lower() for layer in Layers if layer in layers)
    off = ", ".join(str(layer.name).lower() for layer in REQUIRED & ~layers)
    return (on or "none") + (f"; without {off}" if off else "")
