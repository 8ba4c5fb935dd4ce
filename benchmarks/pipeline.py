"""CPU a reading from MQTT QoS 1 (Mosquitto) through the durable log to the flag.

    python -m benchmarks pipeline

Our ingest and worker, the plain program and the naive Faust program, one after the other in
one run, behind the same broker and the same messages. Counted is the CPU time of our own
processes (user and system, all threads), the broker's and the publisher's apart, from the
first message to the last reading in the state.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.measure import cpu_seconds, table, wait_for
from tests.services.mosquitto import Mosquitto
from tests.services.process import free_port

#: readings a message → readings measured; the naive program gets a fraction, it is slow
SIZES = {1: 150_000, 100: 2_000_000, 1000: 3_000_000}
NAIVE = {1: 10_000, 100: 20_000, 1000: 20_000}


@dataclass
class Product:
    """Our ingest and worker as processes of their own."""

    directory: Path
    broker: Mosquitto
    durability: str = "full"
    meters: int = load.METERS
    extra: str = ""

    def __post_init__(self) -> None:
        load.registry(self.directory / "meters.csv", self.meters)
        self.port = free_port()
        self.config = self.directory / "forestall.toml"
        self.config.write_text(
            f"""data_dir = "{self.directory / "data"}"
partitions = 4
log_level = "WARNING"
[mqtt]
url = "{self.broker.url}"
client_id = "bench"
[ingest]
registry = "{self.directory / "meters.csv"}"
[log]
durability = "{self.durability}"
[history]
keep_days = 0
[metrics]
ingest_port = 0
worker_port = {self.port}
{self.extra}
""",
            encoding="utf-8",
        )
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start and wait until the worker owns its partitions and ingest has published the registry."""
        (self.directory / "data").mkdir(exist_ok=True)
        for role in ("worker", "ingest"):
            self.processes[role] = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", "run", role, "--config", str(self.config)]
            )
        wait_for(lambda: self.figure("forestall_batches_detected_total") > 0, "the registry in the worker")

    def figure(self, name: str) -> float:
        """One of the worker's metrics; 0 while it cannot be asked."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
                for line in answer.read().decode().splitlines():
                    if line.startswith(name + " "):
                        return float(line.split()[1])
        except OSError:
            pass
        return 0.0

    @property
    def detected(self) -> int:
        """Readings in the state."""
        return int(self.figure("forestall_readings_detected_total"))

    def cpu(self) -> dict[str, float]:
        """CPU seconds of each process so far."""
        return {role: cpu_seconds(process.pid) for role, process in self.processes.items()}

    def stop(self) -> None:
        """In order."""
        for role in ("ingest", "worker"):
            self.processes[role].terminate()
            self.processes[role].wait(15)


def ours(broker: Mosquitto, per_message: int, readings: int, durability: str = "full") -> tuple[float, float]:
    """CPU a reading of ingest and of worker. [µs]"""
    with tempfile.TemporaryDirectory() as directory:
        product = Product(Path(directory), broker, durability)
        product.start()
        try:
            warm = 20_000 if per_message == 1 else 100_000
            publisher = load.publish(broker.port, warm, per_message)
            wait_for(lambda: product.detected >= warm, f"{warm} readings to warm up")
            publisher.join()
            before = product.cpu()
            # The same hours again would be duplicates: the measured ones come after them.
            publisher = load.publish(broker.port, warm + readings, per_message)
            wait_for(lambda: product.detected >= warm + readings, f"{readings} readings")
            after = product.cpu()
            publisher.join()
        finally:
            product.stop()
    return (
        1e6 * (after["ingest"] - before["ingest"]) / (warm + readings),
        1e6 * (after["worker"] - before["worker"]) / (warm + readings),
    )


def other(broker: Mosquitto, module: str, per_message: int, readings: int, *more: str) -> float:
    """CPU a reading of one of the programs to be measured against. [µs]"""
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", broker.url, load.TOPIC, str(readings), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        while process.stdout.readline().strip() != "ready":
            if process.poll() is not None:
                raise RuntimeError(f"benchmarks.{module} ended before it was ready")
        before = cpu_seconds(process.pid)
        publisher = load.publish(broker.port, readings, per_message)
        while process.stdout.readline().strip() != "done":
            if process.poll() is not None:
                raise RuntimeError(f"benchmarks.{module} ended before it was done")
        after = cpu_seconds(process.pid)
        publisher.join()
    finally:
        process.stdin.close()
        process.terminate()
        process.wait(15)
    return 1e6 * (after - before) / readings


def run(share: float = 1.0) -> str:
    """Measure; return the table. ``share`` of the readings, for a quick look."""
    rows: list[tuple[str, ...]] = []
    for per_message, most in SIZES.items():
        readings = int(most * share)
        with Mosquitto() as broker:
            ingest, worker = ours(broker, per_message, readings)
        with Mosquitto() as broker:
            plain = other(broker, "plain", per_message, readings)
        with Mosquitto() as broker, tempfile.TemporaryDirectory() as directory:
            naive = other(
                broker, "naive_faust", per_message, NAIVE[per_message], f"sqlite:///{directory}/naive.db"
            )
        total = ingest + worker
        rows.append(
            (
                str(per_message), f"{total:.2f}", f"{ingest:.2f}", f"{worker:.2f}", f"{plain:.2f}", f"{naive:.1f}",
                f"{plain / total:.2f}", f"{naive / total:.0f}",
            )
        )  # fmt: skip
        print(table(HEADER, rows[-1:]), flush=True)
    return table(HEADER, rows)


HEADER = (
    "readings a message", "ours [µs]", "of it ingest", "worker", "plain [µs]", "naive Faust [µs]", "plain / ours",
    "naive / ours",
)  # fmt: skip
