"""An index file that is changed, replaced or being written while processes have it open."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import numpy as np
import pytest

from hashmatch._files import block_reader, sigbus
from hashmatch._files.block_format import Description, Segment
from hashmatch._files.block_reader import open_blocks
from hashmatch._files.block_writer import write
from hashmatch.errors import IndexFileError
from hashmatch.records.hashes import HashSpec
from processes import PATIENCE, Process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = 1 << 18
DESCRIPTION = Description(
    HashSpec("phash", 64), "1", None, "0.1.0", (Segment(None, {"words": "words"}),)
)
guarded = pytest.mark.skipif(not sigbus.SUPPORTED, reason="no handler for this machine")

COMMON = """
    import ctypes, faulthandler, mmap, os, random, signal, sys, threading, time
    from concurrent.futures import ThreadPoolExecutor
    import msgspec, numpy as np
    from hashmatch.errors import IndexFileError
    from hashmatch._files.block_format import Description, Segment
    from hashmatch._files.block_reader import open_blocks
    from hashmatch._files.block_writer import write
    from hashmatch.records.hashes import HashSpec

    signal.alarm(600)  # a test that fails ends all the same

    def say(text):
        print(text, flush=True)

    def bus_error():  # one that is none of ours
        with open(sys.argv[1] + ".other", "w+b") as file:
            file.truncate(4096)
            other = mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ)
            file.truncate(0)
            return other[0]
"""


class Script:
    """A Python process that is told to end by closing its input."""

    def __init__(self, code: str, *arguments: object) -> None:
        text = dedent(COMMON) + dedent(code)
        self.process = Process(
            [sys.executable, "-W", "error", "-c", text, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return str(self.process.stdout.readline()).strip()

    def end(self) -> tuple[int, str, str]:
        """Return the exit code, and the rest of what it said."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out.strip(), err


def finished(code: str, *arguments: object) -> tuple[int, str, str]:
    return Script(code, *arguments).end()


def snapshot(path: Path, number: int) -> None:
    """Write COUNT times a number."""
    write(path, DESCRIPTION, [("words", np.full(COUNT, number, np.uint64))])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    snapshot(tmp_path / "live.index", 1)
    return tmp_path / "live.index"


READER = """
    opened = open_blocks(sys.argv[1])
    words, order = opened.blocks["words"], sys.argv[2]
    def search():
        if order == "backwards":
            return int(words[::-512].sum()) * 512
        if order == "threads":
            with ThreadPoolExecutor(4) as pool:
                return sum(pool.map(lambda i: int(words[i::4].sum()), range(4)))
        return int(words.sum())
    say("open")
    done = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), done.set())).start()
    try:
        while not done.is_set():
            found = search()
            opened.check_unchanged()
            assert found == len(words), found
        say("right to the end")
    except IndexFileError as error:
        say(error)
        done.wait()
        search()  # a search begun later ends no other way
        try:
            opened.check_unchanged()
        except IndexFileError:
            sys.exit(5)
"""


def cut(to: float) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        os.truncate(path, int(path.stat().st_size * to))

    return change


def written_over(*, cut_first: bool) -> Callable[[Path], None]:
    """Do what ``cp new live`` does, or ``dd conv=notrunc`` with a file of the same size."""

    def change(path: Path) -> None:
        new = path.with_name("new.index")
        snapshot(new, 2)
        with path.open("wb" if cut_first else "r+b") as file:
            file.write(new.read_bytes())

    return change


