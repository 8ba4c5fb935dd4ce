"""Errors as RFC 9457 problem details: what was expected, what came, what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from streams.ports import PortError, Unavailable

MEDIA_TYPE = "application/problem+json"


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an error (RFC 9457); ``expected``, ``got`` and ``action`` are ours."""

    status: int
    title: str
    detail: str
    type: str = "about:blank"
    instance: str = ""
    expected: str = ""
    got: str = ""
    action: str = ""


class Problem(Exception):
    """A request that cannot be answered, and why.

    got : empty where the sentence of what was expected says all; then nothing is said of it
    """

    def __init__(
        self, status: int, *, expected: str, got: str, action: str, headers: Mapping[str, str] | None = None
    ) -> None:
        came = f", got {got}" if got else ""
        super().__init__(f"expected {expected}{came}: {action}")
        self.status = status
        self.expected = expected
        self.got = got
        self.action = action
        self.headers = dict(headers or {})

    def response(self, instance: str = "") -> Response:
        """The answer that says so."""
        body = Body(
            status=self.status,
            title=HTTPStatus(self.status).phrase,
            detail=str(self),
            instance=instance,
            expected=self.expected,
            got=self.got,
            action=self.action,
        )
        headers = {**self.headers, "Cache-Control": "no-store"}
        return Response(msgspec.json.encode(body), self.status, headers, MEDIA_TYPE)


def of_port(error: PortError) -> Problem:
    """What a database that is away, or that holds something else, means for who asked."""
    if isinstance(error, Unavailable):
        wait = max(1, math.ceil(error.retry_after))
        return Problem(
            503,
            expected="an answer from the database",
            got=str(error).partition("; retry in")[0],
            action=f"ask again in {wait} s; nothing is lost, what comes in meanwhile waits in the log",
            headers={"Retry-After": str(wait)},
        )
    return Problem(500, expected="readable content", got=str(error), action="see the log of the web process")
