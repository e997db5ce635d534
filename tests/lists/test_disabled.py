"""Entries that a platform leaves out: they match nothing any more, and nothing else changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from cli_tools import DEMO, IMAGES, LISTS, one_line, run, scan

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = IMAGES / "plain"


def write(path: Path, *entries: tuple[str, str]) -> Path:
    lines = [
        {"list": known, "entry": entry, "reason": "a meme", "by": "ana", "at": "2026-01-01"}
        for known, entry in entries
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return path


def matched(lines: list[dict[str, Any]]) -> dict[str, list[str]]:
    return {line["item"]["key"]: [each["entry"] for each in line["matches"]] for line in lines}


def test_what_is_disabled_is_left_out_and_nothing_else(tmp_path: Path) -> None:
    before = matched(scan(PLAIN).lines)
    entries = [entry for entries in before.values() for entry in entries]
    out = next(entries[0] for entries in before.values())
    file = write(tmp_path / "disabled.jsonl", ("demo-pdq", out), ("other", entries[-1]))
    after = matched(scan(PLAIN, "--disabled", file).lines)
    left = {record: [e for e in entries if e != out] for record, entries in before.items()}
    assert after == {record: entries for record, entries in left.items() if entries}
    assert len(after) < len(before)


def test_entries_without_an_id_are_named_by_their_references(tmp_path: Path) -> None:
    bare = tmp_path / "bare.txt"
    rows = DEMO.read_text().splitlines()[1:]
    bare.write_text("".join(row.split(",")[0] + "\n" for row in rows))
    for key in ({}, {"HASHMATCH_REFERENCE_KEY": "sixteen bytes or more"}):
        before = matched(scan(PLAIN, known=bare, **key).lines)
        name = next(iter(before.values()))[0]
        assert name.startswith("ref:")
        file = write(tmp_path / "disabled.jsonl", ("bare", name))
        after = matched(scan(PLAIN, "--disabled", file, known=bare, **key).lines)
        assert name not in [entry for entries in after.values() for entry in entries]
        assert set(before) - set(after)
        assert [before[each] for each in after] == list(after.values())


def test_of_a_store_too_and_what_is_in_quarantine_stays_out(tmp_path: Path) -> None:
    store = tmp_path / "demo-pdq"
    assert run("list", "import", DEMO, "--store", store).code == 0
    before = matched(scan(PLAIN, known=store).lines)
    name = next(iter(before.values()))[0]
    file = write(tmp_path / "disabled.jsonl", ("demo-pdq", name))
    after = matched(scan(PLAIN, "--disabled", file, known=store).lines)
    assert name not in [entry for entries in after.values() for entry in entries]
    assert set(after) < set(before)

    (known,) = hm.ListStore(store).open()
    every = [entry.external_id or "" for entry in known.entries]
    nothing = known.without(known.named(every))
    assert (len(nothing), len(nothing.hashes), list(nothing.entries)) == (0, 0, [])
    picture = PLAIN / "tiles.png"
    assert hm.Matcher(nothing).check(picture, surface="profile_photo").outcome == "no_match"


def test_of_several_segments_the_right_one_is_left_out(tmp_path: Path) -> None:
    store = tmp_path / "demo"
    lines = (LISTS / "demo-pdq.csv").read_text().splitlines()
    (tmp_path / "a.csv").write_text("\n".join(lines[:120]) + "\n")
    (tmp_path / "b.csv").write_text("\n".join([lines[0], *lines[120:]]) + "\n")
    (tmp_path / "withdrawn.jsonl").write_text('{"id": "demo-0001", "status": "withdrawn"}\n')
    kept = hm.ListStore(store)
    kept.import_files([str(tmp_path / "a.csv")])
    accept = hm.Change(accept=("size-change",))
    kept.update_files([str(tmp_path / "b.csv")], accept)
    kept.update_files([str(tmp_path / "withdrawn.jsonl")], accept)
    (known,) = kept.open()
    for name in ("demo-0003", "demo-0150", "planted-tiles-d31"):
        (row,) = known.named([name])
        assert known.entries[row].external_id == name
        (matched_one,) = hm.Matcher(known).look_up(known.hashes[row : row + 1])
        assert matched_one.matches[0].entry == name
        out = hm.leave_out(known, [hm.Disabled("demo", name, "x", "ana")])
        (matched_one,) = hm.Matcher(out).look_up(known.hashes[row : row + 1])
        assert name not in [match.entry for match in matched_one.matches]
    assert known.named(["demo-0001"]) == set()  # it is out already


def test_ids_that_are_part_of_others_are_not_meant() -> None:
    spec = hm.HashSpec("phash", 64)
    names = ["a", "aa", "", "é", "a", None, "baab"]
    known = hm.HashList(
        "x", "1", spec, hm.HashBatch.from_hex(spec, [f"{n:016x}" for n in range(7)]),
        tuple(hm.Entry(name) for name in names),
    )  # fmt: skip
    for name in ("a", "aa", "é", "b", "baab", "aab"):
        assert known.named([name]) == {i for i, each in enumerate(names) if each == name}
    key = known.own_key()
    for row in (2, 5):
        assert known.named([known.reference(row, key)]) == {row}
    assert known.named([]) == known.named([""]) == set()
    left = known.without([3]).without([1])
    assert [entry.external_id for entry in left.entries] == ["a", None, "a", None, "baab"]
    assert left.own_key() == key
    for wrong in ([7], [-1]):
        with pytest.raises(hm.UsageError, match="cannot leave out an entry"):
            known.without(wrong)


def test_a_scan_that_goes_on_with_others_disabled_is_another_scan(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = scan(PLAIN, "--state", state, "--out", tmp_path / "a.jsonl")
    assert first.code == 0
    name = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])["matches"][0]["entry"]
    file = write(tmp_path / "disabled.jsonl", ("demo-pdq", name))
    arguments = ("--state", state, "--out", tmp_path / "b.jsonl", "--disabled", file)
    assert scan(PLAIN, *arguments).code == 0
    second = (tmp_path / "b.jsonl").read_text()
    assert name not in second
    assert second


def test_rescans_and_lookups_leave_it_out_too(tmp_path: Path) -> None:
    name = "demo-0007"
    (row,) = [row for row in DEMO.read_text().splitlines() if f",{name}," in row]
    value = row.partition(",")[0]
    file = write(tmp_path / "disabled.jsonl", ("demo-pdq", name))
    (line,) = run("match", value, "--list", DEMO, "--disabled", file).lines
    assert name not in [each["entry"] for each in line["matches"]]


@pytest.mark.parametrize(
    "line",
    ["{}", "[]", "nonsense", '{"list": "a", "entry": "b"}',
     '{"list": "a", "entry": "b", "reason": " ", "by": "ana"}',
     '{"list": "a", "entry": "b", "reason": "x", "by": ""}'],
)  # fmt: skip
def test_a_file_that_names_no_entry_is_refused(line: str, tmp_path: Path) -> None:
    file = tmp_path / "disabled.jsonl"
    file.write_text(f"\n{line}\n")
    one_line(scan(PLAIN, "--disabled", file), "disabled.jsonl, line 2")
    one_line(scan(PLAIN, "--disabled", tmp_path / "none"), "cannot read")
