"""What a worker may not do: tried inside one, each way by itself."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from hashmatch.sandbox import confinement, seccomp
from hashmatch.sandbox.layers import Layers, describe
from worker_hooks import PROBES, HookedPool

if TYPE_CHECKING:
    from collections.abc import Iterator

HELD = {errno.EPERM, errno.EACCES, errno.EMFILE}
ALWAYS = {"open for reading", "open for writing", "connect"}
"""What resource limits alone refuse, where the kernel has nothing else."""


@pytest.fixture(scope="module")
def pool() -> Iterator[hm.DecodePool]:
    with HookedPool(workers=1) as pool:
        yield pool


@pytest.mark.parametrize("name", PROBES)
def test_what_no_worker_may_do_fails(pool: hm.DecodePool, name: str) -> None:
    if Layers.SECCOMP not in pool.layers and name not in ALWAYS:
        pytest.skip(f"this kernel or container offers {pool.report}")
    pid = pool.pids[-1]
    with pytest.raises(hm.ImageError) as caught:
        pool.decode_image(f"!probe {name}".encode())
    verdict, _, number = caught.value.reason.partition(" ")
    assert verdict == "refused"
    assert int(number) in HELD
    assert pool.pids[-1] == pid  # and the worker lives on


def test_workers_hold_nothing_but_decoders(pool: hm.DecodePool) -> None:
    maps = [Path(f"/proc/{pid}/maps").read_text() for pid in pool.pids]
    assert not any("llvmlite" in text or "numba" in text for text in maps)


def test_the_environment_of_the_host_is_not_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with hm.DecodePool(workers=1) as pool:
        for pid in pool.pids:
            assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_the_report_names_what_is_on_and_what_is_not(pool: hm.DecodePool) -> None:
    assert Layers.LIMITS in pool.layers
    assert pool.report == describe(pool.layers)
    assert describe(Layers(0)) == "none; without limits, landlock, seccomp"


@pytest.mark.parametrize("machine", seccomp.TABLES)
def test_the_filter_decides_as_its_table_says(machine: str) -> None:
    """Run by a small interpreter of BPF, for machines that this is not."""
    architecture, calls = seccomp.TABLES[machine]
    other = next(table[0] for name, table in seccomp.TABLES.items() if name != machine)
    program = seccomp.program(machine)
    assert run(program, other, calls["read"]) == seccomp.KILL
    assert run(program, architecture, seccomp.OTHER_ABI) == seccomp.KILL
    assert run(program, architecture, seccomp.CLONE3) == seccomp.UNKNOWN
    for number in range(500):
        closer = {calls["mmap"], calls["mprotect"], calls["clone"]}
        if number in closer or number == seccomp.CLONE3:
            continue
        allowed = number in calls.values()
        assert run(program, architecture, number) == (seccomp.ALLOW if allowed else seccomp.REFUSE)
    for name in ("mmap", "mprotect"):
        assert run(program, architecture, calls[name], 0, 4096, 3) == seccomp.ALLOW
        assert run(program, architecture, calls[name], 0, 4096, 7) == seccomp.REFUSE
    clone = calls["clone"]
    assert run(program, architecture, clone, seccomp.THREAD) == seccomp.ALLOW
    assert run(program, architecture, clone, seccomp.MUSL_THREAD) == seccomp.ALLOW
    for flags in (0x11, 0x4111, 0, seccomp.THREAD | 0x10000000):
        assert run(program, architecture, clone, flags) == seccomp.REFUSE


def run(program: bytes, architecture: int, number: int, *arguments: int) -> int:
    """Return what a filter decides, from its instructions one by one."""
    words = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, architecture, 0, *words)
    steps = list(struct.iter_unpack("HBBI", program))
    at = loaded = 0
    while True:
        code, if_true, if_false, constant = steps[at]
        at += 1
        if code == seccomp.RETURN:
            return int(constant)
        if code == seccomp.LOAD:
            (loaded,) = struct.unpack_from("<I", data, constant)
            continue
        holds = {
            seccomp.EQUAL: loaded == constant,
            seccomp.AT_LEAST: loaded >= constant,
            seccomp.ANY_BIT: bool(loaded & constant),
        }[code]
        at += if_true if holds else if_false


def test_an_unknown_machine_has_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    assert not seccomp.install_filter()


def test_a_kernel_without_landlock_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confinement, "landlock_version", lambda: 0)
    assert not confinement.restrict_with_landlock()
    assert ctypes.sizeof(ctypes.c_void_p) == 8
