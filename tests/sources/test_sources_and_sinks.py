"""The directory source accounts for everything it sees; sinks leave whole files or marked ones."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pyarrow
import pyarrow.csv
import pytest

import hashmatch as hm
from hashmatch import registry
from hashmatch.sinks.csv_rows import CsvSink, csv_line
from hashmatch.sinks.jsonl import JsonlSink
from hashmatch.sources.directory import DirectorySource
from hashmatch.testing import MemorySink, MemorySource, check_sink, check_source, example_record

SURFACE = hm.Surface.PROFILE_PHOTO


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with all that a folder can hold."""
    for name in ("b.jpg", "a/z.png", "a/b/c.gif", "a.jpg", "a-b.jpg", ".hidden", "sp ace\n.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    root = tmp_path / "photos"
    (root / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"x")
    os.mkfifo(root / "fifo")
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "link.jpg").symlink_to(root / "b.jpg")
    return root


def test_directory_keeps_the_contract(folder: Path) -> None:
    check_source(DirectorySource(str(folder), SURFACE))
    check_source(MemorySource({"a": b"x"}, SURFACE))


def test_everything_is_listed_once_in_the_order_of_keys(folder: Path) -> None:
    keys = [item.key for item in DirectorySource(str(folder), SURFACE).items()]
    assert keys == [
        ".hidden", "a-b.jpg", "a.jpg", "a/b/c.gif", "a/z.png", "b.jpg", "caf\\xe9.jpg",
        "dangling", "fifo", "link.jpg", "loop", "sp ace\n.jpg",
    ]  # fmt: skip


def test_what_cannot_be_read_has_an_outcome(folder: Path) -> None:
    source = DirectorySource(str(folder), SURFACE)
    outcomes: dict[str, object] = {}
    for item in source.items():
        try:
            outcomes[item.key] = source.read(item)
        except hm.HashmatchError as error:
            outcomes[item.key] = getattr(error, "outcome", error)
    assert outcomes["fifo"] == outcomes["loop"] == hm.Outcome.UNSUPPORTED
    assert outcomes["dangling"] == hm.Outcome.FAILED
    assert outcomes["link.jpg"] == b"b.jpg"
    assert outcomes["caf\\xe9.jpg"] == b"x"


def test_versions_change_with_the_content(folder: Path) -> None:
    def versions() -> dict[str, str]:
        return {item.key: item.version for item in DirectorySource(str(folder), SURFACE).items()}

    before = versions()
    (folder / "a.jpg").write_bytes(b"other content")
    after = versions()
    assert {key for key in before if before[key] != after[key]} == {"a.jpg"}


def test_one_file_is_a_source_too(folder: Path) -> None:
    (item,) = DirectorySource(str(folder / "a.jpg"), SURFACE).items()
    assert item.key == "a.jpg"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(hm.SourceError, match="no such folder"):
        list(DirectorySource(str(tmp_path / "missing"), SURFACE).items())


def test_a_folder_that_cannot_be_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(hm.SourceError, match="cannot be listed: Permission denied"):
        list(DirectorySource(str(folder), SURFACE).items())


@pytest.mark.parametrize("make", [JsonlSink, CsvSink])
def test_sinks_keep_the_contract(make: type[JsonlSink | CsvSink], tmp_path: Path) -> None:
    check_sink(make, tmp_path / "records")
    assert (tmp_path / "records").stat().st_mode & 0o777 == 0o600


def test_an_abandoned_file_keeps_its_records(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "r.jsonl")
    sink.write(example_record())
    sink.abandon()
    assert hm.ReviewRecord.from_json((tmp_path / "r.jsonl.part").read_bytes()) == example_record()


def test_csv_defuses_formulas_and_keeps_every_cell(tmp_path: Path) -> None:
    sink = CsvSink(tmp_path / "r.csv")
    keys = ["=cmd|' /C calc'!A1", "+1", "-1", "@x", 'a "quoted", name\nof two lines']
    for key in keys:
        sink.write(example_record(key))
    sink.close()
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    written_out = keys[4].replace("\n", r"\n")
    assert [row["key"] for row in rows] == [*(f"'{key}" for key in keys[:4]), written_out]
    assert {row["entry"] for row in rows} == {"made-up-4"}
    assert rows[0]["labels"] == "A1"


STEERING = [
    *map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), "\u2028", "\u2029", "\u061c", "\u200e",
    "\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)),
]  # fmt: skip


