"""Several processes of the service answer as one: banks, counts, deaths; and its client."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import threading
import time
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest

from cli_tools import DEMO, one_line, run
from conftest import IMAGES
from hashmatch.errors import ServiceError
from hashmatch.service.client import AsyncClient, Client
from hashmatch.service.server import _answer, _ended_by
from hashmatch.service.v1 import HashQuery
from processes import PATIENCE, wait_for
from service_program import Program, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PICTURE = (IMAGES / "plain" / "tiles.png").read_bytes()
FAR = "0f" * 32


def children(pid: int) -> list[int]:
    """Return the processes that answer."""
    path = f"/proc/{pid}/task/{pid}/children"
    with open(path) as file:
        return [int(each) for each in file.read().split()]


class _Starting:
    """A service that is stopped while it starts, in code that keeps the end of it to itself."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.runs = 0
        self.should_exit = self.started = False

    def server(self, name: str, port: int) -> Any:
        with suppress(BaseException):
            signal.raise_signal(signal.SIGTERM)
        return self

    def run(self, sockets: object) -> None:
        self.runs += 1


def test_a_process_that_is_stopped_while_it_starts_does_not_answer() -> None:
    starting = _Starting()
    with _ended_by(signal.SIGTERM) as stop, socket.create_server(("127.0.0.1", 0)) as bound:
        _answer(cast("Any", starting), bound, "name", stop)
    assert (stop.is_asked, starting.runs) == (True, 0)


def test_a_process_that_is_stopped_just_before_it_answers_ends() -> None:
    starting = _Starting()
    with _ended_by(signal.SIGTERM) as stop:
        stop.server = cast("Any", starting)
        signal.raise_signal(signal.SIGTERM)
    assert starting.should_exit


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    data = tmp_path_factory.mktemp("two") / "data"
    with service("--workers", "2", "--data", data) as program:
        yield program


def test_what_one_process_is_told_the_others_know_at_once(two: Program) -> None:
    assert len(children(two.process.pid)) == 2
    two.post("/c/banks", {"name": "SHARED"})
    query = {"signal": FAR, "signal_type": "pdq"}
    for _ in range(20):
        number = two.post("/c/bank/SHARED/signal", {"pdq": FAR}).json["id"]
        for _ in range(5):
            found = two.get("/m/lookup", **query).json["SHARED"]
            assert [each["bank_content_id"] for each in found] == [number]
        two.delete(f"/c/bank/SHARED/content/{number}")
        for _ in range(5):
            assert two.get("/m/lookup", **query).json == {}


def test_counts_are_of_all_processes(two: Program) -> None:
    def counted() -> float:
        text = two.get("/metrics").body.decode()
        found = re.search(r'requests_total\{route="GET /healthz",status="200"\} (\S+)', text)
        return float(found[1]) if found else 0.0

    before = counted()
    for _ in range(50):
        two.get("/healthz")
    assert counted() == before + 50


def test_a_process_that_dies_is_replaced(two: Program) -> None:
    first = children(two.process.pid)
    os.kill(first[0], signal.SIGKILL)
    wait_for(lambda: bool(set(children(two.process.pid)) - set(first)))

    def is_ready() -> bool:
        try:
            return all(two.get("/readyz").status == 200 for _ in range(20))
        except OSError:
            return False

    wait_for(is_ready)
    assert two.get("/m/lookup", signal=FAR, signal_type="pdq").status == 200


def test_it_stops_with_all_of_its_processes(tmp_path: Path) -> None:
    with service("--workers", "2", "--data", tmp_path / "data") as api:
        pids = children(api.process.pid)
        api.process.send_signal(signal.SIGTERM)
        assert api.process.wait(PATIENCE) == 0
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_one_process_stops_in_good_order(tmp_path: Path) -> None:
    with service("--data", tmp_path / "data") as api:
        assert api.ask("POST", "/h/hash", files={"photo": PICTURE}).status == 200
        decoding = children(api.process.pid)
        assert decoding
        api.process.send_signal(signal.SIGTERM)
        assert api.process.wait(PATIENCE) == 0
    assert not any(map(is_running, decoding))


