"""Matches of screens and pages: marked, put behind others, counted, and suppressed if asked."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from benchmarks.screens import KINDS, apps, matching_pairs
from msgspec import UNSET
from PIL import Image

import hashmatch as hm
from cli_tools import run
from hashmatch.hashing import chrome
from hashmatch.hashing.chrome import MOSTLY
from hashmatch.matching.chrome import is_mostly_chrome
from hashmatch.records.hashes import HashBatch
from hashmatch.records.images import HashedImage
from hashmatch.records.review import SuppressedBy
from hashmatch.review.queue import ReviewQueue
from hashmatch.scan.events import Counters
from hashmatch.testing import flipped, picture
from review_records import make_record

if TYPE_CHECKING:
    from pathlib import Path

    from hashmatch.records.enums import Level

SCREEN = KINDS["chat"](next(iter(apps())), 0)


def list_of(*entries: tuple[str, HashBatch]) -> hm.HashList:
    batch = HashBatch.concatenate([hashes for _, hashes in entries])
    return hm.HashList(
        "known", "1", batch.spec, batch, tuple(hm.Entry(name) for name, _ in entries)
    )


def hash_of(image: Image.Image) -> HashBatch:
    return hm.hash_image(np.array(image), min_quality=0).hashes


def checked(matcher: hm.Matcher, image: Image.Image) -> hm.ReviewRecord:
    result = matcher.check(np.array(image), surface="public_post", item_id="a")
    assert isinstance(result, hm.ReviewRecord)
    return result


def far(image: Image.Image, distance: int) -> HashBatch:
    return flipped(hash_of(image), distance, seed=1)


def test_chrome_of_what_matches_nothing_is_measured_only_to_keep_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    measured = []
    flat = chrome.flat_squares

    def counted(*args: Any) -> Any:
        measured.append(args)
        return flat(*args)

    monkeypatch.setattr(chrome, "flat_squares", counted)
    matcher = hm.Matcher(list_of(("e", far(SCREEN, 8))))
    other = picture(5, 300, 200)
    found = matcher.check(other, surface="public_post", item_id="a")
    assert found.outcome is hm.Outcome.NO_MATCH
    (quick,) = matcher.hash(other, "a", to_keep=False)
    assert not measured
    (kept,) = matcher.hash(other, "a")
    assert len(measured) == 1
    assert isinstance(kept, HashedImage)
    assert isinstance(quick, HashedImage)
    assert kept.hashes == quick.hashes
    (near,) = matcher.hash(np.array(SCREEN), "b", to_keep=False)
    assert len(measured) == 2
    assert isinstance(near, HashedImage)
    assert near.chrome is not None
    assert near.chrome.share() >= MOSTLY


@pytest.mark.parametrize(("distance", "is_marked"), [(0, False), (4, False), (5, True), (31, True)])
def test_a_screen_near_an_entry_is_marked_unless_it_is_the_entry(
    distance: int, is_marked: bool
) -> None:
    """Saved again, a listed screen or page is within 4 bits of itself; other people's are not."""
    record = checked(hm.Matcher(list_of(("e", far(SCREEN, distance)))), SCREEN)
    (match,) = record.matches
    assert (match.mostly_chrome is True) == (record.mostly_chrome is True) == is_marked
    assert match.chrome == record.item.chrome
    assert isinstance(record.item.chrome, float)
    assert MOSTLY <= record.item.chrome <= 1
    said = json.loads(record.to_json())
    assert said.get("mostly_chrome") == said["matches"][0].get("mostly_chrome")
    assert hm.ReviewRecord.from_json(record.to_json()) == record


def test_a_photograph_is_not_marked() -> None:
    photograph = Image.fromarray(picture(3))
    record = checked(hm.Matcher(list_of(("e", far(photograph, 31)))), photograph)
    assert record.matches[0].chrome == 0
    assert "mostly_chrome" not in json.loads(record.to_json())


@pytest.mark.parametrize("level", ["none", "thorough"])
def test_what_is_hashed_apart_is_marked_if_its_chrome_was_measured(level: Level) -> None:
    matcher = hm.Matcher(list_of(("e", far(SCREEN, 20))), variants=level)
    item = hm.ImageItem("a", "", hm.Surface.PUBLIC_POST)
    pixels = np.array(SCREEN)
    marks = [
        record.mostly_chrome
        for chrome in (True, False)
        if isinstance(
            record := matcher.decide(
                item, hm.hash_all(pixels, ["pdq"], variants=level, chrome=chrome)
            ),
            hm.ReviewRecord,
        )
    ]
    assert marks == [True, UNSET]
    assert hm.hash_image(pixels, chrome=True).chrome is not None
    assert hm.hash_image(pixels).chrome is None


def test_what_is_looked_up_by_its_hash_alone_is_not_known() -> None:
    (found,) = hm.Matcher(list_of(("e", hash_of(SCREEN)))).look_up(hash_of(SCREEN))
    assert found.matches[0].chrome is UNSET


def framed() -> tuple[Image.Image, Image.Image]:
    """Return a photograph, and a page that shows it below a bar, between two lines."""
    photograph = Image.fromarray(picture(9, 400, 260))
    page = Image.new("RGB", (400, 800), "white")
    page.paste(photograph, (0, 270))
    return photograph, page


