"""A reviewer's way through cases: take, see what is known, decide, undo, give back, leave."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from typing import TYPE_CHECKING

import pytest

from hashmatch._plots.plots import THEMES, steps_to
from hashmatch.records.cases import CaseState
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from hashmatch.review.web import app, context
from processes import wait_for
from review_pages import Answer, Browser, ReviewSite, filled, lively, served
from review_records import make_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ReviewSite]:
    with served(filled(tmp_path)) as server:
        yield ReviewSite(server)


@pytest.fixture
def blind(tmp_path: Path) -> Iterator[ReviewSite]:
    """Serve one case that two people have to confirm."""
    settings = Settings(two_reviewers=True)
    with served(filled(tmp_path, settings, ("tiles.png",))) as server:
        yield ReviewSite(server)


def path(page: Answer) -> str:
    """Return the path of the case that a page shows."""
    found = re.search(r'data-picture="(/case/[^"]+)/picture"', page.text)
    assert found, page.text
    return found[1]


def shown(page: Answer) -> str:
    """Return the id of a page of a case."""
    found = re.search(r'data-page="([^"]+)"', page.text)
    assert found
    return found[1]


def decide(browser: Browser, page: Answer, verdict: str, reason: str = "made up") -> Answer:
    fields = {
        "verdict": verdict,
        "reason": reason,
        "digest": page.field("digest"),
    }
    answer = browser.post(f"{path(page)}/decide", fields)
    assert answer.status == 303, answer.text
    return browser.get(answer.headers["location"])


def undo(browser: Browser, page: Answer) -> Answer:
    return browser.post("/undo", {"decision": page.field("decision")})


def plain(page: Answer) -> str:
    """Return the words of a page."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text)))


def test_a_case_says_what_is_known(site: ReviewSite) -> None:
    page = site.browser("ana").take()
    case = site.server.queue.case(path(page).rpartition("/")[2])
    record = case.items[0].record
    match = record.matches[0]
    text = plain(page)
    for said in (
        match.list,
        match.list_version,
        match.entry,
        ", ".join(match.labels),
        ", ".join(match.sources),
        f"{match.distance} of up to {match.max_distance}",
        "the algorithm's own",
        "profile photo",
        f"{case.quality} of 100",
        "upright",
        "1 record came in",
        record.item.key,
    ):
        assert said in text, said
    for said in ("question", "Not a match", "Unsure", "Escalated", "Confirmed"):
        assert said in text
    assert not re.search("guilty|offend|illegal|crim|suspect|victim|abuse", text, re.IGNORECASE)
    assert "<img" not in page.text


def test_the_whole_way(site: ReviewSite) -> None:
    browser = site.browser("ana")
    page = browser.take()
    assert path(browser.take()) == path(page)  # who holds a case gets that one again
    done = decide(browser, page, "not_a_match", "another tile")
    assert "it is something else" in plain(done)
    assert "another tile" in plain(done)
    assert "another tile" in plain(browser.get("/"))
    answer = undo(browser, done)
    assert answer.headers["location"] == path(page)
    assert "Your decision is undone" in browser.get(path(page)).text
    assert "and took it back" not in browser.get(path(page)).text  # this time's are not shown
    answer = browser.post(f"{path(page)}/give-back")
    assert "waits again" in browser.get(answer.headers["location"]).text
    assert browser.get(path(page)).status == 409
    kinds = [event.kind for event in site.server.queue.history()]
    assert kinds[-5:] == ["taken", "decided", "undone", "taken", "given_back"]
    site.server.queue.verify()


def test_a_decision_needs_an_answer_a_reason_and_what_was_seen(site: ReviewSite) -> None:
    browser = site.browser("ana")
    page = browser.take()
    digest = page.field("digest")
    for fields, words in (
        ({"verdict": "", "reason": "x", "digest": digest}, "Choose one"),
        ({"verdict": "guilty", "reason": "x", "digest": digest}, "Choose one"),
        ({"verdict": "unsure", "reason": "  ", "digest": digest}, "Say why"),
        ({"verdict": "unsure", "reason": "x"}, "not the records"),
        ({"verdict": "unsure", "reason": "x", "digest": "0" * 64}, "not the records"),
    ):
        answer = browser.post(f"{path(page)}/decide", fields)
        assert answer.status in {400, 409}
        assert words in plain(answer)
    assert 'value="unsure" required checked' in answer.text  # what was filled in stays
    assert site.server.queue.counts()[CaseState.UNSURE] == 0


