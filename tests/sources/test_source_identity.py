"""A source is known by what it lists, wherever it is opened from: what a kept state goes by."""

from __future__ import annotations

import os
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from hashmatch.registry import open_source
from hashmatch.scan.shard import Shard

if TYPE_CHECKING:
    from pathlib import Path

SURFACE = hm.Surface.PUBLIC_POST


def identity(location: str, surface: hm.Surface = SURFACE) -> str:
    return open_source(location, surface).identity()


def fill(folder: Path, word: str = "one") -> Path:
    """Put into `folder` one source of each kind that is a file or folder."""
    (folder / "photos").mkdir(parents=True)
    (folder / "photos" / "a.png").write_text(word)
    (folder / "keys.txt").write_text(f"a.png\n{word}.png\n")
    with tarfile.open(folder / "photos.tar", "w") as tar:
        tar.add(folder / "photos", "photos")
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        archive.writestr("a.png", word)
    return folder


KINDS = ["photos", "photos/a.png", "manifest://keys.txt", "tar://photos.tar", "zip://photos.zip"]


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fill(tmp_path / "one")
    fill(tmp_path / "two")
    monkeypatch.chdir(tmp_path / "one")
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_a_path_is_the_same_from_everywhere(
    inside: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    relative = identity(kind)
    scheme, separator, path = kind.rpartition("://")
    assert relative == identity(f"{scheme}{separator}{inside}/one/{path}")
    os.symlink(inside / "one", inside / "link")
    assert relative == identity(f"{scheme}{separator}{inside}/link/{path}")
    assert relative != identity(kind, hm.Surface.USER_REPORT)
    monkeypatch.chdir(inside / "two")
    assert relative != identity(kind), "the same words in another folder"


@pytest.mark.parametrize("kind", KINDS[2:])
def test_lists_and_archives_are_what_is_in_them(inside: Path, kind: str) -> None:
    before = identity(kind)
    for name in ("photos", "keys.txt", "photos.tar", "photos.zip"):
        os.rename(inside / "one" / name, inside / f"old-{name}")
    fill(inside / "more", "six")
    for name in os.listdir(inside / "more"):
        os.rename(inside / "more" / name, inside / "one" / name)
    assert identity(kind) != before


def test_options_of_a_list_count(inside: Path) -> None:
    places = ["keys.txt", "keys.txt?base=photos", "keys.txt?key=id", "keys.txt?key=id&base=photos"]
    found = {identity(f"manifest://{place}") for place in places}
    assert len(found) == 4
    assert identity(f"manifest://keys.txt?base={inside}/one/photos") in found


def test_a_table_is_what_is_in_it(inside: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")

    def table(word: str) -> None:
        columns = {"key": [word], "url": ["a.png"], "other": ["b.png"]}
        parquet.write_table(pa.table(columns), inside / "one" / "t.parquet")

    table("a")
    found = {identity("parquet://t.parquet"), identity("parquet://t.parquet?url=other")}
    table("b")
    assert len(found | {identity("parquet://t.parquet")}) == 3


def test_what_changed_since_it_was_opened_has_no_identity(inside: Path) -> None:
    source = open_source("manifest://keys.txt", SURFACE)
    (inside / "one" / "keys.txt").write_text("others\n")
    with pytest.raises(hm.SourceError, match="it changed since it was opened"):
        source.identity()


def test_buckets_are_told_apart_by_server_and_account(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore")
    pytest.importorskip("botocore")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    found = [identity("s3://b/pro"), identity("s3://b/other"), identity("s3://c/pro")]
    assert identity("s3://b/pro/") == found[0]
    for server in ("http://127.0.0.1:9000", "http://127.0.0.1:9001"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", server)
        found.append(identity("s3://b/pro"))
    for account in ("one", "two"):
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", account)
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")
        found.append(identity("az://b/pro"))
    assert len(set(found)) == len(found)
    assert not [one for one in found if "secret" in one or "c2VjcmV0" in one]


def test_parts_of_a_source_are_told_apart(inside: Path) -> None:
    parts = [Shard(open_source("photos", SURFACE), *part) for part in ((0, 2), (1, 2), (0, 3))]
    assert len({part.identity() for part in parts} | {identity("photos")}) == 4


def test_names_of_any_bytes_have_one(inside: Path) -> None:
    odd = inside / os.fsdecode(b"caf\xe9 \n")
    odd.mkdir()
    assert identity(str(odd)).isascii()
    assert identity(str(odd)).isprintable()
