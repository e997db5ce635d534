"""Durations, rates and moments are read in one place, so that every option takes the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.cli import main
from hashmatch.cli.units import (
    DURATION,
    LONGEST,
    MOMENT,
    RATE,
    SOME_TIME,
    TIME_OR_NEVER,
    Unit,
    parse_duration,
    parse_moment,
    parse_rate,
)
from hashmatch.records.times import SECONDS, format_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0s", timedelta(0)),
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("36h", timedelta(hours=36)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(weeks=2)),
        ("99999d", timedelta(days=99_999)),
    ],
)
def test_durations(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "30", "d", "soon", "-1d", "1.5h", "1 d", "1D", "1d\n", "٣d", "100000d", "9" * 11 + "s"],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"as a duration. Give it as 90s, 10m, 36h, 30d or 2w"):
        parse_duration(text)


@given(st.integers(0, 100_000_000).map(lambda seconds: timedelta(seconds=seconds)))
def test_a_duration_that_is_said_is_read_back(time: timedelta) -> None:
    assert parse_duration(format_duration(time)) == time


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1.0), ("500k", 5e5), ("10M", 1e7), ("1.5G", 1.5e9), ("0.25k", 250.0)],
)
def test_rates(text: str, expected: float) -> None:
    assert parse_rate(text) == expected


@pytest.mark.parametrize("text", ["", "fast", "0", "0.5", "-1M", "1K", "1MB", "1e6", "M", "1.M"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match=r"as a rate. Give bytes a second as 500k, 10M or"):
        parse_rate(text)


def test_moments() -> None:
    assert parse_moment("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    assert parse_moment("2026-01-31T12:00Z") == datetime(2026, 1, 31, 12, tzinfo=UTC)
    east = timezone(timedelta(hours=2))
    assert parse_moment("2026-01-31T12:00+02:00") == datetime(2026, 1, 31, 12, tzinfo=east)
    with pytest.raises(ValueError, match=r"as a date. Give 2026-01-31"):
        parse_moment("yesterday")


def options_of(command: click.Command) -> list[click.Option]:
    """All options of a command and of those below it."""
    found = [each for each in command.params if isinstance(each, click.Option)]
    for below in getattr(command, "commands", {}).values():
        found += options_of(below)
    return found


def test_every_option_that_takes_a_time_takes_all_units() -> None:
    options = options_of(main)
    kinds = {(each.name, each.type) for each in options if isinstance(each.type, Unit)}
    taking = dict(kinds)
    assert {name for name, kind in kinds if kind is DURATION} == {
        "grace", "keep", "lease", "undo", "pause", "keep_pending", "keep_rejected", "keep_reported",
    }  # fmt: skip
    assert {name for name, kind in kinds if kind is SOME_TIME} == {
        "keep_for", "every", "recent_for", "timeout",
    }  # fmt: skip
    assert (taking["expires"], taking["limit_rate"]) == (TIME_OR_NEVER, RATE)
    assert taking["since"] is MOMENT
    assert TIME_OR_NEVER.convert("never", None, None) == "never"
    assert TIME_OR_NEVER.convert("90d", None, None) == timedelta(days=90)
    for kind in (DURATION, SOME_TIME):
        for unit, seconds in SECONDS.items():
            assert kind.convert(f"3{unit}", None, None) == timedelta(seconds=3 * seconds)
    assert DURATION.convert(LONGEST, None, None) is LONGEST  # a default is a time already
    assert DURATION.convert("0s", None, None) == timedelta(0)
    with pytest.raises(click.BadParameter, match="no time at all"):
        SOME_TIME.convert("0d", None, None)
