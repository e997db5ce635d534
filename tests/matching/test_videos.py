"""Clips against lists of videos: equal to comparing every frame with every other, and segments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

import hashmatch as hm
import naive
from hashmatch.matching.lookup import Lookup
from hashmatch.matching.videos import GAP, REACH, VideoThresholds, segments
from hashmatch.records.hashes import HashBatch
from hashmatch.records.videos import FRAME_SPEC, HashedVideo, VideoFrames
from hashmatch.testing import hash_list, random_hashes
from video_lists import drawn_video, video_frames, video_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.records.review import RecordMatch, VideoMatch

ANY = VideoThresholds(1e-9, 1e-9, 1e-9)
"""Thresholds that any matching frame reaches."""


def found(
    frames: VideoFrames, *lists: hm.HashList, thresholds: VideoThresholds | None = None
) -> tuple[RecordMatch, ...]:
    lookup = Lookup(lists, None, 100, None, None, thresholds)
    video = HashedVideo("clip", hm.Outcome.HASHED, frames=frames)
    return lookup.find_any([video]).matches


def evidence(match: RecordMatch) -> VideoMatch:
    assert match.video is not UNSET
    return match.video


def joined(*parts: VideoFrames) -> VideoFrames:
    """One video after the other, a frame a second."""
    return video_frames(
        HashBatch.concatenate([part.hashes for part in parts]),
        np.concatenate([part.quality for part in parts]).tolist(),
    )


def part(video: VideoFrames, first: int, last: int) -> VideoFrames:
    """Frames of a video from one on to before another."""
    return video_frames(video.hashes[first:last], video.quality[first:last].tolist())


def flipped(video: VideoFrames, bits: int) -> VideoFrames:
    """Each hash with so many of its bits turned."""
    words = video.hashes.words.copy()
    for bit in range(bits):
        words[:, bit % 4] ^= np.uint64(1) << np.uint64(63 - bit // 4)
    return video_frames(HashBatch(FRAME_SPEC, words), video.quality.tolist())


# --- equal to the naive comparison ---------------------------------------------------------------

TIMES = st.lists(st.sampled_from([0.0, 0.5, 1.0, 4.0, 6.0]), min_size=8, max_size=8)


@given(
    st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=24),
    TIMES,
    TIMES,
)
@settings(max_examples=60)
def test_segments_are_those_of_the_naive_loop(
    pairs: set[tuple[int, int]], query_steps: list[float], entry_steps: list[float]
) -> None:
    times = np.cumsum(query_steps), np.cumsum(entry_steps)
    ordered = sorted(pairs)
    query, entry = (np.array([pair[k] for pair in ordered], np.int64) for k in (0, 1))
    made = segments(query, entry, *times)
    runs = [
        [ordered[at] for at in made.pairs[made.run == run].tolist()] for run in range(made.runs)
    ]
    assert runs == naive.video_segments(ordered, times[0].tolist(), times[1].tolist(), GAP, REACH)


CENTRES = random_hashes(FRAME_SPEC, 5, seed=3).words
FRAMES = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from([0, 15, 16, 31, 32]), st.sampled_from([49, 50])),
    min_size=1,
    max_size=6,
)  # fmt: skip


def near(frames: Sequence[tuple[int, int, int]]) -> VideoFrames:
    """A video of frames that are so many bits from one of five, of such qualities."""
    words = CENTRES[[centre for centre, _, _ in frames]].copy()
    for row, (_, bits, _) in enumerate(frames):
        for bit in range(bits):
            words[row, bit % 4] ^= np.uint64(1) << np.uint64(bit)
    return video_frames(HashBatch(FRAME_SPEC, words), [quality for *_, quality in frames])


def numbers(video: VideoFrames) -> list[tuple[int, int]]:
    return [
        (int(text, 16), int(quality))
        for text, quality in zip(video.hashes.to_hex(), video.quality, strict=True)
    ]


@given(FRAMES, st.lists(FRAMES, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_matches_are_those_of_comparing_every_frame_with_every_other(
    asked: list[tuple[int, int, int]], listed: list[list[tuple[int, int, int]]]
) -> None:
    query, entries = near(asked), [near(frames) for frames in listed]
    known = video_list(entries, [hm.Entry(f"v{n}") for n in range(len(entries))])
    by_name = {match.entry: match for match in found(query, known, thresholds=ANY)}
    usable = [[value for value, quality in numbers(video) if quality >= 50] for video in entries]
    mine = [value for value, quality in numbers(query) if quality >= 50]
    for number, entry in enumerate(entries):
        pairs = naive.matching_frames(numbers(query), numbers(entry), 31, 50)
        match = by_name.get(f"v{number}")
        assert (match is not None) == bool(pairs)
        if match is None:
            continue
        assert match.distance == min(distance for *_, distance in pairs)
        video = evidence(match)
        shares = naive.video_shares(mine, usable[number], 31)
        assert (video.query_share, video.entry_share) == tuple(round(each, 4) for each in shares)
        times = [
            [second for second, (_, quality) in enumerate(numbers(each)) if quality >= 50]
            for each in (query, entry)
        ]
        runs = naive.video_segments([(q, e) for q, e, _ in pairs], times[0], times[1], GAP, REACH)
        ends = sorted(
            ((times[0][run[0][0]], times[0][run[-1][0]]), len(run),
             (times[1][run[0][1]], times[1][run[-1][1]]))
            for run in runs
        )  # fmt: skip
        assert sorted((s.query, s.frames, s.entry) for s in video.segments) == ends


@pytest.mark.parametrize(("bits", "is_found"), [(30, True), (31, True), (32, False)])
def test_the_distance_of_a_frame_is_inclusive(bits: int, is_found: bool) -> None:
    video = drawn_video(1, 20)
    assert bool(found(flipped(video, bits), video_list([video]))) == is_found


def test_limits_of_the_list_and_of_the_entry_outrank_that_of_the_algorithm() -> None:
    video = drawn_video(1, 20)
    clip = flipped(video, 12)
    assert not found(clip, video_list([video], max_distance=11))
    (match,) = found(clip, video_list([video], max_distance=12))
    assert (match.max_distance, match.max_distance_from) == (12, "list")
    entries = [hm.Entry("v0", max_distance=12)]
    (match,) = found(clip, video_list([video], entries, max_distance=3))
    assert (match.max_distance, match.max_distance_from) == (12, "entry")


def test_quality_50_counts_on_both_sides_and_49_on_neither() -> None:
    hashes = drawn_video(1, 20).hashes
    for mine, theirs, is_found in ((50, 50, True), (49, 50, False), (50, 49, False)):
        known = video_list([video_frames(hashes, theirs)])
        assert bool(found(video_frames(hashes, mine), known)) == is_found


# --- clips in films, and films that hold clips ---------------------------------------------------

FILM = drawn_video(7, 120)


def test_a_clip_of_a_known_film_is_found_with_its_seconds() -> None:
    (match,) = found(part(FILM, 40, 48), video_list([drawn_video(9, 50), FILM]))
    video = evidence(match)
    assert match.entry == "v1"
    assert (video.query_share, video.entry_share) == (1.0, round(8 / 120, 4))
    assert video.found_by == ("query_share",)
    assert [(s.query, s.entry, s.frames) for s in video.segments] == [((0, 7), (40, 47), 8)]


def test_a_film_that_holds_a_known_clip_is_found_with_its_seconds() -> None:
    (match,) = found(FILM, video_list([drawn_video(9, 50), part(FILM, 40, 48)]))
    video = evidence(match)
    assert (video.query_share, video.entry_share) == (round(8 / 120, 4), 1.0)
    assert video.found_by == ("entry_share",)
    assert [(s.query, s.entry, s.frames) for s in video.segments] == [((40, 47), (0, 7), 8)]


def test_an_excerpt_of_a_known_film_within_another_is_found_from_ten_seconds_on() -> None:
    other = drawn_video(8, 100)
    for length, is_found in ((10, False), (11, True)):
        clip = joined(part(other, 0, 50), part(FILM, 60, 60 + length), part(other, 50, 100))
        matches = found(clip, video_list([FILM]))
        assert bool(matches) == is_found
        for match in matches:
            assert evidence(match).found_by == ("segment_seconds",)
            assert [s.query for s in evidence(match).segments] == [(50, 60)]


def test_a_part_is_found_though_its_frames_lie_closer_together_than_those_of_the_list() -> None:
    between = [drawn_video(50 + n, 1).hashes for n in range(60)]
    dense = [
        FILM.hashes[40 + n // 4 : 41 + n // 4] if n % 4 == 0 else between[n] for n in range(24)
    ]
    clip = video_frames(HashBatch.concatenate(dense), every=0.25, rate=40)
    (match,) = found(clip, video_list([FILM]))
    video = evidence(match)
    assert (video.query_share, video.found_by) == (0.25, ("query_share",))
    assert video.query_covered == 1.0
    half = video_frames(HashBatch.concatenate([*dense[:10], *between[10:24]]), every=0.25, rate=40)
    assert not found(half, video_list([FILM]))


def test_parts_in_another_order_are_segments_of_their_own() -> None:
    clip = joined(part(FILM, 60, 90), part(FILM, 0, 30))
    (match,) = found(clip, video_list([FILM]))
    spans = [(s.query, s.entry) for s in evidence(match).segments]
    assert spans == [((0, 29), (60, 89)), ((30, 59), (0, 29))]


def test_thresholds_are_in_the_record_with_who_set_them() -> None:
    clip, known = joined(part(FILM, 0, 5), drawn_video(8, 5)), video_list([FILM])
    assert not found(clip, known)
    (match,) = found(clip, known, thresholds=VideoThresholds(query_share=0.5))
    video = evidence(match)
    assert (video.min_query_share, video.min_entry_share, video.thresholds_from) == (
        0.5, 0.8, "caller",
    )  # fmt: skip
    (match,) = found(FILM, known)
    assert evidence(match).thresholds_from == "algorithm"


@pytest.mark.parametrize(
    ("name", "value"),
    [("query_share", 0), ("entry_share", 1.1), ("segment_seconds", 0), ("query_share", "x")],
)
def test_thresholds_that_are_none(name: str, value: object) -> None:
    with pytest.raises(hm.UsageError, match=f"cannot use .* {name}"):
        VideoThresholds(**{name: value})  # type: ignore[arg-type]


# --- what many entries share ---------------------------------------------------------------------

INTRO = drawn_video(5, 15)


def test_an_opening_that_many_entries_share_finds_none_of_them() -> None:
    """An opening of fifteen seconds, before eight other ones, in twenty videos."""
    films = [joined(INTRO, drawn_video(100 + n, 8)) for n in range(20)]
    known = video_list(films)
    assert not found(joined(INTRO, drawn_video(999, 30)), known)
    assert not found(INTRO, known)
    (match,) = found(films[3], known)
    assert match.entry == "v3"
    assert evidence(match).query_share == 1.0
    assert evidence(match).entry_counted == 1.0


def test_an_opening_of_a_list_of_one_video_is_as_good_as_any_other_part() -> None:
    film = joined(INTRO, drawn_video(100, 8))
    assert found(joined(INTRO, drawn_video(999, 30)), video_list([film]))


def test_copies_of_one_video_in_a_list_do_not_hide_each_other() -> None:
    copies = [flipped(FILM, bits) for bits in range(10)]
    assert len(found(part(FILM, 30, 60), video_list(copies))) == 10


def test_more_pairs_than_are_held_change_no_share(monkeypatch: pytest.MonkeyPatch) -> None:
    still = video_frames(HashBatch.concatenate([FILM.hashes[:1]] * 4))
    clip = joined(still, part(FILM, 0, 30))
    known = video_list([joined(part(FILM, 0, 30), flipped(part(FILM, 0, 30), 3))])
    (before,) = found(clip, known)
    monkeypatch.setattr("hashmatch.matching.videos.MOST_PAIRS", 3)
    (after,) = found(clip, known)
    assert evidence(after).query_share == evidence(before).query_share
    assert after.distance == before.distance


# --- lists of pictures ---------------------------------------------------------------------------


def test_a_known_photograph_that_a_clip_shows_is_found_with_its_seconds() -> None:
    photographs = random_hashes(FRAME_SPEC, 3, seed=50)
    shown = HashBatch.concatenate([photographs[1:2]] * 4)
    clip = joined(part(FILM, 0, 10), video_frames(shown), part(FILM, 10, 30), video_frames(shown))
    (match,) = found(clip, hash_list(photographs))
    video = evidence(match)
    assert (match.algorithm, match.distance, match.frame) == ("pdq", 0, 300)
    assert [(s.query, s.entry, s.frames) for s in video.segments] == [
        ((10, 13), UNSET, 4),
        ((34, 37), UNSET, 4),
    ]
    assert (video.query_frames, video.query_matched, video.entry_share) == (31, 1, UNSET)


def test_lists_of_both_are_looked_up_together_the_closest_first() -> None:
    pictures = flipped(part(FILM, 3, 4), 5).hashes
    matches = found(part(FILM, 0, 20), hash_list(pictures), video_list([FILM]))
    assert [(match.algorithm, match.distance) for match in matches] == [("vpdq", 0), ("pdq", 5)]


def test_a_clip_of_no_usable_frame_matches_nothing() -> None:
    assert found(video_frames(FILM.hashes, 0), video_list([FILM]), hash_list(FILM.hashes)) == ()
