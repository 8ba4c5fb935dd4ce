"""Streams of readings for tests: written by hand, or drawn by Hypothesis with everything that goes wrong.

Amounts are multiples of 1/64, so that sums and single precision are exact and no comparison
hangs on rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.base import Detector
from streams.columns import Columns, from_rows
from streams.messages import Kind, Mark, Quality, Source
from streams.ports import Rows
from streams.programs import compose
from streams.registry import Meter
from streams.settings import load as load_settings
from streams.state.bank import Bank, BankConfig, Outcome

NS = 1_000_000_000
MINUTE, HOUR, DAY = 60 * NS, 3600 * NS, 86400 * NS

#: Ends of summer time, its beginnings at midnight, half hours, the date line.
ZONES = ("", "Europe/Madrid", "America/Havana", "Australia/Lord_Howe", "Asia/Shanghai", "Pacific/Apia")


def examples(count: int, shrink: bool = False) -> settings:
    """So many examples; FORESTALL_EXAMPLES=20 asks for twenty times as many."""
    factor = int(os.environ.get("FORESTALL_EXAMPLES", "1"))
    # A stream is shrunk for minutes, and what remains of it still has hundreds of readings.
    phases = [Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if shrink else [])]
    checks = list(HealthCheck)
    return settings(max_examples=factor * count, deadline=None, phases=phases, suppress_health_check=checks)


def instant(text: str) -> int:
    """ISO 8601, UTC unless it says otherwise, to nanoseconds."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * NS


@dataclass(frozen=True)
class Row:
    """One reading as it is sent."""

    meter: str
    time: int
    value: float
    kind: int = Kind.UNSTATED
    unit: str = ""
    quality: int = Quality.GOOD
    marks: int = 0
    received: int = 0
    digest: bytes = b""
    sparse: dict[str, Any] = field(default_factory=dict)

    def but(self, **changes: Any) -> Row:
        return replace(self, **changes)


def as_columns(rows: Iterable[Row]) -> Columns:
    """Readings as a batch, each from a message of its own."""
    out = Rows()
    sources = []
    for row in rows:
        out.add(row.meter, row.time, row.value, row.kind, row.unit, row.quality, row.marks)
        for name, cell in row.sparse.items():
            out.note(name, cell)
        sources.append(Source(adapter="test", topic="t", received_ns=row.received, digest=row.digest))
    return from_rows(out, sources, np.arange(len(sources), dtype=np.uint32))


def shipped() -> tuple[Detector, ...]:
    """All detectors as the programs set them up, the trees of their heads among them."""
    return compose.detectors(load_settings())


def make_bank(
    meters: Iterable[Meter] = (), detectors: Sequence[Detector] | None = None, **config: Any
) -> Bank:
    """A bank that knows these meters."""
    bank = Bank(BankConfig(tuple(detectors or shipped()), **config))
    bank.register(list(meters), Outcome())
    return bank


def feed(bank: Bank, rows: Sequence[Row], cuts: Iterable[int] = ()) -> Outcome:
    """All rows into a bank, in batches that end at the cuts."""
    outcome = Outcome()
    places = sorted({0, len(rows), *cuts})
    for first, last in pairwise(places):
        bank.update(as_columns(rows[first:last]), outcome)
    return outcome