def test_csv_has_no_control_character_and_a_row_for_each_record(tmp_path: Path) -> None:
    sink = CsvSink(tmp_path / "r.csv")
    keys = [f"a{character}b" for character in STEERING] + ['\r\n"\n,";', "שלום.jpg", "🖼"]
    for key in keys:
        sink.write(example_record(key))
    sink.close()
    data = (tmp_path / "r.csv").read_bytes()
    lines = data.decode().split("\r\n")
    assert len(lines) == len(keys) + 2
    found = {character for line in lines for character in line}
    assert found.isdisjoint(STEERING)
    assert found >= set("שלום🖼")
    table = pyarrow.csv.read_csv(pyarrow.py_buffer(data))
    rows = list(csv.reader(data.decode().splitlines(keepends=True), strict=True))
    assert len(rows) - 1 == table.num_rows == len(keys)
    assert table["key"].to_pylist() == [row[3] for row in rows[1:]]
    assert rows[1 + 0x1B][3] == r"a\x1bb"
    assert rows[-3][3] == r'\r\n"\n,";'
    assert rows[-2][3] == "שלום.jpg"


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        (" =1+1", "' =1+1"),
        ("\t=1+1", r"\t=1+1"),
        ("\uff1d1", "'\uff1d1"),
        ("a;=cmd|' /C calc'!A1;b", "a;'=cmd|' /C calc'!A1;b"),
        ("-1;-1", "'-1;'-1"),
        ("a-b; c=d", "a-b; c=d"),
        ("\ud800", r"\ud800"),
        (-1, "-1"),
    ],
)
def test_no_cell_of_csv_is_a_formula_whatever_separates_cells(
    cell: str | int, written: str
) -> None:
    assert csv_line([cell]) == f'"{written}"\r\n'


def test_json_lines_escape_what_steers_a_terminal_and_lose_nothing(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "r.jsonl")
    keys = [f"a{character}b" for character in STEERING]
    for key in keys:
        sink.write(example_record(key))
    sink.close()
    lines = (tmp_path / "r.jsonl").read_text().split("\n")
    assert set("".join(lines)).isdisjoint(STEERING)
    assert [json.loads(line)["item"]["key"] for line in lines[:-1]] == keys


def test_csv_has_an_empty_cell_for_what_a_record_does_not_know(tmp_path: Path) -> None:
    fields = json.loads(example_record().to_json())
    for match in fields["matches"]:
        match.pop("variant", None)
        match.pop("frame", None)
    sink = CsvSink(tmp_path / "r.csv")
    sink.write(hm.ReviewRecord.from_json(json.dumps(fields)))
    sink.close()
    with (tmp_path / "r.csv").open(newline="") as file:
        assert [(row["variant"], row["frame"]) for row in csv.DictReader(file)] == [("", "")]


def test_csv_without_records_is_a_header(tmp_path: Path) -> None:
    CsvSink(tmp_path / "r.csv").close()
    assert (tmp_path / "r.csv").read_text().startswith('"record_id","status",')


def test_sinks_are_chosen_by_suffix(tmp_path: Path) -> None:
    for name, kind in (("a.CSV", CsvSink), ("a.jsonl", JsonlSink), ("a", JsonlSink)):
        sink = registry.open_sink(tmp_path / name)
        assert isinstance(sink, kind)
        sink.close()
    os.mkfifo(tmp_path / "a.pipe")
    reader = os.open(tmp_path / "a.pipe", os.O_RDONLY | os.O_NONBLOCK)
    sink = registry.open_sink(tmp_path / "a.pipe")
    assert isinstance(sink, JsonlSink)
    sink.close()
    os.close(reader)
    with pytest.raises(hm.UnknownPlugin, match=r"ending \.parquet.*\.csv or \.jsonl"):
        registry.open_sink(tmp_path / "a.parquet")


@pytest.mark.parametrize("place", ["missing/r.jsonl", "."])
def test_a_sink_that_cannot_be_opened(place: str, tmp_path: Path) -> None:
    with pytest.raises(hm.SinkError, match="cannot write "):
        JsonlSink(tmp_path / place)


def test_a_full_disk_is_one_clear_error() -> None:
    sink = JsonlSink(Path("/dev/full"))
    with pytest.raises(hm.SinkError, match="No space left"):
        sink.write(example_record())
    sink.abandon()


def test_memory_sink() -> None:
    sink = MemorySink()
    sink.write(example_record())
    sink.close()
    assert (len(sink.records), sink.closed, sink.abandoned) == (1, True, False)
