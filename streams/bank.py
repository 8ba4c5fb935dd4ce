"""The state of one partition, and the one way in which readings change it.

State and flags are a function of the log's order, however it is cut into batches: rows are
taken in order, and what hangs on the watermark happens at the row that moves it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import Detector
from detectors.base import BLOCK, FINDING, State
from detectors.batch import AHEAD, BAD, CORRECTION, DUPLICATE, HOUR, LATE, METER, Batch
from streams.columns import NO_DIGEST, Columns
from streams.constants import Sizes, constants
from streams.episodes import Episode, Episodes, Found
from streams.messages import NS, Flag, Reject
from streams.moves import Moves
from streams.recent import Recent
from streams.registry import Meter
from streams.units import factor
from streams.zones import offsets

_meters = msgspec.msgpack.Decoder(Meter)
STEP = HOUR  # the watermark's grid: what hangs on it is looked at when it enters a new step
NEVER = int(np.iinfo(np.int64).min)
ALWAYS = int(np.iinfo(np.int64).max)
COUNTED = {LATE: "late", DUPLICATE: "duplicate", CORRECTION: "correction", BAD: "bad", AHEAD: "ahead"}


@dataclass(frozen=True, slots=True)
class BankConfig:
    """What all partitions share."""

    detectors: tuple[Detector, ...]
    lateness_ns: int = 0  # the watermark keeps this far behind the newest reading
    ahead_ns: int = 900 * 1_000_000_000  # a reading stamped later than its arrival by more is not believed
    sizes: Sizes = field(default_factory=Sizes)


@dataclass(slots=True)
class Outcome:
    """What came of one message: flags in order, what could not be used, and counts."""

    flags: list[Flag] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, n: int = 1) -> None:
        """Add to a count."""
        if n:
            self.counts[what] = self.counts.get(what, 0) + n


class Census(NamedTuple):
    """Meters by what is known of them."""

    meters: int
    unknown: int
    warming: int


class Bank:
    """Per-meter state of a partition in flat arrays, and its open episodes."""

    def __init__(self, config: BankConfig) -> None:
        self.config = config
        self.slots: dict[str, int] = {}  # channel → slot
        self.channels: list[str] = []  # slot → channel, "" = vacated
        self.rows: list[bytes] = []  # slot → registry row, packed: a million of them fit
        self.units: dict[str, int] = {}
        self.registers: dict[str, list[int]] = {}  # meter → slots of its registers beside the main one
        self.watermark = NEVER
        self.advanced = NEVER  # watermark at the last advance
        self.episodes = Episodes()
        self.recent = Recent()
        self.moves = Moves()
        self.areas: dict[str, int] = {}
        self.cohorts: dict[tuple[str, str, str], int] = {}
        self.zones: dict[str, list[int]] = {}  # zones other than UTC → slots
        self.scaled: set[int] = set()  # slots with a multiplier or stamp=start
        self.who = np.zeros(0, np.uint8)  # (blocks,) 1 = names or registry rows have changed
        self.state = State(np.zeros(0, METER), {}, np.zeros(0, np.uint8), np.zeros(0, np.uint8))
        self._census: tuple[int, int, Census] | None = None  # slots, watermark, what was counted then
        self._blank = {(d.name, c.name): c.new(1)[0] for d in config.detectors for c in d.columns}
        self._grow(BLOCK)

    def __len__(self) -> int:
        return len(self.channels)

    # -- slots ---------------------------------------------------------------------------

    def _grow(self, capacity: int) -> None:
        old = len(self.state.meters)
        blocks = capacity // BLOCK
        more = capacity - old
        self.state.meters = np.concatenate([self.state.meters, np.zeros(more, METER)])
        for detector in self.config.detectors:
            for column in detector.columns:
                key = (detector.name, column.name)
                fresh = column.new(more)
                self.state.arrays[key] = np.concatenate([self.state.arrays[key], fresh]) if old else fresh
        for name in ("hot", "cold"):
            flags = np.zeros(blocks, np.uint8)
            flags[: old // BLOCK] = getattr(self.state, name)
            setattr(self.state, name, flags)
        who = np.zeros(blocks, np.uint8)
        who[: old // BLOCK] = self.who
        self.who = who

    def add(self, channel: str, meter: Meter) -> int:
        """Give a channel (a meter's register) a slot of fresh state."""
        slot = len(self.channels)
        if slot == len(self.state.meters):
            self._grow(max(2 * slot, BLOCK) if slot < 64 * BLOCK else slot + 32 * BLOCK)
        self.channels.append(channel)
        self.rows.append(b"")
        if channel:  # an empty name keeps the place of a meter that has left
            self.slots[channel] = slot
            if channel != meter.meter_id:
                self.registers.setdefault(meter.meter_id, []).append(slot)
        self._describe(slot, meter)
        self.touch(np.array([slot]))
        return slot

    def touch(self, slots: NDArray[np.int64]) -> None:
        """The next checkpoint must write all of these meters' state."""
        for dirty in (self.state.hot, self.state.cold, self.who):
            dirty[slots // BLOCK] = 1

    def vacate(self, meter_id: str) -> None:
        """Forget a meter that has moved to another partition; its slots stay empty."""
        slots = self.slots_of(meter_id)
        self.registers.pop(meter_id, None)
        for slot in slots:
            del self.slots[self.channels[slot]]
            self.channels[slot] = ""
            for key, array in self.state.arrays.items():
                array[slot] = self._blank[key]
            for family in [f for s, f in self.episodes.open if s == slot]:
                del self.episodes.open[slot, family]
            self._describe(slot, Meter(meter_id=""))
        self.touch(np.array(slots, np.int64))

    def slots_of(self, meter_id: str) -> list[int]:
        """All slots of a meter: one a register."""
        main = self.slots.get(meter_id)
        return ([] if main is None else [main]) + self.registers.get(meter_id, [])

    def meter(self, slot: int) -> Meter:
        """The registry row of a slot."""
        return _meters.decode(self.rows[slot])

    def _describe(self, slot: int, meter: Meter) -> None:
        """Keep the registry row, and write its constants to the arrays."""
        self.rows[slot] = msgspec.msgpack.encode(meter)
        row = self.state.meters[slot]
        for name, value in constants(meter, self.config.sizes).items():
            row[name] = value
        row["area"] = self.areas.setdefault(meter.home_area, len(self.areas))
        row["unit"] = self.units.setdefault(meter.unit, len(self.units))
        cohort = (meter.commodity, meter.meter_class, meter.unit)
        row["cohort"] = min(self.cohorts.setdefault(cohort, len(self.cohorts)), 255)
        for slots in self.zones.values():
            if slot in slots:
                slots.remove(slot)
        if meter.tz not in ("", "UTC"):
            self.zones.setdefault(meter.tz, []).append(slot)
        else:
            row["offset"] = 0
        if meter.multiplier != 1.0 or meter.stamp == "start":
            self.scaled.add(slot)
        else:
            self.scaled.discard(slot)
        self.who[slot // BLOCK] = 1

    def register(self, meters: Sequence[Meter], outcome: Outcome) -> None:
        """Rows of the registry, new or changed. A known meter keeps its state."""
        for meter in meters:
            slots = self.slots_of(meter.meter_id)
            if not slots:
                self.add(meter.meter_id, meter)
                outcome.count("meters_added")
                continue
            for slot in slots:
                old = self.meter(slot)
                if old == meter:
                    continue
                if not old.known:
                    outcome.count("meters_became_known")
                elif old.home_area != meter.home_area:
                    outcome.count("area_changes")
                self._describe(slot, meter)

    # -- readings ------------------------------------------------------------------------

    def update(self, columns: Columns, outcome: Outcome) -> None:
        """Take a batch in; rows of a raw message that was taken before change nothing."""
        columns = self.unrepeated(columns, outcome)
        n = len(columns)
        if n == 0:
            return
        slot = self._slots(columns, outcome)
        batch = self._batch(columns, slot, outcome)
        self.state.hot[slot // BLOCK] = 1
        self._run(batch, outcome)
        outcome.count("readings", n)
        codes = np.bincount(batch.status, minlength=AHEAD + 1)
        for code, name in COUNTED.items():
            outcome.count(name, int(codes[code]))

    def tick(self, now_ns: int, outcome: Outcome) -> None:
        """A clock tick: time passes though nobody speaks."""
        if self.watermark != NEVER:
            self._move(now_ns - self.config.lateness_ns, outcome)

    def unrepeated(self, columns: Columns, outcome: Outcome) -> Columns:
        """Without what was redelivered: raw messages whose digest was seen of late."""
        digests = columns.digests
        known = [
            s
            for s in range(len(digests) // 16)
            if (d := digests[16 * s : 16 * s + 16]) != NO_DIGEST and not self.recent.add(d)
        ]
        if not known:
            return columns
        keep = ~np.isin(columns.source, known)
        outcome.count("redelivered", int(len(keep) - keep.sum()))
        return columns.select(keep)

    def _slots(self, columns: Columns, outcome: Outcome) -> NDArray[np.int64]:
        find = self.slots.get
        table = [find(name, -1) for name in columns.meters]
        if -1 in table:
            for code in dict.fromkeys(columns.meter.tolist()):
                if table[code] < 0:
                    name = columns.meters[code]
                    table[code] = self.add(name, Meter(meter_id=name, known=False))
                    outcome.count("unknown_meters")
        slot: NDArray[np.int64] = np.array(table, np.int64)[columns.meter]
        for row, register in columns.sparse.get("register", {}).items():
            meter_id = columns.meters[columns.meter[row]]
            channel = f"{meter_id}#{register}"
            found = find(channel)
            if found is None:
                found = self.add(channel, self.meter(table[columns.meter[row]]))
            slot[row] = found
        return slot

    def _batch(self, columns: Columns, slot: NDArray[np.int64], outcome: Outcome) -> Batch:
        n = len(columns)
        state = self.state
        value, time, quality = columns.value, columns.time_ns, columns.quality
        kind = columns.kind
        if not kind.all():
            kind = np.where(kind == 0, state.meters["kind"][slot], kind)
        value, quality = self._converted(columns, slot, value, quality, outcome)
        if self.scaled:
            value, time = self._scaled(slot, value, time)
        for row, multiplier in columns.sparse.get("multiplier", {}).items():
            value = np.array(value)
            value[row] *= multiplier
        local = time
        if self.zones:
            local = time.copy()
            for zone, slots in self.zones.items():
                rows = np.isin(slot, slots)
                shift = offsets(zone, time[rows])
                local[rows] += shift
                state.meters["offset"][slot[rows]] = shift // NS
        received = columns.received_ns
        limit = np.where(received > 0, received + self.config.ahead_ns, ALWAYS)[columns.source]
        serial = np.zeros(n, np.uint64)
        stop = np.full(n, np.nan)
        start = np.full(n, np.nan)
        for row, name in columns.sparse.get("serial", {}).items():
            serial[row] = _code(str(name))
        for row, attributes in columns.sparse.get("attributes", {}).items():
            stop[row] = _float(attributes.get("stop_read"))
            start[row] = _float(attributes.get("start_read"))
        return Batch(
            slot, time, local, value, kind, quality, columns.marks, limit, serial, stop, start,
            np.empty(n), np.empty(n, np.int64), np.zeros(n, np.uint8), np.zeros(n, np.uint8),
        )  # fmt: skip

    def _converted(
        self,
        columns: Columns,
        slot: NDArray[np.int64],
        value: NDArray[np.float64],
        quality: NDArray[np.uint8],
        outcome: Outcome,
    ) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Values in the unit of their meter; what cannot be converted is bad, and said so."""
        for code, unit in enumerate(columns.units):
            if not unit:
                continue
            same = self.units.setdefault(unit, len(self.units))
            rows = np.flatnonzero((columns.unit == code) & (self.state.meters["unit"][slot] != same))
            for meter_slot in np.unique(slot[rows]).tolist():
                meter = self.meter(meter_slot)
                own = meter.unit
                mine = rows[slot[rows] == meter_slot]
                if not own:
                    # A meter whose unit nobody stated takes the unit that it first speaks in.
                    self._describe(meter_slot, msgspec.structs.replace(meter, unit=unit))
                    continue
                try:
                    scale = factor(unit, own)
                except ValueError as error:
                    quality = np.array(quality)
                    quality[mine] = 2
                    reason = f"meter {meter.meter_id}: {error}; correct the payload's unit or the registry's"
                    outcome.rejects.append(Reject(reason, repr(columns.value[mine].tolist()[:100]).encode()))
                    outcome.count("unit_mismatch", len(mine))
                    continue
                value = np.array(value)
                value[mine] *= scale
        return value, quality

    def _scaled(
        self, slot: NDArray[np.int64], value: NDArray[np.float64], time: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        rows = np.flatnonzero(np.isin(slot, list(self.scaled)))
        if len(rows):
            value, time = np.array(value), np.array(time)
            for row in rows.tolist():
                meter = self.meter(int(slot[row]))
                value[row] *= meter.multiplier
                if meter.stamp == "start" and meter.interval_s:
                    time[row] += round(meter.interval_s * 1e9)
        return value, time

    # -- detection -----------------------------------------------------------------------

    def _run(self, batch: Batch, outcome: Outcome) -> None:
        """All detectors over the rows, cut where the watermark enters a new step."""
        n = len(batch)
        plausible = np.where(batch.time <= batch.limit, batch.time, NEVER)
        newest = np.maximum.accumulate(plausible)
        lateness = self.config.lateness_ns
        if self.watermark != NEVER:
            newest = np.maximum(newest, self.watermark + lateness)
        # An instant is past only when the watermark is later than it, hence − 1.
        steps = (newest - lateness - 1) // STEP
        cuts = (np.flatnonzero(steps[1:] != steps[:-1]) + 1).tolist()
        first = 0
        for last in [*cuts, n]:
            if newest[first] != NEVER:
                self._move(int(newest[first]) - lateness, outcome)
            self._segment(batch if first == 0 and last == n else batch.cut(first, last), outcome)
            first = last
        if newest[-1] != NEVER:
            self.watermark = int(newest[-1]) - lateness

    def _segment(self, batch: Batch, outcome: Outcome) -> None:
        out = np.empty(2 * len(batch) + 2, FINDING)
        found: list[tuple[int, int, Found]] = []
        for order, detector in enumerate(self.config.detectors):
            count = detector.update(self.state, batch, out)
            if count:
                self._collect(detector, order, out[:count], found)
        if found:
            self._fold(found, outcome)

    def _move(self, watermark: int, outcome: Outcome) -> None:
        """Move the watermark on; close what is due when it enters a new step."""
        if watermark <= self.watermark:
            return
        if self.watermark != NEVER and (watermark - 1) // STEP != (self.watermark - 1) // STEP:
            found: list[tuple[int, int, Found]] = []
            used = len(self.channels)
            out = np.empty(2 * used + 2, FINDING)
            for order, detector in enumerate(self.config.detectors):
                count = detector.advance(self.state, used, self.advanced, watermark, out)
                if count:
                    self._collect(detector, order, out[:count], found)
            self.advanced = watermark
            if found:
                self._fold(found, outcome)
        elif self.watermark == NEVER:
            self.advanced = watermark
        self.watermark = watermark

    def _collect(
        self, detector: Detector, order: int, findings: NDArray[Any], found: list[tuple[int, int, Found]]
    ) -> None:
        settings = detector.parameters()
        for f in findings:
            evidence = {**detector.explain(self.state, f), "version": detector.version, "parameters": settings}
            found.append(
                (
                    int(f["row"]),
                    order,
                    Found(
                        int(f["slot"]), detector.name, detector.kinds[f["kind"]], int(f["verb"]), int(f["at"]),
                        int(f["start"]), int(f["end"]), float(f["score"]), float(f["observed"]),
                        float(f["expected"]), evidence,
                    ),
                )
            )  # fmt: skip

    def _fold(self, found: list[tuple[int, int, Found]], outcome: Outcome) -> None:
        """Into episodes, by row: the order must not depend on how the log was cut.

        Findings of the watermark have no row; slots differ between two programs that read the
        same log, so meters are taken by name.
        """
        found.sort(key=lambda item: (item[0], self.channels[item[2].slot] if item[0] < 0 else "", item[1]))
        for _, _, finding in found:
            meter = self.meter(finding.slot)
            register = self.channels[finding.slot][len(meter.meter_id) + 1 :]
            flag = self.episodes.take(finding, meter, register)
            if flag is not None:
                outcome.flags.append(flag)

    def census(self) -> Census:
        """How many meters there are, how many the registry does not name, how many are warming up."""
        used = len(self.channels)
        if self._census is None or self._census[0] != used or self.watermark - self._census[1] > STEP:
            slots = np.array([slot for slot, name in enumerate(self.channels) if name], np.int64)
            warming = np.ones(len(slots), np.bool_)
            for detector in self.config.detectors[1:]:  # the first is never warming up for long
                warming &= ~detector.ready(self.state, slots)
            unknown = sum(1 for slot in slots.tolist() if not self.meter(slot).known)
            self._census = (used, self.watermark, Census(len(slots), unknown, int(warming.sum())))
        return self._census[2]

    def open_episodes(self) -> list[Episode]:
        """All open episodes, for a checkpoint."""
        return list(self.episodes.open.values())


def _code(serial: str) -> int:
    """A serial number as a nonzero 64-bit code."""
    return int.from_bytes(hashlib.blake2b(serial.encode(), digest_size=8).digest(), "big") or 1


def _float(text: object) -> float:
    try:
        return float(str(text)) if text is not None else float("nan")
    except ValueError:
        return float("nan")
