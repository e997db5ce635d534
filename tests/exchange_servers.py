"""Servers of exchanges on loopback, written from their protocols; they do what tests tell them to.

Each holds entries with the time of their last change, made-up hashes all, and serves them in pages.
`faults` is what the next requests get instead of an answer, one each.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit
from xml.sax.saxutils import escape

from hashmatch.testing import random_hashes
from list_stores import PDQ

if TYPE_CHECKING:
    from collections.abc import Iterator

BEGIN = 1_700_000_000
LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Log in</title></head><body>secret</body></html>"
SECRET = "kE9-a-credential-of-the-tests-7fQ"
"""In every credential, so that any of them can be looked for."""
NAME = "somebody"


@dataclass
class Entry:
    """What a server has of a hash."""

    id: int
    value: str
    changed: int
    is_deleted: bool = False
    label: str = "A1"


@dataclass
class Reply:
    """What is sent back."""

    status: int = 200
    body: bytes = field(default=b"", repr=False)
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict, repr=False)


Fault = Reply | str
"""A reply, or ``"reset"``, ``"cut"`` (the connection ends within the body) or ``"short"`` (half of
the body, said to be all of it)."""


class Server:
    """A server of an exchange: its entries, and what was asked.

    `pages` is how many entries a page has; `asked` the paths with their queries, in order.
    """

    kind: ClassVar[str]
    credentials: ClassVar[dict[str, str]]
    options: ClassVar[dict[str, str]] = {}

    def __init__(self, count: int = 10, page_size: int = 4, seed: int = 1) -> None:
        self.page_size = page_size
        self.entries: dict[int, Entry] = {}
        self.clock = self.begin()
        self.asked: list[str] = []
        self.faults: deque[Fault] = deque()
        self.url = ""
        self._values = iter(random_hashes(PDQ, 5000, seed=seed).to_hex())
        self.add(count)

    def begin(self) -> int:
        """Return when the first entries were listed."""
        return BEGIN

    def tick(self) -> None:
        """Let some time pass."""
        self.clock += 10

    def add(self, count: int) -> None:
        for _ in range(count):
            self.tick()
            number = len(self.entries) + 1
            self.entries[number] = Entry(number, next(self._values), self.clock)

    def delete(self, *numbers: int) -> None:
        for number in numbers:
            self.tick()
            self.entries[number].is_deleted = True
            self.entries[number].changed = self.clock

    def relabel(self, *numbers: int) -> None:
        for number in numbers:
            self.tick()
            self.entries[number].label = "B2"
            self.entries[number].changed = self.clock

    def listed(self) -> set[str]:
        """Return the hashes that a store is to have."""
        return {each.value for each in self.entries.values() if not each.is_deleted}

    def since(self, begin: float, end: float = float("inf")) -> list[Entry]:
        """Return what has changed in a span of time, by when."""
        found = [each for each in self.entries.values() if begin <= each.changed <= end]
        return sorted(found, key=lambda each: (each.changed, each.id))

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> Reply:
        raise NotImplementedError


def as_json(value: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(value).encode())


class ThreatExchangeServer(Server):
    """``/GROUP/threat_updates`` of the Graph API."""

    kind = "threatexchange"
    credentials: ClassVar = {"api_token": f"1234567890|{SECRET}"}
    options: ClassVar = {"privacy_group": "77"}

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> Reply:
        if query.get("access_token") != self.credentials["api_token"]:
            problem = {"message": "Error validating", "type": "OAuthException", "code": 190}
            return as_json({"error": problem}, 400)
        if path.rstrip("/") != "/77/threat_updates":
            return as_json({"error": {"message": "Unsupported get request", "code": 100}}, 400)
        found = self.since(float(query.get("start_time") or 0))
        size = min(int(query.get("limit") or 100), self.page_size)
        first = int(query.get("after") or 0)
        page = found[first : first + size]
        answer: dict[str, Any] = {"data": [self._update(each) for each in page]}
        if first + size < len(found):
            following = urlencode({**query, "after": first + size})
            answer["paging"] = {"next": f"{self.url}/77/threat_updates?{following}"}
        return as_json(answer)

    def _update(self, entry: Entry) -> dict[str, Any]:
        found: dict[str, Any] = {
            "id": str(entry.id), "indicator": entry.value, "type": "HASH_PDQ",
            "last_updated": entry.changed, "should_delete": entry.is_deleted,
        }  # fmt: skip
        if not entry.is_deleted:
            added = f"{datetime.fromtimestamp(entry.changed, UTC):%Y-%m-%dT%H:%M:%S+0000}"
            found["descriptors"] = {
                "data": [
                    {
                        "id": str(1000 + entry.id), "owner": {"id": "123"}, "status": "MALICIOUS",
                        "tags": {"data": [{"id": "1", "text": entry.label}]}, "added_on": added,
                    }
                ]
            }  # fmt: skip
        return found


class NcmecServer(Server):
    """``/v2/entries`` of NCMEC's hash sharing: XML, in no order of time."""

    kind = "ncmec"
    credentials: ClassVar = {"user": NAME, "password": SECRET}
    options: ClassVar = {"environment": "https://exttest.cybertip.org/hashsharing"}
    path = "/hashsharing"

    def begin(self) -> int:
        return int(time.time()) - 3600

    def tick(self) -> None:
        """Entries are asked for up to now: those of the beginning are an hour old, others new."""
        self.clock = self.clock + 1 if not self.url else int(time.time())

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> Reply:
        pair = base64.b64encode(f"{NAME}:{SECRET}".encode()).decode()
        if headers.get("authorization") != f"Basic {pair}":
            return Reply(401, b"<html>Unauthorized</html>", "text/html")
        if path == f"{self.path}/v2/status":
            member = f'<status xmlns="{NAMESPACE}"><member id="42">Example</member></status>'
            return Reply(200, member.encode(), "application/xml")
        if path != f"{self.path}/v2/entries":
            return Reply(404)
        begin, end = (_seconds(query[name]) for name in ("from", "to"))
        found = sorted(self.since(begin, end), key=lambda each: each.id * 7 % 11)
        first = int(query.get("start") or 1)
        page = found[first - 1 : first - 1 + self.page_size]
        following = ""
        if first - 1 + self.page_size < len(found):
            fields = {
                "from": query["from"], "to": query["to"], "start": first + self.page_size,
                "size": self.page_size, "max": len(found),
            }  # fmt: skip
            address = escape(f"/v2/entries?{urlencode(fields)}")
            following = f"<paging><next>{address}</next></paging>"
        latest = _moment(max((each.changed for each in page), default=BEGIN))
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<queryResult xmlns="{NAMESPACE}">\n'
            f' <images count="{len(page)}" maxTimestamp="{latest}">\n'
            + "".join(map(self._image, page))
            + f' </images>\n <videos count="0" maxTimestamp="{latest}"/>{following}\n</queryResult>'
        )
        return Reply(200, text.encode(), "application/xml")

    def _image(self, entry: Entry) -> str:
        name = "deletedImage" if entry.is_deleted else "image"
        said = (
            f'<member id="42">Example</member><timestamp>{_moment(entry.changed)}</timestamp>'
            f"<id>image{entry.id}</id>"
        )
        if not entry.is_deleted:
            said += (
                f"<classification>{entry.label}</classification>"
                f"<fingerprints><pdq>{entry.value}</pdq></fingerprints>"
            )
        return f"  <{name}>{said}</{name}>\n"


