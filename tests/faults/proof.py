"""The proof that a kill hits a process in mid-work."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from streams.messages import READINGS
from streams.ports import Log
from streams.programs import compose
from tests.faults.publisher import Publisher
from tests.faults.site import Site


@dataclass(frozen=True, slots=True)
class Proof:
    """What was seen at the instant of a kill."""

    victim: str
    unacknowledged: int  # MQTT messages that ingest holds and has not acknowledged
    grown: int  # messages by which the log had grown …
    within_s: float  # … in this time before the kill
    behind: int  # messages of the load that were still to be confirmed

    def __str__(self) -> str:
        return (
            f"kill -9 {self.victim}: {self.unacknowledged} MQTT messages unacknowledged, log +{self.grown} in "
            f"{self.within_s * 1000:.0f} ms, {self.behind} messages of the load to come"
        )


class LogWatch:
    """Asks the log for its end, from a test."""

    def __init__(self, site: Site) -> None:
        self._runner = asyncio.Runner()
        self._settings = site.settings
        self._log = self._runner.run(self._open())

    async def _open(self) -> Log:
        return compose.open_log(self._settings)

    async def _end(self) -> int:
        return sum([await self._log.end(READINGS, p) for p in range(self._settings.partitions)])

    def end(self) -> int:
        """Messages that readings.v1 has had."""
        return self._runner.run(self._end())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._log.close())
        self._runner.close()


def kill_in_mid_work(site: Site, victim: str, publisher: Publisher, log: LogWatch) -> Proof:
    """Wait for an instant at which the work is proved to be under way, and kill.

    The log grows, ``ingest`` holds messages that it has not acknowledged, and the publisher has
    more. Raises TimeoutError where the load is used up before such an instant came.
    """
    started, before = time.monotonic(), log.end()
    while not publisher.at_limit:
        held = site["ingest"].metrics().get("forestall_mqtt_unacknowledged", 0.0)
        end, now = log.end(), time.monotonic()
        if held > 0 and end > before:
            site.kill(victim)
            behind = len(publisher) - publisher.confirmed
            return Proof(victim, int(held), end - before, now - started, behind)
        if now - started > 0.2:
            started, before = now, end
    raise TimeoutError(
        f"expected an instant with unacknowledged messages and a growing log to kill {victim} at, there was none"
    )
