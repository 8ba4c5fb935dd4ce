"""The ``worker`` process: log → state, flags, tickets, history."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any

from connectors.line_protocol import Labels
from connectors.migrations import upgrade
from connectors.store import Store
from connectors.web.probe import Metric, Probe
from streams import detect, open_tickets, record, take_complaints, take_verdicts
from streams.clock import Clock
from streams.deliver import Deliverer, wanted_by
from streams.dispatch import Dispatcher
from streams.heart import Heart
from streams.keeper import Keeper
from streams.lag import Lag
from streams.messages import COMPLAINTS, FLAGS, VERDICTS
from streams.open_tickets import TicketOpener
from streams.place_keep import PlaceKeep
from streams.programs import compose, policies
from streams.programs.complaints import make_reception
from streams.programs.complaints import metrics as complaint_metrics
from streams.programs.desks import make_desks
from streams.programs.ending import end_within
from streams.programs.ingest import insist
from streams.programs.verdict_metrics import verdict_metrics
from streams.programs.warm_up import warm_up
from streams.quality_keep import QualityKeep
from streams.reads_keep import ReadsKeep
from streams.record import Recorder
from streams.settings import Settings
from streams.state.bank import Bank
from streams.take_complaints import ComplaintTaker
from streams.take_verdicts import VerdictTaker
from streams.topology import build, make_app
from streams.trade.tend import Tend

log = logging.getLogger(__name__)

STOP_S = 9.0  # for the apps' last checkpoint and commits
FAILED_S = 20.0  # until a worker that has failed is gone


class WorkerFailedError(Exception):
    """The app has stopped itself; its supervisor starts it from the last checkpoint."""


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Until ``stop``."""
    # Faust keeps a directory in it, also where the log and the databases are elsewhere.
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    clock = compose.make_clock(settings)
    durable = compose.open_log(settings)
    await insist("the log", lambda: compose.prepare_log(settings, durable), stop)
    await insist("the ticket store", lambda: asyncio.to_thread(upgrade, settings.store_url), stop)
    if stop.is_set():
        return
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(durable.close)
        desks = make_desks(settings, durable)
        store = Store(settings.store_url, wanted_by(desks), compose.seal(settings))
        stack.callback(store.close)
        topology = build(settings)
        config = compose.bank_config(settings)
        rules = policies.rules(settings)
        doing = "compiling the detectors"
        keeper = Keeper(
            topology,
            config,
            durable,
            settings.worker.checkpoint_s,
            settings.worker.checkpoint_share,
        )
        detect.attach(keeper)
        opener = TicketOpener(topology, Dispatcher(store, rules, clock), durable)
        open_tickets.attach(topology, opener)
        judging = VerdictTaker(topology, store, clock, durable)
        take_verdicts.attach(topology, judging)
        apps = [topology.app]
        recorder = None
        histories = compose.histories(settings, clock, lambda meter_id: _labels(keeper, meter_id))
        if histories:
            recording = make_app(settings, f"{settings.app}-history")
            recorder = Recorder(recording, histories, durable)
            record.attach(recording, recorder)
            apps.append(recording)
            for history in histories:
                stack.push_async_callback(history.close)
        desk = make_app(settings, f"{settings.app}-complaints")
        reception = make_reception(settings, store, clock)
        taker = ComplaintTaker(desk, reception, durable)
        take_complaints.attach(desk, taker)
        apps.append(desk)
        lag = Lag(durable, keeper, {FLAGS: opener.order, COMPLAINTS: taker.order, VERDICTS: judging.order})
        deliverer = Deliverer(store, desks, clock)
        heart = Heart(store, "worker", lambda: _figures(keeper, opener, recorder, lag, clock), clock)
        probe = Probe(
            settings.metrics.host,
            settings.metrics.worker_port,
            settings.metrics.token.get_secret_value(),
            lambda: [
                *_metrics(keeper, opener, recorder, lag),
                *complaint_metrics(reception.tally, taker),
                *verdict_metrics(judging),
            ],
            lambda: (keeper.ready, "" if keeper.ready else f"{doing}: no partitions are ready yet"),
        )
        if settings.metrics.worker_port:
            await probe.start()
            stack.push_async_callback(probe.stop)
        tasks = [
            asyncio.create_task(heart.run()),
            asyncio.create_task(opener.run()),
            asyncio.create_task(judging.run()),
            asyncio.create_task(deliverer.run(stop)),
            asyncio.create_task(lag.run()),
            asyncio.create_task(QualityKeep(store, lambda: _banks(keeper), clock).run()),
            asyncio.create_task(ReadsKeep(store, lambda: _banks_of(keeper), clock).run()),
            asyncio.create_task(PlaceKeep(store, lambda: _banks(keeper)).run()),
            asyncio.create_task(Tend(store, rules, clock, policies.tending(settings)).run(stop)),
        ]
        stack.push_async_callback(_end, tasks)
        # Beside the event loop: heartbeats and the answer to /ready go on.
        compiled = asyncio.create_task(asyncio.to_thread(warm_up, config))
        await asyncio.wait({compiled, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return
        await compiled
        doing = "recovering"
        for app in apps:
            # Nobody else would end it, and nobody starts another while it lives.
            app.on_crash = lambda error: end_within(FAILED_S, error)
        try:
            await _until(stop, apps, tasks)
        except BaseException as error:
            end_within(FAILED_S, error)
            raise
        finally:
            await _stop(apps)


async def _until(stop: asyncio.Event, apps: list[Any], tasks: list[asyncio.Task[None]]) -> None:
    """Start the apps and wait for ``stop``; raise if an app or a task ends before it."""
    starting = asyncio.create_task(_start(apps))
    stopping = asyncio.create_task(stop.wait())
    crashes = [asyncio.create_task(app._crashed.wait()) for app in apps]
    ends = {stopping, *crashes, *tasks}
    try:
        # One may fail while the next is still starting, and that may wait for the log as long as it takes.
        done, _ = await asyncio.wait({starting, *ends}, return_when=asyncio.FIRST_COMPLETED)
        if done == {starting}:
            starting.result()
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            for task in done:
                if task in tasks:
                    task.result()
            reasons = [str(app._crash_reason) for app in apps if app._crash_reason]
            raise WorkerFailedError("; ".join(reasons) or "a part of the worker ended")
    finally:
        for task in (starting, stopping, *crashes):
            task.cancel()


async def _start(apps: list[Any]) -> None:
    for app in apps:
        await app.maybe_start()


async def _stop(apps: list[Any]) -> None:
    """Stop them within ``STOP_S``; what does not stop is left to the end of the process."""
    stops = {asyncio.create_task(app.stop()): app.conf.id for app in apps}
    # Not ``wait_for``: that waits for what it has cancelled, and an app may not let itself be.
    done, late = await asyncio.wait(stops, timeout=STOP_S)
    for task in late:
        log.warning(
            "%s did not stop within %g s; what it had not committed is read again", stops[task], STOP_S
        )
    for task in done:
        if error := task.exception():
            log.error("%s did not stop in order", stops[task], exc_info=error)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _banks(keeper: Keeper) -> list[Bank]:
    return [kept.partition.bank for kept in keeper.kept.values()]


def _banks_of(keeper: Keeper) -> dict[int, Bank]:
    """By partition; none while the group divides them anew, since another worker may have them."""
    return {n: kept.partition.bank for n, kept in keeper.kept.items()} if keeper.ready else {}


def _labels(keeper: Keeper, meter_id: str) -> Labels:
    """What the registry says of a meter, as far as its readings have come to this worker."""
    for kept in keeper.kept.values():
        slot = kept.partition.bank.slots.get(meter_id)
        if slot is not None:
            meter = kept.partition.bank.meter(slot)
            return Labels(meter.commodity, meter.area)
    return Labels()


def _figures(
    keeper: Keeper, opener: TicketOpener, recorder: Recorder | None, lag: Lag, clock: Clock
) -> dict[str, Any]:
    stats = keeper.stats
    ago = time.monotonic() - stats.last_reading
    warming = 0
    meters = 0
    unknown = 0
    for kept in keeper.kept.values():
        told = kept.partition.bank.census()
        meters += told.meters
        unknown += told.unknown
        warming += told.warming
    return {
        "ready": keeper.ready,
        "readings": stats.readings,
        "batches": stats.batches,
        "last_reading_ns": clock.now_ns() - round(ago * 1e9) if stats.last_reading else 0,
        "lag": lag.messages,
        "lag_s": round(lag.seconds, 1),
        "dead_letters": stats.dead_letters,
        "flags": stats.flags,
        "flags_on_tickets": opener.flags,
        "checkpoints": stats.checkpoints,
        "meters": meters,
        "meters_unknown": unknown,
        "meters_warming_up": warming,
        "counts": dict(stats.counts),
        "error": opener.error or (recorder.error if recorder else ""),
    }


def _metrics(keeper: Keeper, opener: TicketOpener, recorder: Recorder | None, lag: Lag) -> list[Metric]:
    s = keeper.stats
    out = [
        Metric("forestall_readings_detected_total", "Readings taken into the state", "counter", s.readings),
        Metric("forestall_batches_detected_total", "Batches taken into the state", "counter", s.batches),
        Metric("forestall_flags_total", "Flag events raised, updated or cleared", "counter", s.flags),
        Metric("forestall_ticket_changes_total", "Changes of tickets by flags", "counter", opener.tickets),
        Metric(
            "forestall_worker_dead_letters_total", "What the worker could not read", "counter", s.dead_letters
        ),
        Metric("forestall_lag_messages", "Messages of readings.v1 not taken yet", "gauge", lag.messages),
        Metric("forestall_lag_flags", "Messages of flags.v1 not on tickets yet", "gauge", lag.behind[FLAGS]),
        Metric(
            "forestall_lag_complaints",
            "Messages of complaints.v1 not in the store yet",
            "gauge",
            lag.behind[COMPLAINTS],
        ),
        Metric(
            "forestall_lag_verdicts",
            "Messages of verdicts.v1 not in the store yet",
            "gauge",
            lag.behind[VERDICTS],
        ),
        Metric("forestall_partitions", "Partitions that this worker has", "gauge", len(keeper.kept)),
        Metric("forestall_lag_seconds", "Time since the worker was up to date", "gauge", lag.seconds),
        Metric("forestall_checkpoints_total", "Checkpoints accepted", "counter", s.checkpoints),
        Metric(
            "forestall_checkpoint_bytes_total", "Bytes written by checkpoints", "counter", s.checkpoint_bytes
        ),
        Metric(
            "forestall_checkpoint_seconds_total", "Time spent on checkpoints", "counter", s.checkpoint_seconds
        ),
        Metric(
            "forestall_checkpoints_refused_total",
            "Checkpoints refused: not ours any more",
            "counter",
            s.fenced,
        ),
        Metric("forestall_input_gaps_total", "Gaps in the input, read again", "counter", s.gaps),
        Metric("forestall_input_lost_total", "Messages that left the log unread", "counter", s.lost_offsets),
        Metric(
            "forestall_readings_by_status_total",
            "Readings that were not plainly new",
            "counter",
            [({"status": what}, n) for what, n in sorted(s.counts.items())],
        ),
    ]
    if recorder is not None:
        out.append(
            Metric(
                "forestall_readings_recorded_total", "Readings in all histories", "counter", recorder.readings
            )
        )
    return out
