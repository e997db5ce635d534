"""Workers that crash, hang, bloat, lie or are killed, and what that costs: tries of one item."""

from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest

import hashmatch as hm
from conftest import IMAGES
from hashmatch.decode.limits import most_decoded_pixels
from hashmatch.sandbox.protocol import Reply, ReplyKind
from hashmatch.sandbox.slot import WorkerLost, WorkerSlot
from processes import PATIENCE, Process, wait_for
from worker_hooks import HookedPool

GOOD = (IMAGES / "plain" / "tiles.png").read_bytes()
QUICK = hm.WorkerLimits(cpu_seconds=0.2, wall_seconds=0.6)


# A pool that waited for these to pass would make its test fail, and a busy machine does not.
PATIENT = hm.WorkerLimits(wall_seconds=2 * PATIENCE)


def hooked(workers: int = 1, limits: hm.WorkerLimits = PATIENT) -> hm.DecodePool:
    return HookedPool(workers, limits)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def gone(pid: int) -> bool:
    """Return whether a process has ended; one that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until_gone(pids: list[int]) -> None:
    wait_for(lambda: all(map(gone, pids)))


def is_busy(pid: int) -> bool:
    """Return whether a process has used a tenth of a second of a processor by now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) >= os.sysconf("SC_CLK_TCK") // 10


DEADLOCKED = "decoder deadlocked: all threads asleep and no CPU progress"


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (b"!crash", "the decoder ended by SIGSEGV, in each of 3 tries"),
        (b"!spin", "decoding took more than 0.2 s of processor time"),
        (b"!nap", "decoding took more than 0.6 s"),
        (
            b"!sleep",
            "decoder deadlocked: all threads asleep and no CPU progress, in each of 3 tries",
        ),
        (b"!bloat", "decoding took more than 896 MiB of memory"),
        (b"!leave", "the decoder ended, in each of 3 tries"),
    ],
)
def test_a_lost_worker_costs_its_item_a_try(item: bytes, reason: str) -> None:
    limits = QUICK
    if item in {b"!bloat", b"!spin"}:  # which a busy machine lets take their time
        limits = hm.WorkerLimits(cpu_seconds=2.0 if item == b"!bloat" else 0.2)
    with hooked(limits=limits) as pool:
        with pytest.raises(hm.ImageError) as caught:
            pool.decode_image(item)
        assert caught.value.outcome is hm.Outcome.FAILED
        assert caught.value.reason == reason
        # What an item takes is the same in each try.
        assert len(pool.exits) == (3 if "tries" in reason else 1)
        assert pool.decode_image(GOOD).media_type == "image/png"
        hashed = hm.hash_all(item, ["pdq", "sha256"], decode=pool.pictures)
        assert [one.outcome.value for one in hashed] == ["failed", "hashed"]


@pytest.mark.parametrize(
    "message",
    [
        b"\x09" * 40,
        b"\x01",
        Reply(ReplyKind.PICTURE, height=2**31, width=2**31).packed(),
        Reply(ReplyKind.PICTURE, height=1, width=most_decoded_pixels() + 1).packed(),
        Reply(ReplyKind.PICTURE, height=0, width=7).packed(),
        Reply(ReplyKind.READY).packed(),
        b"\x03\xff" + bytes(30),
    ],
)
def test_what_a_worker_says_is_not_believed(message: bytes) -> None:
    with hooked(limits=replace(PATIENT, tries=1)) as pool:
        with pytest.raises(hm.ImageError, match="ed reply from decode worker") as caught:
            pool.decode_image(b"!babble " + message.hex().encode())
        assert caught.value.outcome is hm.Outcome.FAILED
        assert pool.decode_image(GOOD).frame == 0


