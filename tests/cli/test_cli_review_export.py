"""``hashmatch review`` hands over: files, messages, harmless pictures, and entries that err."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from cli_tools import DEMO, IMAGES, one_line, run, running, scan
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from processes import PATIENCE
from review_queues import take_and_decide
from webhook_server import receiving

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = IMAGES / "plain"
LONG_AGO = datetime.now(UTC) - timedelta(days=1)


@cache
def scanned() -> list[hm.ReviewRecord]:
    """Return the records of a scan, with the images' own hashes."""
    lines = scan(PLAIN, "--include-hash").out.splitlines()
    return [hm.ReviewRecord.from_json(line) for line in lines]


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Return a queue of a scan, of which everything but one was decided yesterday."""
    path = tmp_path / "queue.db"
    with ReviewQueue.open(str(path), create=True, now=lambda: LONG_AGO) as opened:
        opened.add(scanned())
        for verdict in ("confirmed", "not_a_match", "not_a_match", "not_a_match"):
            take_and_decide(opened, verdict)
    return path


def push(queue: Path, url: str, secret: Path, *args: str) -> Any:
    return run("review", "webhook", "push", queue, "--url", url, "--secret-file", secret, *args)


def test_a_queue_is_exported(queue: Path, tmp_path: Path) -> None:
    assert len(run("review", "export", queue).lines) == 5
    for suffix in ("jsonl", "csv", "parquet"):
        out = tmp_path / f"all.{suffix}"
        ran = run("review", "export", queue, "--out", out)
        assert (ran.code, ran.said) == (0, f"5 records in {out}\n")
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
    states = run("review", "export", queue, "--state", "not_a_match", "--state", "confirmed").lines
    assert sorted(line["state"] for line in states) == ["confirmed"] + ["not_a_match"] * 3
    confirmed = run("review", "export", queue, "--confirmed").lines
    assert [line["state"] for line in confirmed] == ["confirmed"]
    assert run("review", "export", queue, "--since", "2999-01-01").out == b""
    assert run("review", "export", queue, "--confirmed", "--since", "2999-01-01").out == b""
    assert len(run("review", "export", queue, "--since", "2020-01-01T00:00Z").lines) == 5


def test_what_is_confirmed_but_not_finally_is_not_exported(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with ReviewQueue.open(str(path), create=True) as opened:
        opened.add(scanned()[:1])
        take_and_decide(opened, "confirmed")
    assert run("review", "export", path, "--confirmed").out == b""
    assert len(run("review", "export", path, "--state", "confirmed").lines) == 1


def heads(said: str) -> list[str]:
    """Return the heads of the history that a line of push has."""
    return re.findall(r"; history head (\d+:[0-9a-f]{64})$", said, re.MULTILINE)


def without_head(said: str) -> str:
    """Return what push said, but for the one head of the history."""
    (head,) = heads(said)
    return said.replace(f"; history head {head}", "")


def test_an_endpoint_is_told(queue: Path, tmp_path: Path) -> None:
    secret = tmp_path / "hook.secret"
    assert run("review", "webhook", "secret", secret).code == 0
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    one_line(run("review", "webhook", "secret", secret), "never written over")
    with receiving(503) as receiver:
        ran = push(queue, f"{receiver.url}/hook?token=t0ken", secret, "--once")
        host = receiver.url.removeprefix("http://")
        assert ran.code == 1
        assert without_head(ran.said) == f"3 sent; 1 failed ({host}: answered 503); 1 wait\n"
        kinds = sorted(json.loads(body)["type"] for _, _, body in receiver.requests)
        assert kinds.count("case.not_a_match") >= 2
        seen = run("review", "verify", queue, *(f"--head={head}" for head in heads(ran.said)))
        assert seen.code == 0
        for word in ("t0ken", "landscape", secret.read_text().strip(), "ana"):
            assert word not in ran.said
        assert push(queue, receiver.url, secret, "--once", "--dead").out == b""


def test_what_was_given_up_is_shown_and_sent_again(queue: Path, tmp_path: Path) -> None:
    secret = tmp_path / "hook.secret"
    run("review", "webhook", "secret", secret)
    with receiving(400, 400, 400) as receiver:
        ran = push(queue, receiver.url, secret, "--once", "--tries", "1", "--endpoint", "mod")
        assert "3 failed" in ran.said
        assert "3 given up (--dead shows, --resend-dead sends them); 1 wait" in ran.said
        dead = push(queue, receiver.url, secret, "--endpoint", "mod", "--dead", "--json").lines
        assert [line["tries"] for line in dead] == [1, 1, 1]
        assert all(line["problem"].endswith("answered 400") for line in dead)
        ran = push(queue, receiver.url, secret, "--once", "--resend-dead", "--endpoint", "mod")
        assert without_head(ran.said) == "3 messages are sent again\n4 sent\n"
        assert ran.code == 0
        last = push(queue, receiver.url, secret, "--once", "--endpoint", "mod").said
        assert without_head(last) == "0 sent\n"
        keys = receiver.keys
    assert len(keys) == 7
    assert len(set(keys)) == 4
    assert run("review", "verify", queue).code == 0


def test_it_goes_on_when_the_queue_is_back(queue: Path, tmp_path: Path) -> None:
    secret, away = tmp_path / "hook.secret", tmp_path / "away.db"
    run("review", "webhook", "secret", secret)
    with receiving() as receiver, ExitStack() as stack:
        told = "--url", receiver.url, "--secret-file", secret, "--every", "1s"
        process = stack.enter_context(running("review", "webhook", "push", queue, *told))
        assert process.stderr is not None
        assert without_head(process.stderr.readline().decode()) == "4 sent\n"
        queue.rename(away)
        said = process.stderr.readline().decode()
        assert said.startswith("hashmatch: cannot ")
        assert said.endswith(" Trying again.\n")
        away.rename(queue)
        with ReviewQueue.open(str(queue), now=lambda: LONG_AGO + timedelta(hours=1)) as opened:
            take_and_decide(opened, "unsure", "ben")
        assert without_head(process.stderr.readline().decode()) == "1 sent\n"
        queue.rename(away)
        one_line(push(queue, receiver.url, secret, "--once"), "cannot open review queue")
        assert process.poll() is None


def test_it_goes_on_until_it_is_stopped(queue: Path, tmp_path: Path) -> None:
    secret = tmp_path / "hook.secret"
    run("review", "webhook", "secret", secret)
    with receiving() as receiver, ExitStack() as stack:
        told = "--url", receiver.url, "--secret-file", secret, "--every", "1s"
        process = stack.enter_context(running("review", "webhook", "push", queue, *told))
        assert process.stderr is not None
        assert without_head(process.stderr.readline().decode()) == "4 sent\n"
        with ReviewQueue.open(str(queue), now=lambda: LONG_AGO + timedelta(hours=1)) as opened:
            take_and_decide(opened, "unsure", "ben")
        assert without_head(process.stderr.readline().decode()) == "1 sent\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    assert len(set(receiver.keys)) == 5


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--url", "http://moderation.example/"], "this machine only"),
        (["--url", "https://u:p@moderation.example/"], "password"),
        (["--url", "https://moderation.example/"], "--secret-file"),
        (["--url", "https://moderation.example/", "--secret-file", "none"], "none"),
        (["--url", "http://127.0.0.1/", "--every", "soon"], "as a duration. Give"),
    ],
)
def test_what_cannot_be_told_is_one_line(queue: Path, args: list[str], words: str) -> None:
    one_line(run("review", "webhook", "push", queue, *args), words)


def test_what_decisions_say_of_a_list(queue: Path) -> None:
    (line,) = run("review", "precision", queue, "--json", "--precision", "0.2").lines
    assert (line["list"], line["algorithm"]) == ("demo-pdq", "pdq")
    assert (line["all"]["part"], line["all"]["whole"]) == (1, 4)
    ran = run("review", "precision", queue)
    assert b"demo-pdq pdq" in ran.out
    assert b"1 of 4 (5% to 70%)" in ran.out
    assert ran.out.endswith(
        b"Nothing changes by itself: choose --max-distance, or a list's --limit.\n"
    )


def test_harmless_pictures_come_to_a_benign_list(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    far = [record for record in scanned() if record.matches[0].distance > 7]
    assert far
    with ReviewQueue.open(
        str(path), create=True, settings=Settings(same_picture={}), now=lambda: LONG_AGO
    ) as opened:
        opened.add(far)
        for _ in range(next(iter(opened.counts().values()))):
            take_and_decide(opened, "not_a_match")
    proposed = run("review", "benign", "list", path, "--json").lines
    assert {line["decided_by"] for line in proposed} == {"ana"}
    assert "value" not in json.dumps(proposed)
    case_id = proposed[0]["case_id"]
    one_line(run("review", "benign", "accept", path, case_id, "--by", "ana"), "somebody else")
    done = run("review", "benign", "accept", path, case_id, "--by", "ben", "--reason", "a pattern")
    assert done.said == f"{case_id} is accepted by ben\n"
    assert len(run("review", "benign", "list", path, "--json").lines) == len(proposed) - 1
    assert len(run("review", "benign", "list", path, "--all", "--json").lines) == len(proposed)
    out = tmp_path / "benign.jsonl"
    assert (
        run("review", "benign", "export", path, "--out", out).said
        == f"1 hashes added; 1 in {out}\n"
    )
    after = scan(PLAIN, "--benign", out).lines
    suppressed = [line for line in after if line["status"] == "suppressed"]
    assert [line["suppressed_by"]["entry"].partition("/")[0] for line in suppressed] == [case_id]


def test_an_export_of_nothing_is_a_benign_list(tmp_path: Path) -> None:
    path, out = tmp_path / "queue.db", tmp_path / "benign.jsonl"
    assert run("review", "init", path).code == 0
    assert run("review", "benign", "export", path, "--out", out).code == 0
    assert out.read_bytes() == b""
    ran = scan(PLAIN, "--benign", out)
    assert {line["status"] for line in ran.lines} == {"pending_review"}
    assert f"the benign list {out} is empty: it suppresses nothing" in ran.said
    one_line(run("scan", PLAIN, "--list", out, "--surface", "profile_photo"), "the list is empty")


def test_entries_are_reported_disabled_and_left_out(queue: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.jsonl"
    ran = run("review", "entry", "report", queue, "demo-pdq", "--out", out, "--least", "1")
    assert ran.code == 0
    entries = [json.loads(line)["entry"] for line in out.read_text().splitlines()]
    assert ran.said == f"{len(entries)} entries of demo-pdq in {out}\n"
    assert entries
    bad = entries[0]
    disable = "review", "entry", "disable", queue, "demo-pdq", bad, "--by", "ana", "--reason"
    assert run(*disable, "a meme").code == 0
    one_line(run(*disable, "x"), "already")
    file = tmp_path / "disabled.jsonl"
    assert run("review", "entry", "list", queue, "--out", file).code == 0
    assert run("review", "entry", "list", queue, "--json").out == file.read_bytes()
    (said,) = hm.read_disabled(file)
    assert (said.list, said.entry, said.reason, said.by) == ("demo-pdq", bad, "a meme", "ana")
    named = {match["entry"] for line in scan(PLAIN).lines for match in line["matches"]}
    after = scan(PLAIN, "--disabled", file).lines
    left = {match["entry"] for line in after for match in line["matches"]}
    assert named - left == {bad}
    run("review", "entry", "enable", queue, "demo-pdq", bad, "--by", "ben", "--reason", "mended")
    assert run("review", "entry", "list", queue).out == b""
    assert run("review", "verify", queue).code == 0
    history = run("review", "case", "show", queue, "1")
    assert history.code == 0


def test_no_hash_is_printed_by_any_of_them(queue: Path, tmp_path: Path) -> None:
    values = [record.hash.value for record in scanned()]
    listed = DEMO.read_text().splitlines()[1:]
    hashes = [str(value) for value in values] + [row.partition(",")[0] for row in listed]
    said = b""
    for args in (
        ["export"], ["precision"], ["precision", "--json"], ["benign list", "--all"],
        ["entry list"], ["entry report", "demo-pdq", "--least", "1", "--out", str(tmp_path / "r")],
    ):  # fmt: skip
        ran = run("review", *args[0].split(), queue, *args[1:])
        said += ran.out + ran.err
    said += (tmp_path / "r").read_bytes()
    assert not [value for value in hashes if value.encode() in said]
    assert os.path.exists(tmp_path / "r")
