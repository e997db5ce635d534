"""Mapped files are kept in huge pages, where the system has them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from hashmatch._files.block_format import Description
from hashmatch._files.block_reader import open_blocks
from hashmatch._files.block_writer import FileArena, write_built
from hashmatch._files.huge_pages import SIZE
from hashmatch.records.hashes import HashSpec

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not Path("/sys/kernel/mm/transparent_hugepage").exists(),
    reason="this system has no huge pages",
)


def asks_for_huge_pages(folder: Path) -> bool:
    """Return whether every mapping of a file below a folder has the flag (proc_pid_smaps(5))."""
    found, is_ours = [], False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            is_ours = str(folder) in line
        elif is_ours and name == "VmFlags:":
            found.append("hg" in rest.split())
    assert found
    return all(found)


def test_an_index_is_written_and_read_in_huge_pages(tmp_path: Path) -> None:
    while_written = []

    def build(arena: FileArena) -> tuple[Description, list[str]]:
        arena.new((SIZE,), np.uint8)[:] = 7
        while_written.append(asks_for_huge_pages(tmp_path))
        return Description(HashSpec("phash", 64), "demo/1", None, "0.1.0"), ["rows"]

    path = tmp_path / "index"
    write_built(path, build)
    assert while_written == [True]
    opened = open_blocks(path)
    assert asks_for_huge_pages(tmp_path)
    assert (opened.blocks["rows"] == 7).all()
