"""What verdicts and bars come to, as metrics."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from connectors.store import Store
from connectors.web.probe import Metric
from streams.ports import PortError
from streams.programs.verdicts import VerdictDesk
from streams.take_verdicts import VerdictTaker
from streams.trade.tickets import Verdict
from streams.trade.verdicts import tabulate

log = logging.getLogger(__name__)

AGE_S = 60.0  # of figures that are counted over all verdicts


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


class VerdictFigures:
    """Of the web process: judged flags, precision and bars. Counted beside the scrape, once a minute at the most."""

    def __init__(self, store: Store, desk: VerdictDesk) -> None:
        self._store = store
        self._desk = desk
        self._metrics: Sequence[Metric] = ()
        self._at = float("-inf")
        self._counting = threading.Lock()

    def __call__(self) -> Sequence[Metric]:
        """What was counted last; begins to count anew where that is old."""
        if time.monotonic() - self._at > AGE_S and self._counting.acquire(blocking=False):
            threading.Thread(target=self._count, name="verdict-figures", daemon=True).start()
        return self._metrics

    def _count(self) -> None:
        try:
            self._metrics = self.count()
        except PortError as error:
            log.warning("verdicts are not counted: %s", error)
        finally:
            self._at = time.monotonic()
            self._counting.release()

    def count(self) -> list[Metric]:
        """All of it, from the store. Raises Unavailable."""
        rows = self._desk.rows(None, None)
        detectors = [(group[0], found) for group, found in tabulate(rows, ("detector",))]
        held, bars = self._store.held_back(), self._store.bars()
        return [
            Metric(
                "forestall_judged_flags",
                "Flags that people have judged",
                "gauge",
                [
                    ({"detector": name, "verdict": str(verdict)}, n)
                    for name, found in detectors
                    for verdict, n in (
                        (Verdict.CONFIRMED, found.confirmed),
                        (Verdict.EXPLAINED, found.explained),
                        (Verdict.FALSE_ALARM, found.false_alarms),
                    )
                ],
            ),
            Metric(
                "forestall_precision_ratio",
                "Share of judged flags that were confirmed or explained",
                "gauge",
                [({"detector": name}, found.precision or 0.0) for name, found in detectors],
            ),
            Metric(
                "forestall_bar",
                "Score below which flags of a kind open no ticket",
                "gauge",
                [({"kind": kind}, bar) for kind, bar in sorted(bars.items())],
            ),
            Metric(
                "forestall_flags_held_back",
                "Flags below the bar of their kind that wait",
                "gauge",
                [({"kind": kind}, n) for kind, n in sorted(held.items())],
            ),
        ]
