"""A list is its live entries: those withdrawn, in quarantine or left out show in nothing of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hashmatch as hm
import naive
from hashmatch.records.entries import Entries
from hashmatch.store.encryption import ListKey
from hashmatch.testing import flipped, random_hashes
from list_stores import PHASH, lower_sharing, open_store, page

if TYPE_CHECKING:
    from pathlib import Path

VALUES = [
    *random_hashes(PHASH, 10, seed=1).to_hex(),
    *flipped(random_hashes(PHASH, 10, seed=1), 3, seed=2).to_hex(),
    "00" * 8,  # in quarantine wherever there is one
]
"""Ten hashes, each with a near one, and one that every flat picture has."""
QUERIES = hm.HashBatch.from_hex(PHASH, VALUES)
KEY = b"a deployment's own key"
LIMIT = 8


class Row(NamedTuple):
    """One entry as the oracle has it: its value, and what is said of it."""

    value: str
    entry: hm.Entry


def expected_limits(rows: list[Row], of_list: int | None, default: int) -> list[int]:
    fallback = default if of_list is None else of_list
    return [fallback if e.max_distance is None else e.max_distance for _, e in rows]


def answered(found: hm.Matches) -> list[tuple[int, int, int]]:
    columns = (found.query.tolist(), found.entry.tolist(), found.distance.tolist())
    return sorted(zip(*columns, strict=True))


def check_is(known: hm.HashList, rows: list[Row], folder: Path) -> None:
    """Hold everything that a list is asked against its rows."""
    numbers, spec = range(len(rows)), known.spec
    texts, entries = [row.value for row in rows], [row.entry for row in rows]
    assert (len(known), len(known.hashes), len(known.entries)) == (len(rows),) * 3
    assert known.hashes.to_hex() == texts
    assert list(known.entries) == list(known.entries[:]) == entries
    assert [known.entries[n - len(rows)] for n in numbers] == entries
    with pytest.raises(IndexError):
        known.entries[len(rows)]
    assert isinstance(known.entries, Entries)
    labels = [label for entry in entries for label in entry.labels]
    assert known.entries.labels() == {label: labels.count(label) for label in labels}
    for default in (0, 5):
        limits = expected_limits(rows, known.max_distance, default)
        assert known.limits(default).tolist() == limits

    plain = hm.HashList(
        known.name, known.version, spec, hm.HashBatch.from_hex(spec, texts), entries, (),
        known.max_distance,
    )  # fmt: skip
    references = [known.reference(n, KEY) for n in numbers]
    assert references == [plain.reference(n, KEY) for n in numbers]
    for name in {*references, "", "nobody"}:
        of_name = {n for n in numbers if references[n] == name}
        assert known.named([name], KEY) == plain.named([name], KEY) == of_name

    limits = expected_limits(rows, known.max_distance, LIMIT)
    near = naive.search([int(text, 16) for text in VALUES], [int(text, 16) for text in texts], 64)
    hits = [(q, e, d) for q, e, d in near if d <= limits[e]]
    path = folder / "known.index"
    hm.HashIndex.build_file(path, known, LIMIT)
    indexes = [hm.HashIndex.build(known, LIMIT), hm.HashIndex.open(path)]
    if known.index is not None:
        assert isinstance(known.index, hm.HashIndex)
        indexes.append(known.index)
    for index in indexes:
        assert len(index) == len(rows)
        assert answered(index.search(QUERIES, LIMIT)) == hits
        closest = index.nearest(QUERIES, 1)
        assert answered(closest) == sorted(
            (q, *min((e, d) for q2, e, d in near if q2 == q and d == least))
            for q in range(len(VALUES))
            for least in [min((d for q2, _, d in near if q2 == q), default=None)]
            if least is not None
        )
    asked = hm.HashIndex.build(QUERIES)
    joined = [(e, q, d) for q, e, d in near if d <= LIMIT]
    assert answered(asked.join(known, LIMIT)) == sorted(joined)
    parts = [part for part in asked.stream_join(known, LIMIT) if len(part)]
    assert sorted(pair for part in parts for pair in answered(part)) == sorted(joined)

    found = hm.Matcher(known, max_distance=LIMIT, max_matches=99, reference_key=KEY).look_up(
        QUERIES
    )
    assert [[match.entry for match in each.matches] for each in found] == [
        [references[e] for _, e in sorted((d, e) for q2, e, d in hits if q2 == q)]
        for q in range(len(VALUES))
    ]
    assert [[match.max_distance for match in each.matches] for each in found] == [
        [limits[e] for _, e in sorted((d, e) for q2, e, d in hits if q2 == q)]
        for q in range(len(VALUES))
    ]

    (folder / "out").unlink(missing_ok=True)
    assert hm.write_list(known, folder / "out", reveal_hashes=True) == len(rows)
    read = known.without({n for n, row in enumerate(rows) if row.value == VALUES[-1]})
    if len(read):
        again = hm.read_list(folder / "out", spec.algorithm)
        assert (again.hashes, list(again.entries)) == (read.hashes, list(read.entries))
    copied = hm.HashList("copy", "1", spec, known.hashes, known.entries)
    assert (copied.hashes, list(copied.entries)) == (known.hashes, entries)


entries = st.builds(
    hm.Entry,
    external_id=st.none(),
    labels=st.lists(st.sampled_from(["A1", "B2"]), max_size=2, unique=True).map(tuple),
    sources=st.sampled_from([(), ("x",)]),
    max_distance=st.sampled_from([None, None, 2, 40]),
)
values = st.lists(st.integers(0, len(VALUES) - 1), max_size=12, unique=True)


@st.composite
def lists_of_rows(draw: st.DrawFn) -> list[Row]:
    """Rows of different values, some of them with an id."""
    names = st.sampled_from(["", "id"])
    return [
        Row(VALUES[n], replace(draw(entries), external_id=f"{n}" if draw(names) else None))
        for n in draw(values)
    ]


def left_out(
    data: st.DataObject, known: hm.HashList, rows: list[Row]
) -> tuple[hm.HashList, list[Row]]:
    """Leave something out once or twice."""
    for _ in range(data.draw(st.integers(0, 2))):
        out = data.draw(st.sets(st.integers(0, len(rows) - 1))) if rows else set()
        known = known.without(out)
        rows = [row for number, row in enumerate(rows) if number not in out]
    return known, rows


@given(st.data())
def test_in_memory(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    rows, of_list = data.draw(lists_of_rows()), data.draw(st.sampled_from([None, 4]))
    batch = hm.HashBatch.from_hex(PHASH, [row.value for row in rows])
    known = hm.HashList("l", "1", PHASH, batch, [row.entry for row in rows], (), of_list)
    if data.draw(st.booleans()):
        known = replace(known, index=hm.HashIndex.build(known, LIMIT))
    known, rows = left_out(data, known, rows)
    check_is(known, rows, tmp_path_factory.getbasetemp())


def said(row: Row) -> dict[str, object]:
    entry = row.entry
    fields = {
        "hash": row.value, "algorithm": "phash", "id": entry.external_id, "labels": entry.labels,
        "sources": entry.sources, "max_distance": entry.max_distance,
    }  # fmt: skip
    return {name: value for name, value in fields.items() if value is not None}


@settings(max_examples=25)
@given(st.data())
def test_in_a_store_of_several_segments(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    rows, folder = data.draw(lists_of_rows()), tmp_path_factory.mktemp("s")
    filling = [
        Row(text, hm.Entry(f"filling-{n}"))
        for n, text in enumerate(random_hashes(PHASH, 40, seed=3).to_hex())
    ]
    cut = data.draw(st.integers(0, len(rows)))
    gone = [row for row in rows if data.draw(st.integers(0, 3)) == 0]
    withdrawn = [
        {"hash": row.value, "algorithm": "phash", "status": "deleted"}
        if row.entry.external_id is None
        else {"id": row.entry.external_id, "status": "deleted"}
        for row in gone
    ]
    key = data.draw(st.sampled_from([None, ListKey(bytes(32))]))
    of_list = data.draw(st.sampled_from([None, 4]))
    store = open_store(folder / "store", trust=hm.Trust(), key=key)
    change = hm.Change(
        accept=("size-change", "bad-rows"), limits={} if of_list is None else {"phash": of_list}
    )
    with pytest.MonkeyPatch.context() as patch:
        lower_sharing(patch)
        store.import_files([page(folder, [said(row) for row in (*filling, *rows[:cut])])], change)
        for part in ([said(row) for row in rows[cut:]], withdrawn):
            if part:
                store.update_files([page(folder, part)], change)
    (known,) = store.open()
    live = [row for row in (*filling, *rows) if row not in gone and row.value != VALUES[-1]]
    known, live = left_out(data, known, live)
    check_is(known, live, folder)


def image(batch: hm.HashBatch) -> hm.HashedImage:
    return hm.HashedImage("a", PHASH, hm.Outcome.HASHED, batch, decode_policy="rgb/2")


@pytest.mark.parametrize("status", ["live", "withdrawn", "quarantined", "left out"])
def test_a_benign_entry_that_is_dead_excuses_nothing(tmp_path: Path, status: str) -> None:
    asked = QUERIES[20:21] if status == "quarantined" else QUERIES[:1]
    lines = [
        {"hash": text, "algorithm": "phash", "id": f"n{n}"}
        for n, text in enumerate([*asked.to_hex(), *QUERIES[1:3].to_hex()])
    ]
    store = open_store(tmp_path / "store", trust=hm.Trust())
    change = hm.Change(accept=("size-change",))
    store.import_files([page(tmp_path, lines)], change)
    if status == "withdrawn":
        store.update_files([page(tmp_path, [{"id": "n0", "status": "deleted"}])], change)
    (benign,) = store.open()
    if status == "left out":
        benign = hm.leave_out(benign, [hm.Disabled(benign.name, "n0", "a mistake", "ana")])
    listed = hm.HashList("bad", "1", PHASH, flipped(asked, 4, seed=5), [hm.Entry("bad")])
    item = hm.ImageItem("user/42", "1", hm.Surface.PROFILE_PHOTO)
    record = hm.Matcher(listed, benign=benign).decide(item, [image(asked)])
    assert isinstance(record, hm.ReviewRecord)
    assert record.status == ("suppressed" if status == "live" else "pending_review")


def test_an_entry_s_number_is_found_among_thousands_that_are_gone() -> None:
    rng = np.random.default_rng(1)
    names = [f"{n}" for n in range(5000)]
    entries = Entries.of([hm.Entry(name) for name in names])
    out = np.sort(rng.choice(5000, 3000, replace=False))
    left = entries.without(out[::2])
    numbers = {name: n for n, name in enumerate(e.external_id for e in left)}
    left = left.without(np.array([numbers[f"{n}"] for n in sorted(out[1::2].tolist())]))
    expected = np.delete(np.arange(5000), out)
    assert [left.row(n) for n in range(len(left))] == expected.tolist()
    assert left.rows(np.arange(len(left))).tolist() == expected.tolist()
    assert [entry.external_id for entry in left] == [f"{n}" for n in expected.tolist()]


NAMED = [
    hm.Entry("a", ("A1",)),
    hm.Entry("b", ("A1",), ("x",)),
    hm.Entry("c", (), (), max_distance=3),
]


def made(
    entries: list[hm.Entry], first: int = 0, of_list: int | None = None, name: str = "l"
) -> hm.HashList:
    batch = QUERIES[first : first + len(entries)]
    return hm.HashList(name, "1", PHASH, batch, entries, (), of_list)


def test_the_digest_of_a_list_is_all_that_answers_depend_on() -> None:
    known = made(NAMED)
    same = [
        made(NAMED),
        made(NAMED, name="other"),
        made([replace(entry, status="disputed", quality=9) for entry in NAMED]),
        made([*NAMED, hm.Entry("d")]).without([3]),
        made([hm.Entry("d", ("Z",)), *NAMED, hm.Entry()]).without([0, 4]),
    ]
    assert len({known.digest, *(each.digest for each in same[:4])}) == 1
    assert same[4].digest != known.digest  # the same entries with other hashes
    others = [
        made(NAMED, of_list=4),
        made(NAMED, first=1),
        made(NAMED[::-1]),
        made(NAMED[:2]),
        made(NAMED[:0]),
        *(
            made([*NAMED[:n], replace(NAMED[n], **change), *NAMED[n + 1 :]])
            for n in range(3)
            for change in (
                {"external_id": "z"}, {"external_id": None}, {"labels": ("Z",)},
                {"sources": ("z",)}, {"max_distance": 7},
            )
        ),
    ]  # fmt: skip
    assert len({each.digest for each in (known, *others)}) == 1 + len(others)
    assert known.digest not in repr(known)


@given(lists_of_rows(), st.integers(0, 3))
def test_it_is_the_same_however_a_list_is_held(rows: list[Row], more: int) -> None:
    batch = hm.HashBatch.from_hex(PHASH, [row.value for row in rows])
    plain = hm.HashList("l", "1", PHASH, batch, [replace(e, external_id="i") for _, e in rows])
    spare = [hm.Entry(f"{n}", (f"spare {n}",)) for n in range(more)]
    longer = hm.HashBatch.concatenate([QUERIES[:more], batch])
    known = hm.HashList("l", "1", PHASH, longer, [*spare, *plain.entries]).without(range(more))
    assert known.digest == plain.digest


def test_of_a_store_it_is_that_of_the_version_and_what_is_left_out(tmp_path: Path) -> None:
    lines = [{"hash": text, "algorithm": "phash", "id": text[:3]} for text in VALUES[:5]]
    store = open_store(tmp_path / "store", trust=hm.Trust())
    store.import_files([page(tmp_path, lines[:4])])
    (known,) = store.open()
    assert store.open()[0].digest == known.digest
    assert known.without([]).digest == known.digest
    left = [known.without([n]).digest for n in range(4)]
    store.update_files([page(tmp_path, lines[4:])], hm.Change(accept=("size-change",)))
    (later,) = store.open()
    assert len({*left, known.digest, later.digest}) == 6


def test_a_list_of_text() -> None:
    known = hm.HashList.from_hex(
        "phash", (text.upper() for text in VALUES[:3]), ids=["a", None, ""],
        labels=["A1", ["A1", "B2"], ()], name="mine", version="7", max_distance=3,
    )  # fmt: skip
    assert repr(known) == "<HashList mine, version 7, phash (64 bits), n=3>"
    assert known.hashes == QUERIES[:3]
    assert known.max_distance == 3
    assert list(known.entries) == [
        hm.Entry("a", ("A1",)), hm.Entry(None, ("A1", "B2")), hm.Entry(None)
    ]  # fmt: skip
    assert len(hm.HashList.from_hex(PHASH, [])) == 0
    ids: Any = [2**63, np.int64(7), "7"]
    numbered = hm.HashList.from_hex(PHASH, VALUES[:3], ids=ids)
    assert [entry.external_id for entry in numbered.entries] == [f"{2**63}", "7", "7"]
    assert list(hm.HashList.from_hex("phash", VALUES[:2]).entries) == [hm.Entry(), hm.Entry()]
    (found,) = hm.Matcher(known).look_up(QUERIES[:1])
    assert [match.entry for match in found.matches] == ["a"]


@pytest.mark.parametrize(
    ("algorithm", "texts", "more", "said"),
    [
        ("phash", [], {}, "cannot tell how many bits"),
        ("phash", ["00" * 8, "00" * 7], {}, "hash 2: 14 hex digits"),
        ("phash", ["xy" * 8], {}, "hash 1: the hash is not hex"),
        ("phash", ["00" * 8], {"ids": []}, "1 hashes with 0 ids and labels of 1"),
        ("phash", ["00" * 8], {"labels": ["a", "b"]}, "1 hashes with 1 ids and labels of 2"),
        ("phash", ["000"], {}, "positive multiple of 8"),
        ("phash", ["00" * 8], {"ids": [True]}, "cannot use True as an entry's id"),
        ("phash", ["00" * 8], {"ids": [1.0]}, "cannot use 1.0 as an entry's id"),
    ],
)
def test_text_that_is_no_list(
    algorithm: str, texts: list[str], more: dict[str, list[str]], said: str
) -> None:
    with pytest.raises(hm.UsageError, match=said):
        hm.HashList.from_hex(algorithm, texts, **more)  # type: ignore[arg-type]
