"""What people saw of the files of a case, as the events of the history say.

A file counts as viewed if somebody uncovered its picture sharply, in gray or in colour, and that
was all there is to be seen in it: a frame of an animation is not the whole, nor is a blurred
picture. Its EXIF data counts as viewed if somebody was shown it. Otherwise neither does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from hashmatch.records.cases import CaseItem, ConfirmedCase
    from hashmatch.review.results import Event

SHARP = frozenset({"gray", "colour"})
"""Extents of a view in which details are seen."""
ALWAYS_WHOLE = frozenset({"image/jpeg", "image/bmp"})
"""Media types of files that have one picture, of which older events do not say that it was all."""


class FileView(NamedTuple):
    """One event in which somebody saw something of a file; `extent` is ``exif`` for EXIF data.

    `part` names what was seen of it, and is empty if that was all.
    """

    event: int
    at: datetime
    who: str
    extent: str
    whole: bool
    part: str = ""


@dataclass(frozen=True, slots=True)
class ReportedFile:
    """A file of a confirmed case, by reference, with what was seen of it.

    Parameters
    ----------
    number : int
        From 1, in the order in which its first record came.
    items : tuple of CaseItem
        The confirmed records of it; never an inherited one.
    views : tuple of FileView
        Every view of it by any of its records, oldest first.
    """

    number: int
    items: tuple[CaseItem, ...]
    views: tuple[FileView, ...]

    @property
    def key(self) -> str:
        """The key of the file in its source."""
        return self.items[0].record.item.key

    @property
    def version(self) -> str:
        """The version of the file that was matched."""
        return self.items[0].record.item.version

    @property
    def source(self) -> str:
        """The location of its source; empty if unknown."""
        return self.items[0].origin.source

    @property
    def proof_of_view(self) -> tuple[FileView, ...]:
        """The views in which somebody saw all of the file, sharply."""
        return tuple(view for view in self.views if view.extent in SHARP and view.whole)

    @property
    def partial_views(self) -> tuple[FileView, ...]:
        """The views in which somebody saw a part of the file, sharply: a frame, a page."""
        return tuple(view for view in self.views if view.extent in SHARP and not view.whole)

    @property
    def proof_of_exif(self) -> tuple[FileView, ...]:
        """The views of its EXIF data."""
        return tuple(view for view in self.views if view.extent == "exif")

    @property
    def viewed(self) -> bool:
        """Whether somebody viewed the whole file."""
        return bool(self.proof_of_view)

    @property
    def exif_viewed(self) -> bool:
        """Whether somebody viewed its EXIF data."""
        return bool(self.proof_of_exif)


def reported_files(case: ConfirmedCase, events: Iterable[Event]) -> tuple[ReportedFile, ...]:
    """Return the files of a confirmed case with what was seen of each.

    Parameters
    ----------
    case : ConfirmedCase
        Its inherited records are left out; but views of a file by way of them count.
    events : iterable of Event
        Of the history of this case, oldest first.

    Returns
    -------
    tuple of ReportedFile
        In the order in which the first record of each came.
    """
    of_record = {item.record.record_id: item for item in case.case.items}
    views: dict[tuple[str, str, str], list[FileView]] = {}
    for event in events:
        item = of_record.get(event.body.get("record", ""))
        if item is None or event.kind not in {"uncovered", "exif_viewed"}:
            continue
        is_exif = event.kind == "exif_viewed"
        extent = "exif" if is_exif else str(event.body["extent"])
        is_still = item.record.item.media_type in ALWAYS_WHOLE and not item.record.item.frame
        whole = not is_exif and bool(event.body.get("whole", is_still))
        part = "" if whole or is_exif else _part(item, event)
        view = FileView(event.number, event.at, event.who, extent, whole, part)
        views.setdefault(_file(item), []).append(view)
    files: dict[tuple[str, str, str], list[CaseItem]] = {}
    for item in case.items:
        files.setdefault(_file(item), []).append(item)
    return tuple(
        ReportedFile(number, tuple(items), tuple(views.get(file, ())))
        for number, (file, items) in enumerate(files.items(), 1)
    )


def _part(item: CaseItem, event: Event) -> str:
    """Return which part of a file was seen, as the event and the record say."""
    if "second" in event.body:
        return f"the frame at {event.body['second']:g} s"
    of = item.record.item
    if (of.media_type or "").startswith("video/"):
        return "a frame"  # events of before do not say which
    return f"frame {of.frame}"


def _file(item: CaseItem) -> tuple[str, str, str]:
    return item.origin.source, item.record.item.key, item.record.item.version