# --- drawn ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stream:
    """Meters, and their readings in log order."""

    meters: list[Meter]
    rows: list[Row]

    def __repr__(self) -> str:
        meters = ", ".join(
            f"{m.meter_id} {m.kind} {m.interval_s} {m.commodity} {m.tz or 'UTC'}" for m in self.meters
        )
        return f"Stream of {len(self.rows)} readings: {meters}"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What Hypothesis tells of a failing stream; the whole would be a thousand lines."""
        printer.text(repr(self))


#: What may go wrong at one reading.
ACCIDENTS = (
    "gap", "nan", "bad", "again", "correction", "late", "jitter", "fall", "high", "turn", "swap", "told swap",
    "history", "retained", "ahead", "burst", "zeros", "level", "half", "below", "misread", "misread down", "estimated",
    "code", "period", "closed", "opened", "tampered", "untampered", "outage", "restored", "exchange",
)  # fmt: skip

#: Accident → the attribute that tells of it.
EVENTS = {
    "closed": ("valve", "closed"),
    "opened": ("valve", "open"),
    "tampered": ("tamper", "true"),
    "untampered": ("tamper", "false"),
    "outage": ("event", "power_outage"),
    "restored": ("event", "power_restored"),
}

Accident = tuple[float, str, int]  # where in the series, what, how much


def accidents(most: int = 12) -> st.SearchStrategy[list[Accident]]:
    """Some of them."""
    one = st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(ACCIDENTS), st.integers(1, 40))
    return st.lists(one, min_size=3, max_size=most)


@st.composite
def streams(
    draw: st.DrawFn,
    days: int = 50,
    spacings: Sequence[int] = (HOUR, 2 * HOUR, 6 * HOUR, DAY),
    kinds: Sequence[str] = ("register", "interval"),
    zones: Sequence[str] = ZONES,
    directions: Sequence[str] = ("", "import"),
    most_meters: int = 3,
    most_rows: int = 1500,
) -> Stream:
    """Interleaved meters with days and nights, levels that change, and accidents."""
    start = instant(draw(st.sampled_from(("2023-02-20", "2023-09-20", "2024-01-01")))) + draw(
        st.sampled_from((0, HOUR, 45 * MINUTE))
    )
    meters: list[Meter] = []
    parts: list[list[Row]] = []
    for number in range(draw(st.integers(1, most_meters))):
        meter_id = f"m{number}"
        spacing = draw(st.sampled_from(spacings))
        meters.append(
            Meter(
                meter_id=meter_id,
                commodity=draw(st.sampled_from(("water", "gas", "electricity", ""))),
                unit="m3",
                kind=draw(st.sampled_from(kinds)),
                interval_s=draw(st.sampled_from((None, spacing / NS))),
                area=draw(st.sampled_from(("north", "south", ""))),
                meter_class="residential",
                digits=draw(st.sampled_from((None, 4))),
                direction=draw(st.sampled_from(directions)),
                tz=draw(st.sampled_from(zones)),
            )
        )
        count = min(days * DAY // spacing, most_rows // most_meters)
        seed = draw(st.integers(0, 10_000))
        parts.append(_series(meters[-1], start, spacing, count, seed, draw(accidents())))
    rows = [row for part in parts for row in part]
    # Each meter in its own order, meters interleaved by the time of arrival.
    rows.sort(key=lambda row: row.received)
    return Stream(meters, rows)


def _series(
    meter: Meter, start: int, spacing: int, count: int, seed: int, mishaps: Sequence[Accident]
) -> list[Row]:
    """One meter's readings in the order in which they arrive."""
    amounts = _amounts(np.random.default_rng(seed), count, spacing)
    placed = sorted((int(where * count), what, much) for where, what, much in mishaps)
    for i, what, much in placed:
        if what == "burst":
            amounts[i] += 64 * much
        elif what == "zeros":
            amounts[i : i + 10 * much] = 0
        elif what in ("level", "half"):
            amounts[i:] = amounts[i:] * (3 if what == "level" else 0.25)
    amounts = np.round(amounts * 64) / 64
    values = np.cumsum(amounts) + (9000.0 if meter.digits and seed % 2 else 100.0)
    if meter.digits:
        values = values % 10.0**meter.digits
    readings = values if meter.kind == "register" else amounts
    rows = [
        Row(
            meter.meter_id,
            start + i * spacing,
            float(readings[i]),
            received=start + i * spacing + seed % 60 * NS,
        )
        for i in range(count)
    ]
    serial = "a"
    dropped: set[int] = set()
    late: list[tuple[int, Row]] = []
    if meter.kind != "gauge" and seed % 3:
        rows = [row.but(sparse={"serial": serial}) for row in rows]
    for i, what, much in placed:
        row = rows[i]
        if what == "gap":
            dropped.update(range(i, min(i + much, count)))
        elif what == "nan":
            rows[i] = row.but(value=float("nan"))
        elif what == "bad":
            rows[i] = row.but(quality=Quality.BAD)
        elif what == "again":
            late.append((min(i + much % 3, count - 1), row))
        elif what == "correction":
            late.append((i, row.but(value=row.value + much / 64)))
        elif what == "late":
            dropped.add(i)
            late.append((min(i + much, count - 1), row))
        elif what == "jitter":
            rows[i] = row.but(time=row.time + min(much * 7 * NS, spacing // 3))
        elif what == "ahead":
            rows[i] = row.but(time=row.received + 2 * DAY)
        elif what == "period":
            rows[i] = row.but(sparse={**row.sparse, "period_start_ns": row.time - much * HOUR})
        elif what in EVENTS:
            name, word = EVENTS[what]
            note = {**row.sparse.get("attributes", {}), name: word}
            rows[i] = row.but(sparse={**row.sparse, "attributes": note})
        elif what == "code":
            rows[i] = row.but(value=(16777215.0, 65.535, 4294967.295)[much % 3])
        elif what in ("history", "retained", "estimated"):
            mark = {"history": Mark.HISTORICAL, "retained": Mark.RETAINED}.get(what, Mark.ESTIMATED)
            for k in range(i, min(i + much, count)):
                rows[k] = rows[k].but(marks=int(mark))
        elif meter.kind == "interval" and what == "swap":
            serial = f"{serial}{much}"
            rows[i:] = [row.but(sparse={**row.sparse, "serial": serial}) for row in rows[i:]]
        elif meter.kind != "register" and what in ("below", "misread", "misread down"):
            off = much if what == "misread" else -much
            rows[i] = row.but(value=row.value + off)
            if what != "below" and i + 1 < count:
                rows[i + 1] = rows[i + 1].but(value=rows[i + 1].value - off)
        elif meter.kind == "register" and what in ("fall", "turn"):
            # For one reading, for a few, or for good.
            last = count if what == "turn" else min(i + much % 5, count)
            for k in range(i, last):
                rows[k] = rows[k].but(value=max(rows[k].value - 50 - much, 0.0))
        elif meter.kind == "register" and what == "high":
            rows[i] = row.but(value=row.value + 10 * much)
        elif meter.kind == "register" and what in ("swap", "told swap", "exchange"):
            serial = f"{serial}{much}" if what != "exchange" else serial
            base = row.value - much
            told: dict[str, Any] = {}
            if what != "swap":
                told = {"attributes": {"stop_read": str(row.value - 0.5), "start_read": str(much - 0.5)}}
            for k in range(i, count):
                own = told if k == i else {}
                if what != "exchange":
                    own = {"serial": serial, **own}
                elif seed % 3:
                    own = {**rows[k].sparse, **own}
                rows[k] = rows[k].but(value=rows[k].value - base, sparse=own)
    out: list[Row] = []
    for i, row in enumerate(rows):
        if i not in dropped:
            out.append(row)
        out += [other.but(received=row.received) for place, other in late if place == i]
    return out


def _amounts(rng: np.random.Generator, count: int, spacing: int) -> NDArray[np.float64]:
    """Use by day, little or none by night, now and then a run that does not rest."""
    hour = np.arange(count) * (spacing / HOUR) % 24
    size = rng.choice([0.25, 1.0, 4.0]) * spacing / HOUR
    amounts: NDArray[np.float64] = (
        size * rng.uniform(0.3, 1.7, count) * np.where((hour > 6) & (hour < 23), 1.0, 0.1)
    )
    amounts[rng.random(count) < 0.3] = 0.0
    if rng.random() < 0.5:
        first = int(rng.integers(0, count))
        amounts[first : first + int(rng.integers(24, 150))] += 0.125 * spacing / HOUR
    for _ in range(int(rng.integers(0, 3))):
        first = int(rng.integers(0, count))
        amounts[first:] *= rng.choice([0.3, 0.6, 1.7, 2.7, 5.3])
    return amounts
