"""Between two people's pictures a worker keeps nothing; and of one it gives what is asked for."""

from __future__ import annotations

import io
import os
import platform
import random
import signal
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import hashmatch as hm
from conftest import IMAGES
from hashmatch.errors import WorkersError
from hashmatch.sandbox.protocol import PART_BYTES
from processes import PATIENCE
from worker_hooks import SHIFT, HookedPool
from worker_pictures import pictures

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.filterwarnings("ignore:decode workers")
GOOD = (IMAGES / "plain" / "tiles.png").read_bytes()
HAS_GLIBC = platform.libc_ver()[0] == "glibc"
PATIENT = hm.WorkerLimits(wall_seconds=2 * PATIENCE)


def animation() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGB", (90, 90), (50, 9 * number, 200)) for number in range(1, 9)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def left_by(pool: hm.DecodePool) -> str:
    """Return how many bytes of items before a probe in the worker finds."""
    with pytest.raises(hm.ImageError) as caught:
        pool.decode_image(b"!residue")
    return caught.value.reason


@pytest.mark.parametrize("frames", [False, True])
@pytest.mark.parametrize(
    "item",
    [
        pytest.param(GOOD, id="small"),
        pytest.param(pictures(1)[0], id="photograph"),
        pytest.param(pictures(1)[0][:9000], id="cut"),
        pytest.param(pictures(1)[0][:700] + bytes(9000), id="broken"),
        pytest.param(b"no picture " * 10_000, id="no picture"),
        pytest.param(GOOD + bytes([9]) * (2 * PART_BYTES + 5), id="of three parts"),
    ],
)
def test_a_probe_finds_nothing_of_the_item_before(item: bytes, frames: bool) -> None:
    with HookedPool(1, PATIENT) as pool:
        for _ in range(2):
            hm.hash_all(
                item, ["pdq"], variants="standard" if frames else "none", decode=pool.pictures
            )
            assert left_by(pool) == "0 bytes"


def test_a_probe_finds_nothing_of_a_picture_that_was_left_half_way() -> None:
    with HookedPool(1, PATIENT) as pool:
        pictures = pool.pictures(animation(), frames=True)
        assert next(pictures).pixels.any()
        pictures.close()
        assert left_by(pool) == "0 bytes"


def telling(text: bytes) -> Iterator[bytes]:
    """Yield parts of `text` that are nowhere else by chance."""
    source = random.Random(7)
    while True:
        at = source.randrange(len(text) - 16)
        if len(set(text[at : at + 16])) > 8:
            yield text[at : at + 16]


def remembered_by(pool: hm.DecodePool, *texts: bytes) -> str:
    """Return how many parts of `texts` are anywhere in the memory of the worker."""
    parts = [part for text in texts for part in islice(telling(text), 4)]
    shifted = [bytes((byte + SHIFT) % 256 for byte in part).hex() for part in parts]
    with pytest.raises(hm.ImageError) as caught:
        pool.decode_image(f"!remember {' '.join(shifted)}".encode())
    return caught.value.reason.partition(",")[0]


@pytest.mark.skipif(not HAS_GLIBC, reason="it is glibc that overwrites")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_nothing_of_the_item_before_is_anywhere_in_the_memory_of_a_worker(format: str) -> None:
    file = io.BytesIO()
    with Image.open(io.BytesIO(pictures(1)[0])) as picture:
        picture.save(file, format)
    item = file.getvalue()
    with HookedPool(1, PATIENT) as pool:
        pool.decode_image(item)
        deque(pool.pictures(item, frames=True), 0)
        worker = pool.pids[1:]
        assert remembered_by(pool, item, hm.decode_image(item).pixels.tobytes()) == "0 of 8"
        assert pool.pids[1:] == worker


def test_what_a_worker_keeps_is_found() -> None:
    kept = random.Random(8).randbytes(5000)
    with HookedPool(1, PATIENT) as pool:
        with pytest.raises(hm.ImageError, match="kept"):
            pool.decode_image(b"!keep " + kept.hex().encode())
        assert remembered_by(pool, kept) == "4 of 4"


def test_an_item_of_many_parts_is_what_it_is() -> None:
    data = (IMAGES / "plain" / "tiles.png").read_bytes()
    long = data + bytes(3 * PART_BYTES - len(data))
    with HookedPool(1, PATIENT) as pool:
        whole, padded = pool.decode_image(data), pool.decode_image(long)
        assert np.array_equal(whole.pixels, padded.pixels)
        assert os.fstat(pool._slots.all[0]._input_fd).st_size <= PART_BYTES


@pytest.mark.parametrize("item", [GOOD[:2000], b"\x89PNG\r\n\x1a\n" + bytes(99), b"!crash"])
def test_a_worker_is_replaced_after_what_is_not_sound(item: bytes) -> None:
    with HookedPool(1, hm.WorkerLimits(wall_seconds=2 * PATIENCE, tries=1)) as pool:
        pool.decode_image(GOOD)
        before = pool.pids[1:]
        pool.decode_image(GOOD)
        assert pool.pids[1:] == before
        outcome = hm.hash_all(item, ["pdq"], decode=pool.pictures)[0]
        assert outcome.damaged or outcome.outcome in {hm.Outcome.UNDECODABLE, hm.Outcome.FAILED}
        pool.decode_image(GOOD)
        assert pool.pids[1:] != before


def test_a_worker_for_each_picture() -> None:
    with HookedPool(1, hm.WorkerLimits(wall_seconds=2 * PATIENCE, items=1)) as pool:
        pids = set()
        for _ in range(3):
            pool.decode_image(GOOD)
            pids.add(pool.pids[-1])
        assert len(pids) == 3


@pytest.mark.parametrize("how", ["rising", "the same"])
def test_frames_for_ever_end_at_what_was_asked_for(how: str) -> None:
    with HookedPool(1, PATIENT) as pool:
        frames = pool.decode_frames(f"!flood {how}".encode(), 3)
        found: list[int] = []
        with pytest.raises(hm.ImageError, match="unexpected reply"):
            found.extend(frame.frame for frame in frames)
        assert found == ([0, 1, 2] if how == "rising" else [0])


def test_a_fork_server_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with HookedPool(1, PATIENT) as pool:
        server = pool.pids[0]
        pool._server._channel.settimeout(0.5)
        os.kill(server, signal.SIGSTOP)
        pool._slots.all[0].end_worker()  # the answer never comes
        assert np.array_equal(pool.decode_image(GOOD).pixels, hm.decode_image(GOOD).pixels)
        assert pool.pids[0] != server


def test_out_of_descriptors_is_an_error_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(name: str, flags: int = 0) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", none_left)
    with pytest.raises(WorkersError, match="cannot start decode workers: Too many open files"):
        HookedPool(1, PATIENT)


def test_a_disk_that_is_full_is_an_error_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    with HookedPool(1, PATIENT) as pool:

        def full(descriptor: int, data: bytes, offset: int) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            with pytest.raises(WorkersError, match="No space left on device"):
                pool.decode_image(GOOD)
        assert pool.decode_image(GOOD).pixels.any()
