"""The work of `before_after.py` that is called, not run: one piece in one environment.

``python before_after_work.py NAME DATA`` prepares the work, then does it once for each line that it
reads and prints its figures as a line of JSON. Seconds are of CPU, of this process and of all that
it has waited for. Nothing is imported of hashmatch but what both commits have.
"""

from __future__ import annotations

import io
import json
import os
import random
import resource
import shutil
import statistics
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import hashmatch as hm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Round = Callable[[], dict[str, float]]

LIMIT = 31
PICTURES = 200
"""Of the folder, that are checked one by one."""
LEAST = 0.2
"""Seconds of CPU that a timed loop takes at least: clocks are coarse."""
BATCH = 10_000
RECORDS_AT_ONCE = 10_000
"""Of a review queue."""


def cpu(run: Callable[[], object]) -> float:
    """Return the seconds of CPU of a call."""
    before = _used()
    run()
    return _used() - before


def _used() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def each(run: Callable[[], object]) -> float:
    """Return the seconds of CPU of one call, of as many as take `LEAST`."""
    calls = 1
    while True:
        before = _used()
        for _ in range(calls):
            run()
        seconds = _used() - before
        if seconds >= LEAST:
            return seconds / calls
        calls *= 2


def _jpegs(data: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((data / "folder").iterdir())[:PICTURES]]


def _batch(words: Any) -> hm.HashBatch:
    return hm.HashBatch.from_bytes(hm.HashSpec("pdq", 256), words.astype(">u8").tobytes())


def decode(data: Path) -> Round:
    """Bare decoding: what a picture of the folder costs before anything is done with it."""
    import simplejpeg

    jpegs = _jpegs(data)

    def once() -> None:
        for one in jpegs:
            simplejpeg.decode_jpeg(one, "RGB")

    once()
    return lambda: {"decode": cpu(once) / len(jpegs)}


def check(data: Path) -> Round:
    """`Matcher.check`, by a list of 100,000, beside bare decoding; CPU and the wall's clock."""
    bare, jpegs = decode(data), _jpegs(data)
    matcher = hm.Matcher(hm.read_list(data / "list.csv"))

    def once() -> None:
        for one in jpegs:
            found = matcher.check(one, surface="profile_photo", item_id="a")
            assert found.outcome is hm.Outcome.NO_MATCH

    once()

    def both() -> dict[str, float]:
        wall = time.perf_counter()
        seconds = cpu(once) / len(jpegs)
        wall = (time.perf_counter() - wall) / len(jpegs)
        return {"check": seconds, "wall": wall, **bare()}

    return both


def pdq(data: Path) -> Round:
    """PDQ of an array of 640 x 640, beside pdqhash."""
    import pdqhash
    from PIL import Image

    pixels = [np.asarray(Image.open(io.BytesIO(one)).convert("RGB")) for one in _jpegs(data)[:8]]
    for one in pixels:
        assert hm.hash_image(one).hex == np.packbits(pdqhash.compute(one)[0]).tobytes().hex()
    return lambda: {
        "ours": each(lambda: [hm.hash_image(one) for one in pixels]) / len(pixels),
        "peer": each(lambda: [pdqhash.compute(one) for one in pixels]) / len(pixels),
    }


def small_hashes(data: Path) -> Round:
    """All four hashes of 64 bits of a JPEG, beside imagehash."""
    import imagehash
    from PIL import Image

    jpegs = _jpegs(data)[:8]
    peers = (imagehash.phash, imagehash.dhash, imagehash.average_hash, imagehash.whash)

    def theirs(one: bytes) -> list[str]:
        image = Image.open(io.BytesIO(one))
        return [str(peer(image)) for peer in peers]

    def ours(one: bytes) -> list[str]:
        return [made.hex for made in hm.hash_all(one, ["phash", "dhash", "ahash", "whash"])]

    for one in jpegs:
        assert ours(one) == theirs(one)
    return lambda: {
        "ours": each(lambda: [ours(one) for one in jpegs]) / len(jpegs),
        "peer": each(lambda: [theirs(one) for one in jpegs]) / len(jpegs),
    }


