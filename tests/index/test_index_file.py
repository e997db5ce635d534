"""The index file: what is written is read, and whatever else a file may be is refused."""

from __future__ import annotations

import copy
import fcntl
import os
import pickle
import re
import struct
import sys
import time
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from hashmatch._files import block_format
from hashmatch._files.block_format import Description, Segment
from hashmatch._files.block_reader import open_blocks
from hashmatch._files.block_writer import write
from hashmatch.errors import HashesAreOpaque, IndexFileError, UsageError
from hashmatch.records.hashes import HashSpec
from index_files import PAGE, aged, header_of, laid_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = list[tuple[str, NDArray[Any]]]

WORDS = np.arange(24, dtype=np.uint64).reshape(6, 4) * 0x0123456789ABCDEF
ARRAYS: Arrays = [
    ("words", WORDS),
    ("starts", np.arange(1500, dtype=np.uint32)),  # more than a page
    ("none", np.empty((0, 4), np.int8)),
    ("rows", np.array([5, 1, 2], np.int64)),
]
DESCRIPTION = Description(
    spec=HashSpec("pdq", 256),
    snapshot="demo/17",
    decode_policy="rgb/2",
    hashmatch="0.1.0",
    segments=(Segment(31, {"words": "words", "rows": "rows"}, {"bands": 4, "cost": 0.5}),),
    facts={"made for": "a test"},
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "demo.index", DESCRIPTION, ARRAYS)
    return tmp_path / "demo.index"


def assert_holds(path: Path, arrays: Arrays, *, check: bool = True) -> None:
    opened = open_blocks(path, check=check)
    assert list(opened.blocks) == [name for name, _ in arrays]
    for name, array in arrays:
        got = opened.blocks[name]
        assert got.dtype == array.dtype
        np.testing.assert_array_equal(got, array)
        assert got.shape == array.shape
        assert not got.flags.writeable
        assert got.flags.c_contiguous
        assert got.ctypes.data % PAGE == 0
    opened.check_unchanged()


@pytest.mark.parametrize("check", [True, False])
def test_what_is_written_is_read(path: Path, check: bool) -> None:
    assert_holds(path, ARRAYS, check=check)
    opened = open_blocks(path, check=check)
    assert msgspec.structs.replace(opened.description, blocks=()) == DESCRIPTION
    assert opened.description.segments[0].facts == {"bands": 4, "cost": 0.5}


DTYPES = st.sampled_from(block_format.DTYPES)
SHAPES = st.one_of(
    st.tuples(st.sampled_from([0, 1, 2, 3, 63, 64, 511, 512, 513, 4095, 4096, 4097])),
    st.tuples(st.integers(0, 70), st.integers(0, 70)),
)


@given(st.lists(st.tuples(DTYPES, SHAPES), max_size=6), st.integers(0, 2**32 - 1))
def test_any_arrays_come_back(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[tuple[str, tuple[int, ...]]], seed: int
) -> None:
    random = np.random.default_rng(seed)
    arrays: Arrays = []
    for number, (dtype, shape) in enumerate(kinds):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        values = np.frombuffer(random.bytes(size), dtype).reshape(shape)
        arrays.append((f"block {number}", values))
    path = tmp_path_factory.getbasetemp() / "any.index"
    write(path, msgspec.structs.replace(DESCRIPTION, segments=()), arrays)
    aged(path)
    assert_holds(path, arrays)


def test_a_long_header_moves_the_blocks(tmp_path: Path) -> None:
    arrays: Arrays = [(f"block {i}", np.full(3, i, np.uint16)) for i in range(300)]
    write(tmp_path / "a", msgspec.structs.replace(DESCRIPTION, segments=()), arrays)
    assert_holds(tmp_path / "a", arrays)


def bytes_read() -> int:
    """How many bytes this process has asked to be read so far, as Linux counts them."""
    return int(re.findall(r"rchar: (\d+)", Path("/proc/self/io").read_text())[0])


