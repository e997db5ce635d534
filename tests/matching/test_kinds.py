"""One image against several kinds of hash and in several orientations: one record of it all."""

from __future__ import annotations

import io
import json
import os
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import hashmatch as hm
from conftest import IMAGES, golden
from hashmatch.hashing.hash_image import hash_all
from hashmatch.testing import flipped, hash_list, picture, random_hashes

if TYPE_CHECKING:
    from pathlib import Path

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
PICTURE = IMAGES / "plain/landscape-dusk.jpg"
BROKEN = IMAGES / "damaged/empty.jpg"


def near(algorithm: str, distance: int = 0, image: Any = PICTURE) -> hm.HashList:
    """Return a list of one entry, `distance` bits from the hash of `image`."""
    hashed = hm.hash_image(image, algorithm)
    entry = flipped(hashed.hashes, distance, seed=distance)
    return hm.HashList(algorithm, "1", hashed.spec, entry, (hm.Entry(f"{algorithm}-entry"),))


def check(matcher: hm.Matcher, image: Any = PICTURE) -> Any:
    return matcher.check(image, surface="profile_photo", item_id="user/42")


def test_all_hashes_of_a_picture_are_those_of_each() -> None:
    algorithms = ["sha256", "pdq", "dhash", "md5"]
    every = hash_all(PICTURE, algorithms)
    assert [hashed.spec.algorithm for hashed in every] == algorithms
    assert [hashed.hex for hashed in every] == [hm.hash_image(PICTURE, a).hex for a in algorithms]


def test_one_record_has_the_matches_of_every_kind_closest_first() -> None:
    matcher = hm.Matcher(near("pdq", 9), near("phash", 1), near("sha256"), include_hash=True)
    assert matcher.algorithms == ("pdq", "phash", "sha256")
    record = check(matcher)
    assert [(m.algorithm, m.distance) for m in record.matches] == [
        ("sha256", 0), ("phash", 1), ("pdq", 9),  # 0, 1/64 and 9/256 of the bits
    ]  # fmt: skip
    assert record.match_count == 3
    # The hash that is told of is the closest one; the picture is described all the same.
    assert (record.hash.algorithm, record.hash.quality) == ("sha256", None)
    assert record.hash.value == hm.hash_image(PICTURE, "sha256").hex
    assert (record.item.media_type, record.item.width) == ("image/jpeg", 480)


def test_an_exact_match_needs_no_picture() -> None:
    matcher = hm.Matcher(near("pdq"), near("sha1", image=IMAGES / "damaged/vector.svg"))
    record = check(matcher, IMAGES / "damaged/vector.svg")
    assert [m.entry for m in record.matches] == ["sha1-entry"]
    assert record.item.width is None


def test_what_could_not_be_searched_is_said_if_nothing_matched() -> None:
    result = check(hm.Matcher(near("sha1"), near("pdq")), BROKEN)
    assert (result.outcome, result.reason) == ("undecodable", "the file is empty")
    other = IMAGES / "plain/tiles.png"
    assert check(hm.Matcher(near("sha1"), near("pdq")), other).outcome == "no_match"


def test_limits_by_algorithm() -> None:
    lists = near("pdq", 20), near("phash", 6)
    both = check(hm.Matcher(*lists))
    assert [m.max_distance_from for m in both.matches] == ["algorithm"] * 2
    one = check(hm.Matcher(*lists, max_distance={"pdq": 19}))
    assert [m.algorithm for m in one.matches] == ["phash"]
    # Beside hashes that are equal or not, one number is the limit of the others.
    three = check(hm.Matcher(near("sha256"), near("pdq", 20), max_distance=20))
    assert [(m.max_distance, m.max_distance_from) for m in three.matches] == [
        (0, "algorithm"), (20, "caller"),
    ]  # fmt: skip
    with pytest.raises(hm.UsageError, match="0 to 256"):
        hm.Matcher(near("sha256"), near("pdq", 20), max_distance=257)


def test_pixels_have_no_file_to_digest() -> None:
    with pytest.raises(hm.UsageError, match="by sha256: it is a hash of a file"):
        check(hm.Matcher(near("pdq"), near("sha256")), picture(1))
    with pytest.raises(hm.UsageError, match="Call hash_image"):
        hash_all(PICTURE, "pdq")
    with pytest.raises(hm.UsageError, match=r"as variants. Give one of"):
        hash_all(PICTURE, ["pdq"], variants="some")  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", ["pdq", "dhash"])
def test_a_turned_picture_is_found_by_its_orientations(algorithm: str) -> None:
    pixels = picture(5)
    known = hash_list(hm.hash_image(pixels, algorithm).hashes)
    turned = {
        "upright": pixels, "rotate_270": np.rot90(pixels), "flip_left_right": pixels[:, ::-1],
    }  # fmt: skip
    for undone_by, array in turned.items():
        plain = check(hm.Matcher(known), np.ascontiguousarray(array))
        assert (plain.outcome == "match") == (undone_by == "upright")
        record = check(hm.Matcher(known, variants="orientations"), np.ascontiguousarray(array))
        assert [m.variant for m in record.matches] == [record.hash.variant] == [undone_by]


