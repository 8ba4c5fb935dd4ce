"""Meters that change partition: their state goes with them, and no reading is lost between.

A meter that the registry puts into another area may belong to another partition from then on.
``ingest`` writes *expect* to the new partition, then *depart* to the old one, and sends further
readings to the new. The old partition's worker answers *depart* with *arrive*, which carries
the state. Until then the new partition keeps what it is told of the meter, readings and further
moves alike, and does it in that order when the state is there. What still reaches the old
partition (from another ingest that has not seen the change) is sent on.

Each step may be repeated, and a worker that starts again from its checkpoint repeats its own. A
state carries the number of its moves: one that is not newer than what a partition has had of
the meter is left alone, and so are steps that are none.
"""

from __future__ import annotations

import msgspec

from streams.registry import Meter

HELD = 100_000  # readings held back in a partition; beyond it the meters start afresh, visibly


class Waiting(msgspec.Struct):
    """A meter whose state is on its way."""

    meter: Meter
    told: list[bytes] = []  # messages of readings.v1 that concern it alone, in log order
    readings: int = 0  # … and the readings in them
    leaving: bool = False  # the last step among them is its departure


class Moves(msgspec.Struct):
    """The moves of a partition; part of its checkpoint."""

    waiting: dict[str, Waiting] = {}  # meter → what is held for it
    gone: dict[str, int] = {}  # meter → partition that it has left for
    hops: dict[str, int] = {}  # meter → moves of its state, of those that this partition took part in

    @property
    def held(self) -> int:
        """Readings held back."""
        return sum(w.readings for w in self.waiting.values())
