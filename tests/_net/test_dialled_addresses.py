"""Whom the sources, buckets, pictures and messages dial: a table of addresses, and of redirects."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import hashmatch as hm
from conftest import ROOT
from hashmatch import registry
from hashmatch._net.addresses import Allowed, Origin
from hashmatch._net.client import Client, Dialer, NoAnswer, Proxy
from hashmatch.cli import main
from hashmatch.records.cases import CaseItem
from hashmatch.records.cases import Origin as PictureOrigin
from hashmatch.records.safeguards import Safeguard, allowing
from hashmatch.review.web.pictures import BlurStep, NoPicture, Pictures
from hashmatch.review.webhook.client import Endpoint, Unreachable
from hashmatch.sources.bucket import BucketSource
from hashmatch.sources.manifest import ManifestSource
from hashmatch.testing import example_record
from processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hashmatch.interfaces import Source

pytest.importorskip("obstore")
pytest.importorskip("botocore")

NO_POOL: Any = object()
"""Nothing is decoded here."""
SURFACE = hm.Surface.PUBLIC_POST
LIST = str(ROOT / "fixtures/lists/demo-pdq.csv")
TOKEN = "session-token-of-nobody"

ADDRESSES = [
    "0.0.0.0", "0.1.2.3", "127.0.0.1", "127.0.0.2", "127.255.255.254", "10.0.0.1", "10.255.255.255",
    "172.16.0.1", "172.31.255.254", "192.168.0.1", "192.168.255.254", "169.254.0.1",
    "169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "100.127.255.254",
    "192.0.0.1", "192.0.0.192", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1",
    "198.19.255.254", "192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "168.63.129.16",
    "::", "::1", "::7f00:1", "::a00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "2002:7f00:1::", "2002:a00:1::1",
    "2002:a9fe:a9fe::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2001::1",
    "2001:0:4136:e378:8000:63bf:f5ff:fffe", "fe80::1", "fe80::5efe:127.0.0.1",
    "2001:470:1:2:0:5efe:10.0.0.1", "2001:470:1:2:200:5efe:10.0.0.1", "fec0::1", "fc00::1",
    "fd00:ec2::254", "fd20:ce::254", "ff02::1", "ff0e::1", "100::1", "2001:db8::1", "3fff::1",
    "5f00::1", "2001:2::1", "2001:10::1", "4000::1", "fe00::1",
]  # fmt: skip
"""What a name may lead to that was not to be dialled."""
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.215.14", "100.128.0.1", "172.32.0.1", "192.0.1.1",
          "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "2a00:1450:4001:80b::200e"]  # fmt: skip

HOSTS = [
    "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7F.0.0.1", "0x7f.1", "017700000001",
    "0177.0.0.1", "127.0.0.01", "127.000.000.001", "127.0.0.1.", "localhost.", "127.0.0.1.5",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1%25lo]", "[::1%25lo]", "[::1%lo]",
    "[127.0.0.1]", "[::1", "::1", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021",
    "\u2460\u2461\u2466.0.0.1", "\u24dbocalhost", "localho\u017ft",
    "loc\u00adalhost", "127%2e0%2e0%2e1", "%31%32%37.0.0.1", "localhost%00.photos.example",
    "photos.example@127.0.0.1", "photos.example:80@127.0.0.1", "@127.0.0.1", ":@127.0.0.1",
    "photos.example\\@127.0.0.1", "127.0.0.1\\.photos.example", "127.0.0.1\t", "127.0.0.1 ",
    "127.0.0.1\n.photos.example", "127.0.0.1:0", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:80:90",
    "127.0.0.1:+80", "-a.example", "a..example", "", "a" * 64 + ".example",
]  # fmt: skip
"""Spellings of hosts that one reads in this way and another in that."""


class Doors:
    """Listeners on addresses of loopback that nobody was told of, at one port, and who came."""

    def __init__(self, stack: ExitStack) -> None:
        self.came: list[str] = []
        first = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = first.getsockname()[1]
        self._listen(first, stack, "127.0.0.1")
        for family, host in (
            (socket.AF_INET, "127.0.0.2"), (socket.AF_INET, "127.255.255.254"),
            (socket.AF_INET6, "::1"),
        ):  # fmt: skip
            try:
                door = socket.create_server((host, self.port), family=family)
            except OSError:  # no IPv6 here, or taken: the others are there
                continue
            self._listen(stack.enter_context(door), stack, host)

    def _listen(self, door: socket.socket, stack: ExitStack, host: str) -> None:
        def accept() -> None:
            while True:
                try:
                    link, _ = door.accept()
                except OSError:
                    return
                self.came.append(host)
                link.close()

        thread = threading.Thread(target=accept)
        thread.start()
        stack.callback(thread.join, PATIENCE)
        stack.callback(door.shutdown, socket.SHUT_RDWR)


@pytest.fixture(autouse=True)
def plain_http_is_allowed() -> Iterator[None]:
    """Let servers be other machines' without TLS: what is tried here are other rules."""
    with allowing(Safeguard.TLS):
        yield


