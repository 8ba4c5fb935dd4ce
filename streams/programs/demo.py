"""``forestall demo``: the whole product on this machine, real meters streaming in over MQTT."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from connectors.embedded_broker import BrokerProcess
from connectors.store import Store
from streams.clock import FileClock
from streams.ports import Unavailable
from streams.programs import compose, demo_feed
from streams.programs.dump_state import banks, totals
from streams.settings import Settings, load
from streams.supervise import Supervisor
from streams.trade.tickets import Ticket

START_S = 120.0  # a first start compiles the detectors
STALL_S = 120.0  # no progress for so long: something is wrong, say so
IN_FLIGHT = 200


@dataclass(slots=True)
class Demo:
    """One demo: where it lives and what has been seen of it."""

    directory: Path
    settings: Settings
    config: Path
    clock: FileClock
    console: Console
    store: Store
    seen: set[str] = field(default_factory=set)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _prepare(directory: Path, port: int, once: bool, console: Console) -> tuple[Demo, BrokerProcess]:
    """Write the configuration that the processes are started with."""
    broker = BrokerProcess(0)
    broker.start()
    first = next(demo_feed.messages())
    clock = FileClock.create(directory / "clock", first.time_ns)
    demo_feed.registry(directory / "meters.csv")
    config = directory / "forestall.toml"
    config.write_text(
        f"""# written by `forestall demo`
data_dir = {msgspec.json.encode(str(directory / "data")).decode()}
clock_file = {msgspec.json.encode(str(directory / "clock")).decode()}
partitions = 2
log_level = "WARNING"

[mqtt]
url = "{broker.url}"
client_id = "forestall-demo"

[ingest]
registry = {msgspec.json.encode(str(directory / "meters.csv")).decode()}
tick_s = 0           # event time comes from the readings alone

[worker]
checkpoint_s = 2

[history]
keep_days = 4000     # the readings are of 2016 to 2018

[tickets]
escalate = false     # years pass in half a minute: nobody could be in time
archive_days = 0

[web]
port = {port or _free_port()}

[metrics]
ingest_port = 0
worker_port = 0
""",
        encoding="utf-8",
    )
    settings = load(config)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    compose.upgrade_store(settings)
    demo = Demo(directory, settings, config, clock, console, Store(settings.store_url))
    return demo, broker


def run_demo(*, once: bool, as_json: bool, days_a_second: float, port: int) -> int:
    """Run it. Returns the exit code: 0 when all that was sent is in the state and the ticket is open."""
    console = Console(stderr=True)
    directory = Path(tempfile.mkdtemp(prefix="forestall-demo-"))
    broker = None
    try:
        demo, broker = _prepare(directory, port, once, console)
        return asyncio.run(_run(demo, once=once, as_json=as_json, days_a_second=days_a_second))
    finally:
        if broker is not None:
            broker.stop()
        shutil.rmtree(directory, ignore_errors=True)


async def _run(demo: Demo, *, once: bool, as_json: bool, days_a_second: float) -> int:
    started = time.monotonic()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    supervisor = asyncio.create_task(Supervisor(demo.config, {}).run(stop))
    sent = 0
    try:
        demo.console.print("Starting ingest, worker and web (a first start compiles the detectors) …")
        await _ready(demo, supervisor)
        url = f"http://127.0.0.1:{demo.settings.web.port}/"
        demo.console.print(f"Pages: [bold]{url}[/bold]   MQTT: {demo.settings.mqtt.url}")
        sent = await _publish(demo, days_a_second, interrupted)
        await _settled(demo, sent, interrupted)
        await _show_new_tickets(demo)
        if not once and not interrupted.is_set():
            demo.console.print(f"All {sent:,} readings are in. The pages stay at {url} until Ctrl-C.")
            await interrupted.wait()
    finally:
        # An orderly stop ends with a checkpoint: the state is then all in the changelog.
        stop.set()
        await supervisor
    return await _result(demo, sent, started, as_json, interrupted.is_set())


async def _ready(demo: Demo, supervisor: asyncio.Task[None]) -> None:
    """Wait until ingest is connected and the worker owns its partitions."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if supervisor.done():
            raise SystemExit("forestall: the processes could not be started; their messages are above")
        with contextlib.suppress(Unavailable):
            roles = {beat.figures.get("role"): beat.figures for beat in demo.store.heartbeats()}
            if roles.get("ingest", {}).get("mqtt") == "connected" and roles.get("worker", {}).get("ready"):
                return
        await asyncio.sleep(0.1)
    raise SystemExit(f"forestall: the processes were not ready within {START_S:g} s")


