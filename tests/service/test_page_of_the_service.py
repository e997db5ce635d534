"""The review page below the service: its links, cookies and log-in, and nothing of the API's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

from chromium_pages import COLOURFUL, at_step, browsing, chromium, needs_chromium, on_case
from cli_tools import DEMO, one_line, run
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.web.middleware import CONTENT_POLICY
from review_pages import Answer, Browser, filled
from service_program import Program, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINK = re.compile(
    r'(?:href|src|srcset|action|data-picture|data-exif|data-renew|data-leave)="([^"]*)"'
)


class Site(NamedTuple):
    """A service with the page, somebody who may review, and a token of the API."""

    api: Program
    queue: str
    name: str
    secret: str

    def browser(self, *, logged_in: bool = True) -> Browser:
        browser = Browser(self.api)
        if logged_in:
            browser.get("/review/login")
            fields = {"name": self.name, "token": self.secret}
            assert browser.post("/review/login", fields).status == 303
        return browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("page")
    queue = filled(folder, names=(COLOURFUL, "tiles.png"), origin=False)
    with ReviewQueue.open(queue) as opened:
        secret = opened.reviewers.add("ana")
    tokens = folder / "tokens.json"
    admin = run("token", "add", tokens, "admin", "--scope", "admin").out.decode().strip()
    page = ("--review", queue, "--review-page", "--source", folder / "photos")
    with service("--tokens", tokens, *page, token=admin) as api:
        yield Site(api, queue, "ana", secret)


def links(answer: Answer) -> set[str]:
    """Return where a page leads: each a path of the page's own."""
    found = {each.split("?")[0] for each in LINK.findall(answer.text)} - {"#main"}
    assert found
    assert all(each.startswith("/review/") for each in found), found
    return found


def test_a_person_finds_the_way_through_the_page(site: Site) -> None:
    stranger = Browser(site.api)
    for path in ("/review", "/review/", "/review/statistics", "/review/case/x-1"):
        answer = stranger.get(path)
        assert (answer.status, answer.headers["location"]) == (303, "/review/login")
    browser = Browser(site.api)
    seen = links(browser.get("/review/login"))
    assert "Path=/review/" in browser.get("/review/login").cookies[0]
    welcome = browser.post("/review/login", {"name": site.name, "token": site.secret})
    assert (welcome.status, welcome.headers["location"]) == (303, "/review/")
    home = browser.get("/review/")
    seen |= links(home) | links(browser.get("/review/statistics"))
    taken = browser.post("/review/take")
    assert re.fullmatch(r"/review/case/[\w-]+", taken.headers["location"])
    case = browser.get(taken.headers["location"])
    seen |= links(case)
    picture = browser.picture(case, step=0)
    assert (picture.status, picture.headers["content-type"]) == (200, "image/jpeg")
    given = {"verdict": "not_a_match", "reason": "a drawing", "digest": case.field("digest")}
    decided = browser.post(f"{taken.headers['location']}/decide", given)
    assert decided.status in {200, 303}, decided.text
    shown = decided if decided.status == 200 else browser.get(decided.headers["location"])
    seen |= links(shown)
    for path in sorted(seen):
        if "/case/" not in path and not path.endswith(("/take", "/undo", "/logout")):
            assert browser.get(path).status in {200, 303}, path
    assert {"/review/static/page.css", "/review/static/page.js", "/review/statistics"} <= seen
    assert browser.get("/review/nothing").status == 404
    gone = browser.post("/review/logout")
    assert gone.headers["location"] == "/review/login"
    assert "Path=/review/" in gone.cookies[0]
    assert "Max-Age=0" in gone.cookies[0]
    assert browser.get("/review/").headers["location"] == "/review/login"


