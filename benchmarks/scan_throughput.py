"""How many images a second `hashmatch scan` does: of a folder, and of a bucket.

``python benchmarks/scan_throughput.py folder`` times, in turns, the scan on one core, the scan on
two, and one thread that reads, decodes and hashes, with nothing else to do: what a scan cannot
beat by more than the number of cores.

``python benchmarks/scan_throughput.py bucket`` times, in turns, the scan of a real S3 server on
this machine, and a loop that gets each object with boto3 and hashes it with threatexchange, as
people write it. The server takes its share of the same cores.

``python benchmarks/scan_throughput.py engine --images 20000`` times, in turns, the scan on one
core, ``--engine local:1`` on one and ``--engine local:2`` on two, in parts of 5,000, and two scans
that know nothing of each other, with a half of the pictures and a core each: the limit that the
machine sets. It says the CPU of each too, of all of its processes: what two workers take beyond one
is what they lose, also on a machine that is busy with other things.

Every scan is a process of its own, timed from the start of its workers to its last record, by its
own report: the start takes most of a second. Rates are of the clock on the wall.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

import s3_server
from benchmarks.photographs import shipped

DEMO = Path(__file__).parents[1] / "fixtures" / "lists" / "demo-pdq.csv"
SIDE = 640
SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER of ``linux/prctl.h``."""
SURFACE = "profile_photo"


def fill(folder: Path, count: int) -> None:
    """Put `count` different JPEGs of 640 x 640 into `folder`."""
    photographs = [photograph.image(1024) for photograph in shipped()]
    for number in range(count):
        picture = photographs[number % len(photographs)].convert("RGB").resize((SIDE, SIDE))
        turned = picture.rotate(number / 10)
        turned.save(folder / f"{number:05}.jpg", quality=85 + number % 10)