def bytes_mapped(path: Path) -> int:
    """How much of a file is in this process's memory."""
    _, _, ours = Path("/proc/self/smaps").read_text().partition(f"{path}\n")
    return 1024 * int(re.findall(r"^Rss: +(\d+) kB", ours, re.MULTILINE)[0])


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="what is counted is Linux's")
def test_opening_unchecked_reads_no_more_of_a_large_file(path: Path) -> None:
    header, length = header_of(path), 1 << 36
    block = header["blocks"][1] | {"offset": PAGE, "length": length, "shape": [length // 4]}
    path.write_bytes(laid_out(header | {"blocks": [block], "segments": []}))
    os.truncate(path, PAGE + length)  # 64 GiB that take no room on the disk
    aged(path)
    before = bytes_read()
    opened = open_blocks(path, check=False)
    assert bytes_read() - before + bytes_mapped(path) < 1 << 20
    assert opened.blocks["starts"][-1] == 0
    opened.check_unchanged()


def test_the_bytes_are_those_documented(path: Path) -> None:
    data, header = path.read_bytes(), header_of(path)
    assert len(data) % PAGE == 0
    rebuilt = laid_out(header)
    for block, (name, array) in zip(header["blocks"], ARRAYS, strict=True):
        assert block["name"] == name
        assert block["offset"] == len(rebuilt)
        assert block["length"] == array.nbytes
        filled = array.tobytes() + bytes(-array.nbytes % PAGE)
        assert block["checksum"] == f"{xxhash.xxh3_64_intdigest(filled):016x}"
        rebuilt += filled
    # As another language may write it: json.dumps puts blanks elsewhere.
    path.write_bytes(rebuilt)
    assert_holds(path, ARRAYS)
    assert header["spec"] == {"algorithm": "pdq", "bits": 256}


def refusal(path: Path, *, check: bool = True) -> str:
    with pytest.raises(IndexFileError) as caught:
        open_blocks(path, check=check)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("check", [True, False])
def test_what_is_no_index_file_is_named(path: Path, tmp_path: Path, check: bool) -> None:
    assert "does not exist" in refusal(tmp_path / "absent", check=check)
    assert "is a folder" in refusal(tmp_path, check=check)
    os.mkfifo(tmp_path / "pipe")
    assert "no ordinary file" in refusal(tmp_path / "pipe", check=check)
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot read" in refusal(tmp_path / "loop", check=check)
    with pytest.raises(IndexFileError, match="null"):
        open_blocks("a\0b", check=check)
    other = tmp_path / "other"
    for content, said in [
        (b"", "is empty"),
        (b"\x89HM", "is truncated: it has 3 bytes"),
        (b"hash,label\n", "is not an index file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(5000), "is not an index file"),
        (b"\x89HMINDEX\x02\0\0\0" + bytes(5000), "of format 2.*reads format 1"),
    ]:
        other.write_bytes(content)
        with pytest.raises(IndexFileError, match=said):
            open_blocks(other, check=check)
    if os.geteuid():
        path.chmod(0)
        assert "Permission denied" in refusal(path, check=check)


@pytest.mark.parametrize("check", [True, False])
def test_every_truncation_is_refused(path: Path, check: bool) -> None:
    data = path.read_bytes()
    lengths = {1, 7, 8, 15, 16, 17, 4095, *range(PAGE, len(data), 512), len(data) - 1}
    for length in sorted(lengths):
        path.write_bytes(data[:length])
        aged(path)
        assert f"truncated: it has {length} bytes of" in refusal(path, check=check)
    path.write_bytes(data + b"\0")
    assert f"{len(data) + 1} bytes, and {len(data)} belong" in refusal(path, check=check)


def test_every_flipped_bit_is_refused(tmp_path: Path) -> None:
    path, small = tmp_path / "small", msgspec.structs.replace(DESCRIPTION, segments=())
    write(path, small, [("words", WORDS[:1])])
    data, stamp = path.read_bytes(), time.time_ns() - 10**9
    assert len(data) == 2 * PAGE
    with path.open("r+b", buffering=0) as file:
        for at, bit in product(range(len(data)), range(8)):
            os.pwrite(file.fileno(), bytes([data[at] ^ 1 << bit]), at)
            os.utime(path, ns=(0, stamp))
            with pytest.raises(IndexFileError):
                open_blocks(path, check=at >= PAGE)  # the header is checked in any case
            os.pwrite(file.fileno(), data[at : at + 1], at)
    assert_holds(path, [("words", WORDS[:1])])


def test_the_damaged_block_is_named(path: Path) -> None:
    at = header_of(path)["blocks"][1]["offset"] + 4321
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff")
    assert "damaged in block starts: a bit changed on the disk" in refusal(path)
    opened = open_blocks(path, check=False)
    with pytest.raises(IndexFileError, match="block starts"):
        opened.verify()


HUGE = st.sampled_from([-1, 0, 1, 7, PAGE, 2**31, 2**32, 2**40, 2**63, 2**64, 10**400, 0.5, None])
JUNK = st.recursive(
    st.none() | st.booleans() | HUGE | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
PLACES = st.sampled_from(["blocks", "segments", "spec", "facts", "snapshot", "more"])
MEMBERS = st.sampled_from(["name", "dtype", "shape", "offset", "length", "checksum", "more"])


@given(
    st.data(),
    st.sampled_from(["float64", "object", "O", "V8", ">u8", "<u8", "uint64", "U3", "bool", "\n"]),
)
def test_a_hostile_header_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, dtype: str
) -> None:
    original = tmp_path_factory.getbasetemp() / "original.index"
    if not original.exists():
        write(original, DESCRIPTION, ARRAYS)
    path = tmp_path_factory.getbasetemp() / "hostile.index"
    header, blocks = header_of(original), original.read_bytes()[PAGE:]
    for _ in range(data.draw(st.integers(1, 3))):
        block = data.draw(st.sampled_from(header["blocks"]))
        shapes = st.lists(HUGE, max_size=3) | st.just([2**40, 0]) | st.just([0, 2**40])
        block[data.draw(MEMBERS)] = data.draw(HUGE | shapes | st.just(dtype) | JUNK)
    if data.draw(st.booleans()):
        header[data.draw(PLACES)] = data.draw(JUNK)
    path.write_bytes(laid_out(header, blocks))
    aged(path)
    for check in (True, False):
        with suppress(IndexFileError):
            opened = open_blocks(path, check=check)
            for block in opened.blocks.values():
                block.sum()


@given(st.binary(max_size=300))
def test_a_header_of_any_bytes_is_refused(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.index"
    path.write_bytes(laid_out(text))
    aged(path)
    assert "makes no sense" in refusal(path)


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 60_000,
        b'{"facts":' * 20_000,
        b'{"spec":{"x":' + b"[" * 50_000,
        b'{"snapshot":' + b"9" * 9000 + b"}",
        b"NaN",
        b'{"facts":{"a":NaN}}',
        b'{"facts":{"a":1e999}}',
        b'\xff\xfe{"a":1}',
        b"{}",
    ],
    ids=lambda text: text[:14].decode(errors="replace"),
)
def test_odd_json_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "odd").write_bytes(laid_out(text))
    assert "makes no sense" in refusal(tmp_path / "odd")


@pytest.mark.parametrize("length", [0, 1, 4072, 4073, 2**24 - 24 + PAGE, 2**32 - 24, 2**32 - 1])
def test_a_header_of_any_length_is_refused(path: Path, length: int) -> None:
    data = bytearray(path.read_bytes())
    data[12:16] = struct.pack("<I", length)
    if length != header_length(path):
        path.write_bytes(data)
        assert "damaged in its header" in refusal(path) or "truncated" in refusal(path)


def header_length(path: Path) -> int:
    length: int = struct.unpack_from("<I", path.read_bytes(), 12)[0]
    return length


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(3, np.float64),
        np.zeros(3, ">u8"),
        np.zeros(3, object),
        np.zeros((2, 2, 2), np.uint8),
        np.array(3, np.uint8),
        np.zeros((4, 4), np.uint8)[:, :2],
        np.zeros(3, bool),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_arrays_that_a_file_cannot_hold(path: Path, array: NDArray[Any]) -> None:
    before = path.read_bytes()
    with pytest.raises(UsageError, match="cannot write block odd"):
        write(path, DESCRIPTION, [("odd", array)])
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"facts": {"a": float("nan")}},
        {"facts": {"a": [1]}},
        {"snapshot": "\ud800"},
        {"segments": (Segment(1, {"words": "absent"}),)},
        {"hashmatch": None},
    ],
    ids=str,
)
def test_descriptions_that_a_file_cannot_hold(tmp_path: Path, change: dict[str, Any]) -> None:
    odd = msgspec.structs.replace(DESCRIPTION, **change)
    with pytest.raises(UsageError, match="cannot write that description"):
        write(tmp_path / "a", odd, ARRAYS)
    with pytest.raises(UsageError, match="two blocks of one name"):
        write(tmp_path / "a", DESCRIPTION, [*ARRAYS, ARRAYS[0]])
    assert os.listdir(tmp_path) == []


