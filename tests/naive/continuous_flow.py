"""Flow that does not stop, the obvious way."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.naive import HOUR, Line, Taken, single

NEAR = 1 - 1e-6  # of a level is still at it
MEMORY = 21 * 24  # hours over which rest and mean flow are weighted
ALIKE = 1 - 1e-4  # of the length asked for is that length
PAST = 84 * 24  # hours over which the lengths of ended runs are weighted


@dataclass
class Run:
    """Flow above one level, and how often that rests."""

    level: float
    start: int = 0
    left: float = 0.0
    quiet: float = 0.0
    rest: float = 0.0
    total: float = 0.0
    rested: float = 0.0  # share of quiet time of late
    flows: list[float] = field(default_factory=list)
    past: float = 0.0  # lengths of ended runs of late
    square: float = 0.0  # their squares

    @property
    def lasting(self) -> float:
        """Mean length of its runs, by the hours in them."""
        return self.square / self.past if self.past > 0 else 0.0


def continuous_flow(
    taken: Iterable[Taken],
    limit: float,
    hours: float = 36,
    enough: float = 20,
    most_calm: float = 72,
    most: float = 240,
    times: float = 4,
) -> list[Line]:
    """Flow above ``limit`` that does not stop for so many hours, ``times`` the own runs and 5 h, a surprise."""
    lines: list[Line] = []
    watched = calm = worn = 0.0
    usual = 0.0  # mean flow of late
    runs = [Run(limit * often) for often in (1, 2, 3, 4, 8)]
    told: Run | None = None  # what the episode was raised at, as it was then
    own = 0  # which level that is
    for t in taken:
        if limit <= 0 or t.status != "ok" or t.span <= 0:
            continue
        length = t.span / HOUR
        rate = t.usage / length
        fine = t.span <= 2 * HOUR
        weight = min(length / MEMORY, 1)
        at = t.reading.time
        if told:
            worn = single(worn + length)
            if fine or length > 48 or rate < told.level * NEAR:
                calm = single(calm + length)
        elif fine:
            watched = single(watched + length)
            usual = single(usual + max(weight, length / watched) * (rate - usual))
        known = 1 - math.exp(-watched / MEMORY)
        surprising: list[tuple[float, int]] = []
        for number, run in enumerate(runs):
            flows = rate >= run.level * NEAR
            above = flows and length <= 96
            unknown = not above and 2 < length <= 12 and rate >= run.level / 2 * NEAR
            if fine and not told:
                run.past = single(run.past - length / PAST * run.past)
                run.square = single(run.square - length / PAST * run.square)
            if above and not fine and run.left > 0:
                run.left, run.total = single(run.left + 0.33 * length), single(run.total + t.usage)
            elif above and fine:
                if run.left <= 0:
                    run.start, run.flows, run.total, run.rest = at - t.span, [], 0.0, 0.0
                run.left, run.quiet = single(run.left + length), 0.0
                run.total = single(run.total + t.usage)
                run.flows.append(single(rate))
            elif unknown:
                run.total = single(run.total + t.usage) if run.left > 0 else run.total
            elif not above:
                if told and number == own and not flows:
                    told.rest = single(told.rest + length)
                if run.left > 0:
                    if not told and run.quiet == 0:
                        run.past = single(run.past + run.left)
                        run.square = single(run.square + run.left * run.left)
                    run.quiet, run.rest = single(run.quiet + length), single(run.rest + length)
                    run.left = single(run.left - 24 * length)
                    if run.left <= 0 or run.quiet >= 3:
                        run.left = run.quiet = 0.0
            if not fine:
                continue
            if not told:
                run.rested = single(run.rested + weight * ((0 if above else 1) - run.rested))
            if above and run.rested >= 0.25 * known:
                surprise = -run.left * math.log1p(-min(run.rested / known, 0.999))
                if told and surprise >= enough / 2:
                    calm = 0.0
                    worn = 0.0 if surprise >= enough else worn
                if run.left >= max(hours, ALIKE * times * (run.lasting + 5)):
                    surprising.append((surprise, -number))
        if told:
            if (calm > 0 or not fine) and (calm >= most_calm or worn >= most):
                lines.append(_flow("cleared", at, rate, told, usual))
                told = None
        elif surprising and max(surprising)[0] >= enough and t.live and watched >= 14 * 24:
            own = -max(surprising)[1]
            run = runs[own]
            told = Run(run.level, run.start, rest=run.rest, rested=run.rested, flows=list(run.flows))
            calm = worn = 0.0
            lines.append(_flow("raised", at, run.total / ((at - run.start) / HOUR), told, usual))
    return lines


def _flow(status: str, at: int, observed: float, run: Run, usual: float) -> Line:
    told = {
        "least_flow_per_hour": min(run.flows),
        "limit_per_hour": run.level,
        "hours": (at - run.start) / HOUR,
        "quiet_hours": run.rest,
        "usual_quiet_share": run.rested,
        "usual_flow_per_hour": usual,
    }
    return Line(status, "continuous_flow", at, run.start, observed, run.level, told)