def test_of_an_entry_that_the_inner_picture_matches_too_that_is_the_evidence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here the whole page is nearer to the entry than the picture in it, and is chrome."""
    photograph, page = framed()
    matcher = hm.Matcher(
        list_of(("e", far(photograph, 20)), ("page", far(page, 12))), variants="standard"
    )
    monkeypatch.setattr(
        "hashmatch.hashing.chrome.ChromeMeter.share",
        lambda self, variant="": 0.1 if self.view(variant) else 0.95,
    )
    record = checked(matcher, page)
    by_entry = {match.entry: match for match in record.matches}
    assert by_entry["page"].mostly_chrome is True
    assert by_entry["e"].mostly_chrome is UNSET
    assert str(by_entry["e"].variant).startswith("trim")
    assert record.mostly_chrome is UNSET
    assert not is_mostly_chrome(record.matches)
    distances = [match.distance for match in record.matches]
    assert distances == sorted(distances)
    suppressing = hm.Matcher(
        list_of(("e", far(photograph, 20)), ("page", far(page, 12))),
        variants="standard",
        suppress_chrome=True,
    )
    assert checked(suppressing, page).status == "pending_review"


def test_the_nearer_match_of_the_same_entry_gives_way_to_the_inner_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _photograph, page = framed()
    both = hash_of(page)
    matcher = hm.Matcher(list_of(("e", both)), variants="standard")
    monkeypatch.setattr("hashmatch.matching.chrome.re_encoded", lambda _: -1)
    monkeypatch.setattr(
        "hashmatch.hashing.chrome.ChromeMeter.share",
        lambda self, variant="": 0.1 if variant.startswith(("trim", "smooth")) else 0.95,
    )
    monkeypatch.setattr("hashmatch.hashing.chrome.ChromeMeter.view", lambda self, variant: variant)
    record = checked(matcher, page)
    (match,) = record.matches
    assert match.mostly_chrome is UNSET
    assert record.hash.variant == match.variant == "smooth"


def test_it_is_suppressed_only_if_that_is_asked_for() -> None:
    known = list_of(("e", far(SCREEN, 20)))
    assert checked(hm.Matcher(known), SCREEN).status == "pending_review"
    record = checked(hm.Matcher(known, suppress_chrome=True), SCREEN)
    assert record.status == "suppressed"
    by = record.suppressed_by
    assert isinstance(by, SuppressedBy)
    assert (by.reason, by.entry, by.distance) == ("mostly_chrome", "e", 20)
    counters = Counters()
    counters.add(record)
    assert counters.mostly_chrome == counters.suppressed_by["mostly_chrome"] == 1
    assert hm.Matcher(known).identity != hm.Matcher(known, suppress_chrome=True).identity


def test_pairs_of_screens_do_not_match_without_a_mark() -> None:
    """Of `benchmarks/screens.py` a small part: the same layout, other words."""
    totals = [matching_pairs(app, "chat", 4, "none", "JPEG 85") for app in apps(6)]
    pairs, matched, unmarked = (sum(column) for column in zip(*totals, strict=True))
    assert matched > pairs / 10
    assert unmarked == 0


def test_marked_cases_wait_behind_others(tmp_path: Path) -> None:
    """Never for ever: a week is what they wait for longer."""

    def marked(record: hm.ReviewRecord) -> hm.ReviewRecord:
        matches = tuple(replace(match, mostly_chrome=True, chrome=0.9) for match in record.matches)
        return replace(record, matches=matches, mostly_chrome=True)

    with ReviewQueue.open(str(tmp_path / "queue.db"), create=True) as queue:
        queue.add([marked(make_record(1, entry="one")), make_record(2, entry="two")])
        first, second = (queue.take(name) for name in ("ana", "ben"))
        assert isinstance(first, hm.Case)
        assert isinstance(second, hm.Case)
        assert (first.mostly_chrome, second.mostly_chrome) == (False, True)
        assert first.priority - second.priority == 7 * 24 * 3600
        queue.verify()


def test_a_scan_says_how_many(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    SCREEN.save(folder / "screen.png")
    Image.fromarray(picture(4)).save(folder / "photo.png")
    rows = [
        {"hash": batch.to_hex()[0], "algorithm": "pdq", "id": name}
        for name, batch in (("s", far(SCREEN, 20)), ("p", hash_of(Image.fromarray(picture(4)))))
    ]
    path = tmp_path / "known.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report, metrics = tmp_path / "report.json", tmp_path / "scan.prom"
    call = ["scan", str(folder), "--list", str(path), "--surface", "public_post"]
    kept = "--report", str(report), "--state", str(tmp_path / "state")
    found = run(*call, *kept, "--metrics", str(metrics))
    assert "mostly chrome: 1, matched by" in found.err.decode()
    assert json.loads(report.read_text())["mostly_chrome"] == 1
    assert 'hashmatch_mostly_chrome_records_total{scan="scan"} 1' in metrics.read_text()
    again = run(*call, *kept)
    assert again.code == found.code
    assert json.loads(report.read_text())["mostly_chrome"] == 1
    kept_out = run(*call, "--suppress-chrome", "--report", str(report))
    assert "1 mostly_chrome" in kept_out.err.decode()
    assert json.loads(report.read_text())["suppressed"]["mostly_chrome"] == 1
