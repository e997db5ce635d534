"""What the tests share: the fixtures, real photographs, and hypothesis without a clock."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

import processes
from review_queues import clock, make_queue, postgres, where  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from collections.abc import Iterator

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
"""Whether kernels are compiled; what they are compiled from is slow, and so is tried less."""

EXAMPLES = 60 if JIT else 15
settings.register_profile("hashmatch", deadline=None, derandomize=True, max_examples=EXAMPLES)
settings.load_profile("hashmatch")

ROOT = Path(__file__).parent.parent
FIXTURES = ROOT / "fixtures"
IMAGES = FIXTURES / "images"
LISTS = FIXTURES / "lists"

# The examples in docstrings name fixtures from the top of the repository.
os.chdir(ROOT)


def golden(name: str) -> Any:
    """Return what fixtures/golden holds under `name`."""
    return json.loads((FIXTURES / "golden" / f"{name}.json").read_text())


def photograph(key: str) -> Path:
    """Return the path of a photograph that scikit-image or scikit-learn ships, by golden key."""
    package, _, name = key.partition("/")
    folder = {"skimage": "data", "sklearn": "datasets/images"}[package]
    spec = find_spec(package)  # found, not imported: the packages themselves are slow
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / folder / name


PHOTOGRAPHS = sorted(golden("photographs"))


def pytest_xdist_auto_num_workers() -> int:
    """Run more tests at once than there are processors: many wait for servers and processes."""
    return 2 * len(os.sched_getaffinity(0))


def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Compile what is not, kernels and tests, before several processes do so at once."""
    commands: list[list[str]] = []
    if JIT:
        commands.append(["hashmatch", "warm"])
    if not sys.dont_write_bytecode:
        commands.append(["pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *config.args])
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for command in commands
    ]
    for process in started:
        process.wait()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--canaries``, see tests/canary_watch.py."""
    parser.addoption("--canaries", action="store_true", help="fail tests that show a list's hash")


MEMORY = "/dev/shm"


def pytest_configure(config: pytest.Config) -> None:
    """Keep files in memory where there is enough; watch everything, at DEBUG, if asked for that.

    Tests kill processes and never the machine, so that waiting for a disk would show nothing. Slow
    tests make files that are too large for it.
    """
    fits = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 4 << 30
    if fits and "slow" not in config.option.markexpr:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)
    if config.option.canaries:
        from canary_watch import CanaryWatch

        config.option.log_level = "DEBUG"
        config.pluginmanager.register(CanaryWatch())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave slow tests, and those of other engines, out unless they are asked for by name."""
    for mark in ("slow", "engines"):
        if mark not in config.option.markexpr:
            left_out = [item for item in items if item.get_closest_marker(mark)]
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish() -> None:
    """Leave what was collected, which lives to the end, out of every later garbage collection."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Fail the last test of a file that leaves variables changed which an interpreter reads.

    No process of a later test could be forked (see `processes`): each took a second more.
    """
    yield
    left = processes.changed_at_start(os.environ)
    if left and (nextitem is None or nextitem.path != item.path):
        for name in left:
            os.environ.pop(name, None)
            if name in processes.ENVIRONMENT:
                os.environ[name] = processes.ENVIRONMENT[name]
        pytest.fail(f"{item.path.name} leaves changed: {', '.join(sorted(left))}")


@pytest.fixture
def demo_list() -> Path:
    """Return the path of the demo list."""
    return LISTS / "demo-pdq.csv"
