"""One method over one set, in a process of its own, so that its CPU can be told from others'.

    python -m benchmarks.peers METHOD SET_DIR OUT.npz [--bills]

METHOD is ``rules`` (``benchmarks.reference``) or a peer: PyOD's IForest, ECOD and COPOD, river's
GaussianScorer and HalfSpaceTrees. The peers get the same as the rules: plain validation, whose flags are
theirs too (gap, rollback, misread; none of them finds these in a day's figures), and then the features of
closed days beside the meter's own past (``benchmarks.days``), so that only the statistics differ. They say
how strange a day is, not what it is: it is named by its side, spike or low usage.

    PyOD                  one model of all meters, fitted on all days at once, also those that come later: in its favour
    river GaussianScorer  one a meter, of the day's use beside the usual; each day is scored, then learnt
    river HalfSpaceTrees  one of all meters, each day scored, then learnt; features scaled to 0 … 1 as they come

One model a meter did worse for PyOD and the trees, and so did more features for GaussianScorer, on three sets of
four. Of bills: the same, on a bill beside the median of the last six, the last, and the one a year before.

OUT.npz: ``found``, JSON of the flags that need no threshold; ``names``, ``at`` and ``score`` (meters, days), NaN =
not known, and ``high``; ``bytes`` of state a meter: pickled models, and the days that the features look back on.
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import reference
from benchmarks.days import FEATURES, Found, clean, features, table
from benchmarks.score import nanoseconds

F8 = NDArray[np.float64]
B = NDArray[np.bool_]

PACKAGES = {"PyOD": "pyod", "river": "river"}
METHODS = (
    "rules",
    "PyOD IForest",
    "PyOD ECOD",
    "PyOD COPOD",
    "river GaussianScorer",
    "river HalfSpaceTrees",
)
GRACE, BILL_GRACE = 14, 3  # days, bills that a Gaussian has seen before it scores
HISTORY = 4 * 6 * 35  # bytes: six figures of 35 days in single precision, which the features look back on
BILL_HISTORY = 4 * 7
BILL_FEATURES = ("usual", "last", "year")


def outliers(method: str) -> Any:
    """A PyOD model with its defaults."""
    if method == "PyOD IForest":
        from pyod.models.iforest import IForest

        return IForest(random_state=0)
    if method == "PyOD ECOD":
        from pyod.models.ecod import ECOD

        return ECOD()
    from pyod.models.copod import COPOD

    return COPOD()


class Gaussians:
    """river's GaussianScorer on the first feature, one a meter."""

    def __init__(self, grace: int) -> None:
        from river import anomaly

        self.make: Any = anomaly.GaussianScorer
        self.grace = grace
        self.scorers: dict[str, Any] = {}

    def step(self, name: str, row: list[float]) -> float:
        """Score, then learn."""
        scorer = self.scorers.get(name)
        if scorer is None:
            scorer = self.scorers[name] = self.make(grace_period=self.grace)
        told = float(scorer.score_one(None, row[0]))
        scorer.learn_one(None, row[0])
        return told


class Trees:
    """river's HalfSpaceTrees behind its scaler, one for all meters: 25 trees of height 8, windows of 250 rows."""

    def __init__(self, names: tuple[str, ...]) -> None:
        from river import anomaly, compose, preprocessing

        self.names = names
        self.model = compose.Pipeline(
            preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(seed=0, n_trees=25)
        )

    def step(self, name: str, row: list[float]) -> float:
        """Score, then learn."""
        x = dict(zip(self.names, row, strict=True))
        told = float(self.model.score_one(x))
        self.model.learn_one(x)
        return told


def score_rows(
    method: str, names: list[str], x: F8, feature_names: tuple[str, ...], grace: int
) -> tuple[F8, int]:
    """Scores of rows in the order of time, and bytes of the model. ``x`` (rows, features)."""
    model: Any
    if method.startswith("PyOD"):
        model = outliers(method)
        return model.fit(x).decision_scores_, len(pickle.dumps(model))
    model = Gaussians(grace) if method == "river GaussianScorer" else Trees(feature_names)
    scores = [model.step(name, row) for name, row in zip(names, x.tolist(), strict=True)]
    return np.array(scores), len(pickle.dumps(model))