def appended_to(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


HARM: dict[str, Callable[[Path], object]] = {
    "emptied": cut(0),
    "halved": cut(0.5),
    "cut by a page": lambda path: os.truncate(path, path.stat().st_size - 4096),
    "copied over": written_over(cut_first=True),
    "written over": written_over(cut_first=False),
    "appended to": appended_to,
}


@guarded
@pytest.mark.parametrize(
    ("harm", "order"),
    [
        pytest.param(harm, order, marks=pytest.mark.slow if (i + j) % 3 else ())
        for i, harm in enumerate(HARM)
        for j, order in enumerate(["forwards", "backwards", "threads"])
    ],
)
def test_a_reader_survives(path: Path, harm: str, order: str) -> None:
    reader = Script(READER, path, order)
    assert reader.line() == "open"
    HARM[harm](path)
    assert reader.line() == (
        f"{path} was truncated or written over while it was open, or its disk failed; open it "
        "again, and replace index files by renaming, as save does"
    )
    assert reader.end() == (5, "", "")


def test_a_reader_notices_nothing_of_what_leaves_its_file_whole(path: Path) -> None:
    reader = Script(READER, path, "forwards")
    assert reader.line() == "open"
    path.chmod(0o644)
    path.with_name("second").hardlink_to(path)
    path.rename(path.with_name("old"))
    path.with_name("second").rename(path)
    path.with_name("old").unlink()
    snapshot(path, 2)  # from here on, no name is the reader's file's
    path.unlink()
    assert reader.end() == (0, "right to the end", "")


@guarded
def test_opening_a_file_that_is_written_over_all_the_time(path: Path) -> None:
    opener = Script(
        """
        say("ready")
        begun, refused, right = time.monotonic(), 0, 0
        while time.monotonic() < begun + 0.7:
            try:
                opened = open_blocks(sys.argv[1])
                words = opened.blocks["words"]
                found = int(words.sum()), len(words)
                opened.check_unchanged()
                assert found in {(found[1], found[1]), (2 * found[1], found[1])}, found
                right += 1
            except IndexFileError:
                refused += 1
        say(f"{right} right, {refused} refused")
        """,
        path,
    )
    assert opener.line() == "ready"
    change = written_over(cut_first=True)
    while opener.process.poll() is None:
        change(path)
    code, out, err = opener.end()
    assert (code, err) == (0, "")
    assert re.fullmatch(r"\d+ right, [1-9]\d* refused", out)


def test_a_killed_writer_leaves_the_old_file_or_the_new(path: Path) -> None:
    code, out, err = finished(
        """
        path, folder = sys.argv[1], os.path.dirname(sys.argv[1])
        def made(number):
            words = np.full(1 << 18, number, np.uint64)
            return msgspec.structs.replace(first, snapshot=str(number)), [("words", words)]
        first = open_blocks(path).description
        begun = time.monotonic()
        write(path, *made(1))
        takes = time.monotonic() - begun
        random.seed(0)
        now, left = 1, 0
        for number in range(2, 42):
            child = os.fork()
            if not child:
                write(path, *made(number))
                os._exit(0)
            time.sleep(random.random() * 1.5 * takes)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            opened = open_blocks(path)
            got = int(opened.description.snapshot)
            assert got in {now, number}, (now, number, got)
            assert (opened.blocks["words"] == got).all()
            now, left = got, max(left, len(os.listdir(folder)) - 1)
        write(path, *made(99))
        assert os.listdir(folder) == [os.path.basename(path)], os.listdir(folder)
        say(f"{now > 1} {left > 0}")
        """,
        path,
    )
    assert (code, err) == (0, "")
    assert out == "True True"  # some were killed too late and some in time


def test_pages_are_shared(path: Path) -> None:
    readers = [Script(READER.replace('say("open")', 'search(); say("open")'), path, "forwards")]
    readers.append(Script(READER.replace('say("open")', 'search(); say("open")'), path, "forwards"))
    assert [reader.line() for reader in readers] == ["open", "open"]
    for reader in readers:
        with open(f"/proc/{reader.process.pid}/smaps") as file:
            ours = re.search(rf"{path}\n(.*?\n)(?=[0-9a-f]+-|\Z)", file.read(), re.DOTALL)
        assert ours is not None
        pages = dict(re.findall(r"^(\w+): +(\d+) kB", ours[1], re.MULTILINE))
        assert int(pages["Rss"]) >= COUNT * 8 // 1024
        assert int(pages["Pss"]) == pytest.approx(int(pages["Rss"]) / 2, rel=0.1)
        assert pages["Private_Dirty"] == "0"
    assert all(reader.end()[0] == 0 for reader in readers)


@guarded
@pytest.mark.parametrize("enabled", ["", "faulthandler.enable()"])
def test_other_bus_errors_end_the_process_as_before(path: Path, enabled: str) -> None:
    code, out, err = finished(
        f"{enabled}\nopened = open_blocks(sys.argv[1])\nsay('open')\nbus_error()", path
    )
    assert (code, out) == (-signal.SIGBUS, "open")
    assert err.count("Fatal Python error: Bus error") == (1 if enabled else 0)


@guarded
def test_an_ignored_signal_stays_ignored_and_a_handler_is_called(path: Path) -> None:
    code, out, err = finished(
        """
        signal.signal(signal.SIGBUS, signal.SIG_IGN)
        opened = open_blocks(sys.argv[1])
        os.kill(os.getpid(), signal.SIGBUS)
        say("ignored")
        signal.signal(signal.SIGBUS, lambda *_: say("handled"))
        again = open_blocks(sys.argv[1])
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGBUS)
        os.truncate(sys.argv[1], 0)
        say(again.blocks["words"].sum() + opened.blocks["words"].sum())
        """,
        path,
    )
    assert (code, out.split(), err) == (0, ["ignored", "handled", "handled", "handled", "0"], "")


@guarded
def test_another_who_takes_the_signal_later(path: Path) -> None:
    """The next file that is opened takes it back; neither hands an error to the other for ever."""
    code, out, err = finished(
        """
        first = open_blocks(sys.argv[1])
        if not os.fork():
            os.kill(os.getpid(), signal.SIGBUS)
        say(os.WTERMSIG(os.wait()[1]))
        faulthandler.enable()
        second = open_blocks(sys.argv[1])
        os.truncate(sys.argv[1], 0)
        say(first.blocks["words"].sum() + second.blocks["words"].sum())
        bus_error()
        """,
        path,
    )
    assert (code, out.split()) == (-signal.SIGBUS, [str(int(signal.SIGBUS)), "0"])
    assert err.count("Fatal Python error: Bus error") == 1


@guarded
def test_what_is_closed_is_guarded_no_more(path: Path) -> None:
    code, out, err = finished(
        """
        opened = open_blocks(sys.argv[1])
        words = opened.blocks["words"]
        size = os.path.getsize(sys.argv[1])
        address, files = words.ctypes.data, len(os.listdir("/proc/self/fd"))
        del opened
        os.truncate(sys.argv[1], 0)
        say(words.sum())  # the array keeps the map, and the map its guard
        with open(sys.argv[1] + ".other", "w+b") as file:
            file.truncate(size)
            del words
            say(files - len(os.listdir("/proc/self/fd")))
            libc = ctypes.CDLL(None)
            place = (ctypes.c_void_p(address), ctypes.c_size_t(size), mmap.PROT_READ)
            libc.mmap(*place, mmap.MAP_SHARED | 0x10, file.fileno(), ctypes.c_long(0))  # MAP_FIXED
            say(ctypes.string_at(address, 1))
            file.truncate(0)
            ctypes.string_at(address, 1)
        """,
        path,
    )
    assert (code, out.split(), err) == (-signal.SIGBUS, ["0", "1", r"b'\x00'"], "")


@guarded
def test_a_forked_process_is_guarded_too(path: Path) -> None:
    code, out, err = finished(
        """
        opened = open_blocks(sys.argv[1])
        os.truncate(sys.argv[1], 0)
        child = os.fork()
        if child:
            say(os.waitpid(child, 0)[1])
        say(opened.blocks["words"].sum())
        """,
        path,
    )
    assert (code, out.split(), err) == (0, ["0", "0", "0"], "")


def test_slots_are_used_again_and_not_endless(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(sigbus.SLOTS + 10):
        open_blocks(path, check=False)
    before = len(os.listdir("/proc/self/fd"))
    if sigbus.SUPPORTED:
        monkeypatch.setattr(sigbus.guard(), "_free", [])
        with pytest.raises(IndexFileError, match="1024 index files are open in this process"):
            open_blocks(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_changes_are_found_without_the_handler(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = sigbus.Stamps()
    monkeypatch.setattr(block_reader, "guard", lambda: stamps)
    opened = open_blocks(path)
    path.chmod(0o644)
    opened.check_unchanged()
    appended_to(path)
    with pytest.raises(IndexFileError, match="written over while it was open"):
        opened.check_unchanged()


def test_a_part_that_cannot_be_read_is_a_change() -> None:
    """Where the disk fails nothing of the file changes, but zeros were read."""
    if sigbus.SUPPORTED:
        ours = sigbus.guard()
        assert isinstance(ours, sigbus.Guard)
        with open(__file__, "rb") as file:
            status = os.fstat(file.fileno())
            slot = ours.watch(0, 0, file.fileno(), status.st_size, status.st_mtime_ns)
            assert slot is not None
            assert not ours.changed(slot)
            ours._slots[slot][2] = 1
            assert ours.changed(slot)
            ours.forget(slot)
