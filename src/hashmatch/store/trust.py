"""Whom to believe that a list is what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashmatch.errors import UsageError
from hashmatch.store import freshness, signatures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from hashmatch.store.keys import PublicKey


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe that a list is what it says.

    Parameters
    ----------
    keys : sequence of PublicKey
        Without any, nobody's signature is asked for: a list is then only as good as its folder.
    needed : int
        How many of them have to have signed.
    grace : timedelta
        How long a list is used after it has expired.

    Raises
    ------
    UsageError
        If more signatures are needed than there are keys, or none.

    Examples
    --------
    >>> from hashmatch.store.keys import PrivateKey
    >>> Trust([PrivateKey.generate().public]).needed
    1
    """

    keys: Sequence[PublicKey] = ()
    needed: int = 1
    grace: timedelta = freshness.GRACE

    def __post_init__(self) -> None:
        count = len(set(self.keys))
        if not 1 <= self.needed <= max(1, count):
            raise UsageError(f"{self.needed} signatures are asked for, and there are {count} keys")

    def check(self, data: bytes, signed: Sequence[signatures.Signature]) -> tuple[str, ...]:
        """Return the ids of the keys that signed a manifest; UntrustedList if too few did.

        Parameters
        ----------
        data : bytes
            The manifest.
        signed : sequence of Signature
            All that there are over it.
        """
        if not self.keys:
            return ()
        return signatures.verify(data, signed, self.keys, self.needed)
