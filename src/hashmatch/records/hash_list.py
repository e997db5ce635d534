"""Known-hash lists: opaque to everything but the search."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.records.entries import Entries, Limit
from hashmatch.records.hashes import HashBatch, HashSpec, Opaque

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from hashmatch.errors import RejectedRow
    from hashmatch.index.hash_index import HashIndex
    from hashmatch.records.entries import Entry


REFERENCE = "ref:"
"""What references to entries without an id begin with."""


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class HashList(Opaque):
    """A known-hash list of one kind of hash. Its values are never shown, logged or pickled.

    Parameters
    ----------
    name, version : str
        Named in every match made with it.
    spec : HashSpec
        What its hashes are.
    hashes : HashBatch
        The hashes, n of them.
    entries : sequence of Entry
        What is known of each, in the same order; kept as columns, see `Entries`.
    rejected : tuple of RejectedRow
        Rows of its file that were left out because they could not be used.
    max_distance : int, optional
        The list's own inclusive limit in bits; an entry's own outranks it.
    index : HashIndex, optional
        An index over these very hashes and limits, if there is one already.
    left_out : tuple of int
        Numbers of entries that a matcher is not to match, see `leaving_out`.

    Examples
    --------
    >>> from hashmatch import Entry
    >>> spec = HashSpec("phash", 64)
    >>> HashList("demo", "1", spec, HashBatch.from_hex(spec, ["0f" * 8]), (Entry("a"),))
    <HashList demo, version 1, phash (64 bits), n=1>
    """

    name: str
    version: str
    spec: HashSpec
    hashes: HashBatch
    entries: Sequence[Entry]
    rejected: tuple[RejectedRow, ...] = ()
    max_distance: int | None = None
    index: HashIndex | None = None
    left_out: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", Entries.of(self.entries))
        if not isinstance(self.name, str) or not isinstance(self.version, str):
            raise UsageError("a list's name and version are text")
        if self.hashes.spec != self.spec:
            raise SpecMismatch(f"list {self.name} is of {self.spec}, its hashes {self.hashes.spec}")
        if len(self.hashes) != len(self.entries):
            raise UsageError(
                f"list {self.name} has {len(self.hashes)} hashes and {len(self.entries)} entries"
            )

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"<HashList {self.name}, version {self.version}, {self.spec}, n={len(self)}>"

    def leaving_out(self, rows: Iterable[int]) -> HashList:
        """Return the same list, of which a matcher does not match some entries.

        Its name, its version and the numbers of its entries stay what they are, and so do the
        records of what matches other entries. An index that is built over it has all of them.

        Parameters
        ----------
        rows : iterable of int
            Numbers of entries; those that are left out already stay so.
        """
        return replace(self, left_out=tuple(sorted({*self.left_out, *rows})))

    def limit_of(self, entry: Entry, default: Limit) -> Limit:
        """Return the limit that counts for an entry, and who set it. The one place that says so.

        Parameters
        ----------
        entry : Entry
            Of this list.
        default : Limit
            The caller's, else the algorithm's: what counts where neither the entry nor the list
            has a limit of its own.
        """
        if entry.max_distance is not None:
            return Limit(entry.max_distance, "entry")
        return default if self.max_distance is None else Limit(self.max_distance, "list")

    def limits(self, default: int) -> NDArray[np.int64]:
        """Return each entry's inclusive limit in bits, see `limit_of`.

        Parameters
        ----------
        default : int
            For entries of a list without a limit.

        Returns
        -------
        ndarray of int64, shape (n,)

        Raises
        ------
        UsageError
            If a limit is no whole number.
        """
        entries, fallback = Entries.of(self.entries), Limit(default, "algorithm")
        own = [self.limit_of(kind, fallback).bits for kind in entries.kinds]
        limits = np.array(own or [0])
        if limits.dtype.kind not in "iu":  # 31.7 would become 31, and text a number
            raise UsageError(f"list {self.name} has a max_distance that is no whole number of bits")
        return limits.astype(np.int64)[np.asarray(entries.kind[:])]

    def own_key(self) -> bytes:
        """Return a key for `reference` that only holders of this very list can make.

        It is a digest of all hashes, for deployments that set no secret of their own; references
        made with it change when the list does. A secret is better: the holder of a list of one
        entry could be found out by guessing it.
        """
        return hashlib.blake2b(self.hashes.words.tobytes()).digest()

    def reference(self, row: int, key: bytes, entry: Entry | None = None) -> str:
        """Return how a match names entry `row`: its external id, else a keyed reference.

        The reference is a keyed BLAKE2b (RFC 7693) of the hash, so nobody without the key can
        test a guess against it.

        Parameters
        ----------
        row : int
            Which entry.
        key : bytes
            At most 64 bytes.
        entry : Entry, optional
            What `entries` has of that row, if it is at hand.
        """
        entry = self.entries[row] if entry is None else entry
        if entry.external_id is not None:
            return entry.external_id
        return _reference(self._value(row), key)

    def rows_named(self, names: Collection[str], key: bytes | None = None) -> set[int]:
        """Return the numbers of the entries that matches name so; see `reference`.

        Parameters
        ----------
        names : collection of str
            External ids and references.
        key : bytes, optional
            What references are made with; by default `own_key`.
        """
        rows = set(self._rows_with_ids(names))
        if any(name.startswith(REFERENCE) for name in names):
            key = self.own_key() if key is None else key
            data, size = self.hashes.words.tobytes(), self.spec.words * 8
            for row in range(len(data) // size):
                named = _reference(data[row * size : (row + 1) * size], key) in names
                if named and self.entries[row].external_id is None:
                    rows.add(row)
        return rows

    def _rows_with_ids(self, names: Collection[str]) -> list[int]:
        return Entries.of(self.entries).rows_named(names)

    def _value(self, row: int) -> bytes:
        return bytes(self.hashes.words[row].tobytes())


def _reference(value: bytes, key: bytes) -> str:
    digest = hashlib.blake2b(value, digest_size=12, key=key, person=b"hashmatch-entry")
    return f"{REFERENCE}{digest.hexdigest()}"
