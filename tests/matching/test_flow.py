"""One way of a picture through the house: read once, planned once, decided in one place."""

from __future__ import annotations

import io
import os
import sys
import tracemalloc
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL
import pytest
from PIL import Image

import hashmatch as hm
from hashmatch import registry
from hashmatch.decode import LoadedImage, inputs, load
from hashmatch.hashing import hash_image as hashing
from hashmatch.matching import indexed_list
from hashmatch.records.entries import Entries
from hashmatch.records.review import RecordMatch
from hashmatch.testing import flipped, hash_list, picture, random_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

JIT = not os.environ.get("NUMBA_DISABLE_JIT")
PDQ, MD5 = hm.HashSpec("pdq", 256), hm.HashSpec("md5", 128)
OURS, PILLOW = str(Path(hm.__file__).parent), str(Path(PIL.__file__).parent)
ITEM = hm.ImageItem("user/42", "1", hm.Surface.PROFILE_PHOTO)


def png(seed: int = 1) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(seed)).save(file, "PNG")
    return file.getvalue()


DATA = png()


def functions(call: Callable[[], object], folder: str = OURS) -> set[CodeType]:
    """Return the Python functions below a folder that a call passes through, in this thread.

    Numba tells the profiler of compiled kernels too, with a frame that has no module's globals.
    """
    seen: set[CodeType] = set()

    def profile(frame: FrameType, event: str, _: object) -> None:
        is_python = event == "call" and "__name__" in frame.f_globals
        if is_python and frame.f_code.co_filename.startswith(folder):
            seen.add(frame.f_code)

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return seen


def modules(codes: set[CodeType]) -> set[str]:
    return {code.co_filename for code in codes}


def check(matcher: hm.Matcher, image: Any) -> hm.ReviewRecord | hm.ItemOutcome:
    return matcher.check(image, surface="public_post", item_id="a")


@pytest.mark.skipif(not JIT, reason="kernels are functions too")
@pytest.mark.parametrize("count", [1_000, 100_000])  # searched at every entry, and by tables
def test_a_check_passes_through_few_functions(count: int) -> None:
    matcher = hm.Matcher(hash_list(random_hashes(PDQ, count, seed=3)))
    for _ in range(2):  # what is done once is done then
        assert check(matcher, DATA).outcome is hm.Outcome.NO_MATCH
    passed = functions(lambda: check(matcher, DATA))
    names = sorted(f"{Path(code.co_filename).stem}.{code.co_qualname}" for code in passed)
    assert len(passed) <= 60, names  # it was 104
    assert len(modules(passed)) <= 20, names  # it was 33


