"""All processes on one machine, and the MQTT broker where none is configured."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from streams.programs import compose
from streams.settings import Settings
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
    try:
        await Supervisor(config, environment).run(stop)
    finally:
        if broker is not None:
            await asyncio.to_thread(broker.stop)
