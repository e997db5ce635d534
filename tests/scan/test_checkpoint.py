"""The checkpoint: a batch is accounted for wholly or not at all, whatever ends the process."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from checkpoint_batches import ABOUT, batch, commit, result
from conftest import ROOT
from hashmatch.scan.checkpoint import FILE, Checkpoint
from hashmatch.scan.events import Counters
from processes import Process

if TYPE_CHECKING:
    from pathlib import Path

    from hashmatch.scan.checkpoint import ScanState


def told(scan: ScanState) -> tuple[object, ...]:
    return (
        (scan.listed, scan.position, scan.breaker, scan.ended),
        scan.counters(),
        list(scan.results()),
    )


def test_what_is_committed_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    with Checkpoint(tmp_path / "state") as checkpoint:
        scan = checkpoint.scan(ABOUT)
        assert told(scan) == ((0, None, None, False), Counters(), [])
        commit(scan, batch(0, 4), {"seen": 1})
        commit(scan, batch(4, 3), {"seen": 2})
        before = told(scan)
    with Checkpoint(tmp_path / "state") as checkpoint:
        scan = checkpoint.scan(dict(reversed(ABOUT.items())))  # the same, told in another order
        assert told(scan) == before
        assert told(scan)[0] == (7, "photos/00006.jpg", {"seen": 2}, False)
        assert scan.counters().records == 3
        assert list(scan.results()) == [result(number) for number in (0, 2, 3, 5, 6)]
        scan.commit([], scan.counters(), ended=True)
        again = checkpoint.scan(ABOUT)
        assert told(again) == told(scan)
        assert (again.ended, again.token, again.counters().done) == (True, scan.token, 7)
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_another_list_or_option_is_another_scan(tmp_path: Path) -> None:
    with Checkpoint(tmp_path) as checkpoint:
        one = checkpoint.scan(ABOUT)
        commit(one, batch(0, 5))
        other = checkpoint.scan({**ABOUT, "lists": [["demo", "18"]]})
        assert other.listed == 0
        assert other.token != one.token
        commit(other, batch(0, 2))
        listed = [(scan["listed"], scan["about"]["lists"]) for scan in checkpoint.scans()]
        assert listed == [(5, [["demo", "17"]]), (2, [["demo", "18"]])]


def test_keys_of_any_bytes_come_back(tmp_path: Path) -> None:
    key = "odd \udcff\x00\n.jpg"
    odd = hm.ImageItem(key, "v", hm.Surface.USER_REPORT)
    bad = hm.ItemOutcome(odd.key, "v", odd.surface, hm.Outcome.FAILED, "gone", None, True)
    with Checkpoint(tmp_path) as checkpoint:
        scan = checkpoint.scan(ABOUT)
        commit(scan, [(odd, bad)])
        again = checkpoint.scan(ABOUT)
        assert (list(again.results()), list(again.failures(1))) == ([], [bad])
        assert again.position == odd.key


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Checkpoint(tmp_path), pytest.raises(hm.CheckpointError, match="another scan uses it"):
        Checkpoint(tmp_path)
    Checkpoint(tmp_path).close()


def test_foreign_and_newer_files_are_refused_in_one_line(tmp_path: Path) -> None:
    for name, text in (("foreign", "CREATE TABLE x (y)"), ("newer", "PRAGMA user_version = 9")):
        folder = tmp_path / name
        folder.mkdir(0o700)
        if name == "newer":
            Checkpoint(folder).close()
        other = sqlite3.connect(folder / FILE)
        other.execute(text)
        other.commit()
        other.close()
        (folder / FILE).chmod(0o600)
        with pytest.raises(
            hm.CheckpointError, match=r"no checkpoint of hashmatch|is of format 9"
        ) as caught:
            Checkpoint(folder)
        assert "\n" not in str(caught.value)
    (tmp_path / "text").mkdir(0o700)
    (tmp_path / "text" / FILE).write_text("no database at all, but long enough " * 100)
    (tmp_path / "text" / FILE).chmod(0o600)
    with pytest.raises(hm.CheckpointError, match="not a database"):
        Checkpoint(tmp_path / "text")
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o600)
    with pytest.raises(hm.CheckpointError, match="cannot keep the state of a scan"):
        Checkpoint(tmp_path / "file")


def test_a_batch_that_cannot_be_written_is_not_there_at_all(tmp_path: Path) -> None:
    with Checkpoint(tmp_path) as checkpoint:
        scan = checkpoint.scan(ABOUT)
        commit(scan, batch(0, 5))
        before = told(scan)
        # A full disk, as SQLite meets it: no page more than there are.
        (pages,) = checkpoint._connection.execute("PRAGMA page_count").fetchone()
        checkpoint._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(hm.CheckpointError, match=r"is full. Free disk space"):
            commit(scan, batch(5, 5000))
        assert told(scan) == told(checkpoint.scan(ABOUT)) == before
        checkpoint._connection.execute("PRAGMA max_page_count = 1000000")
        commit(scan, batch(5, 5))
        assert scan.listed == checkpoint.scan(ABOUT).listed == 10


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from checkpoint_batches import ABOUT, batch, commit
from hashmatch.scan.checkpoint import Checkpoint
with Checkpoint(sys.argv[1]) as checkpoint:
    scan = checkpoint.scan(ABOUT)
    for first in range(scan.listed, 1200, 7):
        sys.stdin.readline()
        commit(scan, batch(first, min(7, 1200 - first)))
        print(first + min(7, 1200 - first), flush=True)
"""


def test_kill_9_at_any_moment_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    chance = random.Random(20261122)
    with Checkpoint(tmp_path / "whole") as checkpoint:
        commit(checkpoint.scan(ABOUT), batch(0, 1200))
        expected = told(checkpoint.scan(ABOUT))
    acknowledged = kills = 0
    while acknowledged < 1200:
        writer = Process(
            [sys.executable, "-c", WRITER, tmp_path / "killed", str(ROOT / "tests")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdin is not None
        assert writer.stdout is not None
        batches = chance.randint(1, 9)
        # It is allowed two more than are waited for, and killed while it writes them.
        writer.stdin.write("\n" * (batches + 2 if kills < 12 else 1200))
        writer.stdin.flush()
        said = [writer.stdout.readline() for _ in range(batches)]
        if kills < 12:
            writer.send_signal(signal.SIGKILL)
            kills += 1
        said += writer.stdout.read().splitlines()
        writer.wait()
        writer.stdout.close()
        writer.stdin.close()
        last = max((int(one) for one in said if one.strip().isdigit()), default=acknowledged)
        acknowledged = max(acknowledged, last)
        with Checkpoint(tmp_path / "killed") as checkpoint:
            listed = checkpoint.scan(ABOUT).listed
            assert acknowledged <= listed <= acknowledged + 7
    with Checkpoint(tmp_path / "killed") as checkpoint:
        assert told(checkpoint.scan(ABOUT)) == expected
    assert kills == 12
