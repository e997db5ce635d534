"""Ids and labels that are hashes, or may be: not shown.

Files are often named after a digest of theirs, and a list that has that name for an id may have
the digest as a hash of another kind, or of another row. `hashmatch.lists.ingest` keeps a row's own
hash out of what the row says; this looks at all of a list. What is a hash of it is taken out; what
only may be one, by `hashmatch.records.hash_shapes`, is replaced by a keyed reference, so that what
has one id still has, and a withdrawal of that id finds it.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hashmatch.lists.merge import UNDATED, Subject, hash_keys, id_key, rows_about
from hashmatch.records.entries import Entries, Entry, Texts
from hashmatch.records.hash_shapes import decoded, hidden, masked, may_be_hash, may_be_hashes
from hashmatch.records.hashes import HashBatch

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from logging import Logger

    from hashmatch.lists.merge import Statements, Withdrawals
    from hashmatch.records.hash_list import HashList

DIGITS = re.compile(r"[0-9a-fA-F]{16,}")
"""As many as the shortest hash of any algorithm has, or more."""


def without_hashes(
    said: Sequence[Statements],
    written: Sequence[HashBatch] = (),
    *,
    key: bytes,
    kept: tuple[str, ...] = (),
) -> list[Statements]:
    """Return all of a list, its ids, labels, sources and status without what may be a hash.

    `written` are the hashes with their bits in other orders, `key` is that of references, and
    `kept` the shapes of ids that are no hashes, unless they are of the list itself.
    """
    frames = [each.videos.hashes for each in said if each.videos is not None]
    batches = {id(batch): batch for batch in (*(each.hashes for each in said), *written, *frames)}
    least = min((batch.spec.bits // 8 for batch in batches.values()), default=0)
    maybe = {text for each in said for text in _suspects(each.entries, least)}
    hashes = _hashes_among(maybe, batches.values()) if maybe else set()
    return [_cleaned(each, hashes, least, key, kept) for each in said]


def hide_withdrawn(withdrawals: Withdrawals, key: bytes, kept: tuple[str, ...]) -> None:
    """Replace the ids of withdrawals that may be hashes, as `without_hashes` does."""

    def safe(subject: Subject) -> Subject:
        if subject.external_id is None:
            return subject
        return subject._replace(external_id=hidden(subject.external_id, key, kept))

    for said in (withdrawals.withdrawn, withdrawals.cleared):
        for subject in [each for each in said if safe(each) != each]:
            said[safe(subject)] = said.pop(subject)  # type: ignore[assignment]
    asked = {safe(first): set(map(safe, each)) for first, each in withdrawals.asked.items()}
    withdrawals.asked.clear()
    withdrawals.asked.update(asked)


def key_of(batches: Iterable[HashBatch]) -> bytes:
    """Return the key of references of a list that has no secret: who has its hashes can make it."""
    digest = hashlib.blake2b(person=b"hashmatch-names")
    for batch in batches:
        digest.update(batch.words.tobytes())
    return digest.digest()


def log_loaded(log: Logger, known: HashList) -> None:
    """Log that a list was loaded; a name or version that may be a hash is hidden."""
    name, version = map(masked, (known.name, known.version))
    count, algorithm, rejected = len(known), known.spec.algorithm, known.bad_rows
    said = "list %s, version %s, is loaded: %d %s entries; %d rows were rejected"
    log.info(said, name, version, count, algorithm, rejected)


def _suspects(entries: Entries, least: int) -> Iterable[str]:
    """Yield runs of hexadecimal digits that are long enough to be a hash of so many bytes."""
    for kind in entries.kinds:
        for text in (*kind.labels, *kind.sources, kind.status):
            yield from _runs(text, least)
    if entries.ids is not None:
        lengths = np.diff(np.asarray(entries.ids.ends[:]))
        for row in np.flatnonzero(6 * lengths >= 8 * least).tolist():
            yield from _runs(_id(entries, row), least)


def _odd(ids: Texts | None, least: int | None) -> list[int]:
    """Return which ids may be hashes, or hold one of `least` bytes."""
    if ids is None:
        return []
    data, ends = np.asarray(ids.data[:]), np.asarray(ids.ends[:])
    rows = may_be_hashes(data, ends)
    if least is not None:
        rows = np.union1d(rows, np.flatnonzero(6 * np.diff(ends) >= 8 * least))
    return [int(row) for row in rows]


def _id(entries: Entries, row: int) -> str:
    return "" if entries.ids is None else entries.ids[row] or ""


def _runs(text: str, least: int) -> list[str]:
    """Return runs of digits, in lower case, and what is written in another base as one.

    Only those of `least` bytes, which take the fewest characters in base64.
    """
    if 6 * len(text) < 8 * least:
        return []
    runs = [*(run.lower() for run in DIGITS.findall(text)), *(v.hex() for v in decoded(text))]
    return [run for run in runs if len(run) >= 2 * least]


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


def _cleaned(
    said: Statements, hashes: set[str], least: int, key: bytes, kept: tuple[str, ...]
) -> Statements:
    def clean(texts: Iterable[str]) -> tuple[str, ...]:
        left = (text for text in texts if not (hashes and hashes.intersection(_runs(text, least))))
        return tuple(hidden(text, key, kept) for text in left)

    entries = said.entries
    kinds: dict[Entry, int] = {}
    numbers = []
    for kind in entries.kinds:
        is_hash = may_be_hash(kind.status) or not clean((kind.status,))
        status = "active" if is_hash else kind.status
        cleaned = replace(
            kind, labels=clean(kind.labels), sources=clean(kind.sources), status=status
        )
        numbers.append(kinds.setdefault(cleaned, len(kinds)))
    kind_of = np.array(numbers, np.uint32)[np.asarray(entries.kind[:])]
    instead: dict[int, str | None] = {}
    for row in _odd(entries.ids, least if hashes else None):
        name = _id(entries, row)
        safe = next(iter(clean((name,))), None)
        if safe != name:
            instead[row] = safe
    ids, keys, scope = entries.ids, said.key, said.scope
    if instead and ids is not None:
        named = [ids[row] for row in range(len(ids))]
        keys, scope = keys.copy(), scope.copy()
        for row, safe in instead.items():
            named[row] = safe
            if safe is not None:
                keys[row] = id_key(safe.encode(), (int(scope[row]) & ~UNDATED) >> 1)
        gone = [row for row, safe in instead.items() if safe is None]
        keys[gone] = hash_keys(said.hashes.words[gone])
        scope[gone] &= UNDATED
        ids = Texts.of(named)
    return replace(said, entries=Entries(kind_of, tuple(kinds), ids), key=keys, scope=scope)
