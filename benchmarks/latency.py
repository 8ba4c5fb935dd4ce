"""Latency from publish to flag at 5,000 readings a second, one reading a message, Mosquitto.

    python -m benchmarks latency

Every reading of the measured minute is its own question: when was it published, and when was
the flag that it raises durable in flags.v1? A share of the meters spikes, so that flags come
evenly over the time.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.load import START
from benchmarks.measure import table, wait_for
from benchmarks.pipeline import Product
from connectors.sqlite_log import SqliteLog
from streams.programs import compose
from streams.settings import load as load_settings
from tests.services.mosquitto import Mosquitto

RATE = 5_000
METERS = 5_000
HISTORY_DAYS = 20  # daily peaks that the spike check wants before it speaks
SPIKES_EVERY = 50  # every so many readings one spikes


async def _seed(config: Path) -> None:
    """History by the same log: three weeks of each meter, marked as such."""
    from streams.columns import Columns, encode
    from streams.messages import READINGS, Mark
    from streams.registry import partition_of

    settings = load_settings(config)
    durable = compose.open_log(settings)
    names = [f"m{i:07d}" for i in range(METERS)]
    homes = np.array([partition_of(f"area-{i // 250}", settings.partitions) for i in range(METERS)])
    start = round(START.timestamp()) * 1_000_000_000
    for day in range(HISTORY_DAYS):
        for partition in range(settings.partitions):
            mine = np.flatnonzero(homes == partition)
            n = len(mine)
            if not n:
                continue
            columns = Columns(
                [names[i] for i in mine], np.arange(n, dtype=np.uint32),
                np.full(n, start - (HISTORY_DAYS - day) * 86_400_000_000_000), np.full(n, 5.0), np.zeros(n, np.uint8),
                [""], np.zeros(n, np.uint8), np.zeros(n, np.uint8), np.full(n, int(Mark.HISTORICAL), np.uint16),
                np.zeros(n, np.uint32), ["seed"], ["seed"], np.zeros(1, np.int64), np.full(1, -1), bytes(16),
            )  # fmt: skip
            await durable.append(READINGS, encode(columns), partition=partition)
    await durable.close()


def _publish(port: int, seconds: float) -> dict[str, float]:
    """Publish at the rate; return when each spiking reading was sent, by its meter."""
    import socket
    import struct
    import threading

    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = b"bench-latency"
    body = b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(client)) + client
    sock.sendall(b"\x10" + bytes([len(body)]) + body)
    sock.recv(4)
    threading.Thread(
        target=lambda: [None for _ in iter(lambda: sock.recv(1 << 16), b"")], daemon=True
    ).start()
    sent: dict[str, float] = {}
    topic = b"forestall/readings/bench"
    begin = time.perf_counter()
    total = round(seconds * RATE)
    for number in range(total):
        meter = number % METERS
        turn = number // METERS
        name = f"m{meter:07d}"
        # One spike a meter: its next readings are calm, and an episode is open once.
        spike = number % SPIKES_EVERY == turn % SPIKES_EVERY and name not in sent
        stamp = START.timestamp() + 3600.0 * (turn + 1)
        reading = {
            "meter_id": name,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(stamp)),
            "value": 900.0 if spike else 5.0,
        }
        payload = json.dumps(reading, separators=(",", ":")).encode()
        packet = struct.pack(">H", len(topic)) + topic + struct.pack(">H", number % 65535 + 1) + payload
        length, size = bytearray(), len(packet)
        while True:
            size, digit = divmod(size, 128)
            length.append(digit | (0x80 if size else 0))
            if not size:
                break
        ahead = begin + number / RATE - time.perf_counter()
        if ahead > 0.001:
            time.sleep(ahead)
        if spike:
            sent[name] = time.time()
        sock.sendall(b"\x32" + length + packet)
    time.sleep(1.0)
    sock.close()
    return sent


async def _seen(settings_path: Path, raised: dict[str, float], stop: asyncio.Event) -> None:
    """Watch flags.v1 and note when each meter's spike was durable there."""
    settings = load_settings(settings_path)
    log = SqliteLog(settings.broker_url)
    places = dict.fromkeys(range(settings.partitions), 0)
    while not stop.is_set():
        for partition, place in places.items():
            async for offset, _, value in log.read("flags.v1", partition, place):
                places[partition] = offset + 1
                flag = json.loads(value or b"{}")
                if flag["status"] == "raised" and flag["kind"] == "spike":
                    raised.setdefault(flag["meter_id"], time.time())
        await asyncio.sleep(0.001)
    await log.close()


async def _measure(product: Product, broker: Mosquitto, seconds: float) -> list[float]:
    raised: dict[str, float] = {}
    stop = asyncio.Event()
    watching = asyncio.create_task(_seen(product.config, raised, stop))
    sent = await asyncio.to_thread(_publish, broker.port, seconds)
    end = time.monotonic() + 30
    while len(raised) < len(sent) and time.monotonic() < end:
        await asyncio.sleep(0.05)
    stop.set()
    await watching
    missing = set(sent) - set(raised)
    if missing:
        raise RuntimeError(f"{len(missing)} of {len(sent)} spikes raised no flag")
    return sorted(1000 * (raised[name] - at) for name, at in sent.items())


def run(share: float = 1.0) -> str:
    """Measure; return the table."""
    with Mosquitto() as broker, tempfile.TemporaryDirectory() as directory:
        product = Product(Path(directory), broker, meters=METERS)
        try:
            product.start()
            asyncio.run(_seed(product.config))
            wait_for(lambda: product.detected >= METERS * HISTORY_DAYS, "the history", 120)
            times = asyncio.run(_measure(product, broker, max(5.0, 60 * share)))
        finally:
            product.stop()
    array = np.array(times)
    row = (
        f"{RATE:,}", f"{len(times):,}", *(f"{np.percentile(array, p):.0f}" for p in (50, 90, 99)),
        f"{array.max():.0f}",
    )  # fmt: skip
    return table(("readings/s", "flags", "p50 [ms]", "p90 [ms]", "p99 [ms]", "most [ms]"), [row])
