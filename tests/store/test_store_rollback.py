"""Marks never sink: not by old versions, damage, two writers at once, or a kill in between."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.errors import StoreError, UntrustedList, UsageError
from hashmatch.store.manifest import HIGHEST
from hashmatch.store.rollback import FURTHEST, PLACE, UNSIGNED, Marks, advance, check, place, read
from hashmatch.store.signing import GRACE, check_fresh
from processes import Process

A, B, C = ("a" * 16, "b" * 16, "c" * 16)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store" / "marks.json")


def test_rollback(path: str) -> None:
    assert read(path) == Marks()
    for version in (1, 2, 5, 3):
        advance(path, version, [A], now=NOW)
    assert read(path) == Marks({A: 5, UNSIGNED: 5}, NOW)
    assert os.stat(path).st_mode & 0o777 == 0o600
    for keys in ([A], [], [A, B]):
        for version in (5, 6):
            check(read(path), version, keys)
        with pytest.raises(UntrustedList, match="version 4: it is older than version 5"):
            check(read(path), 4, keys)


def test_an_old_version_by_a_key_that_signs_no_more(path: str) -> None:
    """A signed up to version 3, then B: raised for both, as both are trusted."""
    advance(path, 3, [A])
    advance(path, 20, [A, B])
    with pytest.raises(UntrustedList, match="older than version 20"):
        check(read(path), 3, [A])


def test_fast_forward(path: str) -> None:
    """Who steals a key signs a version of a high number; a new key goes on from the true one."""
    advance(path, 17, [A])
    for far in (17 + FURTHEST + 1, HIGHEST, 2**63):
        with pytest.raises(UntrustedList, match="is more than 1,000,000 ahead of version 17"):
            check(read(path), far, [A])
        with pytest.raises(UntrustedList, match="is more than 1,000,000 ahead"):
            advance(path, far, [A])
    advance(path, 17 + FURTHEST, [A])
    with pytest.raises(UntrustedList, match="older than"):
        check(read(path), 18, [A])
    check(read(path), 18, [B])
    advance(path, 18, [B])
    with pytest.raises(UntrustedList, match="older than version 18"):
        check(read(path), 17, [B])


def test_the_version_before_a_damaged_one_may_serve(path: str) -> None:
    advance(path, 5, [A])
    check(read(path), 4, [A], behind=1)
    with pytest.raises(UntrustedList, match="version 3: it is older than version 5"):
        check(read(path), 3, [A], behind=1)
    assert advance(path, 4, [A]).versions[A] == 5


versions = st.integers(1, 50)
steps = st.lists(st.tuples(versions, st.sets(st.sampled_from([A, B, C]))), max_size=12)


@given(steps)
def test_marks_are_the_highest_of_each_key(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, set[str]]]
) -> None:
    path = str(tmp_path_factory.mktemp("marks") / "marks.json")
    expected: dict[str, int] = {}
    for version, keys in steps:
        for key in keys | {UNSIGNED}:
            expected[key] = max(expected.get(key, 0), version)
        assert advance(path, version, keys).versions == expected
    assert read(path).versions == expected
    for key in (A, B, C):
        for version in range(1, 51):
            if version < expected.get(key, 0):
                with pytest.raises(UntrustedList):
                    check(read(path), version, [key])
            else:
                check(read(path), version, [key])


def test_every_bit_flipped_and_every_truncation(path: str) -> None:
    """Damage is told of, and does not let an older version in."""
    advance(path, 5, [A], now=NOW)
    good = Path(path).read_bytes()
    harmed = [good[:end] for end in range(len(good))] + [good + b" ", b"[" * 50_000]
    for place_ in range(len(good) * 8):
        flipped = bytearray(good)
        flipped[place_ // 8] ^= 1 << place_ % 8
        harmed.append(bytes(flipped))
    for data in harmed:
        # A new file: what is written over an old one goes to the disk at once on some systems.
        os.remove(path)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(data)
        damaged = read(path)
        assert damaged == Marks(damage=damaged.damage)
        assert damaged.damage == (
            f"{path} is damaged: which versions were used is not known from it"
        )
        with pytest.raises(UntrustedList, match="version 4: it is older than version 5"):
            check(damaged, 4, [A], floor=5)
        check(damaged, 5, [A], floor=5)
    assert advance(path, 4, [A], floor=5) == read(path)
    assert read(path).versions == {A: 5, UNSIGNED: 5}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"sha256"', b'"schema":"hashmatch.marks/1","sha256"'),
        (b":5", b":5.0"),
        (b":5", b":NaN"),
        (b":5", b":-5"),
        (b'"used":"2026', b'"used":"1926'),
        (A.encode(), b"a" * 15),
    ],
)
def test_other_ways_to_say_it_are_damage(path: str, old: bytes, new: bytes) -> None:
    advance(path, 5, [A], now=NOW)
    data = Path(path).read_bytes()
    assert old in data
    Path(path).write_bytes(data.replace(old, new, 1))
    assert read(path).damage


def test_what_is_no_version_and_no_key(path: str) -> None:
    for version, key in ((0, A), (-1, A), (5, "A" * 16), (5, A + "\n"), (5, "x")):
        with pytest.raises(UsageError, match="cannot write the marks"):
            advance(path, version, [key])
    assert read(path) == Marks()


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o666])
def test_marks_that_others_can_touch(path: str, mode: int) -> None:
    advance(path, 5, [A])
    os.chmod(path, mode)
    with pytest.raises(StoreError, match="by others"):
        read(path)
    with pytest.raises(StoreError, match="by others"):
        advance(path, 6, [A])
    if not mode & 0o022:
        assert read(path, allow_readable=True).versions[A] == 5
    os.remove(path)
    os.symlink("/dev/null", path)
    with pytest.raises(StoreError, match="is a link"):
        read(path)


def test_where_marks_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = str(tmp_path / "a b"), str(tmp_path / "deeper" / "a b")
    monkeypatch.delenv(PLACE, raising=False)
    assert place(store) == f"{store}/marks.json"
    monkeypatch.setenv(PLACE, str(tmp_path / "marks"))
    assert place(store).startswith(f"{tmp_path}/marks/a_b-")
    assert place(store) == place(store + "/") != place(other)
    advance(place(store), 3, [])
    assert read(place(store)).versions == {UNSIGNED: 3}


RAISING = """
    import sys
    from hashmatch.store.rollback import advance
    path, key, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    for version in range(first, last):
        advance(path, version, [key])
        print(version, flush=True)
