"""What checkpoints cost on Apache Kafka: ``python -m benchmarks.kafka_changelog [SHARE]``.

1,000,000 meters of 1 kB in records of 512 meters, 4 partitions: written by Faust's producer and by
one of our own, recovered through a Faust Table, read by ``KafkaLog``; then how much of a changelog
that is overwritten again and again stays on disk. Needs ``make services``.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import faust
from aiokafka import AIOKafkaProducer

from benchmarks.measure import cpu_seconds, resident_bytes, table
from connectors.kafka_log import KafkaLog
from tests.services.kafka import Kafka

PARTITIONS = 4
METERS = 1_000_000
RECORD = 512 * 1024  # bytes: 512 meters of 1 kB
WINDOW = 32  # records under way
READINGS, CHANGELOG, OTHER = "readings", "changelog-bench-state-changelog", "other-changelog"
LARGEST = 16 << 20

Send = Callable[[bytes, bytes, int], Awaitable[Any]]


def make_app(url: str) -> tuple[faust.App, Any]:
    """An app whose table recovers from the changelog."""
    app = faust.App(
        "changelog-bench",
        broker=url,
        store="memory://",
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        topic_disable_leader=True,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        producer_acks=-1,
        producer_max_request_size=LARGEST,
        producer_max_batch_size=1 << 20,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 << 20,
        recovery_consistency_check=False,
        web_enabled=False,
        datadir=tempfile.gettempdir() + "/changelog-bench",
    )
    state = app.Table(
        "state", key_type=bytes, value_type=bytes, partitions=PARTITIONS, recovery_buffer_size=16
    )
    topic = app.topic(
        READINGS, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
    )

    @app.agent(topic)
    async def nothing(stream: Any) -> None:
        async for _ in stream:
            pass

    return app, state


async def write(url: str, broker: int, how: str, records: int) -> str:
    """Write so many records; one line of the table."""
    body = os.urandom(RECORD)
    if how == "Faust's producer":
        app, _ = make_app(url)
        await app.producer.start()

        async def send(key: bytes, value: bytes, partition: int) -> Any:
            return await app.producer.send(CHANGELOG, key, value, partition, None, None)

        stop = app.producer.stop
    else:
        producer = AIOKafkaProducer(
            bootstrap_servers=url.removeprefix("kafka://"),
            acks="all",
            enable_idempotence=True,
            max_request_size=LARGEST,
            max_batch_size=1 << 20,
        )
        await producer.start()

        async def send(key: bytes, value: bytes, partition: int) -> Any:
            return await producer.send(OTHER, value, key, partition)

        stop = producer.stop
    own, theirs, started = cpu_seconds(os.getpid()), cpu_seconds(broker), time.monotonic()
    for first in range(0, records, WINDOW):
        numbers = range(first, min(first + WINDOW, records))
        sent = [await send(b"%d/hot/%d@1.1" % (n % PARTITIONS, n), body, n % PARTITIONS) for n in numbers]
        await asyncio.gather(*sent)
    line = report(f"write, {how}", records, started, own, theirs, broker)
    await stop()
    return line


def recover(url: str, broker: int) -> None:
    """Start a worker, print one line of the table when its table is there, and end."""
    app, state = make_app(url)
    begun = (0.0, 0.0, 0.0)

    @app.on_partitions_assigned.connect
    async def assigned(*_: Any, **__: Any) -> None:
        nonlocal begun
        begun = (time.monotonic(), cpu_seconds(os.getpid()), cpu_seconds(broker))

    @state.on_recover  # type: ignore[untyped-decorator]
    async def recovered() -> None:
        print(report("recover, Faust Table", len(state.data.data), *begun, broker), flush=True)
        os._exit(0)

    worker = faust.Worker(app, loglevel="ERROR", redirect_stdouts=False, debug=False)
    worker.execute_from_commandline()


async def read(url: str, broker: int) -> str:
    """Read all partitions one after the other."""
    own, theirs, started, count = cpu_seconds(os.getpid()), cpu_seconds(broker), time.monotonic(), 0
    async with KafkaLog(url) as log:
        for partition in range(PARTITIONS):
            async for _ in log.read(CHANGELOG, partition):
                count += 1
    return report("read, KafkaLog", count, started, own, theirs, broker)


def report(what: str, records: int, started: float, own: float, theirs: float, broker: int) -> str:
    """One line: what, MB, wall, MB/s, own CPU, broker's CPU, memory."""
    wall, megabytes = time.monotonic() - started, records * RECORD / 1e6
    cells = (
        what,
        f"{megabytes:.0f}",
        f"{wall:.1f}",
        f"{megabytes / wall:.0f}",
        f"{cpu_seconds(os.getpid()) - own:.1f}",
        f"{cpu_seconds(broker) - theirs:.1f}",
        f"{resident_bytes(os.getpid()) / 1e6:.0f}",
    )
    return "\t".join(cells)


