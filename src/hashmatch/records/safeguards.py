"""The one gate for settings that protect less than they could: refused unless allowed by name.

Nothing is given up in silence. What is allowed and used is a `Waiver`: it is logged as a warning,
which the command line prints whatever ``--quiet`` says, and it stands in reports.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.errors import HashmatchError

LOG = logging.getLogger("hashmatch.safeguards")
"""Without a handler of the host, its warnings go to standard error: it has no NullHandler."""


class Safeguard(Enum):
    """What protects, what to do where it is missing, and how to continue without it."""

    SANDBOX = (
        "sandbox",
        "Use a kernel and a container that offer Landlock and seccomp",
        "--sandbox best",
        "DecodePool(require=Layers.LIMITS)",
    )
    TLS = ("TLS", "Use https", "--allow-http")
    SIGNATURES = (
        "signatures",
        "Name the key that signs it with --trust",
        "--unsigned",
        "ListStore(unsigned=True)",
    )
    PRIVATE_FILES = ("private files", "Close it with chmod go-rwx", "--allow-readable")
    DATABASE_TLS = (
        "TLS of the database",
        "Give sslrootcert=FILE, or sslrootcert=system, in the URL of the queue",
        "another sslmode in that URL",
    )

    def __init__(self, label: str, advice: str, allowed_by: str, python: str = "") -> None:
        self.label, self.advice, self.allowed_by = label, advice, allowed_by
        self.python = python or f"allowing(Safeguard.{self.name})"


class Waiver(NamedTuple):
    """A safeguard that is missing, why, and by what that was allowed.

    Examples
    --------
    >>> print(Waiver("TLS", "http://lists.example is not encrypted", "--allow-http"))
    without TLS: http://lists.example is not encrypted (allowed by --allow-http)
    """

    safeguard: str
    reason: str
    allowed_by: str

    def __str__(self) -> str:
        return f"without {self.safeguard}: {self.reason} (allowed by {self.allowed_by})"


_allowed: Counter[Safeguard] = Counter()
_collected: list[list[Waiver]] = []


def waive(
    safeguard: Safeguard,
    action: str,
    reason: str,
    *,
    error: type[HashmatchError],
    allowed: bool = False,
    advice: str = "",
    allowed_by: str = "",
) -> None:
    """Continue without a safeguard if that is allowed by name; everything weaker passes here.

    Parameters
    ----------
    safeguard : Safeguard
        What is missing.
    action : str
        What cannot be done then, as in "read known.csv".
    reason : str
        Why it is missing, a clause that needs no more words; no secret, and no hash.
    error : type of HashmatchError
        What a refusal is.
    allowed : bool
        Whether the caller allows it; `allowing` does for all calls.
    advice, allowed_by : str
        Instead of the safeguard's own: what to do, and what allows it.

    Raises
    ------
    HashmatchError
        An `error`, unless it is allowed; the message says how to allow it.

    Examples
    --------
    >>> from hashmatch.errors import SourceError
    >>> with allowing(Safeguard.TLS), collecting() as waivers:
    ...     waive(Safeguard.TLS, "read it", "it is plain http", error=SourceError)
    >>> waivers
    [Waiver(safeguard='TLS', reason='it is plain http', allowed_by='--allow-http')]
    >>> waive(Safeguard.TLS, "read it", "it is plain http", error=SourceError)
    Traceback (most recent call last):
    hashmatch.errors.SourceError: cannot read it: it is plain http. Use https, or allow it with ...
    """
    if not (allowed or _allowed[safeguard]):
        how = allowed_by or f"{safeguard.allowed_by}, in Python {safeguard.python}"
        raise error(
            f"cannot {action}: {reason}. {advice or safeguard.advice}, or allow it with {how}."
        )
    note(Waiver(safeguard.label, reason, allowed_by or safeguard.allowed_by))


def note(waiver: Waiver) -> None:
    """Log a waiver, of this process or of another that works for it, and add it to what collects.

    Parameters
    ----------
    waiver : Waiver
        Said once within a block of `collecting`.
    """
    if _collected and all(waiver in waivers for waivers in _collected):
        return  # said already
    for waivers in _collected:
        if waiver not in waivers:
            waivers.append(waiver)
    LOG.warning("%s", waiver)


@contextmanager
def allowing(*safeguards: Safeguard) -> Iterator[None]:
    """Let this process, all of its threads, continue without some safeguards within the block."""
    _allowed.update(safeguards)
    try:
        yield
    finally:
        _allowed.subtract(safeguards)


def allowed() -> tuple[str, ...]:
    """Return the names of the safeguards that this process may do without."""
    return tuple(safeguard.name for safeguard in Safeguard if _allowed[safeguard])


@contextmanager
def collecting() -> Iterator[list[Waiver]]:
    """Give a list that every waiver of the process is added to, once, within the block."""
    waivers: list[Waiver] = []
    _collected.append(waivers)
    try:
        yield waivers
    finally:
        _collected[:] = [other for other in _collected if other is not waivers]


def waivers() -> tuple[Waiver, ...]:
    """Return what was waived since the innermost `collecting` began; nothing outside of one."""
    return tuple(_collected[-1]) if _collected else ()


def waiver_fields() -> list[dict[str, str]]:
    """Return `waivers`, each as an object for JSON."""
    return [waiver._asdict() for waiver in waivers()]
