"""Frames that are left out change nothing of those that are asked for."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from hashmatch.decode import video, video_skipping
from hashmatch.decode.video_formats import AVI, MP4, TRANSPORT_STREAM, WEBM

COUNT = 100
X264 = [
    {},
    {"bf": "0"},
    {"bf": "2", "x264-params": "b-pyramid=none"},
    {"bf": "8", "x264-params": "b-pyramid=strict:b-adapt=0"},
    {"bf": "16", "x264-params": "b-pyramid=normal:b-adapt=2:ref=6"},
    {"g": "12", "x264-params": "open-gop=1:bframes=5"},
    {"g": "250", "x264-params": "keyint=infinite:intra-refresh=1:bframes=3"},
    {"x264-params": "interlaced=1:bframes=3"},
    {"profile": "baseline"},
    {"g": "30", "x264-params": "slices=4:bframes=3:nal-hrd=none"},
]


def clip(
    options: dict[str, str], *, suffix: str = "mp4", codec: str = "libx264", seed: int = 0
) -> bytes:
    """Return a clip of a square over noise, its frames at uneven times if `seed` is odd."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 200, (24, 32, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    file = io.BytesIO()
    with av.open(file, "w", format={"mkv": "matroska"}.get(suffix, suffix)) as out:
        stream: Any = out.add_stream(codec, rate=25, options={"threads": "1", **options})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        at = 0
        for index in range(COUNT):
            pixels = ground.copy()
            x, y = index * 3 % 100, index * 2 % 70
            pixels[y : y + 24, x : x + 24] = (index * 5 % 255, 255 - index, 128)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = at
            at += 1 + (seed % 2 and int(rng.integers(0, 3)))
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


def frames_of(data: bytes, every: float) -> tuple[list[tuple[int, bytes]], int]:
    """Return the number and luma of each frame, and how many there were."""
    decoder = video.VideoDecoder(lambda at, n: data[at : at + n], len(data), lambda _: None)
    found = [(frame.number, frame.planes[0].tobytes()) for frame in decoder.frames(every)]
    return found, decoder.frame_count


def both_ways(data: bytes, every: float, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Return what comes of a clip with frames left out, and with none."""
    some = frames_of(data, every)
    with monkeypatch.context() as patch:
        patch.setattr(video, "can_skip", lambda *_: False)
        return some, frames_of(data, every)


@pytest.mark.parametrize("options", X264, ids=str)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_nothing_asked_for_changes(
    options: dict[str, str], suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At several distances, of even and of uneven times."""
    for seed, every in enumerate((0.2, 1.0)):
        some, full = both_ways(clip(options, suffix=suffix, seed=seed), every, monkeypatch)
        assert some == full


def test_frames_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those to which none refers; without that there would be nothing to test here."""
    told: list[str] = []
    plain = video_skipping.FrameNumbers._may_skip

    def noted(self: video_skipping.FrameNumbers, packet: Any) -> bool:
        told.append("skip" if plain(self, packet) else "")
        return bool(told[-1])

    monkeypatch.setattr(video_skipping.FrameNumbers, "_may_skip", noted)
    found, count = frames_of(clip({"bf": "3", "x264-params": "b-adapt=0"}), 1.0)
    assert count == COUNT
    assert [number for number, _ in found] == list(range(0, COUNT, 25))
    assert told.count("skip") > COUNT / 2


def test_only_where_it_is_safe() -> None:
    """Each packet has to be one frame, with its time."""
    assert video_skipping.can_skip(MP4, "h264")
    assert not video_skipping.can_skip(TRANSPORT_STREAM, "h264")
    assert not video_skipping.can_skip(AVI, "h264")
    assert not video_skipping.can_skip(MP4, "hevc")
    assert not video_skipping.can_skip(WEBM, "vp9")


@pytest.mark.parametrize("seed", range(5))
def test_damage_is_not_made_worse(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes of some packets are other ones: what is found is about what was found without."""
    data = bytearray(clip({"bf": "3"}, suffix="mkv"))
    rng = np.random.default_rng(seed)
    for at in rng.integers(len(data) // 3, len(data), 5):
        data[int(at)] ^= 0xFF
    (some, some_count), (full, full_count) = both_ways(bytes(data), 0.2, monkeypatch)
    assert abs(some_count - full_count) <= 5
    assert abs(len(some) - len(full)) <= 1
    numbers = [number for number, _ in some]
    assert numbers == sorted(set(numbers))


def test_frames_that_come_in_any_order_are_numbered_alike() -> None:
    """By as much as H.264 allows: a frame may come 16 ahead of one that is shown before it."""
    numbers = video_skipping.FrameNumbers(5)
    group = [16, *range(15, -1, -1)]
    times = [17 * first + time for first in range(12) for time in group]
    packets = [
        SimpleNamespace(
            pts=3 * time, is_corrupt=False, is_discard=False, is_keyframe=index % 17 == 0
        )
        for index, time in enumerate(times)
    ]
    given = list(numbers.ahead(iter(packets)))
    assert [packet for packet, _ in given] == packets
    kept = [packet.pts // 3 for packet, may_skip in given if not may_skip]
    assert set(range(0, len(times), 5)) <= set(kept)
    assert len(kept) < len(times) / 2


def test_a_frame_that_never_comes_is_not_counted() -> None:
    """Only those that were left out are taken to be there; then nothing more is left out."""
    numbers = video_skipping.FrameNumbers(2)
    packets = [
        SimpleNamespace(pts=time, is_corrupt=False, is_discard=False, is_keyframe=False)
        for time in range(100)
    ]
    seen, skipped = [], []
    for packet, may_skip in numbers.ahead(iter(packets)):
        skipped.append(may_skip)
        if may_skip:
            continue
        numbers.await_frame(packet)
        if packet.pts != 60:
            seen.append(numbers.of(SimpleNamespace(pts=packet.pts, interlaced_frame=False)))
    assert seen[-1] == numbers.count - 1 == 98
    assert not any(skipped[62:])
    assert any(skipped[:60])
