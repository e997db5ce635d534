"""Headers of index files that lie, with checksums that are right: they are refused."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashmatch as hm
from hashmatch.records.entries import Entry
from hashmatch.records.hash_list import HashList
from hashmatch.testing import hash_list, random_hashes
from index_files import aged, header_of, laid_out

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Change = Callable[[dict[str, Any]], object]

JIT = not os.environ.get("NUMBA_DISABLE_JIT")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with every kind of block, tables in its first part, limits in its last."""
    path = tmp_path_factory.mktemp("sound") / "an.index"
    batch = random_hashes(hm.HashSpec("any", 64), 3000 if JIT else 40, seed=1)
    index = hm.HashIndex.build(batch, 3).with_changes(hash_list(batch[:20]), range(5))
    entries = tuple(Entry(max_distance=limit) for limit in range(4))
    index.with_changes(HashList("a", "1", batch.spec, batch[:4], entries)).save(path)
    assert not JIT or "bands" in index.explain()
    return path


def rewritten(sound: Path, path: Path, change: Change) -> None:
    """Write the file with another header, whose checksum is right."""
    header = header_of(sound)
    begin = header["blocks"][0]["offset"]
    change(header)
    path.write_bytes(laid_out(header, sound.read_bytes()[begin:]))
    aged(path)


def fact(key: str, value: Any) -> Change:
    return lambda header: header["facts"].update({key: value})


def of_part(part: int, place: str, key: str, value: Any) -> Change:
    return lambda header: header["segments"][part][place].update({key: value})


def without(part: int, place: str, key: str) -> Change:
    return lambda header: header["segments"][part][place].pop(key)


def limit_of_tables(limit: Any) -> Change:
    return lambda header: header["segments"][0].update(limit=limit)


def block(name: str, /, **members: Any) -> Change:
    def change(header: dict[str, Any]) -> None:
        (found,) = [one for one in header["blocks"] if one["name"] == name]
        found.update(members)

    return change


def bands(*rows: tuple[int, int, int, int], limit: int) -> Change:
    def change(header: dict[str, Any]) -> None:
        segment = header["segments"][0]
        segment["facts"]["bands"] = ";".join(",".join(map(str, row)) for row in rows)
        segment["facts"]["lines"] = ",".join(str(400 << max(0, row[2])) for row in rows)
        segment["limit"] = limit

    return change


