"""Options that several commands share, in groups."""

from __future__ import annotations

import getpass
import logging
import os
from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.choices import ALGORITHM, LIST_FORMAT, SURFACE, Choice
from hashmatch.cli.command import SAFEGUARDS, option, options, section
from hashmatch.cli.units import (
    DURATION,
    FOLDER,
    FRAME_DISTANCE,
    HASHES,
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
    VIDEO_THRESHOLD,
    WORD_MEANING,
    once_each,
)
from hashmatch.errors import UsageError
from hashmatch.matching.list_paths import TRUSTED
from hashmatch.matching.prices import price
from hashmatch.records.enums import LEVELS, Surface
from hashmatch.records.safeguards import Safeguard, allowing, waive

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmatch.lists.ingest import ListFormat
    from hashmatch.review.queue import ReviewQueue

    Command = Callable[..., Any]

READERS = 16
"""`hashmatch.scan.pipeline.READERS`, which help does without loading."""
EVERY = 0.25
"""`hashmatch.matching.clips.EVERY`, likewise."""


def _quiet(ctx: click.Context, _: click.Parameter, quiet: bool) -> bool:
    if quiet:
        logger = logging.getLogger("hashmatch.kernels")
        ctx.call_on_close(partial(logger.setLevel, logger.level))  # others have the logger too
        logger.setLevel(logging.ERROR)
    return quiet


quiet_option = option(
    "-q",
    "--quiet",
    is_flag=True,
    callback=_quiet,
    help="No progress, summary or names of problems; errors only.",
)
verbose_option = option(
    "-v", "--verbose", is_flag=True, help="Name every problem, not just the first 20."
)
strict_option = option(
    "--strict", is_flag=True, help="Exit with 1 if some image could not be hashed."
)


def allowance(name: str, safeguard: Safeguard, help: str) -> Callable[[Command], Command]:
    """Return the option that lets a command run without a safeguard."""

    def allow(ctx: click.Context, _: click.Parameter, given: bool) -> None:
        if given:
            ctx.with_resource(allowing(safeguard))

    return option(
        name, is_flag=True, expose_value=False, callback=allow, section=SAFEGUARDS, help=help
    )


def _sandbox(ctx: click.Context, _: click.Parameter, given: str) -> None:
    if given == "best":
        ctx.with_resource(allowing(Safeguard.SANDBOX))


sandbox_option = option(
    "--sandbox",
    type=Choice(["required", "best"]),
    default="required",
    show_default=True,
    expose_value=False,
    callback=_sandbox,
    section=SAFEGUARDS,
    help="Where the kernel lacks Landlock or seccomp, which confine the processes that decode "
    "pictures: required decodes nothing, best uses what there is.",
)
allow_readable_option = allowance(
    "--allow-readable",
    Safeguard.PRIVATE_FILES,
    "Use stores, queues, states, logs and kept hashes that other users of this machine can read. "
    "Who can read a store can look up its hashes.",
)
allow_http_option = allowance(
    "--allow-http",
    Safeguard.TLS,
    "Use plain http to other machines. Others can read and change it on the way.",
)

ROLES = (
    "algorithm, hash, id, label, labels, max_distance, quality, sources, status, updated or the "
    "name of an algorithm"
)
"""What help names without loading it; a test holds it against what the readers know."""

