"""Rows that list readers found, to statements: decoded, checked, and kept from showing a hash.

What a row says of an entry has one of these effects:

=========  ==================================================================================
effect     of which rows
=========  ==================================================================================
listed     all others
removed    status ``withdrawn``, ``deleted`` or ``removed``, and the digest of an empty file: the
           entry is taken out
benign     status ``benign``, ``non_malicious``, ``negative_class`` or ``not_pertinent``: the owner
           says that it is nothing to be found; it is left out, and so is what was said before
disputed   status ``disputed``, or more members against it than for it (its own member is for it):
           left out like the benign, unless asked for
unmatched  of a kind that nobody can match here, `UNMATCHABLE`: counted by kind
rejected   what cannot be used: a hash of the wrong length, a limit that is none, an unknown kind
=========  ==================================================================================
"""

from __future__ import annotations

import base64
import math
import re
from array import array
from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from hashmatch import registry
from hashmatch.errors import ListError, RejectedRow, UsageError
from hashmatch.interfaces import ROLES, ListRow, PlainRows
from hashmatch.lists.merge import Statements, Subject, hash_keys, id_key
from hashmatch.lists.readers._fields import ORDERS
from hashmatch.lists.readers._lines import shown
from hashmatch.lists.redact_ids import without_hashes
from hashmatch.records.entries import Entries, Entry, Texts
from hashmatch.records.hashes import ENCODINGS, HashBatch, Opaque, is_scientific

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hashmatch.records.hashes import HashSpec


@dataclass(frozen=True, slots=True)
class ListFormat:
    """How the files of a list are to be read.

    Parameters
    ----------
    algorithm : str
        What rows hold that do not say it themselves. A profile, such as ``pdq-nearest512``, is also
        what rows hold that only name its algorithm, ``pdq``.
    reader : str, optional
        The name of a reader, such as ``pdq-text``, ``csv`` or ``ncmec-xml``; detected unless given.
    columns : mapping of str to str, optional
        For CSV: role to column name, see `hashmatch.lists.readers.csv_columns`.
    delimiter : str, optional
        For CSV; detected unless given.
    encoding : {"hex", "base64", "base32"}
        How the hashes are written, by formats that do not say it.
    keep_disputed : bool
        Whether to list entries that more members are against than for.
    dates : {"dmy", "mdy"}, optional
        For CSV and JSON lines: the order of dates such as 01/02/2024, where no other tells.
    charset : str, optional
        What the file is in, such as ``cp1251`` or ``shift_jis``; detected unless given: UTF-8, what
        its mark says, or Windows-1252.
    accept_spreadsheet : bool
        Whether to go on though a spreadsheet has destroyed some of the hashes.

    Raises
    ------
    UsageError
        If one of these is something else, or no column can be what `columns` says.
    UnknownPlugin
        If no hasher of `algorithm` is installed.

    Examples
    --------
    >>> import hashmatch as hm
    >>> told = hm.ListFormat(columns={"pdq": "pdq", "id": "id"})
    >>> hm.read_list("fixtures/lists/demo-pdq.csv", format=told).entries[0].labels
    ()
    """

    algorithm: str = "pdq"
    reader: str | None = None
    columns: Mapping[str, str] | None = None
    delimiter: str | None = None
    encoding: str = "hex"
    keep_disputed: bool = False
    dates: str | None = None
    charset: str | None = None
    accept_spreadsheet: bool = False

    def __post_init__(self) -> None:
        registry.spec(self.algorithm)
        if self.dates not in {None, *ORDERS}:
            raise UsageError(f"the order of dates is {' or '.join(ORDERS)}, not {self.dates!r}")
        if self.charset is not None:
            try:
                b"".decode(self.charset)
            except (LookupError, ValueError):
                raise UsageError(f"no charset is called {self.charset!r}") from None
        if self.encoding not in ENCODINGS:
            raise UsageError(
                f"hash encoding {self.encoding!r} is not one of {', '.join(ENCODINGS)}"
            )
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise UsageError(f"a delimiter is one character, not {len(self.delimiter)}")
        for role in self.columns or ():
            if role not in ROLES and not registry.hashes(role):
                raise UsageError(
                    f"no column can be {role!r}; a role is an algorithm's name or one of "
                    f"{', '.join(sorted(ROLES))}"
                )


