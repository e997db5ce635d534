"""Whatever writes a final file: what was there stays until the new one is whole, and for one only.

And nothing else in hashmatch writes one.
"""

from __future__ import annotations

import ast
import errno
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

import file_writers
import processes
from conftest import ROOT
from file_writers import parts, place_of, queue_of, stands, writers
from hashmatch._files.atomic import NewFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from file_writers import Writer


@pytest.fixture
def everything(tmp_path: Path) -> Iterator[list[tuple[Writer, Path]]]:
    """Return each writer, and where it writes."""
    with queue_of(tmp_path) as queue:
        yield [(each, place_of(each, tmp_path)) for each in writers(tmp_path, queue)]


def test_killed_while_writing(tmp_path: Path) -> None:
    command = [sys.executable, str(file_writers.__file__), str(tmp_path)]
    ran = processes.run(command, text=True, check=False, cwd=ROOT)
    said = "without sandbox: images are decoded in this process (allowed by --in-process)"
    assert (ran.returncode, {*ran.stderr.splitlines()}) == (0, {said})
    with queue_of(tmp_path) as queue:
        assert ran.stdout.split() == [each.name for each in writers(tmp_path, queue)]


def test_two_writers_at_once(everything: list[tuple[Writer, Path]]) -> None:
    for each, path in everything:
        before = stands(path)
        first = NewFile(str(path))
        during = parts(path)
        with pytest.raises(each.error) as caught:
            each.write(str(path))
        assert str(caught.value) == (
            f"cannot write {path}: it is being written by another process. "
            "Wait, or choose another name."
        )
        assert parts(path) == during
        assert stands(path) == before
        first.discard()
        each.write(str(path))
        assert stands(path) is not None


def test_a_full_disk(
    everything: list[tuple[Writer, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for each, path in everything:
        before = stands(path)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(each.error) as caught:
                each.write(str(path))
        assert str(caught.value) == f"cannot write {path}: No space left on device"
        assert stands(path) == before
        assert parts(path) == ([f"{path.name}.part"] if each.keeps else [])
        each.write(str(path))
        assert stands(path) is not None
        assert parts(path) == []


ALLOWED = {
    "_files/atomic.py": "it is the one that does",
    "service/banks.py": "a number in shared memory",
    "service/database.py": "the file of a database, private before SQLite opens it, and its lock",
    "service/server.py": "why a process ended, for the one that started it",
    "service/service.py": "a log, which lines are added to",
    "cli/command.py": "no file: the text of help",
    "cli/demo.py": "toy pictures, in a folder that was just made for them",
    "review/sqlite.py": "the file of a database, made private before SQLite opens it",
    "sandbox/video_worker.py": "no file: a clip in memory, for warming up",
    "scan/checkpoint.py": "the file of a database, and a lock, which holds nothing",
}
OF_THE_SYSTEM = {"replace", "rename", "renames", "link", "symlink", "truncate", "mknod"}
OF_A_PATH = {"write_text", "write_bytes", "touch", "hardlink_to", "symlink_to", "copyfile", "copy2",
             "copytree", "move", "mkstemp", "NamedTemporaryFile", "tofile", "savez"}  # fmt: skip


def makes_a_file(node: ast.AST) -> bool:
    """Return whether a piece of code makes a file, or gives one its name."""
    if isinstance(node, ast.Attribute):
        return node.attr == "O_CREAT"
    if not isinstance(node, ast.Call):
        return False
    where, _, name = ast.unparse(node.func).rpartition(".")
    if name == "open":
        given = [*node.args[:2], *(each.value for each in node.keywords if each.arg == "mode")]
        texts = [each.value for each in given if isinstance(each, ast.Constant)]
        modes = [text for text in texts if isinstance(text, str) and set(text) <= set("rwaxbt+")]
        return any(set(mode) & set("wax+") for mode in modes)
    return (where == "os" and name in OF_THE_SYSTEM) or (where != "atomic" and name in OF_A_PATH)


def test_nothing_else_writes_a_final_file() -> None:
    source = ROOT / "src" / "hashmatch"
    found = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if any(map(makes_a_file, ast.walk(ast.parse(path.read_text()))))
    }
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("open(path, 'w')", True),
        ("Path(name).open('xb')", True),
        ("io.open(path, mode='r+')", True),
        ("os.open(path, os.O_WRONLY | os.O_CREAT)", True),
        ("os.rename(part, path)", True),
        ("shutil.copyfile(a, b)", True),
        ("path.write_bytes(data)", True),
        ("open(path, 'rb')", False),
        ("open(path)", False),
        ("text.replace('a', 'b')", False),
        ("os.open(path, os.O_RDONLY)", False),
    ],
)
def test_how_that_is_seen(code: str, expected: bool) -> None:
    assert any(map(makes_a_file, ast.walk(ast.parse(code)))) is expected