class CountingFile(io.BytesIO):
    """A file object that counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.given = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.given += len(data)
        return data


@pytest.fixture
def inputs_of_one(tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "a.png"
    path.write_bytes(DATA)
    return {
        "path": path,
        "text": str(path),
        "bytes": DATA,
        "bytearray": bytearray(DATA),
        "memoryview": memoryview(DATA),
        "file object": CountingFile(DATA),
        "Pillow image": Image.open(io.BytesIO(DATA)),
        "array": picture(1),
    }


def test_every_kind_of_input_gives_the_same_hash(inputs_of_one: dict[str, Any]) -> None:
    matcher = hm.Matcher(hash_list(flipped(hm.hash_image(DATA).hashes, 4, seed=1)))
    records = {kind: check(matcher, image) for kind, image in inputs_of_one.items()}
    hashes = {kind: hm.hash_image(image).hex for kind, image in inputs_of_one.items()}
    assert len(set(hashes.values())) == 1
    versions = {kind: record.item.version for kind, record in records.items()}  # type: ignore[union-attr]
    assert len({versions.pop(kind) for kind in ("Pillow image", "array")}) <= 2
    assert set(versions.values()) == {load(DATA).version}
    assert {record.matches for record in records.values()} == {records["path"].matches}  # type: ignore[union-attr]


WAYS: dict[str, Callable[[Any], object]] = {
    "hash_image": hm.hash_image,
    "hash_all": lambda image: hm.hash_all(image, ["pdq", "phash", "md5"], variants="standard"),
    "decode_image": hm.decode_image,
    "decode_frames": lambda image: list(hm.decode_frames(image)),
    "check": lambda image: check(hm.Matcher(hash_list(random_hashes(PDQ, 3, seed=3))), image),
    "hash": lambda image: hm.Matcher(hash_list(random_hashes(MD5, 3, seed=3))).hash(image, "a"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_is_read_once(
    way: Callable[[Any], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = CountingFile(DATA)
    way(file)
    assert file.given == len(DATA)
    path = tmp_path / "a.png"
    path.write_bytes(DATA)
    read: list[Path] = []
    actual = inputs.read_file

    def read_file(path: Path) -> bytes:
        read.append(path)
        return actual(path)

    monkeypatch.setattr(inputs, "read_file", read_file)
    way(path)
    assert read == [path]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_is_loaded_is_not_loaded_again(
    way: Callable[[Any], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load(CountingFile(DATA), "a")
    expected = repr(way(DATA))
    monkeypatch.setattr(inputs, "_file_bytes", None)
    assert repr(way(loaded)).replace("'a'", "'<bytes>'") == expected.replace("'a'", "'<bytes>'")


def test_bytes_are_not_copied_and_what_can_change_is_once() -> None:
    assert load(DATA).data is DATA
    pixels = picture(1)
    assert load(pixels).pixels is pixels
    large = bytearray(b"no picture" * 2**20)
    matcher = hm.Matcher(hash_list(random_hashes(PDQ, 3, seed=3)))
    for image in (large, memoryview(large)):
        check(matcher, image)
        tracemalloc.start()
        assert check(matcher, image).outcome is hm.Outcome.UNSUPPORTED
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(large) <= most < 1.5 * len(large)


def test_loading_says_what_it_is() -> None:
    loaded = load(DATA, "post/1")
    assert (loaded.name, loaded.data, loaded.pixels, loaded.error) == ("post/1", DATA, None, None)
    assert load(loaded) is loaded
    again = load(loaded, "post/2")
    assert (again.name, again.data) == ("post/2", DATA)
    assert "PNG" not in repr(loaded)
    missing = load("missing.png")
    assert isinstance(missing, LoadedImage)
    assert missing.error is not None
    assert (missing.error.outcome, missing.version) == (hm.Outcome.FAILED, "unread")
    matcher = hm.Matcher(hash_list(random_hashes(PDQ, 3, seed=3)))
    result = check(matcher, missing)
    assert (result.outcome, result.version) == (hm.Outcome.FAILED, "unread")  # type: ignore[union-attr]
    with pytest.raises(hm.ImageError, match="cannot be read"):
        hm.decode_image(missing)
    with pytest.raises(hm.UsageError, match="Give a path, bytes"):
        load(7)  # type: ignore[arg-type]


def test_a_plan_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    benign = hash_list(random_hashes(MD5, 3, seed=4), "good")
    matcher = hm.Matcher(hash_list(random_hashes(PDQ, 3, seed=3)), benign=benign)
    with monkeypatch.context() as without:
        without.setattr(registry, "hasher", None)
        without.setattr(hashing, "HashPlan", None)
        assert matcher.algorithms == ("pdq", "md5")
        assert check(matcher, DATA).outcome is hm.Outcome.NO_MATCH
    with pytest.raises(hm.UsageError, match=r"as variants. Give one of"):
        hm.Matcher(benign, variants="every")  # type: ignore[arg-type]


def test_matches_of_check_and_scan_are_decided_in_one_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decided: list[str] = []
    actual = hm.Matcher.decide

    def decide(self: hm.Matcher, item: hm.ImageItem, hashed: Any) -> Any:
        decided.append(item.key)
        return actual(self, item, hashed)

    monkeypatch.setattr(hm.Matcher, "decide", decide)
    matcher = hm.Matcher(hash_list(hm.hash_image(DATA).hashes))
    check(matcher, DATA)
    for name in ("b.png", "c.png"):
        (tmp_path / name).write_bytes(DATA)
    assert len(list(hm.scan_source(tmp_path, matcher, surface="public_post"))) == 2
    assert decided == ["a", "b.png", "c.png"]


PICTURES: dict[str, Any] = {
    "far": DATA,
    "near": png(2),
    "flat": np.zeros((99, 99, 3), np.uint8),
    "small": np.asarray(picture(1)[:20]),
    "broken": b"\xff\xd8\xff",
}


@pytest.mark.parametrize("variants", ["none", "orientations", "standard"])
@pytest.mark.parametrize("also", ["", "dhash", "md5"])
def test_what_is_near_no_entry_is_looked_up_once(
    variants: Any, also: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = [hash_list(hm.hash_image(PICTURES["near"]).hashes)]
    if also:  # which has the picture that no other list has, and a flat one
        other = hm.HashBatch.concatenate([
            hm.hash_image(PICTURES[name], also).hashes
            for name in ("far", "flat")
            if also != "md5" or isinstance(PICTURES[name], bytes)
        ])  # fmt: skip
        lists.append(hash_list(other, "other"))
    benign = hash_list(random_hashes(PDQ, 3, seed=6), "good")
    matcher = hm.Matcher(*lists, variants=variants, benign=benign)
    for name, image in PICTURES.items():
        if also == "md5" and not isinstance(image, bytes):
            continue
        item = hm.ImageItem(name, "1", hm.Surface.PUBLIC_POST)
        decided = matcher.decide(item, matcher.hash(image, name))
        made = matcher.hash_to_decide(image, item)
        results = [
            matcher.check(image, surface="public_post", item_id=name, version="1"),
            made if isinstance(made, hm.ItemOutcome) else matcher.decide(item, made),
        ]
        for result in results:
            if isinstance(decided, hm.ReviewRecord):
                assert isinstance(result, hm.ReviewRecord)
                assert replace(result, created_at=decided.created_at) == decided
            else:
                assert result == decided
    with monkeypatch.context() as without:
        without.setattr(matcher._lookup, "find_any", None)
        if not also and variants != "standard":  # of which there are many hashes
            assert check(matcher, DATA).outcome is hm.Outcome.NO_MATCH


def test_an_entry_is_fetched_once_a_hit_and_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = hm.HashedImage("a", PDQ, hm.Outcome.HASHED, random_hashes(PDQ, 1, seed=1), quality=90)
    copies = hm.HashBatch(PDQ, np.repeat(asked.hashes.words, 9, axis=0))
    lists = [
        hm.HashList(name, "1", PDQ, copies, [hm.Entry(max_distance=n) for n in range(9)])
        for name in ("one", "other")
    ]
    matcher = hm.Matcher(*lists, max_matches=5)
    counts: Counter[str] = Counter()
    fetch = Entries.__getitem__

    def fetched(self: Entries, row: Any) -> Any:
        counts["fetched"] += 1
        return fetch(self, row)

    def named(**fields: Any) -> Any:
        counts["named"] += 1
        return RecordMatch(**fields)

    monkeypatch.setattr(Entries, "__getitem__", fetched)
    monkeypatch.setattr(indexed_list, "RecordMatch", named)
    found = matcher.decide(ITEM, [asked])
    assert isinstance(found, hm.ReviewRecord)
    assert (len(found.matches), found.match_count) == (5, 18)
    assert counts == {"fetched": 5, "named": 5}
    (each,) = matcher.look_up(asked.hashes)
    assert [m.entry for m in each.matches] == [m.entry for m in found.matches]
    assert counts == {"fetched": 10, "named": 10}


@pytest.fixture(scope="module")
def pool() -> Iterator[hm.DecodePool]:
    with hm.DecodePool(workers=1) as pool:
        yield pool


def test_with_a_pool_this_process_parses_no_bytes(pool: hm.DecodePool) -> None:
    known = hash_list(flipped(hm.hash_image(DATA).hashes, 4, seed=1))
    here = hm.Matcher(known)
    expected = check(here, DATA)
    assert isinstance(expected, hm.ReviewRecord)
    for matcher in (hm.Matcher(known, decode=pool), hm.Matcher(known, decode=pool.pictures)):
        record = check(matcher, DATA)
        assert isinstance(record, hm.ReviewRecord)
        assert (record.matches, record.hash) == (expected.matches, expected.hash)
        parsing = functions(partial(check, matcher, DATA), PILLOW)
        ours = functions(partial(check, matcher, DATA))
        assert not modules(parsing)
        of_decode = {code for code in ours if "decode" in Path(code.co_filename).parts}
        others = {code.co_name for code in of_decode if Path(code.co_filename).stem != "inputs"}
        assert others <= {"check_bytes"}  # no more than their number
        assert check(matcher, DATA[:30]).outcome is check(here, DATA[:30]).outcome
        with pytest.raises(hm.UsageError, match="cannot decode an open image in a worker"):
            check(matcher, Image.open(io.BytesIO(DATA)))
    assert modules(functions(partial(check, here, DATA), PILLOW))  # it would have been seen


def test_a_scan_decodes_with_the_matchers_pool_or_its_own(
    pool: hm.DecodePool, tmp_path: Path
) -> None:
    (tmp_path / "a.png").write_bytes(DATA)
    given: list[bytes | None] = []

    def counted(image: Any, frames: bool) -> Any:
        given.append(load(image).data)
        return pool.pictures(image, frames)

    known = hash_list(random_hashes(PDQ, 3, seed=3))
    for matcher, decode in [
        (hm.Matcher(known, decode=counted), None),
        (hm.Matcher(known), counted),
        (hm.Matcher(known, decode=pool), counted),
    ]:
        given.clear()
        (result,) = hm.scan_source(
            tmp_path, matcher, surface="public_post", options=hm.ScanOptions(decode=decode)
        )
        assert (result.outcome, given) == (hm.Outcome.NO_MATCH, [DATA])
    with pytest.raises(hm.UsageError, match=r"cannot decode with int. Give a hashmatch.DecodePool"):
        hm.Matcher(known, decode=3)  # type: ignore[arg-type]
