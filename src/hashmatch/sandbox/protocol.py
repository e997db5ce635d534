"""What is said between a worker and its pool: fixed fields, each checked; nothing is unpickled.

A worker that a hostile file has taken over may say anything. So the parent reads numbers of known
width, looks them up in its own tables, and holds shapes against its own buffer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from hashmatch.decode import readings
from hashmatch.decode.formats import FORMATS
from hashmatch.records.enums import Outcome
from hashmatch.records.images import one_line

MAX_MESSAGE_BYTES = 4096
"""Enough for a reason, which has 1,000 characters at most."""

SERVER_READY, FORK_REQUEST, END_WORKER = b"U", b"F", b"E"
"""Between the pool and its fork server: it is up, start a worker, end the worker of a pid."""
REQUEST = struct.Struct("<cQq")
"""Which of these, the number of the question, which is in its answer too, and a pid."""
FORK_REPLY = struct.Struct("<Qq")
END_REPLY = struct.Struct("<Qqqd")
"""How a worker ended: its exit status, its peak memory in KiB, its processor seconds."""

MAX_FRAMES = 2**32 - 1
"""Frames that a job has the bits to ask for."""
NEXT_FRAME, NEXT_PART, GO_ON = b"M", b"P", b"R"
"""To a worker: the next frame, the next part of the item, or that there is room for its picture.
Anything else is the next job."""
FREE_BYTES = 4 * 2**20
"""Shared memory that a worker may use without asking: pictures of 1.4 megapixels."""
PART_BYTES = 8 * 2**20
"""An item is handed over in parts, so that shared memory holds so much of it at most."""
_JOB = struct.Struct("<cQII??")
_REPLY = struct.Struct("<BBBBBIII")

OUTCOMES = (
    Outcome.UNDECODABLE,
    Outcome.UNSUPPORTED,
    Outcome.REFUSED,
    Outcome.TOO_SMALL,
    Outcome.FAILED,
)
MEDIA_TYPES = (None, *FORMATS.values())
READINGS = ("", *readings.NAMES)


class ReplyKind(IntEnum):
    """What a worker may say."""

    READY = 0
    """It is confined; ``frame`` has the layers."""
    PICTURE = 1
    """Pixels are in the shared buffer, until it is asked for more."""
    END = 2
    """There are no more pictures."""
    ERROR = 3
    """There is no picture, and an outcome and a reason instead."""
    OUT_OF_MEMORY = 4
    """Memory ran out elsewhere than where that is expected."""
    NEXT_PART = 5
    """What there is of the item is read: the next part, please."""
    ROOM = 6
    """A large picture is decoded, and waits for room in the shared buffer."""


class MalformedReply(Exception):
    """What a worker said is no reply."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is asked for: the item has `size` bytes; the shared input has the first part.

    `most` is how many frames to give; 0 for the picture itself, as `decode_image` gives it. With
    `readings`, behind the first of them comes what others read in it. `skip` is how many of the
    first pictures an earlier try has given. With `exif`, the tags of the file are asked for
    instead, whose text comes in the place of pixels.
    """

    size: int
    most: int = 0
    skip: int = 0
    readings: bool = False
    exif: bool = False

    def packed(self) -> bytes:
        """Return the message."""
        return _JOB.pack(b"J", self.size, self.most, self.skip, self.readings, self.exif)

    @classmethod
    def unpacked(cls, message: bytes) -> Job:
        """Return what `message` asks for."""
        return cls(*_JOB.unpack(message)[1:])


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker says, in its fields' ranges."""

    kind: ReplyKind
    outcome: Outcome = Outcome.UNDECODABLE
    media_type: str | None = None
    damaged: bool = False
    height: int = 0
    width: int = 0
    frame: int = 0
    reading: str = ""
    reason: str = ""

    def packed(self) -> bytes:
        """Return the message."""
        numbers = _REPLY.pack(
            self.kind,
            OUTCOMES.index(self.outcome),
            MEDIA_TYPES.index(self.media_type),
            READINGS.index(self.reading),
            self.damaged,
            self.height,
            self.width,
            self.frame,
        )
        return numbers + one_line(self.reason).encode()

    @classmethod
    def unpacked(cls, message: bytes) -> Reply:
        """Return what `message` says. Raises MalformedReply if a field is out of its range."""
        try:
            kind, outcome, media_type, reading, damaged, height, width, frame = _REPLY.unpack_from(
                message
            )
            return cls(
                ReplyKind(kind),
                OUTCOMES[outcome],
                MEDIA_TYPES[media_type],
                bool(damaged),
                height,
                width,
                frame,
                READINGS[reading],
                one_line(message[_REPLY.size :].decode(errors="replace")),
            )
        except (struct.error, ValueError, IndexError):
            raise MalformedReply from None
