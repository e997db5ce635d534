"""Answers that fit in memory: found block by block, put together, or refused with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch.errors import TooManyMatches
from hashmatch.records.matches import Matches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from hashmatch.records.matches import Pairs

AT_ONCE = 2**14
"""Queries of a block, at most; what they find has to fit in memory."""
USUAL = 2**20
"""Pairs that a block should find, about: the next has as many queries as makes that likely."""
MOST = 2**26
"""Pairs that one answer holds, 2 GiB of them; more can be had in parts."""


def in_blocks(
    words: NDArray[np.uint64], find: Callable[[NDArray[np.uint64]], Pairs | None]
) -> Iterator[tuple[int, Pairs]]:
    """Yield what `find` returns for some of the queries, then for others, and the first's row.

    `find` returns None if it found too much for that many queries; it is then asked with fewer. A
    single one never is too much.
    """
    first, size = 0, AT_ONCE
    while first < len(words):
        pairs = find(words[first : first + size])
        if pairs is None:
            size = max(1, size // 16)
            continue
        yield first, pairs
        first += size
        size = max(1, min(AT_ONCE, size * USUAL // max(1, len(pairs.query))))


def collected(parts: Iterable[Matches], nothing: Matches, how: str) -> Matches:
    """Return the parts of an answer as one.

    Raises TooManyMatches if they have more than `MOST` pairs, saying `how` to get them.
    """
    kept: list[Matches] = []
    total = 0
    for part in parts:
        total += len(part)
        if total > MOST:
            raise TooManyMatches(f"cannot hold all matches: there are more than {MOST:,}. {how}")
        kept.append(part)
    return Matches.concatenate(kept) if kept else nothing


def closest(parts: Iterable[Matches], queries: int, most: int, nothing: Matches) -> Matches:
    """Return the closest `most` pairs of each query, and how many there are of each."""
    counts = np.zeros(queries, np.int64)
    kept: list[Matches] = []
    for part in parts:
        if not len(part):
            continue
        of_part = np.bincount(part.query, minlength=queries)
        counts += of_part
        kept.append(part.closest(most) if of_part.max() > most else part)
    whole = collected(kept, nothing, "Ask for fewer of each query")
    return whole.counting(counts)
