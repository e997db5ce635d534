"""However a picture ends, the caller is told whether to try again; it is counted, and kept."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from cli_tools import DEMO, PROGRAM, environment, run
from conftest import IMAGES
from hashmatch.errors import StoreError
from hashmatch.review.queue import ReviewQueue
from hashmatch.service.banks import Banks
from hashmatch.service.database import lock_file
from hashmatch.service.fetch import Fetcher
from hashmatch.service.missed import Journal, MissedItems, check_missed
from hashmatch.service.recent import Recent
from hashmatch.service.snapshots import Snapshots
from hashmatch.store.encryption import ListKey
from hashmatch.testing import hash_list, random_hashes
from processes import PATIENCE, Process, wait_for
from service_program import Answer, Program, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hashmatch.records.review import ReviewRecord

PICTURE = (IMAGES / "plain" / "tiles.png").read_bytes()


def check(api: Program, name: str, body: bytes = PICTURE, **how: Any) -> Answer:
    query = {"surface": "profile_photo", "item_id": name, **how.pop("query", {})}
    return api.ask("POST", "/v1/check", query, body=body, **how)


def missed(path: Path) -> dict[str, str]:
    """Return what was missed, and why."""
    items = MissedItems(str(path))
    with closing(items):
        return {item.key: item.reason for item in items.items()}


def count(api: Program, name: str) -> float:
    text = api.ask("GET", "/metrics").body.decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.fixture(scope="module")
def silent() -> Iterator[socket.socket]:
    """A server that says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("silent")


@pytest.fixture(scope="module")
def api(place: Path, silent: socket.socket) -> Iterator[Program]:
    prefix = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    tokens = place / "tokens.json"
    token = run("token", "add", tokens, "a", "--scope", "admin").out.decode().strip()
    options = ("--missed", place / "missed.db", "--fetch-from", prefix, "--tokens", tokens)
    with service(*options, token=token) as program:
        yield program


def test_what_trying_again_does_not_change(api: Program, place: Path) -> None:
    before = count(api, 'hashmatch_unchecked_total{retry="false"}')
    big = b"\x89PNG" + bytes(33 * 2**20)
    refused = {
        "too large": (check(api, "too large", big), 413),
        "no surface": (check(api, "no surface", query={"surface": "chat"}), 422),
        "elsewhere": (check(api, "elsewhere", b"", query={"url": "http://a.example/"}), 403),
        "no address": (check(api, "no address", b"", query={"url": "file:///etc/passwd"}), 400),
    }
    for name, (answer, status) in refused.items():
        assert (answer.status, answer.json["retry"]) == (status, False), name
        assert not answer.json["noted"]
    assert count(api, 'hashmatch_unchecked_total{retry="false"}') == before + len(refused)
    for token, status in (("wrong", 401), ("", 401)):
        answer = check(api, "nobody", token=token)
        assert (answer.status, answer.json["retry"]) == (status, False)
    assert count(api, 'hashmatch_requests_total{route="POST /v1/check",status="401"}') == 2
    broken = check(api, "broken", PICTURE[:60])
    assert (broken.status, broken.json["outcome"], broken.json["retry"]) == (
        200, "undecodable", False,
    )  # fmt: skip
    assert count(api, 'hashmatch_items_total{outcome="undecodable"}') == 1
    assert missed(place / "missed.db") == {}


def test_errors_have_one_shape(api: Program) -> None:
    answers = [
        api.ask("GET", "/v1/none"),
        api.ask("GET", "/v1/check"),
        api.ask("POST", "/v1/match", body=b"{"),
        api.ask("POST", "/v1/match", body=b"{}", token="x"),
        api.ask("POST", "/v1/explain", {"nearest": "x"}, body=b"{}"),
        api.ask("POST", "/v1/check", {"surface": "x"}, body=b""),
        api.ask("POST", "/v1/check", {"surface": "user_report", "url": "x"}, body=b""),
    ]
    assert [answer.status for answer in answers] == [404, 405, 422, 401, 422, 422, 400]
    for answer in answers:
        assert answer.json.keys() == {"message", "retry", "noted"}
        assert answer.headers["content-type"] == "application/json"


