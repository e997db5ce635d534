"""Rows that a list reader found, to entries: decoded, checked, and kept from showing a hash."""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from hashmatch import registry
from hashmatch.errors import UsageError
from hashmatch.interfaces import ListRow
from hashmatch.lists.lines import shown
from hashmatch.records.entries import Entry
from hashmatch.records.hashes import HashBatch
from hashmatch.records.lists import HashList, RejectedRow

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Statuses that take an entry out of a list (StopNCII v1 uses the first two).
WITHDRAWN = {"withdrawn", "deleted", "removed"}

PLAIN = ListRow(0, "")[3:]
"""What a row says that says nothing but its hash."""


class Rows:
    """The rows of one file on their way to lists: each becomes an entry, a rejection or neither.

    Parameters
    ----------
    algorithm : str
        What rows hold that do not say it themselves. A profile, such as ``pdq-nearest512``, is also
        what rows hold that only name its algorithm, ``pdq``.
    encoding : {"hex", "base64", "base32"}
        How the hashes are written.
    """

    def __init__(self, algorithm: str, encoding: str) -> None:
        self.algorithm = algorithm
        self.encoding = encoding
        self.data: dict[str, bytearray] = {}
        self.entries: dict[str, list[Entry]] = {}
        self.rejected: list[RejectedRow] = []
        self.removed = 0
        self._plain = Entry()  # most rows of large lists say nothing but the hash: share it

    def take(self, rows: Iterable[ListRow | RejectedRow]) -> None:
        """Take what a reader found; it streams."""
        for row in rows:
            if isinstance(row, RejectedRow):
                self.rejected.append(row)
            elif row.status.strip().lower() in WITHDRAWN:
                self.removed += 1
            else:
                try:
                    self._add(row)
                except UsageError as error:  # a hash, number or algorithm that cannot be
                    self.rejected.append(RejectedRow(row.line, str(error)))

    def _add(self, row: ListRow) -> None:
        algorithm = row.algorithm or self.algorithm
        if self.algorithm.startswith(f"{algorithm}-"):
            algorithm = self.algorithm  # lists say pdq whatever its profile: the caller knows
        if algorithm not in registry.names(registry.HASHERS):
            raise UsageError(f"no hasher is installed for its kind of hash, {shown(algorithm)}")
        spec = registry.spec(algorithm)
        if row.quality is not None and not 0 <= row.quality <= 100:
            raise UsageError("quality is not 0 to 100")
        if row.max_distance is not None and not 0 <= row.max_distance <= spec.bits:
            raise UsageError(f"max_distance is not 0 to {spec.bits}")
        value = spec.parse(row.hash, row.encoding or self.encoding)
        if value == _of_nothing(algorithm):
            self.removed += 1  # every empty file would match it
            return
        entry = self._plain
        if row[3:] != PLAIN:
            forms = _forms(value)
            entry = Entry(
                next(iter(_safe((row.external_id,), forms)), None),
                _safe(row.labels, forms),
                _safe(row.sources, forms),
                row.status,
                row.quality,
                row.max_distance,
            )
        self.data.setdefault(algorithm, bytearray()).extend(value)
        self.entries.setdefault(algorithm, []).append(entry)

    def lists(self, name: str, version: str) -> tuple[HashList, ...]:
        """Return a list of the entries of each algorithm, by its name."""
        return tuple(
            HashList(
                name,
                version,
                registry.spec(algorithm),
                HashBatch.from_bytes(registry.spec(algorithm), self.data[algorithm]),
                tuple(self.entries[algorithm]),
            )
            for algorithm in sorted(self.data)
        )


@cache
def _of_nothing(algorithm: str) -> bytes | None:
    """Return the digest of an empty file, for algorithms that digest bytes."""
    hasher = registry.hasher(algorithm)
    if hasher.reads != "bytes":
        return None
    hashes, _ = hasher.hash(np.zeros(0, np.uint8))
    return bytes.fromhex(hashes.to_hex()[0])


def _forms(value: bytes) -> tuple[str, ...]:
    """Return the ways to write a hash, in lower case and without padding."""
    texts = (value.hex(), base64.b64encode(value).decode(), base64.b32encode(value).decode())
    return tuple(text.rstrip("=").lower() for text in texts)


def _safe(texts: tuple[str | None, ...], forms: tuple[str, ...]) -> tuple[str, ...]:
    """Return the texts that do not hold the hash: a file is often named after its own.

    An id that is left out is replaced by a keyed reference in what a match shows.
    """
    return tuple(text for text in texts if text and not any(form in text.lower() for form in forms))
