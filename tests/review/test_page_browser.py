"""The page in real Chromium: a person's way through it, what they see of a picture, what is left.

Needs Debian's chromium; nothing is downloaded.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from chromium_pages import (
    COLOURFUL,
    PHONE,
    at_step,
    browsing,
    chromium,
    log_in,
    needs_chromium,
    on_case,
    take,
    take_colourful,
)
from conftest import IMAGES
from hashmatch.records.cases import CaseState
from processes import PATIENCE, wait_for
from review_pages import ReviewSite, filled, served
from seen_pictures import detail, opened, saturation
from sqlite_locks import locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from playwright.sync_api import Page, Playwright, Route

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with chromium() as started:
        yield started


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ReviewSite]:
    with served(filled(tmp_path, names=(COLOURFUL, "tiles.png"))) as server:
        yield ReviewSite(server)


def until(page: Page, happened: Callable[[], bool]) -> None:
    """Wait, while the page's events are heard."""
    while not happened():
        page.wait_for_timeout(20)


def settle(page: Page) -> None:
    """Wait until the page has done what it can do by now, and drawn it."""
    page.wait_for_load_state("networkidle")
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def seen(page: Page) -> NDArray[np.uint8]:
    """Return what the screen shows of the picture."""
    return opened(page.locator("#canvas").screenshot())[8:-8, 8:-8]


def is_covered(pixels: NDArray[np.uint8], sharp: float) -> bool:
    return saturation(pixels) == 0 and detail(pixels) < sharp / 20


def test_the_whole_way_by_keyboard_alone(
    playwright: Playwright, site: ReviewSite, tmp_path: Path
) -> None:
    with browsing(playwright, tmp_path / "profile") as context:
        page = context.new_page()
        log_in(page, site)
        page.locator("button:focus", has_text="Take the next case").wait_for()
        page.keyboard.press("Enter")
        on_case(page)
        case = page.url
        assert page.locator("#canvas").is_hidden()
        page.keyboard.press("p")
        at_step(page, 0)
        for step in (1, 2, 3):
            page.keyboard.press(str(step))
            page.keyboard.down("Space")
            at_step(page, step)
            page.keyboard.up("Space")
            at_step(page, 0)
        page.keyboard.press("Escape")
        assert page.locator("#canvas").is_hidden()
        page.keyboard.press("n")
        page.keyboard.type("Something else")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Not a match").wait_for()
        page.get_by_role("button", name="Undo this decision").focus()
        page.keyboard.press("Enter")
        page.get_by_text("Your decision is undone").wait_for()
        assert page.url == case
        page.get_by_role("button", name="Give it back, undecided").focus()
        page.keyboard.press("Enter")
        page.get_by_text("The case waits again").wait_for()
        counts = site.server.queue.counts()
        assert (counts[CaseState.PENDING_REVIEW], counts[CaseState.NOT_A_MATCH]) == (2, 0)
        site.server.queue.verify()


def test_a_picture_is_seen_only_while_it_is_held(
    playwright: Playwright, site: ReviewSite, tmp_path: Path
) -> None:
    with browsing(playwright, tmp_path / "profile") as context:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        log_in(page, site)
        take_colourful(page)
        assert not [url for url in asked if "/picture" in url], "fetched before it was asked for"
        page.get_by_role("button", name="Show it, covered").click()
        at_step(page, 0)
        before = seen(page)
        assert [url[-1] for url in asked if "/picture" in url] == ["0"]

        held = {}
        page.keyboard.down("Space")
        for step in (1, 2, 3):
            page.keyboard.press(str(step))
            at_step(page, step)
            held[step] = seen(page)
        page.keyboard.up("Space")
        at_step(page, 0)
        after = seen(page)

        sharp = detail(held[2])
        assert is_covered(before, sharp)
        assert is_covered(after, sharp)
        assert (before == after).all()
        assert saturation(held[1]) == 0
        assert detail(before) < detail(held[1]) < sharp / 2
        assert saturation(held[2]) == 0
        assert saturation(held[3]) > 50
        assert detail(held[3]) > sharp / 2


