"""What an operator asks the service: whether it runs, whether it can answer, and its counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashmatch.service.http import Response, as_json
from hashmatch.service.metrics import MEDIA_TYPE

if TYPE_CHECKING:
    from hashmatch.service.http import Request
    from hashmatch.service.service import Service


def healthz(service: Service, request: Request) -> Response:
    """Say that it runs; restart it if it does not answer."""
    return as_json({"status": "ok"})


def readyz(service: Service, request: Request) -> Response:
    """Say whether it can answer: 503 until there are lists, and while it stops.

    Lists and tokens that could not be brought up to date stay in use, and are named.
    """
    snapshot = service.snapshots.current
    is_ready = snapshot is not None and not service.stopping
    answer = {
        "ready": is_ready,
        "snapshot": snapshot.name if snapshot else None,
        "problems": service.problems,
        "waivers": [str(waiver) for waiver in service.waivers],
    }
    return as_json(answer, 200 if is_ready else 503)


async def metrics(service: Service, request: Request) -> Response:
    """Return all counts for Prometheus."""
    return Response(await service.in_thread(service.metrics.text), media_type=MEDIA_TYPE)


async def openapi(service: Service, request: Request) -> Response:
    """Return the description of all operations, OpenAPI 3.1."""
    return Response(service.description)