FOUR = [(16 * b, 16, 8, 0) for b in range(4)]
LIES: dict[str, Change] = {
    "no parts": lambda header: header.update(segments=[]),
    "no following": lambda header: header["facts"].pop("following"),
    "following is text": fact("following", "3"),
    "following is too few": fact("following", 2),
    "following is negative": fact("following", -1),
    "following is a half": fact("following", 3024.5),
    "following is more": fact("following", 3025),
    "following is huge": fact("following", 2**63),
    "following is true": fact("following", True),
    "limit beyond all bits": fact("limit", 65),
    "limit is negative": fact("limit", -1),
    "limit is text": fact("limit", "31"),
    "other bits": lambda header: header["spec"].update(bits=128),
    "no bits": lambda header: header["spec"].update(bits=0),
    "endless bits": lambda header: header["spec"].update(bits=2**40),
    "an earlier layout": of_part(0, "blocks", "words", "0/columns"),
    "no count": without(0, "facts", "count"),
    "count is text": of_part(0, "facts", "count", "3000"),
    "count is negative": of_part(0, "facts", "count", -1),
    "count is more": of_part(0, "facts", "count", 4000),
    "count is fewer": of_part(0, "facts", "count", 2000),
    "no columns": without(0, "blocks", "columns"),
    "numbers are columns": of_part(1, "blocks", "numbers", "1/columns"),
    "columns are numbers": of_part(1, "blocks", "columns", "1/numbers"),
    "columns of another": of_part(1, "blocks", "columns", "0/columns"),
    "tables of another": of_part(1, "blocks", "tables", "0/tables"),
    "a part twice": lambda header: header["segments"].append(header["segments"][0]),
    "tables without limit": limit_of_tables(None),
    "tables with another limit": limit_of_tables(4),
    "tables with a negative limit": limit_of_tables(-1),
    "own is text": of_part(0, "facts", "own", "x"),
    "own is too wide": of_part(0, "facts", "own", 65),
    "own is too narrow": of_part(0, "facts", "own", -2),
    "no own": without(0, "facts", "own"),
    "every is 2": of_part(0, "facts", "every", 2),
    "no every": without(0, "facts", "every"),
    "no bands": without(0, "facts", "bands"),
    "no lines": without(0, "facts", "lines"),
    "bands are a number": of_part(0, "facts", "bands", 5),
    "bands are empty": of_part(0, "facts", "bands", ""),
    "bands are words": of_part(0, "facts", "bands", "a,b,c,d"),
    "bands of three": of_part(0, "facts", "bands", "0,64,8"),
    "bands of five": of_part(0, "facts", "bands", "0,64,8,1,1"),
    "a band of many digits": of_part(0, "facts", "bands", "0,64,8," + "9" * 5000),
    "lines of many digits": of_part(0, "facts", "lines", ",".join(["9" * 4000] * 4)),
    "lines are few": of_part(0, "facts", "lines", "1,1,1,1"),
    "lines are negative": of_part(0, "facts", "lines", "-1,-1,-1,-1"),
    "lines are too many": bands(*FOUR, limit=3),
    "one line": of_part(0, "facts", "lines", "5"),
    "an address of no bits": bands((0, 16, 0, 0), *FOUR[1:], limit=3),
    "a negative address": bands((0, 16, -1, -2), *FOUR[1:], limit=1),
    "a band of no bits": bands((0, 0, 0, 0), *FOUR, limit=4),
    "a band of negative bits": bands((0, 80, 8, 0), (80, -16, 1, 0), limit=1),
    "bands with a gap": bands(FOUR[0], *FOUR[2:], limit=2),
    "bands beyond the end": bands(*FOUR, (64, 16, 8, 0), limit=4),
    "bands that end early": bands(*FOUR[:3], limit=2),
    "bands that tolerate less": bands(*FOUR, limit=4),
    "a tolerance beyond the address": bands((0, 16, 8, 9), *FOUR[1:], limit=12),
    "a negative tolerance": bands((0, 16, 8, -1), *FOUR[1:], limit=2),
    "an address beyond the band": bands((0, 16, 17, 0), *FOUR[1:], limit=3),
    "an address too long": bands((0, 64, 33, 3), limit=3),
    "endless masks": bands(*[(21 * b, 21 + (b == 2), 21, 20) for b in range(3)], limit=62),
    "tables beyond all bits": bands(*[(b, 1, 1, 1) for b in range(64)], limit=127),
    "columns as bytes": block("0/columns", dtype="uint8", shape=[8, 3072]),
    "columns of another sign": block("0/columns", dtype="int64"),
    "columns in a row": block("0/columns", shape=[3072]),
    "columns the other way": block("0/columns", shape=[3072, 1]),
    "columns of 32 bits": block("0/columns", dtype="uint32", shape=[2, 3072]),
    "numbers of another sign": block("1/numbers", dtype="int32"),
    "tables of another sign": block("0/tables", dtype="int64"),
    "own of another sign": block("own", dtype="uint16"),
    "gone of another sign": block("gone", dtype="int8"),
    "own is not there": block("own", name="none"),
}


SAID = {  # what would be read out of place, or for ever, is refused for that, and not by chance
    "an address of no bits": "its bands make no sense",
    "a negative tolerance": "its bands make no sense",
    "an address too long": "its bands make no sense",
    "bands that end early": "its bands do not find every entry",
    "endless masks": "its bands take longer than looking at every entry",
    "tables beyond all bits": "its limit is more than all bits",
    "lines are few": "its bands have too few lines",
    "own is not there": "its limits are not there",
    "an earlier layout": "it was made by an earlier version",
    "a part twice": "it has more or fewer entries than numbers",
}


