"""Parquet tables as other tools write them: every row is an item, by the name that it has."""

from __future__ import annotations

import decimal
import json
import logging
import uuid
from base64 import b64encode, encodebytes, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hashmatch as hm
from conftest import IMAGES as IMAGES_FOLDER
from hashmatch.scan.pipeline import fetch
from hashmatch.scan.shard import Shard
from hashmatch.sources._streams import written_picture
from hashmatch.sources.parquet_table import ParquetSource
from hashmatch.testing import check_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

SURFACE = hm.Surface.USER_REPORT
UUID = uuid.UUID("0198c2f0-7c00-7000-8000-0000000000ff")
PICTURE = bytes(range(256)) * 3 + b"?>"
"""In base64 it has each letter of both alphabets, and padding."""


def table(place: Path, columns: dict[str, Any], options: str = "", **writing: Any) -> str:
    pq.write_table(pa.table(columns), place, **writing)
    return f"parquet://{place}{options}"


def opened(place: Path, columns: dict[str, Any], options: str = "", **writing: Any) -> Any:
    return ParquetSource(table(place / "t.parquet", columns, options, **writing), SURFACE)


def outcomes(source: ParquetSource) -> dict[str, object]:
    """Return what is read of each item, or its outcome."""
    read: dict[str, object] = {}
    for item, data in fetch(source):
        assert item.key not in read
        read[item.key] = data.outcome.value if isinstance(data, hm.ImageError) else data
    return read


