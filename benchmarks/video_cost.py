"""Processor time of hashing a video: beside decoding it and nothing else, and beside vPDQ.

``python benchmarks/video_cost.py CLIP... [--peer PYTHON] [--rounds 5]``: all take turns, each with
one thread; workers count. PYTHON is an interpreter that has ``vpdq``, which needs compiling.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

import av

import hashmatch as hm
from hashmatch.video.hash_video import hash_video

if TYPE_CHECKING:
    from collections.abc import Callable

PEER = """
import json, sys, time, vpdq
for line in sys.stdin:
    path, every = json.loads(line)
    before = time.process_time()
    vpdq.computeHash(path, seconds_per_hash=every, thread_count=1)
    print(time.process_time() - before, flush=True)
"""


def decode_only(path: str) -> float:
    """Return the processor seconds of decoding every frame."""
    before = time.process_time()
    with av.open(path) as file:
        stream = file.streams.video[0]
        stream.codec_context.thread_count, stream.codec_context.thread_type = 1, "NONE"
        for _ in file.decode(stream):
            pass
    return time.process_time() - before


def hashed(pool: hm.DecodePool, path: str, every: float | None) -> float:
    """Return the processor seconds of hashing, of this process and the worker."""
    before = time.process_time()
    if every is None:
        video = hash_video(path, "vpdq-keyframes", decode=pool)
    else:
        video = hash_video(path, every=every, decode=pool)
    assert video.frames is not None
    return time.process_time() - before + pool.exits[-1].cpu_seconds


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--peer")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    peer = asked.peer and subprocess.Popen(
        [asked.peer, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def vpdq(path: str, every: float) -> float:
        assert peer
        assert peer.stdin
        assert peer.stdout
        print(json.dumps([path, every]), file=peer.stdin, flush=True)
        return float(peer.stdout.readline())

    with hm.DecodePool(1) as pool:
        hashed(pool, asked.clips[0], 0.0)  # compiles, and starts the fork server
        for path in asked.clips:
            ways: dict[str, Callable[[], float]] = {
                "decode": partial(decode_only, path),
                "every frame": partial(hashed, pool, path, 0.0),
                "every second": partial(hashed, pool, path, 1.0),
                "key frames": partial(hashed, pool, path, None),
            }
            if peer:
                ways |= {
                    "vpdq every frame": partial(vpdq, path, 0.0),
                    "vpdq every second": partial(vpdq, path, 1.0),
                }
            taken: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(asked.rounds):
                for name, way in ways.items():
                    taken[name].append(way())
            times = {name: median(each) for name, each in taken.items()}
            print(path)
            for name, seconds in times.items():
                print(f"  {name:<18}{1000 * seconds:9.1f} ms")
            print(f"  every frame: {times['every frame'] / times['decode']:.2f} x decode")
            if peer:
                for name in ("every frame", "every second"):
                    print(f"  {name}: vpdq takes {times['vpdq ' + name] / times[name]:.2f} x")
                quick = times["vpdq every second"] / times["key frames"]
                print(f"  key frames: vpdq every second takes {quick:.1f} x")


if __name__ == "__main__":
    main()
