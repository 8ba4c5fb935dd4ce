"""Score raised flags against a list of faults: what is found, how soon, and what is false.

    python -m benchmarks.score SET_DIR FLAGS.jsonl [--bills]

SET_DIR holds readings.parquet (meter_id, time, value), meters.csv and truth.csv (meter_id, type,
size, start, end; rows of type ``ignore`` are natural gaps of the source). FLAGS.jsonl is what
`forestall replay` writes.

A flag inside a natural gap, or up to two hours after it, is not counted. Else it is a hit when it
lies in [start, end + grace] of a fault of its meter. The first hit finds the fault, gives the delay,
and its last known kind is held against the fault's type; further hits are passed over. Every other
flag after the warm-up is false. Meter-days inside natural gaps are no exposure.

Of meters that report amounts, the days on which the whole fleet rises or falls most are told by themselves: what is
false there, and what is found of the faults whose first day lies there, beside what the other days find of such types.
``cleared_late`` are the faults found whose flag was open for more than two weeks after their end.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

#: Type of fault → the kinds of flag that name it rightly.
RIGHT: Mapping[str, frozenset[str]] = {
    "spike": frozenset({"spike"}),
    "leak": frozenset({"leak", "continuous_flow"}),
    "stuck": frozenset({"stuck", "zero_usage"}),
    "theft": frozenset({"low_usage", "level_shift"}),
    "drift": frozenset({"low_usage", "level_shift"}),
    "rollback": frozenset({"rollback"}),
    "misread": frozenset({"misread"}),
    "gap": frozenset({"gap", "silent"}),
    "x9.13": frozenset({"high_usage"}),
    "x5": frozenset({"high_usage"}),
    "x3": frozenset({"high_usage"}),
    "digit": frozenset({"misread", "high_usage"}),
    "zero": frozenset({"zero_usage", "stuck"}),
    "under": frozenset({"low_usage", "level_shift"}),
}
FALSE, NOT_COUNTED = -1, -2
WARM_DAYS, GRACE_HOURS = 42.0, 24.0
LATE_DAYS = 14.0  # after a fault's end, its flag is cleared
REJOIN_HOURS = 2.0  # after a natural gap, for the readings that catch up
HOUR, DAY = 3_600_000_000_000, 86_400_000_000_000
COLUMNS = ["id", "meter_id", "at", "score", "kind", "open", "cleared"]

I8 = NDArray[np.int64]


def nanoseconds(times: pd.Series[Any]) -> I8:
    """Instants of a column with a zone. [ns]"""
    instants: I8 = times.dt.tz_convert(None).to_numpy().astype("datetime64[ns]").astype(np.int64)
    return instants


@dataclass(frozen=True)
class Scoring:
    """A set, as far as scoring needs it.

    readings  meter_id (str), time (UTC), value
    truth     meter_id, type, size, start, end (UTC)
    bills     count per 1,000 readings; no warm-up, no grace
    hourly    whether all meters report amounts, so that days of the whole fleet can be told
    """

    readings: pd.DataFrame
    truth: pd.DataFrame
    bills: bool
    hourly: bool
    first: dict[str, int] = field(default_factory=dict)  # meter → its first reading [ns]
    last: dict[str, int] = field(default_factory=dict)
    faults: pd.DataFrame = field(default_factory=pd.DataFrame)
    gaps: pd.DataFrame = field(default_factory=pd.DataFrame)

    def __post_init__(self) -> None:
        time = pd.Series(nanoseconds(self.readings["time"]), self.readings.index)
        span = time.groupby(self.readings["meter_id"]).agg(["min", "max"])
        self.first.update(zip(span.index, span["min"].tolist(), strict=True))
        self.last.update(zip(span.index, span["max"].tolist(), strict=True))
        natural = self.truth["type"] == "ignore"
        object.__setattr__(self, "faults", self.truth[~natural].reset_index(drop=True))
        object.__setattr__(self, "gaps", self.truth[natural].reset_index(drop=True))

    @property
    def warm(self) -> int:
        """From a meter's first reading to the first flag that counts. [ns]"""
        return 0 if self.bills else round(WARM_DAYS * DAY)

    @property
    def grace(self) -> int:
        """After the end of a fault. [ns]"""
        return 0 if self.bills else round(GRACE_HOURS * HOUR)

    @property
    def exposure(self) -> float:
        """Meter-days after the warm-up and outside natural gaps; or bills."""
        if self.bills:
            return float(len(self.readings))
        days = sum(max(0, self.last[name] - first - self.warm) for name, first in self.first.items()) / DAY
        gaps = nanoseconds(self.gaps["end"]) - nanoseconds(self.gaps["start"]) if len(self.gaps) else 0
        return float(days - np.sum(gaps) / DAY)

    def only(self, meters: set[str]) -> Scoring:
        """The same of some of the meters."""
        return Scoring(
            self.readings[self.readings["meter_id"].isin(meters)],
            self.truth[self.truth["meter_id"].isin(meters)],
            self.bills,
            self.hourly,
        )


