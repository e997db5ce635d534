"""Files of a store are private, whole or absent, and what was checked is what is read."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hashmatch._files import atomic, private
from hashmatch._files.private import Digest
from hashmatch.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

OTHER_USER = 12345


def digest_of(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest(), len(data))


@pytest.fixture(autouse=True, params=[0o000, 0o022, 0o077], ids=oct)
def _umask(request: pytest.FixtureRequest) -> object:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    atomic.make_folder(str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.mark.parametrize("data", [b"", b"a", bytes(range(256)) * 9000])
def test_what_is_written_is_private_whole_and_alone(folder: Path, data: bytes) -> None:
    path = folder / "file"
    for content in (b"before", data):
        atomic.write(str(path), content)
    assert private.read(str(path), len(data)) == data
    with private.opened(str(path)) as file:
        assert private.digest(str(path), file) == digest_of(data)
    assert path.stat().st_mode & 0o7777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert os.listdir(folder) == ["file"]


# Modes that are judged, whoever judges: a test by access would say nothing to the superuser.
@pytest.mark.parametrize("is_folder", [False, True])
@pytest.mark.parametrize("bits", range(0o100))
def test_modes(folder: Path, bits: int, is_folder: bool) -> None:
    path = folder / "x"
    path.mkdir() if is_folder else path.touch()
    path.chmod(0o700 | bits)
    if not bits:
        private.check_private(str(path))
    else:
        with pytest.raises(
            StoreError, match=f"{path}: it can be .* by others. Close it with chmod"
        ):
            private.check_private(str(path))
    if bits & 0o022:
        with pytest.raises(
            StoreError, match=r"can be changed by others\. Close it with chmod go-w"
        ):
            private.check_private(str(path), allow_readable=True)
    else:
        private.check_private(str(path), allow_readable=True)
    if not is_folder and bits:
        with pytest.raises(StoreError, match="by others"):
            private.read(str(path), 10)


def test_files_of_others_are_refused(folder: Path) -> None:
    path = folder / "x"
    atomic.write(str(path), b"x")
    try:
        os.chown(path, OTHER_USER, -1)
    except PermissionError:
        pytest.skip("only the superuser gives files away")
    for check in (private.check_private, lambda p: private.read(p, 9)):
        with pytest.raises(StoreError, match=f"belongs to another user .id {OTHER_USER}."):
            check(str(path))


def test_links_are_not_followed_unless_asked_for(folder: Path, tmp_path: Path) -> None:
    inside, link = folder / "file", folder / "link"
    atomic.write(str(inside), b"x")
    link.symlink_to(inside)
    for refused in (private.check_private, lambda p: private.read(p, 9), atomic.make_folder):
        with pytest.raises(StoreError, match="is a link"):
            refused(str(link))
    assert private.read(str(link), 9, follow=True) == b"x"
    inside.chmod(0o644)
    with pytest.raises(StoreError, match="can be read by others"):
        private.read(str(link), 9, follow=True)
    atomic.write(str(link), b"y")  # it replaces the link, not what it leads to
    assert not link.is_symlink()
    assert inside.read_bytes() == b"x"


def test_what_is_no_file(folder: Path) -> None:
    os.mkfifo(folder / "pipe", 0o600)
    (folder / "folder").mkdir(0o700)
    (folder / "loop").symlink_to("loop")
    for name, reason in (
        ("pipe", "neither a file nor a folder"),
        ("folder", "is a folder"),
        ("none", "No such file"),
        ("loop", "is a link"),
        ("nu\0ll", "null"),
        ("none/x", "No such file"),
        ("x" * 300, "cannot read"),
    ):
        with pytest.raises(StoreError, match=reason):
            private.read(str(folder / name), 10)
    for name in ("nu\0ll", "none/x", "x" * 300, "folder"):
        with pytest.raises(StoreError, match="cannot write "):
            atomic.write(str(folder / name), b"")
    for name in ("nu\0ll", "none/x", "x" * 300):
        with pytest.raises(StoreError, match="cannot make"):
            atomic.make_folder(str(folder / name))
    with pytest.raises(StoreError, match=r"cannot read .*: Too many levels"):
        private.read(str(folder / "loop"), 10, follow=True)
    atomic.write(str(folder / "file"), b"123")
    with pytest.raises(StoreError, match="cannot make a folder in the place of"):
        atomic.make_folder(str(folder / "file"))
    with pytest.raises(StoreError, match="more than 2 bytes"):
        private.read(str(folder / "file"), 2)
    assert not [name for name in os.listdir(folder) if name.endswith(".part")]


def test_what_may_not_be_replaced_stays(folder: Path) -> None:
    path = folder / "00000001.json"
    atomic.write(str(path), b"first", replace=False)
    with pytest.raises(StoreError, match="is there already"):
        atomic.write(str(path), b"second", replace=False)
    assert path.read_bytes() == b"first"
    assert os.listdir(folder) == [path.name]


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("error", [ValueError, OSError(28, "No space left on device"), SystemExit])
def test_a_writer_that_fails_changes_nothing(
    folder: Path, replace: bool, error: BaseException | type[BaseException]
) -> None:
    path = folder / "file"
    path.write_bytes(b"before") if replace else None
    expected = StoreError if isinstance(error, OSError) else error
    with (  # noqa: PT012
        pytest.raises(expected),  # type: ignore[arg-type]
        atomic.writing(str(path), replace=replace) as file,
    ):
        atomic.put(file, b"half")
        raise error
    assert os.listdir(folder) == (["file"] if replace else [])
    if replace:
        assert path.read_bytes() == b"before"


def test_a_copy_is_what_it_should_be_or_is_not_there(folder: Path) -> None:
    data = bytes(range(256)) * 5000
    source, target = str(folder / "a"), folder / "b"
    atomic.write(source, data)
    atomic.copy(source, str(target), digest_of(data))
    assert target.read_bytes() == data
    assert target.stat().st_mode & 0o777 == 0o600
    target.unlink()
    for wrong in (data[:-1], data + b"\0", b"\1" + data[1:], b""):
        with pytest.raises(StoreError, match="is damaged"):
            atomic.copy(source, str(target), digest_of(wrong))
        assert os.listdir(folder) == ["a"]


def test_what_is_checked_is_what_is_read(folder: Path) -> None:
    """A file that takes the place of the checked one meanwhile is not looked at."""
    path = str(folder / "file")
    atomic.write(path, b"checked")
    with private.opened(path) as file:
        atomic.write(path, b"another")
        assert private.digest(path, file) == digest_of(b"checked")
        assert b"".join(private.chunks(path, file)) == b"checked"


@pytest.mark.parametrize("replace", [True, False])
def test_a_file_is_on_the_disk_before_it_has_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    """A power cut leaves the old file or the new one: both are synced, in this order."""
    done: list[str] = []

    def noted(name: str, real: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            what = os.readlink(f"/proc/self/fd/{arguments[0]}") if name == "fsync" else "part"
            done.append(f"{name} {'folder' if what == str(folder) else 'part'}")
            real(*arguments)

        return call

    for name in ("fsync", "replace", "link"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    atomic.write(str(folder / "file"), b"data", replace=replace)
    assert done == ["fsync part", "replace part" if replace else "link part", "fsync folder"]


def test_a_disk_that_fails_to_sync_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    atomic.write(str(folder / "file"), b"before")

    def fail(file: int) -> None:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=r"cannot write .*file: Input/output error"):
        atomic.write(str(folder / "file"), b"after")
    assert (folder / "file").read_bytes() == b"before"
    assert os.listdir(folder) == ["file"]


def test_who_can_be_told_to_allow_it_by_name_is_told(folder: Path) -> None:
    path = folder / "x"
    path.touch()
    path.chmod(0o640)
    with pytest.raises(StoreError, match=r"chmod 600$"):
        private.read(str(path), 1)
    with pytest.raises(StoreError, match=r"chmod 600, or allow it with --allow-readable"):
        private.read(str(path), 1, allow_readable=False)


def test_no_folder_of_anybody_else_is_used(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(StoreError, match="is a link"):
        private.check_private(str(tmp_path / "link"))
    private.check_private(str(tmp_path / "link"), follow=True)
    try:
        os.chown(folder, OTHER_USER, -1)
    except PermissionError:
        pytest.skip("only the superuser gives folders away")
    with pytest.raises(StoreError, match="belongs to another user"):
        private.check_private(str(folder))


def test_owners_and_rights_are_looked_at_in_one_place() -> None:
    """The kernels, which know nothing of the rest, have a rule of their own for their cache."""
    source = Path(private.__file__).parent.parent
    words = re.compile(r"st_uid|S_I[RWX](USR|GRP|OTH|WXG|WXO|WXU)|S_IMODE|st_mode & 0o")
    found = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if words.search(path.read_text())
    }
    assert found == {"_files/private.py", "_kernels/jit.py"}
