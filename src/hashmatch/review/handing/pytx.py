"""Review records as what an index of python-threatexchange returns."""

from __future__ import annotations

from functools import total_ordering
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hashmatch.records.review import RecordMatch, ReviewRecord


@total_ordering
class Distance:
    """A distance as ``SignalSimilarityInfoWithIntDistance``, where that is not installed."""

    def __init__(self, distance: int) -> None:
        self.distance = distance

    def pretty_str(self) -> str:
        """Return it as text."""
        return str(self.distance)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Distance) and self.distance == other.distance

    def __lt__(self, other: object) -> bool:
        return self.distance < other.distance if isinstance(other, Distance) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # as theirs

    def __repr__(self) -> str:
        return f"Distance(distance={self.distance})"


class IndexMatch:
    """A match as ``IndexMatchUntyped``, where python-threatexchange is not installed."""

    __slots__ = ("metadata", "similarity_info")

    def __init__(self, similarity_info: Distance, metadata: RecordMatch) -> None:
        self.similarity_info = similarity_info
        self.metadata = metadata

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, IndexMatch)
            and self.similarity_info == other.similarity_info
            and self.metadata == other.metadata
        )

    __hash__ = None  # type: ignore[assignment]  # as theirs


def to_pytx(record: ReviewRecord, algorithm: str = "pdq") -> list[IndexMatch]:
    """Return what ``SignalTypeIndex.query`` of python-threatexchange returns.

    Where the package ``threatexchange`` is installed, results are its own ``IndexMatchUntyped``
    with ``SignalSimilarityInfoWithIntDistance``; elsewhere classes with the same attributes.

    Parameters
    ----------
    record : ReviewRecord
        What matched. A suppressed record waits for nobody: nothing is returned of it.
    algorithm : str
        The signal type: an index of theirs holds one.

    Returns
    -------
    list
        Closest first. Each has ``similarity_info``, with ``distance`` and ``pretty_str()``, and
        ``metadata``, which is the `RecordMatch`.

    Examples
    --------
    >>> from hashmatch.testing import example_record
    >>> [(m.similarity_info.pretty_str(), m.metadata.entry) for m in to_pytx(example_record())]
    [('4', 'made-up-4')]
    """
    info: Any = Distance
    match: Any = IndexMatch
    try:
        from threatexchange.signal_type import index
    except ImportError:
        pass
    else:
        info, match = index.SignalSimilarityInfoWithIntDistance, index.IndexMatchUntyped
    if record.status != "pending_review":
        return []
    return [match(info(one.distance), one) for one in record.matches if one.algorithm == algorithm]
