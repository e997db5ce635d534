"""How the page looks and what it owes to everybody: each page, both widths, light and dark."""

from __future__ import annotations

import os
import re
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chromium_pages import (
    DESKTOP,
    PHONE,
    at_step,
    browsing,
    chromium,
    log_in,
    needs_chromium,
    take,
    take_colourful,
)
from hashmatch.review.drafts.draft import confirmed_case, make_draft, write_draft
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from hashmatch.review.web.server import Serving
from review_drafts import choose_all, example_account
from review_pages import ReviewSite, filled, lively, served
from review_queues import take_and_decide

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page, Playwright

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with chromium() as started:
        yield started


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        pytest.param(DESKTOP, "light", id="desktop-light"),
        pytest.param(PHONE, "dark", id="phone-dark"),
        # What is checked goes by the width alone; these are for people to look at.
        pytest.param(DESKTOP, "dark", id="desktop-dark", marks=pytest.mark.slow),
        pytest.param(PHONE, "light", id="phone-light", marks=pytest.mark.slow),
    ],
)
def test_every_page_fits_and_is_named(
    playwright: Playwright, tmp_path: Path, size: tuple[int, int], scheme: str
) -> None:
    """Take pictures of all pages, which people should look at: HASHMATCH_SCREENSHOTS keeps them."""
    kept = Path(os.environ.get("HASHMATCH_SCREENSHOTS", tmp_path / "shots"))
    kept.mkdir(parents=True, exist_ok=True)
    name = f"{'phone' if size == PHONE else 'desktop'}-{scheme}"
    with (
        served(filled(tmp_path)) as server,
        browsing(playwright, tmp_path / "profile", size, scheme) as context,
    ):
        site, page = ReviewSite(server), context.new_page()

        def look(what: str) -> None:
            page.screenshot(path=str(kept / f"{what}-{name}.png"), full_page=True)
            check_page(page, size)

        page.goto(server.address)
        look("login")
        page.get_by_label("Your name").fill("ana")
        page.get_by_label("Your token").fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_role("alert").wait_for()
        look("login-wrong")
        log_in(page, site)
        look("queue")
        take_colourful(page)
        look("case")
        page.keyboard.press("p")
        at_step(page, 0)
        look("case-covered")
        page.keyboard.press("3")
        page.keyboard.down("Space")
        at_step(page, 3)
        look("case-held")
        page.keyboard.up("Space")
        for summary in page.locator("summary").all():
            summary.click()
        page.keyboard.press("e")
        look("case-answered")
        page.get_by_label("Why").fill("A second pair of eyes")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Escalated").wait_for()
        look("decided")
        page.get_by_role("link", name="Queue").click()
        page.get_by_text("Decided by you").wait_for()
        look("queue-decided")
        page.goto(f"{server.address}/case/x-1")
        look("sorry")
    (tmp_path / "lively").mkdir()
    with (
        served(lively(tmp_path / "lively")) as server,
        browsing(playwright, tmp_path / "profile", size, scheme) as context,
    ):
        page = context.new_page()
        log_in(page, ReviewSite(server))
        page.get_by_role("link", name="Statistics").click()
        page.wait_for_load_state("networkidle")
        page.screenshot(path=str(kept / f"statistics-{name}.png"), full_page=True)
        check_page(page, size)
        loaded = page.evaluate("[...document.images].every(one => one.naturalWidth > 0)")
        assert loaded


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        pytest.param(PHONE, "dark", id="phone-dark"),
        # What is checked goes by the width alone; these are for people to look at.
        pytest.param(PHONE, "light", id="phone-light", marks=pytest.mark.slow),
        pytest.param(DESKTOP, "light", id="desktop-light", marks=pytest.mark.slow),
        pytest.param(DESKTOP, "dark", id="desktop-dark", marks=pytest.mark.slow),
    ],
)
def test_drafts_and_requests_fit_and_are_named(
    playwright: Playwright, tmp_path: Path, size: tuple[int, int], scheme: str
) -> None:
    kept = Path(os.environ.get("HASHMATCH_SCREENSHOTS", tmp_path / "shots"))
    kept.mkdir(parents=True, exist_ok=True)
    path, folder = filled(tmp_path, Settings(undo=timedelta(0))), tmp_path / "drafts"
    folder.mkdir(mode=0o700)
    with ReviewQueue.open(path) as queue:
        case_id = take_and_decide(queue, "confirmed", "ana").case_id
    serving = Serving(port=0, pictures=(str(tmp_path),), drafts=str(folder))
    with (
        served(path, serving) as server,
        browsing(playwright, tmp_path / "profile", size, scheme) as context,
    ):
        page = context.new_page()

        def look(what: str) -> None:
            name = f"{what}-{'phone' if size == PHONE else 'desktop'}-{scheme}.png"
            page.screenshot(path=str(kept / name), full_page=True)
            check_page(page, size)

        log_in(page, ReviewSite(server))
        page.get_by_role("link", name="Drafts").click()
        look("drafts")
        page.get_by_role("link", name="NCMEC").first.click()
        look("draft-begun")
        page.get_by_label("Child Sex Tourism").check()
        page.get_by_role("button", name="Choose", exact=True).first.click()
        page.get_by_text("Your choice is recorded.").wait_for()
        case = confirmed_case(server.queue, case_id)
        choose_all(server.queue, case)
        made = make_draft(server.queue, case, "ncmec", example_account())
        write_draft(server.queue, made, folder / "one", "ana")
        page.reload()
        page.get_by_role("button", name="Show its EXIF data").click()
        page.get_by_text("There is no EXIF data in this file.").wait_for()
        page.get_by_text("report.xml").click()
        look("draft")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Show it, covered").click()
        at_step(page, 0)
        look("draft-covered")
        page.get_by_role("link", name="Requests").click()
        page.get_by_label("Reference").fill("2026-114")
        page.get_by_label("Authority").fill("A court")
        page.get_by_label("Cases").fill(case_id)
        page.get_by_label("Received").fill("2026-01-31")
        page.get_by_label("Due").fill("2026-02-28")
        page.get_by_role("button", name="Enter it").click()
        page.get_by_text("The request is entered").wait_for()
        look("requests")
        page.goto(f"file://{folder}/one/summary.html")  # which needs nothing else
        page.screenshot(path=str(kept / f"draft-summary-{scheme}.png"), full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


UNNAMED = """() => [...document.querySelectorAll(
  'input:not([type=hidden]), select, button, a, canvas, img, section, [role=region], summary')]
  .filter(one => !(one.labels?.length || one.getAttribute('aria-label') || one.alt
    || document.getElementById(one.getAttribute('aria-labelledby')) || one.innerText?.trim()))
  .map(one => one.outerHTML)"""
SMALL = """() => [...document.querySelectorAll('button, select, .button, input:not([type=hidden])')]
  .filter(one => one.checkVisibility() && one.type !== 'checkbox')
  .map(one => [one.getBoundingClientRect(), one.outerHTML])
  .filter(([box]) => box.width < 24 || box.height < 24).map(([, text]) => text)"""
IDS = "() => { const all = [...document.querySelectorAll('[id]')].map(one => one.id);" + (
    " return all.filter((id, at) => all.indexOf(id) !== at); }"
)


def check_page(page: Page, size: tuple[int, int]) -> None:
    """Check what every page owes to people who see it small, hear it, or have no mouse."""
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0], page.url
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate(SMALL) == []  # WCAG 2.2, 2.5.8
    assert page.evaluate(IDS) == []
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("main").count() == page.locator("h1").count() == 1
    assert page.locator("header").count() == 1
    assert re.fullmatch(r".+ - hashmatch", page.title())
    levels = page.evaluate(
        "() => [...document.querySelectorAll('h1, h2, h3')].map(one => Number(one.tagName[1]))"
    )
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_focus_is_always_seen(playwright: Playwright, tmp_path: Path) -> None:
    with served(filled(tmp_path)) as server, browsing(playwright, tmp_path / "profile") as context:
        page = context.new_page()
        log_in(page, ReviewSite(server))
        take(page)
        page.keyboard.press("p")
        at_step(page, 0)
        page.locator("body").evaluate("() => document.activeElement.blur()")
        visited = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            where, outline = page.evaluate(
                "() => { const at = document.activeElement;"
                " if (at === document.body) return ['BODY', ''];"
                " const on = at.matches('.pills input') ? at.nextElementSibling : at;"
                " const style = getComputedStyle(on);"
                " return [at.id || at.name || at.innerText || at.tagName,"
                "  style.outlineStyle + ' ' + parseFloat(style.outlineWidth)]; }"
            )
            visited.add(where)
            assert where == "BODY" or outline in {"solid 3", "auto 3"}, where
        assert {"hold", "cover", "step", "verdict", "reason", "letters", "Log out"} <= visited
