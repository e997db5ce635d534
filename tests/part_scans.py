"""Scans in parts: what they are compared with, and an engine whose workers do as they are told."""

from __future__ import annotations

import json
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hashmatch as hm
from hashmatch.records.review import ReviewRecord
from hashmatch.scan.parts import worker
from hashmatch.scan.parts.coordinator import PartedScan, PartOptions
from hashmatch.scan.parts.worker import Answer, Job
from hashmatch.scan.report import ScanReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.images import ItemOutcome

DEMO = str(Path(__file__).parent.parent / "fixtures" / "lists" / "demo-pdq.csv")
SURFACE = "profile_photo"


def open_demo(limit: int = 0, max_matches: int = 100, path: str = DEMO) -> Matcher:
    """Open the demo list, or another, as workers do."""
    breaker = hm.Breaker(limit, window=None) if limit else None
    return hm.Matcher(hm.read_list(path), breaker=breaker, max_matches=max_matches)


def open_missing() -> Matcher:
    """Open a list that is not there."""
    return hm.Matcher(hm.read_list("no.csv"))


def comparable(results: Iterable[ReviewRecord | ItemOutcome]) -> list[dict[str, Any]]:
    """Records without their time, and items that were not searched."""
    found = []
    for result in results:
        if isinstance(result, ReviewRecord):
            found.append(json.loads(result.to_json()) | {"created_at": ""})
        elif result.reason:
            found.append({"key": result.key, "outcome": result.outcome, "reason": result.reason})
    return found


def plain(
    source: str | Path, arguments: dict[str, Any] | None = None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What one uninterrupted scan gives, and its report."""
    return scanned(
        lambda matcher, report: hm.scan_source(source, matcher, surface=SURFACE, observe=report),
        arguments,
    )


def in_parts(
    source: str | Path,
    state: str | Path,
    engine: str,
    size: int | None = 10,
    arguments: dict[str, Any] | None = None,
    **rest: Any,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What a scan in parts gives, and its report."""
    return scanned(
        lambda matcher, report: parted(
            source, state, engine, size, arguments, matcher=matcher, observe=report, **rest
        ).results(),
        arguments,
    )


def parted(
    source: str | Path,
    state: str | Path,
    engine: str = "local:1",
    size: int | None = 10,
    arguments: dict[str, Any] | None = None,
    **rest: Any,
) -> PartedScan:
    rest.setdefault("options", PartOptions(size, decoders=0))
    return PartedScan(
        str(source),
        arguments or {},
        surface=SURFACE,
        engine=engine,
        state=str(state),
        opener=open_demo,
        **rest,
    )


def scanned(
    scan: Callable[[Matcher, ScanReport], Iterable[ReviewRecord | ItemOutcome]],
    arguments: dict[str, Any] | None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    matcher = open_demo(**(arguments or {}))
    report = ScanReport(matcher)
    results = []
    for result in scan(matcher, report):
        report.add(result)
        results.append(result)
    report.finish()
    said = json.loads(report.to_json())
    for name in ("seconds", "sandbox", "waivers", "done_before"):
        del said[name]
    return comparable(results), said


class ToldEngine:
    """Does parts in this process when it is asked what became of them.

    `lose` is asked for each part it is given, and says how often it is lost before it is done:
    the work of one that is lost may be done all the same, as by a worker that is only thought dead.
    """

    def __init__(self, job: Job, lose: Callable[[int], str]) -> None:
        self._job, self._lose = json.loads(json.dumps(_plain(job))), lose
        self._given: deque[tuple[int, bool]] = deque()
        self.begun: list[int] = []

    def room(self) -> int:
        return 3 - len(self._given)

    def submit(self, part: int, again: bool, avoid: str) -> None:
        self._given.append((part, again))

    def wait(self, seconds: float) -> list[Answer]:
        part, again = self._given.pop() if len(self._given) > 1 else self._given.popleft()
        self.begun.append(part)
        fate = self._lose(part)
        if fate == "lost":
            return [Answer(part, "lost", again=again)]
        answer = worker.do_part(self._job, part, again)
        if fate == "zombie":
            return [Answer(part, "lost", again=again)]
        if fate == "twice":
            answer = worker.do_part(self._job, part, again)
        return [answer]

    def close(self) -> None:
        """Do nothing."""


def _plain(job: Job) -> dict[str, Any]:
    import msgspec

    built: dict[str, Any] = msgspec.to_builtins(job)
    return built
