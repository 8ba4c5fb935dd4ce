"""The pages' way to the API: what somebody does on a page is done by the same routes, as themselves.

A call goes through the guard with the credentials that the page came with, inside this process. So a page
can do nothing that the API would refuse its visitor, and a session that has ended has ended here too.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp, Message

from connectors.web.guard import actor_of
from streams.trade.roles import Actor

#: what of a page's own request says who asks, and from where
_KEPT = frozenset({b"host", b"cookie", b"authorization", b"x-forwarded-for", b"x-forwarded-proto"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API has answered."""

    status: int
    data: Any  # JSON; None: no body

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return 200 <= self.status < 300


class Door:
    """Calls the API as whoever has opened the page.

    app : the guarded application
    """

    def __init__(self, app: ASGIApp, request: Request) -> None:
        self._app = app
        self._scope = request.scope
        self._headers = [(name, value) for name, value in request.scope["headers"] if name in _KEPT]
        self.actor: Actor = actor_of(request)

    def may(self, right: str) -> bool:
        """Whether this visitor has a right: what they have not is not offered."""
        return self.actor.may(right)

    async def get(self, path: str, **query: object) -> Answer:
        """Ask for something."""
        return await self._call("GET", path, query, None)

    async def post(self, path: str, body: dict[str, Any]) -> Answer:
        """Do something."""
        return await self._call("POST", path, {}, body)

    async def _call(
        self, method: str, path: str, query: dict[str, object], body: dict[str, Any] | None
    ) -> Answer:
        sent = b"" if body is None else msgspec.json.encode(body)
        headers = [
            *self._headers,
            (b"sec-fetch-site", b"same-origin"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(sent)).encode()),
        ]
        given = {name: value for name, value in query.items() if value not in ("", None)}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": quote(path).encode(),
            "root_path": "",
            "query_string": urlencode(given).encode(),
            "headers": headers,
            "scheme": self._scope["scheme"],
            "client": self._scope.get("client"),
            "server": self._scope.get("server"),
            "state": {},
        }
        waiting: list[Message] = [{"type": "http.request", "body": sent, "more_body": False}]
        status, chunks = 500, list[bytes]()
        done = asyncio.Event()

        async def receive() -> Message:
            if waiting:
                return waiting.pop()
            await done.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                chunks.append(message.get("body", b""))

        try:
            await self._app(scope, receive, send)
        finally:
            done.set()
        return Answer(status, _json(b"".join(chunks)))


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body) if body else None
    except msgspec.DecodeError:
        return body.decode("utf-8", "replace")


def segment(text: str) -> str:
    """A name as one part of a path: routes take it as it is, only a line feed or NUL cannot stand there."""
    return text.replace("\0", "").replace("\n", " ")
