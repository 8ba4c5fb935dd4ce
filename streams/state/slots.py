"""Meter → slot: names, registry rows, and the flat arrays that hold what is known of each meter."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, Detector, Rescaled, Selective, State
from detectors.batch import METER, Records
from streams.messages import NS
from streams.registry import Meter
from streams.state.constants import LIMITS, Sizes, constants
from streams.state.origins import LAST_MESSAGES, Owner
from streams.state.outcome import Outcome
from streams.units import factor, same_quantity
from streams.zones import offset_at, transitions

_meters = msgspec.msgpack.Decoder(Meter)
NEVER = int(np.iinfo(np.int64).min)
MOST_KINDS = 100_000  # different registry rows whose constants are remembered
PART_OF = "part"  # the balance role of a register beside the main one
BETWEEN = "\x1f"  # a meter's id and its register in a channel's name: no id has control characters
_NAMED = 500  # as many meters as a ticket lists
MOST_COHORTS = 255  # codes of (commodity, class, unit) that fit METER; later ones share the last
MOST_CODES = 65_535  # lists of error codes that fit METER

#: How readings are to be read. Most meters of a partition share a few of these.
FRAME = np.dtype(
    [
        ("scale", np.float64),  # the registry's multiplier
        ("shift", np.int64),  # to be added to a stamp that is the interval's start [ns]
        ("zone", np.int16),  # index in ``Slots.zones``
    ],
    align=True,
)


def as_register(meter: Meter, unit: str) -> Meter:
    """The row of one register beside the main one, which may measure something else (volts beside kWh).

    Then the registry's unit, kind and limits are not its own: it keeps the unit that it speaks in.
    In the balance of a district, and for a closed valve or an ended contract, only the main register counts.
    """
    meter = msgspec.structs.replace(meter, balance_role=PART_OF, contract="", valve_order="")
    if not unit or not meter.unit or same_quantity(unit, meter.unit):
        return meter
    limits = dict.fromkeys(LIMITS)
    return msgspec.structs.replace(meter, unit=unit, kind="", digits=None, multiplier=1.0, **limits)


def rank(channel: str) -> int:
    """A place among meters that hangs on the name alone."""
    return zlib.crc32(channel.encode())


class _Described(NamedTuple):
    row: bytes
    constants: Records  # shape ()
    frame: int  # index in ``Slots.frames``


def _pack(meter: Meter) -> bytes:
    """A registry row without its id, which the channel says."""
    return msgspec.msgpack.encode(msgspec.structs.replace(meter, meter_id=""))


def written(array: NDArray[Any]) -> bool:
    """Whether any of an array's bytes is not zero."""
    return bool(array.view(np.uint8).any())


def _longer(old: NDArray[Any] | None, new: NDArray[Any]) -> NDArray[Any]:
    """The old rows at the head of the new array. What nobody has written to goes on taking no memory."""
    if old is not None and (written(old) or written(new)):
        new[: len(old)] = old
    return new