def test_an_undo_is_ones_own_and_in_time(site: ReviewSite) -> None:
    browser = site.browser("ana")
    done = decide(browser, browser.take(), "unsure")
    other = site.browser("bo")
    assert undo(other, done).status == 409
    site.server.queue.change(replace(site.server.queue.settings, undo=timedelta(0)))
    assert "can be undone until" in browser.get("/").text  # by the settings of when it was made
    assert undo(browser, done).status == 303
    done = decide(browser, browser.take(), "unsure")
    case = re.search(r"about case ([\w-]+)", plain(done))
    assert case
    decision = site.server.queue.case(case[1]).decisions[-1]
    assert browser.post("/undo", {"decision": decision.decision_id}).status == 409
    late = browser.get(f"/case/{case[1]}")
    assert "no longer be undone" in late.text
    assert "Decided by you" not in browser.get("/").text


def test_nobody_sees_a_case_that_others_hold(site: ReviewSite) -> None:
    ana, bo = site.browser("ana"), site.browser("bo")
    page = ana.take()
    assert bo.get(path(page)).status == 409
    assert bo.picture(page, 0).status == 409
    for form in ("decide", "give-back", "renew", "leave"):
        assert bo.post(f"{path(page)}/{form}", {"digest": page.field("digest")}).status == 409
    decide(ana, page, "unsure", "a secret reason")
    answer = bo.get(path(page))
    assert (answer.status, "secret" in answer.text) == (409, False)
    assert ana.picture(page, 0).status == 409  # what is decided is not looked at again


def test_a_second_reviewer_is_blind_to_the_first(blind: ReviewSite) -> None:
    ana, bo = blind.browser("ana"), blind.browser("bo")
    decide(ana, ana.take(), "confirmed", "a secret reason")
    page = bo.take()
    for secret in ("secret", "ana", "decided:"):
        assert secret not in plain(page), secret
    done = decide(bo, page, "not_a_match", "not so")
    assert "secret" not in done.text
    first = ana.get(path(page))
    assert "not so" not in first.text
    assert "secret" in first.text


def test_a_case_that_is_asked_about_again_tells_what_was_said(site: ReviewSite) -> None:
    ana = site.browser("ana")
    page = ana.take()
    decide(ana, page, "not_a_match", "looked so")
    case_id = path(page).rpartition("/")[2]
    site.server.queue.look_again(case_id, "owner", "the list changed")
    for _ in range(10):
        again = site.browser("bo").take()
        if path(again) == path(page):
            break
        decide(site.browser("bo"), again, "unsure")
    text = plain(again)
    assert "ana decided: not a match" in text
    assert "looked so" in text
    assert "owner asked for it to be looked at again" in text
    assert "the list changed" in text


def test_what_joined_later_is_said_to_be_inherited(tmp_path: Path) -> None:
    source = str(tmp_path / "queue.db")
    with served(filled(tmp_path, names=("tiles.png",))) as server:
        site = ReviewSite(server)
        ana = site.browser("ana")
        server.queue.add([make_record(1, 5, entry="same"), make_record(2, 5, entry="same")])
        page = ana.take()
        while "2 records of this picture" not in page.text:
            decide(ana, page, "unsure")
            page = ana.take()
        assert "Your answer covers all of them" in plain(page)
        assert 'id="which"' in page.text
        decide(ana, page, "not_a_match")
        server.queue.add([make_record(3, 5, entry="same")])
        case_id = path(page).rpartition("/")[2]
        server.queue.look_again(case_id, "owner", "one more")
        again = ana.take()
        assert "1 record of this picture" in again.text
        server.queue.add([make_record(4, 5, entry="same")])
        fields = {
            "verdict": "unsure",
            "reason": "x",
            "digest": page.field("digest"),
        }
        assert ana.post(f"{path(again)}/decide", fields).status == 409
    assert source


