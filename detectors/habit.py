"""A meter's days against its own habit and its neighbours': spikes, leaks, standstills, lost use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.at_once import highest, is_gross, say
from detectors.base import BLOCK, CLEAR, Column, State, named
from detectors.batch import (
    CORRECTION,
    ESTIMATED,
    F64,
    FINE,
    FIRST,
    HOUR,
    I64,
    LATE,
    LEVEL,
    OK,
    SUSPECT,
    SWAPPED,
    TEMPERATURE,
    U8,
    Batch,
    Records,
)
from detectors.closing import HEADS, close_days
from detectors.daybook import AMOUNTS, DAYS, FIGURES, MEAN, MOST, UNKNOWN, Book
from detectors.features import NAMES
from detectors.heads import NONE, Heads, shares
from detectors.holding import CELLS, STILL
from detectors.hours import HOLE, HOURS, Ring, add, reach, remember
from detectors.kernel import kernel
from detectors.standing import unlearn
from detectors.static_value import BROKEN, FEWEST, NOTHING
from detectors.suspects import CELLS as BESIDE
from detectors.suspects import SHARES, look
from detectors.turning import turn
from detectors.warmth import WHOLE, feel

RESERVE = 1.5  # of the budget is spent: rates count days, and a day beside another is no flag of its own

MUCH = 4.0  # times the mean use of an hour: so much after a hole may be the hole's

HABIT = np.dtype(
    [
        ("hour", np.int32),  # newest local hour booked [h since 1970]
        ("known", np.int32),  # first whole day, 0 = none yet [d since 1970]
        ("day", np.int32),  # newest day in the book
        ("spoken", np.int32),  # days before this one are complete
        ("slow", np.float32),  # mean use of an hour over the last three months [unit/h]
        ("zero_run", np.float32),  # hours at rest in a row, as of the newest day's end [h]
        ("zero_past", np.float32),  # longest such run that has ended, forgotten over months [h]
        ("flat_run", np.float32),  # hours in a row that equalled the hour before [h]
        ("flat_last", np.float32),  # the newest of them [unit/h]
        ("flat_past", np.float32),  # longest such run with use that has ended, forgotten over months [h]
        ("working", np.uint16),  # working days in the profile
        ("off", np.uint16),  # days off in it
        (
            "gross",
            np.float32,
        ),  # use of the newest hour if it is gross, until the next reading lets it stand [unit/h]
        ("past_day", np.int32),  # newest day with use that was marked as history or retained [d since 1970]
        ("past", np.float32),  # how much of it [unit]
        ("open", np.uint8),  # bit by head
        ("near", np.uint8),  # bit by head: came near its line when its newest day was closed
        ("looked", np.uint8),  # marks of the day under way that have been looked at
    ],
    align=True,
)


@kernel
def _update(
    habit: Records, ring: Ring, profile: NDArray[np.float32], book: Book,
    slot: I64, local: I64, value: F64, usage: F64, span: I64, usual: I64, since: I64, back: F64, status: U8,
    time: I64, live: U8, note: U8, marks: NDArray[np.uint16], meters: Records, start: NDArray[np.int64], calm: U8,
    cold: U8, gross: float, line: float, rate_a: float, rate_b: float,
    scratch: F64, real: NDArray[np.float32], bits: NDArray[np.uint32], out: Records,
) -> int:  # fmt: skip
    n = 0
    for i in range(slot.size):
        code = status[i]
        if code == LEVEL and meters[slot[i]].quantity == TEMPERATURE:
            j = slot[i]
            if usual[i] <= WHOLE:
                feel(habit[j], ring, meters[j], j, local[i], value[i], span[i])
            continue
        if code not in (OK, FIRST, SUSPECT, LATE, CORRECTION):
            continue
        j = slot[i]
        s = habit[j]
        if usual[i] > FINE:
            continue
        if note[i] & SWAPPED and unlearn(s, ring, profile, book, j, real, bits):
            cold[j // BLOCK] = 1
        if code in (OK, FIRST, SUSPECT):
            s.spoken = max(s.spoken, local[i] // (24 * HOUR))
            if marks[i] & ESTIMATED:
                s.flat_last = BROKEN  # that estimates are all the same says nothing of the meter
            if s.gross > 0:
                # The reading after it does not take it back: it is no misread.
                if code == OK and back[i] == 0.0 and live[i] and not s.open & 1:
                    begin = time[i] - since[i] - HOUR
                    most = highest(book, s, j, MOST, scratch[24 : 24 + DAYS], real, bits)
                    n = say(s, j, i, time[i], begin, most, gross, line, rate_a, rate_b, out, n)
                    s.open |= 1
                    start[j, 0], calm[j, 0] = begin, 0
                    cold[j // BLOCK] = 1
                s.gross = 0.0
        if span[i] <= 0 or not np.isfinite(usage[i]):
            continue
        end = local[i]
        hour = (end - 1) // HOUR
        if s.known == 0:
            if code != OK or span[i] > HOLE:
                continue
            begin = (end - span[i]) // HOUR
            s.known = begin // 24 + (1 if begin % 24 else 0)
            s.day = s.known - 1
            s.hour = begin - 1
        if code in (LATE, CORRECTION):
            add(s, ring, j, end, span[i], usage[i], s.day * 24 + 23)
            continue
        while hour - HOURS >= (s.day + 1) * 24:
            # The ring is about to lose a day that no watermark has closed: write it down unjudged.
            turn(s, ring, profile, book, j, s.day + 1, scratch, real, bits)
        reach(s, ring, j, hour)
        hole = since[i] > usual[i] + usual[i] // 2 and usual[i] > 0
        rate = usage[i] * HOUR / span[i]
        if span[i] > HOLE or (hole and span[i] < since[i] and back[i] == 0.0 and rate > MUCH * s.slow):
            continue  # it may be what the whole hole used: that says nothing of an hour
        if back[i] != 0.0:
            add(s, ring, j, end - since[i], usual[i], -back[i], s.day * 24 + 23)
        add(s, ring, j, end, span[i], usage[i], s.day * 24 + 23)
        if live[i] == 0 and code == OK:
            remember(s, hour // 24, usage[i] - back[i])
        new = code == OK and back[i] == 0.0 and not hole and span[i] <= FINE and live[i] and not s.open & 1
        if new and is_gross(book, s, j, rate, meters[j].floor, gross, scratch[24 : 24 + DAYS], real, bits):
            s.gross = rate
    return n


@dataclass(frozen=True, slots=True)
class Habit:
    """The day that has closed, weighed by four heads of boosted trees.

    For meters that are read at least every two hours. When the watermark leaves a local day, its
    24 hours become quantiles, sums and runs; the last 1, 3, 7 and 14 days are held against the
    28 before them, as ratios to the meter's own use, once as they are and once less the median of
    the neighbours (area, commodity, class, unit; at least eight) [1]_. Each head adds up what
    the features say (``detectors.heads``): *spike* (hours far above the usual), *leak* (all
    hours raised alike, flow that never rests), *stuck* (rest that this meter does not know),
    *low* (all of the use has fallen: theft, drift, under-registration).

    A head's weight is turned into the false flags per 1,000 meter-days that it cost, at that
    weight, on meters and months without known faults (docs/adr/0010): the ``score`` of a flag is
    −log10 of it, so that scores of all kinds compare, and ``budget`` is all there is to set.

    budget    false flags per 1,000 meter-days that all heads together may raise. [-]
    gross     a day of more than so many times the highest of six weeks is a spike whatever the trees
              say: they know only what they were fitted on. [-]
              And so is, at the reading after it, an hour of more than twice so many times the highest hour
              that used more than the whole of the highest day, unless that reading takes it back.
              Nor do trees know days of a third of the lowest (``detectors.gross_fall``), or two days of the same
              amount hour by hour (``detectors.static_value``): they are *low*, and *stuck*. Of neither is
              anything said where the registry knows that nobody is there (``contract``).
    margin    a flag is cleared once the weight has been below the line by this much … [ln]
    calm      … for so many days; a day below the line by less counts a fifth, so that what hovers there ends. [d]
    crowd     what the line of spikes rises by where others of the class come near it on
              the same day (``closing.crowd_of``). [ln]
    hold      an open leak is held against the levels before it, not against what the weeks since have
              learnt, until half of it is gone, or for so long; then what lasts is the habit. [d]
    suspect   a meter that came so near the line of *leak* (of *low_usage*: within a fifth of it) when its day was
              closed is weighed again at 8:00 and 16:00, over the 24 hours that end there, and raised if it is
              above the line (``detectors.suspects``); 0 = nobody is. [ln]
    heads     the trees; without them nothing is raised (the programs give those of ``heads.json``)

    Shapes      a batch's columns (n,); state ``habit`` (meters,), ``hours`` (meters, 96), ``profile`` (meters,
                48), ``book`` (meters, 528), ``start`` (meters, 4), ``held`` (meters, 7), ``beside`` (meters, 72),
                ``calm`` (meters, 4).
    Not for     meters read daily or more rarely (HighLow), or gauges.
    Cost        the table of docs/adr/0010.

    .. [1] Facts and first study: DETECTION §3. Trees: J. Friedman, *Greedy function
       approximation: a gradient boosting machine*, Annals of Statistics 29 (2001).
    """

    budget: float = 1.0
    gross: float = 4.0
    margin: float = 2.0
    calm: int = 2
    crowd: float = 1.0
    hold: int = 28
    suspect: float = 0.75
    heads: Heads = field(default=NONE, repr=False)

    name = "habit"
    version = 2
    kinds = ("spike", "leak", "stuck", "low_usage")

    def __post_init__(self) -> None:
        if not (
            self.budget > 0
            and self.gross > 1
            and self.margin >= 0
            and 1 <= self.calm <= 30
            and self.crowd >= 0
            and 0 <= self.hold <= 366
            and self.suspect >= 0
        ):
            raise ValueError(
                "need budget > 0, gross > 1, margin >= 0, 1 <= calm <= 30, crowd >= 0, 0 <= hold <= 366 and "
                f"suspect >= 0, got {self.budget}, {self.gross}, {self.margin}, {self.calm}, {self.crowd}, "
                f"{self.hold} and {self.suspect}"
            )
        if self.heads.features and self.heads.features != NAMES:
            raise ValueError(
                f"expected heads fitted on {len(NAMES)} features as this version has them, got "
                f"{len(self.heads.features)}; fit them anew with python -m benchmarks.fit"
            )

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """The day's mean and what was usual, the neighbours' move; the rest is in ``explain``."""
        told = ("day_mean", "usual_mean", "area_move", "weight", "threshold", "false_per_1000_days")
        return dict.fromkeys(self.kinds, told)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Habit, hours, profile of the day, book of days; of each head the open episode's start and days of calm.

        And what an open leak is held against, and what a suspect's neighbours did.
        """
        return (
            Column("habit", HABIT, scales=("slow", "flat_last", "gross", "past")),
            Column("hours", np.dtype(np.float32), HOURS, fill=np.nan, scales=("",)),
            Column("profile", np.dtype(np.float32), 48, cold=True, scales=("",)),
            Column("book", np.dtype(np.uint16), DAYS * FIGURES, cold=True),
            Column("start", np.dtype(np.int64), HEADS, cold=True),
            Column("held", np.dtype(np.float32), CELLS, cold=True, fill=np.nan, scales=("",)),
            Column("beside", np.dtype(np.uint16), BESIDE, cold=True),
            Column("calm", np.dtype(np.uint8), HEADS, cold=True),
        )

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Book amounts by the hour; find the gross ones."""
        b, h = batch, self.heads
        real = np.zeros(1, np.float32)
        able = bool(h.names)
        line, (a, slope) = (h.lines(RESERVE * self.budget)[0], h.rate[0]) if able else (np.inf, (0.0, 0.0))
        found: int = _update(
            state.of(self.name, "habit"), state.of(self.name, "hours"), state.of(self.name, "profile"),
            state.of(self.name, "book"), b.slot, b.local, b.value, b.usage, b.span, b.usual, b.since, b.back, b.status,
            b.time, b.live, b.note, b.marks, state.meters, state.of(self.name, "start"), state.of(self.name, "calm"),
            state.cold, self.gross if able else np.inf, line, a, slope,
            np.empty(128), real, real.view(np.uint32), out,
        )  # fmt: skip
        return found

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Close the local days that have ended; look at the suspects whose mark has passed."""
        nothing = np.empty((0, len(NAMES) + 2), np.float32)
        closed = self.close(state, meters, watermark, out, nothing)
        found, _ = self.look(state, meters, watermark, out[closed:], nothing)
        return closed + found

    def close(
        self, state: State, meters: int, watermark: int, out: Records, trace: NDArray[np.float32]
    ) -> int:
        """As ``advance``; features of every day closed go to ``trace`` (slot, day, features …) while it has room."""
        h = self.heads
        lines = h.lines(RESERVE * self.budget).copy() if h.names else np.full(HEADS, np.inf)
        raised = np.empty((64, len(NAMES)), np.float32)
        found, raised = close_days(
            state.of(self.name, "habit"), state.of(self.name, "hours"), state.of(self.name, "profile"),
            state.of(self.name, "book"), state.of(self.name, "start"), state.of(self.name, "calm"),
            state.of("intervals", "pulse"), state.meters, state.hot, state.cold,
            meters, watermark, lines, self.gross, self.margin, self.calm, self.crowd,
            state.of(self.name, "held"), self.hold, self._near, state.of(self.name, "beside"),
            h.first, h.root, h.depth, h.node, h.leaf, h.rest, h.base, h.rate,
            out, raised, trace,
        )  # fmt: skip
        state.notes[self.name] = {
            (int(f["slot"]), int(f["kind"])): row for f, row in zip(out[:found], raised, strict=True)
        }
        return int(found)

    def look(
        self, state: State, meters: int, watermark: int, out: Records, trace: NDArray[np.float32]
    ) -> tuple[int, int]:
        """Weigh suspects again; what was looked at goes to ``trace`` (slot, hour, features …) while it has room.

        After ``close`` at the same watermark, whose notes stay. Returns findings, and rows of ``trace``.
        """
        h = self.heads
        if not h.names:
            return 0, 0
        found, raised, seen = look(
            state.of(self.name, "habit"), state.of(self.name, "hours"), state.of(self.name, "profile"),
            state.of(self.name, "book"), state.of(self.name, "start"), state.of(self.name, "calm"),
            state.of("intervals", "pulse"), state.of(self.name, "held"), state.of(self.name, "beside"),
            state.meters, state.hot, state.cold, meters, watermark, h.lines(RESERVE * self.budget),
            np.zeros(1, HABIT),
            h.first, h.root, h.depth, h.node, h.leaf, h.rest, h.base, h.rate,
            out, np.empty((64, len(NAMES)), np.float32), trace,
        )  # fmt: skip
        state.notes[self.name] |= {
            (int(f["slot"]), int(f["kind"])): row for f, row in zip(out[:found], raised, strict=True)
        }
        return int(found), int(seen)

    @property
    def _near(self) -> NDArray[np.float64]:
        """(heads,) how near a line makes a suspect."""
        return np.array([self.suspect * SHARES.get(name, 0.0) for name in self.kinds])

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        """The last fortnight's daily use, and what moved the head most: feature, value, change of weight."""
        told = named(self.evidence, self.kinds[finding["kind"]], finding)
        slot, head = int(finding["slot"]), int(finding["kind"])
        habit = state.of(self.name, "habit")[slot]
        book = state.of(self.name, "book")[slot].reshape(DAYS, FIGURES)[:, MEAN]
        days = [int(habit["day"]) - back for back in range(13, -1, -1)]
        means = (book[[day % DAYS for day in days]].astype(np.uint32) << 16).view(np.float32) * 24.0
        seen = [
            day >= int(habit["known"]) and bool(mean == mean) for day, mean in zip(days, means, strict=True)
        ]
        told["daily_use"] = [
            round(float(mean), 3) if known else None for mean, known in zip(means, seen, strict=True)
        ]
        if finding["verb"] == CLEAR and "false_per_1000_days" not in told:
            told["new_habit"] = True  # it has not gone: it has lasted for so long that it is usual
        if head == STILL and habit["flat_run"] + 1 >= FEWEST and habit["flat_last"] > NOTHING:
            told["equal_hours"] = int(habit["flat_run"]) + 1
        if finding["row"] >= 0:
            # Told at once: no day has been weighed.
            told["hour_use"], told["highest_hour"] = float(finding["observed"]), float(finding["expected"])
            return told
        row = state.notes.get(self.name, {}).get((slot, head))
        if row is not None:
            h, share = self.heads, np.zeros(len(NAMES))
            shares(
                row, h.first[head], h.first[head + 1], h.root, h.feature, h.cut, h.missing, h.left, h.right, h.value,
                share,
            )  # fmt: skip
            most = np.argsort(-np.abs(share), kind="stable")[:5]
            told["because"] = [
                {"feature": NAMES[i], "value": _short(row[i]), "weight": _short(share[i])}
                for i in most.tolist()
            ]
        return told

    def rescale(self, state: State, slot: int, scale: float) -> None:
        """The meter's unit has changed: what stands in its book goes on in the new one."""
        book = state.of(self.name, "book")[slot].reshape(DAYS, FIGURES)
        own = [*range(AMOUNTS)]
        numbers = (book[:, own].astype(np.uint32) << 16).view(np.float32) * np.float32(scale)
        known = numbers == numbers
        rounded = (numbers.view(np.uint32) + 0x8000) >> 16
        book[:, own] = np.where(known, rounded, UNKNOWN).astype(np.uint16)

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """After five weeks of days."""
        habit = state.of(self.name, "habit")[slots]
        ready: NDArray[np.bool_] = (habit["known"] > 0) & (habit["day"] - habit["known"] >= 35)
        return ready

    def parameters(self) -> dict[str, float]:
        """All of them but the trees."""
        return {
            "budget": self.budget,
            "gross": self.gross,
            "margin": self.margin,
            "calm": self.calm,
            "crowd": self.crowd,
            "hold": self.hold,
            "suspect": self.suspect,
        }


def _short(x: float) -> float | None:
    return float(f"{x:.4g}") if x == x else None
