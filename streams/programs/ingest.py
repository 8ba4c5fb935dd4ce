"""The ``ingest`` process: MQTT → log."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from connectors.registry_csv import RegistryError, RegistryFile
from connectors.store import Store
from connectors.web.probe import Metric, Probe
from streams.gather import Gather
from streams.heart import Heart
from streams.ingest import Ingest
from streams.ports import PortError, Unavailable
from streams.programs import compose
from streams.roster import Roster
from streams.settings import ConfigError, Settings

log = logging.getLogger(__name__)

REGISTRY_EVERY_S = 2.0


async def run(settings: Settings, stop: asyncio.Event, mqtt_url: str = "") -> None:
    """Until ``stop``. ``mqtt_url`` is the broker's where the supervisor has started one."""
    clock = compose.make_clock(settings)
    durable = compose.open_log(settings)
    await insist("the log", lambda: compose.prepare_log(settings, durable), stop)
    roster = Roster(durable, settings.partitions, compose.instance(settings))
    router = compose.router(settings)
    await insist("the log", roster.load, stop)
    if stop.is_set():
        return
    if roster.dialects:
        router.restore(roster.dialects)
    registry = RegistryFile(settings.ingest.registry) if settings.ingest.registry else None
    if registry is not None:
        await _publish(registry, roster, first=True)
    source = compose.mqtt_source(settings, mqtt_url or settings.mqtt.url, router.topics)
    ingest = Ingest(source, Gather(router, roster), durable, roster, clock)
    store = Store(settings.store_url)
    figures = _figures(ingest, roster, source)
    heart = Heart(store, "ingest", figures, clock)
    probe = Probe(
        settings.metrics.host,
        settings.metrics.ingest_port,
        settings.metrics.token.get_secret_value(),
        lambda: _metrics(ingest, roster, source),
        lambda: _ready(ingest, source),
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(durable.close)
        stack.callback(store.close)
        if settings.metrics.ingest_port:
            await probe.start()
            stack.push_async_callback(probe.stop)
        await stack.enter_async_context(source)
        tasks = [asyncio.create_task(_beat(heart, settings, stop))]
        if registry is not None:
            tasks.append(asyncio.create_task(_watch(registry, roster)))
        if settings.ingest.tick_s > 0:
            tasks.append(asyncio.create_task(ingest.tick(stop, settings.ingest.tick_s)))
        log.info("ingest: %s → %s", mqtt_url or settings.mqtt.url, settings.broker_url.split("?")[0])
        try:
            work = asyncio.create_task(
                ingest.run(stop, settings.ingest.max_messages, settings.ingest.linger_ms / 1000)
            )
            # A side task that fails takes the process with it: the supervisor starts it anew.
            await asyncio.wait({work, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done() and not stop.is_set():
                    stop.set()
                    await work
                    task.result()
            await work
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _beat(heart: Heart, settings: Settings, stop: asyncio.Event) -> None:
    """Heartbeats, once there are tables for them; readings do not wait for that."""
    await insist("the ticket store", lambda: asyncio.to_thread(compose.upgrade_store, settings), stop)
    if not stop.is_set():
        await heart.run()


async def insist(what: str, attempt: Any, stop: asyncio.Event) -> None:
    """Repeat until it works or ``stop``: what we depend on may start later than we do."""
    delay = 0.2
    while not stop.is_set():
        try:
            await attempt()
            return
        except Unavailable as error:
            log.warning("waiting for %s: %s", what, error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), delay)
            delay = min(2 * delay, 5.0)


async def _publish(registry: RegistryFile, roster: Roster, first: bool = False) -> None:
    try:
        read = await asyncio.to_thread(registry.read if first else registry.poll)
    except (OSError, RegistryError) as error:
        raise ConfigError(f"ingest.registry: {error}") from None
    if read is None:
        return
    meters, faults = read
    for fault in faults:
        log.error("registry: %s", fault)
    if meters:
        changed = await roster.publish(meters)
        if changed:
            log.info("registry: %d meters, %d new or changed", len(meters), changed)


async def _watch(registry: RegistryFile, roster: Roster) -> None:
    while True:
        await asyncio.sleep(REGISTRY_EVERY_S)
        try:
            await _publish(registry, roster)
        except PortError as error:
            log.warning("registry not published yet: %s", error)


def _figures(ingest: Ingest, roster: Roster, source: Any) -> Any:
    def figures() -> dict[str, Any]:
        stats = ingest.stats
        return {
            "readings": stats.readings,
            "batches": stats.batches,
            "messages": stats.messages,
            "last_reading_ns": stats.last_reading_ns,
            "dead_letters": stats.dead_letters,
            "meters_known": roster.known,
            "mqtt": str(source.stats.state),
            "error": stats.log_error,
        }

    return figures


def _ready(ingest: Ingest, source: Any) -> tuple[bool, str]:
    if ingest.stats.log_error:
        return False, f"nothing is acknowledged: {ingest.stats.log_error}"
    stats = source.stats
    connected = str(stats.state) == "connected"
    return connected, "" if connected else f"MQTT is {stats.state}: {stats.last_error or 'connecting'}"


def _metrics(ingest: Ingest, roster: Roster, source: Any) -> list[Metric]:
    s, m = ingest.stats, source.stats
    return [
        Metric("forestall_readings_in_total", "Readings made durable in the log", "counter", s.readings),
        Metric("forestall_messages_in_total", "MQTT messages acknowledged", "counter", s.messages),
        Metric("forestall_batches_total", "Batches written to the log", "counter", s.batches),
        Metric(
            "forestall_dead_letters_total",
            "Payloads or parts that no dialect could read",
            "counter",
            s.dead_letters,
        ),
        Metric("forestall_log_up", "Whether the log takes what is written", "gauge", float(not s.log_error)),
        Metric("forestall_log_retries_total", "Times that the log was unavailable", "counter", s.retries),
        Metric("forestall_mqtt_unacknowledged", "MQTT messages in flight", "gauge", m.unacknowledged),
        Metric("forestall_mqtt_queued", "MQTT messages waiting to be taken", "gauge", m.queued),
        Metric("forestall_meters_known", "Meters that the registry names", "gauge", roster.known),
    ]
