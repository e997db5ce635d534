"""Chromium for tests of the page: started with a profile on the disk, and led to a case."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, Page, Playwright

    from review_pages import ReviewSite

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu"]
DESKTOP, PHONE = (1280, 900), (360, 740)
COLOURFUL = "landscape-dusk.jpg"

needs_chromium = [
    pytest.mark.servers,
    pytest.mark.skipif(not os.path.exists(CHROMIUM), reason=f"there is no {CHROMIUM}"),
]


_running: list[Browser] = []


@contextmanager
def chromium() -> Iterator[Playwright]:
    """Start what drives Chromium, and one Chromium for all who need no profile of their own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        _running.append(started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS))
        yield started
        _running.pop().close()


@contextmanager
def browsing(
    playwright: Playwright,
    profile: Path,
    size: tuple[int, int] = DESKTOP,
    scheme: str = "light",
    *,
    kept: bool = False,
) -> Iterator[BrowserContext]:
    """Visit as somebody new; or, `kept`, in a Chromium with a profile on the disk.

    In the end, no script has failed and nothing has run into the page's policy.
    """
    looks: dict[str, Any] = {
        "viewport": {"width": size[0], "height": size[1]},
        "color_scheme": "dark" if scheme == "dark" else "light",
        "has_touch": size == PHONE,
        "ignore_https_errors": True,  # the authority of tests is none of its own
    }
    context = (
        playwright.chromium.launch_persistent_context(
            str(profile), executable_path=CHROMIUM, args=ARGUMENTS, **looks
        )
        if kept
        else _running[-1].new_context(**looks)
    )
    context.set_default_timeout(20_000)
    problems: list[str] = []
    context.on("weberror", lambda failed: problems.append(str(failed.error)))
    context.on(
        "console",
        lambda said: problems.append(said.text) if "Content Security" in said.text else None,
    )
    try:
        yield context
    finally:
        context.close()
    assert problems == []


def log_in(page: Page, site: ReviewSite, name: str = "ana") -> None:
    page.goto(site.server.address)
    page.get_by_label("Your name").fill(name)
    page.get_by_label("Your token").fill(site.tokens[name])
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Queue").wait_for()


def take(page: Page) -> None:
    page.get_by_role("button", name="Take the next case").click()
    on_case(page)


def on_case(page: Page) -> None:
    """Wait for a case, and for its script to listen."""
    page.get_by_role("heading", name="Is it what the list says?").wait_for()
    page.locator("#asking").wait_for()


def take_colourful(page: Page) -> None:
    """Take cases until it is the one with many colours."""
    take(page)
    while COLOURFUL not in page.content():
        page.keyboard.press("u")
        page.keyboard.type("another first")
        page.keyboard.press("Enter")
        take(page)


def at_step(page: Page, step: int) -> None:
    try:
        page.locator(f"canvas[data-step='{step}']").wait_for()
    except Exception:
        pytest.fail(f"never at step {step}: {page.locator('#status').inner_text()}")
