"""Every error hashmatch raises on purpose, each one clear line for a person.

The whole tree::

    HashmatchError
    ├── UsageError (ValueError)        the call is wrong: an option, a name, a number
    │   ├── UnknownSurface             not one of the four unencrypted surfaces
    │   ├── UnknownPlugin              no hasher, list format, source or sink of that name
    │   ├── SpecMismatch               hashes of different algorithms or sizes never compare
    │   └── HashesAreOpaque (TypeError)  an attempt to pickle hashes
    ├── TooManyMatches                 an answer that would not fit in memory
    ├── ListError                      a hash list cannot be used
    │   ├── BadRows                    it has rows that cannot be used, each named with its reason
    │   ├── ExchangeError              an exchange cannot be fetched, or is not known
    │   └── StoreError                 a list store, or a key, is damaged, open to others or in use
    │       └── UntrustedList          a version that is unsigned, older than before, or expired
    ├── IndexFileError                 an index file cannot be written, or cannot be searched
    ├── SourceError                    a source cannot be listed
    │   └── SourceUnavailable          it cannot for now; another try may succeed
    ├── SinkError                      review records cannot be written
    ├── CheckpointError                what a scan has done cannot be written down, or read
    ├── EngineError                    workers cannot share a scan, or a part of it fails each time
    ├── ReviewError                    a review queue cannot be used, or refuses what was asked
    │   └── QueueUnavailable           its database is busy, or does not answer, or failed
    ├── ServiceError                   the HTTP service refused a request, or did not answer
    ├── WorkersError                   decode workers cannot be started, or are closed
    ├── NotHashed                      a hash was asked for where there is none
    └── ImageError                     one picture could not be hashed; carries its outcome
        ├── ImageChanged               it is not what was listed; carries the item as it is now
        └── ImageUnavailable           it could not be read for now; another try may succeed

The last three carry an outcome or an item, and are defined beside them: `hashmatch.records.images`.
A message names the item and what to do. No message holds a hash value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


def install(extra: str = "") -> str:
    """Return what to do where hashmatch, or an optional part of it, is not installed.

    Examples
    --------
    >>> install("heif")
    "Run pip install '.[heif]' in the checkout of hashmatch."
    """
    what = f"'.[{extra}]'" if extra else "."
    return f"Run pip install {what} in the checkout of hashmatch."


class HashmatchError(Exception):
    """Base class of every error that hashmatch raises on purpose."""


class UsageError(HashmatchError, ValueError):
    """The call is wrong: an option, a name or a number is out of its range."""


class UnknownSurface(UsageError):
    """The surface is none of the four unencrypted ones; no others can be configured."""


class UnknownPlugin(UsageError):
    """No hasher, list format, source or sink of that name is installed."""


class SpecMismatch(UsageError):
    """Two hashes of different algorithms or sizes were to be compared."""


class HashesAreOpaque(UsageError, TypeError):
    """Hashes are never pickled: send a path, or hexadecimal text you chose to reveal."""


class TooManyMatches(HashmatchError):
    """There are more matches than one answer holds; the message says how to get at them."""


class ListError(HashmatchError):
    """A hash list is missing, unreadable, empty or in no known format."""


class ExchangeError(ListError):
    """An exchange of hashes cannot be fetched, or there is none of that name."""


class RejectedRow(NamedTuple):
    """A row of a list file that could not be used: where and why, never its value.

    The last of very many stands for all ``rows`` that are not named.
    """

    line: int
    reason: str
    rows: int = 1


class RowsMissing(RejectedRow):
    """Where an unknown number of rows is missing: the file ends early, or cannot be read on."""

    __slots__ = ()


class BadRows(ListError):
    """A hash list has rows that cannot be used.

    Parameters
    ----------
    path : str
        The file, for the message.
    rejected : sequence of RejectedRow
        Each row's line number and reason; never its value.
    """

    #: Rows named in the message; the rest are counted. All are in `rejected`.
    NAMED = 10

    def __init__(self, path: str, rejected: Sequence[RejectedRow]) -> None:
        self.path = path
        self.rejected = tuple(rejected)
        count = sum(row.rows for row in self.rejected)
        lines = [f"{path}: {count:,} {'row' if count == 1 else 'rows'} cannot be used"]
        lines += [f"  line {row.line}: {row.reason}" for row in self.rejected[: self.NAMED]]
        if count > self.NAMED:
            lines.append(f"  and {count - self.NAMED:,} more")
        self.lines = tuple(lines)
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[BadRows], tuple[object, ...]]:
        return type(self), (self.path, self.rejected)


class StoreError(ListError):
    """A list store or a key cannot be used: it is damaged, incomplete or open to others."""


class UntrustedList(StoreError):
    """A version of a list is whole, but its signatures, its number or its age refuse it."""


class IndexFileError(HashmatchError):
    """An index file is missing, truncated, damaged, of another version, or cannot be written."""


class SourceError(HashmatchError):
    """A source of images is missing, empty or cannot be listed."""


class SourceUnavailable(SourceError):
    """A source cannot be listed for now, for a reason that may pass: list on from where it was."""


class SinkError(HashmatchError):
    """Review records cannot be written where they were to go."""


class CheckpointError(HashmatchError):
    """What a scan has done cannot be written to its checkpoint, or read from it."""


class EngineError(HashmatchError):
    """Workers that share a scan cannot be used, or a part of it fails each time."""


class ReviewError(HashmatchError):
    """A review queue cannot be opened, was edited, or refuses what was asked of it."""


class QueueUnavailable(ReviewError):
    """The database of a review queue is busy, does not answer, or failed."""


class ServiceError(HashmatchError):
    """The HTTP service refused a request, or gave no answer in time."""


class WorkersError(HashmatchError):
    """The workers that decode untrusted pictures cannot be started, or are closed already."""


class NotHashed(HashmatchError):
    """A hash was asked for of a picture that has none; the message says why."""
