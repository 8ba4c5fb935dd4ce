"""What verdicts and bars come to, as metrics."""

from __future__ import annotations

from connectors.web.probe import Metric
from streams.take_verdicts import VerdictTaker


def verdict_metrics(taker: VerdictTaker) -> list[Metric]:
    """Of the worker: what it has taken from ``verdicts.v1``."""
    return [
        Metric(
            "forestall_verdicts_taken_total", "Messages of verdicts.v1 in the store", "counter", taker.taken
        ),
        Metric(
            "forestall_verdict_dead_letters_total",
            "Messages of verdicts.v1 that could not be taken",
            "counter",
            taker.dead_letters,
        ),
    ]