def load_set(directory: Path, bills: bool = False) -> Scoring:
    """Read a set's files."""
    readings = pd.read_parquet(directory / "readings.parquet", columns=["meter_id", "time", "value"])
    readings["meter_id"] = readings["meter_id"].astype(str)
    truth = pd.read_csv(directory / "truth.csv", dtype={"meter_id": str}, parse_dates=["start", "end"])
    meters = pd.read_csv(directory / "meters.csv", dtype={"meter_id": str})
    return Scoring(readings, truth, bills, not bills and bool((meters["kind"] == "interval").all()))


def load_flags(path: Path) -> pd.DataFrame:
    """Flags, one row an id: when it was raised and cleared, its last known kind, whether it is open at the end.

    Raises ValueError that names the line where an id is raised twice or not at all.
    """
    raised: dict[str, list[Any]] = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        flag = json.loads(line)
        name, status = str(flag["id"]), flag["status"]
        if (status == "raised") == (name in raised):
            was = "raised twice" if status == "raised" else f"{status} but not raised before"
            raise ValueError(
                f"{path.name}:{number}: expected an id to be raised once, then changed; {name} is {was}"
            )
        if status == "raised":
            raised[name] = [
                name,
                str(flag["meter_id"]),
                flag["at"],
                float(flag.get("score") or 0.0),
                "",
                True,
                None,
            ]
        cleared = flag["at"] if status == "cleared" else None
        raised[name][4:] = [str(flag["kind"]), status != "cleared", cleared]
    flags = pd.DataFrame(list(raised.values()), columns=COLUMNS)
    for column in ("at", "cleared"):
        flags[column] = pd.to_datetime(flags[column], utc=True, format="ISO8601")
    return flags.sort_values(["at", "meter_id", "id"], kind="stable").reset_index(drop=True)


def counted(of: Scoring, flags: pd.DataFrame) -> pd.DataFrame:
    """Flags after their meter's warm-up. Raises ValueError for a meter that is not in the set."""
    strange = set(flags["meter_id"]) - set(of.first)
    if strange:
        raise ValueError(f"expected flags of the set's meters, got {sorted(strange)[:5]}")
    begin = np.array([of.first[name] for name in flags["meter_id"]], np.int64) + of.warm
    return flags[nanoseconds(flags["at"]) >= begin].reset_index(drop=True)


