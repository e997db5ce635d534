"""vPDQ: the PDQ hashes of a video's frames, in the ways its tools write them.

::

    0,100,f8f8...f8,0.000                                           frame,quality,hash,timestamp
    ["f8f8...f8,100,0.000", "f8f8...f8,98,1.23e+03"]                 hash,quality,timestamp
    {"0": {"quality": 100, "hash": "f8f8...f8", "timestamp": 0.0}}   by frame

One entry is one video. A file may hold several: of lines, the next begins where numbers of frames
start over, or after a header; a line ``# id: NAME`` before it names it. In JSON they are several
arrays, one a line or in an array, ``[[...], [...]]``, or in an object by their ids,
``{"clip-1": [...], "clip-2": [...]}``. A frame that cannot be used costs itself alone.

`VpdqFrames` reads the same files as lists of pictures: each frame is then an entry of its own, with
the quality of its hash, and matches pictures as any PDQ hash does. It is used when it is asked for
by name.
"""

from __future__ import annotations

import re
from heapq import merge
from operator import attrgetter
from typing import TYPE_CHECKING, Any, BinaryIO

from hashmatch.errors import RejectedRow, UsageError
from hashmatch.interfaces import ListOptions, ListRow
from hashmatch.lists.readers._json_stream import Bracket, JsonRecords, Record, parsed
from hashmatch.lists.readers._lines import first_lines, numbered_lines
from hashmatch.lists.vpdq_signal import Frame, frame_of, frames_of, video_of, write_signal

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER = re.compile(r"frame\s*,\s*quality\s*,\s*hash\s*,\s*timestamp", re.IGNORECASE)
NAME = re.compile(r"#\s*id\s*:\s*(.*\S)\s*", re.IGNORECASE)
FRAME = re.compile(
    r"\s*\d+\s*,\s*\d{1,3}(?:\.0+)?\s*,\s*[0-9a-f]{16,}\s*,\s*\d{1,7}(\.\d*)?(e[+-]?\d+)?\s*", re.I
)
OUTER = rb'(?:\[\s*"?|\{\s*"[^"\\]{1,1000}"\s*:\s*)?'
"""What several videos stand in, as JSON or, in an array, as text in it."""
QUOTED = re.compile(
    OUTER + rb'\[\s*\\?"[0-9a-f]{16,}\s*,\s*\d{1,3}(?:\.0+)?\s*,\s*[\d.]', re.IGNORECASE
)
BY_FRAME = re.compile(
    OUTER + rb'\{\s*\\?"\d+\\?"\s*:\s*\{\s*\\?"(quality|hash|timestamp|frame)\\?"\s*:'
)


class _Video:
    """The frames of one video, the line that each is on, what is broken among them, and its id."""

    def __init__(self, external_id: str | None = None) -> None:
        self.frames: list[Frame] = []
        self.lines: list[int] = []
        self.rejected: list[RejectedRow] = []
        self.external_id = external_id

    def add(self, line: int, *frames: Frame) -> None:
        """Add frames of a line."""
        self.frames += frames
        self.lines += [line] * len(frames)


