"""Columns as they came → a batch as detectors take it: units, multipliers, local time, serials."""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.batch import GAUGE, Batch
from streams.columns import Columns
from streams.messages import Quality, Reject
from streams.registry import Meter
from streams.state.events import events_of
from streams.state.outcome import Outcome
from streams.state.sentinels import error_codes
from streams.state.slots import BETWEEN, Slots, as_register
from streams.units import factor
from streams.zones import offsets

ALWAYS = int(np.iinfo(np.int64).max)


def place(slots: Slots, columns: Columns, outcome: Outcome) -> NDArray[np.int64]:
    """The slot of each row; a meter that nobody has named yet gets one."""
    find = slots.slots.get
    table = slots.places_of(columns.meters)
    slot: NDArray[np.int64] = table[columns.meter]
    unknown = np.flatnonzero(slot < 0)
    if len(unknown):
        for code in dict.fromkeys(columns.meter[unknown].tolist()):
            name = columns.meters[code]
            table[code] = slots.add(name, Meter(meter_id=name, known=False))
            outcome.count("unknown_meters")
        slot = table[columns.meter]
    for row, register in columns.sparse.get("register", {}).items():
        meter_id = columns.meters[columns.meter[row]]
        channel = f"{meter_id}{BETWEEN}{register}"
        found = find(channel)
        if found is None:
            main = slots.meter(table[columns.meter[row]])
            if not main.unit:
                main = msgspec.structs.replace(main, unit=_said_before(columns, row))
            found = slots.add(channel, as_register(main, columns.units[columns.unit[row]]), link=False)
        slot[row] = found
    return slot


def _said_before(columns: Columns, row: int) -> str:
    """The unit that a row's meter has first stated of itself, earlier in the same batch."""
    registers = columns.sparse["register"]
    for other in np.flatnonzero(columns.meter[:row] == columns.meter[row]).tolist():
        unit = str(columns.units[columns.unit[other]])
        if unit and other not in registers:
            return unit
    return ""


def first_rows(slots: Slots, slot: NDArray[np.int64], known: int) -> dict[int, list[int]]:
    """Row → registers, new in this batch, whose first reading it is. ``known``: slots there were before."""
    new = np.flatnonzero(slot >= known)
    speakers, firsts = np.unique(slot[new], return_index=True)
    found: dict[int, list[int]] = {}
    for speaker, place in zip(speakers.tolist(), firsts.tolist(), strict=True):
        if BETWEEN in slots.channels[speaker]:
            found.setdefault(int(new[place]), []).append(speaker)
    return found


def first_units(slots: Slots, columns: Columns, slot: NDArray[np.int64], known: int) -> list[int]:
    """Rows at which a meter whose unit nobody has stated first states one, after others of its own.

    What it has said before must be taken in without the unit, so the batch is cut there.
    ``known``: how many slots there were before the batch.
    """
    said = np.array([bool(unit) for unit in columns.units])[columns.unit]
    unsaid = np.flatnonzero(said & (slots.state.meters["unit"][slot] == 0))
    if not len(unsaid):
        return []
    speakers, firsts = np.unique(slot[unsaid], return_index=True)
    cuts = []
    for speaker, row in zip(speakers.tolist(), unsaid[firsts].tolist(), strict=True):
        if row and (speaker < known or (slot[:row] == speaker).any()):
            cuts.append(row)
    return sorted(cuts)


