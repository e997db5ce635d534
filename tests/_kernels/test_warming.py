"""`hashmatch warm` leaves nothing to compile to whoever comes after it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import ROOT
from hashmatch import warmup

JIT = not os.environ.get("NUMBA_DISABLE_JIT")


WARM_AND_WORK = """
import pathlib, sys
import hashmatch as hm
import kernel_work
from hashmatch._kernels.jit import kernels
hm.warm()
before = [kernel.signatures for kernel in kernels]
kernel_work.do_everything(pathlib.Path(sys.argv[1]))
assert [kernel.signatures for kernel in kernels] == before
from hashmatch.cli import main
main(["warm"])
"""


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_after_it_no_kernel_is_new_to_the_process(tmp_path: Path) -> None:
    """In a process of its own: what other tests compile or load would hide what it forgets.

    The command then says that nothing is left, and where kernels are kept.
    """
    path = [str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    command = [sys.executable, "-W", "error", "-c", WARM_AND_WORK, str(tmp_path)]
    ran = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    first, *folders = ran.stdout.splitlines()
    assert first.startswith("Nothing left to compile")
    assert folders
    for line in folders:
        assert Path(line.removeprefix("kept in ")).is_dir()


def test_what_cannot_be_kept_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the building of an image nobody would see it otherwise."""
    from click.testing import CliRunner

    from hashmatch.cli import main

    monkeypatch.setattr(warmup, "warm", lambda: warmup.Warmed(3, (), is_kept=False, seconds=1.0))
    done = CliRunner().invoke(main, ["warm"])
    assert done.exit_code == 2
    assert "NUMBA_CACHE_DIR" in done.output


@pytest.mark.skipif(not JIT, reason="nothing is compiled")
def test_it_counts_what_it_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    def used(kernel: str, path: str | None) -> SimpleNamespace:
        stats = SimpleNamespace(cache_misses=Counter(), cache_path=path)
        return SimpleNamespace(name=kernel, stats=stats, signatures=["()"])

    kernels = {name: used(name, "/kept/here") for name in ("old", "hash", "search")}
    kernels["search"].stats.cache_path = None
    kernels["never called"] = SimpleNamespace(
        stats=SimpleNamespace(cache_misses=Counter(), cache_path=None), signatures=[]
    )
    kernels["old"].stats.cache_misses["()"] = 1
    monkeypatch.setattr("hashmatch._kernels.jit.kernels", list(kernels.values()))
    monkeypatch.setattr(
        warmup, "_hash", lambda names: kernels["hash"].stats.cache_misses.update(["()"])
    )
    monkeypatch.setattr(warmup, "_hash_frames", lambda: None)
    monkeypatch.setattr(warmup, "_search", lambda *_: None)
    warmed = warmup.warm()
    assert (warmed.compiled, warmed.folders, warmed.is_kept) == (1, (Path("/kept/here"),), False)