def test_a_picture_that_cannot_be_fetched_is_kept(
    api: Program, place: Path, silent: socket.socket
) -> None:
    url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.png"
    before = count(api, 'hashmatch_unchecked_total{retry="true"}')
    answer = check(api, "fetched", b"", query={"url": url})
    assert (answer.status, answer.json["retry"], answer.json["noted"]) == (502, True, True)
    assert "cannot fetch" in missed(place / "missed.db")["fetched"]
    assert count(api, 'hashmatch_unchecked_total{retry="true"}') == before + 1


def test_a_caller_that_goes_away_leaves_its_picture_behind(api: Program, place: Path) -> None:
    head = (
        "POST /v1/check?surface=public_post&item_id=gone HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {api.token}\r\nContent-Length: 1000\r\n\r\nhalf"
    )
    with socket.create_connection(("127.0.0.1", api.port)) as caller:
        caller.sendall(head.encode())
    wait_for(lambda: "went away" in missed(place / "missed.db").get("gone", ""), every=0.1)
    route = 'hashmatch_requests_total{route="POST /v1/check",status="499"}'
    wait_for(lambda: count(api, route) == 1, every=0.1)


def test_while_there_are_no_lists_pictures_are_kept(tmp_path: Path) -> None:
    store, database = tmp_path / "store", tmp_path / "missed.db"
    store.mkdir(mode=0o700)
    options = ("--missed", database, "--keep-missed-bytes", "--data", tmp_path / "data")
    with service(*options, lists=(store,), ready=False) as api:
        answer = check(api, "early")
        assert (answer.status, answer.json["retry"], answer.json["noted"]) == (503, True, True)
        assert missed(database) == {"early": "index not yet ready"}
        query = {"signal": "0" * 64, "signal_type": "pdq"}
        for path in ("/m/lookup", "/m/raw_lookup", "/c/banks", "/c/bank/A", "/m/index/status"):
            loading = api.ask("GET", path, query)  # never 404: clients forget such a bank
            assert (loading.status, loading.json["message"]) == (503, "index not yet ready")
            assert loading.headers["retry-after"] == "1"
        status = api.ask("GET", "/status")
        assert (status.status, status.body) == (503, b"INDEX-NOT-LOADED")
        assert api.ask("GET", "/status/live").body == b"I-AM-ALIVE"
        assert run("list", "import", DEMO, "--store", store).code == 0
        wait_for(lambda: api.ask("GET", "/readyz").status == 200, every=0.1)
        assert check(api, "early").json["outcome"] == "match"
        wait_for(lambda: missed(database) == {}, every=0.1)  # it was checked after all


@pytest.mark.slow
def test_a_process_that_dies_leaves_its_pictures_behind(tmp_path: Path) -> None:
    """The service goes on with another; what the dead one worked on is missed at once."""
    database = tmp_path / "missed.db"
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        prefix = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        options = ("--missed", database, "--fetch-from", prefix, "--workers", "2")
        with service(*options) as api, ThreadPoolExecutor(1) as threads:
            asked = threads.submit(_ask_and_lose, api, f"{prefix}a.png")
            wait_for(lambda: at_work(database) == ["lost"], every=0.1)
            with open(f"/proc/{api.process.pid}/task/{api.process.pid}/children") as file:
                workers = [int(each) for each in file.read().split()]
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            asked.result(PATIENCE)
            wait_for(lambda: "lost" in missed(database), every=0.1)
            assert missed(database)["lost"] == "the service ended before there was an answer"
            wait_for(lambda: _is_ready(api), every=0.1)
            assert check(api, "next").json["outcome"] == "match"


