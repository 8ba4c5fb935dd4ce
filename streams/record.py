"""readings.v1 and flags.v1 → history: an app of its own, so that a slow database holds up nobody."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from faust.types import TP

from streams.columns import Columns, decode
from streams.dead_letters import dead_letter
from streams.in_order import InOrder
from streams.messages import DEAD_LETTERS, FLAGS, READINGS, Flag
from streams.ports import History, Log, PortError, Unavailable
from streams.topology import App, commit, raw_topic

log = logging.getLogger(__name__)

_flag = msgspec.json.Decoder(Flag)


class Recorder:
    """Writes everything that passes to each history; commits what all of them have."""

    def __init__(self, app: App, histories: Sequence[History], read_log: Log) -> None:
        self._app = app
        self._histories = histories
        self.readings_order = InOrder(app, READINGS, read_log)
        self.flags_order = InOrder(app, FLAGS, read_log)
        self.readings = 0
        self.rejected = 0
        self.error = ""

    async def readings_message(self, partition: int, offset: int, raw: bytes | None) -> None:
        """One batch, to all histories, however long it takes."""
        if not await self.readings_order.take(partition, offset):
            return
        try:
            message = decode(raw or b"")
        except ValueError:
            message = None  # the worker has made a dead letter of it
        if isinstance(message, Columns) and len(message):
            for history in self._histories:
                await self._insist(history, message, None, f"{READINGS}/{partition}")
            self.readings += len(message)
        await commit(self._app, {TP(READINGS, partition): offset + 1})

    async def flag_message(self, partition: int, offset: int, raw: bytes | None) -> None:
        """One flag event."""
        if not await self.flags_order.take(partition, offset):
            return
        try:
            flag = _flag.decode(raw or b"")
        except msgspec.DecodeError:
            flag = None  # the ticket agent has made a dead letter of it
        if flag is not None:
            for history in self._histories:
                await self._insist(history, None, flag, f"{FLAGS}/{partition}")
        await commit(self._app, {TP(FLAGS, partition): offset + 1})

    async def _insist(
        self, history: History, columns: Columns | None, flag: Flag | None, source: str
    ) -> None:
        delay = 0.2
        while True:
            try:
                if columns is not None:
                    rejects = await history.write(columns)
                else:
                    assert flag is not None
                    rejects = await history.write_flags([flag])
                break
            except PortError as error:
                # Rejected as a whole (a token, a bucket) is for a person to set right; nothing is given up.
                self.error = str(error)
                log.warning("history waits: %s", error)
                pause = error.retry_after if isinstance(error, Unavailable) else 10.0
                await asyncio.sleep(max(delay, min(pause, 30.0)))
                delay = min(2 * delay, 10.0)
        self.error = ""
        for reject in rejects:
            self.rejected += 1
            letter = dead_letter(source, "history", reject.reason, reject.raw, time.time_ns())
            await self._app.producer.send_and_wait(DEAD_LETTERS, source.encode(), letter, None, None, None)


def attach(app: App, recorder: Recorder) -> None:
    """Give the recording app its agents."""
    # It has no table, so nothing is recovered: assigned is ready.
    app.on_partitions_assigned.connect(recorder.readings_order.assigned, weak=False)
    app.on_partitions_assigned.connect(recorder.flags_order.assigned, weak=False)

    @app.agent(raw_topic(app, READINGS), name="record_readings", concurrency=1)
    async def record_readings(stream: Any) -> None:
        """Readings into history."""
        async for event in stream.noack().events():
            await recorder.readings_message(event.message.partition, event.message.offset, event.value)

    @app.agent(raw_topic(app, FLAGS), name="record_flags", concurrency=1)
    async def record_flags(stream: Any) -> None:
        """Flags into history."""
        async for event in stream.noack().events():
            await recorder.flag_message(event.message.partition, event.message.offset, event.value)
