"""What a detector is given: readings in log order, and the constants of their meters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
Records = NDArray[Any]  # one of the structured types below
Row = Any  # one record of such an array, as a kernel sees it

NS = 1_000_000_000
HOUR = 3600 * NS
DAY = 24 * HOUR
FINE = 2 * HOUR  # meters read at least so often are judged by their hours, the others by days or periods

# Kinds of a value, as in streams.messages.Kind.
REGISTER, INTERVAL, GAUGE = 1, 2, 3

# What validation made of a row.
OK = 0  # newest of its meter: ``usage`` covers ``span``
FIRST = 1  # first of its meter: nothing to subtract from
DUPLICATE = 2  # seen before, same value
LATE = 3  # older than the meter's newest: counted, no live alarm
CORRECTION = 4  # seen before, other value: the later wins
BAD = 5  # quality bad: feeds nothing
AHEAD = 6  # a clock far ahead: moves nothing
SUSPECT = 7  # a register that fell, or an amount below zero: the usage is not known yet
LEVEL = 8  # an instantaneous value: no usage

# What a meter is in the balance of its district; PART: a register beside the main one counts nowhere.
PART, CONSUMER, INFLOW, OUTFLOW, STORAGE = 0, 1, 2, 3, 4

# What a meter measures, where a rule asks for it.
VOLTAGE, PRESSURE, VOLUME, FLOW, ENERGY, POWER, MONEY, TEMPERATURE = 1, 2, 3, 4, 5, 6, 7, 8

# How surely a value is an error code that a device sends where it has no reading.
WEAK, SURE = 1, 2

# Bits of ``note``.
TRUE_UP, SENTINEL, SWAPPED, REPLACED = 1, 2, 4, 8

# Bits of ``events``: what a device says beside its value.
VALVE_OPEN, VALVE_CLOSED, TAMPERED, UNTAMPERED, OUTAGE, RESTORED = 1, 2, 4, 8, 16, 32

# What the registry says of a supply contract; SHUT of a valve that staff have closed.
ACTIVE, VACANT, TERMINATED = 0, 1, 2
SHUT = 1

# Bits of a reading's marks that matter to arithmetic, as in streams.messages.Mark.
RETAINED, HISTORICAL, ESTIMATED = 1, 2, 4

#: Constants of a meter, from the registry.
METER = np.dtype(
    [
        ("interval", np.int64),  # spacing stated by the registry [ns], 0 = not stated
        ("capacity", np.float32),  # 10^digits, where the register turns over [unit], 0 = not stated
        ("quiet", np.float32),  # flow below this is rest [unit/h], 0 = continuous flow is no alarm
        ("floor", np.float32),  # less than this a day is not worth a person's time [unit/d]
        ("offset", np.int32),  # local time − UTC at the watermark [s]
        ("was", np.int32),  # the same at the watermark of the advance before
        ("area", np.int32),  # index of the area in its partition
        ("unit", np.int16),  # index of the unit in the bank
        ("kind", np.uint8),  # REGISTER, INTERVAL, GAUGE, 0 = not stated
        ("cohort", np.uint8),  # code of (commodity, class, unit) within the partition
        ("concentrator", np.int64),  # hash of the concentrator's name, 0 = not stated
        ("signed", np.uint8),  # 1 = counts both ways, or out: it may fall by right
        ("role", np.uint8),  # CONSUMER … in the balance of its district
        ("quantity", np.uint8),  # VOLTAGE … where a rule asks for it
        ("commodity", np.uint8),  # code of the commodity, 0 = not stated
        ("base", np.float32),  # size of the unit in V, m3, m3/h, kW.h, kW or K, by its quantity, else 1
        ("zero", np.float32),  # what zero of the unit is in that one: 273.15 of °C, else 0
        ("start", np.float32),  # start flow of a gas meter [unit/h], 0 = it is none
        ("limit_hh", np.float32),  # limits of a gauge [unit], NaN = none
        ("limit_h", np.float32),
        ("limit_l", np.float32),
        ("limit_ll", np.float32),
        ("deadband", np.float32),  # [unit], NaN = not stated
        ("delay", np.float32),  # [s], NaN = not stated
        ("q_max", np.float32),  # most flow that the meter is made for [unit/h], 0 = not stated
        ("rank", np.uint32),  # hash of the name: an order of meters that hangs on no slot
        ("line", np.int32),  # index of the supply line in its partition, 0 = not stated
        ("transformer", np.int32),  # the same of the transformer
        ("place", np.int32),  # index of (area, route, concentrator) as stated, in its partition
        ("contract", np.uint8),  # ACTIVE, VACANT or TERMINATED
        ("next", np.int32),  # slot of the meter's next channel, in a ring; its own where it has but one
        ("multiplier", np.float32),  # what a step of the register stands for [unit]
        ("codes", np.uint16),  # index of the meter's own error codes in the bank, 0 = none
        ("valve", np.uint8),  # SHUT where the registry says so, else 0
        ("bill_day", np.uint8),  # day of the month of the bill run, 0 = not stated
    ],
    align=True,
)


@dataclass(slots=True)
class Batch:
    """Readings of one partition in log order; every array has shape (n,).

    slot    row of the meter in the state
    time    event time [ns UTC]
    local   event time in the meter's zone [ns]
    value   reading, in the meter's unit
    kind    REGISTER, INTERVAL or GAUGE
    quality 0 good, 1 uncertain, 2 bad
    marks   bits, RETAINED …
    limit   latest plausible event time [ns]: arrival plus the tolerated clock error
    serial  hash of the device's serial number, 0 = not stated
    stop, start  reads of the old and the new device at a swap [unit], NaN = none
    code    WEAK or SURE where the value as sent is a known error code, else 0
    events  bits, VALVE_OPEN …
    period  length of the interval as stated with it, 0 = not stated [ns]
    arrival when it came, 0 = not stated [ns]

    Validation fills in:
    usage   amount used since the meter's last reading, NaN = none [unit]
    span    time that the amount covers [ns]
    usual   usual time between the meter's readings, as of this one [ns]
    since   time since the meter's reading before this one, 0 = there was none [ns]
    missed  intervals that turn out to be missing before this one; −1: one that was missing has come
    back    amount booked for the reading before that turned out to be wrong: it is to be taken
            back, ``usage`` covers its time too [unit]
    status  OK, FIRST, …
    live    1 = may raise an alarm
    note    bits: TRUE_UP = a read after estimated ones, whose difference to them is no use of
            its own; SENTINEL = bad since it is an error code, the newest of its meter and live;
            SWAPPED = the first of another device; REPLACED = a correction that has taken the place of
            its meter's newest reading
    """

    slot: I64
    time: I64
    local: I64
    value: F64
    kind: U8
    quality: U8
    marks: NDArray[np.uint16]
    limit: I64
    serial: NDArray[np.uint64]
    stop: F64
    start: F64
    code: U8
    events: U8
    period: I64
    arrival: I64
    usage: F64
    span: I64
    usual: I64
    since: I64
    missed: I64
    back: F64
    status: U8
    live: U8
    note: U8

    def __len__(self) -> int:
        return len(self.slot)

    def cut(self, first: int, last: int) -> Batch:
        """Rows first … last − 1, as views."""
        return Batch(*(getattr(self, name)[first:last] for name in self.__slots__))
