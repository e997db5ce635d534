"""The oracle of review: what the queue computes, written to be read. Imports nothing of ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def wilson(part: int, whole: int) -> tuple[float, float]:
    """Wilson's interval by bisection: shares from which the count is 1.96 deviations away."""
    deviations = 1.959963984540054

    def far(share: float) -> bool:
        away = abs(part - whole * share)
        return away > deviations * math.sqrt(whole * share * (1 - share))

    ends = []
    for end in (0.0, 1.0):
        outside, inside = end, part / whole
        for _ in range(200):
            middle = (outside + inside) / 2
            outside, inside = (middle, inside) if far(middle) else (outside, middle)
        ends.append(inside)
    return ends[0], ends[1]


def same_picture(
    records: Sequence[tuple[str, int | None, Sequence[tuple[str, str, int]]]],
    limits: dict[str, int],
) -> list[int]:
    """The case of each record: that of the nearest first record, of equally near ones the oldest.

    A record is an algorithm, its picture's hash or None, and its matches: entry, algorithm,
    distance. Those with a hash are compared by it, those without by entries that both matched.
    """
    firsts: list[int] = []
    cases = []
    for number, (algorithm, value, matches) in enumerate(records):
        near = []
        for case, first in enumerate(firsts):
            other_algorithm, other, other_matches = records[first]
            if value is not None and other is not None and algorithm == other_algorithm:
                distance = (value ^ other).bit_count()
                if distance <= limits.get(algorithm, 0):
                    near.append((distance, case))
            if value is None and other is None:
                for entry, kind, here in matches:
                    for other_entry, other_kind, there in other_matches:
                        is_same = (entry, kind) == (other_entry, other_kind)
                        if is_same and here + there <= limits.get(kind, 0):
                            near.append((here + there, case))
        if near:
            cases.append(min(near)[1])
        else:
            cases.append(len(firsts))
            firsts.append(number)
    return cases


def is_news(
    decided: Sequence[Sequence[tuple[str, str, int]]], record: Sequence[tuple[str, str, int]]
) -> bool:
    """Whether a record says what no decided one does: of an entry, with a label, as near or nearer.

    A record is its matches: the entry, a label or nothing, and the distance.
    """
    for entry, label, distance in record:
        known = [
            other_distance
            for other in decided
            for other_entry, other_label, other_distance in other
            if (other_entry, other_label) == (entry, label)
        ]
        if not known or distance < min(known):
            return True
    return False