algorithm_option = option(
    "-a",
    "--algorithm",
    type=ALGORITHM,
    default="pdq",
    show_default=True,
    help="The hash algorithm: {algorithms}.",
)


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
    statuses: tuple[tuple[str, str], ...]
    keep_low_quality: bool | None

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
            bits=self.bits or None, keep_ids=self.keep_ids or None,
            statuses=dict(self.statuses) or None, keep_low_quality=self.keep_low_quality,
        )  # fmt: skip

    def _columns(self) -> dict[str, str] | None:
        """Return the column of each role that --column names."""
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
shape_options = section(
    "Reading list files",
    option(
        "--list-format",
        type=LIST_FORMAT,
        help="The format of list files: {list formats}. [default: detected]",
    ),
    option(
        "--column",
        "columns",
        multiple=True,
        metavar="ROLE=NAME",
        help="The column of a CSV list, by name or number, or the key of JSON lines, that has this "
        f"role, such as pdq=Fingerprint or hash=3. Roles: {ROLES}. Repeatable.",
    ),
    option(
        "--status",
        "statuses",
        multiple=True,
        type=WORD_MEANING,
        callback=once_each,
        help="What a word of the list for the status of an entry means: listed, withdrawn, benign "
        "or disputed, such as rayé=withdrawn. Repeatable. [default: the usual words, and those "
        "that the store was imported with]",
    ),
    option(
        "--keep-low-quality/--leave-low-quality",
        "keep_low_quality",
        default=None,
        help="Match entries whose list states a quality under 50, or leave them out: they match "
        "some ninety times as many other pictures. [default: leave them out, or as the store was "
        "imported]",
    ),
    option(
        "--delimiter",
        metavar="CHAR",
        help="The column separator of a CSV list. [default: detected]",
    ),
    option(
        "--encoding",
        type=Choice(
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
        help="How lists write hashes, where the format does not say: hex-unpadded lacks leading "
        "zeros, signed is a two's complement number. [default: hex, or as the store was imported]",
    ),
    option(
        "--bits",
        multiple=True,
        metavar="[NAME=]ORDER",
        help="The bit order of perceptual hashes in lists: reversed, bytes-reversed, inverted, "
        "transposed or unchanged; NAME= for one algorithm. Repeatable: one after the other. "
        "[default: unchanged, or as the store was imported]",
    ),
    option(
        "--unique-ids",
        is_flag=True,
        help="Ids of CSV, JSON lines and PDQ text are unique: a later hash of an id replaces the "
        "earlier one.",
    ),
    option(
        "--keep-ids",
        multiple=True,
        type=Choice(["uuid", "numbers", "all"]),
        help="Show ids, labels and sources that look like hashes: UUIDs, numbers of 19 or more "
        "digits, or all. Repeatable. [default: show references instead, or as the store was "
        "imported]",
    ),
    option(
        "--dates",
        type=Choice(["dmy", "mdy"]),
        help="The order of day and month in dates such as 01/02/2024 in CSV lists and JSON lines. "
        "[default: detected]",
    ),
    option(
        "--charset",
        metavar="NAME",
        help="The text encoding of lists, such as cp1251. [default: UTF-8, or by its byte order "
        "mark, or Windows-1252]",
    ),
)

#: What says whom to trust, and how a store is opened.
trust_options = section(
    "Trusting list stores",
    option(
        "--trust",
        "trusted",
        multiple=True,
        type=INPUT,
        metavar="FILE.pub",
        help="Use only stores that this key has signed. Repeatable. "
        f"[default: the files in {TRUSTED}]",
    ),
    option(
        "--signatures",
        "needed",
        metavar="N",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="How many trusted keys must have signed.",
    ),
    option(
        "--grace",
        type=DURATION,
        default="7d",
        show_default=True,
        help="How long a list is still used after it has expired.",
    ),
    option(
        "--list-key",
        type=INPUT,
        metavar="FILE",
        help="The key of encrypted stores. [default: HASHMATCH_LIST_KEY]",
    ),
    allow_readable_option,
    allowance(
        "--unsigned",
        Safeguard.SIGNATURES,
        "Use a signed store without --trust: nobody would notice a change of it.",
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
        if name in LEVELS[1:]:
            click.echo(f"hashmatch: note: {price(name, int(number))}", err=True)
    if not limits:
        return None
    if "" not in limits:
        return limits
    if len(limits) > 1:
        raise click.BadParameter(
            "cannot tell the limits apart. Give either one limit, or one for each algorithm or "
            "level of variants by name"
        )
    return limits[""]


_RULES = (
    algorithm_option,
    option(
        "-d",
        "--max-distance",
        multiple=True,
        callback=_limits,
        metavar="[NAME=]N",
        help="Most bits that may differ in a match; NAME= for one algorithm, or for what a level "
        "of --variants adds, as thorough=40. Repeatable. An entry's own limit outranks it. "
        "[default: the algorithm's, 31 for pdq]",
    ),
    option("--skip-bad-rows", is_flag=True, help="Leave out list rows that cannot be used."),
    option(
        "--disabled",
        type=INPUT,
        metavar="FILE",
        help="Leave out the entries of lists that this file names: hashmatch review entry list "
        "--out writes it.",
    ),
    trust_options,
)
#: How near lists are matched, for a command whose arguments they are.
list_rules_options = section("Lists", *_RULES)


def lists_section(*, required: bool) -> Callable[[Command], Command]:
    """Return the options of what is matched, and how near; with all that lists need to be read."""
    return section(
        "Lists",
        option(
            "-l",
            "--list",
            "list_paths",
            multiple=True,
            required=required,
            type=LIST,
            metavar="[NAME=]PATH",
            help="A known-hash list: the folder of a list store, or a list file. NAME= takes its "
            "hashes of another algorithm than --algorithm. Repeatable: all lists are matched at "
            "once.",
        ),
        *_RULES,
    )


list_options = lists_section(required=True)

#: What keeps matches of a hash out of the queue, whatever else was matched before.
evidence_options = section(
    "Suppressing matches",
    option(
        "--benign",
        "benign_paths",
        multiple=True,
        type=LIST,
        metavar="[NAME=]FILE",
        help="A list of pictures that are known to be harmless, in any list format: matches of "
        "them are suppressed. Repeatable.",
    ),
    option(
        "--min-sources",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        metavar="N",
        help="Suppress matches whose entries have fewer than N different sources.",
    ),
)
chrome_option = option(
    "--suppress-chrome",
    section="Suppressing matches",
    is_flag=True,
    help="Suppress matches by mostly plain colour, text and lines, as two screens of one app have "
    "in common, unless something else in the picture matches too. They are marked anyway.",
)
breaker_option = option(
    "--breaker",
    "breaker_limit",
    section="Suppressing matches",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    metavar="N",
    help="Most records for one entry. Further ones are suppressed, and an alarm names the "
    "entry. 0: no limit.",
)


def _video_thresholds(
    ctx: click.Context, parameter: click.Parameter, given: tuple[tuple[str, float], ...]
) -> dict[str, float] | None:
    """Return the thresholds that were given, by the names that `VideoThresholds` has for them."""
    from hashmatch.matching.videos import VideoThresholds

    found: dict[str, float] = {}
    for name, value in given:
        field = VIDEO_THRESHOLDS.get(name)
        if field is None:
            known = ", ".join(VIDEO_THRESHOLDS)
            raise click.BadParameter(f"cannot use {name!r} as a threshold. Give one of {known}")
        if field in found:
            raise click.BadParameter(f"cannot use {name} twice. Give it once")
        found[field] = value
        try:
            VideoThresholds(**found)
        except UsageError as error:
            raise click.BadParameter(str(error).replace(field, name)) from None
    return found or None


VIDEO_THRESHOLDS = {
    "query": "query_share",
    "entry": "entry_share",
    "seconds": "segment_seconds",
}
video_threshold_option = option(
    "--video-threshold",
    "video_thresholds",
    section="Videos",
    multiple=True,
    type=VIDEO_THRESHOLD,
    callback=_video_thresholds,
    metavar="NAME=N",
    help="From when on a video of a list matches: query, the share of the clip's frames that match "
    "[default: 0.8]; entry, that of the entry's [default: 0.8]; or seconds of one matching segment "
    "[default: 10]. One that is reached is enough. Repeatable.",
)
video_options = section(
    "Videos",
    option(
        "--every",
        type=FRAME_DISTANCE,
        default=f"{EVERY:g}",
        show_default=True,
        metavar="SECONDS",
        help="Of videos: seconds between two frames that are looked up, 0 for every frame.",
    ),
    video_threshold_option,
)

#: What pictures are hashed as, and which of them are searched.
hashing_options = section(
    "Hashing",
    option(
        "--variants",
        type=Choice(LEVELS),
        default="none",
        show_default=True,
        help="Also look up variants of each picture: orientations (turned and mirrored); standard: "
        "also without borders, and each frame of an animation; thorough: also crops and small "
        "rotations.",
    ),
    option(
        "--min-quality",
        type=click.IntRange(0, 100),
        metavar="N",
        help="Least quality, 0 to 100, of a hash that is looked up. [default: 50]",
    ),
)

review_option = option(
    "--review",
    type=QUEUE,
    metavar="QUEUE",
    help="Add records to this review queue. The queue, and the --state of a scan then, keep each "
    "picture's own hash, so that people look at a picture once even if it is found a hundred "
    "times.",
)
source_option = option(
    "--source",
    default="",
    metavar="SOURCE",
    help="The source of the pictures, as it was given to hashmatch scan.",
)

drafts_option = option(
    "--drafts",
    type=INPUT,
    metavar="DIR",
    help="A folder with folders that hashmatch review draft write made, private to you: reviewers "
    "read them, with the data of the account, and sign them off.",
)
pictures_option = option(
    "--pictures",
    multiple=True,
    metavar="SOURCE",
    help="Show pictures from this source, as it was given to hashmatch scan, and from no other. "
    "Repeatable; the first is the source of records that do not name theirs.",
)

#: Of the service, and of what checks later what it missed.
fetch_from_option = option(
    "--fetch-from",
    multiple=True,
    metavar="PREFIX",
    help="Fetch pictures from addresses below this one. Without it, none are fetched. Repeatable.",
)
recent_option = option(
    "--recent",
    type=OUTPUT,
    metavar="DB",
    help="Keep hashes of the last pictures here, encrypted, and add a picture to the review queue "
    "if a list gets an entry later that it matches.",
)
recent_key_option = option(
    "--recent-key",
    type=INPUT,
    metavar="FILE",
    help="The key of --recent: 32 bytes, or them in hexadecimal or base64. [default: what "
    "HASHMATCH_RECENT_KEY holds]",
)
#: What is scanned, besides the source itself.
source_options = section(
    "Source",
    option(
        "-s",
        "--surface",
        required=True,
        type=SURFACE,
        metavar="SURFACE",
        help=f"Where the images were published: {', '.join(Surface)}.",
    ),
    allow_http_option,
)

#: Where records, reports and hashes of a scan go.
output_options = section(
    "Output",
    option(
        "-o",
        "--out",
        type=RECORDS,
        metavar="FILE",
        help="Where records go, a file that ends in {endings}. With --engine also DIR/ or "
        "s3://BUCKET/FOLDER, which get a file for each part. [default: -, unless there is "
        "--review]",
    ),
    option(
        "--out-format",
        type=click.Choice(["jsonl", "parquet"]),
        help="What files of parts are, in the folder of --out. [default: jsonl]",
    ),
    review_option,
    option("--report", type=REPORT, metavar="FILE", help="Write counts and problems as JSON."),
    option("--include-hash", is_flag=True, help="Put each picture's own hash into its record."),
    option(
        "--keep-hashes",
        "kept_in",
        type=OUTPUT,
        metavar="DIR",
        help="Keep the hashes of all pictures in this folder, for hashmatch rescan. "
        "Needs --keep-for.",
    ),
    option(
        "--keep-for",
        type=SOME_TIME,
        help="How long --keep-hashes keeps them, such as 30d, 36h or 10m.",
    ),
)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers() -> int:
    """Return one more: while a picture is hashed here, its worker has nothing to do."""
    return processors() + 1


def waive_sandbox() -> None:
    """Say that images are decoded in the process that scans them: --in-process."""
    waive(
        Safeguard.SANDBOX,
        "decode images",
        "images are decoded in this process",
        error=UsageError,
        allowed=True,
        allowed_by="--in-process",
    )


def _shard(
    ctx: click.Context, parameter: click.Parameter, given: str | None
) -> tuple[int, int] | None:
    """Return which shard, and of how many."""
    from hashmatch.scan.shard import parse_shard

    try:
        return None if given is None else parse_shard(given)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None


shard_option = option(
    "--shard",
    callback=_shard,
    metavar="I/N",
    help="Take part I of N of SOURCE, counted from 0, to share it among N jobs. Each picture is "
    "in exactly one part.",
)
workers_option = option(
    "--workers",
    type=click.IntRange(1, 256),
    default=workers,
    metavar="N",
    help="Processes that decode pictures. [default: one more than there are processors]",
)
readers_option = option(
    "--readers",
    type=click.IntRange(1, 1024),
    default=READERS,
    show_default=True,
    metavar="N",
    help="Pictures that are read at once, each with a request of its own.",
)
limit_rate_option = option(
    "--limit-rate",
    type=RATE,
    help="Read at most so many bytes a second: 500k, 10M or 1.5G, in powers of 1000.",
)
in_process_option = option(
    "--in-process",
    is_flag=True,
    section=SAFEGUARDS,
    help="Decode pictures in this process, without the sandbox: for trusted pictures only.",
)


def _engine(ctx: click.Context, parameter: click.Parameter, given: str | None) -> str | None:
    """Return the name of an engine that there is."""
    from hashmatch.scan.parts.engine import EngineName

    try:
        if given is not None:
            EngineName.parse(given)
    except UsageError as error:
        raise click.BadParameter(str(error)) from None
    return given


#: What makes a scan a job: its state, its share, what it is done with, and what is told of it.
job_options = section(
    "Running",
    option(
        "--state",
        type=STATE,
        metavar="DIR",
        help="Keep progress in this folder: the same command resumes an interrupted scan, or scans "
        "what is new or changed since. See hashmatch scan status --help.",
    ),
    option(
        "--shadow",
        multiple=True,
        callback=_limits,
        metavar="[NAME=]N",
        help="Also count what this larger limit would bring into review, by list and distance, and "
        "record nothing of it. NAME= for one algorithm. Repeatable.",
    ),
    shard_option,
    option(
        "--engine",
        callback=_engine,
        metavar="NAME",
        help="Scan parts of SOURCE at the same time: local:N in N processes of this machine, or "
        "dask://HOST:PORT on the workers of a Dask scheduler. Results are those of one scan. "
        "--state is then a folder that all share, or s3://BUCKET/FOLDER.",
    ),
    option(
        "--part-size",
        type=click.IntRange(1, 1_000_000),
        metavar="N",
        help="Pictures in a part of --engine. [default: 5000, or less of a small folder]",
    ),
    option(
        "--dry-run",
        is_flag=True,
        help="List SOURCE, read and hash a few pictures, and estimate how long a scan takes. "
        "Nothing is written.",
    ),
    workers_option,
    readers_option,
    limit_rate_option,
    in_process_option,
    sandbox_option,
    option(
        "--log-json",
        type=LOG,
        metavar="FILE",
        help="Append events to this file as JSON lines: problems, retries, alarms, progress. "
        "- is standard output.",
    ),
    option(
        "--metrics",
        type=METRICS,
        metavar="FILE",
        help="Write counters in Prometheus text format to this file, whose name ends in .prom, "
        "for the textfile collector of node_exporter.",
    ),
)

#: What a table of hashes is made with.
table_options = section(
    "Table",
    option(
        "-o",
        "--out",
        type=HASHES,
        metavar="FILE",
        help="Write a table of hashes, a row for each picture, to this file, whose name ends in "
        ".parquet. The same command resumes an interrupted one.",
    ),
    option(
        "-s",
        "--surface",
        type=SURFACE,
        metavar="SURFACE",
        help=f"Where the images were published: {', '.join(Surface)}. Needed for a table.",
    ),
    option(
        "--also",
        type=ALGORITHM,
        multiple=True,
        help="Hash by this algorithm as well. Repeatable.",
    ),
    shard_option,
    workers_option,
    readers_option,
    limit_rate_option,
    in_process_option,
)


allow_private_option = option(
    "--allow-private",
    section=SAFEGUARDS,
    multiple=True,
    metavar="HOST|NETWORK",
    help="Connect to this host or network though it is not public, such as photos.internal or "
    "10.0.0.0/8. Addresses and localhost in a location need no permission; a proxy of the "
    "environment does. Repeatable.",
)
queue_argument = options(
    click.argument("queue", type=QUEUE, metavar="QUEUE"), allow_readable_option
)
exchanges_option = option(
    "--exchanges",
    type=FOLDER,
    metavar="DIR",
    help="The folder in which exchanges of hash lists are kept. [default: HASHMATCH_EXCHANGES, or "
    "exchanges; of a service, in the folder of --data]",
)
json_option = option(
    "--json", "as_json", is_flag=True, help="Print JSON, one object a line, instead of text."
)


def login() -> str:
    """Return who runs the command, as the system knows them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user, as in some containers
        return "hashmatch"


by_option = option(
    "--by",
    "who",
    default=login,
    metavar="NAME",
    help="Who does it, for the history. [default: your login name]",
)
reason_option = option("--reason", default="", metavar="TEXT", help="Why, for the history.")
#: A case of a queue, and who does something about it.
case_options = options(
    queue_argument, click.argument("case_id", metavar="CASE"), by_option, reason_option
)


def open_queue(where: str) -> ReviewQueue:
    """Return the queue that a command is about."""
    from hashmatch.review.queue import ReviewQueue

    return ReviewQueue.open(where)


host_option = option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="The address of this machine to listen on.",
)


def port_option(default: int) -> Callable[[Command], Command]:
    """Return the option for the port of a server."""
    return option(
        "--port",
        type=click.IntRange(0, 65535),
        default=default,
        show_default=True,
        metavar="PORT",
        help="The port to listen on; 0 takes a free one.",
    )


tls_options = options(
    option("--tls-cert", type=INPUT, metavar="FILE", help="The TLS certificate, in PEM."),
    option("--tls-key", type=INPUT, metavar="FILE", help="The key of the TLS certificate, in PEM."),
    option(
        "--client-ca",
        type=INPUT,
        metavar="FILE",
        help="The authority, in PEM, whose client certificates browsers must show.",
    ),
)
