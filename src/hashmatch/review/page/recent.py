"""What a reviewer decided a moment ago, so that it can be taken back from the first page."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from hashmatch.records.decisions import Decision

MOST = 10
"""Decisions of one reviewer."""


class Recent:
    """The latest decisions of each reviewer that this server has seen."""

    def __init__(self) -> None:
        self._decisions: dict[str, deque[Decision]] = {}
        self._lock = threading.Lock()

    def add(self, decision: Decision) -> None:
        """Remember a decision."""
        with self._lock:
            kept = self._decisions.setdefault(decision.reviewer, deque(maxlen=MOST))
            kept.appendleft(decision)

    def drop(self, decision_id: str, reviewer: str) -> None:
        """Forget one that was taken back."""
        with self._lock:
            kept = self._decisions.get(reviewer, deque())
            for decision in [one for one in kept if one.decision_id == decision_id]:
                kept.remove(decision)

    def undoable(self, reviewer: str, now: datetime, within: timedelta) -> list[Decision]:
        """Return those that can still be taken back, latest first."""
        with self._lock:
            kept = list(self._decisions.get(reviewer, ()))
        return [one for one in kept if now - one.decided_at < within]
