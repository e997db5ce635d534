"""Options that several commands share, in groups."""

from __future__ import annotations

import getpass
import logging
import os
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.units import (
    INPUT,
    LIST,
    LOG,
    METRICS,
    OUTPUT,
    QUEUE,
    RATE,
    RECORDS,
    REPORT,
    SOME_TIME,
    STATE,
    TRUSTED,
)
from hashmatch.errors import UsageError
from hashmatch.records.enums import LEVELS
from hashmatch.records.safeguards import Safeguard, allowing

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmatch.lists.ingest import ListFormat
    from hashmatch.review.queue import ReviewQueue

    Command = Callable[..., Any]

READERS = 16
"""`hashmatch.scan.pipeline.READERS`, which help does without loading."""


def _quiet(ctx: click.Context, _: click.Parameter, quiet: bool) -> bool:
    if quiet:
        logger = logging.getLogger("hashmatch.kernels")
        ctx.call_on_close(partial(logger.setLevel, logger.level))  # others have the logger too
        logger.setLevel(logging.ERROR)
    return quiet


quiet_option = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    callback=_quiet,
    help="No progress, summary or names of problems; errors only.",
)
verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="Name every problem, not only the first 20."
)
strict_option = click.option(
    "--strict", is_flag=True, help="Exit with 1 if some image could not be hashed."
)


def allowance(option: str, safeguard: Safeguard, help: str) -> Callable[[Command], Command]:
    """Return the option that lets a command go on without a safeguard."""

    def allow(ctx: click.Context, _: click.Parameter, given: bool) -> None:
        if given:
            ctx.with_resource(allowing(safeguard))

    return click.option(option, is_flag=True, expose_value=False, callback=allow, help=help)


def _sandbox(ctx: click.Context, _: click.Parameter, given: str) -> None:
    if given == "best":
        ctx.with_resource(allowing(Safeguard.SANDBOX))


sandbox_option = click.option(
    "--sandbox",
    type=click.Choice(["required", "best"]),
    default="required",
    show_default=True,
    expose_value=False,
    callback=_sandbox,
    help="What to do where the kernel does not offer Landlock and seccomp, which confine what "
    "decodes pictures: decode nothing, or do with what there is.",
)
allow_readable_option = allowance(
    "--allow-readable",
    Safeguard.PRIVATE_FILES,
    "Use stores, queues, states, logs and kept hashes that others can read, though who can read "
    "a store can look its hashes up.",
)
allow_http_option = allowance(
    "--allow-http",
    Safeguard.TLS,
    "Speak plain http with other machines, which others can read and change on the way.",
)

ALGORITHMS = (
    "pdq, pdq-nearest512, pdq-thumb512, phash, dhash, ahash, whash, md5, sha1, sha256 or a plug-in"
)
FORMATS = (
    "csv, jsonl, ncmec-xml, pdq-text, stopncii-json, tat-json, threatexchange-json, "
    "threatexchange-te, vics-json, vpdq or a plug-in"
)
ROLES = (
    "algorithm, hash, id, label, labels, max_distance, quality, sources, status, updated or the "
    "name of an algorithm"
)
"""What help names without loading it; what comes with hashmatch, and a test holds it against."""

algorithm_option = click.option(
    "-a",
    "--algorithm",
    default="pdq",
    show_default=True,
    metavar="NAME",
    help=f"What to hash with: {ALGORITHMS}.",
)


