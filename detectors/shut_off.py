"""Use where there should be none: past a closed valve, at a vacant home, after the contract's end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import CLEAR, RAISE, UPDATE, Column, Rule, State, named
from detectors.batch import (
    CORRECTION,
    DAY,
    F64,
    HOUR,
    I64,
    LATE,
    OK,
    SHUT,
    U8,
    VALVE_CLOSED,
    VALVE_OPEN,
    Batch,
    Records,
    Row,
)
from detectors.kernel import kernel
from detectors.pulse import heard_for

VALVE, CONTRACT = 0, 1  # indexes of ShutOff.kinds
MOST_SCORE = 10.0

LINE = np.dtype(
    [
        ("since", np.int64),  # reading from which on nothing may be used, 0 = it may [ns]
        ("window", np.int64),  # reading from which on ``amount`` counts [ns]
        ("amount", np.float64),  # used since then [unit]
        ("all", np.float64),  # used since ``since`` [unit]
        ("start", np.int64),  # start of the open episode [ns]
        ("open", np.uint8),
        ("why", np.uint8),  # what the registry says of the contract
    ],
    align=True,
)

# Bits of ``shut``.
SAID, VALVE_SHUT, NO_CONTRACT = 1, 2, 4  # the device has said that its valve is closed; a line is watched


@kernel
def _say(out: Records, n: int, i: int, j: int, s: Row, kind: int, verb: int, t: int, most: float) -> int:
    f = out[n]
    f.slot, f.row, f.kind, f.verb = j, i, kind, verb
    f.at = f.end = t
    f.start = s.start
    over = s.amount / most if most > 0 else MOST_SCORE
    f.score = min(max(over, 1.0), MOST_SCORE) if verb != CLEAR else 0.0
    f.observed, f.expected = s.all, 0.0
    f.e0, f.e1, f.e2, f.e3 = s.all, (t - s.since) / HOUR, most, float(s.why)
    return n + 1


@kernel
def _follow(
    out: Records, n: int, i: int, j: int, s: Row, kind: int, shut: bool, t: int, usage: float, floor: float,
    may: bool, days: float,
) -> int:  # fmt: skip
    """One line of ``kind`` at its meter's newest reading."""
    if not shut:
        if s.open:
            n = _say(out, n, i, j, s, kind, CLEAR, t, floor)
        s.since = s.window = 0
        s.amount = s.all = 0.0
        s.open = 0
        return n
    if s.since == 0:
        s.since = s.window = t  # what this reading covers was before, in part at least
        return n
    if usage == usage:
        s.amount += usage
        s.all += usage
    covered = (t - s.window) / DAY
    most = floor * max(1.0, covered / days)
    if s.amount > most:
        if s.open == 0 and may:
            s.open, s.start = 1, s.window
            n = _say(out, n, i, j, s, kind, RAISE, t, most)
        elif s.open and covered >= days:
            n = _say(out, n, i, j, s, kind, UPDATE, t, most)
    elif s.open and covered >= days:
        n = _say(out, n, i, j, s, kind, CLEAR, t, most)
        s.open = 0
    if covered >= days:
        s.window, s.amount = t, 0.0
    return n


