"""What a client of Hasher-Matcher-Actioner 1.1.7 sees, as one table: a row a request.

What clients parse is in the table: status, type of the answer, its keys or its message. What is
different on purpose stands in ``docs/service.md``, and is marked here as ``ours``.
"""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from conftest import IMAGES
from service_program import Answer, Program, service

if TYPE_CHECKING:
    from collections.abc import Iterator

PICTURE = (IMAGES / "plain" / "tiles.png").read_bytes()
PDQ = hashlib.sha256(b"pdq").hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()
MD5 = hashlib.sha256(b"md5").hexdigest()[:32]
JSON, HTML = "application/json", "text/html"
SIGNAL = {"signal": PDQ, "signal_type": "pdq"}


class Row(NamedTuple):
    """A request, and what is answered.

    `expected` is JSON as it is; a set of the keys of an object; or text that the message, or the
    page, has.
    """

    method: str
    path: str
    query: dict[str, Any]
    sent: dict[str, Any]
    status: int
    expected: object
    kind: str = JSON


def get(path: str, status: int, expected: object, kind: str = JSON, **query: Any) -> Row:
    return Row("GET", path, query, {}, status, expected, kind)


def sends(method: str, path: str, given: object, status: int, expected: object) -> Row:
    return Row(method, path, {}, {"given": given}, status, expected)


def posts(path: str, files: dict[str, bytes], status: int, expected: object, **query: Any) -> Row:
    return Row("POST", path, query, {"files": files}, status, expected)


