"""A proxy that speaks TLS with browsers and plain http with the server behind it."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType


class TlsProxy:
    """Forwards bytes, each connection in threads of its own, until it is closed.

    `folder` has ``server.pem`` and ``server.key``. The port is known before `forward` says where
    to: the server has to know its name first.
    """

    def __init__(self, folder: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.pem", folder / "server.key")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = [self._listening]

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.port}"

    def forward(self, port: int) -> None:
        """Forward from now on to a port of this machine."""
        self._start(self._accept, port)

    def __enter__(self) -> TlsProxy:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        for one in self._sockets:
            one.close()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self, port: int) -> None:
        with suppress(OSError):  # it was closed
            while True:
                plain, _ = self._listening.accept()
                self._start(self._serve, plain, port)

    def _serve(self, plain: socket.socket, port: int) -> None:
        self._sockets.append(plain)
        with suppress(OSError):
            browser = self._context.wrap_socket(plain, server_side=True)
            self._sockets.append(browser)
            behind = socket.create_connection(("127.0.0.1", port))
            self._sockets.append(behind)
            self._start(_copy, browser, behind)
            _copy(behind, browser)


def _copy(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while part := one.recv(65536):
            other.sendall(part)
    for each in (one, other):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
