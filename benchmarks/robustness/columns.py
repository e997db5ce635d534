"""Measure columns of the table: `python benchmarks/robustness/columns.py INTO hashmatch pdqhash`.

INTO is what draw.py wrote. A column is a way to hash a file; it gives one or several hashes, and
two files are as far apart as the nearest two hashes of theirs. What is measured is written to
``INTO/columns/NAME.json``.

A column of your own is a file ``NAME.hashes.json`` in the same folder, as `Hashes` says; then name
it like the others. Peers run in environments of their own, in ``INTO/tools``, with the versions
named here.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from benchmarks.other_tools import PILLOW, Tool, hashes_of, python
from benchmarks.recall import distances
from benchmarks.robustness.draw import Drawn, read
from hashmatch import HashBatch, hash_all, registry
from hashmatch.records.enums import LEVELS, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from hashmatch.records.enums import Level

    Words = NDArray[np.uint64]

AT_ONCE = 100
"""Files a peer's process hashes."""
QUESTIONS = 20
"""Of a row, the questions by which most pictures were found that are kept."""


@dataclass
class Hashes:
    """What a column gives: for each file of `Drawn`, its hashes in hexadecimal.

    A file that it does not hash, for its own reasons, has none, and is not found.
    """

    column: str
    bits: int
    limit: int
    """Inclusive: within it, by what the tool recommends, two files are the same picture."""
    entries: dict[str, list[str]] = field(default_factory=dict)
    queries: dict[str, list[str]] = field(default_factory=dict)
    milliseconds: dict[str, float] = field(default_factory=dict)
    """By query: time of the processor, from the file's bytes."""
    made_by: str = ""
    """The tool and its version: what the same one hashed before is not hashed again."""


@dataclass
class RowResult:
    """What one column found in one row."""

    own: list[int] = field(default_factory=list)
    """For each picture: the distance to its own entry; more than all bits if it was not hashed."""
    nearest_other: int = 10**6
    hashes: float = 0.0
    """A file, on average."""
    milliseconds: float = 0.0
    """A file, the median, or 0 if it was not measured."""
    found_by: dict[str, int] = field(default_factory=dict)


@dataclass
class Column:
    """A measured column."""

    name: str
    bits: int
    limit: int
    pictures: int
    rows: dict[str, RowResult] = field(default_factory=dict)
    others: dict[int, int] = field(default_factory=dict)
    """By distance: how many pairs of a query and another picture's entry."""
    near: list[tuple[int, str, str, str]] = field(default_factory=list)
    """Pairs of different pictures within the limit: distance, question, query, entry."""

    @property
    def pairs(self) -> int:
        return sum(self.others.values())

    def limit_at(self, rate: float) -> int:
        """Return the largest distance at which no more than `rate` of these pairs are; -1: none."""
        allowed, count, limit = rate * self.pairs, 0, -1
        for distance in range(self.bits + 1):
            count += self.others.get(distance, 0)
            if count > allowed:
                break
            limit = distance
        return limit

    def recall(self, row: str, limit: int) -> float:
        own = np.array(self.rows[row].own)
        return float((own <= limit).mean())


class Asked(NamedTuple):
    """What one file is looked up as."""

    words: Words
    names: tuple[str, ...]
    milliseconds: float


def score(
    name: str, bits: int, limit: int, drawn: Drawn, pictures: int,
    entries: dict[str, Words], queries: Iterable[tuple[int, Asked]],
) -> Column:  # fmt: skip
    """Measure how far every query is from its own entry and from the other photographs.

    `queries` are what the query of that number is looked up as.
    """
    column = Column(name, bits, limit, pictures)
    hashed = [file for file in drawn.photographs if len(entries.get(file, ()))]
    words = np.concatenate([entries[file] for file in hashed])
    starts = np.cumsum([0, *(len(entries[file]) for file in hashed)])[:-1]
    others: Counter[int] = Counter()
    spent: dict[str, list[float]] = {}
    found_by: dict[str, Counter[str]] = {}
    for number, asked in queries:
        query = drawn.queries[number]
        row = column.rows.setdefault(query.row, RowResult())
        spent.setdefault(query.row, []).append(asked.milliseconds)
        row.hashes += len(asked.words) / pictures
        own = entries.get(query.own, words[:0])
        if not len(asked.words) or not len(own):
            row.own.append(bits + 1)
            continue
        apart = distances(asked.words, own)
        row.own.append(int(apart.min()))
        if row.own[-1] <= limit:
            by = asked.names[int(apart.min(axis=1).argmin())]
            found_by.setdefault(query.row, Counter())[by] += 1
        all_apart = np.minimum.reduceat(distances(asked.words, words), starts, axis=1)
        nearest = all_apart.min(axis=0)
        mine = drawn.pictures[query.picture]
        other = np.array([file != mine for file in hashed])
        others.update(nearest[other].tolist())
        row.nearest_other = min(row.nearest_other, int(nearest[other].min()))
        for entry in np.flatnonzero(other & (nearest <= limit)).tolist():
            by = asked.names[int(all_apart[:, entry].argmin())]
            column.near.append((int(nearest[entry]), by, query.file, Path(hashed[entry]).name))
    for row_name, result in column.rows.items():
        result.milliseconds = float(np.median(spent[row_name]))
        result.found_by = dict(found_by.get(row_name, Counter()).most_common(QUESTIONS))
    column.others = dict(sorted(others.items()))
    column.near = sorted(column.near)[:200]
    return column


