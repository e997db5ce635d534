"""JSON logs of a scan: one object a line, for machines that collect them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch._files.atomic import OutputFile
from hashmatch.records.controls import escape_json
from hashmatch.records.safeguards import waiver_fields
from hashmatch.records.times import timestamp

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from hashmatch.scan.events import Event

FIELDS = {
    "problem": ("item", "outcome", "reason"),
    "retry": ("item", "reason"),
    "alarm": ("list", "list_version", "algorithm"),
    "stop": ("reason",),
}
COUNTED = frozenset({"begin", "batch", "end", "stop"})
"""Events that are logged with all counters."""


class JsonLog:
    """Takes the events of a scan: give it as ``observe=``. Those of progress are left out.

    Each line has ``time`` (UTC, ISO 8601, to the millisecond) and ``event``. It is appended to the
    file, and handed to the system at once. A line that was cut off by a kill is ended first.

    Parameters
    ----------
    path : str or path, or None
        None is standard output. A file is made for its owner only: names of items are about people.
    about : mapping of str to JSON-able, optional
        What to say in the first line besides; no secrets.

    Raises
    ------
    SinkError
        If it cannot be opened, or written.

    Examples
    --------
    >>> import hashmatch as hm
    >>> matcher = hm.Matcher(hm.read_list("fixtures/lists/demo-pdq.csv"))
    >>> log = JsonLog(None, {"job": "nightly"})
    >>> picture = "fixtures/images/plain/tiles.png"
    >>> found = hm.scan_source(picture, matcher, surface="public_post", observe=log)
    >>> records = list(found)  # doctest: +ELLIPSIS
    {"time":"...Z","event":"begin","job":"nightly","listed":0,...}
    {"time":"...Z","event":"batch","listed":1,...}
    {"time":"...Z","event":"end","listed":1,...}
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, about: Mapping[str, object] | None = None
    ) -> None:
        self._about = dict(about or {})
        self._file = OutputFile(path, append=True)

    def __call__(self, event: Event) -> None:
        """Log one event."""
        if event.kind == "progress":
            return
        now = timestamp(datetime.now(UTC), "milliseconds")
        line: dict[str, Any] = {"time": now, "event": event.kind}
        if event.kind == "begin":
            line |= self._about
        line |= {name: getattr(event, name) for name in FIELDS.get(event.kind, ())}
        if event.kind in COUNTED:
            counters = event.counters
            line |= asdict(counters)
            line |= {"records": counters.records, "suppressed": counters.suppressed}
            line["seconds"] = {stage: round(took, 3) for stage, took in counters.seconds.items()}
        if event.kind in {"begin", "end"}:
            line["waivers"] = waiver_fields()
        self._file.write(escape_json(msgspec.json.encode(line).decode()) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
