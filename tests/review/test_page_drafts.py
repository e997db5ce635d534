"""The pages of drafts and requests: what is chosen, who looked, who signed, and for whom."""

from __future__ import annotations

import html
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from hashmatch.review.drafts.draft import (
    confirmed_case,
    draft_status,
    make_draft,
    write_draft,
)
from hashmatch.review.preservation import preserve
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from hashmatch.review.web.server import Serving
from review_drafts import choose_all, example_account
from review_pages import ReviewSite, filled, served
from review_queues import take_and_decide

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ReviewSite]:
    """Serve a queue with one confirmed case, and a folder for drafts."""
    path = filled(tmp_path, Settings(undo=timedelta(0)))
    with ReviewQueue.open(path) as queue:
        take_and_decide(queue, "confirmed", "ana")
    (tmp_path / "drafts").mkdir(mode=0o700)
    serving = Serving(port=0, pictures=(str(tmp_path),), drafts=str(tmp_path / "drafts"))
    with served(path, serving) as server:
        yield ReviewSite(server)


def confirmed(site: ReviewSite) -> str:
    """Return the id of the confirmed case."""
    return next(site.server.queue.cases("confirmed")).case_id


def test_a_person_chooses_and_definitions_are_beside_the_choices(site: ReviewSite) -> None:
    browser, case_id = site.browser("ana"), confirmed(site)
    where = f"/draft/{case_id}/ncmec"
    assert where in browser.get("/drafts").text
    page = browser.get(where)
    assert "5 choices are missing" in page.text
    assert "checked" not in page.text.replace('value="1" checked', "")  # but the viewer's
    assert "a pubescent child, in a sexual act" in page.text
    record = page.text.split('name="record" value="record-')[-1:]
    case = confirmed_case(site.server.queue, case_id)
    name = case.items[0].record.record_id
    assert record
    fields = {"question": "annotations", "record": name, "value2": "viral", "value8": "infant"}
    assert browser.post(f"{where}/choose", fields).status == 303
    fields = {"question": "report-annotations", "record": ""}
    assert browser.post(f"{where}/choose", fields).status == 303
    page = browser.get(where)
    assert "3 choices are missing" in page.text
    assert "chose <bdi>viral</bdi>, <bdi>infant</bdi>" in page.text
    assert "chose none of them" in page.text
    wrong = browser.post(f"{where}/choose", {"question": "classification", "record": name})
    assert wrong.status == 400
    assert "give one" in wrong.text


def test_a_draft_is_read_and_signed_off_by_two(site: ReviewSite, tmp_path: Path) -> None:
    queue, case_id = site.server.queue, confirmed(site)
    where = f"/draft/{case_id}/ncmec"
    ana, bo = site.browser("ana"), site.browser("bo")
    assert "There is no draft yet" in ana.get(where).text
    case = confirmed_case(queue, case_id)
    choose_all(queue, case)
    out = tmp_path / "drafts" / "one"
    write_draft(queue, make_draft(queue, case, "ncmec", example_account()), out, "ana")
    page = ana.get(where)
    assert html.escape("<espIdentifier>1001</espIdentifier>") in page.text
    digest = page.field("digest")
    assert ana.post(f"{where}/sign", {"digest": "0" * 64}).status == 409
    assert ana.post(f"{where}/sign", {"digest": digest}).status == 303
    again = ana.post(f"{where}/sign", {"digest": digest})
    assert (again.status, "has signed it off already" in again.text) == (409, True)
    assert bo.post(f"{where}/sign", {"digest": bo.get(where).field("digest")}).status == 303
    assert "Signed off by <bdi>ana</bdi>, <bdi>bo</bdi>." in bo.get(where).text
    assert draft_status(queue, out).is_signed_off


def test_the_latest_of_many_drafts_is_shown(site: ReviewSite, tmp_path: Path) -> None:
    queue, case_id = site.server.queue, confirmed(site)
    for number in range(250):
        (tmp_path / "drafts" / f"another-{number}").mkdir(mode=0o700)
        (tmp_path / "drafts" / f"another-{number}" / "manifest.json").touch(mode=0o600)
    case = confirmed_case(queue, case_id)
    for name in ("b-early", "a-late", "c-middle"):
        write_draft(
            queue, make_draft(queue, case, "ncmec", example_account()),
            tmp_path / "drafts" / name, "ana",
        )  # fmt: skip
    choose_all(queue, case)
    write_draft(
        queue, make_draft(queue, case, "ncmec", example_account()),
        tmp_path / "drafts" / "b-later", "ana",
    )  # fmt: skip
    page = site.browser("ana").get(f"/draft/{case_id}/ncmec")
    assert "Signed off by nobody yet; two people have to." in page.text
    assert page.field("digest") == draft_status(queue, tmp_path / "drafts" / "b-later").digest


