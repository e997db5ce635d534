"""For other people's tests: benign pictures, made-up hashes, in-memory plug-ins, contract checks.

A contract check takes your plug-in and raises AssertionError, naming what is broken, if it does
not keep what `hashmatch.interfaces` asks of it.
"""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import chain
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from msgspec import UNSET

from hashmatch._drawing import flipped as flipped
from hashmatch._drawing import hash_list as hash_list
from hashmatch._drawing import picture as picture
from hashmatch._drawing import random_hashes as random_hashes
from hashmatch.errors import RejectedRow
from hashmatch.interfaces import (
    GUESSES,
    CoveredHasher,
    Disc,
    EnlargingHasher,
    Exchange,
    ExchangeField,
    FramedHasher,
    Framing,
    Hasher,
    InvertibleHasher,
    ListOptions,
    ListReader,
    ListRow,
    OrientedHasher,
    PlainRows,
    RoundHasher,
    Sink,
    Source,
    passed_over,
    reads_plain,
)
from hashmatch.records.cases import Case, Verdict
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.hashes import HashBatch, HashSpec
from hashmatch.records.images import ImageChanged, ImageError, ImageItem
from hashmatch.records.review import RecordHash, RecordItem, RecordMatch, ReviewRecord, SuppressedBy
from hashmatch.records.typed import converted
from hashmatch.scan.shard import Shard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from hashmatch.records.cases import ConfirmedCase
    from hashmatch.review.drafts.destinations import DraftDestination, DraftFacts


