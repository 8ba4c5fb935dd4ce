"""complaints.v1 → tickets: each complaint durable in the store before its offset is committed."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from typing import Any

import msgspec
from faust.types import TP

from streams.dead_letters import dead_letter
from streams.in_order import InOrder
from streams.messages import COMPLAINTS, DEAD_LETTERS
from streams.ports import Log, Rejected, Unavailable
from streams.topology import App, commit, raw_topic
from streams.trade.complaint_form import FIELDS, PERSONAL
from streams.trade.complaints import Faults
from streams.trade.reception import Reception

log = logging.getLogger(__name__)

_FREE = frozenset({"matter", "demand"})  # may name anybody
_json = msgspec.json.Encoder().encode


class ComplaintTaker:
    """Takes one complaint after the other; what cannot be taken goes to the dead letters.

    A complaint that is read again after a kill changes nothing: the store knows its source and reference.
    """

    def __init__(self, app: App, reception: Reception, read_log: Log) -> None:
        self._app = app
        self._reception = reception
        self.order = InOrder(app, COMPLAINTS, read_log)
        self.complaints = 0  # taken off the topic, those known already included
        self.dead_letters = 0
        self.error = ""

    async def message(self, partition: int, offset: int, raw: bytes | None) -> None:
        """One message; returns when it is in the store, or among the dead letters."""
        if not await self.order.take(partition, offset):
            return
        fault = await self._take(raw or b"")
        if fault:
            self.dead_letters += 1
            source = f"{COMPLAINTS}/{partition}/{offset}"
            letter = dead_letter(
                source, "complaints", fault, redacted(raw or b""), time.time_ns(), len(raw or b"")
            )
            await self._app.producer.send_and_wait(DEAD_LETTERS, source.encode(), letter, None, None, None)
        else:
            self.complaints += 1
        await commit(self._app, {TP(COMPLAINTS, partition): offset + 1})
        self.order.done(partition, offset + 1)

    async def _take(self, raw: bytes) -> str:
        """Take a complaint, however long the store is away; why it never can be, empty where it was."""
        try:
            form = msgspec.json.decode(raw)
        except (ValueError, RecursionError):
            # the decoder's own words may quote the text
            return (
                f"expected a complaint as a JSON object, got {len(raw)} bytes that are none: {_digest(raw)}"
            )
        if not isinstance(form, dict):
            return f"expected a complaint as a JSON object, got {type(form).__name__}: {_digest(raw)}"
        delay = 0.2
        while True:
            try:
                await asyncio.to_thread(self._reception.take, form, "topic")
            except Unavailable as error:
                self.error = str(error)
                log.warning("complaints wait: %s", error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, 10.0)
            except Faults as faults:
                return str(faults)
            except Rejected as error:
                return f"the store refused it: {error.reason}"
            else:
                self.error = ""
                return ""


def redacted(raw: bytes) -> bytes:
    """A message without what may say who somebody is; the whole of it stays where it was read, while it is kept.

    Of a JSON object the codes, and the names of all other fields; of anything else nothing.
    """
    try:
        form = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return b""
    if not isinstance(form, dict):
        return b""
    open_fields = FIELDS.keys() - PERSONAL - _FREE
    return _json(
        {
            str(name)[:64]: value if name in open_fields and isinstance(value, str) else "…"
            for name, value in form.items()
        }
    )


def _digest(raw: bytes) -> str:
    return f"SHA-256 {hashlib.sha256(raw).hexdigest()}"


def attach(app: App, taker: ComplaintTaker) -> None:
    """Give an app of their own the agent on complaints."""
    # It has no table, so nothing is recovered: assigned is ready.
    app.on_partitions_assigned.connect(taker.order.assigned, weak=False)

    @app.agent(raw_topic(app, COMPLAINTS), name="take_complaints", concurrency=1)
    async def take_complaints(stream: Any) -> None:
        """Complaints onto tickets; committed once they are in the store."""
        async for event in stream.noack().events():
            await taker.message(event.message.partition, event.message.offset, event.value)