@kernel
def _update(
    shut: U8, lines: Records, meters: Records, slot: I64, time: I64, usage: F64, back: F64, since: I64, status: U8,
    live: U8, events: U8, days: float, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        j = slot[i]
        said = events[i] & (VALVE_OPEN | VALVE_CLOSED)
        if not said and meters[j].valve == 0 and meters[j].contract == 0 and shut[j] == 0:
            continue  # nothing is shut, nor has been
        amount = usage[i] - back[i]
        newest = live[i] != 0 or since[i] > 0
        if status[i] == LATE or status[i] == CORRECTION:
            for kind in range(2):
                if lines[j, kind].since > 0 and usage[i] == usage[i] and time[i] > lines[j, kind].window:
                    lines[j, kind].amount += usage[i]
                    lines[j, kind].all += usage[i]
            if not newest:
                continue
            amount = np.nan  # it has just been added
        elif not newest:
            continue
        if said:
            shut[j] = (shut[j] & ~SAID) | (SAID if said & VALVE_CLOSED else 0)
        if status[i] != OK:
            amount = np.nan
        v, c = lines[j, VALVE], lines[j, CONTRACT]
        floor, t, may = float(meters[j].floor), time[i], live[i] != 0
        closed = (shut[j] & SAID) != 0 or meters[j].valve == SHUT
        n = _follow(out, n, i, j, v, VALVE, closed, t, amount, floor, may, days)
        if meters[j].contract:
            c.why = meters[j].contract
        n = _follow(out, n, i, j, c, CONTRACT, meters[j].contract != 0, t, amount, floor, may, days)
        watched = (VALVE_SHUT if v.since > 0 else 0) | (NO_CONTRACT if c.since > 0 else 0)
        shut[j] = (shut[j] & SAID) | watched
    return n


@dataclass(frozen=True, slots=True)
class ShutOff(Rule):
    """Use past a valve that is closed, or where there is no customer.

    A valve is closed where the device says so in its attributes (its last word counts) or the registry
    does (``valve_order``: staff have closed it); a home is inactive where the registry's ``contract`` is
    vacant or terminated [1]_. What was used from the first reading on that finds it so is added up, that
    reading's own amount left out, since it covers the time before as well. More than a day's use that
    matters for a meter (``sizes``), within ``days``, is *use_on_closed_valve* or *inactive_use*; of
    amounts that cover more than ``days``, so much in each ``days``. While it goes on, it is told once in
    ``days``; the first ``days`` with less, an open valve or a contract end it.

    days  over which the use is added up. [d]
    Shapes  a batch's columns (n,); state ``shut`` (meters,), ``line`` (meters, 2).
    Not for gauges; registers beside a meter's main one, which the registry's columns do not mean.
    Use   registers beside a meter's main one are not judged by the registry, nor gauges.
    Cost  no flag on four sets of real meters and on the packaged demo meters, which have neither
          valves nor ended contracts (``forestall replay``).

    .. [1] DETECTION §2, "zero consumption … without vacancy"; DESIGN §6, use_on_closed_valve, inactive_use.
    """

    days: float = 7.0

    name = "shut_off"
    version = 1
    kinds = ("use_on_closed_valve", "inactive_use")

    def __post_init__(self) -> None:
        if not self.days > 0:
            raise ValueError(f"need days > 0, got {self.days}")

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """What was used, since when, and what would be let pass."""
        names = ("used_since_shut", "hours_since_shut", "let_pass")
        return dict.fromkeys(self.kinds, names)

    @property
    def columns(self) -> tuple[Column, ...]:
        """What is shut; one line each for valve and contract, which few meters ever write."""
        return Column("shut", np.dtype(np.uint8)), Column("line", LINE, 2, scales=("amount", "all"))

    def concerns(self, meters: Records) -> NDArray[np.bool_]:
        """Meters that the registry says are shut, or nobody's."""
        concerned: NDArray[np.bool_] = (meters["valve"] != 0) | (meters["contract"] != 0)
        return concerned

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Add up what is used where nothing should be."""
        b = batch
        found: int = _update(
            state.of(self.name, "shut"), state.of(self.name, "line"), state.meters, b.slot, b.time,
            b.usage, b.back, b.since, b.status, b.live, b.events, self.days, out,
        )  # fmt: skip
        return found

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        """The amounts, and what the registry said of the contract."""
        kind = self.kinds[finding["kind"]]
        told = named(self.evidence, kind, finding)
        if kind == "inactive_use":
            told["contract"] = "terminated" if finding["e3"] > 1 else "vacant"
        return told

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """It needs no history, but does not make a meter known that others are still learning."""
        return heard_for(state.of("intervals", "pulse"), slots, 14 * DAY)
