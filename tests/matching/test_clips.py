"""Clips checked, scanned, kept and rescanned beside pictures: one outcome each."""

from __future__ import annotations

import io
import shutil
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest
from msgspec import UNSET
from PIL import Image

import hashmatch as hm
from conftest import IMAGES
from drawn_shots import encoded, panned, scene, shots
from hashmatch.matching import clips
from hashmatch.testing import hash_list
from hashmatch.video.hash_video import hash_video
from video_lists import video_list

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hashmatch.records.videos import VideoFrames

PLAIN = IMAGES / "plain"


@pytest.fixture(scope="module")
def pool() -> Iterator[hm.DecodePool]:
    with hm.DecodePool(1) as pool:
        yield pool


@pytest.fixture(scope="module")
def film() -> bytes:
    return encoded(shots(1, 24))


@pytest.fixture(scope="module")
def other() -> bytes:
    return encoded(shots(2, 12))


def frames_of(video: bytes, pool: hm.DecodePool) -> VideoFrames:
    frames = hash_video(video, decode=pool).frames
    assert frames is not None
    return frames


@pytest.fixture(scope="module")
def known(film: bytes, pool: hm.DecodePool) -> hm.HashList:
    return video_list([frames_of(film, pool)])


def test_a_clip_is_checked_from_a_path_bytes_and_a_file(
    film: bytes, known: hm.HashList, pool: hm.DecodePool, tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(film)
    matcher = hm.Matcher(known, decode=pool, every=1)
    ids = set()
    for given in (film, tmp_path / "a.mp4", io.BytesIO(film)):
        record = matcher.check(given, surface="public_post", item_id="a.mp4")
        assert isinstance(record, hm.ReviewRecord)
        item, match = record.item, record.matches[0]
        assert (item.media_type, item.duration, item.every) == ("video/mp4", 24.0, 1.0)
        assert (record.hash.algorithm, record.hash.decode_policy) == ("vpdq", "video/1")
        assert (match.entry, match.distance, item.frame) == ("v0", 0, match.frame)
        assert match.video is not UNSET
        assert [(s.query, s.entry) for s in match.video.segments] == [((0.0, 23.0), (0.0, 23.0))]
        assert hm.ReviewRecord.from_json(record.to_json()) == record
        ids.add(record.record_id)
    assert len(ids) == 1


def test_a_part_of_it_is_found_and_another_clip_is_not(
    other: bytes, known: hm.HashList, pool: hm.DecodePool
) -> None:
    matcher = hm.Matcher(known, decode=pool, every=1)
    record = matcher.check(encoded(shots(1, 24)[60:130]), surface="public_post", item_id="part")
    assert isinstance(record, hm.ReviewRecord)
    assert record.matches[0].video is not UNSET
    assert record.matches[0].video.found_by
    unmatched = matcher.check(other, surface="public_post", item_id="other")
    assert isinstance(unmatched, hm.ItemOutcome)
    assert (unmatched.outcome, unmatched.quality) == (hm.Outcome.NO_MATCH, 100)


def test_a_known_photograph_that_a_clip_shows_is_found(pool: hm.DecodePool) -> None:
    photograph = scene(77)[:144, :176]
    shown = encoded([*shots(3, 4), *[photograph] * 30, *shots(4, 4)])
    hashed = hm.hash_image(photograph)
    matcher = hm.Matcher(hash_list(hashed.hashes), decode=pool)
    record = matcher.check(shown, surface="public_post", item_id="clip")
    assert isinstance(record, hm.ReviewRecord)
    (match,) = record.matches
    assert match.video is not UNSET
    assert [segment.query for segment in match.video.segments] == [(4.0, 6.8)]
    assert match.algorithm == "pdq"


def test_digests_of_the_file_and_frames_are_looked_up_together(
    film: bytes, known: hm.HashList, pool: hm.DecodePool
) -> None:
    md5 = hm.HashList.from_hex("md5", [hm.hash_image(film, "md5").hex], ids=["whole"], name="md5s")
    record = hm.Matcher(known, md5, decode=pool).check(film, surface="public_post", item_id="a")
    assert isinstance(record, hm.ReviewRecord)
    assert [match.algorithm for match in record.matches] == ["md5", "vpdq"]
    assert (record.item.media_type, record.match_count) == ("video/mp4", 2)
    cut = film[:-5]
    record = hm.Matcher(md5, decode=pool).check(cut, surface="public_post", item_id="a")
    assert record.outcome is hm.Outcome.NO_MATCH


def test_pictures_and_clips_of_lists_that_have_no_hash_of_them(
    film: bytes, known: hm.HashList, pool: hm.DecodePool
) -> None:
    picture = PLAIN / "tiles.png"
    phash = hash_list(hm.hash_image(picture, "phash").hashes)
    outcome = hm.Matcher(known, decode=pool).check(picture, surface="public_post")
    assert (outcome.outcome.value, outcome.reason) == (  # type: ignore[union-attr]
        "unsupported", "no video, and only videos have such a hash",
    )  # fmt: skip
    both = hm.Matcher(known, phash, decode=pool)
    assert both.check(picture, surface="public_post").outcome is hm.Outcome.MATCH
    assert both.check(film, surface="public_post", item_id="a").outcome is hm.Outcome.MATCH
    only = hm.Matcher(phash, decode=pool).check(film, surface="public_post", item_id="a")
    assert only.outcome is hm.Outcome.UNSUPPORTED


def test_without_the_extra_a_clip_is_unsupported_and_its_digest_looked_up(
    film: bytes, known: hm.HashList, pool: hm.DecodePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "_is_installed", lambda: False)
    outcome = hm.Matcher(known, decode=pool).check(film, surface="public_post", item_id="a")
    assert isinstance(outcome, hm.ItemOutcome)
    assert outcome.outcome is hm.Outcome.UNSUPPORTED
    assert "[video]" in outcome.reason
    md5 = hm.HashList.from_hex("md5", [hm.hash_image(film, "md5").hex])
    found = hm.Matcher(known, md5, decode=pool).check(film, surface="public_post", item_id="a")
    assert found.outcome is hm.Outcome.MATCH


def test_what_answers_depend_on(known: hm.HashList) -> None:
    plain = hm.Matcher(known).identity
    assert hm.Matcher(known, every=0.5).identity != plain
    strict = hm.VideoThresholds(query_share=0.9)
    assert hm.Matcher(known, video_thresholds=strict).identity != plain
    with pytest.raises(hm.UsageError, match="cannot look up a frame every -1 s"):
        hm.Matcher(known, every=-1)
    with pytest.raises(hm.UsageError, match="cannot use list clips as benign: it is of videos"):
        hm.Matcher(known, benign=known)


# --- scans ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(film: bytes, other: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("both")
    shutil.copy(PLAIN / "tiles.png", folder / "picture.png")
    Image.fromarray(scene(5)).save(folder / "unknown.png")
    (folder / "film.mp4").write_bytes(film)
    (folder / "other.mp4").write_bytes(other)
    (folder / "broken.mp4").write_bytes(film[:40])
    (folder / "photo-shown.mkv").write_bytes(
        encoded(panned(scene(5), 3), container="matroska", codec="mpeg4", options={"b": "2000000"})
    )
    (folder / "text.txt").write_bytes(b"no picture")
    return folder


EXPECTED = {
    "picture.png": "match", "unknown.png": "no_match", "film.mp4": "match", "other.mp4": "no_match",
    "broken.mp4": "undecodable", "photo-shown.mkv": "no_match", "text.txt": "unsupported",
}  # fmt: skip


@pytest.fixture(scope="module")
def lists(known: hm.HashList) -> list[hm.HashList]:
    return [known, hash_list(hm.hash_image(PLAIN / "tiles.png").hashes)]


def scanned(
    folder: Path, lists: list[hm.HashList], pool: hm.DecodePool, **options: object
) -> dict[str, str]:
    matcher = hm.Matcher(*lists, every=1)
    results = hm.scan_source(
        str(folder), matcher, surface="public_post",
        options=hm.ScanOptions(decode=pool.pictures, threads=2), **options,  # type: ignore[arg-type]
    )  # fmt: skip
    return {
        result.item.key if isinstance(result, hm.ReviewRecord) else result.key: str(result.outcome)
        for result in results
    }


def test_a_folder_of_pictures_and_clips_is_scanned_one_outcome_a_file(
    folder: Path, lists: list[hm.HashList], pool: hm.DecodePool, tmp_path: Path
) -> None:
    assert scanned(folder, lists, pool) == EXPECTED
    with hm.Checkpoint(tmp_path / "state") as checkpoint:
        assert scanned(folder, lists, pool, checkpoint=checkpoint) == EXPECTED
    with hm.Checkpoint(tmp_path / "state") as checkpoint:  # what was done is not done again
        assert scanned(folder, lists, pool, checkpoint=checkpoint) == {
            key: outcome
            for key, outcome in EXPECTED.items()
            if outcome not in {"no_match"}
        }  # fmt: skip


def test_kept_hashes_of_clips_are_those_that_were_made_and_are_rescanned(
    folder: Path, lists: list[hm.HashList], pool: hm.DecodePool, other: bytes, tmp_path: Path
) -> None:
    archive = hm.HashArchive(tmp_path / "kept", timedelta(days=1))
    scanned(folder, lists, pool, archive=archive)
    made = hm.Matcher(*lists, decode=pool, every=1).hash(
        (folder / "other.mp4").read_bytes(), "other.mp4"
    )
    (file,) = archive.files()
    kept = {item.key: hashed for item, hashed in (file[n] for n in range(len(file)))}
    (before,), (after,) = (
        [one for one in some if isinstance(one, hm.HashedVideo)]
        for some in (made, kept["other.mp4"])
    )
    assert before.frames is not None
    assert after.frames is not None
    assert after.frames.hashes == before.frames.hashes
    for name in ("frames", "times", "quality"):
        assert getattr(after.frames, name).tolist() == getattr(before.frames, name).tolist()
    for name in ("duration", "rate", "width", "height", "media_type", "every", "outcome", "item"):
        assert getattr(after, name) == getattr(before, name)
    assert list(hm.rescan_archive(archive, partial(hm.Matcher, *lists))) == []
    more = [video_list([frames_of(other, pool)], name="more"), lists[1]]
    (record,) = hm.rescan_archive(archive, partial(hm.Matcher, *more))
    assert (record.item.key, record.item.duration) == ("other.mp4", 12.0)
    assert [match.list for match in record.matches] == ["more"]
