"""Shadow limits: what another limit would bring into review, counted and not recorded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from conftest import IMAGES
from hashmatch.scan.events import Counters
from hashmatch.scan.report import ScanReport
from hashmatch.scan.shadow import Shadow, shadow_rows
from hashmatch.testing import MemorySource, flipped, hash_list, random_hashes

if TYPE_CHECKING:
    from pathlib import Path

PDQ = hm.HashSpec("pdq", 256)
NAMES = ("tiles.png", "landscape-dusk.jpg", "landscape-meadow.jpg")


@pytest.fixture(scope="module")
def pictures() -> dict[str, bytes]:
    return {name: (IMAGES / "plain" / name).read_bytes() for name in NAMES}


@pytest.fixture(scope="module")
def known(pictures: dict[str, bytes]) -> hm.HashList:
    """Entries 10, 34 and 38 bits from the pictures."""
    own = [hm.hash_image(data, item=name).hashes for name, data in pictures.items()]
    near = [flipped(one, bits, seed=1) for one, bits in zip(own, (10, 34, 38), strict=True)]
    return hash_list(hm.HashBatch.concatenate([*near, random_hashes(PDQ, 20, seed=1)]))


def scan(pictures: dict[str, bytes], matcher: hm.Matcher, **how: object) -> ScanReport:
    source = MemorySource(pictures, hm.Surface.PUBLIC_POST)
    done = ScanReport(matcher)
    for result in hm.scan_source(source, matcher, observe=done, **how):  # type: ignore[arg-type]
        done.add(result)
    done.finish()
    return done


def test_counts_what_a_scan_with_that_limit_would_add(
    pictures: dict[str, bytes], known: hm.HashList
) -> None:
    done = scan(pictures, hm.Matcher(known), shadow={"pdq": 36})
    more = scan(pictures, hm.Matcher(known, max_distance=36))
    rows = shadow_rows(done.counters.shadow)
    assert rows == [("made-up", "pdq", 34, 1)]
    added = more.counters.records - done.counters.records
    assert (done.counters.records, sum(row.records for row in rows)) == (1, added)
    both = scan(pictures, hm.Matcher(known), shadow=40)
    assert [row.distance for row in shadow_rows(both.counters.shadow)] == [34, 38]
    assert json.loads(both.to_json())["shadow"][0] == {
        "list": "made-up", "algorithm": "pdq", "distance": 34, "records": 1,
    }  # fmt: skip


def test_what_a_rule_would_suppress_is_not_counted(
    pictures: dict[str, bytes], known: hm.HashList
) -> None:
    own = hm.hash_image(pictures[NAMES[1]], item="dusk").hashes
    matcher = hm.Matcher(known, benign=hash_list(own, name="harmless"))
    done = scan(pictures, matcher, shadow=40)
    assert [row.distance for row in shadow_rows(done.counters.shadow)] == [38]


def test_goes_on_where_a_scan_resumes(
    pictures: dict[str, bytes], known: hm.HashList, tmp_path: Path
) -> None:
    matcher = hm.Matcher(known)
    first = dict(list(pictures.items())[:2])
    with hm.Checkpoint(tmp_path) as checkpoint:
        before = scan(first, matcher, shadow=40, checkpoint=checkpoint)
        again = scan(pictures, matcher, shadow=40, checkpoint=checkpoint)
        without = scan(pictures, matcher, checkpoint=checkpoint)
        other = scan(pictures, matcher, shadow=36, checkpoint=checkpoint)
    assert sum(before.counters.shadow.values()) == 1
    assert [row.distance for row in shadow_rows(again.counters.shadow)] == [34, 38]
    assert without.counters.shadow == {}
    assert [row.distance for row in shadow_rows(other.counters.shadow)] == [34]


def test_only_lists_of_the_algorithms_that_are_named(
    pictures: dict[str, bytes], known: hm.HashList
) -> None:
    own = hm.hash_image(pictures[NAMES[2]], "phash", item="meadow").hashes
    matcher = hm.Matcher(known, hash_list(flipped(own, 10, seed=1), name="other"))
    rows = shadow_rows(scan(pictures, matcher, shadow={"phash": 12}).counters.shadow)
    assert rows == [("other", "phash", 10, 1)]


def test_limits_that_are_refused(known: hm.HashList) -> None:
    matcher = hm.Matcher(known)
    for limit in (31, 20):
        with pytest.raises(hm.UsageError, match=r"own is 31\. Give a larger one"):
            Shadow(matcher, limit)
    with pytest.raises(hm.UsageError, match="there is no list of it"):
        Shadow(matcher, {"phash": 10})


def test_names_of_lists_may_have_spaces() -> None:
    counters = Counters()
    counters.add_shadow(["pdq 34 a list", "pdq 34 a list"])
    assert shadow_rows(counters.copy().shadow) == [("a list", "pdq", 34, 2)]