def match(of: Scoring, meter: NDArray[Any], at: I8) -> I8:
    """For each flag the fault that it hits (row of ``faults``), or FALSE, or NOT_COUNTED."""
    out = np.full(len(at), FALSE, np.int64)
    if not len(at):
        return out
    zones, faults = _by_meter(of.gaps), _by_meter(of.faults)
    order = np.argsort(meter, kind="stable")
    names, begins = np.unique(meter[order], return_index=True)
    rejoin = round(REJOIN_HOURS * HOUR)
    for name, rows in zip(names.tolist(), np.split(order, begins[1:]), strict=True):
        when = at[rows][:, None]
        _, start, end = zones.get(name, _NONE)
        late = ((start <= when) & (when <= end + of.grace)).any(axis=1)
        inside = ((start <= when) & (when <= end + rejoin)).any(axis=1)
        index, start, end = faults.get(name, _NONE)
        near = (start <= when) & (when <= end + of.grace)
        found = near.any(axis=1)
        own = np.where(late, NOT_COUNTED, FALSE)
        if len(index):
            own = np.where(found, index[near.argmax(axis=1)], own)
        out[rows] = np.where(inside, NOT_COUNTED, own)
    return out


_NONE = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))


def _by_meter(truth: pd.DataFrame) -> dict[str, tuple[I8, I8, I8]]:
    found = {}
    for name, own in truth.groupby("meter_id"):
        found[str(name)] = (own.index.to_numpy(np.int64), nanoseconds(own["start"]), nanoseconds(own["end"]))
    return found


def figures(hit: I8, faults: int, exposure: float) -> dict[str, float]:
    """Recall, precision, F1 and false flags per 1,000 meter-days (bills) of what was hit."""
    false, found = int((hit == FALSE).sum()), len(np.unique(hit[hit >= 0]))
    recall, precision = found / max(faults, 1), found / max(found + false, 1)
    f1 = 2 * recall * precision / max(recall + precision, 1e-9)
    return {
        "recall": round(recall, 4),
        "precision": round(precision, 4),
        "f1": round(f1, 4),
        "false_per_1000": round(1000 * false / max(exposure, 1e-9), 3),
    }


def score(of: Scoring, flags: pd.DataFrame) -> dict[str, Any]:
    """All figures of a list of flags, as ``load_flags`` gives it."""
    flags = counted(of, flags)
    at = nanoseconds(flags["at"])
    hit = match(of, flags["meter_id"].to_numpy(object), at)
    first: dict[int, int] = {}
    for number, which in enumerate(hit.tolist()):
        if which >= 0:
            first.setdefault(which, number)
    begin = nanoseconds(of.faults["start"]) if len(of.faults) else np.empty(0, np.int64)
    found: dict[str, list[bool]] = {}
    delay: dict[str, list[float]] = {}
    right: dict[str, list[bool]] = {}
    for fault, what in enumerate(of.faults["type"].astype(str)):
        row = first.get(fault)
        found.setdefault(what, []).append(row is not None)
        if row is not None:
            delay.setdefault(what, []).append(float(at[row] - begin[fault]) / HOUR)
            right.setdefault(what, []).append(str(flags["kind"].iloc[row]) in RIGHT.get(what, frozenset()))
    every = [name for own in right.values() for name in own]
    told: dict[str, Any] = {
        "events": len(of.faults),
        "flags": len(flags),
        **figures(hit, len(of.faults), of.exposure),
        "recall_by_type": {k: round(float(np.mean(v)), 3) for k, v in sorted(found.items())},
        "median_delay_h": {k: round(float(np.median(v)), 1) for k, v in sorted(delay.items())},
        "kind_right": round(float(np.mean(every)), 3) if every else None,
        "kind_right_by_type": {k: round(float(np.mean(v)), 2) for k, v in sorted(right.items())},
        "false_by_kind": {
            str(k): int(n) for k, n in flags["kind"][hit == FALSE].value_counts().sort_index().items()
        },
        "never_cleared": int(flags["open"].sum()),
        "most_on_a_day": int(flags["at"].dt.floor("D").value_counts().max()) if len(flags) else 0,
    }
    if not of.bills:
        large = (of.faults["type"] == "spike") & (of.faults["size"].astype(float) >= 5)
        if large.any():
            rows = np.flatnonzero(large.to_numpy()).tolist()
            told["recall_spike_x5_or_more"] = round(float(np.mean([row in first for row in rows])), 3)
    if "cleared" in flags.columns:
        told["cleared_late"] = _late(of, flags, first)
    if of.hourly and of.first:
        told.update(_fleet_days(of, flags["at"][hit == FALSE], set(first)))
    return told


