"""``hashmatch review``: the queue on the command line, and what it says when something is wrong."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli_tools import DEMO, IMAGES, one_line, run
from hashmatch.errors import ReviewError
from hashmatch.review.database import FORMAT, UPGRADES
from hashmatch.review.queue import ReviewQueue
from review_queues import take_and_decide
from review_records import make_record, many

if TYPE_CHECKING:
    from postgres_server import Server


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Return a queue with a few cases, some of them decided."""
    path = tmp_path / "queue.db"
    with ReviewQueue.open(str(path), create=True) as opened:
        opened.add(many(5))
        take_and_decide(opened, "confirmed")
        take_and_decide(opened, "not_a_match")
    return path


def test_a_scan_goes_into_a_queue(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    assert run("review", "init", path).code == 0
    assert os.stat(path).st_mode & 0o777 == 0o600
    records = tmp_path / "records.jsonl"
    scanned = run(
        "scan", IMAGES / "plain", "--list", DEMO, "--surface", "profile_photo", "--include-hash",
        "--out", records,
    )  # fmt: skip
    assert scanned.code == 0
    added = run("review", "add", path, records, "--source", IMAGES / "plain")
    assert added.said == "5 records in 5 new cases; 0 were known, 0 are suppressed\n"
    again = run("review", "add", path, "-", stdin=records.read_bytes())
    assert again.said == "0 records in 0 new cases; 5 were known, 0 are suppressed\n"
    assert run("review", "init", path).code == 0
    assert b"pending_review: 5\n" in run("review", "status", path).out
    listed = run("review", "case", "list", path, "--json").lines
    assert [case["state"] for case in listed] == ["pending_review"] * 5
    assert "value" not in listed[0]["items"][0]["record"]["hash"]
    assert listed[0]["items"][0]["source"] == str(IMAGES / "plain")


def test_an_empty_queue_is_one(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    run("review", "init", path)
    assert run("review", "status", path).out == b"the queue is empty\n"
    assert run("review", "case", "list", path).out == b""
    assert run("review", "verify", path).out.startswith(b"sound: 1 events, head ")
    assert run("review", "purge", path).code == 0
    assert run("review", "reviewer", "list", path).out == b""
    assert run("review", "status", path, "--json").lines[0]["waiting"] == 0


def test_cases_are_listed_and_shown(queue: Path) -> None:
    lines = run("review", "case", "list", queue).out.decode().splitlines()
    assert len(lines) == 5
    confirmed = run("review", "case", "list", queue, "--state", "confirmed").out.decode()
    case_id = confirmed.split()[0]
    shown = run("review", "case", "show", queue, case_id).out.decode()
    assert "ana: decided confirmed" in shown
    assert run("review", "case", "show", queue, case_id.rpartition("-")[2]).out.decode() == shown
    (case,) = run("review", "case", "show", queue, case_id, "--json").lines
    assert [event["kind"] for event in case["history"]] == ["added", "taken", "decided"]
    assert case["decisions"][0]["reviewer"] == "ana"
    assert (
        len(run("review", "case", "list", queue, "--surface", "public_post").out.splitlines()) < 5
    )
    status = run("review", "status", queue).out.decode()
    assert "confirmed: 1\n" in status
    assert "list demo, pdq: 1 of 2 confirmed (95 %: 0.095 to 0.905)\n" in status
    (fields,) = run("review", "status", queue, "--json").lines
    assert fields["cases"]["not_a_match"] == 1


def test_an_owner_changes_things(queue: Path) -> None:
    said = run(
        "review", "settings", queue, "--two-reviewers", "--lease", "5m", "--label-weight", "A1=48h",
        "--same-picture", "phash=4", "--by", "lead",
    ).out.decode()  # fmt: skip
    for line in (
        "two-reviewers: yes",
        "lease: 5m",
        "label-weights: A1=2d",
        "same-picture: pdq=8, phash=4",
    ):
        assert line in said.splitlines()
    assert run("review", "settings", queue).out.decode() == said
    token = run("review", "reviewer", "add", queue, "ben").out.decode().strip()
    with ReviewQueue.open(str(queue)) as opened:
        assert opened.reviewers.check("ben", token)
        confirmed = next(opened.cases("confirmed")).case_id
    assert run("review", "reviewer", "list", queue).out.startswith(b"ben since ")
    assert run("review", "reviewer", "remove", queue, "ben").code == 0
    assert run("review", "case", "hold", queue, confirmed, "--reason", "a court").code == 0
    assert run("review", "case", "release", queue, confirmed).code == 0
    assert b"1 of its records" in run("review", "case", "reopen", queue, confirmed).err
    assert b"would be removed" in run("review", "purge", queue).out
    assert b"were removed" in run("review", "purge", queue, "--yes").out
    head = run("review", "verify", queue).out.split()[-1]
    assert run("review", "verify", queue, "--head", head).code == 0
    shown = run("review", "case", "show", queue, confirmed).out.decode()
    assert "held a court" in shown


@pytest.mark.parametrize(
    "command",
    ["status", "verify", "purge", "settings", "add", "case list", "case show", "reviewer list"],
)
def test_every_command_refuses_what_is_no_queue(command: str, tmp_path: Path) -> None:
    rest = {"add": [os.devnull], "case show": ["1"]}.get(command, [])
    name = command.split()
    one_line(run("review", *name, tmp_path / "missing.db", *rest), "there is no review queue")
    (tmp_path / "text").write_text("hello, this is long enough to be a database " * 100)
    one_line(run("review", *name, tmp_path / "text", *rest), "is no review queue of hashmatch")


def test_what_is_no_queue_is_named_in_one_line(tmp_path: Path) -> None:
    def refused(path: str | Path, *words: str) -> None:
        one_line(run("review", "status", path), *words)

    refused(tmp_path / "missing.db", "hashmatch review init")
    refused(tmp_path, "is a folder")
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE other (x)")
    refused(foreign, "is no review queue of hashmatch")
    (tmp_path / "empty").touch()
    refused(tmp_path / "empty", "is empty")
    for version in (min(UPGRADES) - 1, FORMAT + 1):  # those between are brought up to date
        other = tmp_path / f"{version}.db"
        run("review", "init", other)
        with closing(sqlite3.connect(other)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        refused(other, f"it has format {version}", f"reads {min(UPGRADES)} to {FORMAT}")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "is no file")
    refused("postgresql://postgres@127.0.0.1:1/none?connect_timeout=2", "postgresql://")


def test_no_permission_is_one_line(queue: Path) -> None:
    folder = Path(tempfile.mkdtemp())
    place = folder / "queue.db"
    try:
        place.write_bytes(queue.read_bytes())
        place.chmod(0o400)
        folder.chmod(0o755)
        if os.geteuid() == 0:  # who may do anything
            os.seteuid(65534)
        try:
            with pytest.raises(ReviewError, match=r"cannot open .*queue.db: .* denied$"):
                ReviewQueue.open(str(place))
            with pytest.raises(ReviewError, match=r"cannot open .*new.db: .* denied$"):
                ReviewQueue.open(str(folder / "new.db"), create=True)
        finally:
            os.seteuid(os.getuid())
    finally:
        shutil.rmtree(folder)


@pytest.mark.servers
def test_a_server_that_is_down_or_has_no_queue_is_one_line(postgres: Server) -> None:
    url = postgres.database()
    one_line(run("review", "status", url), "there is no review queue")
    one_line(run("review", "status", postgres.url("nothing")), "does not exist")
    ran = run("review", "status", "postgresql://ana@127.0.0.1:1/db")
    one_line(ran, "cannot use review queue postgresql://...: Connection refused")
    ran = run("review", "status", "postgresql://ana:secret@127.0.0.1:1/db")
    one_line(ran, "its URL has a password", "~/.pgpass")
    assert "secret" not in ran.said
    assert run("review", "init", url).code == 0
    assert run("review", "status", url).out == b"the queue is empty\n"


def test_slips_are_told(queue: Path, tmp_path: Path) -> None:
    one_line(run("review", "case", "show", queue, "99"), "cannot find case")
    one_line(run("review", "case", "show", queue, "other-1"), "cannot find case")
    one_line(run("review", "settings", queue, "--lease", "soon"), "as a duration. Give")
    one_line(
        run("review", "settings", queue, "--label-weight", "A1"), "as LABEL=TIME. Give it as A1=48h"
    )
    one_line(run("review", "settings", queue, "--same-picture", "pdq=99"), "0 to 31 bits")
    one_line(run("review", "reviewer", "add", queue, ""), "printable characters")
    one_line(run("review", "verify", queue, "--head", "0"), "cannot read 0 (--head)")
    one_line(run("review", "verify", queue, "--head", f"1:{'0' * 64}"), "event 1 is not the one")
    one_line(run("review", "verify", queue, "--head", f"999:{'0' * 64}"), "event 999 was seen")
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(make_record(77).to_json() + b"\n{}\n")
    one_line(run("review", "add", queue, bad), "bad.jsonl, line 2: cannot read the review record")


def test_nothing_heavy_is_loaded_before_it_is_needed() -> None:
    script = "import sys; from hashmatch.cli import main; print(*sys.modules)"
    run_ = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    loaded = set(run_.stdout.decode().split())
    assert not loaded & {"sqlite3", "psycopg", "starlette", "jinja2", "msgspec"}


def test_json_is_json(queue: Path) -> None:
    for line in run("review", "case", "list", queue, "--json").out.splitlines():
        assert json.loads(line)["items"][0]["record"]["schema"] == "hashmatch.review/1"


def test_what_was_inherited_is_counted_and_found(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with ReviewQueue.open(str(path), create=True) as opened:
        opened.add([make_record(1, 7), make_record(2, 2**200 - 1)])
        take_and_decide(opened, "not_a_match")
        opened.add([make_record(3, 7), make_record(4, 7), make_record(5, 2**200 - 1)])
    said = run("review", "status", path)
    assert b"records that joined not_a_match cases after the decision: 2\n" in said.out
    (fields,) = run("review", "status", path, "--json").lines
    assert {state: n for state, n in fields["inherited"].items() if n} == {"not_a_match": 2}
    (case,) = run("review", "case", "list", path, "--inherited", "--json").lines
    assert [item["inherited"] for item in case["items"]] == [False, True, True]
