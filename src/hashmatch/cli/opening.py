"""The lists and the matcher that a command's options describe."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hashmatch.cli.stores import is_store, one_list
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.cli.options import ListShape
    from hashmatch.matcher import Matcher
    from hashmatch.records.lists import HashList

    Trust = dict[str, Any]  # what `trust_options` gave

REFERENCE_KEY = "HASHMATCH_REFERENCE_KEY"


def open_lists(
    paths: Sequence[str], shape: ListShape, algorithm: str, skip_bad_rows: bool, trust: Trust
) -> list[HashList]:
    """Return the list of `algorithm`, or of the one named before the path, at each path."""
    from hashmatch import registry
    from hashmatch.disabled import leave_out, read_disabled
    from hashmatch.reading import choose

    trust = dict(trust)
    disabled = trust.pop("disabled", None)
    key = reference_key()
    out = () if disabled is None else read_disabled(disabled)
    lists: list[HashList] = []
    for given in paths:
        name, separator, rest = given.partition("=")
        known = registry.names(registry.HASHERS)
        named = separator and name in known
        if separator and not named and os.sep not in name and not os.path.exists(given):
            raise UsageError(
                f"{given}: no such file, and no algorithm is called {name!r}; there are "
                f"{', '.join(known)}"
            )
        kind, path = (name, rest) if named else (algorithm, given)
        if is_store(path):
            found: HashList = one_list(path, kind, dict(trust))
        else:
            found = choose(shape.read(path, kind), path, kind, skip_bad_rows)
        for other in lists:  # every match would be counted twice
            if (found.name, found.version, found.spec) == (other.name, other.version, other.spec):
                raise UsageError(f"{path}: its {kind} hashes are given twice")
        lists.append(leave_out(found, out, key))
    return lists


def open_matcher(lists: list[HashList], **options: Any) -> Matcher:
    """Return a matcher, with the deployment's reference key if the environment has one."""
    from hashmatch.matcher import Matcher

    return Matcher(*lists, reference_key=reference_key(), **options)


def reference_key() -> bytes | None:
    """Return the deployment's reference key, if the environment has one."""
    from hashmatch.lookup import LONGEST_KEY, SHORTEST_KEY

    key = os.environb.get(REFERENCE_KEY.encode(), b"")
    if key and not SHORTEST_KEY <= len(key) <= LONGEST_KEY:
        raise UsageError(
            f"{REFERENCE_KEY} has {len(key)} bytes; a key has {SHORTEST_KEY} to {LONGEST_KEY}"
        )
    return key or None
