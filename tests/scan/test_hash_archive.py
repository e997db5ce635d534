"""Kept hashes: whole, private, no longer than agreed, and as good as the pictures for matching."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from conftest import IMAGES
from hashmatch.decode import load
from hashmatch.hashing.hash_image import HashPlan, hash_loaded
from hashmatch.scan.hash_archive import HashArchive, record_digest
from hashmatch.testing import MemorySource, example_record, hash_list, picture, random_hashes

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 1, 1, tzinfo=UTC)
PDQ, MD5 = hm.HashSpec("pdq", 256), hm.HashSpec("md5", 128)
PLAN = HashPlan(["pdq", "md5"], "standard", chrome=True)
"""As of a scan's matcher."""
PICTURES = sorted((IMAGES / "plain").iterdir())


def archive(folder: Path, days: int = 30, at: datetime = START) -> HashArchive:
    return HashArchive(folder, timedelta(days=days), now=lambda: at)


def later(folder: Path, at: datetime) -> HashArchive:
    return HashArchive(folder, now=lambda: at)


def kept(folder: Path, count: int = 7, most: int = 3, days: int = 30) -> None:
    writer = archive(folder, days).writer("standard", None)
    for number, path in enumerate(PICTURES[:count]):
        item = hm.ImageItem(f"user/{number}", "v1", hm.Surface.GROUP_PHOTO)
        nothing = hm.ItemOutcome(item.key, "v1", item.surface, hm.Outcome.NO_MATCH)
        writer.add(item, hash_loaded(load(path), PLAN), nothing)
        if len(writer) == most:
            writer.flush(number)
    writer.flush(count)


