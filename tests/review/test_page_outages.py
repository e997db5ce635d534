"""The page while its database is locked, full, gone or restarted: a plain 503, then as before."""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

import postgres_server
from hashmatch.records.cases import CaseState
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.web import context
from hashmatch.review.web.cache import Cached
from hashmatch.review.web.server import Serving
from processes import PATIENCE, wait_for
from review_pages import Answer, ReviewSite, filled, served
from review_records import many
from sqlite_locks import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from review_pages import Browser

GETS = ("/", "/statistics", "/plot/ages.svg", "/case/{}")
SCRIPTS = ("/case/{}/renew", "/case/{}/leave")
POSTS = ("/take", "/undo", "/case/{}/give-back", "/case/{}/decide")
TELLING = re.compile(r"sqlite|postgres|database|lock|busy|disk|queue\.db|errno|/tmp|/dev|host|psyc")
"""Words on what is behind the page."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ReviewSite]:
    with served(filled(tmp_path)) as server:
        yield ReviewSite(server)


def unavailable(answer: Answer, *, script: bool = False) -> Answer:
    """Check that an answer is one that says nothing, but when to ask again."""
    assert answer.status == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert not TELLING.search(answer.text.lower()), answer.text
    kind = "text/plain" if script else "text/html"
    assert answer.headers["content-type"].startswith(kind)
    return answer


def case_of(page: Answer) -> str:
    found = re.search(r'data-picture="/case/([^"/]+)/picture"', page.text)
    assert found, page.text
    return found[1]


def answer_fields(page: Answer) -> dict[str, str]:
    return {"verdict": "unsure", "reason": "made <up>", "digest": page.field("digest")}


def all_unavailable(site: ReviewSite, browser: Browser, page: Answer) -> None:
    """Check every route that needs the queue."""
    case = case_of(page)
    for path in GETS:
        unavailable(browser.get(path.format(case)))
    for path in POSTS:
        unavailable(browser.post(path.format(case), answer_fields(page)))
    for path in SCRIPTS:
        unavailable(browser.post(path.format(case)), script=True)
    unavailable(browser.picture(page, 0), script=True)
    stranger = site.browser()
    stranger.get("/login")
    unavailable(stranger.post("/login", {"name": "bo", "token": site.tokens["bo"]}))


def test_while_another_process_writes_what_is_read_is_there(site: ReviewSite) -> None:
    browser, other = site.browser("ana"), site.browser("bo")
    page = browser.take()
    case = case_of(page)
    with locked(site.server.queue.where):
        for path in GETS:
            assert browser.get(path.format(case)).status == 200
        assert browser.picture(page, 0).status == 200
        unavailable(other.post("/take"))
        unavailable(browser.post(f"/case/{case}/renew"), script=True)
        unavailable(browser.post(f"/case/{case}/give-back"))
        kept = unavailable(browser.post(f"/case/{case}/decide", answer_fields(page)))
        assert "made &lt;up&gt;" in kept.text
        assert 'value="unsure" required checked' in kept.text
        assert kept.field("digest") == page.field("digest")
        assert other.get("/").status == 200
    assert browser.post(f"/case/{case}/renew").status == 200
    assert other.post("/take").status == 303
    answer = browser.post(f"/case/{case}/decide", answer_fields(kept))
    assert answer.status == 303
    assert "made &lt;up&gt;" in browser.get(answer.headers["location"]).text
    assert browser.get("/").text.count(">1</dd>") == 2  # one is in review, one unsure: at once
    site.server.queue.verify()


def test_what_is_only_looked_at_writes_nothing(site: ReviewSite) -> None:
    """So that it waits for nobody who writes. Uncovering a picture is recorded, and is a write."""
    browser = site.browser("ana")
    page = browser.take()
    fields = answer_fields(page)
    with closing(sqlite3.connect(site.server.queue.where)) as watching:

        def version() -> int:
            ((number,),) = watching.execute("PRAGMA data_version").fetchall()
            return int(number)

        before = version()
        for path in (*GETS, "/login", "/static/page.js", "/nowhere"):
            browser.get(path.format(case_of(page)))
            assert version() == before, path
        assert browser.picture(page, 0).status == 200
        assert version() == before
        browser.post(f"/case/{case_of(page)}/decide", fields)
        assert version() != before
        before = version()
        assert browser.get(f"/case/{case_of(page)}").status == 200  # what was decided
        assert version() == before


def test_who_logs_out_meanwhile_gives_the_case_back_later(
    site: ReviewSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "GRACE", 0.0)
    browser = site.browser("ana")
    case = case_of(browser.take())
    queue = site.server.queue
    with locked(queue.where):
        assert browser.post("/logout").status == 303
        assert browser.get("/").headers["location"] == "/login"
        assert queue.case(case).state is CaseState.IN_REVIEW
    wait_for(lambda: queue.case(case).state is not CaseState.IN_REVIEW)


def test_a_file_that_is_gone_is_a_503_on_every_route_until_it_is_back(
    site: ReviewSite, caplog: pytest.LogCaptureFixture
) -> None:
    browser = site.browser("ana")
    page = browser.take()
    path = site.server.queue.where
    os.rename(path, f"{path}-away")
    all_unavailable(site, browser, page)
    assert len([line for line in caplog.messages if "No such file" in line]) == 1
    os.rename(f"{path}-away", path)
    assert browser.get(f"/case/{case_of(page)}").status == 200  # nobody was logged out
    assert browser.picture(page, 0).status == 200
    assert browser.post(f"/case/{case_of(page)}/decide", answer_fields(page)).status == 303
    site.server.queue.verify()


def test_a_full_disk_costs_an_answer_and_no_more(site: ReviewSite) -> None:
    browser = site.browser("ana")
    page = browser.take()
    queue = site.server.queue
    with queue.transaction() as tx:  # as SQLite meets it
        ((pages,),) = tx.database.rows("PRAGMA page_count")
        tx.database.rows(f"PRAGMA max_page_count = {pages}")
    reasons = ("made up " * 200)[:1500]
    answers = []
    for _ in range(40):  # until what is free within the pages is used up
        fields = answer_fields(page) | {"reason": reasons}
        answer = browser.post(f"/case/{case_of(page)}/decide", fields)
        answers.append(answer)
        if answer.status == 503:
            break
        decided = browser.get(answer.headers["location"])
        undone = browser.post("/undo", {"decision": decided.field("decision")})
        if undone.status == 503:
            answers.append(undone)
            break
        page = browser.get(f"/case/{case_of(page)}")
    unavailable(answers[-1])
    assert browser.get("/").status == 200
    with queue.transaction() as tx:
        tx.database.rows("PRAGMA max_page_count = 1000000")
    if answers[-1].text.count("It is still below"):
        assert browser.post(f"/case/{case_of(page)}/decide", fields).status == 303
    queue.verify()


@pytest.fixture
def postgres_queue(tmp_path: Path) -> Iterator[tuple[postgres_server.Server, str]]:
    """Run a server that a test may stop, with a queue of pictures."""
    reason = postgres_server.missing()
    if reason:
        pytest.skip(reason)
    with (
        postgres_server.serving() as server,
        ReviewQueue.open(filled(tmp_path)) as source,
    ):
        where = server.database()
        with ReviewQueue.open(where, create=True) as queue:
            queue.add((item.record, item.origin) for case in source.cases() for item in case.items)
        yield server, where


def visit(site: ReviewSite) -> Iterator[Answer]:
    """Do all that a reviewer does, a request at a time."""
    browser = site.browser()
    yield browser.get("/login")
    yield browser.post("/login", {"name": "ana", "token": site.tokens["ana"]})
    yield browser.get("/")
    taken = browser.post("/take")
    yield taken
    page = browser.get(taken.headers["location"])
    yield page
    yield browser.picture(page, 0)
    yield browser.picture(page, 3)
    yield browser.post(f"/case/{case_of(page)}/renew")
    decided = browser.post(f"/case/{case_of(page)}/decide", answer_fields(page))
    yield decided
    yield browser.get(decided.headers["location"])
    yield browser.get("/statistics")
    yield browser.get("/plot/ages.svg")
    yield browser.post("/logout")


@pytest.mark.servers
@pytest.mark.parametrize("how", ["fast", "immediate"])
def test_a_server_may_be_restarted_between_any_two_requests(
    postgres_queue: tuple[postgres_server.Server, str], tmp_path: Path, how: str
) -> None:
    server, where = postgres_queue
    with served(where, Serving(port=0, pictures=(str(tmp_path),))) as page:
        site = ReviewSite(page)
        page.queue.statistics()
        answers = visit(site)
        for count, answer in enumerate(answers):
            assert answer.status in {200, 303}, (count, answer.status, answer.text)
            server.run(
                "pg_ctl", "-D", f"{server.folder}/data", "-m", how,
                "-l", f"{server.folder}/log", "-w", "restart",
            )  # fmt: skip
        assert count == 12
        page.queue.verify()


@pytest.mark.servers
def test_a_server_that_is_down_is_a_503_on_every_route(
    postgres_queue: tuple[postgres_server.Server, str], tmp_path: Path
) -> None:
    server, where = postgres_queue
    with served(where, Serving(port=0, pictures=(str(tmp_path),))) as page:
        site = ReviewSite(page)
        browser = site.browser("ana")
        case = browser.take()
        server.stop()
        all_unavailable(site, browser, case)
        server.start()
        assert browser.get(f"/case/{case_of(case)}").status == 200
        fields = answer_fields(case)
        assert browser.post(f"/case/{case_of(case)}/decide", fields).status == 303
        page.queue.verify()


@pytest.mark.servers
def test_a_server_that_says_nothing_is_a_503_and_keeps_nobody(
    postgres_queue: tuple[postgres_server.Server, str], tmp_path: Path
) -> None:
    server, where = postgres_queue
    with served(where, Serving(port=0, pictures=(str(tmp_path),))) as page:
        site = ReviewSite(page)
        browser = site.browser("ana")
        case = browser.take()
        shared, deadline = page.context, page.context.threads.deadline
        shared.threads.deadline = page.queue.answer_timeout = 0.5
        with server.stopped():
            unavailable(browser.get("/"))
            unavailable(browser.get(f"/case/{case_of(case)}"))
            unavailable(browser.post(f"/case/{case_of(case)}/renew"), script=True)
            assert browser.get("/static/page.js").status == 200
        shared.threads.deadline, page.queue.answer_timeout = deadline, PATIENCE
        assert browser.get(f"/case/{case_of(case)}").status == 200
        fields = answer_fields(case)
        assert browser.post(f"/case/{case_of(case)}/decide", fields).status == 303
        page.queue.verify()


def test_what_takes_long_to_count_holds_nobody_up(
    site: ReviewSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a large queue: the page is there without the counts, and statistics come by themselves."""
    from threading import Event

    may_end = Event()
    shared = site.server.context
    for name in ("counts", "statistics"):
        cached: Cached[object] = getattr(shared, name)
        count = cached._count

        def slow(count: object = count) -> object:
            assert may_end.wait(PATIENCE)
            return count()  # type: ignore[operator]

        monkeypatch.setattr(cached, "_count", slow)
        cached.outdated()
        monkeypatch.setattr(cached, "_value", None)
    browser = site.browser("ana")
    assert "still being counted" in browser.get("/").text
    answer = browser.get("/statistics")
    assert answer.status == 503
    assert int(answer.headers["refresh"]) > 0
    assert browser.get("/plot/ages.svg").status == 503
    may_end.set()
    assert "still being counted" not in browser.get("/").text
    assert browser.get("/statistics").status == 200
    assert browser.get("/plot/ages.svg").status == 200


def test_a_count_is_made_once_for_all_and_anew_after_a_change(tmp_path: Path) -> None:
    counts = []
    with ReviewQueue.open(str(tmp_path / "queue.db"), create=True) as queue:

        def count() -> int:
            counts.append(1)
            return queue.counts()[CaseState.PENDING_REVIEW]

        cached = Cached(count, max_age=PATIENCE, max_stale=PATIENCE)
        assert [cached.get() for _ in range(5)] == [0] * 5
        queue.add(many(3))
        assert cached.get() == 0
        cached.outdated()
        assert cached.get() == 3
        assert len(counts) == 2
        os.rename(queue.where, f"{queue.where}-away")
        cached.outdated()
        with pytest.raises(Exception, match="No such file"):
            cached.get()
        os.rename(f"{queue.where}-away", queue.where)
        assert cached.get() == 3