def test_the_second_person_sees_the_picture_only_on_request(site: ReviewSite) -> None:
    browser, case_id = site.browser("bo"), confirmed(site)
    page = browser.get(f"/draft/{case_id}/ncmec")
    assert "<img" not in page.text
    before = site.server.queue.head()
    assert browser.picture(page, 0).status == 200  # covered, which is no view
    assert site.server.queue.head() == before
    assert browser.picture(page, 3).status == 200
    shown = browser.get(f"/draft/{case_id}/ncmec/exif?item=0", x_hashmatch=browser.csrf)
    assert shown.status == 200
    events = [(one.kind, one.who) for one in site.server.queue.history(case_id)][-2:]
    assert events == [("uncovered", "bo"), ("exif_viewed", "bo")]
    assert browser.get(f"/draft/{case_id}/ncmec/picture?item=0&step=3").status == 403
    page = browser.get(f"/draft/{case_id}/ncmec")
    assert page.text.count("<dd>yes<br>") == 2


def test_only_confirmed_cases_have_the_page(site: ReviewSite) -> None:
    browser = site.browser("ana")
    waiting = next(site.server.queue.cases("pending_review")).case_id
    for path in ("", "/picture?step=3", "/exif"):
        answer = browser.get(f"/draft/{waiting}/ncmec{path}", x_hashmatch=browser.csrf)
        assert answer.status == 409, path
    assert browser.get(f"/draft/{confirmed(site)}/interpol").status == 409
    assert site.browser().get(f"/draft/{waiting}/ncmec").status == 303


def test_the_number_of_a_report_starts_the_clock(site: ReviewSite) -> None:
    browser, case_id = site.browser("ana"), confirmed(site)
    where, today = f"/draft/{case_id}/ncmec", datetime.now(UTC).strftime("%Y-%m-%d")
    for number, filed in (("", today), ("9900001", "2999-01-01"), ("9900001", "yesterday")):
        answer = browser.post(f"{where}/report", {"number": number, "filed": filed})
        assert answer.status == 400
        assert 'role="alert"' in answer.text
    assert browser.post(f"{where}/report", {"number": "9900001", "filed": today}).status == 303
    assert "9900001" in browser.get("/drafts").text
    assert "Preserved until" in browser.get(where).text
    again = browser.post(f"{where}/report", {"number": "9900001 ", "filed": today})
    assert (again.status, "is entered already" in again.text) == (409, True)
    assert 'role="alert"' in again.text


def test_a_report_whose_clock_has_run_out_is_still_one(site: ReviewSite) -> None:
    browser, case_id = site.browser("ana"), confirmed(site)
    assert "no report was entered" in browser.get("/drafts").text
    filed = datetime(2001, 1, 1, tzinfo=UTC)
    preserve(site.server.queue, case_id, "9900001", filed, "ana")
    page = browser.get("/drafts").text
    assert "no report was entered" not in page
    assert "report <bdi>9900001</bdi>, no longer preserved" in page
    page = browser.get(f"/draft/{case_id}/ncmec").text
    assert "No longer preserved." in page
    assert "Preserved until" not in page


def test_requests_are_entered_and_listed(site: ReviewSite) -> None:
    browser, case_id = site.browser("ana"), confirmed(site)
    given = {"reference": "2026-<1>", "authority": "a court", "received": "2026-01-31",
             "due": "2026-02-28", "cases": f"{case_id}, 99"}  # fmt: skip
    answer = browser.post("/requests/add", given)
    assert (answer.status, "none in this queue" in answer.text) == (400, True)
    assert "2026-&lt;1&gt;" in answer.text
    assert browser.post("/requests/add", given | {"cases": case_id}).status == 303
    page = browser.get("/requests").text
    assert "2026-&lt;1&gt;" in page
    assert "overdue" in page
    assert "waits for an answer" in page
