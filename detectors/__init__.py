"""The arithmetic: numpy in, numpy out. No I/O, no clock, nothing of the flow or the outside.

A new detector is one file here and one line in ``CATALOGUE``.
"""

from detectors.base import Detector
from detectors.clock import Clock
from detectors.continuous_flow import ContinuousFlow
from detectors.estimates import Estimates
from detectors.high_low import HighLow
from detectors.intervals import Intervals
from detectors.over_limit import OverLimit
from detectors.sentinels import Sentinels
from detectors.silence import Silence
from detectors.spike import Spike

__all__ = [
    "CATALOGUE",
    "Clock",
    "ContinuousFlow",
    "Detector",
    "Estimates",
    "HighLow",
    "Intervals",
    "OverLimit",
    "Sentinels",
    "Silence",
    "Spike",
    "default",
]

#: Every detector, in the order in which a reading meets them. ``Intervals`` comes first: it
#: gives the others usage, span and status.
CATALOGUE: tuple[type[Detector], ...] = (
    Intervals,
    Spike,
    HighLow,
    ContinuousFlow,
    Silence,
    Sentinels,
    Estimates,
    Clock,
    OverLimit,
)


def default() -> tuple[Detector, ...]:
    """All detectors with their default parameters."""
    return tuple(make() for make in CATALOGUE)