def test_what_is_asked_about_is_what_is_shown(tmp_path: Path) -> None:
    with served(filled(tmp_path, names=("tiles.png",))) as server:
        site = ReviewSite(server)
        server.queue.add([make_record(1, 5, distance=3)])
        page = site.browser("ana").take()
        while "profiles/0000001.jpg" not in page.text:
            decide(site.browser("ana"), page, "not_a_match")
            page = site.browser("ana").take()
        decide(site.browser("ana"), page, "not_a_match")
        server.queue.add([make_record(2, 5, distance=9, name="hotline")])
        again = site.browser("bo").take()
        assert path(again) == path(page)
        text = plain(again)
        assert "The list hotline has an entry" in text
        assert "in 9 of up to 31 bits" in text
        assert "hashmatch asked for it to be looked at again" in text
        assert "a match of another list joined it" in text


def test_labels_and_surfaces_narrow_the_queue(site: ReviewSite) -> None:
    browser = site.browser("ana")
    browser.get("/")
    assert browser.post("/take", {"label": "nope"}).headers["location"] == "/"
    assert "No case of this kind waits" in browser.get("/").text
    assert browser.post("/take", {"surface": "group_photo"}).headers["location"] == "/"
    assert browser.post("/take", {"surface": "private_message"}).status == 409
    assert browser.post("/take", {"surface": "profile_photo"}).headers["location"] != "/"


def test_a_pause_is_suggested(tmp_path: Path) -> None:
    with served(filled(tmp_path, Settings(in_a_row=2))) as server:
        browser = ReviewSite(server).browser("ana")
        for _ in range(2):
            decide(browser, browser.take(), "unsure")
        answer = browser.post("/take")
        assert answer.status == 200
        assert "Time for a pause" in answer.text
        assert "2 cases in a row" in answer.text


def test_a_page_holds_its_case_while_it_is_open(site: ReviewSite) -> None:
    browser = site.browser("ana")
    page = browser.take()
    before = site.server.queue.case(path(page).rpartition("/")[2]).lease
    answer = browser.post(f"{path(page)}/renew")
    after = site.server.queue.case(path(page).rpartition("/")[2]).lease
    assert answer.status == 200
    assert before
    assert after
    assert after.until > before.until


def test_closing_the_page_gives_the_case_back(
    site: ReviewSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "GRACE", 0.05)
    monkeypatch.setattr(app, "SWEEP_INTERVAL", 0.02)
    browser = site.browser("ana")
    page = browser.take()
    assert browser.post(f"{path(page)}/leave", {"page": shown(page)}).status == 204
    wait_for(lambda: site.server.queue.counts()[CaseState.IN_REVIEW] == 0)
    assert browser.get(path(page)).status == 409


def test_a_page_that_is_loaded_anew_keeps_its_case(site: ReviewSite) -> None:
    browser = site.browser("ana")
    page = browser.take()
    browser.post(f"{path(page)}/leave", {"page": shown(page)})
    assert browser.get(path(page)).status == 200
    assert site.server.context.open_pages.due(now=1e18) == []
    browser.post(f"{path(page)}/leave", {"page": shown(page)})  # the one before, and late
    assert site.server.context.open_pages.due(now=1e18) == []


def test_logging_out_gives_the_case_back(site: ReviewSite) -> None:
    browser = site.browser("ana")
    browser.take()
    assert site.server.queue.counts()[CaseState.IN_REVIEW] == 1
    browser.post("/logout")
    assert site.server.queue.counts()[CaseState.IN_REVIEW] == 0


