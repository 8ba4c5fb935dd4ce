"""The state of one partition, and the one way in which readings change it.

State and flags are a function of the log's order, however it is cut into batches: rows are
taken in order, and what hangs on the watermark happens at the row that moves it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, FINDING, ROOM, Detector
from detectors.batch import AHEAD, BAD, CORRECTION, DUPLICATE, HOUR, LATE, Batch
from streams.columns import NO_DIGEST, Columns
from streams.messages import RAW_MESSAGES
from streams.state.constants import Sizes
from streams.state.episodes import Episode, Episodes, Found
from streams.state.intake import first_rows, first_units, place, prepare
from streams.state.moves import Moves
from streams.state.origins import LAST_MESSAGES, Cells, Origins, last_told
from streams.state.outcome import Outcome
from streams.state.reads import Reads
from streams.state.recent import Recent
from streams.state.slots import BETWEEN, NEVER, Slots

__all__ = ["NEVER", "STEP", "Bank", "BankConfig", "Census", "Outcome"]

STEP = HOUR  # the watermark's grid: what hangs on it is looked at when it enters a new step
COUNTED = {LATE: "late", DUPLICATE: "duplicate", CORRECTION: "correction", BAD: "bad", AHEAD: "ahead"}


@dataclass(frozen=True, slots=True)
class BankConfig:
    """What all partitions share."""

    detectors: tuple[Detector, ...]
    lateness_ns: int = 0  # the watermark keeps this far behind the newest reading
    ahead_ns: int = 900 * 1_000_000_000  # a reading stamped later than its arrival by more is not believed
    sizes: Sizes = field(default_factory=Sizes)


class Census(NamedTuple):
    """Meters by what is known of them."""

    meters: int
    unknown: int
    warming: int


class Bank(Slots):
    """Per-meter state of a partition in flat arrays, its watermark and its open episodes."""

    def __init__(self, config: BankConfig) -> None:
        super().__init__(config.detectors, config.sizes)
        self.config = config
        self.watermark = NEVER
        self.advanced = NEVER  # watermark at the last advance
        self.episodes = Episodes()
        self.recent = Recent()
        self.moves = Moves()
        self.reads = Reads(self.places)
        self._census: tuple[int, int, Census] | None = None  # slots, watermark, what was counted then

    def clear(self, slot: int) -> None:
        """Make a slot that of a meter that has never spoken: no state, no open episode."""
        super().clear(slot)
        self.episodes.forget(slot)

    # -- readings ------------------------------------------------------------------------

    def update(self, columns: Columns, outcome: Outcome) -> None:
        """Take a batch in; rows of a raw message that was taken before change nothing."""
        columns = self.unrepeated(columns, outcome)
        n = len(columns)
        if n == 0:
            return
        known = len(self)
        slot = place(self, columns, outcome)
        self.state.hot[slot // BLOCK] = 1
        first = 0
        joining = first_rows(self, slot, known)
        cuts = {*first_units(self, columns, slot, known), *joining} - {0}
        for last in [*sorted(cuts), n]:
            for new in joining.get(first, ()):
                self.link(new, self.channels[new].partition(BETWEEN)[0])
            part = columns if first == 0 and last == n else columns.select(np.arange(first, last))
            batch = prepare(self, part, slot[first:last], self.config.ahead_ns, outcome)
            if batch.events.any():
                self.asked = [True] * len(self.detectors)
            self._run(batch, Origins(part), outcome)
            outcome.count("reads_without_place", self.reads.count(self.state.meters, batch))
            # An amount below zero that amends earlier ones is a correction to detectors; it is counted as negative.
            again = (batch.status != CORRECTION) | (batch.since == 0)
            codes = np.bincount(batch.status[again], minlength=AHEAD + 1)
            for code, name in COUNTED.items():
                outcome.count(name, int(codes[code]))
            first = last
        outcome.count("readings", n)

    def tick(self, now_ns: int, outcome: Outcome) -> None:
        """A clock tick: time passes though nobody speaks."""
        if self.watermark != NEVER:
            self._move(now_ns - self.config.lateness_ns, outcome)

    def unrepeated(self, columns: Columns, outcome: Outcome) -> Columns:
        """Without what was redelivered: raw messages whose digest was seen of late."""
        digests = columns.digests
        known = [
            s
            for s in range(len(digests) // 16)
            if (d := digests[16 * s : 16 * s + 16]) != NO_DIGEST and not self.recent.add(d)
        ]
        if not known:
            return columns
        keep = ~np.isin(columns.source, known)
        outcome.count("redelivered", int(len(keep) - keep.sum()))
        return columns.select(keep)

    # -- detection -----------------------------------------------------------------------

    def _run(self, batch: Batch, origins: Origins, outcome: Outcome) -> None:
        """All detectors over the rows, cut where the watermark enters a new step."""
        n = len(batch)
        plausible = np.where(batch.time <= batch.limit, batch.time, NEVER)
        newest = np.maximum.accumulate(plausible)
        lateness = self.config.lateness_ns
        if self.watermark != NEVER:
            newest = np.maximum(newest, self.watermark + lateness)
        # An instant is past only when the watermark is later than it, hence − 1.
        steps = (newest - lateness - 1) // STEP
        cuts = (np.flatnonzero(steps[1:] != steps[:-1]) + 1).tolist()
        first = 0
        for last in [*cuts, n]:
            if newest[first] != NEVER:
                self._move(int(newest[first]) - lateness, outcome)
            part = batch if first == 0 and last == n else batch.cut(first, last)
            self._segment(part, origins, first, outcome)
            first = last
        if newest[-1] != NEVER:
            self.watermark = int(newest[-1]) - lateness

    def _segment(self, batch: Batch, origins: Origins, first: int, outcome: Outcome) -> None:
        """Rows between two steps of the watermark; they begin at ``first`` of the batch."""
        out = np.empty(ROOM * len(batch), FINDING)
        found: list[tuple[int, int, Found]] = []
        for order, detector in enumerate(self.detectors):
            if not self.asked[order]:
                continue
            count = detector.update(self.state, batch, out)
            if count:
                self._collect(detector, order, out[:count], found)
        last = self._last()
        if found:
            self._fold(found, lambda row, _: origins.told(last, batch, first, row), outcome)
        if origins.known or self.traced:
            origins.keep(last, batch, first)
            self.traced = True

    def _last(self) -> Cells:
        return self.state.of(LAST_MESSAGES.name, "last")

    def _move(self, watermark: int, outcome: Outcome) -> None:
        """Move the watermark on; close what is due when it enters a new step."""
        if watermark <= self.watermark:
            return
        if self.watermark == NEVER:
            self.advanced = watermark
        elif (watermark - 1) // STEP != (self.watermark - 1) // STEP:
            self._advance(watermark, outcome)
        self.watermark = watermark

    def _advance(self, watermark: int, outcome: Outcome) -> None:
        self.localise(self.advanced - 1, watermark - 1)
        found: list[tuple[int, int, Found]] = []
        used = len(self)
        out = np.empty(ROOM * used, FINDING)
        for order, detector in enumerate(self.detectors):
            if not self.asked[order]:
                continue
            count = detector.advance(self.state, used, self.advanced, watermark, out)
            if count:
                self._collect(detector, order, out[:count], found)
        self.advanced = watermark
        if found:
            last = self._last()
            self._fold(found, lambda _, slot: last_told(last, slot), outcome)

    def _collect(
        self, detector: Detector, order: int, findings: NDArray[Any], found: list[tuple[int, int, Found]]
    ) -> None:
        settings = detector.parameters()
        for f in findings:
            told = self.with_names(detector.explain(self.state, f))
            finding = Found(
                slot=int(f["slot"]),
                detector=detector.name,
                kind=detector.kinds[f["kind"]],
                verb=int(f["verb"]),
                at_ns=int(f["at"]),
                start_ns=int(f["start"]),
                end_ns=int(f["end"]),
                score=float(f["score"]),
                observed=float(f["observed"]),
                expected=float(f["expected"]),
                evidence={**told, "version": detector.version, "parameters": settings},
            )
            found.append((int(f["row"]), order, finding))

    def _fold(
        self,
        found: list[tuple[int, int, Found]],
        messages: Callable[[int, int], list[dict[str, Any]]],
        outcome: Outcome,
    ) -> None:
        """Into episodes, by row: the order must not depend on how the log was cut.

        Findings of the watermark have no row; slots differ between two programs that read the
        same log, so meters are taken by name. ``messages``: row, slot → raw messages.
        """
        found.sort(key=lambda item: (item[0], self.channels[item[2].slot] if item[0] < 0 else "", item[1]))
        for row, _, finding in found:
            meter = self.meter(finding.slot)
            register = self.channels[finding.slot][len(meter.meter_id) + 1 :]
            flag = self.episodes.take(finding, meter, register)
            if flag is not None:
                if told := messages(row, finding.slot):
                    flag = msgspec.structs.replace(flag, evidence={**flag.evidence, RAW_MESSAGES: told})
                outcome.flags.append(flag)

    # -- to be looked at -------------------------------------------------------------------

    def census(self) -> Census:
        """How many meters there are, how many the registry does not name, how many are warming up."""
        used = len(self)
        if self._census is None or self._census[0] != used or self.watermark - self._census[1] > STEP:
            slots = np.array([slot for slot, name in enumerate(self.channels) if name], np.int64)
            warming = np.ones(len(slots), np.bool_)
            for detector in self.detectors[1:]:  # the first is never warming up for long
                warming &= ~detector.ready(self.state, slots)
            unknown = sum(1 for slot in slots.tolist() if not self.meter(slot).known)
            self._census = (used, self.watermark, Census(len(slots), unknown, int(warming.sum())))
        return self._census[2]

    def open_episodes(self) -> list[Episode]:
        """All open episodes, for a checkpoint."""
        return list(self.episodes.open.values())