def hourly(method: str, readings: pd.DataFrame, register: bool) -> dict[str, Any]:
    """A set of meters that are read at least hourly."""
    if method == "rules":
        return _told(reference.judge(readings, register), reference.STATE)
    amounts, found = clean(readings, register)
    days = table(amounts)
    x = features(days)
    known = np.isfinite(x).all(axis=-1)
    # By the day, then by the meter.
    day, meter = np.nonzero(known.T)
    scores = np.full(known.shape, np.nan)
    scores[meter, day], size = score_rows(
        method, [days.names[m] for m in meter.tolist()], x[meter, day], FEATURES, GRACE
    )
    at = np.broadcast_to(days.ends, known.shape)
    return _told(found, size / len(x) + HISTORY, (days.names, at, scores, x[..., 0] > 0))


def bill_features(readings: pd.DataFrame) -> tuple[pd.DataFrame, F8]:
    """Bills in the order of time, and each beside its customer's past, as logarithms of ratios; NaN = not known."""
    frame = readings.sort_values(["meter_id", "time"], kind="stable").reset_index(drop=True)
    by = frame["meter_id"]
    value = frame["value"].groupby(by)
    usual = value.transform(lambda x: x.shift(1).rolling(reference.BILLS, min_periods=3).median())
    ground = 0.05 * usual + 1e-6
    # Bills of two months: the sixth before is of the same season.
    year = value.shift(6).fillna(usual)
    past = np.stack([usual, value.shift(1), year], axis=1)
    x = np.log((frame["value"] + ground).to_numpy()[:, None] / (past + ground.to_numpy()[:, None]))
    order = np.argsort(nanoseconds(frame["time"]), kind="stable")
    return frame.iloc[order].reset_index(drop=True), np.clip(x, -10, 10)[order]


def bills(method: str, readings: pd.DataFrame) -> dict[str, Any]:
    """A set of meters that are read by the bill."""
    meters = readings["meter_id"].nunique()
    if method == "rules":
        return _told(reference.bills(readings), BILL_HISTORY)
    frame, x = bill_features(readings)
    known = np.isfinite(x).all(axis=1)
    names, at = frame["meter_id"].astype(str).tolist(), nanoseconds(frame["time"])
    score = np.full(len(x), np.nan)
    rows = np.flatnonzero(known).tolist()
    score[rows], size = score_rows(method, [names[row] for row in rows], x[rows], BILL_FEATURES, BILL_GRACE)
    # A row a bill: no bill is part of the one before's episode.
    return _told(
        [], size / meters + BILL_HISTORY, (names, at[:, None], score[:, None], x[:, :1] > 0), bills=True
    )


Scored = tuple[list[str], NDArray[np.int64], F8, B]
NOTHING: Scored = ([], np.empty((0, 0), np.int64), np.empty((0, 0)), np.empty((0, 0), bool))


def _told(found: list[Found], size: float, scored: Scored = NOTHING, bills: bool = False) -> dict[str, Any]:
    names, at, score, high = scored
    kinds = ("high_usage", "low_usage") if bills else ("spike", "low_usage")
    return {
        "found": json.dumps([asdict(each) for each in found]),
        "names": np.array(names, dtype=str),
        "at": at,
        "score": score,
        "high": high,
        "kinds": np.array(kinds),
        "bytes": math.ceil(size),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("set_dir", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bills", action="store_true")
    given = parser.parse_args()
    readings = pd.read_parquet(given.set_dir / "readings.parquet", columns=["meter_id", "time", "value"])
    readings["meter_id"] = readings["meter_id"].astype(str)
    if given.bills:
        told = bills(given.method, readings)
    else:
        meters = pd.read_csv(given.set_dir / "meters.csv")
        told = hourly(given.method, readings, bool((meters["kind"] == "register").all()))
    np.savez(given.out, **told)


if __name__ == "__main__":
    main()