def spent() -> float:
    """Wait for all processes that this one started, and that they did, and return their CPU."""
    while True:
        try:
            os.waitpid(-1, 0)  # those whose parent was killed are ours
        except ChildProcessError:
            break
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def scan(source: str, cores: set[int], count: int, env: dict[str, str], *more: str) -> float:
    """Return the images a second of one scan on some cores."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [
            sys.executable, "-m", "hashmatch", "scan", source, "--list", str(DEMO), "--surface",
            SURFACE, "--out", f"{folder}/out.jsonl", "--report", str(report), "--quiet",
            *more,
        ]  # fmt: skip
        subprocess.run(
            command, check=True, env=os.environ | env,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )  # fmt: skip
        found = json.loads(report.read_text())
    assert found["listed"] == count == found["outcomes"]["no_match"] + found["outcomes"]["match"]
    return float(count / found["seconds"])


def apart(folder: Path, cores: list[int], count: int) -> float:
    """Return the images a second of as many scans as cores, each with its share and its core."""
    shares = [folder.parent / f"share-{number}" for number in range(len(cores))]
    if not shares[0].exists():
        for number, share in enumerate(shares):
            share.mkdir()
            for path in sorted(folder.iterdir())[number :: len(cores)]:
                os.link(path, share / path.name)
    with ThreadPoolExecutor(len(cores)) as pool:
        found = pool.map(
            lambda core, share: scan(str(share), {core}, len(list(share.iterdir())), {}),
            cores,
            shares,
        )
        return sum(found)


def one_thread(folder: Path, count: int) -> float:
    """Return the images a second of one thread that does nothing else."""
    import hashmatch as hm

    hm.hash_image(next(folder.iterdir()))  # compiled
    began = time.perf_counter()
    for path in folder.iterdir():
        assert hm.hash_image(path.read_bytes()).outcome is hm.Outcome.HASHED
    return count / (time.perf_counter() - began)


def peer(port: int, count: int) -> float:
    """Return the images a second of boto3 and threatexchange, one after the other."""
    import boto3
    from botocore.config import Config
    from threatexchange.signal_type.pdq.signal import PdqSignal

    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=s3_server.KEY,
        aws_secret_access_key=s3_server.SECRET,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    began = time.perf_counter()
    done = 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="b"):
        for entry in page["Contents"]:
            data = client.get_object(Bucket="b", Key=entry["Key"])["Body"].read()
            assert len(PdqSignal.hash_from_bytes(data)) == 64
            done += 1
    assert done == count
    return count / (time.perf_counter() - began)


def told(rates: dict[str, list[float]]) -> None:
    """Print the median rate of each, and the range."""
    for name, found in rates.items():
        print(
            f"{name:32} {statistics.median(found):6,.0f} ({min(found):,.0f} to {max(found):,.0f})"
        )


def told_cpu(taken: dict[str, list[float]]) -> None:
    """Print the median CPU of each for a picture, and of each as a share of the first."""
    first = next(iter(taken.values()))
    for name, found in taken.items():
        shares = [each / other for each, other in zip(found, first, strict=True)]
        print(
            f"{name}: {statistics.median(found):.2f} ms of CPU a picture, "
            f"{statistics.median(shares):.3f} of the first"
        )


def ratio(rates: dict[str, list[float]], a: str, b: str, of: float = 1.0) -> None:
    """Print how many times as fast `a` is as `of` times `b`, in each round."""
    found = sorted(x / (of * y) for x, y in zip(rates[a], rates[b], strict=True))
    times = f"{of:g} x " if of != 1 else ""
    print(f"{a} / {times}{b}: {statistics.median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})")


def main() -> None:
    """Print rates and ratios."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["folder", "bucket", "engine"])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part-size", type=int, default=5000)
    asked = parser.parse_args()
    count = asked.images
    both = set(sorted(os.sched_getaffinity(0))[:2])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "b"
        folder.mkdir()
        fill(folder, count)
        if asked.what == "folder":
            rates: dict[str, list[float]] = {
                "scan, 1 core": [],
                "scan, 2 cores": [],
                "1 thread": [],
            }
            scan(str(folder), both, count, {})
            for _ in range(asked.rounds):
                rates["1 thread"].append(one_thread(folder, count))
                rates["scan, 1 core"].append(scan(str(folder), {min(both)}, count, {}))
                rates["scan, 2 cores"].append(scan(str(folder), both, count, {}))
            told(rates)
            ratio(rates, "scan, 2 cores", "scan, 1 core")
            ratio(rates, "scan, 2 cores", "1 thread", of=2)
            return
        if asked.what == "engine":
            # What loses its parent becomes ours, so that its CPU is counted.
            ctypes.CDLL(None).prctl(SUBREAPER, 1)
            size = str(asked.part_size)
            ways: dict[str, tuple[set[int], list[str]]] = {
                "scan, 1 core": ({min(both)}, []),
                "local:1, 1 core": ({min(both)}, ["--engine", "local:1", "--part-size", size]),
                "local:2, 2 cores": (both, ["--engine", "local:2", "--part-size", size]),
            }
            names = [*ways, "2 scans, a core each"]
            rates, taken = {name: [] for name in names}, {name: list[float]() for name in names}
            scan(str(folder), both, count, {})
            for _ in range(asked.rounds):
                for name in names:
                    before = spent()
                    if name in ways:
                        cores, more = ways[name]
                        rates[name].append(scan(str(folder), cores, count, {}, *more))
                    else:
                        rates[name].append(apart(folder, sorted(both), count))
                    taken[name].append((spent() - before) / count * 1000)
            told(rates)
            ratio(rates, "local:1, 1 core", "scan, 1 core")
            ratio(rates, "local:2, 2 cores", "local:1, 1 core")
            ratio(rates, "2 scans, a core each", "scan, 1 core")
            ratio(rates, "local:2, 2 cores", "2 scans, a core each")
            told_cpu(taken)
            return
        with s3_server.serving(Path(place)) as port:
            env = {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": s3_server.KEY,
                "AWS_SECRET_ACCESS_KEY": s3_server.SECRET,
                "AWS_REGION": "us-east-1",
            }
            rates = {"scan": [], "boto3 and threatexchange": []}
            scan("s3://b", both, count, env)
            for _ in range(asked.rounds):
                rates["scan"].append(scan("s3://b", both, count, env))
                rates["boto3 and threatexchange"].append(peer(port, count))
            told(rates)
            ratio(rates, "scan", "boto3 and threatexchange")


if __name__ == "__main__":
    main()