class MemorySource:
    """A source of images held in memory, by key; contents may be the error to raise instead.

    Examples
    --------
    >>> source = MemorySource({"a.jpg": b"..."}, Surface.PUBLIC_POST)
    >>> [item.key for item in source.items()]
    ['a.jpg']
    """

    def __init__(self, images: Mapping[str, bytes | ImageError], surface: Surface) -> None:
        self._images = dict(images)
        self._surface = surface

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield an item for each key, in the order of the mapping, or those behind `after`."""
        keys = list(self._images)
        for key in keys[keys.index(after) + 1 :] if after is not None else keys:
            content = self._images[key]
            size = len(content) if isinstance(content, bytes) else None
            yield ImageItem(key, "1", self._surface, size=size)

    def identity(self) -> str:
        """Return a digest of all that it holds."""
        held = repr(self._images).encode()
        return f"memory:{blake2b(held, digest_size=16).hexdigest()} {self._surface}"

    def read(self, item: ImageItem) -> bytes:
        """Return the content, or raise the error that stands in its place."""
        content = self._images[item.key]
        if isinstance(content, ImageError):
            raise content
        return content

    def count(self) -> int:
        """Return how many there are."""
        return len(self._images)

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""


def check_source(source: Source) -> None:
    """Check a source of at least one item: its identity, listing, versions, reading, counting.

    It is listed on from each of up to 64 places, and split into 1, 2, 3 and 7 shards.
    """
    assert isinstance(source, Source), "it lacks part of the Source protocol"
    items = list(source.items())
    assert items, "it lists nothing"
    name = source.identity()
    assert isinstance(name, str), "its identity is no text"
    assert name, "its identity is empty"
    assert name.isprintable(), "its identity is no line of text"
    assert source.identity() == name, "its identity is another the second time"
    keys = [item.key for item in items]
    assert len(set(keys)) == len(keys), "a key is listed twice"
    assert [item.key for item in source.items()] == keys, "a second listing differs"
    assert source.count() in {None, len(items)}, "count and listing differ"
    passed = passed_over(source)
    assert all(isinstance(what, str) and n > 0 for what, n in passed.items()), "not counts"
    for done in sorted({len(items) * part // 64 for part in range(64)} | {len(items) - 1}):
        rest = [item.key for item in source.items(after=items[done].position)]
        assert rest == keys[done + 1 :], f"it does not list on after {keys[done]}"
        behind = passed_over(source)
        assert all(n <= passed.get(what, 0) for what, n in behind.items()), "it passes over more"
    for count in (1, 2, 3, 7):
        parts = [[item.key for item in Shard(source, n, count).items()] for n in range(count)]
        assert sorted(chain(*parts)) == sorted(keys), f"{count} shards are not the whole"
    for item in items:
        assert item.key.encode(), "a key is empty"
        assert item.position.encode(), "a position is no valid Unicode"
        assert item.version, f"{item.key} has no version"
        assert isinstance(item.surface, Surface), f"{item.key} has no surface"
        _check_content(source, item)
    with ThreadPoolExecutor(4) as threads:  # each as it is alone
        alone = [_check_content(source, item) for item in items]
        together = list(threads.map(lambda item: _check_content(source, item), items))
    assert together == alone, "many threads read something else than one"
    source.close()


def _check_content(source: Source, item: ImageItem) -> object:
    try:
        content = source.read(item)
    except ImageChanged as error:
        assert error.item.key == item.key, f"{item.key} turns into another item"
        return error.item
    except ImageError as error:
        assert error.outcome is not Outcome.HASHED, "an error cannot mean hashed"
        assert error.reason, f"{item.key}: no reason is given"
        return error.outcome
    assert isinstance(content, bytes), f"{item.key} is not read as bytes"
    return content


class MemorySink:
    """A sink that keeps its records in `records`; `closed` and `abandoned` say how it ended."""

    def __init__(self, path: Path | None = None) -> None:
        self.records: list[ReviewRecord] = []
        self.closed = False
        self.abandoned = False

    def write(self, record: ReviewRecord) -> None:
        """Keep one record."""
        self.records.append(record)

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True

    def abandon(self) -> None:
        """Note that it was abandoned."""
        self.abandoned = True


class XorHash:
    """A hasher small enough to check by hand: the XOR of all bytes, eight times over."""

    spec: ClassVar = HashSpec("xor", 64)
    reads: ClassVar[Literal["bytes"]] = "bytes"
    max_distance: ClassVar = 0
    min_quality: ClassVar = 0
    min_side: ClassVar = 0

    def hash(self, data: NDArray[np.uint8]) -> tuple[HashBatch, int | None]:
        """Return the hash, a batch of one, and no quality.

        Parameters
        ----------
        data : ndarray of uint8
            Pixels or bytes, of any shape.
        """
        value = int(np.bitwise_xor.reduce(data, initial=0))
        return HashBatch.from_bytes(self.spec, bytes([value] * 8)), None


def check_hasher(hasher: Hasher) -> None:
    """Check a hasher: its attributes, one hash of its spec, the same every time.

    Parameters
    ----------
    hasher : Hasher
        Yours.

    Raises
    ------
    AssertionError
        If it is not as `hashmatch.interfaces` asks; the message names what is broken.
    """
    assert isinstance(hasher, Hasher), "it lacks part of the Hasher protocol"
    assert hasher.reads in {"pixels", "bytes"}, "reads is neither pixels nor bytes"
    assert 0 <= hasher.max_distance <= hasher.spec.bits, "max_distance is out of range"
    assert 0 <= hasher.min_quality <= 100, "min_quality is out of range"
    assert hasher.min_side >= 0, "min_side is negative"
    for seed in range(4):
        data = picture(seed)
        if hasher.reads == "bytes":
            data = data.reshape(-1)
        data.flags.writeable = False  # a hasher that writes into the picture raises here
        hashes, quality = hasher.hash(data)
        again, _ = hasher.hash(data.copy())
        assert hashes.spec == hasher.spec, "the hash is not of its spec"
        assert len(hashes) == 1, "it makes more or less than one hash"
        assert hashes == again, "the same data gave two hashes"
        assert quality is None or 0 <= quality <= 100, "the quality is not 0 to 100"
        if isinstance(hasher, OrientedHasher):
            eight, same = hasher.hash_orientations(data)
            assert len(eight) == 8, "there are eight orientations"
            assert eight[:1] == hashes, "the first orientation is not the upright hash"
            assert same == quality, "the orientations have another quality"
        if isinstance(hasher, EnlargingHasher):
            enlarged = hasher.hash_enlarged(data)
            assert len(enlarged) == 8, "there are eight orientations of an enlarged picture"
            assert enlarged == hasher.hash_enlarged(data.copy()), "enlarged, it gave two hashes"
            assert enlarged.spec == hasher.spec, "hashes of enlarged pictures are not of its spec"
        if isinstance(hasher, InvertibleHasher):
            negative = hasher.inverted(hashes)
            assert hasher.inverted(negative) == hashes, "inverted twice it is not the hash"
        _check_reframed(hasher, data)


def _check_reframed(hasher: Hasher, data: NDArray[np.uint8]) -> None:
    """Check what a hasher says of a picture in other frames, and of parts that it has to guess."""
    if isinstance(hasher, FramedHasher):
        framings = (Framing(), Framing(left=0.05), Framing(turn=2.0))
        framed = hasher.hash_framings(data, framings)
        assert len(framed) == len(framings), "there is one hash for each framing"
        assert framed == hasher.hash_framings(data.copy(), framings), "framings gave two hashes"
        assert framed.spec == hasher.spec, "hashes of framings are not of its spec"
        more = hasher.hash_framings(data, framings, framings[1:], (Disc(0.4, 0.5, 0.2),))
        assert len(more) == len(framings) + 8 * 2 + 1, "framings or discs gave no hashes"
        assert more[: len(framings)] == framed, "framings come first"
        assert more[3:4] == framed[1:2], "the first of eight orientations is not the framing"
        unsure = hasher.hash_framings(data, (), (), (), (Framing(0.2, 0.0, 0.1),))
        assert len(unsure) == 1 + GUESSES, "there is another number of guesses"
    if isinstance(hasher, CoveredHasher):
        cells = np.zeros((2, 64, 64), np.bool_)
        cells[0, 20:30, 20:30] = cells[1, :9] = True
        without = hasher.hash_covered(data, cells)
        assert len(without) == 2 * (1 + GUESSES), "there is another number of guesses"
        assert without.spec == hasher.spec, "hashes of covered pictures are not of its spec"
    if isinstance(hasher, RoundHasher):
        guesses = hasher.hash_round(data)
        assert len(guesses) % 8 == 0, "there are eight orientations of each guess"
        assert guesses == hasher.hash_round(data.copy()), "guesses gave two hashes"


def check_list_reader(
    reader: ListReader, sample: bytes, *, good: int, bad: int, options: ListOptions | None = None
) -> None:
    """Check a list reader on a `sample` file of its format with so many good and bad rows."""
    assert isinstance(reader, ListReader), "it lacks part of the ListReader protocol"
    assert 0 < reader.detects(sample[:8192]) <= 100, "it does not detect its own format"
    assert reader.detects(b"") == 0, "it claims an empty file"
    assert reader.detects(bytes(range(256)) * 8) == 0, "it claims a file of arbitrary bytes"
    options = options or ListOptions()
    rows = list(reader.rows(io.BytesIO(sample), options))
    assert all(isinstance(row, ListRow | RejectedRow) for row in rows), "it yields something else"
    assert sum(isinstance(row, ListRow) for row in rows) == good, "it finds other good rows"
    assert sum(isinstance(row, RejectedRow) for row in rows) == bad, "it finds other bad rows"
    lines = [row.line for row in rows]
    assert lines == sorted(lines), "line numbers go back"
    assert min(lines, default=1) >= 1, "line numbers begin at 1"
    if reads_plain(reader):
        found = reader.plain_rows(io.BytesIO(sample), options)
        each = (part.rows() if isinstance(part, PlainRows) else [part] for part in found)
        assert [row for some in each for row in some] == rows, "its plain rows are others"


def check_exchange(make: Callable[[], Exchange]) -> None:
    """Check an exchange that has two pages or more: it continues where it was interrupted.

    Parameters
    ----------
    make : callable
        Returns the exchange, anew each time.
    """
    exchange = make()
    assert isinstance(exchange, Exchange), "it lacks part of the Exchange protocol"
    for fields in (getattr(exchange, "options", None), getattr(exchange, "credentials", None)):
        assert isinstance(fields, tuple), "its options or credentials are no tuple"
        assert all(isinstance(each, ExchangeField) for each in fields), "one is no ExchangeField"

    def pages(checkpoint: str | None, position: str | None) -> list[tuple[bytes, str, str | None]]:
        made = make()
        try:
            return [
                (b"".join(page.data), page.position, page.checkpoint)
                for page in made.pages(checkpoint, position)
            ]
        finally:
            made.close()

    found = pages(None, None)
    assert len(found) > 1, "it has fewer than two pages to be checked by"
    *before, (_, _, checkpoint) = found
    assert checkpoint is not None, "its last page has no checkpoint"
    assert len(checkpoint) <= 1000, "its checkpoint is longer than 1,000 characters"
    assert all(each is None for _, _, each in before), "a page before the last has a checkpoint"
    for number, (_, position, _) in enumerate(before, 1):
        rest = [data for data, _, _ in found[number:]]
        assert [data for data, _, _ in pages(None, position)] == rest, "it does not continue"
    later = pages(checkpoint, None)
    assert not later or later[-1][2] is not None, "a later fetch ends without a checkpoint"


def check_sink(make: Callable[[Path | None], Sink], path: Path) -> None:
    """Check a sink that writes to `path`: it appears when closed and not when abandoned."""
    sink = make(path)
    assert isinstance(sink, Sink), "it lacks part of the Sink protocol"
    sink.write(example_record())
    sink.abandon()
    assert not path.exists(), "an abandoned file stands in the place of a whole one"
    sink = make(path)
    sink.write(example_record())
    sink.write(example_record("profiles/kept-out.jpg", suppressed=True))
    sink.write(example_record("profiles/2.jpg"))
    sink.close()
    content = path.read_bytes()
    assert b"profiles/1.jpg" in content, "the first record is missing"
    assert b"profiles/kept-out.jpg" in content, "a suppressed record is missing"
    assert b"suppressed" in content, "it does not say that a record is suppressed"
    assert b"profiles/2.jpg" in content, "the last record is missing"


def check_draft_destination(make: Callable[[], DraftDestination]) -> None:
    """Check a destination of drafts: its questions, and that it computes and guesses nothing.

    Parameters
    ----------
    make : callable
        Makes one; the class.
    """
    from hashmatch.review.drafts.destinations import DraftDestination, unanswered

    made, facts = make(), example_facts()
    assert isinstance(made, DraftDestination), "it is no DraftDestination"
    assert made.title.strip(), "nothing says whom it is for"
    names = [question.name for question in made.questions]
    assert len(set(names)) == len(names), "two questions have one name"
    for question in made.questions:
        assert question.options, f"question {question.name} has no answers"
        for option in question.options:
            assert option.meaning.strip(), f"nothing says what {option.value} means"
    first, second = made.render(facts), make().render(facts)
    assert first == second, "the same facts give other documents"
    missing = {gap.field for gap in first.gaps if not gap.note}
    for gap in unanswered(made.questions, facts):
        assert gap.field in missing, f"{gap.field} is missing, and that is no gap"
    for name in first.documents:
        assert name == name.rpartition("/")[2] != "", f"{name} is not the name of a file"


def example_facts() -> DraftFacts:
    """Return what a draft of a made-up confirmed case is made of; nobody has chosen anything."""
    from hashmatch.review.drafts.account import AccountFile
    from hashmatch.review.drafts.destinations import DraftFacts
    from hashmatch.review.drafts.seen import reported_files
    from hashmatch.review.history import FIRST, Head

    confirmed, at = _confirmed_case(), datetime(2026, 1, 2, tzinfo=UTC)
    said = {
        "schema": "hashmatch.account/1",
        "incident": {"at": "2026-01-01T00:00:00Z"},
        "reporter": {"person": {"first_name": "Dana", "last_name": "Example"}},
    }
    account = converted(said, AccountFile)
    files = reported_files(confirmed, ())
    return DraftFacts(confirmed, files, (), account, Head(4, FIRST), at)


def _confirmed_case() -> ConfirmedCase:
    """Return a case that a made-up reviewer confirmed, of a queue of its own: no other has any."""
    from hashmatch.review.queue import ReviewQueue

    at = datetime(2026, 1, 1, tzinfo=UTC)
    with TemporaryDirectory() as folder:
        path = os.path.join(folder, "queue.db")
        with ReviewQueue.open(path, create=True, now=lambda: at) as queue:
            queue.add([example_record()])
            queue.reviewers.add("ana")
            case = queue.take("ana")
            assert isinstance(case, Case)
            queue.decide(case.case_id, "ana", Verdict.CONFIRMED, "seen", case.reviewed_digest)
        with ReviewQueue.open(path, now=lambda: at + timedelta(days=1)) as queue:
            return next(queue.confirmed())


def example_record(key: str = "profiles/1.jpg", *, suppressed: bool = False) -> ReviewRecord:
    """Return a review record of a made-up match, or a suppressed one.

    Examples
    --------
    >>> example_record().match_count
    1
    """
    item = RecordItem(key, "v1", Surface.PROFILE_PHOTO, "image/jpeg", 640, 480, 0, damaged=False)
    near = RecordMatch(
        list="demo",
        list_version="17",
        entry="made-up-4",
        algorithm="pdq",
        distance=4,
        max_distance=31,
        max_distance_from="algorithm",
        labels=("A1",),
        sources=("demo",),
        variant="upright",
        frame=0,
    )
    return ReviewRecord(
        record_id="0" * 32,
        created_at="2026-01-01T00:00:00Z",
        item=item,
        hash=RecordHash("pdq", 98, "rgb/2", "upright"),
        matches=(near,),
        match_count=1,
        status="suppressed" if suppressed else "pending_review",
        suppressed_by=SuppressedBy("benign", "known", "3", "b-1", "pdq", 2)
        if suppressed
        else UNSET,
    )
