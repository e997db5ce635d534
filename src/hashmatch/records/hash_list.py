"""Known-hash lists: opaque to everything but the search."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from hashmatch._redact import unseen
from hashmatch.errors import SpecMismatch, UsageError
from hashmatch.records.entries import Entries, Entry, Limit, Texts
from hashmatch.records.hash_shapes import REFERENCE, check_kept, hidden
from hashmatch.records.hashes import HashBatch, HashSpec, Opaque
from hashmatch.records.video_columns import VIDEO_SPEC, Videos

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from hashmatch.errors import RejectedRow
    from hashmatch.records.calibration import ListCalibration
    from hashmatch.records.enums import Level


BLOCK = 2**16
"""Entries that are digested at once."""


class Storage(Protocol):
    """Where the hashes of a list in a store lie: row by row, those of no entry any more included.

    Of a list in memory it is a `HashBatch`.
    """

    @property
    def secret(self) -> bytes:
        """What references are made with if the deployment has no key of its own."""
        ...

    @property
    def digest(self) -> bytes | None:
        """What stands for all that is stored, `secret` included, if there is such a digest."""
        ...

    def __getitem__(self, rows: slice, /) -> HashBatch:
        """Return the hashes of some rows."""
        ...

    def __len__(self) -> int: ...


class Index(Protocol):
    """What a list has to know of an index over it, a `hashmatch.HashIndex`."""

    def without(self, entries: ArrayLike) -> Self:
        """Return the index of the other entries, numbered anew."""
        ...


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class HashList(Opaque):
    """A known-hash list of one kind of hash. Its values are never shown, logged or pickled.

    It has the entries that are matched and no others, numbered from 0 without gaps: what its
    storage holds besides was withdrawn, is in quarantine or was left out, and shows nowhere.

    Parameters
    ----------
    name, version : str
        Named in every match made with it.
    spec : HashSpec
        What its hashes are.
    storage : HashBatch or Storage
        Its hashes, or where they lie.
    entries : sequence of Entry
        What is known of each, in the same order; kept as columns, see `Entries`.
    rejected : tuple of RejectedRow
        Rows of its file that were left out because they could not be used.
    max_distance : int, optional
        The list's own inclusive limit in bits; an entry's own outranks it.
    index : HashIndex, optional
        An index over these very entries and limits, if there is one already.
    problems : tuple of str
        What was found wrong while it was opened, and did not keep it from serving: tell somebody.
    videos : Videos, optional
        Of a list of videos, their frames; its hashes are then their keys, and each entry is one
        video.
    calibrations : tuple of ListCalibration
        How many harmless pictures it matches, as far as that was counted.

    Raises
    ------
    UsageError
        If there is not one entry for each hash, or the name or version is no text.
    SpecMismatch
        If the hashes are of another kind.

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
    storage: HashBatch | Storage
    entries: Sequence[Entry]
    rejected: tuple[RejectedRow, ...] = ()
    max_distance: int | None = None
    index: Index | None = None
    problems: tuple[str, ...] = ()
    videos: Videos | None = None
    calibrations: tuple[ListCalibration, ...] = ()
    _digest: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        entries, rows = Entries.of(self.entries), len(self.storage)
        if len(entries) == rows:  # of another list perhaps, of which there are more in storage
            entries = entries.take(np.arange(rows)) if len(entries.gone) else entries
        object.__setattr__(self, "entries", entries)
        if not isinstance(self.name, str) or not isinstance(self.version, str):
            raise UsageError("cannot name the list: its name and version are no text. Give text")
        held = getattr(self.storage[:0], "spec", None)
        if held is None:
            what = type(self.storage).__name__
            raise UsageError(
                f"cannot use a {what} as the hashes of list {self.name}. Give a HashBatch"
            )
        if held != self.spec:
            raise SpecMismatch(
                f"cannot use hashes of {held} for list {self.name}: it is of {self.spec}"
            )
        if self.videos is None and self.spec == VIDEO_SPEC:
            object.__setattr__(self, "videos", Videos.of([]))
            if rows:
                raise UsageError(
                    f"cannot make list {self.name}: its videos have no frames. Give videos=..., or "
                    "read it with read_list"
                )
        if rows != len(entries.kind):
            raise UsageError(
                f"cannot make list {self.name}: it has {rows} hashes and {len(entries)} entries. "
                "Give one entry each"
            )

    @classmethod
    @unseen
    def from_hex(
        cls,
        algorithm: str | HashSpec,
        hashes: Iterable[str],
        *,
        ids: Iterable[str | int | None] | None = None,
        labels: Iterable[str | Iterable[str]] | None = None,
        name: str = "known",
        version: str = "1",
        max_distance: int | None = None,
        keep_ids: Iterable[str] = (),
    ) -> HashList:
        """Return a list of hashes that are at hand in hexadecimal, as in a database.

        Parameters
        ----------
        algorithm : str or HashSpec
            What they are; of a name, the first hash shows of how many bits.
        hashes : iterable of str
            All equally long, in either case.
        ids : iterable of str or int, optional
            What each is called in matches, None for those that have no id.
        labels : iterable of str or of iterables of str, optional
            The label of each, or its labels.
        name, version : str
            Named in every match. Give each state of the list another version.
        max_distance : int, optional
            The list's own inclusive limit in bits.
        keep_ids : iterable of str
            Which ids and labels are kept that may be hashes by their shape, see `ListFormat`;
            others are replaced by references. Ids that are given as whole numbers always are.

        Raises
        ------
        UsageError
            Naming the position (from 1) of the first text that is no such hash; or if there are
            more or fewer ids or labels than hashes.

        Examples
        --------
        >>> HashList.from_hex("phash", ["0f" * 8, "f0" * 8], ids=["7", "8"], labels=["A1", "B2"])
        <HashList known, version 1, phash (64 bits), n=2>
        """
        texts = list(hashes)
        if isinstance(algorithm, HashSpec):
            spec = algorithm
        elif texts:
            spec = HashSpec(algorithm, 4 * len(str(texts[0]).strip()))
        else:
            raise UsageError(
                "cannot tell how many bits the hashes have: there is none. Give a HashSpec"
            )
        batch = HashBatch.from_hex(spec, texts)
        named = [None] * len(texts) if ids is None else list(ids)
        given = [()] * len(texts) if labels is None else list(labels)
        if not len(named) == len(given) == len(texts):
            raise UsageError(
                f"cannot pair {len(texts)} hashes with {len(named)} ids and labels of "
                f"{len(given)}. Give one each"
            )
        kept, key = tuple(keep_ids), hashlib.blake2b(batch.words.tobytes()).digest()
        check_kept(kept)

        def safe(texts: Iterable[str]) -> tuple[str, ...]:
            return tuple(hidden(t, key, kept) if isinstance(t, str) else t for t in texts)

        entries = []
        for each, said in zip(named, given, strict=True):
            external_id = hidden(each, key, kept) if isinstance(each, str) else _id_text(each)
            entries.append(Entry(external_id, safe((said,) if isinstance(said, str) else said)))
        return cls(name, version, spec, batch, entries, (), max_distance)

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return f"<HashList {self.name}, version {self.version}, {self.spec}, n={len(self)}>"

    @property
    def bad_rows(self) -> int:
        """How many rows of its file were left out, those that `rejected` does not name included."""
        return sum(row.rows for row in self.rejected)

    @property
    @unseen
    def hashes(self) -> HashBatch:
        """The hashes, n of them; those of a list in a store are read from the disk now."""
        gone, every = Entries.of(self.entries).gone, self.storage[:]
        if not len(gone):
            return every
        return HashBatch(self.spec, np.delete(every.words, gone, axis=0), owned=True)

    @unseen
    def without(self, numbers: Iterable[int]) -> HashList:
        """Return the list of the other entries, numbered anew; its name and version stay.

        Parameters
        ----------
        numbers : iterable of int
            Of the entries that are not to be matched.

        Raises
        ------
        UsageError
            If there is no entry of a number.
        """
        given = list(numbers)
        if not given:
            return self
        # A mask would be taken for the numbers 0 and 1, and 1.9 for 1.
        if any(isinstance(each, bool) or not isinstance(each, int | np.integer) for each in given):
            raise UsageError("cannot leave out these entries. Give their numbers, as [3, 17]")
        if min(given) < 0 or max(given) >= len(self):
            raise UsageError(
                f"cannot leave out an entry that list {self.name} does not have. It has {len(self)}"
            )
        out = np.unique(np.array(given, np.int64))
        index = None if self.index is None else self.index.without(out)
        return replace(self, entries=Entries.of(self.entries).without(out), index=index)

    @unseen
    def take(self, numbers: Iterable[int]) -> HashList:
        """Return the list of some entries alone, in memory; its name and version stay.

        Parameters
        ----------
        numbers : iterable of int
            Of the entries that are taken.

        Examples
        --------
        >>> HashList.from_hex("phash", ["0f" * 8, "f0" * 8], ids=["7", "8"]).take([1]).entries[0]
        Entry(external_id='8', labels=(), sources=(), status='active', quality=None, \
max_distance=None)
        """
        entries = Entries.of(self.entries)
        taken = np.unique(np.fromiter(numbers, np.int64))
        rows, parts = entries.rows(taken), [self.storage[:0].words]
        for block in np.unique(rows // BLOCK).tolist():  # they may lie on the disk
            begin = block * BLOCK
            within = rows[rows // BLOCK == block] - begin
            parts.append(self.storage[begin : begin + BLOCK].words[within])
        batch = HashBatch(self.spec, np.concatenate(parts), owned=True)
        return replace(self, storage=batch, entries=entries.take(taken), index=None)

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
            raise UsageError(
                f"cannot use list {self.name}: its max_distance is no whole number of bits"
            )
        if (limits == limits[0]).all():  # as of most lists: nothing to look up for each entry
            return np.full(len(self.entries), limits[0], np.int64)
        return np.delete(limits.astype(np.int64)[np.asarray(entries.kind[:])], entries.gone)

    def calibration(self, variants: Level, min_quality: int | None) -> ListCalibration | None:
        """Return what was counted of it, the last time: perhaps of another version of it.

        Parameters
        ----------
        variants : {"none", "orientations", "standard", "thorough"}
            The level that pictures are looked up with.
        min_quality : int, optional
            As for `Matcher`.
        """
        asked = self.name, self.spec.algorithm, variants, min_quality
        for one in reversed(self.calibrations):
            if (one.list, one.algorithm, one.variants, one.min_quality) == asked:
                return one
        return None

    def own_key(self) -> bytes:
        """Return a key for `reference` that only holders of this very list can make.

        Of a list in a store it is the store's secret. Else it is a digest of all hashes, those left
        out included, for deployments that set no secret of their own; references made with it
        change when the list does. A secret is better: the holder of a list of one entry could be
        found out by guessing it.
        """
        if isinstance(self.storage, HashBatch):
            return hashlib.blake2b(self.storage.words.tobytes()).digest()
        return self.storage.secret

    def reference(self, number: int, key: bytes, entry: Entry | None = None) -> str:
        """Return how a match names entry `number`: its external id, else a keyed reference.

        The reference is a keyed BLAKE2b (RFC 7693) of the hash, so nobody without the key can
        test a guess against it.

        Parameters
        ----------
        number : int
            Which entry.
        key : bytes
            At most 64 bytes.
        entry : Entry, optional
            What `entries` has of that row, if it is at hand.
        """
        entry = self.entries[number] if entry is None else entry
        if entry.external_id is not None:
            return entry.external_id
        row = Entries.of(self.entries).row(number)
        return _reference(self.storage[row : row + 1].words.tobytes(), key)

    def named(self, names: Collection[str], key: bytes | None = None) -> set[int]:
        """Return the numbers of the entries that matches name so; see `reference`.

        Parameters
        ----------
        names : collection of str
            External ids and references.
        key : bytes, optional
            What references are made with; by default `own_key`.
        """
        found = set(Entries.of(self.entries).named(names))
        if any(name.startswith(REFERENCE) for name in names):
            key = self.own_key() if key is None else key
            data, size = self.hashes.words.tobytes(), self.spec.words * 8
            for number in range(len(self)):
                named = _reference(data[number * size : (number + 1) * size], key) in names
                if named and self.entries[number].external_id is None:
                    found.add(number)
        return found

    @property
    @unseen
    def digest(self) -> str:
        """A digest of all that answers depend on but the list's name and version, in hexadecimal.

        Of the hashes, and of the id, limit, labels and sources of each, in their order; of the
        list's own limit; and, if some entry has no id, of `own_key`. Lists of one digest answer
        alike. It tells whether a list is still the same, as where a scan resumes; do not
        publish it: anyone who guesses all of a short list can test that with it.
        """
        if self._digest is None:
            object.__setattr__(self, "_digest", self._content().hexdigest())
        return str(self._digest)

    def _content(self) -> hashlib.blake2b:
        entries, count = Entries.of(self.entries), len(self)
        digest = hashlib.blake2b(digest_size=32, person=b"hashmatch-list")
        stored = None if isinstance(self.storage, HashBatch) else self.storage.digest
        digest.update(repr((self.spec, self.max_distance, count, stored)).encode())
        if stored is not None:
            digest.update(entries.gone.tobytes())
            return digest
        words = self.hashes.words
        said = (repr((e.max_distance, e.labels, e.sources)).encode() for e in entries.kinds)
        kinds = np.array([hashlib.blake2b(each).digest() for each in said], "S64")
        is_named = True
        for begin in range(0, count, BLOCK):
            some = entries.take(np.arange(begin, min(begin + BLOCK, count)))
            ids = some.ids or Texts.of([None] * len(some))
            lengths = np.diff(ids.ends[:])
            is_named = is_named and bool(lengths.all())
            own = words[begin : begin + BLOCK]
            for part in (own, kinds[some.kind[:]], lengths, ids.data[:]):
                digest.update(part.tobytes())
        if not is_named:
            digest.update(self.own_key())
        return digest


def _id_text(given: str | int | None) -> str | None:
    """Return an id as text; a whole number is written in decimal."""
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        return str(given)
    return given  # type: ignore[return-value]


def _reference(value: bytes, key: bytes) -> str:
    digest = hashlib.blake2b(value, digest_size=12, key=key, person=b"hashmatch-entry")
    return f"{REFERENCE}{digest.hexdigest()}"
