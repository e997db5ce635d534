"""A hash-list file to hash lists, each row accounted for."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hashmatch import registry
from hashmatch._redact import unseen
from hashmatch.errors import BadRows, ListError, RejectedRow, UsageError
from hashmatch.lists.calibrations import kept_calibrations
from hashmatch.lists.degenerate import (
    by_reason,
    degenerate,
    degenerate_videos,
    low_quality,
    set_aside,
)
from hashmatch.lists.detect import NAMELESS, lost_columns, place_of, read_rows
from hashmatch.lists.ingest import ListFormat, Rows, shown_id
from hashmatch.lists.merge import counted, settle, standing
from hashmatch.lists.redact_ids import log_loaded
from hashmatch.records.hash_list import HashList
from hashmatch.records.hash_shapes import hidden, masked
from hashmatch.records.images import clean_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashmatch.interfaces import ColumnUse
    from hashmatch.lists.detect import Source

LOG = logging.getLogger("hashmatch.lists")
LOG.addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class ListFile:
    """All that a list file held.

    Parameters
    ----------
    name, version : str
        By default the file's stem, and the beginning of the SHA-256 of its content.
    format : str
        The reader's name.
    lists : tuple of HashList
        One for each kind of hash, by algorithm name.
    rejected : tuple of RejectedRow
        Rows that could not be used.
    rows : dict of str to int
        How many rows of each sort there were, see `hashmatch.lists.ingest`; of those that are
        listed, how many were ``withdrawn`` by another, ``superseded`` by a later row of the same id
        or ``repeated``.
    unmatchable : dict of str to int
        Rows of each kind of hash that nobody can match here, PhotoDNA and the like.
    statuses : dict of str to int
        Rows that are listed with a status that is not known.
    without_effect : tuple of str
        Ids, None where there is none, of withdrawals of what the file does not list.
    warnings : tuple of str
        What people ought to look at.
    quarantined : dict of str to dict of str to int
        Of each kind of hash, how many are left out as degenerate, by `lists.degenerate.REASONS`.
    path : str
        Where it was read, for messages.
    remarks : tuple of str
        What else there is to know of its hashes.
    columns : tuple of ColumnUse
        What became of each column of CSV, and of each field of the first JSON lines.
    """

    name: str
    version: str
    format: str
    lists: tuple[HashList, ...]
    rejected: tuple[RejectedRow, ...]
    rows: Mapping[str, int] = field(default_factory=dict)
    unmatchable: Mapping[str, int] = field(default_factory=dict)
    statuses: Mapping[str, int] = field(default_factory=dict)
    without_effect: tuple[str | None, ...] = ()
    warnings: tuple[str, ...] = ()
    quarantined: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    path: str = ""
    remarks: tuple[str, ...] = ()
    columns: tuple[ColumnUse, ...] = ()

    @property
    def types(self) -> dict[str, int]:
        """Entries of each algorithm."""
        return {known.spec.algorithm: len(known) for known in self.lists}

    def choose(
        self,
        algorithm: str | None = None,
        *,
        skip_bad_rows: bool = False,
        max_distance: int | None = None,
    ) -> HashList:
        """Return the list of one kind of hash.

        Parameters
        ----------
        algorithm : str, optional
            Which; by default the only one that there is.
        skip_bad_rows : bool
            Leave out rows that could not be used.
        max_distance : int, optional
            The list's own inclusive limit in bits.

        Raises
        ------
        BadRows
            If some row could not be used, unless `skip_bad_rows`.
        ListError
            If there is no such list, or several to choose from.
        """
        if self.rejected and not skip_bad_rows:
            raise BadRows(self.path, self.rejected)
        held = ", ".join(f"{kind} ({count:,})" for kind, count in self.types.items())
        if not held:
            raise ListError(f"cannot use {self.path}: the list has no usable row")
        if algorithm is None and len(self.lists) > 1:
            raise ListError(
                f"cannot choose a list from {self.path}: it has several kinds of hash, {held}. "
                "Give the algorithm"
            )
        for known in self.lists:
            if algorithm in {None, known.spec.algorithm}:
                return replace(known, rejected=self.rejected, max_distance=max_distance)
        raise ListError(
            f"cannot use {self.path}: it holds no {algorithm} hashes but {held}. Say which "
            "(--algorithm)"
        )


@unseen
def read_list_file(
    source: Source,
    format: ListFormat | None = None,
    *,
    name: str | None = None,
    version: str | None = None,
) -> ListFile:
    """Read every row of a list file, good or bad, and say which is which.

    Parameters
    ----------
    source : path or binary file object
        The file. A file object is read from where it is to its end, and stays open.
    format : ListFormat, optional
        How it is to be read; detected unless given, its unnamed hashes are ``pdq``.
    name, version : str, optional
        What matches will call the list; by default the file's stem, and the first 12
        digits of the SHA-256 of its content.

    Raises
    ------
    ListError
        If the file cannot be read, is empty or is in no known format.
    UsageError
        If it is no such file, or a file object without a name, and there is no `name`.

    Examples
    --------
    >>> read_list_file("fixtures/lists/bad-rows.csv").types
    {'pdq': 6}
    """
    place = place_of(source)
    if name is None and place == NAMELESS and hasattr(source, "read"):
        raise UsageError("cannot name the list: the file object has no name. Give name=...")
    name = clean_name(Path(place).stem if name is None else name)
    format = format or ListFormat()
    rows = Rows(format, time.time())
    read = read_rows(source, format, rows)
    version = read.sha256[:12] if version is None else version
    said = rows.statements()
    name = hidden(name, rows.key, rows.kept)
    fates = settle(said, rows.withdrawals)
    warnings = (*lost_columns(read.columns), *rows.warnings())
    rejected = tuple(rows.rejected)
    counting = [standing(each, fate) for each, fate in zip(said, fates, strict=True)]
    quarantined = {}
    for number, each in enumerate(counting):
        if registry.maker(registry.HASHERS, each.algorithm):
            continue  # somebody else's hashes, which may well be of colours
        if each.videos is None:
            codes = degenerate(each.hashes)
            if not format.keep_low_quality:
                codes = low_quality(codes, each.entries, each.algorithm)
        else:
            videos = set_aside(each.videos.of_keys(each.hashes.words))
            counting[number] = replace(each, videos=videos)
            codes = degenerate_videos(each.hashes, videos)
            if frames := by_reason(videos.set_aside):
                reasons = ", ".join(f"{reason}: {n:,}" for reason, n in frames.items())
                warnings += (f"frames that match too much are set aside, {reasons}",)
        if codes.any():
            found = quarantined[each.algorithm] = by_reason(codes)
            reasons = ", ".join(f"{reason}: {n:,}" for reason, n in found.items())
            warnings += (f"{each.algorithm} hashes that match too much are left out, {reasons}",)
            counting[number] = counting[number].take(np.flatnonzero(codes == 0))
    calibrations, problems = (
        kept_calibrations(source) if isinstance(source, str | os.PathLike) else ((), ())
    )
    warnings += problems
    lists = [
        HashList(
            name,
            version,
            each.hashes.spec,
            each.hashes,
            each.entries,
            rejected,
            videos=each.videos,
            problems=tuple(f"{place}: {told}" for told in warnings),
            calibrations=calibrations,
        )
        for each in counting
        if len(each)
    ]
    for told in warnings:
        LOG.warning("%s: %s", masked(place), told)
    for known in lists:
        log_loaded(LOG, known)
    return ListFile(
        name,
        version,
        read.reader,
        tuple(lists),
        rejected,
        {**rows.summary(), **counted(fates)},
        dict(sorted(rows.unmatchable.items())),
        dict(sorted(rows.statuses.items())),
        tuple(map(shown_id, rows.withdrawals.without_effect)),
        warnings,
        quarantined,
        place,
        tuple(rows.remarks),
        read.columns,
    )


def read_list(
    source: Source,
    algorithm: str | None = None,
    *,
    format: ListFormat | None = None,
    skip_bad_rows: bool = False,
    max_distance: int | None = None,
    name: str | None = None,
    version: str | None = None,
) -> HashList:
    """Read one hash list, ready to match with.

    Parameters
    ----------
    source : path or binary file object
        The file; see `read_list_file`.
    algorithm : str, optional
        Which hashes, if the file holds several kinds. Rows that do not name their kind are taken
        to be of this one, or of that of `format`.
    format : ListFormat, optional
        How it is to be read.
    skip_bad_rows : bool
        Leave out rows that cannot be used; they are in the result's ``rejected``.
    max_distance : int, optional
        The list's own inclusive limit in bits, instead of the algorithm's recommendation.
    name, version : str, optional
        See `read_list_file`.

    Raises
    ------
    BadRows
        If some row cannot be used, naming each line and reason, unless `skip_bad_rows`.
    ListError
        If the file cannot be read, or has no usable row of the algorithm.
    UsageError
        As `read_list_file`.

    Examples
    --------
    >>> read_list("fixtures/lists/demo-pdq.csv", version="17")
    <HashList demo-pdq, version 17, pdq (256 bits), n=207>
    """
    format = format or ListFormat()
    if algorithm is not None:
        format = replace(format, algorithm=algorithm)
    file = read_list_file(source, format, name=name, version=version)
    return file.choose(algorithm, skip_bad_rows=skip_bad_rows, max_distance=max_distance)