def test_its_middleware_is_around_it(site: Site) -> None:
    browser = site.browser()
    home = browser.get("/review/")
    assert home.headers["content-security-policy"] == CONTENT_POLICY
    assert home.headers["cache-control"] == "no-store"
    assert browser.get("/review/", host="evil.example").status == 421
    assert browser.post("/review/take", origin="https://evil.example").status == 403
    assert browser.post("/review/take", {"x": "y" * 40_000}).status == 413
    assert browser.get("/review/../readyz").status == 404
    assert browser.get("/review//case").status == 404
    assert browser.send("PUT", "/review/").status == 405


def test_tokens_of_the_api_do_not_open_the_page(site: Site) -> None:
    browser = Browser(site.api)
    answer = browser.get("/review/", authorization=f"Bearer {site.api.token}")
    assert (answer.status, answer.headers["location"]) == (303, "/review/login")
    browser.get("/review/login")
    for name in ("admin", site.name):
        fields = {"name": name, "token": site.api.token}
        assert browser.post("/review/login", fields).status == 403


def test_cookies_of_the_page_do_not_open_the_api(site: Site) -> None:
    browser = site.browser()
    assert browser.get("/review/").status == 200
    for path in ("/v1/lists", "/metrics", "/c/banks", "//review/../v1/lists"):
        answer = site.api.ask("GET", path, headers={"cookie": browser.cookie}, token="")
        assert answer.status in {401, 404}, path
    answer = site.api.ask(
        "GET", "/v1/lists", headers={"authorization": f"Bearer {site.secret}"}, token=""
    )
    assert answer.status == 401


def test_it_is_counted_without_its_paths_and_the_api_goes_on(site: Site) -> None:
    assert site.browser().get("/review/case/secret-case").status == 409
    text = site.api.get("/metrics").body.decode()
    assert 'hashmatch_requests_total{route="the review page",status="409"}' in text
    assert "secret-case" not in text
    assert site.api.get("/v1/lists").status == 200
    assert site.api.get("/site-map").status == 200


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--review-page",), "Give --review"),
        (("--review-page", "--review", "queue.db", "--workers", "2"), "--workers 1"),
        (("--pictures", "photos"), "--review-page"),
        (("--review-page", "--review", "queue.db"), "reviewers"),
    ],
)
def test_what_it_needs_is_said(tmp_path: Path, options: tuple[str, ...], word: str) -> None:
    run("review", "init", "queue.db", cwd=tmp_path)
    (tmp_path / "photos").mkdir()
    one_line(run("serve", "--no-auth", "--list", DEMO, *options, cwd=tmp_path), word)


def test_others_need_a_token_of_the_page(tmp_path: Path) -> None:
    run("review", "init", "queue.db", cwd=tmp_path)
    run("token", "add", "tokens.json", "a", "--scope", "match", cwd=tmp_path)
    page = ("--review", "queue.db", "--review-page", "--tokens", "tokens.json")
    other = ("--host", "0.0.0.0", "--name", "https://moderation.example")
    one_line(run("serve", "--list", DEMO, *page, *other, cwd=tmp_path), "--page-token")


class TestInChromium:
    pytestmark = needs_chromium

    def test_a_case_is_looked_at_and_decided(self, site: Site, tmp_path: Path) -> None:
        with ReviewQueue.open(site.queue) as opened:
            secret = opened.reviewers.add("bo")
        with chromium() as playwright, browsing(playwright, tmp_path) as context:
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{site.api.port}/review/")
            page.get_by_label("Your name").fill("bo")
            page.get_by_label("Your token").fill(secret)
            page.keyboard.press("Enter")
            page.get_by_role("button", name="Take the next case").click()
            on_case(page)
            page.keyboard.press("p")
            at_step(page, 0)
            page.keyboard.press("n")
            page.keyboard.type("a drawing")
            page.keyboard.press("Enter")
            page.get_by_role("button", name="Take the next case").wait_for()
            page.get_by_role("button", name="Log out").click()
            page.get_by_label("Your token").wait_for()
            assert page.url.endswith("/review/login")
