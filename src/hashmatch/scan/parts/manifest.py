"""What is kept of a scan in parts: which parts there are, what each has come to, and their format.

::

    scans/NAME.json             what the scan is; NAME is a digest of all that its results depend on
    NAME/items/00000000         the items of a part, until the scan has ended
    NAME/listed.json            how many parts there are: the listing has come to its end
    NAME/results/00000000       what a part has come to: a line for it, and one for each record, and
                                for each item that was not searched, in the order of the listing
    NAME/again/00000000         the same, where items could not be read, after another worker tried
    NAME/journals/00000000      what is done of a part that is under way
    NAME/ended.json             the totals: all parts are done, and their results were given

Each but the journals is written once. Items and results are gzip; items are msgpack, results JSON
lines.
"""

from __future__ import annotations

import gzip
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch.errors import CheckpointError
from hashmatch.records.enums import HAVE_HASH, Outcome, Surface
from hashmatch.records.images import ImageItem, ItemOutcome
from hashmatch.records.review import RecordMatch, ReviewRecord
from hashmatch.records.safeguards import Waiver
from hashmatch.records.times import timestamp
from hashmatch.records.typed import from_json, from_msgpack
from hashmatch.scan.checkpoint import scan_name
from hashmatch.scan.events import Counters
from hashmatch.scan.parts.place import BucketPlace, Place

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from hashmatch.scan.events import Result

FORMAT = 1
SCANS = "scans"
READS = 16
"""Results of a bucket that are read at once."""


def as_bytes(text: str) -> bytes:
    """Return text in bytes, of which `as_text` makes it again: names of files, say."""
    return text.encode(errors="surrogatepass")


def as_text(data: bytes) -> str:
    """Return the text of which `as_bytes` made `data`."""
    return data.decode(errors="surrogatepass")


class Row(msgspec.Struct, array_like=True, frozen=True):
    """An item of a part, in bytes: names of files need not be Unicode."""

    key: bytes
    version: bytes
    location: bytes
    position: bytes
    size: int | None

    @classmethod
    def of(cls, item: ImageItem) -> Row:
        """Return the row of an item."""
        return cls(
            as_bytes(item.key), as_bytes(item.version), as_bytes(item.location),
            as_bytes(item.position), item.size,
        )  # fmt: skip

    def item(self, surface: Surface) -> ImageItem:
        """Return the item."""
        return ImageItem(
            as_text(self.key), as_text(self.version), surface, as_text(self.location),
            as_text(self.position), self.size,
        )  # fmt: skip


class Part(msgspec.Struct, frozen=True):
    """The items of a part: `count` of them, behind the position `after`, up to `last`.

    ``rows`` is None where they have to be listed again: their content comes with the listing, or
    their addresses are secrets.
    """

    after: bytes | None
    last: bytes
    count: int
    rows: list[Row] | None


class _Header(msgspec.Struct, frozen=True):
    """The first line of a part's results."""

    scan: str
    part: int
    items: int
    attempts: int
    counters: Counters
    sandbox: str
    waivers: list[Waiver] = []
    worker: str = ""


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """A result of a part: a record, or an item that was not searched.

    ``others`` are the matches of a pending record that it does not name: a breaker counts them.
    """

    record: ReviewRecord | None = None
    others: list[RecordMatch] = []
    problem: list[Any] | None = None

    @classmethod
    def of(cls, result: Result, others: Sequence[RecordMatch] = ()) -> Line | None:
        """Return the line of a result; None of an item that was searched and matches nothing."""
        if isinstance(result, ReviewRecord):
            return cls(result, list(others))
        if not result.reason and result.outcome in HAVE_HASH:
            return None
        return cls(problem=[
            result.key, result.version, result.surface, result.outcome, result.reason,
            result.quality, result.damaged,
        ])  # fmt: skip

    @property
    def result(self) -> Result:
        """The result."""
        if self.record is not None:
            return self.record
        assert self.problem is not None  # noqa: S101 - there is one or the other
        key, version, surface, outcome, *rest = self.problem
        return ItemOutcome(key, version, Surface.parse(surface), Outcome(outcome), *rest)


