"""Which engine a benchmark runs, skipped by name if it is not installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.engines import Engine
from benchmarks.report import cpu_name

if TYPE_CHECKING:
    from pathlib import Path

    from hashmatch import HashList

    Folder = tuple[Path, HashList, set[tuple[str, str]]]


GATE_LINES = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Let pass what peers warn of, and nothing else."""
    config.stash[GATE_LINES] = []
    # faiss's generated wrapper, from Python 3.12 on.
    config.addinivalue_line(
        "filterwarnings",
        r"ignore:builtin type [sS]wig\w+ has no __module__ attribute:DeprecationWarning",
    )


@pytest.fixture
def gate_lines(pytestconfig: pytest.Config) -> list[str]:
    """Return the lines that say at the end what the gate found."""
    return pytestconfig.stash[GATE_LINES]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what the gate found, and on what."""
    if config.stash[GATE_LINES]:
        terminalreporter.section(f"gate on {cpu_name()}")
        for line in config.stash[GATE_LINES]:
            terminalreporter.write_line(line)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    """Return the engine that is asked for by an indirect parameter."""
    asked = request.param
    assert isinstance(asked, Engine)
    for module in asked.needs:
        pytest.importorskip(module, reason=f"{asked} needs {module}, which is not installed")
    return asked


@pytest.fixture(scope="session")
def drawn_folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """Return a folder of drawn JPEGs, a list, and the (file, entry) pairs that match."""
    from benchmarks.workloads import draw_folder

    folder = tmp_path_factory.mktemp("pictures")
    known, expected = draw_folder(folder)
    return folder, known, expected
