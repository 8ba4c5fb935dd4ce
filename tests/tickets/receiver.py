"""The other side of a webhook: a real HTTP server that checks signatures and can misbehave."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from standardwebhooks.webhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from tests.services.process import LOOPBACK, free_port

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@dataclass(frozen=True)
class Answer:
    """What the receiver says to one request."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    before: Callable[[], None] | None = None  # called before it answers: a way to be slow
    drip: threading.Event | None = None  # body byte by byte until set


@dataclass(frozen=True)
class Got:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    verified: bool

    @property
    def id(self) -> str:
        return self.headers.get("webhook-id", "")

    @property
    def event(self) -> Any:
        return json.loads(self.body)


class Receiver:
    """Answers as scripted: ``answers`` are used up one by one, then ``default`` holds."""

    def __init__(self, *, secret: str = SECRET, tls: ssl.SSLContext | None = None) -> None:
        self.port = free_port()
        self.secret = secret
        self.default = Answer()
        self.answers: list[Answer] = []
        self.got: list[Got] = []
        self._tls = tls
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return (
            f"{'https' if self._tls else 'http'}://{'localhost' if self._tls else LOOPBACK}:{self.port}/hook"
        )

    @property
    def ids(self) -> list[str]:
        """Ids of the events that arrived, in their order."""
        return [got.id for got in self.got if got.method == "POST"]

    def start(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._handle(self)

            def do_GET(self) -> None:
                receiver._handle(self)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((LOOPBACK, self.port), Handler)
        self._server.daemon_threads = True
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
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
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            Verifier(self.secret).verify(body, headers, json_parse=False)
            verified = True
        except WebhookVerificationError:
            verified = False
        with self._lock:
            self.got.append(Got(request.command, request.path, headers, body, verified))
            answer = self.answers.pop(0) if self.answers else self.default
        if answer.before is not None:
            answer.before()
        try:
            self._answer(request, answer)
        except OSError:
            request.close_connection = True  # whoever asked has gone

    def _answer(self, request: BaseHTTPRequestHandler, answer: Answer) -> None:
        request.send_response(answer.status)
        for name, value in answer.headers:
            request.send_header(name, value)
        request.send_header("content-length", str(len(answer.body)))
        request.end_headers()
        if answer.drip is not None:
            for byte in answer.body:
                request.wfile.write(bytes([byte]))
                request.wfile.flush()
                if answer.drip.wait(0.05):
                    break
        else:
            request.wfile.write(answer.body)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
