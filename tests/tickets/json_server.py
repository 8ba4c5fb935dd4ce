"""A real HTTP server that speaks JSON, for the other sides of the desks: it can go away, refuse, lose its answer."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.services.process import LOOPBACK, free_port


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Said:
    """One answer."""

    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


class JsonServer:
    """``answer`` is the application. Of the next requests, ``instead`` are answered as told, unseen by it;
    the next ``lost`` are done, and their answers never come.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.asked: list[Asked] = []
        self.instead: list[Said] = []
        self.lost = 0
        self.lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def answer(self, asked: Asked) -> Said:
        raise NotImplementedError

    def start(self) -> Self:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def _any(self) -> None:
                server._handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = _any  # noqa: N815 - names of the standard library

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((LOOPBACK, self.port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Go away; the port refuses connections until ``start``."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("content-length") or 0))
        parts = urlsplit(request.path)
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked(request.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
        with self.lock:
            self.asked.append(asked)
            said = self.instead.pop(0) if self.instead else self.answer(asked)
            lose = self.lost > 0
            self.lost -= lose
        if lose:
            request.close_connection = True
            request.connection.close()
            return
        content = b"" if said.body is None else json.dumps(said.body).encode()
        try:
            request.send_response(said.status)
            for name, value in (("content-type", "application/json"), *said.headers):
                request.send_header(name, value)
            request.send_header("content-length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)
        except OSError:
            request.close_connection = True

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
