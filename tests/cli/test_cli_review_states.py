"""Every command of a queue in every state: what it says, and the same as JSON."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cli_tools import one_line, run
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.webhook.signing import new_secret
from review_queues import take_and_decide
from review_records import make_record, many
from webhook_server import receiving

if TYPE_CHECKING:
    from pathlib import Path

    from cli_tools import Ran

VERDICTS = "confirmed", "not_a_match", "unsure"
LONG_AGO = datetime.now(UTC) - timedelta(days=1)
HEAD = r"; history head \d+:[0-9a-f]{64}"
STATES = "empty", "pending", "undoable", "final", "pushed"
UNTIL = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


@pytest.fixture(params=STATES)
def state(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def queue(state: str, tmp_path: Path) -> Path:
    """Return a queue of three cases in a state, or of none."""
    path = tmp_path / "queue.db"
    now: dict[str, Any] = {} if state in {"pending", "undoable"} else {"now": lambda: LONG_AGO}
    with ReviewQueue.open(str(path), create=True, **now) as opened:
        if state != "empty":
            opened.add(many(3))
        if state in {"undoable", "final", "pushed"}:
            for verdict in VERDICTS:
                take_and_decide(opened, verdict)
    if state == "pushed":
        with receiving() as receiver:
            assert re.fullmatch(f"3 sent{HEAD}\n", push(path, receiver.url).said)
    return path


def push(queue: Path, url: str, *args: str) -> Ran:
    secret = queue.parent / "secret"
    if not secret.exists():
        secret.write_text(new_secret())
        secret.chmod(0o600)
    args = "--url", url, "--secret-file", str(secret), "--endpoint", "mod", "--once", *args
    return run("review", "webhook", "push", queue, *args)


def both(*args: Any) -> tuple[Ran, Ran]:
    """Run a command as it is, and with --json."""
    args = *args[0].split(), *args[1:]
    plain, as_json = run("review", *args), run("review", *args, "--json")
    assert plain.code == as_json.code == 0, plain.said + as_json.said
    return plain, as_json


def test_status(queue: Path, state: str) -> None:
    plain, as_json = both("status", queue)
    (fields,) = as_json.lines
    lines = plain.out.decode().splitlines()
    for name, count in fields["cases"].items():
        assert (f"{name}: {count}" in lines) == (count > 0)
    assert sum(fields["cases"].values()) == (0 if state == "empty" else 3)
    assert ("the queue is empty" in lines) == (state == "empty")
    assert fields["undoable"]["count"] == (3 if state == "undoable" else 0)
    said = [line for line in lines if line.startswith("decisions that can be undone: 3, ")]
    assert len(said) == (state == "undoable")
    assert all(re.search(f"the last until {UNTIL}$", line) for line in said)
    assert (fields["undoable"]["until"] is not None) == (state == "undoable")


def test_list_and_show(queue: Path, state: str) -> None:
    plain, as_json = both("case list", queue)
    lines = plain.out.decode().splitlines()
    assert [line.split()[:2] for line in lines] == [
        [case["case_id"], case["state"]] for case in as_json.lines
    ]
    assert all(re.search(f"{UNTIL}$", line) for line in lines)
    assert plain.said == ("the queue is empty\n" if state == "empty" else "")
    none = run("review", "case", "list", queue, "--state", "escalated")
    assert (none.out, none.said) == (b"", "there is no such case\n")
    for case in as_json.lines:
        shown, (fields,) = (
            run("review", "case", "show", queue, case["case_id"]),
            run("review", "case", "show", queue, case["case_id"], "--json").lines,
        )
        events = [line for line in shown.out.decode().splitlines() if re.match(f"  {UNTIL}", line)]
        assert len(events) == len(fields["history"])
        decided = [line.rpartition(" ")[2] for line in events if ": decided " in line]
        assert decided == [one["verdict"] for one in fields["decisions"]]
        assert len(decided) == (state not in {"empty", "pending"})


def test_export(queue: Path, state: str, tmp_path: Path) -> None:
    count = 0 if state == "empty" else 3
    plain, as_json = both("export", queue)
    assert plain.out == as_json.out
    assert len(plain.lines) == count
    assert (plain.said, json.loads(as_json.said)) == ("", {"records": count, "out": None})
    final, waits = int(state in {"final", "pushed"}), int(state == "undoable")
    for out in ("-", str(tmp_path / "confirmed.jsonl")):
        plain, as_json = both("export", queue, "--confirmed", "--out", out)
        fields = json.loads(as_json.said if out == "-" else as_json.out)
        assert fields["records"] == final
        assert fields["not_final"]["count"] == waits
        assert (fields["not_final"]["until"] is not None) == bool(waits)
        said = f"{final} records in {out}\n" if out != "-" else ""
        if waits:
            said += f"1 confirmed cases are left out: decisions can be undone until {UNTIL}\n"
        assert re.fullmatch(said, plain.said)
        assert run("review", "export", queue, "--confirmed", "--out", out, "--quiet").said == ""


def test_push(queue: Path, state: str) -> None:
    with receiving() as receiver:
        waits = 3 if state == "undoable" else 0
        ran = push(queue, receiver.url, "--json")
        assert ran.code == 0
        (fields,) = ran.lines
        sent = 3 if state == "final" else 0
        assert fields["sent"] == sent == len(receiver.requests)
        assert fields["not_final"]["count"] == waits
        assert (fields["not_final"]["until"] is not None) == bool(waits)
        later = f"; 3 not yet: decisions can be undone until {UNTIL}" if waits else ""
        assert re.fullmatch(f"0 sent{later}{HEAD}\n", push(queue, receiver.url).said)
        assert push(queue, receiver.url, "--quiet").said == ""
        assert push(queue, receiver.url, "--dead").said == "no message was given up\n"


def test_what_an_owner_is_told(queue: Path, state: str) -> None:
    plain, as_json = both("verify", queue)
    (fields,) = as_json.lines
    assert plain.out.decode() == f"sound: {fields['events']} events, head {fields['head']}\n"
    plain, as_json = both("settings", queue)
    (fields,) = as_json.lines
    names = [line.partition(":")[0].replace("-", "_") for line in plain.out.decode().splitlines()]
    assert names == list(fields)
    assert fields["undo"] == 600.0
    plain, as_json = both("purge", queue)
    (fields,) = as_json.lines
    assert fields == {
        "pending": 0, "rejected": 0, "confirmed": 0, "cases": 0, "records": 0, "removed": False,
    }  # fmt: skip
    assert b"0 undecided, 0 rejected" in plain.out
    plain, as_json = both("reviewer list", queue)
    assert (plain.out, as_json.out) == (b"", b"")
    assert plain.said == "there are no reviewers; hashmatch review reviewer add adds one\n"
    assert as_json.said == ""
    plain, as_json = both("precision", queue)
    assert len(as_json.lines) == (state not in {"empty", "pending"})
    assert (b"demo pdq" in plain.out) == (state not in {"empty", "pending"})
    assert run("review", "entry", "list", queue).said == "no entry is disabled\n"


def test_what_is_proposed(queue: Path, state: str) -> None:
    ran = run("review", "benign", "list", queue, "--json")
    assert len(ran.lines) == (state in {"final", "pushed"})
    said = "" if ran.lines else "no picture is proposed\n"
    if state == "undoable":
        said += f"3 decisions propose nothing yet: they can be undone, the last until {UNTIL}\n"
    assert re.fullmatch(said, ran.said)


def test_what_is_done_is_said(tmp_path: Path) -> None:
    path, records = tmp_path / "queue.db", tmp_path / "records.jsonl"
    assert run("review", "init", path).said == f"review queue {path} is made\n"
    assert run("review", "init", path).said == f"review queue {path} was there, and is as it was\n"
    assert run("review", "init", path, "--quiet").said == ""
    records.write_bytes(b"\n".join(record.to_json() for record in many(2)))
    (fields,) = run("review", "add", path, records, "--json").lines
    assert fields == {"new": 2, "known": 0, "suppressed": 0, "cases": 2}
    (fields,) = run("review", "reviewer", "add", path, "ana", "--json").lines
    assert fields["name"] == "ana"
    again = run("review", "reviewer", "add", path, "ana")
    assert again.said == "the token that ana had is no longer good\n"
    plain, as_json = both("reviewer list", path)
    assert re.fullmatch(f"ana since {UNTIL}\n", plain.out.decode())
    assert as_json.lines[0]["name"] == "ana"
    gone = run("review", "reviewer", "remove", path, "ana")
    assert gone.said == "ana may review no longer\n"
    assert run("review", "case", "hold", path, "1").said == "1 is kept until it is released\n"
    assert run("review", "case", "release", path, "1").said == "1 is no longer held\n"
    one_line(run("review", "case", "release", path, "1"), "cannot release", "it is not held")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["webhook push", "--url", "http://127.0.0.1/", "--secret-file", "gone"], "--secret-file"),
        (["serve", "--token-file", "gone"], "--token-file"),
        (["serve", "--tls-cert", "gone", "--tls-key", "gone"], "--tls-cert"),
        (["serve", "--tls-cert", "here", "--tls-key", "gone"], "--tls-key"),
        (
            ["serve", "--tls-cert", "here", "--tls-key", "here", "--client-ca", "gone"],
            "--client-ca",
        ),
        (["serve", "--tls-cert", "here", "--tls-key", "here"], "--tls-cert"),
        (["serve", "--pictures", "gone"], "--pictures"),
        (["serve", "--pictures", "jsonl://gone"], "--pictures"),
        (["add", "gone"], "gone"),
    ],
)
def test_a_file_that_is_missing_is_named_with_its_option(
    args: list[str], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "queue.db"
    with ReviewQueue.open(str(path), create=True) as opened:
        opened.reviewers.add("ana")
    (tmp_path / "here").write_text("hello\n")
    ran = run("review", *args[0].split(), path, *args[1:], cwd=tmp_path)
    one_line(ran, words)
    assert "import the list" not in ran.said


@pytest.mark.parametrize("name", ["export", "entry report", "benign export", "entry list"])
def test_nothing_is_written_over_the_queue(name: str, tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    with ReviewQueue.open(str(path), create=True) as opened:
        opened.add([make_record(1)])
    args = ["demo"] if name == "entry report" else []
    (tmp_path / "link.jsonl").symlink_to(path)
    for out in (path, tmp_path / "link.jsonl"):
        one_line(
            run("review", *name.split(), path, *args, "--out", out),
            "cannot write",
            "it is what QUEUE names",
        )
    assert run("review", "verify", path).code == 0


def test_a_list_that_matched_nothing_is_no_report(tmp_path: Path) -> None:
    path, out = tmp_path / "queue.db", tmp_path / "report.jsonl"
    with ReviewQueue.open(str(path), create=True) as opened:
        opened.add([make_record(1)])
    one_line(run("review", "entry", "report", path, "dmeo", "--out", out), "no case", "dmeo")
    assert not out.exists()
    said = run("review", "entry", "report", path, "demo", "--out", out).said
    assert said == f"0 entries of demo in {out}\n"


def test_what_is_taken_out_of_a_benign_list_is_said(tmp_path: Path) -> None:
    path, out = tmp_path / "queue.db", tmp_path / "benign.jsonl"
    with ReviewQueue.open(str(path), create=True, now=lambda: LONG_AGO) as opened:
        opened.add([make_record(1, 7, distance=9)])
        take_and_decide(opened, "not_a_match")
    assert run("review", "benign", "accept", path, "1", "--by", "ben").code == 0
    assert (
        run("review", "benign", "export", path, "--out", out).said
        == f"1 hashes added; 1 in {out}\n"
    )
    assert run("review", "case", "reopen", path, "1").code == 0
    said = run("review", "benign", "export", path, "--out", out).said
    assert said == f"0 hashes added, 1 taken out; 0 in {out}\n"
