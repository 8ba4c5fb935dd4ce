"""What the processes say of themselves, added up: for the status strip, the API and the metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.web.metrics import Metric
from streams.messages import NS
from streams.trade.deliveries import Counts, Heartbeat

ALIVE_S = 15.0  # heartbeats come every 2 s: seven of them missing is no accident


@dataclass(frozen=True, slots=True)
class Process:
    """One process, by its last sign of life."""

    name: str  # role@host:pid
    role: str
    alive: bool
    age_s: float
    since_ns: int
    at_ns: int
    figures: Mapping[str, Any]
    error: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Running totals since the processes' start, and levels as they are now."""

    readings_in: int
    readings_detected: int
    batches: int
    lag: int
    lag_s: float
    late: int
    dead_letters: int
    flags: int
    meters: int
    meters_warming_up: int
    meters_unknown: int
    last_reading_ns: int | None


def processes(beats: Iterable[Heartbeat], now_ns: int) -> list[Process]:
    """The processes as they stand; one whose successor runs is left out.

    Ordered by role as data flows, then by name.
    """
    found = [_process(beat, now_ns) for beat in beats]
    living = [p for p in found if p.alive]
    shown = [p for p in found if p.alive or not any(_succeeds(q, p) for q in living)]
    order = {"ingest": 0, "worker": 1, "web": 2}
    return sorted(shown, key=lambda p: (order.get(p.role, 3), p.name))


def _succeeds(new: Process, old: Process) -> bool:
    """Whether a process was started on the same machine, in the same role, after another fell silent."""
    return new.name.rpartition(":")[0] == old.name.rpartition(":")[0] and new.since_ns > old.at_ns


def _process(beat: Heartbeat, now_ns: int) -> Process:
    # clocks of two machines differ: a sign of life from the future is one of now
    age = max(0.0, (now_ns - beat.at_ns) / NS)
    role = beat.figures.get("role")
    return Process(
        name=beat.process,
        role=role if isinstance(role, str) else beat.process.partition("@")[0],
        alive=age <= ALIVE_S,
        age_s=age,
        since_ns=beat.since_ns,
        at_ns=beat.at_ns,
        figures=beat.figures,
        error=str(beat.figures.get("error") or ""),
    )


def totals(shown: Sequence[Process]) -> Totals:
    """Their figures, added up."""
    ingests = [p.figures for p in shown if p.role == "ingest"]
    workers = [p.figures for p in shown if p.role == "worker"]
    late = sum(_whole(counts, "late") for w in workers if isinstance(counts := w.get("counts"), Mapping))
    newest = [_whole(figures, "last_reading_ns") for figures in (*ingests, *workers)]
    return Totals(
        readings_in=sum(_whole(f, "readings") for f in ingests),
        readings_detected=sum(_whole(f, "readings") for f in workers),
        batches=sum(_whole(f, "batches") for f in ingests or workers),
        lag=sum(_whole(f, "lag") for f in workers),
        lag_s=max((_number(f, "lag_s") for f in workers), default=0.0),
        late=late,
        dead_letters=sum(_whole(f, "dead_letters") for f in (*ingests, *workers)),
        flags=sum(_whole(f, "flags") for f in workers),
        meters=sum(_whole(f, "meters") for f in workers),
        meters_warming_up=sum(_whole(f, "meters_warming_up") for f in workers),
        meters_unknown=sum(_whole(f, "meters_unknown") for f in workers),
        last_reading_ns=max(newest, default=0) or None,
    )


def metrics(counts: Counts | None, shown: Sequence[Process], now_ns: int) -> list[Metric]:
    """The store's figures as Prometheus wants them; ``counts`` is None where it does not answer."""
    out = [
        Metric(
            "forestall_store_up", "Whether the ticket database answers", "gauge", float(counts is not None)
        )
    ]
    if counts is None:
        return out
    oldest = counts.outbox_oldest_ns
    return [
        *out,
        Metric(
            "forestall_tickets",
            "Tickets by state",
            "gauge",
            [({"state": state}, n) for state, n in sorted(counts.tickets.items())],
        ),
        Metric(
            "forestall_tickets_open", "Tickets that somebody has to do something about", "gauge", counts.open
        ),
        Metric("forestall_outbox_pending", "Ticket events not delivered yet", "gauge", counts.outbox_pending),
        Metric(
            "forestall_outbox_age_seconds",
            "Age of the oldest ticket event not delivered yet",
            "gauge",
            0.0 if oldest is None else max(0.0, (now_ns - oldest) / NS),
        ),
        Metric("forestall_outbox_dead", "Deliveries given up", "gauge", counts.dead),
        Metric(
            "forestall_process_up",
            "Whether a process has given a sign of life of late",
            "gauge",
            [({"process": p.name, "role": p.role}, float(p.alive)) for p in shown],
        ),
    ]


def _number(figures: Mapping[str, Any], name: str) -> float:
    value = figures.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _whole(figures: Mapping[str, Any], name: str) -> int:
    value = figures.get(name)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0
