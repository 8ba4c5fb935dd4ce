"""The ``web`` process: API, pages, and the watch on ourselves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial

from connectors.migrations import upgrade
from connectors.store import Store
from streams.bar_keep import BarKeep
from streams.clock import Clock
from streams.deliver import wanted_by
from streams.heart import Heart
from streams.programs import compose, policies
from streams.programs.desks import make_desks
from streams.programs.ingest import insist
from streams.programs.people import keep as keep_of
from streams.programs.verdicts import VerdictDesk, policy
from streams.selfwatch import SelfWatch, WatchConfig
from streams.settings import Settings
from streams.sweeping import Sweeper
from streams.trade.rules import Rules

log = logging.getLogger(__name__)


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Until ``stop``. Serves at once; the ticket store is upgraded beside it, as soon as it answers."""
    clock = compose.make_clock(settings)
    rules = policies.rules(settings)
    durable = compose.open_log(settings)
    started, opened = asyncio.Event(), asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(durable.close)
        store = Store(settings.store_url, wanted_by(make_desks(settings, durable)), compose.seal(settings))
        stack.callback(store.close)
        missing = "it is not there yet: it has not answered since this process was started"
        serving = asyncio.create_task(
            compose.serve_web(
                settings, store, clock, stop, started, lambda: "" if opened.is_set() else missing
            )
        )
        beside = asyncio.create_task(_beside(settings, store, rules, clock, stop, started, opened))
        try:
            await asyncio.wait({serving, beside}, return_when=asyncio.FIRST_COMPLETED)
            # what runs beside ends by itself only when told to stop, or by a fault that ends us
            stop.set()
            await serving
            if beside.done():
                beside.result()
        finally:
            beside.cancel()
            await asyncio.gather(serving, beside, return_exceptions=True)


async def _beside(
    settings: Settings,
    store: Store,
    rules: Rules,
    clock: Clock,
    stop: asyncio.Event,
    started: asyncio.Event,
    opened: asyncio.Event,
) -> None:
    """Once pages are served, wait for the store and give it its tables; then heartbeats, and the watch on ourselves."""
    await started.wait()
    await insist("the ticket store", lambda: asyncio.to_thread(upgrade, settings.store_url), stop)
    if stop.is_set():
        return
    opened.set()
    work = [
        Heart(store, "web", dict, clock).run(),
        Sweeper(partial(store.sweep, keep_of(settings)), clock).run(stop),
    ]
    desk = VerdictDesk(settings, store, clock)
    if settings.tickets.bars != "off":
        keep = BarKeep(store, desk.run_move, policy(settings), settings.tickets.bars, clock)
        work.append(keep.run(stop))
    if settings.clock_file is None:
        # A clock that is set by hand says nothing of silence or delay.
        own = settings.watch
        config = WatchConfig(silent_s=own.silent_s, lag_s=own.lag_s, outbox_s=own.outbox_s)
        work.append(SelfWatch(store, rules, clock, config).run(stop))
    await asyncio.gather(*work)
