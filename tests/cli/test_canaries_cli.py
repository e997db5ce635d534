"""No hash of a list is seen on screen, in logs or in files, whatever command runs or fails."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import hashmatch as hm
from canaries import Detector, all_canaries, canaries, told
from canary_lists import FILES, spoilt, with_canaries
from cli_tools import IMAGES, PROGRAM, environment
from conftest import LISTS
from forced_errors import failures
from hashmatch.cli import main
from hashmatch.store.signing import PrivateKey, save_pair
from hashmatch.testing import flipped

if TYPE_CHECKING:
    from pathlib import Path

PICTURES = IMAGES / "plain"
LOGGING = """
import faulthandler, logging, sys
faulthandler.enable()
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
logging.getLogger("numba").setLevel(logging.INFO)  # it prints what it compiles: no lists
"""
ACCEPT = "--accept", "bad-rows", "--accept", "size-change"


def silent(output: bytes | str, about: str = "") -> None:
    found = all_canaries().find(output)
    assert not found, f"a hash is shown as {', '.join(found)}: {about}"


def commands(known: Path, folder: Path) -> list[list[str]]:
    """Return every command that opens a list, on a list file or the store made of it."""
    file, store, key = str(known), str(folder / "store"), str(folder / "key")
    other = "1f" * 32  # what one asks about is one's own, and no canary
    asked = ["--surface", "public_post", "-d", "256", "--skip-bad-rows", "-v"]
    report = ["--report", str(folder / "report.json"), "--out", str(folder / "out.jsonl")]
    return [
        ["list", "inspect", file, "-v"],
        ["list", "inspect", file, "--json"],
        ["list", "keygen", key],
        ["list", "import", file, "--store", store, *ACCEPT, "--sign", f"{key}.key"],
        ["list", "import", file, "--store", store, *ACCEPT, "--json"],
        ["list", "update", file, "--store", store, *ACCEPT],
        ["list", "verify", store],
        ["list", "sign", store, "--sign", f"{key}.key"],
        ["list", "diff", store, "-v"],
        ["list", "diff", store, "--json"],
        ["list", "export", store],
        ["list", "export", file, "--out", str(folder / "revealed")],
        ["match", other, "--list", file, "-d", "256", "--skip-bad-rows"],
        ["match", other, "--list", file],
        ["scan", str(PICTURES / "tiles.png"), "--list", file, *asked, *report],
        ["scan", str(PICTURES / "tiles.png"), "--list", file, *asked, "--include-hash"],
        ["scan", str(PICTURES / "tiles.png"), "--list", file, *asked, "--benign", file],
    ]


@pytest.fixture
def known(tmp_path: Path) -> Path:
    path = tmp_path / "known.csv"
    path.write_bytes(with_canaries(LISTS / "bad-rows.csv"))
    return path


@pytest.mark.slow
def test_every_command_as_a_process(tmp_path: Path, known: Path) -> None:
    """At DEBUG, with what Python tells of crashes; nothing is left where temporary files go."""
    for name in ("site", "temporary", "made"):
        (tmp_path / name).mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(LOGGING)
    paths = [str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = environment(
        HASHMATCH_DEBUG="1",
        PYTHONFAULTHANDLER="1",
        PYTHONWARNINGS="default",
        PYTHONPATH=os.pathsep.join(paths),
        TMPDIR=str(tmp_path / "temporary"),
    )
    for command in commands(known, tmp_path / "made"):
        done = subprocess.run(
            [*PROGRAM, *command], capture_output=True, env=env, check=False, umask=0
        )
        said = done.stdout + done.stderr
        assert done.returncode in {0, 2}, said.decode()
        (said if "match" in command else said.replace(canaries("pdq")[999].hex().encode(), b""))
        silent(said, " ".join(command[:2]))
    assert not list((tmp_path / "temporary").iterdir())
    for name in ("report.json", "out.jsonl"):
        silent((tmp_path / "made" / name).read_bytes(), name)
    for path in (tmp_path / "made" / "store").rglob("*"):
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path
    assert not (tmp_path / "made" / "revealed").exists()


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_format(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    known = tmp_path / path.name
    known.write_bytes(with_canaries(path))
    with caplog.at_level(logging.DEBUG):
        for command in commands(known, tmp_path):
            ran = CliRunner(env={"HASHMATCH_DEBUG": "1"}).invoke(main, command)
            silent(ran.output, str(command))
            silent(told(ran.exception) if ran.exception else "", str(command))
    for record in caplog.records:
        silent(f"{record.getMessage()} {record.args!r}", record.name)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_spoilt_list(path: Path, tmp_path: Path) -> None:
    known = tmp_path / path.name
    at_once = 80 if path.name == "demo-pdq.csv" else 10
    for what, data in spoilt(with_canaries(path), at_once):
        known.write_bytes(data)
        for options in (["-v"], ["-v", "--list-format", "csv"], ["--list-format", "jsonl"]):
            ran = CliRunner(env={"HASHMATCH_DEBUG": "1"}).invoke(
                main, ["list", "inspect", str(known), *options]
            )
            assert ran.exit_code in {0, 2}
            silent(ran.output, what)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # files just opened
def test_commands_that_fail_anywhere(tmp_path: Path, known: Path) -> None:
    count = 0
    for number, command in enumerate(commands(known, tmp_path)):
        if command[1] == "keygen":
            save_pair(str(tmp_path / "key"), PrivateKey.generate(), None)
            continue

        said: list[str] = []

        def use(command: list[str] = command, said: list[str] = said) -> None:
            ran = CliRunner(env={"HASHMATCH_DEBUG": "1"}).invoke(main, command)
            said.append(ran.output)
            if isinstance(ran.exception, Exception):
                raise ran.exception
            said.append("" if ran.exception is None else told(ran.exception))

        for where, error in failures(use):
            count += 1
            silent(told(error), f"{number} {where}")
        silent("\n".join(said), str(command))
    assert count > 500


def test_a_scan_can_show_the_hash_of_its_own_picture_and_no_other(tmp_path: Path) -> None:
    own = hm.hash_image(PICTURES / "tiles.png")
    near = flipped(own.hashes, 31, seed=1)
    known = tmp_path / "known.txt"
    known.write_text(near.to_hex()[0] + "\n")
    arguments = ["scan", str(PICTURES / "tiles.png"), "--list", str(known)]
    ran = CliRunner().invoke(main, [*arguments, "--surface", "public_post", "--include-hash"])
    assert own.hex in ran.output
    listed = near.words.astype(">u8").tobytes()
    shared = own.hashes.words.astype(">u8").tobytes()
    parts = [listed[i : i + 8] for i in range(25) if listed[i : i + 8] not in shared]
    assert parts
    assert not Detector(parts).find(ran.output)
