"""The foot of the page has the head of the history; it and the first page name what is missing."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from html import unescape
from typing import TYPE_CHECKING

import pytest

from hashmatch.errors import ReviewError
from hashmatch.records.safeguards import Safeguard, collecting, waive
from review_pages import ReviewSite, filled, served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = ("/", "/statistics")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewSite]:
    """Serve a queue of drawn pictures."""
    with served(filled(tmp_path_factory.mktemp("footer"))) as server:
        yield ReviewSite(server)


def footer(text: str) -> str:
    found = re.search("<footer>(.*)</footer>", text, re.DOTALL)
    return unescape(found[1]) if found else ""


def test_every_page_of_a_reviewer_has_the_head_of_now(site: ReviewSite) -> None:
    browser = site.browser("ana")
    case = browser.take()
    pages = [case, *map(browser.get, PAGES)]
    now = str(site.server.queue.head())
    assert [now in footer(page.text) for page in pages] == [True] * 3
    site.server.queue.reviewers.add("cy")
    later = footer(browser.get("/").text)
    assert now not in later
    assert str(site.server.queue.head()) in later
    site.server.queue.verify(now)


def test_strangers_see_none(site: ReviewSite) -> None:
    assert footer(site.browser().get("/login").text) == ""


def test_an_error_page_asks_the_database_for_nothing(tmp_path: Path) -> None:
    path = filled(tmp_path)
    with served(path) as server:
        browser = ReviewSite(server).browser("ana")
        assert footer(browser.get("/static/nothing").text) == ""
        with closing(sqlite3.connect(path)) as other:
            other.execute("ALTER TABLE event RENAME TO gone")
        answer = browser.get("/")
        assert answer.status >= 400
        assert "That did not work" in answer.text


def test_what_is_missing_stands_on_the_first_page_and_at_the_foot_of_all(site: ReviewSite) -> None:
    browser = site.browser("ana")
    assert "Less protected" not in browser.get("/").text
    assert "Served without" not in footer(browser.get("/").text)
    with collecting():
        for safeguard, reason in (
            (Safeguard.TLS, "<b>plain</b> http"),
            (Safeguard.SANDBOX, "no seccomp"),
            (Safeguard.TLS, "once more"),
        ):
            waive(safeguard, "serve", reason, error=ReviewError, allowed=True)
        first, other = (browser.get(page).text for page in PAGES)
        stranger = site.browser().get("/login").text
    for text in (first, other):
        assert "Served without TLS, without sandbox." in footer(text)
    assert "without TLS: &lt;b&gt;plain&lt;/b&gt; http (allowed by --allow-http)" in first
    assert "without sandbox: no seccomp (allowed by --sandbox best)" in first
    assert "no seccomp" not in other + stranger
