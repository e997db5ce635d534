"""Compiled kernels are kept in the first place that can be written and is nobody else's."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from hashmatch._kernels.jit import CacheFolders, cache_folders, is_private


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of sources, with a home, a cache and a folder for temporary files of its own.

    All lie in a private folder: what is above the test's own is not the test's to judge.
    """
    for name in ("site/kernels", "home", "xdg", "tmp"):
        (tmp_path / name).mkdir(parents=True, mode=0o755)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    cache_folders.cache_clear()
    return tmp_path / "site/kernels"


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """Return a set of folders in and below which nothing can be made: for root, too."""
    folders: set[Path] = set()
    mkdir, temporary = Path.mkdir, tempfile.TemporaryFile

    def refuses(folder: Path) -> bool:
        return not folders.isdisjoint({folder, *folder.parents})

    def guarded_mkdir(folder: Path, *args: Any, **options: Any) -> None:
        if refuses(folder) and not folder.exists():
            raise PermissionError(13, "read-only")
        mkdir(folder, *args, **options)

    def guarded_temporary(*args: Any, dir: Path, **options: Any) -> Any:
        if refuses(dir):
            raise PermissionError(13, "read-only")
        return temporary(*args, dir=dir, **options)

    monkeypatch.setattr(Path, "mkdir", guarded_mkdir)
    monkeypatch.setattr(tempfile, "TemporaryFile", guarded_temporary)
    return folders


def below(tmp_path: Path, found: CacheFolders) -> list[str]:
    """Where kernels are read from, and last where they are written, as the folders' first names."""
    folders = [*found.read, found.write]
    return [str(f.relative_to(tmp_path)).split("/")[0] if f else "nowhere" for f in folders]


def test_beside_the_package_and_nowhere_else(tmp_path: Path, package: Path) -> None:
    assert cache_folders(package) == CacheFolders(
        (package / "__pycache__",), package / "__pycache__"
    )
    assert {path.name for path in tmp_path.rglob("*")} == {
        "site", "kernels", "__pycache__", "home", "xdg", "tmp",
    }  # fmt: skip


def test_the_folder_that_was_chosen_comes_first(tmp_path: Path, package: Path) -> None:
    assert below(tmp_path, cache_folders(package, str(tmp_path / "chosen"))) == ["chosen", "chosen"]


def test_one_place_after_the_other(
    tmp_path: Path, package: Path, read_only: set[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> list[str]:
        cache_folders.cache_clear()
        return below(tmp_path, cache_folders(package, str(tmp_path / "chosen")))

    read_only.add(tmp_path / "chosen")
    read_only.add(package)
    assert found() == ["xdg", "xdg"]
    (package / "__pycache__").touch()  # no folder
    assert found() == ["xdg", "xdg"]
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # is to be ignored, says its specification
    assert found() == ["home", "home"]
    read_only.add(tmp_path / "home")
    assert found() == ["home", "tmp", "tmp"]  # what was kept there may be read still
    read_only |= {tmp_path, Path("/tmp"), Path("/var/tmp")}
    cache_folders.cache_clear()
    assert cache_folders(package).write is None


def test_a_read_only_package_is_still_read(
    tmp_path: Path, package: Path, read_only: set[Path]
) -> None:
    (package / "__pycache__").mkdir()
    read_only.add(package)
    assert below(tmp_path, cache_folders(package)) == ["site", "xdg", "xdg"]


def test_a_user_without_a_home_leaves_no_tilde_behind(
    tmp_path: Path, package: Path, read_only: set[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_only.add(package)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does without one
    monkeypatch.chdir(tmp_path)
    assert below(tmp_path, cache_folders(package)) == ["tmp", "tmp"]
    assert not (tmp_path / "~").exists()


def test_a_folder_that_others_can_write_to_is_refused(
    tmp_path: Path, package: Path, read_only: set[Path]
) -> None:
    read_only.add(package)
    first = cache_folders(package).write
    assert first is not None
    assert first.stat().st_mode & 0o777 == 0o700
    for mode in (0o770, 0o707, 0o777, 0o1777):  # sticky does not keep others from adding files
        first.chmod(mode)
        cache_folders.cache_clear()
        assert below(tmp_path, cache_folders(package)) == ["tmp", "tmp"]
    first.chmod(0o755)
    cache_folders.cache_clear()
    assert cache_folders(package).write == first


def test_a_folder_that_others_could_replace_is_refused(tmp_path: Path) -> None:
    above, folder = tmp_path / "above", tmp_path / "above/own"
    folder.mkdir(mode=0o700, parents=True)
    assert is_private(folder)
    above.chmod(0o777)
    assert not is_private(folder)
    above.chmod(0o1777)  # as /tmp is
    assert is_private(folder)


def test_a_link_and_a_file_are_no_private_folders(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "file").touch(mode=0o600)
    assert is_private(tmp_path / "folder")
    assert not is_private(tmp_path / "link")
    assert not is_private(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(
    tmp_path: Path, package: Path, read_only: set[Path]
) -> None:
    read_only.add(package)
    first = cache_folders(package).write
    assert first is not None
    for squatted in (first, first.parent):
        os.chown(squatted, 54321, 54321)
        cache_folders.cache_clear()
        assert below(tmp_path, cache_folders(package)) == ["tmp", "tmp"]
        os.chown(squatted, 0, 0)