@pytest.mark.parametrize("what", ["blur", "hidden", "away", "pagehide", "control"])
def test_whatever_takes_the_hand_away_covers_it(
    playwright: Playwright, site: ReviewSite, tmp_path: Path, what: str
) -> None:
    with browsing(playwright, tmp_path / "profile") as context:
        page = context.new_page()
        log_in(page, site)
        take(page)
        page.keyboard.press("p")
        at_step(page, 0)
        page.keyboard.press("3")
        page.keyboard.down("Space")
        at_step(page, 3)
        if what == "blur":
            page.evaluate("window.dispatchEvent(new Event('blur'))")
        elif what == "hidden":
            page.evaluate(
                "Object.defineProperty(document, 'hidden', {value: true});"
                "document.dispatchEvent(new Event('visibilitychange'))"
            )
        elif what == "away":
            page.keyboard.press("Escape")
        elif what == "control":
            page.keyboard.press("Control+c")
        else:
            page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide'))")
        if what in {"away", "pagehide"}:
            page.locator("#canvas").wait_for(state="hidden")
            assert page.evaluate("document.querySelector('canvas').width") == 1
        else:
            at_step(page, 0)


def test_a_late_answer_is_never_drawn(
    playwright: Playwright, site: ReviewSite, tmp_path: Path
) -> None:
    with browsing(playwright, tmp_path / "profile") as context:
        page = context.new_page()
        log_in(page, site)
        take(page)
        page.keyboard.press("p")
        at_step(page, 0)

        def late(route: Route) -> None:
            time.sleep(0.3)
            route.continue_()

        under_way: Counter[str] = Counter()
        page.on("request", lambda request: under_way.update([request.url]))
        page.on("requestfinished", lambda request: under_way.subtract([request.url]))
        page.on("requestfailed", lambda request: under_way.subtract([request.url]))
        page.route("**/picture?*", late)
        for _ in range(3):
            page.keyboard.down("Space")
            page.keyboard.up("Space")
        until(page, lambda: len(under_way) > 0 and not any(under_way.values()))
        settle(page)
        assert page.locator("#canvas").get_attribute("data-step") == "0"


def test_a_finger_uncovers_on_a_phone(
    playwright: Playwright, site: ReviewSite, tmp_path: Path
) -> None:
    with browsing(playwright, tmp_path / "profile", PHONE) as context:
        page = context.new_page()
        log_in(page, site)
        take(page)
        page.get_by_role("button", name="Show it, covered").tap()
        at_step(page, 0)
        box = page.locator("#canvas").bounding_box()
        assert box
        assert box["width"] <= PHONE[0]
        page.mouse.move(box["x"] + 20, box["y"] + 20)
        page.mouse.down()
        at_step(page, 1)
        page.mouse.up()
        at_step(page, 0)


def test_single_keys_can_be_switched_off(
    playwright: Playwright, site: ReviewSite, tmp_path: Path
) -> None:
    with browsing(playwright, tmp_path / "profile") as context:
        page = context.new_page()
        log_in(page, site)
        take(page)
        page.get_by_label("Single keys").uncheck()
        page.locator("h1").click()
        for key in "pcnue":
            page.keyboard.press(key)
        settle(page)
        assert page.locator("#canvas").is_hidden()
        assert page.locator("input[name=verdict]:checked").count() == 0
        page.reload()
        on_case(page)
        assert not page.get_by_label("Single keys").is_checked()
        page.get_by_label("Why").fill("")
        page.get_by_label("Why").type("pause cune")  # letters in text are text
        assert page.get_by_label("Why").input_value() == "pause cune"


