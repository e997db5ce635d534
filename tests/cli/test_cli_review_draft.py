"""A report drafted, signed off, preserved, and a request answered: from the command line."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from cli_tools import run
from conftest import FIXTURES
from hashmatch.review.queue import ReviewQueue
from review_queues import Clock, take_and_decide
from review_records import make_record

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a queue with a confirmed case, and an account."""
    clock = Clock()
    clock.time = datetime.now(UTC) - timedelta(days=1)
    with ReviewQueue.open(str(tmp_path / "q.db"), create=True, now=clock) as queue:
        queue.add([make_record(1)])
        take_and_decide(queue, "confirmed")
    shutil.copy(FIXTURES / "account.json", tmp_path)
    (tmp_path / "account.json").chmod(0o600)
    return tmp_path


def call(folder: Path, line: str, code: int = 0) -> str:
    ran = run(*line.split(), cwd=folder)
    assert ran.code == code, ran.said
    return ran.out.decode() + ran.said


def test_a_report_from_the_case_to_the_answer(folder: Path) -> None:
    write = "review draft write q.db 1 --for ncmec --account account.json --out draft --by ana"
    said = call(folder, write, 1)
    assert "missing: report: incident-type" in said
    assert "https://report.cybertip.org/ispws/documentation/" in said
    said = call(folder, "review draft choose q.db 1 --for ncmec")
    assert "classification, file 1, profiles/0000001.jpg: not chosen" in said
    assert "A1: a pre-pubescent child, in a sexual act" in said
    choose = "review draft choose q.db 1 {} --for ncmec --by ana"
    ran = run(
        *["review", "draft", "choose", "q.db", "1", "incident-type"],
        "Child Pornography (possession, manufacture, and distribution)",
        *["--for", "ncmec", "--by", "ana"],
        cwd=folder,
    )
    assert ran.code == 0, ran.said
    for what in ("report-annotations --none", "relevance Reported", "classification B1 --file 1",
                 "annotations viral infant"):  # fmt: skip
        call(folder, choose.format(what))
    assert "no value is given" in call(folder, choose.format("annotations"), 2)
    assert "there are 1" in call(folder, choose.format("classification A1 --file 2"), 2)
    assert "about the whole report" in call(
        folder, choose.format("report-annotations --none --file 1"), 2
    )
    assert "complete" in call(folder, write)
    assert "signed off by nobody" in call(folder, "review draft check q.db draft", 1)
    call(folder, "review draft sign q.db draft --by ana")
    assert "has signed it off" in call(folder, "review draft sign q.db draft --by ana", 2)
    call(folder, "review draft sign q.db draft --by bo")
    found = json.loads(call(folder, "review draft check q.db draft --json"))
    assert found["signed_off"] is True
    call(folder, "review preserve add q.db 1 --report 9900001 --filed 2026-01-31 --by ana")
    (kept,) = [
        json.loads(line) for line in call(folder, "review preserve list q.db --json").splitlines()
    ]
    assert kept["reports"][0]["number"] == "9900001"
    assert "preserved until" in call(folder, "review case release q.db 1", 2)
    call(folder, "review preserve release q.db 1 --reason order --by ana")
    assert "Ask somebody else" in call(folder, "review preserve approve q.db 1 --by ana", 2)
    call(folder, "review preserve refuse q.db 1 --by bo")
    call(folder, "list keygen k")
    call(folder, "review request add q.db 2026-1 1 --authority court --received 2026-01-31")
    assert "waits for an answer" in call(folder, "review request list q.db")
    call(folder, "review request answer q.db 2026-1 --out answer --sign k.key --to officer")
    assert "given to officer" in call(folder, "review request list q.db")
    assert "sound: answer to 2026-1" in call(folder, "review request check answer k.pub")
    history = call(folder, "review history q.db --json")
    for secret in ("robin", "192.0.2.14", "202-555"):
        assert secret not in history
