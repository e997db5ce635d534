"""What is known to be harmless is kept out of the queue, and nothing else is; nor a lone source."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import hashmatch as hm
import naive
from hashmatch.testing import flipped, hash_list, picture, random_hashes

PDQ, PHASH, MD5 = hm.HashSpec("pdq", 256), hm.HashSpec("phash", 64), hm.HashSpec("md5", 128)
ITEM = hm.ImageItem("user/42", "1", hm.Surface.PROFILE_PHOTO)
ASKED = random_hashes(PDQ, 1, seed=1)


def image(batch: hm.HashBatch, **fields: Any) -> hm.HashedImage:
    made: dict[str, Any] = {"quality": 90, "decode_policy": "rgb/2", **fields}
    return hm.HashedImage("a", batch.spec, hm.Outcome.HASHED, batch, **made)


def near(distance: int, name: str, batch: hm.HashBatch = ASKED, **entry: Any) -> hm.HashList:
    """A list of one entry, `distance` bits from what is asked."""
    hashes = flipped(batch, distance, seed=7)
    return hm.HashList(name, "1", batch.spec, hashes, (hm.Entry(f"{name}-entry", **entry),))


def check(matcher: hm.Matcher, *images: hm.HashedImage) -> hm.ReviewRecord:
    record = matcher.decide(ITEM, images or (image(ASKED),))
    assert isinstance(record, hm.ReviewRecord)
    return record


@pytest.mark.parametrize(
    ("listed", "benign", "suppressed"),
    [
        (20, 7, True),
        (20, 8, False),  # no re-encoding of it
        (8, 7, True),
        (7, 7, False),  # a tie is for people
        (6, 7, False),  # the list is nearer
        (1, 1, False),
        (1, 0, True),
        (0, 0, False),  # an exact hit is never silenced
    ],
)
def test_only_what_is_nearer_to_a_benign_entry(listed: int, benign: int, suppressed: bool) -> None:
    record = check(hm.Matcher(near(listed, "bad"), benign=near(benign, "good")))
    assert record.matches[0].distance == listed  # it says what it matched all the same
    assert (record.status == "suppressed") == suppressed
    assert record.outcome is (hm.Outcome.SUPPRESSED if suppressed else hm.Outcome.MATCH)
    if suppressed:
        assert record.suppressed_by == hm.SuppressedBy(
            "benign", "good", "1", "good-entry", "pdq", benign
        )
        assert hm.ReviewRecord.from_json(record.to_json()) == record


@given(
    bad=st.lists(st.integers(0, 31), min_size=1, max_size=4),
    good=st.lists(st.integers(0, 12), max_size=4),
)
def test_it_is_the_naive_rule(bad: list[int], good: list[int]) -> None:
    listed = [near(d, f"bad-{n}") for n, d in enumerate(bad)]
    benign = [near(d, f"good-{n}") for n, d in enumerate(good)]
    record = check(hm.Matcher(*listed, benign=benign, max_matches=1))
    assert (record.status == "suppressed") == naive.is_benign(bad, good, 7)


def test_own_limits_of_benign_entries_may_only_be_lower() -> None:
    listed = near(20, "bad")
    for own, at, suppressed in ((3, 4, False), (3, 3, True), (40, 8, False)):
        good = near(at, "good", max_distance=own)
        assert (check(hm.Matcher(listed, benign=good)).status == "suppressed") == suppressed


def test_a_turned_picture_is_still_the_same_and_a_crop_is_not() -> None:
    other = random_hashes(PDQ, 1, seed=2)
    both = hm.HashBatch.concatenate([other, ASKED])
    matcher = hm.Matcher(near(20, "bad"), benign=near(2, "good"))
    turned = image(both, variants=("upright", "rotate_90"))
    assert check(matcher, turned).status == "suppressed"
    crop = image(both, variants=("upright", "crop 5% left"))
    assert check(matcher, crop).status == "pending_review"


def test_a_harmless_frame_does_not_excuse_another() -> None:
    other = random_hashes(PDQ, 1, seed=2)
    known = hm.HashList(
        "bad", "1", PDQ,
        hm.HashBatch.concatenate([flipped(ASKED, 20, seed=1), flipped(other, 22, seed=1)]),
        (hm.Entry("a"), hm.Entry("b")),
    )  # fmt: skip
    frames = (image(ASKED, frame=0), image(other, frame=3))
    good = near(2, "good")
    assert check(hm.Matcher(known, benign=good), *frames).status == "pending_review"
    assert check(hm.Matcher(known, benign=good, max_matches=1), *frames).status == "pending_review"
    also = near(4, "also", other)
    assert check(hm.Matcher(known, benign=[good, also]), *frames).status == "suppressed"


def test_digests_and_kinds_that_only_the_benign_lists_hold() -> None:
    file = io.BytesIO()
    Image.fromarray(picture(1)).save(file, "PNG")
    data = file.getvalue()
    digest = hm.hash_image(data, "md5").hashes
    listed = near(9, "bad", hm.hash_image(data).hashes)
    good = hm.HashList("good", "1", MD5, digest, (hm.Entry(),))
    matcher = hm.Matcher(listed, benign=good, reference_key=b"k" * 16)
    assert matcher.algorithms == ("pdq", "md5")
    record = matcher.check(data, surface="public_post", item_id="post/1")
    assert record.outcome is hm.Outcome.SUPPRESSED
    assert isinstance(record, hm.ReviewRecord)
    by = record.suppressed_by
    assert isinstance(by, hm.SuppressedBy)
    assert (by.algorithm, by.distance) == ("md5", 0)
    assert str(by.entry).startswith("ref:")
    assert digest.to_hex()[0][:8] not in record.to_json().decode()
    # Without that kind of hash nothing is known to be harmless; what the lists hold is needed.
    assert check(matcher, hm.hash_image(data)).status == "pending_review"
    with pytest.raises(hm.SpecMismatch):
        matcher.decide(ITEM, [hm.hash_image(data, "md5")])
    # The same file in both: the exact hit counts.
    both = hm.Matcher(hash_list(digest), benign=good)
    assert both.check(data, surface="public_post", item_id="p").outcome is hm.Outcome.MATCH


def test_nearness_is_compared_by_share_across_kinds() -> None:
    phash = random_hashes(PHASH, 1, seed=3)
    images = image(ASKED), image(phash, quality=None)
    lists = near(20, "bad"), near(1, "worse", phash)  # 1 of 64 is as near as 4 of 256
    for distance, status in ((3, "suppressed"), (4, "pending_review"), (5, "pending_review")):
        found = check(hm.Matcher(*lists, benign=near(distance, "good")), *images)
        assert found.status == status


def test_what_matches_nothing_is_not_searched_in_benign_lists() -> None:
    matcher = hm.Matcher(near(200, "bad"), benign=near(0, "good"))
    matcher.protection.rule = None  # type: ignore[assignment,method-assign]
    assert matcher.decide(ITEM, [image(ASKED)]).outcome is hm.Outcome.NO_MATCH


@pytest.mark.parametrize(
    ("sources", "need", "suppressed"),
    [
        ([("a",)], 2, True),
        ([("a",), ("A ",)], 2, True),  # two spellings are one source
        ([("a",), ("b",)], 2, False),
        ([("a", "b")], 2, False),
        ([("a", "b")], 3, True),
        ([(), ()], 2, False),  # each list is a source of its own
        ([("list-1",), ()], 2, True),  # the second list's name
        ([("a",)], 1, False),
    ],
)
def test_sources_back_each_other(
    sources: list[tuple[str, ...]], need: int, suppressed: bool
) -> None:
    lists = [near(n, f"list-{n}", sources=of) for n, of in enumerate(sources)]
    for most in (1, 100):  # those beyond the named ones count
        record = check(hm.Matcher(*lists, min_sources=need, max_matches=most))
        assert (record.status == "suppressed") == suppressed
        if suppressed:
            by = record.suppressed_by
            assert isinstance(by, hm.SuppressedBy)
            assert (by.reason, by.min_sources) == ("too_few_sources", need)
            assert hm.ReviewRecord.from_json(record.to_json()) == record


def test_the_rules_are_asked_in_their_order() -> None:
    breaker = hm.Breaker(1)
    listed = near(9, "bad", sources=("a",))
    rules: dict[str, Any] = {"min_sources": 2, "breaker": breaker}
    reasons = []
    for options in (rules | {"benign": near(2, "good")}, rules, {"breaker": breaker}) * 2:
        by = check(hm.Matcher(listed, **options)).suppressed_by
        reasons.append(by.reason if isinstance(by, hm.SuppressedBy) else None)
    # What an earlier rule suppresses is no review, so the breaker does not count it.
    assert reasons == ["benign", "too_few_sources", None, "benign", "too_few_sources", "breaker"]


def test_what_is_out_of_range_is_refused() -> None:
    listed = near(0, "bad")
    with pytest.raises(hm.UsageError, match=r"for min_sources. Give a whole number from 1"):
        hm.Matcher(listed, min_sources=0)
    for wrong in ("good.csv", [ASKED], 3):
        with pytest.raises(hm.UsageError, match="Give hash lists"):
            hm.Matcher(listed, benign=wrong)  # type: ignore[arg-type]


def test_other_rules_are_another_record() -> None:
    listed = near(9, "bad")
    pending, suppressed, again = (
        check(hm.Matcher(listed)),
        check(hm.Matcher(listed, benign=near(2, "good"))),
        check(hm.Matcher(listed, benign=near(2, "good"))),
    )
    assert pending.record_id != suppressed.record_id == again.record_id