PHOTO = {"photo": PICTURE}
ROWS = [
    # 1.1 common rules
    get("/nothing", 404, "Not Found", HTML),
    get("/m/nothing", 404, "Not Found", HTML),
    get("/h/hash/", 404, "Not Found", HTML),
    get("/dev/banks", 404, "Not Found", HTML),
    Row("POST", "/status", {}, {}, 405, "Method Not Allowed", HTML),
    Row("PUT", "/m/compare", {}, {}, 405, "Method Not Allowed", HTML),
    get("/v1/nothing", 404, "nothing at this path"),
    Row("PUT", "/v1/match", {}, {}, 405, "other methods"),
    get("//c/content_type", 200, [{"enabled": True, "name": "photo"}]),
    get("//m//raw_lookup", 200, {"matches"}, **SIGNAL),
    # 1.2 liveness and discovery
    get("/", 302, "", HTML),
    get("/status", 200, "I-AM-ALIVE", HTML),
    get("/status/live", 200, "I-AM-ALIVE", HTML),
    Row("HEAD", "/status", {}, {}, 200, "", HTML),
    get("/site-map", 200, list),
    get("/openapi/openapi.json", 200, {"openapi", "info", "paths", "components"}),
    get("/openapi/", 200, "/m/raw_lookup", HTML),
    get("/openapi", 404, "Not Found", HTML),
    # 1.3 hashing
    posts("/h/hash", PHOTO, 200, {"pdq", "video_md5"}),
    posts("/h/hash", PHOTO, 200, {"pdq"}, types="pdq"),
    posts("/h/hash", PHOTO, 200, {"pdq", "video_md5"}, types="pdq,video_md5"),
    posts("/h/hash", {}, 400, "Missing multipart/form-data file upload"),
    posts("/h/hash", {"photo": b"x", "video": b"y"}, 400, "Only one file allowed per request"),
    posts("/h/hash", {"image": PICTURE}, 400, "no such content_type: 'image'"),
    posts("/h/hash", PHOTO, 400, "signal type 'x' doesn't exist or is disabled", types="x"),
    posts("/h/hash", PHOTO, 400, "empty signal type selection", types=""),
    posts("/h/hash", {"photo": PICTURE[:60]}, 422, "undecodable", types="pdq"),  # ours
    get("/h/hash", 422, ("url", "missing")),
    get("/h/hash", 400, "invalid, or not of http", url="not a url"),
    get("/h/hash", 400, "invalid, or not of http", url="ftp://example.org/a.png"),
    get("/h/hash", 200, {"pdq", "video_md5"}, url="{photos}/tiles.png"),
    get("/h/hash", 200, {"pdq"}, url="{photos}/tiles.png", types="pdq", content_type="photo"),
    get("/h/hash", 400, "the server answered 404", url="{photos}/none.png"),
    get("/h/hash", 400, "no such content_type: 'audio'", url="{photos}/a", content_type="audio"),
    get("/h/hash", 400, "doesn't exist or is disabled", url="{photos}/tiles.png", types="x"),
    get("/h/hash", 400, "empty signal type selection", url="{photos}/tiles.png", types=" , "),
    get("/h/hash", 403, "--fetch-from", url="http://127.0.0.1:9/a.png"),  # ours
    get("/h/hash", 422, "unsupported", url="{photos}/page.html", types="pdq"),  # ours
    # 1.4 matching
    get("/m/raw_lookup", 200, {"matches": [1]}, **SIGNAL),
    get("/m/raw_lookup", 200, {"matches": [{"bank_content_id": 1, "distance": "0"}]}, **SIGNAL,
        include_distance="true"),
    get("/m/raw_lookup", 200, {"matches": [1]}, **SIGNAL, banks="OTHER, FILLED"),
    get("/m/raw_lookup", 200, {"matches": []}, **SIGNAL, banks="OTHER"),
    get("/m/raw_lookup", 200, {"matches": [{"bank_content_id": 1, "distance": "-"}]}, signal=MD5,
        signal_type="video_md5", include_distance="1"),
    get("/m/raw_lookup", 422, ("signal", "missing"), signal_type="pdq"),
    get("/m/raw_lookup", 422, ("signal_type", "missing"), signal=PDQ),
    get("/m/raw_lookup", 422, ("include_distance", "bool_parsing"), **SIGNAL, include_distance="?"),
    get("/m/raw_lookup", 400, "No such SignalType 'x'", signal=PDQ, signal_type="x"),
    get("/m/raw_lookup", 400, "invalid signal: invalid PDQ hash", signal=PDQ.upper(),
        signal_type="pdq"),
    get("/m/lookup", 200, {"FILLED": [{"bank_content_id": 1, "distance": "0"}]}, **SIGNAL),
    get("/m/lookup", 200, {"FILLED": [{"bank_content_id": 1, "distance": "0"}]}, **SIGNAL,
        banks="FILLED", seed="7", bypass_coinflip="true"),
    get("/m/lookup", 200, {}, signal=OTHER, signal_type="pdq"),
    get("/m/lookup", 400, "Either url or both signal and signal_type are required", signal=PDQ),
    get("/m/lookup", 400, "No such SignalType 'x'", signal=PDQ, signal_type="x"),
    get("/m/lookup", 400, "invalid signal: invalid PDQ hash", signal="0", signal_type="pdq"),
    get("/m/lookup", 200, {"pdq", "video_md5"}, url="{photos}/tiles.png"),
    get("/m/lookup", 200, {"DEMO_PDQ"}, url="{photos}/tiles.png", signal_type="pdq"),
    get("/m/lookup", 400, "the server answered 404", url="{photos}/none.png"),
    posts("/m/lookup", PHOTO, 200, {"pdq", "video_md5"}),
    posts("/m/lookup", PHOTO, 200, {"pdq": {}, "video_md5": {}}, banks="NONE"),
    posts("/m/lookup", {}, 400, "Missing multipart/form-data file upload"),
    sends("POST", "/m/compare", {"pdq": [PDQ, PDQ]}, 200, {"pdq": [True, {"distance": 0}]}),
    sends("POST", "/m/compare", {"video_md5": [MD5, MD5]}, 200,
          {"video_md5": [True, {"distance": 0}]}),  # ours: theirs is an internal error
    sends("POST", "/m/compare", {}, 200, {}),
    sends("POST", "/m/compare", [], 400, "cannot compare"),
    sends("POST", "/m/compare", {"pdq": PDQ}, 400, "no list of two"),
    sends("POST", "/m/compare", {"pdq": [PDQ]}, 400, "not two"),
    sends("POST", "/m/compare", {"x": [PDQ, PDQ]}, 400, "No such SignalType 'x'"),
    sends("POST", "/m/compare", {"pdq": ["x", PDQ]}, 400, "invalid signal: invalid PDQ hash"),
    get("/m/index/status", 200, {"pdq", "video_md5"}),
    get("/m/index/status", 200, {"pdq"}, signal_type="pdq"),
    get("/m/index/status", 400, "No such signal type 'x'", signal_type="x"),
    # 1.5 curation
    get("/c/banks", 200, list),
    sends("POST", "/c/banks", {"name": "MADE", "enabled_ratio": "0.5"}, 201,
          {"matching_enabled_ratio": 0.5, "name": "MADE"}),
    sends("POST", "/c/banks", {"name": "MADE"}, 403, "Bank already exists"),
    sends("POST", "/c/banks", {"name": "no"}, 400, "Bank names must be UPPER_WITH_UNDERSCORE"),
    sends("POST", "/c/banks", {}, 422, ("name", "missing")),
    sends("POST", "/c/banks", "x", 422, ("body", "model_type")),
    sends("POST", "/c/banks", {"name": "X", "enabled_ratio": 2}, 400, "from 0 to 1"),  # ours
    get("/c/bank/MADE", 200, {"matching_enabled_ratio": 0.5, "name": "MADE"}),
    get("/c/bank/NONE", 404, "bank 'NONE' not found"),
    sends("PUT", "/c/bank/MADE", {"enabled_ratio": 1, "name": "MADE_2"}, 200,
          {"matching_enabled_ratio": 1.0, "name": "MADE_2"}),
    sends("PUT", "/c/bank/MADE_2", {"name": "no"}, 400, "must be UPPER_WITH_UNDERSCORE"),
    sends("PUT", "/c/bank/MADE_2", {"name": "FILLED"}, 403, "Bank name already exists"),
    sends("PUT", "/c/bank/NONE", {"enabled": False}, 404, "Bank not found"),
    sends("DELETE", "/c/bank/MADE_2", None, 200, {"message": "Done"}),
    sends("DELETE", "/c/bank/NONE", None, 200, {"message": "Done"}),
    get("/c/bank/FILLED/content/1", 200, {"bank", "id", "disable_until_ts", "original_media_uri",
                                          "metadata", "note"}),
    get("/c/bank/FILLED/content/1", 200, {"bank", "id", "disable_until_ts", "original_media_uri",
                                          "signals"}, include_metadata="false",
        include_signals="true"),
    get("/c/bank/DEMO_PDQ/content/1", 200, {"bank", "id", "disable_until_ts", "note",
                                            "original_media_uri", "metadata"}),
    get("/c/bank/NONE/content/1", 404, "bank 'NONE' not found"),
    get("/c/bank/FILLED/content/99", 404, "content '99' not found"),
    get("/c/bank/FILLED/content/x", 404, "Not Found", HTML),
    get("/c/bank/FILLED/content/1", 422, ("include_signals", "bool_parsing"), include_signals="?"),
    posts("/c/bank/SCRATCH/content", PHOTO, 200, {"id", "signals"}),
    Row("POST", "/c/bank/SCRATCH/content", {"url": "{photos}/tiles.png", "content_id": "7"},
        {"given": {"metadata": {"content_id": "7"}, "note": "n"}}, 200, {"id", "signals"}),
    posts("/c/bank/SCRATCH/content", {}, 400, "Missing multipart/form-data file upload"),
    posts("/c/bank/NONE/content", PHOTO, 404, "bank 'NONE' not found"),
    Row("POST", "/c/bank/SCRATCH/content", {}, {"files": PHOTO, "fields": {"metadata": "x"}}, 400,
        "no JSON"),
    Row("POST", "/c/bank/SCRATCH/content", {}, {"files": PHOTO, "fields": {"metadata": '{"k": 1}'}},
        400, "its keys are"),
    sends("PUT", "/c/bank/FILLED/content/1", {"note": "seen"}, 200,
          {"bank", "collab_metadata", "disable_until_ts", "id", "note", "original_media_uri",
           "user_metadata"}),
    sends("PUT", "/c/bank/FILLED/content/1", {"note": "x" * 256}, 400, "at most 255"),
    sends("PUT", "/c/bank/FILLED/content/1", {"disable_until_ts": -1}, 400, "disable_until_ts"),
    sends("PUT", "/c/bank/FILLED/content/1", {"disable_until_ts": 9e15}, 400, "disable_until_ts"),
    sends("PUT", "/c/bank/FILLED/content/99", {"note": "x"}, 404, "content '99' not found"),
    sends("DELETE", "/c/bank/SCRATCH/content/2", None, 200, {"deleted": 1}),
    sends("DELETE", "/c/bank/SCRATCH/content/2", None, 200, {"deleted": 0}),
    sends("DELETE", "/c/bank/NONE/content/2", None, 404, "bank 'NONE' not found"),
    sends("POST", "/c/bank/SCRATCH/signal", {"pdq": OTHER[::-1], "note": "x"}, 200,
          {"id", "signals"}),
    sends("POST", "/c/bank/SCRATCH/signal", {"pdq": "x"}, 400, "invalid signal: invalid PDQ hash"),
    sends("POST", "/c/bank/SCRATCH/signal", {"x": PDQ}, 400, "No such SignalType 'x'"),
    sends("POST", "/c/bank/SCRATCH/signal", {}, 400, "without signals"),
    sends("POST", "/c/bank/NONE/signal", {"pdq": PDQ}, 404, "bank 'NONE' not found"),
    get("/c/signal_type", 200, [{"enabled_ratio": 1.0, "name": "pdq"},
                                {"enabled_ratio": 1.0, "name": "video_md5"}]),
    sends("PUT", "/c/signal_type/pdq", {"enabled_ratio": "0"}, 200,
          {"enabled_ratio": 0.0, "name": "pdq"}),  # ours: theirs is an internal error
    get("/m/lookup", 400, "No such SignalType 'pdq'", **SIGNAL),
    posts("/h/hash", PHOTO, 400, "signal type 'pdq' doesn't exist or is disabled", types="pdq"),
    posts("/h/hash", PHOTO, 200, {"video_md5"}),
    get("/m/lookup", 200, {"FILLED"}, signal=MD5, signal_type="video_md5"),
    get("/c/signal_type", 200, [{"enabled_ratio": 0.0, "name": "pdq"},
                                {"enabled_ratio": 1.0, "name": "video_md5"}]),
    sends("PUT", "/c/signal_type/pdq", {"enabled_ratio": 0.000001}, 200, {"enabled_ratio", "name"}),
    get("/m/lookup", 200, {}, **SIGNAL),
    sends("PUT", "/c/signal_type/pdq", {"enabled_ratio": 1}, 200,
          {"enabled_ratio": 1.0, "name": "pdq"}),
    get("/m/lookup", 200, {"FILLED"}, **SIGNAL),
    sends("PUT", "/c/signal_type/pdq", {}, 422, ("enabled_ratio", "missing")),
    sends("PUT", "/c/signal_type/pdq", {"enabled_ratio": 2}, 400, "from 0 to 1"),
    sends("PUT", "/c/signal_type/x", {"enabled_ratio": 1}, 400, "No such signal type 'x'"),
    get("/c/signal_type/index", 200, {"pdq", "video_md5"}),
    get("/c/signal_type/index", 200, {"video_md5"}, signal_type="video_md5"),
    get("/c/signal_type/index", 400, "No such signal type 'x'", signal_type="x"),
    get("/c/content_type", 200, [{"enabled": True, "name": "photo"}]),
    Row("PUT", "/c/content_type", {}, {}, 405, "Method Not Allowed", HTML),
    # 1.6 their pages for people are not there; what they show are hashes
    get("/ui", 404, "Not Found", HTML),  # ours
    get("/ui/", 404, "Not Found", HTML),  # ours
    Row("POST", "/ui/query_hash", {}, {}, 404, "Not Found", HTML),  # ours
]  # fmt: skip


