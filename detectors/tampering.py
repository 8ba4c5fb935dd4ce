"""A tamper contact: cover open, magnet, terminal cover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, Column, Rule, State
from detectors.batch import DAY, HOUR, I64, TAMPERED, U8, UNTAMPERED, Batch, Records
from detectors.kernel import kernel
from detectors.pulse import heard_for

CONTACT = np.dtype(
    [
        ("since", np.int64),  # first reading of the episode that told of it [ns]
        ("newest", np.int64),  # the newest that did [ns]
        ("told", np.uint16),  # readings of the episode that did, 65535 = that many or more
    ],
    align=True,
)


@kernel
def _update(
    is_open: U8,
    contact: Records,
    slot: I64,
    time: I64,
    events: U8,
    live: U8,
    hold: int,
    calm: int,
    out: Records,
) -> int:
    n = 0
    for i in range(slot.size):
        j = slot[i]
        if live[i] == 0 or (events[i] == 0 and is_open[j] == 0):
            continue
        s = contact[j]
        t, verb = time[i], 0
        if events[i] & TAMPERED:
            s.newest = t
            s.told += s.told < 65535
            if is_open[j] == 0:
                s.since, s.told, is_open[j], verb = t, 1, 1, RAISE
        elif is_open[j] and t - s.newest >= (hold if events[i] & UNTAMPERED else calm):
            verb, is_open[j] = CLEAR, 0
        if verb:
            f = out[n]
            f.slot, f.row, f.kind, f.verb = j, i, 0, verb
            f.at = f.end = t
            f.start = s.since
            f.score = 1.0 if verb == RAISE else 0.0
            f.observed = f.expected = np.nan
            f.e0, f.e1 = float(s.told), (s.newest - s.since) / HOUR
            n += 1
    return n


@dataclass(frozen=True, slots=True)
class Tampering(Rule):
    """A device that says that its cover, its terminal cover or a magnet is where it should not be.

    Nothing statistical: the reading's attributes say so [1]_. Raised at the first reading that does;
    cleared by one that says that all is well again, ``hold_hours`` after the last that did not, since
    contacts chatter; where nothing more is said of it (a device that sends the event alone), by the
    first reading ``calm_days`` later.

    hold_hours  without the alarm before its end is believed. [h]
    calm_days   the same where the device says nothing of it. [d]
    Shapes      a batch's columns (n,); state ``open`` (meters,), ``contact`` (meters,).
    Not for     payloads that carry no such attribute.
    Use         only where the payload carries such an attribute (``streams/state/events.py`` has the words).
    Cost        no flag on four sets of real meters and on the packaged demo meters, which have no
                attributes (``forestall replay``).

    .. [1] DESIGN §6, family tamper; IEC 62056-6-1 has such events in every meter's event log.
    """

    hold_hours: float = 24.0
    calm_days: float = 7.0

    name = "tampering"
    version = 1
    kinds = ("tamper",)

    def __post_init__(self) -> None:
        if not (self.hold_hours >= 0 and self.calm_days > 0):
            raise ValueError(f"need hold_hours >= 0 and calm_days > 0, got {self}")

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """How often, and over which time, it was told."""
        return {"tamper": ("times_told", "hours")}

    @property
    def columns(self) -> tuple[Column, ...]:
        """Whether an episode is open, and what was told in it."""
        return Column("open", np.dtype(np.uint8)), Column("contact", CONTACT)

    def concerns(self, meters: Records) -> NDArray[np.bool_]:
        """None: devices must say so."""
        return np.zeros(len(meters), np.bool_)

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Follow the contact."""
        b = batch
        found: int = _update(
            state.of(self.name, "open"), state.of(self.name, "contact"), b.slot, b.time, b.events, b.live,
            round(self.hold_hours * HOUR), round(self.calm_days * DAY), out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """It needs no history, but does not make a meter known that others are still learning."""
        return heard_for(state.of("intervals", "pulse"), slots, 14 * DAY)
