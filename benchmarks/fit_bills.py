"""How often a period lies so far beyond a meter's others where nothing is known to be wrong.

    python -m benchmarks.fit_bills [--data ../shared/data/billing_water]

Prints the two lines of ``detectors.periods.RATES``: ln(false flags per 1,000 periods) = a − b · weight,
for the high and the low side of the high/low check. Fitted on the bills, without those that a fault was
put into, of the meters whose crc32 of the id is even; the other half's rates at the same weights stand
beside. A period that is no multiple, or fraction, of the usual use as ``high`` and ``low`` ask for counts
for nothing, as in the detector; episodes are not looked at, a bill that an open one covers counts as well.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.fit import half, load_truth
from connectors.reading_files import read_files
from connectors.registry_csv import read_registry
from detectors import HighLow, Intervals
from detectors.base import State
from detectors.batch import Batch, Records
from streams.programs.replay import Replay
from streams.settings import load as load_settings
from streams.state.bank import BankConfig

FITS = (1.0, 4.0)  # false flags per 1,000 periods between which the line is drawn
CUTS = np.arange(1.0, 7.01, 0.1)


class Watched(HighLow):
    """The detector, with the weights of all periods laid aside."""

    __slots__ = ()
    seen: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []  # noqa: RUF012 – one run at a time

    def update(self, state: State, batch: Batch, out: Records) -> int:
        """Judge, and keep what was seen."""
        found = HighLow.update(self, state, batch, out)
        weights = state.notes[self.name].weights
        judged = np.isfinite(weights[:, 0])
        self.seen.append((batch.slot[judged], batch.time[judged], weights[judged]))
        return found


def watch(data: Path) -> tuple[list[str], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Replay a set; names of its meters; slot, time and weights of every period that was judged."""
    known, _ = read_registry(data / "meters.csv")
    replay = Replay(load_settings(partitions=1), known, BankConfig((Intervals(), Watched())))
    Watched.seen.clear()
    for chunk in read_files([data / "readings.parquet"], lambda _: None, lambda *_: None):
        replay.take(chunk)
    slot, time, weights = (np.concatenate(part) for part in zip(*Watched.seen, strict=True))
    return list(replay.partitions[0].bank.channels), slot, time, weights


def main() -> None:
    """Fit, and print both halves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data/billing_water"))
    given = parser.parse_args()
    names, slot, time, weights = watch(given.data)
    truth = load_truth(given.data / "truth.csv")
    at = time.astype("datetime64[ns]")
    number = {name: i for i, name in enumerate(names)}
    faulty = np.zeros(len(slot), np.bool_)
    for name, start, end in zip(truth["meter_id"], truth["start"], truth["end"], strict=True):
        faulty |= (slot == number[name]) & (at >= start.to_datetime64()) & (at <= end.to_datetime64())
    side_of = np.array([half(name) for name in names])
    # All periods count as exposed, as the budget is meant; the youngest are never judged.
    readings = np.array([0, 0])
    for chunk in read_files([given.data / "readings.parquet"], lambda _: None, lambda *_: None):
        for name, count in zip(
            chunk.meters, np.bincount(chunk.meter, minlength=len(chunk.meters)), strict=True
        ):
            readings[half(name)] += count
    for side, what in enumerate(("high", "low")):
        rates = [
            np.array([((side_of[slot] == h) & ~faulty & (weights[:, side] > cut)).sum() for cut in CUTS])
            / readings[h]
            * 1000
            for h in (0, 1)
        ]
        fits = (rates[0] >= FITS[0]) & (rates[0] <= FITS[1])
        b, a = np.polyfit(CUTS[fits], np.log(rates[0][fits]), 1)
        print(f"{what}: ln(false per 1,000 periods) = {a:.2f} - {-b:.2f} weight")
        for budget in (1.0, 2.0, 4.0):
            cut = (np.log(budget) - a) / b
            own = [float(np.interp(cut, CUTS, rate)) for rate in rates]
            print(f"  budget {budget}: weight {cut:.2f}, fitted half {own[0]:.2f}, other half {own[1]:.2f}")


if __name__ == "__main__":
    main()
