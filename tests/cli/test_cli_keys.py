"""`hashmatch list keygen`: two new files, and nothing of the secret in what it prints."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from hashmatch.cli.list_store import keygen
from hashmatch.errors import StoreError
from hashmatch.store.signing import PASSPHRASE, load_private, load_public, sign, verify

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str, passphrase: str | None = None) -> Result:
    return CliRunner().invoke(keygen, arguments, env={PASSPHRASE: passphrase})


@pytest.mark.parametrize("passphrase", [None, "a word"])
def test_a_pair_of_keys(tmp_path: Path, passphrase: str | None) -> None:
    name = str(tmp_path / "lists")
    ran = run(name, passphrase=passphrase)
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert sorted(os.listdir(tmp_path)) == ["lists.key", "lists.pub"]
    assert os.stat(f"{name}.key").st_mode & 0o7777 == 0o600
    key = load_private(f"{name}.key", passphrase.encode() if passphrase else None)
    public = load_public(f"{name}.pub")
    assert verify(b"manifest", [sign(b"manifest", key)], [public]) == (public.key_id,)
    assert f"key id {public.key_id}" in ran.stdout
    assert ("(encrypted)" in ran.stdout) == (passphrase is not None)
    for line in (tmp_path / "lists.key").read_text().splitlines():
        assert line not in ran.stdout
    assert "a word" not in ran.stdout


@pytest.mark.parametrize("there", ["lists.key", "lists.pub"])
def test_nothing_is_written_over(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("before")
    ran = run(str(tmp_path / "lists"))
    assert isinstance(ran.exception, StoreError)
    assert (
        str(ran.exception)
        == f"cannot write {tmp_path / there}: it is there already, and is never written over"
    )
    assert os.listdir(tmp_path) == [there]
    assert (tmp_path / there).read_text() == "before"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    ran = run(str(tmp_path / "none" / "lists"))
    assert isinstance(ran.exception, StoreError)
    assert "lists.key: No such file or directory" in str(ran.exception)


def test_a_name_does_not_steer_a_terminal(tmp_path: Path) -> None:
    ran = run(str(tmp_path / "a\x1b[31m"))
    assert ran.exit_code == 0
    assert "\x1b" not in ran.stdout


def test_help_says_what_to_run() -> None:
    text = run("--help").stdout
    assert "hashmatch list keygen lists-2026" in [line.strip() for line in text.splitlines()]
    assert "\\b" not in text


@pytest.mark.parametrize(
    "code", ["import hashmatch", "import hashmatch.cli, hashmatch.cli.list_store"]
)
def test_cryptography_is_loaded_only_where_it_is_used(code: str) -> None:
    text = f"{code}\nimport sys; print('cryptography' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
