"""What a list says of its hashes, apart from the hashes: entries, held as columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, Protocol, overload

import numpy as np

from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from hashmatch.records.enums import LimitSetter


@dataclass(frozen=True, slots=True)
class Entry:
    """What a list says of one hash, apart from the hash.

    Parameters
    ----------
    external_id : str, optional
        The list owner's name for the entry.
    labels : tuple of str
        The owner's classification, for example ``("A1",)``.
    sources : tuple of str
        Who contributed it.
    status : str
        As the list gives it; withdrawn and deleted entries never get this far.
    quality : int, optional
        PDQ quality, 0 to 100, where the list gives one.
    max_distance : int, optional
        The entry's own inclusive limit in bits, which outranks every other.
    """

    external_id: str | None = None
    labels: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    status: str = "active"
    quality: int | None = None
    max_distance: int | None = None


class Limit(NamedTuple):
    """How many bits a hash may differ from an entry and still match it.

    Parameters
    ----------
    bits : int
        Inclusive.
    set_by : {"entry", "list", "caller", "algorithm"}
        Whose limit it is.
    """

    bits: int
    set_by: LimitSetter


class Column(Protocol):
    """An array of one dimension, or what reads slices of one from a file."""

    def __getitem__(self, rows: slice, /) -> NDArray[np.generic]:
        """Return some of its elements."""
        ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Texts:
    """Many texts in one array: UTF-8, one after the other. An empty one stands for none.

    Parameters
    ----------
    data : column of uint8
        The bytes.
    ends : column of int64, of n + 1
        Text i is ``data[ends[i]:ends[i + 1]]``.
    """

    data: Column
    ends: Column

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> Texts:
        """Return `texts` as columns."""
        encoded = [(text or "").encode(errors="surrogatepass") for text in texts]
        ends = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(text) for text in encoded], out=ends[1:])
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    def __getitem__(self, row: int) -> str | None:
        begin, end = self.ends[row : row + 2].tolist()
        text = bytes(self.data[begin:end])
        return text.decode(errors="surrogatepass") or None

    def take(self, rows: NDArray[np.int64]) -> Texts:
        """Return the texts of some rows, in their order."""
        ends = np.asarray(self.ends[:])
        lengths = ends[rows + 1] - ends[rows]
        taken = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=taken[1:])
        # Where each byte comes from: its place in the text, after where the text begins.
        source = np.arange(taken[-1]) - np.repeat(taken[:-1] - ends[rows], lengths)
        return Texts(np.asarray(self.data[:])[source], taken)

    def rows(self, text: str) -> list[int]:
        """Return which of them are `text`."""
        data, ends, wanted = bytes(self.data[:]), np.asarray(self.ends[:]), text.encode()
        found, begin = [], data.find(wanted) if wanted else -1
        while begin >= 0:
            row = int(np.searchsorted(ends, begin, "right")) - 1  # what it is in, if not all of it
            if ends[row] == begin and ends[row + 1] == begin + len(wanted):
                found.append(row)
            begin = data.find(wanted, begin + 1)
        return found

    def __len__(self) -> int:
        return len(self.ends) - 1


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Entries(Sequence[Entry]):
    """Entries as columns: what most of them have in common takes no room of its own.

    Parameters
    ----------
    kind : column of uint32
        Which of `kinds` each is.
    kinds : tuple of Entry
        All that is said of the entries but their ids, each once.
    ids : Texts, optional
        Their external ids, if any has one.

    Examples
    --------
    >>> entries = Entries.of([Entry("a", ("A1",)), Entry("b", ("A1",))])
    >>> len(entries.kinds), entries[1]
    (1, Entry(external_id='b', labels=('A1',), sources=(), status='active', quality=None, \
max_distance=None))
    """

    kind: Column
    kinds: tuple[Entry, ...]
    ids: Texts | None = None

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Entries:
        """Return `entries` as columns."""
        if isinstance(entries, cls):
            return entries
        entries = list(entries)
        kinds: dict[Entry, int] = {}
        try:
            kind = [kinds.setdefault(anonymous(entry), len(kinds)) for entry in entries]
        except (TypeError, AttributeError):  # labels in a list, or no entry at all
            raise UsageError(
                "entries are of class Entry, their labels and sources tuples"
            ) from None
        named = any(entry.external_id for entry in entries)
        ids = Texts.of(entry.external_id for entry in entries) if named else None
        return cls(np.array(kind, np.uint32), tuple(kinds), ids)

    @overload
    def __getitem__(self, row: int) -> Entry: ...
    @overload
    def __getitem__(self, row: slice) -> tuple[Entry, ...]: ...
    def __getitem__(self, row: int | slice) -> Entry | tuple[Entry, ...]:
        if isinstance(row, slice):
            return tuple(self[r] for r in range(*row.indices(len(self))))
        row = range(len(self))[row]  # counts from the end, and raises IndexError
        kind = self.kinds[int(self.kind[row : row + 1][0])]
        external_id = None if self.ids is None else self.ids[row]
        return kind if external_id is None else replace(kind, external_id=external_id)

    def __len__(self) -> int:
        return len(self.kind)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(map(Entry.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Entries n={len(self)}>"

    def labels(self, without: NDArray[np.int64] | None = None) -> Counter[str]:
        """Return how many entries have each label; those of the rows `without` are not counted."""
        kind = np.asarray(self.kind[:])
        if without is not None:
            kind = np.delete(kind, without)
        counts: Counter[str] = Counter()
        numbers = np.bincount(kind, minlength=len(self.kinds)).tolist()
        for each, count in zip(self.kinds, numbers, strict=True):
            for label in each.labels:
                counts[label] += count
        return +counts

    def rows_named(self, names: Iterable[str]) -> list[int]:
        """Return the numbers of entries with such external ids; a list may give one to several."""
        return [] if self.ids is None else [row for name in names for row in self.ids.rows(name)]

    def take(self, rows: NDArray[np.int64]) -> Entries:
        """Return some of the entries, in the order of `rows`."""
        kind = np.asarray(self.kind[:])[rows].astype(np.uint32)
        return Entries(kind, self.kinds, None if self.ids is None else self.ids.take(rows))


def anonymous(entry: Entry) -> Entry:
    """Return what `entry` says apart from its id."""
    return entry if entry.external_id is None else replace(entry, external_id=None)


def concatenated(parts: Sequence[Entries]) -> Entries:
    """Return the entries of all parts in order."""
    if len(parts) == 1:
        return parts[0]
    kinds: dict[Entry, int] = {}
    kind = []
    for part in parts:
        numbers = [kinds.setdefault(each, len(kinds)) for each in part.kinds]
        kind.append(np.array(numbers, np.uint32)[np.asarray(part.kind[:])])
    ids = None
    if any(part.ids is not None for part in parts):
        data, ends, total = [], [np.zeros(1, np.int64)], 0
        for part in parts:  # any of which may be empty
            if part.ids is None:
                ends.append(np.full(len(part), total))
            else:
                own = np.asarray(part.ids.ends[:])
                data.append(np.asarray(part.ids.data[:]))
                ends.append(total + own[1:])
                total += int(own[-1])
        ids = Texts(np.concatenate(data), np.concatenate(ends))
    return Entries(np.concatenate([np.empty(0, np.uint32), *kind]), tuple(kinds), ids)
