"""Merging of pages: the same whatever their order, their number and how often they come."""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import hashmatch as hm
import naive
from hashmatch.interfaces import ListOptions, ListRow, PlainRows
from hashmatch.lists.ingest import Rows
from hashmatch.lists.merge import Statements, Subject, hash_keys, later, standing
from hashmatch.lists.readers.pdq_text import PdqText
from hashmatch.records.entries import Entries
from hashmatch.testing import random_hashes

if TYPE_CHECKING:
    from pathlib import Path

HASHES = {
    "phash": [bytes([n]) * 8 for n in range(4)],
    "md5": [bytes([n]) * 16 for n in range(4)],
}
SPECS = {"phash": hm.HashSpec("phash", 64), "md5": hm.HashSpec("md5", 128)}

said = st.tuples(
    st.sampled_from([None, "a", "b", "c"]),
    st.sampled_from(["phash", "md5"]),
    st.integers(0, 3),
    st.sampled_from(["x", "y"]),
    st.sampled_from([1.0, 2.0, 3.0]),
    st.booleans(),
).map(lambda row: (*row[:2], HASHES[row[1]][row[2]], *row[3:]))


def row_of(fact: tuple[str | None, str, bytes, str, float, bool]) -> ListRow:
    name, algorithm, value, label, when, gone = fact
    status = "deleted" if gone else "active"
    # A withdrawal is by its id or by its hash, so that the naive twin need not know both.
    text = "" if gone and name else value.hex()
    return ListRow(1, text, algorithm, name, (label,), status=status, updated=when)


def kept_of(rows: Rows) -> Counter[tuple[str | None, str, bytes, str, float]]:
    found: Counter[tuple[str | None, str, bytes, str, float]] = Counter()
    statements = rows.statements()
    for each, kept in zip(statements, standing(statements, rows.withdrawn), strict=True):
        for row in np.flatnonzero(kept).tolist():
            entry, value = each.entries[row], each.hashes[row : row + 1].to_hex()[0]
            when = float(each.updated[row])
            found[
                entry.external_id, each.algorithm, bytes.fromhex(value), entry.labels[0], when
            ] += 1
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(said, max_size=14), st.randoms(use_true_random=False))
def test_the_latest_stands_whatever_the_order(
    facts: list[tuple[str | None, str, bytes, str, float, bool]], random: np.random.Generator
) -> None:
    expected = naive.standing(
        [fact[:5] for fact in facts if not fact[5]],
        [(fact[0], fact[1], fact[2], fact[4]) for fact in facts if fact[5]],
    )
    pages = facts + facts[: len(facts) // 2]
    random.shuffle(pages)
    rows = Rows(hm.ListFormat("phash"), 9.0)
    rows.take(map(row_of, pages))
    assert kept_of(rows) == Counter(expected)


def test_benign_disputed_and_unmatchable_rows_replace_what_was_said_before() -> None:
    rows = Rows(hm.ListFormat("phash"), 9.0)
    for name in "abcd":
        rows.take([ListRow(1, "0f" * 8, None, name, updated=1.0)])
    rows.take([ListRow(2, "0f" * 8, None, "a", status="NON_MALICIOUS", updated=2.0)])
    rows.take([ListRow(3, "0f" * 8, None, "b", downvotes=3, upvotes=1, updated=2.0)])
    rows.take([ListRow(4, "", "photodna", "c", updated=2.0)])
    rows.take([ListRow(5, "0f" * 8, None, "d", downvotes=2, upvotes=1, updated=2.0)])
    rows.take([ListRow(6, "0f" * 8, None, "d", status="benign", updated=2.0)])  # no later: both
    (each,) = rows.statements()
    (kept,) = standing([each], rows.withdrawn)
    assert [each.entries[row].external_id for row in np.flatnonzero(kept).tolist()] == ["d"]
    assert rows.counts == {"listed": 5, "benign": 2, "disputed": 1}
    assert rows.unmatchable == {"photodna": 1}
    assert rows.rejected == []


def test_disputed_entries_can_be_kept() -> None:
    rows = Rows(hm.ListFormat("phash", keep_disputed=True), 9.0)
    rows.take([ListRow(1, "0f" * 8, downvotes=3)])
    (each,) = rows.statements()
    assert each.entries[0].status == "disputed"


def test_keys_that_meet_by_accident_cost_nothing() -> None:
    batch = random_hashes(SPECS["phash"], 4, seed=3)
    entries = Entries.of([hm.Entry(name) for name in "aabc"])
    key = np.zeros(4, np.uint64)
    each = Statements(batch, entries, key, np.array([1.0, 2.0, 1.0, 1.0]))
    (kept,) = standing([each], {Subject("c"): 1.0})
    assert kept.tolist() == [False, True, True, False]
    assert len(set(hash_keys(batch.words).tolist())) == 4
    assert later({Subject("a"): 1.0}, {Subject("a"): 2.0}) == {Subject("a"): 2.0}
    assert "a" not in repr(Subject("a"))[9:]


ROWS = [
    "H", "F8" * 32, " H", "f8" * 31, "H,", "H,a.jpg", "H,a, b ", "H,99,a.jpg", "H,099,a.jpg",
    "H,101,a", "H,99,50,a", "H, 99 ,a", "H,99", "H,99,", "H,٣,a", "H,é", "H,\x1c1,x", "H,a\0",
    "H,H", "H,7,H.jpg", "", "# c", "pdq H", "H,LONG", "H\r", "H,a\rb", "H,\t7,a", "zz", "\ufeffH",
    "hash=H,quality=9,filename=x", "+PiPi",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(ROWS), max_size=12),
    st.sampled_from([0, 1, 700]),
    st.booleans(),
)
def test_plain_rows_are_rows(lines: list[str], before: int, ends: bool) -> None:
    text = "H,55,good.jpg\n" * before + "\n".join(lines) + "\n" * ends
    data = text.replace("LONG", "x" * 70_000).replace("H", "f8" * 32).encode()
    slow, fast = (Rows(hm.ListFormat(), 9.0) for _ in range(2))
    slow.take(PdqText().rows(io.BytesIO(data), ListOptions()))
    fast.take(PdqText().plain_rows(io.BytesIO(data), ListOptions()))
    assert slow.rejected == fast.rejected
    assert slow.counts == fast.counts
    for one, other in zip(slow.statements(), fast.statements(), strict=True):
        assert one.hashes == other.hashes
        assert one.entries == other.entries
        assert (one.key == other.key).all()


def test_rows_together_are_most_of_a_list(tmp_path: Path) -> None:
    data = (("f8" * 32 + ",55,good.jpg\n") * 5000 + "bad\n" + ("0f" * 32 + "\n") * 5000).encode()
    found = list(PdqText().plain_rows(io.BytesIO(data), ListOptions()))
    together = sum(len(row.hashes) for row in found if isinstance(row, PlainRows))
    assert together > 9000
    (tmp_path / "l.txt").write_bytes(data)
    file = hm.read_list_file(tmp_path / "l.txt")
    assert [row.line for row in file.rejected] == [5001]
    assert file.types == {"pdq": 2}  # what comes twice is listed once


def test_of_too_many_bad_rows_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("f8" * 32 + "\n" + "x\n" * 100_007)
    file = hm.read_list_file(tmp_path / "l.txt")
    assert len(file.rejected) == 100_001
    last = file.rejected[-1]
    assert (last.line, last.reason) == (100_008, "7 more rows cannot be used; 100,000 are named")
    assert file.types == {"pdq": 1}
