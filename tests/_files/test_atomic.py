"""A file appears whole or not at all, and of two that write one file the second is told."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from hashmatch._files import atomic
from hashmatch._files.atomic import NewFile, OutputFile, remove_left_over, write, writing
from hashmatch.errors import ListError, SinkError, StoreError

if TYPE_CHECKING:
    from pathlib import Path

WRITER = dedent("""
    import sys
    from hashmatch._files import atomic
    with atomic.writing(sys.argv[1]) as file:
        atomic.put(file, b"half")
        print("writing", flush=True)
        sys.stdin.read()
""")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "file").write_bytes(b"before")
    return tmp_path / "file"


def refuse_folders(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    real = os.fsync

    def fsync(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(number, os.strerror(number))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path.parent))


def started(path: Path) -> subprocess.Popen[bytes]:
    """Another process that is writing a file, until its standard input is closed."""
    command = [sys.executable, "-c", WRITER, str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"writing\n"
    return process


def test_the_second_of_two_writers_is_refused(path: Path) -> None:
    with started(path) as first:
        during = names(path)
        for attempt in (
            lambda: write(str(path), b"second"),
            lambda: write(str(path), b"second", error=SinkError),
            lambda: OutputFile(path),
        ):
            with pytest.raises((StoreError, SinkError)) as caught:
                attempt()
            assert str(caught.value) == (
                f"cannot write {path}: it is being written by another process. "
                "Wait, or choose another name."
            )
        assert names(path) == during, "the part of the first is left alone, and none is added"
        assert path.read_bytes() == b"before"
        write(str(path.with_name("other")), b"x")
        first.communicate()
        assert first.returncode == 0
    assert path.read_bytes() == b"half"
    write(str(path), b"second")
    assert path.read_bytes() == b"second"
    assert names(path) == ["file", "other"]


def test_a_killed_writer_leaves_the_old_file_and_its_part_goes(path: Path) -> None:
    (path.parent / "mine.part").touch()
    other = path.with_name("other")
    with started(path) as killed, started(other) as alive:
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert path.read_bytes() == b"before"
        assert len(names(path)) == 4
        write(str(path.with_name("third")), b"x")
        assert len(names(path)) == 5, "parts of other names are not looked at"
        assert remove_left_over(str(path.parent), "file") is False
        assert len(names(path)) == 4
        assert remove_left_over(str(path.parent)) is True, "somebody is at work"
        assert len(names(path)) == 4
        alive.communicate()
    assert names(path) == ["file", "mine.part", "other", "third"]


def test_a_killed_writer_does_not_stand_in_the_way(path: Path) -> None:
    with started(path) as killed:
        killed.kill()
        killed.communicate()
    write(str(path), b"after")
    assert (path.read_bytes(), names(path)) == (b"after", ["file"])


def test_many_at_once_write_one_after_the_other_or_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    datas = [bytes([number]) * 100_000 for number in range(8)]

    def attempt(data: bytes) -> bytes | None:
        try:
            write(str(path), data)
        except StoreError as error:
            if "it is being written by another process" not in str(error):
                raise
            return None
        return data

    for _ in range(10):
        with ThreadPoolExecutor(8) as pool:
            written = [data for data in pool.map(attempt, datas) if data is not None]
        assert written
        assert path.read_bytes() in written
        assert names(path) == ["file"]


def test_a_part_that_is_removed_before_it_is_locked_is_made_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer may look for what is left over just between another's open and its lock."""
    real, calls = fcntl.flock, 0

    def flock(file: int, how: int) -> None:
        nonlocal calls
        calls += bool(how & fcntl.LOCK_EX)
        if calls == 1 and how & fcntl.LOCK_EX:
            remove_left_over(str(path.parent))
        real(file, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    write(str(path), b"after")
    assert calls > 2
    assert (path.read_bytes(), names(path)) == (b"after", ["file"])


def test_without_locks_the_last_one_wins(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with writing(str(path)) as file:
        atomic.put(file, b"first")
        write(str(path), b"second")
        assert path.read_bytes() == b"second"
    assert (path.read_bytes(), names(path)) == (b"first", ["file"])


def test_without_links_a_new_file_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "file"
    write(str(path), b"first", replace=False)
    with pytest.raises(StoreError, match="it is there already, and is never written over"):
        write(str(path), b"second", replace=False)
    assert (path.read_bytes(), names(path)) == (b"first", ["file"])
    path.unlink()
    with (  # noqa: PT012 - it comes while the other is written
        pytest.raises(StoreError, match="Operation not permitted"),
        writing(str(path), replace=False) as file,
    ):
        path.write_bytes(b"meanwhile")
        atomic.put(file, b"third")
    assert (path.read_bytes(), names(path)) == (b"meanwhile", ["file"])


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_file_system_that_syncs_no_folders_is_used_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse_folders(monkeypatch, number)
    if number == errno.EINVAL:
        write(str(path), b"after")
    else:
        with pytest.raises(StoreError, match=r"cannot write .*file: Input/output error"):
            write(str(path), b"after")
    assert (path.read_bytes(), names(path)) == (b"after", ["file"])


def test_a_name_of_two_lines(tmp_path: Path) -> None:
    path = str(tmp_path / "a\nb")
    with writing(path), pytest.raises(StoreError, match="it is being written"):
        write(path, b"second")
    assert os.listdir(tmp_path) == ["a\nb"]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_mode_is_the_one_asked_for(path: Path, mode: int) -> None:
    path.chmod(0o666)
    write(str(path), b"after", mode=mode)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_places_that_hold_something_else(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place, said in (
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe", "it is no ordinary file"),
        (tmp_path / "absent" / "a", "No such file or directory"),
        (tmp_path / ("n" * 250), "File name too long"),
        (tmp_path / "a\0b", "its name has a null in it"),
    ):
        with pytest.raises(ListError, match=f"^cannot write .*: {said}$"):
            write(str(place), b"", error=ListError)
    assert os.listdir(tmp_path) == ["pipe"]


def test_an_error_that_is_not_the_systems_is_itself(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), writing(str(path)):
        raise ZeroDivisionError
    assert (path.read_bytes(), names(path)) == (b"before", ["file"])


def full(*_: object) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("keep", [False, True])
def test_text_on_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool) -> None:
    file = OutputFile(path, keep=keep)
    file.write("a line\n")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SinkError, match=f"cannot write {path}: No space left on device"):
        file.close()
    assert path.read_bytes() == b"before"
    assert names(path) == (["file", "file.part"] if keep else ["file"])
    if keep:
        assert path.with_name("file.part").read_text() == "a line\n"


def test_abandoned_text_is_left_beside_its_place_until_a_whole_one_is_there(path: Path) -> None:
    part = path.with_name("file.part")
    for content in ("first\n", "second\n"):
        file = OutputFile(path, keep=True)
        file.write(content)
        file.abandon()
        assert (path.read_bytes(), part.read_text()) == (b"before", content)
    with OutputFile(path, keep=True) as file:
        file.write("third\n")
        assert part.read_text() == "second\n"
    assert (path.read_bytes(), names(path)) == (b"third\n", ["file"])


def test_text_after_an_error_is_not_there(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), OutputFile(path) as file:  # noqa: PT012
        file.write("half")
        raise ZeroDivisionError
    assert (path.read_bytes(), names(path)) == (b"before", ["file"])


def test_a_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit((tmp_path / "pipe").read_bytes)
        with OutputFile(tmp_path / "pipe") as file:
            file.write("a\n")
            file.write("b\n")
        assert read.result() == b"a\nb\n"
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("to_file", [False, True])
def test_what_is_open_already_is_written_as_it_is(tmp_path: Path, name: str, to_file: bool) -> None:
    """Also if it is a file: then nothing takes the place of the link in /dev."""
    code = f"""
        from hashmatch._files.atomic import OutputFile
        with OutputFile({name!r}) as file:
            file.write("line\\n")
    """
    target = tmp_path / "target"
    target.write_text("before\n")
    with target.open("a") as out:
        ran = subprocess.run(
            [sys.executable, "-c", dedent(code)],
            stdout=out if to_file else subprocess.PIPE,
            check=True,
        )
    assert ran.stdout == (None if to_file else b"line\n")
    assert target.read_text() == ("before\nline\n" if to_file else "before\n")
    assert os.path.islink("/dev/stdout")


def test_standard_output_is_whatever_stands_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    with OutputFile(None, keep=True) as file:
        file.write("a line\n")
        file.abandon()
    assert capsys.readouterr().out == "a line\n"


def test_a_descriptor_is_closed_once(path: Path) -> None:
    """Another file may have its number by then."""
    new = NewFile(str(path))
    new.commit()
    with path.open("rb") as file:
        assert file.fileno() == new.file
        new.discard()
        assert file.read() == b""
