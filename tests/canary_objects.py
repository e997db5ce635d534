"""All that an object of ours, and whatever of ours hangs on it, says of itself by accident."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import logging
import pickle
import pprint
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

import hashmatch as hm
from hashmatch.lists.merge import Subject

if TYPE_CHECKING:
    from collections.abc import Callable


def found_again(matcher: hm.Matcher, known: hm.HashList) -> list[Any]:
    """Return what the first entries of a list find in it: hashes, or the frames of a video."""
    if known.videos is None:
        return list(matcher.look_up(known.hashes[:2]))
    return [matcher.look_up_video(known.videos[0])] if len(known) else []


def of_ours(thing: object) -> list[Any]:
    """Return `thing` and all objects of our classes that can be reached from it by its parts."""
    found: dict[int, Any] = {}
    left = [thing]
    while left:
        each = left.pop()
        if id(each) in found or isinstance(each, type | str | bytes | int | float | None):
            continue
        if isinstance(each, dict):
            left += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple | set | frozenset):
            left += each
        if type(each).__module__.partition(".")[0] != "hashmatch":
            continue
        found[id(each)] = each
        names = {name for kind in type(each).__mro__ for name in getattr(kind, "__slots__", ())}
        names |= set(getattr(each, "__dict__", ()))
        left += [getattr(each, name, None) for name in names - {"__dict__", "__weakref__"}]
    return list(found.values())


def shown(thing: object) -> bytes:
    """Return all that is to be seen of an object without asking for a hash by name."""
    said = io.StringIO()
    log = logging.StreamHandler(said)
    log.handle(logging.makeLogRecord({"msg": "%s %r", "args": (thing, thing)}))
    said.write(f"{thing} {thing!s} {thing!r} {[thing]} {pprint.pformat(thing)}")
    if isinstance(thing, Exception):
        said.write(repr(thing.args))
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        said.write(repr(dataclasses.asdict(thing)) + repr(dataclasses.astuple(thing)))
    if hasattr(thing, "__dict__"):
        said.write(repr(vars(thing)))
    for copied in (copy.copy, copy.deepcopy):
        with suppress(TypeError, hm.UsageError):  # refused, as it may be
            said.write(repr(copied(thing)))
    written = [said.getvalue().encode(errors="backslashreplace")]
    encoders: list[Callable[[object], bytes]] = [_pickled, msgspec.json.encode, _json]
    for write in encoders[:1] if isinstance(thing, Subject) else encoders:  # a tuple, for its file
        try:
            written.append(write(thing))
        except (TypeError, AttributeError, ValueError, pickle.PicklingError):
            continue  # refused, as it should be
    return b"\n".join(written)


def _pickled(thing: object) -> bytes:
    return b"".join(pickle.dumps(thing, protocol) for protocol in (0, 2, pickle.HIGHEST_PROTOCOL))


def _json(thing: object) -> bytes:
    return json.dumps(thing, default=repr).encode()
