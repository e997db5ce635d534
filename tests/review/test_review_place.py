"""The place of a queue in a file: nobody else may be able to put another in its place."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from hashmatch.errors import ReviewError
from hashmatch.review.queue import ReviewQueue

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "queues"
    folder.mkdir(mode=0o700)
    return folder


def opens(path: Path, *, create: bool = False) -> None:
    with ReviewQueue.open(str(path), create=create):
        pass


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o720, 0o702], ids=oct)
def test_a_folder_that_others_can_write_to_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(ReviewError, match=r"changed by others.*or put the queue into a folder"):
        opens(folder / "queue.db", create=True)
    assert os.listdir(folder) == []
    folder.chmod(0o700)
    opens(folder / "queue.db", create=True)
    folder.chmod(mode)
    with pytest.raises(ReviewError, match="changed by others"):
        opens(folder / "queue.db")


def test_a_folder_that_others_can_read_will_do(folder: Path) -> None:
    folder.chmod(0o755)
    opens(folder / "queue.db", create=True)
    assert stat.S_IMODE((folder / "queue.db").stat().st_mode) == 0o600


def test_both_ends_of_a_link_are_looked_at(folder: Path, tmp_path: Path) -> None:
    opens(folder / "queue.db", create=True)
    place = tmp_path / "links"
    place.mkdir(mode=0o700)
    (place / "queue.db").symlink_to(folder / "queue.db")
    opens(place / "queue.db")
    for one in (place, folder):
        one.chmod(0o777)
        with pytest.raises(ReviewError, match=f"{one.name}: it can be changed by others"):
            opens(place / "queue.db")
        one.chmod(0o700)


@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
def test_a_log_of_others_beside_it_is_refused(folder: Path, end: str) -> None:
    opens(folder / "queue.db", create=True)
    beside = folder / f"queue.db{end}"
    beside.write_bytes(b"")
    beside.chmod(0o666)
    with pytest.raises(ReviewError, match=f"{end}: it can be changed by others"):
        opens(folder / "queue.db")
    beside.unlink()
    beside.symlink_to("elsewhere")
    with pytest.raises(ReviewError, match="is a link"):
        opens(folder / "queue.db")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_refused(folder: Path) -> None:
    opens(folder / "queue.db", create=True)
    os.chown(folder, 12345, -1)
    with pytest.raises(ReviewError, match="belongs to another user"):
        opens(folder / "queue.db")
