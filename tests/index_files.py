"""Index files by the documentation of their layout rather than by its code."""

from __future__ import annotations

import json
import os
import struct
import time
from typing import TYPE_CHECKING, Any

import xxhash

if TYPE_CHECKING:
    from pathlib import Path

PAGE = 4096


def aged(path: Path) -> None:
    """Make a file look as if it was written a second ago: opening it then waits for nothing."""
    os.utime(path, ns=(0, time.time_ns() - 10**9))


def laid_out(header: dict[str, Any] | bytes, blocks: bytes = b"") -> bytes:
    """Return a file of any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += b" " * (-(16 + len(text) + 8) % PAGE)
    head = b"\x89HMINDEX" + struct.pack("<II", 1, len(text)) + text
    return head + struct.pack("<Q", xxhash.xxh3_64_intdigest(head)) + blocks


def header_of(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    header: dict[str, Any] = json.loads(data[16 : 16 + length])
    return header
