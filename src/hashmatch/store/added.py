"""What an update added to a list, as a list of its own: hashes that were kept need no other."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from hashmatch.records.lists import HashList
from hashmatch.statements import joined
from hashmatch.store.comparing import new_hashes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashmatch.store.content import Content


class AddedList(HashList):
    """The entries of a stored list whose hashes an earlier version of it had not.

    It bears the name and version of the whole list, and names entries as that does.
    """

    __slots__ = ("_secret",)

    _secret: bytes

    def own_key(self) -> bytes:
        """Return the secret of the store, which references are made with."""
        return self._secret

    def leaving_out(self, rows: Iterable[int]) -> AddedList:
        """Return the same list, of which a matcher does not match some entries."""
        left = AddedList(
            **{each.name: getattr(self, each.name) for each in fields(HashList)}
            | {"left_out": tuple(sorted({*self.left_out, *rows}))}
        )
        object.__setattr__(left, "_secret", self._secret)
        return left


def added(
    before: Content | None, after: Content, algorithm: str, secret: bytes
) -> AddedList | None:
    """Return what of one kind of hash is new between two versions; None if nothing is.

    Parameters
    ----------
    before : Content or None
        The earlier version; without one, all is new.
    after : Content
        The later.
    algorithm : str
        Which hashes.
    secret : bytes
        The key of references, see `hashmatch.store.reference_key`.
    """
    kind = after.kinds.get(algorithm)
    if kind is None:
        return None
    rows = new_hashes(before, kind, algorithm)
    parts, first = [], 0
    for segment in kind.segments:
        own = rows[(rows >= first) & (rows < first + segment.rows)] - first
        parts.append(segment.take(own))
        first += segment.rows
    (said,) = joined(parts)
    if not len(said):
        return None
    manifest, limit = after.manifest, after.limits.get(algorithm)
    spec = said.hashes.spec
    found = AddedList(
        manifest.name, str(manifest.version), spec, said.hashes, said.entries, (), limit
    )
    object.__setattr__(found, "_secret", secret)
    return found