def test_a_file_is_private_and_nothing_else_is_left(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    write(path, DESCRIPTION, ARRAYS[:1] + ARRAYS[3:])
    assert os.listdir(path.parent) == [path.name]
    assert_holds(path, ARRAYS[:1] + ARRAYS[3:])


def test_a_failed_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    for call in ("pwrite", "fsync", "replace", "ftruncate"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            with pytest.raises(IndexFileError, match=r"cannot write .*demo.index: No space"):
                write(path, DESCRIPTION, [("words", WORDS), ("rows", WORDS[0])])
        assert os.listdir(path.parent) == [path.name]
        assert_holds(path, ARRAYS)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place, said in [
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe", "no ordinary file"),
        (tmp_path / "absent" / "a", "No such file"),
        (tmp_path / ("n" * 250), "too long"),
        (tmp_path / "a\0b", "null"),
    ]:
        with pytest.raises(IndexFileError, match=said):
            write(place, DESCRIPTION, ARRAYS)
    assert os.listdir(tmp_path) == ["pipe"]


def test_what_dead_writers_left_is_removed(path: Path) -> None:
    folder = path.parent
    dead, alive = (folder / f".demo.index.{digit * 16}.part" for digit in "ab")
    others = [folder / name for name in (".demo.index.part", f".other.{'a' * 16}.part")]
    for file in (dead, alive, *others):
        file.write_bytes(b"half")
    with alive.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(IndexFileError, match="it is being written by another process"):
            write(path, DESCRIPTION, ARRAYS[::-1])
        assert sorted(folder.iterdir()) == sorted([alive, path, *others])
        assert_holds(path, ARRAYS)
    write(path, DESCRIPTION, ARRAYS)
    assert sorted(folder.iterdir()) == sorted([path, *others])


def test_an_open_file_is_opaque(path: Path) -> None:
    opened = open_blocks(path)
    assert repr(opened) == f"<MappedFile pdq (256 bits), 4 blocks, {path.stat().st_size:,} bytes>"
    with pytest.raises(HashesAreOpaque):
        pickle.dumps(opened)
    assert copy.deepcopy(opened) is opened
    with pytest.raises(TypeError):
        opened.blocks["words"] = WORDS  # type: ignore[index]
    with pytest.raises(ValueError, match="WRITEABLE"):
        opened.blocks["words"].flags.writeable = True


def test_a_big_endian_machine_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "byteorder", "big")
    with pytest.raises(IndexFileError, match="this machine is big-endian"):
        open_blocks(path)
    with pytest.raises(IndexFileError, match="this machine is big-endian"):
        write(path, DESCRIPTION, ARRAYS)


def test_a_file_changed_while_it_is_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(_: float) -> None:
        with path.open("r+b") as file:
            file.truncate(PAGE)

    monkeypatch.setattr(time, "sleep", meanwhile)
    os.utime(path)
    assert "is being written at this moment" in refusal(path)
