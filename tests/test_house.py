"""The house keeps its own rules: light imports, documented names, running examples."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from contextlib import suppress
from enum import Enum
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from conftest import ROOT
from documents import EVERYTHING
from hashmatch import errors
from hashmatch.records import images
from processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(hm.__path__, "hashmatch.")
    if not module.name.endswith("__main__")
)


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh Python holds after `code`."""
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.partition(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import hashmatch", {"numba", "scipy", "imagehash", "numpy", "PIL", "rich", "msgspec"}),
        (
            "import hashmatch; hashmatch.Matcher; hashmatch.read_list",
            {"numba", "scipy", "imagehash"},
        ),
        ("import hashmatch.cli", {"numba", "scipy", "imagehash", "numpy", "PIL", "rich"}),
        ("import hashmatch; hashmatch.hash_image(b'', 'pdq')", {"numba", "scipy", "imagehash"}),
    ],
)
def test_imports_are_light(code: str, heavy: set[str]) -> None:
    assert not loaded_by(code) & heavy


def test_public_names_are_sorted_and_all_there() -> None:
    assert hm.__all__ == sorted(hm.__all__)
    assert set(hm.__all__) <= set(dir(hm))
    for name in hm.__all__:
        value = getattr(hm, name)
        assert value.__module__.startswith("hashmatch."), name
        assert inspect.getdoc(value), name
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = hm.nope  # type: ignore[attr-defined]


def test_the_version_is_the_one_installed() -> None:
    assert hm.__version__ == version("hashmatch")


def test_types_are_there_for_users() -> None:
    assert (Path(hm.__path__[0]) / "py.typed").is_file()


def test_no_public_name_is_also_a_module() -> None:
    """Importing a submodule would put it in the place of the name."""
    assert not {name.partition(".")[2] for name in MODULES} & set(hm.__all__)


@pytest.mark.parametrize("name", ["hashmatch", *MODULES])
def test_examples_run(name: str) -> None:
    module: ModuleType = importlib.import_module(name)
    options = doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
    assert doctest.testmod(module, optionflags=options).failed == 0


def taught() -> dict[str, object]:
    """Return what is exported, and what README, docs and the help of commands teach, by name."""
    texts = [EVERYTHING]
    texts += [path.read_text() for path in (ROOT / "src" / "hashmatch" / "cli").glob("*.py")]
    names = {f"hashmatch.{name}" for name in hm.__all__}
    for text in texts[:1]:
        for module, listed in re.findall(r"^from (hashmatch[.\w]*) import ([\w, ]+)$", text, re.M):
            names |= {f"{module}.{name.strip()}" for name in listed.split(",")}
    for text in texts:
        names |= set(re.findall(r"\b(hashmatch(?:\.[a-z_]\w*)+\.[A-Za-z]\w*)\(", text))
    found: dict[str, object] = {}
    for name in names - set(MODULES):
        value: object = hm
        for part in name.split(".")[1:]:
            module = f"{getattr(value, '__name__', '')}.{part}"
            value = importlib.import_module(module) if module in MODULES else getattr(value, part)
        found[name] = value
    return found


def public_callables() -> list[object]:
    found: list[object] = []
    for value in taught().values():
        found.append(value)
        if inspect.isclass(value):
            found += [
                member
                for key, member in vars(value).items()
                if not key.startswith("_") and inspect.isfunction(member)
            ]
            found += [
                getattr(value, key)
                for key, member in vars(value).items()
                if not key.startswith("_") and isinstance(member, classmethod)
            ]
    unique = {
        f"{getattr(one, '__module__', '')}.{getattr(one, '__qualname__', '')}": one
        for one in found
        if callable(one)
    }
    return [unique[name] for name in sorted(unique)]


