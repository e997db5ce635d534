"""``hashmatch match``: hashes computed elsewhere against known-hash lists."""

from __future__ import annotations

import sys
from typing import Any

import click

from hashmatch.cli.console import print_line
from hashmatch.cli.options import ListShape, match_options, open_lists, open_matcher, shape_options


@click.command(
    short_help="Look up hashes that were computed elsewhere.",
    epilog="Python: hashmatch.Matcher(known).look_up(batch)",
)
@click.argument("hashes", nargs=-1, required=True, metavar="HEX...")
@match_options
@shape_options
def match(
    *,
    hashes: tuple[str, ...],
    list_paths: tuple[str, ...],
    algorithm: str,
    max_distance: int | dict[str, int] | None,
    skip_bad_rows: bool,
    list_format: str | None,
    columns: tuple[str, ...],
    delimiter: str | None,
    encoding: str,
    **trust: Any,
) -> None:
    """Look up hashes that were computed elsewhere, one line of JSON for each.

    HEX may be - to read one hash a line from standard input. The answers count the hashes by
    "query", from 1, blank lines aside; no hash is repeated in them.

    \b
    hashmatch match - --list known.csv < hashes.txt
    """  # noqa: D301  (the backspace tells click to keep the lines)
    import msgspec

    from hashmatch import registry
    from hashmatch.records.enums import Outcome
    from hashmatch.records.hashes import HashBatch

    texts: list[str] = []
    for text in hashes:
        if text == "-":
            texts.extend(line for line in sys.stdin if line.strip())
        else:
            texts.append(text)
    queries = HashBatch.from_hex(registry.spec(algorithm), texts)
    shape = ListShape(list_format, columns, delimiter, encoding)
    lists = open_lists(list_paths, shape, algorithm, skip_bad_rows, trust)
    matcher = open_matcher(lists, max_distance=max_distance)
    for number, found in enumerate(matcher.look_up(queries), 1):
        line = {
            "query": number,
            "outcome": Outcome.MATCH if found.match_count else Outcome.NO_MATCH,
            "algorithm": algorithm,
            "matches": found.matches,
            "match_count": found.match_count,
        }
        print_line(msgspec.json.encode(line).decode())