@dataclass(slots=True)
class PartResults:
    """What a part has come to.

    Parameters
    ----------
    items : int
        How many there were.
    attempts : int
        How often it was begun by those whose work is in it.
    counters : Counters
        Their outcomes, before any breaker, and what the last of them has read and decoded.
    lines : list of Line
        In the order of the listing.
    sandbox : str
        What closed in the processes that decoded the images.
    waivers : list of Waiver
        Safeguards that it did without.
    worker : str
        The name of the last of them to its engine.
    """

    items: int
    attempts: int = 1
    counters: Counters = field(default_factory=Counters)
    lines: list[Line] = field(default_factory=list)
    sandbox: str = ""
    waivers: list[Waiver] = field(default_factory=list)
    worker: str = ""

    @property
    def failed(self) -> int:
        """Items that could not be read, or decoded, for reasons that may be of the worker."""
        return self.counters.outcomes[Outcome.FAILED]


class Manifest:
    """What a place has of one scan.

    Parameters
    ----------
    place : Place
        Where it is kept.
    name : str
        Of the scan.
    """

    def __init__(self, place: Place, name: str) -> None:
        self.place, self.name = place, name
        data = place.read(f"{SCANS}/{name}.json")
        if data is None:
            raise CheckpointError(
                f"cannot find the scan {name} here. Give --state a folder that all machines "
                "share, or a bucket"
            )
        scan = msgspec.json.decode(data)
        if scan["format"] != FORMAT:
            raise CheckpointError(
                f"cannot use the scan {name}: it is of format {scan['format']}, and this version "
                f"of hashmatch knows {FORMAT}. Use the version that made it, or another --state"
            )
        self.token: str = scan["token"]
        self.part_items: int = scan["part_items"]
        self.about: dict[str, Any] = scan["about"]
        self.begun: str = scan["begun"]

    @classmethod
    def begin(cls, place: Place, about: Mapping[str, object], part_items: int) -> Manifest:
        """Return that of the scan that is all this about: the one that was begun, or a new one."""
        name = scan_name(about)
        scan = {
            "format": FORMAT,
            "about": about,
            "token": secrets.token_hex(8),
            "begun": timestamp(datetime.now(UTC)),
            "part_items": part_items,
        }
        place.create(f"{SCANS}/{name}.json", msgspec.json.encode(scan))
        if isinstance(place, BucketPlace):
            place.check_conditions(f"{SCANS}/{name}.json")
        return cls(place, name)

    @classmethod
    def all(cls, place: Place) -> Iterator[Manifest]:
        """Yield those that a place has, the first begun first."""
        names = [name.removesuffix(".json") for name in place.names(SCANS)]
        yield from sorted((cls(place, name) for name in names), key=lambda one: one.begun)

    @property
    def journals(self) -> str:
        """The name of what has the journals of its parts."""
        return f"{self.name}/journals"

    def add_part(self, number: int, part: Part) -> bool:
        """Write the items of a part; return whether nobody else has."""
        data = gzip.compress(msgspec.msgpack.encode(part), 6, mtime=0)
        return self.place.create(f"{self.name}/items/{number:08}", data)

    def part(self, number: int) -> Part | None:
        """Return the items of a part, or None if they are there no more, or not yet."""
        data = self.place.read(f"{self.name}/items/{number:08}")
        return None if data is None else from_msgpack(gzip.decompress(data), Part)

    def parts(self) -> list[int]:
        """Return the numbers of the parts whose items are there."""
        return list(map(int, self.place.names(f"{self.name}/items")))

    def end_listing(self, parts: int, items: int, passed_over: Mapping[str, int]) -> None:
        """Write that these are all parts there are."""
        said = {"parts": parts, "items": items, "passed_over": passed_over}
        self.place.create(f"{self.name}/listed.json", msgspec.json.encode(said))

    def listed(self) -> dict[str, Any] | None:
        """Return how many parts and items there are, once the listing has come to its end."""
        return self._json("listed")

    def totals(
        self, numbers: Iterable[int], again: Collection[int] = ()
    ) -> Iterator[tuple[int, PartResults]]:
        """Yield what each of some parts that are done has come to, in order, without its lines.

        That of those in `again` is after another worker tried.
        """

        def read(number: int) -> tuple[int, PartResults | None]:
            found = self.results(number, again=number in again)
            return number, None if found is None else replace(found, lines=[])

        numbers = list(numbers)
        with ThreadPoolExecutor(READS if self.place.folder is None else 1) as pool:
            for number, found in pool.map(read, numbers):
                if found is not None:
                    yield number, found

    def commit(self, number: int, results: PartResults, *, again: bool = False) -> bool:
        """Write what a part has come to; return whether nobody else has."""
        header = _Header(
            self.name, number, results.items, results.attempts, results.counters, results.sandbox,
            results.waivers, results.worker,
        )  # fmt: skip
        lines = b"".join(msgspec.json.encode(line) + b"\n" for line in (header, *results.lines))
        return self.place.create(self._results(number, again), gzip.compress(lines, 6, mtime=0))

    def _results(self, number: int, again: bool) -> str:
        return f"{self.name}/{'again' if again else 'results'}/{number:08}"

    def is_done(self, number: int, *, again: bool = False) -> bool:
        """Return whether there is what a part has come to."""
        return self.place.read(self._results(number, again)) is not None

    def results(self, number: int, *, again: bool = False) -> PartResults | None:
        """Return what a part has come to; None if it is not done."""
        data = self.place.read(self._results(number, again))
        if data is None:
            return None
        try:
            first, *rest = gzip.decompress(data).splitlines()
            header = from_json(first, _Header)
            lines = [from_json(line, Line) for line in rest]
        except (ValueError, OSError, EOFError):
            raise CheckpointError(
                f"cannot read the results of part {number} of the scan {self.name}: they are "
                "damaged. Remove them, and run the same scan again"
            ) from None
        return PartResults(
            header.items, header.attempts, header.counters, lines, header.sandbox, header.waivers,
            header.worker,
        )  # fmt: skip

    def done(self, *, again: bool = False) -> list[int]:
        """Return the numbers of the parts that are done."""
        return list(map(int, self.place.names(self._results(0, again).rpartition("/")[0])))

    def end(self, counters: Counters, waivers: Sequence[Waiver]) -> None:
        """Write that the scan has ended; the names of its items, and journals, are removed."""
        said = {
            "time": timestamp(datetime.now(UTC)),
            "outcomes": counters.outcomes,
            "suppressed_by": counters.suppressed_by,
            "mostly_chrome": counters.mostly_chrome,
            "waivers": [waiver._asdict() for waiver in waivers],
        }
        self.place.create(f"{self.name}/ended.json", msgspec.json.encode(said))
        for below in (f"{self.name}/items", self.journals):
            for name in self.place.names(below):
                self.place.remove(f"{below}/{name}")

    def ended(self) -> dict[str, Any] | None:
        """Return when the scan has ended, and its totals; None if it has not."""
        return self._json("ended")

    def status(self) -> dict[str, Any]:
        """Return what is known of the scan: as `Checkpoint.scans`, with its parts.

        While it runs, outcomes are those of the parts that are done, before any breaker.
        """
        done, ended = self.done(), self.ended()
        listed = self.listed()
        if ended is None:
            counters, waivers = Counters(), list[Waiver]()
            for _, found in self.totals(done, frozenset(self.done(again=True))):
                counters.merge(found.counters)
                waivers += [waiver for waiver in found.waivers if waiver not in waivers]
            said = [waiver._asdict() for waiver in waivers]
            ended = {"time": None, "outcomes": counters.outcomes, "waivers": said}
        return {
            "name": self.name,
            "about": self.about,
            "begun": self.begun,
            "ended": ended["time"],
            "listed": sum(ended["outcomes"].values()),
            "outcomes": ended["outcomes"],
            "waivers": ended["waivers"],
            "parts": {
                "done": len(done),
                "listed": listed["parts"] if listed else len(self.parts()),
                "listing_ended": listed is not None,
            },
        }

    def _json(self, name: str) -> dict[str, Any] | None:
        data = self.place.read(f"{self.name}/{name}.json")
        return None if data is None else msgspec.json.decode(data)
