"""Entries of lists that a platform does not want to be matched any more, with whose reason.

A list stays as its owner made it. What is left out of it is named in a file of the platform's own,
JSON lines that hold no hash::

    {"list": "hotline", "entry": "demo-0007", "reason": "a meme", "by": "ana", "at": "..."}

An entry is named as matches name it: by its external id, else by its keyed reference.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from hashmatch._redact import unseen
from hashmatch.errors import ListError, UsageError
from hashmatch.records.typed import from_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashmatch.records.hash_list import HashList


@dataclass(frozen=True, slots=True)
class Disabled:
    """One entry that is left out.

    Parameters
    ----------
    list, entry : str
        As matches name them.
    reason : str
        Why; never empty.
    by : str
        Who said so; never empty.
    at : str
        When, ISO 8601.

    Raises
    ------
    UsageError
        If something of it is empty.
    """

    list: str
    entry: str
    reason: str
    by: str
    at: str = ""

    def __post_init__(self) -> None:
        if not (self.list and self.entry and self.reason.strip() and self.by.strip()):
            raise UsageError(
                "cannot disable the entry. Give its list, its name, a reason and who disables it"
            )


def read_disabled(path: str | os.PathLike[str]) -> tuple[Disabled, ...]:
    """Return the entries that a file of JSON lines names.

    Parameters
    ----------
    path : str or path
        A file that `hashmatch review entry list` wrote, or one like it.

    Raises
    ------
    ListError
        If it cannot be read, or a line of it names no entry.
    """
    place = os.fspath(path)
    found = []
    try:
        with open(place, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    found.append(_entry(place, number, line))
    except OSError as error:
        raise ListError(f"{place}: cannot be read: {error.strerror}") from None
    return tuple(found)


def _entry(place: str, number: int, line: bytes) -> Disabled:
    try:
        return from_json(line, Disabled)
    except (msgspec.MsgspecError, UsageError) as error:
        raise ListError(
            f"cannot read {place}, line {number}: it names no disabled entry: {error}"
        ) from None


@unseen
def leave_out(
    known: HashList, disabled: Iterable[Disabled], reference_key: bytes | None = None
) -> HashList:
    """Return a list without the entries that are disabled.

    Records of what matches other entries stay the same, but for their ``record_id``: what was left
    out may come in again. Entries of other lists, and those that this one no longer has, make no
    difference.

    Parameters
    ----------
    known : HashList
        The list.
    disabled : iterable of Disabled
        What is to be left out of it.
    reference_key : bytes, optional
        As for `Matcher`: what references to entries without an id are made with.

    Examples
    --------
    >>> import hashmatch as hm
    >>> known = hm.read_list("fixtures/lists/demo-pdq.csv")
    >>> out = leave_out(known, [Disabled("demo-pdq", "demo-0007", "a meme", "ana")])
    >>> len(known), len(out), "demo-0007" in {entry.external_id for entry in out.entries}
    (207, 206, False)
    """
    return known.without(numbers_disabled(known, disabled, reference_key))


@unseen
def numbers_disabled(
    known: HashList, disabled: Iterable[Disabled], reference_key: bytes | None = None
) -> set[int]:
    """Return the numbers of a list's entries that are disabled; parameters as of `leave_out`."""
    names = {each.entry for each in disabled if each.list == known.name}
    return known.named(names, reference_key) if names else set()
