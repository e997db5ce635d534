"""Where the page is served and to whom, from the command line; and what a server leaves behind."""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
from http.client import HTTPSConnection
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest

from certificates import certificates
from cli_tools import environment, one_line, run
from conftest import IMAGES, ROOT
from hashmatch.errors import StoreError, UsageError, install
from hashmatch.records.safeguards import Safeguard, allowing, collecting
from hashmatch.review import web
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.web.middleware import AccessPolicy
from hashmatch.review.web.server import Serving
from page_program import serving
from processes import PATIENCE
from review_pages import Answer, Browser, filled

if TYPE_CHECKING:
    from pathlib import Path

KEY = "landscape-dusk.jpg"
TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a queue of one picture."""
    return filled(tmp_path_factory.mktemp("serving"), names=(KEY,))


@pytest.fixture(scope="module")
def token(queue: str) -> str:
    with ReviewQueue.open(queue) as opened:
        return opened.reviewers.add("ana")


def test_others_are_refused_without_showing_who_they_are(queue: str, token: str) -> None:
    for host in ("0.0.0.0", "::", "10.0.0.1", "192.168.1.1"):
        one_line(run("review", "serve", queue, "--host", host), "--token-file", "--client-ca")
    one_line(run("review", "serve", queue, "--host", "review.example.org"), "no address", "--name")


def test_plain_http_with_others_is_said_where_it_is_allowed(queue: str, token: str) -> None:
    options = ["--name", "review.example.org"]
    one_line(run("review", "serve", queue, *options), "plain http", "--allow-http", "--name https:")
    with serving(queue, *options, "--allow-http") as program:
        browser = Browser(program)
        assert browser.get("/login", Host="review.example.org").status == 200
        assert browser.log_in("ana", token).status == 303
        assert "without TLS: the page is plain http" in browser.get("/").text
    (line,) = program.said_first.splitlines()
    assert line.startswith("hashmatch: without TLS: the page is plain http")
    assert "--allow-http" in line
    with serving(queue, "--name", "https://review.example.org") as program:
        assert Browser(program).get("/login", Host="review.example.org").status == 200
    assert program.said_first == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tls_cert": "c.pem"}, "both --tls-cert and --tls-key"),
        ({"tls_key": "k.pem"}, "both --tls-cert and --tls-key"),
        ({"client_ca": "ca.pem"}, "--tls-cert"),
        ({"host": "0.0.0.0", "token_file": "t"}, "--name"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Serving(**options)  # type: ignore[arg-type]


def test_a_token_is_long_and_private(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("short")
    file.chmod(0o600)
    with pytest.raises(StoreError, match="at least 32"):
        Serving(token_file=str(file)).access_policy(1)
    file.write_text(TOKEN + "\n")
    assert Serving(token_file=str(file)).access_policy(1).token == TOKEN
    file.chmod(0o644)
    with pytest.raises(StoreError, match="read by others"):
        Serving(token_file=str(file)).access_policy(1)


LOCAL = {f"http://{name}:8470" for name in ("127.0.0.1", "localhost", "[::1]")}
TLS = {"tls_cert": "c.pem", "tls_key": "k.pem"}


@pytest.mark.parametrize(
    ("options", "origins"),
    [
        ({}, LOCAL),
        ({"names": ("localhost:9000",)}, LOCAL | {"http://localhost:9000"}),
        (
            {"names": ("https://Review.Example.org/", "https://other.example:99")},
            {"https://review.example.org", "https://other.example:99"},
        ),
        ({"names": ("https://review.example.org:443",)}, {"https://review.example.org"}),
        (
            {**TLS, "host": "192.0.2.1", "client_ca": "ca", "names": ("a.example",)},
            {"https://192.0.2.1:8470", "https://a.example", "https://a.example:8470"},
        ),
        (
            {**TLS, "host": "::1", "names": ("https://a.example:8443",)},
            {
                *(origin.replace("http:", "https:") for origin in LOCAL),
                "https://a.example:8443",
            },
        ),
    ],
)
def test_names_of_a_server(options: dict[str, Any], origins: set[str]) -> None:
    serving = Serving(**options)
    assert serving.origins(8470) == origins
    assert serving.tls == all(origin.startswith("https:") for origin in origins)


@pytest.mark.parametrize(
    ("tls", "host", "origin"),
    [
        (True, "review.example.org", "https://review.example.org"),
        (True, "Review.example.org:443", "https://review.example.org"),
        (True, "review.example.org:80", "https://review.example.org:80"),
        (False, "review.example.org:80", "http://review.example.org"),
        (False, "review.example.org:443", "http://review.example.org:443"),
        (False, "[::1]:80", "http://[::1]"),
    ],
)
def test_a_usual_port_says_nothing(tls: bool, host: str, origin: str) -> None:
    assert AccessPolicy(frozenset(), tls=tls).origin(host) == origin


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"names": ("review.example.org",)}, "serve as review.example.org: the page is plain"),
        ({"names": ("http://10.0.0.9",)}, "serve as http://10.0.0.9: the page is plain"),
        ({"host": "10.0.0.1"}, "serve on 10.0.0.1: the page is plain"),
        ({"host": "0.0.0.0", "names": ("localhost",)}, "serve on 0.0.0.0: the page is plain"),
    ],
)
def test_plain_http_with_others_is_refused_unless_it_is_allowed(
    options: dict[str, Any], words: str
) -> None:
    options |= {"token_file": "token"}
    with pytest.raises(UsageError, match=words) as refused:
        Serving(**options)
    for way in ("--tls-cert", "--name https://", "--allow-http"):
        assert way in str(refused.value)
    with allowing(Safeguard.TLS), collecting() as waivers:
        assert not Serving(**options).tls
    assert [waiver.allowed_by for waiver in waivers] == ["--allow-http"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("https://a.example", "b.example"), "b.example: .* Give --name https://b.example"),
        (("http://a.example", "https://b.example"), "Give --name https://a.example"),
        (("https://a.example/path",), "no host name"),
        (("ftp://a.example",), "no host name"),
        (("https://",), "no host name"),
        (("a b",), "no host name"),
        (("a.example:99999",), "no host name"),
        (("user@a.example",), "no host name"),
    ],
)
def test_names_that_are_none_or_do_not_go_together(names: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Serving(names=names)
    with pytest.raises(UsageError, match=r"plain|TLS|no host name"):
        Serving(names=("http://a.example",), tls_cert="c", tls_key="k")


def test_what_cannot_be_served_is_one_line(queue: str, token: str, tmp_path: Path) -> None:
    one_line(run("review", "serve", str(tmp_path / "none.db")))
    empty = str(tmp_path / "empty.db")
    ReviewQueue.open(empty, create=True).close()
    one_line(run("review", "serve", empty), "there are no reviewers")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        one_line(
            run("review", "serve", queue, "--port", port),
            "cannot serve on",
            "in use",
            "Give another --port",
        )
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("x")
    one_line(run("review", "serve", queue, "--tls-cert", wrong, "--tls-key", wrong), "TLS")


def test_without_the_extra_it_says_what_to_install(queue: str) -> None:
    script = (
        "import sys\nsys.modules['starlette'] = None\n"
        "from hashmatch.cli import main\n"
        f"main(['review', 'serve', {queue!r}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        env=environment(),
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert install("review") in done.stderr


def test_it_stops_when_it_is_told_to(queue: str, token: str) -> None:
    with serving(queue) as program:
        browser = Browser(program)
        assert browser.get("/login").status == 200
    assert program.process.returncode in {0, 130}


def test_only_browsers_with_a_certificate_are_answered(
    queue: str, token: str, tmp_path: Path
) -> None:
    certificates(tmp_path)
    options = [
        "--tls-cert",
        str(tmp_path / "server.pem"),
        "--tls-key",
        str(tmp_path / "server.key"),
    ]
    with serving(queue, *options, "--client-ca", str(tmp_path / "ca.pem")) as program:
        assert program.scheme == "https"
        trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with pytest.raises(OSError):  # noqa: PT011  (whichever end says it first)
            _get(program.port, trusting)
        trusting.load_cert_chain(tmp_path / "browser.pem", tmp_path / "browser.key")
        answer = _get(program.port, trusting)
    assert answer.status == 200
    (cookie,) = answer.cookies
    assert cookie.startswith("__Host-hashmatch=")
    assert "Secure" in cookie
    assert "strict-transport-security" in answer.headers


def _get(port: int, context: ssl.SSLContext) -> Answer:
    connection = HTTPSConnection("localhost", port, context=context, timeout=PATIENCE)
    try:
        connection.request("GET", "/login")
        got = connection.getresponse()
        return Answer(got.status, got.getheaders(), got.read())
    finally:
        connection.close()


WRITES = re.compile(r'open(?:at2?)?\((?:[^,"]+, )?"([^"]*)", [^)]*O_(?:WRONLY|RDWR|CREAT|TRUNC)')
OTHER = re.compile(r'\b(?:creat|mknod|mknodat|link|linkat|rename\w*)\([^"]*"([^"]*)"')


@pytest.mark.servers
@pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace")
def test_a_server_writes_its_queue_and_nothing_else(tmp_path: Path) -> None:
    """Every system call that could make a file, of the server and of its decoders."""
    queue = filled(tmp_path, names=(KEY,))
    with ReviewQueue.open(queue) as opened:
        token = opened.reviewers.add("ana")
    log = tmp_path / "trace"
    calls = "trace=open,openat,openat2,creat,mknod,mknodat,link,linkat,rename,renameat,renameat2"
    before = ("strace", "-f", "-qq", "-s", "4096", "-e", calls, "-o", str(log))
    sent = []
    with serving(queue, before=before) as program:
        browser = Browser(program)
        assert browser.log_in("ana", token).status == 303
        case = browser.take()
        sent = [browser.picture(case, step) for step in range(4)]
        assert [answer.status for answer in sent] == [200] * 4
        fields = {
            "verdict": "unsure",
            "reason": "made up",
            "digest": case.field("digest"),
        }
        path = re.search(r'data-picture="([^"]+)/picture"', case.text)
        assert path
        assert browser.post(f"{path[1]}/decide", fields).status == 303
        browser.post("/logout")
    lines = log.read_text(errors="replace").splitlines()
    opened_for_writing = {
        match[1] for line in lines for match in (WRITES.search(line), OTHER.search(line)) if match
    }
    assert len(lines) > 100
    for name in opened_for_writing:
        allowed = (queue, "/dev/null", "/proc/")
        assert name.startswith(allowed), name
    assert any(name.startswith(queue) for name in opened_for_writing)
    contents = [answer.body for answer in sent]
    contents.append((IMAGES / "plain" / KEY).read_bytes())
    traces = [data[at : at + 40] for data in contents for at in range(2000, len(data) - 40, 503)]
    for file in tmp_path.iterdir():
        if file.is_file() and file != log:
            stored = file.read_bytes()
            assert not [trace for trace in traces if trace in stored], file
    assert program.said == ""  # no log of who looked at what


def test_what_is_served_is_packed() -> None:
    """Templates and files are no modules; CI runs this against what pip installed."""
    there = ROOT / "src" / "hashmatch" / "review" / "web"
    for folder in ("templates", "static"):
        packed = {one.name: one.read_bytes() for one in files(web).joinpath(folder).iterdir()}
        assert packed == {one.name: one.read_bytes() for one in (there / folder).iterdir()}
        assert len(packed) >= 3


def test_help_loads_no_server() -> None:
    script = (
        "import atexit, json, sys\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        "from hashmatch.cli import main\n"
        "main(['review', 'serve', '--help'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, env=environment(), check=True
    )
    loaded = set(json.loads(done.stderr))
    assert not loaded & {"starlette", "jinja2", "uvicorn", "sqlite3", "psycopg", "numpy", "PIL"}