"""


def raising(path: str, key: str, first: int, last: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", dedent(RAISING), path, key, str(first), str(last)]
    return Process(command, stdout=subprocess.PIPE, text=True)


def test_writers_at_once_are_all_heard(path: str) -> None:
    """Each writes all marks: without the lock, the later one would take back the other's."""
    with raising(path, A, 1, 150) as one, raising(path, B, 1, 140) as two:
        seen = {A: 0, B: 0, UNSIGNED: 0}
        while one.poll() is None or two.poll() is None:
            now = read(path)
            assert now.damage is None
            for key, before in seen.items():
                assert now.versions.get(key, 0) >= before
                seen[key] = now.versions.get(key, 0)
            time.sleep(0.001)
    assert (one.returncode, two.returncode) == (0, 0)
    assert read(path).versions == {A: 149, B: 139, UNSIGNED: 149}


def test_killed_at_any_moment_no_mark_sinks(path: str) -> None:
    """What it said was noted is there, nothing is half, and the next one is not locked out."""
    rng = random.Random(5)
    reached = 0
    for _ in range(12):
        with raising(path, A, reached + 1, reached + 100_000) as writer:
            assert writer.stdout is not None
            said = [writer.stdout.readline()]
            time.sleep(rng.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
            said += writer.stdout.read().splitlines()
        told = max(int(line) for line in said if line.strip())
        now = read(path)
        assert now.damage is None
        assert now.versions[A] in {told, told + 1}
        assert now.versions[A] > reached
        reached = now.versions[A]
    advance(path, reached + 1, [A])
    assert sorted(os.listdir(os.path.dirname(path))) == ["marks.json", "marks.json.lock"]


def test_freeze() -> None:
    """An old list is served for ever: its signatures are right, its age is not."""
    assert check_fresh(Marks(), None, now=NOW) is None
    assert check_fresh(Marks(), NOW, now=NOW) is None
    warned = check_fresh(Marks(), NOW, now=NOW + DAY)
    assert warned == "the list has expired at 2026-01-01 00:00 UTC; update it by 2026-01-08"
    assert check_fresh(Marks(), NOW, now=NOW + GRACE)
    with pytest.raises(UntrustedList, match="has expired at 2026-01-01 00:00 UTC, longer ago than"):
        check_fresh(Marks(), NOW, now=NOW + GRACE + timedelta(seconds=1))
    with pytest.raises(UntrustedList, match=r"longer ago than allowed. Update it"):
        check_fresh(Marks(), NOW, now=NOW + DAY, grace=timedelta(0))


def test_a_clock_that_was_set_back(path: str) -> None:
    for moment in (NOW + 30 * DAY, NOW):
        advance(path, 1, [], now=moment)
    assert read(path).used == NOW + 30 * DAY
    with pytest.raises(UntrustedList, match="the clock is behind: the list was last used at 2026"):
        check_fresh(read(path), NOW + DAY, now=NOW)


def test_the_form_is_fixed(path: str) -> None:
    advance(path, 5, [A], now=NOW)
    document = json.loads(Path(path).read_bytes())
    checksum = document["sha256"]
    assert document | {"sha256": ""} == {
        "name": None,
        "schema": "hashmatch.marks/1",
        "sha256": "",
        "used": "2026-01-01T00:00:00Z",
        "versions": {A: 5, UNSIGNED: 5},
    }
    plain = json.dumps(document | {"sha256": ""}, sort_keys=True, separators=(",", ":"))
    assert checksum == hashlib.sha256(plain.encode()).hexdigest()
