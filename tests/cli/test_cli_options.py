"""Options that mean the same are spelt the same, and one spelling means one thing everywhere."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click
import pytest

from every_command import COMMANDS
from hashmatch.cli import options as options_of_commands
from hashmatch.cli import units
from hashmatch.cli.units import (
    DURATION,
    EVERY,
    FRAME_DISTANCE,
    LABEL_TIME,
    MOMENT,
    RATE,
    SOME_TIME,
    TIME_OR_NEVER,
    Pair,
    Place,
    Unit,
)
from hashmatch.matching import clips, matcher
from hashmatch.matching.videos import VideoThresholds
from hashmatch.scan import pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAVES = {
    path: command for path, command in COMMANDS.items() if not isinstance(command, click.Group)
}
Use = tuple[tuple[str, ...], click.Option]


def uses() -> dict[str, list[Use]]:
    """Return who uses each spelling of an option, short ones too."""
    found: dict[str, list[Use]] = {}
    for path, command in LEAVES.items():
        for each in command.params:
            if isinstance(each, click.Option):
                for spelling in (*each.opts, *each.secondary_opts):
                    found.setdefault(spelling, []).append((path, each))
    return found


USES = uses()
TWO_MEANINGS = {
    "--benign": "lists of harmless hashes; of a calibration, the harmless pictures themselves",
    "--all": "what is left out otherwise, of whatever a command is about",
    "--every": "how often to fetch lists, or look for decisions; seconds between frames",
    "--store": "needed by an import; an exchange has a store in its own folder",
    "--least": "pictures that an entry matches; cases of it that are no match",
    "--list": "needed where nothing else is matched: a service may have --data alone",
    "--name": "what a list is called in matches; the names of a server",
    "--state": "the folder of a scan's progress; the state of a case",
    "--accept": "what to accept: a rollback can only change the size",
    "--reason": "needed where an entry is disabled or enabled, or a preservation is to change",
    "--report": "the file of a scan's report; the number of one that a person filed",
    "--out": "what is written differs, and so do the endings",
    "--strict": "what makes the exit code 1: an image, or a row of a list",
    "--surface": "needed by a scan, and a filter of cases",
    "--sign": "needed by list sign; an answer to a request is signed with it too",
    "--workers": "processes that decode; processes of the service that answer",
}
"""What the same spelling may differ in, by command; all others are the same in all respects."""


def shape(option: click.Option) -> tuple[object, ...]:
    """Return what a user sees of an option."""
    metavar = option.make_metavar(click.Context(click.Command("")))
    return (
        repr(option.type) if isinstance(option.type, click.Choice) else type(option.type),
        metavar, option.multiple, option.required, option.help, sorted(option.opts),
    )  # fmt: skip


@pytest.mark.parametrize(
    "spelling", sorted(name for name in USES if name[:2] == "--" and name not in TWO_MEANINGS)
)
def test_one_spelling_means_one_thing(spelling: str) -> None:
    assert len({repr(shape(option)) for _, option in USES[spelling]}) == 1


@pytest.mark.parametrize("spelling", TWO_MEANINGS)
def test_what_differs_by_command_still_differs(spelling: str) -> None:
    """Or else it belongs to the test above."""
    assert len({repr(shape(option)) for _, option in USES[spelling]}) > 1


def test_a_short_option_stands_for_one_long_one() -> None:
    for spelling, found in USES.items():
        if not spelling.startswith("--"):
            assert len({max(option.opts, key=len) for _, option in found}) == 1, spelling
            long = max(found[0][1].opts, key=len)
            if long != "--surface":  # -s is needed so often by scan alone
                assert all(spelling in option.opts for _, option in USES[long])


def options() -> Iterator[tuple[str, click.Option]]:
    for path, command in LEAVES.items():
        for each in command.params:
            if isinstance(each, click.Option):
                yield " ".join(path), each


TIMES = {
    "--every", "--expires", "--grace", "--keep", "--keep-for", "--keep-pending",
    "--keep-rejected", "--keep-reported", "--label-weight", "--lease", "--pause",
    "--recent-for", "--timeout", "--undo",
}  # fmt: skip
UNITS = (DURATION, EVERY, FRAME_DISTANCE, SOME_TIME, TIME_OR_NEVER, RATE, MOMENT)
SIZES = {"--limit-rate"}
DATES = {"--due", "--filed", "--received", "--since", "--until"}


def test_times_and_sizes_are_given_in_one_way() -> None:
    """Each option that takes some is named here, so that none comes with a syntax of its own."""
    kinds: dict[str, set[str]] = {"time": set(), "rate": set(), "date": set(), "seconds": set()}
    for _, each in options():
        name = max(each.opts, key=len)
        if isinstance(each.type, Unit):
            kinds[each.type.name].add(name)
            assert each.type in UNITS
        elif each.type is LABEL_TIME:
            kinds["time"].add(name)
        else:
            metavar = each.make_metavar(click.Context(click.Command("")))
            assert not re.search("TIME|DAYS|HOURS|SECONDS|BYTES|SIZE", metavar), name
    assert kinds == {"time": TIMES, "rate": SIZES, "date": DATES, "seconds": {"--every"}}


def test_folders_files_and_numbers_have_one_word_each() -> None:
    words = set()
    for _, each in options():
        if not each.is_flag:
            words.add(each.make_metavar(click.Context(click.Command(""))))
    assert not {"FOLDER", "DIRECTORY", "PATH", "INTEGER", "FLOAT", "TEXT...", "STRING"} & words


def test_pairs_say_how_they_are_given() -> None:
    for _, each in options():
        if isinstance(each.type, Pair):
            with pytest.raises(click.BadParameter, match=r"as [A-Z]+=[A-Z]+. Give it as \w+=\w+"):
                each.type.convert("nothing", None, None)


def test_what_is_written_is_named_by_out_or_for_what_it_is() -> None:
    """Data goes to --out; what goes elsewhere besides is named for what it is."""
    named = {
        max(each.opts, key=len)
        for _, each in options()
        if isinstance(each.type, Place) and each.type.is_written
    }
    assert named == {
        "--access-log", "--keep-hashes", "--log-json", "--metrics", "--missed", "--out", "--recent",
        "--report", "--review", "--state", "--store",
    }  # fmt: skip


def test_every_command_that_changes_a_queue_takes_who_and_every_one_that_waits_is_quiet() -> None:
    by = {path for path, option in USES["--by"]}
    assert {("review", "purge"), ("review", "settings"), ("review", "add")} <= by
    assert {path for path, _ in USES["--reason"]} <= by


def test_what_help_says_is_what_holds() -> None:
    """Numbers that help has of its own, as it loads nothing."""
    assert options_of_commands.EVERY == clips.EVERY
    assert units.LONGEST_FRAME_DISTANCE == matcher.LONGEST
    assert options_of_commands.READERS == pipeline.READERS
    thresholds = VideoThresholds()
    (given,) = {each.help for name, each in options() if "--video-threshold" in each.opts}
    assert given
    for name, field in options_of_commands.VIDEO_THRESHOLDS.items():
        assert re.search(rf"\b{name}\b.*?default: {getattr(thresholds, field):g}\]", given), name


def test_what_is_said_of_one_thing_is_said_once() -> None:
    """Of two values for one name, the first would be lost without a word."""
    seen = 0
    for command in LEAVES.values():
        for each in command.params:
            if isinstance(each, click.Option) and isinstance(each.type, Pair) and each.multiple:
                pairs = [next(p for p in EXAMPLES if _takes(each, p))] * 2
                with pytest.raises(click.BadParameter, match="twice"):
                    each.process_value(click.Context(command), pairs)
                seen += 1
    assert seen > 5


EXAMPLES = ("entry=0.8", "pdq=20", "rayé=withdrawn", "privacy_group=1", "A1=48h")


def _takes(option: click.Option, pair: str) -> bool:
    try:
        option.process_value(click.Context(click.Command("a")), [pair])
    except click.BadParameter:
        return False
    return True
