"""Who may ask the service, how much, and what becomes of what is too much."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPResponse
from typing import TYPE_CHECKING

import pytest

from cli_tools import DEMO, one_line, run
from conftest import IMAGES
from hashmatch.review.queue import ReviewQueue
from hashmatch.service.admission import NEAR, ROWS, Rates
from hashmatch.service.missed import Journal, MissedItems, in_use
from hashmatch.service.server import Serving
from processes import PATIENCE, wait_for
from service_program import Answer, Program, service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PICTURE = (IMAGES / "plain" / "tiles.png").read_bytes()
FAR = "0f" * 32
SURFACE = {"surface": "profile_photo", "item_id": "user/42"}
HASH_QUERY = {"hash": FAR}


def token(file: Path, name: str, *scopes: str, rate: str = "") -> str:
    """Make a token."""
    named = [part for scope in scopes for part in ("--scope", scope)]
    limit = ["--rate", rate] if rate else []
    return run("token", "add", file, name, *named, *limit).out.decode().strip()


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens") / "tokens.json"


@pytest.fixture(scope="module")
def guarded(tokens: Path) -> Iterator[Program]:
    admin = token(tokens, "admin", "admin")
    with service("--tokens", tokens, "--data", tokens.parent / "data", token=admin) as program:
        yield program


def test_a_token_is_kept_as_a_digest_and_shown_once(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    secret = token(file, "uploads", "match")
    assert secret.startswith("hm_")
    assert secret not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert run("token", "list", file).out.decode().startswith("uploads: match, made ")
    one_line(run("token", "add", file, "uploads", "--scope", "match"), "uploads")
    one_line(run("token", "add", file, "a b", "--scope", "match"), "letters")
    assert run("token", "revoke", file, "uploads").code == 0
    one_line(run("token", "revoke", file, "uploads"), "uploads")
    file.chmod(0o644)
    one_line(run("token", "list", file), "chmod")


def test_each_path_needs_its_scope(guarded: Program, tokens: Path) -> None:
    made = {name: token(tokens, f"only-{name}", name) for name in ("hash", "match", "curate")}
    asked: dict[str, Callable[[str], Answer]] = {
        "hash": lambda t: guarded.ask("POST", "/h/hash", files={"photo": PICTURE}, token=t),
        "match": lambda t: guarded.ask("POST", "/v1/match", given=HASH_QUERY, token=t),
        "curate": lambda t: guarded.ask("GET", "/c/banks", token=t),
    }
    for secret in made.values():  # the file is read again soon
        wait_for(lambda secret=secret: asked["match"](secret).status != 401)  # type: ignore[misc]
    for scope, ask in asked.items():
        for name, secret in made.items():
            expected = 200 if name == scope else 403
            assert ask(secret).status == expected, (scope, name)
        assert ask(guarded.token).status == 200
        answer = ask("hm_" + "x" * 43)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "this token is not known" in answer.json["message"]
        assert "without a token" in ask("").json["message"]
    for answer in (  # clients of Hasher-Matcher-Actioner tell the kinds of 403 by these words
        asked["hash"](made["match"]),
        guarded.ask("GET", "/m/lookup", {"url": "https://a.example/b"}, token=made["match"]),
    ):
        assert answer.json["message"].startswith("Hashing is disabled, missing role")
    assert guarded.ask("GET", "/metrics", token=made["curate"]).status == 403
    assert guarded.ask("POST", "/v1/explain", given=HASH_QUERY, token=made["match"]).status == 403
    for path in ("/healthz", "/readyz", "/status", "/openapi.json"):
        assert guarded.ask("GET", path, token="").status == 200


def test_a_revoked_token_is_refused_within_seconds(guarded: Program, tokens: Path) -> None:
    secret = token(tokens, "leaver", "match")

    def ask() -> int:
        return guarded.ask("POST", "/v1/match", given=HASH_QUERY, token=secret).status

    wait_for(lambda: ask() == 200)
    run("token", "revoke", tokens, "leaver")
    wait_for(lambda: ask() == 401)


def test_a_token_file_that_cannot_be_read_is_a_problem_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    secret = token(file, "uploads", "match")
    with service("--tokens", file, token=secret) as api:
        assert api.get("/readyz").json["problems"] == []
        file.chmod(0o644)
        file.write_bytes(file.read_bytes())  # so that it is read again
        wait_for(lambda: bool(api.get("/readyz").json["problems"]))
        (problem,) = api.get("/readyz").json["problems"]
        assert problem.startswith("tokens are as before: ")
        assert "chmod" in problem
        assert api.post("/v1/match", HASH_QUERY).status == 200
        file.chmod(0o600)
        file.write_bytes(file.read_bytes())
        wait_for(lambda: api.get("/readyz").json["problems"] == [])


def test_a_token_has_a_limit_of_requests(guarded: Program, tokens: Path) -> None:
    secret = token(tokens, "slow", "match", rate="5")

    def ask(number: int = 0) -> Answer:
        return guarded.ask("POST", "/v1/match", given=HASH_QUERY, token=secret)

    wait_for(lambda: ask().status != 401)
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(100)))
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].json["retry"] is True


def test_a_rate_is_kept_on_average() -> None:
    rates = Rates()
    taken = sum(not rates.take(7, 10, 100 + n / 100) for n in range(1000))  # ten seconds
    assert 100 <= taken <= 111
    assert rates.take(8, 0.5, 100) == 0
    assert rates.take(8, 0.5, 101) == 1


def test_processes_share_a_rate() -> None:
    rates = Rates(is_shared=True)
    reading, writing = os.pipe()
    for _ in range(3):
        if os.fork() == 0:
            taken = sum(not rates.take(7, 100, 50) for _ in range(400))
            os.write(writing, bytes([taken]))
            os._exit(0)
    counts = [os.read(reading, 1)[0] for _ in range(3)]
    for _ in range(3):
        assert os.wait()[1] == 0
    assert sum(counts) == 100
    assert rates.take(7, 100, 50) == 0.01
    os.close(reading)
    os.close(writing)


def test_more_holders_than_there_is_room_for_beside_each_other() -> None:
    """Who asked last so long ago that the bucket is full again makes room."""
    rates = Rates()
    step = ROWS // NEAR
    alike = [1 + step * n for n in range(NEAR + 1)]
    for at, key in enumerate(alike[:NEAR]):
        assert rates.take(key, 1, 100 + at) == 0
    assert rates.take(alike[-1], 1, 120) == 0
    assert rates.take(alike[-1], 1, 120) == 1
    assert rates.take(alike[NEAR - 1], 1, 115.5) == 0.5  # the others stay as they are


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ((), "--no-auth"),
        (("--no-auth", "--host", "0.0.0.0"), "--tokens"),
        (("--no-auth", "--tokens", "x"), "--no-auth"),
        (("--no-auth", "--host", "example.org"), "address"),
    ],
)
def test_others_are_not_served_without_showing_who_they_are(
    tmp_path: Path, options: tuple[str, ...], word: str
) -> None:
    file = tmp_path / "tokens.json"
    token(file, "a", "match")
    options = tuple(str(file) if each == "x" else each for each in options)
    one_line(run("serve", "--list", DEMO, *options), word)


def test_without_tokens_only_names_of_this_machine_are_answered() -> None:
    """A page of another site may make its name lead here, and a browser asks for it by that."""
    with service("--name", "moderation.internal") as api:
        for host, status in (
            (f"127.0.0.1:{api.port}", 200),
            (f"localhost:{api.port}", 200),
            ("moderation.internal", 200),
            ("evil.example", 421),
            (f"evil.example:{api.port}", 421),
        ):
            answer = api.ask("POST", "/v1/match", given=HASH_QUERY, headers={"host": host})
            assert answer.status == status, host


def test_tokens_are_not_sent_in_the_clear_to_other_machines(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    token(file, "a", "match")
    refused = run("serve", "--list", DEMO, "--tokens", file, "--host", "0.0.0.0")
    one_line(refused, "--tls-cert", "--name", "--allow-http")


def test_bodies_have_limits(guarded: Program) -> None:
    big = b"\x89PNG" + bytes(33 * 2**20)
    answer = guarded.ask("POST", "/v1/check", SURFACE, body=big)
    assert answer.status == 413
    many = guarded.ask("POST", "/v1/match", body=b'{"hash": "' + b"0" * 2**21 + b'"}')
    assert many.status == 413


def answered(connection: socket.socket) -> HTTPResponse:
    """Read one answer to its end: its head and its body may come one after the other."""
    answer = HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer


def test_what_is_refused_is_refused_before_its_body_is_there(guarded: Program) -> None:
    """A slow sender is told at once, and the connection goes on once all of the body has come."""
    head = "POST /v1/check HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n"
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=PATIENCE) as connection:
        connection.sendall(f"{head}\r\nabc".encode())
        said = answered(connection)
        assert said.status == 401
        assert not said.will_close
        connection.sendall(bytes(99_997) + b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert answered(connection).status == 200
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=PATIENCE) as connection:
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        said = answered(connection)
        assert said.status == 401
        assert said.will_close  # what was announced may never come


def test_a_picture_is_refused_before_it_is_sent_where_there_is_no_room() -> None:
    path = "/v1/check?surface=profile_photo&item_id=a"
    with service("--decoders", "1", "--max-waiting", "0") as api:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{api.port}\r\n".encode()
        length = b"Content-Length: %d\r\n\r\n" % len(PICTURE)

        def connect() -> socket.socket:
            return socket.create_connection(("127.0.0.1", api.port), timeout=PATIENCE)

        with connect() as other:
            slow = [connect(), connect()]  # one is decoded while another is hashed
            for each in slow:
                each.sendall(head + length + PICTURE[:9])

            def refused() -> bool:
                with connect() as one:
                    one.sendall(head + length + PICTURE[:9])
                    one.settimeout(0.2)
                    try:
                        return one.recv(65536).startswith(b"HTTP/1.1 503 ")
                    except TimeoutError:
                        return False

            wait_for(refused)
            other.sendall(head + length + PICTURE[:9])
            assert b"retry-after: 1\r\n" in other.recv(65536)
            for each in slow:
                each.sendall(PICTURE[9:])
                assert each.recv(65536).startswith(b"HTTP/1.1 200 ")
                each.close()
            other.sendall(PICTURE[9:] + head + length + PICTURE)
            assert other.recv(65536).startswith(b"HTTP/1.1 200 ")
        counted = api.get("/metrics").body.decode()
    assert 'requests_total{route="POST /v1/check",status="503"}' in counted


def test_who_closes_the_connection_sees_the_answer(guarded: Program) -> None:
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=PATIENCE) as connection:
        head = "POST /v1/check HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        connection.sendall(f"{head}Content-Length: 4000000\r\n\r\n".encode() + bytes(4_000_000))
        said = b""
        while part := connection.recv(65536):
            said += part
    assert said.startswith(b"HTTP/1.1 401 ")


def test_too_many_pictures_are_refused_at_once(tmp_path: Path) -> None:
    """Ten times what can be done: all are answered, those that are refused quickly."""
    database = tmp_path / "missed.db"
    options = ("--max-waiting", "2", "--decoders", "1", "--missed", database)
    with service(*options) as api:

        def ask(number: int) -> Answer:
            query = {"surface": "profile_photo", "item_id": f"user/{number}"}
            return api.ask("POST", "/v1/check", query, body=PICTURE)

        with ThreadPoolExecutor(40) as threads:
            answers = list(threads.map(ask, range(400)))
        refused = [answer for answer in answers if answer.status == 503]
        checked = [answer for answer in answers if answer.status == 200]
        assert len(refused) + len(checked) == 400
        assert checked
        assert refused
        assert all(answer.json["retry"] and answer.json["noted"] for answer in refused)
        assert int(refused[0].headers["retry-after"]) >= 1
        # The queue is empty again.
        assert ask(1000).status == 200
    said = run("missed", "list", database, "--json")
    assert len(said.lines) == len(refused)
    assert {line["surface"] for line in said.lines} == {"profile_photo"}
    queue = tmp_path / "queue.db"
    run("review", "init", queue)
    again = run("missed", "run", database, queue, "--list", DEMO)
    assert again.code == 1
    assert f"of {len(refused)} the bytes were not kept. Give --source" in again.said


def test_what_was_at_work_when_the_service_was_killed_is_checked_later(tmp_path: Path) -> None:
    database, queue = tmp_path / "missed.db", tmp_path / "queue.db"
    run("review", "init", queue)
    options = ("--missed", database, "--keep-missed-bytes", "--review", queue, "--decoders", "1")
    keys: set[str] = set()
    answered: set[str] = set()
    for round_ in range(3):
        with service(*options) as api:

            def ask(number: int, api: Program = api, round_: int = round_) -> None:
                key = f"{round_}/{number}"
                query = {"surface": "profile_photo", "item_id": key}
                keys.add(key)
                try:
                    answer = api.ask("POST", "/v1/check", query, body=PICTURE)
                except OSError:
                    return
                except Exception:  # half an answer
                    return
                if answer.status == 200:
                    answered.add(key)

            with ThreadPoolExecutor(8) as threads:
                asked = [threads.submit(ask, number) for number in range(24)]
                time.sleep(0.2 + 0.1 * round_)
                os.killpg(api.process.pid, signal.SIGKILL)
                for each in asked:
                    each.result()
    run_again = run("missed", "run", database, queue, "--list", DEMO)
    assert run_again.code == 0, run_again.said
    with ReviewQueue.open(str(queue)) as opened:
        cases = list(opened.cases())
        found = [item.record.item.key for case in cases for item in case.items]
    assert len(found) == len(set(found))
    assert answered <= set(found)
    with sqlite3.connect(database) as left:
        assert left.execute("SELECT count(*) FROM item").fetchone() == (0,)


def test_nothing_of_a_hash_is_logged(tmp_path: Path) -> None:
    log = tmp_path / "access.jsonl"
    with service("--access-log", log) as api:
        api.get("/m/lookup", signal=FAR, signal_type="pdq")
        api.post("/v1/match", HASH_QUERY)
        api.ask("POST", "/v1/check", SURFACE, body=PICTURE)
        api.ask("POST", "/v1/check", {"surface": "x", "item_id": FAR}, body=PICTURE)
    text = log.read_text()
    assert FAR not in text
    assert "user/42" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["route"] for line in lines} >= {"GET /m/lookup", "POST /v1/check"}
    assert all(line.keys() >= {"at", "status", "ms", "token"} for line in lines)
    assert log.stat().st_mode & 0o077 == 0


def test_nothing_is_left_of_a_service_that_was_stopped(tmp_path: Path) -> None:
    database = tmp_path / "missed.db"
    with service("--missed", database) as api:
        for number in range(5):
            query = {"surface": "profile_photo", "item_id": str(number)}
            assert api.ask("POST", "/v1/check", query, body=PICTURE).status == 200
    with sqlite3.connect(database) as left:
        assert left.execute("SELECT count(*) FROM item").fetchone() == (0,)


def test_what_a_service_works_on_is_not_missed_while_it_runs(tmp_path: Path) -> None:
    database = str(tmp_path / "missed.db")

    def missed() -> int:
        items = MissedItems(database)
        try:
            return items.count()
        finally:
            items.close()

    with in_use(database):
        journal = Journal(database, "one")
        journal.begin("a", "", "profile_photo", None).result(PATIENCE)
        assert missed() == 0
        with in_use(database):  # a second service, which has nothing to do with that
            assert missed() == 0
        journal.close()
    assert missed() == 1


def test_a_note_is_written_though_nobody_waits_for_it(tmp_path: Path) -> None:
    """A request that ends early takes its future along, and not the thread that writes."""
    journal = Journal(str(tmp_path / "missed.db"), "one")
    for _ in range(20):
        journal.begin("a", "", "profile_photo", None).cancel()
    number = journal.begin("b", "", "profile_photo", None).result(PATIENCE)
    assert number == 21
    journal.close()


def test_slow_servers_hold_up_nothing_else(tmp_path: Path) -> None:
    """Pictures are fetched, and take as long as they may: counts and banks are answered."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        prefix = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        options = ("--fetch-from", prefix, "--decoders", "1", "--data", tmp_path / "data")
        with service(*options) as api, ThreadPoolExecutor(12) as threads:
            asked = [
                threads.submit(api.get, "/h/hash", url=f"{prefix}{number}") for number in range(12)
            ]
            time.sleep(0.5)
            assert api.get("/metrics").status == 200
            assert api.post("/c/banks", {"name": "A"}).status == 201
            assert api.ask("POST", "/v1/check", SURFACE, body=PICTURE).status == 200
            assert not any(each.done() for each in asked)
            silent.close()
            assert {each.result().status for each in asked} == {502}


@pytest.mark.parametrize(
    ("host", "port", "name"),
    [
        ("127.0.0.2", 8480, "127.0.0.2:8480"),
        ("127.0.0.1", 80, "localhost"),
        ("::1", 80, "[::1]"),
        ("127.0.0.1", 80, "127.0.0.1:80"),
    ],
)
def test_its_own_address_is_a_name_of_it(host: str, port: int, name: str) -> None:
    hosts = Serving(lambda pool: pytest.fail("it is not started"), host=host).hosts(port)
    assert hosts is not None
    assert name in hosts
    assert "evil.example" not in hosts
