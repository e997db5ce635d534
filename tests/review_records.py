"""Made-up review records for the tests of review: random hashes, no pictures."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import UNSET

from hashmatch.records.enums import Surface
from hashmatch.records.review import RecordHash, RecordItem, RecordMatch, ReviewRecord

if TYPE_CHECKING:
    from msgspec import UnsetType

DRAWN_BITS = {"pdq": 256, "phash": 64, "md5": 128}


def make_record(
    number: int,
    value: int | None = None,
    *,
    distance: int = 4,
    limit: int = 31,
    labels: tuple[str, ...] = ("A1",),
    surface: Surface = Surface.PROFILE_PHOTO,
    quality: int | None = 98,
    entry: str = "entry-1",
    algorithm: str = "pdq",
    bits: int = 256,
    name: str = "demo",
) -> ReviewRecord:
    """Return record `number`; `value` is the image's own hash."""
    hashed: str | UnsetType = UNSET if value is None else f"{value:0{bits // 4}x}"
    match = RecordMatch(name, "17", entry, algorithm, distance, limit, "algorithm", labels, (name,))
    key = f"profiles/{number:07}.jpg"
    item = RecordItem(key, f"v{number}", surface, "image/jpeg", 640, 640, 0, False)
    how = RecordHash(algorithm, quality, "rgb/2", "upright", hashed)
    return ReviewRecord(f"record-{number:07}", "2026-01-01T00:00:00Z", item, how, (match,), 1)


def random_hash(rng: random.Random, bits: int = 256) -> int:
    """Return a hash of one half of all bits, as of an ordinary picture."""
    return rng.getrandbits(bits)


def flipped(rng: random.Random, value: int, count: int, bits: int = 256) -> int:
    """Return a hash that differs from `value` in exactly `count` bits."""
    for bit in rng.sample(range(bits), count):
        value ^= 1 << bit
    return value


def many(count: int, seed: int = 7, pictures: int | None = None) -> list[ReviewRecord]:
    """Return records of random pictures: as many pictures as records, or fewer."""
    rng = random.Random(seed)
    hashes = [random_hash(rng) for _ in range(pictures or count)]
    surfaces = list(Surface)
    return [
        make_record(
            number,
            flipped(rng, hashes[number % len(hashes)], rng.randrange(3)),
            distance=rng.randrange(32),
            labels=rng.choice([("A1",), ("A2", "B1"), ()]),
            surface=rng.choice(surfaces),
            quality=rng.randrange(50, 101),
        )
        for number in range(count)
    ]


def drawn(seed: int, count: int, same: int) -> list[ReviewRecord]:
    """Return records of few pictures, copies at distances about the limit, with few entries."""
    rng = random.Random(seed)
    centres = {
        name: [random_hash(rng, bits) for _ in range(3)] for name, bits in DRAWN_BITS.items()
    }
    records = []
    for number in range(count):
        name = rng.choice(["pdq", "pdq", "phash", "md5"])
        bits = DRAWN_BITS[name]
        distance = rng.choice([0, 1, same - 1, same, same + 1, 2 * same])
        value = flipped(rng, rng.choice(centres[name]), max(0, distance) % bits, bits)
        records.append(
            make_record(
                number,
                None if rng.random() < 0.4 else value,
                algorithm=name,
                bits=bits,
                distance=rng.randrange(same + 3),
                entry=f"entry-{rng.randrange(4)}",
            )
        )
        if rng.random() < 0.3:
            one = records[-1]
            more = make_record(number, algorithm=name, distance=rng.randrange(same + 3), entry="e")
            records[-1] = replace(one, matches=one.matches + more.matches, match_count=2)
    return records
