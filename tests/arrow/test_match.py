"""Match and Hash: a row for each row, the one that a scan would give; never an exception of one."""

from __future__ import annotations

import json
import os
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import hashmatch as hm
from arrow_batches import DEMO, SURFACE, fixtures, pictures, rows, scanned, table
from canaries import all_canaries, canaries
from drawn_shots import encoded, shots
from hashmatch.arrow import MATCHES, Hash, Match, hash_schema, process
from hashmatch.lists.vpdq_signal import write_signal
from list_stores import page
from list_stores import rows as list_rows

if TYPE_CHECKING:
    from pathlib import Path

    from hashmatch.records.enums import Level


@pytest.fixture(scope="module")
def demo() -> hm.Matcher:
    return hm.Matcher(hm.read_list(DEMO))


def test_rows_are_those_of_a_scan(demo: hm.Matcher) -> None:
    images = fixtures()
    answer = Match([DEMO], surface=SURFACE)(table(images))
    assert answer.schema == MATCHES
    assert rows(answer) == scanned(images, demo)
    found = {row["outcome"] for row in answer.to_pylist()}
    assert {"match", "no_match", "undecodable", "unsupported", "low_quality"} <= found


@pytest.mark.parametrize("variants", ["none", "standard"])
def test_hashes_match_as_their_pictures_do(variants: Level) -> None:
    images = dict(list(fixtures().items())[::9])
    hashed = Hash(["pdq", "md5"], variants=variants)(table(images))
    assert hashed.schema == hash_schema("pdq")
    match = Match([DEMO], surface=SURFACE, variants=variants)
    again, straight = match(hashed), match(table(images))
    assert rows(again) == rows(straight)
    assert again.column("matches") == straight.column("matches")


def test_more_of_a_match(tmp_path: Path) -> None:
    images = {"known.jpg": fixtures()["plain/tiles.png"], "noise": b"noise"}
    benign = tmp_path / "benign.jsonl"
    hashed = hm.hash_image(images["known.jpg"])
    benign.write_text(f'{{"hash": "{hashed.hex}", "algorithm": "pdq", "id": "a meme"}}\n')
    match = Match([DEMO], surface=SURFACE, include_hash=True, benign=[str(benign)])
    first, second = match(table(images)).to_pylist()
    assert (first["outcome"], first["reason"]) == ("suppressed", "benign")
    assert first["hash"].hex() == hashed.hex
    assert first["matches"][0]["list"] == "demo-pdq"
    assert first["match_count"] == len(first["matches"])
    assert first["snapshot"].startswith("demo-pdq@")
    assert (second["hash"], second["matches"], second["match_count"]) == (None, [], 0)


def test_whatever_kind_of_column(demo: hm.Matcher) -> None:
    images = dict(list(fixtures().items())[:6])
    match, plain = Match([DEMO], surface=SURFACE), table(images)
    expected = rows(match(plain))
    data = pa.array(list(images.values()))
    kinds: list[dict[str, Any]] = [
        {"image": data.cast(pa.large_binary())},
        {"image": data.cast(pa.binary_view())},
        {"image": data.dictionary_encode()},
        {"key": pa.array(list(images)).dictionary_encode()},
        {"key": pa.array(list(images), pa.large_string())},
        {"key": pa.array(list(images), pa.string_view())},
        {"other": [1.5] * len(images)},
    ]
    for kind in kinds:
        columns = {name: plain.column(name) for name in plain.schema.names} | kind
        assert rows(match(pa.record_batch(columns))) == expected
    chunked = pa.Table.from_batches([plain.slice(0, 2), plain.slice(2, 0), plain.slice(2)])
    answer = match(chunked)
    assert isinstance(answer, pa.Table)
    assert rows(answer) == expected
    assert rows(pa.Table.from_batches(match.map_iterator(chunked.to_batches()))) == expected


def test_a_number_is_a_key() -> None:
    batch = pa.record_batch({"key": [7], "image": [b""]})
    assert Match([DEMO], surface=SURFACE)(batch).column("key").to_pylist() == ["7"]


@pytest.mark.parametrize("empty", [table({}), pa.Table.from_batches([table({})])])
def test_an_empty_batch(empty: Any) -> None:
    answer = Match([DEMO], surface=SURFACE)(empty)
    assert (answer.num_rows, answer.schema) == (0, MATCHES)
    assert Hash()(empty).num_rows == 0


