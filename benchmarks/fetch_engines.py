"""Listing and reading every object of a bucket: ours, and boto3 as people write it.

`python benchmarks/fetch_engines.py` prints the ratio of both, timed in turns, from a real S3 server
on this machine. Both have 16 threads. The server has processes of its own; only our side's and the
peer's CPU time is counted.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import s3_server
from benchmarks.timing import in_turns
from hashmatch.records.enums import Surface
from hashmatch.scan.pipeline import fetch
from hashmatch.sources.bucket import BucketSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Read = Callable[[], list[tuple[str, int]]]

THREADS = 16
SEED = 20


@contextmanager
def bucket(count: int) -> Iterator[int]:
    """Serve a bucket ``b`` of `count` objects of 5 to 41 kB, as profile photos have."""
    chance = random.Random(SEED)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "b").mkdir()
        for number in range(count):
            content = chance.randbytes(chance.randrange(5_000, 41_000))
            (Path(folder) / "b" / f"{number:06}.jpg").write_bytes(content)
        with s3_server.serving(Path(folder)) as port:
            yield port


def ours(port: int) -> Read:
    """Return what reads the bucket through `fetch`."""
    source = BucketSource("s3://b", Surface.PROFILE_PHOTO, s3_server.options(port))

    def read() -> list[tuple[str, int]]:
        found = fetch(source, threads=THREADS)
        return [(item.key, len(data)) for item, data in found if isinstance(data, bytes)]

    return read


def boto3(port: int) -> Read:
    """Return what reads the bucket through a boto3 client and a pool of threads."""
    import boto3 as peer
    from botocore.config import Config

    client: Any = peer.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=s3_server.KEY,
        aws_secret_access_key=s3_server.SECRET,
        region_name="us-east-1",
        config=Config(max_pool_connections=THREADS, s3={"addressing_style": "path"}),
    )

    def one(key: str) -> tuple[str, int]:
        return key, len(client.get_object(Bucket="b", Key=key)["Body"].read())

    def read() -> list[tuple[str, int]]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket="b")
        with ThreadPoolExecutor(THREADS) as pool:
            return list(
                pool.map(one, (entry["Key"] for page in pages for entry in page["Contents"]))
            )

    return read


def main() -> None:
    """Print how much faster ours is."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with bucket(asked.objects) as port:
        mine, peer = ours(port), boto3(port)
        assert mine() == peer()
        rounds = in_turns(mine, peer, asked.rounds, 0.0)
    for clock in ("wall", "cpu"):
        mine_s = [getattr(one.ours, clock) for one in rounds]
        peer_s = [getattr(one.peer, clock) for one in rounds]
        ratios = sorted(b / a for a, b in zip(mine_s, peer_s, strict=True))
        print(
            f"{clock:4}: fetch {asked.objects / statistics.median(mine_s):,.0f} objects/s, "
            f"boto3 {asked.objects / statistics.median(peer_s):,.0f}; boto3 / fetch "
            f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


if __name__ == "__main__":
    main()
