"""The product's processes of one test: started one by one, so that each can be killed by its id."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from connectors.store import Store
from streams.clock import FileClock
from streams.settings import Settings, load
from tests.faults.load import NOW_NS
from tests.faults.processes import Process
from tests.services.process import free_port, wait_until

START_S = 240.0  # a first start compiles the detectors, beside whatever else the machine does
ROLES = ("ingest", "worker", "web")


class Site:
    """A configuration, and the processes that were started with it.

    mqtt_url : the MQTT broker's
    registry : METERS.csv
    more     : more TOML, tables only
    """

    def __init__(
        self,
        directory: Path,
        mqtt_url: str,
        registry: Path,
        top: str = "",
        more: str = "",
        running_clock: bool = False,
    ) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.config = directory / "forestall.toml"
        clock = ""
        if not running_clock:
            FileClock.create(directory / "clock", NOW_NS).close()
            clock = f"clock_file = {json.dumps(str(directory / 'clock'))}"
        self.config.write_text(
            f"""
data_dir = {json.dumps(str(directory / "data"))}
{clock}
log_level = "INFO"
partitions = 3
{top}
[mqtt]
url = {json.dumps(mqtt_url)}
client_id = "ingest-of-the-test"

[ingest]
registry = {json.dumps(str(registry))}
tick_s = 0

[worker]
checkpoint_s = 0.5
checkpoint_share = 0.2
session_timeout_s = 6

