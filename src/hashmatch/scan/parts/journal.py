"""The checkpoint of a part that is under way: its results so far, a line each, in their order.

In a folder that is a file. Who takes a part up copies what is whole of the journal there is into
one of their own, which takes its place: the writer of the other one, dead or not, harms nothing.
In a bucket, where nothing can be added to, it is objects with some results each, ``START.WRITER``.
Who takes the part up reads those that follow on each other; of a result that is in several, any
will do. What has been lost of a journal is done again.
"""

from __future__ import annotations

import errno
import gzip
import os
import secrets
import time
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from hashmatch._files.atomic import NewFile, put
from hashmatch.errors import CheckpointError
from hashmatch.records.typed import from_json
from hashmatch.scan.parts.manifest import Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashmatch.scan.parts.manifest import Manifest
    from hashmatch.scan.parts.place import Place

PUT_SECONDS = 10.0
"""Between two objects of a journal in a bucket: what a kill costs, and a third of a part."""


def open_journal(manifest: Manifest, number: int) -> Journal:
    """Return the journal of a part, with what was done of it before."""
    place = manifest.place
    if place.folder is None:
        return BucketJournal(place, f"{manifest.journals}/{number:08}", manifest.token)
    return FileJournal(os.path.join(place.folder, manifest.journals, str(number)), manifest.token)


class _Entry(msgspec.Struct, array_like=True, frozen=True):
    """What became of an item: its outcome, the rule that suppressed it, and its line, if any."""

    number: int
    outcome: str
    suppressed_by: str
    line: Line | None


class Journal:
    """The results of a part so far, in memory alone.

    ``attempts`` is how often the part was begun, with this time; `entries` what was done of it.
    """

    def __init__(self) -> None:
        self.attempts, self.entries = 1, list[tuple[str, str, Line | None]]()

    def add(self, outcome: str, suppressed_by: str, line: Line | None) -> None:
        """Add what became of the next item; `flush` writes it."""
        self.entries.append((outcome, suppressed_by, line))

    def flush(self) -> None:
        """Write what was added, if it is time: it survives the end of this process."""

    def close(self, *, remove: bool = False) -> None:
        """Close it; the part is done if it is to be removed."""

    def _take(self, lines: Sequence[bytes], token: str, start: int = 0) -> None:
        """Add the results, from `start` on, of lines behind a header, if that is of this scan."""
        with suppress(msgspec.MsgspecError, IndexError):
            known, attempts = from_json(lines[0], tuple[str, int])
            if known != token:
                return
            self.attempts = max(self.attempts, attempts + 1)
            for number, line in enumerate(lines[1:], start):
                entry = from_json(line, _Entry)
                if entry.number != number:
                    break
                if number == len(self.entries):
                    self.entries.append((entry.outcome, entry.suppressed_by, entry.line))

    def _encoded(self, start: int) -> bytes:
        """Return the results from `start` on, a line each."""
        entries = enumerate(self.entries[start:], start)
        return b"".join(msgspec.json.encode(_Entry(at, *entry)) + b"\n" for at, entry in entries)


class FileJournal(Journal):
    """A journal in a file; CheckpointError if it cannot be written."""

    def __init__(self, path: str, token: str) -> None:
        super().__init__()
        self._path = path
        self._file: int | None = None
        before = list(_lines(path))
        self._take(before, token)
        self._written = len(self.entries)
        header = msgspec.json.encode((token, self.attempts)) + b"\n"
        self._replace(path, header + self._encoded(0))

    def _replace(self, path: str, data: bytes) -> None:
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            new = NewFile(path, ours=True)  # that of a worker that is lost, and may live
            try:
                put(new.file, data)
                new.commit(keep_open=True)
            except BaseException:
                new.discard()
                raise
        except OSError as error:
            if error.errno == errno.EBUSY:  # another takes up the part at this moment
                return
            raise self._cannot(error) from None
        self._file = new.file

    def flush(self) -> None:
        """Hand what was added to the system."""
        if self._file is not None and self._written < len(self.entries):
            try:
                put(self._file, self._encoded(self._written))
            except OSError as error:
                raise self._cannot(error) from None
            self._written = len(self.entries)

    def close(self, *, remove: bool = False) -> None:
        """Close it; the part is done if it is to be removed."""
        if self._file is None:
            return
        os.close(self._file)
        self._file = None
        if remove:
            with suppress(OSError):
                os.unlink(self._path)

    def _cannot(self, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"cannot keep the state of a scan in {self._path}: {error.strerror}. Free disk space, "
            "and run the same scan again"
        )


class BucketJournal(Journal):
    """A journal in objects of a bucket; CheckpointError if they cannot be read or written."""

    def __init__(self, place: Place, folder: str, token: str) -> None:
        super().__init__()
        self._place, self._folder, self._token = place, folder, token
        self._writer = secrets.token_hex(4)
        for name in place.names(folder):
            start = int(name.partition(".")[0])
            if start > len(self.entries):
                break  # what was between is lost
            data = place.read(f"{folder}/{name}")
            with suppress(OSError, EOFError, zlib.error):  # damaged
                self._take(gzip.decompress(data or b"").splitlines(), token, start)
        self._written, self._put = len(self.entries), time.monotonic()

    def flush(self) -> None:
        """Put what was added into an object, if the last one was some time ago."""
        if time.monotonic() - self._put < PUT_SECONDS or self._written == len(self.entries):
            return
        header = msgspec.json.encode((self._token, self.attempts)) + b"\n"
        data = gzip.compress(header + self._encoded(self._written), 6, mtime=0)
        self._place.create(f"{self._folder}/{self._written:08}.{self._writer}", data)
        self._written, self._put = len(self.entries), time.monotonic()

    def close(self, *, remove: bool = False) -> None:
        """Remove all objects if the part is done, also those of others."""
        if remove:
            for name in self._place.names(self._folder):
                self._place.remove(f"{self._folder}/{name}")


def _lines(path: str) -> Iterator[bytes]:
    """Yield the lines of a file that are whole."""
    try:
        with open(path, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line[:-1]
    except FileNotFoundError:
        return
