"""Workers that decode a video and crash, hang, bloat or lie, and broken files by the hundred."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

import hashmatch as hm
from conftest import FIXTURES
from hostile_videos import hostile
from video_hooks import BREAKS_AT, pool_with

CLIP = FIXTURES / "videos" / "mpeg4.avi"
MIB = 2**20


def test_what_a_lost_worker_has_decoded_is_kept() -> None:
    with pool_with("crash") as pool:
        video = hm.hash_video(CLIP, every=0, decode=pool)
    assert (video.outcome, video.damaged) == (hm.Outcome.HASHED, True)
    assert video.reason == "the decoder ended by SIGSEGV, in each of 3 tries"
    assert video.frames is not None
    assert video.frames.frames.tolist() == [*range(BREAKS_AT)]


def test_another_worker_goes_on_where_one_was_lost() -> None:
    with hm.DecodePool(1) as sound, pool_with("crash_once") as pool:
        expected = hm.hash_video(CLIP, every=0, decode=sound).frames
        video = hm.hash_video(CLIP, every=0, decode=pool)
    assert (video.outcome, video.damaged, video.reason) == (hm.Outcome.HASHED, False, "")
    assert video.frames is not None
    assert expected is not None
    assert video.frames.hashes == expected.hashes


@pytest.mark.parametrize(
    ("name", "limits", "reason"),
    [
        ("spin", None, "decoding took more than 30 s of processor time and 10 s a second of video"),
        ("bloat", hm.WorkerLimits(memory=256 * MIB), "decoding took more than 256 MiB of memory"),
    ],
)
def test_what_takes_too_much_is_hashed_up_to_there(
    name: str, limits: hm.WorkerLimits | None, reason: str
) -> None:
    with pool_with(name, limits) as pool:
        video = hm.hash_video(CLIP, every=0, decode=pool)
        assert len(pool.exits) == 1  # it is not tried again
    assert (video.outcome, video.damaged, video.reason) == (hm.Outcome.HASHED, True, reason)
    assert video.frames is not None
    assert len(video.frames) == BREAKS_AT


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("leave", "the decoder ended"),
        ("giant", "malformed reply from decode worker"),
        ("headless", "unexpected reply from decode worker"),
        ("without_frame", "unexpected reply from decode worker"),
    ],
)
def test_workers_that_lie(name: str, reason: str) -> None:
    with pool_with(name, hm.WorkerLimits(tries=1)) as pool:
        video = hm.hash_video(CLIP, every=0, decode=pool)
    assert (video.outcome, video.reason) == (hm.Outcome.FAILED, reason)
    assert video.frames is None


def test_frames_that_come_again_are_not_taken() -> None:
    with pool_with("backwards", hm.WorkerLimits(tries=1)) as pool:
        video = hm.hash_video(CLIP, every=0, decode=pool)
    assert video.frames is not None
    assert video.frames.frames.tolist() == [0]
    assert video.damaged


def judge(seed: int, count: int) -> dict[str, hm.HashedVideo]:
    """Hash hostile files, and hold what that costs against the limits."""
    found = {}
    with hm.DecodePool(2) as pool:
        hm.hash_video(CLIP, decode=pool)
        gc.collect()  # pools of other tests
        descriptors = len(os.listdir("/proc/self/fd"))
        for name, data in hostile(seed, count):
            found[name] = hm.hash_video(data, every=0, decode=pool)
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) == descriptors
        exits, pids = pool.exits, pool.pids
        # And the next one finds everything as it was.
        assert hm.hash_video(CLIP, decode=pool).outcome is hm.Outcome.HASHED
    assert max(one.memory for one in exits) <= 640 * MIB
    assert max(one.cpu_seconds for one in exits) <= 30
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    return found


def check(found: dict[str, hm.HashedVideo]) -> None:
    closed = {
        hm.Outcome.HASHED, hm.Outcome.LOW_QUALITY, hm.Outcome.UNDECODABLE, hm.Outcome.UNSUPPORTED,
        hm.Outcome.REFUSED,
    }  # fmt: skip
    for name, video in found.items():
        assert video.outcome in closed, (name, video.reason)
        assert (video.frames is not None) == (
            video.outcome in {hm.Outcome.HASHED, hm.Outcome.LOW_QUALITY}
        ), name
        assert video.reason or video.outcome is hm.Outcome.HASHED, name


def test_broken_and_hostile_files() -> None:
    found = judge(21, 66)
    check(found)
    outcomes = {video.outcome for video in found.values()}
    assert {hm.Outcome.HASHED, hm.Outcome.UNDECODABLE} <= outcomes


@pytest.mark.slow
def test_hundreds_of_broken_and_hostile_files() -> None:
    check(judge(22, 500))
