"""uvicorn inside a running event loop: no signal handlers, a known port, an end in time."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable, Generator
from typing import Any

import uvicorn

GRACE_S = 2  # for requests under way when it is told to stop


class PortTaken(Exception):
    """Another program listens on this address already."""


class _Server(uvicorn.Server):
    """Leaves signals, and the decision to exit, to the process that it runs in."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit as error:
            raise RuntimeError("expected the application to start, its start failed: see the log") from error


class Listener:
    """One HTTP server in the running loop.

    app  : an ASGI application
    port : 0 takes a free one; ``port`` says which after ``start``
    """

    def __init__(self, app: Any, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._app = app
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen, and return once requests are answered.

        Raises PortTaken where somebody listens there already, OSError for an address that is
        not this machine's, RuntimeError where the application does not start.
        """
        bound = bind(self.host, self.port)
        self.port = bound.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            log_config=None,
            log_level="warning",
            access_log=False,
            # who is behind a proxy is not taken from a header: the guard decides by the peer
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[bound]))
        while not self._server.started:
            if self._task.done():
                bound.close()
                await self._task
                raise RuntimeError(f"expected to serve port {self.port}, the server ended at once")
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """End: finish what is being answered for up to two seconds, close what is left."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await self._task
        self._server = self._task = None

    async def ended(self) -> None:
        """Return when the server has ended, raising what ended it."""
        if self._task is not None:
            await asyncio.shield(self._task)


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address; raises PortTaken or OSError."""
    family, kind, proto, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    made = socket.socket(family, kind, proto)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        # at once, so that a second program is refused although it too sets SO_REUSEADDR
        made.listen(128)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"expected port {port} of {host} to be free, another program listens there: "
                "stop it, or set another port (0 takes a free one)"
            ) from error
        raise
    made.setblocking(False)
    return made


async def serve(
    app: Any, host: str, port: int, stop: asyncio.Event, ready: Callable[[int], None] | None = None
) -> None:
    """Serve until ``stop`` is set; ``ready`` gets the port once requests are answered.

    Returns within three seconds of ``stop``, websockets open or not. Raises as
    ``Listener.start``.
    """
    listener = Listener(app, host, port)
    await listener.start()
    stopping = asyncio.create_task(stop.wait())
    ending = asyncio.create_task(listener.ended())
    try:
        if ready is not None:
            ready(listener.port)
        await asyncio.wait({stopping, ending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        await listener.stop()
        await ending
