"""vPDQ signals: all hashed frames of one video as one text, in the forms that its tools write.

::

    ["f8f8...f8,100,0.0", "f8f8...f8,98,1.23e+03"]                   hash,quality,timestamp
    {"0": {"quality": 100, "hash": "f8f8...f8", "timestamp": 0.0}}   by frame, older
    [{"frame": 0, "time": 0.0, "quality": 100, "hash": "f8f8...f8"}] as `hashmatch hash` writes it

The first says no numbers of frames: they are counted. Timestamps, seconds in the video, may be in
scientific notation: python-threatexchange writes three significant digits, and so those from 1000
on.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from hashmatch.errors import UsageError
from hashmatch.lists.readers._json_stream import parsed
from hashmatch.records.hashes import HashBatch
from hashmatch.records.videos import FRAME_SPEC, VideoFrames

if TYPE_CHECKING:
    from collections.abc import Iterable

Form: TypeAlias = Literal["list", "by-frame", "text"]

FORMS: tuple[Form, ...] = get_args(Form)
NUMBER = re.compile(r"\d{1,12}", re.ASCII)
QUALITY = re.compile(r"\d{1,3}(?:\.0+)?", re.ASCII)
SECONDS = re.compile(r"\d{1,9}(?:\.\d*)?(?:e[+-]?\d{1,2})?", re.ASCII | re.IGNORECASE)
MOST_FRAMES = 1 << 20
"""Of one video: nine hours of every frame. More are no video's, or those of many."""


class Frame(NamedTuple):
    """One frame as it was written, checked; its number is None where there is none."""

    number: int | None
    quality: int
    value: bytes
    time: float

    def __repr__(self) -> str:  # tracebacks may show it
        return "<Frame>"


def frame_of(value: Any, number: str | int | None = None) -> Frame:
    """Return a frame that is written as JSON, or as the cells of a line.

    Parameters
    ----------
    value : str or dict
        ``hash,quality,timestamp``, or an object that has them.
    number : str or int, optional
        Of the frame, if it stands beside it.

    Raises
    ------
    UsageError
        If it is no frame: why, without a value.
    """
    if isinstance(value, str):
        cells = [cell.strip() for cell in value.split(",")]
        if len(cells) != 3:
            raise UsageError(f"{len(cells)} fields, a frame has 3")
        value = dict(zip(("hash", "quality", "timestamp"), cells, strict=True))
    if not isinstance(value, dict):
        raise UsageError("a frame is neither text nor an object")
    said = {str(key).lower(): each for key, each in value.items()}
    number = said.get("frame", said.get("frame_number")) if number is None else number
    if not isinstance(said.get("hash"), str):
        raise UsageError("a frame has no hash")
    return Frame(
        None if number is None else _number(number),
        _quality(said.get("quality")),
        FRAME_SPEC.parse(said["hash"]),
        _seconds(said.get("timestamp", said.get("time"))),
    )


def _number(given: Any) -> int:
    if isinstance(given, bool) or not NUMBER.fullmatch(str(given)):
        raise UsageError("frame is not a number")
    return int(given)


def _quality(given: Any) -> int:
    if isinstance(given, bool) or not QUALITY.fullmatch(str(given)):
        raise UsageError("quality is not a number")
    if not 0 <= float(given) <= 100:
        raise UsageError("quality is not 0 to 100")
    return int(float(given))


def _seconds(given: Any) -> float:
    if given is None:
        return math.nan
    if isinstance(given, bool) or not SECONDS.fullmatch(str(given)):
        raise UsageError("timestamp is not a number of seconds")
    return float(given)


def video_of(frames: Iterable[Frame]) -> VideoFrames:
    """Return a video of its frames, in order of their numbers; those without are counted.

    Raises
    ------
    UsageError
        If there is none, there are too many, or two of one number.
    """
    found = list(frames)
    if not found:
        raise UsageError("a video has no frame")
    if len(found) > MOST_FRAMES:
        raise UsageError(f"{len(found):,} frames, of {MOST_FRAMES:,} at most in one video")
    numbers = [place if each.number is None else each.number for place, each in enumerate(found)]
    order = np.argsort(np.array(numbers, np.int64), kind="stable")
    ascending = np.array(numbers, np.int64)[order]
    twice = ascending[1:][ascending[1:] == ascending[:-1]]
    if len(twice):
        raise UsageError(f"frame {twice[0]} is there twice")
    times = np.array([each.time for each in found])[order]
    return VideoFrames(
        ascending,
        np.where(np.isnan(times), ascending, times),
        np.array([each.quality for each in found], np.uint8)[order],
        HashBatch.from_bytes(FRAME_SPEC, b"".join(found[each].value for each in order.tolist())),
    )


def parse_signal(text: str) -> VideoFrames:
    """Return the video that a signal is; see this module for its forms.

    Parameters
    ----------
    text : str
        JSON.

    Raises
    ------
    UsageError
        If it is none, naming the first frame that is wrong, from 1, and why; never a value.

    Examples
    --------
    >>> frames = parse_signal('["' + "0f" * 32 + ',100,0.0", "' + "f0" * 32 + ',98,1.23e+03"]')
    >>> frames.times.tolist(), frames.quality.tolist()
    ([0.0, 1230.0], [100, 98])
    """
    value, reason = parsed(text)
    if reason is not None:
        raise UsageError("the signal is not JSON, as a vPDQ signal is")
    return video_of(frames_of(value))


def frames_of(value: Any) -> list[Frame]:
    """Return the frames of a signal that is parsed already; see `parse_signal`."""
    if isinstance(value, dict) and isinstance(value.get("frames"), list):
        value = value["frames"]
    if isinstance(value, dict):
        numbered: list[tuple[str | None, Any]] = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, list):
        numbered = [(None, each) for each in value]
    else:
        raise UsageError("the signal is no array of frames, as a vPDQ signal is")
    frames = []
    for place, (number, each) in enumerate(numbered, 1):
        try:
            frames.append(frame_of(each, number))
        except UsageError as error:
            raise UsageError(f"frame {place}: {error}") from None
    return frames


def write_signal(video: VideoFrames, form: Form = "list") -> str:
    """Return a video as text, with the hashes of its frames: for your own, or as `write_list` asks.

    Parameters
    ----------
    video : VideoFrames
        At least one frame.
    form : {"list", "by-frame", "text"}
        JSON as python-threatexchange writes it, JSON by frame, which keeps the numbers of frames,
        or lines of ``frame,quality,hash,timestamp``, as the tools of vPDQ write them.

    Examples
    --------
    >>> frames = parse_signal('["' + "0f" * 32 + ',100,1.5"]')
    >>> write_signal(frames, "text")[:6], write_signal(frames)[-10:]
    ('0,100,', ',100,1.5"]')
    """
    rows = zip(
        video.frames.tolist(),
        video.quality.tolist(),
        video.hashes.to_hex(),
        video.times.tolist(),
        strict=True,
    )
    if form == "text":
        return "\n".join(f"{n},{quality},{text},{time:.3f}" for n, quality, text, time in rows)
    if form == "by-frame":
        by_frame = {
            str(n): {"quality": quality, "hash": text, "timestamp": time}
            for n, quality, text, time in rows
        }
        return json.dumps(by_frame)
    return json.dumps([f"{text},{quality},{_plain(time)}" for _, quality, text, time in rows])


def _plain(time: float) -> str:
    """Return seconds to the millisecond, never in scientific notation."""
    return f"{time:.3f}".rstrip("0") + "0" * (time == int(time) or f"{time:.3f}".endswith(".000"))
