"""The page of a video: a strip of its matched frames, covered, each uncovered by itself."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from chromium_pages import at_step, browsing, chromium, log_in, needs_chromium, take
from drawn_shots import encoded, shots
from hashmatch.records.cases import Origin
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.web.film_strip import MOST, moments
from hashmatch.review.web.pictures import STRIP_SIDE
from review_pages import Answer, ReviewSite, served
from seen_pictures import opened, saturation
from video_lists import video_list

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Playwright

LENGTH = 24


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewSite]:
    folder = tmp_path_factory.mktemp("videos")
    clips = folder / "clips"
    clips.mkdir()
    film = encoded(shots(1, LENGTH))
    (clips / "film.mp4").write_bytes(film)
    with hm.DecodePool(1) as pool:
        frames = hm.hash_video(film, decode=pool).frames
        assert frames is not None
        known = video_list([frames], [hm.Entry("clip-7", ("A1",))])
        matcher = hm.Matcher(known, decode=pool, every=1)
        (record,) = hm.scan_source(str(clips), matcher, surface="public_post")
    assert isinstance(record, hm.ReviewRecord)
    path = str(folder / "queue.db")
    with ReviewQueue.open(path, create=True) as queue:
        queue.add([(record, Origin(str(clips), "film.mp4"))])
    with served(path) as server:
        yield ReviewSite(server)


@pytest.fixture(scope="module")
def page(site: ReviewSite) -> Answer:
    return site.browser("ana").take()


def shown(site: ReviewSite, page: Answer, query: str) -> Answer:
    path = re.search(r'data-picture="([^"]+)"', page.text)
    assert path
    browser = site.browser("ana")
    return browser.get(f"{path[1]}?item=0&{query}", x_hashmatch=browser.csrf)


def test_the_page_says_which_seconds(page: Answer) -> None:
    text = re.sub(r"<[^>]+>|\s+", " ", page.text)
    text = re.sub(r"\s+", " ", text)
    assert f"{LENGTH} of the {LENGTH} frames of this video" in text
    assert "0:00 to 0:23 0:00 to 0:23" in text
    assert "100 % of this video's frames match the entry" in text
    assert "Length 0:24" in text
    assert "<video" not in page.text
    assert "<audio" not in page.text


def test_the_strip_is_covered_and_is_all_that_there_is_without_naming_a_frame(
    site: ReviewSite, page: Answer
) -> None:
    strip = opened(shown(site, page, "step=0").body)
    count = len(re.findall(r'name="moment-', page.text))
    assert 2 <= count <= MOST
    assert strip.shape[1] == count * STRIP_SIDE
    assert saturation(strip) == 0
    refused = shown(site, page, "step=3")
    assert (refused.status, refused.text) == (
        409, "Frames of a video are uncovered one at a time.\n",
    )  # fmt: skip


def test_frames_are_uncovered_one_at_a_time_and_that_is_recorded(
    site: ReviewSite, page: Answer
) -> None:
    colours = [opened(shown(site, page, f"step=3&at={at}").body) for at in (0, 5)]
    assert all(saturation(each) > 20 for each in colours)
    assert abs(colours[0].astype(int) - colours[1]).mean() > 10
    assert saturation(opened(shown(site, page, "step=0&at=5").body)) == 0
    views = [event for event in site.server.queue.history() if event.kind == "uncovered"]
    assert [event.body["extent"] for event in views].count("colour") == 2
    (case_id,) = _cases(site)
    times = moments(site.server.queue.case(case_id).items[0].record)
    assert [event.body["second"] for event in views][:2] == [times[0], times[5]]
    assert not any(event.body["whole"] for event in views)
    assert shown(site, page, "step=1&at=99").status == 409
    assert shown(site, page, "step=1&at=x").status == 409


def test_moments_are_spread_over_the_segments(site: ReviewSite) -> None:
    (case,) = (site.server.queue.case(c) for c in _cases(site))
    times = moments(case.items[0].record)
    assert times[0] == 0.0
    assert times[-1] == LENGTH - 1
    assert len(times) == MOST


def _cases(site: ReviewSite) -> list[str]:
    return [each.case_id for each in site.server.queue.cases()]


# --- in chromium ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ((390, 844), "dark"),
        ((1280, 900), "light"),
        pytest.param((390, 844), "light", marks=pytest.mark.slow),
        pytest.param((1280, 900), "dark", marks=pytest.mark.slow),
    ],
)
class TestInChromium:
    pytestmark = needs_chromium

    def test_a_strip_is_looked_at_frame_by_frame(
        self,
        playwright: Playwright,
        site: ReviewSite,
        tmp_path: Path,
        size: tuple[int, int],
        scheme: str,
    ) -> None:
        with browsing(playwright, tmp_path / "profile", size, scheme) as context:
            page = context.new_page()
            log_in(page, site)
            if page.get_by_role("button", name="Take the next case").count():
                take(page)
            else:
                page.get_by_role("link", name="Go on with it").click()
            assert not page.locator(".strip").is_visible()
            page.get_by_role("button", name="Show it, covered").click()
            at_step(page, 0)
            assert page.locator(".strip").is_visible()
            covered = opened(page.locator(".strip canvas").nth(3).screenshot())[8:-8, 8:-8]
            assert saturation(covered) == 0
            page.locator(".strip label").nth(6).click()
            at_step(page, 0)
            page.locator("#hold").hover()
            page.mouse.down()
            at_step(page, 1)
            page.mouse.up()
            at_step(page, 0)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= size[0]
            if folder := os.environ.get("SCREENSHOTS"):
                page.screenshot(path=f"{folder}/{size[0]}-{scheme}.png", full_page=True)
            page.keyboard.press("Escape")
            page.locator(".strip").wait_for(state="hidden")
            assert page.locator(".strip canvas").first.evaluate("at => at.width") == 1
