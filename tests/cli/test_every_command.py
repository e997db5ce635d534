"""What holds of every command: of its help, its words, its outputs, and the files it is given."""

from __future__ import annotations

import json
import os
import re
import shutil
from typing import TYPE_CHECKING

import click
import pytest

from cli_tools import one_line, run
from every_command import CALLS, COMMANDS, LEAVES, NOT_CALLED, RULES, closed, make_folder
from hashmatch import registry
from hashmatch.cli.units import Place
from hashmatch.errors import install
from hashmatch.lists.export import FORMATS
from hashmatch.records.cases import CaseState
from hashmatch.records.enums import LEVELS, Surface
from hashmatch.records.hashes import ENCODINGS

if TYPE_CHECKING:
    from pathlib import Path


def command(name: str) -> click.Command:
    return COMMANDS[tuple(name.split())]


def has(name: str, option: str) -> bool:
    return any(option in parameter.opts for parameter in command(name).params)


def places(*, written: bool) -> list[tuple[str, click.Option, Place]]:
    """Return the options of all commands that name a file or folder."""
    return [
        (name, parameter, parameter.type)
        for name in CALLS
        for parameter in command(name).params
        if isinstance(parameter, click.Option)
        and isinstance(parameter.type, Place)
        and parameter.type.is_written is written
    ]


def called(found: tuple[str, click.Option, Place]) -> str:
    return f"{found[0]} {max(found[1].opts, key=len)}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("every") / "made")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it, that a command may change."""
    return shutil.copytree(made, tmp_path / "folder")


def test_no_command_is_forgotten() -> None:
    assert set(CALLS) | NOT_CALLED == {" ".join(path) for path in LEAVES}


@pytest.mark.parametrize("name", CALLS)
def test_a_pipe_gets_plain_words_that_are_not_cut(folder: Path, name: str) -> None:
    ran = run(*name.split(), *CALLS[name].split(), cwd=folder, COLUMNS="40")
    text = ran.out.decode() + ran.said
    assert not re.search("[\x1b\u2500-\u257f\u2026]", text), text
    assert ran.code in {0, 1, 2}
    if ran.code == 2:
        assert ran.said.count("\n") == 1, ran.said


@pytest.mark.parametrize("name", [name for name in CALLS if has(name, "--quiet")])
def test_quiet_says_nothing_but_problems(folder: Path, name: str) -> None:
    ran = run(*name.split(), *CALLS[name].split(), "--quiet", cwd=folder)
    if ran.code == 2:  # there is nothing to accept
        one_line(ran)
    else:
        assert (ran.code, ran.err) == (0, b"")


@pytest.mark.parametrize("name", [name for name in CALLS if has(name, "--json")])
def test_json_is_a_document_a_line(folder: Path, name: str) -> None:
    ran = run(*name.split(), *CALLS[name].split(), "--json", cwd=folder)
    assert ran.code == 0, ran.said
    assert all(isinstance(line, dict) for line in ran.lines)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("out", "err"), [(True, True), (True, False), (False, True)])
def test_a_reader_that_is_gone_is_one_exit_code(
    made: Path, tmp_path: Path, name: str, out: bool, err: bool
) -> None:
    args = [*name.split(), *CALLS[name].split()]
    ran = run(*args, cwd=shutil.copytree(made, tmp_path / "whole"))
    folder = shutil.copytree(made, tmp_path / "folder")
    is_said = (out and ran.out) or (err and ran.err)
    assert closed(folder, *args, out=out, err=err) == (141 if is_said else ran.code)


@pytest.mark.parametrize("path", [*COMMANDS, ("--version",)], ids=" ".join)
def test_help_without_a_reader_has_that_exit_code_too(
    path: tuple[str, ...], tmp_path: Path
) -> None:
    last = [] if path == ("--version",) else ["--help"]
    assert closed(tmp_path, *path, *last, out=True, err=True) == 141


@pytest.mark.parametrize(
    "found", [found for found in places(written=False) if found[2].must_exist], ids=called
)
def test_a_file_that_is_missing_is_named_with_its_option(
    folder: Path, found: tuple[str, click.Option, Place]
) -> None:
    name, parameter, _ = found
    option = max(parameter.opts, key=len)
    ran = run(*name.split(), *CALLS[name].split(), option, "not-there", cwd=folder)
    one_line(ran, f"cannot read not-there ({option}): No such file or directory.")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        (name, place)
        for name in CALLS
        for place, argument in enumerate(
            each for each in command(name).params if isinstance(each, click.Argument)
        )
        if isinstance(argument.type, Place)
        and CALLS[name].split()[place] not in {"b", "new.db", "new.json"}
        and name != "review webhook secret"
    ],
)
def test_an_argument_that_is_missing_is_named(folder: Path, name: str, place: int) -> None:
    words = CALLS[name].split()
    words[place] = "not-there"
    before = sorted(folder.rglob("*"))
    one_line(run(*name.split(), *words, cwd=folder), "not-there")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("name", [*CALLS, "review serve"])
