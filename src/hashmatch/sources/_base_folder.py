"""Where the keys of a list lead to: a local folder, a bucket or a web server.

Locations are like ``manifest://keys.txt?base=s3://bucket``: a path and options.
"""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from hashmatch.errors import SourceError, UsageError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError, escape_name
from hashmatch.sources._files import identity, read_local
from hashmatch.sources._object_store import Objects

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from hashmatch.records.images import ImageItem

#: The version of an item until it is read, where a list does not say it.
UNLISTED = "unlisted"


class Base:
    """A folder below which everything lies that a list names, and nothing else is read.

    `place` is ``s3://bucket/folder``, ``gs://``, ``az://``, ``https://host/folder``, or a local
    folder; `options` are those of a `hashmatch.sources.bucket.BucketSource`.
    """

    def __init__(self, place: str, options: Mapping[str, Any] | None = None) -> None:
        self.place = as_utf8(place.rstrip("/") or "/")
        scheme, separator, rest = place.partition("://")
        host, _, folder = rest.partition("/")
        self._folder = folder.strip("/")
        self._objects = Objects(f"{scheme}://{host}", options) if separator else None

    @property
    def identity(self) -> str:
        """What tells it from all others."""
        return (
            identity(as_path(self.place))
            if self._objects is None
            else self._objects.identity(self._folder)
        )

    def version(self, given: object) -> str:
        """Return the version that a list gives an item, in the form in which it is read."""
        if not isinstance(given, str) or not given:
            return UNLISTED
        tag = given.strip('"')
        dated = tag.replace("-", "", 1).isdigit() and tag.count("-") == 1
        return tag if self._objects is None or dated or tag.startswith("etag-") else f"etag-{tag}"

    def read(self, item: ImageItem, key: str) -> bytes:
        """Return the content of `item`, which is `key` below this folder or its whole address.

        ImageError, ``refused``, if it leads elsewhere; ImageChanged, with the content, if its
        version is another or was not known; and what reading it raises.
        """
        inside = self._inside(key)
        # A bucket that has keys with such parts has no folders for them to lead out of.
        is_literal = self._objects is not None and self._objects.takes_any_key
        leads_out = inside.startswith("/") or ".." in inside.split("/")
        if "://" in inside or (leads_out and not is_literal):
            raise ImageError(Outcome.REFUSED, f"it does not lie below {self.place}")
        if self._objects is not None:
            return self._objects.read(item, f"{self._folder}/{inside}" if self._folder else inside)
        return read_local(as_path(f"{self.place}/{inside}"), item)

    def leads_out(self, key: str) -> bool:
        """Return whether `key` is a file of this machine that does not lie below this folder."""
        if self._objects is not None:
            return False
        root = os.path.realpath(as_path(self.place))
        path = os.path.realpath(as_path(f"{self.place}/{self._inside(key)}"))
        return os.path.commonpath([root, path]) != root

    def _inside(self, key: str) -> str:
        return key.removeprefix(f"{self.place}/")


def as_utf8(path: str) -> str:
    """Return a path of the command line, which is in the locale's encoding, as UTF-8."""
    return os.fsencode(path).decode(errors="surrogateescape")


def as_path(name: str) -> str:
    """Return a name that is UTF-8 as the path of a file, which is in the locale's encoding."""
    return os.fsdecode(name.encode(errors="surrogateescape"))


def as_text(value: object) -> str | None:
    """Return a key, address or version of a list, which is text or a whole number; else None.

    Examples
    --------
    >>> [as_text(value) for value in ("a.jpg", 7, 7.0, "", None, True, 0.5)]
    ['a.jpg', '7', '7', None, None, None, None]
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def split(location: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return the path in `location`, without its scheme, and its options, by name.

    UsageError if there is no path, or an option is none of `known`.

    Examples
    --------
    >>> split("manifest://keys.txt?base=s3://photos", {"base"})
    ('keys.txt', {'base': 's3://photos'})
    """
    scheme, _, rest = location.partition("://")
    path, mark, query = rest.rpartition("?")
    if not mark:
        path, query = rest, ""
    options = dict(parse_qsl(query, keep_blank_values=True))
    others = sorted(set(options) - set(known))
    if others or (query and not options):
        raise UsageError(
            f"cannot open {scheme}://{path}: it has no option "
            f"{others[0] if others else query!r}. Give one of "
            f'{", ".join(sorted(known)) or "none"} (to use a path that contains "?", append '
            'a trailing "?")'
        )
    if not path:
        raise UsageError(f"cannot open {scheme}:// without a path. Give the path of a file")
    return path, options


def options(given: Mapping[str, str]) -> str:
    """Return options as they stand behind the ``?`` of a location."""
    return urlencode(sorted(given.items()))


def cannot_open(path: str, error: OSError) -> SourceError:
    """Return what to tell a person of a file that cannot be opened."""
    return SourceError(f"{path}: cannot be read: {error.strerror}")


class Unique:
    """Names items, no two alike; remembers each key by 16 bytes, in about 100 of memory.

    Examples
    --------
    >>> unique = Unique()
    >>> [unique.name(name) for name in ("a", "b", "a", "a#2", "a")]
    ['a', 'b', 'a#2', 'a#2#2', 'a#3']
    """

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._numbers: dict[bytes, int] = {}

    def is_new(self, key: str) -> bool:
        """Return whether `key` comes for the first time."""
        before = len(self._seen)
        self._seen.add(_digest(key))
        return len(self._seen) > before

    def name(self, name: str | bytes) -> str:
        """Return the key of an item called `name`, written as `escape_name` does.

        If that is taken, it is ``key#2``, or the next number that is not.
        """
        key = escape_name(name)
        if self.is_new(key):
            return key
        digest = _digest(key)
        number = self._numbers.get(digest, 1) + 1
        while not self.is_new(f"{key}#{number}"):
            number += 1
        self._numbers[digest] = number
        return f"{key}#{number}"


def _digest(key: str) -> bytes:
    return blake2b(key.encode(errors="surrogateescape"), digest_size=16).digest()