def group(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return what adds all of some options, in their order in the help."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@dataclass(frozen=True, slots=True)
class ListShape:
    """How list files are to be read, as the command line tells it."""

    list_format: str | None
    columns: tuple[str, ...]
    delimiter: str | None
    encoding: str | None
    bits: tuple[str, ...]
    unique_ids: bool
    dates: str | None
    charset: str | None
    keep_ids: tuple[str, ...]
    statuses: tuple[str, ...]

    @classmethod
    def taken(cls, options: dict[str, Any]) -> ListShape:
        """Return that of a command with `shape_options`, taken out of `options`."""
        return cls(**{field.name: options.pop(field.name) for field in fields(cls)})

    def format(self, algorithm: str, keep_disputed: bool = False) -> ListFormat:
        """Return the same, with what rows hold that do not say it themselves."""
        from hashmatch.lists.ingest import ListFormat

        columns, delimiter = self._columns(), self.delimiter
        return ListFormat(
            algorithm, self.list_format, columns, delimiter, self.encoding, keep_disputed,
            self.dates, self.charset, unique_ids=self.unique_ids,
            bits=self.bits or None, keep_ids=self.keep_ids or None, statuses=self._statuses(),
        )  # fmt: skip

    def _statuses(self) -> dict[str, str] | None:
        """Return what each word for a status was told to mean."""
        pairs = [pair.rpartition("=") for pair in self.statuses]
        for word, separator, meaning in pairs:
            if not (word and separator and meaning):
                raise click.BadParameter(
                    "cannot tell the word from its meaning. Give WORD=MEANING, for example "
                    "supprimé=withdrawn",
                    param_hint="--status",
                )
        return {word: meaning for word, _, meaning in pairs} or None

    def _columns(self) -> dict[str, str] | None:
        """Return the column of each role that was told."""
        pairs = [pair.partition("=") for pair in self.columns]
        for role, separator, name in pairs:
            if not (role and separator and name):
                raise click.BadParameter(
                    "cannot tell the role from the column. Give ROLE=NAME, for example pdq=Hash",
                    param_hint="--column",
                )
        roles = [role for role, _, _ in pairs]
        for role in roles:
            if roles.count(role) > 1:
                raise click.BadParameter(
                    f"cannot use {role} twice. Give it once", param_hint="--column"
                )
        return {role: name for role, _, name in pairs} or None


#: What makes a `ListShape`.
shape_options = group(
    click.option(
        "--list-format",
        metavar="NAME",
        help=f"How lists are written, if it is not detected: {FORMATS}.",
    ),
    click.option(
        "--column",
        "columns",
        multiple=True,
        metavar="ROLE=NAME",
        help="Which column of a CSV list, by name or number, or key of JSON lines is what, as in "
        "pdq=Fingerprint or hash=3. Roles: "
        f"{ROLES}. Repeatable.",
    ),
    click.option(
        "--status",
        "statuses",
        multiple=True,
        metavar="WORD=MEANING",
        help="What a word that the list has for the status of an entry means: listed, withdrawn, "
        "benign or disputed, as in rayé=withdrawn. Repeatable. [default: the usual words, and "
        "those that a store was imported with]",
    ),
    click.option(
        "--delimiter",
        metavar="CHAR",
        help="What separates the columns of a CSV list, if it is not detected.",
    ),
    click.option(
        "--encoding",
        type=click.Choice(
            [
                "hex",
                "hex-unpadded",
                "base64",
                "base64url",
                "base32",
                "decimal",
                "signed",
                "binary",
            ]
        ),
        help="How lists write hashes, where their format does not say it: hex-unpadded lacks zeros "
        "in front, signed is a number of two's complement. [default: hex, or as a store was "
        "imported]",
    ),
    click.option(
        "--bits",
        multiple=True,
        metavar="[NAME=]ORDER",
        help="In which order the lists have the bits of hashes of pictures: reversed, "
        "bytes-reversed, inverted, transposed or unchanged; with NAME= of that algorithm. "
        "Repeatable: one after the other. [default: unchanged, or as a store was imported]",
    ),
    click.option(
        "--unique-ids",
        is_flag=True,
        help="An id of CSV, JSON lines or PDQ text is of one entry, and no name of a file: its "
        "later hash takes the place of the earlier.",
    ),
    click.option(
        "--keep-ids",
        multiple=True,
        type=click.Choice(["uuid", "numbers", "all"]),
        help="Show ids, labels and sources as they are that by their shape may be hashes: UUIDs, "
        "numbers of 19 digits and more, or all. Repeatable. [default: references instead of them, "
        "or as a store was imported]",
    ),
    click.option(
        "--dates",
        type=click.Choice(["dmy", "mdy"]),
        help="The order of dates in CSV lists and JSON lines, such as 01/02/2024, if none of them "
        "tells.",
    ),
    click.option(
        "--charset",
        metavar="NAME",
        help="What the text of lists is in, such as cp1251. [default: UTF-8, or what its mark "
        "says, or Windows-1252]",
    ),
)

#: What says whom to trust, and how a store is opened.
trust_options = group(
    click.option(
        "--trust",
        "trusted",
        multiple=True,
        type=INPUT,
        metavar="FILE.pub",
        help="Use only stores that this key has signed; repeatable. "
        f"[default: the files in {TRUSTED}]",
    ),
    click.option(
        "--signatures",
        "needed",
        metavar="N",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="How many trusted keys have to have signed.",
    ),
    click.option(
        "--grace",
        metavar="DAYS",
        type=click.FloatRange(0, 36500),
        default=7,
        show_default=True,
        help="How long a list is used after it has expired.",
    ),
    click.option(
        "--list-key",
        type=INPUT,
        metavar="FILE",
        help="The key of encrypted stores, if HASHMATCH_LIST_KEY does not hold it.",
    ),
    allow_readable_option,
    allowance(
        "--unsigned",
        Safeguard.SIGNATURES,
        "Use a store that somebody has signed without a key to trust: any change of it goes "
        "unnoticed.",
    ),
)


def _limits(
    ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> int | dict[str, int] | None:
    """Return the limit of all lists, or the limits by algorithm."""
    limits: dict[str, int] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        if not number.isascii() or not number.isdigit():
            raise click.BadParameter(f"cannot use {text!r}: it is no whole number of bits from 0")
        if name in limits:
            raise click.BadParameter(
                f"cannot use {name or 'one limit for all lists'} twice. Give it once"
            )
        limits[name] = int(number)
    if not limits:
        return None
    if "" not in limits:
        return limits
    if len(limits) > 1:
        raise click.BadParameter(
            "cannot tell the limits apart. Give either one limit, or one for each algorithm by name"
        )
    return limits[""]


#: What is matched, and how near; with all that lists need to be read.
list_options = group(
    click.option(
        "-l",
        "--list",
        "list_paths",
        multiple=True,
        required=True,
        type=LIST,
        metavar="[NAME=]PATH",
        help="A known-hash list: the folder of a list store, or a file of any format. With NAME= "
        "its hashes of that algorithm instead. Repeatable: all lists are matched at once.",
    ),
    algorithm_option,
    click.option(
        "-d",
        "--max-distance",
        multiple=True,
        callback=_limits,
        metavar="[NAME=]N",
        help="Most differing bits of a match, inclusive; with NAME= of that algorithm, repeatable. "
        "An entry's own limit outranks it. [default: the algorithm's, 31 for pdq]",
    ),
    click.option("--skip-bad-rows", is_flag=True, help="Leave out list rows that cannot be used."),
    click.option(
        "--disabled",
        type=INPUT,
        metavar="FILE",
        help="Leave out the entries of lists that this file names, which hashmatch review disabled "
        "writes.",
    ),
    trust_options,
)

#: What keeps matches of a hash out of the queue, whatever else was matched before.
evidence_options = group(
    click.option(
        "--benign",
        "benign_paths",
        multiple=True,
        type=LIST,
        metavar="[NAME=]FILE",
        help="A list of pictures that are known to be harmless, in any format of a list: "
        "matches of them are suppressed. Repeatable.",
    ),
    click.option(
        "--min-sources",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        metavar="N",
        help="Suppress matches whose entries are backed by less than N different sources.",
    ),
)
breaker_option = click.option(
    "--breaker",
    "breaker_limit",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    metavar="N",
    help="Records that one entry may have in the queue; further ones are suppressed, with "
    "one alarm. 0 lets all through.",
)

#: What pictures are hashed as, and which of them are searched.
hashing_options = group(
    click.option(
        "--variants",
        type=click.Choice(LEVELS),
        default="none",
        show_default=True,
        help="What else to ask about each picture: its eight orientations; then also what is "
        "inside of its borders, and the frames of animations; then also what it was cropped or "
        "turned from.",
    ),
    click.option(
        "--min-quality",
        type=click.IntRange(0, 100),
        metavar="N",
        help="Least quality that is searched, of PDQ and of hashes of 64 bits. [default: 50]",
    ),
)

#: What is scanned, besides the source itself.
source_options = group(
    click.option(
        "-s",
        "--surface",
        required=True,
        metavar="SURFACE",
        help="Where the images were published: profile_photo, group_photo, user_report or "
        "public_post.",
    ),
    allow_http_option,
)

#: Where records, reports and hashes of a scan go.
output_options = group(
    click.option(
        "-o",
        "--out",
        type=RECORDS,
        metavar="FILE",
        help="Where records go: .jsonl or .csv. [default: -, unless there is --review]",
    ),
    click.option(
        "--review",
        type=QUEUE,
        metavar="QUEUE",
        help="Put records into this queue of hashmatch review, each once however often it is "
        "found. It keeps each picture's own hash, as --state does then, so that a picture that "
        "was found a hundred times is looked at once.",
    ),
    click.option(
        "--report", type=REPORT, metavar="FILE", help="Write counts and problems as JSON."
    ),
    click.option("--include-hash", is_flag=True, help="Put each image's own hash into its record."),
    click.option(
        "--keep-hashes",
        "kept_in",
        type=OUTPUT,
        metavar="DIR",
        help="Keep the hashes of all images there, to match them with later lists.",
    ),
    click.option(
        "--keep-for",
        type=SOME_TIME,
        help="How long, for example 30d, 36h or 10m. They are not read after it.",
    ),
)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers() -> int:
    """Return one more: while a picture is hashed here, its worker has nothing to do."""
    return processors() + 1


def _shard(
    ctx: click.Context, parameter: click.Parameter, given: str | None
) -> tuple[int, int] | None:
    """Return which shard, and of how many."""
    from hashmatch.scan.shard import parse_shard

    try:
        return None if given is None else parse_shard(given)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


#: What makes a scan a job: its state, its share, what it is done with, and what is told of it.
job_options = group(
    click.option(
        "--state",
        type=STATE,
        metavar="DIR",
        help="Keep the progress of the scan there: after any interruption the same command resumes "
        "where it stopped, and scans what is new or has changed since. hashmatch scan status DIR "
        "shows the progress.",
    ),
    click.option(
        "--shard",
        callback=_shard,
        metavar="I/N",
        help="Scan one of N parts of SOURCE, from 0/N on: for N jobs that know nothing of each "
        "other. Parts have no image in common, and all of them together are SOURCE.",
    ),
    click.option(
        "--dry-run",
        is_flag=True,
        help="Only list SOURCE and say what is in it, and what a scan would take, going by a "
        "few images that are read and hashed. Nothing is written.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(1, 256),
        default=workers,
        metavar="N",
        help="Images that are decoded and hashed at once. [default: one more than there are "
        "processors]",
    ),
    click.option(
        "--readers",
        type=click.IntRange(1, 1024),
        default=READERS,
        show_default=True,
        metavar="N",
        help="Images that are read at once: how many requests a server has to bear.",
    ),
    click.option(
        "--limit-rate",
        type=RATE,
        help="Most bytes a second that are read: 500k, 10M, 1.5G, in thousands.",
    ),
    click.option(
        "--in-process",
        is_flag=True,
        help="Decode images in this process, not in ones that are closed in: for trusted "
        "images only.",
    ),
    sandbox_option,
    click.option(
        "--log-json",
        type=LOG,
        metavar="FILE",
        help="Append there what happens, a JSON object a line: problems, retries, alarms, and "
        "how it goes. - is standard output.",
    ),
    click.option(
        "--metrics",
        type=METRICS,
        metavar="FILE",
        help="Keep counters there in the text format of Prometheus, for node_exporter's "
        "textfile collector: FILE.prom in its folder.",
    ),
)


allow_private_option = click.option(
    "--allow-private",
    multiple=True,
    metavar="HOST|NETWORK",
    help="Dial this host, or addresses of this network, though they are not public: "
    "photos.internal, 10.0.0.0/8. A location written as an address, or localhost, has named its "
    "own. A proxy of the environment is used only if its host is named. Repeatable.",
)
queue_argument = group(click.argument("queue", type=QUEUE, metavar="QUEUE"), allow_readable_option)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def login() -> str:
    """Return who runs the command, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, as in some containers
        return "hashmatch"


by_option = click.option(
    "--by",
    "who",
    default=login,
    metavar="NAME",
    help="Name of who does it, for the history. [default: your login name]",
)
reason_option = click.option("--reason", default="", metavar="TEXT", help="Why, for the history.")
#: A case of a queue, and who does something about it.
case_options = group(
    queue_argument, click.argument("case_id", metavar="CASE"), by_option, reason_option
)


def open_queue(where: str) -> ReviewQueue:
    """Return the queue that a command is about."""
    from hashmatch.review.queue import ReviewQueue

    return ReviewQueue.open(where)
