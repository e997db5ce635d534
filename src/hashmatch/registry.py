"""Finds plug-ins, ours and other people's, by name through entry points."""

from __future__ import annotations

from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from inspect import signature
from typing import TYPE_CHECKING, Any, cast

from hashmatch.errors import UnknownPlugin, install

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from hashmatch.interfaces import Hasher, ListReader, Sink, Source
    from hashmatch.records.enums import Surface
    from hashmatch.records.hashes import HashSpec

HASHERS = "hashmatch.hashers"
LISTS = "hashmatch.lists"
SOURCES = "hashmatch.sources"
SINKS = "hashmatch.sinks"
DRAFTS = "hashmatch.drafts"
EXCHANGES = "hashmatch.exchanges"

_KIND = {
    HASHERS: "algorithm", LISTS: "list format", SOURCES: "source", SINKS: "output format",
    DRAFTS: "destination of drafts", EXCHANGES: "kind of exchange",
}  # fmt: skip


@cache
def _points(group: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            # Which of the two would run must not depend on the order of installed packages.
            raise UnknownPlugin(
                f"cannot choose the {_KIND[group]} {point.name!r}: two packages offer it, "
                f"{other.value} and {point.value}. Uninstall one"
            )
    if not found:
        raise UnknownPlugin(
            f"cannot find any {_KIND[group]}: hashmatch is not installed, its source alone "
            f"is on the path. {install()}"
        )
    return found


def names(group: str) -> list[str]:
    """Return the names of all plug-ins of a group, sorted; none is imported.

    Parameters
    ----------
    group : str
        The group of entry points, such as `EXCHANGES`.
    """
    return sorted(_points(group))


def hashes(algorithm: str) -> bool:
    """Return whether a hasher called `algorithm` is installed; it is not imported."""
    return algorithm in _points(HASHERS)


def load(group: str, name: str) -> Any:
    """Return the class behind `name`.

    Raises UnknownPlugin if there is none, naming those there are, or if it cannot be imported.
    """
    point = _points(group).get(name)
    if point is None:
        raise UnknownPlugin(
            f"cannot find the {_KIND[group]} {name!r}: it is not installed. Give one of "
            f"{', '.join(names(group))}"
        )
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise UnknownPlugin(f"cannot load the {_KIND[group]} {name!r}: {error}") from error


def maker(group: str, name: str) -> str:
    """Return who offers a plug-in, and in which version; empty if it comes with hashmatch."""
    made_by = _points(group)[name].dist
    return "" if made_by is None else _named(made_by)


@cache  # reading the metadata of a distribution takes milliseconds, and each offers several
def _named(made_by: Distribution) -> str:
    return "" if made_by.name == "hashmatch" else f"{made_by.name} {made_by.version}"


@cache
def hasher(algorithm: str) -> Hasher:
    """Return the hasher called `algorithm`. Hashers hold no state, so there is one of each."""
    return cast("Hasher", load(HASHERS, algorithm)())


def spec(algorithm: str) -> HashSpec:
    """Return what hashes of `algorithm` are."""
    return hasher(algorithm).spec


def list_reader(name: str) -> ListReader:
    """Return a reader of the list format called `name`."""
    return cast("ListReader", load(LISTS, name)())


def open_source(location: str, surface: Surface, *, allow_private: Collection[str] = ()) -> Source:
    """Return the source at a location.

    Parameters
    ----------
    location : str
        ``scheme://...``, or a local folder or file.
    surface : Surface
        Where its images were published.
    allow_private : collection of str
        Hosts and networks that it may dial though they are not public; what does not dial, and has
        no such options, needs none.

    Raises
    ------
    UnknownPlugin
        If no source of that scheme is installed.
    SourceError
        If there is nothing there.
    """
    scheme, separator, _ = location.partition("://")
    if separator and scheme not in names(SOURCES):
        others = "".join(f", {name}://" for name in names(SOURCES) if name != "directory")
        raise UnknownPlugin(
            f"cannot open {scheme}://: no source of that scheme is installed. Give one of "
            f"local folders and files{others}"
        )
    made = load(SOURCES, scheme if separator else "directory")
    if allow_private and "options" in signature(made).parameters:
        return cast("Source", made(location, surface, {"allow_private": tuple(allow_private)}))
    return cast("Source", made(location, surface))


def open_sink(path: Path | None) -> Sink:
    """Return the sink that a file's suffix asks for; JSON lines for a pipe, or without a suffix.

    Raises UnknownPlugin for a suffix that none writes, naming those there are.
    """
    suffix = "jsonl" if path is None else path.suffix.removeprefix(".").lower()
    if path is not None and suffix not in names(SINKS):
        if suffix and (not path.exists() or path.is_file()):
            raise UnknownPlugin(
                f"cannot write {path}: no output format has the ending .{suffix}. Give a name that "
                f"ends in {' or '.join(f'.{name}' for name in names(SINKS))}."
            )
        suffix = "jsonl"
    return cast("Sink", load(SINKS, suffix)(path))