def test_a_lost_worker_is_logged_without_its_item(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "hashmatch.sandbox")
    with hooked(limits=hm.WorkerLimits(tries=2)) as pool:
        with pytest.raises(hm.ImageError):
            pool.decode_image(b"!crash SECRET")
        pool.decode_image(GOOD)
        os.kill(pool.pids[0], signal.SIGKILL)
        wait_until_gone(pool.pids)
        pool.decode_image(GOOD)
    started, *lost = [record for record in caplog.records if record.name == "hashmatch.sandbox"]
    assert started.levelno == logging.INFO
    assert started.getMessage() == f"decode pool started: workers=1, layers={pool.report}"
    assert {record.levelno for record in lost} <= {logging.WARNING}
    lines = [record.getMessage() for record in lost if "not confined" not in record.getMessage()]
    assert lines == [
        "decode worker lost, try 1 of 2: the decoder ended by SIGSEGV",
        "decode worker lost, try 2 of 2: the decoder ended by SIGSEGV",
        "decode worker lost, try 1 of 2: the decoder ended by SIGKILL",
        "fork server lost, and every decode worker with it",
    ]
    assert "SECRET" not in caplog.text


def test_nothing_is_logged_to_stderr_unless_the_host_wants_it() -> None:
    handlers = logging.getLogger("hashmatch.sandbox").handlers
    assert any(isinstance(one, logging.NullHandler) for one in handlers)


def test_a_reason_is_one_printable_line() -> None:
    reply = Reply(ReplyKind.ERROR, reason="a\x1b[2Jb\nc" + "d" * 5000)
    assert Reply.unpacked(reply.packed()).reason.startswith("a�[2Jb cddd")
    assert len(Reply.unpacked(reply.packed()).reason) <= 1000


def test_frames_that_were_given_are_not_given_again() -> None:
    with hooked() as pool:
        pictures = pool.pictures(b"!then_crash", frames=True)
        assert next(pictures).pixels.shape == (1, 1, 3)
        with pytest.raises(hm.ImageError, match="SIGSEGV, in each of 3 tries"):
            next(pictures)


def test_an_iterator_that_is_left_leaves_its_worker_in_order() -> None:
    animated = (IMAGES / "modes" / "animated.gif").read_bytes()
    with hooked() as pool:
        pids = pool.pids
        with closing(pool.pictures(animated, frames=True)) as pictures:
            next(pictures)
        assert len(list(pool.decode_frames(animated))) == 3
        assert pool.pids == pids


