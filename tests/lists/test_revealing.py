"""A list that is written is the list that was read; only its owner can read it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import hashmatch as hm
from hashmatch.testing import random_hashes
from list_stores import PDQ, PHASH, make, rows

if TYPE_CHECKING:
    from pathlib import Path

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
ENTRIES = st.builds(
    hm.Entry,
    st.none() | TEXT,
    st.lists(TEXT, max_size=2).map(tuple),
    st.lists(TEXT, max_size=2).map(tuple),
    st.just("active"),
    st.none() | st.integers(0, 100),
    st.none() | st.integers(0, 64),
)


def written(
    folder: Path, known: hm.HashList, form: str, format: hm.ListFormat | None = None
) -> list[tuple[str, hm.Entry]]:
    """What is read of a list that was written, in the order of hashes."""
    path = folder / f"{len(os.listdir(folder))}.out"
    hm.write_list(known, path, form, reveal_hashes=True)
    again = hm.read_list(path, known.spec.algorithm, format=format)
    return sorted(zip(again.hashes.to_hex(), again.entries, strict=True), key=lambda row: row[0])


@given(
    st.lists(ENTRIES, min_size=1, max_size=6, unique_by=lambda entry: entry.external_id or entry)
)
def test_json_lines_keep_everything(
    tmp_path_factory: pytest.TempPathFactory, entries: list[hm.Entry]
) -> None:
    batch = random_hashes(PHASH, len(entries), seed=1)
    known = hm.HashList("l", "1", PHASH, batch, entries)
    expected = sorted(zip(batch.to_hex(), entries, strict=True), key=lambda row: row[0])
    assert written(tmp_path_factory.mktemp("w"), known, "jsonl") == expected


NAMES = st.none() | st.text("aé7,; =#\"'.x", min_size=1, max_size=8) | TEXT


@given(st.lists(st.tuples(NAMES, st.none() | st.integers(0, 100)), min_size=1, max_size=6))
@example([("7,a.jpg", None), ("a, b ", None), (None, 9), ("#", None), ("99", None), (" ", 3)])
def test_pdq_text_keeps_names_and_qualities(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str | None, int | None]]
) -> None:
    batch = random_hashes(PDQ, len(rows), seed=1)
    named = [(f"{name}{n}" if name else None, quality) for n, (name, quality) in enumerate(rows)]
    entries = [hm.Entry(name, quality=quality) for name, quality in named]
    known = hm.HashList("l", "1", PDQ, batch, entries)
    found = written(
        tmp_path_factory.mktemp("w"),
        known,
        "pdq-text",
        hm.ListFormat(reader="pdq-text", keep_low_quality=True),
    )
    expected = [
        (text, " ".join((name or "").replace("\0", " ").split()) or None, quality)
        for text, (name, quality) in zip(batch.to_hex(), named, strict=True)
    ]
    assert [(text, e.external_id, e.quality) for text, e in found] == sorted(
        expected, key=lambda row: row[0]
    )


def test_half_of_a_surrogate_pair_is_escaped(tmp_path: Path) -> None:
    entries = [hm.Entry("a\ud800", ("\udfff\ud83d",))]
    known = hm.HashList("l", "1", PHASH, random_hashes(PHASH, 1, seed=1), entries)
    ((_, entry),) = written(tmp_path, known, "jsonl")
    assert entry.external_id == "a\\xed\\xa0\\x80"
    assert entry.labels == ("\\xed\\xbf\\xbf\\xed\\xa0\\xbd",)


def test_it_has_to_be_meant(tmp_path: Path) -> None:
    known = hm.read_list("fixtures/lists/demo-pdq.csv")
    for meant in (False, None, 1, "yes"):
        with pytest.raises(hm.UsageError, match="only if that is asked for"):
            hm.write_list(known, tmp_path / "a", reveal_hashes=meant)  # type: ignore[arg-type]
    with pytest.raises(hm.UsageError, match=r"as 'xml'\. Give one of jsonl"):
        hm.write_list(known, tmp_path / "a", "xml", reveal_hashes=True)
    with pytest.raises(hm.ListError, match=r"cannot write .*: No such file"):
        hm.write_list(known, tmp_path / "none" / "a", reveal_hashes=True)
    assert not os.listdir(tmp_path)
    assert hm.write_list(known, tmp_path / "a", reveal_hashes=True) == len(known)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    with pytest.raises(hm.ListError, match="there already"):
        hm.write_list(known, tmp_path / "a", reveal_hashes=True)


def test_a_full_disk_leaves_no_half_of_a_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    known = hm.read_list("fixtures/lists/demo-pdq.csv")
    monkeypatch.setattr("hashmatch.lists.export.reveal", fail)
    with pytest.raises(hm.ListError, match="No space left"):
        hm.write_list(known, tmp_path / "a", reveal_hashes=True)
    assert not os.listdir(tmp_path)


def test_of_a_store_what_counts_no_more_is_left_out(tmp_path: Path) -> None:
    lines = [*rows(10), {"hash": "0" * 64, "algorithm": "pdq", "id": "flat"}]
    store = make(tmp_path, lines, [{"id": "n3", "status": "deleted"}])
    (tmp_path / "out").mkdir()
    (known,) = store.open()
    found = written(tmp_path / "out", known, "jsonl")
    assert {entry.external_id for _, entry in found} == {f"n{n}" for n in range(10)} - {"n3"}
