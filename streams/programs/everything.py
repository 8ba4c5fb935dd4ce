"""All processes on one machine, and the MQTT broker where none is configured."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from streams.programs import compose
from streams.settings import ConfigError, Settings
from streams.supervise import STOP_S, Supervisor

log = logging.getLogger(__name__)

DRAIN_S = 3.0  # of the time to stop, for what the broker still holds


async def run(settings: Settings, config: Path | None, stop: asyncio.Event) -> None:
    """Until ``stop``."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if settings.mqtt.url:
        supervisor = Supervisor(config, {})
        await supervisor.run(stop)
    else:
        supervisor = await _with_broker(settings, config, stop)
    if supervisor.refused:
        raise ConfigError(f"{supervisor.refused} cannot start; what it says stands above")


async def _with_broker(settings: Settings, config: Path | None, stop: asyncio.Event) -> Supervisor:
    """The same with a broker of our own, which stops first: what it has confirmed still goes into ingest."""
    broker = compose.BrokerProcess(settings.mqtt.embedded_port)
    await asyncio.to_thread(broker.start)
    log.info("MQTT broker on %s (loopback only)", broker.url)
    supervisor = Supervisor(config, {"FORESTALL_MQTT__URL": broker.url}, stop_s=STOP_S - DRAIN_S)
    drained = asyncio.Event()
    watching = asyncio.create_task(_watch(broker))
    running = asyncio.create_task(supervisor.run(drained))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        watching.cancel()
        await asyncio.to_thread(broker.stop, DRAIN_S)
        drained.set()
        await running
    return supervisor


async def _watch(broker: compose.BrokerProcess) -> None:
    """Start the broker again, on its port, should it die: meters and ingest connect anew by themselves."""
    while True:
        await asyncio.sleep(1.0)
        if not broker.running:
            log.error("the MQTT broker has ended; starting it again on %s", broker.url)
            await asyncio.to_thread(broker.start)
