"""What no browser sends: odd paths and headers, cookies twice, bodies without end, broken forms."""

from __future__ import annotations

import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from hashmatch.review.web.middleware import MAX_BODY, MAX_HEADERS
from processes import PATIENCE, wait_for
from review_pages import FORM, Browser, ReviewSite, filled, served

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewSite]:
    """Serve a queue of drawn pictures to all tests here."""
    with served(filled(tmp_path_factory.mktemp("page"))) as server:
        yield ReviewSite(server)


def raw(site: ReviewSite, request: bytes) -> bytes:
    """Send bytes as they are and return all that comes back until the server is done."""
    with socket.create_connection(("127.0.0.1", site.server.port), timeout=PATIENCE) as connection:
        with suppress(ConnectionResetError, BrokenPipeError):  # it has heard enough
            connection.sendall(request)
        answer = b""
        with suppress(ConnectionResetError):
            while part := connection.recv(65536):
                answer += part
    return answer


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def asked(site: ReviewSite, target: bytes, *headers: bytes) -> bytes:
    host = f"Host: 127.0.0.1:{site.server.port}".encode()
    lines = [b"GET " + target + b" HTTP/1.1", host, b"Connection: close", *headers, b"", b""]
    return raw(site, b"\r\n".join(lines))


PATHS = [
    b"/static/../context.py",
    b"/static/..%2fcontext.py",
    b"/static/%2e%2e/context.py",
    b"/static/%2e%2e%2f%2e%2e%2fetc/passwd",
    b"/static/....//page.js",
    b"/static//etc/passwd",
    b"/static/page.js%00.css",
    b"/static/page%2ejs",
    b"/static/.hidden",
    b"/static/page.js/",
    b"/static/context.py",
    b"/static/",
    b"/..",
    b"//evil.example/",
    b"/\\evil.example",
    b"/case/%2e%2e/login",
    b"/case/..;/",
    b"/case/a%0d%0aSet-Cookie:x=1",
    b"/case/\xc0\xae\xc0\xae/",
    b"/case/%c0%ae",
    b"/plot/../../x.svg",
    b"http://evil.example/login",
    b"*",
]


@pytest.mark.parametrize("path", PATHS)
def test_odd_paths_lead_nowhere(site: ReviewSite, path: bytes) -> None:
    answer = asked(site, path)
    assert status(answer) in {400, 404}, answer
    assert b"root:" not in answer
    assert b"import" not in answer
    assert b"evil" not in answer


@pytest.mark.parametrize("path", [b"/a\0b", b"/a b", b"/a\r\nX: y"])
def test_control_characters_in_a_path_are_no_request(site: ReviewSite, path: bytes) -> None:
    assert status(asked(site, path)) in {0, 400, 404, 421}


def test_names_of_files_are_an_exact_list(site: ReviewSite) -> None:
    for name, kind in (("page.js", "text/javascript"), ("page.css", "text/css")):
        answer = Browser(site.server).get(f"/static/{name}")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kind)


def test_huge_headers_are_refused(site: ReviewSite) -> None:
    assert status(asked(site, b"/login", b"X-Large: " + b"a" * MAX_HEADERS)) == 431
    assert status(asked(site, b"/login", b"X-Larger: " + b"a" * (1 << 20))) in {0, 400}
    many = [b"X-%d: a" % number for number in range(4000)]
    assert status(asked(site, b"/login", *many)) in {0, 400, 431}
    assert status(asked(site, b"/" + b"a" * (1 << 20))) in {0, 400, 404, 414}
    assert status(asked(site, b"/login")) == 200


def test_headers_that_are_there_twice_are_wrong(site: ReviewSite) -> None:
    own = f"Host: 127.0.0.1:{site.server.port}".encode()
    assert status(asked(site, b"/login", own)) in {400, 421}
    assert status(asked(site, b"/login", b"Host: evil.example")) in {400, 421}
    browser = site.browser("ana")
    cookie = b"Cookie: " + browser.cookie.encode()
    assert status(asked(site, b"/", cookie)) == 200
    assert status(asked(site, b"/", cookie, cookie)) == 400
    twice = cookie + b"; " + browser.cookie.encode()
    assert status(asked(site, b"/", twice)) == 400
    assert status(asked(site, b"/", b"Cookie: hashmatch=x; " + browser.cookie.encode())) == 400


@pytest.mark.parametrize(
    "cookie", ["hashmatch", "hashmatch=", "hashmatch=\xe9", "=", ";;;", "a" * 9000]
)
def test_odd_cookies_are_nobody(site: ReviewSite, cookie: str) -> None:
    answer = asked(site, b"/", b"Cookie: " + cookie.encode("latin-1"))
    assert status(answer) == 303
    assert b"/login" in answer


def test_a_request_within_a_request_is_none(site: ReviewSite) -> None:
    """What one server takes for a body another must not take for the next request."""
    host = f"Host: 127.0.0.1:{site.server.port}\r\nConnection: close\r\n".encode()
    both = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    answer = raw(site, b"POST /login HTTP/1.1\r\n" + host + both)
    assert answer.count(b"HTTP/1.1 ") <= 2
    assert b"200 OK" not in answer
    unequal = b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"
    assert status(raw(site, b"POST /login HTTP/1.1\r\n" + host + unequal)) in {0, 400}


