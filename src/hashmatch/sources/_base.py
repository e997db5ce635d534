"""Where the keys of a list lead to: a local folder, a bucket or a web server."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hashmatch.errors import ImageChanged, ImageError
from hashmatch.records.enums import Outcome
from hashmatch.sources._local import read_local
from hashmatch.sources._objects import Objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashmatch.records.items import ImageItem

#: The version of an item until it is read, where a list does not say it.
UNLISTED = "unlisted"


class Base:
    """A folder below which everything lies that a list names, and nothing else is read.

    Parameters
    ----------
    place : str
        ``s3://bucket/folder``, ``gs://``, ``az://``, ``https://host/folder``, or a local folder.
    options : mapping, optional
        Of a bucket or web server; see `hashmatch.sources.bucket.BucketSource`.
    """

    def __init__(self, place: str, options: Mapping[str, Any] | None = None) -> None:
        self.place = place.rstrip("/") or "/"
        scheme, separator, rest = place.partition("://")
        host, _, folder = rest.partition("/")
        self._folder = folder.strip("/")
        self._objects = Objects(f"{scheme}://{host}", options) if separator else None

    def version(self, given: object) -> str:
        """Return the version that a list gives an item, in the form in which it is read."""
        if not isinstance(given, str) or not given:
            return UNLISTED
        tag = given.strip('"')
        dated = tag.replace("-", "", 1).isdigit() and tag.count("-") == 1
        return tag if self._objects is None or dated or tag.startswith("etag-") else f"etag-{tag}"

    def read(self, item: ImageItem, key: str) -> bytes:
        """Return the content of `item`, which is `key` below this folder or its whole address.

        Raises
        ------
        ImageError
            ``refused`` if it leads elsewhere; ImageChanged, with the content, if its version is
            another or was not known; and what reading it raises.
        """
        inside = key.removeprefix(f"{self.place}/")
        if "://" in inside or inside.startswith("/") or ".." in inside.split("/"):
            raise ImageError(Outcome.REFUSED, f"it does not lie below {self.place}")
        if self._objects is not None:
            return self._objects.read(item, f"{self._folder}/{inside}".lstrip("/"))
        version, data = read_local(os.path.join(self.place, inside))
        if version != item.version:
            now = replace(item, version=version, size=len(data))
            raise ImageChanged(Outcome.FAILED, "it changed since it was listed", now, data)
        return data