class Photos(BaseHTTPRequestHandler):
    """A server of one picture and one page."""

    def do_GET(self) -> None:
        known = {"/photos/tiles.png": PICTURE, "/photos/page.html": b"<!doctype html>"}
        data = known.get(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("content-length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def hma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, str]]:
    """A service with a bank FILLED, whose content 1 has a PDQ and an MD5 hash, and SCRATCH."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Photos)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    photos = f"http://127.0.0.1:{server.server_port}/photos"
    folder = tmp_path_factory.mktemp("rows")
    (folder / "md5.csv").write_text(f"md5,id\n{OTHER[:32]},one\n")
    lists = ("fixtures/lists/demo-pdq.csv", f"md5={folder / 'md5.csv'}")
    try:
        options = ("--data", folder / "data", "--fetch-from", f"{photos}/")
        with service(*options, lists=lists) as program:
            for name in ("FILLED", "SCRATCH"):
                assert program.post("/c/banks", {"name": name}).status == 201
            added = program.post("/c/bank/FILLED/signal", {"pdq": PDQ, "video_md5": MD5})
            assert added.json["id"] == 1
            yield program, photos
    finally:
        server.shutdown()
        server.server_close()


def test_every_row(hma: tuple[Program, str]) -> None:
    """In their order: some are about what those before them made."""
    program, photos = hma
    wrong = []
    for row in ROWS:
        query = {name: str(value).replace("{photos}", photos) for name, value in row.query.items()}
        answer = program.ask(row.method, row.path, query or None, **row.sent)
        try:
            check(answer, row)
        except AssertionError as error:
            wrong.append(f"{row.method} {row.path} {row.query}: {error}")
    assert wrong == []


def check(answer: Answer, row: Row) -> None:
    shown = (answer.status, answer.headers["content-type"].partition(";")[0])
    assert shown == (row.status, row.kind), answer.body[:300]
    if row.kind == HTML:
        assert str(row.expected).encode() in answer.body
        return
    found = answer.json
    match row.expected:
        case str(text):
            assert text in found["message"]
            assert row.path.startswith("/v1") or found.keys() == {"message"}
        case tuple((name, kind)):
            (error,) = found
            assert (error["loc"], error["type"]) == ([name], kind)
            assert error.keys() >= {"type", "loc", "msg", "input", "url"}
        case type() as wanted:
            assert isinstance(found, wanted)
        case set(keys):
            assert found.keys() == keys
            assert list(found) == sorted(found) or "openapi" in found
        case exact:
            assert found == exact