async def _publish(demo: Demo, days_a_second: float, interrupted: asyncio.Event) -> int:
    """Publish everything at QoS 1; return how many readings the broker has confirmed."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="forestall-demo-meters")
    client.max_inflight_messages_set(IN_FLIGHT)
    client.max_queued_messages_set(0)
    host, port = demo.settings.mqtt.url.removeprefix("mqtt://").split(":")
    client.connect(host, int(port))
    client.loop_start()
    sent = 0
    waiting: list[tuple[mqtt.MQTTMessageInfo, int]] = []
    feed = list(demo_feed.messages())
    total = sum(message.readings for message in feed)
    began = time.monotonic()
    first_ns = feed[len(demo_feed.READS)].time_ns
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} readings"),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=demo.console, disable=not sys.stderr.isatty()) as progress:
            bar = progress.add_task("August 2017", total=total)
            shown = 0.0
            for message in feed:
                if interrupted.is_set():
                    break
                if days_a_second > 0:
                    due = began + (message.time_ns - first_ns) / 86_400e9 / days_a_second
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                if message.time_ns > demo.clock.now_ns():
                    demo.clock.set(message.time_ns)
                waiting.append((client.publish(message.topic, message.payload, qos=1), message.readings))
                while len(waiting) > IN_FLIGHT or (waiting and waiting[0][0].is_published()):
                    if waiting[0][0].is_published():
                        sent += waiting.pop(0)[1]
                    else:
                        await asyncio.sleep(0.002)
                if time.monotonic() - shown > 0.5:
                    shown = time.monotonic()
                    month = time.strftime("%B %Y", time.gmtime(message.time_ns / 1e9))
                    progress.update(bar, completed=sent, description=month)
                    await _show_new_tickets(demo)
            for info, readings in waiting:
                while not info.is_published():
                    await asyncio.sleep(0.005)
                sent += readings
            progress.update(bar, completed=sent)
    finally:
        client.disconnect()
        client.loop_stop()
    return sent


async def _settled(demo: Demo, sent: int, interrupted: asyncio.Event) -> None:
    """Wait until the worker has taken in all that was sent and its flags are on tickets."""
    progress, last = time.monotonic(), (-1, -1)
    while not interrupted.is_set():
        figures = [
            b.figures
            for b in await asyncio.to_thread(demo.store.heartbeats)
            if b.figures.get("role") == "worker"
        ]
        now = (sum(f.get("readings", 0) for f in figures), sum(f.get("flags_on_tickets", 0) for f in figures))
        if now[0] >= sent and now[1] >= sum(f.get("flags", 0) for f in figures):
            return
        if now != last:
            progress, last = time.monotonic(), now
        if time.monotonic() - progress > STALL_S:
            raise SystemExit(
                f"forestall: {now[0]} of {sent} readings are in the state, and no more for {STALL_S:g} s"
            )
        await asyncio.sleep(0.1)


async def _show_new_tickets(demo: Demo) -> None:
    for ticket in reversed(await asyncio.to_thread(lambda: demo.store.tickets(limit=1000))):
        if ticket.id not in demo.seen:
            demo.seen.add(ticket.id)
            demo.console.print(_line(ticket), soft_wrap=True, highlight=False)


def _line(ticket: Ticket) -> str:
    style = "bold red" if ticket.urgency == "emergency" else "bold yellow"
    text = f"[{style}]ticket[/{style}] {ticket.opened_at[:10]}  {ticket.meter_id:<11} {ticket.kind:<16} "
    text += str(ticket.category)
    if ticket.estimate is not None:
        e = ticket.estimate
        text += f"  expected {e.expected:,.1f}, billed {e.billed:,.1f}, excess {e.excess:,.1f} {e.unit}"
    return text


async def _result(demo: Demo, sent: int, started: float, as_json: bool, interrupted: bool) -> int:
    durable = compose.open_log(demo.settings)
    try:
        sums = totals(await banks(demo.settings, durable))
        flags = 0
        for partition in range(demo.settings.partitions):
            flags += await durable.end("flags.v1", partition)
    finally:
        await durable.close()
    tickets = await asyncio.to_thread(lambda: demo.store.tickets(limit=100_000))
    demo.store.close()
    told: dict[str, Any] = {
        "readings_sent": sent,
        "readings_detected": sums.readings,
        "usage_detected": round(sums.usage, 6),
        "flags": flags,
        "tickets": [
            {
                "id": ticket.id,
                "meter_id": ticket.meter_id,
                "kind": ticket.kind,
                "category": ticket.category,
                "urgency": ticket.urgency,
                "opened_at": ticket.opened_at,
                "excess": ticket.estimate.excess if ticket.estimate else None,
                "unit": ticket.estimate.unit if ticket.estimate else None,
            }
            for ticket in tickets
        ],
        "seconds": round(time.monotonic() - started, 1),
    }
    if as_json:
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
        sys.stdout.flush()
    else:
        demo.console.print(
            f"{sent:,} readings sent, {sums.readings:,} in the state, {flags} flag events, {len(tickets)} tickets, "
            f"{told['seconds']} s"
        )
    golden = any(t.meter_id == demo_feed.GOLDEN and t.estimate is not None for t in tickets)
    return 0 if interrupted or (sums.readings == sent and golden) else 1
