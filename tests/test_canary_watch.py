"""`pytest --canaries` fails what shows a hash, wherever it does."""

from __future__ import annotations

import subprocess
import sys

import pytest

from canaries import canaries
from conftest import ROOT

SHOWN = f"""
import logging, subprocess, sys
import pytest
import click
from click.testing import CliRunner
VALUE = bytes.fromhex("{canaries("pdq")[77].hex()}")

def test_printed(): print(VALUE.hex().upper())
def test_on_stderr(): print(int.from_bytes(VALUE), file=sys.stderr)
def test_logged(): logging.getLogger("any").debug("%r", VALUE)
def test_raised(): raise ValueError(VALUE)
PRINT = [sys.executable, "-c", f"print({{VALUE!r}})"]
def test_by_a_process(): subprocess.run(PRINT, capture_output=True)
SHOW = click.Command("any", callback=lambda: print(VALUE.hex()))
def test_by_a_command(): CliRunner().invoke(SHOW)
@pytest.mark.reveals
def test_on_purpose(): print(VALUE.hex())
def test_nothing(): print("nothing")
"""


def test_what_shows_a_hash_fails(pytester_folder: str) -> None:
    command = [sys.executable, "-m", "pytest", "--canaries", "-q", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"), pytester_folder]
    command += ["-p", "conftest"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    for name in ("printed", "on_stderr", "logged", "raised", "by_a_process", "by_a_command"):
        assert f"test_{name} shows the hash of a list" in ran.stdout, ran.stdout + ran.stderr
    assert "6 failed, 2 passed" in ran.stdout


@pytest.fixture
def pytester_folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("shown") / "test_shown.py"
    path.write_text(SHOWN)
    return str(path)
