"""What came in that is not worth a person's time but tells of a meter, a network, a head end: counted.

None of this raises a flag; who wants to know why a meter's history has holes looks here.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import TextIO

from streams.messages import Counts
from streams.state.bank import Bank
from streams.state.slots import BETWEEN

__all__ = ["FIELDS", "Counts", "by_area", "by_meter", "write_quality"]

#: Count → the field of ``detectors.pulse.PULSE`` that holds it.
FIELDS = {
    "missing": "missing",
    "late": "late",
    "duplicates": "duplicates",
    "corrections": "corrections",
    "negative": "negative",
    "off_grid": "off_grid",
    "off_size": "off_size",
    "rollovers": "rollovers",
    "bad": "bad",
    "ahead": "ahead",
}


def by_meter(bank: Bank) -> Iterator[Counts]:
    """The counts of every meter, and of each of its registers, that has ever sent anything, by name."""
    pulse = bank.state.of("intervals", "pulse")
    for channel in sorted(bank.slots):
        slot = bank.slots[channel]
        row = pulse[slot]
        counts = {name: int(row[field]) for name, field in FIELDS.items()}
        readings = int(row["count"])
        if readings or any(counts.values()):
            name, _, register = channel.partition(BETWEEN)
            yield Counts(bank.meter(slot).home_area, name, register, readings, **counts)


def by_area(meters: Iterable[Counts]) -> list[Counts]:
    """Summed, by area."""
    areas: dict[str, Counts] = {}
    for one in meters:
        total = areas.setdefault(one.area, Counts(one.area))
        for name in ("readings", *FIELDS):
            setattr(total, name, getattr(total, name) + getattr(one, name))
    return [areas[name] for name in sorted(areas)]


def write_quality(out: TextIO, banks: Iterable[Bank]) -> int:
    """A CSV of all meters, then all areas (those rows name no meter); how many rows."""
    meters = sorted((c for bank in banks for c in by_meter(bank)), key=lambda c: (c.meter_id, c.register))
    table = csv.writer(out, lineterminator="\n")
    names = Counts.__struct_fields__
    table.writerow(names)
    rows = [*meters, *by_area(meters)]
    table.writerows([getattr(row, name) for name in names] for row in rows)
    return len(rows)
