"""The comparisons of searches: lists, limits and ways to ask, each against every exact peer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.comparison import Pair, Sides
from benchmarks.search_engines import (
    FLAT,
    INDEXED,
    LINEAR,
    TOGETHER,
    TUNED_MULTI_HASH,
    WAYS,
    asking,
    peers_for,
)
from benchmarks.search_workloads import Case, known, to_check, to_time
from benchmarks.timing import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.search_engines import Hits, SearchEngine

QUESTIONS = 10_000
"""As many as we are asked, in one call or one a call."""
FEWEST = 20
SECONDS = 0.5
"""A peer is asked as many as it answers in about this time."""
MILLION = Case(1_000_000)
GOALS: dict[Case, tuple[float, float] | None] = {
    Case(10_000): None,
    Case(100_000): (40, 90),
    MILLION: (200, 450),
    Case(10_000_000): (600, 1000),
    Case(1_000_000, kind="skewed"): (35, 50),
    Case(1_000_000, bits=64, limit=8): (50, 100),
    Case(1_000_000, bits=64, limit=10): (50, 100),
}
"""How many times as fast as the fastest exact index of faiss we mean to be, by `WAYS`."""
TUNED_GOALS = (80, 150)
"""The same over the multi-index tuned for a million uniform hashes, with three times our memory."""
LINEAR_GOAL = 10


def search_pairs() -> Iterator[Pair]:
    """Yield searches of indexes built beforehand."""
    for case in GOALS:
        for peer in peers_for(case):
            for way in WAYS:
                yield _pair(INDEXED, peer, case, way, _goal(peer, case, way))
    yield _pair(LINEAR, FLAT, MILLION, TOGETHER, LINEAR_GOAL)


def _goal(peer: SearchEngine, case: Case, way: str) -> float | None:
    goals = GOALS[case] if peer.is_exact_faiss else None
    if goals is not None and case == MILLION and peer == TUNED_MULTI_HASH:
        goals = TUNED_GOALS
    return goals[WAYS.index(way)] if goals is not None else None


def _pair(ours: SearchEngine, peer: SearchEngine, case: Case, way: str, goal: float | None) -> Pair:
    by = ", every entry looked at" if ours is LINEAR else ""
    return Pair(
        work=f"search {case}{by}, {way}",
        peer=peer,
        prepare=partial(_searches, ours, peer, case, way),
        goal=goal,
    )


def _searches(ours: SearchEngine, peer: SearchEngine, case: Case, way: str, _: Path) -> Sides:
    return compared(Side.built(ours, case), Side.built(peer, case), case, way)


@dataclass(frozen=True, eq=False)
class Side:
    """An engine and its index of a list."""

    engine: SearchEngine
    index: Any

    @classmethod
    def built(cls, engine: SearchEngine, case: Case) -> Side:
        """Return it built."""
        return cls(engine, engine.build(engine.form(known(case)), case))

    def asked(
        self, case: Case, count: int, way: str
    ) -> tuple[Callable[[], Any], Callable[[Any], Hits]]:
        """Return `asking` for the first of the questions."""
        batch = to_time(case, QUESTIONS).batch[:count]
        return asking(self.engine, self.index, batch, way, case.limit)

    def affordable(self, case: Case, way: str, seconds: float) -> int:
        """Return how many questions take this engine about so long, `FEWEST` at least.

        What looks at every entry takes as long for each of 20 questions as for each of 10,000.
        """
        run, _ = self.asked(case, FEWEST, way)
        run()  # cold
        return min(max(FEWEST, int(FEWEST * seconds / measure(run, 1).cpu)), QUESTIONS)


def check(ours: Side, peer: Side, case: Case) -> None:
    """Assert that both find the same, and all that was planted, before anything is timed."""
    work = to_check(case)
    mine, others = (
        asking(side.engine, side.index, work.batch, TOGETHER, case.limit) for side in (ours, peer)
    )
    hits = mine[1](mine[0]())
    within = work.planted[work.planted[:, 2] <= case.limit]
    assert {*map(tuple, within.tolist())} <= {*map(tuple, hits.tolist())}, "planted ones are missed"
    assert peer.engine.agrees(hits, others[1](others[0]())), "the engines disagree"


def compared(ours: Side, peer: Side, case: Case, way: str, seconds: float = SECONDS) -> Sides:
    """Return both, we asked all the questions and the peer those that it can afford."""
    check(ours, peer, case)
    count = peer.affordable(case, way, seconds)
    our_run, our_hits = ours.asked(case, QUESTIONS, way)
    peer_run, peer_hits = peer.asked(case, count, way)

    def same(mine: Any, other: Any) -> None:
        hits = our_hits(mine)
        both = hits[: np.searchsorted(hits[:, 0], count)]
        assert peer.engine.agrees(both, peer_hits(other))

    return Sides(
        ours=our_run,
        theirs=peer_run,
        check=same,
        our_questions=QUESTIONS,
        their_questions=count,
    )
