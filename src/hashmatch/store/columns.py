"""The statements of a list about hashes of one kind, as a file: each column a block of it.

The file is laid out as an index file is, `hashmatch.index_file.layout`, so that what each byte is
need be said once. Its blocks:

=========  =================  =============================================================
name       dtype, shape       what it holds
=========  =================  =============================================================
words      uint64, (n, w)     the hashes
kind       uint32, (n,)       which of `kinds` is said of each
kinds      uint8, (length,)   JSON: what is said of entries apart from their ids, each once
key        uint64, (n,)       `Statements.key`
quarantine uint8, (n,)        0, or why the hash is not matched: `hashmatch.quarantine`
updated    int64, (n,)        bits of float64, when it was said; left out if all are alike
ids        uint8, (length,)   the external ids, one after the other; left out if there are none
ends       int64, (n + 1,)    where each id begins
=========  =================  =============================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

import hashmatch
from hashmatch.errors import StoreError
from hashmatch.index_file.layout import Description
from hashmatch.records.entries import Entries, Entry, Texts
from hashmatch.records.hashes import HashBatch, Opaque
from hashmatch.statements import Statements

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch.index_file.writing import Blocks
    from hashmatch.store.blocks import BlockFile

WHAT = "statements"
FEW = 100
"""One in so many rows is fewer reads of the file than all of it."""


def laid(said: Statements, quarantine: NDArray[np.uint8], name: str) -> tuple[Description, Blocks]:
    """Return what is to be written of some statements.

    Parameters
    ----------
    said : Statements
    quarantine : ndarray of uint8, shape (n,)
    name : str
        Of the list.
    """
    entries = said.entries
    blocks: list[tuple[str, NDArray[Any]]] = [
        ("words", said.hashes.words),
        ("kind", np.ascontiguousarray(entries.kind[:])),
        ("kinds", np.frombuffer(msgspec.json.encode(entries.kinds), np.uint8)),
        ("key", said.key),
        ("quarantine", quarantine),
    ]
    facts: dict[str, int | float | str] = {"what": WHAT}
    if len(said) and (said.updated == said.updated[0]).all():
        facts["updated"] = float(said.updated[0])
    else:
        blocks.append(("updated", np.ascontiguousarray(said.updated).view(np.int64)))
    if entries.ids is not None:
        blocks.append(("ids", np.ascontiguousarray(entries.ids.data[:])))
        blocks.append(("ends", np.ascontiguousarray(entries.ids.ends[:])))
    spec = said.hashes.spec
    return Description(spec, name, None, hashmatch.__version__, (), facts), blocks


class StoredStatements(Opaque):
    """Statements in a file; a column is read when it is asked for.

    Parameters
    ----------
    file : BlockFile

    Raises
    ------
    StoreError
        If the file holds something else.
    """

    def __init__(self, file: BlockFile) -> None:
        self._file = file
        self.spec = file.description.spec
        try:
            self._check()
        except (ValueError, KeyError, msgspec.MsgspecError):
            raise StoreError(f"{file.path} holds no statements of a list") from None

    def _check(self) -> None:
        shapes = {block.name: block.shape for block in self._file.description.blocks}
        types = {block.name: block.dtype for block in self._file.description.blocks}
        rows = shapes["words"][0]
        expected = {
            "words": ("uint64", (rows, self.spec.words)),
            "kind": ("uint32", (rows,)),
            "kinds": ("uint8", shapes["kinds"]),
            "key": ("uint64", (rows,)),
            "quarantine": ("uint8", (rows,)),
        }
        if "updated" in shapes:
            expected["updated"] = "int64", (rows,)
        if "ids" in shapes:
            expected["ids"] = "uint8", shapes["ids"]
            expected["ends"] = "int64", (rows + 1,)
        if self._file.description.facts.get("what") != WHAT or expected != {
            name: (types[name], shapes[name]) for name in shapes
        }:
            raise ValueError
        self.rows = rows
        kinds = msgspec.json.decode(self._file.load("kinds").tobytes(), type=tuple[Entry, ...])
        ids = None
        if "ids" in shapes:
            ids = Texts(self._file.column("ids"), self._file.column("ends"))
        self.entries = Entries(self._file.column("kind"), kinds, ids)

    @property
    def quarantine(self) -> NDArray[np.uint8]:
        """Why each hash is not matched, or 0."""
        return self._file.load("quarantine")

    @property
    def key(self) -> NDArray[np.uint64]:
        """`Statements.key` of each."""
        return self._file.load("key")

    def words(self, first: int = 0, last: int | None = None) -> NDArray[np.uint64]:
        """Return the hashes of some rows."""
        return self._file.load("words", first, last)

    def load(self) -> Statements:
        """Return all statements."""
        words = self.words()
        words.flags.writeable = False
        ids = None
        if self.entries.ids is not None:
            ids = Texts(self._file.load("ids"), self._file.load("ends"))
        entries = Entries(self._file.load("kind"), self.entries.kinds, ids)
        updated = self._updated(slice(None))
        return Statements(HashBatch(self.spec, words), entries, self.key, updated)

    def take(self, rows: NDArray[np.int64]) -> Statements:
        """Return some statements; if they are few, of the file only what they take is read."""
        if len(rows) > self.rows // FEW:
            return self.load().take(rows)
        each = rows.tolist()
        nothing = np.empty((0, self.spec.words), np.uint64)
        words = np.concatenate([nothing, *(self.words(row, row + 1) for row in each)])
        words.flags.writeable = False
        kind = [int(self.entries.kind[row : row + 1][0]) for row in each]
        ids = None
        if self.entries.ids is not None:
            ids = Texts.of(self.entries.ids[row] for row in each)
        entries = Entries(np.array(kind, np.uint32), self.entries.kinds, ids)
        updated = np.array([self._updated(slice(row, row + 1))[0] for row in each], np.float64)
        return Statements(HashBatch(self.spec, words), entries, self.key[rows], updated)

    def _updated(self, rows: slice) -> NDArray[np.float64]:
        constant = self._file.description.facts.get("updated")
        if constant is not None:
            return np.broadcast_to(np.float64(constant), len(range(*rows.indices(self.rows))))
        return self._file.load("updated", rows.start, rows.stop).view(np.float64)
