"""``hashmatch hash`` and ``match``: hashes of pictures, and hashes made elsewhere looked up."""

from __future__ import annotations

import os
import sys
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import click
from click.core import ParameterSource

from hashmatch.cli.command import command, option
from hashmatch.cli.console import (
    Exit,
    Progress,
    console,
    print_hashed,
    print_json,
    video_fields,
)
from hashmatch.cli.lists_and_matcher import MatcherOptions
from hashmatch.cli.options import (
    algorithm_option,
    allow_http_option,
    allow_private_option,
    evidence_options,
    hashing_options,
    list_options,
    quiet_option,
    sandbox_option,
    shape_options,
    strict_option,
    table_options,
)
from hashmatch.cli.units import EVERY, SOURCE
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from hashmatch.records.videos import HashedVideo
    from hashmatch.sandbox.pool import DecodePool


@command(
    "hash",
    short_help="Hash your own pictures: print hashes, or write a table of them.",
    epilog="Python: hashmatch.hash_image(image, algorithm=...), hashmatch.arrow.hash_source(...)",
)
@click.argument("paths", nargs=-1, required=True, type=SOURCE, metavar="PATH...")
@algorithm_option
@table_options
@hashing_options
@allow_private_option
@allow_http_option
@option(
    "--every",
    type=EVERY,
    default="1",
    show_default=True,
    metavar="SECONDS",
    help="Of videos: seconds between two hashed frames, by vPDQ's rule; 0 for every frame; "
    "keyframes for key frames alone, which is quick and not vPDQ.",
)
@sandbox_option
@strict_option
@quiet_option
@click.pass_context
def hash_(
    ctx: click.Context,
    /,
    *,
    paths: tuple[str, ...],
    algorithm: str,
    every: float | Literal["keyframes"],
    out: str | None,
    strict: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Print the hash of each picture as a line of JSON. A folder means all pictures in it.

    With --algorithm vpdq, print the hashes of the frames of each video instead.

    Pictures and videos are decoded in a sandbox. For one that cannot be hashed, the line has the
    outcome and the reason instead.

    With --out, write a table of the hashes of one source instead, a folder or anything else that
    hashmatch scan takes: made once, hashmatch rescan matches it many times. Keep it as private as
    the pictures.

    \b
    hashmatch hash photo.jpg
    hashmatch hash photos/ --algorithm phash > hashes.jsonl
    hashmatch hash s3://photos/2026 --surface profile_photo --out hashes.parquet
    hashmatch hash clip.mp4 --algorithm vpdq --every 0
    """  # noqa: D301  (the backspace tells click to keep the lines)
    if out is not None:
        unhashed = _write_table(paths, algorithm, out, quiet, **options)
    else:
        given = [
            f"--{name.replace('_', '-')}"
            for name in options
            if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        ]
        if given:
            raise UsageError(f"cannot use {given[0]} without a table. Give --out FILE.parquet")
        from hashmatch.hashers._pdq import first_by_numpy

        first_by_numpy()
        unhashed = _print_hashes(paths, algorithm, every, quiet)
    if strict and unhashed:
        ctx.exit(Exit.SOME_UNHASHED)


def _write_table(
    paths: tuple[str, ...],
    algorithm: str,
    out: str,
    quiet: bool,
    *,
    surface: str | None,
    also: tuple[str, ...],
    shard: tuple[int, int] | None,
    allow_private: tuple[str, ...],
    variants: Any,
    min_quality: int | None,
    **options: Any,
) -> int:
    """Write a table of the hashes of a source, and return how many pictures have none."""
    if len(paths) > 1 or surface is None:
        raise UsageError(
            f"cannot write {out}: a table is of one source and surface. Give one PATH and --surface"
        )
    from hashmatch import registry
    from hashmatch.arrow.hash_table import hash_source
    from hashmatch.cli.scan import scan_options
    from hashmatch.hashing.hash_image import HashPlan
    from hashmatch.records.enums import HAVE_HASH, Surface
    from hashmatch.scan.shard import Shard

    plan = HashPlan((algorithm, *also), variants, min_quality)
    where = Surface.parse(surface)
    source = registry.open_source(paths[0], where, allow_private=allow_private)
    total = None
    if shard is not None:
        source = Shard(source, *shard)
    else:
        total = source.count()
    with scan_options(**options) as (how, _), Progress(total, quiet) as bar:
        made = hash_source(source, out, plan, options=how, on_item=lambda _: bar.advance())
    if not quiet:
        counts = ", ".join(f"{n:,} {name}" for name, n in made.outcomes.items()) or "no pictures"
        before = f" ({made.before:,} of them in earlier runs)" if made.before else ""
        console().print(f"{out}: {counts}{before}", markup=False)
    return sum(n for name, n in made.outcomes.items() if name not in HAVE_HASH)


def _print_hashes(
    paths: tuple[str, ...], algorithm: str, every: float | Literal["keyframes"], quiet: bool
) -> int:
    """Print the hash of each picture, and return how many have none."""
    from hashmatch import registry
    from hashmatch.hashing.hash_image import hash_image
    from hashmatch.records.enums import HAVE_HASH
    from hashmatch.records.images import escape_name
    from hashmatch.sandbox.pool import DecodePool
    from hashmatch.sources.directory import walk

    of_videos = registry.hasher(algorithm).reads == "video"
    for path in paths:  # before the first hash, so that a slip of the pen costs nothing
        next(walk(path), None)
    files = [path for path in paths if not os.path.isdir(path)]
    total = len(files) if len(files) == len(paths) else None
    unhashed = 0
    with DecodePool(1) as pool, Progress(total, quiet) as bar:
        for _, path in chain.from_iterable(walk(path) for path in paths):
            name = escape_name(os.fsencode(path))
            if of_videos:
                video = _hash_video(path, every, name, pool)
                unhashed += video.outcome not in HAVE_HASH
                print_json(video_fields(video))
            else:
                hashed = hash_image(path, algorithm, item=name, decode=pool)
                unhashed += hashed.outcome not in HAVE_HASH
                print_hashed(hashed)
            bar.advance()
    return unhashed


def _hash_video(
    path: str, every: float | Literal["keyframes"], name: str, pool: DecodePool
) -> HashedVideo:
    from hashmatch.video.hash_video import hash_video

    if every == "keyframes":
        return hash_video(path, "vpdq-keyframes", item=name, decode=pool)
    return hash_video(path, every=every, item=name, decode=pool)


@command(
    short_help="Look up hashes that were computed elsewhere.",
    epilog="Python: hashmatch.Matcher(known).look_up(batch)",
)
@click.argument("hashes", nargs=-1, required=True, metavar="HEX...")
@list_options
@evidence_options
@shape_options
def match(*, hashes: tuple[str, ...], **options: Any) -> None:
    """Look up hashes that were computed elsewhere, and print a line of JSON for each.

    HEX is a hash, or - to read one a line from standard input. "query" in the answer is the number
    of the hash, from 1 and without blank lines; the hash itself is not printed.

    Hashes are taken as of whole pictures, of sufficient quality. A match that --benign or
    --min-sources suppress says so; benign lists of other algorithms do not count. Nothing is
    queued, so there is no --breaker.

    \b
    hashmatch match - --list known.csv < hashes.txt
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch import registry
    from hashmatch.records.enums import Outcome
    from hashmatch.records.hashes import HashBatch

    texts: list[str] = []
    for text in hashes:
        if text == "-":
            texts.extend(line for line in sys.stdin if line.strip())
        else:
            texts.append(text)
    rules = MatcherOptions.taken(options)
    queries = HashBatch.from_hex(registry.spec(rules.algorithm), texts)
    matcher = rules.open()()
    for number, found in enumerate(matcher.look_up(queries)):
        line: dict[str, object] = {
            "query": number + 1,
            "outcome": Outcome.MATCH if found.match_count else Outcome.NO_MATCH,
            "algorithm": rules.algorithm,
            "matches": found.matches,
            "match_count": found.match_count,
        }
        if found.match_count and (by := matcher.suppresses(queries[number : number + 1])):
            line |= {"outcome": Outcome.SUPPRESSED, "suppressed_by": by}
        print_json(line)
