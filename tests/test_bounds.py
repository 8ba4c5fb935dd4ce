"""What a worker holds while something is away has a bound, in bytes too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.clock import SystemClock
from streams.dispatch import Dispatcher
from streams.keeper import Kept
from streams.messages import Flag
from streams.open_tickets import MOST, MOST_BYTES, TicketOpener
from streams.ports import Unavailable
from streams.settings import load
from streams.topology import build
from streams.trade.rules import Rules
from streams.trade.tickets import Ticket
from tests.memory_log import MemoryLog
from tests.tickets.tools import flag


class Away:
    """A store that does not answer."""

    def apply_flags(self, flags: Sequence[Flag], now_ns: int, rules: Rules) -> list[Ticket]:
        raise Unavailable("the database", "it is away")


@pytest.mark.parametrize("size", [100, 200_000])
def test_flags_that_wait_for_the_store_are_bounded_in_number_and_bytes(tmp_path: Path, size: int) -> None:
    config = tmp_path / "forestall.toml"
    config.write_text(f"data_dir = {json.dumps(str(tmp_path))}\n")
    raw = msgspec.json.encode(flag("spike", evidence={"text": "x" * size}))

    async def run() -> int:
        opener = TicketOpener(build(load(config)), Dispatcher(Away(), Rules(), SystemClock()), MemoryLog())
        opener.order._next[0] = 0  # nothing was committed
        working = asyncio.create_task(opener.run())
        taken = 0
        try:
            while taken < 3 * MOST:
                try:
                    await asyncio.wait_for(opener.take(0, taken, raw), 0.5)
                except TimeoutError:
                    break
                taken += 1
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        return taken

    taken = asyncio.run(run())
    assert 0 < taken <= 2 * MOST
    assert taken * len(raw) <= MOST_BYTES + len(raw)


def test_sends_that_have_arrived_are_not_kept_until_the_next_checkpoint() -> None:
    async def run() -> list[asyncio.Future[Any]]:
        loop = asyncio.get_running_loop()
        nothing: Any = None
        kept = Kept(nothing)
        kept.pending = [loop.create_future() for _ in range(50)]
        for number, sent in enumerate(kept.pending):
            if number == 7:
                loop.call_soon(sent.set_exception, Unavailable("the log", "full"))
            else:
                loop.call_soon(sent.set_result, number)
        await kept.drain()
        return kept.pending

    (failed,) = asyncio.run(run())
    # the checkpoint must still fall over it
    assert isinstance(failed.exception(), Unavailable)