# hashmatch --------------------------------------------------------------------------------------


def hashmatch(drawn: Drawn, pictures: int, algorithm: str, level: Level) -> Column:
    """Measure this library, the whole way from a file's bytes, at one level."""
    hasher = registry.hasher(algorithm)
    limit, bits = hasher.max_distance, hasher.spec.bits
    entries = {file: hash_all(drawn.path(file), [algorithm]) for file in _entries(drawn, pictures)}
    known = {file: one[0].hashes.words[:1] for file, one in entries.items()}

    def asked() -> Iterator[tuple[int, Asked]]:
        for number, query in enumerate(drawn.queries):
            if query.picture >= pictures:
                continue
            content = drawn.path(query.file).read_bytes()
            if not number:
                hash_all(content, [algorithm], variants=level)  # reads the compiled kernels
            begun = time.process_time()
            found = hash_all(content, [algorithm], variants=level)
            spent = 1e3 * (time.process_time() - begun)
            found = [one for one in found if one.outcome is Outcome.HASHED]
            names = tuple(name for one in found for name in one.variants)
            none = HashBatch.from_bytes(hasher.spec, b"")
            words = HashBatch.concatenate([one.hashes for one in found] or [none]).words
            yield number, Asked(words, names, spent)

    name = f"hashmatch {algorithm} {level}"
    return score(name, bits, limit, drawn, pictures, known, asked())


def _entries(drawn: Drawn, pictures: int) -> list[str]:
    """Return every file that stands on the list."""
    own = [query.own for query in drawn.of_pictures(pictures)]
    return list(dict.fromkeys((*drawn.photographs, *own)))


# Peers ------------------------------------------------------------------------------------------

TIMED = """
import time
def timed(hash_file):
    def hashes(path):
        begun = time.process_time()
        try:
            found = hash_file(path)
        except Exception as error:
            found = []
        return {"hashes": found, "milliseconds": 1e3 * (time.process_time() - begun)}
    return hashes
"""


class Peer(NamedTuple):
    """A way to hash files with another tool.

    ``tool`` has code that defines ``query(path)`` and ``entry(path)``, lists of hexadecimal.
    """

    tool: Tool
    bits: int
    limit: int


def _peer(package: str, version: str, bits: int, limit: int, code: str, *beside: str) -> Peer:
    call = """
query, entry = timed(query), timed(entry)
def hashes(path):
    asked, _, file = path.partition(" ")
    return {"hashes": (query if asked == "query" else entry)(file)}
"""
    return Peer(python(package, version, TIMED + code + call, *beside), bits, limit)


PEERS = {
    "pdqhash": _peer("pdqhash", "0.2.8", 256, 31, """
import numpy as np, pdqhash
from PIL import Image
def entry(path):
    bits, _ = pdqhash.compute(np.asarray(Image.open(path).convert("RGB")))
    return [np.packbits(bits).tobytes().hex()]
query = entry
""", *PILLOW),
    "pdqhash dihedral": _peer("pdqhash", "0.2.8", 256, 31, """
import numpy as np, pdqhash
from PIL import Image
def entry(path):
    bits, _ = pdqhash.compute(np.asarray(Image.open(path).convert("RGB")))
    return [np.packbits(bits).tobytes().hex()]
def query(path):
    found, _ = pdqhash.compute_dihedral(np.asarray(Image.open(path).convert("RGB")))
    return [np.packbits(bits).tobytes().hex() for bits in found]
""", *PILLOW),
    "threatexchange": _peer("threatexchange", "1.2.17", 256, 31, """
from pathlib import Path
from threatexchange.content_type.photo import PhotoContent
from threatexchange.signal_type.pdq.signal import PdqSignal
def entry(path):
    return [PdqSignal.hash_from_bytes(Path(path).read_bytes())]
def query(path):
    inside = PhotoContent.unletterbox(Path(path), black_threshold=16)
    turned = PhotoContent.all_simple_rotations(Path(path).read_bytes()).values()
    return [PdqSignal.hash_from_bytes(one) for one in (*turned, inside)]
""", "pdqhash==0.2.8", *PILLOW),
    "imagehash phash": _peer("imagehash", "4.3.2", 64, 8, """
import imagehash
from PIL import Image
def entry(path):
    return [str(imagehash.phash(Image.open(path)))]
query = entry
""", *PILLOW),
    "imagehash crop_resistant": _peer("imagehash", "4.3.2", 64, 16, """
import imagehash
from PIL import Image
def entry(path):
    found = imagehash.crop_resistant_hash(Image.open(path).convert("RGB"))
    return [str(one) for one in found.segment_hashes]
query = entry
""", *PILLOW),
    "perception PHash": _peer("perception", "0.9.3", 64, 12, """
from perception import hashers
made = hashers.PHash()
def entry(path):
    return [made.compute(path, hash_format="hex")]
query = entry
""", "pdqhash==0.2.8", *PILLOW),
}  # fmt: skip