class ColumnBuilder(Opaque):
    """Statements about hashes of `spec` that are still being read; ten million fit into 1 GB."""

    def __init__(self, spec: HashSpec) -> None:
        self.spec = spec
        self._values = bytearray()
        self._kinds: dict[Entry, int] = {}
        self._kind = array("I")
        self._ids = bytearray()
        self._ends = array("q", [0])
        self._key = array("Q")
        self._updated = array("d")

    def kind_of(self, entry: Entry) -> int:
        """Return the number of what is said of an entry apart from its id."""
        return self._kinds.setdefault(entry, len(self._kinds))

    def add(self, value: bytes, kind: int, external_id: str | None, updated: float) -> None:
        """Take one statement."""
        self._values += value
        self._kind.append(kind)
        named = (external_id or "").encode(errors="surrogatepass")
        self._ids += named
        self._ends.append(len(self._ids))
        self._key.append(id_key(named))
        self._updated.append(updated)

    def add_all(
        self, values: bytes, kinds: Sequence[int], ids: Sequence[bytes], updated: float
    ) -> None:
        """Take many; an empty id stands for none."""
        self._values += values
        self._kind.extend(kinds)
        self._ends.extend(accumulate(map(len, ids[1:]), initial=len(self._ids) + len(ids[0])))
        self._ids += b"".join(ids)
        self._key.extend(map(id_key, ids))
        self._updated.extend([updated] * len(ids))

    def __len__(self) -> int:
        return len(self._kind)

    def decimal(self, first: int) -> tuple[int, int]:
        """Return how many hashes from one on have decimal digits alone, and how many end in 0."""
        size = self.spec.bits // 8
        with memoryview(self._values) as values:
            hashes = np.frombuffer(values[first * size :], np.uint8).reshape(-1, size)
            rows = np.arange(len(hashes))
            for column in range(size):
                byte = hashes[rows, column]
                rows = rows[(byte >> 4 < 10) & (byte & 15 < 10)]
            zeros = int((hashes[rows, -1] & 15 == 0).sum())
            del hashes, byte
        return len(rows), zeros

    def finish(self) -> Statements:
        """Return what was taken. Nothing more is taken then: the columns are not copied."""
        hashes = HashBatch.from_bytes(self.spec, self._values)
        self._values = bytearray()
        ends = np.frombuffer(self._ends, np.int64)
        key = np.frombuffer(self._key, np.uint64)
        nameless = ends[1:] == ends[:-1]
        key[nameless] = hash_keys(hashes.words)[nameless]
        updated = np.frombuffer(self._updated, np.float64)
        if len(updated) and (updated == updated[0]).all():
            self._updated = array("d")
            updated = np.broadcast_to(updated[0].copy(), len(updated))  # takes no room
        ids = Texts(np.frombuffer(self._ids, np.uint8), ends) if self._ids else None
        entries = Entries(np.frombuffer(self._kind, np.uint32), tuple(self._kinds), ids)
        return Statements(hashes, entries, key, updated)


WITHDRAWN = {"withdrawn", "deleted", "removed"}
BENIGN = {"benign", "non_malicious", "negative_class", "not_pertinent"}
DISPUTED = "disputed"
UNMATCHABLE = {
    "photodna", "pdna", "tmk", "tmk_pdqf", "netclean", "videntifier", "ssvh", "ssvh_pdna",
    "ssvh_safer_hash", "vpdq", "text", "raw_text", "url", "uri", "trend_query", "other", "unknown",
    "url_md5", "pdq_ocr", "text_tlsh", "tlsh", "simple_signal_type",
}  # fmt: skip
"""Kinds of hash in the lists of hotlines that cannot be compared here, or are not of pictures;
so are those that begin with ``video_``. Whoever installs a hasher of one can match it."""
DESTROYED = (
    "A spreadsheet has taken hashes for numbers and rounded them, some to other valid hashes: "
    "export the list again, with the column as text (--accept spreadsheet imports what is left)"
)
VIDEO = re.compile(r"video_[a-z0-9_]{1,12}")
LEAST_DECIMAL = 3
"""Hashes of decimal digits alone that end in 0 and are no chance; nearly all of them do then."""
MOST_NAMED = 100_000
"""Rows that cannot be used and are named: of a file of nothing but such rows, some MB of memory."""


