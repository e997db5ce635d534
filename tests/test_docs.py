"""README and docs are true: commands run, Python runs, tables say what the code does."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

import hashmatch as hm
from cli_tools import on_terminal, screen_lines
from conftest import FIXTURES, IMAGES, ROOT
from documents import BLOCKS, EVERYTHING, PAGES, Block, anchors, blocks, table
from hashmatch.cli import main
from hashmatch.cli.list_store import rollback
from hashmatch.cli.scan import status as scan_status
from processes import PATIENCE, wait_for, warm_program

if TYPE_CHECKING:
    from collections.abc import Iterator

# The first two set everything up and would run this very test; .ci/run takes them from here.
FIRST, SECOND = (block.code.strip() for block in blocks("sh", "README.md")[:2])
SCAN = FIRST.split(" && ")[-1]
COMMANDS = blocks("sh")[2:]


def test_the_first_two_commands_set_up_and_run() -> None:
    setup = "python3 -m venv --without-pip .venv && python3 -m pip --python .venv install"
    assert FIRST.startswith(setup)
    assert SCAN.startswith(".venv/bin/hashmatch scan fixtures/")
    assert SECOND.startswith(setup)
    assert SECOND.split(" && ")[-1] == ".venv/bin/python -m pytest -q -n auto --dist worksteal"


@pytest.mark.parametrize(
    "command", [Block("README.md", 1, "sh", SCAN.removeprefix(".venv/bin/")), *COMMANDS], ids=str
)
def test_commands_run_as_printed(command: Block, tmp_path: Path) -> None:
    shutil.copytree(FIXTURES, tmp_path / "fixtures")
    scripts = str(Path(sys.executable).parent)
    if command in COMMANDS:  # the first is started as a reader would, the others at once
        scripts = f"{warm_program().parent}:{scripts}"
    run = subprocess.run(
        ["bash", "-euc", command.code],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    if command not in COMMANDS:
        assert len([hm.ReviewRecord.from_json(line) for line in run.stdout.splitlines()]) == 5


def test_the_first_one_says_what_is_printed_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the table in the README, but for the time it took."""
    monkeypatch.chdir(FIXTURES.parent)
    args = SCAN.split()[1:]
    code, seen = on_terminal(*args, out=tmp_path / "records", NO_COLOR="1")
    (printed,) = [one.code for one in blocks("text", "README.md") if "What became" in one.code]
    shown = [line.rstrip() for line in screen_lines(seen) if line.strip()]
    assert code == 0
    assert shown[:-1] == printed.splitlines()[:-1]


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_runs(block: Block) -> None:
    exec(compile(block.code, str(block), "exec"), {})


