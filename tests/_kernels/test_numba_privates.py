"""Parts of numba that are not public may go or fail: kernels run all the same, and it is said once.

Each case is a process of its own: numba is changed before anything of ours is imported.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cli_tools import environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    bool(os.environ.get("NUMBA_DISABLE_JIT")), reason="there is no cache without the JIT"
)

SOURCE = """
from hashmatch._kernels.jit import kernel

@kernel
def doubled(value):
    return value + value

@kernel
def quadrupled(value):
    return doubled(doubled(value))
"""

CALLED = """
import doubling
kernels = doubling.doubled, doubling.quadrupled
print("answer", doubling.quadrupled(3), sum(k.stats.cache_misses.total() for k in kernels))
"""

RENAMED = """
import importlib.machinery, re, sys

NAMES = re.compile(rb"\\b(" + "|".join(sys.argv[1:]).encode() + rb")\\b")

class Renamed(importlib.machinery.SourceFileLoader):
    def get_code(self, name):
        source = self.get_data(self.path)
        if not NAMES.search(source):
            return super().get_code(name)
        return compile(NAMES.sub(rb"\\1_then", source), self.path, "exec")

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if not name.startswith("numba"):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = Renamed(name, spec.origin)
        return spec

sys.meta_path.insert(0, Finder)
"""

BROKEN = """
import os, sys, tempfile
import numba.core.caching, numba.core.ccallback, numba.core.dispatcher

def fails(*args, **options):
    raise OSError(13, "not to be written") if how == "unwritable" else RuntimeError("it changed")

for line in sys.stdin:
    how, *paths = line.split()
    print("case", line.strip(), flush=True)
    child = os.fork()
    if not child:
        break
    assert os.waitpid(child, 0)[1] == 0
else:
    os._exit(0)
os.dup2(1, 2)
if sys.argv[1:]:  # nothing was kept before
    numba.config.CACHE_DIR = os.path.join(sys.argv[1], line.strip())
for path in paths:
    module, path = path.split(":")
    *owners, name = path.split(".")
    owner = sys.modules[module]
    for each in owners:
        owner = getattr(owner, each)
    if how == "deleted":
        delattr(owner, name)
    else:
        setattr(owner, name, fails)
"""

NEEDED = [
    "numba.core.caching:IndexDataCacheFile",
    "numba.core.caching:IndexDataCacheFile.flush",
    "numba.core.caching:IndexDataCacheFile.load",
    "numba.core.caching:IndexDataCacheFile.save",
    "numba.core.codegen:CPUCodegen.magic_tuple",
    "numba.core.compiler:CompileResult._rebuild",
    "numba.core.compiler:CompileResult._reduce",
]
OTHERS_NEEDED = "load_overload", "cache_path", "magic_tuple", "has_dynamic_globals", "_reduce"
NOT_NEEDED = [
    "numba.core.caching:_CacheLocator",
    "numba.core.caching:CompileResultCacheImpl",
    "numba.core.caching:FunctionCache",
    "numba.core.caching:Cache._index_key",
    "numba.core.caching:Cache._load_overload",
    "numba.core.caching:Cache._save_overload",
    "numba.core.dispatcher:Dispatcher.enable_caching",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "doubling.py").write_text(SOURCE)
    return tmp_path


def printed(folder: Path, code: str, *arguments: str, given: str = "") -> str:
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + CALLED, *arguments],
        input=given, text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=environment(PYTHONPATH=path, HOME=str(folder), NUMBA_CACHE_DIR=""),
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    return run.stdout


@pytest.mark.parametrize(
    "name",
    [
        "_cache",
        "IndexDataCacheFile",
        "_rebuild",
        *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS_NEEDED),
    ],
)
def test_a_name_that_another_numba_has_not(folder: Path, name: str) -> None:
    """All of numba has the other name; its own cache then finds what it kept."""
    for compiled in (2, 0) if name in {"_cache", "magic_tuple"} else (2,):
        warning, answer = printed(folder, RENAMED, name).splitlines()
        assert answer == f"answer 12 {compiled}"
        assert re.match(r"numba [\d.]+ lacks a part that keeps compiled kernels \(", warning)
        assert name in warning
        assert "kernels may be compiled again" in warning


def test_other_names_of_its_cache_are_its_own_matter(folder: Path) -> None:
    names = [re.split(r"[.:]", path)[-1] for path in NOT_NEEDED]
    for compiled in (2, 0):
        assert printed(folder, RENAMED, *names) == f"answer 12 {compiled}\n"


def cases(folder: Path, lines: list[str], *, is_kept: bool = False) -> dict[str, list[str]]:
    """Return what is printed after each change; numba is imported once for all of them."""
    said: dict[str, list[str]] = {}
    arguments = [] if is_kept else [str(folder)]
    for line in printed(folder, BROKEN, *arguments, given="\n".join(lines)).splitlines():
        if line.startswith("case "):
            said[line[5:]] = case = []
        else:
            case.append(line)
    return said


WHEN_KEPT = [path for path in NEEDED if path.endswith((".load", ".magic_tuple", "._rebuild"))]
"""What is needed to read a kernel that is kept."""
HOW = itertools.cycle(["deleted", "raising", "raising", "deleted"])  # every other one: each once
CHANGES = {
    is_kept: [f"{next(HOW)} {path}" for path in paths for _ in range(2)]
    for is_kept, paths in ((False, NEEDED), (True, WHEN_KEPT))
}
CHANGES[False].remove("raising numba.core.compiler:CompileResult._rebuild")  # nothing to be read


@pytest.mark.parametrize("is_kept", [False, True])
@pytest.mark.parametrize(
    "part", [slice(0, None, 2), pytest.param(slice(1, None, 2), marks=pytest.mark.slow)]
)
def test_what_goes_or_fails_is_said_once_and_costs_no_answer(
    folder: Path, part: slice, is_kept: bool
) -> None:
    if is_kept:
        assert printed(folder, "") == "answer 12 2\n"
    said = cases(folder, CHANGES[is_kept][part], is_kept=is_kept)
    for line, (warning, answer) in said.items():
        assert answer.startswith("answer 12 "), line
        assert "lacks a part that keeps compiled kernels" in warning, line
    assert list(said) == CHANGES[is_kept][part]


def test_what_is_not_needed_may_fail(folder: Path) -> None:
    """All of it at once: whatever is called fails."""
    (said,) = cases(folder, [f"raising {' '.join(NOT_NEEDED)}"]).values()
    assert said == ["answer 12 2"]


def test_without_a_folder_to_write_to(folder: Path) -> None:
    said = cases(folder, ["unwritable tempfile:TemporaryFile"])
    (((warning, answer)),) = said.values()
    assert answer == "answer 12 2"
    assert warning.startswith("compiled kernels cannot be kept")
