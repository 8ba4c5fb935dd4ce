"""What writing a reading to InfluxDB costs us, and how fast the servers take it.

    python -m benchmarks.influx_write [--readings 200000]

Three ways: ours; ours without quality and marks; and, for comparison, one influxdb-client
``Point`` a reading through its batching-free write API with gzip. Three receivers: one that
reads and answers 204 at once (what we cost alone), VictoriaMetrics and InfluxDB 2, where they
are there. CPU is that of this process, receivers run in others.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection
from typing import Any

from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write.point import Point
from influxdb_client.client.write_api import SYNCHRONOUS

from benchmarks.history import batches
from connectors.influx import InfluxConfig, InfluxHistory
from connectors.line_protocol import Labels
from streams.columns import Columns
from tests.services.influx import Influx
from tests.services.victoria import Victoria

BATCH = 1000
Result = tuple[float, float]  # CPU and wall seconds


def ours(url: str, made: list[Columns], *, details: bool) -> Result:
    """InfluxHistory."""

    async def run() -> Result:
        config = InfluxConfig(url, Influx.token, Influx.org, Influx.bucket, details=details)
        history = InfluxHistory(config, lambda meter: Labels("water", meter[-2:]))
        cpu, wall = time.process_time(), time.perf_counter()
        for columns in made:
            assert await history.write(columns) == []
        spent = time.process_time() - cpu, time.perf_counter() - wall
        await history.close()
        return spent

    return asyncio.run(run())


def points(url: str, made: list[Columns]) -> Result:
    """One Point a reading, as influxdb-client's own examples do."""
    point: Any = Point  # it brings no types
    client: Any = InfluxDBClient(url, Influx.token, org=Influx.org, enable_gzip=True)
    api = client.write_api(write_options=SYNCHRONOUS)
    cpu, wall = time.process_time(), time.perf_counter()
    for c in made:
        api.write(
            Influx.bucket,
            record=[
                point("point")
                .tag("meter", c.meters[meter])
                .tag("kind", "register")
                .tag("unit", "m3")
                .tag("commodity", "water")
                .tag("area", c.meters[meter][-2:])
                .field("value", value)
                .field("quality", 0.0)
                .field("marks", 0.0)
                .time(at)
                for meter, at, value in zip(
                    c.meter.tolist(), c.time_ns.tolist(), c.value.tolist(), strict=True
                )
            ],
        )
    spent = time.process_time() - cpu, time.perf_counter() - wall
    client.close()
    return spent


def serve(port: Connection) -> None:
    """Answer every write with 204."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    port.send(server.server_port)
    server.serve_forever()


@contextmanager
def nobody() -> Iterator[str]:
    """A receiver that keeps nothing."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(there,), daemon=True)
    process.start()
    yield f"http://127.0.0.1:{here.recv()}"
    process.terminate()
    process.join()


@contextmanager
def real(service: type[Victoria | Influx]) -> Iterator[str]:
    """A server of its own."""
    with service() as server:
        yield server.url


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--readings", type=int, default=200_000)
    readings = parser.parse_args().readings
    made = batches(10_000, readings, BATCH)
    ways: list[tuple[str, Callable[[str], Result]]] = [
        ("ours", lambda url: ours(url, made, details=True)),
        ("ours, value only", lambda url: ours(url, made, details=False)),
        ("Points", lambda url: points(url, made)),
    ]
    print(f"{readings:,} readings of 10,000 meters, {BATCH:,} a request")
    print(f"{'receiver':<18} {'way':<18} {'own CPU µs':>10} {'readings/s':>12}")
    for name, receiver in (
        ("nobody", nobody()),
        ("VictoriaMetrics", real(Victoria)),
        ("InfluxDB 2", real(Influx)),
    ):
        missing = {"VictoriaMetrics": Victoria.missing, "InfluxDB 2": Influx.missing}.get(
            name, lambda: None
        )()
        if missing:
            print(f"{name:<18} left out: {missing}")
            continue
        with receiver as url:
            for way, write in ways:
                cpu, wall = write(url)
                print(f"{name:<18} {way:<18} {cpu / readings * 1e6:>10.2f} {readings / wall:>12,.0f}")


if __name__ == "__main__":
    main()
