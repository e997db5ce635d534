"""Lists of videos: each form that tools write, one entry a video, and what is written again."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashmatch as hm
from hashmatch import registry
from hashmatch.interfaces import ListOptions
from hashmatch.lists.degenerate import REASONS
from hashmatch.lists.vpdq_signal import FORMS, parse_signal, write_signal
from hashmatch.records.hashes import HashBatch
from hashmatch.records.video_columns import COLUMNS, VIDEO_SPEC, Videos, joined, video_key
from hashmatch.records.videos import FRAME_SPEC, VideoFrames
from hashmatch.testing import random_hashes
from video_lists import drawn_video, signal_of

if TYPE_CHECKING:
    from pathlib import Path

BLACK = "0" * 64


def read(text: str, **options: str) -> hm.ListFile:
    format = hm.ListFormat(**options)  # type: ignore[arg-type]
    return hm.read_list_file(io.BytesIO(text.encode()), format, name="clips")


def videos_of(file: hm.ListFile) -> list[tuple[str | None, list[int], list[float], list[str]]]:
    """Return the id, and the numbers, times and hashes of the frames, of each video, in order."""
    (known,) = file.lists
    assert known.videos is not None
    rows = known.videos.rows(known.hashes.words)
    found = []
    for row, entry in zip(rows.tolist(), known.entries, strict=True):
        video = known.videos[row]
        numbers, times = video.frames.tolist(), video.times.tolist()
        found.append((entry.external_id, numbers, times, video.hashes.to_hex()))
    return found


A, B = drawn_video(1, 3), drawn_video(2, 2)
HEX = A.hashes.to_hex(), B.hashes.to_hex()


def lines(video: VideoFrames) -> str:
    return write_signal(video, "text") + "\n"


def test_one_entry_is_one_video_in_every_form() -> None:
    counted = [0, 1, 2]
    for text, numbers in (
        (lines(A), A.frames.tolist()),
        ("frame,quality,hash,timestamp\n" + lines(A), A.frames.tolist()),
        (write_signal(A), counted),
        (write_signal(A, "by-frame"), A.frames.tolist()),
        (json.dumps(json.loads(write_signal(A)), indent=1), counted),
    ):
        file = read(text)
        assert (file.format, file.types, file.rejected) == ("vpdq", {"vpdq": 1}, ())
        assert videos_of(file) == [(None, numbers, A.times.tolist(), HEX[0])]


def test_several_videos_in_one_file() -> None:
    both = [(None, HEX[0]), (None, HEX[1])]
    named = [("a b", HEX[0]), ("c", HEX[1])]
    one, two = write_signal(A), write_signal(B)
    for text, expected in (
        (lines(A) + lines(B), both),  # numbers of frames start over
        (lines(A) + "frame,quality,hash,timestamp\n" + lines(B), both),
        (f"# id: a b\n{lines(A)}# ID:c\n{lines(B)}", named),
        (f"{one}\n{two}\n", both),
        (f"[{one}, {two}]", both),
        (json.dumps([one, two]), both),
        (f'{{"a b": {one}, "c": {write_signal(B, "by-frame")}}}', named),
    ):
        file = read(text)
        assert file.format == "vpdq", text[:40]
        assert [(name, hashes) for name, _, _, hashes in videos_of(file)] == expected
        assert not file.rejected


def test_rows_of_other_formats_that_are_vpdq() -> None:
    row = {"id": "7", "indicator": write_signal(A), "type": "HASH_VPDQ", "last_updated": 1}
    row |= {"descriptors": {"data": [{"id": "1", "owner": {"id": "9"}}]}}
    quoted = write_signal(A).replace('"', '""')
    for text in (
        json.dumps({"data": [row]}),
        f'signal_type,signal_str,id\nvpdq,"{quoted}",7\n',
        json.dumps({"hash": write_signal(A), "algorithm": "vpdq", "id": "7"}),
    ):
        ((name, _, _, hashes),) = videos_of(read(text))
        assert (name, hashes) == ("7", HEX[0])


def test_what_the_command_hash_prints_is_a_list() -> None:
    frames = [
        {"frame": int(n), "time": float(time), "quality": int(quality), "hash": text}
        for n, time, quality, text in zip(A.frames, A.times, A.quality, HEX[0], strict=True)
    ]
    printed = {"item": "a.mp4", "algorithm": "vpdq", "outcome": "hashed", "frames": frames}
    assert videos_of(read(json.dumps(printed)))[0][1:] == (
        A.frames.tolist(),
        A.times.tolist(),
        HEX[0],
    )


def test_frames_are_pictures_where_that_is_asked_for_by_name() -> None:
    file = read(lines(A) + lines(B), reader="vpdq-frames")
    assert file.types == {"pdq": 5}
    assert file.lists[0].hashes.to_hex() == [*HEX[0], *HEX[1]]
    assert [entry.quality for entry in file.lists[0].entries] == [100] * 5


@pytest.mark.parametrize(
    ("signal", "reason"),
    [
        ("x", "the signal is not JSON, as a vPDQ signal is"),
        ("7", "the signal is no array of frames, as a vPDQ signal is"),
        ("[]", "a video has no frame"),
        ('["00"]', "frame 1: 1 fields, a frame has 3"),
        (f'["{HEX[0][0]},100,0.0", "{HEX[0][1]},101,0.0"]', "frame 2: quality is not 0 to 100"),
        (f'["{HEX[0][0][:-1]},100,0.0"]', "frame 1: 63 hex digits, a pdq hash has 64"),
        (f'["{HEX[0][0]},100,-1"]', "frame 1: timestamp is not a number of seconds"),
        ("[7]", "frame 1: a frame is neither text nor an object"),
        ('{"0": {"quality": 1}}', "frame 1: a frame has no hash"),
        (
            f'[{{"frame": 3, "quality": 1, "hash": "{HEX[0][0]}"}}, '
            f'{{"frame": 3, "quality": 1, "hash": "{HEX[0][0]}"}}]',
            "frame 3 is there twice",
        ),
    ],
)
def test_what_is_no_signal_is_rejected_with_its_reason(signal: str, reason: str) -> None:
    line = {"hash": signal, "algorithm": "vpdq", "id": "7"}
    good = {"hash": write_signal(B), "algorithm": "vpdq", "id": "8"}
    file = read(f"{json.dumps(line)}\n{json.dumps(good)}\n")
    assert file.rejected == (hm.RejectedRow(1, reason),)
    assert file.types == {"vpdq": 1}


def test_a_bad_frame_costs_itself_alone() -> None:
    bad = lines(A).replace(HEX[0][1], HEX[0][1][1:])
    file = read(bad)
    assert file.rejected == (hm.RejectedRow(2, "63 hex digits, a pdq hash has 64"),)
    assert [hashes for *_, hashes in videos_of(file)] == [[HEX[0][0], HEX[0][2]]]


def test_frames_that_match_too_much_are_set_aside_and_videos_of_nothing_else_left_out() -> None:
    black = signal_of([(0, 100, BLACK, 0.0), (30, 100, HEX[0][0], 1.0)])
    nothing = signal_of([(0, 100, BLACK, 0.0), (30, 49, HEX[0][0], 1.0)])
    file = read(f"{black}\n{nothing}\n")
    (known,) = file.lists
    assert known.videos is not None
    (row,) = known.videos.rows(known.hashes.words).tolist()
    begin = int(known.videos.ends[row])
    aside = known.videos.set_aside[begin : begin + 2].tolist()
    assert [REASONS[code] for code in aside] == ["all zero", ""]
    assert file.quarantined == {"vpdq": {"no frame to go by": 1}}
    assert "frames that match too much are set aside, all zero: 2" in file.warnings


def test_statements_about_one_video_are_about_one_entry() -> None:
    said = [
        {"id": "1", "algorithm": "vpdq", "hash": write_signal(A), "updated": "2024-01-01"},
        {"id": "1", "algorithm": "vpdq", "hash": write_signal(A), "updated": "2024-01-02"},
        {"id": "2", "algorithm": "vpdq", "hash": write_signal(B)},
        {"id": "2", "algorithm": "vpdq", "hash": write_signal(B), "status": "withdrawn"},
    ]
    file = read("\n".join(map(json.dumps, said)))
    assert file.types == {"vpdq": 1}
    assert (file.rows["withdrawn"], file.rows["superseded"]) == (1, 1)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 100),
            st.integers(0, 2**36).map(lambda number: number / 1000),
            st.binary(min_size=32, max_size=32),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_each_form_is_read_as_it_was_written(rows: list[tuple[int, float, bytes]]) -> None:
    video = VideoFrames(
        np.arange(len(rows)),
        np.array([time for _, time, _ in rows]),
        np.array([quality for quality, _, _ in rows], np.uint8),
        HashBatch.from_bytes(FRAME_SPEC, b"".join(value for *_, value in rows)),
    )
    for form in FORMS:
        text = write_signal(video, form)
        if form == "text":
            (row,) = registry.list_reader("vpdq").rows(io.BytesIO(text.encode()), ListOptions())
            assert isinstance(row, hm.interfaces.ListRow)
            text = row.hash
        assert video_key(parse_signal(text)) == video_key(video)


@pytest.mark.reveals
@pytest.mark.parametrize("form", ["jsonl", "vpdq-json", "vpdq-text", "vpdq-by-frame"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_list_that_is_written_is_the_list_that_was_read(
    tmp_path: Path, form: str, count: int
) -> None:
    given = {"a": write_signal(A, "by-frame"), "b": write_signal(B, "by-frame")}
    lines = [
        json.dumps({"id": name, "algorithm": "vpdq", "hash": text, "labels": ["X"]})
        for name, text in list(given.items())[:count]
    ]
    known = read("\n".join(lines)).choose()
    assert hm.write_list(known, tmp_path / "out", form, reveal_hashes=True) == count
    again = hm.read_list(tmp_path / "out", "vpdq", name=known.name)
    keeps_numbers = form != "vpdq-json"
    assert (again.hashes == known.hashes) == keeps_numbers
    if count > 1 or form == "jsonl":
        assert [e.external_id for e in again.entries] == [e.external_id for e in known.entries]


def test_videos_are_not_written_as_pictures_nor_pictures_as_videos(tmp_path: Path) -> None:
    known = read(lines(A)).choose()
    with pytest.raises(hm.UsageError, match=r"as pdq-text: it is of pictures. Give jsonl"):
        hm.write_list(known, tmp_path / "out", "pdq-text", reveal_hashes=True)
    pictures = read(lines(A), reader="vpdq-frames").choose()
    with pytest.raises(hm.UsageError, match=r"as vpdq-json: it is of videos. Give jsonl"):
        hm.write_list(pictures, tmp_path / "out", "vpdq-json", reveal_hashes=True)


def test_columns_of_videos() -> None:
    both, again = Videos.of([A, B, A]), joined([Videos.of([B]), Videos.of([A, B])])
    assert len(both) == 2
    for name in COLUMNS:
        assert np.array_equal(getattr(both, name), getattr(again, name))
    keys = HashBatch.from_bytes(VIDEO_SPEC, video_key(B) + video_key(A) + video_key(B))
    found = [both[row].hashes.to_hex() for row in both.rows(keys.words).tolist()]
    assert found == [HEX[1], HEX[0], HEX[1]]
    only = both.of_keys(keys[:1].words)
    assert (len(only), only[0].hashes) == (1, B.hashes)
    with pytest.raises(hm.UsageError, match="cannot find the frames of a video"):
        only.rows(keys[1:2].words)
    with pytest.raises(hm.UsageError, match="cannot use these columns as videos"):
        Videos(both.keys, both.ends[::-1].copy(), *both.columns()[2:])
    with pytest.raises(hm.UsageError, match="its videos have no frames"):
        hm.HashList("l", "1", VIDEO_SPEC, random_hashes(VIDEO_SPEC, 1, seed=1), (hm.Entry("a"),))
