"""Creating topics on Apache Kafka."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from connectors.kafka_client import Cluster
from streams.ports import Rejected, Unavailable

#: what a topic answers with that is not there, or not yet ready
_NOT_YET = (errors.UnknownTopicOrPartitionError.errno, errors.LeaderNotAvailableError.errno)


async def create_topic(cluster: Cluster, topic: NewTopic) -> None:
    """Create a topic unless it exists, and return when every partition has a leader.

    Settings of a topic that exists are left alone. Raises Rejected if it exists with another
    number of partitions or the cluster refuses it, Unavailable.
    """
    what = f"create {topic.name}"
    admin = AIOKafkaAdminClient(**cluster.client)
    await cluster.start(admin, what)
    try:
        end = time.monotonic() + cluster.patience
        found = await _partitions(cluster, admin, topic.name)
        if not found:
            await _create(cluster, admin, topic)
        while not found:
            if time.monotonic() > end:
                raise Unavailable(cluster.endpoint, f"{what}: no leaders after {cluster.patience:g} s")
            await asyncio.sleep(0.02)
            found = await _partitions(cluster, admin, topic.name)
    finally:
        await admin.close()
    if found != topic.num_partitions:
        raise Rejected(
            cluster.endpoint,
            f"{topic.name}: expected {topic.num_partitions} partitions, it exists with {found}; configure "
            "that number, or another name: with more partitions, areas would change theirs",
        )


async def _create(cluster: Cluster, admin: AIOKafkaAdminClient, topic: NewTopic) -> None:
    what = f"create {topic.name}"
    try:
        answer = await cluster.answer(admin.create_topics([topic]), what)
    except AttributeError as error:
        # aiokafka takes it for granted that there is a controller: a cluster just starting has none
        raise Unavailable(cluster.endpoint, f"{what}: the cluster has no controller yet") from error
    for _, code, *texts in answer.topic_errors:
        # another process may have been first
        if code not in (0, errors.TopicAlreadyExistsError.errno):
            raise cluster.meaning(errors.for_code(code)(*(text for text in texts if text)), what)


async def _partitions(cluster: Cluster, admin: AIOKafkaAdminClient, name: str) -> int:
    """How many partitions it has; 0 where there is none, or one has no leader yet."""
    described: list[dict[str, Any]] = await cluster.answer(admin.describe_topics([name]), f"look up {name}")
    for topic in described:
        code = topic["error_code"]
        if code == 0 and topic["topic"] == name:
            partitions = topic["partitions"]
            return len(partitions) if all(each["leader"] >= 0 for each in partitions) else 0
        if code not in _NOT_YET:
            raise cluster.meaning(errors.for_code(code)(), f"look up {name}")
    return 0
