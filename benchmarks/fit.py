"""Fit the heads of the habit detector: boosted trees over the features of closed days.

    python -m benchmarks.fit --data ../shared/data [--only low_usage] [--write]

Fitted on one half of the meters of three sets with faults put in (water_homes, power_sites,
gas_sites: their licences allow it), the half whose crc32 of the id is even; power_homes is never
fitted on. Days before the 42nd are left out, and so are days with a fault of another kind.
What tells the date or the place of a fault in its set (age, the area's own move) is no feature.

Thefts and drifts in homes' water are few, and a home is unlike a building; in gas the season hides them. ``DRAWS``
times more of them are put into the fitted meters of these sets (``benchmarks.faults``), to learn from alone, at
less weight (``OF_DRAWN``).

How often a weight is passed where nothing is known to be wrong (``rate``) comes from the same
half, each quarter weighed by trees fitted on the other: out of sample, or it would flatter.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.faults import put_in
from connectors.reading_files import read_files
from connectors.registry_csv import read_registry
from detectors import Habit, Intervals
from detectors.base import State
from detectors.batch import Records
from detectors.features import NAMES, SHAPED
from detectors.heads import NONE
from streams.programs.replay import Replay
from streams.settings import load as load_settings
from streams.state.bank import BankConfig

SETS = ("water_homes", "power_sites", "gas_sites")
KINDS: dict[str, tuple[str, ...]] = {
    "spike": ("spike",),
    "leak": ("leak",),
    "stuck": ("stuck",),
    "low_usage": ("theft", "drift"),
}
WARM = 42  # days
GRACE = pd.Timedelta(hours=24)
REJOIN = pd.Timedelta(hours=2)
MARGIN, CALM = 2.0, 2  # as Habit clears

#: Sign of the change that a feature may make to a head, by the beginning of its name; the longest match holds.
SIGNS: dict[str, dict[str, int]] = {
    "spike": {"run": 1, "hour_over": 1, "day_over_most": 1},
    "leak": {"step_least": 1, "log_least": 1, "least_": 1, "zero_run": -1, "zero_run_": 0},
    "stuck": {
        "zero_run": 1, "flat_run": 1, "zero_run_past": -1, "zero_share": -1, "log_most_1d": -1,
        "log_most_area_1d": -1, "log_mean_1d": -1, "log_mean_area_1d": -1,
    },
    "low_usage": {"log_": -1, "log_spread": 0, "day_over_least": -1},
}  # fmt: skip

#: What a head is not shown of the features: the hours with use are told to the head of losses alone.
SHOWN = {"low_usage": len(NAMES)}
OTHERWISE = NAMES.index(f"log_amount_{SHAPED[0]}d")

#: Set → how many times faults are put into it; the weight of such a fault beside one of the set's own.
DRAWS = {"water_homes": 5, "gas_sites": 3}
OF_DRAWN = {"water_homes": 0.25, "gas_sites": 0.05}
SEED = 100
DRAWN_KINDS = ("theft", "drift")
#: Weight of all days of a fault together, of a head whose faults last for weeks.
WHOLE = {"low_usage": 10.0}

ROUNDS = 150
PARAMETERS: dict[str, Any] = {
    "objective": "binary", "boost_from_average": False, "learning_rate": 0.06, "num_leaves": 15,
    "min_data_in_leaf": 40, "bagging_fraction": 0.7, "bagging_freq": 1, "feature_fraction": 0.3,
    "lambda_l2": 5.0, "seed": 0, "num_threads": 2, "verbose": -1, "deterministic": True, "force_row_wise": True,
}  # fmt: skip

F4 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Days:
    """All closed days of a set: meter, event time of the closing, features, and what is known of them."""

    meter: NDArray[np.int64]  # (n,) index into ``names``
    day: NDArray[np.int64]
    at: NDArray[np.datetime64]
    features: F4  # (n, features)
    names: list[str]
    kind: NDArray[Any]  # (n,) type of the fault that a flag would hit, "" = none, "-" = not counted
    event: NDArray[np.int64]  # (n,) row of the truth, -1 = none
    drawn: int | None = None  # first row of the truth that was drawn: all that is learnt from
    share: float = 1.0  # weight of a fault


class Watched(Habit):
    """The detector, with its features laid aside."""

    __slots__ = ()
    seen: list[tuple[int, F4]] = []  # noqa: RUF012 – one run at a time

    def advance(self, state: State, meters: int, before: int, watermark: int, out: Records) -> int:
        """Close the days, and keep what was seen."""
        trace = np.full((meters, len(NAMES) + 2), -1, np.float32)
        found = self.close(state, meters, watermark, out, trace)
        trace = trace[trace[:, 0] >= 0]
        if len(trace):
            self.seen.append((watermark, trace.copy()))
        return found


def half(name: str) -> int:
    """Half of the meters that a name belongs to: 0 is fitted on, 1 is not."""
    return zlib.crc32(name.encode()) & 1


def quarter(name: str) -> int:
    """Half of a half."""
    return zlib.crc32(name.encode()) >> 1 & 1


def watch(readings: Path, meters: Path, truth: pd.DataFrame) -> Days:
    """Replay a set through the bank and keep every closed day's features."""
    known, _ = read_registry(meters)
    replay = Replay(load_settings(partitions=1), known, BankConfig((Intervals(), Watched(heads=NONE))))
    Watched.seen.clear()
    for chunk in read_files([readings], lambda _: None, lambda *_: None):
        replay.take(chunk)
    parts = [part for _, part in Watched.seen]
    at = np.repeat([moment for moment, _ in Watched.seen], [len(part) for part in parts])
    rows = np.concatenate(parts)
    names = list(replay.partitions[0].bank.channels)
    meter = rows[:, 0].astype(np.int64)
    at = at.astype("datetime64[ns]")
    kind, event = _labels(names, meter, at, truth)
    return Days(meter, rows[:, 1].astype(np.int64), at, rows[:, 2:], names, kind, event)