[watch]
silent_s = 100000
lag_s = 100000
outbox_s = 100000
{more}
""",
            encoding="utf-8",
        )
        self.processes: dict[str, Process] = {}
        self.supervisor: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Settings:
        """The configuration, read."""
        return load(self.config)

    def __getitem__(self, name: str) -> Process:
        return self.processes[name]

    def launch(self, name: str, **environment: str) -> Process:
        """Start a process and do not wait. ``worker-2`` is a second worker; it keeps its port and variables."""
        role = name.partition("-")[0]
        process = self.processes.get(name)
        if process is None:
            port = free_port()
            section = "WEB__PORT" if role == "web" else f"METRICS__{role.upper()}_PORT"
            log = self.directory / f"{name}.log"
            variables = {f"FORESTALL_{section}": str(port), **environment}
            process = self.processes[name] = Process(name, role, port, variables, log)
        with process.log.open("ab") as log_file:
            process.popen = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", "run", role, "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **process.environment},
                start_new_session=True,
            )
        process.starts += 1
        return process

    def launch_all(self) -> subprocess.Popen[bytes]:
        """Start ``forestall run``, which starts the others and again those that end."""
        known = self.processes
        ports = {role: known[role].port if role in known else free_port() for role in ROLES}
        environment = {
            "FORESTALL_METRICS__INGEST_PORT": str(ports["ingest"]),
            "FORESTALL_METRICS__WORKER_PORT": str(ports["worker"]),
            "FORESTALL_WEB__PORT": str(ports["web"]),
        }
        log = self.directory / "run.log"
        with log.open("ab") as log_file:
            popen = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        self.supervisor = popen
        for role in ROLES:
            self.processes[role] = Process(role, role, ports[role], environment, log)
        for role in ROLES:
            self.await_ready(role)
        return popen

    def children(self) -> dict[str, int]:
        """Role → process id of what ``forestall run`` keeps running."""
        assert self.supervisor is not None
        listed = Path(f"/proc/{self.supervisor.pid}/task/{self.supervisor.pid}/children").read_text().split()
        out = {}
        for pid in map(int, listed):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            out.update({role: pid for role in ROLES if role.encode() in words})
        return out

    def stop_all(self, within_s: float = 30.0) -> float:
        """SIGTERM ``forestall run``; return how long it took. It must end with 0 and leave nobody behind."""
        assert self.supervisor is not None
        children = self.children()
        started = time.monotonic()
        self.supervisor.send_signal(signal.SIGTERM)
        try:
            code = self.supervisor.wait(within_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(
                f"expected forestall run to end within {within_s:g} s:\n{self['ingest'].tail()}"
            ) from None
        took = time.monotonic() - started
        if code != 0:
            raise RuntimeError(f"expected forestall run to end with 0, got {code}:\n{self['ingest'].tail()}")
        left = [role for role, pid in children.items() if Path(f"/proc/{pid}").exists()]
        if left:
            raise RuntimeError(f"expected nobody to be left, got {', '.join(left)}")
        return took

    def start(self, *names: str) -> None:
        """Start processes and wait until they do their work; RuntimeError where one ends instead."""
        for name in names or ROLES:
            self.launch(name)
        for name in names or ROLES:
            self.await_ready(name)

    def await_ready(self, name: str) -> None:
        """Wait until a process does its work."""
        process = self.processes[name]
        popen = process.popen or self.supervisor

        def ready() -> bool:
            if popen is None or popen.poll() is not None:
                raise RuntimeError(f"{name} ended while starting; it wrote:\n{process.tail()}")
            return process.ready()

        try:
            wait_until(ready, f"{name} to be ready", START_S, 0.05)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it wrote:\n{process.tail()}") from None

    def kill(self, name: str) -> None:
        """SIGKILL, and wait until it is gone."""
        process = self.processes[name]
        assert process.popen is not None
        process.popen.kill()
        process.popen.wait()

    def stop(self, *names: str, within_s: float = 30.0) -> None:
        """SIGTERM, one by one in order; each must end with 0."""
        for name in names or self._in_order():
            process = self.processes[name]
            if not process.running:
                continue
            assert process.popen is not None
            process.popen.send_signal(signal.SIGTERM)
            try:
                code = process.popen.wait(within_s)
            except subprocess.TimeoutExpired:
                self.kill(name)
                raise TimeoutError(
                    f"expected {name} to end within {within_s:g} s, it did not:\n{process.tail()}"
                ) from None
            if code != 0:
                raise RuntimeError(f"expected {name} to end with 0, got {code}:\n{process.tail()}")

    def close(self) -> None:
        """Kill what still runs: after a test that failed."""
        for name, process in self.processes.items():
            if process.running:
                self.kill(name)
        if self.supervisor is not None and self.supervisor.poll() is None:
            children = self.children()
            self.supervisor.kill()
            self.supervisor.wait()
            for pid in children.values():
                os.kill(pid, signal.SIGKILL)

    def _in_order(self) -> list[str]:
        return sorted(self.processes, key=lambda name: (ROLES.index(self.processes[name].role), name))

    def alive(self) -> None:
        """RuntimeError where a process has ended by itself."""
        if self.supervisor is not None and self.supervisor.poll() is not None:
            raise RuntimeError(f"forestall run ended by itself:\n{self['ingest'].tail()}")
        for name, process in self.processes.items():
            if process.popen is not None and process.popen.poll() not in (None, -signal.SIGKILL):
                raise RuntimeError(f"{name} ended by itself:\n{process.tail()}")

    def workers(self) -> list[Process]:
        """The workers that run."""
        workers = [p for p in self.processes.values() if p.role == "worker"]
        return [p for p in workers if p.running or (self.supervisor is not None and p.popen is None)]

    def settle(self, deadline_s: float = 120.0) -> None:
        """Wait until nothing moves any more: all messages taken, no lag, no flag or event on its way.

        By what the processes tell of themselves; the proof is made afterwards, from what is durable.
        An ingest that has no connection to its broker has nothing to do and yet is not done.
        """
        end = time.monotonic() + deadline_s
        last: list[object] = []
        since = time.monotonic()
        while True:
            self.alive()
            takers = [p for p in self.processes.values() if p.role == "ingest"]
            idle = all(p.ready() for p in takers)
            ingest = [p.metrics() for p in takers]
            worker = [p.metrics() for p in self.workers()]
            idle = idle and all(worker) and all(ingest) and bool(worker)
            for told in ingest:
                idle = idle and told["forestall_mqtt_unacknowledged"] + told["forestall_mqtt_queued"] == 0
            for told in worker:
                idle = idle and told["forestall_lag_messages"] + told["forestall_lag_flags"] == 0
            # a partition that nobody has, in the middle of a rebalance, is in nobody's lag
            idle = idle and sum(told["forestall_partitions"] for told in worker) == self.settings.partitions
            now = [
                [m.get("forestall_messages_in_total") for m in ingest],
                [
                    (m.get("forestall_batches_detected_total"), m.get("forestall_ticket_changes_total"))
                    for m in worker
                ],
            ]
            if not idle or now != last:
                last, since = list(now), time.monotonic()
            elif time.monotonic() - since >= 2.2:
                break  # the lag is looked up every two seconds
            if time.monotonic() > end:
                tails = "\n".join(f"--- {p.name}\n{p.tail(15)}" for p in self.processes.values())
                raise TimeoutError(
                    f"expected the load to be worked off within {deadline_s:g} s: {ingest} {worker}\n{tails}"
                )
            time.sleep(0.1)
        self._empty_outbox(end)

    def _empty_outbox(self, end: float) -> None:
        """Wait until every ticket event is delivered.

        What a killed worker had leased is another's only when the lease has run out by the clock,
        and that stands still here: it is put forward.
        """
        clock = self.directory / "clock"
        if clock.exists():
            hands = FileClock(clock)
            hands.set(NOW_NS + 300_000_000_000)
            hands.close()
        store = Store(self.settings.store_url)
        try:
            wait_until(
                lambda: not store.outbox_oldest(),
                "the outbox to be emptied",
                max(5.0, end - time.monotonic()),
                0.2,
            )
        finally:
            store.close()