class Rows(Opaque):
    """The rows of the pages of one list on their way to statements: each is accounted for once.

    Those that do not say when they were said are said at `now`, in seconds since 1970 UTC. `counts`
    has how many rows had each effect, `unmatchable` how many are of each kind that nobody can match
    here, `withdrawn` what is taken out, and since when.
    """

    def __init__(self, format: ListFormat, now: float) -> None:
        self.algorithm, self.encoding = format.algorithm, format.encoding
        self.keep_disputed, self.now = format.keep_disputed, now
        self.counts: Counter[str] = Counter()
        self.unmatchable: Counter[str] = Counter()
        self.rejected: list[RejectedRow] = []
        self._unnamed = 0
        self.withdrawn: dict[Subject, float] = {}
        self._builders: dict[str, ColumnBuilder] = {}
        self.accept_spreadsheet = format.accept_spreadsheet
        self._scientific: int | None = None
        self._checked: Counter[str] = Counter()
        self._decimal: dict[str, tuple[int, int]] = {}

    def take(self, rows: Iterable[ListRow | PlainRows | RejectedRow]) -> None:
        """Take what a reader found; it streams."""
        for row in rows:
            if isinstance(row, PlainRows):
                if not self._add_plain(row):
                    self.take(row.rows())
            elif isinstance(row, RejectedRow):
                self._reject(row)
            else:
                try:
                    self._add(row)
                except UsageError as error:  # a hash, number or algorithm that cannot be
                    self._reject(RejectedRow(row.line, str(error)))
                    if self._scientific is None and is_scientific(row.hash):
                        self._scientific = row.line

    def check_spreadsheet(self) -> None:
        """Raise ListError if a spreadsheet took hashes for numbers: some may be others by now."""
        if self.accept_spreadsheet:
            return
        if self._scientific is not None:
            raise ListError(
                f"line {self._scientific}: the hash is a number in scientific notation. {DESTROYED}"
            )
        for algorithm, builder in self._builders.items():
            found, zeros = builder.decimal(self._checked[algorithm])
            self._checked[algorithm] = len(builder)
            before = self._decimal.get(algorithm, (0, 0))
            found, zeros = self._decimal[algorithm] = before[0] + found, before[1] + zeros
            if zeros >= LEAST_DECIMAL and zeros >= 0.9 * found:
                raise ListError(
                    f"{zeros:,} of the {found:,} {algorithm} hashes that have decimal digits alone "
                    f"end in 0. {DESTROYED}"
                )

    def _reject(self, row: RejectedRow) -> None:
        """Keep why a row cannot be used; of too many, how many more there are."""
        if len(self.rejected) < MOST_NAMED:
            self.rejected.append(row)
            return
        self._unnamed += 1
        told = f"{self._unnamed:,} more rows cannot be used; {MOST_NAMED:,} are named"
        self.rejected[MOST_NAMED:] = [RejectedRow(row.line, told)]

    def statements(self) -> list[Statements]:
        """Return what was said of hashes of each kind, by its name. Nothing is taken after this."""
        builders, self._builders = self._builders, {}
        return without_hashes([builders[algorithm].finish() for algorithm in sorted(builders)])

    @property
    def total(self) -> int:
        """All rows."""
        return self.counts.total() + self.unmatchable.total() + self.refused

    @property
    def refused(self) -> int:
        """Rows that cannot be used, named or not."""
        return min(len(self.rejected), MOST_NAMED) + self._unnamed

    def summary(self) -> dict[str, int]:
        """Return how many rows had each effect, with kinds that nobody can match by their name."""
        unmatchable = {f"unmatchable: {kind}": n for kind, n in sorted(self.unmatchable.items())}
        return {**dict(sorted(self.counts.items())), "rejected": self.refused, **unmatchable}

    def _add(self, row: ListRow) -> None:
        updated = self.now if row.updated is None else row.updated
        status = row.status.strip().lower()
        algorithm = self._algorithm(row.algorithm)
        if status in WITHDRAWN:
            self._withdraw(row, algorithm, updated)
            self.counts["removed"] += 1
            return
        before = math.nextafter(updated, -math.inf)  # as old as it may another say otherwise
        is_installed = registry.hashes(algorithm)
        if not is_installed and (algorithm in UNMATCHABLE or algorithm.startswith("video_")):
            self._withdraw_id(row.external_id, before)
            known = algorithm in UNMATCHABLE or VIDEO.fullmatch(algorithm)
            self.unmatchable[algorithm if known else "video"] += 1  # no value in place of a name
            return
        value = self._value(row, algorithm)
        disputed = status == DISPUTED or row.downvotes > row.upvotes + 1
        if status in BENIGN or (disputed and not self.keep_disputed):
            if row.external_id:
                self._withdraw_id(row.external_id, before)
            else:
                self._take_out(Subject(None, algorithm, _words(algorithm, value)), before)
            self.counts["benign" if status in BENIGN else DISPUTED] += 1
        elif value == _of_nothing(algorithm):
            self.counts["removed"] += 1  # every empty file would match it
        else:
            forms = _forms(value)
            said = "".join(_safe((row.status,), forms)) or "active"
            kind = Entry(
                None,
                _safe(row.labels, forms),
                _safe(row.sources, forms),
                DISPUTED if disputed else said,
                row.quality,
                row.max_distance,
            )
            of_kind = self._of(algorithm)
            named = next(iter(_safe((row.external_id,), forms)), None)
            of_kind.add(value, of_kind.kind_of(kind), named, updated)
            self.counts["listed"] += 1

    def _add_plain(self, rows: PlainRows) -> bool:
        """Take rows that say nothing but a hash, quality and id; or none of them, if any is odd."""
        if not registry.hashes(self.algorithm):
            return False
        spec = registry.spec(self.algorithm)
        digits = spec.bits // 4
        text = b"".join(rows.hashes)
        if self.encoding != "hex" or len(text) != digits * len(rows.hashes):
            return False
        if set(map(len, rows.hashes)) != {digits} or set(map(len, rows.qualities)) - {0, 1, 2, 3}:
            return False
        shortest = len(_forms(bytes(spec.bits // 8))[1])
        for value, name in zip(rows.hashes, rows.ids, strict=True):
            if len(name) >= shortest and not _safe(
                (name.decode(),), _forms(bytes.fromhex(value.decode()))
            ):
                return False
        values = bytes.fromhex(text.decode())
        nothing = _of_nothing(self.algorithm)
        if nothing is not None and nothing in values:
            return False
        of_kind = self._of(self.algorithm)
        number = {quality: self._quality_kind(of_kind, quality) for quality in set(rows.qualities)}
        kinds = [number[quality] for quality in rows.qualities]
        of_kind.add_all(values, kinds, rows.ids, self.now)
        self.counts["listed"] += len(kinds)
        return True

    def _quality_kind(self, of_kind: ColumnBuilder, quality: bytes) -> int:
        return of_kind.kind_of(Entry(quality=int(quality) if quality else None))

    def _algorithm(self, named: str | None) -> str:
        """Return of which algorithm a row is that names it so, or not at all."""
        if named is None or self.algorithm.startswith(f"{named}-"):
            return self.algorithm  # lists say pdq whatever its profile: the caller knows
        return named

    def _value(self, row: ListRow, algorithm: str) -> bytes:
        if not registry.hashes(algorithm):
            raise UsageError(f"no hasher is installed for its kind of hash, {shown(algorithm)}")
        spec = registry.spec(algorithm)
        if row.quality is not None and not 0 <= row.quality <= 100:
            raise UsageError("quality is not 0 to 100")
        if row.max_distance is not None and not 0 <= row.max_distance <= spec.bits:
            raise UsageError(f"max_distance is not 0 to {spec.bits}")
        return spec.parse(row.hash, row.encoding or self.encoding)

    def _withdraw(self, row: ListRow, algorithm: str, updated: float) -> None:
        """Take out what has the row's id; and its hash, where that has no id, or the row has none.

        A row that says neither, as when a list blanks what it withdraws, takes nothing out.
        """
        text = row.hash.strip()
        if text and registry.hashes(algorithm):
            try:
                value = registry.spec(algorithm).parse(text, row.encoding or self.encoding)
            except UsageError:
                if not row.external_id:
                    raise
            else:
                subject = Subject(None, algorithm, _words(algorithm, value), not row.external_id)
                self._take_out(subject, updated)
                if row.external_id and not _safe((row.external_id,), _forms(value)):
                    return  # an id that holds the hash is kept with no entry either
        self._withdraw_id(row.external_id, updated)

    def _withdraw_id(self, external_id: str | None, updated: float) -> None:
        if external_id:
            self._take_out(Subject(external_id), updated)

    def _take_out(self, subject: Subject, updated: float) -> None:
        self.withdrawn[subject] = max(updated, self.withdrawn.get(subject, -math.inf))

    def _of(self, algorithm: str) -> ColumnBuilder:
        if algorithm not in self._builders:
            self._builders[algorithm] = ColumnBuilder(registry.spec(algorithm))
        return self._builders[algorithm]


def _words(algorithm: str, value: bytes) -> bytes:
    """Return a hash as it is in a batch, to compare with what `Statements.value` gives."""
    return HashBatch.from_bytes(registry.spec(algorithm), value).words.tobytes()


@cache
def _of_nothing(algorithm: str) -> bytes | None:
    """Return the digest of an empty file, for algorithms that digest bytes."""
    hasher = registry.hasher(algorithm)
    if hasher.reads != "bytes":
        return None
    hashes, _ = hasher.hash(np.zeros(0, np.uint8))
    return bytes.fromhex(hashes.to_hex()[0])


def _forms(value: bytes) -> tuple[str, ...]:
    """Return the ways to write a hash, in lower case and without padding."""
    texts = (value.hex(), base64.b64encode(value).decode(), base64.b32encode(value).decode())
    return tuple(text.rstrip("=").lower() for text in texts)


def _safe(texts: tuple[str | None, ...], forms: tuple[str, ...]) -> tuple[str, ...]:
    """Return the texts that do not hold the hash: a file is often named after its own.

    An id that is left out is replaced by a keyed reference in what a match shows.
    """
    return tuple(text for text in texts if text and not any(form in text.lower() for form in forms))