def test_workers_that_iterators_hold_are_taken_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Iterators that are neither closed nor asked for more hold every worker that there can be."""
    monkeypatch.setattr("hashmatch.sandbox.pool.HELD_SECONDS", 0.0)
    animated = (IMAGES / "modes" / "animated.gif").read_bytes()
    with hooked() as pool:
        layers, before = pool.layers, descriptors()
        held = [pool.pictures(animated, frames=True) for _ in range(12)]
        seen = [next(pictures) for pictures in held]
        kept = seen[0].pixels.copy()
        assert all((picture.pixels == kept).all() for picture in seen)
        assert pool.decode_image(GOOD).media_type == "image/png"
        assert all((picture.pixels == kept).all() for picture in seen)
        taken = [one for one in caplog.messages if "taken back: held by an iterator" in one]
        assert len(taken) == 12 + 1 - 5
        assert len(pool.exits) == len(taken)
        refused = 0
        for pictures in held:
            try:
                assert len(list(pictures)) == 3  # what others read in the first, and two more
            except hm.WorkersError as error:
                refused += "nothing was asked of this iterator" in str(error)
        assert refused == len(taken)
        assert len(list(pool.decode_frames(animated))) == 3
        assert pool.layers == layers
        del seen, held, pictures
        assert descriptors() <= before + 4  # of workers that there were not before
        assert len(pool.pids) <= 1 + 5


def test_a_worker_that_decodes_is_not_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashmatch.sandbox.pool.HELD_SECONDS", 0.0)
    with hooked() as pool, ThreadPoolExecutor(5) as threads:
        slow = [threads.submit(pool.decode_image, b"!nap") for _ in range(5)]
        wait_for(lambda: len(pool.pids) == 1 + len(slow))
        assert not pool._slots._take_back()
        assert not any(one.done() for one in slow)
        assert not pool.exits
        pool.close()


def test_a_killed_worker_is_replaced() -> None:
    with hooked() as pool:
        seen = set(pool.pids)
        for _ in range(5):
            os.kill(pool.pids[1], signal.SIGKILL)
            pool.decode_image(GOOD)
            seen |= set(pool.pids)
        assert len(pool.exits) == 5
        assert len(seen) == 7


def test_a_killed_fork_server_is_replaced() -> None:
    with hooked(workers=2) as pool:
        before = pool.pids
        os.kill(before[0], signal.SIGKILL)
        wait_until_gone(before[1:])
        for _ in pool.pictures(GOOD):  # while this slot is busy, the other is asked
            pool.decode_image(GOOD)
        assert not set(before) & set(pool.pids)


def test_slow_slots_do_not_hold_up_others() -> None:
    """Four items that never end, and one worker at a time."""
    with hooked() as pool, ThreadPoolExecutor(4) as threads:
        slow = [threads.submit(pool.decode_image, b"!nap") for _ in range(4)]
        wait_for(lambda: len(pool.pids) >= 1 + len(slow))
        assert pool.decode_image(GOOD).media_type == "image/png"
        assert not any(one.done() for one in slow)
        pool.close()
        assert all(isinstance(one.exception(), hm.WorkersError) for one in slow)


def test_a_worker_serves_so_many_items() -> None:
    with hooked(limits=hm.WorkerLimits(items=2)) as pool:
        first = pool.pids
        pool.decode_image(GOOD)
        pool.decode_image(GOOD)
        assert pool.pids == first
        pool.decode_image(GOOD)
        assert pool.pids[0] == first[0]
        assert pool.pids[1] != first[1]


def test_nothing_is_left_behind() -> None:
    with hooked() as pool:
        pool.decode_image(GOOD)
    gc.collect()
    before = descriptors()
    pids = []
    for _ in range(3):
        with hooked(workers=2) as pool:
            pids += pool.pids
            with pytest.raises(hm.ImageError):
                pool.decode_image(b"!crash")
    with suppress(KeyError), hooked() as pool:
        pids += pool.pids
        raise KeyError
    pool = hooked()
    pids += pool.pids
    pool.close()
    pool.close()
    forgotten = hooked()
    pids += forgotten.pids
    del forgotten
    gc.collect()
    wait_until_gone(pids)
    assert descriptors() == before


def test_closing_tells_who_waits() -> None:
    pool = hooked()
    errors: list[Exception] = []

    def asks() -> None:
        try:
            pool.decode_image(b"!nap")
        except hm.WorkersError as error:
            errors.append(error)

    threads = [threading.Thread(target=asks) for _ in range(3)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(pool._slots._busy) > 0)
    pool.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(errors) == 3
    with pytest.raises(hm.WorkersError, match="closed"):
        pool.decode_image(GOOD)


HOST = """
import hashmatch as hm, signal, sys, threading, warnings
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
warnings.simplefilter("ignore")
sys.path.insert(0, "tests")
from processes import PATIENCE, Process, wait_for
from worker_hooks import HookedPool
pool = HookedPool(2, hm.WorkerLimits(cpu_seconds=60))
for item in (b"!spin", b"!nap"):
    threading.Thread(target=pool.decode_image, args=(item,), daemon=True).start()
print(*pool.pids, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_the_one_it_is_of(number: int) -> None:
    host = Process(
        [sys.executable, "-c", HOST],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with host:
        assert host.stdout is not None
        pids = [int(word) for word in host.stdout.readline().split()]
        assert len(pids) == 3
        wait_for(lambda: any(map(is_busy, pids[1:])))
        host.send_signal(number)
        host.wait(PATIENCE)
        wait_until_gone(pids)


def test_a_pool_is_of_one_process() -> None:
    with hooked() as pool:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                pool.decode_image(GOOD)
            except hm.WorkersError:
                pool.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        assert pool.decode_image(GOOD).frame == 0


def test_workers_that_cannot_be_started_are_one_clear_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(hm.WorkersError, match="cannot start decode workers: ModuleNotFoundError"):
        NoPool(1)
    with monkeypatch.context() as patched:
        patched.setattr(WorkerSlot, "_receive", ends_early)
        with pytest.raises(hm.WorkersError, match="before they are ready"):
            hm.DecodePool(1)
    monkeypatch.setattr(sys, "executable", "/nothing/there")
    with pytest.raises(hm.WorkersError, match="No such file"):
        hm.DecodePool(1)


class NoPool(hm.DecodePool):
    _decoder = "no_such_module:decode"


def ends_early(slot: WorkerSlot, *_: object) -> None:
    slot.end_worker()
    raise WorkerLost
