"""``hashmatch calibrate``: how many harmless pictures lists match, before anything is scanned."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.command import command, option, section
from hashmatch.cli.console import Progress, flush_output, print_line, printable
from hashmatch.cli.lists_and_matcher import MatcherOptions
from hashmatch.cli.options import (
    allow_http_option,
    allow_private_option,
    hashing_options,
    in_process_option,
    limit_rate_option,
    list_rules_options,
    quiet_option,
    readers_option,
    sandbox_option,
    shape_options,
    workers_option,
)
from hashmatch.cli.rescan import is_kept, open_archive
from hashmatch.cli.scan import scan_options
from hashmatch.cli.units import INPUT, LIST, PAGE, READ_QUEUE, SOURCE
from hashmatch.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashmatch.calibration.calibrate import Calibration, Picture
    from hashmatch.calibration.report import Decided
    from hashmatch.matching.matcher import Matcher
    from hashmatch.scan.scan import ScanOptions

SMALL = 96
"""Pixels of a thumbnail."""

sample_options = section(
    "Sample",
    option(
        "--benign",
        required=True,
        type=SOURCE,
        metavar="SOURCE",
        help="Harmless pictures like those that will be scanned: any source of hashmatch scan, the "
        "folder of scan --keep-hashes, or a table of hash --out.",
    ),
    option(
        "--up-to",
        type=click.IntRange(0, 1024),
        metavar="N",
        help="Compare every picture up to so many bits, if that is more than the limit. Lists that "
        "are short enough are compared at every distance anyway.",
    ),
    option(
        "--answers",
        type=INPUT,
        metavar="FILE.jsonl",
        help="The questions of an earlier report with answers: which pictures are listed ones.",
    ),
    option(
        "--thumbnails",
        is_flag=True,
        help="Put small, blurred copies of the pictures that a person is to look at into the "
        "report. Some may be listed pictures: see the law about copies of them.",
    ),
    option(
        "--queue",
        type=READ_QUEUE,
        metavar="QUEUE",
        help="Also report what people decided in this review queue: precision by distance and "
        "variant, and what other limits would have cost.",
    ),
    allow_http_option,
)


@command(
    short_help="Count how many harmless pictures lists match.",
    epilog="Python: hashmatch.calibration.calibrate.calibrate(pictures, matcher)",
)
@click.argument("lists", nargs=-1, required=True, type=LIST, metavar="LIST...")
@sample_options
@list_rules_options
@hashing_options
@option(
    "-o",
    "--out",
    type=PAGE,
    required=True,
    metavar="FILE.html",
    help="Where the report goes; the same as JSON, and the questions to people, are written beside "
    "it.",
)
@workers_option
@readers_option
@limit_rate_option
@in_process_option
@sandbox_option
@allow_private_option
@quiet_option
@shape_options
def calibrate(
    *,
    lists: tuple[str, ...],
    benign: str,
    up_to: int | None,
    answers: str | None,
    thumbnails: bool,
    queue: str | None,
    out: str,
    allow_private: tuple[str, ...],
    quiet: bool,
    **options: Any,
) -> None:
    """Count how many harmless pictures each LIST matches, and keep that beside it.

    LIST is the folder of a list store, or a list file; NAME=PATH takes its hashes of another
    algorithm than --algorithm. Give the limits and variants of your scans. From then on, each scan
    with the list begins with how many false records to expect, and each record says it.

    Nothing is recorded of the pictures but the report, in FILE.html and FILE.json. Pictures that
    may be listed ones are named in FILE.questions.jsonl: look at them, fill in "answer", and give
    the file to --answers. A sample that is too large to be read at once is better hashed first,
    with hashmatch hash --out, which resumes.

    \b
    hashmatch calibrate lists/hotline --benign photos/ --out report.html
    hashmatch calibrate lists/hotline --benign photos/ --variants thorough \\
        --out report.html --answers report.questions.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.calibration import calibrate as logic
    from hashmatch.calibration.report import Shown, write_json, write_report
    from hashmatch.lists.calibrations import write_calibration

    stem = os.path.splitext(out)[0]
    _check_unread([f"{stem}.json", f"{stem}.questions.jsonl"], [*lists, benign])
    answered = None if answers is None else logic.read_answers(answers)
    decided = None if queue is None else _decided(queue)
    rules = MatcherOptions.taken({**options, "list_paths": lists})
    how = {name: options[name] for name in ("workers", "readers", "limit_rate", "in_process")}
    matcher = rules.open()()
    with _stopped(out), scan_options(**how) as (scanning, _):
        with sample_pictures(benign, matcher, scanning, allow_private) as (pictures, total):
            bar = Progress(total, quiet, unit="pictures")
            with bar:
                found = logic.calibrate(
                    _counted(pictures, bar), matcher,
                    benign=benign.partition("?")[0], up_to=up_to, answers=answered,
                    expected=total or 100_000,
                )  # fmt: skip
        shown = Shown(_links(benign), {})
        if thumbnails:
            small = _thumbnails(benign, found, scanning, allow_private)
            shown = Shown(_links(benign), small)
    write_json(f"{stem}.json", found, decided)
    logic.write_questions(f"{stem}.questions.jsonl", found.questions)
    write_report(out, found, decided=decided, shown=shown)
    paths = [rules.path_of(given) for given in lists]
    kept = [
        write_calibration(path, one.calibration)
        for path, one in zip(paths, found.lists, strict=True)
    ]
    for line in _said(found, out, kept):
        print_line(printable(line))
    flush_output()