def at_work(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return [key for (key,) in database.execute("SELECT key FROM item WHERE reason = ''")]


def _ask_and_lose(api: Program, url: str) -> None:
    with pytest.raises((OSError, HTTPException)):
        check(api, "lost", b"", query={"url": url})


def _is_ready(api: Program) -> bool:
    try:
        return api.ask("GET", "/readyz").status == 200
    except OSError:
        return False


# Checking again


def filled(path: Path, names: list[str], data: bytes = PICTURE) -> None:
    with closing(Journal(str(path), "one", keep_bytes=True)) as journal:
        for name in names:
            number = journal.begin(name, "", "profile_photo", data).result(PATIENCE)
            journal.failed(number, "the service was full").result(PATIENCE)


def matcher(version: str = "1") -> hm.Matcher:
    known = hm.read_list(DEMO)
    return hm.Matcher(replace(known, version=version), include_hash=True)


def test_a_run_that_was_killed_is_gone_on_with_and_nothing_is_twice(tmp_path: Path) -> None:
    """Though another version of the list is there by then, which gives records other ids."""
    path = tmp_path / "missed.db"
    filled(path, ["a", "b", "c"])
    queue: dict[str, ReviewRecord] = {}

    class Killed(BaseException):
        pass

    def added_and_killed(record: ReviewRecord) -> None:
        queue[record.record_id] = record
        if len(queue) == 2:
            raise Killed

    with closing(MissedItems(str(path))) as items, pytest.raises(Killed):
        check_missed(items, matcher("1"), added_and_killed)
    with closing(MissedItems(str(path))) as items:
        counts = check_missed(items, matcher("2"), lambda r: queue.setdefault(r.record_id, r))
    assert counts == {"match": 2}
    assert sorted(record.item.key for record in queue.values()) == ["a", "b", "c"]
    assert missed(path) == {}


def test_pictures_are_read_from_the_source_by_their_names(tmp_path: Path) -> None:
    path, folder = tmp_path / "missed.db", tmp_path / "pictures"
    folder.mkdir()
    (folder / "a b.png").write_bytes(PICTURE)
    journal = Journal(str(path), "one")
    for key in ("a b.png", "gone.png", "../missed.db"):
        journal.miss(key, "", "profile_photo", "").result()
    journal.close()
    assert missed(path)["gone.png"]  # also what was noted without a reason
    found: list[ReviewRecord] = []
    with closing(MissedItems(str(path))) as items:
        counts = check_missed(items, matcher("1"), found.append, source=str(folder))
    assert (counts, [record.item.key for record in found]) == ({"match": 1}, ["a b.png"])
    assert missed(path) == dict.fromkeys(
        ("gone.png", "../missed.db"), "there is no picture of this name in the source"
    )


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    Banks(tmp_path / "data")
    path = str(tmp_path / "other.db")
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (id INTEGER)")
    os.chmod(path, 0o600)
    for each in (path, str(tmp_path / "data" / "banks.db")):
        with pytest.raises(StoreError, match="it is a database of something else"):
            MissedItems(each)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]


def test_two_runs_at_once_do_not_work_on_the_same(tmp_path: Path) -> None:
    path = tmp_path / "missed.db"
    filled(path, ["a"])
    begun, go_on = threading.Event(), threading.Event()

    def slow(record: ReviewRecord) -> None:
        begun.set()
        go_on.wait(PATIENCE)

    def first() -> Any:
        with closing(MissedItems(str(path))) as items:
            return check_missed(items, matcher(), slow)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(first)
        begun.wait(PATIENCE)
        with (
            closing(MissedItems(str(path))) as items,
            pytest.raises(StoreError, match="another run"),
        ):
            check_missed(items, matcher(), lambda record: pytest.fail("added"))
        go_on.set()
        assert running.result(PATIENCE) == {"match": 1}
    with lock_file(f"{path}.run"):
        assert missed(path) == {}


