"""`hashmatch warm` leaves nothing to compile to whoever comes after it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import hashmatch as hm
from cli_tools import IMAGES, LISTS, run
from hashmatch import registry, warming
from hashmatch._kernels.cache import Kept, used

JIT = not os.environ.get("NUMBA_DISABLE_JIT")


def test_after_it_nothing_is_compiled_any_more() -> None:
    warmed = hm.warm()
    assert warmed.folders or not JIT
    before = len(used)
    algorithms = registry.names(registry.HASHERS)
    pixels = [name for name in algorithms if registry.hasher(name).reads == "pixels"]
    for path in sorted(path for path in IMAGES.rglob("*") if path.is_file()) if JIT else ():
        for algorithm in pixels:
            hm.hash_image(path, algorithm, orientations=True)
        hm.hash_all(path, algorithms, variants="thorough")
    for name in ("demo-pdq.csv", "demo-pdq.txt"):
        known = hm.read_list(LISTS / name)
        for limit in (0, 5, known.spec.bits):
            hm.Matcher(known, max_distance=limit).look_up(known.hashes[:2])
            hm.HashIndex.build(known, max_distance=limit).search(known.hashes[:2], limit)
    assert [kept for kept in used[before:] if kept.is_new] == []
    assert hm.warm().compiled == 0


def test_the_command_says_where_kernels_are_kept() -> None:
    hm.warm()
    ran = run("warm")
    assert (ran.code, ran.err) == (0, b"")
    first, *folders = ran.out.decode().splitlines()
    assert first.startswith("Nothing left to compile")
    for line in folders:
        assert Path(line.removeprefix("kept in ")).is_dir()


def test_what_cannot_be_kept_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the building of an image nobody would see it otherwise."""
    from click.testing import CliRunner

    from hashmatch.cli import main

    monkeypatch.setattr(warming, "warm", lambda: warming.Warmed(3, (), is_kept=False, seconds=1.0))
    done = CliRunner().invoke(main, ["warm"])
    assert done.exit_code == 2
    assert "NUMBA_CACHE_DIR" in done.output


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_it_counts_what_it_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path("/kept/here")
    monkeypatch.setattr("hashmatch._kernels.cache.used", found := [Kept(folder, is_new=True)])
    monkeypatch.setattr(warming, "_hash", lambda names: found.append(Kept(folder, is_new=True)))
    monkeypatch.setattr(warming, "_search", lambda *_: found.append(Kept(None, is_new=False)))
    warmed = warming.warm()
    assert (warmed.compiled, warmed.folders, warmed.is_kept) == (1, (folder,), False)
