"""The load of the benchmarks: hourly interval readings of many meters, as our native JSON."""

from __future__ import annotations

import json
import multiprocessing
import socket
import struct
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

METERS = 10_000
START = datetime(2026, 1, 1, tzinfo=UTC)
TOPIC = "forestall/readings/bench"


def registry(path: Path, meters: int = METERS) -> None:
    """Write METERS.csv: water meters in areas of 250."""
    with path.open("w", encoding="utf-8") as file:
        file.write("meter_id,commodity,unit,kind,interval_s,area,class\n")
        file.writelines(
            f"m{i:07d},water,L,interval,3600,area-{i // 250},residential\n" for i in range(meters)
        )


def payloads(readings: int, per_message: int, meters: int = METERS) -> Iterator[bytes]:
    """Messages of ``per_message`` readings: one of one meter as an object, more as an array."""
    done = 0
    while done < readings:
        batch = []
        for k in range(done, min(done + per_message, readings)):
            hour, meter = divmod(k, meters)
            stamp = (START + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")
            batch.append(
                {"meter_id": f"m{meter:07d}", "time": stamp, "value": float(1 + (meter * 7 + hour * 13) % 40)}
            )
        done += len(batch)
        yield json.dumps(batch[0] if per_message == 1 else batch, separators=(",", ":")).encode()


def _send(port: int, readings: int, per_message: int, rate: float, meters: int, stamps: str) -> None:
    """Publish at QoS 1 with bytes written by hand: the publisher must not be the limit."""
    sock = socket.create_connection(("127.0.0.1", port))
    client = b"bench-meters"
    connect = b"\0\4MQTT\4\2\0\0" + struct.pack(">H", len(client)) + client
    sock.sendall(b"\x10" + bytes([len(connect)]) + connect)
    sock.recv(4)
    # Acknowledgements are read and thrown away: what is measured is behind the broker.
    threading.Thread(
        target=lambda: [None for _ in iter(lambda: sock.recv(1 << 16), b"")], daemon=True
    ).start()
    begin = time.monotonic()
    written = Path(stamps).open("w", encoding="ascii") if stamps else None  # noqa: SIM115 – closed at the end
    out = bytearray()
    for number, payload in enumerate(payloads(readings, per_message, meters)):
        body = (
            struct.pack(">H", len(TOPIC)) + TOPIC.encode() + struct.pack(">H", number % 65535 + 1) + payload
        )
        size, length = len(body), bytearray()
        while True:
            size, digit = divmod(size, 128)
            length.append(digit | (0x80 if size else 0))
            if not size:
                break
        out += b"\x32" + length + body
        if rate:
            sock.sendall(out)
            if written is not None:
                written.write(f"{time.time_ns()}\n")
            out.clear()
            ahead = begin + (number + 1) / rate - time.monotonic()
            if ahead > 0.002:
                time.sleep(ahead)
        elif len(out) > 1 << 18:
            sock.sendall(out)
            out.clear()
    sock.sendall(out)
    if written is not None:
        written.close()
    time.sleep(2.0)
    sock.close()


def publish(
    port: int, readings: int, per_message: int, rate: float = 0.0, meters: int = METERS, stamps: str = ""
) -> BaseProcess:
    """Start a publisher of its own process; ``rate`` in messages a second, 0 = as fast as it goes."""
    process = multiprocessing.get_context("spawn").Process(
        target=_send, args=(port, readings, per_message, rate, meters, stamps), daemon=True
    )
    process.start()
    return process
