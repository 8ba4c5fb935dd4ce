"""Compile the detectors before anything waits for them.

Numba compiles a kernel when it is first called and keeps it beside the code: minutes at the
first start after an installation or an update, nothing afterwards. In the worker's event loop
that would be minutes without a heartbeat. ``python -m streams.programs.warm_up`` does it by
itself, as ``make setup`` does.
"""

from __future__ import annotations

import logging
import sys
import time

import msgspec
import numpy as np
from numpy.typing import NDArray

from streams.columns import NO_DIGEST, Columns
from streams.messages import NS, Kind
from streams.programs import compose
from streams.programs.compiling import told
from streams.registry import Meter
from streams.settings import Settings
from streams.state.bank import Bank, BankConfig
from streams.state.outcome import Outcome

log = logging.getLogger(__name__)

DAYS = 3
BILLED_DAYS = 250  # seven bills, and one that will shock
START = 1_767_225_600 * NS  # any Thursday
HOUR = 3600 * NS
BILLED = "billed"


def warm_up(config: BankConfig) -> float:
    """Put a meter of each kind through all detectors, in a bank of its own. Returns the seconds that it took.

    A meter with bills raises a flag too: what is told beside it has kernels of its own.
    """
    began = time.perf_counter()
    with told(log.info):
        _through(Bank(config))
    return time.perf_counter() - began


def _through(bank: Bank) -> None:
    kinds = (Kind.REGISTER, Kind.INTERVAL, Kind.GAUGE)
    meters = [
        Meter(meter_id=kind.name, kind=kind.name.lower(), interval_s=3600.0, commodity="water", unit="m3", area="a")
        for kind in kinds
    ]  # fmt: skip
    meters.append(msgspec.structs.replace(meters[1], meter_id=BILLED, interval_s=86400.0, bill_day=1))
    outcome = Outcome()
    bank.register(meters, outcome)
    bank.asked = [True] * len(bank.detectors)  # also those that none of these meters concerns
    amounts = np.ones(BILLED_DAYS)
    amounts[-28:] = 1000.0
    days = START + np.arange(1 - BILLED_DAYS, 1) * 24 * HOUR
    bank.update(_readings(BILLED, Kind.INTERVAL, days, amounts), outcome)
    hours = np.arange(24 * DAYS)
    for kind in kinds:
        bank.update(_readings(kind.name, kind, START + (hours + 1) * HOUR, hours.astype(np.float64)), outcome)
    bank.tick(START + (DAYS + 2) * 24 * HOUR, outcome)
    bank.census()


def _readings(meter: str, kind: Kind, times: NDArray[np.int64], values: NDArray[np.float64]) -> Columns:
    n = len(times)
    return Columns(
        [meter], np.zeros(n, np.uint32), times, values,
        np.full(n, int(kind), np.uint8), [""], np.zeros(n, np.uint8), np.zeros(n, np.uint8), np.zeros(n, np.uint16),
        np.zeros(n, np.uint32), ["warm-up"], ["warm-up"], np.zeros(1, np.int64), np.full(1, -1), NO_DIGEST,
    )  # fmt: skip


def main() -> None:
    """Compile what is not compiled yet; say so on standard error."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    warm_up(compose.bank_config(Settings()))


if __name__ == "__main__":
    main()
