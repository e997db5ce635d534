"""Each format as its fixtures have it: detected, read to the documented rows, page by page."""

from __future__ import annotations

import io
from typing import Any

import pytest

import hashmatch as hm
from conftest import LISTS, golden
from hashmatch import registry
from hashmatch.interfaces import ListOptions, ListRow, Span
from hashmatch.lists.vpdq_signal import write_signal
from hashmatch.testing import check_list_reader

EXCHANGES: dict[str, Any] = golden("lists")["exchanges"]
PLAIN = ListRow(0, "")


def expected(row: dict[str, Any], encoding: str | None) -> ListRow:
    """Return a golden row as a ListRow."""
    said = {"external_id" if key == "id" else key: value for key, value in row.items()}
    said |= {key: tuple(said[key]) for key in ("labels", "sources") if key in said}
    if "updated" in said:
        said["updated"] = Span.lasting(said["updated"], 1)  # all are written to the second
    return PLAIN._replace(**said, encoding=encoding)


def rows(format: str, data: bytes) -> list[Any]:
    return list(registry.list_reader(format).rows(io.BytesIO(data), ListOptions()))


@pytest.mark.parametrize("name", sorted(EXCHANGES))
def test_every_example_reads_to_the_documented_rows(name: str) -> None:
    told = EXCHANGES[name]
    sample = (LISTS / name).read_bytes()
    good = [expected(row, "hex") for row in told["rows"]]
    if told["format"] == "ncmec-xml":
        spaces = ["video" if "video" in row["id"] else "image" for row in told["rows"]]
        good = [row._replace(space=space) for row, space in zip(good, spaces, strict=True)]
    assert rows(told["format"], sample) == good
    check_list_reader(registry.list_reader(told["format"]), sample, good=len(good), bad=0)


@pytest.mark.parametrize("path", sorted(LISTS.iterdir()), ids=lambda path: path.name)
def test_every_list_is_detected_as_what_it_is_and_nothing_else(path: Any) -> None:
    head = path.read_bytes()[:8192]
    sure = {
        name: registry.list_reader(name).detects(head) for name in registry.names(registry.LISTS)
    }
    best = max(sure, key=sure.__getitem__)
    told = EXCHANGES.get(path.name, {}).get("format")
    known = {".csv": "csv", ".jsonl": "jsonl", ".txt": "pdq-text"}
    assert best == (told or known[path.suffix])
    assert sorted(sure.values())[-2] < sure[best]


@pytest.mark.parametrize("name", sorted(EXCHANGES))
def test_files_read_to_lists_of_what_can_be_matched(name: str) -> None:
    file = hm.read_list_file(LISTS / name)
    assert file.format == EXCHANGES[name]["format"]
    found = {known.spec.algorithm: set(known.hashes.to_hex()) for known in file.lists}
    if "vpdq" in found:  # each row has all frames of a video
        videos = file.lists[0].videos
        assert videos is not None
        found["vpdq"] = {write_signal(video, "by-frame") for video in map(videos.__getitem__, [0])}
    gone = {"deleted", "withdrawn", "non_malicious", "not_pertinent"}
    kept: dict[str, set[str]] = {}
    for row in EXCHANGES[name]["rows"]:
        disputed = row.get("downvotes", 0) > row.get("upvotes", 0) + 1
        if row["hash"] and not disputed and row.get("status", "active").lower() not in gone:
            kind, text = row["algorithm"] or "pdq", row["hash"]
            kept.setdefault(kind, set()).add(text if kind == "vpdq" else text.lower())
    for algorithm, hashes in kept.items():
        assert hashes <= found[algorithm]


@pytest.mark.parametrize("name", sorted(EXCHANGES))
def test_utf16_reads_as_utf8_does(name: str, tmp_path: Any) -> None:
    text = (LISTS / name).read_text("utf-8-sig")
    (tmp_path / "utf-8").write_text(text, "utf-8")
    (tmp_path / "utf-16").write_text(text, "utf-16")
    one, two = (hm.read_list_file(tmp_path / name) for name in ("utf-8", "utf-16"))
    assert (one.types, one.format, one.rejected) == (two.types, two.format, two.rejected)
    assert [known.hashes for known in one.lists] == [known.hashes for known in two.lists]


@pytest.mark.parametrize("name", registry.names(registry.LISTS))
def test_readers_without_columns_say_so(name: str) -> None:
    if name == "csv":
        return
    with pytest.raises(hm.UsageError, match="--column"):
        list(registry.list_reader(name).rows(io.BytesIO(b""), ListOptions({"pdq": "a"})))
