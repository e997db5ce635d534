"""``hashmatch list hubs``: entries that many harmless pictures match, by name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.command import command, option, section
from hashmatch.cli.console import Progress, print_json, print_line, printable
from hashmatch.cli.lists_and_matcher import MatcherOptions
from hashmatch.cli.options import (
    allow_http_option,
    allow_private_option,
    hashing_options,
    in_process_option,
    json_option,
    limit_rate_option,
    list_rules_options,
    quiet_option,
    readers_option,
    sandbox_option,
    shape_options,
    workers_option,
)
from hashmatch.cli.units import LINES, LIST, SOURCE
from hashmatch.errors import UsageError
from hashmatch.matching.list_paths import reference_key
from hashmatch.records.times import timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.lists.hubs import Hub, HubCounter
    from hashmatch.matching.matcher import Matcher

WHO = "hashmatch list hubs"

sample_options = section(
    "Sample",
    option(
        "--benign",
        type=SOURCE,
        metavar="SOURCE",
        help="Harmless pictures like those that will be scanned: any source of hashmatch scan, the "
        "folder of scan --keep-hashes, or a table of hash --out. [default: made-up pictures]",
    ),
    option(
        "--least",
        type=click.IntRange(1),
        metavar="N",
        help="Only entries that match at least N pictures. [default: 3 of a sample, 1 of made-up "
        "pictures]",
    ),
    allow_http_option,
)


@command(
    short_help="Find entries that match many harmless pictures.",
    epilog="Python: hashmatch.lists.hubs.HubCounter(known)",
)
@click.argument("lists", nargs=-1, required=True, type=LIST, metavar="LIST...")
@sample_options
@list_rules_options
@hashing_options
@option(
    "-o",
    "--out",
    type=LINES,
    metavar="FILE.jsonl",
    help="Write them to this file, for scan --disabled, which leaves them out.",
)
@workers_option
@readers_option
@limit_rate_option
@in_process_option
@sandbox_option
@allow_private_option
@json_option
@quiet_option
@shape_options
def hubs(
    *,
    lists: tuple[str, ...],
    benign: str | None,
    least: int | None,
    out: str | None,
    allow_private: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Name the entries of each LIST that many harmless pictures match, with how many these are.

    Without --benign, the pictures are made up: skies, flags, pages of text and screens, some 700.
    Your own sample tells more. No hash is shown, and nothing is recorded of the pictures. Entries
    stay on the list unless the file of --out is given to --disabled.

    \b
    hashmatch list hubs lists/hotline
    hashmatch list hubs lists/hotline --benign photos/ --out hubs.jsonl
    hashmatch scan photos --list lists/hotline --surface profile_photo \\
        --disabled hubs.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.lists.exclusions import Disabled
    from hashmatch.lists.hubs import LEAST, LEAST_MADE_UP
    from hashmatch.review.feedback import write_disabled

    how = {name: options[name] for name in ("workers", "readers", "limit_rate", "in_process")}
    matcher = MatcherOptions.taken({**options, "list_paths": lists}).open()()
    counters = _counters(matcher, options["max_distance"])
    if benign is None:
        _add_made_up(counters)
    else:
        _add_sample(counters, benign, matcher, allow_private, how, quiet)
    of = "made-up pictures" if benign is None else "pictures of the sample"
    least = least or (LEAST_MADE_UP if benign is None else LEAST)
    found = [(counter, counter.hubs(least)) for counter in counters]
    if out is not None:
        now = timestamp(datetime.now(UTC))
        write_disabled(
            out,
            [
                Disabled(
                    counter.known.name, hub.entry,
                    f"it is near {hub.pictures:,} of {counter.pictures:,} {of}", WHO, now,
                )
                for counter, hubs_of_list in found
                for hub in hubs_of_list
            ],
        )  # fmt: skip
    for counter, hubs_of_list in found:
        if as_json:
            print_json(_as_json(counter, hubs_of_list, least))
            continue
        for hub in hubs_of_list:
            print_line(printable(f"{counter.known.name}  {hub.entry}  {hub.pictures:,}"))
        if not quiet:
            known = counter.known
            click.echo(
                printable(
                    f"{known.name}: {len(hubs_of_list):,} of {len(known):,} {known.spec.algorithm} "
                    f"entries match {least} or more of {counter.pictures:,} {of}"
                ),
                err=True,
            )


def _counters(matcher: Matcher, max_distance: int | Mapping[str, int] | None) -> list[HubCounter]:
    """Return a counter for each list of pictures."""
    from hashmatch import registry
    from hashmatch.lists.hubs import HubCounter

    counters = []
    for known in matcher.lists:
        algorithm = known.spec.algorithm
        asked = max_distance.get(algorithm) if isinstance(max_distance, Mapping) else max_distance
        if registry.hasher(algorithm).reads == "pixels":
            counters.append(HubCounter(known, asked, reference_key()))
    if not counters:
        raise UsageError("cannot find hubs: none of the lists is of pictures. Give one that is")
    return counters


def _add_made_up(counters: Sequence[HubCounter]) -> None:
    from hashmatch.lists.hubs import made_up_pictures

    for counter in counters:
        counter.add(made_up_pictures(counter.known.spec.algorithm))


def _add_sample(
    counters: Sequence[HubCounter],
    benign: str,
    matcher: Matcher,
    allow_private: tuple[str, ...],
    how: dict[str, Any],
    quiet: bool,
) -> None:
    from hashmatch.cli.calibrate import sample_pictures
    from hashmatch.cli.scan import scan_options
    from hashmatch.records.enums import Outcome
    from hashmatch.records.hashes import HashBatch
    from hashmatch.records.images import HashedImage, ItemOutcome

    with (
        scan_options(**how) as (scanning, _),
        sample_pictures(benign, matcher, scanning, allow_private) as (pictures, total),
        Progress(total, quiet, unit="pictures") as bar,
    ):
        for _, hashed in pictures:
            bar.advance(1)
            if isinstance(hashed, ItemOutcome):
                continue
            for counter in counters:
                batches = [
                    one.hashes
                    for one in hashed
                    if isinstance(one, HashedImage)
                    and one.outcome is Outcome.HASHED
                    and one.spec == counter.known.spec
                ]
                if batches:
                    counter.add_picture(HashBatch.concatenate(batches))


def _as_json(counter: HubCounter, found: Sequence[Hub], least: int) -> dict[str, object]:
    return {
        "list": counter.known.name,
        "list_version": counter.known.version,
        "algorithm": counter.known.spec.algorithm,
        "entries": len(counter.known),
        "pictures": counter.pictures,
        "least": least,
        "hubs": [hub._asdict() for hub in found],
    }
