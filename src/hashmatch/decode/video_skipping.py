"""Frames of H.264 that no other refers to, and nobody asks for: they need not be decoded.

At one frame a second most of the work is decoding what is not looked at. A frame that is asked for
needs those that it refers to, and those in turn; H.264 marks each frame to which none refers
(``nal_ref_idc`` is 0, ITU-T H.264, 7.4.1), and FFmpeg can leave these out. A frame
is known by its number, and so each that was left out has to be counted: by the times at which the
packets say that they are shown.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Any

from hashmatch.decode.video_formats import MATROSKA, MOBILE, MP4, QUICKTIME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.decode.video_formats import Container

CODECS = frozenset({"h264"})
"""In H.265, a frame that its own layer does not refer to may be referred to by the next."""
AHEAD = 17
"""Packets to look ahead: none of H.264 is shown before more than 16 that come ahead of it."""
BEGINNING = 16
"""Packets that are always decoded: from them FFmpeg learns in which order frames are shown."""
REMEMBERED = 256
"""Times that are kept to number frames by."""


def can_skip(container: Container, codec: str) -> bool:
    """Return whether each packet of such a file is one frame, with its time."""
    return container in {MATROSKA, MOBILE, MP4, QUICKTIME} and codec in CODECS


class FrameNumbers:
    """Numbers frames by the times of their packets, some of which were not decoded.

    Parameters
    ----------
    step : int
        Frames are asked for whose number is a multiple of it.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._times: list[int] = []
        self._before = 0
        """Packets whose times are no longer in `_times`, all earlier than those."""
        self._awaited: list[int] = []
        """A heap of the times of packets that have to become frames and have not yet."""
        self._missing = 0
        self._seen = 0
        self._last = -1
        self._is_regular = True

    def ahead(self, packets: Iterator[Any]) -> Iterator[tuple[Any, bool]]:
        """Yield each packet, and whether its frame may be left out."""
        waiting: deque[Any] = deque()
        for packet in chain(packets, [None] * AHEAD):
            if packet is not None:
                self._add(packet)
            waiting.append(packet)
            if len(waiting) > AHEAD:
                first = waiting.popleft()
                if first is not None:
                    yield first, self._may_skip(first)

    def _add(self, packet: Any) -> None:
        pts, times = packet.pts, self._times
        self._seen += 1
        if pts is None or packet.is_corrupt or packet.is_discard:
            self._is_regular = False
        if pts is None:
            return
        at = bisect_left(times, pts)
        if (at < len(times) and times[at] == pts) or (at == 0 and self._before):
            self._is_regular = False
            return
        insort(times, pts)
        if len(times) > REMEMBERED:
            del times[0]
            self._before += 1

    def _may_skip(self, packet: Any) -> bool:
        if not self._is_regular or packet.is_keyframe or self._seen <= BEGINNING + AHEAD:
            return False
        return self._rank(packet.pts) % self._step != 0

    def _rank(self, pts: int) -> int:
        return self._before + bisect_left(self._times, pts) - self._missing

    def await_frame(self, packet: Any) -> None:
        """Note that a frame has to come of a packet."""
        if packet.pts is not None:
            heapq.heappush(self._awaited, packet.pts)

    def of(self, frame: Any) -> int:
        """Return the number of a decoded frame."""
        pts, awaited = frame.pts, self._awaited
        if frame.interlaced_frame:  # two packets may be one frame
            self._is_regular = False
        if pts is None:
            self._is_regular = False
            number = self._last + 1
        else:
            while awaited and awaited[0] < pts:
                heapq.heappop(awaited)
                self._missing += 1
                self._is_regular = False
            if awaited and awaited[0] == pts:
                heapq.heappop(awaited)
            number = max(self._last + 1, self._rank(pts))
        self._last = number
        return number

    @property
    def count(self) -> int:
        """How many frames there were, once there are no more."""
        return max(self._last + 1, self._seen - self._missing - len(self._awaited))
