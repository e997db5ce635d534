"""Argument validation for `HashIndex`: what cannot be used is one line that says what can."""

from __future__ import annotations

import os
from operator import index
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.errors import UsageError
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch

if TYPE_CHECKING:
    from hashmatch.records.hashes import HashSpec


def hashes_in(what: str, hashes: object) -> HashList | HashBatch:
    """Return `hashes`; UsageError, which begins with `what`, unless they are a list or a batch."""
    if not isinstance(hashes, HashList | HashBatch):
        raise no_hashes(f"{what} a HashList or a HashBatch", hashes)
    return hashes


def no_hashes(what: str, value: object) -> UsageError:
    """Return the error for a `value` in the place of hashes, with how to make them; shows none."""
    hint = ""
    if isinstance(value, HashList):
        hint = "; the hashes of a list are its .hashes, and join takes a list"
    elif isinstance(value, str | list | tuple):
        hint = "; HashBatch.from_hex(spec, lines) makes one of hexadecimal text"
    elif isinstance(value, bytes | bytearray):
        hint = "; HashBatch.from_bytes(spec, data) makes one"
    elif isinstance(value, np.ndarray):
        hint = "; HashBatch(spec, words) makes one of uint64 words, from_bytes of bytes"
    elif hasattr(value, "hashes"):
        hint = "; its .hashes may be what is meant"
    name = "None" if value is None else f"a value of type {type(value).__name__}"
    return UsageError(f"{what}, not {name}{hint}")


def at_least_one(name: str, value: int) -> int:
    """Return `value` as an int; raise UsageError unless it is a whole number from 1 on."""
    try:
        number = index(value)
    except TypeError:
        raise UsageError(f"{name} is a whole number, not {value!r}") from None
    if number < 1:
        raise UsageError(f"{name} is 1 at least, not {number}")
    return number


def in_bits(spec: HashSpec, max_distance: int) -> int:
    """Return `max_distance` as an int; raise UsageError unless it is 0 to ``spec.bits``."""
    try:
        limit = index(max_distance)  # int would cut 31.9, and take text
    except TypeError:
        raise UsageError(f"a maximum distance is a whole number, not {max_distance!r}") from None
    if not 0 <= limit <= spec.bits:
        raise UsageError(f"a maximum distance of {limit}; for {spec} it is 0 to {spec.bits}")
    return limit


def path_of(path: object) -> str:
    """Return the text of a path; raise UsageError if it is none."""
    if not isinstance(path, str | bytes | os.PathLike):
        raise UsageError(f"an index file is named by a path, not by a {type(path).__name__}")
    name = os.fsdecode(path)
    if not name:
        raise UsageError("the path of an index file is empty")
    return name


def text_of(snapshot: object) -> str:
    """Return the name of a snapshot; raise UsageError if it is no text."""
    if not isinstance(snapshot, str):
        raise UsageError(f"a snapshot is named by text, not by a {type(snapshot).__name__}")
    return snapshot
