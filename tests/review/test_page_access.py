"""Who is let in: log in, sessions and their end, forms of other sites, names, tokens, limits."""

from __future__ import annotations

import base64
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from itsdangerous import TimestampSigner

from hashmatch.review.web.auth import (
    FAILURE_COUNTS_FOR,
    MAX_AGE,
    MAX_FAILURES,
    MAX_FORM_AGE,
    MAX_IDLE,
    MAX_REMEMBERED,
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
        {"Sec_Fetch_Site": "same-origin", "Origin": "null"},
        {"Sec_Fetch_Site": None, "Origin": None},
        {"Sec_Fetch_Site": None, "Origin": "null"},
        {"Sec_Fetch_Site": None, "Origin": "http://evil.example"},
        {"Sec_Fetch_Site": None, "Origin": "file://"},
        {"Sec_Fetch_Site": None, "Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": None, "Origin": "https://127.0.0.1:{}"},
        {"Sec_Fetch_Site": None, "Origin": "http://localhost:{}"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "http://evil.example"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "https://127.0.0.1:{}"},
    ],
    ids=str,
)
def test_forms_of_other_sites_are_refused(site: ReviewSite, headers: dict[str, str | None]) -> None:
    browser = site.browser("ana")
    waiting = site.server.queue.counts()
    sent = {name: value and value.format(site.server.port) for name, value in headers.items()}
    answer = browser.post("/take", None, **sent)
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
    assert answer.headers["referrer-policy"] == "same-origin"
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


def test_the_right_token_is_let_in_after_any_number_of_wrong_ones(site: ReviewSite) -> None:
    browser = site.browser()
    for _ in range(MAX_FAILURES):
        assert browser.log_in("bo", "wrong").status == 403
    answer = browser.log_in("bo", "wrong")
    assert answer.status == 429
    assert 0 < int(answer.headers["retry-after"]) <= FAILURE_COUNTS_FOR
    assert browser.log_in("ana", "wrong").status == 403  # others are not to blame
    assert browser.log_in("bo", site.tokens["bo"]).status == 303


def test_wrong_tokens_are_counted_by_name_and_network() -> None:
    clock = Clock()
    throttle = LoginThrottle(clock)
    for _ in range(MAX_FAILURES):
        assert throttle.failed("ana", "192.0.2.1") == 0
    for _ in range(100):
        assert throttle.failed("ana", "192.0.2.1") == FAILURE_COUNTS_FOR
    assert throttle.failed("ana", "192.0.2.2") == throttle.failed("bo", "192.0.2.1") == 0
    clock.now += FAILURE_COUNTS_FOR - 1
    assert throttle.failed("ana", "192.0.2.1") == 1
    clock.now += 1
    assert throttle.failed("ana", "192.0.2.1") == 0
    assert throttle.failed("ana", "192.0.2.1") == FAILURE_COUNTS_FOR
    clock.now += MAX_FAILURES * FAILURE_COUNTS_FOR
    assert throttle.failed("ana", "192.0.2.1") == 0


def test_strangers_fill_no_memory_with_names_and_addresses() -> None:
    throttle = LoginThrottle(Clock())
    for number in range(MAX_REMEMBERED + 50):
        throttle.failed(f"name {number}" * 50, f"192.0.2.{number}")
    assert len(throttle) == MAX_REMEMBERED
    assert all(len(key) == 16 for key in throttle._empty_at)


def test_an_unknown_name_is_compared_with_as_much(
    site: ReviewSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[str, str]] = []

    def compare(kept: str, given: str) -> bool:
        compared.append((kept, given))
        return kept == given

    monkeypatch.setattr("hashmatch.review.reviewers.hmac.compare_digest", compare)
    assert not site.server.queue.reviewers.check("nobody", site.tokens["ana"])
    assert not site.server.queue.reviewers.check("ana", "wrong")
    assert [(len(kept), len(given)) for kept, given in compared] == [(64, 64)] * 2


def test_a_new_token_ends_the_sessions_of_the_old(site: ReviewSite) -> None:
    """Whoever has somebody's token or cookie is out when that person is given another token."""
    reviewers = site.server.queue.reviewers
    stolen, replaced, other = site.browser("ana"), site.browser("ana"), site.browser("bo")
    token = reviewers.add("ana")
    assert stolen.get("/").status == 303
    reviewers.remove("ana")
    site.tokens["ana"] = newest = reviewers.add("ana")
    assert replaced.post("/take").status == 303  # to the form to log in
    assert [case.lease for case in site.server.queue.cases() if case.lease] == []
    assert site.browser().log_in("ana", token).status == 403
    again = site.browser()
    assert again.log_in("ana", newest).status == 303
    assert again.get("/").status == other.get("/").status == 200


def test_nothing_is_kept_of_who_is_not_logged_in(site: ReviewSite) -> None:
    context = site.server.context
    before = len(context.sessions)
    for _ in range(1000):
        assert site.browser().get("/login").status == 200
    browser = site.browser()
    for number in range(20):
        assert browser.log_in(f"stranger {number}", "wrong").status == 403
    assert len(context.sessions) == before
    assert site.server.queue.verify()


def test_the_form_to_log_in_is_good_for_one_browser_and_a_while(
    site: ReviewSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = site.browser(), site.browser()
    first.get("/login")
    second.get("/login")
    fields = {"name": "ana", "token": site.tokens["ana"]}
    assert second.post("/login", {**fields, "csrf": first.csrf}).status == 403
    later = int(time.time()) + MAX_FORM_AGE + 2
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: later)
    assert first.post("/login", {**fields, "csrf": first.csrf}).status == 403
    assert first.log_in("ana", site.tokens["ana"]).status == 303


def test_a_form_to_log_in_is_good_in_every_tab(site: ReviewSite) -> None:
    browser = site.browser()
    browser.get("/login")
    first_tab = browser.csrf
    browser.get("/login")
    fields = {"name": "ana", "token": site.tokens["ana"], "csrf": first_tab}
    assert browser.post("/login", fields).status == 303


def test_sessions_end_by_themselves() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    secret = sessions.begin("ana", "")
    clock.now += MAX_IDLE
    assert sessions.find(secret, touch=False)
    assert sessions.find(secret)
    clock.now += MAX_IDLE
    assert sessions.find(secret, touch=False)
    clock.now += 1
    assert sessions.find(secret) is None
    secret = sessions.begin("ana", "")
    for _ in range(MAX_AGE // MAX_IDLE):
        clock.now += MAX_IDLE
        assert sessions.find(secret)
    clock.now += 1
    assert sessions.find(secret) is None


def test_many_log_ins_end_ones_own_sessions_only() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    secret, first = sessions.begin("ana", ""), sessions.begin("bo", "")
    for _ in range(MAX_SESSIONS * 3):
        clock.now += 0.001
        latest = sessions.begin("bo", "")
    assert sessions.find(secret)
    assert sessions.find(latest)
    assert sessions.find(first) is None
    assert len(sessions) == MAX_SESSIONS + 1


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
