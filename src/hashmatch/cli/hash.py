"""``hashmatch hash`` and ``match``: hashes of pictures, and hashes made elsewhere looked up."""

from __future__ import annotations

import os
import sys
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.command import command
from hashmatch.cli.console import Exit, Progress, print_hashed, print_json
from hashmatch.cli.lists_and_matcher import MatcherOptions
from hashmatch.cli.options import (
    algorithm_option,
    evidence_options,
    list_options,
    quiet_option,
    sandbox_option,
    shape_options,
    strict_option,
)
from hashmatch.cli.units import FOLDER

if TYPE_CHECKING:
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.hashes import HashBatch
    from hashmatch.records.review import SuppressedBy


@command(
    "hash",
    short_help="Print the hashes of your own pictures.",
    epilog="Python: hashmatch.hash_image(image, algorithm=...)",
)
@click.argument("paths", nargs=-1, required=True, type=FOLDER, metavar="PATH...")
@algorithm_option
@sandbox_option
@strict_option
@quiet_option
@click.pass_context
def hash_(
    ctx: click.Context, *, paths: tuple[str, ...], algorithm: str, strict: bool, quiet: bool
) -> None:
    """Print the hash of each picture as a line of JSON. A folder means all pictures in it.

    Pictures are decoded in a sandbox. For a picture that cannot be hashed, the line has the outcome
    and the reason instead.

    \b
    hashmatch hash photo.jpg
    hashmatch hash photos/ --algorithm phash > hashes.jsonl
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch import registry
    from hashmatch.hashing.hash_image import hash_image
    from hashmatch.records.enums import HAVE_HASH
    from hashmatch.records.images import escape_name
    from hashmatch.sandbox.pool import DecodePool
    from hashmatch.sources.directory import walk

    registry.hasher(algorithm)
    for path in paths:  # before the first hash, so that a slip of the pen costs nothing
        next(walk(path), None)
    files = [path for path in paths if not os.path.isdir(path)]
    total = len(files) if len(files) == len(paths) else None
    unhashed = 0
    with DecodePool(1) as pool, Progress(total, quiet) as bar:
        for _, path in chain.from_iterable(walk(path) for path in paths):
            name = escape_name(os.fsencode(path))
            hashed = hash_image(path, algorithm, item=name, decode=pool)
            unhashed += hashed.outcome not in HAVE_HASH
            print_hashed(hashed)
            bar.advance()
    if strict and unhashed:
        ctx.exit(Exit.SOME_UNHASHED)


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
        if found.match_count and (by := _suppressed_by(matcher, queries[number : number + 1])):
            line |= {"outcome": Outcome.SUPPRESSED, "suppressed_by": by}
        print_json(line)


def _suppressed_by(matcher: Matcher, query: HashBatch) -> SuppressedBy | None:
    """Return the rule that keeps what matches one hash out of a queue, if any does."""
    from hashmatch.records.enums import Outcome, Surface
    from hashmatch.records.hashes import HashBatch
    from hashmatch.records.images import HashedImage, ImageItem
    from hashmatch.records.review import ReviewRecord, SuppressedBy

    if not matcher.protection.lists and matcher.protection.min_sources == 1:
        return None
    hashed = [HashedImage("", query.spec, Outcome.HASHED, query)]
    others = {known.spec for known in matcher.lists} - {query.spec}
    for spec in others:  # of which this picture has no hash
        nothing = HashBatch.from_bytes(spec, b"")
        hashed.append(HashedImage("", spec, Outcome.UNSUPPORTED, nothing))
    result = matcher.decide(ImageItem("", "", Surface.PUBLIC_POST), hashed)
    by = result.suppressed_by if isinstance(result, ReviewRecord) else None
    return by if isinstance(by, SuppressedBy) else None