def test_an_entry_is_named_once_by_the_variant_that_is_closest() -> None:
    eight = hm.hash_image(PICTURE, orientations=True)
    assert eight.variants == tuple(hm.Orientation)
    known = hash_list(hm.HashBatch.concatenate([eight.hashes] * 2))
    record = check(hm.Matcher(known, variants="orientations", max_matches=12, include_hash=True))
    assert (record.match_count, len(record.matches)) == (16, 12)
    assert [m.distance for m in record.matches] == [0] * 12
    assert [m.variant for m in record.matches[:8]] == list(hm.Orientation)
    assert record.hash.value == eight.hex
    with pytest.raises(hm.UsageError, match="it has 8, of 1 variants"):
        hm.HashedImage("x", eight.spec, hm.Outcome.HASHED, eight.hashes)


def test_one_wide_limit_does_not_have_every_entry_looked_at() -> None:
    hashed = hm.hash_image(PICTURE)
    count = 40_000 if JIT else 30
    others = random_hashes(hashed.spec, count, seed=7)
    near = flipped(hashed.hashes, 31, seed=1)
    hashes = hm.HashBatch.concatenate([others, near, flipped(hashed.hashes, 40, seed=2)])
    limits = [256, *[None] * (count - 1), None, 40]
    entries = tuple(hm.Entry(str(row), max_distance=own) for row, own in enumerate(limits))
    known = hm.HashList("mixed", "1", hashed.spec, hashes, entries)
    matcher = hm.Matcher(known, variants="thorough" if JIT else "orientations")
    data = PICTURE.read_bytes()
    check(matcher, data)  # kernels are loaded
    tracemalloc.start()
    record = check(matcher, data)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    found = {(match.entry, match.max_distance) for match in record.matches}
    assert found == {("0", 256), (str(count), 31), (str(count + 1), 40)}
    assert most < 64 * 2**20  # 405 questions by 40,000 entries took 900 MB


def test_variants_only_add_matches() -> None:
    known = hash_list(random_hashes(hm.HashSpec("pdq", 256), 500, seed=3))
    known = hm.HashList("l", "1", known.spec, known.hashes, known.entries, max_distance=108)
    plain = check(hm.Matcher(known)).matches
    more = check(hm.Matcher(known, variants="orientations")).matches
    assert len(plain) < len(more)
    distances = {m.entry: m.distance for m in more}
    assert all(distances[m.entry] <= m.distance for m in plain)


def test_a_scan_of_several_kinds(tmp_path: Path) -> None:
    plant = golden("hashes")["plain/tiles.png"]
    (tmp_path / "md5.txt").write_text(f"{plant['md5']},tiles by md5\n")
    (tmp_path / "pdq.txt").write_text(f"{plant['pdq']},tiles by pdq\n")
    lists = [hm.read_list(tmp_path / f"{kind}.txt", kind) for kind in ("pdq", "md5")]
    results = list(hm.scan_source(IMAGES / "plain", hm.Matcher(*lists), surface="public_post"))
    records = [json.loads(r.to_json()) for r in results if isinstance(r, hm.ReviewRecord)]
    assert [[m["list"] for m in record["matches"]] for record in records] == [["pdq", "md5"]]
    assert {m["frame"] for m in records[0]["matches"]} == {0}


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF"])
def test_a_picture_hidden_in_an_animation_is_found_in_its_frame(kind: str) -> None:
    first, *others = (Image.fromarray(picture(seed)) for seed in (1, 2, 3))
    file = io.BytesIO()
    first.save(file, kind, save_all=True, append_images=others, duration=200)
    image = file.getvalue()
    known = hash_list(hm.hash_image(picture(3)).hashes)
    assert check(hm.Matcher(known), image).outcome == "no_match"
    record = check(hm.Matcher(near("sha1", image=image), known, variants="standard"), image)
    assert [(m.algorithm, m.frame) for m in record.matches] == [("sha1", 0), ("pdq", 2)]
    assert (record.item.frame, record.item.width) == (0, 480)
    assert check(hm.Matcher(known, variants="standard"), image).item.frame == 2
    every = hash_all(image, ["md5", "pdq"], variants="standard")
    seen = [(h.spec.algorithm, h.frame) for h in every if h.variants[0] == "upright"]
    assert seen == [("md5", 0), ("pdq", 0), ("pdq", 1), ("pdq", 2)]


def test_a_framed_and_a_cropped_picture_are_found_by_their_levels() -> None:
    pixels = picture(5, 480, 360)
    known = hash_list(hm.hash_image(pixels).hashes)
    framed = np.pad(pixels, ((20, 20), (24, 24), (0, 0)))
    cropped = np.ascontiguousarray(pixels[12:-6, 10:-14])
    for array, level, prefix in ((framed, "standard", "trim"), (cropped, "thorough", "pad:")):
        assert check(hm.Matcher(known, variants="orientations"), array).outcome == "no_match"
        record = check(hm.Matcher(known, variants=level), array)  # type: ignore[arg-type]
        assert record.matches[0].variant.startswith(prefix)
        assert record.match_count == 1
