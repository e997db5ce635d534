"""Kept hashes: whole, private, no longer than agreed, and as good as the pictures for matching."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from conftest import IMAGES
from hashmatch.scan.hash_archive import Keeper, each, purge
from hashmatch.testing import hash_list, random_hashes

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 1, 1, tzinfo=UTC)
PDQ, MD5 = hm.HashSpec("pdq", 256), hm.HashSpec("md5", 128)
PICTURES = sorted((IMAGES / "plain").iterdir())


def kept(folder: Path, count: int = 7, most: int = 3, days: int = 30) -> None:
    with Keeper(folder, timedelta(days=days), most=most, now=START) as keeper:
        for number, path in enumerate(PICTURES[:count]):
            item = hm.ImageItem(f"user/{number}", "v1", hm.Surface.GROUP_PHOTO)
            keeper.add(item, hm.hash_all(path, ["pdq", "md5"], variants="standard"))


def test_what_is_kept_comes_back_bit_for_bit(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    kept(folder)
    seen = {}
    for spec in (PDQ, MD5):
        for batch, items, _, _ in each(folder, spec, START):
            for row in range(len(batch)):
                item, hashed = items[row]
                seen[item.key] = (item, hashed)
                rows = [one.hashes for one in hashed if one.spec == spec and len(one.hashes)]
                assert batch.to_hex()[row] in hm.HashBatch.concatenate(rows).to_hex()
    for number, path in enumerate(PICTURES[:7]):
        if f"user/{number}" not in seen:
            continue
        item, hashed = seen[f"user/{number}"]
        expected = hm.hash_all(path, ["pdq", "md5"], variants="standard", item=f"user/{number}")
        assert item == hm.ImageItem(f"user/{number}", "v1", hm.Surface.GROUP_PHOTO)
        assert hashed == expected
    assert len(seen) == 7


def test_a_later_list_gives_the_record_that_the_picture_would(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    kept(folder)
    path = PICTURES[4]
    added = hash_list(hm.hash_image(path).hashes, name="added")
    index = hm.HashIndex.build(added.hashes, 31)
    matcher = hm.Matcher(added, now=lambda: START)
    records = []
    for batch, items, _, _ in each(folder, PDQ, START):
        for row in sorted({items.number(r): r for r in index.join(batch).query.tolist()}.values()):
            item, hashed = items[row]
            records.append(matcher.decide(item, [h for h in hashed if h.spec == PDQ]))
    fresh = hm.Matcher(added, variants="standard", now=lambda: START).check(
        path, surface="group_photo", item_id="user/4", version="v1"
    )
    assert fresh in records
    assert all(record.outcome is hm.Outcome.MATCH for record in records)


def test_files_are_private_and_of_bounded_size(tmp_path: Path) -> None:
    folder = tmp_path / "a/kept"
    kept(folder)
    files = sorted(folder.iterdir())
    assert [len(items) for items in [files]] == [3]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    for mode in (0o750, 0o710, 0o701, 0o720):
        folder.chmod(mode)
        with pytest.raises(hm.StoreError, match=r"kept can be .* by others; close it with chmod"):
            Keeper(folder, timedelta(days=1))
    folder.chmod(0o700)
    (tmp_path / "link").symlink_to(folder)
    Keeper(tmp_path / "link", timedelta(days=1)).close()


def test_nothing_is_kept_longer_than_agreed(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    kept(folder, count=2, days=30)
    kept(folder, count=2, days=2)
    late = START + timedelta(days=2)
    assert len(list(each(folder, PDQ, late - timedelta(seconds=1)))) == 2
    assert len(list(each(folder, PDQ, late))) == 1  # not read, though it is still there
    assert purge(folder, late) == 1
    assert purge(folder, late) == 0
    assert len(list(each(folder, PDQ, late))) == 1
    assert purge(folder, START + timedelta(days=30)) == 1
    assert list(folder.iterdir()) == []


def test_pictures_without_a_hash_are_not_kept(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with Keeper(folder, timedelta(days=1)) as keeper:
        item = hm.ImageItem("user/1", "v1", hm.Surface.GROUP_PHOTO)
        keeper.add(item, hm.hash_all(b"no picture", ["pdq"]))
    assert list(folder.iterdir()) == []
    assert list(each(folder, PDQ)) == []


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(hm.UsageError, match="longer than nothing"):
        Keeper(tmp_path / "kept", timedelta(0))
    with pytest.raises(hm.UsageError, match="no folder of kept hashes"):
        list(each(tmp_path / "nowhere", PDQ))
    (tmp_path / "file").write_text("")
    with pytest.raises(hm.UsageError, match="cannot be kept there"):
        Keeper(tmp_path / "file", timedelta(days=1))
    folder = tmp_path / "kept"
    kept(folder, count=2)
    (path,) = folder.iterdir()
    data = bytearray(path.read_bytes())
    data[-5000] ^= 1
    path.write_bytes(data)
    with pytest.raises(hm.IndexFileError, match="damaged"):
        list(each(folder, PDQ, START))
    hm.HashIndex.build(random_hashes(PDQ, 3, seed=1)).save(folder / "other.kept")
    with pytest.raises(hm.IndexFileError, match="holds no kept hashes"):
        purge(folder, START)
