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
from hashmatch.records.images import ImageError
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
        self.place = place.rstrip("/") or "/"
        scheme, separator, rest = place.partition("://")
        host, _, folder = rest.partition("/")
        self._folder = folder.strip("/")
        self._objects = Objects(f"{scheme}://{host}", options) if separator else None

    @property
    def identity(self) -> str:
        """What tells it from all others."""
        return (
            identity(self.place) if self._objects is None else self._objects.identity(self._folder)
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
        inside = key.removeprefix(f"{self.place}/")
        if "://" in inside or inside.startswith("/") or ".." in inside.split("/"):
            raise ImageError(Outcome.REFUSED, f"it does not lie below {self.place}")
        if self._objects is not None:
            return self._objects.read(item, f"{self._folder}/{inside}".lstrip("/"))
        return read_local(os.path.join(self.place, inside), item)


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
            f"{scheme}://{path}: no option {others[0] if others else query!r}; there are "
            f"{', '.join(sorted(known)) or 'none'} (a path with a ? in it ends in another)"
        )
    if not path:
        raise UsageError(f"{scheme}:// is followed by the path of a file")
    return path, options


def options(given: Mapping[str, str]) -> str:
    """Return options as they stand behind the ``?`` of a location."""
    return urlencode(sorted(given.items()))


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