def prepare(
    slots: Slots, columns: Columns, slot: NDArray[np.int64], ahead_ns: int, outcome: Outcome
) -> Batch:
    """The batch, in the units of its meters; what validation fills in is still empty."""
    n = len(columns)
    kind = columns.kind
    if not kind.all():
        kind = np.where(kind == 0, slots.state.meters["kind"][slot], kind)
        # What nobody says is cumulative or used must not be subtracted or added up.
        kind = np.where(kind == 0, np.uint8(GAUGE), kind)
    value, quality = _in_own_unit(slots, columns, slot, outcome)
    value = value * slots.frames["scale"][slots.frame[slot]]
    for row, multiplier in columns.sparse.get("multiplier", {}).items():
        value[row] *= multiplier
    time = columns.time_ns + slots.frames["shift"][slots.frame[slot]]
    local = time
    if len(slots.zones) > 1:
        local = time.copy()
        zones = slots.frames["zone"][slots.frame[slot]]
        for zone in np.unique(zones).tolist():
            rows = np.flatnonzero(zones == zone)
            local[rows] += offsets(slots.zones[zone], time[rows])
    received = columns.received_ns
    limit = np.where(received > 0, received + ahead_ns, ALWAYS)[columns.source]
    arrival = np.maximum(received, 0)[columns.source]
    serial = np.zeros(n, np.uint64)
    for row, name in columns.sparse.get("serial", {}).items():
        serial[row] = _code(str(name))
    stop, start = np.full(n, np.nan), np.full(n, np.nan)
    events, period = np.zeros(n, np.uint8), np.zeros(n, np.int64)
    for row, begin in columns.sparse.get("period_start_ns", {}).items():
        period[row] = max(int(columns.time_ns[row]) - begin, 0)
    for row, attributes in columns.sparse.get("attributes", {}).items():
        events[row] = events_of(attributes)
        stop[row] = _float(attributes.get("stop_read"))
        start[row] = _float(attributes.get("start_read"))
    code = error_codes(columns.value, slots.sizes.sentinels)
    if len(slots.codes) > 1:
        own = slots.state.meters["codes"][slot]
        for text, place in slots.codes.items():
            rows = np.flatnonzero(own == place)
            if place and len(rows):
                listed = (*slots.sizes.sentinels, *map(float, text.split()))
                code[rows] = error_codes(columns.value[rows], listed)
    return Batch(
        slot, time, local, value, kind, quality, columns.marks, limit, serial, stop, start,
        code=code, events=events, period=period, arrival=arrival,
        usage=np.empty(n), span=np.empty(n, np.int64), usual=np.empty(n, np.int64),
        since=np.zeros(n, np.int64), missed=np.zeros(n, np.int64), back=np.zeros(n),
        status=np.zeros(n, np.uint8), live=np.zeros(n, np.uint8), note=np.zeros(n, np.uint8),
    )  # fmt: skip


def _in_own_unit(
    slots: Slots, columns: Columns, slot: NDArray[np.int64], outcome: Outcome
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Values in the unit of their meter; what cannot be converted is bad, and said so."""
    value, quality = columns.value, columns.quality
    codes = np.array([slots.unit_code(unit) for unit in columns.units], np.int16)[columns.unit]
    own = slots.state.meters["unit"][slot]
    odd = np.flatnonzero((codes != own) & (codes != 0))
    if not len(odd):
        return value, quality
    unsaid = odd[own[odd] == 0]
    if len(unsaid):
        # A meter whose unit nobody stated takes the unit that it first speaks in.
        speakers, firsts = np.unique(slot[unsaid], return_index=True)
        for speaker, first in zip(speakers.tolist(), firsts.tolist(), strict=True):
            unit = columns.units[columns.unit[unsaid[first]]]
            slots.describe(speaker, msgspec.structs.replace(slots.meter(speaker), unit=unit))
        own = slots.state.meters["unit"][slot]
        odd = odd[codes[odd] != own[odd]]
    value, quality = np.array(value), np.array(quality)
    names = list(slots.units)
    for pair in np.unique(np.stack([own[odd], codes[odd]]), axis=1).T.tolist():
        rows = odd[(own[odd] == pair[0]) & (codes[odd] == pair[1])]
        try:
            value[rows] *= factor(names[pair[1]], names[pair[0]])
        except ValueError as error:
            quality[rows] = Quality.BAD
            outcome.count("unit_mismatch", len(rows))
            for speaker in np.unique(slot[rows]).tolist():
                mine = rows[slot[rows] == speaker]
                name = slots.meter(speaker).meter_id
                reason = f"meter {name}: {error}; correct the payload's unit or the registry's"
                outcome.rejects.append(Reject(reason, repr(columns.value[mine].tolist()[:100]).encode()))
    return value, quality


def _code(serial: str) -> int:
    """A serial number as a nonzero 64-bit code."""
    return int.from_bytes(hashlib.blake2b(serial.encode(), digest_size=8).digest(), "big") or 1


def _float(text: object) -> float:
    try:
        return float(str(text)) if text is not None else float("nan")
    except ValueError:
        return float("nan")
