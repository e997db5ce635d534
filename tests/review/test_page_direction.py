"""Text of others keeps to its place: it moves nothing beside it, and steers no terminal."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest

from chromium_pages import browsing, chromium, log_in, needs_chromium, on_case, take
from cli_tools import on_terminal, run
from hashmatch.records.cases import Origin
from hashmatch.records.controls import STEERING, escape_controls
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from review_pages import ReviewSite, served
from review_queues import take_and_decide
from review_records import make_record

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

HOSTILE = {
    "override": "\u202egnp.eci\x1b[2J\x9b31m",
    "closes its isolate": "a\u2069\u2069\u202c\u202c\u202e\u2067b",
    "letters that go left": "שלום (1",
    "both": "שלום\u2069\u2067 5\u202d",
}
ORDER = """() => {
  const wrong = [];
  for (const field of document.querySelectorAll("main bdi")) {
    const next = field.nextSibling ?? field.parentElement.nextSibling;
    if (next?.nodeType !== Node.TEXT_NODE) continue;
    const text = next.data, at = text.search(/\\S/);
    if (at < 0 || text.slice(at).trim().length < 2) continue;
    const of = (number) => {
      const range = document.createRange();
      range.setStart(next, number);
      range.setEnd(next, number + 1);
      return range.getBoundingClientRect();
    };
    const all = [...field.getClientRects()], last = all[all.length - 1];
    const one = of(at), two = of(at + 1);
    if (!last || !one.width || !two.width || last.bottom <= one.top) continue;
    const follows = one.left >= last.right - 1 && (two.left > one.left || two.top > one.top);
    wrong.push([follows, field.outerHTML + text]);
  }
  return wrong;
}"""


def hostile(path: Path, text: str) -> None:
    """Make a queue in which everything that others name is `text`."""
    settings = Settings(same_picture={})
    with ReviewQueue.open(str(path), settings=settings, create=True) as queue:
        for number in range(3):
            record = make_record(number, number + 1, labels=(text, text), entry=text, name=text)
            item = replace(record.item, key=f"{text}{number}", version=text)
            record = replace(record, record_id=f"{text}{number}", item=item)
            queue.add([(record, Origin(text))])
        take_and_decide(queue, "confirmed")
        queue.look_again("1", "lead", text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_page_has_a_character_that_steers(tmp_path: Path, text: str) -> None:
    hostile(tmp_path / "queue.db", text)
    with served(str(tmp_path / "queue.db")) as server:
        browser = ReviewSite(server).browser("ana")
        case = browser.take()
        fields = {"verdict": "unsure", "reason": text, "digest": case.field("digest")}
        (path,) = re.findall(r'action="(/case/[^"]+/decide)"', case.text)
        decided = browser.post(path, fields).headers["location"]
        pages = [case.text, *(browser.get(page).text for page in ("/", "/statistics"))]
        pages.append(browser.get("/plot/lists.svg").text)
        pages.append(browser.get(decided).text)
    found = [set(STEERING.findall(unescape(page))) - {"\n", "\t"} for page in pages]
    assert found == [set()] * 5
    assert f"<bdi>{escape_controls(text)}</bdi>" in pages[0]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_command_prints_one(tmp_path: Path, text: str) -> None:
    queue = tmp_path / "queue.db"
    hostile(queue, text)
    commands: list[list[str | Path]] = [
        ["status", queue],
        ["status", queue, "--json"],
        ["case", "list", queue],
        ["case", "list", queue, "--json"],
        ["case", "show", queue, "1"],
        ["case", "show", queue, "1", "--json"],
        ["history", queue],
        ["history", queue, "--json"],
        ["export", queue],
        ["verify", queue],
    ]
    for command in commands:
        ran = run("review", *command)
        assert ran.code == 0, ran.said
        printed = ran.out.decode() + ran.said
        assert set(STEERING.findall(printed)) <= {"\n"}, command
    (first, *_) = run("review", "case", "list", queue, "--json").lines
    assert first["items"][0]["record"]["item"]["key"] == f"{text}0"
    code, seen = on_terminal("review", "export", queue)
    assert code == 0
    lines = [line for line in seen.decode().split("\n") if '"schema"' in line]
    assert len(lines) == 3
    for line in lines:  # around it, a bar may be drawn
        assert set(STEERING.findall(line[line.index("{") : line.rindex("}")])) == set()


def order(page: Page) -> list[Any]:
    """Return of each field that has text behind it whether that stands behind it."""
    for details in page.locator("details").all():
        details.evaluate("at => at.open = true")
    found: list[Any] = page.evaluate(ORDER)
    return found


@pytest.mark.servers
@needs_chromium[1]
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_stands_behind_a_field_stays_there(tmp_path: Path, text: str) -> None:
    hostile(tmp_path / "queue.db", text)
    with (
        served(str(tmp_path / "queue.db")) as server,
        chromium() as playwright,
        browsing(playwright, tmp_path / "profile") as context,
    ):
        site, page = ReviewSite(server), context.new_page()
        log_in(page, site)
        take(page)
        on_case(page)
        found = order(page)
        assert len(found) >= 2
        assert [where for follows, where in found if not follows] == []
        page.keyboard.press("u")
        page.locator("#reason").fill(text)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Unsure").wait_for()
        page.goto(site.server.address)
        page.get_by_text("Decided by you a moment ago").wait_for()
        assert [where for follows, where in order(page) if not follows] == []
