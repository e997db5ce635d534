"""A limit of its own for what a level of variants asks: what it finds, and what records say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import hashmatch as hm
from cli_tools import run
from hashmatch.errors import UsageError
from hashmatch.hashers.pdq import Pdq
from hashmatch.hashing.variants import ask, level_of
from hashmatch.matching.prices import price
from hashmatch.records.enums import LEVELS
from hashmatch.records.review import ReviewRecord
from hashmatch.testing import flipped, hash_list, picture, random_hashes

if TYPE_CHECKING:
    from pathlib import Path

SEED = 3
PIXELS = picture(SEED)
ASKED = ask(Pdq(), PIXELS, "thorough")


def known(question: str, distance: int) -> hm.HashList:
    """Return a list of one hash, so many bits from what a question asks of the picture."""
    row = ASKED.names.index(question)
    return hash_list(flipped(ASKED.hashes[row : row + 1], distance, SEED))


def checked(held: hm.HashList, limits: dict[str, int] | None) -> ReviewRecord | hm.ItemOutcome:
    matcher = hm.Matcher(held, variants="thorough", max_distance=limits)
    result = matcher.check(PIXELS, surface="public_post", item_id="a")
    hashed = matcher.hash(PIXELS, "a")
    item = hm.ImageItem("a", "1", hm.Surface.PUBLIC_POST)
    (again,) = matcher.decide_each([(item, hashed)])
    assert again.outcome == result.outcome
    assert matcher.pictures_that_match([hashed]) == ([0] if result.outcome == "match" else [])
    return result


def test_every_question_is_of_the_level_that_asks_it_first() -> None:
    bordered = np.pad(picture(SEED, 400, 300), ((30, 30), (20, 20), (0, 0)))
    for pixels in (PIXELS, bordered):
        before: set[str] = set()
        for level in LEVELS:
            names = set(map(str, ask(Pdq(), pixels, level).names))
            assert {level_of(name) for name in names - before} == {level}
            before |= names
    assert level_of("as_exif") == level_of("as_displayed/rotate_90") == "standard"
    assert level_of("as_displayed/turn:2") == "thorough"


def test_a_limit_of_a_level_is_for_what_it_adds() -> None:
    far = known("turn:5/rotate_90", 40)
    assert checked(far, None).outcome == "no_match"
    assert checked(far, {"thorough": 39}).outcome == "no_match"
    record = checked(far, {"thorough": 40})
    assert isinstance(record, ReviewRecord)
    (match,) = record.matches
    assert (match.distance, match.max_distance, match.max_distance_from) == (40, 40, "caller")
    assert match.variant == "turn:5/rotate_90"
    assert checked(far, {"pdq": 31, "thorough": 40}).outcome == "match"


def test_other_levels_keep_theirs() -> None:
    near = known("upright", 31)
    record = checked(near, {"thorough": 40, "pdq": 31})
    assert isinstance(record, ReviewRecord)
    assert record.matches[0].max_distance == 31
    assert checked(known("inverted", 34), {"thorough": 34}).outcome == "no_match"
    assert checked(known("inverted", 34), {"standard": 34}).outcome == "match"
    assert checked(near, {"thorough": 0, "pdq": 31}).outcome == "match"
    assert checked(known("turn:5/rotate_90", 3), {"thorough": 2}).outcome == "no_match"


def test_entries_and_lists_outrank_it() -> None:
    held = known("turn:5/rotate_90", 36)
    own = tuple(replace(entry, max_distance=31) for entry in held.entries)
    assert checked(replace(held, max_distance=31), {"thorough": 40}).outcome == "no_match"
    assert checked(replace(held, entries=own), {"thorough": 40}).outcome == "no_match"
    assert checked(held, {"thorough": 40}).outcome == "match"


def test_a_list_whose_index_reaches_less_far_is_indexed_anew() -> None:
    many = random_hashes(Pdq.spec, 3000, SEED)
    row = ASKED.names.index("turn:5/rotate_90")
    batch = hm.HashBatch.concatenate([many, flipped(ASKED.hashes[row : row + 1], 40, SEED)])
    held = hash_list(batch)
    indexed = replace(held, index=hm.HashIndex.build(held, 31))
    matcher = hm.Matcher(indexed, variants="thorough", max_distance={"thorough": 40})
    assert matcher.check(PIXELS, surface="public_post", item_id="a").outcome == "match"
    assert [one.index.max_distance for one in matcher.indexed] == [40]


def test_what_it_is_not_for_is_refused() -> None:
    held = known("upright", 0)
    with pytest.raises(UsageError, match=r"variants are standard\. Ask for thorough"):
        hm.Matcher(held, variants="standard", max_distance={"thorough": 40})
    with pytest.raises(UsageError, match="Give a whole number from 0 to 256"):
        hm.Matcher(held, variants="thorough", max_distance={"thorough": 257})
    short = hash_list(random_hashes(hm.HashSpec("phash", 64), 3, SEED))
    with pytest.raises(UsageError, match="Give it for a list of pdq"):
        hm.Matcher(short, variants="thorough", max_distance={"thorough": 12})
    with pytest.raises(UsageError, match="there is no list of it"):
        hm.Matcher(held, variants="thorough", max_distance={"none": 40})


def test_the_price_of_a_limit_is_said_as_far_as_it_was_measured() -> None:
    assert price("thorough", 40).endswith("0 came within 40 bits")
    assert price("standard", 41).startswith("standard=41: of 12 million pairs")
    assert price("thorough", 64).endswith("76 came within 64 bits")
    assert price("thorough", 65).endswith("within 64 bits; of more, nothing was measured")


def test_commands_say_it_and_take_the_limit(tmp_path: Path) -> None:
    folder, held, out = tmp_path / "pictures", tmp_path / "list.csv", tmp_path / "found.jsonl"
    folder.mkdir()
    Image.fromarray(PIXELS).save(folder / "a.png")
    held.write_text(f"hash\n{known('turn:5/rotate_90', 40).hashes.to_hex()[0]}\n")
    ran = run(
        "scan", folder, "--list", held, "--surface", "public_post", "--out", out,
        "--variants", "thorough", "-d", "thorough=40",
    )  # fmt: skip
    assert "hashmatch: note: thorough=40: of 12 million pairs" in ran.err.decode()
    (record,) = out.read_text().splitlines()
    assert json.loads(record)["matches"][0]["max_distance"] == 40