def _late(of: Scoring, flags: pd.DataFrame, first: Mapping[int, int]) -> int:
    """Faults found whose first flag stayed open too long after their end, while their meter was read."""
    number = 0
    for fault, row in first.items():
        meter, end = of.faults["meter_id"].iloc[fault], of.faults["end"].iloc[fault].value
        cleared = flags["cleared"].iloc[row]
        until = of.last[meter] if pd.isna(cleared) else cleared.value
        number += until - end > LATE_DAYS * DAY
    return number


def _fleet_days(of: Scoring, false_at: pd.Series[Any], found: set[int]) -> dict[str, Any]:
    """Of the 5 % of days on which the whole fleet rises (falls) most: what is false, and found of what begins there."""
    day = of.readings["time"].dt.floor("D")
    use = of.readings["value"].groupby([of.readings["meter_id"], day]).sum().unstack(0).clip(lower=0)
    ratio: pd.DataFrame = (use + 1e-9) / (use.shift(1).rolling(7).median() + 1e-9)
    move = ratio.apply(np.log).median(axis=1).dropna()
    begin = pd.Timestamp(min(of.first.values()) + of.warm, tz="UTC")
    move = move[move.index >= begin]
    false = false_at.dt.floor("D").value_counts().reindex(move.index).fillna(0)
    told: dict[str, Any] = {}
    ends = {
        "rise": move.index[move >= move.quantile(0.95)],
        "fall": move.index[move <= move.quantile(0.05)],
    }
    for name, days in ends.items():
        n, expected = int(false[days].sum()), float(false.sum()) * len(days) / max(len(move), 1)
        told[f"false_on_{name}_days"] = {
            "n": n,
            "expected": round(expected, 2),
            "ratio": round(n / expected, 2) if expected else None,
        }
    begins = pd.to_datetime(nanoseconds(of.faults["start"]), utc=True)
    ended = pd.to_datetime(nanoseconds(of.faults["end"]), utc=True)
    until = ended.where(ended < begins + pd.Timedelta(days=1), begins + pd.Timedelta(days=1))
    spans = list(zip(begins.floor("D"), until.floor("D"), strict=True))
    on = {
        name: np.array([any(a <= day <= b for day in days) for a, b in spans], bool)
        for name, days in ends.items()
    }
    frame = pd.DataFrame({"type": of.faults["type"], "found": [row in found for row in range(len(spans))]})
    share = frame[~(on["rise"] | on["fall"])].groupby("type")["found"].mean()
    for name, mine in on.items():
        told[f"found_on_{name}_days"] = {
            "n": int(frame["found"][mine].sum()),
            "of": int(mine.sum()),
            "expected": round(float(frame["type"][mine].map(share).astype(float).sum()), 1),
        }
    return told


def at_a_cut(of: Scoring, flags: pd.DataFrame, budget: float) -> float:
    """Best F1 of the flags at or above some score, of no more than ``budget`` false: the truth in hand."""
    flags = counted(of, flags)
    hit = match(of, flags["meter_id"].to_numpy(object), nanoseconds(flags["at"]))
    own, best = flags["score"].to_numpy(), 0.0
    for cut in np.unique(own):
        told = figures(hit[own >= cut], len(of.faults), of.exposure)
        if told["false_per_1000"] <= budget:
            best = max(best, told["f1"])
    return best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set_dir", type=Path)
    parser.add_argument("flags", type=Path)
    parser.add_argument("--bills", action="store_true", help="per 1,000 bills; no warm-up, no grace")
    given = parser.parse_args()
    print(json.dumps(score(load_set(given.set_dir, given.bills), load_flags(given.flags)), indent=2))


if __name__ == "__main__":
    main()
