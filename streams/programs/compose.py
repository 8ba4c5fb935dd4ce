"""The composition root: settings → the parts, and the only place that imports connectors."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from connectors.embedded_broker import BrokerProcess
from connectors.history_sqlite import HistoryReader, SqliteHistory
from connectors.influx import InfluxConfig, InfluxHistory
from connectors.line_protocol import Labels
from connectors.migrations import upgrade
from connectors.mqtt import Limits, MqttConfig, MqttSource, Tls
from connectors.payloads import PayloadConfig, Router, SparkplugConfig, load_dialects
from connectors.registry_csv import RegistryFile
from connectors.sealing import Seal
from connectors.sqlite_log import SqliteLog
from connectors.store import Store
from detectors import CATALOGUE
from detectors.base import Detector
from detectors.heads import Heads, read
from streams.clock import Clock, FileClock, SystemClock
from streams.messages import NS
from streams.ports import History, Log
from streams.settings import ConfigError, Settings
from streams.state.bank import BankConfig
from streams.state.constants import Sizes
from streams.topology import topics

log = logging.getLogger(__name__)

__all__ = [
    "BrokerProcess",
    "bank_config",
    "histories",
    "instance",
    "make_clock",
    "mqtt_source",
    "open_log",
    "prepare_log",
    "router",
    "serve_web",
    "upgrade_store",
]


def instance(settings: Settings) -> str:
    """The name of this ingest: its MQTT session is kept under it."""
    return settings.mqtt.client_id or f"{settings.app}-ingest-{socket.gethostname()}"


def make_clock(settings: Settings) -> Clock:
    """The wall clock, or the one that a test or the demo sets."""
    return FileClock(settings.clock_file) if settings.clock_file else SystemClock()


def open_log(settings: Settings) -> Log:
    """The durable log, for a process that does not consume it by Faust."""
    if settings.embedded:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        return SqliteLog(str(settings.broker_url))
    from connectors.kafka_log import KafkaLog, KafkaSecurity

    kafka = settings.kafka
    security = KafkaSecurity(
        protocol=kafka.security,
        mechanism=kafka.mechanism,
        username=kafka.username,
        password=kafka.password.get_secret_value(),
        ca=kafka.ca,
        cert=kafka.cert,
        key=kafka.key,
    )
    return KafkaLog(settings.broker_url, security=security, replication=kafka.replication)


async def prepare_log(settings: Settings, log: Log) -> None:
    """Create the topics that are not there yet. Raises Unavailable or Rejected."""
    for name, partitions, compact, more in topics(settings):
        await log.ensure_topic(name, partitions, compact=compact, settings=more)


@cache
def heads() -> Heads:
    """The trees of the habit detector, as ``python -m benchmarks.fit`` left them."""
    return read(json.loads((files("detectors") / "heads.json").read_text("utf-8")))


def detectors(settings: Settings) -> tuple[Detector, ...]:
    """All detectors, with the parameters that the configuration gives.

    A detector's own ``budget`` is its default times that of ``detection``, unless it is given.
    Raises ConfigError for a detector or a parameter that there is not.
    """
    names: dict[str, Any] = {str(make.name): make for make in CATALOGUE}
    unknown = set(settings.detectors) - set(names)
    if unknown:
        raise ConfigError(
            f"detectors: expected one of {', '.join(sorted(names))}, got {', '.join(sorted(unknown))}"
        )
    made: list[Detector] = []
    for name, make in names.items():
        given = settings.detectors.get(name, {})
        known: dict[str, Any] = {f.name: f.default for f in fields(make) if f.name != "heads"}
        if "budget" in known:
            known["budget"] *= settings.detection.budget
        for key, value in given.items():
            if key not in known:
                raise ConfigError(f"detectors.{name}: expected one of {', '.join(known)}, got {key}")
            known[key] = int(value) if isinstance(known[key], int) else float(value)
        if "heads" in {f.name for f in fields(make)}:
            known["heads"] = heads()
        try:
            made.append(make(**known))
        except ValueError as error:
            raise ConfigError(f"detectors.{name}: {error}") from None
    return tuple(made)


def bank_config(settings: Settings) -> BankConfig:
    """What all partitions share."""
    sizes = Sizes()
    for key, value in settings.sizes.items():
        if key not in {f.name for f in fields(sizes)} or not isinstance(getattr(sizes, key), float):
            raise ConfigError(f"sizes: expected one of {', '.join(f.name for f in fields(sizes))}, got {key}")
        given: Any = {key: value}
        sizes = replace(sizes, **given)
    sizes = replace(sizes, sentinels=settings.worker.sentinels)
    return BankConfig(
        detectors=detectors(settings),
        lateness_ns=round(settings.worker.lateness_s * NS),
        ahead_ns=round(settings.worker.ahead_s * NS),
        sizes=sizes,
    )


def sparkplug_config(settings: Settings) -> SparkplugConfig:
    """How Sparkplug is read."""
    given = settings.sparkplug.model_dump()
    return SparkplugConfig(register=given.pop("register_name"), **given)


def router(settings: Settings) -> Router:
    """The payload dialects. Raises ConfigError where a mapping file is wrong."""
    try:
        return load_dialects(
            PayloadConfig(
                native_topics=settings.ingest.native_topics,
                mappings=settings.ingest.mappings,
                sparkplug=sparkplug_config(settings) if settings.ingest.sparkplug else None,
                ignore=settings.ingest.ignore,
            )
        )
    except ValueError as error:
        raise ConfigError(f"ingest: {error}") from None


def mqtt_source(settings: Settings, url: str, filters: Sequence[str]) -> MqttSource:
    """The MQTT connection. Raises ConfigError where it is described wrongly."""
    mqtt = settings.mqtt
    try:
        tls = None
        if url.startswith("mqtts:"):
            tls = Tls(mqtt.ca, mqtt.cert, mqtt.key, mqtt.key_password.get_secret_value() or None)
        config = MqttConfig(
            url=url,
            client_id=instance(settings),
            username=mqtt.username or None,
            password=mqtt.password.get_secret_value() or None,
            tls=tls,
            protocol=mqtt.protocol,
            shared_group=mqtt.shared_group or None,
            limits=Limits(
                receive_maximum=mqtt.receive_maximum, max_packet=round(mqtt.max_payload_mb * (1 << 20))
            ),
        )
        return MqttSource(config, filters=list(filters))
    except ValueError as error:
        raise ConfigError(f"mqtt: {error}") from None


def histories(settings: Settings, clock: Clock, label: Callable[[str], Labels]) -> list[History]:
    """Where readings and flags are kept to be looked at: SQLite, InfluxDB, both or none."""
    out: list[History] = []
    if settings.history.keep_days > 0:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        out.append(SqliteHistory(settings.history_path, settings.history.keep_days, now_ns=clock.now_ns))
    if settings.influx.url:
        influx = settings.influx
        out.append(
            InfluxHistory(
                InfluxConfig(
                    url=influx.url,
                    token=influx.token.get_secret_value(),
                    org=influx.org,
                    bucket=influx.bucket,
                ),
                label,
            )
        )
    return out


def seal(settings: Settings) -> Seal:
    """How personal data is kept. Raises ConfigError."""
    try:
        return Seal([key.get_secret_value() for key in settings.people.keys])
    except ValueError as error:
        raise ConfigError(f"people.keys: {error}") from None


def upgrade_store(settings: Settings) -> None:
    """Bring the tickets' database to this version. Raises Unavailable."""
    upgrade(settings.store_url)


