"""Options that several commands share, and the lists that they describe."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.lists_and_matcher import open_lists as open_lists  # noqa: PLC0414  (for commands)
from hashmatch.cli.lists_and_matcher import open_matcher as open_matcher  # noqa: PLC0414
from hashmatch.cli.lists_and_matcher import trust_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmatch.lists.ingest import ListFormat

    Command = Callable[..., Any]

quiet_option = click.option(
    "-q", "--quiet", is_flag=True, help="No progress, summary or names of problems; errors only."
)
verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="Name every problem, not only the first 20."
)
strict_option = click.option(
    "--strict", is_flag=True, help="Exit with 1 if some image could not be hashed."
)


def algorithm_option(command: Command) -> Command:
    """Add ``--algorithm``."""
    return click.option(
        "-a",
        "--algorithm",
        default="pdq",
        show_default=True,
        metavar="NAME",
        help="What to hash with: pdq, phash, dhash, ahash, whash, md5, sha1, sha256 or a plug-in.",
    )(command)


@dataclass(frozen=True, slots=True)
class ListShape:
    """How list files are to be read, as the command line tells it."""

    list_format: str | None
    columns: tuple[str, ...]
    delimiter: str | None
    encoding: str

    def format(self, algorithm: str, keep_disputed: bool = False) -> ListFormat:
        """Return the same, with what rows hold that do not say it themselves."""
        from hashmatch.lists.ingest import ListFormat

        columns, delimiter = self._columns(), self.delimiter
        return ListFormat(
            algorithm, self.list_format, columns, delimiter, self.encoding, keep_disputed
        )

    def _columns(self) -> dict[str, str] | None:
        """Return the column of each role that was told."""
        pairs = [pair.partition("=") for pair in self.columns]
        for role, separator, name in pairs:
            if not (role and separator and name):
                raise click.BadParameter(
                    "give ROLE=NAME, for example pdq=Hash", param_hint="--column"
                )
        roles = [role for role, _, _ in pairs]
        for role in roles:
            if roles.count(role) > 1:
                raise click.BadParameter(f"{role} is given twice", param_hint="--column")
        return {role: name for role, _, name in pairs} or None


def shape_options(command: Command) -> Command:
    """Add the options that make a `ListShape`."""
    for option in (
        click.option(
            "--encoding",
            type=click.Choice(["hex", "base64", "base32"]),
            default="hex",
            show_default=True,
            help="How the lists write hashes.",
        ),
        click.option(
            "--delimiter",
            metavar="CHAR",
            help="What separates the columns of a CSV list, if it is not detected.",
        ),
        click.option(
            "--column",
            "columns",
            multiple=True,
            metavar="ROLE=NAME",
            help="Which column of a CSV list is what: pdq=Hash, id=Ref, label=Kind ... Repeatable.",
        ),
        click.option(
            "--list-format",
            metavar="NAME",
            help="Read lists as csv, jsonl or pdq-text, if it is not detected.",
        ),
    ):
        command = option(command)
    return command


def variants_option(command: Command) -> Command:
    """Add ``--variants``."""
    from hashmatch.records.enums import LEVELS

    return click.option(
        "--variants",
        type=click.Choice(LEVELS),
        default="none",
        show_default=True,
        help="What else to ask about each picture: its eight orientations; then also what is "
        "inside of its borders, and the frames of animations; then also what it was cropped or "
        "turned from.",
    )(command)


def _limits(
    ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> int | dict[str, int] | None:
    """Return the limit of all lists, or the limits by algorithm."""
    limits: dict[str, int] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        if not number.isascii() or not number.isdigit():
            raise click.BadParameter(f"{text!r} is no whole number of bits from 0")
        if name in limits:
            raise click.BadParameter(f"{name or 'one limit for all lists'} is given twice")
        limits[name] = int(number)
    if not limits:
        return None
    if "" not in limits:
        return limits
    if len(limits) > 1:
        raise click.BadParameter("give either one limit, or one for each algorithm by name")
    return limits[""]


def max_distance_option(command: Command) -> Command:
    """Add ``--max-distance``."""
    return click.option(
        "-d",
        "--max-distance",
        multiple=True,
        callback=_limits,
        metavar="[NAME=]N",
        help="Most differing bits of a match, inclusive; with NAME= of that algorithm, repeatable. "
        "An entry's own limit outranks it. [default: the algorithm's, 31 for pdq]",
    )(command)


def match_options(command: Command) -> Command:
    """Add the options that make a matcher, the needed one first in the help."""
    skip_bad_rows = click.option(
        "--skip-bad-rows", is_flag=True, help="Go on without list rows that cannot be used."
    )
    lists = click.option(
        "-l",
        "--list",
        "list_paths",
        multiple=True,
        required=True,
        metavar="[NAME=]PATH",
        help="A known-hash list: the folder of a list store, or a file of any format. With NAME= "
        "its hashes of that algorithm instead. Repeatable: all lists are matched at once.",
    )
    disabled = disabled_option(trust_options(command))
    return lists(algorithm_option(max_distance_option(skip_bad_rows(disabled))))


def disabled_option(command: Command) -> Command:
    """Add ``--disabled``; `open_lists` takes it with what `trust_options` gave."""
    return click.option(
        "--disabled",
        metavar="FILE",
        help="Leave out the entries of lists that this file names, which hashmatch review disabled "
        "writes.",
    )(command)


def protection_options(command: Command) -> Command:
    """Add what keeps matches out of the queue."""
    for option in (
        click.option(
            "--breaker",
            "breaker_limit",
            type=click.IntRange(0),
            default=100,
            show_default=True,
            metavar="N",
            help="Records that one entry may have in the queue; further ones are suppressed, with "
            "one alarm. 0 lets all through.",
        ),
        click.option(
            "--min-sources",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            metavar="N",
            help="Suppress matches whose entries are backed by less than N different sources.",
        ),
        click.option(
            "--benign",
            "benign_paths",
            multiple=True,
            metavar="[NAME=]FILE",
            help="A list of pictures that are known to be harmless, in any format of a list: "
            "matches of them are suppressed. Repeatable.",
        ),
    ):
        command = option(command)
    return command


def _time(ctx: click.Context, parameter: click.Parameter, given: str | None) -> timedelta | None:
    """Return a time such as 30d or 12h."""
    if given is None:
        return None
    unit = {"d": "days", "h": "hours"}.get(given[-1:])
    number = given[:-1]
    if unit is None or not (number.isascii() and number.isdigit()) or not 0 < int(number) < 100_000:
        raise click.BadParameter(f"{given!r} is no time; give days as 30d or hours as 12h")
    return timedelta(**{unit: int(number)})


def keep_options(command: Command) -> Command:
    """Add what keeps the hashes of a scan."""
    for option in (
        click.option(
            "--keep-for",
            callback=_time,
            metavar="TIME",
            help="How long, in days or hours: 30d, 12h. They are not read after it.",
        ),
        click.option(
            "--keep-hashes",
            "kept_in",
            metavar="DIR",
            help="Keep the hashes of all images there, to match them with later lists.",
        ),
    ):
        command = option(command)
    return command