def test_what_is_wrong_with_a_row_is_said_in_it() -> None:
    batch = pa.record_batch(
        {
            "key": ["a", None, "", "c", "d"],
            "image": [None, b"x", b"x", b"x", b""],
            "surface": ["public_post", "public_post", "public_post", "e2ee_message", None],
        }
    )
    answer = Match([DEMO])(batch).to_pylist()
    assert [row["outcome"] for row in answer] == ["failed"] * 5
    assert [row["reason"] for row in answer[:3]] == [
        "its row has no image",
        *["its row has no key"] * 2,
    ]
    assert "e2ee_message" in answer[3]["reason"]
    assert answer[4]["reason"] == "its row has no surface"
    assert [row["key"] for row in answer] == ["a", None, None, "c", "d"]
    assert all(row["matches"] == [] and row["match_count"] == 0 for row in answer)
    (row,) = Match([DEMO], surface=SURFACE)(batch.slice(4)).to_pylist()
    assert (row["outcome"], row["surface"]) == ("undecodable", SURFACE)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [b"x"]}, "no column key, but image"),
        ({"key": ["a"]}, "no column image, url or hash, but key"),
        ({"key": ["a"], "image": ["text"]}, "the column image: it is of type string"),
        ({"key": [[1]], "image": [b""]}, "the column key: it is of type list"),
        ({"key": ["a"], "url": [1]}, "the column url: it is of type int64"),
        ({"key": ["a"], "hash": [1]}, "the column hash: it is of type int64"),
        ({"key": ["a"], "hash": pa.array([bytes(8)], pa.binary(8))}, "8 bytes, a pdq hash has 32"),
        ({"key": ["a"], "images": [[1]]}, "the column images: it has no algorithm"),
    ],
)
def test_a_batch_that_cannot_be_used(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(hm.UsageError, match=message):
        Match([DEMO], surface=SURFACE)(pa.record_batch(columns))


def test_what_cannot_be_asked() -> None:
    with pytest.raises(hm.UsageError, match="without a list"):
        Match([])
    with pytest.raises(hm.UsageError, match=r"Give a list, as \['known.csv'\]"):
        Match("known.csv")
    with pytest.raises(hm.UnknownSurface):
        Match([DEMO], surface="e2ee_message")
    with pytest.raises(hm.UsageError, match="unknown surface"):
        Match([DEMO])(table({"a": b""}))
    with pytest.raises(hm.UsageError, match="Give a pyarrow"):
        Match([DEMO], surface=SURFACE)([b""])
    with pytest.raises(hm.UsageError, match="no algorithm"):
        Hash([])
    with pytest.raises(hm.UsageError, match="Give a column image or url"):
        Hash()(pa.record_batch({"key": ["a"], "hash": pa.array([bytes(32)], pa.binary(32))}))
    with pytest.raises(hm.UsageError, match="vpdq: it hashes videos"):
        Hash(["pdq", "vpdq"])
    twice = pa.RecordBatch.from_arrays([pa.array(["a"])] * 2, ["key", "key"])
    with pytest.raises(hm.UsageError, match="the column key twice"):
        Match([DEMO], surface=SURFACE)(twice)


def test_hashes_of_another_plan_are_refused() -> None:
    hashed = Hash(variants="orientations")(table({"a": fixtures()["plain/tiles.png"]}))
    with pytest.raises(hm.UsageError, match="variants=orientations min_quality=default"):
        Match([DEMO], surface=SURFACE)(hashed)


def test_plain_hashes() -> None:
    known = hm.read_list(DEMO)
    data = [bytes.fromhex(text) for text in known.hashes.to_hex()[:2]]
    batch = pa.record_batch(
        {
            "key": ["a", "b", "c", "d"],
            "hash": pa.array([data[0], data[1], None, bytes(32)], pa.binary(32)),
            "quality": [100, 3, 100, None],
        }
    )
    answer = Match([DEMO], surface=SURFACE)(batch).to_pylist()
    assert [row["outcome"] for row in answer] == ["match", "low_quality", "failed", "no_match"]
    assert answer[0]["matches"][0]["distance"] == 0
    assert answer[2]["reason"] == "its row has no hash"
    odd = pa.record_batch({"key": ["a"], "hash": pa.array([b"short"], pa.binary())})
    (row,) = Match([DEMO], surface=SURFACE)(odd).to_pylist()
    assert (row["outcome"], row["reason"]) == ("failed", "its hash has 5 bytes, not 32")


def test_no_hash_is_pickled(tmp_path: Path) -> None:
    lines = [{"hash": value.hex(), "algorithm": "pdq"} for value in canaries("pdq", 50)]
    known = page(tmp_path, lines)
    match = Match([known], surface=SURFACE)
    match(table({"a": b""}))  # opened, and pickled after that
    sent = pickle.dumps(match)
    for said in (sent, repr(match)):
        assert all_canaries().find(said) == []
    assert len(sent) < 2000
    assert pickle.loads(sent) == match


def test_threads_share_what_a_process_opens(demo: hm.Matcher) -> None:
    images = pictures(60)
    match = Match([DEMO], surface=SURFACE, workers=2)
    parts = [dict(list(images.items())[at : at + 6]) for at in range(0, 60, 6)]
    before = threading.active_count()
    with ThreadPoolExecutor(5) as threads:
        found = [row for part in threads.map(match, map(table, parts)) for row in rows(part)]
    assert found == scanned(images, demo)
    assert process.threads(2) is process.threads(2)
    assert threading.active_count() <= before + 2


def test_a_fork_opens_its_own(demo: hm.Matcher) -> None:
    images = {"a": fixtures()["plain/tiles.png"]}
    match = Match([DEMO], surface=SURFACE, workers=1)
    expected = rows(match(table(images)))
    ends = os.pipe()
    child = os.fork()
    if not child:  # what fails there is seen here, by what was not written
        os.write(ends[1], b"same" if rows(match(table(images))) == expected else b"else")
        os._exit(0)
    os.close(ends[1])
    with open(ends[0], "rb") as said:
        assert said.read() == b"same"
    os.waitpid(child, 0)


def test_a_list_that_changes_is_opened_anew(tmp_path: Path) -> None:
    known = page(tmp_path, list_rows(3))
    match = Match([known], surface=SURFACE)
    (first,) = match(table({"a": fixtures()["plain/tiles.png"]})).to_pylist()
    shown = hm.hash_image(fixtures()["plain/tiles.png"]).hex
    page(tmp_path, [*list_rows(3), {"hash": shown, "algorithm": "pdq", "id": "new"}])
    (second,) = match(table({"a": fixtures()["plain/tiles.png"]})).to_pylist()
    assert (first["outcome"], second["outcome"]) == ("no_match", "match")
    assert first["snapshot"] != second["snapshot"]


def test_disabled_entries_are_left_out(tmp_path: Path) -> None:
    data = fixtures()["plain/tiles.png"]
    (before,) = Match([DEMO], surface=SURFACE)(table({"a": data})).to_pylist()
    lines = [
        f'{{"list": "demo-pdq", "entry": "{each["entry"]}", "reason": "meme", "by": "ana"}}\n'
        for each in before["matches"]
    ]
    (tmp_path / "disabled.jsonl").write_text("".join(lines))
    match = Match([DEMO], surface=SURFACE, disabled=str(tmp_path / "disabled.jsonl"))
    (after,) = match(table({"a": data})).to_pylist()
    assert (before["outcome"], after["outcome"]) == ("match", "no_match")
    assert after["snapshot"] != before["snapshot"]


def test_an_index_of_a_list_file_is_kept_and_shared(tmp_path: Path) -> None:
    folder = tmp_path / "indexes"
    folder.mkdir(mode=0o700)
    images = dict(list(fixtures().items())[:5])
    cached = Match([DEMO], surface=SURFACE, index_cache=str(folder))
    assert rows(cached(table(images))) == rows(Match([DEMO], surface=SURFACE)(table(images)))
    (path,) = folder.glob("*.index")
    made = path.stat()
    again = Match([DEMO], surface=SURFACE, index_cache=str(folder), max_matches=99)
    again(table(images))
    assert path.stat().st_mtime_ns == made.st_mtime_ns
    path.write_bytes(b"damaged")
    anew = Match([DEMO], surface=SURFACE, index_cache=str(folder), max_matches=98)
    assert rows(anew(table({}))) == []
    assert path.stat().st_size == made.st_size


def test_only_what_a_list_update_adds(tmp_path: Path) -> None:
    store = hm.ListStore(tmp_path / "store")
    images = pictures(30)
    hexes = {key: hm.hash_image(data).hex for key, data in images.items() if len(data) > 2000
             and hm.hash_image(data).outcome == "hashed"}  # fmt: skip
    old, new = list(hexes.items())[:5], list(hexes.items())[5:8]

    def lines(some: list[tuple[str, str]]) -> list[dict[str, Any]]:
        return [{"hash": text, "algorithm": "pdq", "id": key} for key, text in some]

    store.import_files([page(tmp_path, lines(old))])
    full = Match([store.path], surface=SURFACE)
    hashed = Hash()(table(images))
    before = full(hashed)
    store.update_files([page(tmp_path, lines(new))], hm.Change(accept=("size-change",)))
    added = Match([store.path], surface=SURFACE, since=1)(hashed)
    after = full(hashed)
    told = {row["key"] for row in before.to_pylist() if row["record"]}
    everything = {row["key"] for row in after.to_pylist() if row["record"]}
    assert {key for key, _ in new} <= {row["key"] for row in added.to_pylist()}
    assert {row["key"] for row in added.to_pylist()} | told == everything
    by_key = {row["key"]: row for row in rows(after)}
    assert all(row == by_key[row["key"]] for row in rows(added))
    assert Match([store.path], surface=SURFACE, since=2)(hashed).num_rows == 0
    plain = hashed.select(["key", "version", "hash", "quality"])
    again = Match([store.path], surface=SURFACE, since=1)(plain)
    assert again.column("key") == added.column("key")
    straight = Match([store.path], surface=SURFACE, since=1)(table(images))
    assert rows(straight) == rows(added)
    with pytest.raises(hm.UsageError, match="variants=none"):
        Match([store.path], surface=SURFACE, since=2, variants="standard")(hashed)
    with pytest.raises(hm.UsageError, match="not a list store"):
        Match([DEMO], surface=SURFACE, since=1)(hashed)


def test_cores_are_those_that_the_engine_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    assert process.cores() == len(os.sched_getaffinity(0))
    for engine, given, cores in (("ray", 3.0, 3), ("ray", 0.5, 1), ("spark", 2, 2), ("dask", 4, 4)):
        with monkeypatch.context() as patch:
            patch.setattr(process, f"_of_{engine}", lambda given=given: given)
            assert process.cores() == cores


@pytest.fixture(scope="module")
def clips() -> dict[str, bytes]:
    """A known clip, a part of it, another, one that is cut off, and a picture that is known."""
    known = encoded(shots(1, 6))
    return {
        "known.mp4": known,
        "part.mp4": encoded(shots(1, 6)[20:80]),
        "other.mp4": encoded(shots(2, 3)),
        "cut.mp4": known[: len(known) // 2],
        "tiles.png": fixtures()["plain/tiles.png"],
        "noise": b"noise",
    }


@pytest.fixture(scope="module")
def known_clips(tmp_path_factory: pytest.TempPathFactory, clips: dict[str, bytes]) -> str:
    frames = hm.hash_video(clips["known.mp4"]).frames
    assert frames is not None
    path = tmp_path_factory.mktemp("clips") / "clips.json"
    path.write_text(json.dumps({"known": json.loads(write_signal(frames))}))
    return f"vpdq={path}"


def test_clips_are_rows_of_a_scan(clips: dict[str, bytes], known_clips: str) -> None:
    match = Match([DEMO, known_clips], surface=SURFACE)
    answer = match(table(clips))
    known = hm.read_list(known_clips.removeprefix("vpdq="), algorithm="vpdq")
    assert rows(answer) == scanned(clips, hm.Matcher(hm.read_list(DEMO), known))
    first, part, other, _, picture_, noise = answer.to_pylist()
    assert [row["outcome"] for row in (first, part, other, picture_, noise)] == [
        "match", "match", "no_match", "match", "unsupported",
    ]  # fmt: skip
    assert first["matches"][0]["video"]["entry_share"] == 1.0
    assert part["matches"][0]["video"]["segments"][0]["frames"] >= 1
    assert other["algorithm"] == "vpdq"
    assert picture_["matches"][0]["video"] is None


def test_clips_by_thresholds_of_ones_own(clips: dict[str, bytes], known_clips: str) -> None:
    strict = hm.VideoThresholds(query_share=1.0, entry_share=1.0, segment_seconds=1e6)
    match = Match([known_clips], surface=SURFACE, every=1.0, video_thresholds=strict)
    match = pickle.loads(pickle.dumps(match))
    (other,) = match(table({"other.mp4": clips["other.mp4"]})).to_pylist()
    assert other["outcome"] == "no_match"
    (whole,) = match(table({"known.mp4": clips["known.mp4"]})).to_pylist()
    assert whole["matches"][0]["video"]["found_by"] == ["query_share", "entry_share"]
    assert json.loads(whole["record"])["item"]["every"] == 1.0


def test_clips_near_what_was_added(tmp_path: Path, clips: dict[str, bytes]) -> None:
    store = hm.ListStore(tmp_path / "store")
    lines = {}
    for name in ("other", "known"):
        frames = hm.hash_video(clips[f"{name}.mp4"]).frames
        assert frames is not None
        lines[name] = {"id": name, "algorithm": "vpdq", "hash": write_signal(frames)}
    store.import_files([page(tmp_path, [lines["other"]])])
    store.update_files([page(tmp_path, [lines["known"]])], hm.Change(accept=("size-change",)))
    match = Match([f"vpdq={store.path}"], surface=SURFACE, since=1)
    answer = match(table({name: clips[name] for name in ("other.mp4", "part.mp4", "known.mp4")}))
    assert answer.column("key").to_pylist() == ["part.mp4", "known.mp4"]
