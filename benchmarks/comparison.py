"""A comparison of `ratios.py`: a piece of work, ours and a peer's way to do it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.engines import Engine


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Two ways to do one work; `check` raises AssertionError if their answers differ."""

    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    check: Callable[[Any, Any], None]
    our_questions: int = 1
    their_questions: int = 1
    """How many times one call does the work: what is compared is the time of one."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A comparison by name. `prepare`, given an empty folder, makes what is to be compared."""

    work: str
    peer: Engine
    prepare: Callable[[Path], Sides]
    is_floor: bool = False
    """The peer does only a part of our work: how many times as long do we take?"""
    goal: float | None = None
    """How many times as fast as the peer we mean to be."""

    def __str__(self) -> str:
        return f"{self.work}, {self.peer}"