def test_options_for_files_say_whether_they_are_read_or_written(name: str) -> None:
    """Or else nothing keeps one from being written over."""
    for parameter in command(name).params:
        names_one = re.search(
            r"FILE|DIR|FOLDER|PATH|QUEUE", parameter.make_metavar(click.Context(command(name)))
        )
        if names_one and name != "hash" and parameter.name != "records":
            assert isinstance(parameter.type, Place), parameter.name


@pytest.mark.parametrize("found", places(written=True), ids=called)
def test_nothing_is_written_over_what_is_read(
    folder: Path, found: tuple[str, click.Option, Place]
) -> None:
    """By no path, link or hard link; what is read is as it was."""
    name, parameter, place = found
    option = max(parameter.opts, key=len)
    args = [*name.split(), *CALLS[name].split()]
    if option in args:  # given once already
        at = args.index(option)
        args[at : at + 2] = []
    more = []
    if name == "scan":
        shutil.copy(folder / "records.jsonl", folder / "disabled.jsonl")
        shutil.copy(folder / "a.pub", folder / "other.pub")
        more = ["--benign", "more.csv", "--disabled", "disabled.jsonl", "--trust", "a.pub"]
        more += ["--list", "md5=store", "--list-key", "a.key"]
    inputs = [
        word.partition("=")[2] or word
        for word in [*args, *more]
        if (folder / (word.partition("=")[2] or word)).exists()
    ]
    assert inputs
    for number, read in enumerate(dict.fromkeys(inputs)):
        original = (folder / read).read_bytes() if (folder / read).is_file() else None
        ending = (place._endings() if place._endings else [""])[0]
        link, hard = folder / f"link{number}{ending}", folder / f"hard{number}{ending}"
        link.symlink_to(folder / read)
        ways = [str(link)]
        if original is not None:
            os.link(folder / read, hard)
            ways.append(str(hard))
        if (folder / read).is_dir():
            ways.append(f"{read}/inside{ending}" if read != "state" else read)
        if ending == "" or read.endswith(ending):
            ways += [read, f"../{folder.name}/{read}", str(folder / read)]
        for way in ways:
            if name.startswith("list") and not original and "inside" in way and option == "--store":
                continue
            ran = run(*args, *more, option, way, cwd=folder)
            one_line(ran, f"cannot write {way} ({option})")
            if original is not None:
                assert (folder / read).read_bytes() == original


@pytest.mark.parametrize("found", places(written=True), ids=called)
def test_where_nothing_can_be_written_is_named(
    folder: Path, found: tuple[str, click.Option, Place]
) -> None:
    name, parameter, _ = found
    args = [*name.split(), *CALLS[name].split()]
    option = max(parameter.opts, key=len)
    if option in args:
        args[args.index(option) + 1] = "more.csv/x"  # a file is no folder
    else:
        args += [option, "more.csv/x"]
    if option == "--keep-hashes":
        args += ["--keep-for", "1d"]
    elif option == "--recent":
        (folder / "recent.key").write_text("7" * 64)
        (folder / "recent.key").chmod(0o600)
        args += ["--recent-key", "recent.key"]
    elif name == "scan" and option != "--out":
        args += ["--out", "o.jsonl"]
    ran = run(*args, cwd=folder)
    one_line(ran, "more.csv/x")
    assert not list(folder.glob("*.part"))


@pytest.mark.parametrize(
    "found", [found for found in places(written=True) if found[2]._endings], ids=called
)
def test_an_ending_of_no_format_is_refused_and_the_others_named(
    folder: Path, found: tuple[str, click.Option, Place]
) -> None:
    name, parameter, place = found
    assert place._endings is not None
    option = max(parameter.opts, key=len)
    args = [*name.split(), *CALLS[name].split()]
    for ending in (".xlsx", ".gz", ".Parquet" if ".parquet" not in place._endings() else ".pdf"):
        ran = run(*args, option, f"out{ending}", cwd=folder)
        one_line(ran, f"cannot write out{ending} ({option})", *place._endings())
        assert not (folder / f"out{ending}").exists()


