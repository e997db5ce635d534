"""Kernels that were compiled once are found again, by anyone who may run them."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cli_tools import environment
from hashmatch._kernels import jit
from hashmatch._kernels.jit import cache_folders, kernel
from processes import PATIENCE, Process

if TYPE_CHECKING:
    from collections.abc import Iterator
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


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    cache_folders.cache_clear()
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)  # whoever runs the tests may have set it
    monkeypatch.setattr("numba.config.CACHE_DIR", "")
    (tmp_path / "doubling.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(jit, "_warned", set())
    yield tmp_path
    sys.modules.pop("doubling", None)


def fresh(package: Path) -> Any:
    """The kernel as a process that has just started sees it."""
    sys.modules.pop("doubling", None)
    module = importlib.import_module("doubling")
    assert module.__file__ == str(package / "doubling.py")
    return module.doubled


def was_compiled(function: Any, value: Any) -> bool:
    before = function.stats.cache_misses.total()
    assert (function(value) == value + value).all()
    return bool(function.stats.cache_misses.total() - before)


def files(package: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in package.rglob("*.nb?")}


def test_a_kernel_is_compiled_once(package: Path) -> None:
    first = fresh(package)
    assert was_compiled(first, np.arange(3))
    kept = files(package)
    assert len(kept) == 2
    second = fresh(package)
    assert not was_compiled(second, np.arange(3))
    assert files(package) == kept


def test_who_waits_for_a_kernel_can_read_for_what_and_how_long(
    package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "hashmatch.kernels")
    fresh(package)
    for _ in range(2):
        assert sys.modules["doubling"].quadrupled(3) == 12
    begun, ended = caplog.records  # nothing of the kernel that it calls, nor of the second call
    assert begun.getMessage() == "compiling kernel doubling.quadrupled for this processor"
    assert re.fullmatch(r"compiled kernel doubling.quadrupled in \d+\.\d s", ended.getMessage())
    assert {record.levelname for record in caplog.records} == {"INFO"}


def test_each_signature_has_files_of_its_own(package: Path) -> None:
    """Of two processes at once, neither may change what the other writes down."""
    whole, part = fresh(package), fresh(package)
    for function, value in ((whole, np.arange(3)), (part, np.arange(3.0))):
        before = files(package)
        assert was_compiled(function, value)
        assert before.items() < files(package).items()
    again = fresh(package)
    assert not was_compiled(again, np.arange(3))
    assert not was_compiled(again, np.arange(3.0))


def test_a_new_version_of_the_source_is_compiled(package: Path) -> None:
    assert was_compiled(fresh(package), np.arange(3))
    (package / "doubling.py").write_text(SOURCE + "\n\n# another one\n")
    assert was_compiled(fresh(package), np.arange(3))


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_file_cut_short_is_made_anew(package: Path, keep: int) -> None:
    assert was_compiled(fresh(package), np.arange(3))
    for path in package.rglob("*.nb?"):
        whole = path.read_bytes()
        path.write_bytes(whole[:keep])
        assert was_compiled(fresh(package), np.arange(3))
        assert not was_compiled(fresh(package), np.arange(3))


def test_what_cannot_be_written_may_be_read(
    package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert was_compiled(fresh(package), np.arange(3))
    kept = files(package)

    def refusing(*args: object, **options: object) -> None:
        raise PermissionError(13, "read-only")

    monkeypatch.setattr(tempfile, "TemporaryFile", refusing)
    cache_folders.cache_clear()
    doubled = fresh(package)
    assert not was_compiled(doubled, np.arange(3))
    assert doubled.stats.cache_path == str(package / "__pycache__")
    assert not caplog.messages
    for value in (np.arange(3.0), np.arange(3, dtype=np.uint8)):
        assert was_compiled(doubled, value)
        assert doubled.stats.cache_path is None
    assert [message[:30] for message in caplog.messages] == ["compiled kernels cannot be kep"]
    assert "NUMBA_CACHE_DIR" in caplog.text
    assert "hashmatch warm" in caplog.text
    assert files(package) == kept


def test_a_full_disk_is_no_error(
    package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    doubled = fresh(package)
    assert was_compiled(doubled, np.arange(3))
    assert doubled.stats.cache_path is None
    assert "No space left on device" in caplog.text


def test_what_comes_from_no_file_is_compiled_for_this_process() -> None:
    seven: Any = eval("lambda: 7")
    assert kernel(seven)() == 7


def test_what_closes_over_a_value_is_compiled_for_this_process() -> None:
    """Its file and line do not say what it does."""

    def adds(number: int) -> Any:
        @kernel
        def add(value: int) -> int:
            return value + number

        return add

    assert [adds(number)(1) for number in (1, 2)] == [2, 3]
    assert adds(3).stats.cache_path is None


CALL = """
import sys
sys.path.insert(0, "{folder}")
import numpy as np
from doubling import doubled
assert doubled(np.arange(4, dtype=np.{kind})).tolist() == [0, 2, 4, 6]
print(doubled.stats.cache_misses.total())
"""


def started(package: Path, kind: str, **env: str) -> Process:
    code = CALL.format(folder=package, kind=kind)
    return Process(
        [sys.executable, "-W", "error", "-c", code],
        stdout=subprocess.PIPE, text=True, env=environment(**env),
    )  # fmt: skip


def printed(process: Process) -> str:
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    return str(out).strip()


def test_processes_may_start_cold_together(package: Path) -> None:
    kinds = ["int64", "float64", "uint8", "int64"]
    for process in [started(package, kind) for kind in kinds]:
        printed(process)
    assert printed(started(package, "int64")) == "0"
    again = fresh(package)
    for kind in kinds[:3]:
        doubled = again(np.arange(4, dtype=kind))
        assert doubled.tolist() == [0, 2, 4, 6]
    assert not again.stats.cache_misses.total()


def test_code_for_another_processor_is_not_used(package: Path) -> None:
    assert was_compiled(fresh(package), np.arange(4, dtype=np.uint8))
    assert printed(started(package, "uint8", NUMBA_CPU_NAME="generic")) == "1"
    assert printed(started(package, "uint8", NUMBA_CPU_NAME="generic")) == "0"
    assert not was_compiled(fresh(package), np.arange(4, dtype=np.uint8))


def test_numba_s_own_setting_names_the_folder(package: Path) -> None:
    chosen = package / "chosen"
    assert printed(started(package, "uint8", NUMBA_CACHE_DIR=str(chosen))) == "1"
    assert {path.parts[len(package.parts)] for path in package.rglob("*.nb?")} == {"chosen"}
    assert printed(started(package, "uint8", NUMBA_CACHE_DIR=str(chosen))) == "0"