@pytest.fixture
def doors() -> Iterator[Doors]:
    with ExitStack() as stack:
        yield Doors(stack)


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where this process has connected to; nothing leaves the machine."""
    found: list[str] = []
    real = socket.socket.connect

    def connect(link: socket.socket, place: Any) -> None:
        found.append(place[0])
        if not str(place[0]).startswith("127."):
            raise ConnectionRefusedError(111, "Connection refused")
        real(link, place)

    monkeypatch.setattr(socket.socket, "connect", connect)
    return found


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names lead to; how often each was asked for is under ``asked``."""
    known: dict[str, list[str]] = {"asked": []}

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[Any]:
        known["asked"].append(host)
        if host not in known:
            raise socket.gaierror(-2, "Name or service not known")
        return [
            (socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "",
             (address, port, 0, 0) if ":" in address else (address, port))
            for address in known[host]
        ]  # fmt: skip

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return known


def s3(endpoint: str, **more: Any) -> BucketSource:
    options = {"endpoint": endpoint, "access_key_id": "k", "secret_access_key": "s", "region": "r"}
    return BucketSource("s3://b", SURFACE, options | {"session_token": TOKEN} | more)


def gs(endpoint: str, **more: Any) -> BucketSource:
    return BucketSource("gs://b", SURFACE, {"base_url": endpoint, "skip_signature": True} | more)


def az(endpoint: str, **more: Any) -> BucketSource:
    options = {"endpoint": endpoint, "account_name": "a", "account_key": "a2V5"}
    return BucketSource("az://b", SURFACE, options | more)


def listed(source: Source) -> None:
    with pytest.raises(hm.SourceError):
        list(source.items())


def picture(where: str, location: str = "") -> CaseItem:
    return CaseItem(example_record(), PictureOrigin(where, location), datetime.now(UTC), False, 1)


def no_picture(pictures: Pictures, item: CaseItem) -> str:
    with pytest.raises(NoPicture) as caught:
        pictures.jpeg(item, BlurStep.STRONG)
    return str(caught.value)


def message(url: str) -> None:
    with pytest.raises((hm.UsageError, Unreachable)):
        Endpoint(url, timeout=5).post(b"{}", {})


def test_the_table_is_one() -> None:
    assert len(set(ADDRESSES)) >= 60
    assert len(set(HOSTS)) >= 40


def test_no_name_leads_to_an_address_that_is_not_public(
    doors: Doors, dialled: list[str], names: dict[str, list[str]]
) -> None:
    """Through each way onto the network, and beside a public address too."""
    for number, address in enumerate(ADDRESSES):
        host = f"v{number}.example"
        names[host] = [address] if number % 2 else ["8.8.8.8", address]
        url = f"http://{host}:{doors.port}"
        secure = url.replace("http:", "https:")
        listed(registry.open_source(f"{url}/list.txt", SURFACE))
        listed(registry.open_source(f"{secure}/list.txt", SURFACE))
        listed(s3(url))
        listed(s3(secure))
        place = f"{url}/list.txt"
        no_picture(Pictures([place], NO_POOL), picture(place))
        message(secure)
    for number in range(0, len(ADDRESSES), 6):  # these start a proxy of their own each
        url = f"http://v{number}.example:{doors.port}"
        listed(gs(url))
        listed(az(url))
    assert [place for place in dialled if place not in {"127.0.0.1"}] == []
    assert dialled == doors.came == []


