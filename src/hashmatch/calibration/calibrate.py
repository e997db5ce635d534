"""Calibrate lists with a sample of harmless pictures: how many false records are to be expected.

The order of the steps: pictures are looked up as a scan would (`hashmatch.calibration.nearest`);
pictures that are one and the same are counted once; those that may be the listed picture itself are
shown to a person, and left out if that person says so; what is left is counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import msgspec
import numpy as np

from hashmatch._files.atomic import OutputFile
from hashmatch.calibration.nearest import OWN, UNKNOWN, Sample
from hashmatch.calibration.tail import fit_tail
from hashmatch.errors import UsageError
from hashmatch.lists.degenerate import re_encoded
from hashmatch.records.calibration import DistanceCount, ListCalibration, spread_of
from hashmatch.records.review import family
from hashmatch.records.shares import Share, wilson
from hashmatch.records.times import timestamp
from hashmatch.records.typed import from_json

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from hashmatch.calibration.nearest import Nearest
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.images import HashedImage, ImageItem, ItemOutcome
    from hashmatch.records.videos import HashedVideo

    Picture = tuple[ImageItem, Sequence[HashedImage | HashedVideo] | ItemOutcome]

HUB = 3
"""Pictures that an entry matches from which it is named, and counted apart."""
MOST_HUBS = 20
"""Entries that are named."""
QUALITIES = (50, 65, 80, 95)
"""Where the classes of quality begin."""

Answer: TypeAlias = Literal["listed", "false", "duplicate", "different"]
"""What a person says of a picture: it is the ``listed`` one, so that its match is none to count; or
the match is ``false``; it is a ``duplicate`` of another picture of the sample, or ``different``."""


class Hub(NamedTuple):
    """An entry that matches several harmless pictures.

    Parameters
    ----------
    entry : str
        As records name it.
    pictures : int
        How many it matches.
    """

    entry: str
    pictures: int


class Question(NamedTuple):
    """A picture of the sample for a person to look at.

    Parameters
    ----------
    item : str
        Its key.
    near : {"entry", "picture"}
        What it is so near to.
    of : str
        The list; or the key of the other picture, which stays in the sample.
    distance : int
        In bits, of an entry.
    answer : str
        What was said of it; empty while nobody has.
    """

    item: str
    near: Literal["entry", "picture"]
    of: str
    distance: int | None
    answer: Answer | Literal[""] = ""


@dataclass(frozen=True, slots=True)
class ListResult:
    """What was found of one list.

    Parameters
    ----------
    calibration : ListCalibration
        What is kept beside the list.
    limit : int
        That of its entries without one of their own.
    hubs : tuple of Hub
        The entries that match most, at most `MOST_HUBS`.
    hub_count : int
        All of them.
    without_hubs : DistanceCount
        Pictures that match under the limit if these are left out.
    qualities : tuple of (str, Share)
        By class of the pictures' quality: how many of them match.
    variants : tuple of (str, int)
        By kind of question: how many matches came nearest by it.
    asked_all : int
        Pictures whose nearest entry is known however far it is: what the tail is fitted to.
    nearest : tuple of (int, int)
        Of these, how many have their nearest entry at which distance.
    """

    calibration: ListCalibration
    limit: int
    hubs: tuple[Hub, ...]
    hub_count: int
    without_hubs: DistanceCount
    qualities: tuple[tuple[str, Share], ...]
    variants: tuple[tuple[str, int], ...]
    asked_all: int
    nearest: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What `calibrate` returns.

    Parameters
    ----------
    lists : tuple of ListResult
        In the order of the matcher's lists.
    together : DistanceCount
        Pictures that match any list, under their limits.
    pictures : int
        Different pictures that were looked up.
    outcomes : dict of str to int
        What others ended in.
    duplicates : int
        Pictures left out since another one of the sample is the same.
    listed : int
        Pictures left out since a person said that they are listed pictures.
    questions : tuple of Question
        For a person to answer, see `write_questions`.
    """

    lists: tuple[ListResult, ...]
    together: DistanceCount
    pictures: int
    outcomes: dict[str, int]
    duplicates: int
    listed: int
    questions: tuple[Question, ...] = field(default=())


