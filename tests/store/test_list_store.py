"""A list store comes to the same as naively merging all that was ever said to it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hashmatch as hm
from hashmatch.interfaces import ListRow, Span
from hashmatch.lists.degenerate import degenerate
from hashmatch.lists.detect import FileRead
from hashmatch.testing import random_hashes
from list_stores import MD5, PHASH, lower_sharing, open_store
from naive_lists import NaiveList, Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmatch.lists.ingest import ListFormat, Rows

SPECS = {"phash": PHASH, "md5": MD5}
#: The last of each is in quarantine.
VALUES = {
    name: [*random_hashes(spec, 5, seed=7).to_hex(), "00" * (spec.bits // 8)]
    for name, spec in SPECS.items()
}
BAD = {
    text
    for name, spec in SPECS.items()
    for text in VALUES[name]
    if degenerate(hm.HashBatch.from_hex(spec, [text]))[0]
}
ACCEPT = "size-change", "bad-rows"

Delivery = tuple[list[Row], int, bool]
"""Rows, the clock, and whether they are all of the list."""


@pytest.fixture(autouse=True)
def _pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have files of the rows of these tests read, whatever formats there are."""

    def read(
        place: str, format: ListFormat, taken: Rows, on_read: Callable[[int], object]
    ) -> FileRead:
        page = json.loads(Path(place).read_text())
        taken.take(
            (
                ListRow(1, **fields, updated=None if said is None else Span(*said))
                for fields, said in page["rows"]
            ),
            unique_ids=page["unique"],
        )
        return FileRead("rows", "0" * 64, 1)

    monkeypatch.setattr("hashmatch.store.importer.read_rows", read)
    lower_sharing(monkeypatch)


def field_values(row: Row) -> dict[str, Any]:
    limit = {"2 bits": 2, "7 bits": 7}.get(row.label)
    fields = {
        "hash": "" if row.how == "by id" else row.value,
        "algorithm": row.algorithm,
        "external_id": row.name,
        "space": row.space if row.name else "",
    }
    if row.how == "listed":
        return fields | {"labels": (row.label,), "max_distance": limit}
    return fields | {"status": "False Positive" if row.how == "benign" else "Revoked"}


CLOCK = 1_000_000
"""When the first delivery comes, in seconds since 1970; what is dated counts from here."""

