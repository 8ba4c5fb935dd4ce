"""What one MQTT message costs before anybody looks into it: our source beside plain paho.

    python -m benchmarks.mqtt_receive [--messages 200000] [--rate 5000] [--json]

Both read QoS 1 from the same Mosquitto, with a persistent session, and acknowledge everything:
paho by itself after each callback, ours in batches after `take`. A publisher of its own
process keeps the broker full, or sends at `--rate` messages a second. What is counted is the
CPU time (user and system, all threads) of the receiving process from the first message to the last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import socket
import struct
import threading
import time
from collections.abc import Callable
from multiprocessing.queues import Queue

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from connectors.mqtt import Limits, MqttConfig, MqttSource, Protocol
from tests.services.mosquitto import Mosquitto

METERS = 1000
Result = tuple[int, float, float]  # messages, CPU seconds, wall seconds


def publish(port: int, count: int, rate: int) -> None:
    """Send readings of one message each with QoS 1, written by hand: the publisher must not be the limit."""
    sock = socket.create_connection(("127.0.0.1", port))
    client = b"bench-publisher"
    body = b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(client)) + client
    sock.sendall(b"\x10" + bytes([len(body)]) + body)
    sock.recv(4)
    in_flight = threading.Semaphore(20_000)

    def confirmations() -> None:
        seen = 0
        while seen < 4 * count:
            got = len(sock.recv(1 << 16))
            if not got:
                raise ConnectionError(
                    "expected the broker to confirm every message, it closed the connection"
                )
            for _ in range((seen + got) // 4 - seen // 4):
                in_flight.release()
            seen += got

    reader = threading.Thread(target=confirmations)
    reader.start()
    burst = max(1, rate // 500) if rate else 200
    began = time.perf_counter()
    for first in range(0, count, burst):
        packets = []
        for number in range(first, min(first + burst, count)):
            topic = b"meters/m%06d" % (number % METERS)
            payload = b'{"meter_id":"m%06d","time":"2026-01-01T00:00:00Z","value":%d.5}' % (
                number % METERS,
                number,
            )
            inner = struct.pack(">H", len(topic)) + topic + struct.pack(">H", number % 60_000 + 1) + payload
            packets.append(b"\x32" + bytes([len(inner)]) + inner)
            in_flight.acquire()
        sock.sendall(b"".join(packets))
        if rate:
            time.sleep(max(0.0, began + (first + burst) / rate - time.perf_counter()))
    reader.join()


class Meter:
    """CPU and wall time from the first message to the last."""

    def __init__(self) -> None:
        self.seen = 0

    def add(self, messages: int) -> None:
        if not self.seen:
            self.cpu, self.wall = time.process_time(), time.perf_counter()
        self.seen += messages

    def result(self) -> Result:
        return self.seen, time.process_time() - self.cpu, time.perf_counter() - self.wall


def plain(port: int, count: int, protocol: Protocol, out: Queue[Result | str]) -> None:
    """Receive with paho as its documentation shows it: a callback, loop_forever()."""
    meter = Meter()

    def on_message(client: Client, _data: object, _message: MQTTMessage) -> None:
        meter.add(1)
        if meter.seen == count:
            client.disconnect()

    version5 = protocol == "5"
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id="bench-plain",
        clean_session=None if version5 else False,
        protocol=MQTTProtocolVersion.MQTTv5 if version5 else MQTTProtocolVersion.MQTTv311,
    )
    client.on_message = on_message
    client.on_subscribe = lambda *_: out.put("ready")
    client.connect("127.0.0.1", port)
    client.subscribe("meters/#", 1)
    client.loop_forever()
    out.put(meter.result())


def ours(port: int, count: int, protocol: Protocol, out: Queue[Result | str]) -> None:
    """Receive with MqttSource."""

    async def run() -> None:
        meter = Meter()
        config = MqttConfig(
            f"mqtt://127.0.0.1:{port}", "bench-ours", protocol=protocol, limits=Limits(receive_maximum=2000)
        )
        async with MqttSource(config, ["meters/#"]) as source:
            await source.connected()
            out.put("ready")
            while meter.seen < count:
                batch = await source.take(1000, 0.05)
                meter.add(len(batch))
                source.ack([token for _, token in batch])
            out.put(meter.result())

    asyncio.run(run())


Receiver = Callable[[int, int, Protocol, "Queue[Result | str]"], None]


def measure(receiver: Receiver, count: int, rate: int, protocol: Protocol) -> Result:
    """Run broker, receiver and publisher, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with Mosquitto() as broker:
        out: Queue[Result | str] = context.Queue()
        process = context.Process(target=receiver, args=(broker.port, count, protocol, out))
        process.start()
        ready = out.get(timeout=30)
        assert ready == "ready", ready
        sender = context.Process(target=publish, args=(broker.port, count, rate))
        sender.start()
        result = out.get(timeout=600)
        process.join()
        sender.join()
    assert not isinstance(result, str), result
    return result


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--rate", type=int, default=0, help="messages a second; 0: as fast as it goes")
    parser.add_argument("--protocol", choices=("5", "3.1.1"), default="5")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    missing = Mosquitto.missing()
    if missing:
        raise SystemExit(missing)
    figures: dict[str, dict[str, float]] = {}
    for name, receiver in (("plain paho", plain), ("MqttSource", ours)):
        seen, cpu, wall = measure(receiver, chosen.messages, chosen.rate, chosen.protocol)
        figures[name] = {"messages": seen, "cpu_us": cpu / seen * 1e6, "per_second": seen / wall}
    share = figures["MqttSource"]["cpu_us"] / figures["plain paho"]["cpu_us"]
    if chosen.json:
        print(json.dumps({"protocol": chosen.protocol, "rate": chosen.rate, "share": share, **figures}))
        return
    for name, row in figures.items():
        print(f"{name:12} {row['cpu_us']:7.2f} µs CPU a message, {row['per_second']:9,.0f} messages/s")
    print(f"MqttSource takes {share:.0%} of plain paho's CPU (MQTT {chosen.protocol})")


if __name__ == "__main__":
    main()
