"""Large pictures take turns in shared memory, however many workers there are."""

from __future__ import annotations

import io
import os
import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hashmatch as hm
import processes
from hashmatch.sandbox import room
from hashmatch.sandbox.protocol import FREE_BYTES, Job, Reply, ReplyKind
from hashmatch.sandbox.room import PixelRoom
from hashmatch.sandbox.worker import decode_job


class Slot:
    """What a room needs of a slot: memory to give back."""

    given = 0

    def give_back(self) -> None:
        self.given += 1


def in_thread(call: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=call, args=arguments, daemon=True)
    thread.start()
    return thread


def wait_in_line(place: PixelRoom, count: int) -> None:
    processes.wait_for(lambda: len(place._line) == count)


def test_what_idle_slots_keep_is_taken_the_longest_idle_first() -> None:
    place = PixelRoom(100)
    slots: list[Any] = [Slot() for _ in range(4)]
    for slot in slots[:3]:
        place.claim(slot, 30)
        place.keep(slot, 20)
    place.claim(slots[3], 50)
    assert [slot.given for slot in slots] == [1, 0, 0, 0]
    place.begin(slots[1])
    place.claim(slots[1], 15)  # it has kept more
    assert place._claims == {slots[1]: 20, slots[2]: 20, slots[3]: 50}


def test_a_large_one_waits_and_no_smaller_one_goes_before_it() -> None:
    place = PixelRoom(100)
    slots: list[Any] = [Slot() for _ in range(3)]
    first, large, small = slots
    place.claim(first, 40)
    one = in_thread(place.claim, large, 90)
    wait_in_line(place, 1)
    other = in_thread(place.claim, small, 10)
    wait_in_line(place, 2)
    place.keep(first, 20)
    one.join()
    other.join()
    assert place._claims == {large: 90, small: 10}
    assert [slot.given for slot in slots] == [1, 0, 0]


def test_two_that_keep_some_do_not_wait_for_each_other() -> None:
    place = PixelRoom(100)
    slots: list[Any] = [Slot(), Slot(), Slot()]
    for slot in slots:
        place.claim(slot, 30)
    threads = [in_thread(place.claim, slot, 90) for slot in slots[:2]]
    wait_in_line(place, 2)
    place.drop(slots[2])
    processes.wait_for(lambda: 90 in place._claims.values())
    place.drop(next(slot for slot, size in place._claims.items() if size == 90))
    for thread in threads:
        thread.join()


def test_one_larger_than_all_room_has_it_alone() -> None:
    place = PixelRoom(100)
    place.claim(Slot(), 500)


def test_whoever_waits_for_itself_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PATIENCE_SECONDS", 0.01)
    place = PixelRoom(100)
    place.claim(Slot(), 90)
    place.claim(Slot(), 90)
    monkeypatch.setattr(room, "PATIENCE_SECONDS", 1000)
    waiting = in_thread(place.claim, Slot(), 90)
    wait_in_line(place, 1)
    place.close()
    waiting.join()


def test_shared_memory_is_bounded_and_every_picture_whole() -> None:
    files = []
    for number in range(8):
        file = io.BytesIO()
        Image.effect_noise((1500, 1200 + number), 60).convert("RGB").save(file, "JPEG")
        files.append(file.getvalue())
    expected = [hm.decode_image(data).pixels.tobytes() for data in files]
    most, failed = 12 * 10**6, []
    with hm.DecodePool(workers=2) as pool:
        place = pool._slots._room
        place._most = most

        def decode(number: int) -> None:
            for picture in pool.pictures(files[number], frames=number % 2 == 0):
                if sum(place._claims.values()) > most:
                    failed.append("claims")
                blocks = (os.fstat(slot._pixels_fd).st_blocks for slot in pool._slots.all)
                if 512 * sum(blocks) > most + FREE_BYTES * len(pool._slots.all):
                    failed.append("blocks")
                if picture.pixels.tobytes() != expected[number]:
                    failed.append("pixels")

        threads = [in_thread(decode, number) for number in range(8)]
        for thread in threads:
            thread.join()
    assert not failed


def test_an_answer_larger_than_was_asked_for_loses_the_worker() -> None:
    with hm.DecodePool(workers=1) as pool:
        slot = pool._slots.all[0]
        with pytest.raises(Exception, match="unexpected reply"):
            slot._picture(Reply(ReplyKind.PICTURE, height=2000, width=2000))


def test_a_picture_alone_is_made_in_place_only_where_nobody_is_asked() -> None:
    file = io.BytesIO()
    Image.effect_noise((1500, 1200), 60).convert("RGB").save(file, "JPEG")
    shared = np.zeros(3 * 1500 * 1200, np.uint8)
    (picture,) = decode_job(file.getvalue(), Job(0), shared)
    assert not np.shares_memory(picture.pixels, shared)
    assert np.array_equal(picture.pixels, hm.decode_image(file.getvalue()).pixels)
