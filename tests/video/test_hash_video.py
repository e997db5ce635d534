"""Videos are hashed as vPDQ hashes them, and each ends in one outcome."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

import hashmatch as hm
from conftest import FIXTURES
from hashmatch.decode import limits
from hashmatch.decode.video import VideoDecoder
from hashmatch.sandbox.video_slot import VideoEnd, VideoFrame
from video_clips import Clip, make

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VIDEOS = FIXTURES / "videos"
REFERENCE: dict[str, list[list[Any]]] = json.loads((FIXTURES / "video_references.json").read_text())
CLIP = VIDEOS / "h264.mp4"


@pytest.fixture(scope="module")
def pool() -> Iterator[hm.DecodePool]:
    with hm.DecodePool(1) as pool:
        yield pool


def hashed(pool: hm.DecodePool, video: Any, **options: Any) -> hm.HashedVideo:
    return hm.hash_video(video, decode=pool, **options)


def columns(video: hm.HashedVideo) -> tuple[list[int], list[str]]:
    assert video.frames is not None
    return video.frames.frames.tolist(), video.frames.hashes.to_hex()


@pytest.mark.parametrize("name", REFERENCE)
def test_every_frame_is_as_vpdq_has_it(pool: hm.DecodePool, name: str) -> None:
    video = hashed(pool, VIDEOS / name, every=0)
    assert (video.outcome, video.reason, video.damaged) == (hm.Outcome.HASHED, "", False)
    rows = REFERENCE[name]
    numbers, texts = columns(video)
    assert video.frames is not None
    assert numbers == [row[0] for row in rows]
    assert np.allclose(video.frames.times, [row[3] for row in rows], atol=0.0006)
    bits = [
        (int(text, 16) ^ int(row[2], 16)).bit_count() for text, row in zip(texts, rows, strict=True)
    ]
    assert max(bits) <= 2
    # 8 bits are converted as there, bit for bit; of 10 bits the rounding differs by versions.
    assert sum(bits) == 0 or name in {"h264-10-bit.mp4", "vp9-odd.webm"}
    quality = np.array([row[1] for row in rows], int)
    assert np.abs(video.frames.quality.astype(int) - quality).max() <= 1


def test_frames_are_taken_at_the_distances_of_vpdq(pool: hm.DecodePool) -> None:
    numbers, texts = columns(hashed(pool, CLIP, every=0))
    for every, step in ((0.01, 1), (0.1, 2), (0.2, 5), (0.24, 6), (9.0, 225)):
        some, of_them = columns(hashed(pool, CLIP, every=every))
        assert some == numbers[::step]
        assert of_them == texts[::step]
    # 0.1 s of 29.97 frames are 2.997, of which vPDQ makes 2.
    assert columns(hashed(pool, VIDEOS / "h264-ntsc.mp4", every=0.1))[0] == numbers[::2]


def test_what_is_said_of_a_video(pool: hm.DecodePool) -> None:
    video = hashed(pool, CLIP, every=0)
    assert (video.width, video.height, video.rate) == (160, 96, 25.0)
    assert (video.frame_count, video.duration) == (13, 13 / 25)
    assert (video.media_type, video.decode_policy) == ("video/mp4", "video/1")
    assert (video.algorithm, video.every, video.item) == ("vpdq", 0.0, str(CLIP))


def test_a_path_bytes_and_a_file_object_are_one_video(pool: hm.DecodePool) -> None:
    data = CLIP.read_bytes()
    expected = columns(hashed(pool, CLIP))
    file = io.BytesIO(data)
    file.seek(100)
    for same in (str(CLIP), data, bytearray(data), memoryview(data), file):
        assert columns(hashed(pool, same)) == expected
    assert hashed(pool, data).item == "<bytes>"
    assert hashed(pool, data, item="clip").item == "clip"


def test_without_a_pool_one_is_started() -> None:
    assert hm.hash_video(CLIP).outcome is hm.Outcome.HASHED


def test_digests_are_of_the_file(pool: hm.DecodePool) -> None:
    names = ["video_md5", "video_sha1", "video_sha256", "md5"]
    for data in (CLIP.read_bytes(), b"no video"):
        digests = hashed(pool, data, digests=names).digests
        assert [one.spec.algorithm for one in digests] == names
        assert [one.to_hex()[0] for one in digests] == [
            hashlib.new(name.removeprefix("video_"), data).hexdigest() for name in names
        ]
    for name in names[:3]:
        assert (
            hm.hash_image(CLIP, name).hex
            == hashed(pool, CLIP, digests=[name]).digests[0].to_hex()[0]
        )


def test_key_frames_alone(pool: hm.DecodePool) -> None:
    numbers, texts = columns(hashed(pool, CLIP, every=0))
    video = hashed(pool, CLIP, algorithm="vpdq-keyframes")
    assert (video.algorithm, video.every, video.frame_count) == ("vpdq-keyframes", None, None)
    assert columns(video) == (numbers[::12], texts[::12])  # as the encoder was told


def test_frames_that_are_alike_are_hashed_once(tmp_path: Path, pool: hm.DecodePool) -> None:
    still = make(Clip("still.mkv", "libx264", frames=8, speed=0.0), tmp_path)
    # Lossless, and the same picture each time, so that each frame is the one before it.
    with av.open(str(tmp_path / "same.mkv"), "w") as file:
        stream: Any = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.options = {"qp": "0"}
        with av.open(str(still)) as source:
            frame = next(source.decode(video=0))
        for number in range(6):
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    made = [
        each.is_same
        for each in pool.decode_video(tmp_path / "same.mkv", 0.0)
        if isinstance(each, VideoFrame)
    ]
    assert made == [False] + [True] * 5
    texts = columns(hashed(pool, tmp_path / "same.mkv", every=0))[1]
    assert len(texts) == 6
    assert len(set(texts)) == 1


def test_flat_frames_are_of_low_quality(tmp_path: Path, pool: hm.DecodePool) -> None:
    with av.open(str(tmp_path / "flat.mp4"), "w") as file:
        stream: Any = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(3):
            flat = np.full((64, 64, 3), 90, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(flat, format="rgb24")))
        file.mux(stream.encode(None))
    video = hashed(pool, tmp_path / "flat.mp4", every=0)
    assert video.outcome is hm.Outcome.LOW_QUALITY
    assert "at least 50" in video.reason
    assert video.frames is not None
    assert len(video.frames) == 3


def test_a_damaged_tail_costs_the_tail(pool: hm.DecodePool) -> None:
    whole = columns(hashed(pool, VIDEOS / "av1.webm", every=0))
    data = (VIDEOS / "av1.webm").read_bytes()
    video = hashed(pool, data[: len(data) * 2 // 3], every=0)
    assert (video.outcome, video.damaged) == (hm.Outcome.HASHED, True)
    numbers, texts = columns(video)
    assert 0 < len(numbers) < 13
    assert texts == whole[1][: len(texts)]


def test_damage_inside_does_not_hide_what_is_behind_it(pool: hm.DecodePool) -> None:
    numbers, texts = columns(hashed(pool, CLIP, every=0))
    with av.open(str(CLIP)) as file:
        third = [packet for packet in file.demux(video=0) if packet.size][3]
        assert third.pos is not None
        first, last = third.pos + 4, third.pos + third.size
    data = bytearray(CLIP.read_bytes())
    data[first:last] = bytes(last - first)
    video = hashed(pool, bytes(data), every=0)
    assert (video.outcome, video.damaged, video.frame_count) == (hm.Outcome.HASHED, True, 13)
    some, of_them = columns(video)
    assert len(some) == 12
    assert (some[0], some[-1], of_them[0], of_them[-1]) == (0, 12, texts[0], texts[12])
    assert numbers[-1] == 12


@pytest.mark.parametrize(
    ("data", "outcome"),
    [
        (b"", hm.Outcome.UNDECODABLE),
        (b"text, and no video", hm.Outcome.UNSUPPORTED),
        (b"#EXTM3U\nhttp://localhost/clip.ts\n", hm.Outcome.UNSUPPORTED),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", hm.Outcome.UNSUPPORTED),
        (CLIP.read_bytes()[:2000], hm.Outcome.UNDECODABLE),
    ],
)
def test_what_is_no_video(pool: hm.DecodePool, data: bytes, outcome: hm.Outcome) -> None:
    video = hashed(pool, data)
    assert video.outcome is outcome
    assert video.reason
    assert video.frames is None


def test_sound_alone_is_no_video(tmp_path: Path, pool: hm.DecodePool) -> None:
    with av.open(str(tmp_path / "sound.mkv"), "w") as file:
        stream: Any = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), layout="mono")
        sound.sample_rate = 8000
        file.mux(stream.encode(sound))
        file.mux(stream.encode(None))
    video = hashed(pool, tmp_path / "sound.mkv")
    assert (video.outcome, video.reason) == (
        hm.Outcome.UNSUPPORTED,
        "video/x-matroska: no video stream",
    )


def test_files_that_cannot_be_read(tmp_path: Path, pool: hm.DecodePool) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, outcome in (
        (tmp_path / "missing.mp4", hm.Outcome.FAILED),
        (tmp_path, hm.Outcome.UNSUPPORTED),
        (tmp_path / "pipe", hm.Outcome.UNSUPPORTED),
    ):
        video = hashed(pool, path, digests=["video_md5"])
        assert (video.outcome, video.item) == (outcome, str(path))
        assert video.digests == ()


@pytest.mark.parametrize(
    ("limit", "value", "reason"),
    [
        ("VIDEO_PIXELS", 160 * 96 - 1, "frames of 160 x 96 pixels"),
        ("VIDEO_SIDE", 159, "frames of 160 x 96 pixels"),
        ("VIDEO_SECONDS", 0.5, "hours, the limit is"),
        ("VIDEO_STREAMS", 0, "more than 0 streams"),
    ],
)
def test_limits_that_are_known_before_decoding(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: float, reason: str
) -> None:
    monkeypatch.setattr(limits, limit, value)
    with pytest.raises(hm.ImageError, match=reason) as caught:
        decoder_of(CLIP)
    assert caught.value.outcome is hm.Outcome.REFUSED


@pytest.mark.parametrize(
    ("limit", "value", "frames", "reason"),
    [
        ("VIDEO_FRAMES", 5, 5, "more than 5 frames"),
        ("VIDEO_PACKETS", 5, 5, "more than 5 packets"),
    ],
)
def test_limits_that_end_decoding(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int, frames: int, reason: str
) -> None:
    monkeypatch.setattr(limits, limit, value)
    decoder = decoder_of(VIDEOS / "mpeg4.avi")
    assert frames <= len([*decoder.frames(0.0)]) <= frames + 2
    assert (decoder.damaged, decoder.stopped) == (True, reason)


def test_a_file_that_is_too_large_is_refused(
    monkeypatch: pytest.MonkeyPatch, pool: hm.DecodePool
) -> None:
    monkeypatch.setattr(limits, "VIDEO_BYTES", 1000)
    for video in (CLIP, CLIP.read_bytes(), io.BytesIO(CLIP.read_bytes())):
        assert hashed(pool, video).outcome is hm.Outcome.REFUSED


def decoder_of(path: Path) -> VideoDecoder:
    data = path.read_bytes()
    return VideoDecoder(lambda at, count: data[at : at + count], len(data), lambda _: None)


def test_arguments_out_of_range(pool: hm.DecodePool) -> None:
    for options in (
        {"every": -1.0},
        {"every": float("inf")},
        {"algorithm": "pdq"},
        {"digests": "video_md5"},
        {"digests": ["pdq"]},
    ):
        with pytest.raises(hm.UsageError, match="cannot"):
            hashed(pool, CLIP, **options)
    with pytest.raises(hm.UsageError, match="cannot read a video from int"):
        hashed(pool, 7)
    with pytest.raises(hm.UsageError, match="open as text"):
        hashed(pool, io.StringIO("text"))
    with pytest.raises(hm.UsageError, match="cannot decode with"):
        hm.hash_video(CLIP, decode=len)  # type: ignore[arg-type]


def test_without_the_extra_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with (
        hm.DecodePool(1) as pool,
        pytest.raises(hm.WorkersError, match=r"pip install '\.\[video\]'"),
    ):
        hashed(pool, CLIP)


def test_a_closed_pool_decodes_nothing() -> None:
    pool = hm.DecodePool(1)
    pool.close()
    with pytest.raises(hm.WorkersError, match="closed"):
        hashed(pool, CLIP)


def test_each_video_has_a_worker_of_its_own(pool: hm.DecodePool) -> None:
    before = len(pool.exits)
    for _ in range(2):
        hashed(pool, CLIP)
    assert len(pool.exits) == before + 2


def test_what_is_left_is_ended(pool: hm.DecodePool) -> None:
    gc.collect()  # pools of other tests
    before, descriptors = len(pool.exits), len(os.listdir("/proc/self/fd"))
    frames = pool.decode_video(CLIP, 0.0)
    next(frames), next(frames)
    frames.close()
    assert len(pool.exits) == before + 1
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_decoded_video_says_how_it_ended(pool: hm.DecodePool) -> None:
    *_, end = pool.decode_video(CLIP, 0.0)
    assert end == VideoEnd(13, False, "")
