"""A wrong word is answered with the right one; and help is short enough to be read."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner

from every_command import COMMANDS
from hashmatch.cli import main
from hashmatch.cli.command import RENAMED, did_you_mean

FORMER = {
    "list": "review case list", "show": "review case show", "look-again": "review case reopen",
    "hold": "review case hold", "release": "review case release",
    "reviewers": "review reviewer list", "push": "review webhook push",
    "secret": "review webhook secret", "propose": "review benign list",
    "accept": "review benign accept", "report": "review entry report",
    "disable": "review entry disable", "enable": "review entry enable",
    "disabled": "review entry list", "teach": "review precision",
}  # fmt: skip
"""Commands that `review` had before it had groups, and what they are now."""


def answer(*words: str) -> str:
    """Return the error that a wrong word gets; nothing but that and the usage is said."""
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 2
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == 4, ran.stderr
    return ran.stderr.splitlines()[-1]


@pytest.mark.parametrize("former", FORMER)
def test_a_former_name_is_answered_with_the_present_one(former: str) -> None:
    said = answer("review", former, "queue.db")
    assert said == f"Error: No such command '{former}'. Did you mean '{FORMER[former]}'?"


@pytest.mark.parametrize("group", [[], ["list"], ["review", "case"]])
def test_an_option_before_its_command_is_said_to_be_in_the_wrong_place(group: list[str]) -> None:
    said = answer(*group, "--json", "list", "x")
    assert said == (
        "Error: cannot use --json here: it is an option of commands. Give it after the "
        "command's name."
    )
    assert "of commands" not in answer(*group, "--jsom")


def test_a_misspelt_scan_status_is_no_source() -> None:
    assert answer("scan", "staus", "state") == (
        "Error: cannot scan staus: there is no such source. Did you mean 'scan status'?"
    )
    assert "--surface" in answer("scan", "staus")


@pytest.mark.parametrize("name", sorted({*FORMER.values(), *RENAMED.values()}))
def test_what_is_suggested_exists(name: str) -> None:
    assert tuple(name.split()) in COMMANDS


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("reviw", "review"),
        ("scn", "scan"),
        ("list imprt", "list import"),
        ("import", "list import"),
        ("inspct", "list inspect"),
        ("keygen", "list keygen"),
        ("review srve", "review serve"),
        ("review case shw", "review case show"),
        ("review entry disabel", "review entry disable"),
        ("review benign propose", "review benign list"),
        ("review reviewer ad", "review reviewer add"),
    ],
)
def test_a_misspelt_command_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    assert answer(*typed.split()).endswith(f"Did you mean '{meant}'?")


def test_a_word_like_no_command_is_answered_with_all_of_them() -> None:
    said = answer("review", "benign", "queue.db")
    assert said == "Error: No such command 'queue.db'. There are accept, export, list, refuse."


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["scan", "x", "--surface", "profile"], "profile_photo"),
        (["scan", "x", "--encoding", "base46"], "base64"),
        (["scan", "x", "--variants", "standrad"], "standard"),
        (["hash", "x", "-a", "pqd"], "pdq"),
        (["list", "inspect", "x", "--list-format", "vcis-json"], "vics-json"),
        (["review", "case", "list", "q", "--state", "confrimed"], "confirmed"),
        (["review", "export", "q", "--state", "escalate"], "escalated"),
        (["completion", "fsh"], "fish"),
    ],
)
def test_a_misspelt_value_is_answered_with_the_nearest(words: list[str], meant: str) -> None:
    ran = CliRunner().invoke(main, words)
    assert ran.exit_code == 2
    assert f"Did you mean {meant}?" in ran.stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["scan", "--lst"], "--list"), (["review", "case", "list", "--sate"], "--state")],
)
def test_a_misspelt_option_is_answered_with_the_nearest(words: list[str], meant: str) -> None:
    said = answer(*words).partition("Did you mean")[2]
    assert meant in re.findall(r"--[a-z-]+", said)


def test_nothing_near_is_no_guess() -> None:
    assert did_you_mean("zzz", ["pdq", "md5"]) == ""


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_fits_80_columns_and_cuts_nothing_off(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    context = click.Context(
        command, info_name=" ".join(["hashmatch", *path]), terminal_width=80, max_content_width=100
    )
    text = command.get_help(context)
    assert max(map(len, text.splitlines())) <= 80
    listed = text.partition("Commands:")[2]
    assert "..." not in listed, "a short help is cut off"


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_names_commands_and_options_that_exist(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    texts = [command.help or "", command.get_short_help_str(200)]
    texts += [each.help or "" for each in command.params if isinstance(each, click.Option)]
    known = {
        option
        for each in COMMANDS.values()
        for parameter in each.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    for text in texts:
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= known | {"--help"}
        for words in re.findall(r"hashmatch ((?:[a-z]+ ?)+)", " ".join(text.split())):
            first = words.split()[0]
            if first in main.commands:
                assert any(tuple(words.split()[:n]) in COMMANDS for n in (3, 2, 1)), words
            if first in {"review", "list"} and len(words.split()) > 1:
                assert words.split()[1] in main.commands[first].commands, words  # type: ignore[attr-defined]


def test_help_names_plug_ins_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from hashmatch import registry

    names = registry.names

    def with_another(group: str) -> list[str]:
        return [*names(group), "another"]

    monkeypatch.setattr(registry, "names", with_another)
    text = " ".join(CliRunner().invoke(main, ["scan", "--help"]).stdout.split())
    for said in (
        "whash or another",
        "vpdq-frames or another",
        "zip:// or another://",
        "or .another",
    ):
        assert said in text