@pytest.mark.parametrize("value", public_callables(), ids=lambda v: getattr(v, "__qualname__", v))
def test_documented_parameters_are_those_of_the_signature(value: object) -> None:
    text = inspect.getdoc(value) or ""
    section = re.search(r"Parameters\n-+\n(.*?)(\n\n\w+\n-+\n|\Z)", text, re.DOTALL)
    made = (
        vars(value).get("__init__", vars(value).get("__new__")) if inspect.isclass(value) else value
    )
    if inspect.isclass(value) and (made is None or issubclass(value, Enum)):
        return  # an error or a closed set: nobody gives it anything
    parameters = set(inspect.signature(value).parameters) - {"self", "cls"}  # type: ignore[arg-type]
    if section is None:
        assert not parameters or value in {hm.HashIndex, hm.Found, hm.RejectedRow, hm.ReviewQueue}
        return
    named = re.findall(r"^([*\w, ]+?) : ", section[1], re.MULTILINE)
    documented = {name.strip("* ") for line in named for name in line.split(",")}
    assert documented == parameters


def test_the_error_tree_is_the_one_drawn() -> None:
    everywhere = {**vars(errors), **vars(images)}
    drawn = set(re.findall(r"[├└│─ ]+(\w+)", errors.__doc__ or "")) & set(everywhere)
    defined = {
        name
        for name, value in everywhere.items()
        if inspect.isclass(value) and issubclass(value, hm.HashmatchError)
    }
    assert drawn | {"HashmatchError"} == defined


