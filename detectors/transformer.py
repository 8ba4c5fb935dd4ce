"""A transformer's meters fall silent together: one outage, not many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.base import BLOCK, CLEAR, RAISE, Column, Rule, State, named
from detectors.batch import DAY, NS, PART, Batch, Records, Row
from detectors.finding import tell
from detectors.kernel import kernel

#: Kept in the row of one meter of each transformer.
GROUP = np.dtype(
    [
        ("usual", np.float32),  # highest share of silent meters of late, fading [-]
        ("since", np.uint32),  # what is open began [s since 1970]
        ("watched", np.uint16),  # looks at the watermark, 65535 = that many or more
        ("open", np.uint8),
    ],
    align=True,
)
FADES = 168.0  # looks over which a high share is forgotten: a week of hours
MOST = 65535
SPACINGS = 3
FEED = 0.9  # where so much of a partition is silent at once, it is the feed


@kernel
def _silent(p: Row, watermark: int, least: int) -> bool:
    return bool(watermark - p.time > max(SPACINGS * p.spacing, least))


@kernel
def _living(p: Row, m: Row, reference: int, dead: int) -> bool:
    """Whether a meter was heard of late, and says when it is to be heard again."""
    if m.role == PART or p.count < 2 or p.spacing <= 0 or p.live == 0:
        return False
    return bool(reference - p.time <= max(dead, 2 * SPACINGS * p.spacing))


@kernel
def _leaders(group: Records, meters: Records, pulse: Records, used: int) -> NDArray[np.int64]:
    """Transformer → the slot in whose row it is kept: the one that has been, else the least by rank."""
    most = 0
    for j in range(used):
        most = max(most, meters[j].transformer)
    leader = np.full(most + 1, -1, np.int64)
    for j in range(used):
        code = meters[j].transformer
        if code == 0 or pulse[j].count < 2 or meters[j].role == PART:
            continue
        k = leader[code]
        same = k >= 0 and group[j].watched == group[k].watched
        if k < 0 or group[j].watched > group[k].watched or (same and meters[j].rank < meters[k].rank):
            leader[code] = j
    return leader


@kernel
def _look(
    group: Records, pulse: Records, meters: Records, hot: NDArray[np.uint8], used: int, watermark: int,
    share: float, back: float, usual: float, least: int, quiet: int, dead: int, warm: int, out: Records,
) -> int:  # fmt: skip
    leader = _leaders(group, meters, pulse, used)
    if leader.size == 1:
        return 0
    living = np.zeros(leader.size, np.int64)
    silent = np.zeros(leader.size, np.int64)
    last = np.zeros(leader.size, np.int64)  # when the silent were heard last
    all_living, all_silent = 0, 0
    for j in range(used):
        code = meters[j].transformer
        reference: Any = watermark
        if code > 0 and leader[code] >= 0 and group[leader[code]].open:
            reference = np.int64(group[leader[code]].since) * NS
        if not _living(pulse[j], meters[j], reference, dead):
            continue
        mute = _silent(pulse[j], watermark, quiet)
        all_living += 1
        all_silent += mute
        living[code] += 1
        if mute:
            silent[code] += 1
            last[code] = max(last[code], pulse[j].time)
    groups = 0
    for code in range(1, leader.size):
        groups += living[code] >= least
    feed = groups > 1 and all_silent >= FEED * all_living
    n = 0
    for code in range(1, leader.size):
        j = leader[code]
        if j < 0 or living[code] < least:
            continue
        s = group[j]
        part = silent[code] / living[code]
        hot[j // BLOCK] = 1
        if s.open:
            if part <= back:
                n = _say(s, n, j, CLEAR, watermark, silent[code], living[code], share, out)
                s.open = 0
            continue
        if part >= share and s.watched >= warm and s.usual <= usual and not feed:
            s.open, s.since = 1, last[code] // NS
            n = _say(s, n, j, RAISE, watermark, silent[code], living[code], share, out)
            continue
        if not feed:
            s.usual = max(np.float32(part), s.usual * np.float32(1.0 - 1.0 / FADES))
        s.watched += 1 if s.watched < MOST else 0
    return n


@kernel
def _say(
    s: Row, n: int, j: int, verb: int, at: int, silent: int, living: int, share: float, out: Records
) -> int:
    part = silent / living
    score = part / share if verb == RAISE else 0.0
    start: Any = np.int64(s.since) * NS
    return tell(
        out, n, -1, j, 0, verb, at, start, score, float(silent), np.nan, float(silent), float(living), part,
        s.usual, np.nan, np.nan,
    )  # fmt: skip


def dark(state: State) -> NDArray[np.uint8]:
    """1 for each meter whose transformer's outage is open, shape as ``state.meters``."""
    told = np.zeros(len(state.meters), np.uint8)
    group = state.arrays.get(("transformer", "group"))
    if group is not None and group["open"].any():
        codes = state.meters["transformer"]
        told[np.isin(codes, codes[group["open"] > 0]) & (codes > 0)] = 1
    return told