def hashed_by(peer: Peer, name: str, drawn: Drawn, pictures: int) -> Hashes:
    """Have a peer hash every file that it has not hashed yet."""
    version = f"{peer.tool.name} {peer.tool.version}"
    made = Hashes(name, peer.bits, peer.limit, made_by=version)
    kept = _file_of(drawn, name)
    if kept.exists() and (before := Hashes(**json.loads(kept.read_text()))).made_by == version:
        made = before
    wanted = [("query", query.file) for query in drawn.of_pictures(pictures)]
    wanted += [("entry", file) for file in _entries(drawn, pictures)]
    files = [
        (kind, file)
        for kind, file in wanted
        if file not in (made.entries if kind == "entry" else made.queries)
    ]
    for first in range(0, len(files), AT_ONCE):
        part = files[first : first + AT_ONCE]
        paths = [Path(f"{kind} {drawn.path(file).resolve()}") for kind, file in part]
        answers: list[Any] = hashes_of(peer.tool, drawn.folder, paths)["hashes"]
        for (kind, file), answer in zip(part, answers, strict=True):
            (made.entries if kind == "entry" else made.queries)[file] = answer["hashes"]
            if kind == "query":
                made.milliseconds[file] = answer["milliseconds"]
        kept.write_text(json.dumps(asdict(made)) + "\n")
        print(f"{name}: {min(first + AT_ONCE, len(files))} of {len(files)} files", file=sys.stderr)
    return made


def _file_of(drawn: Drawn, name: str) -> Path:
    return drawn.folder / "columns" / f"{name}.hashes.json"


def score_hashes(made: Hashes, drawn: Drawn, pictures: int) -> Column:
    """Measure what a peer, or anybody, says that the files' hashes are."""
    count = -(-made.bits // 64)

    def words(texts: Sequence[str]) -> Words:
        raw = b"".join(bytes.fromhex(text).ljust(8 * count, b"\0") for text in texts)
        return np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, count)

    def asked() -> Iterator[tuple[int, Asked]]:
        for number, query in enumerate(drawn.queries):
            if query.picture < pictures:
                found = words(made.queries.get(query.file, ()))
                names = tuple(f"hash {n}" for n in range(len(found)))
                yield number, Asked(found, names, made.milliseconds.get(query.file, 0.0))

    entries = {file: words(texts) for file, texts in made.entries.items()}
    return score(made.column, made.bits, made.limit, drawn, pictures, entries, asked())


# All of them ------------------------------------------------------------------------------------


def known_columns() -> list[str]:
    """Return the names that the command takes without a file of hashes."""
    own = [f"hashmatch pdq {level}" for level in LEVELS]
    return [*own, "hashmatch phash thorough", *PEERS]


def measure(name: str, drawn: Drawn, pictures: int) -> Column:
    """Measure one column by name."""
    if name.startswith("hashmatch "):
        _, algorithm, level = name.split()
        return hashmatch(drawn, pictures, algorithm, level)  # type: ignore[arg-type]
    if name in PEERS:
        return score_hashes(hashed_by(PEERS[name], name, drawn, pictures), drawn, pictures)
    made = Hashes(**json.loads(_file_of(drawn, name).read_text()))
    return score_hashes(made, drawn, pictures)


def read_columns(drawn: Drawn) -> list[Column]:
    """Return what was measured, ours first, in the order of the levels."""
    order = known_columns()
    found = []
    for path in (drawn.folder / "columns").glob("*.json"):
        if path.name.endswith(".hashes.json"):
            continue
        said = json.loads(path.read_text())
        said["rows"] = {name: RowResult(**row) for name, row in said["rows"].items()}
        said["others"] = {int(distance): count for distance, count in said["others"].items()}
        found.append(Column(**said))
    return sorted(found, key=lambda one: order.index(one.name) if one.name in order else len(order))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, metavar="INTO")
    parser.add_argument(
        "columns", nargs="*", metavar="COLUMN", help=f"by default all: {', '.join(known_columns())}"
    )
    parser.add_argument("--pictures", type=int, default=0, help="the first of each row; 0 for all")
    told = parser.parse_args()
    drawn = read(told.folder)
    (told.folder / "columns").mkdir(exist_ok=True)
    chosen = told.columns or known_columns()
    if "hashmatch" in chosen:
        chosen = [name for name in known_columns() if name.startswith("hashmatch ")] + chosen
        chosen.remove("hashmatch")
    for name in chosen:
        column = measure(name, drawn, told.pictures or len(drawn.pictures))
        path = told.folder / "columns" / f"{name}.json"
        path.write_text(json.dumps(asdict(column), indent=1) + "\n")
        found = np.concatenate([np.array(row.own) for row in column.rows.values()])
        print(
            f"{name}: {(found <= column.limit).mean():.3f} within {column.limit}, "
            f"{column.pairs:,} other pairs, nearest {min(column.others)}"
        )


if __name__ == "__main__":
    main()