def imports_of(name: str) -> set[str]:
    """Return the modules of ours that a module imports: for types and inside functions too."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    found = set()
    for node in ast.walk(ast.parse(Path(spec.origin).read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            deeper = {f"{node.module}.{alias.name}" for alias in node.names} & set(MODULES)
            found |= deeper
            if len(deeper) < len(node.names):
                found.add(node.module)
    return found & set(MODULES)


def test_no_import_circle_exists_at_all() -> None:
    imports = {name: imports_of(name) - {name} for name in MODULES}
    while True:
        imported = set().union(*imports.values())
        outside = {name for name, others in imports.items() if not others or name not in imported}
        if not outside:
            break
        imports = {n: others - outside for n, others in imports.items() if n not in outside}
    assert {name: sorted(others) for name, others in imports.items()} == {}


def test_nothing_imports_the_root() -> None:
    """It names everything, so that whoever imported it would be in a circle."""
    for name in MODULES:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        for node in ast.walk(ast.parse(Path(spec.origin).read_text())):
            if isinstance(node, ast.Import):
                assert "hashmatch" not in {alias.name for alias in node.names}, name
            elif isinstance(node, ast.ImportFrom) and node.module == "hashmatch":
                assert {f"hashmatch.{alias.name}" for alias in node.names} <= set(MODULES), name


def test_few_files_lie_at_the_root() -> None:
    assert len(list(Path(hm.__path__[0]).glob("*.py"))) <= 10


def test_every_module_says_what_it_is_for() -> None:
    for name in MODULES:
        text = inspect.getdoc(importlib.import_module(name))
        assert text, name
        assert text.splitlines()[0].endswith((".", "?", ":")), name


def test_nothing_prints_or_pickles() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"^\s*print\(|import pickle|from pickle", text, re.MULTILINE), path


CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time", "time", "clock_gettime"}
CLOCKS |= {f"{name}_ns" for name in CLOCKS}
OF_NUMBERS = {"min", "max", "sum", "abs", "round", "float", "int", "sorted", "median", "mean"}
WAITS = {"wait", "join", "result", "acquire", "alarm", "communicate", "set_default_timeout"}
WITH_TIMEOUT = WAITS | {"run", "Popen", "check_output", "get", "create_connection"}
WITH_TIMEOUT |= {"HTTPConnection", "HTTPSConnection"}
MAY: dict[tuple[str, str], str] = {
    ("processes.py", "wait_for"): "gives up after PATIENCE",
    ("test_cli_completion.py", "seen"): "gives up after PATIENCE",
    ("test_page_connections.py", "quickest"): "asks up to twenty times, and one has to be quick",
    ("worker_hooks.py", "nap"): "is there to do hardly anything, again and again",
    ("test_house.py", "test_such_assertions_are_found"): "shows what must not be",
}
"""What may look at a clock or wait for a short time, and why it is no assertion about either."""


@cache
def parts_of_tests() -> list[tuple[str, str, ast.AST]]:
    """Return each function, class and other statement of the tests that are not slow.

    With it come its file and its name. Code that tests have processes run is there too.
    """
    parts: list[tuple[str, str, ast.AST]] = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text()
        tree = ast.parse(text)
        marks = tree.body if "pytestmark" in text else []
        if any("mark.slow" in ast.unparse(one) for one in marks if "pytestmark" in _names(one)):
            continue
        for statement in tree.body:
            name = getattr(statement, "name", None) or " ".join(sorted(_names(statement)))
            marks = getattr(statement, "decorator_list", [])
            if any(ast.unparse(mark).endswith("mark.slow") for mark in marks):
                continue
            parts.append((path.name, name, statement))
            for node in ast.walk(statement):
                if isinstance(node, ast.Constant) and "\n" in str(node.value):
                    with suppress(SyntaxError, UnicodeEncodeError):  # it is no code
                        parts.append((path.name, name, ast.parse(dedent(str(node.value)))))
    return parts


def _names(node: ast.AST) -> set[str]:
    """Return what names and attributes there are in some code."""
    nodes = ast.walk(node)
    return {getattr(one, "id", "") or getattr(one, "attr", "") for one in nodes} - {""}


def _called(node: ast.AST) -> str:
    return ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""


def _is_time(node: ast.AST, moments: set[str]) -> bool:
    """Whether a value is a moment or a duration, by a clock or by what holds one."""
    if isinstance(node, ast.Call):
        if ast.unparse(node.func).removeprefix("time.") in CLOCKS:
            return True
        return _called(node) in OF_NUMBERS and any(_is_time(one, moments) for one in node.args)
    if isinstance(node, ast.Name | ast.Attribute):
        return (node.id if isinstance(node, ast.Name) else node.attr) in moments
    inner = ast.iter_child_nodes(node)
    return any(_is_time(one, moments) for one in inner if not isinstance(one, ast.keyword))


def _comparisons_of_time(part: ast.AST) -> Iterator[str]:
    """Yield comparisons in which there is a clock, or what was reckoned from one."""
    if not CLOCKS & _names(part):
        return
    moments: set[str] = set()
    before = -1
    while before < len(moments):
        before = len(moments)
        for node in ast.walk(part):
            if isinstance(node, ast.Assign) and _is_time(node.value, moments):
                moments |= set().union(*map(_names, node.targets)) - {"self"}
            elif _called(node) == "append" and _is_time(node.args[0], moments):  # type: ignore[attr-defined]
                moments |= _names(node.func.value) - {"self"}  # type: ignore[attr-defined]
    for node in ast.walk(part):
        if isinstance(node, ast.Compare) and _is_time(node, moments):
            yield ast.unparse(node)


def test_no_test_asserts_how_long_something_takes() -> None:
    """It would fail on a busy machine: count, or measure in a benchmark or a slow test."""
    found = [
        f"{file}, {name}: {comparison}"
        for file, name, part in parts_of_tests()
        if (file, name) not in MAY
        for comparison in _comparisons_of_time(part)
    ]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "began = time.monotonic()\ncall()\nassert time.monotonic() - began < 5",
        "began = perf_counter()\ntaken.append(perf_counter() - began)\nassert median(taken) < 1",
        "class Down:\n    until = time.monotonic() + 1\n"
        "    def is_over(self): return time.monotonic() > self.until",
    ],
)
def test_such_assertions_are_found(code: str) -> None:
    assert list(_comparisons_of_time(ast.parse(code)))


def test_no_test_waits_for_a_short_time_only() -> None:
    """Limits are there against what hangs, so that none is less than PATIENCE."""
    found = []
    for file, name, part in parts_of_tests():
        for node in ast.walk(part):
            if not isinstance(node, ast.Call) or (file, name) in MAY:
                continue
            called = _called(node)
            limits = node.args if called in WAITS and len(node.args) == 1 else []
            if called in WITH_TIMEOUT:
                limits = limits + [one.value for one in node.keywords if one.arg == "timeout"]
            numbers = [one.value for one in limits if isinstance(one, ast.Constant)]
            if any(isinstance(one, int | float) and 0 < one < PATIENCE for one in numbers):
                found.append(f"{file}, {name}: {ast.unparse(node)}")
    assert found == []


def test_no_test_file_is_imported_by_another() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        shared = re.findall(r"^\s*(?:from|import) +\S*\btest_\w+.*", path.read_text(), re.MULTILINE)
        assert not shared, path