@pytest.mark.parametrize("host", HOSTS)
def test_no_host_is_read_in_two_ways(
    host: str, doors: Doors, dialled: list[str], names: dict[str, list[str]], tmp_path: Path
) -> None:
    url = f"http://{host}" if ":" in host.rpartition("]")[2] else f"http://{host}:{doors.port}"
    for opened in (s3, gs, az):
        if host:
            with pytest.raises(hm.UsageError):
                opened(url)
    with pytest.raises(hm.UsageError):
        ManifestSource(f"{url}/list.txt", SURFACE)
    with pytest.raises(hm.UsageError):
        Endpoint(url)
    with pytest.raises(hm.UsageError):
        Endpoint(url.replace("http:", "https:"))
    (tmp_path / "list.txt").write_text(f"{url}/a.png\n".replace("127.0.0.1\n.", "127.0.0.1."))
    source = ManifestSource(f"manifest://{tmp_path}/list.txt", SURFACE)
    for item in source.items():
        with pytest.raises(hm.ImageError):
            source.read(item)
    assert dialled == doors.came == names["asked"] == []


def test_public_addresses_are_dialled_as_they_were_looked_at(
    dialled: list[str], names: dict[str, list[str]]
) -> None:
    """One question to DNS for a connection: another answer would come too late."""
    for number, address in enumerate(PUBLIC):
        names[f"p{number}.example"] = [address]
        with pytest.raises(NoAnswer, match="connection refused"):
            Client(Origin("http", f"p{number}.example", 80), Dialer(Allowed())).send("GET", "/", {})
    assert dialled == PUBLIC
    assert names["asked"] == [f"p{number}.example" for number in range(len(PUBLIC))]


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "::1", "169.254.169.254", "fd00::1"])
def test_what_an_operator_writes_as_an_address_or_allows_is_dialled(
    address: str, dialled: list[str], names: dict[str, list[str]]
) -> None:
    names["photos.internal"] = [address]
    host = f"[{address}]" if ":" in address else address
    wide = f"{address}/8" if address.endswith("0.1") else address
    network = {"10.0.0.1/8": "10.0.0.0/8", "127.0.0.1/8": "127.0.0.0/8"}.get(wide, address)
    for url, allowed in (
        (f"https://{host}:1", []), ("https://photos.internal:1", ["photos.internal"]),
        ("https://photos.internal:1", ["Photos.Internal"]),
        ("https://photos.internal:1", [network]),
    ):  # fmt: skip
        before = len(dialled)
        listed(registry.open_source(f"{url}/list.txt", SURFACE, allow_private=allowed))
        listed(s3(url, allow_private=allowed))
        with pytest.raises(Unreachable):
            Endpoint(url, allow_private=allowed).post(b"{}", {})
        assert dialled[before:] == [address] * 3
    for allowed in ([], ["other.internal"], ["192.168.0.0/16"]):
        with pytest.raises(hm.SourceError, match=r"Give --allow-private photos\.internal if that"):
            list(s3("https://photos.internal:1", allow_private=allowed).items())
    assert len(dialled) == 12


@pytest.mark.parametrize("name", ["", "10.0.0.1/8", "http://a", "127.1", "a b", "a/8", "*"])
def test_what_is_no_host_and_no_network_is_not_allowed(name: str) -> None:
    with pytest.raises(hm.UsageError, match="cannot allow"):
        registry.open_source("https://photos.example/list.txt", SURFACE, allow_private=[name])


def test_names_of_this_machine_lead_to_nothing_else(
    doors: Doors, dialled: list[str], names: dict[str, list[str]]
) -> None:
    names["localhost"] = ["10.0.0.1"]
    names["a.localhost"] = ["8.8.8.8"]
    for host in ("localhost", "a.localhost"):
        listed(s3(f"http://{host}:{doors.port}"))
        message(f"http://{host}:{doors.port}")
    assert dialled == []
    names["localhost"] = ["127.0.0.1"]
    listed(s3(f"http://localhost:{doors.port}"))
    assert dialled == ["127.0.0.1"]


