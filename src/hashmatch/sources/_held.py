"""Items that come with their content, from where nothing can be read out of its turn."""

from __future__ import annotations

from dataclasses import dataclass, field

from hashmatch.decode.inputs import MAX_BYTES, too_many_bytes
from hashmatch.records.items import ImageItem


@dataclass(frozen=True, slots=True)
class HeldItem(ImageItem):
    """An item whose content was read when it was listed, and is let go of with it.

    Parameters
    ----------
    content : bytes, optional
        None if it is larger than `hashmatch.decode.inputs.MAX_BYTES`.
    """

    content: bytes | None = field(default=None, repr=False, compare=False)


def held(item: ImageItem) -> bytes | None:
    """Return the content that comes with `item`; None if it has to be read once more.

    Raises
    ------
    ImageError
        ``refused`` if it is too large to be read at all.
    """
    if item.size is not None and item.size > MAX_BYTES:
        raise too_many_bytes(item.size)
    return item.content if isinstance(item, HeldItem) else None
