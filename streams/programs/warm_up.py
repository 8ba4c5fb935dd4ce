"""Compile the detectors before anything waits for them.

Numba compiles a kernel when it is first called and keeps it beside the code: minutes at the
first start after an installation or an update, nothing afterwards. In the worker's event loop
that would be minutes without a heartbeat.
"""

from __future__ import annotations

import logging
import time

import numpy as np

from streams.columns import NO_DIGEST, Columns
from streams.messages import NS, Kind
from streams.registry import Meter
from streams.state.bank import Bank, BankConfig
from streams.state.outcome import Outcome

log = logging.getLogger(__name__)

DAYS = 3
START = 1_767_225_600 * NS  # any Thursday
LONG_S = 2.0  # more than this is worth a line in the log


def warm_up(config: BankConfig) -> float:
    """Put a meter of each kind through all detectors, in a bank of its own. Returns the seconds that it took."""
    began = time.perf_counter()
    bank = Bank(config)
    kinds = (Kind.REGISTER, Kind.INTERVAL, Kind.GAUGE)
    meters = [
        Meter(meter_id=kind.name, kind=kind.name.lower(), interval_s=3600.0, commodity="water", unit="m3", area="a")
        for kind in kinds
    ]  # fmt: skip
    outcome = Outcome()
    bank.register(meters, outcome)
    bank.asked = [True] * len(bank.detectors)  # also those that none of these meters concerns
    n = 24 * DAYS
    for kind in kinds:
        bank.update(_hours(kind, n), outcome)
    bank.tick(START + (DAYS + 2) * 24 * 3600 * NS, outcome)
    seconds = time.perf_counter() - began
    if seconds > LONG_S:
        log.info("compiled the detectors in %.0f s; the next start finds them", seconds)
    return seconds


def _hours(kind: Kind, n: int) -> Columns:
    return Columns(
        [kind.name], np.zeros(n, np.uint32), START + np.arange(1, n + 1) * 3600 * NS, np.arange(n, dtype=np.float64),
        np.full(n, int(kind), np.uint8), [""], np.zeros(n, np.uint8), np.zeros(n, np.uint8), np.zeros(n, np.uint16),
        np.zeros(n, np.uint32), ["warm-up"], ["warm-up"], np.zeros(1, np.int64), np.full(1, -1), NO_DIGEST,
    )  # fmt: skip
