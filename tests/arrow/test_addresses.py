"""Pictures by their addresses: fetched below what was named, and nowhere else."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import hashmatch as hm
from arrow_batches import DEMO, SURFACE, fixtures, row_of, rows
from hashmatch.arrow import Hash, Match
from hashmatch.retry import Limits, Tries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder, and yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def batch(urls: Sequence[str | None]) -> pa.RecordBatch:
    keys = [f"photo-{number}" for number in range(len(urls))]
    return pa.record_batch({"key": keys, "url": pa.array(urls, pa.string())})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for name in ("plain/tiles.png", "plain/landscape-dusk.jpg"):
        (tmp_path / "photos" / name.partition("/")[2]).write_bytes(fixtures()[name])
    (tmp_path / "secret.png").write_bytes(fixtures()["plain/tiles.png"])
    return tmp_path


def test_a_web_server(folder: Path) -> None:
    with served(folder) as site:
        place = f"{site}/photos"
        match = Match([DEMO], surface=SURFACE, url_prefixes=[place], allow_private=["127.0.0.1"])
        urls = [
            f"{place}/tiles.png", f"{place}/none.png", None, f"{site}/secret.png",
            f"{place}/../secret.png", "file:///etc/passwd", "", f"{place}/landscape-dusk.jpg",
        ]  # fmt: skip
        answer = match(batch(urls))
        outcomes = [row["outcome"] for row in answer.to_pylist()]
        assert outcomes == ["match", "failed", "failed", *["refused"] * 4, "match"]
        reasons = answer.column("reason").to_pylist()
        assert reasons[2] == "its row has no url"
        assert reasons[3] == reasons[5] == "its address is below none of url_prefixes"
        assert rows(Match([DEMO], surface=SURFACE)(_hashed(match, urls)))[0]["outcome"] == "match"
        table = pa.table({"key": ["photo-0"], "url": [urls[0]]})
        pa.parquet.write_table(table, folder / "photos.parquet")
        source = f"parquet://{folder}/photos.parquet?base={place}"
        opened = hm.registry.open_source(source, hm.Surface(SURFACE), allow_private=["127.0.0.1"])
        matcher = hm.Matcher(hm.read_list(DEMO))
        (scanned,) = hm.scan_source(opened, matcher)
        assert rows(answer)[0] == row_of(scanned)


def _hashed(match: Match, urls: Sequence[str | None]) -> Any:
    hash_ = Hash(url_prefixes=match.url_prefixes, allow_private=match.allow_private)
    return hash_(batch(urls))


def test_a_folder_is_a_place_too(folder: Path) -> None:
    place = str(folder / "photos")
    match = Match([DEMO], surface=SURFACE, url_prefixes=[place])
    urls = [f"{place}/tiles.png", f"{folder}/secret.png"]
    assert match(batch(urls)).column("outcome").to_pylist() == ["match", "refused"]


def test_a_server_that_is_down_costs_its_rows(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Limits(deadline=0.2, first_delay=0.01)
    monkeypatch.setattr("hashmatch.arrow.rows.Tries", lambda: Tries(short))
    with served(folder) as gone:
        pass
    with served(folder) as site:
        match = Match(
            [DEMO], surface=SURFACE, url_prefixes=[gone, site], allow_private=["127.0.0.1"]
        )
        urls = [f"{site}/photos/tiles.png", f"{gone}/a", f"{gone}/b", f"{site}/secret.png"]
        answer = match(batch(urls * 3))
    expected = ["match", "failed", "failed", "match"]
    assert answer.column("outcome").to_pylist() == expected * 3
