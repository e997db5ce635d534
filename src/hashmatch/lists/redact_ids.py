"""Ids and labels that are hashes of their own list: taken out, for they are shown.

Files are often named after a digest of theirs, and a list that has that name for an id may have
the digest as a hash of another kind, or of another row. `hashmatch.lists.ingest` keeps a row's own
hash out of what the row says; this looks at all of a list.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.lists.merge import UNDATED, hash_keys, rows_about
from hashmatch.records.entries import Entries, Entry, Texts
from hashmatch.records.hashes import HashBatch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from logging import Logger

    from hashmatch.lists.merge import Statements
    from hashmatch.records.hash_list import HashList

DIGITS = re.compile(r"[0-9a-fA-F]{16,}")
"""As many as the shortest hash of any algorithm has, or more."""


def without_hashes(
    said: Sequence[Statements], written: Sequence[HashBatch] = ()
) -> list[Statements]:
    """Return all of a list, its ids, labels, sources and status without its hashes in hex.

    `written` are the hashes with their bits in other orders, of which the same is true.
    """
    shortest = min((each.hashes.spec.bits // 4 for each in said), default=0)
    maybe = {text for each in said for text in _suspects(each.entries, shortest)}
    batches = {id(batch): batch for batch in (*(each.hashes for each in said), *written)}
    hashes = _hashes_among(maybe, batches.values()) if maybe else set()
    if not hashes:
        return list(said)
    return [_cleaned(each, hashes, shortest) for each in said]


def log_loaded(log: Logger, known: HashList) -> None:
    """Log that a list was loaded; a name or version that may be a hash is hidden."""
    name, version = (DIGITS.sub("(hidden)", text) for text in (known.name, known.version))
    count, algorithm, rejected = len(known), known.spec.algorithm, known.bad_rows
    said = "list %s, version %s, is loaded: %d %s entries; %d rows were rejected"
    log.info(said, name, version, count, algorithm, rejected)


def _suspects(entries: Entries, shortest: int) -> Iterable[str]:
    """Yield runs of digits, in lower case, that are long enough to be a hash."""
    for kind in entries.kinds:
        for text in (*kind.labels, *kind.sources, kind.status):
            yield from _runs(text)
    for row in _long(entries.ids, shortest):
        yield from _runs(_id(entries, row))


def _long(ids: Texts | None, shortest: int) -> list[int]:
    """Return which ids are long enough."""
    if ids is None:
        return []
    rows: list[int] = np.flatnonzero(np.diff(np.asarray(ids.ends[:])) >= shortest).tolist()
    return rows


def _id(entries: Entries, row: int) -> str:
    return "" if entries.ids is None else entries.ids[row] or ""


def _runs(text: str) -> list[str]:
    return [run.lower() for run in DIGITS.findall(text)]


def _hashes_among(maybe: set[str], batches: Collection[HashBatch]) -> set[str]:
    """Return the runs of digits that hold a hash of `batches`."""
    found = set()
    for spec in {batch.spec for batch in batches}:
        digits = spec.bits // 4
        of = {
            run[place : place + digits]: run
            for run in maybe
            for place in range(len(run) - digits + 1)
        }
        if not of:
            continue
        texts = list(of)
        batch = HashBatch.from_hex(spec, texts)
        keys = hash_keys(batch.words)
        for hashes in batches:
            if hashes.spec != spec:
                continue
            rows = rows_about(hash_keys(hashes.words), np.unique(keys))
            same = HashBatch(spec, hashes.words[rows], owned=True)
            found |= {of[text] for text in same.to_hex() if text in of}
    return found


def _cleaned(said: Statements, hashes: set[str], shortest: int) -> Statements:
    def clean(texts: Iterable[str]) -> tuple[str, ...]:
        return tuple(text for text in texts if not hashes.intersection(_runs(text)))

    entries = said.entries
    kinds: dict[Entry, int] = {}
    numbers = []
    for kind in entries.kinds:
        status = "".join(clean((kind.status,))) or "active"
        safe = replace(kind, labels=clean(kind.labels), sources=clean(kind.sources), status=status)
        numbers.append(kinds.setdefault(safe, len(kinds)))
    kind_of = np.array(numbers, np.uint32)[np.asarray(entries.kind[:])]
    hidden = [row for row in _long(entries.ids, shortest) if not clean((_id(entries, row),))]
    ids, key, scope = entries.ids, said.key, said.scope
    if hidden and ids is not None:
        named = [ids[row] for row in range(len(ids))]
        key, scope = key.copy(), scope.copy()
        for row in hidden:
            named[row] = None
        key[hidden] = hash_keys(said.hashes.words[hidden])
        scope[hidden] &= UNDATED
        ids = Texts.of(named)
    return replace(said, entries=Entries(kind_of, tuple(kinds), ids), key=key, scope=scope)