NAMESPACE = "https://hashsharing.ncmec.org/hashsharing/v2"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class StopNciiServer(Server):
    """``/v1/FetchHashes`` of StopNCII."""

    kind = "stopncii"
    credentials: ClassVar = {"fetch_function_key": SECRET, "subscription_key": f"{SECRET}-2"}

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> Reply:
        keys = headers.get("x-functions-key"), headers.get("ocp-apim-subscription-key")
        if keys != (SECRET, f"{SECRET}-2"):
            return as_json({"statusCode": 401, "message": "Access denied"}, 401)
        if path != "/FetchHashes":
            return Reply(404)
        found = self.since(float(query["startTimestamp"]))
        first = int(query.get("nextPageToken", "0").removeprefix("page-") or 0)
        size = min(int(query["pageSize"]), self.page_size)
        page = found[first : first + size]
        more = first + size < len(found)
        return as_json(
            {
                "count": len(page),
                "nextPageToken": f"page-{first + size}" if more else "",
                "nextSetTimestamp": max(
                    [each.changed for each in found[: first + size]] or [BEGIN]
                ),
                "hasMoreRecords": more,
                "hashRecords": [
                    {
                        "lastModtimestamp": each.changed,
                        "signalType": "ImagePDQ",
                        "hashValue": each.value,
                        "hashStatus": "Withdrawn" if each.is_deleted else "Active",
                        "caseNumbers": {"11111111-1111-1111-1111-111111111111": "Active"},
                        "hashRegions": ["UK"],
                        "CSPFeedbacks": [
                            {"source": "demo", "feedbackValue": "Blocked", "tags": [each.label]}
                        ],
                    }
                    for each in page
                ],
            }
        )


