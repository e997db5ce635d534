"""NCMEC hash sharing, version 2: pages of XML as its API gives them.

::

    <queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2">
     <images count="2" maxTimestamp="2024-01-01T00:00:00Z">
      <image><member id="42">Example</member><timestamp>2024-01-01T00:00:00Z</timestamp>
       <id>image1</id><classification>A1</classification>
       <fingerprints><md5>...</md5><sha1>...</sha1><pdna>...</pdna><pdq>...</pdq></fingerprints>
       <feedback><affirmativeFeedback type="Md5"><members><member id="43"/></members>
       </affirmativeFeedback></feedback></image>
      <deletedImage><member id="42"/><id>image9</id><timestamp>...</timestamp></deletedImage>
     </images><videos count="0"/></queryResult>

A row for each fingerprint. The id is the member's and the entry's, ``42-image1``; the source is the
member, the label the classification. Feedback counts for the fingerprint of its type, by member,
without the one that listed it. Digests of videos are kinds of their own. ``deletedImage`` and
``deletedVideo`` take out every fingerprint of their id, which images and videos count each for
themselves. XML that is not well-formed ends the
reading where it is; a document type or a namespace of another kind refuses the file.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, BinaryIO
from xml.parsers import expat

from hashmatch.errors import ListError, RejectedRow, RowsMissing, UsageError
from hashmatch.interfaces import ListOptions, ListRow
from hashmatch.lists.readers import _fields

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE = "https://hashsharing.ncmec.org/hashsharing/v2"
CHUNK = 64 * 1024
MAX_ENTRY = 1 << 20
"""Bytes of one entry; of one tag or comment too, which the parser holds whole."""

MAX_DEPTH = 32
MAX_NAMES = 500
"""Different names of elements and attributes; the format has about thirty, and they are kept."""

SECTIONS = {"images", "videos"}
ENTRIES = {"image", "video", "deletedImage", "deletedVideo"}


class NcmecXml:
    """Reads NCMEC XML."""

    unique_ids = True

    def detects(self, head: bytes) -> int:
        """Return how sure it is, 0 to 100."""
        begins = head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
        mine = re.search(rb"hashsharing\.ncmec\.org|<(\w+:)?queryResult\b", head)
        return 95 if begins and mine else 0

    def rows(self, stream: BinaryIO, options: ListOptions) -> Iterator[ListRow | RejectedRow]:
        """Yield every row. Raises UsageError if `options` name columns: there are none.

        ListError if the file has a document type, or is of another namespace.
        """
        if options.columns:
            raise UsageError("cannot use columns: NCMEC XML has none. Leave out --column")
        page = _Page()
        fed = 0
        while True:
            data = stream.read(CHUNK)
            fed += len(data)
            reason = page.feed(data)
            while page.rows:
                yield page.rows.popleft()
            # What the parser has not told of yet, it holds.
            if reason is None and fed - page.parser.CurrentByteIndex > MAX_ENTRY + CHUNK:
                reason = f"a tag or comment is longer than {MAX_ENTRY:,} bytes"
            if reason is not None:
                yield RowsMissing(page.line, f"{reason}; nothing after it was read")
                while stream.read(CHUNK):
                    pass  # the digest of a file is of all of it
                return
            if not data:
                return


class _Stopped(Exception):
    """Reading cannot continue; the message says why."""


class _Page:
    """What the parser has reported of a page so far."""

    def __init__(self) -> None:
        self.rows: deque[ListRow | RejectedRow] = deque()
        self.names: dict[str, str] = {}
        # Whatever the file says it is in: Python knows codecs that expat cannot use.
        self.parser = expat.ParserCreate("UTF-8", " ", intern=self.names)
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = _refuse_doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.path: list[str] = []
        self.sections: set[str] = set()
        self.entry: _Entry | None = None
        self.stated: tuple[str, int | None] | None = None
        self.live = self.deleted = 0

    @property
    def line(self) -> int:
        """The line, from 1, that the parser is at."""
        return max(1, self.parser.CurrentLineNumber)

    def feed(self, data: bytes) -> str | None:
        """Parse on, to the end if there is no more; return why that cannot be."""
        try:
            self.parser.Parse(data, not data)
        except expat.ExpatError as error:
            if error.code in {3, 5, 13} or (not data and self.path):  # no element, unclosed
                return "the file ends in the middle of a page"
            return f"not well-formed XML, {expat.ErrorString(error.code)}"
        except _Stopped as error:
            return str(error)
        return None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        space, _, local = name.rpartition(" ")
        if not self.path and (space, local) != (NAMESPACE, "queryResult"):
            raise ListError(f"is not a queryResult of {NAMESPACE}")
        self.path.append(local)
        if len(self.path) == 2:
            self.sections.add(local)
        if len(self.path) > MAX_DEPTH:
            raise _Stopped(f"more than {MAX_DEPTH} elements within each other")
        if len(self.names) > MAX_NAMES:
            raise _Stopped(f"more than {MAX_NAMES} names of elements")
        if self.entry is not None:
            self.entry.start(self.path, attributes, self.parser.CurrentByteIndex)
        elif len(self.path) == 3 and local in ENTRIES:
            self.entry = _Entry(local, self.line, self.parser.CurrentByteIndex)
        elif len(self.path) == 2 and "count" in attributes:
            self.stated = local, _whole(attributes["count"])
            self.live = self.deleted = 0

    def _text(self, text: str) -> None:
        if self.entry is not None:
            self.entry.take(text, self.parser.CurrentByteIndex)

    def _end(self, name: str) -> None:
        local = self.path[-1]
        if self.entry is not None and len(self.path) == 3:
            self.rows.extend(self.entry.rows())
            self.live += not self.entry.is_deletion
            self.deleted += self.entry.is_deletion
            self.entry = None
        elif self.entry is not None:
            self.entry.end(self.path)
        elif len(self.path) == 1 and self.sections - {"paging"} and not self.sections & SECTIONS:
            raise ListError(
                f"line {self.line}: cannot be a page of the list: it has neither images nor "
                "videos, as the answer to a request that failed. Get the page again"
            )
        elif len(self.path) == 2 and self.stated is not None and self.stated[0] == local:
            self._count(self.stated[1])
            self.stated = None
        self.path.pop()

    def _count(self, stated: int | None) -> None:
        """Hold the stated count against the entries; documents differ on deletions in it."""
        both = self.live + self.deleted
        if stated is not None and stated not in {self.live, both}:
            reason = f"the page says {stated:,} entries and has {both:,}"
            self.rows.append((RowsMissing if stated > both else RejectedRow)(self.line, reason))


class _Entry:
    """One image or video, or the deletion of one."""

    def __init__(self, name: str, line: int, begin: int) -> None:
        self.is_deletion = name.startswith("deleted")
        self.is_video = name.lower().endswith("video")
        self.line = line
        self.begin = begin
        self.too_long = False
        self.text: list[str] = []
        self.member = ("", "")
        self.fields: dict[str, str] = {}
        self.fingerprints: list[tuple[str, str]] = []
        self.votes: dict[tuple[str, str], set[str]] = {}
        self.vote: tuple[str, str] | None = None

    def start(self, path: list[str], attributes: dict[str, str], place: int) -> None:
        self.text = []
        self._measure(place)
        if self.too_long:
            return
        name = path[-1]
        if len(path) == 4 and name == "member":
            self.member = (attributes.get("id", "").strip(), "")
        elif len(path) == 5 and name in {"affirmativeFeedback", "negativeFeedback"}:
            self.vote = (name, _fields.letters(attributes.get("type", "")))
        elif name == "member" and self.vote is not None and attributes.get("id"):
            self.votes.setdefault(self.vote, set()).add(attributes["id"].strip())

    def take(self, text: str, place: int) -> None:
        self._measure(place)
        if not self.too_long:
            self.text.append(text)

    def end(self, path: list[str]) -> None:
        text = "".join(self.text).strip()
        self.text = []
        name = path[-1]
        if self.too_long:
            return
        if len(path) == 4 and name == "member":
            self.member = (self.member[0], text)
        elif len(path) == 4:
            self.fields[name] = text
        elif len(path) == 5 and path[3] == "fingerprints":
            self.fingerprints.append((name, text))
        elif len(path) == 5 and path[3] == "feedback":
            self.vote = None

    def _measure(self, place: int) -> None:
        if place - self.begin > MAX_ENTRY and not self.too_long:
            self.too_long = True
            self.fingerprints, self.votes, self.fields, self.text = [], {}, {}, []

    def rows(self) -> Iterator[ListRow | RejectedRow]:
        """Yield a row for each fingerprint, or why there is none."""
        member, name = self.member
        identity = self.fields.get("id", "")
        external_id = f"{member}-{identity}" if member and identity else None
        space = "video" if self.is_video else "image"
        said = self.fields.get("timestamp", "")
        updated, reason = None, ""
        try:
            updated = _fields.time_of("timestamp", said, _fields.Dates())
        except _fields.Unusable as error:
            reason = str(error)
        if self.too_long:
            yield RejectedRow(self.line, f"the entry is longer than {MAX_ENTRY:,} bytes")
        elif reason:
            yield RejectedRow(self.line, reason)
        elif external_id is None:
            yield RejectedRow(self.line, "the entry has no id of a member and of its own")
        elif self.is_deletion:
            yield ListRow(
                self.line,
                "",
                None,
                external_id,
                status="deleted",
                updated=updated,
                encoding="hex",
                space=space,
            )
        elif not self.fingerprints:
            yield RejectedRow(self.line, "the entry has no fingerprint")
        else:
            for kind, value in self.fingerprints:
                algorithm = _fields.algorithm(kind, video=self.is_video)
                yield ListRow(
                    self.line,
                    _fields.value_of(algorithm, value),
                    algorithm,
                    external_id,
                    _fields.texts((self.fields.get("classification", ""),)),
                    _fields.texts((name or member,)),
                    updated=updated,
                    upvotes=self._parties("affirmativeFeedback", kind),
                    downvotes=self._parties("negativeFeedback", kind),
                    encoding="hex",
                    space=space,
                )

    def _parties(self, vote: str, kind: str) -> int:
        return len(self.votes.get((vote, _fields.letters(kind)), set()) - {self.member[0]})


def _refuse_doctype(*_: object) -> None:
    raise ListError("has a document type declaration, which may hide entities; it is refused")


def _whole(digits: str) -> int | None:
    return int(digits) if re.fullmatch(r"\d{1,12}", digits, re.ASCII) else None
