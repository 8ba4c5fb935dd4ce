"""Silence: a meter that no longer speaks, and a concentrator or an area whose meters fell silent together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE, UPDATE, Column, Rule, State, named
from detectors.batch import AHEAD, DAY, HISTORICAL, HOUR, I64, NS, RETAINED, U8, Batch, Records
from detectors.kernel import kernel
from detectors.pulse import heard_for
from detectors.together import (
    DARK,
    GAP,
    GAP_KIND,
    HELD,
    HOLDER,
    HOLE,
    MEMORY,
    NONE,
    SILENCE,
    SILENT,
    SILENT_KIND,
    TOGETHER_KIND,
    heard_last,
    needed,
    rare,
    say,
    together,
    together_kind,
    usual_of,
)
from detectors.transformer import dark


@kernel
def _update(
    silence: Records, meters: Records, slot: I64, time: I64, arrival: I64, usual: I64, since: I64, status: U8,
    live: U8, marks: NDArray[np.uint16], often: int, least: int, most: int, out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        j = slot[i]
        s = silence[j]
        gap, own, t = since[i], usual[i], time[i]
        ahead = status[i] == AHEAD
        if ahead and own > 0 and marks[i] & (RETAINED | HISTORICAL) == 0:
            # Its clock is wrong, but it speaks.
            s.heard = max(s.heard, arrival[i])
            t = max(s.heard, s.start)
        elif gap <= 0 or own <= 0:
            if live[i]:
                s.live = 1  # the first of all
            continue
        need = needed(own, often, least, most)
        gap = min(gap, max(t - s.heard, 1))
        lost = (gap - 1) // own * own
        if s.open != NONE:
            if s.open != HELD and s.open != DARK:
                kind = together_kind(meters[j])
                if s.open != HOLDER:
                    kind = GAP_KIND if s.open == GAP else SILENT_KIND
                n = say(out, n, i, j, kind, CLEAR, t, s.start, own, lost / need, np.nan, np.nan)
            s.open = NONE
        elif (
            not ahead
            and s.live
            and live[i]
            and not rare(own, meters[j].interval)
            and lost >= need + np.int64(s.allow * NS)
        ):
            # The watermark is kept back: nobody could tell before it spoke again.
            n = say(out, n, i, j, GAP_KIND, RAISE, t, t - gap, own, lost / need, np.nan, np.nan)
            n = say(out, n, i, j, GAP_KIND, CLEAR, t, t - gap, own, lost / need, np.nan, np.nan)
        if ahead:
            continue
        s.allow -= s.allow * min(gap / MEMORY, 1.0)
        if gap <= HOLE * own:
            # Nothing is missing: what it had to say only came late.
            s.allow = max(s.allow, 1.25 * s.quiet)
        elif meters[j].interval == 0:
            s.allow = max(s.allow, gap / NS)  # nobody has promised a spacing
        s.quiet = 0.0
        s.live = live[i]
    return n


@kernel
def _advance(
    silence: Records, pulse: Records, meters: Records, dark: U8, hot: NDArray[np.uint8], used: int, watermark: int,
    often: int, least: int, most: int, long: int, share: float, fewest: int, part: I64, out: Records,
) -> int:  # fmt: skip
    n = 0
    due = np.zeros(used, np.uint8)
    grouped = False
    for j in range(used):
        s, p = silence[j], pulse[j]
        own = usual_of(p, s, meters[j].interval)
        if own == 0 or s.open == SILENT:
            continue
        if s.open == HELD or s.open == HOLDER:
            grouped = True
            continue
        if s.open == DARK and not dark[j]:
            s.open = NONE
            hot[j // BLOCK] = 1
        need = needed(own, often, least, most)
        if watermark - 1 - heard_last(p, s) < need:
            continue  # so nearly always: no need to divide
        lost = (watermark - 1 - heard_last(p, s)) // own * own
        if lost < need:
            continue
        hot[j // BLOCK] = 1
        s.quiet = (watermark - heard_last(p, s)) / NS
        if s.open == GAP and lost >= max(long, 2 * need):
            s.open = SILENT
            n = say(out, n, -1, j, SILENT_KIND, UPDATE, watermark, s.start, own, lost / need, np.nan, np.nan)
        elif s.open == NONE and dark[j]:
            s.open, s.start = DARK, heard_last(p, s)
        elif s.open == NONE and lost >= need + np.int64(s.allow * NS):
            due[j] = 1
            grouped = True
    if grouped:
        n = together(
            silence, pulse, meters, hot, used, watermark, often, least, most, share, fewest, due, part, out, n
        )
    for j in range(used):
        if due[j]:
            s, p = silence[j], pulse[j]
            s.open, s.start = GAP, heard_last(p, s)
            need = needed(p.spacing, often, least, most)
            lost = (watermark - 1 - heard_last(p, s)) // p.spacing * p.spacing
            kind = GAP_KIND
            if lost >= max(long, 2 * need):
                s.open, kind = SILENT, SILENT_KIND
            n = say(
                out,
                n,
                -1,
                j,
                kind,
                RAISE,
                watermark,
                heard_last(p, s),
                p.spacing,
                lost / need,
                np.nan,
                np.nan,
            )
    return n


@dataclass(frozen=True, slots=True)
class Silence(Rule):
    """A meter that has said nothing for longer than it ever does, by the watermark.

    The statistic is the time that is missing: the readings that its spacing, stated or learned,
    would have brought between its newest one and the watermark, times the spacing [1]_. From
    ``hours`` on (meters read at least every ``often_hours``), or from ``intervals`` readings on
    (those read less often), it is a *gap*; after ``silent_days``, and twice that time, the same
    episode is *silent*. Its next reading clears it. What is of bad quality or late is not heard as a
    word; what is stamped ahead of its arrival is, at that arrival.

    A meter whose readings all come, but in a bundle once a day, teaches ``allow``: a quarter more
    than its longest silence that left no hole. One whose spacing the registry does not state is
    allowed its longest hole of late. Both are forgotten over 28 days.

    A meter that is read every 20 days or more rarely, by no promise of the registry, has no silence: a bill or
    a read that is missed is counted as missing.

    Of a concentrator's meters in this partition that fell silent within ``hours`` of one
    another, at least ``fewest`` and a ``share`` of those that are not silent for longer make one
    *concentrator_silent*, on one of them, which names the others. Flags that they had are
    cleared. When fewer are left, those get flags of their own. The meters of an area whose
    concentrator nobody states are judged so as well: *area_silent*. A feed that stops is that
    of each of its areas, at the first word after it or by the clock of a running worker. As long as an
    outage of its transformer is open (``Transformer``), a meter that is not flagged yet is told by that.

    hours     missing time of a meter that is read often. [h]
    often_hours  read at least so often. [h]
    intervals missing readings of one that is read less often. [-]
    silent_days  from gap to silent. [d]
    share     of a concentrator's or an area's meters. [-]
    fewest    of a concentrator's or an area's meters. [-]
    Shapes    a batch's columns (n,); state ``silence`` (meters,).
    Not for   meters that speak only when something changes and state an ``interval_s``.
    Use       not for meters that speak only when something changes.
    Cost      0.06 false flags per 1,000 meter-days on four sets of real meters (91,000 meter-days,
              ``forestall replay``), none on the packaged demo meters. Not counted: 145 flags per
              1,000 meter-days in natural gaps of one set, whose homes lose six hours and more.

    .. [1] DETECTION §2, "silence"; a missing interval alone is only counted.
    """

    hours: float = 6.0
    often_hours: float = 2.0
    intervals: int = 3
    silent_days: float = 3.0
    share: float = 0.6
    fewest: int = 5

    name = "silence"
    version = 1
    kinds = ("gap", "silent", "concentrator_silent", "area_silent")

    def __post_init__(self) -> None:
        if not (self.hours > 0 and self.often_hours > 0 and self.silent_days > 0):
            raise ValueError(f"need hours, often_hours and silent_days > 0, got {self}")
        if not (self.intervals >= 1 and 0 < self.share <= 1 and self.fewest >= 2):
            raise ValueError(f"need intervals >= 1, 0 < share <= 1 and fewest >= 2, got {self}")

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """How long, and how many."""
        names = ("hours_silent", "usual_hours", "missing_readings", "concentrator_members", "members_silent")
        told = dict.fromkeys(self.kinds, names)
        return told | {"area_silent": (*names[:3], "area_members", "members_silent")}

    @property
    def columns(self) -> tuple[Column, ...]:
        """What a meter's silence has come to."""
        return (Column("silence", SILENCE),)

    def _limits(self) -> tuple[int, int, int]:
        return round(self.often_hours * HOUR), round(self.hours * HOUR), self.intervals

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Hear who speaks."""
        b = batch
        found: int = _update(
            state.of(self.name, "silence"), state.meters, b.slot, b.time, b.arrival, b.usual, b.since, b.status,
            b.live, b.marks, *self._limits(), out,
        )  # fmt: skip
        return found

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """See who does not."""
        part = np.full(meters, -1, np.int64)
        found: int = _advance(
            state.of(self.name, "silence"), state.of("intervals", "pulse"), state.meters, dark(state), state.hot,
            meters, watermark, *self._limits(), round(self.silent_days * DAY), self.share, self.fewest, part, out,
        )  # fmt: skip
        state.notes[self.name] = part
        return found

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        """How long, since when; of a concentrator, which of its meters."""
        kind = self.kinds[finding["kind"]]
        told = named(self.evidence, kind, finding)
        told["last_reading_ns"] = int(finding["start"])
        if finding["kind"] >= TOGETHER_KIND and finding["verb"] != CLEAR:
            part = state.notes[self.name]
            told["members_slots"] = np.flatnonzero(part == finding["slot"]).tolist()
        elif finding["verb"] == CLEAR and finding["e3"] == finding["e3"]:
            told["reason"] = "part of concentrator_silent"
            if state.meters["concentrator"][finding["slot"]] == 0:
                told["reason"] = "part of area_silent"
                told["area_members"] = told.pop("concentrator_members")
        return told

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """It needs no history, but does not make a meter known that others are still learning."""
        return heard_for(state.of("intervals", "pulse"), slots, 14 * DAY)
