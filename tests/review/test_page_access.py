"""Who is let in: log in, sessions and their end, forms of other sites, names, tokens, limits."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hashmatch.review.web.auth import (
    FAILURE_COUNTS_FOR,
    MAX_AGE,
    MAX_ANONYMOUS,
    MAX_FAILURES,
    MAX_IDLE,
    MAX_SESSIONS,
    LoginThrottle,
    Sessions,
)
from hashmatch.review.web.context import GRACE, OpenPages
from hashmatch.review.web.middleware import CONTENT_POLICY
from review_pages import Browser, ReviewSite, filled, served

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGES = ("/", "/statistics", "/plot/ages.svg", "/case/x-1")
POSTS = ("/take", "/undo", "/logout", "/case/x-1/decide", "/case/x-1/renew", "/case/x-1/leave")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewSite]:
    """Serve a queue of drawn pictures to all tests here."""
    with served(filled(tmp_path_factory.mktemp("page"))) as server:
        yield ReviewSite(server)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_strangers_are_sent_to_the_log_in(site: ReviewSite) -> None:
    for path in PAGES:
        answer = Browser(site.server).get(path)
        assert (answer.status, answer.headers["location"]) == (303, "/login")
    for path in POSTS:
        assert Browser(site.server).post(path).status == 403
    assert Browser(site.server).get("/case/x-1/picture", x_hashmatch="x").status == 403


def test_a_wrong_name_and_a_wrong_token_are_told_the_same(site: ReviewSite) -> None:
    answers = set()
    for name, token in (("ana", "wrong"), ("nobody", site.tokens["ana"]), ("", ""), ("ana", "")):
        browser = site.browser()
        answer = browser.log_in(name, token)
        assert (answer.status, answer.cookies) == (403, [])
        answers.add(answer.text.replace(answer.csrf, "csrf").replace(f'value="{name}"', ""))
        assert browser.get("/").status == 303
    assert len(answers) == 1


def test_logging_in_begins_another_session(site: ReviewSite) -> None:
    browser = site.browser()
    browser.get("/login")
    before = browser.cookie
    assert browser.log_in("ana", site.tokens["ana"]).status == 303
    assert browser.cookie != before
    browser.cookie = before
    assert browser.get("/").headers["location"] == "/login"


def test_cookies_are_for_this_server_only(site: ReviewSite) -> None:
    (cookie,) = site.browser().get("/login").cookies
    assert cookie.startswith("hashmatch=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    assert "Max-Age" not in cookie  # it ends with the browser


def test_a_stolen_session_is_worth_nothing_after_log_out(site: ReviewSite) -> None:
    browser, thief = site.browser("ana"), site.browser()
    thief.cookie, thief.csrf = browser.cookie, browser.csrf
    assert thief.get("/").status == 200
    assert browser.post("/logout").headers["clear-site-data"] == '"cache"'
    thief.cookie = thief.cookie or "gone"
    assert thief.get("/").headers["location"] == "/login"
    assert thief.post("/take").status == 403
    assert thief.get("/case/x-1/picture", x_hashmatch=thief.csrf).status == 403


def test_who_is_removed_is_logged_out_at_once(site: ReviewSite) -> None:
    token = site.server.queue.reviewers.add("cy")
    browser = site.browser()
    assert browser.log_in("cy", token).status == 303
    site.server.queue.reviewers.remove("cy")
    assert browser.get("/").headers["location"] == "/login"


@pytest.mark.parametrize("path", POSTS)
def test_forms_without_the_right_token_are_refused(site: ReviewSite, path: str) -> None:
    browser, other = site.browser("ana"), site.browser("bo")
    for token in ("", "x", other.csrf, browser.csrf[:-1]):
        answer = browser.post(path, {"csrf": token})
        assert answer.status == 403
        assert "Nothing was done" in answer.text


def test_logging_in_needs_the_token_of_its_form(site: ReviewSite) -> None:
    browser = site.browser()
    browser.get("/login")
    fields = {"name": "ana", "token": site.tokens["ana"], "csrf": "x"}
    assert browser.post("/login", fields).status == 403
    browser.cookie = ""
    assert browser.post("/login", fields).status == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "null"},
        {"Sec_Fetch_Site": None, "Origin": None},
        {"Sec_Fetch_Site": None, "Origin": "null"},
        {"Sec_Fetch_Site": None, "Origin": "http://evil.example"},
        {"Sec_Fetch_Site": None, "Origin": "file://"},
        {"Sec_Fetch_Site": None, "Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "http://evil.example"},
    ],
    ids=str,
)
def test_forms_of_other_sites_are_refused(site: ReviewSite, headers: dict[str, str | None]) -> None:
    browser = site.browser("ana")
    waiting = site.server.queue.counts()
    answer = browser.post("/take", None, **headers)
    assert answer.status == 403
    assert "another site" in answer.text
    assert site.server.queue.counts() == waiting


def test_forms_of_this_site_need_one_sign_of_it(site: ReviewSite) -> None:
    browser = site.browser("ana")
    own = f"http://127.0.0.1:{site.server.port}"
    for headers in ({"Sec_Fetch_Site": None, "Origin": own}, {"Origin": None}, {"Origin": own}):
        assert browser.post("/undo", {"decision": "x"}, **headers).status == 409


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "", "127.0.0.1.:{}"])
def test_other_names_of_this_server_are_refused(site: ReviewSite, host: str) -> None:
    browser = site.browser("ana")
    answer = browser.get("/", Host=host.format(site.server.port))
    assert answer.status == 421
    assert browser.get("/", Host=f"LOCALHOST:{site.server.port}").status == 200


@pytest.mark.parametrize(
    "path", ["/", "/login", "/static/page.js", "/nowhere", "/case/a%2eb", "/x"]
)
def test_every_answer_is_sealed(site: ReviewSite, path: str) -> None:
    answer = site.browser("ana").get(path)
    assert answer.headers["content-security-policy"] == CONTENT_POLICY
    assert "unsafe" not in CONTENT_POLICY
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "server" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/login", "/statistics", "/case/x-1"])
def test_pages_have_nothing_inline(site: ReviewSite, path: str) -> None:
    text = site.browser("ana").get(path).text
    assert "<style" not in text
    assert "style=" not in text
    assert text.count("<script") == text.count('<script src="/static/page.js"')
    assert " on" + "click" not in text
    assert "://" not in text


def test_too_many_tries_have_to_wait(site: ReviewSite) -> None:
    browser = site.browser()
    for _ in range(MAX_FAILURES["name"]):
        assert browser.log_in("bo", "wrong").status == 403
    answer = browser.log_in("bo", site.tokens["bo"])
    assert answer.status == 429
    assert 0 < int(answer.headers["retry-after"]) <= FAILURE_COUNTS_FOR
    assert browser.log_in("ana", site.tokens["ana"]).status == 303  # others are not to blame
    site.server.context.throttle.succeeded("bo")


def test_tries_are_counted_by_address_too() -> None:
    clock = Clock()
    throttle = LoginThrottle(clock)
    for number in range(MAX_FAILURES["address"]):
        assert throttle.wait(f"name {number}", "10.0.0.1") == 0
        throttle.failed(f"name {number}", "10.0.0.1")
    assert throttle.wait("ana", "10.0.0.1") == FAILURE_COUNTS_FOR
    assert throttle.wait("ana", "10.0.0.2") == 0
    clock.now += FAILURE_COUNTS_FOR
    assert throttle.wait("ana", "10.0.0.1") == 0


def test_sessions_end_by_themselves() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    secret = sessions.begin("ana")
    clock.now += MAX_IDLE
    assert sessions.find(secret, touch=False)
    assert sessions.find(secret)
    clock.now += MAX_IDLE
    assert sessions.find(secret, touch=False)
    clock.now += 1
    assert sessions.find(secret) is None
    secret = sessions.begin("ana")
    for _ in range(MAX_AGE // MAX_IDLE):
        clock.now += MAX_IDLE
        assert sessions.find(secret)
    clock.now += 1
    assert sessions.find(secret) is None
    nameless = sessions.begin()
    clock.now += MAX_ANONYMOUS + 1
    assert sessions.find(nameless) is None


def test_a_flood_of_strangers_logs_nobody_out() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    secret = sessions.begin("ana")
    for _ in range(MAX_SESSIONS + 10):
        clock.now += 0.001
        sessions.begin()
    assert sessions.find(secret)


def test_a_page_that_is_there_again_keeps_its_case() -> None:
    clock = Clock()
    tracked = OpenPages(clock)
    pages = [(case, who, tracked.open(case, who)) for case, who in (("q-1", "ana"), ("q-2", "bo"))]
    for page in pages:
        tracked.close(*page)
    tracked.open("q-1", "ana")
    tracked.close(*pages[0])  # the page before says so late
    clock.now += GRACE
    assert tracked.due() == [("q-2", "bo")]
    assert tracked.due() == []


def test_a_token_of_the_server_is_asked_for_before_anything(site: ReviewSite) -> None:
    middleware = site.server.middleware
    policy, token = middleware._policy, "0123456789abcdef0123456789abcdef"
    middleware._policy = replace(policy, token=token)
    try:
        browser = site.browser()
        for path in ("/login", "/static/page.css", "/nowhere"):
            answer = browser.get(path)
            assert answer.status == 401
            assert answer.headers["www-authenticate"].startswith("Basic")
        for wrong in ("x", f"Bearer {token}x", "Bearer", "Basic ???", "Basic eA=="):
            assert browser.get("/login", Authorization=wrong).status == 401
        basic = base64.b64encode(f"any:{token}".encode()).decode()
        assert browser.get("/login", Authorization=f"Basic {basic}").status == 200
        assert browser.get("/login", Authorization=f"Bearer {token}").status == 200
    finally:
        middleware._policy = policy
