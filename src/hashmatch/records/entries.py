"""What a list says of its hashes, apart from the hashes: entries, held as columns."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, overload

import numpy as np

from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
    """How many bits a hash may differ from an entry and match it, inclusive, and who says so."""

    bits: int
    set_by: LimitSetter


class Column(Protocol):
    """An array, or what reads rows of one from a file."""

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Return some of its elements."""
        ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Texts:
    """Many texts in one array: UTF-8, one after the other. An empty one stands for none.

    `ends` has one more than there are texts: text i is ``data[ends[i]:ends[i + 1]]``.
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

    def loaded(self) -> Texts:
        """Return the same in memory."""
        return Texts(np.asarray(self.data[:]), np.asarray(self.ends[:]))

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

    Entries are numbered from 0 without gaps. Rows of the columns that are no entries any more keep
    their place there, and are passed over in whatever is asked.

    Parameters
    ----------
    kind : column of uint32
        Which of `kinds` each row is.
    kinds : tuple of Entry
        All that is said of the entries but their ids, each once.
    ids : Texts, optional
        Their external ids, if any has one.
    gone : ndarray of int64
        The rows that are no entries, ascending.

    Examples
    --------
    >>> entries = Entries.of([Entry("a", ("A1",)), Entry("b", ("A1",))])
    >>> len(entries.kinds), entries[1]
    (1, Entry(external_id='b', labels=('A1',), sources=(), status='active', quality=None, \
max_distance=None))
    >>> [entry.external_id for entry in entries.without([0])]
    ['b']
    """

    kind: Column
    kinds: tuple[Entry, ...]
    ids: Texts | None = None
    gone: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

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
                "cannot take other things for entries. Give Entry objects, whose labels and "
                "sources are tuples"
            ) from None
        named = False
        for entry in entries:
            if entry.external_id is not None and not isinstance(entry.external_id, str):
                raise UsageError(f"cannot use {entry.external_id!r} as an entry's id. Give text")
            named = named or bool(entry.external_id)
        if any(isinstance(said, str) for each in kinds for said in (each.labels, each.sources)):
            raise UsageError(
                "cannot use these labels and sources for an entry. Give tuples of texts"
            )
        ids = Texts.of(entry.external_id for entry in entries) if named else None
        return cls(np.array(kind, np.uint32), tuple(kinds), ids)

    @overload
    def __getitem__(self, number: int) -> Entry: ...
    @overload
    def __getitem__(self, number: slice) -> tuple[Entry, ...]: ...
    def __getitem__(self, number: int | slice) -> Entry | tuple[Entry, ...]:
        if isinstance(number, slice):
            return tuple(self[each] for each in range(*number.indices(len(self))))
        row = self.row(number)
        kind = self.kinds[int(self.kind[row : row + 1][0])]
        external_id = None if self.ids is None else self.ids[row]
        return kind if external_id is None else replace(kind, external_id=external_id)

    def __len__(self) -> int:
        return len(self.kind) - len(self.gone)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(map(Entry.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Entries n={len(self)}>"

    def row(self, number: int) -> int:
        """Return which row of the columns entry `number` is."""
        number, gone = range(len(self))[number], self.gone  # from the end too; raises IndexError
        return number + bisect_right(range(len(gone)), number, key=lambda i: int(gone[i]) - i)

    def rows(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which rows of the columns some entries are."""
        passed = self.gone - np.arange(len(self.gone))
        return numbers + np.searchsorted(passed, numbers, "right")

    def of_kinds(self, is_kind: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which entries are of some of `kinds`.

        Parameters
        ----------
        is_kind : ndarray of bool, shape (kinds,)
            Which of `kinds`.
        """
        found: NDArray[np.bool_] = is_kind[np.delete(np.asarray(self.kind[:]), self.gone)]
        return found

    def labels(self) -> Counter[str]:
        """Return how many entries have each label."""
        kind = np.delete(np.asarray(self.kind[:]), self.gone)
        counts: Counter[str] = Counter()
        numbers = np.bincount(kind, minlength=len(self.kinds)).tolist()
        for each, count in zip(self.kinds, numbers, strict=True):
            for label in each.labels:
                counts[label] += count
        return +counts

    def named(self, names: Iterable[str]) -> list[int]:
        """Return the numbers of entries with such external ids; a list may give one to several."""
        if self.ids is None:
            return []
        rows = np.array([row for name in names for row in self.ids.rows(name)], np.int64)
        rows = np.setdiff1d(rows, self.gone)
        numbers: list[int] = (rows - np.searchsorted(self.gone, rows)).tolist()
        return numbers

    def take(self, numbers: NDArray[np.int64]) -> Entries:
        """Return some of the entries, in the order of `numbers`."""
        rows = self.rows(numbers)
        kind = np.asarray(self.kind[:])[rows].astype(np.uint32)
        return Entries(kind, self.kinds, None if self.ids is None else self.ids.take(rows))

    def without(self, numbers: NDArray[np.int64]) -> Entries:
        """Return the other entries, numbered anew; the columns are not copied."""
        return replace(self, gone=np.union1d(self.gone, self.rows(numbers)))

    def loaded(self) -> Entries:
        """Return the same with its columns in memory."""
        ids = None if self.ids is None else self.ids.loaded()
        return replace(self, kind=np.asarray(self.kind[:]), ids=ids)


def anonymous(entry: Entry) -> Entry:
    """Return what `entry` says apart from its id."""
    return entry if entry.external_id is None else replace(entry, external_id=None)


def concatenated(parts: Sequence[Entries]) -> Entries:
    """Return the entries of all parts in order. Their columns are read when they are asked for."""
    if len(parts) == 1:
        return parts[0]
    numbers: dict[Entry, int] = {}
    kind, gone, first = Chain(np.empty(0, np.uint32)), [np.empty(0, np.int64)], 0
    for part in parts:
        renumbered = [numbers.setdefault(each, len(numbers)) for each in part.kinds]
        kind.add(part.kind, np.array(renumbered, np.uint32).__getitem__)
        gone.append(first + part.gone)
        first += len(part.kind)
    ids = None
    if any(part.ids is not None for part in parts):
        data, ends, total = Chain(np.empty(0, np.uint8)), Chain(np.empty(0, np.int64)), 0
        ends.add(np.zeros(1, np.int64))
        for part in parts:  # any of which may be empty
            if part.ids is None:
                ends.add(np.full(len(part.kind), total))
            else:
                data.add(part.ids.data)
                ends.add(part.ids.ends, partial(np.add, total), 1)
                total += len(part.ids.data)
        ids = Texts(data, ends)
    return Entries(kind, tuple(numbers), ids, np.concatenate(gone))


class Chain:
    """Columns one after the other, of which only what is asked for is read.

    `nothing` is an empty array of their kind.
    """

    def __init__(self, nothing: NDArray[Any]) -> None:
        self._begins: list[int] = []
        self._parts: list[tuple[Column, Callable[[NDArray[Any]], NDArray[Any]], int]] = []
        self._nothing = nothing
        self._length = 0

    def add(
        self,
        column: Column,
        change: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray,
        skipped: int = 0,
    ) -> None:
        """Take what `change` makes of a column, the first `skipped` of which are passed over."""
        self._begins.append(self._length)
        self._parts.append((column, change, skipped))
        self._length += len(column) - skipped

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        first, last, step = rows.indices(self._length)
        found = []
        parts = slice(
            max(0, bisect_right(self._begins, first) - 1), bisect_left(self._begins, last)
        )
        for begin, (column, change, skipped) in zip(
            self._begins[parts], self._parts[parts], strict=True
        ):
            own = slice(skipped + max(0, first - begin), skipped + max(0, last - begin))
            found.append(change(column[own]))
        whole = found[0] if len(found) == 1 else np.concatenate([self._nothing, *found])
        return whole[::step]

    def __len__(self) -> int:
        return self._length
