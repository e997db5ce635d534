"""What a calibration counts is what a naive loop counts; what it writes holds no hash."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

import hashmatch as hm
from hashmatch.calibration import calibrate as logic
from hashmatch.calibration import nearest
from hashmatch.calibration.calibrate import calibrate, read_answers, write_questions
from hashmatch.calibration.report import Shown, expectations, to_json, write_json, write_report
from hashmatch.lists.calibrations import place, read_calibrations, write_calibration
from hashmatch.records.entries import Entry
from hashmatch.records.images import HashedImage, ItemOutcome
from hashmatch.testing import flipped, hash_list, random_hashes
from video_lists import drawn_video, video_list

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hashmatch.calibration.calibrate import Picture

PDQ = hm.HashSpec("pdq", 256)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def picture(key: str, hashes: hm.HashBatch, quality: int | None = 90) -> Picture:
    """Return a picture with so many variants, the first upright."""
    names = ("upright", *(f"turn:{number}" for number in range(1, len(hashes))))
    hashed = HashedImage(
        key, hashes.spec, hm.Outcome.HASHED, hashes, quality=quality, variants=names
    )
    return hm.ImageItem(key, "1", hm.Surface.PUBLIC_POST), [hashed]


def planted(
    known: hm.HashList, seed: int, places: Sequence[tuple[int, int]], variants: int = 1
) -> list[Picture]:
    """Return pictures of random hashes, of which the last of each is so far from such an entry."""
    found = []
    for number, (entry, distance) in enumerate(places):
        own = random_hashes(PDQ, variants - 1, seed=1000 * seed + number)
        near = flipped(known.hashes[entry : entry + 1], distance, seed=number)
        found.append(picture(f"{number}.jpg", hm.HashBatch.concatenate([own, near])))
    return found


def naive_nearest(known: hm.HashList, hashed: HashedImage) -> tuple[int, int]:
    """Return the distance and number of the entry nearest to any hash of a picture."""
    return min(
        ((int(query, 16) ^ int(entry, 16)).bit_count(), number)
        for query in hashed.hashes.to_hex()
        for number, entry in enumerate(known.hashes.to_hex())
    )


def test_counts_are_those_of_a_naive_loop() -> None:
    known = hash_list(random_hashes(PDQ, 40, seed=1))
    chance = random.Random(2)
    places = [(chance.randrange(40), chance.randrange(60)) for _ in range(60)]
    pictures = planted(known, 3, places, variants=3)
    found = calibrate(pictures, hm.Matcher(known), now=lambda: NOW)
    kept = found.lists[0].calibration
    expected = [naive_nearest(known, hashed[0])[0] for _, hashed in pictures]  # type: ignore[index, arg-type]
    assert (kept.pictures, kept.reach, kept.at) == (60, 256, "2026-01-01T00:00:00Z")
    for limit in range(0, 130):
        assert kept.counted(limit).records == sum(each <= limit for each in expected)
    assert dict(found.lists[0].variants) == {"turn": kept.counted(31).records}
    assert found.together.records == kept.counted(31).records


def test_few_looks_at_all_entries_give_the_same_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    known = hash_list(random_hashes(PDQ, 50, seed=1))
    pictures = planted(known, 3, [(n % 50, n) for n in range(60)])
    whole = calibrate(pictures, hm.Matcher(known)).lists[0]
    monkeypatch.setattr(nearest, "COMPARISONS", 50 * 30)
    some = calibrate(pictures, hm.Matcher(known), up_to=40, expected=60).lists[0]
    assert 10 < some.asked_all < 50
    assert (whole.asked_all, some.calibration.reach) == (60, 40)
    for limit in range(41):
        assert some.calibration.counted(limit) == whole.calibration.counted(limit)
    assert some.calibration.expected(41) is None


def test_limits_of_entries_count_at_every_limit() -> None:
    hashes = random_hashes(PDQ, 3, seed=1)
    entries = (Entry("a"), Entry("b", max_distance=50), Entry("c", max_distance=2))
    known = hm.HashList("known", "1", PDQ, hashes, entries)
    pictures = planted(known, 3, [(0, 20), (1, 45), (1, 55), (2, 1), (2, 20)])
    found = calibrate(pictures, hm.Matcher(known))
    kept = found.lists[0].calibration
    matcher = hm.Matcher(known)
    records = sum(
        isinstance(matcher.decide(item, hashed), hm.ReviewRecord)  # type: ignore[arg-type]
        for item, hashed in pictures
    )
    assert (kept.counted(31).records, records) == (3, 3)
    assert [kept.counted(limit).records for limit in (0, 19, 20)] == [2, 2, 3]


def test_a_limit_of_the_list_is_the_limit() -> None:
    hashes = random_hashes(PDQ, 2, seed=1)
    known = hm.HashList("known", "1", PDQ, hashes, (Entry("a"), Entry("b")), max_distance=10)
    one = calibrate(planted(known, 3, [(0, 9), (1, 20)]), hm.Matcher(known)).lists[0]
    assert (one.limit, one.calibration.counted(one.limit).records) == (10, 1)
    assert one.calibration.counted(20).records == 2


def test_copies_count_once_unless_somebody_says_they_differ() -> None:
    known = hash_list(random_hashes(PDQ, 5, seed=1))
    first = random_hashes(PDQ, 1, seed=9)
    pictures = [
        picture("a.jpg", first),
        picture("b.jpg", flipped(first, 7, seed=1)),
        picture("c.jpg", flipped(first, 60, seed=1)),
    ]
    found = calibrate(pictures, hm.Matcher(known))
    assert (found.pictures, found.duplicates) == (2, 1)
    assert found.questions[0] == ("b.jpg", "picture", "a.jpg", None, "")
    again = calibrate(pictures, hm.Matcher(known), answers={"b.jpg": "different"})
    assert (again.pictures, again.duplicates) == (3, 0)
    assert again.questions[0].answer == "different"


def test_listed_pictures_are_left_out_once_somebody_says_so(tmp_path: Path) -> None:
    known = hash_list(random_hashes(PDQ, 5, seed=1))
    pictures = planted(known, 3, [(0, 3), (1, 6), (2, 8), (3, 90)])
    found = calibrate(pictures, hm.Matcher(known))
    assert [(one.item, one.near, one.distance) for one in found.questions] == [
        ("0.jpg", "entry", 3), ("1.jpg", "entry", 6),
    ]  # fmt: skip
    assert found.lists[0].calibration.counted(31).records == 3
    path = tmp_path / "questions.jsonl"
    write_questions(path, found.questions)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["answer"], lines[1]["answer"] = "listed", "false"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    answers = read_answers(path)
    assert answers == {"0.jpg": "listed", "1.jpg": "false"}
    again = calibrate(pictures, hm.Matcher(known), answers=answers)
    assert (again.pictures, again.listed) == (3, 1)
    assert again.lists[0].calibration.counted(31).records == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"item": "a", "answer": "yes"}', "line 1. Give one of listed, false, duplicate"),
        ("[]", "line 1: Expected `object`, got `array`. Give the lines"),
    ],
)
def test_answers_that_are_none(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text(line)
    with pytest.raises(hm.UsageError, match=said):
        read_answers(path)
    with pytest.raises(hm.UsageError, match=r"No such file or directory\. Check the path"):
        read_answers(tmp_path / "other")


def test_hubs_are_named_and_counted_apart() -> None:
    known = hash_list(random_hashes(PDQ, 30, seed=1))
    hub = [(7, 8 + n) for n in range(12)]
    pictures = planted(known, 3, [*hub, (8, 12), (9, 14), *[(1, 100)] * 40])
    one = calibrate(pictures, hm.Matcher(known)).lists[0]
    assert one.calibration.counted(31) == (31, 14, 1.0)  # the hub is no chance: it stays
    assert one.hubs == (("made-up-7", 12),)
    assert (one.hub_count, one.without_hubs.records) == (1, 2)


def test_qualities_are_apart() -> None:
    known = hash_list(random_hashes(PDQ, 3, seed=1))
    near, far = flipped(known.hashes[:1], 12, seed=1), random_hashes(PDQ, 1, seed=5)
    pictures = [
        picture("a", near, 55), picture("b", far, 55), picture("c", flipped(far, 90, seed=2), 99),
        picture("d", random_hashes(PDQ, 1, seed=6), None),
    ]  # fmt: skip
    one = calibrate(pictures, hm.Matcher(known)).lists[0]
    assert [(name, share.part, share.whole) for name, share in one.qualities] == [
        ("50 to 64", 1, 2), ("95 to 100", 0, 1), ("not measured", 0, 1),
    ]  # fmt: skip


def test_a_picture_counts_once_for_several_lists() -> None:
    first = hash_list(random_hashes(PDQ, 3, seed=1), name="first")
    second = hash_list(first.hashes, name="second")
    pictures = planted(first, 3, [(0, 12), (1, 90)])
    found = calibrate(pictures, hm.Matcher(first, second))
    assert [one.calibration.counted(31).records for one in found.lists] == [1, 1]
    assert found.together.records == 1


def test_what_cannot_be_looked_up_is_counted() -> None:
    known = hash_list(random_hashes(PDQ, 3, seed=1))
    item, _ = picture("broken", known.hashes[:1])
    outcome = ItemOutcome("broken", "1", hm.Surface.PUBLIC_POST, hm.Outcome.UNDECODABLE, "cut off")
    low = HashedImage("low", PDQ, hm.Outcome.LOW_QUALITY, known.hashes[:1], quality=3)
    pictures: list[Picture] = [
        (item, outcome), (item, [low]), picture("good", random_hashes(PDQ, 1, seed=4)),
    ]  # fmt: skip
    found = calibrate(pictures, hm.Matcher(known))
    assert (found.pictures, found.outcomes) == (1, {"undecodable": 1, "low_quality": 1})
    with pytest.raises(hm.UsageError, match="no picture of the sample could be looked up"):
        calibrate(pictures[:2], hm.Matcher(known))


def test_lists_of_videos_are_refused() -> None:
    known = hash_list(random_hashes(PDQ, 3, seed=1))
    videos = video_list([drawn_video(1, 5)])
    with pytest.raises(hm.UsageError, match=r"it is of videos\. Give lists of pictures"):
        calibrate([], hm.Matcher(known, videos))


def test_limits_of_levels_are_refused() -> None:
    known = hash_list(random_hashes(PDQ, 3, seed=1))
    limits = {"pdq": 31, "thorough": 40}
    matcher = hm.Matcher(known, max_distance=limits, variants="thorough")
    with pytest.raises(hm.UsageError, match="cannot calibrate the limit of a level"):
        calibrate([], matcher)


def test_kept_beside_a_list_and_said_at_a_scan(tmp_path: Path) -> None:
    path = tmp_path / "known.csv"
    hashes = random_hashes(PDQ, 20, seed=1)
    path.write_text(
        "pdq,id\n" + "".join(f"{text},e{n}\n" for n, text in enumerate(hashes.to_hex()))
    )
    known = hm.read_list(path, version="17")
    matcher = hm.Matcher(known)
    assert list(expectations(matcher, 1000)) == []
    one = calibrate(planted(known, 3, [(0, 12), *[(1, 90)] * 99]), matcher).lists[0]
    write_calibration(path, one.calibration)
    assert read_calibrations(path) == (one.calibration,)
    again = hm.Matcher(hm.read_list(path, version="17"))
    (line,) = expectations(again, 1000)
    assert line.startswith("list known version 17, pdq up to 31 bits: about 10 false records in ")
    later = hm.Matcher(hm.read_list(path, version="18"))
    (line,) = expectations(later, None)
    assert line.endswith("; this is of version 17: calibrate it again")
    item, hashed = planted(known, 3, [(0, 12)])[0]
    record = later.decide(item, hashed)  # type: ignore[arg-type]
    assert isinstance(record, hm.ReviewRecord)
    said = record.matches[0].calibration
    assert (said.expected, said.per, said.list_version) == (10_000, 10**6, "17")  # type: ignore[union-attr]
    assert hm.ReviewRecord.from_json(record.to_json()) == record
    assert list(expectations(hm.Matcher(known, variants="standard"), 5)) == []
    other = hm.Matcher(hm.read_list(path), variants="orientations")
    record = other.decide(item, hashed)  # type: ignore[arg-type]
    assert b"calibration" not in record.to_json()  # type: ignore[union-attr]


def test_what_is_kept_and_broken_costs_no_match(tmp_path: Path) -> None:
    path = tmp_path / "known.csv"
    path.write_text(f"pdq,id\n{random_hashes(PDQ, 1, seed=1).to_hex()[0]},a\n")
    (tmp_path / "known.csv.calibration.json").write_text("{}")
    known = hm.read_list(path)
    assert (len(known), known.calibrations) == (1, ())
    assert "calibrate the list again" in known.problems[0]
    with pytest.raises(hm.ListError, match="Remove it, and calibrate"):
        read_calibrations(path)


def test_of_each_level_the_last_one_is_kept(tmp_path: Path) -> None:
    known = hash_list(random_hashes(PDQ, 5, seed=1))
    path = tmp_path / "store"
    for variants, count in (("none", 5), ("thorough", 6), ("none", 7)):
        matcher = hm.Matcher(known, variants=variants)  # type: ignore[arg-type]
        one = calibrate(planted(known, 3, [(0, 90)] * count), matcher).lists[0]
        write_calibration(f"{path}/", one.calibration)
    kept = read_calibrations(path)
    assert [(one.variants, one.pictures) for one in kept] == [("thorough", 6), ("none", 7)]
    assert place(path) == f"{path}.calibration.json"


def test_nothing_written_holds_a_hash(tmp_path: Path) -> None:
    known = hash_list(random_hashes(PDQ, 20, seed=1))
    pictures = planted(known, 3, [*[(0, n) for n in range(12)], *[(1, 80 + n) for n in range(60)]])
    found = calibrate(pictures, hm.Matcher(known), benign="photos")
    link = "file:///photos/{}".format
    write_report(
        tmp_path / "a.html", found, shown=Shown(link, {"0.jpg": "data:image/png;base64,AA"})
    )
    write_json(tmp_path / "a.json", found)
    write_questions(tmp_path / "a.jsonl", found.questions)
    write_calibration(tmp_path / "known", found.lists[0].calibration)
    hashes = [*known.hashes.to_hex(), *(h for _, (one,) in pictures for h in one.hashes.to_hex())]  # type: ignore[misc, union-attr]
    for path in tmp_path.iterdir():
        text = path.read_text()
        assert not any(value[at : at + 16] in text for value in hashes for at in range(0, 48, 8))
    page = (tmp_path / "a.html").read_text()
    assert 'href="file:///photos/0.jpg"' in page
    assert page.count("<svg") == page.count('role="img"') > 0
    assert "default-src 'none'" in page
    assert "<script" not in page


def test_names_are_escaped(tmp_path: Path) -> None:
    known = hash_list(random_hashes(PDQ, 5, seed=1), name="<b>list</b>")
    item, (hashed,) = planted(known, 3, [(0, 3)])[0]  # type: ignore[misc]
    item = replace(item, key="<i>")
    found = calibrate([(item, [hashed])], hm.Matcher(known), benign="<u>")
    write_report(tmp_path / "a.html", found)
    page = (tmp_path / "a.html").read_text()
    assert not {"<i>", "<b>", "<u>"} & {page[at : at + 3] for at in range(len(page))}


def test_the_json_says_what_the_page_says() -> None:
    known = hash_list(random_hashes(PDQ, 20, seed=1))
    pictures = planted(known, 3, [(0, 20), *[(1, 70 + n) for n in range(99)]])
    said = to_json(calibrate(pictures, hm.Matcher(known)))
    assert said["schema"] == "hashmatch.calibration-report/1"
    one = said["lists"][0]
    assert (one["expected"]["records"], one["expected"]["expected"]) == (1, 10_000)
    assert one["expected"]["low"] < 10_000 < one["expected"]["high"] <= 10**6
    assert one["tail"]["pictures"] == 100
    assert np.diff([each["records"] for each in one["curve"]]).min() > 0
    assert logic.HUB == 3
