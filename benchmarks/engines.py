"""What every engine under measurement has: a name, and modules that it cannot do without."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

OURS = "hashmatch"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A way to do a piece of work: ours, or a peer's.

    Only what a user of the engine would call is timed. Bringing input into the form that the
    engine wants, and its answers into the form that all of them are compared in, is not.
    """

    name: str
    needs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name

    @property
    def missing(self) -> list[str]:
        """Modules that are not installed."""
        return [module for module in self.needs if find_spec(module) is None]
