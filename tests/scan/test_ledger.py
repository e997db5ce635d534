"""The ledger: a batch is accounted for wholly or not at all, whatever happens to the process."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from conftest import ROOT
from hashmatch.scan.checkpoint import FILE, Ledger
from ledger_batches import ABOUT, batch, item
from processes import Process

if TYPE_CHECKING:
    from pathlib import Path

    from hashmatch.scan.checkpoint import LedgerScan


def told(scan: LedgerScan) -> tuple[object, ...]:
    return (
        scan.state(),
        scan.outcomes(),
        [record.to_json() for record in scan.records()],
        list(scan.problems()),
    )


def test_what_is_committed_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    with Ledger(tmp_path / "state") as ledger:
        scan = ledger.scan(ABOUT)
        assert scan.state() == (0, None, None, False)
        scan.commit(batch(0, 4), {"seen": 1})
        scan.commit(batch(4, 3), {"seen": 2})
        before = told(scan)
    with Ledger(tmp_path / "state") as ledger:
        scan = ledger.scan(dict(reversed(ABOUT.items())))  # the same, told in another order
        assert told(scan) == before
        assert scan.state() == (7, "photos/00006.jpg", {"seen": 2}, False)
        assert scan.outcomes()[hm.Outcome.MATCH] == 3
        assert [problem.key for problem in scan.problems()] == [item(2).key, item(5).key]
        scan.commit([], ended=True)
        assert scan.state()[3]
        assert sum(scan.outcomes().values()) == scan.state().listed
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_another_list_or_option_is_another_scan(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.scan(ABOUT).commit(batch(0, 5))
        other = ledger.scan({**ABOUT, "lists": [["demo", "18"]]})
        assert other.state().listed == 0
        other.commit(batch(0, 2))
        listed = [(scan["listed"], scan["about"]["lists"]) for scan in ledger.scans()]
        assert listed == [(5, [["demo", "17"]]), (2, [["demo", "18"]])]


def test_keys_of_any_bytes_come_back(tmp_path: Path) -> None:
    key = "odd \udcff\x00\n.jpg"
    odd = hm.ImageItem(key, "v", hm.Surface.USER_REPORT)
    bad = hm.ItemOutcome(odd.key, "v", odd.surface, hm.Outcome.FAILED, "gone", None, True)
    with Ledger(tmp_path) as ledger:
        scan = ledger.scan(ABOUT)
        scan.commit([(odd, bad)])
        assert list(scan.problems()) == [bad]
        assert scan.state().position == odd.key


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Ledger(tmp_path), pytest.raises(hm.LedgerError, match="in use by another scan"):
        Ledger(tmp_path)
    Ledger(tmp_path).close()


def test_foreign_and_newer_files_are_refused_in_one_line(tmp_path: Path) -> None:
    for name, text in (("foreign", "CREATE TABLE x (y)"), ("newer", "PRAGMA user_version = 9")):
        folder = tmp_path / name
        folder.mkdir()
        if name == "newer":
            Ledger(folder).close()
        other = sqlite3.connect(folder / FILE)
        other.execute(text)
        other.commit()
        other.close()
        with pytest.raises(
            hm.LedgerError, match=r"no ledger of hashmatch|is of format 9"
        ) as caught:
            Ledger(folder)
        assert "\n" not in str(caught.value)
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / FILE).write_text("no database at all, but long enough " * 100)
    with pytest.raises(hm.LedgerError, match="not a database"):
        Ledger(tmp_path / "text")
    (tmp_path / "file").write_text("")
    with pytest.raises(hm.LedgerError, match="no state can be kept there"):
        Ledger(tmp_path / "file")


def test_a_batch_that_cannot_be_written_is_not_there_at_all(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        scan = ledger.scan(ABOUT)
        scan.commit(batch(0, 5))
        before = told(scan)
        # A full disk, as SQLite meets it: no page more than there are.
        (pages,) = ledger._connection.execute("PRAGMA page_count").fetchone()
        ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(hm.LedgerError, match="is full; make room"):
            scan.commit(batch(5, 5000))
        assert told(scan) == before
        ledger._connection.execute("PRAGMA max_page_count = 1000000")
        scan.commit(batch(5, 5))
        assert scan.state().listed == 10


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from ledger_batches import ABOUT, batch
from hashmatch.scan.checkpoint import Ledger
with Ledger(sys.argv[1]) as ledger:
    scan = ledger.scan(ABOUT)
    for first in range(scan.state().listed, 1200, 7):
        scan.commit(batch(first, min(7, 1200 - first)))
        print(first + min(7, 1200 - first), flush=True)
"""


def test_kill_9_at_any_moment_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    chance = random.Random(20261122)
    with Ledger(tmp_path / "whole") as ledger:
        ledger.scan(ABOUT).commit(batch(0, 1200))
        expected = told(ledger.scan(ABOUT))
    acknowledged = kills = 0
    while acknowledged < 1200:
        writer = Process(
            [sys.executable, "-c", WRITER, tmp_path / "killed", str(ROOT / "tests")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(chance.randint(1, 9))]
        if kills < 12:
            writer.send_signal(signal.SIGKILL)
            kills += 1
        said += writer.stdout.read().splitlines()
        writer.wait()
        writer.stdout.close()
        last = max((int(one) for one in said if one.strip().isdigit()), default=acknowledged)
        acknowledged = max(acknowledged, last)
        with Ledger(tmp_path / "killed") as ledger:
            listed = ledger.scan(ABOUT).state().listed
            assert acknowledged <= listed <= acknowledged + 7
    with Ledger(tmp_path / "killed") as ledger:
        assert told(ledger.scan(ABOUT)) == expected
    assert kills == 12
