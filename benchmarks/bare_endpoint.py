"""The least that Starlette and uvicorn take for a request: a route that returns a constant."""

from __future__ import annotations

import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

ANSWER = b"{}"


async def constant(request: object) -> Response:
    """Answer."""
    return Response(ANSWER, media_type="application/json")


def main() -> None:
    """Serve on a free port, as `hashmatch.service.server` sets up uvicorn."""
    bound = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        Starlette(routes=[Route("/m/lookup", constant)]),
        http="httptools",
        ws="none",
        loop="uvloop",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
    )
    print(f"port {bound.getsockname()[1]}", file=sys.stderr, flush=True)
    uvicorn.Server(config).run([bound])


if __name__ == "__main__":
    main()
