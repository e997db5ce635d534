"""What stands of a delivery: by identity, time and status, whatever the order of its rows."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hashmatch as hm
from hashmatch.interfaces import ListOptions, ListRow, PlainRows, Span
from hashmatch.lists.ingest import Rows
from hashmatch.lists.merge import (
    STANDS,
    SUPERSEDED,
    WITHDRAWN,
    Statements,
    Subject,
    Withdrawals,
    hash_keys,
    settle,
    standing,
)
from hashmatch.lists.readers.csv_columns import MappedCsv
from hashmatch.lists.readers.pdq_text import PdqText
from hashmatch.records.entries import Entries
from hashmatch.testing import random_hashes

if TYPE_CHECKING:
    from pathlib import Path

PHASH = hm.HashSpec("phash", 64)
A, B, C = "0f" * 8, "f0" * 8, "3c" * 8
NOW = 1_767_225_600.0  # 2026


def listed(*rows: ListRow, unique: bool = False, now: float = NOW) -> tuple[list[str], Rows]:
    """The ids and hashes that stand of one delivery."""
    taken = Rows(hm.ListFormat("phash"), now)
    taken.take(rows, unique_ids=unique)
    said = taken.statements()
    found = []
    for each, fates in zip(said, settle(said, taken.withdrawals), strict=True):
        stands = standing(each, fates)
        for entry, text in zip(stands.entries, stands.hashes.to_hex(), strict=True):
            found.append(f"{entry.external_id} {text[:2]}")
    return sorted(found), taken


def row(name: str | None, value: str, updated: Span | float | None = None, **more: Any) -> ListRow:
    return ListRow(1, value, None, name, updated=updated, **more)


def day(number: int) -> Span:
    return Span.lasting(86400.0 * number, 86400)


def second(number: int, of_day: float = 0) -> Span:
    return Span.lasting(86400.0 * number + of_day, 1)


def test_a_name_is_no_identity_and_a_unique_id_is() -> None:
    rows = [row("IMG_1.JPG", A, day(1)), row("IMG_1.JPG", B, day(2)), row("IMG_1.JPG", C)]
    assert listed(*rows)[0] == ["IMG_1.JPG 0f", "IMG_1.JPG 3c", "IMG_1.JPG f0"]
    assert listed(*rows, unique=True)[0] == ["IMG_1.JPG 3c"]
    assert listed(row("7", A), row("7", B), unique=True)[0] == ["7 0f", "7 f0"]  # none is later
    assert listed(row(None, A, day(1)), row(None, B, day(2)), unique=True)[0] == [
        "None 0f", "None f0"
    ]  # fmt: skip


def test_images_and_videos_are_counted_apart() -> None:
    rows = [row("7", A, day(1), space="image"), row("7", B, day(1), space="video")]
    gone = row("7", "", day(2), space="video", status="deleted")
    assert listed(*rows, unique=True)[0] == ["7 0f", "7 f0"]
    assert listed(*rows, gone, unique=True)[0] == ["7 0f"]


@pytest.mark.parametrize(
    ("said", "withdrawn", "stands"),
    [
        (second(3, 50_000), day(3), False),  # coarser is not older
        (day(3), second(3, 50_000), False),
        (day(3), day(3), False),
        (second(3, 50_000), Span.lasting(3 * 86400.0 + 49_980, 60), False),
        (second(3, 50_000), Span.lasting(3 * 86400.0 + 49_920, 60), True),
        (day(4), day(3), True),
        (day(3), day(4), False),
        (3 * 86400.5, 3 * 86400.25, True),
        (3 * 86400.5, 3 * 86400.5, False),
        (None, day(3), False),  # which of them is older, nobody knows
        (day(3), None, False),
        (None, None, False),
        (NOW + 9e8, None, False),  # dated ahead: said now
        (NOW + 9e8, NOW + 1e8, True),
        (None, NOW + 9e8, False),
        (NOW + 1e8, NOW + 9e8, False),
    ],
)
def test_what_a_withdrawal_takes_out(said: Any, withdrawn: Any, stands: bool) -> None:
    rows = [row("a", A, said), row("a", "", withdrawn, status="Revoked")]
    for order in (rows, rows[::-1]):
        found, taken = listed(*order)
        assert (len(found) == 1) == stands
        assert len(taken.withdrawals.without_effect) == stands


def test_what_is_dated_ahead_is_said_now_and_counted() -> None:
    found, taken = listed(row("7", A, NOW + 1), row("7", B, NOW + 9e8), unique=True)
    assert found == ["7 f0"]  # of two, the later
    assert taken.warnings() == ["2 rows are dated in the future, and taken as said now"]
    assert NOW < taken.until < NOW + 1


def test_a_withdrawal_of_an_id_and_a_hash_is_of_both() -> None:
    rows = [row("IMG", A, day(1)), row("IMG", B, day(1)), row("x", A, day(1)), row(None, A, day(1))]
    gone = row("IMG", A, day(2), status="withdrawn")
    assert listed(*rows, gone)[0] == ["IMG f0", "x 0f"]
    found, taken = listed(*rows, row("IMG", "", day(2), status="withdrawn"))
    assert found == ["None 0f", "x 0f"]
    assert taken.warnings() == [
        "the withdrawal of id IMG took out 2 different hashes: ids of this list need not be unique"
    ]
    by_hash = row(None, A, day(2), status="withdrawn")
    assert listed(*rows, by_hash)[0] == ["IMG f0"]


def test_benign_and_disputed_rows_are_about_their_identity() -> None:
    rows = [row(name, A, day(1)) for name in "abd"]
    rows.append(row("a", A, day(2), status="NON-MALICIOUS"))
    rows.append(row("b", A, day(2), downvotes=3, upvotes=1))
    rows.append(ListRow(4, "", "photodna", "d", updated=day(2), status="deleted"))
    rows.append(row("d", A, day(2), downvotes=2, upvotes=1))
    rows.append(row("d", A, day(2), status="benign"))  # no later: both
    found, taken = listed(*rows)
    assert found == ["d 0f"]
    assert taken.counts == {"listed": 4, "benign": 2, "disputed": 1}
    assert taken.unmatchable == {"photodna": 1}
    assert taken.rejected == []
    others = row("x", A, day(1)), row("x", B, day(1)), row("y", A, day(2), status="False Positive")
    assert listed(*others)[0] == ["x f0"]  # a name is no identity: the hash counts
    assert listed(*others, unique=True)[0] == ["x 0f", "x f0"]
    md5 = ListRow(1, A * 2, "md5", "7", updated=day(1))
    assert len(listed(row("7", A, day(1)), md5, row("7", A, day(2), status="fp?"))[0]) == 2
    assert listed(md5, row("7", A, day(1)), row("7", A, day(2), status="safe"), unique=True)[0] == [
        "7 0f"
    ]  # of the other kind


OUT = [
    "withdrawn", "Deleted", "REMOVED", "revoked", "expired", "retracted", "disabled", "inactive",
    "rescinded", "cancelled", "canceled", "obsolete", "deprecated", "invalid", "rejected",
    "suppressed", "unlisted", "archived", "no longer active",
]  # fmt: skip
HARMLESS = [
    "benign", "non malicious", "NON_MALICIOUS", "non-malicious", "negative_class", "not pertinent",
    "False Positive", "safe", "allow", "allowed", "allow-listed", "allowlisted", "whitelisted",
    "not CSAM", "cleared",
]  # fmt: skip
KNOWN = [
    "active", "malicious", "confirmed", "positive_class", "suspicious", "investigation_seed",
    "received", "new", "listed", "enabled", "approved", "published", "unknown",
]  # fmt: skip


def test_every_status_has_an_effect_or_is_shown() -> None:
    for status in OUT:
        assert listed(row("a", A, status=status), row("a", A))[0] == [], status
    for status in HARMLESS:
        found, taken = listed(row("a", A, status=status))
        assert (found, taken.counts) == ([], {"benign": 1}), status
    for status in KNOWN:
        found, taken = listed(row("a", A, status=status.title()))
        assert (found, dict(taken.statuses)) == (["a 0f"], {}), status
    found, taken = listed(
        row("a", A, status="odd one"), row("b", B, status=" odd one"), row("c", C, status=f"x{C}")
    )
    assert len(found) == 3
    assert taken.statuses == {"odd one": 2, "(hidden)": 1}
    told = "listed all the same; say what it means (--status WORD=listed|withdrawn|benign|disputed)"
    assert taken.warnings() == [
        f"unknown status '(hidden)': 1, {told}",
        f"unknown status 'odd one': 2, {told}",
    ]
    many = listed(*(row("a", A, status=f"odd {n}") for n in range(300)))[1]
    assert (len(many.statuses), many.statuses["(others)"]) == (101, 200)


def test_disputed_entries_can_be_kept() -> None:
    rows = Rows(hm.ListFormat("phash", keep_disputed=True), 9.0)
    rows.take([ListRow(1, "0f" * 8, downvotes=3)])
    (each,) = rows.statements()
    assert each.entries[0].status == "disputed"


def test_keys_that_meet_by_accident_cost_nothing() -> None:
    batch = random_hashes(PHASH, 4, seed=3)
    entries = Entries.of([hm.Entry(name) for name in "aabc"])
    key, times = np.zeros(4, np.uint64), np.array([1.0, 2.0, 1.0, 1.0])
    each = Statements(batch, entries, key, times, times, np.ones(4, np.uint8))
    withdrawals = Withdrawals()
    withdrawals.withdraw([Subject("c")], 1.0)
    (fates,) = settle([each], withdrawals)
    assert fates.tolist() == [SUPERSEDED, STANDS, STANDS, WITHDRAWN]
    assert len(set(hash_keys(batch.words).tolist())) == 4
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


CSV_ROWS = [
    "H,a1", "H,a1,", "H,", "H", ",a1", "H,7", "H,1.0", "H,1e5", "H,none", "H, a2", "H,é1", "f8,a3",
    '"H",a4', '"H,a5', "H,LONG1", "", "# c", "H,xH1", "zz,a6", "3 rows", "---", "hash,id", "H,a\r1",
    "E,a7", "0123456789,a8", "H,a1 ", "H,H1",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(CSV_ROWS), max_size=12),
    st.sampled_from([1, 2, 1200]),
    st.sampled_from(["hash,id", "pdq,id", "id,hash", "md5,id", "pdq,id,label"]),
    st.booleans(),
)
def test_plain_rows_of_csv_are_rows(lines: list[str], before: int, head: str, ends: bool) -> None:
    """As of PDQ text; with an id first, nearly all rows are bad."""
    first = "H" if head != "md5,id" else "E"
    good = "".join(f"{first},good-{n}\n" for n in range(before))
    text = f"{head}\n{good}" + "\n".join(lines) + "\n" * ends
    data = text.replace("LONG", "x" * 70_000).replace("H", "f8" * 32).replace("E", "0f" * 16)
    options = ListOptions(columns={"hash": "1"}) if head == "id,hash" else ListOptions()
    slow, fast = (Rows(hm.ListFormat(), 9.0) for _ in range(2))
    errors = []
    for taken, read in ((slow, MappedCsv().rows), (fast, MappedCsv().plain_rows)):
        try:
            taken.take(read(io.BytesIO(data.encode()), options))
            errors.append("")
        except hm.HashmatchError as error:
            errors.append(str(error))
    assert errors[0] == errors[1]
    assert slow.rejected == fast.rejected
    assert slow.counts == fast.counts
    for one, other in zip(slow.statements(), fast.statements(), strict=True):
        assert one.hashes == other.hashes
        assert one.entries == other.entries
        assert (one.key == other.key).all()


def test_rows_together_are_most_of_a_csv() -> None:
    one, other = random_hashes(hm.HashSpec("pdq", 256), 2, seed=5).to_hex()
    data = ("pdq,id\n" + f"{one},good-1\n" * 5000 + "bad,\n" + f"{other},x1\n" * 5000).encode()
    found = list(MappedCsv().plain_rows(io.BytesIO(data), ListOptions()))
    together = [row for row in found if isinstance(row, PlainRows)]
    assert sum(len(row.hashes) for row in together) == 10_000
    assert {row.algorithm for row in together} == {"pdq"}
    assert [row.line for row in found if not isinstance(row, PlainRows)] == [5002]


def test_rows_together_are_most_of_a_list(tmp_path: Path) -> None:
    one, other = random_hashes(hm.HashSpec("pdq", 256), 2, seed=5).to_hex()
    data = (f"{one},55,good.jpg\n" * 5000 + "bad\n" + f"{other}\n" * 5000).encode()
    found = list(PdqText().plain_rows(io.BytesIO(data), ListOptions()))
    together = sum(len(row.hashes) for row in found if isinstance(row, PlainRows))
    assert together > 9000
    (tmp_path / "l.txt").write_bytes(data)
    file = hm.read_list_file(tmp_path / "l.txt")
    assert [row.line for row in file.rejected] == [5001]
    assert file.types == {"pdq": 2}  # what comes twice is listed once


def test_of_too_many_bad_rows_the_first_are_named_and_the_others_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashmatch.lists.ingest.MOST_NAMED", 1000)
    (one,) = random_hashes(hm.HashSpec("pdq", 256), 1, seed=5).to_hex()
    (tmp_path / "l.txt").write_text(f"{one}\n" + "x\n" * 1007)
    file = hm.read_list_file(tmp_path / "l.txt")
    assert len(file.rejected) == 1001
    last = file.rejected[-1]
    assert (last.line, last.reason) == (1008, "7 more rows cannot be used; 1,000 are named")
    assert file.types == {"pdq": 1}
    assert (last.rows, file.rows["rejected"], file.lists[0].bad_rows) == (7, 1007, 1007)
    with pytest.raises(hm.BadRows, match="1,007 rows cannot be used"):
        file.choose()
