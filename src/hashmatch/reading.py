"""A hash-list file to hash lists: detect its format, decode its rows, account for each one."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hashmatch import registry
from hashmatch.entries import Rows
from hashmatch.errors import BadRows, ListError, UsageError
from hashmatch.interfaces import ROLES, ListOptions
from hashmatch.lists.lines import DigestingFile
from hashmatch.lists.utf16 import Utf8File
from hashmatch.records.hashes import ENCODINGS
from hashmatch.records.items import clean_name
from hashmatch.records.lists import HashList, RejectedRow

if TYPE_CHECKING:
    from collections.abc import Mapping

HEAD = 8192
"""Bytes of a file that formats are told apart by."""

#: Beginnings of files that hold no text we read, and what to do about it.
FOREIGN = {
    b"\x1f\x8b": "is compressed with gzip; unpack it first",
    b"PK\x03\x04": "is a zip archive; unpack it first",
}


@dataclass(frozen=True, slots=True)
class ListFile:
    """All that a list file held.

    Parameters
    ----------
    name, version : str
        The file's stem unless told, and a digest of its content unless told.
    format : str
        The reader's name.
    lists : tuple of HashList
        One for each kind of hash, by algorithm name.
    rejected : tuple of RejectedRow
        Rows that could not be used.
    removed : int
        Rows whose status takes them out of the list.
    """

    name: str
    version: str
    format: str
    lists: tuple[HashList, ...]
    rejected: tuple[RejectedRow, ...]
    removed: int

    @property
    def types(self) -> dict[str, int]:
        """Entries of each algorithm."""
        return {known.spec.algorithm: len(known) for known in self.lists}


def read_list_file(
    path: str | os.PathLike[str],
    *,
    algorithm: str = "pdq",
    format: str | None = None,
    columns: Mapping[str, str] | None = None,
    delimiter: str | None = None,
    encoding: str = "hex",
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
        For CSV: role to column name, see `hashmatch.lists.mapped_csv`.
    delimiter : str, optional
        For CSV; detected unless given.
    encoding : {"hex", "base64", "base32"}
        How the hashes are written.
    name, version : str, optional
        What matches will call the list; by default the file's stem and a digest of its content.

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
    registry.spec(algorithm)
    if encoding not in ENCODINGS:
        raise UsageError(f"hash encoding {encoding!r} is not one of {', '.join(ENCODINGS)}")
    if delimiter is not None and len(delimiter) != 1:
        raise UsageError(f"a delimiter is one character, not {len(delimiter)}")
    for role in columns or ():
        if role not in ROLES and role not in registry.names(registry.HASHERS):
            raise UsageError(
                f"no column can be {role!r}; a role is an algorithm's name or one of "
                f"{', '.join(sorted(ROLES))}"
            )
    if columns and format is None:
        format = "csv"
    try:
        with open(place, "rb", buffering=0) as raw:
            digesting = DigestingFile(raw)
            stream: io.BufferedReader = io.BufferedReader(digesting, 64 * 1024)
            if Utf8File.suits(stream.peek(2)):
                stream = io.BufferedReader(Utf8File(stream), 64 * 1024)
            format = _format(place, stream, format)
            reader = registry.list_reader(format)
            options = ListOptions(columns, delimiter)
            rows = Rows(algorithm, encoding)
            try:
                rows.take(reader.rows(stream, options))
            except (ListError, UsageError) as error:
                raise type(error)(f"{place}: {error}") from None
    except OSError as error:
        raise ListError(f"{place}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a path with a NUL in it
        if isinstance(error, UsageError):
            raise
        raise ListError(f"{place!r}: cannot be read: {error}") from None
    name = clean_name(Path(place).stem if name is None else name)
    version = digesting.digest.hexdigest()[:12] if version is None else version
    lists = rows.lists(name, version)
    return ListFile(name, version, format, lists, tuple(rows.rejected), rows.removed)


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


def _format(place: str, stream: io.BufferedReader, told: str | None) -> str:
    """Return the format that was told, or that the beginning of the file shows."""
    head = bytes(stream.peek(HEAD)[:HEAD])
    empty = not head
    foreign = [advice for beginning, advice in FOREIGN.items() if head.startswith(beginning)]
    sure = {
        name: registry.list_reader(name).detects(head) for name in registry.names(registry.LISTS)
    }
    del head  # so that no traceback shows what the list begins with
    if empty:
        raise ListError(f"{place}: the list is empty")
    if foreign:
        raise ListError(f"{place}: {foreign[0]}")
    if told is not None:
        return told
    best = max(sure, key=sure.__getitem__)
    if not sure[best]:
        raise ListError(
            f"{place}: in none of the formats {', '.join(sorted(sure))}; if it is one, say which "
            "(--list-format NAME), and in CSV which column holds hashes (--column pdq=NAME)"
        )
    return best
