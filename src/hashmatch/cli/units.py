"""Durations, byte rates, moments and places: as options take them, and as commands say them."""

from __future__ import annotations

import math
import os
import re
import stat
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from hashmatch.errors import UsageError
from hashmatch.matching.list_paths import TRUSTED
from hashmatch.records.times import SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.shell_completion import CompletionItem

BYTES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
LOCAL = frozenset({"manifest", "jsonl", "parquet", "tar", "zip"})
"""Schemes of sources that are named by a path."""
VERSIONS, MANIFEST = "versions", re.compile(r"[0-9]{8}\.json")
"""Where a list store has its versions: `hashmatch.store.layout`, which help does not load."""
LONGEST = timedelta(days=100_000)
"""What is added to a date has to stay one."""
LONGEST_FRAME_DISTANCE = 3600.0
"""`hashmatch.matching.matcher.LONGEST`, which help does without loading."""


def parse_duration(text: str) -> timedelta:
    """Return a length of time from a whole number and s, m, h, d or w: less than 100,000 days.

    ValueError says how one is given.

    Examples
    --------
    >>> parse_duration("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    found = re.fullmatch(r"(\d{1,10})([smhdw])", text, re.ASCII)
    seconds = int(found[1]) * SECONDS[found[2]] if found is not None else None
    if seconds is None or seconds >= LONGEST.total_seconds():
        raise ValueError(f"cannot use {text!r} as a duration. Give it as 90s, 10m, 36h, 30d or 2w")
    return timedelta(seconds=seconds)


def parse_rate(text: str) -> float:
    """Return a rate in bytes a second, at least 1; k, M and G stand for powers of a thousand.

    ValueError says how one is given.

    Examples
    --------
    >>> parse_rate("500k"), parse_rate("1.5G")
    (500000.0, 1500000000.0)
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([kMG]?)", text, re.ASCII)
    rate = float(found[1]) * BYTES[found[2]] if found is not None else 0.0
    if rate < 1:
        raise ValueError(f"cannot use {text!r} as a rate. Give bytes a second as 500k, 10M or 1.5G")
    return rate


def parse_moment(text: str) -> datetime:
    """Return a moment from ISO 8601, in UTC if no zone is given; ValueError says how one is.

    Examples
    --------
    >>> parse_moment("2026-01-31")
    datetime.datetime(2026, 1, 31, 0, 0, tzinfo=datetime.timezone.utc)
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"cannot use {text!r} as a date. Give 2026-01-31 or 2026-01-31T12:00Z"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def format_moment(time: datetime) -> str:
    """Return a moment for people, in UTC, to the second.

    Examples
    --------
    >>> format_moment(parse_moment("2026-01-31T12:00+01:00"))
    '2026-01-31 11:00:00 UTC'
    """
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


class Unit(click.ParamType):  # type: ignore[type-arg]
    """An option that is read by one of the functions above; `name` stands after it in the help."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name, self._parse = name, parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what `value` means; a default may be that already."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _some_time(text: str) -> timedelta:
    time = parse_duration(text)
    if not time:
        raise ValueError(f"cannot use {text!r}: it is no time at all. Give at least 1s")
    return time


def _time_or_never(text: str) -> timedelta | Literal["never"]:
    return "never" if text == "never" else parse_duration(text)


def _number(text: str) -> float:
    number = float(text)
    if not (text.isascii() and math.isfinite(number)):
        raise ValueError
    return number


