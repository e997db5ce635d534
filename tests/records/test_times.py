"""Every time that is written down is written in one way."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from conftest import ROOT
from hashmatch.records.times import timestamp


@pytest.mark.parametrize(
    ("timespec", "expected"),
    [
        ("seconds", "2026-01-31T10:00:07Z"),
        ("milliseconds", "2026-01-31T10:00:07.999Z"),
        ("auto", "2026-01-31T10:00:07.999999Z"),
    ],
)
def test_timestamps_are_in_utc_and_cut_off(timespec: str, expected: str) -> None:
    east = datetime(2026, 1, 31, 12, 0, 7, 999_999, timezone(timedelta(hours=2)))
    assert timestamp(east, timespec) == expected
    assert datetime.fromisoformat(expected).astimezone(UTC).year == 2026


def test_nothing_else_writes_times() -> None:
    words = re.compile(r"strftime\(.*Z|\+00:00")
    found = [path.name for path in (ROOT / "src").rglob("*.py") if words.search(path.read_text())]
    assert found == ["times.py"]
