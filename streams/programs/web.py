"""The ``web`` process: API, pages, and the watch on ourselves."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from connectors.migrations import upgrade
from connectors.store import Store
from streams.deliver import wanted_by
from streams.heart import Heart
from streams.programs import compose
from streams.programs.ingest import insist
from streams.rules import Rules
from streams.selfwatch import SelfWatch, WatchConfig
from streams.settings import Settings

log = logging.getLogger(__name__)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Until ``stop``."""
    clock = compose.make_clock(settings)
    await insist("the ticket store", lambda: asyncio.to_thread(upgrade, settings.store_url), stop)
    if stop.is_set():
        return
    durable = compose.open_log(settings)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(durable.close)
        store = Store(settings.store_url, wanted_by(compose.desks(settings, durable, clock)))
        stack.callback(store.close)
        watch = SelfWatch(
            store,
            Rules(),
            clock,
            WatchConfig(
                silent_s=settings.watch.silent_s, lag_s=settings.watch.lag_s, outbox_s=settings.watch.outbox_s
            ),
        )
        heart = Heart(store, "web", dict, clock)
        tasks = [asyncio.create_task(heart.run())]
        if settings.clock_file is None:
            # A clock that is set by hand says nothing of silence or delay.
            tasks.append(asyncio.create_task(watch.run(stop)))
        try:
            await compose.serve_web(settings, store, clock, stop)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
