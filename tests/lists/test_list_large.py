"""Ten million rows of PDQ text to a compiled, signed list, and what an update of it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 10_000_000
CHANGES = 10_000

# In a process of its own, so that its memory is that of the list and not of the tests.
MAKE = """
import json, resource, sys, time
import hashmatch as hm
from hashmatch.store.signing import load_private
how, store, given, key = sys.argv[1:]
began = time.perf_counter()
signer = load_private(key)
opened = hm.ListStore(store, trust=hm.Trust([signer.public]))
made = getattr(opened, how)([given], hm.Change(signer=signer))
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "bytes": peak, "counts": made.manifest.counts}))
"""


def make(*args: str | Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", MAKE, *map(str, args)], capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    sys.stdout.write(f"{args[0]}: {found['seconds']:.1f} s, {found['bytes'] / 1e6:.0f} MB\n")
    return found


def write_rows(path: Path, rng: np.random.Generator) -> None:
    with path.open("w") as file:
        for first in range(0, ROWS, 100_000):
            text = rng.bytes(32 * 100_000).hex()
            quality = rng.integers(50, 101, 100_000).tolist()
            file.writelines(
                f"{text[64 * n : 64 * n + 64]},{quality[n]},img/{first + n:08}.jpg\n"
                for n in range(100_000)
            )


def write_changes(path: Path, rng: np.random.Generator) -> None:
    """Half of the changes are withdrawals, a quarter new hashes of known ids, the rest new ids."""
    rows = rng.choice(ROWS, CHANGES, replace=False).tolist()
    with path.open("w") as file:
        for number, row in enumerate(rows):
            name = f"img/{row:08}.jpg"
            if number % 2:
                file.write(json.dumps({"id": name, "status": "deleted"}) + "\n")
            else:
                new = name if number % 4 else f"new-{number}"
                file.write(json.dumps({"id": new, "hash": rng.bytes(32).hex()}) + "\n")


@pytest.mark.slow
def test_ten_million_rows(tmp_path: Path) -> None:
    from hashmatch.store.signing import PrivateKey

    rng = np.random.default_rng(20261122)
    write_rows(tmp_path / "all.txt", rng)
    PrivateKey.generate().save(str(tmp_path / "signer.key"))
    store, key = tmp_path / "store", tmp_path / "signer.key"
    made = make("import_files", store, tmp_path / "all.txt", key)
    assert made["counts"]["pdq"] == {"entries": ROWS}
    assert made["seconds"] <= 60
    assert made["bytes"] <= 1.5e9
    (tmp_path / "all.txt").unlink()
    write_changes(tmp_path / "changes.jsonl", rng)
    make("update_files", store, tmp_path / "changes.jsonl", key)  # its kernels are compiled now
    write_changes(tmp_path / "changes.jsonl", rng)
    changed = make("update_files", store, tmp_path / "changes.jsonl", key)
    assert changed["seconds"] <= 3