@pytest.mark.parametrize(
    ("name", "word", "known"),
    [
        ("scan", "--algorithm", registry.names(registry.HASHERS)),
        ("scan", "--list-format", registry.names(registry.LISTS)),
        ("scan", "--surface", list(Surface)),
        ("scan", "--out", [f".{name}" for name in registry.names(registry.SINKS)]),
        ("rescan", "--out", [f".{name}" for name in registry.names(registry.SINKS)]),
    ],
)
def test_help_names_all_that_there_are(name: str, word: str, known: list[str]) -> None:
    (parameter,) = [each for each in command(name).params if word in each.opts]
    assert isinstance(parameter, click.Option)
    said = set(re.findall(r"[\w.-]*\w", parameter.help or ""))
    assert set(known) <= said


def test_help_of_scan_names_all_sources() -> None:
    text = command("scan").help or ""
    for name in registry.names(registry.SOURCES):
        assert name == "directory" or f"{name}://" in text, name


def test_what_is_not_installed_is_said_in_one_way() -> None:
    """Nothing is published: what is installed is a checkout."""
    import hashmatch

    root = os.path.dirname(hashmatch.__file__)
    for place, _, names in os.walk(root):
        for name in names:
            if name.endswith(".py"):
                with open(os.path.join(place, name), encoding="utf-8") as file:
                    text = file.read()
                if name != "errors.py":
                    assert "pip install" not in text, name
                assert "hashmatch[" not in text, name
    assert install("cloud") == "Run pip install '.[cloud]' in the checkout of hashmatch."


def test_status_says_what_its_json_says(folder: Path) -> None:
    """Of each state: finished, stopped, a shard, entries that were left out."""
    (folder / "out").write_text("")
    disabled = "known", "tiles-d00", "--reason", "no"
    ran = run("review", "entry", "disable", "queue.db", *disabled, cwd=folder)
    assert run("review", "entry", "list", "queue.db", "--out", "off.jsonl", cwd=folder).code == 0
    for more in (["--disabled", "off.jsonl"], ["--shard", "0/2"], ["--min-sources", "2"]):
        ran = run(
            *f"scan photos {RULES} --surface public_post --state state".split(), *more, cwd=folder
        )
        assert ran.code == 0, ran.said
    told = run("scan", "status", "state", cwd=folder)
    as_json = run("scan", "status", "state", "--json", cwd=folder).lines
    assert (told.code, len(as_json)) == (0, 4)
    blocks = re.split(r"^(?=scan )", told.out.decode(), flags=re.M)[1:]
    assert len(blocks) == 4
    for block, one in zip(blocks, as_json, strict=True):
        assert f"scan {one['name']}\n" in block
        assert f"{one['listed']:,} accounted for" in block
        assert f"ended:  {one['ended'] or 'not yet'}" in block
        for outcome, count in one["outcomes"].items():
            assert (f"{count:,} {outcome}" in block) == (count > 0)
        for name, version, _ in one["about"]["lists"]:
            assert f"{name} {version}" in block
        assert json.loads(json.dumps(one)) == one


@pytest.mark.parametrize("name", [name for name in CALLS if has(name, "--json")])
def test_json_has_every_number_of_the_plain_words(made: Path, tmp_path: Path, name: str) -> None:
    args = [*name.split(), *CALLS[name].split()]
    plain, as_json = (
        run(*args, *more, cwd=shutil.copytree(made, tmp_path / f"{len(more)}"))
        for more in ([], ["--json"])
    )
    assert plain.code == as_json.code
    # Times are of the run, shares are reckoned, and what a name holds is in a name.
    words = re.sub(r"\d{4}-\d\d-\d\d[T ]?[\d:]*Z?", "", plain.out.decode() + plain.said)
    found = re.findall(r"(?<![\w.-])\d[\d,]*\b(?!\s?%)", words)
    numbers = {number.replace(",", "") for number in found}
    assert numbers <= set(re.findall(r"\d+", as_json.out.decode()))


@pytest.mark.parametrize(
    ("name", "option", "known"),
    [
        ("scan", "--variants", list(LEVELS)),
        ("scan", "--encoding", list(ENCODINGS)),
        ("list export", "--format", list(FORMATS)),
        ("review case list", "--state", [state.value for state in CaseState]),
    ],
)
def test_choices_are_all_that_there_are(name: str, option: str, known: list[str]) -> None:
    (parameter,) = [each for each in command(name).params if option in each.opts]
    assert isinstance(parameter.type, click.Choice)
    assert sorted(parameter.type.choices) == sorted(known)


def test_help_of_review_export_names_all_states() -> None:
    (parameter,) = [each for each in command("review export").params if "--state" in each.opts]
    assert isinstance(parameter, click.Option)
    assert {state.value for state in CaseState} <= set(re.findall(r"\w+", parameter.help or ""))
