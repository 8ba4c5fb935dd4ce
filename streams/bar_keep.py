"""Looks at the verdicts once in a while and moves bars, or says where it would."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Literal, Protocol

from streams.clock import Clock
from streams.messages import NS
from streams.ports import PortError
from streams.trade.bars import LEAST, Policy, Suggestion, suggest

log = logging.getLogger(__name__)

Mode = Literal["off", "propose", "apply"]
EVERY_S = 3600.0  # a look; a bar moves once a day at the most
_DAY = 86_400 * NS


class Words(Protocol):
    """What is asked of the store, and done to it; blocks."""

    def bars(self) -> dict[str, float]: ...

    def judged_scores(self, since_ns: int) -> dict[tuple[str, str], list[tuple[float, bool]]]: ...


#: moves a bar by a suggestion unless it has moved since that instant; False: it has
Mover = Callable[[Suggestion, int], bool]


def suggestions(words: Words, policy: Policy, now_ns: int) -> list[Suggestion]:
    """What the verdicts say of every bar, by kind."""
    scores = words.judged_scores(now_ns - round(policy.days * _DAY))
    bars = words.bars()
    families = dict(scores.keys())
    found = []
    for kind in sorted(families.keys() | bars.keys()):
        family = families.get(kind, "")
        judged = scores.get((kind, family), [])
        made = suggest(kind, family, judged, bars.get(kind, LEAST), policy)
        if made is not None:
            found.append(made)
    return found


class BarKeep:
    """The daily run of one process; where several run, the store lets one of them move a bar."""

    def __init__(self, words: Words, mover: Mover, policy: Policy, mode: Mode, clock: Clock) -> None:
        self._words = words
        self._mover = mover
        self._policy = policy
        self._mode = mode
        self._clock = clock
        self._told: dict[str, tuple[float, float]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; a store that is away is asked again an hour later."""
        while self._mode != "off" and not stop.is_set():
            try:
                await asyncio.to_thread(self.look)
            except PortError as error:
                log.warning("bars wait: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), EVERY_S)

    def look(self) -> None:
        """One run: move what is to be moved, or say it once."""
        now = self._clock.now_ns()
        for one in suggestions(self._words, self._policy, now):
            move = (one.before, one.bar)
            if self._mode == "apply":
                self._mover(one, now - _DAY + 1)
            elif self._told.get(one.kind) != move:
                log.info(
                    "bar of %s: %g → %g proposed (%s): POST /api/bars/%s applies it; %s",
                    one.kind, *move, one.why, one.kind, one.figures,
                )  # fmt: skip
            self._told[one.kind] = move