def calibrate(
    pictures: Iterable[Picture],
    matcher: Matcher,
    *,
    benign: str = "",
    up_to: int | None = None,
    answers: Mapping[str, Answer] | None = None,
    expected: int = 100_000,
    seed: int = 0,
    now: Callable[[], datetime] | None = None,
) -> Calibration:
    """Count how many harmless pictures match lists, at every distance.

    Parameters
    ----------
    pictures : iterable of (ImageItem, HashedImage or ItemOutcome)
        The sample, hashed by this matcher: `hashmatch.calibration.pictures.hashed_pictures`.
    matcher : Matcher
        With the lists, the limits and the level of a scan. Its rules that suppress are not asked.
    benign : str
        Where the pictures are from, for the report.
    up_to : int, optional
        Bits to which every picture is compared, if that is more than the limits. Of lists that are
        short enough, it is always every distance.
    answers : mapping of str to str, optional
        What a person said of pictures, by their keys: see `Answer`, `read_answers`.
    expected : int
        About how many pictures there are.
    seed : int
        Of the resampling behind the intervals of the fitted tail.
    now : callable, optional
        Tells the time; for tests.

    Returns
    -------
    Calibration

    Raises
    ------
    UsageError
        If a list is of videos, or no picture of the sample could be looked up.

    Examples
    --------
    >>> import hashmatch as hm
    >>> from hashmatch.hashing.hash_image import hash_all
    >>> matcher = hm.Matcher(hm.read_list("fixtures/lists/demo-pdq.csv"))
    >>> item = hm.ImageItem("dusk", "1", hm.Surface.PUBLIC_POST)
    >>> hashed = hash_all("fixtures/images/plain/landscape-dusk.jpg", ["pdq"])
    >>> found = calibrate([(item, hashed)], matcher)
    >>> found.pictures, found.questions[0].near, found.lists[0].calibration.counted(31).records
    (1, 'entry', 1)
    """
    sample = Sample(matcher, up_to, expected)
    for item, hashed in pictures:
        sample.add(item, hashed)
    near = sample.nearest()
    said: Mapping[str, Answer | Literal[""]] = {**(answers or {})}
    if not sample.keys:
        raise UsageError("cannot calibrate: no picture of the sample could be looked up. Give more")
    keys = sample.keys
    questions: list[Question] = []
    out: set[int] = set()
    duplicates = listed = 0
    for group in sample.duplicates():
        for number in group[1:]:
            answer = said.get(keys[number], "")
            questions.append(Question(keys[number], "picture", keys[group[0]], None, answer))
            if answer != "different":
                out.add(number)
                duplicates += 1
    for one in near:
        close = re_encoded(one.known.spec.algorithm)
        for number, distance in zip(one.picture.tolist(), one.distance.tolist(), strict=True):
            if distance > close or distance > one.limit.bits or number in out:
                continue
            answer = said.get(keys[number], "")
            name = one.known.name
            questions.append(Question(keys[number], "entry", name, max(0, distance), answer))
            if answer == "listed":
                out.add(number)
                listed += 1
    at = timestamp((now or (lambda: datetime.now(UTC)))())
    lists = tuple(_list_result(one, out, matcher, benign, at, seed) for one in near)
    left = len(keys) - len(out)
    return Calibration(
        lists, _together(near, out), left, dict(sample.outcomes), duplicates, listed,
        tuple(questions),
    )  # fmt: skip


def _list_result(
    one: Nearest, out: set[int], matcher: Matcher, benign: str, at: str, seed: int
) -> ListResult:
    known, limit = one.known, one.limit.bits
    kept = ~np.isin(one.picture, np.array(sorted(out), np.int64))
    distance, entry, exact = one.distance[kept], one.entry[kept], one.exact[kept]
    matched = {number: pictures - out for number, pictures in one.matched.items()}
    hubs = sorted(
        ((len(pictures), number) for number, pictures in matched.items() if len(pictures) >= HUB),
        key=lambda each: (-each[0], each[1]),
    )
    is_hub = np.array(sorted(number for _, number in hubs), np.int64)
    curve = []
    for within in np.unique(np.maximum(distance[distance <= one.reach], 0)).tolist():
        curve.append(_counted(entry[distance <= within], within, is_hub))
    # What is left without the hubs: pictures that another entry matches too.
    others = set().union(
        *(pictures for number, pictures in matched.items() if len(pictures) < HUB), set()
    )
    by_entry = Counter(
        number for number, pictures in matched.items() if len(pictures) < HUB for _ in pictures
    )
    spread = spread_of(np.array(list(by_entry.values()), np.int64))
    plan = matcher.plan
    calibration = ListCalibration(
        known.name, known.version, known.spec.algorithm, len(known), plan.variants,
        plan.min_quality, limit, benign, at, int(kept.sum()), tuple(curve), one.reach,
        fit_tail(exact[(exact >= 0) & (distance != OWN)], seed),
    )  # fmt: skip
    matches = distance <= limit
    names = [name for name, is_kept in zip(one.variant, kept.tolist(), strict=True) if is_kept]
    kinds = Counter(
        family(name) for name, is_match in zip(names, matches.tolist(), strict=True) if is_match
    )
    values, counts = np.unique(exact[exact >= 0], return_counts=True)
    return ListResult(
        calibration, limit,
        tuple(
            Hub(known.reference(number, one.key), count) for count, number in hubs[:MOST_HUBS]
        ),
        len(hubs), DistanceCount(limit, len(others), spread),
        _by_quality(one.quality[kept], matches), tuple(kinds.most_common()),
        int(counts.sum()), tuple(zip(values.tolist(), counts.tolist(), strict=True)),
    )  # fmt: skip