def test_closing_the_page_gives_the_case_back(
    playwright: Playwright, site: ReviewSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with browsing(playwright, tmp_path / "profile") as context:
        page = context.new_page()
        log_in(page, site)
        take(page)
        page.reload()
        on_case(page)
        assert site.server.queue.counts()[CaseState.IN_REVIEW] == 1  # it was only loaded anew
        monkeypatch.setattr("hashmatch.review.web.context.GRACE", 0.05)
        page.close(run_before_unload=True)
        wait_for(lambda: site.server.queue.counts()[CaseState.IN_REVIEW] == 0)


def test_a_case_that_was_lost_is_covered_and_said(
    playwright: Playwright, site: ReviewSite, tmp_path: Path
) -> None:
    queue = site.server.queue
    with browsing(playwright, tmp_path / "profile") as context:
        page = context.new_page()
        page.clock.install()
        log_in(page, site)
        take(page)
        page.keyboard.press("p")
        at_step(page, 0)
        beat = queue.settings.lease / 4
        with page.expect_response("**/renew") as answer:
            page.clock.fast_forward(beat // timedelta(milliseconds=1))
        assert answer.value.ok
        assert queue.counts()[CaseState.IN_REVIEW] == 1  # renewed
        queue.give_back(page.url.rpartition("/")[2], "ana")
        page.clock.fast_forward(beat // timedelta(milliseconds=1))
        page.get_by_text("You do not hold this case").wait_for()
        assert page.locator("#canvas").is_hidden()


def test_while_the_queue_does_not_answer_nothing_is_lost(
    playwright: Playwright, site: ReviewSite, tmp_path: Path
) -> None:
    """Another process writes: the case stays, with its picture, and so does the answer."""
    queue = site.server.queue
    with browsing(playwright, tmp_path / "profile") as context:
        page = context.new_page()
        page.clock.install()
        log_in(page, site)
        take(page)
        page.keyboard.press("p")
        at_step(page, 0)
        beat = queue.settings.lease / 4 // timedelta(milliseconds=1)
        with locked(queue.where):
            with page.expect_response("**/renew") as answer:
                page.clock.fast_forward(beat)
            assert answer.value.status == 503
            page.get_by_text("the case goes back if that lasts").wait_for()
            at_step(page, 0)
            page.locator("input[name=verdict][value=unsure]").check()
            page.get_by_label("Why").fill("made up")
            with page.expect_response("**/decide") as answer:
                page.keyboard.press("Enter")
            assert answer.value.status == 503
            page.get_by_text("could not be kept just now").wait_for()
        with page.expect_response("**/renew") as answer:  # by the page that came with the answer
            page.clock.fast_forward(beat)
        assert answer.value.ok
        page.get_by_text("It is yours while this page is open").wait_for()
        assert page.locator("input[name=verdict][value=unsure]").is_checked()
        assert page.get_by_label("Why").input_value() == "made up"
        page.get_by_role("button", name="Decide", exact=True).click()
        page.get_by_text("You decided about case").wait_for()
        assert queue.counts()[CaseState.UNSURE] == 1


def test_a_picture_that_is_late_can_be_asked_for_again(
    playwright: Playwright, site: ReviewSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = Event()
    pictures = site.server.pictures
    fetch = pictures._content

    def late(*given: Any) -> bytes:
        assert may_go_on.wait(PATIENCE)
        return fetch(*given)

    monkeypatch.setattr(pictures, "_content", late)
    monkeypatch.setattr("hashmatch.review.web.pictures.DEADLINE", 0.2)
    with browsing(playwright, tmp_path / "profile") as context:
        page = context.new_page()
        log_in(page, site)
        take(page)
        page.keyboard.press("p")
        page.get_by_text("takes too long").wait_for()
        assert page.locator("#canvas").is_hidden()
        may_go_on.set()
        monkeypatch.setattr("hashmatch.review.web.pictures.DEADLINE", PATIENCE)
        page.keyboard.press("p")
        at_step(page, 0)


def test_nothing_of_a_picture_is_left_in_the_browser(
    playwright: Playwright, site: ReviewSite, tmp_path: Path
) -> None:
    profile = tmp_path / "profile"
    sent: list[bytes] = []
    with browsing(playwright, profile, kept=True) as context:
        page = context.new_page()
        page.on(
            "response",
            lambda answer: sent.append(answer.body()) if "/picture" in answer.url else None,
        )
        log_in(page, site)
        take_colourful(page)
        page.keyboard.press("p")
        at_step(page, 0)
        page.keyboard.down("Space")
        for step in (1, 2, 3):
            page.keyboard.press(str(step))
            at_step(page, step)
        page.keyboard.up("Space")
        at_step(page, 0)
        marker = "reason-that-is-nowhere-else"
        page.keyboard.press("u")
        page.keyboard.type(marker)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Unsure").wait_for()
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("heading", name="Log in").wait_for()
        settle(page)
    assert len(sent) == 4
    # Parts of what is behind the headers, which all JPEGs of a size share.
    traces = [
        data[at : at + 48] for data in sent for at in range(len(data) // 2, len(data) - 64, 97)
    ]
    traces.append((IMAGES / "plain" / COLOURFUL).read_bytes()[4000:4048])
    files = [path for path in profile.rglob("*") if path.is_file()]
    assert len(files) > 20
    for path in files:
        content = path.read_bytes()
        assert not [trace for trace in traces if trace in content], path
        assert marker.encode() not in content, path