def thorough(data: Path) -> Round:
    """One picture, decoded and hashed with all variants, and with none."""
    jpegs = _jpegs(data)[:8]

    def seconds(level: Any) -> float:
        return each(lambda: [hm.hash_all(one, ["pdq"], variants=level) for one in jpegs])

    seconds("thorough")
    return lambda: {"thorough": seconds("thorough"), "none": seconds("none")}


def index(data: Path) -> Round:
    """Bytes, building and look-ups of the large list; a file of it is left for `index_open`."""
    words = np.load(data / "words.npy", mmap_mode="r")
    known = _batch(words)
    queries = np.random.default_rng(5).integers(0, 2**64, (BATCH, 4), np.uint64)
    queries[::100] = words[:: max(1, len(words) // (BATCH // 100))][: BATCH // 100]
    asked = _batch(queries)
    ones = [asked[n : n + 1] for n in range(300)]
    path = data / f"{os.getpid()}.index"

    def once() -> dict[str, float]:
        build = cpu(lambda: made.append(hm.HashIndex.build(known, LIMIT)))
        found = made.pop()
        if not path.exists():
            found.save(path)
        for one in ones:
            found.search(one, LIMIT)
        return {
            "build": build,
            "single": each(lambda: [found.search(one, LIMIT) for one in ones]) / len(ones),
            "batch": cpu(lambda: found.search(asked, LIMIT)) / len(asked),
            "memory": found.nbytes / len(words),
            "disk": path.stat().st_size / len(words),
        }

    made: list[hm.HashIndex] = []
    return once


def index_open(data: Path) -> Round:
    """Opening and checking the file of the large list; one bit of it flipped is refused."""
    path = data / f"{os.getpid()}.index"
    hm.HashIndex.build_file(path, _batch(np.load(data / "words.npy", mmap_mode="r")), LIMIT)
    size = path.stat().st_size
    for place in (size // 3, size - size // 5):
        _flip(path, place)
        try:
            hm.HashIndex.open(path)
        except hm.IndexFileError:
            _flip(path, place)
        else:
            raise AssertionError("a flipped bit was not found")
    return lambda: {"open": cpu(lambda: hm.HashIndex.open(path))}


def _flip(path: Path, place: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def skewed(data: Path) -> Round:
    """One query of a list a third of which lies in clusters: means, and the slowest."""
    words = np.load(data / "skewed.npy")
    found = hm.HashIndex.build(_batch(words), LIMIT)
    rng = np.random.default_rng(7)
    queries = words[rng.choice(len(words), 500, replace=False)].copy()
    queries[:, 0] ^= np.uint64(0b1011)
    queries[::2] = rng.integers(0, 2**64, (250, 4), np.uint64)
    asked = [_batch(queries[n : n + 1]) for n in range(len(queries))]

    def once() -> dict[str, float]:
        times = []
        for one in asked:
            before = time.thread_time_ns()
            found.search(one, LIMIT)
            times.append((time.thread_time_ns() - before) / 1e9)
        return {
            "mean": statistics.fmean(times),
            "p50": float(np.percentile(times, 50)),
            "p99": float(np.percentile(times, 99)),
        }

    once()
    return once


def _records(first: int, count: int) -> Iterator[list[hm.ReviewRecord]]:
    """Yield records in lists, as a scan of many pictures writes them: with the picture's own hash.

    One in ten is another copy, a few bits away, of a picture that came a little earlier.
    """
    from hashmatch.testing import example_record

    record, surfaces = example_record(), list(hm.Surface)
    labels = [("A1",), ("A2", "B1"), ()]
    for start in range(first, first + count, RECORDS_AT_ONCE):
        made: list[hm.ReviewRecord] = []
        rng = random.Random(start)
        for n in range(start, min(start + RECORDS_AT_ONCE, first + count)):
            value = rng.getrandbits(256)
            if n % 10 == 9:
                value = int(str(made[-9].hash.value), 16) ^ 0b1011 << rng.randrange(250)
            near = replace(
                record.matches[0], distance=rng.randrange(32), labels=labels[rng.randrange(3)]
            )
            quality = rng.randrange(50, 101)
            made.append(
                replace(
                    record,
                    record_id=f"{rng.getrandbits(128):032x}",
                    item=replace(
                        record.item, key=f"pictures/{n}.jpg", surface=rng.choice(surfaces)
                    ),
                    hash=replace(record.hash, value=f"{value:064x}", quality=quality),
                    matches=(near,),
                )
            )
        yield made


def _adding(queue: hm.ReviewQueue, first: int, count: int) -> float:
    """Add records, and return the seconds of CPU of it; making them does not count."""
    return sum(cpu(partial(queue.add, made)) for made in _records(first, count))


def _counts(data: Path) -> tuple[int, int]:
    held, added = json.loads((data / "records.json").read_text())
    return held, added


def queue_sqlite(data: Path) -> Round:
    """Records added to a queue that holds many, in a file."""
    held, added = _counts(data)
    path = data / f"{os.getpid()}.queue"
    with hm.ReviewQueue.open(str(path), create=True) as queue:
        _adding(queue, 0, held)

    def once() -> dict[str, float]:
        copy = path.with_suffix(".copy")
        for old in data.glob(f"{copy.name}*"):
            old.unlink()
        for one in data.glob(f"{path.name}*"):
            shutil.copy(one, f"{copy}{one.name.removeprefix(path.name)}")
        with hm.ReviewQueue.open(str(copy)) as queue:
            return {"add": _adding(queue, held, added) + cpu(queue.close)}

    return once


def queue_postgres(data: Path) -> Round:
    """The same on a server, whose CPU counts too."""
    import psycopg

    held, added = _counts(data)
    server, admin = json.loads((data / "postgres.json").read_text())
    name = f"q{os.getpid()}"
    count = 0

    def execute(sql: str) -> None:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(sql)

    execute(f"CREATE DATABASE {name}")
    with hm.ReviewQueue.open(admin.replace("/postgres?", f"/{name}?"), create=True) as queue:
        _adding(queue, 0, held)
    with psycopg.connect(admin.replace("/postgres?", f"/{name}?")) as connection:
        connection.execute("ANALYZE")

    def once() -> dict[str, float]:
        nonlocal count
        count += 1
        copy = f"{name}_{count}"
        execute(f"CREATE DATABASE {copy} TEMPLATE {name} STRATEGY file_copy")
        execute("CHECKPOINT")  # what others wrote is not counted
        before = _tree(server)
        with hm.ReviewQueue.open(admin.replace("/postgres?", f"/{copy}?")) as queue:
            own = _adding(queue, held, added)
        execute("CHECKPOINT")
        time.sleep(1)  # until its process has ended, and counts as one
        theirs = _tree(server) - before
        execute(f"DROP DATABASE {copy}")
        return {"add": own + theirs, "server": theirs}

    return once


def _tree(pid: int) -> float:
    """Return the CPU of a process and of those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def s3_peer(data: Path) -> Round:
    """boto3 and threatexchange, one picture after the other, as people write it."""
    import boto3
    from botocore.config import Config
    from threatexchange.signal_type.pdq.signal import PdqSignal

    client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))

    def once() -> dict[str, float]:
        began, done = time.perf_counter(), 0
        for page in client.get_paginator("list_objects_v2").paginate(Bucket="folder"):
            for entry in page["Contents"]:
                body = client.get_object(Bucket="folder", Key=entry["Key"])["Body"].read()
                assert len(PdqSignal.hash_from_bytes(body)) == 64
                done += 1
        return {"rate": done / (time.perf_counter() - began)}

    return once


WORK: dict[str, Callable[[Path], Round]] = {
    one.__name__: one
    for one in (
        decode, check, pdq, small_hashes, thorough, index, index_open, skewed, queue_sqlite,
        queue_postgres, s3_peer,
    )
}  # fmt: skip


def main() -> None:
    once = WORK[sys.argv[1]](Path(sys.argv[2]))
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(once()), flush=True)


if __name__ == "__main__":
    main()