MOST = 2**64 - 1
KEYS: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "uuid": (lambda: pa.array([UUID.bytes, None], pa.uuid()), [str(UUID), "row-2"]),
    "16 bytes": (lambda: pa.array([UUID.bytes, None], pa.binary(16)), [str(UUID), "row-2"]),
    "16 letters": (lambda: pa.array([b"user/00000000001"], pa.binary(16)), ["user/00000000001"]),
    "20 bytes": (lambda: pa.array([bytes(range(20))], pa.binary(20)), [bytes(range(20)).hex()]),
    "bytes": (
        lambda: pa.array(["é/1".encode(), b"\xff", rb"\xff", rb"C:\xa"]),
        ["é/1", r"\xff", r"\\xff", r"C:\xa"],
    ),
    "large bytes": (lambda: pa.array([b"a"], pa.large_binary()), ["a"]),
    "byte view": (lambda: pa.array([b"a"], pa.binary_view()), ["a"]),
    "large text": (lambda: pa.array(["a"], pa.large_string()), ["a"]),
    "text view": (lambda: pa.array(["a"], pa.string_view()), ["a"]),
    "dictionary": (lambda: pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a#2"]),
    "int8": (lambda: pa.array([-7, None], pa.int8()), ["-7", "row-2"]),
    "uint64": (lambda: pa.array([MOST, MOST - 1], pa.uint64()), [f"{MOST}", f"{MOST - 1}"]),
    "float": (lambda: pa.array([100.0, float("nan"), None]), ["100", "row-2", "row-3"]),
    "decimal": (lambda: pa.array([decimal.Decimal(MOST**2)]), [f"{MOST**2}"]),
    "cents": (lambda: pa.array(list(map(decimal.Decimal, ("1.50", "2.00")))), ["1.50", "2"]),
    "date": (lambda: pa.array([1, None], pa.date32()), ["1970-01-02", "row-2"]),
    "moment": (
        lambda: pa.array([10**18 + 1, 10**18], pa.timestamp("ns", "Europe/Berlin")),
        ["2001-09-09T01:46:40.000000001Z", "2001-09-09T01:46:40Z"],
    ),
    "clock": (lambda: pa.array([86_400_500], pa.timestamp("ms")), ["1970-01-02T00:00:00.5"]),
    "nothing": (lambda: pa.nulls(2), ["row-1", "row-2"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", KEYS)
def test_a_key_is_written_as_what_it_is(kind: str, tmp_path: Path) -> None:
    column, names = KEYS[kind]
    pictures = [b"%d" % number for number in range(len(names))]
    source = opened(tmp_path, {"key": column(), "image": pictures})
    assert outcomes(source) == dict(zip(names, pictures, strict=True))
    check_source(source)


def test_text_that_is_no_text_is_a_key(tmp_path: Path) -> None:
    invalid = pa.array([b"caf\xe9", b"b"]).cast(pa.binary()).view(pa.string())
    assert list(outcomes(opened(tmp_path, {"key": invalid, "image": [b"1", b"2"]}))) == [
        r"caf\xe9",
        "b",
    ]


@pytest.mark.parametrize(
    ("column", "kind"),
    [([True], "bool"), ([[1]], r"list<element: int64>"), ([{"id": 1}], r"struct<id: int64>")],
)
def test_a_key_that_is_none_is_refused_by_name(column: Any, kind: str, tmp_path: Path) -> None:
    place = table(tmp_path / "t.parquet", {"key": column, "image": [b"1"]})
    with pytest.raises(hm.UsageError, match=rf"column 'key' of type {kind} .*\?key=COLUMN"):
        ParquetSource(place, SURFACE)
    assert outcomes(ParquetSource(f"{place}?key=", SURFACE)) == {"row-1": b"1"}


@pytest.mark.parametrize(
    ("number", "kind"),
    [(0.5, "double"), (2.0**53, "double"), (float("inf"), "double"), (2.0**24, "float")],
)
def test_a_number_that_may_be_two_keys_ends_the_listing(
    number: float, kind: str, tmp_path: Path
) -> None:
    column = pa.array([1.0, number], kind)
    source = opened(tmp_path, {"key": column, "image": [b"1", b"2"]})
    listed = source.items()
    assert next(listed).key == "1"
    with pytest.raises(hm.SourceError, match=rf"row 2: .* type {kind}, .* \?key=COLUMN"):
        list(listed)


def test_a_table_without_keys_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    columns = {"id": [7], "image": [b"1"]}
    assert outcomes(opened(tmp_path, columns)) == {"row-1": b"1"}
    assert "row-1, row-2" in caplog.text
    assert "?key=COLUMN; there are id" in caplog.text
    caplog.clear()
    assert outcomes(opened(tmp_path, columns, "?key=id")) == {"7": b"1"}
    assert not caplog.records


NAMELESS: dict[str, Callable[[], Any]] = {
    "paths that are null": lambda: {"image": [{"bytes": b"1", "path": None}]},
    "keys that are null": lambda: {"key": pa.nulls(1, pa.string()), "image": [b"1"]},
    "keys that are empty": lambda: {"key": [""], "image": [b"1"]},
    "keys that are no number": lambda: {"key": [float("nan")], "image": [b"1"]},
}


@pytest.mark.parametrize("kind", NAMELESS)
def test_rows_that_nothing_names_are_said(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert outcomes(opened(tmp_path, NAMELESS[kind]())) == {"row-1": b"1"}
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.endswith(
        "pictures without a name: 1, called row-N, N the number of the row. Say which column names "
        "them, as ?key=COLUMN"
    )


def test_pictures_in_another_column_are_not_passed_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    columns = {"key": ["a", "b"], "caption": ["x", "y"], "jpg": [b"1", b"2"]}
    assert outcomes(opened(tmp_path, columns)) == {"a": "failed", "b": "failed"}
    assert "if they are in the column jpg, say so, as ?image=jpg" in caplog.text
    caplog.clear()
    assert outcomes(opened(tmp_path, columns, "?image=jpg")) == {"a": b"1", "b": b"2"}
    assert outcomes(opened(tmp_path, columns, "?image=")) == {"a": "failed", "b": "failed"}
    assert not caplog.records
    for used in ({"key": [b"a"]}, {"key": ["a"], "url": ["a"], "phash": [b"1"]}):
        opened(tmp_path, used)
    assert not caplog.records
    del columns["key"]
    with pytest.raises(hm.UsageError, match=r"\?image=COLUMN; there are jpg$"):
        opened(tmp_path, columns)


def test_text_in_a_column_of_bytes(tmp_path: Path) -> None:
    """What decodes to a picture is one, as tools write it that have no text; else it is bytes."""
    picture = (IMAGES_FOLDER / "plain" / "tiles.png").read_bytes()
    encoded = b64encode(picture)
    written = [
        encoded, encodebytes(picture), urlsafe_b64encode(picture).rstrip(b"="),
        b"data:image/png;base64," + encoded, b"\\x" + picture.hex().encode(),
    ]  # fmt: skip
    texts = [b"<svg>" + b" " * 99 + b"</svg>", b"0" * 65, b" " * 65, b"", b"GIF89a" + b"a" * 99]
    images = [*written, *texts]
    source = opened(tmp_path, {"key": list(range(len(images))), "image": images})
    read = [source.read(item) for item in source.items()]
    assert read == [picture] * len(written) + texts
    check_source(source)


IMAGES: dict[str, Callable[[bytes], Any]] = {
    "bytes": lambda data: pa.array([data]),
    "large": lambda data: pa.array([data], pa.large_binary()),
    "view": lambda data: pa.array([data], pa.binary_view()),
    "fixed": lambda data: pa.array([data], pa.binary(len(data))),
    "dictionary": lambda data: pa.array([data]).dictionary_encode(),
    "numbers": lambda data: pa.array([list(data)], pa.list_(pa.uint8())),
    "large numbers": lambda data: pa.array([list(data)], pa.large_list(pa.uint8())),
    "so many numbers": lambda data: pa.array([list(data)], pa.list_(pa.uint8(), len(data))),
    "wide numbers": lambda data: pa.array([list(data)]),
    "numbers with a sign": lambda data: pa.array(
        [[byte - 256 * (byte > 127) for byte in data]], pa.list_(pa.int8())
    ),
    "base64": lambda data: [b64encode(data).decode()],
    "base64 in lines": lambda data: ["\r\n".join(map(chr, b64encode(data)))],
    "base64 of URLs": lambda data: [urlsafe_b64encode(data).decode()],
    "base64 unpadded": lambda data: [b64encode(data).decode().rstrip("=")],
    "base64 as large text": lambda data: pa.array([b64encode(data).decode()], pa.large_string()),
    "data URL": lambda data: [f"data:image/png;base64,{b64encode(data).decode()}"],
    "data URL, quoted": lambda data: [
        "DATA:;charset=x;base64," + b64encode(data).decode().replace("+", "%2B").replace("=", "%3d")
    ],
    "data URL of letters": lambda data: ["data:," + "".join(f"%{byte:02X}" for byte in data)],
    "PostgreSQL": lambda data: ["\\x" + data.hex()],
    "MySQL": lambda data: ["0x" + data.hex().upper()],
    "SQLite": lambda data: [f"X'{data.hex()}'"],
    "struct": lambda data: [{"bytes": data}],
    "struct of numbers": lambda data: pa.array(
        [{"bytes": list(data)}], pa.struct({"bytes": pa.list_(pa.uint8())})
    ),
}


@pytest.mark.parametrize("kind", IMAGES)
def test_a_picture_is_what_a_tool_made_of_its_bytes(kind: str, tmp_path: Path) -> None:
    for data in (PICTURE, PICTURE[:-1], PICTURE[:-2]):
        source = opened(tmp_path, {"key": ["a"], "image": IMAGES[kind](data)})
        assert outcomes(source) == {"a": data}
        (item,) = source.items()
        assert item.size == len(data)
        check_source(source)


@pytest.mark.parametrize(
    "text", [b"a.jpg", b"https://h/a.jpg", b"A===A", b"data:;base64", b"AAAAA"]
)
def test_text_that_is_no_picture(text: bytes) -> None:
    assert written_picture(text) is None


def test_a_picture_that_is_an_address_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"1")
    columns = {"key": ["a", "b", "c"], "image": ["a.jpg", b64encode(b"2").decode(), " "]}
    source = opened(tmp_path, columns)
    read = {item.key: data for item, data in fetch(source)}
    assert "say ?url=COLUMN&image=" in str(read["a"])
    assert read["b"] == b"2"
    assert isinstance(read["c"], hm.ImageError)
    assert outcomes(opened(tmp_path, {"key": ["a"], "image": ["a.jpg"]}, "?url=image&image=")) == {
        "a": b"1"
    }


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ([1], "int64"), ([[0.5]], "list"), ([[[1]]], "list"), ([True], "bool"),
        ([{"data": b"1"}], "struct<data: binary>"),
    ],
)  # fmt: skip
def test_pictures_of_another_type_are_refused_by_name(
    column: Any, kind: str, tmp_path: Path
) -> None:
    place = table(tmp_path / "t.parquet", {"key": ["a"], "image": column})
    with pytest.raises(hm.UsageError, match=f"column 'image' of type {kind}.*image=COLUMN"):
        ParquetSource(place, SURFACE)


@pytest.mark.parametrize("numbers", [[256], [-129], [-1, 200], [1, None]])
def test_numbers_that_are_no_bytes(numbers: list[int], tmp_path: Path) -> None:
    columns = {"key": ["a", "b"], "image": [numbers, [1, 2]]}
    assert outcomes(opened(tmp_path, columns)) == {"a": "failed", "b": b"\1\2"}


def features(**said: Any) -> dict[bytes, bytes]:
    return {b"huggingface": json.dumps({"info": {"features": said}}).encode()}


def hugging_face(
    place: Path, columns: dict[str, Any], said: dict[str, Any], options: str = ""
) -> Any:
    made = pa.table(columns).replace_schema_metadata(features(**said))
    pq.write_table(made, place / "hf.parquet", row_group_size=2)
    return ParquetSource(f"parquet://{place}/hf.parquet{options}", SURFACE)


def test_a_table_of_hugging_face(tmp_path: Path) -> None:
    (tmp_path / "c.jpg").write_bytes(b"3")
    pictures = [
        {"bytes": b"1", "path": "a.jpg"}, {"bytes": b"2", "path": "a.jpg"},
        {"bytes": None, "path": "c.jpg"}, {"bytes": b"4", "path": None},
        {"bytes": None, "path": None}, None, {"bytes": None, "path": "../d.jpg"},
    ]  # fmt: skip
    said = {"label": {"_type": "Value"}, "photo": {"_type": "Image"}}
    source = hugging_face(tmp_path, {"label": list(range(7)), "photo": pictures}, said)
    assert outcomes(source) == {
        "a.jpg": b"1", "a.jpg#2": b"2", "c.jpg": b"3", "row-4": b"4", "row-5": "failed",
        "row-6": "failed", "../d.jpg": "refused",
    }  # fmt: skip
    assert source.count() == 7
    check_source(source)
    again = hugging_face(tmp_path, {"label": list(range(7)), "photo": pictures}, said, "?key=label")
    assert list(outcomes(again)) == list("0123456")


@pytest.mark.parametrize(
    "kind", [{"feature": {"_type": "Image"}, "_type": "List"}, [{"_type": "Image"}]]
)
def test_each_picture_of_a_row_is_an_item(kind: Any, tmp_path: Path) -> None:
    albums = [
        [{"bytes": b"1", "path": "a"}, {"bytes": b"2", "path": "b"}, None], [],
        [{"bytes": b"3", "path": "a"}], None, [{"bytes": b"4", "path": "a"}],
    ]  # fmt: skip
    source = hugging_face(tmp_path, {"album": albums}, {"album": kind})
    read = {
        "a": b"1", "b": b"2", "row-1": "failed", "row-2": "failed", "a#2": b"3", "row-4": "failed",
        "a#3": b"4",
    }  # fmt: skip
    assert outcomes(source) == read
    assert source.count() is None
    check_source(source)
    named = hugging_face(tmp_path, {"key": list("vwxyz"), "album": albums}, {"album": kind})
    assert outcomes(named) == dict(
        zip(["v", "v#2", "v#3", "w", "x", "y", "z"], read.values(), strict=True)
    )
    columns = {"key": ["a", "b"], "image": [[b"1", b"2"], [b"3"]]}
    assert outcomes(opened(tmp_path, columns)) == {"a": b"1", "a#2": b"2", "b": b"3"}


def test_several_columns_of_pictures_are_not_chosen_from(tmp_path: Path) -> None:
    columns = {"image": [b"1"], "mask": [b"2"], "key": ["a"]}
    said: dict[str, Any] = {"image": {"_type": "Image"}, "mask": {"_type": "Image"}}
    with pytest.raises(hm.UsageError, match=r"image, mask\. .*\?image=image"):
        hugging_face(tmp_path, columns, said)
    assert outcomes(hugging_face(tmp_path, columns, said, "?image=mask")) == {"a": b"2"}
    inside = {"shot": {"photo": {"_type": "Image"}, "size": {"_type": "Value"}}}
    columns = {"key": ["a"], "shot": [{"photo": {"bytes": b"3", "path": "x"}, "size": 1}]}
    assert outcomes(hugging_face(tmp_path, columns, inside)) == {"a": b"3"}


@pytest.mark.parametrize(
    "said", [b"{", b"[]", b'{"info": {"features": [1]}}', b'{"info": {"features": {"a": 1}}}']
)
def test_metadata_that_say_nothing(said: bytes, tmp_path: Path) -> None:
    made = pa.table({"key": ["a"], "image": [b"1"]}).replace_schema_metadata({b"huggingface": said})
    pq.write_table(made, tmp_path / "t.parquet")
    assert outcomes(ParquetSource(f"parquet://{tmp_path}/t.parquet", SURFACE)) == {"a": b"1"}


def test_fields_and_names_in_capitals(tmp_path: Path) -> None:
    columns = {
        "Meta": [{"id": 7, "a.b": {"c": "x"}}, {"id": None, "a.b": None}, None],
        "Photo": [{"content": b"1", "thumb": b"0"}, {"content": b"2", "thumb": b"0"}, None],
        "x.y": ["k", "l", "m"],
    }
    options = "?image=Photo.content&key=Meta.id"
    assert outcomes(opened(tmp_path, columns, options)) == {
        "7": b"1",
        "row-2": b"2",
        "row-3": "failed",
    }
    assert list(outcomes(opened(tmp_path, columns, "?image=Photo.content&key=x.y"))) == [
        "k",
        "l",
        "m",
    ]
    for wrong in ("Meta.none", "Meta.id.more", "none.id", "photo.content.x"):
        with pytest.raises(hm.UsageError, match=f"no column '{wrong}'"):
            opened(tmp_path, columns, f"?image=Photo.content&key={wrong}")
    assert outcomes(opened(tmp_path, {"Key": ["a"], "IMAGE": [b"1"]})) == {"a": b"1"}
    assert outcomes(opened(tmp_path, {"KEY": ["b"], "key": ["a"], "image": [b"1"]})) == {"a": b"1"}
    with pytest.raises(hm.UsageError, match="columns KEY, Key differ by case only"):
        opened(tmp_path, {"KEY": ["b"], "Key": ["a"], "image": [b"1"]})
    twice = pa.Table.from_arrays([pa.array(["a"])] * 2, ["key", "key"])
    pq.write_table(twice, tmp_path / "t.parquet")
    with pytest.raises(hm.UsageError, match="several are called 'key'"):
        ParquetSource(f"parquet://{tmp_path}/t.parquet", SURFACE)


def test_sizes_and_versions_of_other_types(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    for size, bytes_ in ((5.0, 5), (-1, None), ("5", None), ([1, 2], None), (float("nan"), None)):
        source = opened(tmp_path, {"key": ["a"], "size": [size], "version": [7]})
        (item,) = source.items()
        assert (item.size, item.version) == (bytes_, "7")
        assert outcomes(source) == {"a": b"12345"}


def test_a_listing_goes_on_after_every_item(tmp_path: Path) -> None:
    numbers = range(40)
    columns: dict[str, Any] = {
        "key": [None if number % 3 else f"k{number % 4}" for number in numbers],
        "image": [b"%d" % number for number in numbers],
    }
    struct = [
        {"bytes": data, "path": key}
        for key, data in zip(columns["key"], columns["image"], strict=True)
    ]
    lists = [[data] * (number % 3) for number, data in enumerate(columns["image"])]
    tables = (columns, {"image": columns["image"]}, {"image": struct}, {**columns, "image": lists})
    for made in tables:
        source = opened(tmp_path, made, row_group_size=7)
        items = list(source.items())
        assert len(items) == (53 if made is tables[3] else 40)
        for place, item in enumerate(items, 1):
            assert list(source.items(after=item.position)) == items[place:]
        for count in (1, 2, 3, 7):
            parts = [list(Shard(source, part, count).items()) for part in range(count)]
            assert sorted(item.position for part in parts for item in part) == sorted(
                item.position for item in items
            )


def test_rows_that_are_done_are_not_read_again(tmp_path: Path) -> None:
    keys = [f"{number}" for number in range(64)]
    columns = {"key": keys, "image": [bytes(2**16)] * 64}
    opened(tmp_path, columns, row_group_size=8, compression="none", use_dictionary=False)
    with pq.ParquetFile(tmp_path / "t.parquet") as file:
        chunk = file.metadata.row_group(0).column(1)
    with (tmp_path / "t.parquet").open("r+b") as damaged:
        damaged.seek(chunk.data_page_offset)
        damaged.write(bytes(100))
    source = ParquetSource(f"parquet://{tmp_path}/t.parquet", SURFACE)
    assert [item.key for item in source.items(after="8")] == keys[8:]
    with pytest.raises(hm.SourceError, match="damaged"):
        list(source.items(after="7"))


def test_memory_is_of_pages_not_of_row_groups(tmp_path: Path) -> None:
    pictures = [bytes([number]) * 2**18 for number in range(160)]
    source = opened(
        tmp_path, {"image": pictures}, compression="none", use_dictionary=False,
        data_page_size=2**18, write_batch_size=1,
    )  # fmt: skip
    del pictures
    before, most, seen = pa.total_allocated_bytes(), 0, 0
    for item in source.items():
        seen += item.size
        most = max(most, pa.total_allocated_bytes() - before)
    assert seen == 160 * 2**18
    assert most < 2**24  # of 40 MiB: one batch is 4, and so are the pages read for it


def test_a_large_row_group_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashmatch.decode.limits.MAX_BYTES", 10_000)
    columns = {"key": ["a"] * 40, "image": [bytes(1000)] * 40}
    opened(tmp_path, columns, row_group_size=4, use_dictionary=False)
    assert not caplog.records
    opened(tmp_path, columns, row_group_size=20, use_dictionary=False)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "in one row group" in caplog.text


def test_a_bit_that_turned_is_damage_and_no_picture(tmp_path: Path) -> None:
    columns = {"image": [b"0123456789"]}
    opened(tmp_path, columns, compression="none", use_dictionary=False, write_page_checksum=True)
    path = tmp_path / "t.parquet"
    path.write_bytes(path.read_bytes().replace(b"0123456789", b"0123456788"))
    with pytest.raises(hm.SourceError, match="damaged after 0 rows"):
        list(ParquetSource(f"parquet://{path}", SURFACE).items())


def test_a_table_that_is_written_over_is_not_read_on(tmp_path: Path) -> None:
    source = opened(tmp_path, {"key": ["a"], "image": [b"1"]})
    (item,) = source.items()
    bare = hm.ImageItem(item.key, item.version, SURFACE, item.location, item.position, item.size)
    assert source.read(bare) == b"1"
    table(tmp_path / "t.parquet", {"key": ["a"], "image": [b"another"]})
    with pytest.raises(hm.SourceError, match="it changed"):
        list(source.items())
    with pytest.raises(hm.ImageError, match="it changed") as caught:
        source.read(bare)
    assert caught.value.outcome is hm.Outcome.FAILED
    (tmp_path / "t.parquet").unlink()
    with pytest.raises(hm.ImageError):
        source.read(bare)


def test_an_address_that_comes_again_is_counted(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
    columns = {
        "key": ["x", "x", "x", "y", "x", None, None],
        "url": ["a", "b", "a", "a", "a", "a", None],
        "version": ["1", "1", "1", "1", "2", "1", "1"],
    }
    source = opened(tmp_path, columns)
    assert outcomes(source) == {
        "x": b"a", "x#2": b"b", "y": b"a", "x#3": b"a", "a": b"a", "row-7": "failed"
    }  # fmt: skip
    assert source.passed_over == {"rows that name an item again": 1}
    check_source(source)


def test_a_folder_is_all_its_tables(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    (folder / "day=2").mkdir(parents=True)
    (folder / "_temporary").mkdir()
    table(folder / "b.parquet", {"key": ["a", "c"], "image": [b"2", b"3"]})
    table(folder / "a.PARQUET", {"key": pa.array([7]), "Image": ["MQ=="]})
    table(folder / "c.parquet", {"key": pa.array([], pa.string())})
    table(folder / "day=2" / "a.parquet", {"key": ["a", "d.jpg"], "url": ["d.jpg", None]})
    table(folder / "_temporary" / "x.parquet", {"key": ["never"]})
    (folder / "_SUCCESS").touch()
    (folder / "d.jpg").write_bytes(b"4")
    table(folder / ".hidden.parquet", {"key": ["never"]})
    (folder / "linked").symlink_to(folder)
    source = ParquetSource(f"parquet://{folder}", SURFACE)
    assert outcomes(source) == {"7": b"1", "a": b"2", "c": b"3", "a#2": b"4", "d.jpg": b"4"}
    assert source.passed_over == {
        "files that are no tables": 3, "folders that are linked or begin with _ or .": 2
    }  # fmt: skip
    check_source(source)
    before = source.identity()
    table(folder / "d.parquet", {"key": ["e"]})
    assert ParquetSource(f"parquet://{folder}", SURFACE).identity() != before
    (tmp_path / "none").mkdir()
    with pytest.raises(hm.SourceError, match=r"no file in it ends in \.parquet"):
        ParquetSource(f"parquet://{tmp_path}/none", SURFACE)


@pytest.mark.parametrize("name", ["arrow", "stream", "feather"])
def test_other_files_of_arrow_are_told_from_damage(name: str, tmp_path: Path) -> None:
    made = pa.table({"key": ["a"]})
    path = str(tmp_path / name)
    if name == "feather":
        pytest.importorskip("pyarrow.feather").write_feather(made, path)
    else:
        writer = pa.ipc.new_file if name == "arrow" else pa.ipc.new_stream
        with writer(path, made.schema) as file:
            file.write_table(made)
    with pytest.raises(hm.SourceError, match=r"an Arrow .*Write it as a plain Parquet table"):
        ParquetSource(f"parquet://{path}", SURFACE)


def test_what_is_counted_is_what_the_table_has(tmp_path: Path) -> None:
    rows = [b"no picture", None, b"", b"no picture"]
    source = opened(tmp_path, {"key": ["a", "a", None, "a"], "image": rows})
    assert [item.key for item in source.items()] == ["a", "a#2", "row-3", "a#3"]
    assert len(list(fetch(source))) == source.count() == 4


def test_a_record_names_the_row_that_matched(tmp_path: Path) -> None:
    data = (IMAGES_FOLDER / "plain" / "tiles.png").read_bytes()
    known = hm.HashList.from_hex("pdq", [hm.hash_image(data).hex])
    columns = {"id": pa.array([UUID.bytes, bytes(16)], pa.uuid()), "image": [data, b"x"]}
    matched, other = hm.scan_source(opened(tmp_path, columns, "?key=id"), hm.Matcher(known))
    assert isinstance(matched, hm.ReviewRecord)
    assert matched.item.key == str(UUID)
    assert isinstance(other, hm.ItemOutcome)
    assert (other.key, other.outcome) == (str(uuid.UUID(int=0)), hm.Outcome.UNSUPPORTED)


def named_naively(keys: list[str | None], pictures: list[list[bytes | None]]) -> list[str]:
    """Return what items are called, by the rule as it is written down."""
    taken: list[str] = []
    for number, (key, row) in enumerate(zip(keys, pictures, strict=True), 1):
        for _ in row or [None]:
            name = (key or f"row-{number}").replace(r"\xff", r"\\xff")
            count, free = 1, name
            while free in taken:
                count += 1
                free = f"{name}#{count}"
            taken.append(free)
    return taken


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), group=st.integers(1, 9), are_lists=st.booleans())
def test_names_and_resuming_are_those_of_the_naive_way(
    tmp_path: Path, data: st.DataObject, group: int, are_lists: bool
) -> None:
    keys = data.draw(
        st.lists(st.sampled_from(["a", "a#2", "a#3", "", None, "row-2", r"\xff"]), min_size=1)
    )
    picture = st.one_of(st.none(), st.binary(max_size=3))
    pictures = [data.draw(st.lists(picture, max_size=3 if are_lists else 1)) for _ in keys]
    cells: list[Any] = pictures if are_lists else [row[0] if row else None for row in pictures]
    kind = pa.list_(pa.binary()) if are_lists else pa.binary()
    columns = {"key": pa.array(keys, pa.string()), "image": pa.array(cells, kind)}
    source = opened(tmp_path, columns, row_group_size=group)
    items = list(source.items())
    assert [item.key for item in items] == named_naively(keys, pictures)
    place = data.draw(st.integers(0, len(items) - 1))
    assert list(source.items(after=items[place].position)) == items[place + 1 :]
    held = [content for row in pictures for content in row if content is not None]
    assert [source.read(item) for item in items if item.location == "row"] == held
    bare = [
        hm.ImageItem(item.key, item.version, SURFACE, item.location, item.position, item.size)
        for item in items
    ]
    assert [source.read(item) for item in bare if item.location == "row"] == held
