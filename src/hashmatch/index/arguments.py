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
    """Return `hashes`; UsageError, that it cannot `what` them, unless a list or a batch."""
    if not isinstance(hashes, HashList | HashBatch):
        raise no_hashes(what, hashes, "a HashList or a HashBatch")
    return hashes


def no_hashes(what: str, value: object, wanted: str = "a HashBatch") -> UsageError:
    """Return the error for a `value` in the place of hashes, with how to make them; shows none."""
    hint = ""
    if isinstance(value, HashList):
        hint = ": the hashes of a list are its .hashes, and join takes a list"
    elif isinstance(value, str | list | tuple):
        hint = ": HashBatch.from_hex(spec, lines) makes one of hexadecimal text"
    elif isinstance(value, bytes | bytearray):
        hint = ": HashBatch.from_bytes(spec, data) makes one"
    elif isinstance(value, np.ndarray):
        hint = ": HashBatch(spec, words) makes one of uint64 words, from_bytes of bytes"
    elif hasattr(value, "hashes"):
        hint = ": its .hashes may be what is meant"
    name = "None" if value is None else f"a value of type {type(value).__name__}"
    return UsageError(f"cannot {what} {name}. Give {wanted}{hint}")


def at_least_one(name: str, value: int) -> int:
    """Return `value` as an int; raise UsageError unless it is a whole number from 1 on."""
    try:
        number = index(value)
    except TypeError:
        raise UsageError(f"cannot use {value!r} for {name}. Give a whole number") from None
    if number < 1:
        raise UsageError(f"cannot use {number} for {name}. Give 1 or more")
    return number


def in_bits(spec: HashSpec, max_distance: int) -> int:
    """Return `max_distance` as an int; raise UsageError unless it is 0 to ``spec.bits``."""
    try:
        limit = index(max_distance)  # int would cut 31.9, and take text
    except TypeError:
        raise UsageError(
            f"cannot use {max_distance!r} as a maximum distance. Give a whole number"
        ) from None
    if not 0 <= limit <= spec.bits:
        raise UsageError(
            f"cannot use a maximum distance of {limit}. Give one from 0 to {spec.bits} for {spec}"
        )
    return limit


def path_of(path: object) -> str:
    """Return the text of a path; raise UsageError if it is none."""
    if not isinstance(path, str | bytes | os.PathLike):
        raise UsageError(f"cannot name an index file by a {type(path).__name__}. Give a path")
    name = os.fsdecode(path)
    if not name:
        raise UsageError("cannot use an empty path for an index file. Give its path")
    return name


def text_of(snapshot: object) -> str:
    """Return the name of a snapshot; raise UsageError if it is no text."""
    if not isinstance(snapshot, str):
        raise UsageError(f"cannot name a snapshot by a {type(snapshot).__name__}. Give text")
    return snapshot