def _labels(
    names: Sequence[str], meter: NDArray[np.int64], at: NDArray[np.datetime64], truth: pd.DataFrame
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    kind, event = np.full(len(at), "", object), np.full(len(at), -1)
    index = {name: i for i, name in enumerate(names)}
    rest = truth["type"].map(lambda kind: REJOIN if kind == "ignore" else GRACE)
    start, end = truth["start"].to_numpy(), (truth["end"] + rest).to_numpy()
    for number, (name, what) in enumerate(zip(truth["meter_id"], truth["type"], strict=True)):
        mine = (meter == index.get(str(name), -1)) & (at >= start[number]) & (at <= end[number])
        gap = what == "ignore"
        kind[mine & ((kind == "") | gap)] = "-" if gap else what
        event[mine] = number
    return kind, event


def load_truth(path: Path) -> pd.DataFrame:
    """A set's faults, times without their zone (all are UTC)."""
    truth = pd.read_csv(path, dtype={"meter_id": str}, parse_dates=["start", "end"])
    for column in ("start", "end"):
        truth[column] = truth[column].dt.tz_convert(None)
    return truth


def draw(readings: Path, meters: Path, truth: pd.DataFrame, seed: int, folder: Path) -> Days:
    """A set as ``watch`` gives it, with thefts and drifts put in away from its other faults."""
    given = pd.read_parquet(readings)
    given["meter_id"] = given["meter_id"].astype(str)
    given = given[given["meter_id"].map(half) == 0]
    real = truth[truth["type"] != "ignore"]
    register = bool((pd.read_csv(meters)["kind"] == "register").all())
    put, faults = put_in(given, register, real, DRAWN_KINDS, np.random.default_rng(seed))
    if register:
        put["value"] = put["value"].round()  # as the registers of the set count
    put.to_parquet(folder / "drawn.parquet")
    whole = pd.concat([truth, faults], ignore_index=True)
    for column in ("start", "end"):
        whole[column] = pd.to_datetime(whole[column]).astype("datetime64[ns]")
    days = watch(folder / "drawn.parquet", meters, whole)
    return replace(days, drawn=len(truth), share=OF_DRAWN[readings.parent.name])


def fit(sets: Sequence[Days], chosen: Sequence[NDArray[np.bool_]], heads: Sequence[str]) -> dict[str, Any]:
    """One booster a head, on the chosen days of each set."""
    import lightgbm

    boosters = {}
    for head in heads:
        types = KINDS[head]
        features, right, weight = [], [], []
        for days, mask in zip(sets, chosen, strict=True):
            if days.drawn is not None and not set(types) & set(DRAWN_KINDS):
                continue
            mine = np.isin(days.kind, types)
            first = pd.Series(days.day).groupby(days.meter).transform("min").to_numpy()
            use = mask & (mine | (days.kind == "")) & (days.day - first >= WARM)
            if days.drawn is not None:
                use &= days.event >= days.drawn
            features.append(days.features[use, : SHOWN.get(head, OTHERWISE)])
            right.append(mine[use])
            # Every fault counts alike, long or short.
            own = np.ones(int(use.sum()))
            _, place, many = np.unique(days.event[use][mine[use]], return_inverse=True, return_counts=True)
            own[mine[use]] = WHOLE[head] / many[place] if head in WHOLE else 3.0 / np.sqrt(many[place])
            weight.append(own * days.share)
        data = lightgbm.Dataset(
            np.concatenate(features), np.concatenate(right), weight=np.concatenate(weight), free_raw_data=True
        )
        settings = PARAMETERS | {
            "monotone_constraints": [_sign(head, name) for name in NAMES[: SHOWN.get(head, OTHERWISE)]]
        }
        boosters[head] = lightgbm.train(settings, data, num_boost_round=ROUNDS)
    return boosters


def _sign(head: str, name: str) -> int:
    fits = [start for start in SIGNS[head] if name.startswith(start)]
    return SIGNS[head][max(fits, key=len)] if fits else 0


def rates(
    sets: Sequence[Days], weights: Sequence[dict[str, NDArray[np.float64]]]
) -> dict[str, tuple[float, float]]:
    """a, b of ln(false flags per 1,000 meter-days) = a − b · weight, for each head."""
    lines = {}
    for head in weights[0]:
        cuts = np.arange(-1.0, 4.01, 0.25)
        false, exposed = np.zeros(len(cuts)), 0
        for days, own in zip(sets, weights, strict=True):
            for number in np.unique(days.meter):
                mine = np.flatnonzero((days.meter == number) & np.isfinite(own[head]))
                if not len(mine):
                    continue
                mine = mine[np.argsort(days.day[mine])]
                mine = mine[days.day[mine] - days.day[mine][0] >= WARM]
                exposed += int((days.kind[mine] == "").sum())
                for k, cut in enumerate(cuts):
                    false[k] += _false(own[head][mine], days.kind[mine] == "", cut)
        rate = 1000 * false / exposed
        fits = (rate > 0.03) & (rate < 8)
        slope, start = np.polyfit(cuts[fits], np.log(rate[fits]), 1)
        lines[head] = (float(start), float(-slope))
    return lines


def _false(weight: NDArray[np.float64], clean: NDArray[np.bool_], cut: float) -> int:
    """Episodes raised on clean days."""
    false, is_open, calm = 0, False, 0
    for x, free in zip(weight.tolist(), clean.tolist(), strict=True):
        if is_open:
            calm = 0 if x > cut - MARGIN else calm + 1
            is_open = calm < CALM
        elif x > cut:
            is_open, calm = True, 0
            false += free
    return false


def as_heads(boosters: dict[str, Any], lines: dict[str, tuple[float, float]]) -> list[dict[str, Any]]:
    """Heads as ``detectors.heads.read`` takes them; a tree's nodes in the order of a walk."""
    heads: list[dict[str, Any]] = []
    for name, booster in boosters.items():
        trees = []
        for tree in booster.dump_model()["tree_info"]:
            nodes: list[list[float]] = []
            _walk(tree["tree_structure"], nodes)
            trees.append(nodes)
        heads.append({"name": name, "base": 0.0, "rate": [round(x, 4) for x in lines[name]], "trees": trees})
    return heads


def as_text(heads: Sequence[dict[str, Any]], told: Mapping[str, object]) -> str:
    """The file that ships: a tree a line."""
    head_texts = []
    for head in heads:
        start = json.dumps({k: v for k, v in head.items() if k != "trees"})[:-1]
        trees_text = ",\n".join(json.dumps(tree, separators=(",", ":")) for tree in head["trees"])
        head_texts.append(f'{start}, "trees": [\n{trees_text}\n]}}')
    start = json.dumps({**told, "features": list(NAMES)})[:-1]
    return f'{start}, "heads": [\n' + ",\n".join(head_texts) + "\n]}\n"


def _walk(node: dict[str, Any], nodes: list[list[float]]) -> int:
    """Append a node and those below it; return its place."""
    place = len(nodes)
    if "leaf_value" in node:
        nodes.append([-1, 0, 0, 0, 0, _short(node["leaf_value"])])
        return place
    nodes.append([])
    missing = node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0
    left, right = _walk(node["left_child"], nodes), _walk(node["right_child"], nodes)
    nodes[place] = [
        node["split_feature"], _short(node["threshold"]), int(missing), left, right, _short(node["internal_value"])
    ]  # fmt: skip
    return place


def _short(x: float) -> float:
    return float(f"{x:.5g}")


def weigh_all(heads: dict[str, Any], days: Days, rows: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """Weights of the rows, NaN elsewhere."""
    out = {}
    for name, booster in heads.items():
        own = np.full(len(days.day), np.nan)
        if rows.any():
            seen = days.features[rows, : booster.num_feature()]
            own[rows] = booster.predict(seen, raw_score=True)
        out[name] = own
    return out


def main() -> None:
    """Fit, calibrate, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="+", choices=tuple(KINDS), default=list(KINDS), help="heads to fit")
    parser.add_argument("--write", action="store_true", help="put the heads in the place of those shipped")
    given = parser.parse_args()
    sets = [
        watch(given.data / name / "readings.parquet", given.data / name / "meters.csv",
              load_truth(given.data / name / "truth.csv"))
        for name in SETS
    ]  # fmt: skip
    with TemporaryDirectory() as folder:
        drawn = []
        for name, many in DRAWS.items():
            where = given.data / name
            truth, place = load_truth(where / "truth.csv"), Path(folder)
            drawn += [
                draw(where / "readings.parquet", where / "meters.csv", truth, SEED + k, place)
                for k in range(many)
            ]
    own_half = [np.array([half(days.names[m]) == 0 for m in days.meter.tolist()]) for days in sets]
    own_quarter = [np.array([quarter(days.names[m]) for m in days.meter.tolist()]) for days in sets]
    weights: list[dict[str, NDArray[np.float64]]] = [{} for _ in sets]
    for turn in (0, 1):
        others = [h & (q != turn) for h, q in zip(own_half, own_quarter, strict=True)]
        apart = [np.array([quarter(days.names[m]) != turn for m in days.meter.tolist()]) for days in drawn]
        boosters = fit([*sets, *drawn], [*others, *apart], given.only)
        for own, days, h, q in zip(weights, sets, own_half, own_quarter, strict=True):
            for name, column in weigh_all(boosters, days, h & (q == turn)).items():
                own[name] = np.where(np.isfinite(column), column, own.get(name, column))
    lines = rates(sets, weights)
    everything = [*own_half, *(np.ones(len(days.day), bool) for days in drawn)]
    boosters = fit([*sets, *drawn], everything, given.only)
    told = {
        "fitted_on": [f"{name}: {sum(half(n) == 0 for n in days.names)} of {len(days.names)} meters"
                      for name, days in zip(SETS, sets, strict=True)],
        "half": "crc32 of the meter's id is even",
    }  # fmt: skip
    target = Path(__file__).parents[1] / "detectors" / "heads.json"
    fitted = {head["name"]: head for head in as_heads(boosters, lines)}
    shipped = (
        {}
        if len(fitted) == len(KINDS)
        else {h["name"]: h for h in json.loads(target.read_text("utf-8"))["heads"]}
    )
    text = as_text([fitted.get(name) or shipped[name] for name in KINDS], told)
    for name, (a, b) in lines.items():
        print(f"{name}: ln(false per 1,000 meter-days) = {a:.2f} - {b:.2f} weight")
    if given.write:
        target.write_text(text, "utf-8")
        print(f"{target.name}: {len(text) / 1024:,.0f} kB")


if __name__ == "__main__":
    main()