def test_the_upload_service_answers() -> None:
    import uvicorn

    (block,) = [one for one in blocks("python", "docs/upload.md") if "Starlette(" in one.code]
    names: dict[str, Any] = {}
    exec(block.code, names)
    server = uvicorn.Server(uvicorn.Config(names["app"], port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started)
        port = server.servers[0].sockets[0].getsockname()[1]
        picture = (IMAGES / "plain" / "tiles.png").read_bytes()
        for body, status in ((picture, 200), (b"no picture", 200), (bytes(33 << 20), 413)):
            with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as client:
                client.request("PUT", "/photos/42", body)
                answer = client.getresponse()
                assert answer.status == status
                assert (b'"match"' in answer.read()) == (body is picture)
    finally:
        server.should_exit = True
        thread.join()


def test_no_block_is_left_out() -> None:
    """What is in no language that is run, or shown as it is, would go unnoticed."""
    languages = {one.language for one in BLOCKS if not one.language.startswith("{")}  # Sphinx's own
    assert languages <= {"sh", "python", "json", "text"}
    assert sum(page.read_text().count("\n```") for page in PAGES) == 2 * len(BLOCKS)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 180


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


def test_files_that_pages_name_are_there() -> None:
    """In full, or from `src/hashmatch/` or a package of it on."""
    missing = []
    for page in PAGES:
        for name in re.findall(r"`([\w./-]+/[\w-]+\.py|[\w-]+/)`", page.read_text()):
            if page.parent.name == "docs" and not name.endswith(".py"):
                continue  # folders of users, and of archives
            source = ROOT / "src" / "hashmatch"
            if "NAME" not in name and not (
                (ROOT / name).exists() or (source / name).exists() or [*source.rglob(name)]
            ):
                missing.append(f"{page.name}: {name}")
    assert missing == []


def test_the_record_is_one() -> None:
    (record,) = [one for one in blocks("json") if "hashmatch.review/1" in one.code]
    assert hm.ReviewRecord.from_json(record.code).matches[0].distance == 4


def test_the_outcomes_are_the_same_everywhere() -> None:
    tables = [page.read_text().partition("| outcome | meaning |")[2] for page in PAGES]
    assert len({text.partition("\n\n")[0] for text in tables if text}) == 1


def test_every_extra_is_documented() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    of_contributors = {"bench", "docs", "engines", "fuzz", "lint", "test"}
    extras = set(project["optional-dependencies"]) - of_contributors
    start = (ROOT / "docs" / "start.md").read_text()
    assert extras == set(re.findall(r"`hashmatch\[(\w+)\]`", start))


def test_every_variable_of_the_environment_is_documented() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    used = set(re.findall(r"\bHASHMATCH_[A-Z]+(?:_[A-Z]+)*\b", source))
    assert used <= set(re.findall(r"`(HASHMATCH_\w+)`", EVERYTHING))


def command_tree(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            part = command.get_command(click.Context(command), name)
            assert part is not None
            yield from command_tree(part, f"{path} {name}")


COMMAND_TREE = dict(command_tree(main, "hashmatch")) | {
    "hashmatch scan status": scan_status,
    "hashmatch serve rollback": rollback,
}


def options(path: str) -> set[str]:
    return {option for param in COMMAND_TREE[path].params for option in param.opts} | {"--help"}


def test_commands_and_options_in_the_text_exist() -> None:
    """Those of blocks that are run are seen there; these are in sentences, tables and sessions."""
    text = re.sub(r"^```(?:sh|python)\n.*?^```$", "", EVERYTHING, flags=re.MULTILINE | re.DOTALL)
    known, names = set().union(*map(options, COMMAND_TREE)), " ".join(COMMAND_TREE).split()
    known |= {"--chromium", "--only", "--seen", "--inplace"}  # of benchmarks and rsync
    for code in re.findall(r"`([^`\n]+)`", text):
        if code.startswith("--") or code.split()[0] in names:  # else it is of another program
            assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", code)) <= known, code
    for line in re.findall(r"(?:`|\$ )(hashmatch(?: [^`\n]+)?)(?:`|$)", text, re.MULTILINE):
        words, path = line.split("#")[0].split(), "hashmatch"
        for word in words[1:]:
            if not isinstance(COMMAND_TREE[path], click.Group):
                break
            if not word.startswith("-"):
                path += f" {word}"
                assert path in COMMAND_TREE, line
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= options(path), line


def test_every_command_is_in_the_command_reference() -> None:
    """Those below a group are in it by themselves."""
    page = (ROOT / "docs" / "commands.md").read_text()
    tops = set(re.findall(r":prog: (.+)\n(?:   :nested: (\w+))?", page))
    named = {name for name, _ in tops}
    for name, nested in tops:
        if nested == "full":
            named |= {path for path, _ in command_tree(COMMAND_TREE[name], name)}
    assert set(COMMAND_TREE) <= named


@pytest.mark.parametrize(("path", "command"), list(COMMAND_TREE.items()))
def test_every_command_and_option_says_what_it_does(path: str, command: click.Command) -> None:
    """The command reference is made from these texts."""
    assert command.help, path
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, (path, option.name)


def test_every_public_name_is_in_the_api_reference() -> None:
    reference = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    named = set()
    for block in re.findall(r"```{eval-rst}\n(.*?)```", reference, re.DOTALL):
        module = ""
        for directive, name in re.findall(r"^\.\. (\w+):: (\S+)$", block, re.MULTILINE):
            if directive == "currentmodule":
                module = name
            elif directive == "automodule":
                members = vars(importlib.import_module(name)).items()
                named |= {
                    f"{name}.{key}"
                    for key, value in members
                    if getattr(value, "__module__", "") == name
                }
            else:
                named.add(f"{module}.{name}")
    assert {f"hashmatch.{name}" for name in hm.__all__} - named == set()
    taught = re.findall(r"^from (hashmatch\.[\w.]+) import (.+)$", EVERYTHING, re.MULTILINE)
    pages = {f"{module}.{name}" for module, names in taught for name in names.split(", ")}
    assert pages - named == set()


def test_every_algorithm_outcome_and_format_is_documented() -> None:
    from hashmatch import registry

    documented = set(re.findall(r"`([\w-]+)`", EVERYTHING))
    assert set(registry.names(registry.HASHERS)) <= documented
    assert set(registry.names(registry.LISTS)) <= documented
    assert {outcome.value for outcome in hm.Outcome} - {"hashed"} <= documented


def test_the_table_of_identities_is_that_of_the_readers() -> None:
    from conftest import LISTS, golden
    from hashmatch import registry
    from hashmatch.interfaces import ListOptions, ListRow

    head = "| format | identity | what takes its place | what takes it out | time |"
    told = {line[0].strip("`"): line[1:] for line in table(head)}
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

    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\d+) \|", EVERYTHING, re.MULTILINE)
    assert len(rows) == 5
    for name, bits, limit in rows:
        hasher = registry.hasher(name)
        assert (hasher.spec.bits, hasher.max_distance) == (int(bits), int(limit))