class Redirecting:
    """Serves on loopback, answers all with a redirect, and keeps what it was asked."""

    def __init__(self, stack: ExitStack) -> None:
        self.status, self.location = 302, ""
        self.requests: list[bytes] = []
        self._door = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.url = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        thread = threading.Thread(target=self._run)
        thread.start()
        stack.callback(thread.join, PATIENCE)
        stack.callback(self._door.shutdown, socket.SHUT_RDWR)

    def _run(self) -> None:
        while True:
            try:
                link, _ = self._door.accept()
            except OSError:
                return
            with link, link.makefile("rb") as file:
                head = b""
                while (line := file.readline()) not in {b"\r\n", b""}:
                    head += line
                if not head:
                    continue
                self.requests.append(head)
                link.sendall(
                    f"HTTP/1.1 {self.status} Elsewhere\r\nLocation: {self.location}\r\n"
                    "Content-Length: 0\r\nConnection: close\r\n\r\n".encode()
                )


@pytest.fixture
def server() -> Iterator[Redirecting]:
    with ExitStack() as stack:
        yield Redirecting(stack)


REDIRECTS = [
    (301, "http://127.0.0.1:{door}/secret"), (302, "http://127.0.0.1:{door}/secret"),
    (303, "http://127.0.0.1:{door}/secret"), (307, "http://127.0.0.1:{door}/secret"),
    (308, "http://127.0.0.1:{door}/secret"), (302, "http://127.0.0.2:{door}/"),
    (307, "http://localhost:{door}/"), (302, "http://[::1]:{door}/"),
    (302, "https://127.0.0.1:{door}/"), (307, "//127.0.0.1:{door}/b/x"),
    (308, "http://2130706433:{door}/"), (302, "http://user:word@127.0.0.1:{door}/"),
    (302, "http://[::ffff:127.0.0.1]:{door}/"), (307, "http://v.example:{door}/b/"),
    (302, "file:///etc/hostname"), (302, "ftp://127.0.0.1:{door}/"), (302, "http://169.254.169.254/"),
    (302, "http://metadata.google.internal/computeMetadata/v1/"),
]  # fmt: skip
"""Away from the server."""
WITHIN = [(302, "/"), (301, "/loop"), (307, "../../above"), (308, "{own}/loop"), (303, "?again"),
          (302, "{own}/../above")]  # fmt: skip
"""To the same server: above the base, and round and round."""


@pytest.mark.parametrize(("status", "location"), [*REDIRECTS, *WITHIN])
def test_no_redirect_is_followed(
    status: int,
    location: str,
    server: Redirecting,
    doors: Doors,
    dialled: list[str],
    names: dict[str, list[str]],
    tmp_path: Path,
) -> None:
    names["v.example"] = names["localhost"] = ["127.0.0.1"]
    names["metadata.google.internal"] = ["169.254.169.254"]
    server.status, server.location = status, location.format(door=doors.port, own=server.url)
    item = hm.ImageItem("a.png", "unlisted", SURFACE, "base a.png")
    (tmp_path / "keys.txt").write_text("a.png")
    asked = 0

    def once(read: Callable[[], object], *errors: type[Exception]) -> None:
        nonlocal asked
        with pytest.raises(errors) as caught:
            read()
        assert "127.0.0.1:" not in str(caught.value).replace(server.url, "")
        asked += 1
        assert len(server.requests) == asked

    web = ManifestSource(f"{server.url}/in/list.txt", SURFACE)
    once(lambda: list(web.items()), hm.SourceError)
    below = ManifestSource(f"manifest://{tmp_path}/keys.txt?base={server.url}/in", SURFACE)
    once(lambda: below.read(item), hm.ImageError)
    place = f"{server.url}/in/list.txt"
    shown = picture(place, "base a.png")
    once(lambda: Pictures([place], NO_POOL).jpeg(shown, BlurStep.STRONG), NoPicture)
    assert Endpoint(f"{server.url}/hook").post(b"{}", {}) == status
    asked += 1
    bucket = s3(server.url)
    once(lambda: bucket.read(item), hm.ImageError, hm.SourceError)
    once(lambda: list(bucket.items()), hm.SourceError)
    assert all(TOKEN.encode() in head for head in server.requests[-2:])
    if (status, location) in REDIRECTS:
        for other in (gs(server.url), az(server.url)):
            listed(other)
            with pytest.raises((hm.ImageError, hm.SourceError)):
                other.read(item)
    assert doors.came == []
    assert set(dialled) == {"127.0.0.1"}
    own = server.url.encode().removeprefix(b"http://")
    assert all(b"host: " + own in head.lower() for head in server.requests)


