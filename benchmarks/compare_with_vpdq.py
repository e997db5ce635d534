"""Bits between our hashes of videos and those of vPDQ itself, for every frame.

``python benchmarks/compare_with_vpdq.py --peer PYTHON [CLIP...]``; PYTHON is an interpreter that
has ``vpdq``, which needs compiling. By default of the clips that `video_clips` draws.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import hashmatch as hm

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from video_clips import CLIPS, make

PEER = """
import json, sys, vpdq
found = {}
for path in json.load(sys.stdin):
    try:
        frames = vpdq.computeHash(path, seconds_per_hash=0, thread_count=1)
    except Exception as error:
        found[path] = str(error)
    else:
        found[path] = [[f.frame_number, f.quality, f.hex, f.timestamp] for f in frames]
json.dump(found, sys.stdout)
"""
GOOD, FAIR = 80, 50


def main() -> None:
    """Print a line for each clip."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", nargs="*")
    parser.add_argument("--peer", required=True)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, hm.DecodePool(1) as pool:
        paths = asked.clips or [str(make(clip, Path(folder))) for clip in CLIPS]
        answer = subprocess.run(
            [asked.peer, "-c", PEER], input=json.dumps(paths), capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        theirs = json.loads(answer.stdout)
        for path in paths:
            print(f"{Path(path).name:<24}{_compared(pool, path, theirs[path])}")


def _compared(pool: hm.DecodePool, path: str, theirs: list[list[object]] | str) -> str:
    video = hm.hash_video(path, every=0, decode=pool)
    if isinstance(theirs, str) or video.frames is None:
        return f"vpdq: {theirs if isinstance(theirs, str) else 'hashed'}; ours: {video.reason}"
    frames = video.frames
    ours = zip(frames.frames, frames.quality, frames.hashes.to_hex(), frames.times, strict=True)
    most = {GOOD: 0, FAIR: 0, 0: 0}
    equal, worst_quality, worst_time = 0, 0, 0.0
    is_numbered = [row[0] for row in theirs] == frames.frames.tolist()
    for (_, quality, text, time), (_, other, reference, when) in zip(ours, theirs):  # noqa: B905
        bits = (int(text, 16) ^ int(str(reference), 16)).bit_count()
        level = next(level for level in most if int(str(other)) >= level)
        most[level] = max(most[level], bits)
        equal += bits == 0
        worst_quality = max(worst_quality, abs(int(quality) - int(str(other))))
        worst_time = max(worst_time, abs(float(time) - float(str(when))))
    return (
        f"{len(frames)} frames, {'same numbers' if is_numbered else f'vpdq {len(theirs)}'}; "
        f"equal {equal}; most bits at 80: {most[GOOD]}, at 50: {most[FAIR]}, below: {most[0]}; "
        f"quality {worst_quality}, time {worst_time:.4f}"
    )


if __name__ == "__main__":
    main()
