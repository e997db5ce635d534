"""Hash tables: made once, resumed after any kill, and matched as their pictures would be."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest
from pyarrow import parquet

import hashmatch as hm
import s3_server
from arrow_batches import DEMO, SURFACE, fixtures, pictures, timeless
from hashmatch.arrow import HashTable, Match, hash_source
from hashmatch.hashing.hash_image import HashPlan
from hashmatch.scan.shard import Shard
from hashmatch.testing import MemorySource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from hashmatch.records.enums import Level


def source(images: Mapping[str, bytes]) -> MemorySource:
    return MemorySource(images, hm.Surface(SURFACE))


def recorded(images: Mapping[str, bytes], matcher: hm.Matcher) -> list[object]:
    results = hm.scan_source(source(images), matcher)
    return [timeless(one.to_json()) for one in results if isinstance(one, hm.ReviewRecord)]


@pytest.mark.parametrize("variants", ["none", "standard"])
def test_a_table_gives_the_records_of_a_scan(tmp_path: Path, variants: Level) -> None:
    images = fixtures() if variants == "none" else dict(list(fixtures().items())[::7])
    path = tmp_path / "hashes.parquet"
    made = hash_source(source(images), path, HashPlan(["pdq", "md5"], variants))
    assert sum(made.outcomes.values()) == len(images)
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["hashes.parquet"]
    known = hm.read_list(DEMO)
    found = hm.rescan_archive(HashTable(path), partial(hm.Matcher, known))
    expected = recorded(images, hm.Matcher(known, variants=variants))
    assert [timeless(one.to_json()) for one in found] == expected
    assert len(expected) >= 2
    answer = Match([DEMO], variants=variants)(parquet.read_table(path))
    assert [timeless(each) for each in answer.column("record").to_pylist() if each] == expected


def test_a_table_of_a_bucket_is_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be larger than a picture may."""
    monkeypatch.setattr("hashmatch.arrow.hash_table.ROWS", 10)
    (tmp_path / "hashes").mkdir()
    path = tmp_path / "hashes" / "hashes.parquet"
    hash_source(source(pictures(45)), path, HashPlan(["pdq"]))
    with s3_server.moto(tmp_path) as port:
        for name, value in s3_server.environment(port).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("hashmatch.decode.limits.MAX_BYTES", path.stat().st_size // 2)
        found = table_parts("s3://hashes")
    assert found == table_parts(path)
    assert len(found) == 5


def table_parts(place: str | Path) -> list[list[object]]:
    return [[part[number] for number in range(len(part))] for part in HashTable(place).files()]


def test_what_a_kill_leaves_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashmatch.arrow.hash_table.ROWS", 10)
    images, plan = pictures(45), HashPlan(["pdq"])
    path, whole = tmp_path / "hashes.parquet", tmp_path / "whole.parquet"
    hash_source(source(images), whole, plan)
    done: list[str] = []

    def stop(_: str) -> None:
        done.append("")
        if len(done) == 27:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hash_source(source(images), path, plan, on_item=stop)
    assert not path.exists()
    again: list[str] = []
    made = hash_source(source(images), path, plan, on_item=again.append)
    assert (made.before, len(again)) == (20, 25)
    assert path.read_bytes() == whole.read_bytes()
    unchanged: list[str] = []
    made = hash_source(source(images), path, plan, on_item=unchanged.append)
    assert (made.before, unchanged) == (45, [])
    with pytest.raises(hm.UsageError, match="of another source, algorithm or option"):
        hash_source(source(images), path, HashPlan(["phash"]))


def die_after(left: Iterator[int], _: str) -> None:
    if next(left, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)


def test_killed_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashmatch.arrow.hash_table.ROWS", 10)
    images, plan = pictures(60), HashPlan(["pdq"])
    path, whole = tmp_path / "hashes.parquet", tmp_path / "whole.parquet"
    hash_source(source(images), whole, plan)
    for after in (5, 12, 31):
        child = os.fork()
        if not child:
            hash_source(source(images), path, plan, on_item=partial(die_after, iter(range(after))))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        assert not path.exists()
    made = hash_source(source(images), path, plan)
    assert made.before == 40
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["hashes.parquet", "whole.parquet"]


def test_shards_are_the_whole(tmp_path: Path) -> None:
    images = pictures(40)
    for number in range(3):
        shard = Shard(source(images), number, 3)
        hash_source(shard, tmp_path / f"{number}.parquet", HashPlan(["pdq"]))
    known = hm.read_list(DEMO)
    found = hm.rescan_archive(HashTable(tmp_path), partial(hm.Matcher, known))
    expected = recorded(images, hm.Matcher(known))
    names = {each.item.key for each in found}
    assert names == {each["item"]["key"] for each in expected}  # type: ignore[index]
    assert HashTable(tmp_path / "0.parquet").place.endswith("0.parquet")


def test_an_empty_source(tmp_path: Path) -> None:
    path = tmp_path / "hashes.parquet"
    assert hash_source(source({}), path, HashPlan(["pdq"])).outcomes == {}
    matcher = partial(hm.Matcher, hm.read_list(DEMO))
    assert list(hm.rescan_archive(HashTable(path), matcher)) == []


def test_what_is_no_table(tmp_path: Path) -> None:
    matcher = partial(hm.Matcher, hm.read_list(DEMO))
    with pytest.raises(hm.UsageError, match="no table of hashes"):
        HashTable(tmp_path)
    with pytest.raises(hm.UsageError, match=r"End it in \.parquet"):
        hash_source(source({}), tmp_path / "hashes.csv", HashPlan(["pdq"]))
    path = tmp_path / "hashes.parquet"
    path.write_bytes(b"text")
    with pytest.raises(hm.IndexFileError, match="no Parquet table"):
        list(hm.rescan_archive(HashTable(path), matcher))
    path.unlink()
    hash_source(source(pictures(30)), path, HashPlan(["pdq"]))
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 255
    path.write_bytes(bytes(data))
    with pytest.raises(hm.IndexFileError, match="damaged"):
        list(hm.rescan_archive(HashTable(path), matcher))
