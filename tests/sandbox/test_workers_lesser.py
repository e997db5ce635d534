"""Workers on a kernel that does not offer all: refused, or allowed by name and still held."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hashmatch as hm
from conftest import ROOT
from hashmatch.records.safeguards import Safeguard, allowing, collecting
from hashmatch.sandbox import privileges
from hashmatch.sandbox.layers import REQUIRED, Layers
from hashmatch.sandbox.pool import DecodePool
from processes import PATIENCE

NEITHER = "the kernel, or the container around, offers no landlock or seccomp"
REFUSED = (
    f"cannot start decode workers: {NEITHER}. Use a kernel and a container that offer Landlock and "
    "seccomp, or allow it with --sandbox best, in Python DecodePool(require=Layers.LIMITS)."
)
TURNED = "fixtures/images/modes/turned.heic"
WITHOUT_RIGHTS = """
import ctypes, struct
header = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0), 8)
assert ctypes.CDLL(None).capset(header, bytes(24)) == 0
"""
"""Makes a process of the superuser one like any other user's: its workers are of its own user."""


def on_lesser_kernel(code: str, *, bare: bool = False) -> list[str]:
    """Return what `code` prints, line by line, on a kernel without Landlock and seccomp."""
    pretend = [str(ROOT / "tests/lesser_kernel.py"), *(["--bare"] if bare else []), sys.executable]
    run = subprocess.run(
        [sys.executable, *pretend, "-c", code],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])},
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_no_worker_is_started_without_what_is_required() -> None:
    code = (
        "import os, hashmatch as hm\n"
        "try: hm.DecodePool(1)\n"
        "except hm.WorkersError as error: print(error)\n"
        "try: print(os.waitpid(-1, 0))\n"
        "except ChildProcessError: print('no process is left')\n"
    )
    assert on_lesser_kernel(code) == [REFUSED, "no process is left"]


ALLOWED = """
import hashmatch as hm
from hashmatch.records.safeguards import collecting
from hashmatch.sandbox.layers import Layers
from worker_hooks import HookedPool
with collecting() as waivers:
    pool = HookedPool(1, require=Layers.LIMITS)
print(*waivers)
print(pool.report)
print(pool.decode_image("fixtures/images/modes/turned.heic").pixels.shape)
for name in ("open for reading", "open for writing", "connect"):
    try: pool.decode_image(b"!probe " + name.encode())
    except hm.ImageError as error: print(error.reason)
pool.close()
"""


@pytest.mark.parametrize("bare", [False, True])
def test_what_is_allowed_by_name_is_said_and_limits_hold(bare: bool) -> None:
    said, report, shape, *refused = on_lesser_kernel(ALLOWED, bare=bare)
    assert said == f"without sandbox: {NEITHER} (allowed by --sandbox best)"
    on, _, off = report.partition("; ")
    assert on.split(", ")[0] == "limits"
    assert ("namespaces" in on) <= (not bare)
    assert off == "without landlock, seccomp"
    assert shape == str(hm.decode_image(TURNED).pixels.shape)
    assert len(refused) == 3
    assert {int(line.split()[1]) for line in refused} <= {
        errno.EMFILE,
        errno.EACCES,
        errno.ENETUNREACH,
    }
    assert refused[0] == f"refused {errno.EMFILE}"


PEEK = """
import ctypes, os
import hashmatch as hm
from hashmatch.sandbox.layers import Layers
from worker_hooks import HookedPool
secret = ctypes.create_string_buffer(b"of lists")
with HookedPool(2, require=Layers.LIMITS) as pool:
    for pid in (os.getpid(), *pool.pids):
        try: pool.decode_image(f"!peek {pid} {ctypes.addressof(secret)}".encode())
        except hm.ImageError as error: print(error.reason)
"""


@pytest.mark.parametrize("rights", ["", WITHOUT_RIGHTS])
@pytest.mark.parametrize("bare", [False, True])
def test_no_worker_reads_the_memory_of_another_process(bare: bool, rights: str) -> None:
    host, server, *workers = on_lesser_kernel(rights + PEEK, bare=bare)
    assert host == server == f"refused {errno.EPERM}"
    # One of the two looks at itself, at an address that is another's.
    assert len(workers) == 2
    assert f"refused {errno.EPERM}" in workers
    assert not any("of lists" in line for line in workers)


def test_workers_of_the_superuser_are_of_users_without_any_right() -> None:
    with DecodePool(2) as pool:
        server, *workers = pool.pids
        status = [_status(pid) for pid in workers]
        assert [each["NoNewPrivs"] for each in status] == ["1", "1"]
        for sort in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert {int(each[sort], 16) for each in status} == {0}
        if Layers.USER not in pool.layers:
            pytest.skip("workers are started by no superuser here")
        users = [each["Uid"].split() for each in status]
        assert all(len(set(user)) == 1 for user in users)
        assert len({user[0] for user in users} | {"0"}) == 3
        assert [each["Groups"] for each in status] == ["", ""]
        assert pool.decode_image(TURNED).pixels.shape == hm.decode_image(TURNED).pixels.shape
        if Layers.NAMESPACES in pool.layers:
            networks = {os.readlink(f"/proc/{pid}/ns/net") for pid in (server, *workers)}
            assert len(networks) == 3


def _status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_a_pool_needs_what_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(DecodePool, "layers", Layers.LIMITS | Layers.LANDLOCK)
    monkeypatch.setattr(privileges, "undumpable", lambda: None)  # this process stays as it is
    for require in (REQUIRED, Layers.SECCOMP):
        with pytest.raises(hm.WorkersError, match="offers no seccomp"):
            DecodePool(1, require=require)
    assert not caplog.records
    with collecting() as waivers:
        DecodePool(1, require=Layers.LANDLOCK).close()
        with allowing(Safeguard.SANDBOX):
            DecodePool(1).close()
    assert [waiver.safeguard for waiver in waivers] == ["sandbox"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@pytest.mark.parametrize(
    ("mapped", "expected"),
    [
        ("0 0 4294967295", 0x70000007),
        ("0 100000 65536", 65525),
        ("0 1000 1\n1 100000 65536", 65526),
        ("0 1000 1", None),
    ],
)
def test_an_unused_id_is_one_that_the_container_maps(
    monkeypatch: pytest.MonkeyPatch, mapped: str, expected: int | None
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda *_: f"{mapped}\n")
    monkeypatch.setattr(os, "getpid", lambda: 7)
    if expected is None:
        with pytest.raises(OSError, match=r"^$"):
            privileges._unused_id("uid_map")
    else:
        assert privileges._unused_id("uid_map") == expected