class TatServer(Server):
    """Tech Against Terrorism: a token, then pages by offset or after a record."""

    kind = "tat"
    credentials: ClassVar = {"username": NAME, "password": SECRET}
    tokens = 0

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> Reply:
        if method == "POST" and path == "/token-auth/tcap/":
            form = dict(parse_qsl(body.decode()))
            if (form.get("username"), form.get("password")) != (NAME, SECRET):
                return as_json({"non_field_errors": ["Unable to log in"]}, 400)
            self.tokens += 1
            return as_json({"user": {"name": NAME}, "token": f"{SECRET}.{self.tokens}"})
        if headers.get("authorization") != f"Bearer {SECRET}.{self.tokens}":
            return as_json({"detail": "Signature has expired."}, 401)
        if path != "/api/hash-list/v2/all":
            return Reply(404)
        when, _, number = query.get("after", "").partition(",")
        place = (float(when), int(number)) if when else (0.0, 0)
        found = [each for each in self.since(0) if (each.changed, each.id) > place]
        first = int(query.get("offset") or 0)
        page = found[first : first + self.page_size]
        more = first + self.page_size < len(found)
        offset = urlencode({"limit": self.page_size, "offset": first + self.page_size})
        return as_json(
            {
                "count": len(found),
                "next": f"{self.url}/api/hash-list/v2/all?{offset}" if more else None,
                "previous": None,
                "checkpoint": f"{page[-1].changed},{page[-1].id}" if page else "",
                "results": [
                    {
                        "hash_digest": each.value,
                        "algorithm": "PDQ",
                        "ideology": each.label,
                        "file_type": "image/jpeg",
                        "deleted": each.is_deleted,
                        "updated_on": _moment(each.changed),
                        "created_on": _moment(each.changed),
                        "id": each.id,
                    }
                    for each in page
                ],
            }
        )


class UrlServer(Server):
    """A list file at an address."""

    kind = "url"
    credentials: ClassVar = {"username": NAME, "password": SECRET}
    has_etag = True

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> Reply:
        pair = base64.b64encode(f"{NAME}:{SECRET}".encode()).decode()
        if headers.get("authorization") != f"Basic {pair}":
            return Reply(401)
        etag = f'"{self.clock}"'
        if headers.get("if-none-match") == etag and self.has_etag:
            return Reply(304)
        rows = [each for each in self.entries.values() if not each.is_deleted]
        text = "pdq,id,labels\n" + "".join(f"{r.value},n{r.id},{r.label}\n" for r in rows)
        said = {"ETag": etag} if self.has_etag else {}
        return Reply(200, text.encode(), "text/csv", said)


SERVERS: tuple[type[Server], ...] = (
    ThreatExchangeServer, NcmecServer, StopNciiServer, TatServer, UrlServer,
)  # fmt: skip


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # head and body are sent together

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: each[-1] for name, each in parse_qs(parts.query).items()}
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            headers = {name.lower(): value for name, value in self.headers.items()}
            server.asked.append(self.path)
            fault = server.faults.popleft() if server.faults else None
            if fault == "reset":
                self.connection.close()
                self.close_connection = True
                return
            path = parts.path
            reply = fault if isinstance(fault, Reply) else server.answer(
                self.command, path, query, headers, body
            )  # fmt: skip
            data = reply.body
            if fault == "short":
                data = data[: len(data) // 2]
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", reply.media_type)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if fault == "cut":
                data = data[: len(data) // 2]
                self.close_connection = True
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Serve on a free port of loopback, at `server.url`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(server)) as http:
        http.daemon_threads = True
        path = server.path if isinstance(server, NcmecServer) else ""
        server.url = f"http://127.0.0.1:{http.server_port}{path}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
