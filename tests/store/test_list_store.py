"""A list store comes to the same as naively merging all that was ever said to it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import hashmatch as hm
import naive
from hashmatch.interfaces import ListRow
from hashmatch.lists.degenerate import degenerate
from hashmatch.lists.detect import FileRead
from hashmatch.testing import random_hashes
from list_stores import MD5, NOW, PHASH, held, lower_sharing, open_store

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

Fact = tuple[str | None, str, str, str, float, str]
"""Id, algorithm, hash, what else is said, when, and whether it is withdrawn and how."""


@pytest.fixture(autouse=True)
def _pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have files of the rows of these tests read, whatever formats there are."""

    def read(
        place: str, format: ListFormat, taken: Rows, on_read: Callable[[int], object]
    ) -> FileRead:
        taken.take(ListRow(1, **fields) for fields in json.loads(Path(place).read_text()))
        return FileRead("rows", "0" * 64, 1)

    monkeypatch.setattr("hashmatch.store.importer.read_rows", read)
    lower_sharing(monkeypatch)


def field_values(fact: Fact) -> dict[str, Any]:
    name, algorithm, value, said, when, how = fact
    row: dict[str, Any] = {"hash": value, "algorithm": algorithm, "external_id": name}
    if how == "by hash":  # whoever has it
        row["external_id"] = None
    if how == "by id":
        row["hash"] = ""
    if how != "listed":
        return row | {"status": "deleted", "updated": when}
    limit = {"2 bits": 2, "7 bits": 7}.get(said)
    return row | {"labels": (said,), "max_distance": limit, "updated": when}


def naive_withdrawals(facts: list[Fact]) -> list[tuple[str | None, str, bytes, float]]:
    found: list[tuple[str | None, str, bytes, float]] = []
    for name, algorithm, value, _, when, how in facts:
        if how == "by id" and name:
            found.append((name, algorithm, b"", when))
        elif how == "by hash":
            found.append((None, algorithm, bytes.fromhex(value), when))
    return found


def expected(facts: list[Fact]) -> Counter[tuple[str | None, str, str, tuple[str, ...]]]:
    """What is matched, by the naive oracle."""
    said = [
        (*fact[:2], bytes.fromhex(fact[2]), *fact[3:5]) for fact in facts if fact[5] == "listed"
    ]
    stands = naive.standing(said, naive_withdrawals(facts))
    return Counter(
        (name, algorithm, value.hex(), (label,))
        for name, algorithm, value, label, _ in stands
        if value.hex() not in BAD
    )


facts = st.tuples(
    st.sampled_from([None, "a", "b", "c", "d"]),
    st.sampled_from(list(SPECS)),
    st.integers(0, 5),
    st.sampled_from(["x", "y", "2 bits", "7 bits"]),
    st.sampled_from([1.0, 2.0, 3.0, 4.0]),
    st.sampled_from(["listed", "listed", "listed", "by id", "by hash"]),
).map(lambda fact: (*fact[:2], VALUES[fact[1]][fact[2]], *fact[3:]))

#: What is in every list besides, so that updates of it are small; too early to take a place.
FILLING = [
    {"hash": text, "algorithm": name, "external_id": f"{name}-{number}", "updated": 0.0}
    | {"labels": ("filling",)}
    for name, spec in SPECS.items()
    for number, text in enumerate(random_hashes(spec, 40, seed=8).to_hex())
]


def built(folder: Path, parts: list[list[Fact]], *, timed: bool = True) -> hm.ListStore:
    """A store of the first of `parts`, updated with each other an hour later."""
    for number, part in enumerate(parts):
        now = NOW + timedelta(hours=number)
        store = open_store(folder / "list", trust=hm.Trust(), now=now)
        path = folder / f"{number}.json"
        lines = [field_values(fact) for fact in part]
        if not timed:
            lines = [line | {"updated": None} for line in lines]
        lines += [] if number else FILLING
        path.write_text(json.dumps(lines))
        act = store.update_files if number else store.import_files
        act([str(path)], hm.Change(accept=ACCEPT, keep=timedelta(0), limits={"phash": 5}))
    return store


@st.composite
def divided(draw: st.DrawFn) -> tuple[list[Fact], list[list[list[Fact]]]]:
    """Facts, and two ways to divide, order and repeat them."""
    all_facts = draw(st.lists(facts, max_size=14))
    ways = []
    for _ in range(2):
        order = all_facts + all_facts[: draw(st.integers(0, len(all_facts)))]
        draw(st.randoms(use_true_random=False)).shuffle(order)
        cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=4)))
        ways.append([order[a:b] for a, b in zip([0, *cuts], [*cuts, len(order)], strict=True)])
    return all_facts, ways


def without_filling(store: hm.ListStore) -> Counter[Any]:
    found = held(store)
    filling = {key: n for key, n in found.items() if key[3] == ("filling",)}
    assert len(filling) == len(FILLING)
    return found - Counter(filling)


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


FIRST: Fact = ("a", "phash", VALUES["phash"][0], "x", 1.0, "listed")
THEN: Fact = ("a", "phash", VALUES["phash"][1], "x", 2.0, "listed")
GONE: Fact = (None, "phash", VALUES["phash"][1], "x", 3.0, "by hash")


@settings(max_examples=60)
@example(([FIRST, THEN, GONE], [[[FIRST, THEN, GONE]], [[FIRST, THEN], [GONE], [FIRST]]]))
@given(divided())
def test_a_store_is_what_was_said_whatever_the_order_and_the_number_of_updates(
    tmp_path_factory: pytest.TempPathFactory, data: tuple[list[Fact], list[list[list[Fact]]]]
) -> None:
    all_facts, ways = data
    for parts in ways:
        store = built(tmp_path_factory.mktemp("s"), parts)
        assert without_filling(store) == expected(all_facts)
        check_answers(store)


@settings(max_examples=30)
@given(st.lists(st.lists(facts, max_size=6), min_size=1, max_size=4))
def test_what_has_no_time_is_said_when_it_comes(
    tmp_path_factory: pytest.TempPathFactory, parts: list[list[Fact]]
) -> None:
    store = built(tmp_path_factory.mktemp("s"), parts, timed=False)
    dated = [(*f[:4], float(n + 1), f[5]) for n, part in enumerate(parts) for f in part]
    assert without_filling(store) == expected(dated)
    check_answers(store)


def test_an_update_of_a_long_list_writes_only_what_it_changes(tmp_path: Path) -> None:
    store = built(tmp_path, [[], [FIRST], [(*FIRST[:4], 2.0, "by id")]])
    opened, problems = store.latest()
    kind = opened.kinds["phash"]
    assert ([segment.rows for segment in kind.segments], kind.gone.tolist()) == ([40, 1], [40])
    assert not problems
    assert without_filling(store) == Counter()
