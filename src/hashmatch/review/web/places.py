"""Which sources the page opens: those below the places that its operator named, and no others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from hashmatch._net.addresses import PORTS, Origin

if TYPE_CHECKING:
    from collections.abc import Iterable

FILES = frozenset({"tar", "zip", "manifest", "jsonl", "parquet"})
"""Schemes of what lies in a file of this machine."""
LISTS = frozenset({"manifest", "jsonl", *PORTS})
"""Schemes of lists, whose base is the folder they lie in, unless they say another."""
BUCKETS = frozenset({"s3", "gs", "az"})

_HIDDEN = ("%2e", "%2f", "%5c", "\\", "//", "#")
"""What a server may take for a step up in a path, or for its end."""


def below(source: str, places: Iterable[str]) -> str:
    """Return `source` as it is to be opened, if it lies below one of `places`; else nothing.

    Both are locations of sources. What is on this machine lies where its real path says, symbolic
    links followed; what a list leads to, as its ``base``, has to lie below one of `places` too. Of
    a scheme that a plug-in has, only the very same location does.

    Examples
    --------
    >>> below("s3://photos/2026/may", ["s3://photos/2026"])
    's3://photos/2026/may'
    >>> below("s3://photos/2025", ["s3://photos/2026"])
    ''
    """
    places = list(places)
    if "://" in source and source in places:
        return source
    opened = _below(source, places)
    scheme, rest = _split(source)
    path, options = _options(rest)
    if opened and scheme in LISTS and "base" not in options:
        folder = os.path.dirname(os.path.realpath(path) if scheme in FILES else path)
        if not _below(f"{scheme}://{folder}" if scheme in PORTS else folder, places):
            return ""  # a record may name whatever lies beside the list
    return opened


def _below(source: str, places: list[str]) -> str:
    scheme, rest = _split(source)
    if scheme in BUCKETS:
        return source if any(_is_key_below(source, place) for place in places) else ""
    path, options = _options(rest) if scheme else (rest, {})
    if "base" in options:
        base = _below(options["base"], places)
        if not base:
            return ""
        options["base"] = base
    query = f"?{urlencode(options)}" if options else ""
    if scheme in PORTS:
        url = f"{scheme}://{path}"
        return url + query if any(_is_url_below(url, place) for place in places) else ""
    if scheme and scheme not in FILES:
        return ""
    real = os.path.realpath(path)
    if not any(is_below(real, place) for place in places if "://" not in place):
        return ""
    return f"{scheme}://{real}{query}" if scheme else real


def server_of(source: str, places: Iterable[str]) -> str:
    """Return what hangs as one with a source: its bucket, its server, or its folder's place.

    Nothing is looked up for it, since that may hang too.

    Examples
    --------
    >>> server_of("s3://photos/2026/may", []), server_of("manifest:///a.txt?base=s3://photos", [])
    ('s3://photos', 's3://photos')
    >>> server_of("tar:///mnt/photos/may.tar", ["/mnt/photos", "/home/ana"])
    '/mnt/photos'
    """
    scheme, rest = _split(source)
    if scheme in BUCKETS:
        return f"{scheme}://{rest.partition('/')[0]}"
    path, options = _options(rest) if scheme else (rest, {})
    if "base" in options:
        return server_of(options["base"], places)
    if scheme in PORTS:
        return f"{scheme}://{path.partition('/')[0]}"
    path = os.path.normpath(path)
    folders = [place for place in places if "://" not in place]
    around = [folder for folder in folders if is_key_below(path, os.path.normpath(folder))]
    return max(around, key=len, default=path)


def is_below(real: str, folder: str) -> bool:
    """Return whether a path without symbolic links is `folder`, or lies below it."""
    root = os.path.realpath(folder)
    return real == root or real.startswith(os.path.join(root, ""))


def is_key_below(key: str, folder: str) -> bool:
    """Return whether a key of a bucket is `folder`, or lies below it."""
    folder = folder.rstrip("/")
    inside = not folder or key == folder or key.startswith(f"{folder}/")
    return inside and {".", ".."}.isdisjoint(key.split("/"))


def _split(location: str) -> tuple[str, str]:
    scheme, separator, rest = location.partition("://")
    return (scheme, rest) if separator else ("", location)


def _options(rest: str) -> tuple[str, dict[str, str]]:
    """Return path and options as the sources themselves read them."""
    path, mark, query = rest.rpartition("?")
    return (path, dict(parse_qsl(query, keep_blank_values=True))) if mark else (rest, {})


def _is_key_below(source: str, place: str) -> bool:
    (scheme, rest), (other, root) = _split(source), _split(place)
    bucket, _, key = rest.partition("/")
    named, _, folder = root.partition("/")
    return (scheme, bucket) == (other, named) and is_key_below(key, folder)


def _is_url_below(url: str, place: str) -> bool:
    try:
        same = Origin.parse(url) == Origin.parse(place)
    except ValueError:
        return False
    path = url.partition("://")[2].partition("/")[2]
    folder = place.partition("://")[2].partition("/")[2].partition("?")[0]
    hidden = any(text in path.lower() for text in _HIDDEN)
    return same and not hidden and is_key_below(path, folder)
