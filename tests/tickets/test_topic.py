"""The topic ``tickets.v1`` as others read it: CloudEvents in the Kafka protocol binding, on both logs."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event

from connectors.kafka_log import KafkaLog
from connectors.sqlite_log import SqliteLog
from streams.log_desk import LogDesk
from streams.messages import TICKETS
from streams.ports import Log
from tests.services.kafka import Kafka
from tests.tickets.helpdesks import opened

Read = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]


async def written(log: Log) -> None:
    await LogDesk(log, "/forestall/test").deliver(opened(), "")


def check(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    """A reader that knows CloudEvents and nothing of us understands it."""
    event = opened()
    assert key == event.ticket_id.encode()
    assert dict(headers)["content-type"].startswith(b"application/cloudevents+json")
    assert value is not None
    read = from_kafka_event(KafkaMessage(headers=dict(headers), key=key, value=value))
    assert (read.get_id(), read.get_source()) == (event.id, "/forestall/test")
    assert (read.get_type(), read.get_subject()) == ("forestall.ticket.opened.v1", event.ticket_id)
    assert read.get_specversion() == "1.0"
    data = read.get_data()
    assert isinstance(data, dict)
    assert data["ticket"]["id"] == event.ticket_id


def test_on_the_embedded_log(tmp_path: Path) -> None:
    async def run() -> Read:
        log = SqliteLog(f"sqlite:///{tmp_path / 'log.db'}")
        await log.ensure_topic(TICKETS, 1)
        await written(log)
        (record,) = log.fetch(TICKETS, 0, 0, 10, 1 << 20)
        await log.close()
        return record.key, record.value, list(record.headers)

    check(*asyncio.run(run()))


def test_on_kafka(kafka: Kafka) -> None:
    """The record is read by a client of Kafka's own kind, not by ours."""

    async def run() -> Read:
        async with KafkaLog(kafka.url) as log:
            await log.ensure_topic(TICKETS, 1)
            start = await log.end(TICKETS, 0)
            await written(log)
        servers = kafka.url.removeprefix("kafka://")
        consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=None, client_id=f"t-{os.getpid()}")
        await consumer.start()
        try:
            partition = TopicPartition(TICKETS, 0)
            consumer.assign([partition])
            consumer.seek(partition, start)
            record = await asyncio.wait_for(consumer.getone(), 20)
            return record.key, record.value, list(record.headers)
        finally:
            await consumer.stop()

    check(*asyncio.run(run()))