def _counted(entry: NDArray[np.int64], within: int, is_hub: NDArray[np.int64]) -> DistanceCount:
    """Return how many pictures there are, each counted for its nearest entry."""
    fixed = np.isin(entry, is_hub)
    by_entry = np.unique(entry[~fixed], return_counts=True)[1]
    return DistanceCount(within, len(entry), spread_of(by_entry, int(fixed.sum())))


def _together(near: Sequence[Nearest], out: set[int]) -> DistanceCount:
    """Return how many pictures match any list, each counted for the first that it matches."""
    seen: set[int] = set(out)
    by_entry = Counter[tuple[int, int]]()
    fixed = 0
    for place, one in enumerate(near):
        matches = (one.distance <= one.limit.bits) & (one.distance != UNKNOWN)
        columns = one.picture[matches].tolist(), one.entry[matches].tolist()
        for number, entry in zip(*columns, strict=True):
            if number in seen:
                continue
            seen.add(number)
            if len(one.matched.get(entry, set()) - out) >= HUB:
                fixed += 1
            else:
                by_entry[place, entry] += 1
    counts = np.array(list(by_entry.values()), np.int64)
    limit = max((one.limit.bits for one in near), default=0)
    return DistanceCount(limit, len(seen) - len(out), spread_of(counts, fixed))


def _by_quality(
    quality: NDArray[np.int64], matches: NDArray[np.bool_]
) -> tuple[tuple[str, Share], ...]:
    found = []
    edges = (0, *QUALITIES, 101)
    for low, high in pairwise(edges):
        inside = (quality >= low) & (quality < high)
        if inside.any():
            name = f"{low} to {high - 1}"
            found.append((name, wilson(int(matches[inside].sum()), int(inside.sum()))))
    unmeasured = quality < 0
    if unmeasured.any():
        share = wilson(int(matches[unmeasured].sum()), int(unmeasured.sum()))
        found.append(("not measured", share))
    return tuple(found)


class _Line(msgspec.Struct):
    item: str
    answer: str = ""


def write_questions(path: str | os.PathLike[str], questions: Sequence[Question]) -> None:
    """Write what a person is to look at, a JSON line for each picture, to be filled in.

    A person fills in ``"answer"``: of a picture near an entry ``listed`` or ``false``, of one
    near another picture ``duplicate`` or ``different``. SinkError if it cannot be written.

    Parameters
    ----------
    path : str or path
        Replaced as a whole; its owner only can read it.
    questions : sequence of Question
        Of a `Calibration`.
    """
    with OutputFile(path) as file:
        for one in questions:
            file.write(msgspec.json.encode(one._asdict()).decode() + "\n")


def read_answers(path: str | os.PathLike[str]) -> dict[str, Answer]:
    """Return what was said of pictures, by their keys.

    Parameters
    ----------
    path : str or path
        A file that `write_questions` wrote, with answers. Those left empty say nothing.

    Raises
    ------
    UsageError
        If it cannot be read, or a line is none of these answers.
    """
    found: dict[str, Answer] = {}
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    one = from_json(line, _Line)
                except msgspec.MsgspecError as error:
                    raise UsageError(
                        f"cannot read {path}, line {number}: {error}. Give the lines that "
                        "hashmatch calibrate wrote, with answers"
                    ) from None
                for answer in get_args(Answer):
                    if one.answer == answer:
                        found[one.item] = answer
                        break
                else:
                    if one.answer:
                        raise UsageError(
                            f"cannot use the answer {one.answer!r} in {path}, line {number}. Give "
                            f"one of {', '.join(get_args(Answer))}"
                        )
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}. Check the path") from None
    return found
