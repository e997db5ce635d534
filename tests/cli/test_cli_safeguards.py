"""What protects less than it could, at the command line: refused in a line, or allowed and said."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import hashmatch as hm
import processes
from conftest import ROOT
from hashmatch.cli import main
from hashmatch.records.safeguards import Safeguard, allowing
from hashmatch.review.queue import ReviewQueue
from processes import Process
from review_records import many

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIST = str(ROOT / "fixtures/lists/demo-pdq.csv")
REFUSED = "the kernel, or the container around, offers no landlock or seccomp"
SAID = f"hashmatch: without sandbox: {REFUSED} (allowed by --sandbox best)"
IN_PROCESS = (
    "hashmatch: without sandbox: images are decoded in this process (allowed by --in-process)\n"
)
WAIVER = {"safeguard": "sandbox", "reason": REFUSED, "allowed_by": "--sandbox best"}
LESSER = [sys.executable, str(ROOT / "tests/lesser_kernel.py"), "hashmatch"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(ROOT / "fixtures/images/plain/tiles.png", folder)
    return folder


def lesser(*words: object) -> tuple[int, str, list[str]]:
    """Return how a command ends without Landlock and seccomp: code, output, lines of errors."""
    done = processes.run([*LESSER, *map(str, words)], check=False, text=True)
    return done.returncode, done.stdout, done.stderr.splitlines()


def test_a_hash_is_not_made_without_a_sandbox_unless_that_is_allowed(photos: Path) -> None:
    code, out, (line,) = lesser("hash", photos)
    assert (code, out) == (2, "")
    assert line.startswith(f"hashmatch: cannot start decode workers: {REFUSED}. Use a kernel ")
    assert "--sandbox best" in line
    code, out, said = lesser("hash", photos, "--sandbox", "best", "--quiet")
    assert (code, said) == (0, [SAID])
    assert json.loads(out)["hash"] == hm.hash_image(photos / "tiles.png").hex


def test_lists_decode_no_picture_without_a_sandbox_unless_that_is_allowed(
    photos: Path, tmp_path: Path
) -> None:
    own = hm.hash_image(photos / "tiles.png").hex
    store = ["--store", tmp_path / "store", "--algorithm", "pdq", "--default-pictures", photos]
    probe = ("list", "probe", photos / "tiles.png", own)
    for words in (probe, ("list", "import", ROOT / LIST, *store)):
        code, out, (line,) = lesser(*words)
        assert (code, out) == (2, "")
        assert line.startswith(f"hashmatch: cannot start decode workers: {REFUSED}. Use a kernel ")
    code, out, said = lesser(*probe, "--sandbox", "best")
    assert (code, said) == (0, [SAID])
    assert out.startswith("equal to pdq")


def test_a_scan_without_a_sandbox_is_refused_or_says_so_everywhere(
    photos: Path, tmp_path: Path
) -> None:
    report, state, log = (str(tmp_path / name) for name in ("report.json", "state", "scan.log"))
    scan = ["scan", str(photos), "--list", LIST, "-s", "public_post", "--quiet"]
    code, out, (line,) = lesser(*scan)
    assert (code, out) == (2, "")
    assert "--sandbox best" in line

    files = ["--report", report, "--state", state, "--log-json", log]
    code, out, said = lesser(*scan, *files, "--sandbox", "best")
    assert (code, said) == (0, [SAID])
    assert json.loads(out)["status"] == "pending_review"
    with open(report) as file:
        assert json.load(file)["waivers"] == [WAIVER]
    with open(log) as file:
        events = [json.loads(line) for line in file]
    assert [event["waivers"] for event in events if "waivers" in event] == [[WAIVER]] * 2
    status = CliRunner().invoke(main, ["scan", "status", state])
    assert SAID.removeprefix("hashmatch: ") in status.stdout
    status = CliRunner().invoke(main, ["scan", "status", state, "--json"])
    assert json.loads(status.stdout)["waivers"] == [WAIVER]

    # On a kernel that has it all, what was done before stays said.
    again = CliRunner().invoke(main, [*scan, *files])
    assert (again.exit_code, again.stderr) == (0, "")
    status = CliRunner().invoke(main, ["scan", "status", state, "--json"])
    assert json.loads(status.stdout)["waivers"] == [WAIVER]


def test_the_page_is_not_served_without_a_sandbox_unless_that_is_allowed(tmp_path: Path) -> None:
    queue = str(tmp_path / "queue.db")
    with ReviewQueue.open(queue, create=True) as made:
        made.reviewers.add("Ann")
    code, _, (line,) = lesser("review", "serve", queue, "--port", "0")
    assert code == 2
    assert "--sandbox best" in line
    words = [*LESSER, "review", "serve", queue, "--port", "0", "--sandbox", "best"]
    with Process(words, stderr=subprocess.PIPE, text=True) as served:
        try:
            assert served.stderr is not None
            said, url = (served.stderr.readline().rstrip() for _ in range(2))
            assert said == SAID
            assert url.startswith("http://127.0.0.1:")
        finally:
            served.send_signal(signal.SIGINT)


@pytest.mark.parametrize("words", ["status QUEUE", "case list QUEUE", "case show QUEUE 1"])
def test_what_is_missing_stands_in_the_json_of_a_queue(tmp_path: Path, words: str) -> None:
    queue = str(tmp_path / "queue.db")
    with ReviewQueue.open(queue, create=True) as made:
        made.add(many(2))
    given = [queue if word == "QUEUE" else word for word in words.split()]

    def fields() -> list[list[dict[str, str]]]:
        ran = CliRunner().invoke(main, ["review", *given, "--json"])
        assert ran.exit_code == 0, ran.stderr
        return [json.loads(line)["waivers"] for line in ran.stdout.splitlines()]

    assert all(found == [] for found in fields())
    os.chmod(queue, 0o644)
    with allowing(Safeguard.PRIVATE_FILES):
        lines = fields()
    assert len(lines) == (2 if "list" in words else 1)
    for (waiver,) in lines:
        assert waiver["safeguard"] == "private files"
        assert waiver["allowed_by"] == "--allow-readable"


def test_decoding_in_the_process_itself_is_said(photos: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    scan = ["scan", str(photos), "--list", LIST, "-s", "public_post", "-q", "--in-process"]
    ran = CliRunner().invoke(main, [*scan, "--report", str(report)])
    assert (ran.exit_code, ran.stderr) == (0, IN_PROCESS)
    assert len(json.loads(report.read_text())["waivers"]) == 1


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("module", "said"), [("PIL.Image", ""), ("hashmatch.anything", "odd")])
def test_only_warnings_of_pillow_are_silenced(
    photos: Path, monkeypatch: pytest.MonkeyPatch, module: str, said: str
) -> None:
    from hashmatch.sources import directory

    walk = directory.walk

    def warned(path: str) -> object:
        code = compile("warnings.warn('odd', RuntimeWarning)", module, "exec")
        exec(code, {"warnings": __import__("warnings"), "__name__": module})
        return walk(path)

    monkeypatch.setattr(directory, "walk", warned)
    ran = CliRunner().invoke(main, ["hash", "-q", str(photos)])
    assert ran.exit_code == 0
    assert set(ran.stderr.splitlines()) == ({f"hashmatch: warning: {said}"} if said else set())


def _queue(folder: Path) -> tuple[list[str], Path]:
    queue = folder / "queue.db"
    ReviewQueue.open(str(queue), create=True).close()
    return ["review", "status", str(queue)], queue


def _state(folder: Path) -> tuple[list[str], Path]:
    state = folder / "state"
    with hm.Checkpoint(state):
        pass
    return ["scan", "status", str(state)], state


def _ledger(folder: Path) -> tuple[list[str], Path]:
    command, state = _state(folder)
    return command, state / "checkpoint.db"


def _log(folder: Path) -> tuple[list[str], Path]:
    log, photos = folder / "scan.log", str(folder / "photos")
    log.touch(0o600)
    scan = ["scan", photos, "--list", LIST, "-s", "public_post", "-q", "--in-process"]
    return [*scan, "--log-json", str(log)], log


def _scan_with_state(folder: Path) -> tuple[list[str], Path]:
    command, _ = _log(folder)
    state = folder / "state"
    state.mkdir(0o700)
    return [*command[:-2], "--state", str(state)], state


def _kept(folder: Path) -> tuple[list[str], Path]:
    kept = folder / "kept"
    command, _ = _log(folder)
    keep = [*command[:-2], "--keep-hashes", str(kept), "--keep-for", "1d"]
    assert CliRunner().invoke(main, keep).exit_code == 0
    return ["rescan", str(kept), "--list", LIST, "-q"], kept


def _kept_file(folder: Path) -> tuple[list[str], Path]:
    command, kept = _kept(folder)
    (file,) = kept.glob("*.kept")
    return command, file


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(
    "make", [_queue, _state, _ledger, _log, _scan_with_state, _kept, _kept_file]
)
def test_files_about_people_are_private_or_that_is_allowed_and_said(
    tmp_path: Path, make: Callable[[Path], tuple[list[str], Path]]
) -> None:
    command, path = make(tmp_path)

    def said(*more: str) -> tuple[int, str]:
        ran = CliRunner().invoke(main, [*command, *more])
        return ran.exit_code, ran.stderr.replace(IN_PROCESS, "")

    private = path.stat().st_mode & 0o777
    assert said() == (0, "")
    path.chmod(private | 0o044)
    code, line = said()
    assert code == 2
    assert line.startswith(f"hashmatch: cannot use {path}: what is in ")
    place = path if path.is_dir() else path.parent
    right = "700" if path.is_dir() else "600"
    assert f"{place} can be read by others. Close it with chmod {right}, or allow it with" in line
    allowed = (
        f"hashmatch: without private files: what is in {place} can be read by others "
        "(allowed by --allow-readable)\n"
    )
    assert said("--allow-readable") == (0, allowed)
    path.chmod(private | 0o022)
    code, line = said("--allow-readable")
    assert code == 2
    assert f"cannot use {path}: it can be changed by others. Close it with chmod go-w" in line
    path.chmod(private)
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
        code, line = said("--allow-readable")
        assert code == 2
        assert f"cannot use {path}: it belongs to another user (id 12345)" in line
