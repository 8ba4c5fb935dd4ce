"""Error codes sent as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, Column, Rule, State
from detectors.batch import DAY, F64, I64, SENTINEL, U8, Batch, Records
from detectors.kernel import kernel
from detectors.pulse import heard_for


@kernel
def _update(
    state: U8, slot: I64, time: I64, value: F64, live: U8, note: U8, again: int, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        j = slot[i]
        if note[i] & SENTINEL:
            verb = RAISE if state[j] == 0 else 0
            state[j] = again
        elif live[i]:
            verb = 0
            if state[j] > 0:
                state[j] -= 1
                verb = CLEAR if state[j] == 0 else 0
        else:
            verb = 0
        if verb:
            f = out[n]
            f.slot, f.row, f.kind, f.verb = j, i, 0, verb
            f.at = f.start = f.end = time[i]
            f.score, f.observed, f.expected = 1.0, value[i], np.nan
            f.e0 = value[i]
            n += 1
    return n


@dataclass(frozen=True, slots=True)
class Sentinels(Rule):
    """A device that sends an error code instead of a reading.

    Nothing statistical: the value, as it was sent, is all ones in binary of a counter of 24, 31
    or 32 bits with 0 to 3 decimals (16777.215, 2147483.647, 4294967.295), of 16 bits with 1 to 3,
    or one of the lists of the configuration and of the meter's registry row [1]_, and the reading
    before does not explain it (see ``Intervals``). Such a value feeds nothing. Raised once, cleared by
    ``again`` good readings.
    What is no number at all is only counted.

    again  good readings in a row that end it. [-]
    Shapes  a batch's columns (n,); state ``left`` (meters,).
    Not for values that are plausible reads of the meter (65535, −1), unless they are listed.
    Use    65535 and −1 are plausible readings: list them where they are none.
    Cost   no false flag on four sets of real meters (91,000 meter-days) and on the packaged demo
           meters (``forestall replay``).

    .. [1] DETECTION §2, "sentinel".
    """

    again: int = 1

    name = "sentinels"
    version = 1
    kinds = ("sentinel",)

    def __post_init__(self) -> None:
        if not 1 <= self.again <= 255:
            raise ValueError(f"need 1 <= again <= 255, got {self.again}")

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """What was sent."""
        return {"sentinel": ("value_sent",)}

    @property
    def columns(self) -> tuple[Column, ...]:
        """Good readings still needed to end it."""
        return (Column("left", np.dtype(np.uint8)),)

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Raise at the first code, clear at what follows."""
        b = batch
        found: int = _update(
            state.of(self.name, "left"), b.slot, b.time, b.value, b.live, b.note, self.again, out,
        )  # fmt: skip
        return found

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """It needs no history, but does not make a meter known that others are still learning."""
        return heard_for(state.of("intervals", "pulse"), slots, 14 * DAY)
