"""Sessions, which live on this server and end there, and a limit to failures to log in."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_IDLE = 30 * 60
"""Seconds without a request after which a session ends."""
MAX_AGE = 8 * 3600
"""Seconds after which it ends in any case: a day's work."""
MAX_ANONYMOUS = 10 * 60
"""Seconds that there are for logging in."""
MAX_SESSIONS = 2000
"""Sessions at a time; beyond, the oldest that nobody logged in to goes first."""
FAILURE_COUNTS_FOR = 300.0
"""Seconds that a failure counts for."""
MAX_FAILURES = {"name": 10, "address": 50}
"""Failures after which no other try is looked at. Behind a proxy many people share an address."""
MAX_REMEMBERED = 10_000
"""Names and addresses; beyond, the one that failed the longest ago is forgotten."""


@dataclass(slots=True)
class Session:
    """The session of one browser; nobody is logged in while `reviewer` is empty.

    Times are seconds on the monotonic clock. Every form of the session carries `csrf`, which no
    other site knows; `flash` is a message for the top of the next page.
    """

    reviewer: str
    began: float
    last_used: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    flash: str = ""

    def owns(self, token: str) -> bool:
        """Return whether a form comes from a page of this session."""
        return hmac.compare_digest(self.csrf.encode(), token.encode())

    def pop_flash(self) -> str:
        """Return the message for the top of a page, once."""
        flash, self.flash = self.flash, ""
        return flash


class Sessions:
    """All sessions, by the SHA-256 of the secret in the browser's cookie.

    Examples
    --------
    >>> sessions = Sessions()
    >>> secret = sessions.begin("ana")
    >>> sessions.find(secret).reviewer
    'ana'
    >>> sessions.end(secret)
    >>> sessions.find(secret) is None
    True
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: dict[bytes, Session] = {}
        self._lock = threading.Lock()

    def begin(self, reviewer: str = "") -> str:
        """Begin a session and return its secret, which is nowhere but in the cookie."""
        secret, now = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            for key in [key for key, one in self._sessions.items() if self._is_over(one, now)]:
                del self._sessions[key]
            if len(self._sessions) >= MAX_SESSIONS:
                oldest = min(
                    self._sessions,
                    key=lambda k: (bool(self._sessions[k].reviewer), self._sessions[k].last_used),
                )
                del self._sessions[oldest]
            self._sessions[_key(secret)] = Session(reviewer, now, now)
        return secret

    def find(self, secret: str, *, touch: bool = True) -> Session | None:
        """Return the session of a cookie, None if it is over; `touch` notes that it is in use."""
        now = self._clock()
        with self._lock:
            session = self._sessions.get(_key(secret))
            if session is None or self._is_over(session, now):
                self._sessions.pop(_key(secret), None)
                return None
            session.last_used = now if touch else session.last_used
            return session

    def end(self, secret: str) -> None:
        """End a session: whoever has its cookie has nothing."""
        with self._lock:
            self._sessions.pop(_key(secret), None)

    @staticmethod
    def _is_over(session: Session, now: float) -> bool:
        idle, longest = (MAX_IDLE, MAX_AGE) if session.reviewer else (MAX_ANONYMOUS,) * 2
        return now - session.last_used > idle or now - session.began > longest


def _key(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


class LoginThrottle:
    """Counts failures to log in, by name and by address.

    Examples
    --------
    >>> throttle = LoginThrottle(clock=lambda: 0.0)
    >>> for _ in range(10):
    ...     throttle.failed("ana", "127.0.0.1")
    >>> throttle.wait("ana", "127.0.0.1"), throttle.wait("eve", "127.0.0.1")
    (300, 0)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[tuple[str, str], deque[float]] = {}
        self._lock = threading.Lock()

    def wait(self, name: str, address: str) -> int:
        """Return for how many seconds there is no other try; 0 if there is one."""
        now, waits = self._clock(), [0.0]
        with self._lock:
            for key in (("name", name), ("address", address)):
                times = self._failures.get(key)
                if times is not None and len(times) >= MAX_FAILURES[key[0]]:
                    waits.append(times[0] + FAILURE_COUNTS_FOR - now)
        return math.ceil(max(waits))

    def failed(self, name: str, address: str) -> None:
        """Count a failure."""
        with self._lock:
            for key in (("name", name), ("address", address)):
                times = self._failures.pop(key, deque(maxlen=MAX_FAILURES[key[0]]))
                times.append(self._clock())
                self._failures[key] = times  # at the end: the latest
            while len(self._failures) > MAX_REMEMBERED:
                del self._failures[next(iter(self._failures))]

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name."""
        with self._lock:
            self._failures.pop(("name", name), None)
