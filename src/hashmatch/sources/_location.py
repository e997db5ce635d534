"""Locations like ``manifest://keys.txt?base=s3://bucket``: a path and options, and unique keys."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from hashmatch.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection


def split(location: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return the path in `location`, without its scheme, and its options, by name.

    Raises
    ------
    UsageError
        If there is no path, or an option is none of `known`.

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
            f"{scheme}://{path}: no option {others[0] if others else query!r}; there are "
            f"{', '.join(sorted(known)) or 'none'} (a path with a ? in it ends in another)"
        )
    if not path:
        raise UsageError(f"{scheme}:// is followed by the path of a file")
    return path, options


def cannot_open(path: str, error: OSError) -> SourceError:
    """Return what to tell a person of a file that cannot be opened."""
    return SourceError(f"{path}: cannot be read: {error.strerror}")


class Unique:
    """Remembers keys by 16 bytes of their hash: about 100 bytes of memory for each.

    Examples
    --------
    >>> unique = Unique()
    >>> [unique.name(key) for key in ("a", "b", "a", "a")]
    ['a', 'b', 'a#2', 'a#3']
    """

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def is_new(self, key: str) -> bool:
        """Return whether `key` comes for the first time."""
        digest = blake2b(key.encode(errors="surrogateescape"), digest_size=16).digest()
        before = len(self._seen)
        self._seen.add(digest)
        return len(self._seen) > before

    def name(self, key: str) -> str:
        """Return `key`, or, if it is taken, ``key#2`` or the next that is not."""
        number, name = 1, key
        while not self.is_new(name):
            number += 1
            name = f"{key}#{number}"
        return name
