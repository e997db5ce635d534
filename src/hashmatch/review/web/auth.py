"""Logging in: sessions, which live on this server and end there, signed forms, and a throttle."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from itsdangerous import BadSignature, TimestampSigner

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_IDLE = 30 * 60
"""Seconds without a request after which a session ends."""
MAX_AGE = 8 * 3600
"""Seconds after which it ends in any case: a day's work."""
MAX_FORM_AGE = 10 * 60
"""Seconds that there are for filling in the form to log in."""
MAX_SESSIONS = 20
"""Sessions of one reviewer at a time; beyond, the one that was not used for the longest ends."""
MAX_FAILURES = 10
"""Wrong tokens of a name from a network that are answered at once."""
FAILURE_COUNTS_FOR = 30.0
"""Seconds after which one of them is forgotten."""
MAX_REMEMBERED = 10_000
"""Pairs of name and network; beyond, the one that failed the longest ago is forgotten."""


@dataclass(slots=True)
class Session:
    """The session of one browser.

    Nobody is logged in if `reviewer` is empty: then it lasts for one request and is kept nowhere.
    `token_digest` is of the token that they logged in with: with another, the session is over.
    Times are seconds on the monotonic clock. Every form of the session carries `csrf`, which no
    other site knows; `flash` is a message for the top of the next page.
    """

    reviewer: str
    token_digest: str = field(default="", repr=False)
    began: float = 0.0
    last_used: float = 0.0
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
    >>> secret = sessions.begin("ana", "digest of ana's token")
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

    def begin(self, reviewer: str, token_digest: str) -> str:
        """Begin a session and return its secret, which is nowhere but in the cookie."""
        secret, now = new_secret(), self._clock()
        with self._lock:
            for key in [key for key, one in self._sessions.items() if self._is_over(one, now)]:
                del self._sessions[key]
            own = [key for key, one in self._sessions.items() if one.reviewer == reviewer]
            if len(own) >= MAX_SESSIONS:
                del self._sessions[min(own, key=lambda key: self._sessions[key].last_used)]
            self._sessions[_key(secret)] = Session(reviewer, token_digest, now, now)
        return secret

    def __len__(self) -> int:
        """Return how many sessions there are, some of which may be over."""
        return len(self._sessions)

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
        """End a session: its cookie is worthless from then on."""
        with self._lock:
            self._sessions.pop(_key(secret), None)

    @staticmethod
    def _is_over(session: Session, now: float) -> bool:
        return now - session.last_used > MAX_IDLE or now - session.began > MAX_AGE


class LoginForms:
    """Signs the forms of people who are not logged in, so that nothing of them is kept here.

    A form is good for the browser whose cookie it is signed for, and for `MAX_FORM_AGE`. The key is
    made with the server, and gone with it.

    Examples
    --------
    >>> forms = LoginForms()
    >>> token = forms.sign("a secret in a cookie")
    >>> forms.is_signed("a secret in a cookie", token), forms.is_signed("another", token)
    (True, False)
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def sign(self, secret: str) -> str:
        """Return the token of a form for the browser with a secret."""
        return self._signer(secret).sign(b"").decode()

    def is_signed(self, secret: str, token: str) -> bool:
        """Return whether a form was made for the browser with a secret, and lately."""
        try:
            self._signer(secret).unsign(token, max_age=MAX_FORM_AGE)
        except BadSignature:
            return False
        return True

    def _signer(self, secret: str) -> TimestampSigner:
        return TimestampSigner(
            self._key, salt=_key(secret), key_derivation="hmac", digest_method=hashlib.sha256
        )


def new_secret() -> str:
    """Return a secret for the cookie of a browser: 256 random bits."""
    return secrets.token_urlsafe(32)


def _key(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


class LoginThrottle:
    """Says how long to wait after too many wrong tokens of a name from a network.

    It is asked about wrong ones only: the right token always opens, whatever others did before, and
    one of 256 random bits is not guessed. Pairs of name and network leak their failures one by one
    (a leaky bucket), are kept as keyed digests, and at most `MAX_REMEMBERED` of them.

    Examples
    --------
    >>> throttle = LoginThrottle(clock=lambda: 0.0)
    >>> [throttle.failed("ana", "192.0.2.7") for _ in range(12)]
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 30, 30]
    >>> throttle.failed("ana", "192.0.2.8"), throttle.failed("eve", "192.0.2.7")
    (0, 0)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._empty_at: dict[bytes, float] = {}  # when all failures of a pair are forgotten
        self._lock = threading.Lock()

    def failed(self, name: str, network: str) -> int:
        """Count a wrong token; return the seconds until another is answered, 0 if it is now."""
        pair = repr((name, network)).encode(errors="surrogatepass")
        key = hashlib.blake2b(pair, digest_size=16, key=self._key).digest()
        full = MAX_FAILURES * FAILURE_COUNTS_FOR
        with self._lock:
            now = self._clock()
            left = max(self._empty_at.pop(key, now) - now, 0.0) + FAILURE_COUNTS_FOR
            wait = max(left - full, 0.0)
            # One that is too many is not counted: who waits as long as was said is answered.
            self._empty_at[key] = now + left - (FAILURE_COUNTS_FOR if wait else 0.0)
            if len(self._empty_at) > MAX_REMEMBERED:
                del self._empty_at[next(iter(self._empty_at))]  # failed the longest ago
        return math.ceil(wait)

    def __len__(self) -> int:
        """Return how many pairs are remembered."""
        return len(self._empty_at)