class _Frames:
    """What both readers have in common: they find videos, and make rows of each."""

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row. Raises UsageError if `options` name columns: there are none."""
        if options.columns:
            raise UsageError("cannot use columns: vPDQ has none. Leave out --column")
        head = stream.peek(512)[:512] if hasattr(stream, "peek") else b""
        if not head and stream.seekable():
            head = stream.read(512)
            stream.seek(0)
        is_json = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"[", b"{"}
        for video in _of_json(stream) if is_json else _of_lines(stream):
            if isinstance(video, RejectedRow):
                yield video
            elif video.frames:
                rows = self._made(video)
                yield from merge(rows, video.rejected, key=attrgetter("line"))

    def _made(self, video: _Video) -> Iterator[ListRow | RejectedRow]:
        """Yield the rows that a video of at least one frame is."""
        raise NotImplementedError


class Vpdq(_Frames):
    """Reads vPDQ: one entry is one video."""

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if QUOTED.match(text) or BY_FRAME.match(text):
            return 95
        lines = [line for line in first_lines(head) if not NAME.fullmatch(line.strip())]
        if lines and (HEADER.fullmatch(lines[0].strip()) or FRAME.fullmatch(lines[0])):
            return 95
        return 0

    def _made(self, video: _Video) -> Iterator[ListRow | RejectedRow]:
        try:
            signal = write_signal(video_of(video.frames), "by-frame")
        except UsageError as error:
            yield RejectedRow(video.lines[0], str(error))
        else:
            line, name = video.lines[0], video.external_id
            yield ListRow(line, signal, "vpdq", external_id=name, encoding="hex")


class VpdqFrames(_Frames):
    """Reads vPDQ as pictures: each frame is an entry of PDQ."""

    def detects(self, head: bytes) -> int:
        """Return 0: what it reads is of videos, unless somebody says otherwise."""
        return 0

    def _made(self, video: _Video) -> Iterator[ListRow | RejectedRow]:
        for line, frame in zip(video.lines, video.frames, strict=True):
            yield ListRow(line, frame.value.hex(), "pdq", quality=frame.quality, encoding="hex")


def _of_lines(stream: BinaryIO) -> Iterator[_Video | RejectedRow]:
    video, last = _Video(), -1
    for line in numbered_lines(stream):
        if isinstance(line, RejectedRow):
            yield from _in_order(line, video)
            continue
        number, text = line
        if text.lstrip().startswith("#") or HEADER.fullmatch(text.strip()):
            named = NAME.fullmatch(text.strip())
            if named or video.frames:
                yield video
                video, last = _Video(named[1] if named else None), -1
            continue
        cells = [cell.strip() for cell in text.split(",")]
        if len(cells) != 4:
            yield from _in_order(RejectedRow(number, f"{len(cells)} fields, a frame has 4"), video)
            continue
        try:
            frame = frame_of(",".join((cells[2], cells[1], cells[3])), cells[0])
        except UsageError as error:
            yield from _in_order(RejectedRow(number, str(error)), video)
            continue
        if frame.number is not None and frame.number <= last:
            yield video
            video = _Video()
        last = -1 if frame.number is None else frame.number
        video.add(number, frame)
    yield video


def _in_order(row: RejectedRow, video: _Video) -> Iterator[RejectedRow]:
    """Yield a broken row, unless a video has begun before it, which it is then given with."""
    if video.frames:
        video.rejected.append(row)
    else:
        yield row


def _of_json(stream: BinaryIO) -> Iterator[_Video | RejectedRow]:
    """Yield the videos of a stream of JSON: frames at the top of one document are one video."""
    video = _Video()
    for record in JsonRecords(stream, _holds, "hash"):
        if isinstance(record, RejectedRow):
            yield from _in_order(record, video)
        elif not isinstance(record, Record):  # the end of a document
            yield video
            video = _Video()
        else:
            try:
                if _is_video(record.value):
                    whole = _Video(record.key or None)
                    whole.add(record.line, *frames_of(_without_quotes(record.value)))
                    yield video  # of frames before it
                    yield whole
                    video = _Video()
                else:
                    video.add(record.line, frame_of(record.value, record.key))
            except UsageError as error:
                yield from _in_order(RejectedRow(record.line, str(error)), video)
    yield video


def _is_video(value: Any) -> bool:
    """Return whether an element of a document is all of a video, and no frame."""
    if isinstance(value, str):
        return value.lstrip()[:1] in {"[", "{"}
    if isinstance(value, dict):
        return "frames" in value or all(isinstance(each, dict) for each in value.values())
    return isinstance(value, list)


def _without_quotes(value: Any) -> Any:
    """Return JSON that is a text within JSON as what it says, if it says anything."""
    return parsed(value)[0] if isinstance(value, str) else value


def _holds(place: Bracket) -> bool:
    return place.depth == 0
