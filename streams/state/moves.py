"""Meters that change partition: their state goes with them, and no reading is lost between.

A meter that the registry puts into another area may belong to another partition from then on.
``ingest`` writes *expect* to the new partition, then *depart* to the old one, and sends further
readings to the new. The old partition's worker answers *depart* with *arrive*, which carries
the state. Until then the new partition keeps what it is told of the meter, readings and further
moves alike, and does it in that order when the state is there. What still reaches the old
partition (from another ingest that has not seen the change) is sent on.

Each step may be repeated, by an ``ingest`` that was interrupted or that is behind another, and a
worker that starts again from its checkpoint repeats its own. So the moves of a meter are
numbered, by the roster, and a step that has been done is left alone. Two that publish different
moves at the same time may give both one number; the later then follows the meter to where the
earlier has sent it, and is done there.
"""

from __future__ import annotations

import msgspec

from streams.registry import Meter

HELD = 100_000  # readings held back in a partition; beyond it the meters start afresh, visibly


class Waiting(msgspec.Struct):
    """A meter whose state is on its way."""

    meter: Meter
    number: int  # of the move that brings it
    latest: int  # of the latest step that was told, this move's or one in ``told``
    told: list[bytes] = []  # messages of readings.v1 that concern it alone, in log order
    readings: int = 0  # … and the readings in them


class Moves(msgspec.Struct):
    """The moves of a partition; part of its checkpoint."""

    waiting: dict[str, Waiting] = {}  # meter → what is held for it
    gone: dict[str, int] = {}  # meter → partition that it has left for
    seen: dict[str, int] = {}  # meter → the highest number of a move that its state has made to or from here
    left: dict[str, dict[int, int]] = {}  # meter → number of each move away from here → where to

    @property
    def held(self) -> int:
        """Readings held back."""
        return sum(w.readings for w in self.waiting.values())
