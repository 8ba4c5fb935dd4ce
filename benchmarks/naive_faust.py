"""The naive Faust program: one event, one Table write and one InfluxDB Point a reading.

    python -m benchmarks.naive_faust mqtt://127.0.0.1:1883 TOPIC READINGS BROKER

It prints ``ready`` when it is subscribed and ``done`` when its agent has seen all readings.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from typing import Any
from urllib.parse import urlsplit

import faust
from influxdb_client.client.write.point import Point
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion


class Reading(faust.Record):
    """One reading as a Faust record."""

    meter_id: str
    time: str
    value: float


async def run(url: Any, topic: str, expected: int, broker: str) -> None:
    app = faust.App(
        "naive",
        broker=broker,
        store="memory://",
        topic_partitions=1,
        web_enabled=False,
        datadir=tempfile.gettempdir() + "/naive",
        stream_wait_empty=False,
        topic_disable_leader=True,
        stream_recovery_delay=0.0,
    )
    readings = app.topic("naive-readings", value_type=Reading, key_type=str, partitions=1)
    means = app.Table("means", default=float, partitions=1)
    seen = 0
    done = asyncio.Event()

    @app.agent(readings)
    async def detect(stream: Any) -> None:
        nonlocal seen
        async for reading in stream:
            mean = means[reading.meter_id]
            means[reading.meter_id] = mean + 0.05 * (reading.value - mean)
            point: Any = Point("reading")  # type: ignore[no-untyped-call]
            point.tag("meter", reading.meter_id).field("value", reading.value).time(reading.time)
            point.to_line_protocol()
            seen += 1
            if seen >= expected:
                done.set()

    await readings.declare()
    await app.start()
    loop = asyncio.get_running_loop()

    def on_message(client: Client, userdata: Any, message: Any) -> None:
        body = json.loads(message.payload)
        for reading in body if isinstance(body, list) else [body]:
            sending = readings.send(key=reading["meter_id"], value=Reading(**reading))
            asyncio.run_coroutine_threadsafe(sending, loop)

    client = Client(CallbackAPIVersion.VERSION2, client_id="bench-naive", clean_session=True)
    client.on_message = on_message
    client.on_subscribe = lambda *_: print("ready", flush=True)
    client.on_connect = lambda c, *_: c.subscribe(topic, qos=1)
    await loop.run_in_executor(None, client.connect, url.hostname, url.port)
    client.loop_start()
    await done.wait()
    print("done", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    client.loop_stop()
    await app.stop()


def main() -> None:
    asyncio.run(run(urlsplit(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]))


if __name__ == "__main__":
    main()
