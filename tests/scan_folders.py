"""Folders that tests scan, and what a scan of them has come to."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

import hashmatch as hm
from cli_tools import IMAGES

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


def photos(folder: Path, count: int) -> Path:
    """Small pictures, every tenth of them one that the demo list knows, some of them none."""
    folder.mkdir()
    known = sorted((IMAGES / "plain").glob("tiles*"))[0].read_bytes()
    rng = np.random.default_rng(6)
    for number in range(count):
        path = folder / f"{number:05}.png"
        if number % 10 == 0:
            path.write_bytes(known)
        elif number % 17 == 0:
            path.write_bytes(b"no picture")
        else:
            small = rng.integers(0, 256, (8, 8, 3), np.uint8)
            picture = Image.fromarray(small).resize((96, 96), Image.Resampling.BICUBIC)
            picture.save(path, compress_level=1)  # less would take most of the time
    return folder


def lines(path: Path) -> list[dict[str, Any]]:
    """Records without the time at which they were made."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [{**record, "created_at": ""} for record in found]


def listed(state: Path) -> int:
    """How far a scan has come, as its checkpoint says."""
    if not (state / "checkpoint.db").exists():
        return 0
    try:
        with hm.Checkpoint(state, reading=True) as checkpoint:
            return sum(one["listed"] for one in checkpoint.scans())
    except hm.CheckpointError:  # it is being made
        return 0


def is_stopped(scanning: subprocess.Popen[bytes], state: Path, more: int) -> bool:
    """Let a scan go on by so many items; return whether it stands still there, and is not done.

    It stands still while it is looked at, too, so that it does not finish meanwhile. It leads a
    group of processes.
    """
    further = _marks(state) + more
    while scanning.poll() is None:
        with suppress(ProcessLookupError):  # it has ended just now
            os.killpg(scanning.pid, signal.SIGSTOP)
            if _marks(state) >= further:
                return scanning.poll() is None
            os.killpg(scanning.pid, signal.SIGCONT)
        time.sleep(0.01)
    return False


def _marks(state: Path) -> int:
    """Return of how many items a state has the mark; none if it is being written."""
    try:
        at = f"file:{state}/checkpoint.db?mode=ro"
        with closing(sqlite3.connect(at, uri=True, timeout=0)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM done").fetchone()
            return int(count)
    except sqlite3.Error:
        return 0