@dataclass(frozen=True, slots=True)
class Transformer(Rule):
    """Transformer outage: most meters of one transformer silent at once.

    When the watermark enters a new hour, the meters of each ``transformer`` of the registry are
    counted: living are those heard within ``dead_days``, silent those of which nothing has come for
    three of their spacings and at least ``quiet_min``. From ``share`` on it is one outage [1]_: one
    flag, on one of them, with the list of the silent in its evidence; cleared when no more than
    ``back`` are silent. A transformer whose meters are often silent together (they are read once a
    day, in one go) is not judged: the share of the last week must not have been above ``usual``.
    Where nine tenths of a partition's meters are silent at once and they belong to several
    transformers, it is the feed of readings that has stopped, and none is raised.

    share      of the living. [-]
    back       at or below which it is over. [-]
    usual      highest share of the last week. [-]
    meters     living meters that a transformer must have. [-]
    quiet_min  least silence. [min]
    dead_days  a meter silent for longer is no longer counted. [d]
    warm_looks at the watermark before the first flag; a look is an hour. [-]
    Shapes     a batch's columns (n,); state ``group`` (meters,).
    Not for    meters that are read once a day in one go: their silence is the round's.
    Cost       none in 12,000 days of one meter, 20 to a transformer, in a synthetic clean run (``python -m
               benchmarks.scada_clean``); none on meters whose registry row names no transformer.

    .. [1] DETECTION §4.
    """

    share: float = 0.6
    back: float = 0.3
    usual: float = 0.3
    meters: float = 3.0
    quiet_min: float = 15.0
    dead_days: float = 7.0
    warm_looks: float = 48.0

    name = "transformer"
    version = 1
    kinds = ("transformer_outage",)

    def __post_init__(self) -> None:
        shares = 0 <= self.back < self.share <= 1 and 0 <= self.usual < 1
        if not (shares and self.meters >= 1 and self.quiet_min >= 0 and self.dead_days > 0):
            raise ValueError(
                "need 0 <= back < share <= 1, 0 <= usual < 1, meters >= 1, quiet_min >= 0 and "
                f"dead_days > 0, got {self}"
            )
        if not 0 <= self.warm_looks <= MOST:
            raise ValueError(f"need 0 <= warm_looks <= {MOST}, got {self.warm_looks}")

    @property
    def evidence(self) -> Mapping[str, tuple[str, ...]]:
        """How many of how many, and what is usual."""
        return {
            "transformer_outage": ("silent_meters", "living_meters", "silent_share", "usual_silent_share")
        }

    @property
    def columns(self) -> tuple[Column, ...]:
        """One row a transformer is used."""
        return (Column("group", GROUP),)

    def concerns(self, meters: Records) -> NDArray[np.bool_]:
        """Meters whose transformer the registry names."""
        concerned: NDArray[np.bool_] = meters["transformer"] > 0
        return concerned

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Silence is no reading."""
        return 0

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Count the silent."""
        found: int = _look(
            state.of(self.name, "group"), state.of("intervals", "pulse"), state.meters, state.hot, meters,
            watermark, self.share, self.back, self.usual, int(self.meters), round(self.quiet_min * 60) * NS,
            round(self.dead_days * DAY), int(self.warm_looks), out,
        )  # fmt: skip
        return found

    def explain(self, state: State, finding: Any) -> dict[str, object]:
        """The numbers, and who is silent."""
        told = named(self.evidence, self.kinds[finding["kind"]], finding)
        if finding["verb"] == RAISE:
            m, p = state.meters, state.of("intervals", "pulse")
            at = int(finding["at"])
            age = at - p["time"]
            quiet = np.maximum(SPACINGS * p["spacing"], round(self.quiet_min * 60) * NS)
            dead = np.maximum(round(self.dead_days * DAY), 2 * SPACINGS * p["spacing"])
            alive = (m["role"] != PART) & (p["count"] >= 2) & (p["spacing"] > 0) & (p["live"] == 1)
            mine = m["transformer"] == m["transformer"][finding["slot"]]
            told["meters_slots"] = np.flatnonzero(mine & alive & (age > quiet) & (age <= dead)).tolist()
        return told

    def ready(self, state: State, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """The meter in whose row its transformer is kept, after two days."""
        ready: NDArray[np.bool_] = state.of(self.name, "group")["watched"][slots] > self.warm_looks
        return ready
