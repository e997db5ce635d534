"""What a URL names, which addresses are public, and what an operator allows besides."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PORTS = {"http": 80, "https": 443}

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_SPECIAL = {
    "an unspecified": "0.0.0.0/8 ::/128",
    "a loopback": "127.0.0.0/8 ::1/128",
    "a link-local": "169.254.0.0/16 fe80::/10",
    "a private": "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7 fec0::/10",
    "a carrier's": "100.64.0.0/10",
    "a multicast": "224.0.0.0/4 ff00::/8",
    # One IPv4 address in another: the tunnels and translators of RFC 4291, 3056, 6052, 8215, 4380.
    "an embedded": "::/96 ::ffff:0:0/96 ::ffff:0:0:0/96 2002::/16 64:ff9b::/96 64:ff9b:1::/48 "
    "2001::/32 192.88.99.0/24",
    "a cloud host's": "168.63.129.16/32",  # Azure's own services, at a public address
    "a reserved": "192.0.0.0/24 192.0.2.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 "
    "240.0.0.0/4 2001::/23 2001:db8::/32 3fff::/20",
}
"""Networks that are not public, by the registries of special-purpose addresses of IANA."""
_NETWORKS = [
    (ipaddress.ip_network(text), kind) for kind, all_ in _SPECIAL.items() for text in all_.split()
]
_GLOBAL = ipaddress.ip_network("2000::/3")
_ISATAP = (0x00005EFE, 0x02005EFE)


def special(address: Address) -> str:
    """Return what kind of address this is, unless it is a public one: then nothing.

    Examples
    --------
    >>> [special(ipaddress.ip_address(text)) for text in ("8.8.8.8", "10.0.0.1", "::ffff:8.8.8.8")]
    ['', 'a private', 'an embedded']
    """
    for network, kind in _NETWORKS:
        if address in network:
            return kind
    if address.version == 6:
        if address not in _GLOBAL:
            return "a reserved"
        if int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
            return "an embedded"
    return ""


class Origin(NamedTuple):
    """Scheme, host and port: whom one talks to. The host is in lower case, IPv6 without brackets.

    Examples
    --------
    >>> Origin.parse("https://Photos.example/list.txt")
    Origin(scheme='https', host='photos.example', port=443)
    """

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Origin:
        """Return that of `url`; ValueError, with a reason and an advice, if it has none.

        A host is a name or an address in its one plain form. Names that some read as an address and
        others as a name (``127.1``, ``0x7f000001``), that change on their way to DNS (letters that
        are not ASCII, escapes, a full stop at the end), and zones are none.
        """
        scheme, separator, rest = url.partition("://")
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        if not separator or scheme.lower() not in PORTS or not authority:
            raise ValueError("it has no host, or another scheme. Give https://HOST/PATH.")
        if "@" in authority or "\\" in authority:
            raise ValueError("it has a user or password. Leave them out.")
        try:
            if not all(32 < ord(character) < 127 for character in authority):
                raise ValueError  # it would be left out, or changed to another
            parts = urlsplit(f"{scheme}://{authority}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("it is not a URL. Give https://HOST/PATH.") from None
        if port == 0 or authority.endswith(":"):
            raise ValueError("it is not a URL. Give https://HOST:PORT/PATH.")
        if authority.startswith("[") or not _is_name(host):
            _check_literal(host)
        return cls(scheme.lower(), host, port or PORTS[scheme.lower()])

    @property
    def address(self) -> Address | None:
        """The address that the host is; None if it is a name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    @property
    def is_local_name(self) -> bool:
        """Whether the host is a name of this machine, whatever DNS says (RFC 6761)."""
        return self.host == "localhost" or self.host.endswith(".localhost")

    @property
    def is_loopback(self) -> bool:
        """Whether it names this machine."""
        address = self.address
        return self.is_local_name or (address is not None and special(address) == "a loopback")

    @property
    def authority(self) -> str:
        """Host and port as a Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def _is_name(host: str) -> bool:
    is_name = len(host) <= 253 and _NAME.fullmatch(host) is not None
    # What ends in a number is an address to browsers and to the system's own functions.
    return is_name and _NUMBER.fullmatch(host.rpartition(".")[2]) is None


def _check_literal(host: str) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is None or "%" in host or special(address) == "an embedded":
        raise ValueError("its host is no plain name or address. Write photos.example or 192.0.2.1.")


@dataclass(frozen=True, slots=True)
class Allowed:
    """Hosts and networks that an operator allows by name, where they are not public."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, names: Iterable[str]) -> Allowed:
        """Return what `names` are, each a host, an address or a network; UsageError if one is none.

        Examples
        --------
        >>> Allowed.parse(["photos.internal", "10.0.0.0/8"]).hosts
        frozenset({'photos.internal'})
        """
        hosts, networks = set[str](), list[Network]()
        for name in names:
            try:
                networks.append(ipaddress.ip_network(name))
            except ValueError:
                if not _is_name(name.lower()):
                    raise UsageError(
                        f"cannot allow {name!r}: it is no host, address or network. Give "
                        "photos.internal or 10.0.0.0/8."
                    ) from None
                hosts.add(name.lower())
        return cls(frozenset(hosts), tuple(networks))

    def names(self, origin: Origin) -> bool:
        """Return whether an origin is allowed by its name or address, wherever it leads."""
        address = origin.address
        return origin.host in self.hosts or (
            address is not None and any(address in network for network in self.networks)
        )

    def refuses(self, origin: Origin, address: Address) -> str:
        """Return what kind of address `origin` leads to, if it is none to dial; else nothing.

        An origin that is written as an address has named it. Names of this machine are those of
        loopback addresses, and of no others.
        """
        kind = special(address)
        if origin.is_local_name:
            return "" if kind == "a loopback" else kind or "a public"
        if not kind or origin.address == address or origin.host in self.hosts:
            return ""
        return "" if any(address in network for network in self.networks) else kind