#: When a row was said: before or after now, to the day, minute and second, exactly, or not told.
times = st.one_of(
    st.none(),
    st.integers(-3, 6).map(lambda n: (CLOCK + n * 40.5, CLOCK + n * 40.5)),
    st.tuples(st.sampled_from([1, 60, 86400]), st.integers(-2, 3)).map(
        lambda span: Span.lasting((CLOCK // span[0] + span[1]) * float(span[0]), span[0])
    ),
)
rows_said = st.builds(
    lambda name, space, kind, number, label, said, how, unique: Row(
        name,
        space if name else "",
        kind,
        VALUES[kind][number],
        label if how == "listed" else "",
        said,
        "by hash" if how == "by id" and name is None else how,
        unique,
    ),
    st.sampled_from([None, "a", "b", "c"]),
    st.sampled_from(["", "image", "video"]),
    st.sampled_from(list(SPECS)),
    st.sampled_from([0, 1, 2, 5]),
    st.sampled_from(["x", "y", "2 bits"]),
    times,
    st.sampled_from(["listed"] * 6 + ["by id", "by hash", "by both", "benign"]),
    st.booleans(),
).map(lambda row: row._replace(name=None, space="") if row.how == "by hash" else row)

#: What is in every list besides, so that updates of it are small.
FILLING = [
    Row(f"{name}-{number}", "", name, text, "filling", (0.0, 0.0), "listed", False)
    for name, spec in SPECS.items()
    for number, text in enumerate(random_hashes(spec, 40, seed=8).to_hex())
]


@st.composite
def deliveries(draw: st.DrawFn) -> list[Delivery]:
    """Deliveries, of which some repeat pages of those before, by a clock that jumps."""
    made: list[Delivery] = []
    for number in range(draw(st.integers(1, 4))):
        rows = draw(st.lists(rows_said, max_size=6))
        again = [row for earlier, _, _ in made for row in earlier] + rows
        rows += draw(st.lists(st.sampled_from(again), max_size=4)) if again else []
        clock = CLOCK + draw(st.sampled_from([-100, 0, 30, 100, 90_000]))
        made.append((rows, clock, not number or draw(st.sampled_from([False, False, True]))))
    return made


def deliver(folder: Path, number: int, delivery: Delivery) -> tuple[hm.ListStore, hm.Changed]:
    rows, clock, whole = delivery
    now = datetime.fromtimestamp(clock, UTC)
    store = open_store(folder / "list", trust=hm.Trust(), now=now)
    paths = []
    for unique in (False, True):
        page = [
            (field_values(row), row.said)
            for row in [*rows, *(FILLING if whole else [])]
            if row.unique == unique
        ]
        path = folder / f"{number}-{unique}.json"
        path.write_text(json.dumps({"unique": unique, "rows": page}))
        paths.append(str(path))
    act = store.import_files if whole else store.update_files
    return store, act(paths, hm.Change(accept=ACCEPT, keep=timedelta(0), limits={"phash": 5}))


def matched(store: hm.ListStore) -> list[tuple[str | None, str, str, tuple[str, ...]]]:
    """All that is matched, without an index: (id, algorithm, hash, labels)."""
    found = []
    content, _ = store.latest()
    for name, kind in content.kinds.items():
        gone = kind.entries.gone
        texts = hm.HashBatch(kind.spec, np.delete(kind.words[:], gone, axis=0)).to_hex()
        for text, entry in zip(texts, kind.entries.loaded(), strict=True):
            found.append((entry.external_id, name, text, entry.labels))
    return found


def check_deliveries(folder: Path, made: list[Delivery]) -> hm.ListStore:
    """A store is what the rules make of it, and every change says what it did."""
    naive = NaiveList(frozenset(BAD))
    after: list[Any] = []
    for number, (rows, clock, whole) in enumerate(made):
        before = len(after)
        store, changed = deliver(folder, number, (rows, clock, whole))
        told = naive.deliver(rows, clock, whole=whole)
        told.counts["added"] += 0 if number else len(FILLING)
        after = matched(store)
        assert Counter(after) == Counter(
            (row.name, row.algorithm, row.value, (row.label,))
            for row in [*FILLING, *(fact.row for fact in naive.matched(naive.live))]
        )
        effects = changed.effects
        gone = effects.withdrawn + effects.superseded + effects.dropped
        assert before + effects.added - gone == len(after)
        of_rows = changed.manifest.counts["rows"]
        for name in ("added", "changed", "withdrawn", "superseded", "dropped"):
            assert getattr(effects, name) == told.counts[name], name
        for name in ("withdrawn", "superseded", "repeated"):
            assert of_rows.get(name, 0) == told.counts[f"{name} rows"], name
        assert Counter(effects.older) == told.older
        assert Counter(effects.without_effect) == told.without_effect
    return store


def check_answers(store: hm.ListStore) -> None:
    """The index finds what a linear search does, at any distance asked for."""
    for known in store.open():
        names = known.hashes.to_hex()
        assert isinstance(known.index, hm.HashIndex)
        queries = hm.HashBatch.from_hex(known.spec, VALUES[known.spec.algorithm])
        for asked in (None, 3, 20):
            own = known.limits(6 if asked is None else asked)
            found = known.index.search(queries, asked) if asked else known.index.search(queries, 6)
            wanted = [
                (query, row, distance)
                for query, text in enumerate(queries.to_hex())
                for row, name in enumerate(names)
                if (distance := (int(text, 16) ^ int(name, 16)).bit_count()) <= own[row]
            ]
            columns = np.column_stack([found.query, found.entry, found.distance])
            assert [tuple(row) for row in columns.tolist()] == wanted
        assert len(known) == len(names) == len(known.entries) == len(known.index)


@settings(max_examples=100, deadline=None)
@given(deliveries())
def test_a_list_is_what_its_deliveries_say(
    tmp_path_factory: pytest.TempPathFactory, made: list[Delivery]
) -> None:
    check_deliveries(tmp_path_factory.mktemp("s"), made)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(deliveries())
def test_a_list_is_what_very_many_deliveries_say(
    tmp_path_factory: pytest.TempPathFactory, made: list[Delivery]
) -> None:
    check_deliveries(tmp_path_factory.mktemp("s"), made)


@settings(max_examples=30, deadline=None)
@given(deliveries())
def test_the_index_of_a_list_finds_what_is_in_it(
    tmp_path_factory: pytest.TempPathFactory, made: list[Delivery]
) -> None:
    check_answers(check_deliveries(tmp_path_factory.mktemp("s"), made))


def test_an_update_of_a_long_list_writes_only_what_it_changes(tmp_path: Path) -> None:
    row = Row("a", "", "phash", VALUES["phash"][0], "x", None, "listed", False)
    gone = row._replace(how="by id")
    store = check_deliveries(
        tmp_path, [([], CLOCK, True), ([row], CLOCK, False), ([gone], CLOCK, False)]
    )
    opened, problems = store.latest()
    kind = opened.kinds["phash"]
    assert ([segment.rows for segment in kind.segments], kind.gone.tolist()) == ([40, 1], [40])
    assert not problems
    assert len(matched(store)) == len(FILLING)


def test_an_update_writes_a_list_anew_whose_index_is_of_an_earlier_layout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row("a", "", "phash", VALUES["phash"][0], "x", None, "listed", False)

    def earlier(path: str, **_: object) -> hm.HashIndex:
        raise hm.IndexFileError(f"cannot open {path}: it was made by an earlier version")

    monkeypatch.setattr("hashmatch.store.importer.HashIndex.open", earlier)
    store = check_deliveries(tmp_path, [([], CLOCK, True), ([row], CLOCK, False)])
    assert [segment.rows for segment in store.latest()[0].kinds["phash"].segments] == [41]
