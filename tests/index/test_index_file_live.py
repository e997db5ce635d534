"""An index file that is changed, replaced or being written while processes have it open."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import numpy as np
import pytest

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

COMMON = """
    import os, random, signal, sys, threading, time
    import msgspec, numpy as np
    from hashmatch.errors import IndexFileError
    from hashmatch._files.block_reader import open_blocks
    from hashmatch._files.block_writer import write

    signal.alarm(600)  # a test that fails ends all the same

    def say(text):
        print(text, flush=True)
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
    words = opened.blocks["words"]
    def search():
        return int(words.sum())
    say("open")
    done = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), done.set())).start()
    while not done.is_set():
        found = search()
        opened.check_unchanged()
        assert found == len(words), found
    say("right to the end")
"""


def written_over(path: Path) -> None:
    """Do what ``dd conv=notrunc`` does with a file of the same size."""
    new = path.with_name("new.index")
    snapshot(new, 2)
    with path.open("r+b") as file:
        file.write(new.read_bytes())


def appended_to(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


HARM: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: os.truncate(path, 0),
    "cut by a page": lambda path: os.truncate(path, path.stat().st_size - 4096),
    "written over": written_over,
    "appended to": appended_to,
}


@pytest.mark.parametrize("harm", HARM)
def test_a_file_that_is_changed_in_place_is_found_out(path: Path, harm: str) -> None:
    opened = open_blocks(path)
    path.chmod(0o644)
    opened.check_unchanged()
    HARM[harm](path)
    for _ in range(2):
        with pytest.raises(IndexFileError) as caught:
            opened.check_unchanged()
        assert str(caught.value) == (
            f"cannot read {path}: it was truncated or written over while it was open. Open it "
            "again, and replace index files by renaming, as save does"
        )


def test_a_reader_notices_nothing_of_what_leaves_its_file_whole(path: Path) -> None:
    reader = Script(READER, path)
    assert reader.line() == "open"
    path.chmod(0o644)
    path.with_name("second").hardlink_to(path)
    path.rename(path.with_name("old"))
    path.with_name("second").rename(path)
    path.with_name("old").unlink()
    snapshot(path, 2)  # from here on, no name is the reader's file's
    path.unlink()
    assert reader.end() == (0, "right to the end", "")


def test_opening_a_file_that_is_written_over_all_the_time(path: Path) -> None:
    opener = Script(
        """
        say("ready")
        refused = 0
        while refused < 3:
            try:
                opened = open_blocks(sys.argv[1])
                words = opened.blocks["words"]
                found = int(words.sum()), len(words)
                opened.check_unchanged()
                assert found in {(found[1], found[1]), (2 * found[1], found[1])}, found
            except IndexFileError:
                refused += 1
        say("never wrong")
        """,
        path,
    )
    assert opener.line() == "ready"
    while opener.process.poll() is None:
        written_over(path)
    assert opener.end() == (0, "never wrong", "")


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
    readers = [Script(READER.replace('say("open")', 'search(); say("open")'), path)]
    readers.append(Script(READER.replace('say("open")', 'search(); say("open")'), path))
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


def test_what_is_closed_leaves_nothing_open(path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for check in (True, False):
        words = open_blocks(path, check=check).blocks["words"]
        assert (words == 1).all()  # the array keeps the mapping
        del words
    assert len(os.listdir("/proc/self/fd")) == before
