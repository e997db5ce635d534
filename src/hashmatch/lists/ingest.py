"""Rows that list readers found, to statements: decoded, checked, and kept from showing a hash.

What a row says of an entry depends on its status, `hashmatch.lists.statuses.EFFECTS`, whatever the
case, blanks and hyphens:

==========  =================================================================================
row         which
==========  =================================================================================
listed      all others; a status that is not known is counted and shown too
withdrawal  ``withdrawn``, ``deleted``, ``expired`` and the like: the entry is taken out
benign      ``benign``, ``false_positive`` and the like: the owner says that it is nothing to be
            found; it is left out, and so is what was said before
disputed    ``disputed``, or more members against it than for it (its own member is for it):
            left out like the benign, unless asked for
of nothing  the digest of an empty file, which every empty file would match: left out
unmatched   of a kind that nobody can match here, `NOT_MATCHED`: counted by kind
rejected    what cannot be used: a hash of the wrong length, a limit that is none, an unknown kind
==========  =================================================================================
"""

from __future__ import annotations

import base64
import math
import re
from array import array
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, repeat
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hashmatch import registry
from hashmatch.errors import ListError, RejectedRow, RowsMissing, UnknownPlugin, UsageError
from hashmatch.interfaces import ROLES, ListRow, PlainRows, Span
from hashmatch.lists.bit_order import check_orders, orders_for, reordered
from hashmatch.lists.kinds import FEW, Sample, Suspicion, remark, suspicion
from hashmatch.lists.merge import (
    UNDATED,
    Statements,
    Subject,
    Withdrawals,
    hash_keys,
    id_key,
    id_keys,
    scope_of,
)
from hashmatch.lists.readers._fields import ORDERS
from hashmatch.lists.readers._lines import shown
from hashmatch.lists.redact_ids import DIGITS, hide_withdrawn, key_of, without_hashes
from hashmatch.lists.statuses import (
    BENIGN,
    DISPUTED,
    LISTED,
    MEANINGS,
    WITHDRAWAL,
    effect_of,
    plain,
)
from hashmatch.lists.vpdq_signal import parse_signal
from hashmatch.records.entries import Entries, Entry, Texts
from hashmatch.records.hash_shapes import REFERENCE, check_kept, may_be_hash
from hashmatch.records.hashes import (
    DECIMALS,
    ENCODINGS,
    INVISIBLE,
    NUMBER,
    HashBatch,
    Opaque,
    is_scientific,
)
from hashmatch.records.images import clean_name
from hashmatch.records.video_columns import VIDEO_SPEC, Videos, video_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from hashmatch.records.hashes import HashSpec
    from hashmatch.records.videos import VideoFrames