def is_running(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_no_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    with service("--workers", "2", "--data", tmp_path / "data") as api:
        pids = children(api.process.pid)
        api.process.kill()
        api.process.wait(PATIENCE)
        wait_for(lambda: not any(map(is_running, pids)))


def test_it_stops_while_a_process_is_replaced(tmp_path: Path) -> None:
    """Told so between the end of one and the start of the next, it starts none."""
    with service("--workers", "2", "--data", tmp_path / "data") as api:
        first = set(children(api.process.pid))
        os.kill(min(first), signal.SIGKILL)
        wait_for(lambda: bool(set(children(api.process.pid)) - first))
        (second,) = set(children(api.process.pid)) - first
        os.kill(second, signal.SIGKILL)  # within a second of its start: the next waits
        api.process.send_signal(signal.SIGTERM)
        assert api.process.wait(PATIENCE) == 0


class Pictures(BaseHTTPRequestHandler):
    """Has one picture, an error, and a way elsewhere."""

    def do_GET(self) -> None:
        if self.path == "/photos/tiles.png":
            self.send_response(200)
            self.send_header("content-length", str(len(PICTURE)))
            self.end_headers()
            self.wfile.write(PICTURE)
        elif self.path == "/photos/moved":
            self.send_response(302)
            self.send_header("location", "/photos/tiles.png")
            self.end_headers()
        else:
            self.send_response(503 if self.path == "/photos/busy" else 404)
            self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def test_pictures_are_fetched_from_below_the_prefixes_and_nowhere_else() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"
    try:
        with service("--fetch-from", f"{root}/photos/") as api:
            hashed = api.get("/h/hash", url=f"{root}/photos/tiles.png")
            assert hashed.json.keys() == {"pdq"}
            nested = api.get("/m/lookup", url=f"{root}/photos/tiles.png").json
            assert nested["pdq"].keys() == {"DEMO_PDQ"}
            flat = api.get("/m/lookup", url=f"{root}/photos/tiles.png", signal_type="pdq").json
            assert flat == nested["pdq"]
            checked = api.ask(
                "POST", "/v1/check", {"surface": "public_post", "url": f"{root}/photos/tiles.png"}
            )
            assert checked.json["outcome"] == "match"
            for path, status in (
                ("/photos/none.png", 400),
                ("/photos/moved", 400),
                ("/photos/busy", 502),
                ("/other/tiles.png", 403),
                ("/photos/../other/tiles.png", 403),
                ("/photos/%2e%2e/other", 403),
            ):
                assert api.get("/h/hash", url=root + path).status == status, path
            assert api.get("/h/hash", url="http://169.254.169.254/latest").status == 403
            assert api.get("/h/hash", url="file:///etc/passwd").status == 400
    finally:
        server.shutdown()
        server.server_close()


def test_the_client_asks_as_the_service_answers(two: Program) -> None:
    with Client(f"http://127.0.0.1:{two.port}") as client:
        checked = client.check(PICTURE, surface="profile_photo", item_id="user/42")
        assert checked.outcome == "match"
        assert client.match(FAR).outcome == "no_match"
        first, second = client.match_many([HashQuery(FAR, id="a"), HashQuery("x", id="b")])
        assert (first.outcome, first.id) == ("no_match", "a")
        assert (second.outcome, second.id) == ("refused", "b")
        assert client.explain(PICTURE, 1).nearest[0].distance == 31
        assert client.lists().lists[0].entries == 207
        with pytest.raises(ServiceError, match="hexadecimal"):
            client.match("x")


def test_the_client_of_asyncio(two: Program) -> None:
    async def ask() -> None:
        async with AsyncClient(f"http://127.0.0.1:{two.port}") as client:
            checks = (
                client.check(PICTURE, surface="profile_photo", item_id=str(number))
                for number in range(8)
            )
            assert {each.outcome for each in await asyncio.gather(*checks)} == {"match"}
            assert (await client.match(FAR)).outcome == "no_match"
            assert len(await client.match_many([HashQuery(FAR)] * 3)) == 3
            assert (await client.explain(PICTURE, 1)).nearest[0].distance == 31
            assert (await client.lists()).lists[0].entries == 207

    asyncio.run(ask())


def test_the_client_waits_for_a_service_that_is_not_there_yet(tmp_path: Path) -> None:
    client = Client("http://127.0.0.1:1", patience=0.5)
    with client, pytest.raises(ServiceError, match="Try again later"):
        client.match(FAR)


class Busy(BaseHTTPRequestHandler):
    """Is busy twice, asks for a pause, and answers then."""

    asked: ClassVar[list[float]] = []

    def do_GET(self) -> None:
        self.asked.append(time.monotonic())
        body = b'{"snapshot":"a@1","since":"","lists":[],"problems":[]}'
        is_busy = len(self.asked) % 3
        self.send_response(503 if is_busy else 200)
        if len(self.asked) % 3 == 1:
            self.send_header("retry-after", "1")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def test_both_clients_try_again_and_wait_for_as_long_as_they_are_asked_to() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"

    async def ask() -> None:
        async with AsyncClient(root) as client:
            assert (await client.lists()).snapshot == "a@1"

    try:
        with Client(root) as client:
            assert client.lists().snapshot == "a@1"
        asyncio.run(ask())
    finally:
        server.shutdown()
        server.server_close()
    assert len(Busy.asked) == 6
    for first in (0, 3):
        assert Busy.asked[first + 1] - Busy.asked[first] >= 1


def test_a_list_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    missing = run("serve", "--no-auth", "--port", "0", "--list", tmp_path / "none.csv")
    assert missing.code == 2
    assert "none.csv" in missing.said


@pytest.mark.parametrize("workers", [1, 2])
def test_what_keeps_it_from_starting_is_one_line(tmp_path: Path, workers: int) -> None:
    bad = tmp_path / "disabled.jsonl"
    bad.write_text("{")
    serve = ("serve", "--no-auth", "--port", "0", "--workers", str(workers), "--list", DEMO)
    for options, word in (
        (("--disabled", bad), "disabled.jsonl"), (("--max-distance", "sha1=3"), "sha1"),
    ):  # fmt: skip
        ran = run(*serve, *options)
        if workers == 1:
            one_line(ran, word)
        assert ran.code == 2
        assert "Traceback" not in ran.said
        assert ran.said.splitlines()[-1].startswith("hashmatch: cannot ")
        assert word in ran.said.splitlines()[-1]
