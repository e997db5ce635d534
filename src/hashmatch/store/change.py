"""How the next version of a list is to be made, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from hashmatch import registry
from hashmatch.errors import UsageError
from hashmatch.pages import Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from hashmatch.records.hashes import HashBatch
    from hashmatch.records.lists import RejectedRow
    from hashmatch.store.keys import PrivateKey
    from hashmatch.store.manifest import Manifest

BAD_ROWS, SIZE_CHANGE, DAMAGE = "bad-rows", "size-change", "damage"
ACCEPTABLE = BAD_ROWS, SIZE_CHANGE, DAMAGE
"""What a change is refused for unless it is accepted by name."""
MOST_BAD = 0.001
"""Of all rows; more of them are the sign of another format, or of a poisoned list."""
MOST_CHANGE = 0.2
"""Of all entries; more is the sign of a page that is missing, or of a poisoned list."""
ROWS = "rows"
"""In the place of an algorithm, in the counts of a manifest: what rows of the files came to."""
KEPT = timedelta(days=30)
"""How long versions are kept that are not used any more, at least the two last ones for ever."""


@dataclass(frozen=True, slots=True)
class Change:
    """How the next version of a list is to be made.

    Parameters
    ----------
    name : str, optional
        Of the list, in every match; by default what it was called before, or the folder's name.
    shape : Shape
        How the files are to be read.
    signer : PrivateKey, optional
        Who signs it.
    accept : collection of str
        What it is not refused for: ``bad-rows`` above 0.1 %, a ``size-change`` above 20 %, or
        ``damage`` of the version before.
    expires_in : timedelta, optional
        After which it is to have been followed by another; by default never.
    keep : timedelta
        How long old versions are kept.
    pictures : mapping of str to HashBatch, optional
        By algorithm, hashes of default pictures, as `hashmatch.quarantine.degenerate_pictures`
        makes them; entries near them are put into quarantine. By default those it had before.
    limits : mapping of str to int, optional
        By algorithm, the list's own limits in bits; by default those it had before.
    on_read, on_step : callable, optional
        Told how many more bytes were read, and what is done next.

    Raises
    ------
    UsageError
        If something is accepted that nothing is refused for, or a limit is out of its range.

    Examples
    --------
    >>> Change(accept=["size-change"], limits={"pdq": 20}).keep.days
    30
    """

    name: str | None = None
    shape: Shape = field(default_factory=Shape)
    signer: PrivateKey | None = None
    accept: Sequence[str] = ()
    expires_in: timedelta | None = None
    keep: timedelta = KEPT
    pictures: Mapping[str, HashBatch] | None = None
    limits: Mapping[str, int] | None = None
    on_read: Callable[[int], object] | None = None
    on_step: Callable[[str], object] | None = None

    def __post_init__(self) -> None:
        for name in self.accept:
            if name not in ACCEPTABLE:
                raise UsageError(
                    f"nothing is accepted as {name!r}; it is one of {', '.join(ACCEPTABLE)}"
                )
        for algorithm, limit in (self.limits or {}).items():
            bits = registry.spec(algorithm).bits
            if not isinstance(limit, int) or not 0 <= limit <= bits:
                raise UsageError(
                    f"a limit of {algorithm} is a whole number from 0 to {bits}, not {limit!r}"
                )


class Changed(NamedTuple):
    """What a change has made.

    Parameters
    ----------
    manifest : Manifest
        Of the new version.
    rejected : list of (str, RejectedRow)
        Rows that could not be used, with the path of their file.
    problems : list of str
        What was found wrong with the version before, and why the new one does not serve yet.
    """

    manifest: Manifest
    rejected: list[tuple[str, RejectedRow]]
    problems: list[str]
