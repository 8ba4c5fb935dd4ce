"""The arithmetic: numpy in, numpy out. No I/O, no clock, nothing of the flow or the outside.

A new detector is one file here and one line in ``CATALOGUE``.
"""

from detectors.balance import Balance
from detectors.base import Detector
from detectors.bill_shock import BillShock
from detectors.clock import Clock
from detectors.continuous_flow import ContinuousFlow
from detectors.estimates import Estimates
from detectors.frozen import Frozen
from detectors.gas_flow import GasFlow
from detectors.habit import Habit
from detectors.high_low import HighLow
from detectors.interruptions import Interruptions
from detectors.intervals import Intervals
from detectors.limits import Limits
from detectors.night_minimum import NightMinimum
from detectors.over_limit import OverLimit
from detectors.rate import Rate
from detectors.sentinels import Sentinels
from detectors.shut_off import ShutOff
from detectors.silence import Silence
from detectors.spike import Spike
from detectors.steps import Steps
from detectors.sum_check import SumCheck
from detectors.tampering import Tampering
from detectors.transformer import Transformer
from detectors.voltage import Voltage

__all__ = [
    "CATALOGUE",
    "Balance",
    "BillShock",
    "Clock",
    "ContinuousFlow",
    "Detector",
    "Estimates",
    "Frozen",
    "GasFlow",
    "Habit",
    "HighLow",
    "Interruptions",
    "Intervals",
    "Limits",
    "NightMinimum",
    "OverLimit",
    "Rate",
    "Sentinels",
    "ShutOff",
    "Silence",
    "Spike",
    "Steps",
    "SumCheck",
    "Tampering",
    "Transformer",
    "Voltage",
    "default",
]

#: Every detector, in the order in which a reading meets them. ``Intervals`` comes first: it
#: gives the others usage, span and status.
CATALOGUE: tuple[type[Detector], ...] = (
    Intervals,
    Habit,
    Spike,
    HighLow,
    ContinuousFlow,
    Silence,
    GasFlow,
    Limits,
    Rate,
    Frozen,
    Voltage,
    Interruptions,
    Transformer,
    Balance,
    NightMinimum,
    Sentinels,
    Estimates,
    Clock,
    OverLimit,
    Steps,
    Tampering,
    ShutOff,
    SumCheck,
    BillShock,
)


def default() -> tuple[Detector, ...]:
    """All detectors with their default parameters."""
    return tuple(make() for make in CATALOGUE)