def test_oversize_bodies_are_refused_unread(site: ReviewSite) -> None:
    browser = site.browser("ana")
    answer = browser.send("POST", "/take", b"a" * 10, {"Content-Length": str(MAX_BODY + 1)})
    assert answer.status == 413
    assert browser.send("POST", "/take", b"x=1", {"Content-Length": "-1"}).status in {400, 413}
    assert browser.post("/undo", {"decision": "a" * (MAX_BODY - 500)}).status == 409


def test_a_body_that_goes_on_is_cut_off(site: ReviewSite) -> None:
    browser = site.browser("ana")
    head = (
        f"POST /take HTTP/1.1\r\nConnection: close\r\nHost: 127.0.0.1:{site.server.port}\r\n"
        f"Cookie: {browser.cookie}\r\n"
        f"Content-Type: {FORM}\r\nSec-Fetch-Site: same-origin\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    piece = b"1000\r\n" + b"a" * 0x1000 + b"\r\n"
    assert status(raw(site, head + piece * 20 + b"0\r\n\r\n")) == 413


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("text/plain", b"csrf=x"),
        (None, b"csrf=x"),
        (FORM, b"csrf"),
        (FORM, b"csrf=%ff"),
        (FORM, b"csrf=\xff"),
        (FORM, b"csrf=a&csrf=a"),
        (FORM, b"csrf=a%00b"),
        (FORM, b"&".join(b"x%d=1" % number for number in range(100))),
    ],
)
def test_forms_that_are_none_are_refused(site: ReviewSite, kind: str | None, body: bytes) -> None:
    browser = site.browser("ana")
    assert browser.send("POST", "/take", body, {"Content-Type": kind}).status == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "XYZ"])
def test_other_methods_are_refused(site: ReviewSite, method: str) -> None:
    assert site.browser("ana").send(method, "/login").status in {400, 404, 405}


@pytest.mark.parametrize("path", ["/take", "/undo", "/logout", "/case/x-1/decide"])
def test_nothing_changes_by_a_link(site: ReviewSite, path: str) -> None:
    assert site.browser("ana").get(path).status == 404


def test_pictures_are_for_the_script_of_the_page_only(site: ReviewSite) -> None:
    """A link, a frame or an image of another page cannot send the header."""
    browser = site.browser("ana")
    page = browser.take()
    assert browser.picture(page, 0).status == 200
    csrf, browser.csrf = browser.csrf, "x"
    assert browser.picture(page, 0).status == 403
    browser.csrf = csrf
    picture = page.text.partition('data-picture="')[2].partition('"')[0]
    assert browser.get(picture).status == 403


@pytest.mark.parametrize(
    "query", ["step=4", "step=-1", "step=x", "item=9", "item=-1", "item=1e3", "step="]
)
def test_odd_steps_and_items_show_nothing(site: ReviewSite, query: str) -> None:
    browser = site.browser("ana")
    case = browser.take().text.partition('data-picture="')[2].partition('"')[0]
    answer = browser.get(f"{case}?{query}", x_hashmatch=browser.csrf)
    assert (answer.status, answer.headers["content-type"]) == (409, "text/plain; charset=utf-8")


@pytest.mark.parametrize("case", ["x", "x-1", "0", "-1", "9" * 40, "x-1e9"])
def test_cases_that_are_not_there_are_not_ones_own(site: ReviewSite, case: str) -> None:
    browser = site.browser("bo")
    answer = browser.get(f"/case/{case}")
    assert answer.status in {404, 409}
    for form in ("decide", "give-back", "renew", "leave"):
        assert browser.post(f"/case/{case}/{form}").status in {404, 409}


def test_names_and_reasons_are_text_and_no_markup(site: ReviewSite) -> None:
    browser = site.browser()
    answer = browser.log_in('"><script>alert(1)</script>', "x")
    assert "<script>alert" not in answer.text
    browser = site.browser("bo")
    page = browser.take()
    path = page.text.partition('data-picture="')[2].partition("/picture")[0]
    answer = browser.post(
        f"{path}/decide", {"verdict": "x", "reason": "</q><img src=x>", "digest": "x"}
    )
    assert answer.status == 400
    assert "<img src=x" not in answer.text
    browser.post(f"{path}/give-back")


def test_what_fails_behind_is_one_line_and_one_word_in_the_log(
    site: ReviewSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(case_id: str) -> None:
        raise RuntimeError("profiles/secret.jpg")

    browser = site.browser("ana")
    monkeypatch.setattr(site.server.queue, "case", broken)
    with caplog.at_level(logging.DEBUG):
        answer = browser.get("/case/x-1")
    assert (answer.status, "secret" in answer.text) == (500, False)
    assert answer.headers["cache-control"] == "no-store"
    wait_for(lambda: "RuntimeError" in caplog.text)  # it is answered first
    assert "secret" not in caplog.text
