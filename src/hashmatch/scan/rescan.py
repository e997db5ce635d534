"""Rescan: kept hashes against the lists of today. No image is read again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from hashmatch.records.review import ReviewRecord
from hashmatch.records.video_columns import VIDEO_SPEC
from hashmatch.records.videos import HashedVideo
from hashmatch.scan.hash_archive import ArchivedFile, HashArchive, record_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.enums import Level
    from hashmatch.records.hashes import HashBatch, HashSpec
    from hashmatch.records.images import HashedImage, ImageItem


class KeptHashes(Protocol):
    """Pictures and their hashes, numbered from 0: an `ArchivedFile`, or a part of a hash table."""

    @property
    def variants(self) -> Level:
        """What was asked about each picture, see `Matcher`."""
        ...

    @property
    def min_quality(self) -> int | None:
        """The least quality that counted as a hash, see `Matcher`."""
        ...

    @property
    def specs(self) -> tuple[HashSpec, ...]:
        """The kinds of hash that there are of each."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> tuple[ImageItem, Sequence[HashedImage | HashedVideo]]:
        """Return a picture and all of its hashes."""
        ...

    def verify(self) -> None:
        """Raise IndexFileError unless every byte is as it was written."""
        ...

    def given(self) -> set[bytes]:
        """Return the `record_digest` of each record that was given of these pictures."""
        ...

    def hashes(self, spec: HashSpec, /) -> tuple[HashBatch, NDArray[np.int64]]:
        """Return all hashes of one kind, and the number of the picture that each is of."""
        ...


class Archive(Protocol):
    """Where kept hashes are: a `HashArchive`, or a `hashmatch.arrow.HashTable`."""

    def files(self) -> Iterable[KeptHashes]:
        """Yield them, some pictures at a time."""
        ...


def rescan_archive(
    archive: Archive | str | os.PathLike[str],
    make_matcher: Callable[..., Matcher],
    *,
    before: Callable[..., Matcher] | None = None,
    on_file: Callable[[KeptHashes, str], object] | None = None,
) -> Iterator[ReviewRecord]:
    """Yield the records that a scan would make now, without those that the kept scans made.

    Records are those of a scan of the same pictures by `make_matcher`, their ids too. Left out are
    those of which some kept scan has made the same: `hashmatch.scan.hash_archive.record_digest`
    says what is the same. So a picture comes again if it matches another entry than then, or an
    entry less, and if a rule keeps it no longer out of the queue; not because a list has another
    version. A breaker counts all records, left out or not, in the order in which pictures were
    kept, as in a scan.

    Parameters
    ----------
    archive : HashArchive, HashTable or path
        Where the hashes of scans were kept. What may not be kept any longer is not read. Of a
        `hashmatch.arrow.HashTable` no record was made before.
    make_matcher : callable
        Makes a matcher for how pictures were hashed, ``variants`` and ``min_quality``; say
        ``functools.partial(hashmatch.Matcher, known)``.
    before : callable, optional
        Makes another: what that makes is left out, instead of what the kept scans made; say, one
        with an earlier version of the list.
    on_file : callable, optional
        Called with each file that was looked up; and with each that was not, and why: its
        pictures have no hashes of a kind that the lists need.

    Raises
    ------
    UsageError
        If there is no such folder.
    IndexFileError
        If a file of kept hashes is damaged.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import timedelta
    >>> from functools import partial
    >>> import hashmatch as hm
    >>> known = hm.read_list("fixtures/lists/demo-pdq.csv")
    >>> shorter = known.without(range(100))
    >>> pictures = "fixtures/images/plain"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     archive = hm.HashArchive(folder, timedelta(days=30))
    ...     matcher = hm.Matcher(shorter)
    ...     found = hm.scan_source(pictures, matcher, surface="public_post", archive=archive)
    ...     before = sum(result.outcome.value == "match" for result in found)
    ...     more = len(list(rescan_archive(folder, partial(hm.Matcher, known))))
    >>> before, more
    (3, 2)
    """
    if isinstance(archive, str | os.PathLike):
        archive = HashArchive(archive)
    given: set[bytes] = set()
    if before is None:
        for file in archive.files():
            given |= file.given()
    rules: dict[tuple[Level, int | None], _Rules] = {}
    for file in archive.files():
        file.verify()
        variants, least = file.variants, file.min_quality
        if (variants, least) not in rules:
            matcher = make_matcher(variants=variants, min_quality=least)
            earlier = None if before is None else before(variants=variants, min_quality=least)
            rules[variants, least] = _Rules(matcher, earlier)
        yield from rules[variants, least].records(file, given, on_file)


class _Rules:
    """What pictures are asked that were hashed in one way."""

    def __init__(self, matcher: Matcher, earlier: Matcher | None) -> None:
        self._matcher, self._earlier = matcher, earlier
        self._all = [matcher] if earlier is None else [matcher, earlier]
        self._specs = sorted({known.spec for each in self._all for known in each.lists}, key=str)
        self._seen: set[tuple[str, str, str]] = set()

    def records(
        self,
        file: KeptHashes,
        given: set[bytes],
        on_file: Callable[[KeptHashes, str], object] | None,
    ) -> Iterator[ReviewRecord]:
        """Yield the records of the pictures of one file that are not `given`, and add them."""
        lacking = [spec.algorithm for spec in self._specs if spec not in file.specs]
        if not lacking:
            for number in self._near(file):
                item, hashed = file[number]
                picture = item.key, item.version, item.surface
                if picture in self._seen:  # another scan kept it as well
                    continue
                self._seen.add(picture)
                if self._earlier is not None:
                    told = _decide(self._earlier, item, hashed)
                    given |= {record_digest(told)} if told is not None else set()
                record = _decide(self._matcher, item, hashed)
                if record is not None and (digest := record_digest(record)) not in given:
                    given.add(digest)
                    yield record
        if on_file is not None:
            on_file(file, f"no {', '.join(lacking)} hashes were kept" if lacking else "")

    def _near(self, file: KeptHashes) -> list[int]:
        """Return the numbers, in order, of the pictures of which some hash is near any entry."""
        found: set[int] = set()
        for matcher in self._all:
            specs = {known.spec for known in matcher.lists}
            # Of frames of a video, many together make a match. Hash tables hold none.
            if VIDEO_SPEC in specs and isinstance(file, ArchivedFile):
                found.update(file.videos.tolist())
            for spec in specs - {VIDEO_SPEC}:
                hashes, pictures = file.hashes(spec)
                found.update(pictures[matcher.rows_that_match(hashes)].tolist())
        return sorted(found)


def _decide(
    matcher: Matcher, item: ImageItem, hashed: Sequence[HashedImage | HashedVideo]
) -> ReviewRecord | None:
    """Return the record of a picture; of its hashes, the matcher may need only some."""
    algorithms = matcher.algorithms
    used = [
        one for one in hashed if isinstance(one, HashedVideo) or one.spec.algorithm in algorithms
    ]
    result = matcher.decide(item, used)
    return result if isinstance(result, ReviewRecord) else None
