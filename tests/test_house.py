"""The house keeps its own rules: light imports, documented names, running examples."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from conftest import ROOT
from hashmatch import errors
from hashmatch.records import images

if TYPE_CHECKING:
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


def public_callables() -> list[object]:
    found: list[object] = []
    for name in hm.__all__:
        value = getattr(hm, name)
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
    return [value for value in found if callable(value)]


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


def test_every_module_says_what_it_is_for() -> None:
    for name in MODULES:
        text = inspect.getdoc(importlib.import_module(name))
        assert text, name
        assert text.splitlines()[0].endswith((".", "?", ":")), name


def test_nothing_prints_or_pickles() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        text = path.read_text()
        assert not re.search(r"^\s*print\(|import pickle|from pickle", text, re.MULTILINE), path