T = TypeVar("T", bound=np.generic)


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
    encoding : str, optional
        How the hashes are written, by formats that do not say it: one of
        `hashmatch.records.hashes.ENCODINGS`. By default in hexadecimal, or as the store remembers.
    bits : str or sequence of str, optional
        In which order the hashes of pictures have their bits, if not as ours: ``reversed``,
        ``bytes-reversed``, ``inverted``, ``transposed``, or ``phash=reversed`` for one algorithm;
        of several, one after the other. By default as the store remembers; ``unchanged`` is none.
    keep_ids : sequence of str, optional
        Which ids, labels and sources are no hashes though they may be by their shape, and are shown
        as they are: ``uuid``, ``numbers`` of 19 digits and more, or ``all``. Others are replaced by
        references, see `hashmatch.records.hash_shapes`. By default none, or as a store remembers.
    statuses : mapping of str to str, optional
        What the list's own words for the status of an entry mean, whatever their case and blanks:
        ``listed``, ``withdrawn``, ``benign`` or ``disputed``. They go before those that are known,
        see `hashmatch.lists.statuses`. A store adds them to those that it remembers.
    keep_disputed : bool
        Whether to list entries that more members are against than for.
    keep_low_quality : bool, optional
        Whether to match entries whose list states a quality below the least one of their kind of
        hash, 50 of PDQ; see `hashmatch.lists.degenerate.low_quality`. By default not, or as a store
        remembers.
    dates : {"dmy", "mdy"}, optional
        For CSV and JSON lines: the order of dates such as 01/02/2024, where no other tells.
    charset : str, optional
        What the file is in, such as ``cp1251`` or ``shift_jis``; detected unless given: UTF-8, what
        its mark says, or Windows-1252.
    accept_spreadsheet : bool
        Whether to continue though a spreadsheet has destroyed some of the hashes.
    unique_ids : bool
        Whether each id is of one entry only, so that a later row of it supersedes an earlier that
        has another hash of the same kind. By default as the format says: in CSV, JSON lines and PDQ
        text an id may be the name of a file, and every hash stays.

    Raises
    ------
    UsageError
        If one of these is something else, or no column can be what `columns` says.
    UnknownPlugin
        If no hasher of `algorithm` is installed.

    Examples
    --------
    >>> import hashmatch as hm
    >>> shape = hm.ListFormat(columns={"pdq": "pdq", "id": "id"})
    >>> hm.read_list("fixtures/lists/demo-pdq.csv", format=shape).entries[0].labels
    ()
    """

    algorithm: str = "pdq"
    reader: str | None = None
    columns: Mapping[str, str] | None = None
    delimiter: str | None = None
    encoding: str | None = None
    keep_disputed: bool = False
    dates: str | None = None
    charset: str | None = None
    accept_spreadsheet: bool = False
    unique_ids: bool = False
    bits: str | Sequence[str] | None = None
    keep_ids: Sequence[str] | None = None
    statuses: Mapping[str, str] | None = None
    keep_low_quality: bool | None = None

    def __post_init__(self) -> None:
        registry.spec(self.algorithm)
        if self.dates not in {None, *ORDERS}:
            raise UsageError(
                f"cannot use {self.dates!r} as the order of dates. Give {' or '.join(ORDERS)}"
            )
        if self.charset is not None:
            try:
                b"a".decode(self.charset)
            except (LookupError, ValueError):
                raise UsageError(
                    f"cannot read text in {self.charset!r}: there is no such charset. Give one "
                    "that Python knows, such as cp1251"
                ) from None
        if self.encoding not in {None, *ENCODINGS}:
            raise UsageError(
                f"cannot read hashes in the encoding {self.encoding!r}. Give one of "
                f"{', '.join(ENCODINGS)}"
            )
        check_orders(self.orders)
        check_kept(tuple(self.keep_ids or ()))
        for word, meaning in (self.statuses or {}).items():
            if meaning not in MEANINGS or not plain(word):
                raise UsageError(
                    f"cannot take a status for {meaning!r}: it means one of {', '.join(MEANINGS)}. "
                    "Give one of these for each word"
                )
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise UsageError(
                f"cannot use a delimiter of {len(self.delimiter)} characters. Give one character"
            )
        for role in self.columns or ():
            if role not in ROLES and not registry.hashes(role):
                raise UsageError(
                    f"cannot use a column as {role!r}. Give an algorithm's name or one of "
                    f"{', '.join(sorted(ROLES))}"
                )

    @property
    def orders(self) -> tuple[str, ...]:
        """The orders of bits that were given."""
        return (self.bits,) if isinstance(self.bits, str) else tuple(self.bits or ())


def _constant(column: NDArray[T], length: int) -> NDArray[T]:
    """Return a column of that length; if it is everywhere alike, it takes no room."""
    if len(column) and (column == column[0]).all():
        return np.broadcast_to(column[0].copy(), length)
    return column


def _without_repeats(column: NDArray[T]) -> NDArray[T]:
    return column[:1] if column.strides == (0,) else column


def _later(column: NDArray[np.float64], now: float) -> NDArray[np.float64]:
    """Return the times in a column that are later than now, each once."""
    few = _without_repeats(column)
    return np.unique(few[few > now])


class ColumnBuilder(Opaque):
    """Statements about hashes of `spec` that are still being read; ten million fit into 1 GB.

    Those without a time of their own have `undated`.
    """

    def __init__(self, spec: HashSpec, undated: Span) -> None:
        self.spec = spec
        self._values = bytearray()
        self._kinds: dict[Entry, int] = {}
        self._kind = array("I")
        self._ids = bytearray()
        self._ends = array("q", [0])
        self._key = array("Q")
        self._undated = undated
        self._begin, self._end = array("d"), array("d")  # up to the last that is dated
        self._scope = bytearray()

    def kind_of(self, entry: Entry) -> int:
        """Return the number of what is said of an entry apart from its id."""
        return self._kinds.setdefault(entry, len(self._kinds))

    def add(
        self, value: bytes, kind: int, external_id: str | None, scope: int, said: Span | None
    ) -> None:
        """Take one statement; `scope` is `scope_of` its id."""
        self._values += value
        if said is not None:
            self._date()
            self._begin.append(said.begin)
            self._end.append(said.end)
        self._kind.append(kind)
        named = (external_id or "").encode(errors="surrogatepass")
        self._ids += named
        self._ends.append(len(self._ids))
        self._key.append(id_key(named, scope >> 1))
        self._scope.append((scope if named else 0) | (UNDATED if said is None else 0))

    def add_all(self, values: bytes, kinds: array[int], ids: Sequence[bytes], scope: int) -> None:
        """Take many without a time; an empty id stands for none."""
        self._values += values
        self._kind.extend(kinds)
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        self._ends.frombytes((np.cumsum(lengths) + len(self._ids)).tobytes())
        self._ids += b"".join(ids)
        self._key.extend(id_keys(ids))
        self._scope += bytes([scope | UNDATED]) * len(ids)

    def _date(self) -> None:
        """Give all statements so far that have no time theirs."""
        undated = len(self._kind) - len(self._begin)
        self._begin.extend(repeat(self._undated.begin, undated))
        self._end.extend(repeat(self._undated.end, undated))

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

    def finish(self, videos: Videos | None = None) -> Statements:
        """Return what was taken. Nothing more is taken then: the columns are not copied.

        Of `videos`, those that statements are about are theirs.
        """
        hashes = HashBatch.from_bytes(self.spec, self._values, owned=True)
        self._values = bytearray()
        ends = np.frombuffer(self._ends, np.int64)
        key = np.frombuffer(self._key, np.uint64)
        nameless = ends[1:] == ends[:-1]
        key[nameless] = hash_keys(hashes.words)[nameless]
        scope = np.frombuffer(self._scope, np.uint8)
        scope[nameless] &= UNDATED
        begin, end = (np.full(1, when) for when in self._undated)
        if self._begin:
            self._date()
            begin, end = (np.frombuffer(times) for times in (self._begin, self._end))
        ids = Texts(np.frombuffer(self._ids, np.uint8), ends) if self._ids else None
        entries = Entries(np.frombuffer(self._kind, np.uint32), tuple(self._kinds), ids)
        return Statements(
            hashes,
            entries,
            key,
            _constant(begin, len(self)),
            _constant(end, len(self)),
            _constant(scope, len(self)),
            videos=videos,
        )


OF_NOTHING = "of nothing"
MOST_STATUSES = 100
"""Statuses that are not known and are counted by name; of more, no column of statuses is read."""
NOT_MATCHED = {
    "photodna", "pdna", "blockhash", "tmk", "tmk_pdqf", "netclean", "videntifier", "ssvh",
    "ssvh_pdna", "ssvh_safer_hash", "text", "raw_text", "url", "uri", "trend_query",
    "other", "unknown", "url_md5", "pdq_ocr", "text_tlsh", "tlsh", "simple_signal_type",
}  # fmt: skip
"""Kinds of hash in the lists of hotlines that cannot be compared here, or are not of pictures;
so are those that begin with ``video_``. With a hasher of one installed it can be matched."""
DESTROYED = (
    "A spreadsheet has taken hashes for numbers and rounded them, some to other valid hashes: "
    "export the list again, with the column as text (--accept spreadsheet imports what is left)"
)
VIDEO = re.compile(r"video_[a-z0-9_]{1,12}")
LEAST_DECIMAL = 3
"""Hashes of decimal digits alone that end in 0 and are no chance; nearly all of them do then."""
HEXADECIMAL = re.compile("(?:0x)?([0-9a-f]+)", re.IGNORECASE)
LONG_NUMBER = 18
"""Digits of a number that is rounded where 53 bits of it are kept, or 15 digits."""
UNMATCHABLE, UNKNOWN_STATUS = "unmatchable: ", "unknown status: "
"""In counts of rows, before each kind and each status."""
LONGEST_STATUS = 100
MOMENT = 2**-14
"""Seconds between times that are kept apart after now, in which their owner dates them later."""
MOST_NAMED = 100_000
"""Rows that cannot be used and are named: of a file of nothing but such rows, some MB of memory."""


class Rows(Opaque):
    """The rows of the files of one delivery on their way to statements: each is accounted for once.

    Those that do not say when they were said are said at `now`, in seconds since 1970 UTC, and what
    their owner dates later is taken as said then too: `ahead` counts it. `counts` has how many rows
    of each sort there are, `unmatchable` how many are of each kind that nobody can match here,
    `statuses` how many are listed with each status that is not known, `withdrawals` what is taken
    out. All was said by `until`, once there are `statements`, and `suspicions` are what the hashes
    of the listed rows probably are, `remarks` what else there is to say of them. `missing` says
    where there should be more rows, `is_ansi` whether text was taken for Windows-1252.

    `key` is that of references in the place of ids that may be hashes: the `secret` of a store, or
    of a file, once there are `statements`, one that its hashes make.
    """

    def __init__(self, format: ListFormat, now: float, secret: bytes = b"") -> None:
        self.key, self.kept = secret, tuple(format.keep_ids or ())
        self.algorithm, self.encoding = format.algorithm, format.encoding or "hex"
        self.told_orders = format.orders
        self._orders: dict[str, tuple[str, ...]] = {}
        self._effects = {
            plain(word): MEANINGS[meaning] for word, meaning in (format.statuses or {}).items()
        }
        self.keep_disputed, self.now = format.keep_disputed, now
        self.counts: Counter[str] = Counter()
        self.unmatchable: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.rejected: list[RejectedRow] = []
        self.ahead = 0
        self.until = now
        self.withdrawals = Withdrawals()
        self._unique = self._unique_ids = format.unique_ids
        self._builders: dict[str, ColumnBuilder] = {}
        self._videos: dict[bytes, VideoFrames] = {}
        self._last_video: tuple[str, VideoFrames] | None = None
        self.accept_spreadsheet = format.accept_spreadsheet
        self._scientific: int | None = None
        self._checked: Counter[str] = Counter()
        self._decimal: dict[str, tuple[int, int]] = {}
        self._long_numbers, self._round_numbers = 0, 0
        self._short: Counter[str] = Counter()
        self._long: Counter[str] = Counter()
        self.suspicions: list[Suspicion] = []
        self.remarks: list[str] = []
        self.missing: RejectedRow | None = None
        self.is_ansi = False
        self._is_signed = False

    def take(
        self, rows: Iterable[ListRow | PlainRows | RejectedRow], *, unique_ids: bool = False
    ) -> None:
        """Take what a reader found in a file, whose ids may be unique; it streams."""
        self._unique = unique_ids or self._unique_ids
        for row in rows:
            if not isinstance(row, PlainRows):
                self._take(row)
            elif not self._add_plain(row):
                for each in row.rows():
                    self._take(each)
        if self._is_signed:  # numbers that are not negative are in the same encoding
            self.rejected = [
                row._replace(
                    reason=row.reason.replace(NUMBER.format("decimal"), NUMBER.format("signed"))
                )
                for row in self.rejected
            ]

    def _take(self, row: ListRow | RejectedRow) -> None:
        if isinstance(row, RejectedRow):
            self._reject(row)
            return
        try:
            self._add(row)
        except UsageError as error:  # a hash, number or algorithm that cannot be
            reason = str(error)
            if row.encoding:  # the format says it, whatever is told
                reason = reason.partition("; say so (--encoding")[0]
            self._is_signed |= reason.endswith(NUMBER.format("signed"))
            self._reject(RejectedRow(row.line, reason))
            self._note_length(row)
            if self._scientific is None and is_scientific(row.hash):
                self._scientific = row.line

    def _note_length(self, row: ListRow) -> None:
        """Count hexadecimal that has too few or too many digits."""
        algorithm = self._algorithm(row.algorithm)
        digits = HEXADECIMAL.fullmatch(row.hash.strip(INVISIBLE))
        if digits and self.encoding == "hex" and registry.hashes(algorithm):
            full = registry.spec(algorithm).bits // 4
            lacking = full - len(digits[1])
            if lacking < 0:
                self._long[algorithm] += 1
            elif 0 < lacking <= full // 2:  # shorter ones lack more than zeros
                self._short[algorithm] += 1

    def check_spreadsheet(self) -> None:
        """Raise ListError if a spreadsheet took hashes for numbers: some may be others by now."""
        if self.accept_spreadsheet:
            return
        if self._scientific is not None:
            raise ListError(
                f"line {self._scientific}: the hash is a number in scientific notation. {DESTROYED}"
            )
        if _are_rounded(self._long_numbers, self._round_numbers):
            raise ListError(
                f"cannot use the hashes: {self._round_numbers:,} of the {self._long_numbers:,} "
                f"that are long numbers end in 00. {DESTROYED}"
            )
        for algorithm, builder in self._builders.items():
            found, zeros = builder.decimal(self._checked[algorithm])
            self._checked[algorithm] = len(builder)
            before = self._decimal.get(algorithm, (0, 0))
            found, zeros = self._decimal[algorithm] = before[0] + found, before[1] + zeros
            if _are_rounded(found, zeros):
                raise ListError(
                    f"cannot use the hashes: {zeros:,} of the {found:,} {algorithm} hashes "
                    f"that have decimal digits alone end in 0. {DESTROYED}"
                )

    def _reject(self, row: RejectedRow) -> None:
        """Keep why a row cannot be used; of too many, how many more there are."""
        if isinstance(row, RowsMissing):
            self.missing = row
        if len(self.rejected) < MOST_NAMED:
            self.rejected.append(row)
            return
        unnamed = 1 + sum(row.rows for row in self.rejected[MOST_NAMED:])
        self.rejected[MOST_NAMED:] = [_unnamed(row.line, unnamed)]

    def rejected_since(self, named: int, refused: int) -> list[RejectedRow]:
        """Return the rows that cannot be used after so many that are `rejected`, and `refused`."""
        since = self.rejected[min(named, MOST_NAMED) :]
        if named > MOST_NAMED and self.refused > refused:  # the last stands for earlier ones too
            return [_unnamed(since[-1].line, self.refused - refused)]
        return [] if named > MOST_NAMED else since

    def statements(self) -> list[Statements]:
        """Return what was said of hashes of each kind, by its name. Nothing is taken after this."""
        builders, self._builders = self._builders, {}
        videos = Videos.of(self._videos.values())
        self._videos = {}
        said = [
            builders[name].finish(videos if name == VIDEO_SPEC.algorithm else None)
            for name in sorted(builders)
        ]
        self._examine([each.hashes for each in said])
        said = self._none_ahead(said)
        written = [self._as_written(each) for each in said]
        self.key = self.key or key_of(each.hashes for each in said)
        hide_withdrawn(self.withdrawals, self.key, self.kept)
        return without_hashes(said, written, key=self.key, kept=self.kept)

    def _examine(self, listed: list[HashBatch]) -> None:
        """Note what hashes probably are, if something else than they are taken for."""
        samples = list(map(Sample, listed))
        self.suspicions = [found for each in samples if (found := suspicion(each)) is not None]
        self.remarks = [told for each in samples if (told := remark(each)) is not None]
        for each in listed:
            spec = each.spec
            short = self._short[spec.algorithm]
            if short < FEW or self._long[spec.algorithm]:
                continue
            if (each.words[:, 0] >> np.uint64(60)).all():  # none begins with 0
                digits = spec.bits // 4
                self.suspicions.append(
                    Suspicion(
                        spec.algorithm,
                        len(each) + short,
                        "without the zeros that hashes began with",
                        f"{short:,} rows have fewer digits than {digits}, none has more, and no "
                        "hash begins with 0",
                        "Read them with --encoding hex-unpadded",
                        0.0,
                    )
                )

    def _as_written(self, said: Statements) -> HashBatch:
        """Return hashes with their bits in the order that the list has them in."""
        spec, orders = said.hashes.spec, self._orders_of(said.algorithm)
        if not orders:
            return said.hashes
        values = b"".join(map(bytes.fromhex, said.hashes.to_hex()))
        return HashBatch.from_bytes(spec, reordered(values, spec.bits, orders[::-1]))

    def _none_ahead(self, said: list[Statements]) -> list[Statements]:
        """Return the same with all times that are later than now just after it, in their order."""
        withdrawn, cleared = self.withdrawals.withdrawn, self.withdrawals.cleared
        columns = [column for each in said for column in (each.begin, each.end)]
        columns += [np.array([*withdrawn.values(), *chain(*cleared.values()), math.inf])]
        ahead = np.unique(np.concatenate([_later(column, self.now) for column in columns]))
        places = self.now + MOMENT * np.arange(1, len(ahead) + 1)
        self.until = float(places[-1])

        def moved(column: NDArray[np.float64]) -> NDArray[np.float64]:
            few = _without_repeats(column)
            late = few > self.now
            if not late.any():
                return column
            place = places[np.minimum(np.searchsorted(ahead, few), len(places) - 1)]
            return _constant(np.where(late, place, few), len(column))

        for subject, end in withdrawn.items():
            withdrawn[subject] = float(moved(np.array([end]))[0])
        for subject, span in cleared.items():
            cleared[subject] = Span(*moved(np.array(span)).tolist())
        return [replace(each, begin=moved(each.begin), end=moved(each.end)) for each in said]

    @property
    def total(self) -> int:
        """All rows."""
        return self.counts.total() + self.unmatchable.total() + self.refused

    @property
    def refused(self) -> int:
        """Rows that cannot be used, named or not."""
        return sum(row.rows for row in self.rejected[MOST_NAMED:]) + min(
            len(self.rejected), MOST_NAMED
        )

    def summary(self) -> dict[str, int]:
        """Return how many rows of each sort there are; kinds and statuses by their name."""
        told = {**self.counts, "dated ahead": self.ahead}
        told = {name: count for name, count in sorted(told.items()) if count}
        unmatchable = {f"{UNMATCHABLE}{kind}": n for kind, n in sorted(self.unmatchable.items())}
        statuses = {f"{UNKNOWN_STATUS}{name}": n for name, n in sorted(self.statuses.items())}
        return {**told, "rejected": self.refused, **unmatchable, **statuses}

    def warnings(self) -> list[str]:
        """Return what people ought to look at, in words; once what is taken out is known."""
        told = [str(found) for found in self.suspicions]
        told += [
            f"unknown status '{name}': {n:,}, listed all the same; say what it means "
            f"(--status WORD={'|'.join(MEANINGS)})"
            for name, n in sorted(self.statuses.items())
        ]
        if self.ahead:
            rows = "1 row is" if self.ahead == 1 else f"{self.ahead:,} rows are"
            told.append(f"{rows} dated in the future, and taken as said now")
        if self.is_ansi:
            told.append(
                "text that is not UTF-8 was read as Windows-1252; if names look wrong, say what it "
                "is in (--charset)"
            )
        for name, count in sorted(self.withdrawals.several.items()):
            told.append(
                f"the withdrawal of id {shown_id(name) or '(hidden)'} took out {count:,} different "
                "hashes: ids of this list need not be unique"
            )
        return told

    def _add(self, row: ListRow) -> None:
        effect = self._effect(row.status)
        algorithm = self._algorithm(row.algorithm)
        if not registry.hashes(algorithm) and (
            algorithm in NOT_MATCHED or algorithm.startswith("video_")
        ):
            if effect == WITHDRAWAL and self._unique and row.external_id:
                by_id = Subject(row.external_id, space=row.space)
                end = (self._span(row.updated) or self._undated).end
                self.withdrawals.withdraw([by_id], end, asked=False)
            known = algorithm in NOT_MATCHED or VIDEO.fullmatch(algorithm)
            self.unmatchable[algorithm if known else "video"] += 1  # no value in place of a name
            return
        said = self._span(row.updated)
        if effect == WITHDRAWAL:
            self._withdraw(row, algorithm, said or self._undated)
        else:
            value = self._value(row, algorithm)
            disputed = effect == DISPUTED or row.downvotes > row.upvotes + 1
            if effect == BENIGN or (disputed and not self.keep_disputed):
                effect = BENIGN if effect == BENIGN else DISPUTED
                # A name is no identity: the hash is benign, whatever it is called.
                about = row if self._unique else row._replace(external_id=None)
                for subject in self._subjects(about, algorithm, value):
                    self.withdrawals.clear(subject, said or self._undated)
            elif value == _of_nothing(algorithm):
                effect = OF_NOTHING  # every empty file would match it
            else:
                self._list(row, algorithm, value, said, disputed)
                if effect is None and row.status.strip():
                    self._note_status(row.status, self._forms(row, algorithm, value))
                effect = LISTED
        self.counts[effect] += 1
        self.ahead += said is not None and said.begin > self.now

    def _effect(self, status: str) -> str | None:
        """Return what a status does to an entry, as given or as known."""
        told = self._effects.get(plain(status)) if self._effects else None
        return told or effect_of(status)

    def _list(
        self, row: ListRow, algorithm: str, value: bytes, said: Span | None, disputed: bool
    ) -> None:
        texts = (row.external_id or "", row.status, *row.labels, *row.sources)
        # The shortest way to write all of a hash is base64: few texts are long enough to hold it.
        is_long = self.encoding != "hex" or 6 * max(map(len, texts)) >= 8 * len(value)
        forms = self._forms(row, algorithm, value) if is_long else ()
        status = "".join(_safe((row.status,), forms)) or "active"
        kind = Entry(
            None,
            _safe(row.labels, forms),
            _safe(row.sources, forms),
            DISPUTED if disputed else status,
            row.quality,
            row.max_distance,
        )
        of_kind = self._of(algorithm)
        named = next(iter(_safe((row.external_id,), forms)), None)
        scope = scope_of(row.space, self._unique)
        if algorithm == VIDEO_SPEC.algorithm:
            self._videos[value] = self._video_of(row.hash)
        of_kind.add(value, of_kind.kind_of(kind), named, scope, said)

    def _forms(self, row: ListRow, algorithm: str, value: bytes) -> tuple[str, ...]:
        """Return the ways to write a hash, as we have it and as the list does."""
        forms, orders = _forms(value), self._orders_of(algorithm)
        if orders:
            forms += _forms(reordered(value, 8 * len(value), orders[::-1]))
        written = row.hash.strip(INVISIBLE).rstrip("=").lower()
        return forms if len(written) < SHORTEST_FORM else (*forms, written)

    def _note_status(self, status: str, forms: tuple[str, ...]) -> None:
        """Count a status that is not known; what may be a hash is not shown."""
        told = clean_name(status.strip())
        if len(told) > LONGEST_STATUS or may_be_hash(told) or not _safe((told,), forms):
            told = "(hidden)"
        if told not in self.statuses and len(self.statuses) >= MOST_STATUSES:
            told = "(others)"
        self.statuses[told] += 1

    def _add_plain(self, rows: PlainRows) -> bool:
        """Take rows that say nothing but a hash, quality and id; or none of them, if any is odd."""
        algorithm = self._algorithm(rows.algorithm)
        if not registry.hashes(algorithm) or algorithm == VIDEO_SPEC.algorithm:
            return False
        spec = registry.spec(algorithm)
        digits = spec.bits // 4
        text = b"".join(rows.hashes)
        if self._orders_of(algorithm) or self.encoding != "hex":
            return False
        if len(text) != digits * len(rows.hashes):
            return False
        if set(map(len, rows.hashes)) != {digits} or set(map(len, rows.qualities)) - {0, 1, 2, 3}:
            return False
        shortest = len(_forms(bytes(spec.bits // 8))[1])
        if max(map(len, rows.ids)) >= shortest:
            for value, name in zip(rows.hashes, rows.ids, strict=True):
                if len(name) >= shortest and not _safe(
                    (name.decode(),), _forms(bytes.fromhex(value.decode()))
                ):
                    return False
        values = bytes.fromhex(text.decode())
        nothing = _of_nothing(algorithm)
        if nothing is not None and nothing in values:
            return False
        of_kind = self._of(algorithm)
        number = {quality: self._quality_kind(of_kind, quality) for quality in set(rows.qualities)}
        if len(number) == 1:
            kinds = array("I", number.values()) * len(rows.qualities)
        else:
            kinds = array("I", [number[quality] for quality in rows.qualities])
        of_kind.add_all(values, kinds, rows.ids, scope_of("", self._unique))
        self.counts[LISTED] += len(kinds)
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
        return self._parsed(row, algorithm)

    def _parsed(self, row: ListRow, algorithm: str) -> bytes:
        spec = registry.spec(algorithm)
        if spec == VIDEO_SPEC:
            return video_key(self._video_of(row.hash))
        encoding = row.encoding or self.encoding
        value = spec.parse(row.hash, encoding)
        if encoding in DECIMALS and len(text := row.hash.strip(INVISIBLE)) >= LONG_NUMBER:
            self._long_numbers += 1
            self._round_numbers += text.endswith("00")
        orders = self._orders_of(algorithm)
        return reordered(value, spec.bits, orders) if orders else value

    def _video_of(self, signal: str) -> VideoFrames:
        """Return the frames of a signal; those of the last one are kept."""
        if self._last_video is None or self._last_video[0] != signal:
            self._last_video = signal, parse_signal(signal)
        return self._last_video[1]

    def _orders_of(self, algorithm: str) -> tuple[str, ...]:
        if algorithm not in self._orders:
            self._orders[algorithm] = orders_for(algorithm, self.told_orders)
        return self._orders[algorithm]

    @property
    def _undated(self) -> Span:
        """When a row without a time was said: from now on, and until all others of the delivery."""
        return Span(self.now, math.inf)

    def _span(self, updated: Span | float | None) -> Span | None:
        if updated is None or isinstance(updated, Span):
            return updated
        return Span.lasting(updated, 1 if updated == int(updated) else 0)

    def _withdraw(self, row: ListRow, algorithm: str, said: Span) -> None:
        """Take out what a row is about.

        A row that says no id and no hash, as when a list blanks what it withdraws, takes nothing
        out, and is counted so. A unique id is taken out whatever hash is said with it.
        """
        value = None
        if row.hash.strip() and registry.hashes(algorithm):
            try:
                value = self._parsed(row, algorithm)
            except UsageError:
                if not row.external_id:
                    raise
        subjects = []
        if row.external_id and (self._unique or value is None):
            subjects.append(Subject(row.external_id, space=row.space))
            subjects += [] if self._unique else self._named_after(row.external_id)
        if value is not None:
            of_hash = self._subjects(row, algorithm, value)
            subjects += [each for each in of_hash if not (subjects and each.external_id)]
        if subjects:
            self.withdrawals.withdraw(subjects, said.end)
        else:
            self.withdrawals.nameless.append(None)

    def _subjects(self, row: ListRow, algorithm: str, value: bytes) -> Iterator[Subject]:
        """Yield what a row about a hash means: its identity, and the hash where it has no id."""
        words = _words(algorithm, value)
        # An id that holds the hash is kept with no entry.
        if row.external_id and _safe((row.external_id,), self._forms(row, algorithm, value)):
            unique = self._unique
            yield Subject(row.external_id, algorithm, b"" if unique else words, False, row.space)
        yield Subject(None, algorithm, words, not row.external_id)

    def _named_after(self, external_id: str) -> Iterator[Subject]:
        """Yield the hashes whose entry may have been left without such an id, as it holds them."""
        for algorithm in registry.names(registry.HASHERS):
            with suppress(UnknownPlugin):  # that cannot be loaded: no entry has its hash
                for value in self._held_by(external_id, registry.spec(algorithm)):
                    yield Subject(None, algorithm, _words(algorithm, value))

    def _held_by(self, external_id: str, spec: HashSpec) -> Iterator[bytes]:
        runs = [run for run in DIGITS.findall(external_id) if 4 * len(run) == spec.bits]
        values = [bytes.fromhex(run) for run in runs]
        yield from values
        if self.encoding != "hex" and len(external_id) >= SHORTEST_FORM:
            for text in {external_id, external_id.rpartition(".")[0]}:
                with suppress(UsageError):
                    values.append(spec.parse(text, self.encoding))
        if orders := self._orders_of(spec.algorithm):
            values = [reordered(value, spec.bits, orders) for value in values]
        yield from values

    def _of(self, algorithm: str) -> ColumnBuilder:
        if algorithm not in self._builders:
            self._builders[algorithm] = ColumnBuilder(registry.spec(algorithm), self._undated)
        return self._builders[algorithm]


SHORTEST_FORM = 11
"""Characters of a hash of 64 bits in base64: shorter text is no hash, though a list may write so
one that begins with zeros."""


def _are_rounded(numbers: int, to_zeros: int) -> bool:
    """Return whether too many of some numbers end in zeros."""
    return to_zeros >= LEAST_DECIMAL and to_zeros >= 0.9 * numbers


def _unnamed(line: int, count: int) -> RejectedRow:
    """Return what stands for so many rows that are not named, of which the last is at `line`."""
    told = f"{count:,} more rows cannot be used; {MOST_NAMED:,} are named"
    return RejectedRow(line, told, count)


def shown_id(external_id: str | None) -> str | None:
    """Return an id that is named though the list has no entry of it; none that may be a hash."""
    if external_id is None or external_id.startswith(REFERENCE):
        return external_id
    return None if DIGITS.search(external_id) else external_id


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
    if not forms:  # as of nearly all rows, whose texts are too short to hold a hash
        return tuple(filter(None, texts))
    return tuple(text for text in texts if text and not any(form in text.lower() for form in forms))