@pytest.mark.skipif(not JIT, reason="numbers are those of the long list")
@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_refused(sound: Path, tmp_path: Path, lie: str) -> None:
    path = tmp_path / "lying.index"
    rewritten(sound, path, LIES[lie])
    for check in (True, False):
        with pytest.raises(hm.IndexFileError) as caught:
            hm.HashIndex.open(path, check)
        assert str(path) in str(caught.value)
        assert SAID.get(lie, "") in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500


@pytest.mark.parametrize("count", [2**32 + 1, 2**33, 2**36])
def test_more_entries_than_there_are_numbers(sound: Path, tmp_path: Path, count: int) -> None:
    """Of blocks that are really so long: a file of zeros takes no room on the disk."""
    path, header = tmp_path / "long.index", header_of(sound)
    columns = header["blocks"][0]
    begin, after = columns["offset"], -(-count // 128) * 128
    columns |= {"shape": [1, after], "length": after * 8}
    part = header["segments"][0] | {"limit": None, "blocks": {"columns": columns["name"]}}
    part["facts"]["count"] = count
    header |= {"blocks": [columns], "segments": [part]}
    for following in (count, 2**32, 2**32 - 1):
        header["facts"]["following"] = following
        path.write_bytes(laid_out(header))
        os.truncate(path, begin + -(-after * 8 // 4096) * 4096)
        aged(path)
        with pytest.raises(hm.IndexFileError, match="Build it again"):
            hm.HashIndex.open(path, check=False)


def use(index: hm.HashIndex) -> None:
    """Ask everything; answers may be anything at all."""
    queries = random_hashes(index.spec, 2, seed=1)
    for batch in [queries, hm.HashBatch.concatenate([queries] * 40)][: 1 + JIT]:
        index.search(batch, 3)
        index.search(batch, 30)
    index.nearest(queries, 2)
    index.with_changes(queries).search(queries, 3)
    index.explain()
    assert len(index) <= index.next_entry


NUMBERS = st.integers(-2, 70) | st.sampled_from([-(2**63), 2**31, 2**32, 2**40, 2**63, 10**30])
TEXT = st.text("0123456789,;-. x", max_size=30) | st.sampled_from(["", "0,64,8,3", "9" * 5000])
JUNK = NUMBERS | TEXT | st.floats(allow_nan=False) | st.none() | st.booleans()
CHANGES = st.one_of(
    st.builds(fact, st.sampled_from(["following", "limit"]), JUNK),
    st.builds(
        of_part,
        st.integers(0, 2),
        st.just("blocks"),
        st.sampled_from(["words", "columns", "numbers", "tables", "other"]),
        st.sampled_from(["0/columns", "0/tables", "1/numbers", "2/columns", "own"]),
    ),
    st.builds(
        of_part,
        st.integers(0, 2),
        st.just("facts"),
        st.sampled_from(["count", "own", "every", "bands", "lines"]),
        JUNK,
    ),
    st.builds(limit_of_tables, NUMBERS | st.none()),
    st.builds(
        lambda rows, limit: bands(*rows, limit=limit),
        st.lists(st.tuples(*[st.integers(-1, 66)] * 4), max_size=5),
        st.integers(-1, 70),
    ),
)


@given(st.lists(CHANGES, min_size=1, max_size=3))
def test_any_header_is_refused_or_harmless(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, changes: list[Change]
) -> None:
    path = tmp_path_factory.getbasetemp() / "lying.index"
    rewritten(sound, path, lambda header: [change(header) for change in changes])
    with suppress(hm.IndexFileError):
        use(hm.HashIndex.open(path, check=False))
