"""``POST /hooks/{desk}``: what desks say of their tickets. Their signature is the credential."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from fastapi import APIRouter, Request, Response

from connectors.desks.inbound import Unreadable, Unsigned
from connectors.web.inbox import Inbox
from connectors.web.problems import Problem
from connectors.web.sources import Reader
from streams.ports import PortError
from streams.trade.remote import Heeded

log = logging.getLogger(__name__)

LARGEST = 1 << 20  # bytes of a body
PATIENCE_S = 10.0  # in which a body must be here


def router(reader: Reader, inbox: Inbox) -> APIRouter:
    """The routes below ``/hooks``; they are outside the guard of tokens."""
    api = APIRouter(prefix="/hooks", tags=["desks"])

    async def taken(desk: str, request: Request) -> Heeded:
        hook = inbox.hooks.get(desk)
        if hook is None:
            raise Problem(
                404,
                expected=f"one of the desks that are taken from: {', '.join(sorted(inbox.hooks)) or 'none'}",
                got=repr(desk[:64]),
                action="set the desk's hook secret in the configuration: docs/desks.md",
            )
        body = await _body(request)
        try:
            change = hook.read(request.headers, body, inbox.now_ns())
        except Unsigned as error:
            inbox.counts[desk, "unsigned"] += 1
            log.warning("hook of %s: %s", desk, error)
            raise _problem(
                401, str(error), "sign with the configured secret, with a clock that is right"
            ) from None
        except Unreadable as error:
            inbox.counts[desk, "unreadable"] += 1
            log.warning("hook of %s: %s", desk, error)
            raise _problem(422, str(error), "docs/desks.md says what is read") from None
        if change is None:
            inbox.counts[desk, "ignored"] += 1
            return Heeded(outcome="nothing")
        try:
            heeded = await reader.ask(lambda _store: inbox.take(change))
        except PortError:
            inbox.counts[desk, "away"] += 1
            raise
        inbox.counts[desk, heeded.outcome] += 1
        if heeded.outcome == "unknown":
            log.warning("hook of %s: no ticket for %r, %r", desk, change.reference, change.remote_id)
            raise Problem(
                404,
                expected="a ticket of ours: its id, or the number that the desk gave it",
                got=f"reference {change.reference[:64]!r}, number {change.remote_id[:64]!r}",
                action="send only what concerns tickets with our id in their title or externalIdentifier",
            )
        log.info("hook of %s: %s is %s there: %s", desk, heeded.ticket_id, change.status, heeded.outcome)
        return heeded

    @api.post("/{desk}", summary="A desk's ticket has changed")
    async def change(desk: str, request: Request) -> dict[str, Any]:
        """Signed as docs/desks.md says. The same message again does nothing."""
        heeded = await taken(desk, request)
        return {"outcome": heeded.outcome, "ticket": heeded.ticket_id, "state": heeded.state}

    @api.post("/{desk}/listener/{event}", status_code=204, summary="An event of TMF621")
    async def listener(desk: str, event: str, request: Request) -> Response:
        """The same, under the path that TMF621 gives to listeners."""
        await taken(desk, request)
        return Response(status_code=204)

    return api


async def _body(request: Request) -> bytes:
    """The body. Raises Problem where it is too large, or does not come."""
    body = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for part in request.stream():
                body += part
                if len(body) > LARGEST:
                    raise Problem(
                        413,
                        expected=f"at most {LARGEST} bytes",
                        got="more",
                        action="leave attachments out of the webhook's payload",
                    )
    except TimeoutError:
        raise Problem(
            408, expected=f"a body within {PATIENCE_S:g} s", got="a part of one", action="send it again"
        ) from None
    return body


def _problem(status: int, said: str, action: str) -> Problem:
    """A Problem of a sentence ``expected …, got …``."""
    expected, _, got = said.removeprefix("expected ").rpartition(", got ")
    return Problem(status, expected=expected or said, got=got or "something else", action=action)