class Slots:
    """Who is where in the arrays of one partition. A channel is a meter, or one of its registers."""

    def __init__(self, detectors: Sequence[Detector], sizes: Sizes) -> None:
        self.detectors = tuple(detectors)
        self.sizes = sizes
        self.owners: tuple[Owner, ...] = (*self.detectors, LAST_MESSAGES)  # of the state's columns
        self.asked = [not isinstance(detector, Selective) for detector in self.detectors]  # which are called
        self.slots: dict[str, int] = {}  # channel → slot
        self.channels: list[str] = []  # slot → channel, "" = vacated
        self.rows: list[bytes] = []  # slot → registry row but for the id, packed; equal ones are one object
        self.registers: dict[str, list[int]] = {}  # meter → slots of its registers beside the main one
        self.units: dict[str, int] = {"": 0}
        self.zones: list[str] = ["UTC"]
        self.areas: dict[str, int] = {}
        self.cohorts: dict[tuple[str, str, str], int] = {}
        self.codes: dict[str, int] = {"": 0}  # error codes that the registry states of a meter
        self.lines: dict[str, int] = {"": 0}
        self.transformers: dict[str, int] = {"": 0}
        self.places: dict[tuple[str, str, str], int] = {}  # area, route, concentrator
        self.who = np.zeros(0, np.uint8)  # (blocks,) 1 = names or registry rows have changed
        self.state = State(np.zeros(0, METER), {}, np.zeros(0, np.uint8), np.zeros(0, np.uint8))
        self.frame = np.zeros(0, np.int32)  # slot → index in ``frames``
        self.frames = np.zeros(1, FRAME)
        self._frames: dict[tuple[float, int, int], int] = {}
        self._kinds: dict[bytes, _Described] = {}  # packed row → what describing a meter of it comes to
        self._offsets: list[tuple[int, int]] = [(0, 0)]  # of each zone, as it stands in the arrays [s]
        self.traced = False  # whether the last message of any meter is known
        self._blank = {(d.name, c.name): c.new(1)[0] for d in self.owners for c in d.columns}
        self._named: tuple[list[str], NDArray[np.int64]] = (
            [],
            np.zeros(0, np.int64),
        )  # latest of ``places_of``
        self._grow(BLOCK)

    def __len__(self) -> int:
        return len(self.channels)

    def _grow(self, capacity: int) -> None:
        """Room for ``capacity`` meters. What is not yet used stays untouched, and takes no memory."""
        state = self.state
        self.frame = _longer(self.frame, np.zeros(capacity, np.int32))
        state.meters = _longer(state.meters, np.zeros(capacity, METER))
        for owner in self.owners:
            for column in owner.columns:
                key = (owner.name, column.name)
                state.arrays[key] = _longer(state.arrays.get(key), column.new(capacity))
        blocks = capacity // BLOCK
        state.hot = _longer(state.hot, np.zeros(blocks, np.uint8))
        state.cold = _longer(state.cold, np.zeros(blocks, np.uint8))
        self.who = _longer(self.who, np.zeros(blocks, np.uint8))

    # -- coming and going --------------------------------------------------------------------

    def add(self, channel: str, meter: Meter, link: bool = True) -> int:
        """Give a channel a slot of fresh state. An empty name keeps the place of a meter that has left.

        ``link`` False: its meter's other channels are to know of it only from its first reading on.
        """
        slot = len(self.channels)
        if slot == len(self.frame):
            self._grow(max(2 * slot, BLOCK) if slot < 64 * BLOCK else slot + 32 * BLOCK)
        self._unname()
        self.channels.append(channel)
        self.rows.append(b"")
        if channel:
            self.slots[channel] = slot
            if channel != meter.meter_id:
                self.registers.setdefault(meter.meter_id, []).append(slot)
        self.state.meters["next"][slot] = slot
        self.describe(slot, meter)
        if link:
            self.link(slot, meter.meter_id)
        self.touch([slot])
        return slot

    def reserve(self, meters: int) -> None:
        """Make room for so many, at once."""
        wanted = -(-meters // BLOCK) * BLOCK
        if wanted > len(self.frame):
            self._grow(wanted)

    def add_all(self, channels: Sequence[str], meters: Sequence[Meter]) -> None:
        """As ``add`` for many; a recovery adds a block at a time."""
        first, last = len(self.channels), len(self.channels) + len(channels)
        self.reserve(last)
        self._unname()
        self.channels += channels
        for slot, (channel, meter) in enumerate(zip(channels, meters, strict=True), first):
            if channel:
                self.slots[channel] = slot
                if channel != meter.meter_id:
                    self.registers.setdefault(meter.meter_id, []).append(slot)
        kinds = [self._kind(meter) for meter in meters]
        self.rows += [kind.row for kind in kinds]
        places = {id(kind): place for place, kind in enumerate(kinds)}
        code = np.array([places[id(kind)] for kind in kinds], np.int64)
        used, code = np.unique(code, return_inverse=True)
        self.state.meters[first:last] = np.stack([kinds[i].constants for i in used.tolist()])[code]
        self.frame[first:last] = np.array([kinds[i].frame for i in used.tolist()])[code]
        areas = self.areas
        self.state.meters["area"][first:last] = [areas.setdefault(m.home_area, len(areas)) for m in meters]
        self.state.meters["rank"][first:last] = [rank(channel) for channel in channels]
        self.state.meters["next"][first:last] = np.arange(first, last)
        for slot, (channel, meter) in enumerate(zip(channels, meters, strict=True), first):
            if channel != meter.meter_id:
                self.link(slot, meter.meter_id)
        offsets = np.array(self._offsets)[self.frames["zone"][self.frame[first:last]]]
        self.state.meters["was"][first:last], self.state.meters["offset"][first:last] = offsets.T
        self.touch(range(first, last, BLOCK))
        self.touch([last - 1])

    def link(self, slot: int, meter_id: str) -> None:
        """Put a channel into the ring of its meter's channels."""
        following = self.state.meters["next"]
        others = [other for other in self.slots_of(meter_id) if other != slot and other < len(self.channels)]
        if others and following[slot] == slot:
            following[slot], following[others[0]] = following[others[0]], slot
            for one in (slot, others[0]):
                self._ask(np.asarray(self.state.meters[one]))

    def vacate(self, meter_id: str) -> list[int]:
        """Forget a meter that has moved to another partition; its slots, returned, stay empty."""
        slots = self.slots_of(meter_id)
        self.registers.pop(meter_id, None)
        for slot in slots:
            del self.slots[self.channels[slot]]
            self._unname()
            self.channels[slot] = ""
            self.clear(slot)
            self.state.meters["next"][slot] = slot
            self.describe(slot, Meter(meter_id=""))
        self.touch(slots)
        return slots

    def clear(self, slot: int) -> None:
        """Make a slot's state that of a meter that has never spoken."""
        for key, array in self.state.arrays.items():
            array[slot] = self._blank[key]
        self.touch([slot])

    def touch(self, slots: Iterable[int]) -> None:
        """The next checkpoint must write all of these slots' state."""
        blocks = np.fromiter(slots, np.int64) // BLOCK
        for dirty in (self.state.hot, self.state.cold, self.who):
            dirty[blocks] = 1

    def _unname(self) -> None:
        self._named = ([], np.zeros(0, np.int64))

    def places_of(self, names: list[str]) -> NDArray[np.int64]:
        """The slots of main registers, −1 where there is none yet. A file's batches share one list of names."""
        if names is not self._named[0]:
            table = np.fromiter(map(self.slots.get, names, repeat(-1)), np.int64, len(names))
            self._named = (names, table)
        return self._named[1]

    def slots_of(self, meter_id: str) -> list[int]:
        """All slots of a meter: one a register."""
        main = self.slots.get(meter_id)
        return ([] if main is None else [main]) + self.registers.get(meter_id, [])

    def with_names(self, told: dict[str, object]) -> dict[str, object]:
        """Evidence in which slots (keys that end in ``_slots``) are names, in order, the first 500 of them."""
        return {
            name.removesuffix("_slots"): sorted(self.channels[slot].replace(BETWEEN, " ") for slot in cell)[
                :_NAMED
            ]
            if name.endswith("_slots") and isinstance(cell, list)
            else cell
            for name, cell in told.items()
        }

    # -- what the registry says --------------------------------------------------------------

    def meter(self, slot: int) -> Meter:
        """The registry row of a slot."""
        row = _meters.decode(self.rows[slot])
        return msgspec.structs.replace(row, meter_id=self.channels[slot].partition(BETWEEN)[0])

    def describe(self, slot: int, meter: Meter) -> None:
        """Keep the registry row, and write its constants to the arrays."""
        kind = self._kind(meter)
        self.rows[slot] = kind.row
        following = int(self.state.meters["next"][slot])
        self.state.meters[slot] = kind.constants
        self.state.meters["next"][slot] = following
        self.state.meters["area"][slot] = self.areas.setdefault(meter.home_area, len(self.areas))
        self.state.meters["rank"][slot] = rank(self.channels[slot])
        zone = int(self.frames["zone"][kind.frame])
        self.state.meters["was"][slot], self.state.meters["offset"][slot] = self._offsets[zone]
        self.frame[slot] = kind.frame
        self.who[slot // BLOCK] = 1

    def _kind(self, meter: Meter) -> _Described:
        """A row's constants; most meters share theirs with many."""
        row = _pack(meter)
        kind = self._kinds.get(row)
        if kind is not None:
            return kind
        cell = np.zeros((), METER)
        for name, value in constants(meter, self.sizes).items():
            cell[name] = value
        cell["unit"] = self.unit_code(meter.unit)
        cohort = (meter.commodity, meter.meter_class, meter.unit)
        cell["codes"] = min(self.codes.setdefault(meter.sentinels, len(self.codes)), MOST_CODES)
        cell["line"] = self.lines.setdefault(meter.line, len(self.lines))
        cell["transformer"] = self.transformers.setdefault(meter.transformer, len(self.transformers))
        place = (meter.area, meter.route, meter.concentrator)
        cell["place"] = self.places.setdefault(place, len(self.places))
        cell["cohort"] = min(self.cohorts.setdefault(cohort, len(self.cohorts)), MOST_COHORTS)
        shift = round((meter.interval_s or 0) * NS) if meter.stamp == "start" else 0
        self._ask(cell)
        kind = _Described(row, cell, self._frame((meter.multiplier, shift, self._zone(meter.tz))))
        if len(self._kinds) < MOST_KINDS:
            self._kinds[row] = kind
        return kind

    def _frame(self, frame: tuple[float, int, int]) -> int:
        """The index of scale, shift and zone."""
        place = self._frames.setdefault(frame, len(self._frames))
        if place == len(self.frames):
            self.frames = np.concatenate([self.frames, np.zeros(place, FRAME)])
        self.frames[place] = frame
        return place

    def _ask(self, constants: Records) -> None:
        """From now on, call the detectors that a meter of these constants concerns."""
        for order, detector in enumerate(self.detectors):
            if not self.asked[order] and isinstance(detector, Selective):
                self.asked[order] = bool(detector.concerns(constants[None])[0])

    def unit_code(self, unit: str) -> int:
        """The index of a unit; 0 is that of a unit that nobody has stated."""
        return self.units.setdefault(unit, len(self.units))

    def _zone(self, name: str) -> int:
        try:
            transitions(name)
        except ValueError:
            name = ""  # the registry's reader refuses it; where that knows more zones than this machine, UTC
        name = name or "UTC"
        if name not in self.zones:
            self.zones.append(name)
            self._offsets.append((0, 0))
        return self.zones.index(name)

    def register(self, meters: Sequence[Meter], outcome: Outcome) -> None:
        """Rows of the registry, new or changed. A known meter keeps its state."""
        for meter in meters:
            slots = self.slots_of(meter.meter_id)
            if not slots:
                self.add(meter.meter_id, meter)
                outcome.count("meters_added")
            for slot in slots:
                old = self.meter(slot)
                new = meter if self.channels[slot] == meter.meter_id else as_register(meter, old.unit)
                if old == new:
                    continue
                if not old.known:
                    outcome.count("meters_became_known")
                elif old.home_area != new.home_area:
                    outcome.count("area_changes")
                self._rescale(slot, old, new, outcome)
                self.describe(slot, new)

    def _rescale(self, slot: int, old: Meter, new: Meter, outcome: Outcome) -> None:
        """A changed unit or multiplier: what is known of the meter goes on in the new one."""
        try:
            scale = factor(old.unit, new.unit) if old.unit and new.unit and old.unit != new.unit else 1.0
        except ValueError:
            # Another quantity altogether: nothing that is known of it holds.
            self.clear(slot)
            outcome.count("meters_started_afresh")
            return
        if old.multiplier and new.multiplier:
            scale *= new.multiplier / old.multiplier
        if scale == 1.0:
            return
        for detector in self.detectors:
            if isinstance(detector, Rescaled):
                detector.rescale(self.state, slot, scale)
            for column in detector.columns:
                array = self.state.of(detector.name, column.name)
                for name in column.scales:
                    cells = array[name] if name else array
                    cells[slot] = cells[slot] * scale
        self.touch([slot])
        outcome.count("meters_rescaled")

    # -- local time --------------------------------------------------------------------------

    def localise(self, before: int, now: int) -> None:
        """Bring the meters' offsets from UTC up to an instant, and those that they had ``before``. [ns]"""
        used = len(self)
        for zone, name in enumerate(self.zones):
            pair = (offset_at(name, before), offset_at(name, now))
            if pair != self._offsets[zone]:
                mine = self.frames["zone"][self.frame[:used]] == zone
                for place, offset in zip(("was", "offset"), pair, strict=True):
                    self.state.meters[place][:used][mine] = offset
                self._offsets[zone] = pair
