"""The splitter of JSON pages finds what a parser of the whole would, however the bytes come."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hashmatch as hm
from hashmatch.lists.readers import _json_stream
from hashmatch.lists.readers._json_stream import Bracket, JsonPage, JsonRecords, Record

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
)
OBJECTS = st.dictionaries(st.sampled_from('abcdxy\\"{}[]:,'), VALUES, max_size=4)


def holds(place: Bracket) -> bool:
    return place.opener == b"[" and place.key == "records"


def found(data: bytes) -> list[Any]:
    return list(JsonRecords(io.BytesIO(data), holds, "a"))


def encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(
    st.lists(OBJECTS.filter(encodable), max_size=5),
    OBJECTS.filter(encodable),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.sampled_from([1, 2, 3, 7, 65536]),
)
def test_records_are_those_of_the_naive_way(
    monkeypatch: pytest.MonkeyPatch,
    records: list[Any],
    others: dict[str, Any],
    indent: int | None,
    ascii: bool,
    chunk: int,
) -> None:
    monkeypatch.setattr(_json_stream, "CHUNK", chunk)
    pages = [{**others, "records": records}, {"records": records, **others}]
    data = "\n".join(json.dumps(page, indent=indent, ensure_ascii=ascii) for page in pages).encode()
    naive = [record for page in pages for record in page["records"]]
    seen = found(data)
    assert not [row for row in seen if isinstance(row, hm.RejectedRow)]
    assert [row.value for row in seen if isinstance(row, Record)] == naive
    assert [row.records for row in seen if isinstance(row, JsonPage)] == [len(records)] * 2
    plain = {key: value for key, value in others.items() if isinstance(value, int | float)}
    plain = {key: value for key, value in plain.items() if key.isalpha()}
    for page in (row for row in seen if isinstance(row, JsonPage)):
        assert plain.items() <= page.fields.items()


@given(st.lists(OBJECTS, max_size=4), st.data())
def test_lines_are_where_records_begin(records: list[Any], data: st.DataObject) -> None:
    gaps = [data.draw(st.sampled_from(["", " ", "\n", "\r\n", "\n\n\n"])) for _ in records]
    text, lines = '{"records": [', []
    for number, (gap, record) in enumerate(zip(gaps, records, strict=True)):
        text += ("," if number else "") + gap
        lines.append(1 + text.count("\n"))
        text += json.dumps(record)
    seen = found((text + "]}").encode())
    assert [row.line for row in seen if isinstance(row, Record)] == lines


def test_records_may_be_in_an_object() -> None:
    data = io.BytesIO(b'{"0": {"a": 1}, "1": {"a": nope}, "2": {"a": 3}, "3": 4}')
    seen = list(JsonRecords(data, lambda place: place.depth == 0, "a"))
    records = [row for row in seen if isinstance(row, Record)]
    assert [(row.key, row.value) for row in records] == [("0", {"a": 1}), ("2", {"a": 3}), ("3", 4)]
    assert sum(isinstance(row, hm.RejectedRow) for row in seen) == 1


def test_the_search_for_a_record_ends_some_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_json_stream, "MAX_ATTEMPTS", 10)
    seen = found(b'{"records": [' + b',{"a":' * 100 + b'{"a": 1}]}')
    assert "nothing after this line was read" in seen[-1].reason
    assert len(seen) <= 12


@pytest.mark.parametrize("data", [b"5", b'"x"', b"]", b"}{", b"\0", b"nope\n{"])
def test_what_is_no_page(data: bytes) -> None:
    assert all(isinstance(row, hm.RejectedRow) for row in found(data))
    assert found(data)
