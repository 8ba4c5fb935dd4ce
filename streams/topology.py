"""The Faust app: topics, the state's table, and the settings that losing nothing depends on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import faust
from faust.types import TP

from streams.messages import DEAD_LETTERS, FLAGS, READINGS
from streams.settings import Settings

LARGEST = 16 << 20  # bytes of a record: a block of meters, a batch


class App(faust.App):
    """A Faust app that lets go of its state in order: last checkpoint first, consumer after.

    ``on_crash`` is called with the reason at the instant at which it, or a part of it, fails.
    """

    before_stop: Any = None
    on_crash: Any = None

    def _crash(self, reason: BaseException) -> None:
        """Faust marks an app so, whichever of its parts has failed; others then have to end it."""
        if self.on_crash is not None and not self._crashed.is_set():
            self.on_crash(reason)
        super()._crash(reason)

    async def on_stop(self) -> None:
        """Checkpoint while the partitions are still ours."""
        if self.before_stop is not None:
            await self.before_stop()
        await super().on_stop()


@dataclass(frozen=True, slots=True)
class Topology:
    """The app and its channels."""

    app: App
    readings: Any
    flags: Any
    state: Any  # the table whose changelog carries the checkpoints
    changelog: str


#: Topics that carry large records; the changelog is compacted soon after a checkpoint replaces another.
LARGE: Mapping[str, str] = {"max.message.bytes": str(LARGEST)}
COMPACTED: Mapping[str, str] = {
    **LARGE,
    "min.cleanable.dirty.ratio": "0.1",
    "segment.ms": "600000",
    "segment.bytes": "33554432",  # or the changelog stays many times the state
    "delete.retention.ms": "3600000",
}


def make_app(settings: Settings, name: str, **more: Any) -> App:
    """An app of our kind: see DESIGN §3 and docs/adr/0001 for why each setting is what it is."""
    security: dict[str, Any] = {}
    if not settings.embedded:
        security = {"broker_credentials": credentials(settings)}
    return App(
        name,
        broker=settings.broker_url,
        store="memory://",
        datadir=str(settings.data_dir / "faust"),
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.kafka.replication,
        topic_disable_leader=True,
        stream_wait_empty=False,
        stream_buffer_maxsize=256,
        stream_recovery_delay=0.0,
        table_standby_replicas=0,
        recovery_consistency_check=False,
        producer_acks=-1,
        producer_max_request_size=LARGEST,
        producer_max_batch_size=1 << 20,
        producer_linger=0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 << 20,
        consumer_group_instance_id=(settings.worker.instance and f"{name}-{settings.worker.instance}")
        or None,
        broker_session_timeout=settings.worker.session_timeout_s,
        broker_heartbeat_interval=settings.worker.session_timeout_s / 10,
        broker_rebalance_timeout=60.0,
        broker_max_poll_interval=600.0,
        broker_commit_livelock_soft_timeout=86_400.0,
        web_enabled=False,
        web_tables_enabled=False,
        **security,
        **more,
    )


def credentials(settings: Settings) -> Any:
    """Faust's credentials for the cluster's security protocol; None for plain text."""
    kafka = settings.kafka
    context = None
    if kafka.security in ("SSL", "SASL_SSL"):
        from aiokafka.helpers import create_ssl_context

        context = create_ssl_context(
            cafile=kafka.ca and str(kafka.ca),
            certfile=kafka.cert and str(kafka.cert),
            keyfile=kafka.key and str(kafka.key),
        )
    if kafka.security.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.username,
            password=kafka.password.get_secret_value(),
            mechanism=kafka.mechanism,
            ssl_context=context,
        )
    return faust.SSLCredentials(context=context) if context else None


def raw_topic(app: App, name: str) -> Any:
    """A source topic of bytes; it exists already."""
    return app.topic(
        name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", internal=False
    )


def build(settings: Settings) -> Topology:
    """The detecting app. One per event loop: apps are bound to theirs."""
    app = make_app(settings, settings.app)
    state: Any = app.Table(
        "state",
        key_type=bytes,
        value_type=bytes,
        partitions=settings.partitions,
        recovery_buffer_size=16,
        extra_topic_configs=dict(COMPACTED),
    )
    return Topology(app, raw_topic(app, READINGS), raw_topic(app, FLAGS), state, state.changelog_topic_name)


async def commit(app: App, offsets: Mapping[TP, int]) -> bool:
    """Commit the group's offsets; False where the broker says that they are not ours any more.

    By the consumer itself, not by acks: Faust's acks of held events may commit past them.
    """
    consumer: Any = app.consumer
    return bool(await consumer._commit(offsets))


async def committed(app: App, tps: Collection[TP]) -> dict[TP, int]:
    """What the group has committed of these partitions; without any, 0.

    Asked of the log itself: Faust knows it only some time after partitions were assigned.
    """
    consumer: Any = app.consumer
    thread = getattr(consumer, "_thread", None)
    if thread is None:
        found = await consumer.committed()
    else:
        client = thread._ensure_consumer()
        found = {tp: await thread.call_thread(client.committed, tp) for tp in tps}
    return {tp: found.get(tp) or 0 for tp in tps}


def topics(settings: Settings) -> list[tuple[str, int, bool, Mapping[str, str]]]:
    """All topics that must exist before any process starts: name, partitions, compacted, settings."""
    from streams.messages import COMPLAINTS, REGISTRY, TICKETS, VERDICTS

    n = settings.partitions
    return [
        (READINGS, n, False, LARGE),
        (FLAGS, n, False, {}),
        (COMPLAINTS, n, False, {}),
        (VERDICTS, n, False, {}),
        (TICKETS, n, False, {}),
        (DEAD_LETTERS, n, False, {}),
        (REGISTRY, 1, True, LARGE),
        (f"{settings.app}-state-changelog", n, True, COMPACTED),
    ]