async def _follow_units(registry: RegistryFile, units: dict[str, str]) -> None:
    """Keep the registry's units at hand, for readings that came without one; read beside the loop."""
    while True:
        try:
            read = await asyncio.to_thread(registry.poll)
        except (OSError, ValueError) as error:
            log.warning("registry not read: %s", error)
            read = None
        if read is not None:
            units.update({meter.meter_id: meter.unit for meter in read[0].values()})
        await asyncio.sleep(30.0)


async def serve_web(
    settings: Settings,
    store: Store,
    clock: Clock,
    stop: asyncio.Event,
    started: asyncio.Event,
    missing: Callable[[], str],
) -> None:
    """API and pages, until ``stop``. Raises PortTaken.

    started : set once requests are answered. No other thread may work before: as it starts, NiceGUI
        goes through all objects there are, and a tuple that a thread is filling cannot bear to be held
    missing : why the store cannot be asked yet; empty: it can
    """
    from connectors.web import Sources, User, WebConfig, make_app, serve
    from connectors.web.metrics import Families
    from streams.programs import policies
    from streams.programs.desks import make_inbox
    from streams.programs.papers import papers
    from streams.programs.routes import routes
    from streams.programs.vocabulary import vocabulary

    kept_at = (
        f"InfluxDB at {settings.influx.url}, bucket {settings.influx.bucket}" if settings.influx.url else ""
    )
    history = HistoryReader(settings.history_path) if settings.history.keep_days > 0 else None
    units: dict[str, str] = {}
    following = []

    def ready(port: int) -> None:
        log.info("pages on http://%s:%d/", settings.web.host, port)
        if settings.ingest.registry is not None:
            registry = RegistryFile(settings.ingest.registry)
            following.append(asyncio.create_task(_follow_units(registry, units)))
        started.set()

    sources = Sources(
        store=store,
        history=history,
        kept_at=kept_at,
        vocabulary=vocabulary(),
        now_ns=clock.now_ns,
        unit_of=lambda meter_id: units.get(meter_id, ""),
        missing=missing,
        papers=papers(settings),
        inbox=make_inbox(settings, store, policies.rules(settings).targets, clock),
    )
    config = WebConfig(
        token=settings.web.token.get_secret_value(),
        language=settings.web.language,
        version=version("forestall"),
        users=tuple(
            User(user.name, user.role, tuple(token.get_secret_value() for token in user.tokens))
            for user in settings.web.users
        ),
    )
    told: list[Families] = []
    routers = routes(settings, store, clock, told)
    app = make_app(sources, config, lambda: [one for family in told for one in family()], routers=routers)
    try:
        await serve(app, settings.web.host, settings.web.port, stop, ready)
    finally:
        for task in following:
            task.cancel()
        if history is not None:
            await history.close()
