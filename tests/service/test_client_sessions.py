"""What Coop and FetLife's client send to Hasher-Matcher-Actioner, replayed as they send it."""

from __future__ import annotations

import http.client
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest

from cli_tools import run
from conftest import IMAGES
from processes import PATIENCE, wait_for
from service_program import BOUNDARY, Program, form, service

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PICTURE = (IMAGES / "plain" / "texture-marble.jpg").read_bytes()
OTHER = (IMAGES / "plain" / "text-letter.png").read_bytes()
BROKEN = PICTURE[:100]
PHOTOS = {"/photos/a.jpg?w=640&h=480": PICTURE, "/photos/b.png": OTHER, "/photos/c.jpg": BROKEN}


class Photos(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        data = PHOTOS.get(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("content-length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def photos() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Photos)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/photos"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def hma(photos: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    data = tmp_path_factory.mktemp("clients") / "data"
    with service("--data", data, "--fetch-from", f"{photos}/") as program:
        yield program


class Coop:
    """Speaks as Coop does: an address that ends in a slash, ratios as text, every key a type.

    An item passes if hashing or a look-up fails; whatever is known of a bank is deleted on 404.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.banks: set[str] = set()

    def send(self, method: str, path: str, body: object = None, query: str = "") -> Any:
        """Send a request; None if the answer is not one of success."""
        target = f"//{path}" + (f"?{query}" if query else "")
        answer = self.program.ask(method, target, given=body)
        return answer.json if 200 <= answer.status < 300 else None

    def create_bank(self, name: str, ratio: str) -> None:
        assert self.send("POST", "c/banks", {"name": name, "enabled_ratio": ratio}) is not None
        self.banks.add(name)

    def list_banks(self) -> list[str]:
        """Ask for each bank, as is done for each item."""
        for name in sorted(self.banks):
            answer = self.program.ask("GET", f"//c/bank/{name}")
            if answer.status == 404:
                self.banks.discard(name)
        return sorted(self.banks)

    def matched(self, url: str) -> set[str]:
        """Return the banks that a picture is in; none if anything fails."""
        banks = self.list_banks()
        hashes = self.send("GET", "h/hash", query=f"url={quote(url, safe='')}") or {}
        found = set()
        for kind, value in hashes.items():
            query = urlencode({"signal_type": kind, "signal": value})
            answer = self.send("GET", "m/lookup", query=query)
            assert answer is not None
            found |= {name for name in banks if answer.get(name)}
        return found


def test_a_session_of_coop(hma: Program, photos: str) -> None:
    coop = Coop(hma)
    coop.create_bank("COOP_7_KNOWN", "1.0")
    coop.create_bank("COOP_7_HALF", "0.5")
    picture = f"{photos}/a.jpg?w=640&h=480"
    metadata = {"content_id": "42", "content_uri": picture, "json": {}}
    query = urlencode({"url": picture, "metadata": json.dumps(metadata), "content_id": "42"})
    added = coop.send("POST", "c/bank/COOP_7_KNOWN/content", {}, query)
    assert added.keys() == {"id", "signals"}
    kind = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
    body = form({"photo": OTHER}, {"metadata": json.dumps({"content_id": "43"})})
    answer = hma.ask("POST", "//c/bank/COOP_7_KNOWN/content", body=body, headers=kind)
    assert answer.status == 200
    refused = form({"photo": OTHER}, {"metadata": json.dumps({"uploaded_by": "ana"})})
    answer = hma.ask("POST", "//c/bank/COOP_7_KNOWN/content", body=refused, headers=kind)
    assert answer.status == 400

    assert coop.matched(picture) == {"COOP_7_KNOWN"}
    assert coop.matched(f"{photos}/b.png") == {"COOP_7_KNOWN"}
    assert coop.matched(f"{photos}/c.jpg") == set()  # it passes, and it is counted
    counted = hma.get("/metrics").body.decode()
    assert re.search(r'hashmatch_items_total{outcome="undecodable"} [1-9]', counted)

    assert coop.send("PUT", "c/bank/COOP_7_KNOWN", {"enabled_ratio": "0"})
    assert coop.matched(picture) == set()
    assert coop.send("PUT", "c/bank/COOP_7_KNOWN", {"enabled_ratio": "1"})
    assert coop.matched(picture) == {"COOP_7_KNOWN"}

    coop.create_bank("COOP_7_RENAMED", "1")  # a rename is a new bank, and the old one deleted
    assert coop.send("DELETE", "c/bank/COOP_7_KNOWN") == {"message": "Done"}
    assert coop.list_banks() == ["COOP_7_HALF", "COOP_7_RENAMED"]
    assert coop.send("DELETE", "c/bank/COOP_7_KNOWN") == {"message": "Done"}


def test_coop_sets_up_an_exchange(hma: Program) -> None:
    coop = Coop(hma)
    apis = coop.send("GET", "c/exchanges/apis")
    assert "ncmec" in apis
    schema = coop.send("GET", "c/exchanges/api/ncmec/schema")
    assert schema.keys() == {"config_schema", "credentials_schema"}
    has = coop.send("GET", "c/exchanges/api/ncmec")
    assert has.keys() == {"supports_authentification", "has_set_authentification"}
    given = {"environment": "https://exttest.cybertip.org/hashsharing"}
    body = {"bank": "COOP_7_NCMEC", "api": "ncmec", "api_json": given}
    assert coop.send("POST", "c/exchanges", body) == {"message": "Created successfully"}
    assert coop.send("GET", "c/exchange/COOP_7_NCMEC")["api"] == "ncmec"
    status = coop.send("GET", "c/exchange/COOP_7_NCMEC/status")
    assert status.keys() >= {"last_fetch_succeeded", "up_to_date", "fetched_items"}
    assert coop.send("DELETE", "c/exchange/COOP_7_NCMEC") == {"message": "Exchange deleted"}


class Refused(Exception):
    """A 403 that is none of the two that FetLife's client knows."""


class FetLife:
    """Speaks as FetLife's client does: tries 408, 429 and 5xx again. (It waits for 3 s.)"""

    AGAIN = frozenset({408, 429})

    def __init__(self, program: Program) -> None:
        self.program, self.sent = program, 0

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        kind: str = "application/json",
    ) -> tuple[int, Any]:
        found: list[tuple[int, bytes]] = []

        def is_answered() -> bool:
            self.sent += 1
            connection = http.client.HTTPConnection(
                "127.0.0.1", self.program.port, timeout=PATIENCE
            )
            try:
                target = path + (f"?{urlencode(query)}" if query else "")
                connection.request(method, target, body, {"content-type": kind})
                answer = connection.getresponse()
                found.append((answer.status, answer.read()))
            except (TimeoutError, ConnectionError):
                return False
            finally:
                connection.close()
            status = found[-1][0]
            return status not in self.AGAIN and status < 500

        wait_for(is_answered, every=0.1)
        status, data = found[-1]
        if status == 403:
            message = json.loads(data)["message"]
            if "already exists" not in message and "missing role" not in message:
                raise Refused(message)
        return status, data if data[:1] not in b"[{" else json.loads(data)

    def post(self, path: str, given: object) -> tuple[int, Any]:
        return self.send("POST", path, body=json.dumps(given).encode())

    def upload(self, path: str, data: bytes) -> tuple[int, Any]:
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return self.send("POST", path, body=form({"photo": data}, {}), kind=kind)


def test_a_session_of_fetlife(hma: Program, photos: str) -> None:
    client = FetLife(hma)
    assert client.send("GET", "/status") == (200, b"I-AM-ALIVE")
    bank = {"name": "FETLIFE", "enabled_ratio": 1.0, "matching_enabled_ratio": 0.0}
    made = {"matching_enabled_ratio": 1.0, "name": "FETLIFE"}  # the last one is not looked at
    assert client.post("/c/banks", bank) == (201, made)
    assert client.post("/c/banks", bank) == (403, {"message": "Bank already exists"})
    client.post("/c/banks", {"name": "FETLIFE_2"})
    rename = json.dumps({"name": "FETLIFE"}).encode()
    assert client.send("PUT", "/c/bank/FETLIFE_2", body=rename)[0] == 403

    status, hashed = client.upload("/h/hash", PICTURE)
    assert (status, hashed.keys()) == (200, {"pdq"})
    url = {"url": f"{photos}/a.jpg?w=640&h=480"}
    assert client.send("GET", "/h/hash", url) == (200, hashed)
    assert client.send("GET", "/h/hash", {**url, "content_type": "photo"}) == (200, hashed)
    status, added = client.upload("/c/bank/FETLIFE/content", PICTURE)
    number = added["id"]
    signal = {"signal": hashed["pdq"], "signal_type": "pdq"}
    near = {"bank_content_id": number, "distance": "0"}
    raw = client.send("GET", "/m/raw_lookup", {**signal, "include_distance": "true"})
    assert near in raw[1]["matches"]
    assert client.send("GET", "/m/lookup", signal)[1]["FETLIFE"] == [near]
    assert client.send("GET", "/m/lookup", url)[1]["pdq"]["FETLIFE"] == [near]
    assert client.send("GET", "/m/lookup", {**url, "signal_type": "pdq"})[1]["FETLIFE"] == [near]
    assert client.upload("/m/lookup", PICTURE)[1]["pdq"]["FETLIFE"] == [near]
    path = f"/c/bank/FETLIFE/content/{number}"
    off = client.send("PUT", path, body=b'{"disable_until_ts": 1}')
    assert off[1]["disable_until_ts"] == 1
    assert client.send("GET", "/m/lookup", signal)[1].get("FETLIFE") is None
    assert client.send("GET", path)[1]["id"] == number
    assert client.send("DELETE", path) == (200, {"deleted": 1})
    assert client.send("DELETE", "/c/bank/FETLIFE") == (200, {"message": "Done"})

    client.sent = 0
    status, answer = client.upload("/h/hash", BROKEN)
    assert (status, client.sent) == (422, 1)  # it is not tried again
    assert "undecodable" in answer["message"]


@pytest.mark.slow
def test_fetlife_waits_for_a_service_that_is_full_or_loads(photos: str, tmp_path: Any) -> None:
    """What is refused for now is tried again, and answered in the end."""
    store = tmp_path / "store"
    store.mkdir(mode=0o700)
    options = ("--data", tmp_path / "data", "--max-waiting", "0")
    with service(*options, lists=(store,), ready=False) as program:
        client = FetLife(program)
        threads = [
            threading.Thread(target=lambda: answers.append(client.upload("/h/hash", PICTURE)))
            for _ in range(6)
        ]
        answers: list[tuple[int, Any]] = []
        for each in threads:
            each.start()
        assert run("list", "import", "fixtures/lists/demo-pdq.csv", "--store", store).code == 0
        for each in threads:
            each.join()
        assert [(status, found.keys()) for status, found in answers] == [(200, {"pdq"})] * 6
        assert client.sent > 6
