"""One image and many: the same answer, every item in exactly one outcome."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

import hashmatch as hm
from conftest import FIXTURES, IMAGES, LISTS, golden
from hashmatch.records.images import ImageError
from hashmatch.testing import MemorySource, flipped, hash_list, picture, random_hashes

if TYPE_CHECKING:
    from pathlib import Path

PDQ = hm.HashSpec("pdq", 256)
PICTURE = IMAGES / "plain/landscape-dusk.jpg"


def known_at(distance: int, **entry: Any) -> hm.HashList:
    """Return a list of one entry that lies `distance` bits from PICTURE."""
    near = flipped(hm.hash_image(PICTURE).hashes, distance, seed=distance)
    return hm.HashList("near", "1", PDQ, near, (hm.Entry("e", **entry),))


def check(matcher: hm.Matcher, image: Any = PICTURE, **options: Any) -> Any:
    return matcher.check(image, surface="profile_photo", item_id="user/42", **options)


@pytest.mark.parametrize("plant", golden("lists")["planted"], ids=lambda plant: plant["entry"])
def test_every_planted_entry_is_found_at_its_distance(plant: dict[str, Any]) -> None:
    known = hm.read_list(FIXTURES / plant["list"], plant["algorithm"], skip_bad_rows=True)
    image = IMAGES / plant["file"]
    hashed = hm.hash_image(image, plant["algorithm"])
    ids = [entry.external_id for entry in known.entries]
    hits = hm.HashIndex.build(known.hashes).search(hashed.hashes, max_distance=40)
    near = {(ids[e], d) for e, d in zip(hits.entry.tolist(), hits.distance.tolist(), strict=True)}
    if plant["entry"] is not None:
        assert (plant["entry"], plant["distance"]) in near
    assert plant["distance"] in {distance for _, distance in near}


@pytest.mark.parametrize(("distance", "matches"), [(0, True), (30, True), (31, True), (32, False)])
def test_the_limit_is_inclusive(distance: int, matches: bool) -> None:
    result = check(hm.Matcher(known_at(distance)))
    assert (result.outcome is hm.Outcome.MATCH) == matches
    if matches:
        assert isinstance(result, hm.ReviewRecord)
        assert result.matches[0].distance == distance
        assert result.item.key == "user/42"
        assert result.status == "pending_review"


@pytest.mark.parametrize(
    ("own", "of_list", "caller", "limit", "source"),
    [
        (None, None, None, 31, "algorithm"),
        (None, None, 20, 20, "caller"),
        (None, 25, 20, 25, "list"),
        (40, 25, 20, 40, "entry"),
        (0, None, None, 0, "entry"),
    ],
)
def test_whose_limit_counts(
    own: int | None, of_list: int | None, caller: int | None, limit: int, source: str
) -> None:
    for distance in (limit, limit + 1):
        near = known_at(distance, max_distance=own)
        known = hm.HashList("l", "1", PDQ, near.hashes, near.entries, max_distance=of_list)
        result = check(hm.Matcher(known, max_distance=caller))
        if distance > limit:
            assert result.outcome is hm.Outcome.NO_MATCH
        else:
            assert result.matches[0].max_distance == limit
            assert result.matches[0].max_distance_from == source


def test_several_lists_closest_first() -> None:
    lists = [
        hm.HashList(name, version, PDQ, known_at(distance).hashes, (hm.Entry(name),))
        for name, version, distance in (("a", "1", 20), ("b", "2", 3), ("c", "3", 12))
    ]
    record = check(hm.Matcher(*lists))
    assert [(m.list, m.list_version, m.distance) for m in record.matches] == [
        ("b", "2", 3), ("c", "3", 12), ("a", "1", 20),
    ]  # fmt: skip


def test_a_flood_is_counted_in_full() -> None:
    one = hm.hash_image(PICTURE).hashes
    known = hash_list(hm.HashBatch.concatenate([one] * 250))
    record = check(hm.Matcher(known, max_matches=10))
    assert (len(record.matches), record.match_count) == (10, 250)


def test_record_ids_are_stable() -> None:
    clock = [datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)]
    matcher = hm.Matcher(known_at(4), now=clock.pop)
    first, second = check(matcher, version="v1"), check(matcher, version="v1")
    assert first.record_id == second.record_id
    assert (first.created_at, second.created_at) == ("2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
    assert check(hm.Matcher(known_at(4)), version="v2").record_id != first.record_id
    newer = hm.HashList("near", "2", PDQ, known_at(4).hashes, (hm.Entry("e"),))
    assert check(hm.Matcher(newer), version="v1").record_id != first.record_id


def test_no_hash_is_in_a_record_unless_asked_for() -> None:
    known = hm.HashList("l", "1", PDQ, known_at(4).hashes, (hm.Entry(),))
    record = check(hm.Matcher(known)).to_json().decode()
    own = hm.hash_image(PICTURE).hex
    assert own not in record
    assert known.hashes.to_hex()[0] not in record
    assert json.loads(record)["matches"][0]["entry"].startswith("ref:")
    asked = check(hm.Matcher(known, include_hash=True)).to_json().decode()
    assert json.loads(asked)["hash"]["value"] == own
    assert known.hashes.to_hex()[0] not in asked


def test_references_with_a_key_outlive_the_list_version() -> None:
    one = known_at(4).hashes
    more = hm.HashBatch.concatenate([one, random_hashes(PDQ, 1, seed=1)])
    small = hm.HashList("l", "1", PDQ, one, (hm.Entry(),))
    large = hm.HashList("l", "2", PDQ, more, (hm.Entry(), hm.Entry()))

    def reference(known: hm.HashList, key: bytes | None) -> str:
        entry: str = check(hm.Matcher(known, reference_key=key)).matches[0].entry
        return entry

    assert reference(small, b"s" * 16) == reference(large, b"s" * 16)
    assert reference(small, None) != reference(large, None)


@pytest.mark.parametrize(
    ("image", "outcome"),
    [
        (IMAGES / "flat/solid.png", hm.Outcome.LOW_QUALITY),
        (IMAGES / "small/icon.png", hm.Outcome.TOO_SMALL),
        (IMAGES / "damaged/empty.jpg", hm.Outcome.UNDECODABLE),
        (IMAGES / "damaged/vector.svg", hm.Outcome.UNSUPPORTED),
        ("missing.jpg", hm.Outcome.FAILED),
        (picture(77), hm.Outcome.NO_MATCH),
    ],
)
def test_whatever_is_not_a_match_says_why(image: Any, outcome: hm.Outcome) -> None:
    result = check(hm.Matcher(known_at(0)), image)
    assert isinstance(result, hm.ItemOutcome)
    assert result.outcome is outcome
    assert bool(result.reason) == (outcome is not hm.Outcome.NO_MATCH)


def test_calls_that_are_wrong() -> None:
    known = known_at(0)
    with pytest.raises(hm.UsageError, match="Give one at least"):
        hm.Matcher()
    other = hash_list(random_hashes(hm.HashSpec("phash", 64), 1, seed=1))
    with pytest.raises(hm.UsageError, match="one max_distance for pdq, phash"):
        hm.Matcher(known, other, max_distance=5)
    with pytest.raises(hm.UsageError, match="for dhash: there is no list of it"):
        hm.Matcher(known, max_distance={"dhash": 5})
    with pytest.raises(hm.UsageError, match=r"as variants. Give one of none, orientations"):
        hm.Matcher(known, variants="all")  # type: ignore[arg-type]
    with pytest.raises(hm.UsageError, match="0 to 256"):
        hm.Matcher(known, max_distance=257)
    for key in (b"x" * 65, b"x" * 15, "a secret of text, long enough"):
        with pytest.raises(hm.UsageError, match="16 to 64 bytes"):
            hm.Matcher(known, reference_key=key)  # type: ignore[arg-type]
    for wrong in ({"max_matches": 0}, {"min_quality": 101}, {"max_distance": 31.5}):
        with pytest.raises(hm.UsageError, match="whole number"):
            hm.Matcher(known, **wrong)
    with pytest.raises(hm.UsageError, match=r"cannot match with str"):
        hm.Matcher("known.csv")  # type: ignore[arg-type]
    with pytest.raises(hm.UnknownSurface):
        hm.Matcher(known).check(PICTURE, surface="message")
    with pytest.raises(hm.UsageError, match="not within 0 to 256"):
        hm.Matcher(known_at(0, max_distance=300))
    for limit in (31.7, "31", float("nan")):
        with pytest.raises(hm.UsageError, match="no whole number of bits"):
            hm.Matcher(known_at(0, max_distance=limit))
    item = hm.ImageItem("k", "1", hm.Surface.PUBLIC_POST)
    for hashed in ([hm.hash_image(PICTURE, "phash")], [], hm.hash_all(PICTURE, ["pdq", "md5"])):
        with pytest.raises(hm.SpecMismatch, match="is hashed as"):
            hm.Matcher(known).decide(item, hashed)
    with pytest.raises(hm.SpecMismatch, match="cannot look up hashes of phash"):
        hm.Matcher(known).look_up(other.hashes)
    with pytest.raises(hm.UsageError, match="cannot look up list"):
        hm.Matcher(known).look_up(["00" * 32])  # type: ignore[arg-type]


@pytest.mark.parametrize("surface", ["e2ee_message", None, 5])
def test_no_way_leads_past_the_surfaces(surface: Any) -> None:
    matcher = hm.Matcher(known_at(0))
    with pytest.raises(hm.UnknownSurface):
        hm.ImageItem("k", "1", surface)
    with pytest.raises(hm.UnknownSurface):
        list(hm.scan_source(MemorySource({"a": b""}, surface), matcher))
    with pytest.raises(hm.UnknownSurface):
        matcher.check(PICTURE, surface=surface)


def test_a_source_has_its_surface_and_a_path_is_given_one() -> None:
    matcher = hm.Matcher(known_at(0))
    with pytest.raises(hm.UsageError, match="it knows that of its images"):
        hm.scan_source(MemorySource({}, hm.Surface.PUBLIC_POST), matcher, surface="public_post")
    results = hm.scan_source(IMAGES / "flat", matcher, surface="public_post")
    assert [result.outcome for result in results] == ["low_quality"] * 2


def test_what_has_no_name_is_given_one() -> None:
    matcher = hm.Matcher(known_at(0))
    with pytest.raises(hm.UsageError, match="Give item_id"):
        matcher.check(PICTURE.read_bytes(), surface="user_report")
    record = matcher.check(PICTURE, surface="user_report")
    assert isinstance(record, hm.ReviewRecord)
    assert record.item.key == str(PICTURE)
    odd = matcher.check(PICTURE, surface="user_report", item_id="a\udcff\ud800")
    assert isinstance(odd, hm.ReviewRecord)
    assert json.loads(odd.to_json())["item"]["key"] == r"a\xed\xb3\xbf\xed\xa0\x80"
    with pytest.raises(hm.UsageError, match="are no text"):
        check(matcher, version=3)


def test_versions_follow_the_content() -> None:
    matcher = hm.Matcher(known_at(0))
    paletted = Image.fromarray(picture(1)).convert("P")
    recoloured = paletted.copy()  # the same numbers, other colours
    recoloured.putpalette((paletted.getpalette() or [])[::-1])
    images: list[Any] = [
        b"x", b"yy", PICTURE.read_bytes(), picture(1), picture(2), paletted, recoloured,
    ]  # fmt: skip
    results = [check(matcher, image) for image in images]
    versions = [getattr(r, "version", None) or r.item.version for r in results]
    assert len(set(versions)) == len(images)
    assert check(matcher, b"x").version == versions[0]


def test_damaged_pillow_images_are_checked_like_their_files() -> None:
    matcher = hm.Matcher(known_at(0))
    damaged = IMAGES / "damaged/truncated.jpg"
    with Image.open(damaged) as image:
        result = check(matcher, image)
    assert (result.outcome, result.damaged) == (hm.Outcome.NO_MATCH, True)
    assert result.version.startswith("s2-")
    with Image.open(io.BytesIO(damaged.read_bytes()[:900])) as image:
        assert isinstance(check(matcher, image).outcome, hm.Outcome)
    assert check(matcher, "missing.jpg").version == "unread"


def test_record_ids_depend_on_what_they_should() -> None:
    lists = [
        hm.HashList(name, "1", PDQ, known_at(4).hashes, (hm.Entry("e"),)) for name in ("a", "b")
    ]
    one, other = hm.Matcher(*lists), hm.Matcher(*reversed(lists))
    assert check(one).record_id == check(other).record_id
    assert check(one).record_id != check(hm.Matcher(lists[0])).record_id
    reported = one.check(PICTURE, surface="user_report", item_id="user/42")
    assert isinstance(reported, hm.ReviewRecord)
    assert reported.record_id != check(one).record_id


def test_the_least_quality_is_the_matchers() -> None:
    flat = IMAGES / "flat/gradient.png"
    assert check(hm.Matcher(known_at(0)), flat).outcome is hm.Outcome.LOW_QUALITY
    assert check(hm.Matcher(known_at(0), min_quality=0), flat).outcome is hm.Outcome.NO_MATCH


def test_no_secret_is_in_a_repr() -> None:
    matcher = hm.Matcher(known_at(0), reference_key=b"TOP SECRET, REALLY")
    assert "SECRET" not in repr(vars(matcher)) + repr(vars(matcher._lookup))


def test_an_empty_list_matches_nothing() -> None:
    empty = hm.HashList("empty", "1", PDQ, hm.HashBatch.from_hex(PDQ, []), ())
    assert check(hm.Matcher(empty)).outcome is hm.Outcome.NO_MATCH


def test_one_matcher_from_many_threads() -> None:
    matcher = hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv"))
    paths = sorted((IMAGES / "modes").iterdir()) * 2

    def distance(path: Path) -> int:
        result = check(matcher, path)
        return result.matches[0].distance if isinstance(result, hm.ReviewRecord) else -1

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(distance, paths)) == [distance(path) for path in paths]


def test_exact_hashes_match_files_that_are_no_pictures() -> None:
    known = hm.read_list(LISTS / "mixed-types.csv", "md5")
    record = check(hm.Matcher(known), PICTURE.read_bytes())
    assert record.matches[0].entry == "img-1"
    assert (record.item.width, record.hash.decode_policy) == (None, "")
    assert check(hm.Matcher(known), b"anything").outcome is hm.Outcome.NO_MATCH


def test_scan_and_check_give_the_same_record() -> None:
    matcher = hm.Matcher(hm.read_list(LISTS / "demo-pdq.csv"))
    results = list(hm.scan_source(str(IMAGES), matcher, surface="profile_photo"))
    records = [result for result in results if isinstance(result, hm.ReviewRecord)]
    assert len(records) > 5
    for record in records:
        item = record.item
        again = matcher.check(
            IMAGES / item.key, surface=item.surface, item_id=item.key, version=item.version
        )
        assert isinstance(again, hm.ReviewRecord)
        assert (again.record_id, again.matches) == (record.record_id, record.matches)


def test_every_item_listed_is_counted_once() -> None:
    failing = ImageError(hm.Outcome.FAILED, "cannot be read: connection reset")
    images: dict[str, bytes | ImageError] = {
        "good": PICTURE.read_bytes(),
        "bad": b"",
        "gone": failing,
        "text": b"hello there",
    }
    matcher = hm.Matcher(known_at(0))
    report = hm.ScanReport(matcher)
    source = MemorySource(images, hm.Surface.USER_REPORT)
    for result in hm.scan_source(source, matcher, observe=report):
        report.add(result)
    report.finish()
    content = json.loads(report.to_json())
    assert content["listed"] == sum(content["outcomes"].values()) == 4
    assert content["records"] == content["outcomes"]["match"] == 1
    assert content["lists"] == [
        {"name": "near", "version": "1", "algorithm": "pdq", "entries": 1, "rejected": 0}
    ]
    assert content["not_searched"][1] == {
        "item": "gone", "outcome": "failed", "reason": "cannot be read: connection reset",
    }  # fmt: skip
    assert report.unhashed == 3


def test_a_surface_is_needed() -> None:
    matcher = hm.Matcher(known_at(0))
    with pytest.raises(hm.UsageError, match="without a surface"):
        hm.scan_source(str(IMAGES), matcher)
    with pytest.raises(hm.UnknownPlugin, match="cannot open s4://: no source of that scheme"):
        hm.scan_source("s4://bucket", matcher, surface="public_post")