@pytest.mark.slow
def test_runs_that_are_killed_at_any_moment_lose_and_double_nothing(tmp_path: Path) -> None:
    path, queue = tmp_path / "missed.db", tmp_path / "queue.db"
    run("review", "init", queue)
    names = [str(number) for number in range(30)]
    filled(path, names)
    command = [*PROGRAM, "missed", "run", str(path), str(queue), "--list", str(DEMO)]
    for kill in range(3):
        left = len(missed(path))

        def has_begun(process: Process, left: int = left) -> bool:
            return len(missed(path)) < left or process.poll() is not None

        with Process(command, env=environment()) as process:
            wait_for(partial(has_begun, process), every=0.1)
            time.sleep(0.01 * kill)
            process.kill()
            process.wait(PATIENCE)
    assert run("missed", "run", path, queue, "--list", DEMO).code == 0
    with ReviewQueue.open(str(queue)) as opened:
        keys = [item.record.item.key for case in opened.cases() for item in case.items]
    assert sorted(keys) == sorted(names)
    with sqlite3.connect(path) as left_over:
        assert left_over.execute("SELECT count(*) FROM item").fetchone() == (0,)


@contextmanager
def serving_one_file(path: str, data: bytes) -> Iterator[str]:
    """Serve one file on loopback; yield the address that it is below."""

    class Files(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = data if self.path == path else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_pictures_named_by_their_address_are_fetched_again(tmp_path: Path) -> None:
    """What could not be fetched for a while is not lost because it had no other name."""
    path = tmp_path / "missed.db"
    journal = Journal(str(path), "one")
    with serving_one_file("/a.png", PICTURE) as root:
        for key in (f"{root}/a.png", f"{root}/gone.png", "http://127.0.0.2/a.png"):
            journal.miss(key, "", "profile_photo", "the server did not answer").result()
        journal.close()
        found: list[ReviewRecord] = []
        with closing(MissedItems(str(path))) as items:
            fetcher = Fetcher([root], ["127.0.0.1"])
            counts = check_missed(items, matcher("1"), found.append, fetcher=fetcher)
            fetcher.close()
        assert counts == {"match": 1}
        assert [record.item.key for record in found] == [f"{root}/a.png"]
        assert missed(path) == {
            f"{root}/gone.png": "cannot fetch the picture: the server answered 404.",
            "http://127.0.0.2/a.png": "the server did not answer",
        }


def test_what_was_missed_is_found_by_a_later_listing(tmp_path: Path) -> None:
    path, key = tmp_path / "missed.db", ListKey(bytes(range(32)))
    filled(path, ["a"])
    none = hm.Matcher(hash_list(random_hashes(hm.HashSpec("pdq", 256), 5, seed=1)))
    recent = Recent(str(tmp_path / "recent.db"), key)
    with closing(MissedItems(str(path))) as items:
        assert check_missed(items, none, lambda r: pytest.fail("added"), recent=recent) == {
            "no_match": 1
        }
    found: list[ReviewRecord] = []
    snapshots = Snapshots(lambda lists: hm.Matcher(*lists), fixed=[hm.read_list(DEMO)])
    snapshots.open()
    assert snapshots.current
    assert recent.catch_up(snapshots.current, snapshots.make, found.append) == 1
    assert [record.item.key for record in found] == ["a"]
    recent.close()


def test_pictures_that_are_gone_are_settled_and_said(tmp_path: Path) -> None:
    path = tmp_path / "missed.db"
    journal = Journal(str(path), "one")
    for key, reason in (("a", "there is no picture"), ("b", "too many"), ("c", "there is none")):
        journal.miss(key, "7", "profile_photo", reason).result()
    journal.close()
    settle = ("missed", "settle", path)
    assert "Give a KEY" in run(*settle).said
    by_reason = run(*settle, "--reason-prefix", "there is no picture", "--json")
    assert json.loads(by_reason.out) == {
        "key": "a", "version": "7", "surface": "profile_photo", "reason": "there is no picture",
        "has_bytes": False, "outcome": "failed",
    }  # fmt: skip
    by_key = run(*settle, "c", "z")
    assert by_key.out == b"c: failed, there is none\n"
    assert "cannot settle z" in by_key.said
    assert missed(path) == {"b": "too many"}