def test_a_proxy_of_the_environment_is_used_only_if_it_is_named(
    doors: Doors, dialled: list[str], names: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    names["photos.example"], names["proxy.internal"] = ["8.8.8.8"], ["10.0.0.9"]
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.internal:3128")
    for opened in (s3, gs):
        with pytest.raises(hm.SourceError, match="proxy") as caught:
            list(opened("https://photos.example").items())
        assert "secret" not in str(caught.value)
    with pytest.raises(hm.UsageError, match="names a proxy"):
        Endpoint("https://photos.example").post(b"{}", {})
    assert dialled == []
    listed(s3("https://photos.example", allow_private=["proxy.internal"]))
    listed(s3("https://photos.example", proxy_url="http://proxy.internal:3128"))
    assert dialled == ["10.0.0.9"] * 2
    monkeypatch.setenv("NO_PROXY", "photos.example")
    listed(s3("https://photos.example"))
    assert dialled[2:] == ["8.8.8.8"]
    listed(s3(f"http://127.0.0.1:{doors.port}"))
    assert dialled[3:] == ["127.0.0.1"]


@contextmanager
def proxying() -> Iterator[tuple[int, list[bytes]]]:
    """A proxy that answers each request itself, and keeps it."""
    with ExitStack() as stack:
        door = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        came: list[bytes] = []

        def run() -> None:
            while True:
                try:
                    link, _ = door.accept()
                except OSError:
                    return
                with link:
                    came.append(link.recv(65536))
                    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        thread = threading.Thread(target=run)
        thread.start()
        stack.callback(thread.join, PATIENCE)
        stack.callback(door.shutdown, socket.SHUT_RDWR)
        yield door.getsockname()[1], came


def test_what_a_proxy_is_told(names: dict[str, list[str]]) -> None:
    with proxying() as (port, came):
        proxy = Proxy.parse(f"http://user:p%40ss@127.0.0.1:{port}")
        client = Client(Origin("http", "photos.example", 80), Dialer(Allowed(), proxy))
        with client.send("GET", "/a?b", {}) as answer:
            assert answer.read() == b"hi"
        secure = Client(Origin("https", "photos.example", 443), Dialer(Allowed(), proxy))
        with pytest.raises(NoAnswer):
            secure.send("GET", "/a?b", {})
    assert came[0].startswith(b"GET http://photos.example/a?b HTTP/1.1\r\nHost: photos.ex")
    assert came[1].startswith(
        b"CONNECT photos.example:443 HTTP/1.1\r\nHost: photos.example:443\r\n"
    )
    assert all(b"Proxy-Authorization: Basic dXNlcjpwQHNz" in head for head in came)
    assert names["asked"] == []


@pytest.mark.parametrize("allowed", ["photos.internal", "127.0.0.0/8"])
def test_the_command_line_allows_a_host_or_a_network(
    allowed: str, server: Redirecting, names: dict[str, list[str]]
) -> None:
    names["photos.internal"] = ["127.0.0.1"]
    source = server.url.replace("127.0.0.1", "photos.internal") + "/list.txt"
    scan = ["scan", source, "-s", "public_post", "--list", LIST, "--allow-http", "--in-process"]
    for others in ([], ["--allow-private", "other.internal"], ["--allow-private", "10.0.0.0/8"]):
        ran = CliRunner().invoke(main, [*scan, *others])
        assert ran.exit_code == 2
        assert "--allow-private photos.internal" in ran.stderr
        assert "127.0.0.1" not in ran.stderr
    assert server.requests == []
    CliRunner().invoke(main, [*scan, "--allow-private", allowed])
    assert len(server.requests) == 1
