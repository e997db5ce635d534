"""What a queue's URL says of its PostgreSQL server, and how the connection to that is protected.

libpq takes what a URL leaves open from its environment and from service files. Its own default,
``sslmode=prefer``, verifies nothing, and speaks without TLS with a server that has none.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from itertools import zip_longest
from urllib.parse import parse_qsl, unquote

from hashmatch.errors import ReviewError
from hashmatch.records.safeguards import Safeguard, waive

WHERE = "postgresql://..."
"""In messages in the place of a URL: logs and pages name no server, and no user of it."""
FULL = "verify-full"


@dataclass(frozen=True, slots=True, repr=False)  # it may have a password
class PostgresUrl:
    """A URL as libpq takes it apart, which is not as RFC 3986 does.

    A user and password may have ``?`` and ``#`` as they are, and nothing has a fragment. Of an
    option that is there twice, the last counts. Source: libpq, conninfo_uri_parse_options.

    Examples
    --------
    >>> parsed = PostgresUrl.parse("postgresql://ana:a?b#c@db.internal:5433/x?sslmode=require")
    >>> parsed.user, parsed.hosts, parsed.options
    ('ana:a?b#c', 'db.internal:5433', {'sslmode': 'require'})
    """

    user: str
    hosts: str
    options: dict[str, str]

    @classmethod
    def parse(cls, url: str) -> PostgresUrl:
        """Take a URL apart; nothing of it is checked."""
        rest = url.partition("://")[2]
        user = ""
        if "@" in rest.partition("/")[0]:
            user, _, rest = rest.partition("@")
        place, _, query = rest.partition("?")
        pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)
        # An older spelling, of JDBC.
        pairs = [("sslmode", "require") if p == ("ssl", "true") else p for p in pairs]
        return cls(user, place.partition("/")[0], dict(pairs))

    @property
    def has_password(self) -> bool:
        """Whether there is a password in it, of the user or of a key."""
        names = {name.lower() for name in self.options}
        return ":" in self.user or bool(names & {"password", "sslpassword"})

    @property
    def is_local(self) -> bool:
        """Whether the server can only be one of this machine."""
        if self.options.get("service") or os.environ.get("PGSERVICE"):
            return False  # whose file may name any address
        own = ",".join(re.sub(r":\d*$", "", host) for host in self.hosts.split(","))
        addresses = self.options.get("hostaddr") or os.environ.get("PGHOSTADDR", "")
        hosts = self.options.get("host") or unquote(own) or os.environ.get("PGHOST", "")
        pairs = zip_longest(addresses.split(","), hosts.split(","), fillvalue="")
        return all(_is_this_machine(address or host) for address, host in pairs)


def verified(url: str) -> str:
    """Return a URL by which the server has to prove who it is, unless it is of this machine.

    Another ``sslmode`` that the operator says, in the URL or in PGSSLMODE, stands and is a
    `Waiver`.

    Examples
    --------
    >>> verified("postgresql://reviewers@db.internal/moderation")
    'postgresql://reviewers@db.internal/moderation?sslmode=verify-full'
    >>> verified("postgresql:///moderation?host=/run/postgresql")
    'postgresql:///moderation?host=/run/postgresql'
    """
    parsed = PostgresUrl.parse(url)
    mode = parsed.options.get("sslmode") or os.environ.get("PGSSLMODE")
    if mode == FULL or parsed.is_local:
        return url
    if mode:
        waive(
            Safeguard.DATABASE_TLS,
            "use the review queue",
            f"sslmode={mode} does not verify that the server is the one that is meant",
            error=ReviewError,
            allowed=True,
            allowed_by=f"sslmode={mode}",
        )
        return url
    return f"{url.rstrip('?')}{'&' if parsed.options else '?'}sslmode={FULL}"


def _is_this_machine(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host.lower() == "localhost":
        return True  # a socket
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def why_not(said: str) -> str:
    """Return why there is no connection, without the names and addresses that libpq says.

    Examples
    --------
    >>> why_not('connection to server at "10.0.0.5", port 5432 failed: Connection refused')
    'Connection refused'
    """
    first = (said.splitlines() or [""])[0].rpartition("failed: ")[2]
    reason = re.sub(r"\s*(\"[^\"]*\"|'[^']*')", "", re.sub(r"^(FATAL|ERROR):\s*", "", first))
    reason = re.sub(r"\s*\(?\b\d+(\.\d+){3}\b\)?", "", reason)
    if re.search("certificate|SSL|encryption", reason):
        safeguard = Safeguard.DATABASE_TLS
        reason += f". {safeguard.advice}, or allow less with {safeguard.allowed_by}, as in require"
    return reason
