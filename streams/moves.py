"""Meters that change partition: their state goes with them, and no reading is lost between.

A meter that the registry puts into another area may belong to another partition from then on.
``ingest`` writes *expect* to the new partition, then *depart* to the old one, and sends further
readings to the new. The old partition's worker answers *depart* with *arrive*, which carries
the state; until then the new partition holds the meter's readings back. Readings that still
reach the old partition (from another ingest that has not seen the change) are sent on. Each
step may be repeated: a meter that is not waited for is left alone.
"""

from __future__ import annotations

import msgspec

from streams.registry import Meter

HELD = 100_000  # readings held back in a partition; beyond it the meters start afresh, visibly


class Waiting(msgspec.Struct):
    """A meter whose state is on its way."""

    meter: Meter
    batches: list[bytes] = []  # encoded columns, in log order
    readings: int = 0
    onward: int = -1  # the partition that it has been sent on to meanwhile


class Moves(msgspec.Struct):
    """The moves of a partition; part of its checkpoint."""

    waiting: dict[str, Waiting] = {}  # meter → what is held for it
    gone: dict[str, int] = {}  # meter → partition that it has left for

    @property
    def held(self) -> int:
        """Readings held back."""
        return sum(w.readings for w in self.waiting.values())