async def overwrite(broker: Kafka, segment: int | None, records: int, times: int) -> tuple[str, ...]:
    """Write and delete the same state again and again; what is left on disk."""
    topic = f"overwritten-{segment or 'default'}"
    settings = {"min.cleanable.dirty.ratio": "0.1", "segment.ms": "600000"}
    if segment:
        settings["segment.bytes"] = str(segment)
    body = os.urandom(RECORD)
    async with KafkaLog(broker.url) as log:
        await log.ensure_topic(topic, PARTITIONS, compact=True, settings=settings)
        for turn in range(times):
            started = time.monotonic()
            for part in (body, None):
                for first in range(0, records if part or turn else 0, WINDOW):
                    await asyncio.gather(
                        *(
                            log.append(
                                topic, part, key=b"%d@%d" % (n, turn - (not part)), partition=n % PARTITIONS
                            )
                            for n in range(first, min(first + WINDOW, records))
                        )
                    )
            # the cleaner looks every 15 s
            await asyncio.sleep(max(0.0, 15.0 - (time.monotonic() - started)))
    on_disk = sum(file.stat().st_size for file in broker.dir.glob(f"data/{topic}-*/*.log"))
    size = f"{segment >> 20} MiB" if segment else "default (1 GiB)"
    return size, f"{records * RECORD / 1e6:.0f}", str(times), f"{on_disk / 1e6:.0f}"


def run(share: float = 1.0) -> str:
    """All of it, ``share`` of the meters; a Markdown text."""
    records = max(WINDOW, round(share * METERS * 1024 / RECORD))
    lines: list[str] = []
    with Kafka(["log.cleaner.backoff.ms=15000"]) as broker:

        async def topics() -> None:
            async with KafkaLog(broker.url) as log:
                await log.ensure_topic(READINGS, PARTITIONS)
                for topic in (CHANGELOG, OTHER):
                    await log.ensure_topic(topic, PARTITIONS, compact=True)

        asyncio.run(topics())
        # Each in a process of its own, so that none pays for another's memory.
        for step in ("Faust's producer", "own producer", "recover", "read"):
            command = [sys.executable, "-m", "benchmarks.kafka_changelog", step]
            arguments = [broker.url, str(broker.pid), str(records)]
            done = subprocess.run([*command, *arguments], check=True, capture_output=True, text=True)
            lines.append(done.stdout.strip().splitlines()[-1].lstrip("\x1b[?25lh"))
        few = max(WINDOW, records // 4)
        disk = [asyncio.run(overwrite(broker, segment, few, 6)) for segment in (None, 32 << 20)]
    header = ("what", "MB", "wall s", "MB/s", "own CPU s", "broker CPU s", "memory MB")
    cells = [tuple(line.split("\t")) for line in lines]
    return (
        table(header, cells)
        + "\n\n"
        + table(("segment.bytes", "state MB", "times written", "on disk MB"), disk)
    )


def main() -> None:
    """The steps of ``run``, and ``run`` itself."""
    if len(sys.argv) <= 2:
        print(run(float(sys.argv[1]) if len(sys.argv) == 2 else 1.0))
        return
    step, url, broker, records = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if step == "recover":
        recover(url, broker)
    elif step == "read":
        print(asyncio.run(read(url, broker)))
    else:
        print(asyncio.run(write(url, broker, step, records)))


if __name__ == "__main__":
    main()