def test_statistics_are_plots_and_tables(tmp_path: Path) -> None:
    with served(lively(tmp_path)) as server:
        browser = ReviewSite(server).browser("ana")
        page = browser.get("/statistics")
        figures = server.queue.statistics()
        text = plain(page)
        assert f"{figures.waiting} cases wait" in text
        assert f"{100 * (figures.agreement.value or 0):.1f} %" in text
        for one in figures.precision:
            assert f"{one.share.part} of {one.share.whole}" in text
            assert f"{100 * one.share.low:.1f} % to {100 * one.share.high:.1f} %" in text
        plots = set(re.findall(r"/plot/[\w-]+\.svg\?size=\w+&amp;theme=\w+", page.text))
        assert len({name.partition("?")[0] for name in plots}) == 6
        for name in plots:
            drawn = browser.get(name.replace("&amp;", "&"))
            assert (drawn.status, drawn.headers["content-type"]) == (200, "image/svg+xml")
            assert "<script" not in drawn.text
            assert "style" not in drawn.text
            assert "None" not in drawn.text
        for name in ("nope", "distances-9", "distances-x", "distances"):
            assert browser.get(f"/plot/{name}.svg").status == 404
        bars = browser.get("/plot/days.svg").text.count("<rect")
        assert bars == sum(len(day) for day in figures.decisions.values())


def test_statistics_of_nothing(tmp_path: Path) -> None:
    with served(filled(tmp_path, names=("tiles.png",))) as server:
        server.queue.take("bo")
        browser = ReviewSite(server).browser("ana")
        page = browser.get("/statistics")
        assert "Nothing was confirmed or rejected yet" in page.text
        for name in ("ages", "days"):
            assert browser.get(f"/plot/{name}.svg").status == 200
        for name in ("lists", "agreement", "distances-0"):
            assert browser.get(f"/plot/{name}.svg").status == 404


def test_axes_have_round_numbers() -> None:
    assert steps_to(4) == [0, 1, 2, 3, 4]
    assert steps_to(5) == [0, 2, 4, 6]
    assert steps_to(90) == [0, 50, 100]
    assert steps_to(1000) == [0, 500, 1000]


def luminance(colour: str) -> float:
    """As WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_can_be_told_apart(site: ReviewSite) -> None:
    sheet = site.browser().get("/static/page.css").text
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part))
        for part in sheet.split("prefers-color-scheme: dark")
    )
    for theme, colours in (("light", light), ("dark", dark)):
        for ground in ("ground", "card", "pick", "say"):
            for ink in ("ink", "soft"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (theme, ink, ground)
        for ground in ("ground", "card"):
            for ink in ("act", "wrong"):
                assert contrast(colours[ink], colours[ground]) >= 4.5, (theme, ink, ground)
            for edge in ("edge", "ring"):
                assert contrast(colours[edge], colours[ground]) >= 3, (theme, edge, ground)
        assert contrast(colours["act-ink"], colours["act"]) >= 4.5, theme
        for name, colour in THEMES[theme].items():
            least = {"ink": 4.5, "soft": 4.5, "line": 1}.get(name, 3)
            assert contrast(colour, colours["card"]) >= least, (theme, name)


def test_a_record_that_was_found_later_says_when_the_picture_was_checked(tmp_path: Path) -> None:
    path, seen = str(tmp_path / "queue.db"), "2026-01-01T00:00:00Z"
    with ReviewQueue.open(path, create=True) as queue:
        queue.add([replace(make_record(1), seen_at=seen)])
    with served(path) as server:
        page = ReviewSite(server).browser("ana").take()
        assert f'<time datetime="{seen}">' in page.text
        assert "before a list had it" in page.text


def test_a_case_of_mostly_chrome_says_so_in_words(tmp_path: Path) -> None:
    path, record = str(tmp_path / "queue.db"), make_record(1)
    match = replace(record.matches[0], chrome=0.966, mostly_chrome=True)
    with ReviewQueue.open(path, create=True) as queue:
        queue.add([replace(record, matches=(match,), mostly_chrome=True)])
    with served(path) as server:
        page = ReviewSite(server).browser("ana").take()
        assert "97 % of what matched is plain colour, text and lines" in page.text
