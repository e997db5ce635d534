"""How many items, and bytes of them, a scan has in hand at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashmatch.records.items import ImageItem

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
