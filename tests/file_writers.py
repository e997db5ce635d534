"""Everything that writes a final file, as something to be tried, killed and refused.

    python file_writers.py FOLDER

kills each, in a process of its own, just before its file would be in its place; run by its test.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import hashmatch as hm
from hashmatch.cli.review_entry import list_ as disabled
from hashmatch.cli.review_webhook import secret
from hashmatch.cli.scan import scan
from hashmatch.errors import IndexFileError, ListError, ReviewError, SinkError, StoreError
from hashmatch.review.export import export_cases
from hashmatch.review.feedback import add_benign, write_report
from hashmatch.review.queue import ReviewQueue
from hashmatch.scan.events import Counters, Event
from hashmatch.scan.hash_archive import HashArchive
from hashmatch.scan.prometheus import MetricsFile
from hashmatch.sinks.csv_rows import CsvSink
from hashmatch.sinks.jsonl import JsonlSink
from hashmatch.store.encryption import ListKey
from hashmatch.store.rollback import advance
from hashmatch.store.signing import PrivateKey, save_public
from hashmatch.testing import example_record, random_hashes
from review_records import many

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

    from hashmatch.interfaces import Sink

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "fixtures/lists/demo-pdq.csv"
PICTURE = ROOT / "fixtures/images/plain/tiles.png"


NOTHING = Counters()


class Writer(NamedTuple):
    """Something that writes one file.

    ``keeps`` is whether it leaves what there is of it as ``NAME.part``, ``is_new`` whether it never
    takes the place of another.
    """

    name: str
    write: Callable[[str], object]
    error: type[hm.HashmatchError]
    keeps: bool = False
    is_new: bool = False


def sink(make: Callable[[Path], Sink]) -> Callable[[str], None]:
    def write(path: str) -> None:
        opened = make(Path(path))
        opened.write(example_record())
        opened.close()

    return write


def kept(path: str) -> None:
    """Keep the hashes of a picture: the file has the name of its scan."""
    item = hm.ImageItem("a", "v1", hm.Surface.PROFILE_PHOTO)
    result = hm.ItemOutcome(item.key, item.version, item.surface, hm.Outcome.NO_MATCH)
    writer = HashArchive(os.path.dirname(path), timedelta(days=1)).writer("none", None, "a")
    writer.add(item, hm.hash_all(PICTURE, ["md5"]), result)
    writer.flush(0)


def run(command: click.Command, *args: str) -> None:
    """Run a command, whose errors stay what they are."""
    command.main(args, standalone_mode=False)


def report(path: str) -> None:
    known = ["--list", str(DEMO), "--surface", "profile_photo"]
    run(scan, str(PICTURE), *known, "-q", "--in-process", "--out", os.devnull, "--report", path)


def queue_of(folder: Path) -> ReviewQueue:
    queue = ReviewQueue.open(str(folder / "queue.db"), create=True)
    queue.add(many(3))
    return queue


def writers(folder: Path, queue: ReviewQueue) -> list[Writer]:
    """Return all of them; what they read lies in a folder that is theirs."""
    hashes = random_hashes(hm.HashSpec("pdq", 256), 20, seed=1)
    index, known = hm.HashIndex.build(hashes, 31), hm.read_list(DEMO)
    return [
        Writer("r.jsonl", sink(JsonlSink), SinkError, keeps=True),
        Writer("r.csv", sink(CsvSink), SinkError, keeps=True),
        Writer("report.json", report, SinkError),
        Writer("a.prom", lambda path: MetricsFile(path)(Event("end", NOTHING)), SinkError),
        Writer("scan-a-000000000000.kept", kept, IndexFileError),
        Writer("saved.index", index.save, IndexFileError),
        Writer("built.index", lambda p: hm.HashIndex.build_file(p, hashes, 31), IndexFileError),
        Writer("marks.json", lambda path: advance(path, 7, []), StoreError),
        *(
            Writer(f"cases.{suffix}", lambda path: export_cases(queue, path), SinkError)
            for suffix in ("jsonl", "csv", *(["parquet"] if find_spec("pyarrow") else []))
        ),
        Writer("owner.jsonl", lambda path: write_report(path, "demo", []), SinkError),
        Writer("benign.jsonl", lambda path: add_benign(queue, path), SinkError),
        Writer(
            "disabled.jsonl",
            lambda path: run(disabled, str(folder / "queue.db"), "-q", "--out", path),
            SinkError,
        ),
        Writer(
            "list.jsonl",
            lambda path: hm.write_list(known, path, reveal_hashes=True),
            ListError,
            is_new=True,
        ),
        Writer("a.key", PrivateKey.generate().save, StoreError, is_new=True),
        Writer(
            "a.pub",
            lambda path: save_public(path, PrivateKey.generate().public),
            StoreError,
            is_new=True,
        ),
        Writer("list.key", ListKey.generate().save, StoreError, is_new=True),
        Writer("hook", lambda path: run(secret, "-q", path), ReviewError, is_new=True),
    ]


def place_of(writer: Writer, folder: Path) -> Path:
    """Return where it writes: a private folder, with its file from before if it may be replaced."""
    place = folder / f"of {writer.name}"
    place.mkdir(mode=0o700)
    if not writer.is_new:
        writer.write(str(place / writer.name))
    return place / writer.name


def stands(path: Path) -> bytes | None:
    """Return what is at a path."""
    return path.read_bytes() if path.exists() else None


def parts(path: Path) -> list[str]:
    """Return what is left of a file that did not become whole."""
    return [name for name in os.listdir(path.parent) if name.endswith(".part")]


def kill(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path) -> None:
    with queue_of(folder) as queue:
        for writer in writers(folder, queue):
            path = place_of(writer, folder)
            before = stands(path)
            child = os.fork()
            if not child:
                for name in ("replace", "link"):
                    setattr(os, name, kill)
                try:
                    writer.write(str(path))
                finally:
                    os._exit(1)
            assert os.waitpid(child, 0)[1] == signal.SIGKILL, f"{writer.name}: nothing was renamed"
            assert stands(path) == before, writer.name
            assert len(parts(path)) == 1, writer.name
            writer.write(str(path))
            assert stands(path) is not None, writer.name
            assert parts(path) == [], writer.name
            sys.stdout.write(f"{writer.name}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
