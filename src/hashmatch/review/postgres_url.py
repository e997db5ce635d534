"""What a queue's URL says of its PostgreSQL server, and how the connection to that is protected.

libpq takes what a URL leaves open from its environment and from service files. Its own default,
``sslmode=prefer``, verifies nothing, and speaks without TLS with a server that has none.
"""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import parse_qsl, unquote, urlsplit

from hashmatch.errors import ReviewError
from hashmatch.records.safeguards import Safeguard, waive

WHERE = "postgresql://..."
"""In messages in the place of a URL: logs and pages name no server, and no user of it."""
FULL = "verify-full"


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
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    mode = options.get("sslmode") or os.environ.get("PGSSLMODE")
    if mode == FULL or _is_local(parts.netloc, options):
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
    return f"{url.rstrip('?')}{'&' if parts.query else '?'}sslmode={FULL}"


def _is_local(netloc: str, options: dict[str, str]) -> bool:
    """Return whether a server can only be one of this machine."""
    if options.get("service") or os.environ.get("PGSERVICE"):
        return False  # whose file may name any address
    own = ",".join(re.sub(r":\d*$", "", host) for host in netloc.rpartition("@")[2].split(","))
    addresses = options.get("hostaddr") or os.environ.get("PGHOSTADDR", "")
    hosts = options.get("host") or unquote(own) or os.environ.get("PGHOST", "")
    return all(map(_is_this_machine, (addresses or hosts).split(",")))


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
