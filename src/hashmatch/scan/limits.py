"""How many items, and bytes of them, a scan has in hand at a time.

One item that is read, as often as it takes: what each try says, and when the next may be.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from hashmatch.errors import SourceError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageChanged, ImageError, ImageUnavailable

if TYPE_CHECKING:
    from hashmatch.interfaces import Source
    from hashmatch.records.images import ImageItem
    from hashmatch.retry import Tries

#: Requests under way at a time: as many as hide the way to a bucket and back behind decoding.
READERS = 16
MOST_READERS = 1024
#: Bytes that are read and not yet worked on, or taken.
MOST_BYTES = 32 * 2**20
#: Items that go before one that has to be tried again, or takes long, where order is kept.
MOST_AHEAD = 2000
#: What an item counts for whose size is not known before it is read.
UNKNOWN_SIZE = 2**20


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much there may be of what at a time.

    Parameters
    ----------
    readers : int
        Reads under way. With those that wait for another try there are at most twice as many: a
        server that fails is asked for little else until it has given that.
    threads : int
        Items worked on; if there is no work, 0.
    most_bytes : int
        Bytes that are read, or about to be, and not worked on yet; by the sizes in the listing
        until they are known. An item that is larger by itself is read when no other is held.
    most_items : int
        Items begun whose answer has not been taken: so many may go before one that is slow.
    ordered : bool
        Whether answers come in the order of the listing, or as they are there.
    """

    readers: int = READERS
    threads: int = 1
    most_bytes: int = MOST_BYTES
    most_items: int = MOST_AHEAD
    ordered: bool = True


def size_of(item: ImageItem) -> int:
    """Return what an item counts for before it is read."""
    return UNKNOWN_SIZE if item.size is None else item.size


#: How often an item is read again that is another each time.
MOST_CHANGES = 3

Fetched: TypeAlias = "tuple[ImageItem, bytes | ImageError]"

_STOPPED = ImageError(Outcome.FAILED, "the scan was stopped before it was read")


class Attempts:
    """The tries of one item. Each is made by `again`, which never waits for its time.

    Parameters
    ----------
    source : Source
        Where it is from.
    item : ImageItem
        As it was listed.
    tries : Tries
        Keeps the limits of the scan, and counts.

    Attributes
    ----------
    due : float
        When the next try may be, on the monotonic clock.
    reason : str
        Why the last one failed.
    """

    def __init__(self, source: Source, item: ImageItem, tries: Tries) -> None:
        self.item = item
        self.due = 0.0
        self.reason = ""
        self._source = source
        self._tries = tries
        self._count = 0
        self._start = 0.0

    def again(self) -> Fetched | None:
        """Try once, and return what `read_item` does; None if there is to be another try.

        Raises
        ------
        SourceError
            As `read_item` does.
        """
        if self._count == 0:
            self._start = time.monotonic()
        elif self._tries.stopped:
            return self.item, _STOPPED
        self._count += 1
        for _ in range(MOST_CHANGES + 1):
            try:
                data = self._source.read(self.item)
            except ImageChanged as changed:
                self.item = changed.item
                if changed.data is None:
                    continue
                data = changed.data
            except ImageUnavailable as error:
                return self._failed(error)
            except ImageError as error:
                return self.item, error
            self._tries.succeeded(self.item, len(data))
            return self.item, data
        return self.item, ImageError(Outcome.FAILED, "it changed each time that it was read")

    def _failed(self, error: ImageUnavailable) -> Fetched | None:
        tries, self.reason = self._tries, error.reason
        delay = tries.delay(self._count - 1, self._start + tries.limits.deadline)
        if delay is not None:
            self.due = time.monotonic() + delay
            return None
        if tries.stopped:
            return self.item, _STOPPED
        if tries.last_success < self._start and not self._source_answers():
            seconds = time.monotonic() - self._start
            raise SourceError(
                f"{self.item.key} {error.reason}, like all others for {seconds:.0f} s; "
                "try again later"
            ) from None
        return self.item, ImageError(error.outcome, f"{error.reason}, in {self._count} tries")

    def _source_answers(self) -> bool:
        """Return whether the source still gives what it gave before: then one item is to blame."""
        if self._tries.last_read is None:
            return False
        try:
            self._source.read(self._tries.last_read)
        except ImageUnavailable:
            return False
        except ImageError:
            pass
        return True
