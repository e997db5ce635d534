"""A hash-list file to hash lists, each row accounted for."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashmatch._redact import unseen
from hashmatch.errors import BadRows, ListError, RejectedRow
from hashmatch.lists.detect import Shape, read_page
from hashmatch.lists.merge import standing
from hashmatch.records.hash_list import HashList
from hashmatch.records.images import clean_name

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class ListFile:
    """All that a list file held.

    Parameters
    ----------
    name, version : str
        The file's stem unless told, and the beginning of the SHA-256 of its content unless told.
    format : str
        The reader's name.
    lists : tuple of HashList
        One for each kind of hash, by algorithm name.
    rejected : tuple of RejectedRow
        Rows that could not be used.
    removed : int
        Rows whose status takes them out of the list.
    benign, disputed : int
        Rows that were left out because their owner says that they are nothing to be found, or more
        members are against them than for them; see `hashmatch.lists.ingest`.
    unmatchable : dict of str to int
        Rows of each kind of hash that nobody can match here, PhotoDNA and the like.
    """

    name: str
    version: str
    format: str
    lists: tuple[HashList, ...]
    rejected: tuple[RejectedRow, ...]
    removed: int
    benign: int = 0
    disputed: int = 0
    unmatchable: Mapping[str, int] = field(default_factory=dict)

    @property
    def types(self) -> dict[str, int]:
        """Entries of each algorithm."""
        return {known.spec.algorithm: len(known) for known in self.lists}


@unseen
def read_list_file(
    path: str | os.PathLike[str],
    *,
    algorithm: str = "pdq",
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    delimiter: str | None = None,
    encoding: str = "hex",
    keep_disputed: bool = False,
    name: str | None = None,
    version: str | None = None,
) -> ListFile:
    """Read every row of a list file, good or bad, and say which is which.

    Parameters
    ----------
    path : path
        The file.
    algorithm : str
        What rows hold that do not say it themselves.
    format : str, optional
        A reader's name, such as ``pdq-text``, ``csv`` or ``ncmec-xml``; detected unless given.
    columns : mapping of str to str, optional
        For CSV: role to column name, see `hashmatch.lists.readers.csv_columns`.
    delimiter : str, optional
        For CSV; detected unless given.
    encoding : {"hex", "base64", "base32"}
        How the hashes are written, by formats that do not say it.
    keep_disputed : bool
        Whether to list entries that more members are against than for.
    name, version : str, optional
        What matches will call the list; by default the file's stem, and the first 12
        digits of the SHA-256 of its content.

    Raises
    ------
    ListError
        If the file cannot be read, is empty or is in no known format.

    Examples
    --------
    >>> read_list_file("fixtures/lists/bad-rows.csv").types
    {'pdq': 6}
    """
    place = os.fspath(path)
    shape = Shape(algorithm, format, columns, delimiter, encoding, keep_disputed)
    rows = shape.rows(time.time())
    page = read_page(place, shape, rows)
    name = clean_name(Path(place).stem if name is None else name)
    version = page.sha256[:12] if version is None else version
    said = rows.statements()
    kept = standing(said, rows.withdrawn)
    lists = [
        HashList(name, version, each.hashes.spec, stands.hashes, stands.entries)
        for each, which in zip(said, kept, strict=True)
        if len(stands := each if which.all() else each.take(np.flatnonzero(which)))
    ]
    return ListFile(
        name,
        version,
        page.format,
        tuple(lists),
        tuple(rows.rejected),
        rows.counts["removed"],
        rows.counts["benign"],
        rows.counts["disputed"],
        dict(sorted(rows.unmatchable.items())),
    )


def read_list(
    path: str | os.PathLike[str],
    algorithm: str | None = None,
    *,
    skip_bad_rows: bool = False,
    max_distance: int | None = None,
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    delimiter: str | None = None,
    encoding: str = "hex",
    name: str | None = None,
    version: str | None = None,
) -> HashList:
    """Read one hash list, ready to match with.

    Parameters
    ----------
    path : path
        The file.
    algorithm : str, optional
        Which hashes, if the file holds several kinds. Rows that do not name their kind are taken
        to be of this one, or ``pdq``.
    skip_bad_rows : bool
        Go on without rows that cannot be used; they are in the result's ``rejected``.
    max_distance : int, optional
        The list's own inclusive limit in bits, instead of the algorithm's recommendation.
    format, columns, delimiter, encoding, name, version : optional
        See `read_list_file`.

    Raises
    ------
    BadRows
        If some row cannot be used, naming each line and reason, unless `skip_bad_rows`.
    ListError
        If the file cannot be read, or has no usable row of the algorithm.

    Examples
    --------
    >>> read_list("fixtures/lists/demo-pdq.csv", version="17")
    <HashList demo-pdq, version 17, pdq (256 bits), n=207>
    """
    file = read_list_file(
        path,
        algorithm=algorithm or "pdq",
        format=format,
        columns=columns,
        delimiter=delimiter,
        encoding=encoding,
        name=name,
        version=version,
    )
    return choose(file, os.fspath(path), algorithm, skip_bad_rows, max_distance)


def choose(
    file: ListFile,
    path: str,
    algorithm: str | None,
    skip_bad_rows: bool,
    max_distance: int | None = None,
) -> HashList:
    """Return the list of `file` that holds `algorithm`, or its only one; see `read_list`."""
    if file.rejected and not skip_bad_rows:
        raise BadRows(path, file.rejected)
    held = ", ".join(f"{kind} ({count:,})" for kind, count in file.types.items())
    if not held:
        raise ListError(f"{path}: the list has no usable row")
    if algorithm is None and len(file.lists) > 1:
        raise ListError(f"{path}: several kinds of hash, {held}: choose one as the algorithm")
    for known in file.lists:
        if algorithm in {None, known.spec.algorithm}:
            return HashList(
                known.name,
                known.version,
                known.spec,
                known.hashes,
                known.entries,
                file.rejected,
                max_distance,
            )
    raise ListError(f"{path}: no {algorithm} hashes in it; it holds {held}")
