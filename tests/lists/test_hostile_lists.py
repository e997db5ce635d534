"""Files made to break readers: nothing is lost, nothing is shown, nothing is held."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from conftest import ROOT
from hostile_lists import FORMATS, HostileFile, files, long_parts, of

if TYPE_CHECKING:
    from pathlib import Path

FILES = files()
LIMIT = 300  # MB, of which the interpreter and its packages take about 60


def in_chain(error: BaseException | None) -> str:
    """Return all that a traceback of `error` would say, but for its lines of code."""
    said = ""
    while error is not None:
        said += f"{error!r} {error}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return said


def test_the_files_are_500_and_of_every_format() -> None:
    assert len(FILES) == 500
    assert set(Counter(file.format for file in FILES)) == set(FORMATS)


def read(path: Path, format: str | None) -> tuple[hm.ListFile | None, str]:
    """Return what was read and "", or None and what the error says; no other error is let by."""
    try:
        return hm.read_list_file(path, hm.ListFormat(reader=format)), ""
    except hm.HashmatchError as error:
        line, said = str(error), in_chain(error)
    assert "\n" not in line
    return None, said


def check(file: HostileFile, path: Path) -> None:
    path.write_bytes(file.data)
    found, said = read(path, file.format)
    if found is None:
        assert file.refused or not (file.kept or file.bad or file.maybe), (file.name, said)
    else:
        kept = {
            hash
            for known in found.lists
            for hash in (known.hashes if known.videos is None else known.videos.hashes).to_hex()
        }
        assert kept == file.kept, file.name
        lines = {row.line for row in found.rejected}
        if not file.refused:
            assert file.bad <= lines <= file.bad | file.maybe, (file.name, found.rejected)
        assert set(found.types) <= {of(file.format)}, file.name
        assert all(row.reason and "\n" not in row.reason for row in found.rejected), file.name
        said = " ".join(row.reason for row in found.rejected) + repr(found)
    assert not any(secret[:12] in said.lower() for secret in file.secrets), file.name


@pytest.mark.parametrize("part", range(10))
def test_every_good_row_is_kept_and_every_bad_one_reported(tmp_path: Path, part: int) -> None:
    for file in FILES[part * 50 : part * 50 + 50]:
        check(file, tmp_path / "list")


@pytest.mark.parametrize("part", range(10))
def test_detecting_them_raises_nothing_else(tmp_path: Path, part: int) -> None:
    for file in FILES[part * 50 : part * 50 + 50]:
        (tmp_path / "list").write_bytes(file.data)
        _, said = read(tmp_path / "list", None)
        assert not any(secret[:12] in said for secret in file.secrets), file.name


def read_aside(path: Path, format: str) -> tuple[int, set[str], list[int]]:
    """Read in a fresh process; return its peak in MB, the hashes it kept and the lines it named."""
    code = (
        "import sys, hashmatch as hm\n"
        "found = hm.read_list_file(sys.argv[1], hm.ListFormat(reader=sys.argv[2]))\n"
        # Not ru_maxrss, which begins at what the process had that started this one.
        "print(*(int(line.split()[1]) // 1024 for line in open('/proc/self/status')"
        " if line.startswith('VmHWM')))\n"
        "print(*(hash for known in found.lists for hash in known.hashes.to_hex()))\n"
        "print(*(row.line for row in found.rejected))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(path), format],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    peak, kept, lines = run.stdout.split("\n")[:3]
    return int(peak), set(kept.split()), [int(line) for line in lines.split()]


def long_file(path: Path, format: str, size: int) -> tuple[frozenset[str], int]:
    before, filling, after, kept, line = long_parts(format, size)
    with path.open("wb") as file:
        file.write(before)
        for _ in range(size // len(filling)):
            file.write(filling)
        file.write(after)
    return kept, line


@pytest.mark.parametrize(
    "format",
    [
        name
        if name in {"pdq-text", "stopncii-json"}
        else pytest.param(name, marks=pytest.mark.slow)
        for name in FORMATS
    ],
)
def test_a_line_of_200_mb_is_one_bad_row(tmp_path: Path, format: str) -> None:
    kept, line = long_file(tmp_path / "list", format, 200 << 20)
    peak, found, lines = read_aside(tmp_path / "list", format)
    assert (found, lines) == (set(kept), [line])
    assert peak < LIMIT
