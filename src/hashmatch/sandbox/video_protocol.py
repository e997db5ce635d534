"""What is said between a worker that decodes a video and its pool, as `protocol` for pictures.

The worker decodes one video, and ends with it. A worker that a hostile file has taken over may say
anything: so each field is looked up or held against a limit here, or by the slot.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from enum import IntEnum

from hashmatch.decode.video_formats import CONTAINERS, Container, Layout
from hashmatch.records.enums import Outcome
from hashmatch.records.images import one_line
from hashmatch.sandbox.protocol import OUTCOMES, MalformedReply

_JOB = struct.Struct("<cQd?Q")
_REPLY = struct.Struct("<BBBB??IIqdd")

NEXT_FRAME = b"M"
"""To a worker: the frame in shared memory is done with."""


class VideoReplyKind(IntEnum):
    """What a worker may say of a video."""

    STREAM = 16
    """What the file says of its video."""
    FRAME = 17
    """Planes are in the shared buffer, one behind the other, until the next is asked for."""
    SAME = 18
    """The next frame is, byte for byte, that which is there."""
    END = 19
    """There are no more frames; ``number`` is how many there were."""
    ERROR = 20
    """There is no frame, and an outcome and a reason instead."""
    OUT_OF_MEMORY = 21
    """Memory ran out."""


@dataclass(frozen=True, slots=True)
class VideoJob:
    """What a worker is asked for: a file of `size` bytes.

    `every` is how many seconds lie between two frames, 0 for every frame, None for key frames.
    `skip` is how many of the first frames an earlier try has given.
    """

    size: int
    every: float | None
    skip: int = 0

    def packed(self) -> bytes:
        """Return the message."""
        return _JOB.pack(b"V", self.size, self.every or 0.0, self.every is None, self.skip)

    @classmethod
    def unpacked(cls, message: bytes) -> VideoJob:
        """Return what `message` asks for."""
        _, size, every, keys_only, skip = _JOB.unpack(message)
        return cls(size, None if keys_only else every, skip)


@dataclass(frozen=True, slots=True)
class VideoReply:
    """What a worker says of a video, in its fields' ranges."""

    kind: VideoReplyKind
    outcome: Outcome = Outcome.UNDECODABLE
    container: Container = CONTAINERS[0]
    layout: Layout = Layout.RGB
    is_full: bool = False
    damaged: bool = False
    height: int = 0
    width: int = 0
    number: int = 0
    rate: float = 0.0
    duration: float = 0.0
    reason: str = ""

    def packed(self) -> bytes:
        """Return the message."""
        numbers = _REPLY.pack(
            self.kind,
            OUTCOMES.index(self.outcome),
            CONTAINERS.index(self.container),
            self.layout,
            self.is_full,
            self.damaged,
            self.height,
            self.width,
            self.number,
            self.rate,
            self.duration,
        )
        return numbers + one_line(self.reason).encode()

    @classmethod
    def unpacked(cls, message: bytes) -> VideoReply:
        """Return what `message` says. Raises MalformedReply if a field is out of its range."""
        try:
            kind, outcome, container, layout, *fields = _REPLY.unpack_from(message)
            full, damaged, height, width, number, rate, duration = fields
            if number < 0 or not (math.isfinite(rate) and math.isfinite(duration)):
                raise MalformedReply
            return cls(
                VideoReplyKind(kind),
                OUTCOMES[outcome],
                CONTAINERS[container],
                Layout(layout),
                bool(full),
                bool(damaged),
                height,
                width,
                number,
                rate,
                duration,
                one_line(message[_REPLY.size :].decode(errors="replace")),
            )
        except (struct.error, ValueError, IndexError):
            raise MalformedReply from None