def _check_unread(written: list[str], read: list[str]) -> None:
    """Refuse to write beside the report over what is read: a list may be called alike."""
    for path in written:
        for given in read:
            name = given if os.path.exists(given) else given.partition("=")[2]
            if os.path.exists(path) and os.path.exists(name) and os.path.samefile(path, name):
                raise UsageError(
                    f"cannot write {path} beside the report: it is read. Give another --out."
                )


@contextmanager
def _stopped(out: str) -> Iterator[None]:
    """Say in one line that nothing was written, if somebody stops it."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(printable(f"stopped: {out} was not written, and no list was calibrated"),
                   err=True)  # fmt: skip
        raise


@contextmanager
def sample_pictures(
    benign: str, matcher: Matcher, how: ScanOptions, allow_private: tuple[str, ...]
) -> Iterator[tuple[Iterable[Picture], int | None]]:
    """Give the pictures of the sample with their hashes, and how many there are, if it is known."""
    from hashmatch import registry
    from hashmatch.calibration.pictures import hashed_pictures, kept_pictures
    from hashmatch.records.enums import Surface

    if is_kept(benign):
        archive = open_archive(benign, allow_private)
        yield kept_pictures(archive, matcher), sum(map(len, archive.files()))
        return
    # What is recorded of it is nothing, so that the surface makes no difference.
    surface = Surface.PUBLIC_POST
    source = registry.open_source(benign, surface, allow_private=allow_private)
    with closing(source):
        total = source.count()
        if total == 0:
            raise SourceError(f"cannot read {benign}: there are no images in it. Check it.")
        yield hashed_pictures(source, matcher, options=how), total


def _counted(pictures: Iterable[Picture], bar: Progress) -> Iterator[Picture]:
    for picture in pictures:
        yield picture
        bar.advance(1)


def _links(benign: str) -> Any:
    """Return what makes of a key where the picture is, for a sample that is a folder."""
    folder = Path(benign)

    def link(key: str) -> str | None:
        path = folder / key
        return path.absolute().as_uri() if folder.is_dir() and path.is_file() else None

    return link


def _thumbnails(
    benign: str, found: Calibration, how: ScanOptions, allow_private: tuple[str, ...]
) -> dict[str, str]:
    """Return small copies of the pictures that are to be looked at, by their keys."""
    from hashmatch import registry
    from hashmatch.calibration.report import MOST_QUESTIONS
    from hashmatch.decode import load
    from hashmatch.hashing.hash_image import decode_here
    from hashmatch.records.enums import Surface
    from hashmatch.records.images import ImageError
    from hashmatch.retry import ItemReads, Tries, list_items

    if is_kept(benign):
        raise UsageError(
            "cannot show thumbnails: of this sample there are hashes only. Leave out --thumbnails"
        )
    wanted: set[str] = set()
    for near in ("entry", "picture"):
        some = [one for one in found.questions if one.near == near][:MOST_QUESTIONS]
        wanted |= {one.item for one in some} | {one.of for one in some if near == "picture"}
    small: dict[str, str] = {}
    tries = how.tries or Tries()
    source = registry.open_source(benign, Surface.PUBLIC_POST, allow_private=allow_private)
    with closing(source):
        for item in list_items(source, tries=tries):
            if item.key not in wanted or item.key in small:
                continue
            _, data = ItemReads(source, item, tries).again() or (item, None)
            if not isinstance(data, bytes):
                continue
            try:
                for picture in (how.decode or decode_here)(load(data, item.key), False):
                    small[item.key] = _data_url(picture.pixels)
                    break
            except ImageError:
                continue
    return small


def _data_url(pixels: Any) -> str:
    import base64
    import io

    from PIL import Image

    image = Image.fromarray(pixels).convert("L")
    image.thumbnail((SMALL, SMALL))
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _decided(queue: str) -> Decided:
    from hashmatch.calibration.report import Decided
    from hashmatch.cli.options import open_queue
    from hashmatch.review.stats import limit_costs

    with open_queue(queue) as opened:
        found = opened.statistics()
    return Decided(found.precision, found.variants, limit_costs(found.precision))


def _said(found: Calibration, out: str, kept: list[str]) -> Iterator[str]:
    """Yield what was found, in a few lines."""
    from hashmatch.calibration.report import wording
    from hashmatch.records.calibration import PER

    yield f"{found.pictures:,} different harmless pictures were looked up"
    for one, path in zip(found.lists, kept, strict=True):
        known = one.calibration
        expected = known.expected(one.limit)
        if expected is not None:
            yield (
                f"list {known.list} version {known.list_version}, {known.algorithm} up to "
                f"{one.limit} bits: {wording(expected, PER)}; kept in {path}"
            )
        if one.hub_count:
            yield f"  {one.hub_count:,} entries match three or more of the pictures: see the report"
    near = sum(one.near == "entry" and not one.answer for one in found.questions)
    if near:
        stem = os.path.splitext(out)[0]
        yield (
            f"{near:,} pictures may be listed ones. Look at them, answer in {stem}.questions.jsonl "
            "and run this again with --answers"
        )
    yield f"report: {out}"
