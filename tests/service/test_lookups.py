"""Look-ups that come together are looked up together, and each has its own answer."""

from __future__ import annotations

import asyncio
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from cli_tools import DEMO
from hashmatch.errors import IndexFileError
from hashmatch.matching.lookup import Found
from hashmatch.service.http import Response
from hashmatch.service.lookups import MAX_TOGETHER, HashLookup, Lookups
from processes import PATIENCE
from service_program import Program, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FAR = "0f" * 32
SPEC = hm.HashSpec("pdq", 256)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with service("--data", tmp_path_factory.mktemp("lookups") / "data") as program:
        yield program


def known() -> list[str]:
    return [line.partition(",")[0] for line in DEMO.read_text().splitlines()[1:]]


def test_many_connections_at_once_each_have_their_own_answer(api: Program) -> None:
    asked = [each for pair in zip(known()[:60], [FAR] * 60, strict=True) for each in pair]
    alone = [api.get("/m/raw_lookup", signal=each, signal_type="pdq").json for each in asked]
    with ThreadPoolExecutor(24) as threads:
        together = list(
            threads.map(lambda each: api.get("/m/lookup", signal=each, signal_type="pdq"), asked)
        )
    for one, other in zip(alone, together, strict=True):
        ids = [each["bank_content_id"] for each in other.json.get("DEMO_PDQ", [])]
        assert sorted(ids) == sorted(one["matches"])
        assert other.headers["x-snapshot"].startswith("demo-pdq@")


def answers(connection: socket.socket, count: int) -> list[tuple[int, Any]]:
    found = []
    file = connection.makefile("rb")
    for _ in range(count):
        status = int(file.readline().split()[1])
        length = 0
        while line := file.readline().strip():
            name, _, value = line.partition(b": ")
            if name == b"content-length":
                length = int(value)
        found.append((status, json.loads(file.read(length))))
    return found


def test_requests_of_one_connection_are_answered_in_their_order(api: Program) -> None:
    first, second = known()[:2]
    paths = [
        f"/m/lookup?signal={first}&signal_type=pdq", "/c/banks",
        f"/m/lookup?signal={FAR}&signal_type=pdq", "/m/lookup?signal=x&signal_type=pdq", "/healthz",
        "//m/lookup?signal_type=pdq&signal=" + second, "/m/lookup", "/m/lookup?url=file:///x",
        f"/m/lookup?signal%5Ftype=pdq&signal={second}",
    ]  # fmt: skip
    with socket.create_connection(("127.0.0.1", api.port), timeout=PATIENCE) as connection:
        host = f"127.0.0.1:{api.port}"
        whole = "".join(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n" for path in paths)
        connection.sendall(whole.encode())
        found = answers(connection, len(paths))
    assert [status for status, _ in found] == [200, 200, 200, 400, 200, 200, 400, 400, 200]
    assert found[0][1].keys() == {"DEMO_PDQ"}
    assert isinstance(found[1][1], list)
    assert found[2][1] == {}
    assert found[5][1] == found[8][1] != {}


def test_a_look_up_with_a_body_is_read_to_its_end(api: Program) -> None:
    path = f"/m/lookup?signal={FAR}&signal_type=pdq"
    with socket.create_connection(("127.0.0.1", api.port), timeout=PATIENCE) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n"
        connection.sendall(f"{head}Content-Length: 5\r\n\r\nab".encode())
        connection.sendall(f"cde{head}\r\n".encode())
        assert answers(connection, 2) == [(200, {}), (200, {})]


class Lists:
    """Says what it was asked for at once."""

    def __init__(self, fails: bool = False) -> None:
        self.calls: list[int] = []
        self._fails = fails
        self.matcher = self

    def look_up(self, hashes: hm.HashBatch) -> list[Found]:
        self.calls.append(len(hashes))
        if self._fails:
            raise IndexFileError("cannot read it: it was cut off.")
        return [Found((), number) for number in range(len(hashes))]


def asked(lists: Lists, number: int, spec: hm.HashSpec = SPEC) -> HashLookup:
    def respond(found: Found) -> Response:
        if number < 0:
            raise ValueError("of this one alone")
        return Response(str(number).encode())

    return HashLookup(lists, spec, bytes(spec.bits // 8), respond)  # type: ignore[arg-type]


def test_what_goes_wrong_with_one_is_none_of_the_others() -> None:
    sound, cut_off, other = Lists(), Lists(fails=True), hm.HashSpec("md5", 128)
    answers: list[Any] = []

    async def look_up() -> None:
        lookups = Lookups()
        for each in (
            asked(sound, 0), asked(sound, -1), asked(sound, 2), asked(sound, 3, other),
            asked(cut_off, 4), asked(cut_off, 5), asked(sound, 6),
        ):  # fmt: skip
            lookups.add(each, answers.append)
        assert answers == []  # they wait for each other
        await asyncio.sleep(0)
        for number in range(MAX_TOGETHER):
            lookups.add(asked(sound, number), answers.append)
        assert len(answers) == 7 + MAX_TOGETHER  # but not for ever
        await asyncio.sleep(0)

    asyncio.run(look_up())
    assert sound.calls == [3, 1, 1, MAX_TOGETHER]
    assert cut_off.calls == [2]
    shown = [each.body if isinstance(each, Response) else type(each) for each in answers[:7]]
    assert shown == [b"0", ValueError, b"2", b"3", IndexFileError, IndexFileError, b"6"]


def test_a_look_up_is_shown_without_its_hash() -> None:
    shown = repr(SimpleNamespace(asked=asked(Lists(), 1)))
    assert "pdq" in shown
    assert "\\x00" not in shown


def test_counts_and_log_have_those_that_were_looked_up_together(tmp_path: Path) -> None:
    log = tmp_path / "access.jsonl"
    with service("--access-log", log) as api:
        with ThreadPoolExecutor(8) as threads:
            list(
                threads.map(lambda _: api.get("/m/lookup", signal=FAR, signal_type="pdq"), [0] * 40)
            )
        counted = api.get("/metrics").body.decode()
    assert 'requests_total{route="GET /m/lookup",status="200"} 40.0' in counted
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(line["route"] == "GET /m/lookup" for line in lines) == 40
