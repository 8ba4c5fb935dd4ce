"""``/metrics``, ``/health`` and ``/ready`` of a process, in its own event loop.

probe = Probe("127.0.0.1", 9101, token, families, ready)
await probe.start()
...
await probe.stop()
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.web.guard import Access, Guard
from connectors.web.metrics import Exposition, Families, Metric
from connectors.web.problems import Problem
from connectors.web.server import Listener, PortTaken

__all__ = ["Metric", "PortTaken", "Probe"]

Ready = Callable[[], tuple[bool, str]]


class Probe:
    """A small HTTP server beside a process's own work.

    host     : to listen on
    port     : 0 takes a free one; ``port`` says which after ``start``
    token    : asked for as Bearer on ``/metrics``; empty: that answers loopback only
    families : the metrics, called at each scrape; must not block
    ready    : whether the process does its work, and the reason where it does not
    """

    def __init__(self, host: str, port: int, token: str, families: Families, ready: Ready) -> None:
        exposition = Exposition(families)

        async def metrics(request: Request) -> Response:
            body, content_type = exposition.render(request.headers.get("accept", ""))
            return Response(body, headers={"Content-Type": content_type})

        async def readiness(_request: Request) -> Response:
            return ready_response(*ready())

        routes = [Route("/metrics", metrics), Route("/health", health), Route("/ready", readiness)]
        app = Starlette(routes=routes, exception_handlers={404: _nothing})
        self._listener = Listener(Guard(app, Access(token)), host, port)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._listener.port

    async def start(self) -> None:
        """Listen. Raises PortTaken where another program does, OSError for an address not ours."""
        await self._listener.start()

    async def stop(self) -> None:
        """Let go of the port."""
        await self._listener.stop()


async def health(_request: Request) -> Response:
    """Answered while the event loop runs, whatever else is wrong."""
    return JSONResponse({"alive": True})


def ready_response(ready: bool, reason: str) -> Response:
    """200, or 503 with the reason."""
    if ready:
        return JSONResponse({"ready": True})
    return JSONResponse({"ready": False, "reason": reason}, 503, {"Retry-After": "5"})


async def _nothing(request: Request, _error: Exception) -> Response:
    return Problem(
        404,
        expected="/metrics, /health or /ready",
        got=request.url.path,
        action="the pages and the API are on the port of the web process",
    ).response(request.url.path)
