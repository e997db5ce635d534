"""README is true: its commands run, its Python runs, its record is a record."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hashmatch as hm
from cli_tools import on_terminal, screen_lines
from conftest import FIXTURES, ROOT
from processes import warm_program

TEXT = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


SHELL = [line for block in blocks("sh") for line in block.splitlines()]
# The first two set everything up and would run this very test; .ci/run takes them from here.
COMMANDS = blocks("sh")[2:]


def test_the_first_two_commands_set_up_and_run() -> None:
    setup = "python3 -m venv --without-pip .venv && python3 -m pip --python .venv install"
    assert SHELL[0].startswith(setup)
    assert SHELL[0].split(" && ")[-1].startswith(".venv/bin/hashmatch scan fixtures/")
    assert SHELL[1].startswith(setup)
    assert SHELL[1].split(" && ")[-1] == ".venv/bin/python -m pytest -q -n auto --dist worksteal"


@pytest.mark.parametrize("command", [SHELL[0].split(" && ")[-1], *COMMANDS])
def test_commands_run_as_printed(command: str, tmp_path: Path) -> None:
    shutil.copytree(FIXTURES, tmp_path / "fixtures")
    scripts = str(Path(sys.executable).parent)
    if command in COMMANDS:  # the first is started as a reader would, the others at once
        scripts = f"{warm_program().parent}:{scripts}"
    run = subprocess.run(
        ["bash", "-euc", command.removeprefix(".venv/bin/")],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    if command == SHELL[0].split(" && ")[-1]:
        assert len([hm.ReviewRecord.from_json(line) for line in run.stdout.splitlines()]) == 5


def test_the_first_one_says_what_is_printed_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the table in the README, but for the time it took."""
    monkeypatch.chdir(FIXTURES.parent)
    args = SHELL[0].split(" && ")[-1].split()[1:]
    code, seen = on_terminal(*args, out=tmp_path / "records", NO_COLOR="1")
    (table,) = [block for block in blocks("text") if "What became" in block]
    shown = [line.rstrip() for line in screen_lines(seen) if line.strip()]
    assert code == 0
    assert shown[:-1] == table.splitlines()[:-1]


@pytest.mark.parametrize("code", blocks("python"))
def test_python_runs(code: str) -> None:
    exec(code, {})


def test_the_record_is_one() -> None:
    (record,) = blocks("json")
    assert hm.ReviewRecord.from_json(record).matches[0].distance == 4


def test_every_algorithm_outcome_and_format_is_documented() -> None:
    from hashmatch import registry

    documented = set(re.findall(r"`([\w-]+)`", TEXT))
    assert set(registry.names(registry.HASHERS)) <= documented
    assert set(registry.names(registry.LISTS)) <= documented
    assert {outcome.value for outcome in hm.Outcome} - {"hashed"} <= documented


def test_the_table_of_identities_is_that_of_the_readers() -> None:
    from conftest import LISTS, golden
    from hashmatch import registry
    from hashmatch.interfaces import ListOptions, ListRow

    head = "| format | identity | what takes its place | what takes it out | time |"
    table = TEXT.split(head)[1].split("\n\n")[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    told = {line[0].strip("`"): line[1:] for line in cells}
    assert sorted(told) == sorted(registry.names(registry.LISTS))
    samples = {name: each["format"] for name, each in golden("lists")["exchanges"].items()}
    samples |= {"demo.jsonl": "jsonl", "demo-pdq.txt": "pdq-text", "demo-pdq.csv": "csv"}
    for name, (identity, replaced, _, time) in told.items():
        reader, rows = registry.list_reader(name), []
        for sample in [path for path, format in samples.items() if format == name]:
            with open(LISTS / sample, "rb") as file:
                found = list(reader.rows(file, ListOptions()))
            rows += [row for row in found if isinstance(row, ListRow)]
        spaces = sorted({row.space for row in rows} - {""})
        parts = [" or ".join(spaces)] if spaces else []
        parts += ["id"] if any(row.external_id for row in rows) else []
        unique = getattr(reader, "unique_ids", False)
        parts += ["kind"] if unique else ["kind", "hash"]
        assert identity == " and ".join([", ".join(parts[:-1]), parts[-1]]), name
        assert replaced == ("a later hash" if unique else "the same hash said again"), name
        if any(row.updated for row in rows):
            assert time != "none", name


def test_limits_in_the_table_are_those_of_the_code() -> None:
    from hashmatch import registry

    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \|", TEXT, re.MULTILINE)
    assert len(rows) == 5
    for name, bits, limit in rows:
        hasher = registry.hasher(name)
        assert (hasher.spec.bits, hasher.max_distance) == (int(bits), int(limit))
