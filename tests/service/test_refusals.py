"""Pictures that there is no room for: refused by their head, noted many at a time, in order."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
import uvicorn

import hashmatch as hm
from cli_tools import DEMO
from hashmatch.service.admission import Admission, Busy
from hashmatch.service.app import application
from hashmatch.service.connections import MAX_UNREAD, Protocol
from hashmatch.service.missed import Journal, Picture
from hashmatch.service.service import Limits, Service
from hashmatch.service.snapshots import Snapshot
from processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = (
    "POST /v1/check?surface=public_post&item_id={} HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n"
)
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"
ROOM = 3


class Lists:
    """Stands for lists; nothing here is looked up."""

    changed: object = None
    problems = ()


class Decoders:
    """Stands for a pool of one; nothing here is decoded."""

    workers = 1


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def is_closing(self) -> bool:
        return self.is_closed

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading

    @property
    def statuses(self) -> list[int]:
        """Of the answers, in their order."""
        return [int(part[:3]) for part in self.written.split(b"HTTP/1.1 ")[1:]]


class Running:
    """A service without a socket, in the event loop that runs."""

    def __init__(self, journal: Journal | None = None) -> None:
        lists, decoders = cast("Any", Lists()), cast("Any", Decoders())
        self.service = Service(
            lists, decoders, limits=Limits(max_waiting=ROOM - 2), journal=journal
        )
        self.admission = self.service._admission
        self._config = uvicorn.Config(
            application(self.service), http=Protocol, ws="none", lifespan="off",
            log_level="critical", proxy_headers=False, timeout_keep_alive=0,
        )  # fmt: skip
        self._config.load()
        self._server = uvicorn.Server(self._config)

    def connect(self) -> tuple[Protocol, Transport]:
        """Return a connection, and what the service writes to it."""
        protocol = Protocol(
            config=self._config, server_state=self._server.server_state, app_state={}
        )
        transport = Transport()
        protocol.connection_made(transport)
        return protocol, transport


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that the event loop does."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.001)


def test_a_picture_is_refused_before_its_body_is_there() -> None:
    async def run() -> None:
        running = Running()
        running.admission.inside = ROOM
        protocol, transport = running.connect()
        protocol.data_received(HEAD.format("a").encode())
        assert transport.statuses == [503]
        assert b"retry-after: 1\r\n" in transport.written
        assert json.loads(transport.written.partition(b"\r\n\r\n")[2])["retry"] is True
        protocol.data_received(b"123456789" + HEALTH)  # its body is dropped
        assert transport.statuses == [503, 200]
        text = running.service.metrics.text()
        assert b'hashmatch_unchecked_total{retry="true"} 1.0' in text
        await until(lambda: transport.is_closed)  # nothing is asked any more

    asyncio.run(run())


def test_room_is_kept_from_the_head_on() -> None:
    """Heads that come at the same moment are not all let in because no task has begun."""

    async def run() -> None:
        running = Running()
        connections = [running.connect() for _ in range(ROOM + 2)]
        for protocol, _ in connections:
            protocol.data_received(HEAD.format("a").encode())
        refused = [transport.statuses for _, transport in connections]
        assert refused == [[]] * ROOM + [[503]] * 2
        await asyncio.sleep(0)
        assert running.admission.taken == ROOM
        for protocol, _ in connections[:ROOM]:
            protocol.connection_lost(None)
        await until(lambda: running.admission.taken == 0)
        protocol, _ = running.connect()
        protocol.data_received(b"POST /v1/check?\x7f HTTP/1.1\r\nhost: a\r\n\r\n")
        assert running.admission.coming == 0
        running.admission.close()

    asyncio.run(run())


def test_refused_pictures_are_answered_once_they_are_noted(tmp_path: Path) -> None:
    async def run() -> None:
        journal = Journal(str(tmp_path / "missed.db"), "one")
        running = Running(journal)
        running.admission.inside = ROOM
        connections = [running.connect() for _ in range(200)]
        for number, (protocol, transport) in enumerate(connections):
            # What follows on the same connection waits for its turn.
            protocol.data_received(HEAD.format(f"{number}%00").encode() + b"123456789" + HEALTH)
            assert transport.written == b""
        await until(lambda: all(transport.statuses == [503, 200] for _, transport in connections))
        assert all(b'"noted":true' in transport.written for _, transport in connections)
        protocol, transport = running.connect()
        protocol.data_received(b"POST /v1/check HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n")
        assert transport.statuses == [503]  # nobody can say what it is
        assert b'"noted":false' in transport.written
        journal.close()

    asyncio.run(run())
    with sqlite3.connect(tmp_path / "missed.db") as database:
        rows = database.execute("SELECT key, surface, reason FROM item ORDER BY id").fetchall()
    assert [key for key, _, _ in rows] == [f"{number}\0" for number in range(200)]
    assert {row[1:] for row in rows} == {
        ("public_post", "cannot answer: too many pictures are waiting.")
    }


def test_who_goes_away_while_it_is_noted_keeps_nobody_waiting(tmp_path: Path) -> None:
    async def run() -> None:
        journal = Journal(str(tmp_path / "missed.db"), "one")
        running = Running(journal)
        running.admission.inside = ROOM
        gone, transport = running.connect()
        gone.data_received(HEAD.format("gone").encode() + b"123456789" + HEALTH)
        transport.close()
        gone.connection_lost(None)
        stays, other = running.connect()
        stays.data_received(HEAD.format("stays").encode())
        await until(lambda: other.statuses == [503])
        assert transport.written == b""
        journal.close()

    asyncio.run(run())


def test_a_note_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    async def run() -> None:
        journal = Journal(str(tmp_path / "missed.db"), "one")
        running = Running(journal)
        running.admission.inside = ROOM
        with sqlite3.connect(tmp_path / "missed.db") as database:
            database.execute("DROP TABLE item")
        protocol, transport = running.connect()
        protocol.data_received(HEAD.format("a").encode())
        await until(lambda: transport.statuses == [503])
        assert b'"noted":false' in transport.written
        journal.close()

    asyncio.run(run())


def test_who_is_refused_is_answered_though_the_service_stops(tmp_path: Path) -> None:
    async def run() -> None:
        journal = Journal(str(tmp_path / "missed.db"), "one")
        running = Running(journal)
        running.admission.inside = ROOM
        protocol, transport = running.connect()
        protocol.data_received(HEAD.format("a").encode() + b"123456789")
        protocol.shutdown()
        assert not transport.is_closed
        await until(lambda: transport.is_closed)
        assert transport.statuses == [503]
        journal.close()

    asyncio.run(run())


def test_notes_of_refused_pictures_have_any_name(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "missed.db"), "one")
    names = [f"{number}'\0\"\N{GRINNING FACE}" for number in range(1000)]
    pictures = [Picture(name, "7", "user_report") for name in names]
    assert journal.refused(pictures, "too many").result(PATIENCE) == 1000
    journal.close()
    with sqlite3.connect(tmp_path / "missed.db") as database:
        assert database.execute("SELECT key, version FROM item ORDER BY id").fetchall() == [
            (name, "7") for name in names
        ]


def test_what_is_ready_is_worked_on_however_busy_the_event_loop_is() -> None:
    async def run() -> None:
        admission = Admission(2, 8, PATIENCE)
        done: list[int] = []
        is_last = threading.Event()

        def work(number: int) -> int:
            done.append(number)
            if len(done) == 6:
                is_last.set()
            return number

        asked = [
            asyncio.create_task(admission.work(lambda number=number: work(number)))  # type: ignore[misc]
            for number in range(6)
        ]
        await asyncio.sleep(0)
        assert is_last.wait(PATIENCE)  # while nothing else runs here
        assert await asyncio.gather(*asked) == [*range(6)]
        admission.close()

    asyncio.run(run())


def test_who_waits_for_too_long_is_refused_after_all() -> None:
    async def run() -> None:
        admission = Admission(1, 8, 0.05)
        free = threading.Event()
        first = asyncio.create_task(admission.work(lambda: free.wait(PATIENCE)))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await admission.work(lambda: None)
        left = asyncio.create_task(admission.work(lambda: None))
        await asyncio.sleep(0)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await left
        free.set()
        assert await first
        admission.close()

    asyncio.run(run())


@pytest.mark.parametrize("size", [1, 7, 64, 1000, 100_000])
def test_the_body_of_a_refused_picture_is_skipped_wherever_it_is_cut(size: int) -> None:
    """What follows is answered, in order, as if the bodies had been parsed."""
    body = b"POST / HTTP/1.1\r\n\r\n" * 20  # it looks like requests, and is none
    head = HEAD.format("a").replace("9\r\n\r\n", f"{len(body)}\r\n\r\n").encode()
    chunked = HEAD.format("b").replace("content-length: 9", "transfer-encoding: chunked").encode()
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    sent = (head + body + HEALTH) * 2 + chunked + chunks + HEALTH

    async def run() -> None:
        running = Running()
        running.admission.inside = ROOM
        protocol, transport = running.connect()
        for begin in range(0, len(sent), size):
            protocol.data_received(sent[begin : begin + size])
        assert transport.statuses == [503, 200] * 3
        assert not transport.is_closed

    asyncio.run(run())


def test_a_body_that_has_no_end_is_not_read_for_ever() -> None:
    async def run() -> None:
        running = Running()
        running.admission.inside = ROOM
        protocol, transport = running.connect()
        length = 2 * MAX_UNREAD
        protocol.data_received(HEAD.format("a").replace("9\r\n", f"{length}\r\n").encode())
        assert transport.statuses == [503]
        part = bytes(2**20)
        for _ in range(length // len(part)):
            if not transport.is_closed:
                protocol.data_received(part)
        assert transport.is_closed

    asyncio.run(run())


def test_after_what_is_no_request_nothing_is_answered() -> None:
    async def run() -> None:
        running = Running()
        running.admission.inside = ROOM
        protocol, transport = running.connect()
        bad = HEAD.format("a").replace("9\r\n", "9\r\ncontent-length: 8\r\n").encode()
        protocol.data_received(bad + b"123456789" + HEALTH)
        assert transport.statuses == [400]
        assert transport.is_closed

    asyncio.run(run())


MATCH = b"POST /v1/match HTTP/1.1\r\nhost: a\r\n%bcontent-length: %d\r\n\r\n%b"
QUESTION = b'{"hash": "%b", "id": "one"}' % (b"0f" * 32)


def looking_up() -> Running:
    """Return a service with lists."""
    running = Running()
    matcher = hm.Matcher(hm.read_list(DEMO))
    snapshot = Snapshot("demo", matcher, "")
    running.service.snapshots = cast("Any", SimpleNamespace(fresh=lambda: snapshot, problems=()))
    return running


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
@pytest.mark.parametrize("header", [b"", b"expect: 100-continue\r\n", b"Connection: close\r\n"])
def test_a_body_is_taken_wherever_it_is_cut(size: int, header: bytes) -> None:
    """With headers that leave it to ASGI, and without, for which there is no task."""
    sent = MATCH % (header, len(QUESTION), QUESTION)

    async def run() -> None:
        running = looking_up()
        protocol, transport = running.connect()
        for begin in range(0, len(sent), size):
            protocol.data_received(sent[begin : begin + size])
        await until(lambda: transport.statuses[-1:] == [200])
        answer = json.loads(transport.written.rpartition(b"\r\n\r\n")[2])
        assert answer | {"outcome": "no_match", "id": "one", "snapshot": "demo"} == answer

    asyncio.run(run())


def test_requests_with_bodies_are_answered_in_their_order() -> None:
    async def run() -> None:
        running = looking_up()
        protocol, transport = running.connect()
        bad = MATCH % (b"", 2, b"{}")
        check = HEAD.replace("&item_id={}", "").encode() + b"123456789"  # it has no name
        protocol.data_received((MATCH % (b"", len(QUESTION), QUESTION) + bad + check) * 3 + HEALTH)
        await until(lambda: transport.statuses == [200, 422, 422] * 3 + [200])
        assert running.admission.taken == 0

    asyncio.run(run())


def test_who_goes_away_in_the_middle_of_a_picture_is_counted(tmp_path: Path) -> None:
    async def run() -> None:
        journal = Journal(str(tmp_path / "missed.db"), "one")
        running = Running(journal)
        protocol, transport = running.connect()
        protocol.data_received(HEAD.format("left").encode() + b"1234")
        assert running.admission.taken == 1
        assert b"hashmatch_pictures_in_flight 1.0" in running.service.metrics.text()
        protocol.connection_lost(None)
        await until(lambda: running.admission.taken == 0)
        route = b'hashmatch_requests_total{route="POST /v1/check",status="499"} 1.0'
        await until(lambda: route in running.service.metrics.text())
        assert b'hashmatch_unchecked_total{retry="true"} 1.0' in running.service.metrics.text()
        assert transport.written == b""
        journal.close()

    asyncio.run(run())
    with sqlite3.connect(tmp_path / "missed.db") as database:
        assert database.execute("SELECT key FROM item").fetchall() == [("left",)]


def test_who_shows_no_token_is_refused_before_the_body_is_there() -> None:
    async def run() -> None:
        running = Running()
        running.service.tokens = cast("Any", object())
        protocol, transport = running.connect()
        protocol.data_received(HEAD.format("a").encode())
        assert transport.statuses == [401]
        assert running.admission.taken == 0

    asyncio.run(run())
