"""HashIndex: every entry of a list within a distance of a query, and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._redact import unseen
from hashmatch.errors import SpecMismatch
from hashmatch.index.arguments import hashes_in, in_bits, path_of
from hashmatch.index.queries import Searchable
from hashmatch.records.hashes import HashBatch

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import ArrayLike

    from hashmatch.records.hash_list import HashList


class HashIndex(Searchable):
    """An exact Hamming index over the hashes of a list. Safe to search from several threads.

    Built with `build`; immutable, and never pickled. It looks at every entry or, in longer lists
    and up to the limit that they were built for, at those that nearly share some bits with the
    query; `explain` says which. Entries are numbered from 0 in the order in which they came, and
    keep their number when others come and go.

    Examples
    --------
    >>> from hashmatch import HashSpec
    >>> spec = HashSpec("phash", 64)
    >>> known = HashIndex.build(HashBatch.from_hex(spec, ["00" * 8, "ff" * 8]), max_distance=3)
    >>> hits = known.search(HashBatch.from_hex(spec, ["00" * 7 + "07"]))
    >>> hits.entry.tolist(), hits.distance.tolist()
    ([0], [3])
    >>> later = known.with_changes(removed=[0])
    >>> len(later), len(later.search(HashBatch.from_hex(spec, ["00" * 8])))
    (1, 0)
    """

    __slots__ = ()

    @classmethod
    @unseen
    def build(
        cls,
        hashes: HashList | HashBatch,
        max_distance: int | None = None,
        snapshot: str | None = None,
    ) -> HashIndex:
        """Return an index over the hashes of a list or batch.

        Parameters
        ----------
        hashes : HashList or HashBatch
            Of any size, 0 included. Limits of a list or of its entries outrank every other.
        max_distance : int, optional
            The limit that searches usually ask for, in bits. Up to it they are then the faster the
            longer the list is; beyond it, and without it, every entry is looked at.
        snapshot : str, optional
            A name for this state of the list, that each answer then bears. Else the list's own name
            and version, or something random.

        Raises
        ------
        UsageError
            If `hashes` are none of these, or a limit is out of its range.
        """
        from hashmatch.index.snapshot import Snapshot

        hashes = hashes_in("an index is built over", hashes)
        limit = None if max_distance is None else in_bits(hashes.spec, max_distance)
        return cls(Snapshot.build(hashes, limit, snapshot))

    @classmethod
    @unseen
    def open(cls, path: str | PathLike[str], check: bool = True) -> HashIndex:
        """Return the index in a file that `save` made, without reading it in.

        Its pages are mapped, and shared by all processes that open it. Whoever has it open goes on
        with what it was when it is replaced by `save` or deleted. One that is written over in place
        instead is found out: searches then raise IndexFileError, and open it again. One that is cut
        off in place while it is searched ends the process (SIGBUS), as every mapped file does.

        Parameters
        ----------
        path : str or path
            The file.
        check : bool
            Whether to read all of it once and compare it with its checksums. Without, a bit that
            has changed on the disk goes unnoticed, and so may matches: leave it out only where
            somebody else has checked the file, as the parent of a process.

        Raises
        ------
        IndexFileError
            If it cannot be read, or is not a whole and sound index file of this version.
        """
        from hashmatch.index.files import read

        return cls(*read(path_of(path), check))

    @classmethod
    @unseen
    def build_file(
        cls,
        path: str | PathLike[str],
        hashes: HashList | HashBatch,
        max_distance: int | None = None,
        snapshot: str | None = None,
    ) -> None:
        """Write what ``build(hashes, max_distance, snapshot).save(path)`` would, in little memory.

        The index is made in its file, a part at a time, and put in its place at once and whole. So
        it needs the memory of the hashes and of one of its bands instead of that of all.

        Parameters
        ----------
        path : str or path
            The file; as for `save`.
        hashes : HashList or HashBatch
            As for `build`. Those that are mapped from a file are not copied as a whole.
        max_distance : int, optional
            As for `build`.
        snapshot : str, optional
            As for `build`.

        Raises
        ------
        UsageError
            As `build`.
        IndexFileError
            As `save`; what was at `path` is then still there.

        Examples
        --------
        >>> import tempfile
        >>> from hashmatch import HashSpec
        >>> known = HashBatch.from_hex(HashSpec("phash", 64), ["00" * 8, "ff" * 8])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     HashIndex.build_file(folder + "/known.index", known, max_distance=3)
        ...     index = HashIndex.open(folder + "/known.index")
        >>> len(index), index.max_distance
        (2, 3)
        """
        from hashmatch.index.files import build

        hashes = hashes_in("an index is built over", hashes)
        limit = None if max_distance is None else in_bits(hashes.spec, max_distance)
        build(path_of(path), hashes, limit, snapshot)

    @unseen
    def save(self, path: str | PathLike[str]) -> None:
        """Write the index to a file, in the place of the one that is there, at once and whole.

        It holds a list's hashes, so only its owner may read it.

        Parameters
        ----------
        path : str or path
            The file; `hashmatch._files.block_format` says what each byte of it is.

        Raises
        ------
        IndexFileError
            If it cannot be written, or this index is in a file that was cut off or written over;
            what was at `path` is then still there.
        """
        from hashmatch.index.files import write

        write(path_of(path), self._state, self._check)

    @unseen
    def with_changes(
        self,
        added: HashList | HashBatch | None = None,
        removed: ArrayLike = (),
        snapshot: str | None = None,
    ) -> HashIndex:
        """Return the next state of this index, in time like that of the change; this one stays.

        Whoever is searching this index goes on doing so undisturbed, and its answers name its
        snapshot.

        Parameters
        ----------
        added : HashList or HashBatch, optional
            New entries, numbered from `next_entry` on.
        removed : array_like of int
            Numbers of entries that are no longer to be found.
        snapshot : str, optional
            As for `build`.

        Raises
        ------
        SpecMismatch
            If the new entries are hashes of another kind.
        UsageError
            If there is no entry of a number, or it is removed twice.
        """
        if added is None:
            added = HashBatch(self.spec, np.empty((0, self.spec.words), np.uint64))
        added = hashes_in("what is added is", added)
        if added.spec != self.spec:
            raise SpecMismatch(f"this index holds {self.spec}, {added.spec} cannot be added to it")
        state = self._state.changed(added, removed, snapshot)
        self._check()
        return HashIndex(state, self._file)

    @unseen
    def without(self, entries: ArrayLike) -> HashIndex:
        """Return the index of the other entries, numbered anew from 0 in their order.

        In time and memory like that of one number for each entry; its snapshot keeps its name.

        Parameters
        ----------
        entries : array_like of int
            Numbers of entries that are no longer to be found.

        Raises
        ------
        UsageError
            As `with_changes`.

        Examples
        --------
        >>> from hashmatch import HashSpec
        >>> batch = HashBatch.from_hex(HashSpec("phash", 64), ["00" * 8, "0f" * 8, "ff" * 8])
        >>> HashIndex.build(batch).without([1]).search(batch, 0).entry.tolist()
        [0, 1]
        """
        state = self._state.without(entries)
        self._check()
        return HashIndex(state, self._file)

    def explain(self) -> str:
        """Return how this index searches, and why."""
        parts = "; ".join(part.segment.explain() for part in self._state.parts)
        removed = self.next_entry - len(self)
        return parts + (f"; {removed:,} were removed and are passed over" if removed else "")

    @property
    def next_entry(self) -> int:
        """The number that the next entry added gets."""
        return self._state.following

    @property
    def nbytes(self) -> int:
        """Bytes that it takes; of an opened file, in pages shared with whoever else opened it."""
        return self._state.nbytes

    @property
    def path(self) -> str | None:
        """The file that it was opened from, or what it was made from with `with_changes`."""
        return None if self._file is None else self._file.path

    def __len__(self) -> int:
        return len(self._state)

    def __repr__(self) -> str:
        return f"<HashIndex {self.snapshot}, {self.spec}, n={len(self)}>"
