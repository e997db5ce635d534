"""The page behind a proxy that speaks TLS: its cookies, headers, names and forms; in Chromium too.

Needs Debian's chromium; nothing is downloaded.
"""

from __future__ import annotations

import ssl
import threading
from contextlib import contextmanager
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from certificates import certificates
from chromium_pages import browsing, chromium, needs_chromium, on_case
from hashmatch.records.cases import CaseState
from hashmatch.review.web.server import Serving
from processes import PATIENCE
from review_pages import Browser, ReviewSite, filled, served
from tls_proxy import TlsProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "review.example.org"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("proxied")
    certificates(made)
    return made


@pytest.fixture(scope="module")
def proxied(folder: Path) -> Iterator[tuple[ReviewSite, TlsProxy]]:
    with TlsProxy(folder) as proxy:
        names = (f"https://{NAME}", proxy.origin)
        with served(filled(folder), Serving(port=0, names=names)) as server:
            proxy.forward(server.port)
            yield ReviewSite(server), proxy


def named(host: str, origin: str | None = None) -> dict[str, str | None]:
    return {"Host": host, "Origin": origin or f"https://{NAME}"}


def test_behind_a_proxy_cookies_and_origins_are_of_its_name(
    proxied: tuple[ReviewSite, TlsProxy],
) -> None:
    site, _ = proxied
    browser = Browser(site.server)
    for host in (NAME, f"{NAME}:443", NAME.upper()):
        answer = browser.get("/login", **named(host))
        assert answer.status == 200
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert browser.cookie.startswith("__Host-hashmatch=")
    fields = {"name": "ana", "token": site.tokens["ana"]}
    for origin in ("http://review.example.org", "https://review.example.org:444", "null"):
        assert browser.post("/login", fields, **named(NAME, origin)).status == 403
    answer = browser.post("/login", fields, **named(f"{NAME}:443"))
    assert answer.status == 303
    (cookie,) = answer.cookies
    for part in ("__Host-hashmatch=", "Secure", "HttpOnly", "SameSite=strict", "Path=/"):
        assert part in cookie
    assert browser.get("/", **named(NAME)).status == 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{}", "localhost:{}", NAME + ":80", NAME + ":{}", "x." + NAME, NAME + "."]
)
def test_behind_a_proxy_other_names_are_refused(
    proxied: tuple[ReviewSite, TlsProxy], host: str
) -> None:
    site, _ = proxied
    assert site.browser().get("/login", Host=host.format(site.server.port)).status == 421


def test_through_a_proxy(proxied: tuple[ReviewSite, TlsProxy], folder: Path) -> None:
    _, proxy = proxied
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    connection = HTTPSConnection("localhost", proxy.port, context=context, timeout=PATIENCE)
    try:
        connection.request("GET", "/login")
        assert connection.getresponse().status == 200
    finally:
        connection.close()


@contextmanager
def page_of_another_site(target: str) -> Iterator[str]:
    """Serve a page that posts a form to `target` as soon as it is loaded."""
    page = (
        f'<form method="post" action="{target}"><input name="csrf" value="x"></form>'
        "<script>document.forms[0].submit()</script>"
    ).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join(PATIENCE)


@needs_chromium[0]
@needs_chromium[1]
def test_in_chromium_behind_a_proxy(proxied: tuple[ReviewSite, TlsProxy], tmp_path: Path) -> None:
    site, proxy = proxied
    queue = site.server.queue
    with chromium() as playwright, browsing(playwright, tmp_path / "profile") as context:
        page, other_tab = context.new_page(), context.new_page()
        origins: list[str | None] = []
        page.on(
            "request",
            lambda sent: (
                origins.append(sent.all_headers().get("origin")) if sent.method == "POST" else None
            ),
        )
        page.goto(f"{proxy.origin}/login")
        other_tab.goto(f"{proxy.origin}/login")  # the first tab's form is as good as before
        page.get_by_label("Your name").fill("ana")
        page.get_by_label("Your token").fill(site.tokens["ana"])
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Queue").wait_for()
        (cookie,) = context.cookies()
        assert cookie["name"] == "__Host-hashmatch"
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
        page.get_by_role("button", name="Take the next case").click()
        on_case(page)
        assert queue.counts()[CaseState.IN_REVIEW] == 1
        assert origins == [proxy.origin] * 2

        case = page.url
        with page_of_another_site(f"{case}/give-back") as elsewhere:
            other_tab.goto(elsewhere)
            other_tab.get_by_text("This form came from another site").wait_for()
        assert queue.counts()[CaseState.IN_REVIEW] == 1
        page.goto(f"{proxy.origin}/")
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("heading", name="Log in").wait_for()
        page.goto(case)
        page.get_by_role("heading", name="Log in").wait_for()
