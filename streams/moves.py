"""Meters that change partition: their state goes with them, and no reading is lost between.

A meter that the registry puts into another area may belong to another partition from then on.
``ingest`` writes *expect* to the new partition, then *depart* to the old one, and sends further
readings to the new. The old partition's worker answers *depart* with *arrive*, which carries
the state; until then the new partition holds the meter's readings back.
"""

from __future__ import annotations

import msgspec

from streams.registry import Meter

DONE = 1_000  # finished moves remembered, so that a step that is written twice is done once
HELD = 100_000  # readings held back in a partition; beyond it the meters start afresh, visibly


class Waiting(msgspec.Struct):
    """A meter whose state is on its way."""

    move: str
    meter: Meter
    batches: list[bytes] = []  # encoded columns, in log order
    readings: int = 0


class Moves(msgspec.Struct):
    """The moves of a partition; part of its checkpoint."""

    waiting: dict[str, Waiting] = {}  # meter id → what it waits for
    done: list[str] = []

    def finish(self, move: str) -> None:
        """Remember a move as done."""
        self.done.append(move)
        del self.done[:-DONE]

    @property
    def held(self) -> int:
        """Readings held back."""
        return sum(w.readings for w in self.waiting.values())