def test_what_is_kept_comes_back_bit_for_bit(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    kept(folder)
    seen = {}
    for file in archive(folder).files():
        assert (file.variants, file.min_quality) == ("standard", None)
        for number in range(len(file)):
            item, found = file[number]
            hashed = [one for one in found if isinstance(one, hm.HashedImage)]
            seen[item.key] = (item, hashed)
            for spec in file.specs:
                batch, pictures = file.hashes(spec)
                rows = [one.hashes for one in hashed if one.spec == spec and len(one.hashes)]
                assert batch.words[pictures == number].tolist() == (
                    hm.HashBatch.concatenate(rows).words.tolist()
                )
    assert len(seen) == 7
    for number, path in enumerate(PICTURES[:7]):
        item, hashed = seen[f"user/{number}"]
        expected = hm.hash_all(path, ["pdq", "md5"], variants="standard", item=f"user/{number}")
        assert item == hm.ImageItem(f"user/{number}", "v1", hm.Surface.GROUP_PHOTO)
        assert hashed == expected


def test_a_later_list_gives_the_record_that_the_picture_would(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    kept(folder)
    path = PICTURES[4]
    added = hash_list(hm.hash_image(path).hashes, name="added")
    index = hm.HashIndex.build(added.hashes, 31)
    matcher = hm.Matcher(added, variants="standard", now=lambda: START)
    records = []
    for file in archive(folder).files():
        batch, pictures = file.hashes(PDQ)
        for number in sorted(set(pictures[index.join(batch).query].tolist())):
            item, hashed = file[number]
            images = [one for one in hashed if isinstance(one, hm.HashedImage)]
            records.append(matcher.decide(item, [one for one in images if one.spec == PDQ]))
    fresh = matcher.check(path, surface="group_photo", item_id="user/4", version="v1")
    assert fresh in records
    assert all(record.outcome is hm.Outcome.MATCH for record in records)


def test_files_are_private_and_of_bounded_size(tmp_path: Path) -> None:
    folder = tmp_path / "a/kept"
    kept(folder)
    assert [len(file) for file in archive(folder).files()] == [3, 3, 1]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    for mode in (0o750, 0o710, 0o701, 0o720):
        folder.chmod(mode)
        with pytest.raises(hm.StoreError, match=r"kept.* can be .* by others\. Close"):
            HashArchive(folder, timedelta(days=1))
    folder.chmod(0o700)
    (tmp_path / "link").symlink_to(folder)
    HashArchive(tmp_path / "link", timedelta(days=1))


def test_nothing_is_kept_longer_than_agreed(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    kept(folder, count=2, days=30)
    kept(folder, count=2, days=2)
    late = START + timedelta(days=2)
    assert len(list(later(folder, late - timedelta(seconds=1)).files())) == 2
    assert len(list(later(folder, late).files())) == 1  # not read, though it is still there
    assert later(folder, late).purge() == 1
    assert later(folder, late).purge() == 0
    assert len(list(later(folder, late).files())) == 1
    assert later(folder, START + timedelta(days=30)).purge() == 1
    assert list(folder.iterdir()) == []


def test_pictures_without_a_hash_are_not_kept(tmp_path: Path) -> None:
    source = MemorySource({"a": b"no picture"}, hm.Surface.GROUP_PHOTO)
    matcher = hm.Matcher(hash_list(random_hashes(PDQ, 1, seed=1)))
    found = list(hm.scan_source(source, matcher, archive=archive(tmp_path / "kept")))
    assert [result.outcome for result in found] == [hm.Outcome.UNSUPPORTED]
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.parametrize("stop_after", [1, 3, 10**9])
@pytest.mark.parametrize("batch", [1, 4, 1000])
def test_each_picture_of_a_scan_is_kept_once(tmp_path: Path, batch: int, stop_after: int) -> None:
    """Whatever a file holds and wherever the scan is stopped, also in the middle of a batch."""
    pictures = {path.name: path.read_bytes() for path in PICTURES}
    matcher = hm.Matcher(hash_list(hm.hash_image(PICTURES[2]).hashes))
    report = hm.ScanReport(matcher)
    for _ in range(2 * len(pictures)):
        before = None
        with hm.Checkpoint(tmp_path / "state") as checkpoint:
            results = hm.scan_source(
                MemorySource(pictures, hm.Surface.GROUP_PHOTO), matcher, checkpoint=checkpoint,
                archive=HashArchive(tmp_path / "kept", timedelta(days=9)), observe=report,
                options=hm.ScanOptions(batch=batch),
            )  # fmt: skip
            for _ in results:
                before = report.counters.done if before is None else before
                if report.counters.done >= before + stop_after:
                    break
            results.close()
        if report.counters.done == len(pictures):
            break
    files = list(HashArchive(tmp_path / "kept").files())
    keys = [file[number][0].key for file in files for number in range(len(file))]
    assert keys == sorted(pictures)
    assert sum(len(file.given()) for file in files) == report.counters.records == 1


def test_two_scans_of_one_name_keep_theirs_apart(tmp_path: Path) -> None:
    """Two machines with a state each and one archive, or a state that was lost."""
    matcher = hm.Matcher(hash_list(random_hashes(PDQ, 1, seed=1)))
    pictures = {path.name: path.read_bytes() for path in PICTURES}
    for machine in ("one", "two"):
        with hm.Checkpoint(tmp_path / machine) as checkpoint:
            list(
                hm.scan_source(
                    MemorySource(pictures, hm.Surface.GROUP_PHOTO), matcher,
                    checkpoint=checkpoint, archive=HashArchive(tmp_path / "kept", timedelta(9)),
                )
            )  # fmt: skip
    files = list(HashArchive(tmp_path / "kept").files())
    assert [len(file) for file in files] == [len(pictures)] * 2


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(hm.UsageError, match="Give a longer one"):
        HashArchive(tmp_path / "kept", timedelta(0))
    with pytest.raises(hm.UsageError, match="no folder of kept hashes"):
        HashArchive(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(hm.UsageError, match="cannot keep hashes in"):
        HashArchive(tmp_path / "file", timedelta(days=1))
    folder = tmp_path / "kept"
    kept(folder, count=2)
    with pytest.raises(hm.UsageError, match="it is not known how long"):
        HashArchive(folder).writer("none", None)
    (path,) = folder.iterdir()
    data = bytearray(path.read_bytes())
    data[-5000] ^= 1
    path.write_bytes(data)
    with pytest.raises(hm.IndexFileError, match="damaged"):
        next(archive(folder).files()).verify()
    hm.HashIndex.build(random_hashes(PDQ, 3, seed=1)).save(folder / "other.kept")
    with pytest.raises(hm.IndexFileError, match="holds no kept hashes"):
        archive(folder).purge()


def test_what_is_the_same_record() -> None:
    """All that a reviewer is told; not when, by which version of a list, nor within which limit."""

    def changed(**fields: object) -> bytes:
        said = json.loads(example_record().to_json())
        for path, value in fields.items():
            *parents, name = path.split("__")
            place = said
            for parent in parents:
                place = place[int(parent) if parent.isdigit() else parent]
            place[name] = value
        return record_digest(hm.ReviewRecord.from_json(json.dumps(said)))

    same = changed()
    unlike: list[dict[str, object]] = [
        {"item__key": "other"}, {"item__version": "v2"}, {"item__surface": "public_post"},
        {"item__damaged": True}, {"hash__quality": 51}, {"hash__variant": "rotate_90"},
        {"matches__0__entry": "other"}, {"matches__0__distance": 5},
        {"matches__0__labels": ["A2"]}, {"matches__0__sources": []},
        {"matches__0__list": "other"}, {"match_count": 2},
    ]  # fmt: skip
    alike: list[dict[str, object]] = [
        {"record_id": "1" * 32}, {"created_at": "2027-01-01T00:00:00Z"},
        {"hash__value": "00" * 32}, {"matches__0__list_version": "18"},
        {"matches__0__max_distance": 12, "matches__0__max_distance_from": "entry"},
    ]  # fmt: skip
    assert {changed(**fields) for fields in alike} == {same}
    found = {same, *(changed(**fields) for fields in unlike)}
    found.add(record_digest(example_record(suppressed=True)))
    assert len(found) == 14


def test_equally_near_entries_may_change_places() -> None:
    record = json.loads(example_record().to_json())
    one = record["matches"][0]
    both = [one, {**one, "entry": "other"}]
    records = [{**record, "matches": matches} for matches in (both, both[::-1])]
    digests = {record_digest(hm.ReviewRecord.from_json(json.dumps(each))) for each in records}
    assert len(digests) == 1


def test_the_hash_of_a_picture_is_nothing_new() -> None:
    image = picture(1)
    matchers = [
        hm.Matcher(hash_list(hm.hash_image(image).hashes), include_hash=included)
        for included in (False, True)
    ]
    records = [m.check(image, surface="public_post", item_id="a", version="1") for m in matchers]
    assert all(isinstance(record, hm.ReviewRecord) for record in records)
    assert len({record_digest(r) for r in records if isinstance(r, hm.ReviewRecord)}) == 1
