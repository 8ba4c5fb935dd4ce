"""A load for the fault tests: several hundred meters, months of event time, every detector raised.

All of it is published by one publisher in one order, so that within each partition the order of
the log is the order here, whatever is killed: what differs from an uninterrupted run is only
that messages come again. State and flags are a function of that order (DESIGN §5a), the medians
of areas included.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

HOUR = 3_600_000  # ms
DAY = 24 * HOUR
START = round(datetime(2024, 3, 1, tzinfo=UTC).timestamp() * 1000)
DAYS = 56
#: The wall clock of all runs: after every reading, and it stands still, so that tickets are comparable.
NOW_NS = round(datetime(2024, 7, 1, tzinfo=UTC).timestamp()) * 1_000_000_000
#: What the load is made to raise.
KINDS = frozenset({"spike", "leak", "high_usage", "low_usage", "rollback", "misread", "meter_swap"})

Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Message:
    """One publish."""

    topic: str
    payload: bytes
    keys: tuple[tuple[str, int], ...]  # (meter, time [ms]) of its readings


@dataclass(frozen=True, slots=True)
class Load:
    """What is published, in its order, and the registry that it needs."""

    registry: str
    messages: list[Message]

    @property
    def readings(self) -> int:
        """Distinct readings: what must be in the state at the end."""
        return len({key for message in self.messages for key in message.keys})

    def write_registry(self, directory: Path) -> Path:
        """Write METERS.csv."""
        path = directory / "meters.csv"
        path.write_text(self.registry, encoding="utf-8")
        return path


def make_load(seed: int, *, hourly: int = 40, daily: int = 60, rare: int = 200, hours: int = 10) -> Load:
    """Make a load.

    hourly  meters with hourly intervals, in areas of ten, whose messages carry up to ``hours`` hours
    daily   meters with daily registers, some alone in a message, some together
    rare    meters read every two months, for 16 months
    """
    rng = random.Random(seed)
    rows = ["meter_id,commodity,unit,kind,interval_s,area,class,digits"]
    rows += [f"h{i:03},water,L,interval,3600,dma-{i // 10},residential," for i in range(hourly)]
    rows += [f"d{i:03},water,m3,register,86400,dma-d{i // 12},residential,5" for i in range(daily)]
    rows += [f"r{i:03},gas,m3,register,,block-{i // 20},residential," for i in range(rare)]
    timed = [*_rare(rng, rare), *_daily(rng, daily), *_hourly(rng, hourly, hours)]
    timed.sort(key=lambda item: item[0])
    messages = [message for _, message in timed]
    # Some come twice: at once, or a little later.
    for place in sorted(rng.sample(range(len(messages)), len(messages) // 25), reverse=True):
        messages.insert(min(place + rng.choice((1, 1, 7)), len(messages)), messages[place])
    return Load("\n".join(rows) + "\n", messages)


def _message(topic: str, rows: list[Row], columns: bool = False) -> Message:
    keys = tuple((str(r["meter_id"]), int(str(r["time"]))) for r in rows)
    body: object = rows[0] if len(rows) == 1 else rows
    if columns:
        body = {name: [r[name] for r in rows] for name in rows[0]}
    return Message(f"forestall/readings/{topic}", msgspec.json.encode(body), keys)


def _rare(rng: random.Random, count: int) -> list[tuple[float, Message]]:
    """Reads every two months, up to the month before the rest; a tenth of the meters jump at the last."""
    out = []
    counter = [rng.randrange(1000, 3000) for _ in range(count)]
    for read in range(9):
        time = START - (8 - read) * 60 * DAY - 5 * DAY
        order = list(range(count))
        rng.shuffle(order)
        while order:
            chosen, order = order[:100], order[100:]
            chosen, back = chosen[: rng.choice((1, 20, 100))], chosen
            order = [i for i in back if i not in chosen] + order
            for i in chosen:
                counter[i] += round(rng.uniform(28, 32) * (9 if read == 8 and i % 10 == 0 else 1))
            rows: list[Row] = [{"meter_id": f"r{i:03}", "time": time, "value": counter[i]} for i in chosen]
            out.append((time + rng.random(), _message("walk", rows)))
    return out


def _daily(rng: random.Random, count: int) -> list[tuple[float, Message]]:
    """Daily registers: rollbacks, misreads, swaps, a rollover; use that trebles or falls."""
    out = []
    level = [rng.uniform(0.3, 0.8) for _ in range(count)]
    counter = [float(rng.randrange(1000, 3000)) for _ in range(count)]
    counter[7] = 99_985.0  # rolls over
    serial = [f"s{i}" for i in range(count)]
    for day in range(DAYS):
        time = START + day * DAY
        together: list[Row] = []
        for i in range(count):
            trend = 3.5 if i % 15 == 3 and day >= 42 else 0.2 if i % 15 == 4 and day >= 42 else 1.0
            counter[i] = (counter[i] + round(level[i] * trend * rng.uniform(0.9, 1.1), 3)) % 100_000
            shown = counter[i]
            if i % 15 == 0 and day == 20:
                counter[i] = shown = counter[i] - 500.0  # stays low: a rollback
            if i % 15 == 1 and day == 25:
                shown -= 300.0  # and back up: a misread
            if i % 15 == 2 and day == 30:
                counter[i] = shown = 0.2
                serial[i] += "-new"
            row: Row = {"meter_id": f"d{i:03}", "time": time, "value": round(shown, 3), "serial": serial[i]}
            if i % 2:
                out.append((time + 1 + rng.random(), _message(f"daily/{i}", [row])))
            else:
                together.append(row)
        out.append((time + 1, _message("daily", together, columns=True)))
    return out


def _hourly(rng: random.Random, count: int, most: int) -> list[tuple[float, Message]]:
    """Hourly intervals of areas of ten: spikes, leaks, a level that trebles; some come late."""
    out = []
    for area in range(count // 10):
        waiting: list[Row] = []
        due = rng.randint(1, most)
        for hour in range(1, DAYS * 24 + 1):
            time = START + hour * HOUR
            late: list[Row] = []
            for i in range(area * 10, area * 10 + 10):
                value = _litres(rng, i, hour)
                row: Row = {"meter_id": f"h{i:03}", "time": time, "value": value}
                (late if rng.random() < 0.002 else waiting).append(row)
            # two to thirty hours after what they should have come with
            out += [(time + rng.uniform(2, 30) * HOUR, _message(f"late/{area}", [row])) for row in late]
            if len(waiting) >= 10 * due:
                out.append((time + 2 + rng.random(), _message(f"dma/{area}", waiting, rng.random() < 0.5)))
                waiting, due = [], rng.randint(1, most)
        if waiting:
            end = START + (DAYS * 24 + 1) * HOUR
            out.append((end + rng.random(), _message(f"dma/{area}", waiting)))
    return out


def _litres(rng: random.Random, i: int, hour: int) -> float:
    day, of_day = divmod(hour - 1, 24)
    value = 0.0 if of_day < 8 else rng.uniform(5, 25) * (2.0 if of_day in (9, 19) else 1.0)
    if i % 10 == 1 and hour == 50 * 24 + 12:
        value = 3000.0 + i
    if i % 10 == 2 and 30 <= day < 36:
        value += 8.0
    if i % 10 == 3 and day >= 40:
        value *= 4.0
    if i % 10 == 4 and day >= 40:
        value *= 0.15
    return round(value, 2)