def _frame_distance(text: str, most: float = LONGEST_FRAME_DISTANCE, otherwise: str = "") -> float:
    try:
        seconds = _number(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= most:
        raise ValueError(f"cannot use {text!r} as seconds. Give 0, 0.5, 1 ...{otherwise}")
    return seconds


def _frames(text: str) -> float | Literal["keyframes"]:
    return (
        "keyframes"
        if text == "keyframes"
        else _frame_distance(text, sys.float_info.max, " or keyframes")
    )


DURATION = Unit("time", parse_duration)
FRAME_DISTANCE = Unit("seconds", _frame_distance)
"""How far frames of a video that are looked up are apart."""
EVERY = Unit("seconds", _frames)
"""The same of frames that are hashed, or key frames alone."""
SOME_TIME = Unit("time", _some_time)
"""A duration longer than nothing."""
TIME_OR_NEVER = Unit("time", _time_or_never)
RATE = Unit("rate", parse_rate)
MOMENT = Unit("date", parse_moment)


class Pair(click.ParamType):  # type: ignore[type-arg]
    """NAME=VALUE: an option that says something of one thing, and can be given for several.

    With a `plain_name` the value, and not the name, may have an equals sign in it.
    """

    def __init__(
        self, name: str, parse: Callable[[str], Any], example: str, *, plain_name: bool = False
    ) -> None:
        self.name, self._parse, self._example = name, parse, example
        self._partition = str.partition if plain_name else str.rpartition

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name, and what the value means."""
        name, _, text = self._partition(value, "=")
        try:
            if not name:
                raise ValueError
            return name, self._parse(text)
        except ValueError:
            self.fail(
                f"cannot use {value!r} as {self.name.upper()}. Give it as {self._example}",
                param,
                ctx,
            )


def once_each(
    ctx: click.Context, parameter: click.Parameter, given: tuple[tuple[str, Any], ...]
) -> tuple[tuple[str, Any], ...]:
    """Return the pairs of an option that can be given for several things, for each of them once."""
    names = [name for name, _ in given]
    for name in names:
        if names.count(name) > 1:
            raise click.BadParameter(f"cannot use {name} twice. Give it once")
    return given


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError
    return int(text)


def _text(text: str) -> str:
    if not text:
        raise ValueError
    return text


VIDEO_THRESHOLD = Pair("name=n", _number, "entry=0.8")
NAME_BITS = Pair("name=bits", _whole, "pdq=20")
WORD_MEANING = Pair("word=meaning", _text, "rayé=withdrawn")
KEY_VALUE = Pair("name=value", _text, "privacy_group=1234567890", plain_name=True)
LABEL_TIME = Pair("label=time", parse_duration, "A1=48h")


class _Named(NamedTuple):
    """What one option or argument of a command names."""

    option: str
    path: str
    is_written: bool

    def is_same(self, other: _Named) -> bool:
        """Return whether both are one file or folder, by whatever links."""
        try:
            if os.path.samefile(self.path, other.path):
                return not stat.S_ISCHR(os.stat(self.path).st_mode)  # as /dev/null is
        except (OSError, ValueError):  # one is not there
            pass
        return self._real == other._real

    def is_inside(self, other: _Named) -> bool:
        """Return whether this lies in the folder that the other is."""
        folder = os.path.join(other._real, "")
        return self._real.startswith(folder) and os.path.isdir(folder)

    @property
    def _real(self) -> str:
        return os.path.realpath(self.path)


class Place(click.ParamType):  # type: ignore[type-arg]
    """What names a file or folder, and says whether that is read or `written`.

    What is read has to be there, unless the command says that better itself (`must_exist`), and
    nothing is written over it, or into a folder that is read; each thing that is written has a
    place of its own. `paths` gives the paths on this machine of what is not just one; `endings`
    are those that what is written may have, one without any aside. `missing` says what to give
    where it is not given.
    """

    name = "file"

    def __init__(
        self,
        *,
        written: bool = False,
        must_exist: bool = False,
        paths: Callable[[str], Iterator[str]] | None = None,
        endings: Callable[[], list[str]] | None = None,
        missing: str | None = None,
    ) -> None:
        self.is_written, self.must_exist = written, must_exist
        self._paths, self._endings, self._missing = paths or _path, endings, missing

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str | None:
        """Return what to give."""
        return self._missing

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete the name of a file or folder."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `value`; UsageError, in one line, if it cannot be."""
        option = "" if param is None else _called(param)
        named: list[_Named] = [] if ctx is None else ctx.meta.setdefault(__name__, _trusted())
        for path in self._paths(os.fspath(value)):
            if self.must_exist and not os.path.exists(path):
                raise UsageError(
                    f"cannot read {path} ({option}): No such file or directory. "
                    "Give the path of one that is there."
                )
            if self._endings is not None:
                _check_ending(path, option, self._endings())
            this = _Named(option, path, self.is_written)
            for other in named:
                _check_apart(this, other)
            named.append(this)
        return value


def _check_apart(one: _Named, other: _Named) -> None:
    """Raise UsageError if one of the two would be written over, or into, the other."""
    # An argument that is written to, as a queue, is what the command is about.
    written, read = sorted(
        (one, other), key=lambda each: (not each.is_written, each.option[:1] != "-")
    )
    if not written.is_written:
        return
    if one.is_same(other):
        why = f"it is what {read.option} names. Give each a place of its own."
    elif not read.is_written and written.is_inside(read):
        why = f"it is inside of {read.path}, which {read.option} names. Write it elsewhere."
    else:
        return
    raise UsageError(f"cannot write {written.path} ({written.option}): {why}")


def _check_ending(path: str, option: str, known: list[str]) -> None:
    ending = os.path.splitext(path)[1].lower()
    if not os.path.isdir(os.path.dirname(path) or os.curdir):
        return  # which is said first
    if ending and ending not in known and (os.path.isfile(path) or not os.path.exists(path)):
        raise UsageError(
            f"cannot write {path} ({option}): {ending} is no format that is written. "
            f"Give a name that ends in {' or '.join(known)}."
        )


def _called(param: click.Parameter) -> str:
    """Return what people call an option or argument."""
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    return (param.metavar or param.name or "").upper().rstrip(".")


def _trusted() -> list[_Named]:
    names = os.environ.get(TRUSTED, "").split(os.pathsep)
    return [_Named(TRUSTED, name, False) for name in names if name]


def _path(given: str) -> Iterator[str]:
    if given != "-" and "://" not in given:
        yield given


def _path_of_list(given: str) -> Iterator[str]:
    """Yield the path of [NAME=]PATH; none if NAME is no algorithm, which is said elsewhere."""
    from hashmatch import registry

    name, separator, path = given.partition("=")
    if os.path.exists(given) or not separator or os.sep in name:
        yield given
    elif name in registry.names(registry.HASHERS):
        yield path


def _paths_of_source(given: str) -> Iterator[str]:
    """Yield where a source is, if that is on this machine."""
    scheme, separator, rest = given.partition("://")
    if not separator:
        yield given
    elif scheme in LOCAL:
        path, mark, _ = rest.rpartition("?")
        yield path if mark else rest


def _paths_of_state(given: str) -> Iterator[str]:
    if "://" in given:
        return
    yield given
    yield os.path.join(given, "checkpoint.db")


def _paths_of_records(given: str) -> Iterator[str]:
    if "://" not in given:
        yield given


def _endings_of_records() -> list[str]:
    from hashmatch import registry

    return [f".{name}" for name in registry.names(registry.SINKS)]


class Queue(Place):
    """A review queue: a file, or a URL of PostgreSQL that has no password in it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `value`; UsageError, in one line, if it cannot be."""
        if isinstance(value, str) and value.startswith(("postgresql://", "postgres://")):
            from hashmatch.review.postgres_url import PostgresUrl

            if PostgresUrl.parse(value).has_password:
                raise UsageError(
                    "cannot use the review queue: its URL has a password, and everybody on this "
                    "machine can read the arguments of a command. Put it into ~/.pgpass, into "
                    "the file that PGPASSFILE names, or into a service file (PGSERVICEFILE)."
                )
        return super().convert(value, param, ctx)


class Store(Place):
    """The folder of a list store."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the stores whose paths begin so; if there are none, folders."""
        from click.shell_completion import CompletionItem

        folder, name = os.path.split(incomplete)
        try:
            found = sorted(each.name for each in os.scandir(folder or os.curdir) if each.is_dir())
        except OSError:
            found = []
        stores = [
            os.path.join(folder, each)
            for each in found
            if each.startswith(name) and os.path.isdir(os.path.join(folder, each, VERSIONS))
        ]
        return [CompletionItem(each) for each in stores] or [CompletionItem(incomplete, type="dir")]


def complete_version(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the versions of the store that a command has been given, the latest first."""
    from click.shell_completion import CompletionItem

    try:
        names = os.listdir(os.path.join(ctx.params["store"], VERSIONS))
    except (OSError, TypeError, KeyError):
        return []
    versions = sorted((int(name[:8]) for name in names if MANIFEST.fullmatch(name)), reverse=True)
    return [CompletionItem(each) for each in map(str, versions) if each.startswith(incomplete)]


def _paths_of_heads(value: str) -> Iterator[str]:
    from hashmatch.review.history import Head

    try:
        Head.parse(value)
    except UsageError:
        yield value


INPUT = Place(must_exist=True)
STORE = Store(must_exist=True)
WRITTEN_STORE = Store(written=True)
LIST = Place(
    must_exist=True,
    paths=_path_of_list,
    missing="Give a list file, or the folder of a list store.",
)
SOURCE = Place(
    paths=_paths_of_source,
    missing="Give a folder or file, or a location such as s3://bucket/folder.",
)
"""What a source is made of; the source says what is wrong with it."""
FOLDER = Place()
"""A folder, or files, of which the command says itself that they are not there."""
HEADS = Place(must_exist=True, paths=_paths_of_heads)
"""A file with heads of a history, or one of them itself."""
OUTPUT = Place(written=True)
QUEUE = Queue(written=True)
READ_QUEUE = Queue()
RECORDS = Place(written=True, paths=_paths_of_records, endings=_endings_of_records)
LOG = Place(written=True, endings=lambda: [".log", ".jsonl", ".ndjson", ".json", ".txt"])
REPORT = Place(written=True, endings=lambda: [".json"])
PAGE = Place(written=True, endings=lambda: [".html"])
METRICS = Place(written=True, endings=lambda: [".prom"])
HASHES = Place(written=True, endings=lambda: [".parquet"])
LINES = Place(written=True, endings=lambda: [".jsonl"])
TABLE = Place(written=True, endings=lambda: [".jsonl", ".csv", ".parquet"])
LISTED = Place(written=True, endings=lambda: [".jsonl", ".txt"])
STATE = Place(written=True, paths=_paths_of_state)
