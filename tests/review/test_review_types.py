"""What is acted on is confirmed: the types say so, and there is one place that makes it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from conftest import ROOT
from hashmatch.records.cases import Case, ConfirmedCase, Decision
from hashmatch.records.review import ReviewRecord

if TYPE_CHECKING:
    from hashmatch.records.cases import CaseItem


def hand_over(confirmed: ConfirmedCase) -> str:
    """Stand for whatever acts on a confirmation."""
    return confirmed.case_id


if TYPE_CHECKING:
    # mypy fails (warn_unused_ignores) as soon as it would let one of these through.
    def _refused(case: Case, item: CaseItem, decision: Decision, record: ReviewRecord) -> None:
        hand_over(case)  # type: ignore[arg-type]
        hand_over(item)  # type: ignore[arg-type]
        hand_over(decision)  # type: ignore[arg-type]
        hand_over(record)  # type: ignore[arg-type]
        ConfirmedCase(record, 1, decision.decided_at, decision.decided_at)  # type: ignore[arg-type]
        ConfirmedCase(case)  # type: ignore[call-arg]


def test_nothing_else_is_a_confirmed_case() -> None:
    for other in (Case, Decision, ReviewRecord):
        assert not issubclass(other, ConfirmedCase)
        assert not issubclass(ConfirmedCase, other)


def test_only_the_queue_makes_one() -> None:
    makers = {
        path.name
        for path in (ROOT / "src").rglob("*.py")
        if re.search(r"\bConfirmedCase\(", path.read_text())
    }
    assert makers == {"queue.py"}
