"""All processes on one machine, and the MQTT broker where none is configured."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from streams.programs import compose
from streams.settings import ConfigError, Settings
from streams.supervise import Supervisor

log = logging.getLogger(__name__)


async def run(settings: Settings, config: Path | None, stop: asyncio.Event) -> None:
    """Until ``stop``."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    environment: dict[str, str] = {}
    broker = None
    if not settings.mqtt.url:
        broker = compose.BrokerProcess(settings.mqtt.embedded_port)
        await asyncio.to_thread(broker.start)
        environment["FORESTALL_MQTT__URL"] = broker.url
        log.info("MQTT broker on %s (loopback only)", broker.url)
    supervisor = Supervisor(config, environment)
    watching = asyncio.create_task(_watch(broker)) if broker is not None else None
    try:
        await supervisor.run(stop)
    finally:
        if watching is not None:
            watching.cancel()
        if broker is not None:
            await asyncio.to_thread(broker.stop)
    if supervisor.refused:
        raise ConfigError(f"{supervisor.refused} cannot start; what it says stands above")


async def _watch(broker: compose.BrokerProcess) -> None:
    """Start the broker again, on its port, should it die: meters and ingest connect anew by themselves."""
    while True:
        await asyncio.sleep(1.0)
        if not broker.running:
            log.error("the MQTT broker has ended; starting it again on %s", broker.url)
            await asyncio.to_thread(broker.start)
